/* host_aio.c - asynchronous direct I/O, by the system calls of Linux. */
#define _GNU_SOURCE 1 /* O_DIRECT, syscall; no names of ours */

#include "host_aio.h"

#ifdef __linux__

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEEP_BYTES ((size_t)1 << 20) /* a buffer above that is given back */

struct write {
  struct iocb request;
  uint8_t *buffer; /* aligned; NULL: none yet */
  size_t capacity; /* of it */
  bool is_busy;    /* is it under way? */
};

struct raft_aio {
  aio_context_t context;
  int event;
  uint32_t busy; /* Invariant: how many of the writes are under way */
  struct write writes[RAFT_AIO_WRITES_MAX];
};

static uint8_t *aligned(size_t size) {
  assert(size % RAFT_AIO_ALIGN == 0);
  void *memory = NULL;
  if (posix_memalign(&memory, RAFT_AIO_ALIGN, size) != 0) return NULL;
  return memory;
}

struct raft_aio *raft_aio_new(void) {
  struct raft_aio *aio = calloc(1, sizeof *aio);
  if (aio == NULL) return NULL;
  aio->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (aio->event >= 0 &&
      syscall(SYS_io_setup, RAFT_AIO_WRITES_MAX, &aio->context) == 0)
    return aio;
  if (aio->event >= 0) (void)close(aio->event);
  free(aio);
  return NULL;
}

void raft_aio_free(struct raft_aio *aio) {
  if (aio == NULL) return;
  assert(aio->busy <= RAFT_AIO_WRITES_MAX);
  (void)syscall(SYS_io_destroy, aio->context); /* it waits */
  (void)close(aio->event);
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++)
    free(aio->writes[i].buffer);
  free(aio);
}

int raft_aio_event(const struct raft_aio *aio) {
  assert(aio != NULL);
  assert(aio->event >= 0);
  return aio->event;
}

bool raft_aio_direct(int fd, bool is_direct) {
  assert(fd >= 0);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  flags = is_direct ? flags | O_DIRECT : flags & ~O_DIRECT;
  return fcntl(fd, F_SETFL, flags) == 0;
}

int raft_aio_allocate(int fd, int64_t size) {
  assert(fd >= 0);
  assert(size > 0);
  return fallocate(fd, 0, 0, size) == 0 ? 0 : errno;
}

/* A place for one more, with a buffer of that size; or minus an errno. */
static int find_place(struct raft_aio *aio, size_t size) {
  assert(size > 0);
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++) {
    struct write *w = &aio->writes[i];
    if (w->is_busy) continue;
    if (w->capacity >= size) return i;
    free(w->buffer);
    w->capacity = 0;
    w->buffer = aligned(size);
    if (w->buffer == NULL) return -ENOMEM;
    w->capacity = size;
    return i;
  }
  return -EAGAIN;
}

int raft_aio_write(struct raft_aio *aio, int fd, const void *bytes, size_t size,
                   int64_t offset) {
  assert(size > 0);
  assert(size % RAFT_AIO_ALIGN == 0 && offset % RAFT_AIO_ALIGN == 0);
  int token = find_place(aio, size);
  if (token < 0) return token;
  struct write *w = &aio->writes[token];
  if (bytes != NULL)
    memcpy(w->buffer, bytes, size);
  else
    memset(w->buffer, 0, size);
  w->request = (struct iocb){
      .aio_data = (unsigned)token,
      .aio_lio_opcode = IOCB_CMD_PWRITE,
      .aio_fildes = (uint32_t)fd,
      .aio_buf = (uint64_t)(uintptr_t)w->buffer,
      .aio_nbytes = size,
      .aio_offset = offset,
      .aio_flags = IOCB_FLAG_RESFD,
      .aio_resfd = (uint32_t)aio->event,
  };
  struct iocb *list[] = {&w->request};
  long begun = syscall(SYS_io_submit, aio->context, 1, list);
  if (begun != 1) return begun < 0 ? -errno : -EAGAIN;
  w->is_busy = true;
  aio->busy++;
  return token;
}

void raft_aio_wake(struct raft_aio *aio) {
  assert(aio != NULL);
  uint64_t count;
  (void)!read(aio->event, &count, sizeof count); /* nothing there: all right */
}

int raft_aio_reap(struct raft_aio *aio, int64_t *result) {
  struct io_event ended;
  struct timespec now = {0, 0};
  assert(result != NULL);
  if (aio->busy == 0) return -1;
  if (syscall(SYS_io_getevents, aio->context, 0, 1, &ended, &now) != 1)
    return -1;
  struct write *w = &aio->writes[ended.data];
  assert(w->is_busy);
  w->is_busy = false;
  aio->busy--;
  if (w->capacity > KEEP_BYTES) {
    free(w->buffer);
    w->buffer = NULL;
    w->capacity = 0;
  }
  *result = ended.res;
  return (int)ended.data;
}

#else

#include <assert.h>

struct raft_aio *raft_aio_new(void) {
  return NULL;
}

void raft_aio_free(struct raft_aio *aio) {
  assert(aio == NULL); /* as it is in all that follows */
  (void)aio;
}

int raft_aio_event(const struct raft_aio *aio) {
  assert(aio == NULL);
  (void)aio;
  return -1;
}

bool raft_aio_direct(int fd, bool is_direct) {
  assert(fd >= 0);
  (void)fd;
  return !is_direct;
}

int raft_aio_allocate(int fd, int64_t size) {
  assert(fd >= 0);
  assert(size > 0);
  (void)fd;
  (void)size;
  return -1;
}

int raft_aio_write(struct raft_aio *aio, int fd, const void *bytes, size_t size,
                   int64_t offset) {
  assert(aio == NULL);
  assert(size > 0);
  (void)aio;
  (void)fd;
  (void)bytes;
  (void)size;
  (void)offset;
  return -1;
}

void raft_aio_wake(struct raft_aio *aio) {
  assert(aio == NULL);
  (void)aio;
}

int raft_aio_reap(struct raft_aio *aio, int64_t *result) {
  assert(aio == NULL);
  assert(result != NULL);
  (void)aio;
  (void)result;
  return -1;
}

#endif
