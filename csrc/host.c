/* host.c - what the driver needs of the system and luv does not have. */
#define _DEFAULT_SOURCE 1 /* flock; no name of ours */

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PID_ROOM = 32 };

static int64_t read_pid(int fd) {
  char text[PID_ROOM];
  int64_t pid = 0;
  ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
  if (size <= 0) return 0;
  text[size] = '\0';
  return sscanf(text, "%" SCNd64, &pid) == 1 ? pid : 0;
}

/* For people only, so a disk too full for it is no reason to fail. */
static void write_pid(int fd) {
  char text[PID_ROOM];
  int size = snprintf(text, sizeof(text), "%" PRId64 "\n", (int64_t)getpid());
  if (ftruncate(fd, 0) != 0) return;
  if (pwrite(fd, text, (size_t)size, 0) != size) return;
}

int raft_host_lock(const char *path, int *error, int64_t *pid) {
  *error = 0;
  *pid = 0;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) {
    *error = errno;
    return -1;
  }
  /* The lock belongs to this open of the file, not to the process. */
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    write_pid(fd);
    return fd;
  }
  if (errno == EWOULDBLOCK)
    *pid = read_pid(fd);
  else
    *error = errno;
  (void)close(fd); /* nothing was written through it */
  return -1;
}

void raft_host_unlock(int fd) {
  (void)close(fd); /* the lock goes with it, whatever the answer */
}

int64_t raft_host_wall_ms(void) {
  struct timespec now;
  if (timespec_get(&now, TIME_UTC) != TIME_UTC) return 0;
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool raft_host_forget(int fd) {
#ifdef POSIX_FADV_DONTNEED
  return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
#else
  (void)fd;
  return false;
#endif
}

void raft_host_ignore_sigpipe(void) {
  struct sigaction action;
  if (sigaction(SIGPIPE, NULL, &action) != 0) return;
  if ((action.sa_flags & SA_SIGINFO) != 0) return; /* the program's own */
  if (action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  (void)sigaction(SIGPIPE, &action, NULL); /* cannot fail with these */
}
