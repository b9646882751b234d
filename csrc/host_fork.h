/* host_fork.h - a child of ours that writes one file, while we go on. POSIX.
 *
 * The child sees our memory as it is now, and nothing else of us: it holds no
 * lock, no socket and no signal of ours, and it ends with us where the system
 * can see to that. It must leave by raft_host_child_exit, and never return into
 * what called the fork.
 */
#ifndef RAFT_HOST_FORK_H
#define RAFT_HOST_FORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct raft_host_child {
  int64_t pid;    /* of the child; 0 in the child itself */
  int64_t parent; /* who forked */
  int pipe;       /* the parent reads what the child says; the child writes */
  int file;       /* the child's; -1 in the parent */
};

/* Makes the file at `path` anew, and forks. 0, in both; or an errno: then
 * there is no child. */
int raft_host_fork(const char *path, struct raft_host_child *child);

/* ---- in the child -------------------------------------------------------- */

/* All of it: 0, or an errno. */
int raft_host_write(int fd, const void *data, size_t size);

/* On the disk: 0, or an errno. */
int raft_host_sync(int fd);

_Noreturn void raft_host_child_exit(int status);

/* ---- in the parent ------------------------------------------------------- */

/* Has it ended? Forgets it then: *signal is what ended it or 0, *status its
 * exit status or -1 where somebody else has asked. */
bool raft_host_child_reap(const struct raft_host_child *child, int *status,
                          int *signal);

/* Ends it. Only who forked it may, and only before it was reaped. */
void raft_host_child_kill(const struct raft_host_child *child);

#pragma GCC visibility pop
#endif
