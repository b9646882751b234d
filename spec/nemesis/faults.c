/* faults.c - a disk and a clock that can be bent while a process runs.
 *
 * Preloaded into the nodes of the nemesis. The file that RAFT_FAULTS names is
 * mapped, and says what happens to writes and syncs of regular files: sockets
 * and pipes are left alone. Writes past the page cache are begun by system calls
 * that have no function of their own, so `syscall` is met too. A switch costs the process nothing to look at, and
 * works without privileges, which a full file system or a tracer needs.
 *
 * A failure happens once and takes its own switch back: who goes on after it
 * as if nothing had been, can. Each one is counted, so that the nemesis knows
 * what has really struck. One that meets a snapshot, or the name of a file, need
 * not end a node: it is counted as soft, too.
 */
#define _GNU_SOURCE 1 /* syscall, and the calls with 64 in their names */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum mode {
  PASS = 0,
  REFUSE = 1, /* one write fails, nothing of it is on the disk */
  TEAR = 2,   /* one write fails, its first half is on the disk */
  LATE = 3,   /* one write or sync fails, and all of it may be on the disk */
  FULL = 4,   /* no file grows */
  SLOW = 5,   /* each write takes delay_ms longer */
  MODES = 6
};

enum { SECTOR = 512, MS_PER_S = 1000, NS_PER_MS = 1000000, PATH_BYTES = 4096 };

/* As process.lua writes and reads it: 64 bits each, in this order. */
struct control {
  _Atomic int64_t mode;
  _Atomic int64_t delay_ms;
  _Atomic int64_t jump_ms;     /* wall clock minus the true one */
  _Atomic int64_t lies;        /* times told while jump_ms was not 0 */
  _Atomic int64_t hits[MODES]; /* by mode */
  _Atomic int64_t soft;        /* of these, what need not end a node */
  _Atomic int64_t direct;      /* of these, what met a write past the cache */
};

static struct control *control; /* NULL: nobody bends anything */

__attribute__((constructor)) static void map_control(void) {
  const char *path = getenv("RAFT_FAULTS");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also of what is stopped */
  if (fd < 0) abort(); /* a nemesis that strikes nothing proves nothing */
  void *page =
      mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) abort();
  control = page;
  (void)close(fd); /* the mapping stays */
}

static enum mode mode_now(void) {
  if (control == NULL) return PASS;
  int64_t mode = atomic_load(&control->mode);
  return mode > PASS && mode < MODES ? (enum mode)mode : PASS;
}

static void count(enum mode mode) {
  atomic_fetch_add(&control->hits[mode], 1);
}

/* Is that in the path of the file? */
static bool is_named(int fd, const char *what) {
  char link[64], path[PATH_BYTES];
  (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size < 0) return false;
  path[size] = '\0';
  return strstr(path, what) != NULL;
}

/* Is it the file of a snapshot, whole or not, or a directory? */
static bool is_soft(int fd) {
  struct stat stat;
  if (fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode)) return true;
  return is_named(fd, ".snap");
}

/* Takes a failure that strikes once: true for one caller only. Never for the
 * lock, the first file of a start: what is written there is for people only, and
 * a failure that nobody minds would be wasted on it. */
static bool take(enum mode mode, int fd) {
  int64_t expected = mode;
  if (is_named(fd, "/lock")) return false;
  bool soft = is_soft(fd);
  if (!atomic_compare_exchange_strong(&control->mode, &expected, PASS))
    return false;
  if (soft) atomic_fetch_add(&control->soft, 1);
  count(mode);
  return true;
}

static void pause_ms(int64_t ms) {
  struct timespec rest = {.tv_sec = ms / MS_PER_S,
                          .tv_nsec = ms % MS_PER_S * NS_PER_MS};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
    continue;
}

static ssize_t fail(int error) {
  errno = error;
  return -1;
}

/* ------------------------------------------------------------------ writes */

/* A write as the system takes it; offset -1: where the file stands. */
struct piece {
  int fd;
  const void *bytes;
  size_t size;
  off_t offset;
};

static ssize_t put(struct piece p) {
  if (p.offset < 0) return syscall(SYS_write, p.fd, p.bytes, p.size);
  return syscall(SYS_pwrite64, p.fd, p.bytes, p.size, p.offset);
}

static bool is_growing(struct piece p, off_t size) {
  off_t from = p.offset < 0 ? lseek(p.fd, 0, SEEK_CUR) : p.offset;
  return from + (off_t)p.size > size;
}

static ssize_t tear(struct piece p) {
  p.size = p.size / 2 / SECTOR * SECTOR;
  if (p.size > 0) (void)put(p); /* as much as there is of it */
  return fail(EIO);
}

static ssize_t bent(struct piece p) {
  enum mode mode = mode_now();
  struct stat stat;
  if (mode == PASS || fstat(p.fd, &stat) != 0 || !S_ISREG(stat.st_mode))
    return put(p);
  if (mode == SLOW) {
    count(mode);
    pause_ms(atomic_load(&control->delay_ms));
    return put(p);
  }
  if (mode == FULL) {
    if (!is_growing(p, stat.st_size)) return put(p);
    count(mode);
    return fail(ENOSPC);
  }
  if (!take(mode, p.fd)) return put(p);
  if (mode == TEAR) return tear(p);
  if (mode == LATE) (void)put(p); /* it is there, and is called failed */
  return fail(EIO);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  return bent((struct piece){fd, bytes, size, -1});
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  return bent((struct piece){fd, bytes, size, offset});
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
  return bent((struct piece){fd, bytes, size, offset});
}

