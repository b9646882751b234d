/* log.h - the replicated log in memory. A leaf: knows no roles.
 *
 * Runs of terms describe all of (base, last]. The encoded entries of a tail
 * [memory_first, last] are here; older ones are on the disk only.
 *
 *   base           memory_first     stored     handed        last
 *    |  on disk only     |  in memory  |  under way  | to store |
 *    +-------------------+-------------+-------------+----------+
 *
 * "last" is decided, "stored" is durable. A store batch covers entries up to
 * its record's `last`, which truncation clips, so that an acknowledged number
 * never promises bytes that were overwritten (the ABA race).
 *
 * Bytes handed out as slices stay valid until raft_log_settle: truncation never
 * reuses them, and blocks that leave wait in the graveyard.
 *
 * The files: log.c (birth and change), log_runs.c (terms), log_memory.c and
 * log_block.c (entries in memory), log_store.c (what is durable), log_load.c
 * (what comes from the disk). They share log_inner.h; nobody else touches the
 * fields of struct raft_log but to read its marks.
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "entry.h"
#include "log_block.h"
#include "raft.h"

#pragma GCC visibility push(hidden)

struct raft_store_record { /* one store batch under way */
  raft_seq seq;
  raft_index last; /* entries it makes durable, clipped by truncation */
};

struct raft_log {
  raft_alloc alloc;
  void *alloc_ud;
  raft_index base_index;   /* what a snapshot covers; 0 from the beginning */
  raft_term base_term;     /* of the entry there. Invariant: 0 iff index is 0 */
  raft_index last;         /* newest entry, durable or not */
  raft_index stored;       /* newest durable.
                              Invariant: base_index <= stored <= handed */
  raft_index handed;       /* newest given to a store batch.
                              Invariant: handed <= last */
  raft_index memory_first; /* oldest in memory. Invariant: base_index <
                              memory_first <= last + 1 */
  struct raft_run *runs;   /* Invariant: they start at base_index + 1; first and
                              term ascend strictly */
  uint32_t run_count, run_capacity;
  struct raft_block **blocks; /* Invariant: contiguous, from memory_first or
                                 earlier to last; only the newest is empty */
  uint32_t block_count, block_capacity;
  struct raft_block *spare;         /* reserved for appends to come, or NULL */
  struct raft_block *graveyard;     /* freed at the next settle; a list */
  struct raft_block *window;        /* loaded entries for applying, or NULL */
  raft_seq seq_handed;              /* number of the newest store batch */
  raft_seq seq_stored;              /* newest reported durable */
  uint32_t store_head, store_count; /* Invariant: store_count is
                                       seq_handed - seq_stored */
  size_t memory_bytes; /* allocated for `blocks` alone: what waits in the
                          graveyard is as good as gone.
                          Invariant: the sum over blocks */
  struct raft_store_record stores[RAFT_STORES_MAX]; /* oldest at head.
                                   Invariant: last ascends, up to handed if
                                   anything is under way */
};

void raft_log_init(struct raft_log *log, raft_alloc alloc, void *ud);
void raft_log_free(struct raft_log *log);

/* A deep copy that behaves the same from here on; what was lent out stays with
 * the original. RAFT_E_NOMEM: *out is as after init. */
int raft_log_clone(const struct raft_log *log, struct raft_log *out);

/* Starts from what the disk held: everything in it counts as stored. The log
 * is fresh from init.
 * RAFT_E_NOMEM, or RAFT_E_CORRUPT when runs and tail contradict. On failure the
 * log is as after init. */
int raft_log_recover(struct raft_log *log, const struct raft_recovery *rec);

/* The term at `index`: base_term at base_index; 0 outside [base_index, last] */
raft_term raft_log_term_before(const struct raft_log *log, raft_index index);
static inline raft_term raft_log_term(const struct raft_log *log,
                                      raft_index index) {
  uint32_t n = log->run_count;
  if (n == 0 || index < log->runs[n - 1].first)
    return raft_log_term_before(log, index);
  return index <= log->last ? log->runs[n - 1].term : 0;
}
static inline raft_term raft_log_last_term(const struct raft_log *log) {
  uint32_t n = log->run_count; /* 0: there is nothing behind base */
  return n > 0 ? log->runs[n - 1].term : log->base_term;
}

/* The newest index <= index (and >= base_index) whose term is <= term: where
 * two logs may agree, asked from both sides. An index past the end is taken for
 * the end. 0 when there is none. [Raft 5.3] */
raft_index raft_log_agree(const struct raft_log *log, raft_index index,
                          raft_term term);

/* Makes room so that the next appends of `count` entries with `bytes` encoded
 * bytes in all cannot fail. RAFT_OK or RAFT_E_NOMEM (nothing changed). It holds
 * until settle, over truncation, compaction, eviction and reset. Reservations
 * do not add up: the larger one holds. */
