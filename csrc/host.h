/* host.h - what the driver needs of the system and luv does not have. POSIX.
 * Knows neither Raft nor Lua. */
#ifndef RAFT_HOST_H
#define RAFT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Takes the lock file at `path`, which is made if need be, and writes our
 * process id into it. A second open is refused, of this process too. Returns
 * its descriptor, or -1: *error is an errno, or 0 when somebody else has it,
 * whose process id is then in *pid (0: not known). */
int raft_host_lock(const char *path, int *error, int64_t *pid);

/* Gives the lock back. The file stays: to remove it would let two own it. */
void raft_host_unlock(int fd);

/* Milliseconds since 1970. */
int64_t raft_host_wall_ms(void);

/* Makes later reads of the file ask the disk. A sync that failed leaves pages
 * in the cache that look clean and are not on the disk. True where that is
 * possible. */
bool raft_host_forget(int fd);

/* A write to a connection that is gone shall be an error, not the end of the
 * process: SIGPIPE is ignored from now on, unless the program handles it. */
void raft_host_ignore_sigpipe(void);

#pragma GCC visibility pop
#endif
