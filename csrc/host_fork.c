/* host_fork.c - a child that writes a file, and keeps its hands off the rest.
 *
 * What must hold. Before anything else runs in the child it has given up all
 * descriptors but two: a lock or listener that it kept would outlive us. Our
 * signal handlers, which write to pipes of our loop, never run in it.
 */
#define _DEFAULT_SOURCE 1 /* nice, sigset_t; no names of ours */

#include "host_fork.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum {
  SIGNALS = 65,       /* one more than the highest number that is tried */
  FDS_MAX = 1 << 16,  /* closed one by one where nobody lists them */
  NICENESS = 10,      /* the node goes first */
  STEP_MAX = 1 << 30, /* of one write: some systems refuse more */
};

/* ---- in the child -------------------------------------------------------- */

/* Descriptors that are open, as the system lists them. */
static DIR *open_list(void) {
  DIR *list = opendir("/proc/self/fd");
  return list != NULL ? list : opendir("/dev/fd");
}

static bool is_kept(int fd, const struct raft_host_child *child) {
  return fd == child->pipe || fd == child->file;
}

static void close_all(const struct raft_host_child *child) {
  DIR *list = open_list();
  if (list == NULL) {
    for (int fd = 0; fd < FDS_MAX; fd++)
      if (!is_kept(fd, child)) (void)close(fd); /* mostly not open */
    return;
  }
  int own = dirfd(list);
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
    char *end;
    long fd = strtol(entry->d_name, &end, 10);
    if (end == entry->d_name || *end != '\0') continue; /* "." and ".." */
    if (fd != own && !is_kept((int)fd, child)) (void)close((int)fd);
  }
  (void)closedir(list);
}

/* What is printed has no reader, and must not end in the file. */
static bool stand_in_for_stdio(void) {
  int null = open("/dev/null", O_RDWR);
  if (null < 0) return false;
  for (int fd = 0; fd <= 2; fd++)
    if (null != fd && dup2(null, fd) != fd) return false;
  if (null > 2) (void)close(null);
  return true;
}

/* Away from the places of stdin, stdout and stderr: fd, or -1. */
static int above_stdio(int fd) {
  if (fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  (void)close(fd);
  return moved;
}

static void reset_signals(void) {
  struct sigaction action = {0};
  action.sa_handler = SIG_DFL;
  for (int i = 1; i < SIGNALS; i++)
    (void)sigaction(i, &action, NULL); /* some refuse, and some do not exist */
  action.sa_handler = SIG_IGN; /* when the parent is gone, a write says so */
  (void)sigaction(SIGPIPE, &action, NULL);
  sigset_t none;
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool dies_with_parent(const struct raft_host_child *child) {
#ifdef __linux__
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
#endif
  return (int64_t)getppid() == child->parent; /* it may be gone already */
}

/* False: it must not go on. */
static bool become_child(struct raft_host_child *child) {
  close_all(child);
  if (!dies_with_parent(child)) return false;
  reset_signals();
  if (!stand_in_for_stdio()) return false;
  errno = 0;
  int ignored = nice(NICENESS); /* it is a wish; -1 is a good answer, too */
  (void)ignored;
  return true;
}

int raft_host_write(int fd, const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    ssize_t n = write(fd, at, size < STEP_MAX ? size : STEP_MAX);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    at += n;
    size -= (size_t)n;
  }
  return 0;
}

int raft_host_sync(int fd) {
#ifdef F_FULLFSYNC /* fsync of macOS stops at the cache of the drive */
  if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  return fsync(fd) == 0 ? 0 : errno;
}

#ifdef RAFT_COVERAGE
extern void __gcov_dump(void);
#endif

_Noreturn void raft_host_child_exit(int status) {
#ifdef RAFT_COVERAGE
  __gcov_dump(); /* what ran here counts, too */
#endif
  _exit(status); /* no handlers, no buffers: they are the parent's */
}

/* ---- in the parent ------------------------------------------------------- */

static int open_ends(const char *path, struct raft_host_child *child,
                     int *read_end) {
  int ends[2];
  if (pipe(ends) != 0) return errno;
  *read_end = above_stdio(ends[0]);
  child->pipe = above_stdio(ends[1]);
  int fd =
      open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  int error = errno;
  child->file = fd < 0 ? -1 : above_stdio(fd);
  if (fd >= 0) error = errno;
  if (*read_end >= 0 && child->pipe >= 0 && child->file >= 0) {
    (void)fcntl(*read_end, F_SETFD, FD_CLOEXEC);
    (void)fcntl(child->pipe, F_SETFD, FD_CLOEXEC);
    return 0;
  }
  (void)close(*read_end); /* those that are not there say so */
  (void)close(child->pipe);
  (void)close(child->file);
  return error;
}

int raft_host_fork(const char *path, struct raft_host_child *child) {
  int read_end = -1;
  *child = (struct raft_host_child){.parent = (int64_t)getpid()};
  int error = open_ends(path, child, &read_end);
  if (error != 0) return error;
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, &before); /* no handler in the child */
  pid_t pid = fork();
  error = errno;
  if (pid == 0) {
    if (!become_child(child)) raft_host_child_exit(1);
    return 0;
  }
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  (void)close(child->pipe);
  (void)close(child->file);
  child->pipe = read_end;
  child->file = -1;
  child->pid = (int64_t)pid;
  if (pid > 0) return 0;
  (void)close(read_end);
  return error;
}

bool raft_host_child_reap(const struct raft_host_child *child, int *status,
                          int *signal) {
  int how = 0;
  *status = -1;
  *signal = 0;
  if (child->parent != (int64_t)getpid()) return true; /* not ours */
  pid_t pid = waitpid((pid_t)child->pid, &how, WNOHANG);
  if (pid == 0 || (pid < 0 && errno == EINTR)) return false;
  if (pid < 0) return true; /* whoever owns SIGCHLD was quicker */
  if (WIFEXITED(how)) *status = WEXITSTATUS(how);
  if (WIFSIGNALED(how)) *signal = WTERMSIG(how);
  return true;
}

void raft_host_child_kill(const struct raft_host_child *child) {
  if (child->parent != (int64_t)getpid()) return;
  (void)kill((pid_t)child->pid, SIGKILL); /* it may just have ended */
}