int raft_log_reserve(struct raft_log *log, size_t bytes, uint32_t count);

/* Appends one entry with index last + 1, which it fills in; encodes it. Its
 * term is not below the newest one. Reserve first. */
void raft_log_append(struct raft_log *log, struct raft_entry *e);

/* The same for each of `count` > 0 payloads: all else they have in common, and
 * e is the last of them afterwards. */
void raft_log_append_alike(struct raft_log *log, struct raft_entry *e,
                           const struct raft_slice *payloads, uint32_t count);

/* Appends verified, encoded, consecutive entries from last + 1 with terms that
 * do not fall. Reserve first. */
void raft_log_append_raw(struct raft_log *log, const uint8_t *data, size_t size,
                         uint32_t count);

/* Drops entries [from, last]; clips handed, stored and the records of batches
 * under way. from > base_index; past the end nothing happens. Never fails. */
void raft_log_truncate(struct raft_log *log, raft_index from);

/* Drops everything: the log starts anew after a durable snapshot at `index`,
 * which is not below base_index. Never fails. */
void raft_log_reset(struct raft_log *log, raft_index index, raft_term term);

/* Entries up to `index` <= last are covered by a durable snapshot and leave.
 * Never fails. */
void raft_log_compact(struct raft_log *log, raft_index index);

/* The next store batch takes everything not yet handed. Returns its number, or
 * 0 when too many are under way. */
raft_seq raft_log_hand(struct raft_log *log);

/* Batches up to `seq` <= seq_handed are durable. */
void raft_log_stored(struct raft_log *log, raft_seq seq);

/* After which batch is `index` durable? 0: it is already. For an entry not yet
 * handed out the number of the batch to come. */
raft_seq raft_log_batch_of(const struct raft_log *log, raft_index index);
static inline raft_seq raft_log_after(const struct raft_log *log,
                                      raft_index index) {
  assert(index <= log->last);
  return index <= log->stored ? 0 : raft_log_batch_of(log, index);
}

/* The encoded entry at `index` in memory or window; NULL: it is not there. */
const uint8_t *raft_log_at(const struct raft_log *log, raft_index index);

/* The same, read. */
bool raft_log_get(const struct raft_log *log, raft_index index,
                  struct raft_entry *out);

/* Slices over encoded entries [first, *last], in memory; *last is lowered so
 * that they fit into bytes_max (one entry always fits) and into slice_max
 * slices. memory_first <= first <= *last <= last. Returns how many slices were
 * written; *bytes is their sum. */
uint32_t raft_log_slices(const struct raft_log *log, raft_index first,
                         raft_index *last, size_t bytes_max,
                         struct raft_slice *slices, uint32_t slice_max,
                         size_t *bytes);

/* As many slices are enough for entries [first, last], first >= memory_first:
 * one for each block, and one more where a truncation left bytes that may still
 * be lent out. 0 when there are no such entries. */
uint32_t raft_log_slices_max(const struct raft_log *log, raft_index first);

/* Keeps loaded entries [first, *last] readable for applying; replaces the last
 * window. The bytes are verified, and their place in the log: RAFT_E_CORRUPT.
 * RAFT_E_NOMEM. On failure the last window stays. */
int raft_log_window(struct raft_log *log, raft_index first, const uint8_t *data,
                    size_t size, raft_index *last);
void raft_log_window_drop(struct raft_log *log);

/* Lets whole old blocks go while more than bytes_max are held; never entries
 * above `upto` nor above stored, nor the newest block. */
void raft_log_let_go(struct raft_log *log, size_t bytes_max, raft_index upto);
static inline void raft_log_evict(struct raft_log *log, size_t bytes_max,
                                  raft_index upto) {
  if (log->memory_bytes > bytes_max) raft_log_let_go(log, bytes_max, upto);
}

/* A turn is over: slices handed out before are no longer used, nothing reserved
 * is waited for. Their memory is free again. */
void raft_log_clean_up(struct raft_log *log);
static inline void raft_log_settle(struct raft_log *log) {
  if (log->graveyard != NULL || log->spare != NULL) raft_log_clean_up(log);
  assert(log->graveyard == NULL);
  if (log->block_count > 0)
    raft_block_reclaim(log->blocks[log->block_count - 1]);
}

/* Encoded bytes of entries (from, to], as far as they are in memory. */
size_t raft_log_bytes(const struct raft_log *log, raft_index from,
                      raft_index to);

/* NULL, or the broken invariant. Looks at every entry in memory. */
const char *raft_log_check(const struct raft_log *log);

#pragma GCC visibility pop
#endif
