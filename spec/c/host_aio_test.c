/* host_aio_test.c - writes past the page cache, on a file of the system: what
 * was begun is told once, is in the file by then, and what fails gives its
 * place back. Where the system has none there is nothing to test. */
#define _GNU_SOURCE 1 /* O_DIRECT, mkstemp; no names of ours */

#include "host_aio.h"

#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE   RAFT_AIO_ALIGN
#define LARGE  (2u << 20) /* more than a buffer that is kept */
#define WAITMS 3000       /* a disk that takes longer is broken */

/* A file without a name, that ends with the program. */
static int new_file(void) {
  const char *home = getenv("TMPDIR");
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/raft_aio_XXXXXX",
                 home != NULL ? home : "/tmp");
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  CHECK(unlink(path) == 0);
  return fd;
}

static uint8_t *page_of(char letter) {
  static uint8_t page[LARGE];
  memset(page, letter, sizeof page);
  return page;
}

static char letter_at(int fd, int64_t offset) {
  char letter = '?';
  CHECK(pread(fd, &letter, 1, offset) == 1);
  return letter;
}

static bool is_told(const struct raft_aio *aio, int patience_ms) {
  struct pollfd event = {.fd = raft_aio_event(aio), .events = POLLIN};
  return poll(&event, 1, patience_ms) == 1;
}

/* The next one that ends; its token. */
static int await(struct raft_aio *aio, int64_t *result) {
  int token = raft_aio_reap(aio, result);
  if (token >= 0) return token;
  CHECK(is_told(aio, WAITMS));
  raft_aio_wake(aio);
  return raft_aio_reap(aio, result);
}

static void expect_written(struct raft_aio *aio, int fd, char letter,
                           size_t size, int64_t offset) {
  int64_t result = 0;
  int token = raft_aio_write(aio, fd, page_of(letter), size, offset);
  CHECK(token >= 0);
  EQ(await(aio, &result), token);
  EQ(result, size);
  EQ(letter_at(fd, offset), letter);
  EQ(letter_at(fd, offset + (int64_t)size - 1), letter);
}

static void tells_of_an_end(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  CHECK(!is_told(aio, 0));
  EQ(raft_aio_reap(aio, &result), -1);
  EQ(raft_aio_write(aio, fd, page_of('a'), 2 * (size_t)PAGE, PAGE), 0);
  CHECK(is_told(aio, WAITMS));
  raft_aio_wake(aio);
  CHECK(!is_told(aio, 0));
  EQ(raft_aio_reap(aio, &result), 0);
  EQ(result, 2 * PAGE);
  EQ(raft_aio_reap(aio, &result), -1);
  EQ(letter_at(fd, PAGE), 'a');
  EQ(letter_at(fd, 3 * (int64_t)PAGE - 1), 'a');
  EQ(letter_at(fd, 0), 0);
  raft_aio_free(aio);
  (void)close(fd);
}

/* Asked again and again, on a file that takes its time. */
static void tells_no_end_before(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  (void)raft_aio_direct(fd, true); /* or is done at once */
  EQ(raft_aio_write(aio, fd, page_of('a'), PAGE, 0), 0);
  while (raft_aio_reap(aio, &result) < 0 && !is_told(aio, 0))
    continue;
  if (result == 0) EQ(await(aio, &result), 0);
  EQ(result, PAGE);
  raft_aio_free(aio);
  (void)close(fd);
}

static void writes_zeros(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  expect_written(aio, fd, 'b', 2 * (size_t)PAGE, 0);
  EQ(raft_aio_write(aio, fd, NULL, PAGE, 0), 0);
  EQ(await(aio, &result), 0);
  EQ(result, PAGE);
  EQ(letter_at(fd, 0), 0);
  EQ(letter_at(fd, PAGE - 1), 0);
  EQ(letter_at(fd, PAGE), 'b');
  raft_aio_free(aio);
  (void)close(fd);
}

/* All at once, each with bytes of its own; no more of them until one is
 * reaped, though it has ended. */
static void has_places(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  unsigned seen = 0;
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++) {
    char letter = (char)('a' + i);
    EQ(raft_aio_write(aio, fd, page_of(letter), PAGE, i * (int64_t)PAGE), i);
  }
  EQ(raft_aio_write(aio, fd, page_of('z'), PAGE, 0), -EAGAIN);
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++) {
    seen |= 1u << await(aio, &result);
    EQ(result, PAGE);
  }
  EQ(seen, (1u << RAFT_AIO_WRITES_MAX) - 1);
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++)
    EQ(letter_at(fd, i * (int64_t)PAGE), 'a' + i);
  expect_written(aio, fd, 'z', PAGE, 0);
  raft_aio_free(aio);
  (void)close(fd);
}

