/* host_aio.h - writes to files that go past the page cache, and end without a
 * thread that waits for them: asynchronous direct I/O. Linux has it; elsewhere
 * there is none. Knows neither Raft nor Lua. */
#ifndef RAFT_HOST_AIO_H
#define RAFT_HOST_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define RAFT_AIO_WRITES_MAX 8    /* under way at a time */
#define RAFT_AIO_ALIGN      4096 /* offsets and sizes are multiples of it */

struct raft_aio;

/* NULL where the system has none, or gives none. */
struct raft_aio *raft_aio_new(void);

/* Waits for what is under way: memory and file are in use until then. */
void raft_aio_free(struct raft_aio *aio);

/* A descriptor that becomes readable when a write has ended. */
int raft_aio_event(const struct raft_aio *aio);

/* From now on writes to the file go past the cache, or through it again. False
 * where its file system does not do that. */
bool raft_aio_direct(int fd, bool is_direct);

/* Gives the file room for so many bytes, so that to write them changes no
 * sizes. 0, or an errno. */
int raft_aio_allocate(int fd, int64_t size);

/* Starts a write of `bytes`, which are copied; of zeros where that is NULL.
 * Returns its token, from 0 on, or minus an errno; EAGAIN: too many. */
int raft_aio_write(struct raft_aio *aio, int fd, const void *bytes, size_t size,
                   int64_t offset);

/* Makes the descriptor unreadable until the next one ends; to be called before
 * the reaps, for an end may be reaped before it is told. */
void raft_aio_wake(struct raft_aio *aio);

/* The next one that has ended: *result is how many bytes were written, or minus
 * an errno. Returns its token, or -1: none. */
int raft_aio_reap(struct raft_aio *aio, int64_t *result);

#pragma GCC visibility pop
#endif
