/* wal_writer.h - makes the bytes of the next batch or segment. A leaf.
 *
 * It holds what the next write depends on: where it goes, its number, the
 * checksum it chains to. One write is in flight at a time, and one that fails
 * is the last: so putting a batch and moving on are one step here.
 */
#ifndef RAFT_WAL_WRITER_H
#define RAFT_WAL_WRITER_H

#include "raft.h"
#include "wal.h"
#include "wal_scan.h"

#pragma GCC visibility push(hidden)

struct raft_wal_writer {
  struct raft_wal_segment segment; /* being filled; number 0: none yet */
  uint64_t offset;      /* of the next batch. Invariant: <= segment.size */
  uint64_t starts;      /* this start of the process */
  uint64_t count;       /* batches put in this start */
  uint64_t number;      /* of the newest batch; 0 none */
  uint32_t chain;       /* its checksum */
  uint8_t kind;         /* its kind; 0 none */
  raft_index last;      /* newest entry put; 0 none */
  raft_term last_term;  /* its term */
  raft_index lost_last; /* newest entry that damage took, until the log is as
                           new again; 0 none */
  raft_term lost_term;  /* its term */
};

/* Goes on where a scan ended. */
void raft_wal_writer_init(struct raft_wal_writer *w,
                          const struct raft_wal_scan *scan);

/* Starts the next segment of `size` bytes: writes its head into `out`. */
void raft_wal_writer_open(struct raft_wal_writer *w, uint64_t salt,
                          uint64_t size, uint8_t *out);

/* Is there room for a batch of that many bytes of entries, with `reserve`
 * bytes left over? */
bool raft_wal_writer_fits(const struct raft_wal_writer *w, uint64_t entry_bytes,
                          uint64_t reserve);

/* Can these encoded entries come next, one after the other, behind `last`?
 * Moves *last on. */
bool raft_wal_writer_accepts(struct raft_slice entries, raft_index *last);

/* Writes the next batch into `out`. Of `b` term, vote, commit, kind and mark
 * are read, the rest is filled in. The entries were accepted. */
void raft_wal_writer_put(struct raft_wal_writer *w, struct raft_wal_batch *b,
                         const struct raft_slice *entries, size_t count,
                         uint8_t *out);

#pragma GCC visibility pop
#endif