/* A place that has one of its own is not the place of another. */
static void takes_a_free_place(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  EQ(raft_aio_write(aio, fd, page_of('a'), PAGE, 0), 0);
  EQ(raft_aio_write(aio, fd, page_of('b'), PAGE, PAGE), 1);
  int first = await(aio, &result);
  EQ(raft_aio_write(aio, fd, page_of('c'), PAGE, 2 * (int64_t)PAGE), first);
  EQ(await(aio, &result) + await(aio, &result), 1);
  EQ(raft_aio_reap(aio, &result), -1);
  raft_aio_free(aio);
  (void)close(fd);
}

static void keeps_buffers_that_fit(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  expect_written(aio, fd, 'a', PAGE, 0);
  expect_written(aio, fd, 'b', 4 * (size_t)PAGE, 0); /* grows */
  expect_written(aio, fd, 'c', PAGE, 0);             /* has room */
  EQ(letter_at(fd, PAGE), 'b');
  expect_written(aio, fd, 'd', LARGE, 0); /* given back */
  expect_written(aio, fd, 'e', PAGE, 0);
  expect_written(aio, fd, 'f', LARGE, 0);
  raft_aio_free(aio);
  (void)close(fd);
}

/* What cannot be begun takes no place, however often. */
static void refuses_what_cannot_be(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int gone = new_file();
  (void)close(gone);
  for (int i = 0; i <= RAFT_AIO_WRITES_MAX; i++)
    EQ(raft_aio_write(aio, gone, page_of('a'), PAGE, 0), -EBADF);
  CHECK(!is_told(aio, 0));
  expect_written(aio, fd, 'b', PAGE, 0);
  raft_aio_free(aio);
  (void)close(fd);
}

/* How large files may get from now on, in bytes; what it was. */
static rlim_t limit_files(rlim_t bytes) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = bytes;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  return before;
}

/* What fails later says so, and its place is free. */
static void tells_errors(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  int64_t result = 0;
  CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  rlim_t before = limit_files(PAGE);
  EQ(raft_aio_write(aio, fd, page_of('a'), PAGE, PAGE), 0);
  EQ(await(aio, &result), 0);
  EQ(result, -EFBIG);
  (void)limit_files(before);
  expect_written(aio, fd, 'b', PAGE, PAGE);
  raft_aio_free(aio);
  (void)close(fd);
}

static void waits_at_its_end(void) {
  struct raft_aio *aio = raft_aio_new();
  int fd = new_file();
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++)
    CHECK(raft_aio_write(aio, fd, page_of('w'), PAGE, i * (int64_t)PAGE) >= 0);
  raft_aio_free(aio);
  for (int i = 0; i < RAFT_AIO_WRITES_MAX; i++)
    EQ(letter_at(fd, i * (int64_t)PAGE), 'w');
  raft_aio_free(NULL); /* as free does */
  (void)close(fd);
}

/* Another one gets the same descriptor; it is not kept over an exec. */
static void closes_its_descriptor(void) {
  struct raft_aio *aio = raft_aio_new();
  int event = raft_aio_event(aio);
  EQ(fcntl(event, F_GETFD), FD_CLOEXEC);
  raft_aio_free(aio);
  EQ(fcntl(event, F_GETFD), -1);
}

static void is_none_without_a_descriptor(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  struct raft_aio *aio = raft_aio_new();
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(aio == NULL);
  raft_aio_free(aio);
}

static void goes_past_the_cache(void) {
  int fd = new_file();
  int plain = fcntl(fd, F_GETFL);
  if (raft_aio_direct(fd, true)) /* not every file system can */
    EQ(fcntl(fd, F_GETFL), plain | O_DIRECT);
  CHECK(raft_aio_direct(fd, false));
  EQ(fcntl(fd, F_GETFL), plain);
  (void)close(fd);
  CHECK(!raft_aio_direct(fd, true));
}

static void gives_room(void) {
  int fd = new_file();
  struct stat room;
  EQ(raft_aio_allocate(fd, 3 * (int64_t)PAGE), 0);
  CHECK(fstat(fd, &room) == 0);
  EQ(room.st_size, 3 * PAGE);
  CHECK(room.st_blocks > 0);
  (void)close(fd);
  EQ(raft_aio_allocate(fd, PAGE), EBADF);
}

/* Asked of the system itself, or who finds none would pass. */
static bool is_there(void) {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 1, &context) != 0) return false;
  return syscall(SYS_io_destroy, context) == 0;
}

int main(void) {
  if (!is_there()) {
    (void)puts("no asynchronous I/O here\n0 passed, 0 failed, 1 skipped");
    return 0;
  }
  CASE(tells_of_an_end);
  CASE(tells_no_end_before);
  CASE(writes_zeros);
  CASE(has_places);
  CASE(takes_a_free_place);
  CASE(keeps_buffers_that_fit);
  CASE(refuses_what_cannot_be);
  CASE(tells_errors);
  CASE(waits_at_its_end);
  CASE(closes_its_descriptor);
  CASE(is_none_without_a_descriptor);
  CASE(goes_past_the_cache);
  CASE(gives_room);
  return test_end();
}

#else

static void is_none(void) {
  CHECK(raft_aio_new() == NULL);
}

int main(void) {
  CASE(is_none);
  return test_end();
}

#endif