/* --------------------------------------------------- writes past the cache */

enum { DOOMED_MAX = 16, ARGUMENTS = 6 };

/* Begun, and to be called failed when they end; NULL: none. One thread begins
 * them and hears of their ends, so nothing guards this. */
static const struct iocb *doomed[DOOMED_MAX];

static void doom(const struct iocb *one) {
  for (int i = 0; i < DOOMED_MAX; i++) {
    if (doomed[i] != NULL) continue;
    doomed[i] = one;
    return;
  }
  abort();
}

static bool is_doomed(const struct iocb *one) {
  for (int i = 0; i < DOOMED_MAX; i++) {
    if (doomed[i] != one) continue;
    doomed[i] = NULL;
    return true;
  }
  return false;
}

/* As syscall takes it: number, and what it hands on. */
struct call {
  long number;
  long arguments[ARGUMENTS];
};

static long pass(const struct call *c) {
  static _Atomic(void *) found;
  void *next = atomic_load(&found);
  if (next == NULL) next = dlsym(RTLD_NEXT, "syscall");
  if (next == NULL) abort();
  atomic_store(&found, next);
  long (*plain)(long, ...);
  memcpy(&plain, &next, sizeof(plain)); /* C knows no such cast */
  const long *a = c->arguments;
  return plain(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The kernel takes a copy of the request: it may be changed for that long. */
static long submit_bent(const struct call *c, struct iocb *one,
                        enum mode mode) {
  uint64_t size = one->aio_nbytes;
  if (mode == TEAR) one->aio_nbytes = size / 2 / SECTOR * SECTOR;
  if (mode == REFUSE) one->aio_nbytes = 0;
  long begun = pass(c);
  one->aio_nbytes = size;
  if (begun == 1) doom(one);
  atomic_fetch_add(&control->direct, 1);
  return begun;
}

/* Its caller must not be slowed, for it is the loop: to the pool with it. */
static long submit_slow(void) {
  count(SLOW);
  atomic_fetch_add(&control->direct, 1);
  return fail(EAGAIN);
}

/* Files that are written like this have their room: FULL is for others. */
static long bent_submit(const struct call *c) {
  enum mode mode = mode_now();
  struct iocb **list;
  struct stat stat;
  memcpy(&list, &c->arguments[2], sizeof(list));
  if (mode == PASS || mode == FULL || c->arguments[1] != 1) return pass(c);
  int fd = (int)list[0]->aio_fildes;
  if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) return pass(c);
  if (mode == SLOW) return submit_slow();
  if (!take(mode, fd)) return pass(c);
  return submit_bent(c, list[0], mode);
}

static long bent_getevents(const struct call *c) {
  struct io_event *events;
  memcpy(&events, &c->arguments[3], sizeof(events));
  long ended = pass(c);
  for (long i = 0; i < ended; i++) {
    const struct iocb *one;
    memcpy(&one, &events[i].obj, sizeof(one));
    if (is_doomed(one)) events[i].res = -EIO;
  }
  return ended;
}

long syscall(long number, ...) {
  struct call c = {.number = number};
  va_list list;
  va_start(list, number); /* more than were given: what the registers hold */
  for (int i = 0; i < ARGUMENTS; i++)
    c.arguments[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_io_submit) return bent_submit(&c);
  if (number == SYS_io_getevents) return bent_getevents(&c);
  return pass(&c);
}

static int bent_fallocate(int fd, int how, off_t offset, off_t size) {
  struct stat stat;
  if (mode_now() == FULL && fstat(fd, &stat) == 0 &&
      offset + size > stat.st_size) {
    count(FULL);
    return (int)fail(ENOSPC);
  }
  return (int)syscall(SYS_fallocate, fd, how, offset, size);
}

int fallocate(int fd, int how, off_t offset, off_t size) {
  return bent_fallocate(fd, how, offset, size);
}

int fallocate64(int fd, int how, off64_t offset, off64_t size) {
  return bent_fallocate(fd, how, offset, size);
}

/* ------------------------------------------------------------------- syncs */

static int bent_sync(long call, int fd) {
  if (mode_now() == LATE && take(LATE, fd)) return (int)fail(EIO);
  return (int)syscall(call, fd);
}

int fsync(int fd) {
  return bent_sync(SYS_fsync, fd);
}

int fdatasync(int fd) {
  return bent_sync(SYS_fdatasync, fd);
}

/* ------------------------------------------------------------------- clock */

int timespec_get(struct timespec *now, int base) {
  if (base != TIME_UTC || syscall(SYS_clock_gettime, CLOCK_REALTIME, now) != 0)
    return 0;
  int64_t jump_ms = control != NULL ? atomic_load(&control->jump_ms) : 0;
  if (jump_ms == 0) return base;
  atomic_fetch_add(&control->lies, 1);
  now->tv_sec += jump_ms / MS_PER_S;
  return base;
}
