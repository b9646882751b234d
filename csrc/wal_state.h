/* wal_state.h - what the batches of a log add up to: a recovery. A leaf.
 *
 * Fed with every intact batch in order, it keeps the hard state, the runs of
 * terms, the newest configurations and the newest entries, within a bound.
 * What a batch says is checked against what came before it: an intact batch
 * that contradicts the log is damage, not history.
 */
#ifndef RAFT_WAL_STATE_H
#define RAFT_WAL_STATE_H

#include "entry.h"
#include "raft.h"
#include "wal.h"

#pragma GCC visibility push(hidden)

/* Configurations remembered: at most one is not committed and can be
 * overwritten; then the two before it are wanted. [Raft 6] One is to spare. */
#define RAFT_WAL_CONFIGS 4

struct raft_wal_config {
  raft_index index;
  uint8_t *payload; /* owned */
  size_t size;
};

/* The newest entries as they are encoded, one behind the other:
 *
 *      0          from                        size        capacity
 *      +----------+---------------------------+-----------+
 *      | given up | [first, first + count)    | free      |
 *      +----------+---------------------------+-----------+
 */
struct raft_wal_tail {
  uint8_t *bytes;
  size_t from; /* Invariant: from <= size <= capacity */
  size_t size;
  size_t capacity;
  uint32_t *offsets; /* of entry first + i in bytes, at [skip + i] */
  size_t skip;       /* offsets given up */
  size_t count;      /* entries in it */
  size_t slots;      /* Invariant: skip + count <= slots */
  raft_index first;  /* oldest entry; last + 1 when there is none */
};

struct raft_wal_state {
  raft_alloc alloc;
  void *alloc_ud;
  size_t memory_bytes; /* of entries to keep */
  raft_term term;      /* hard state of the newest batch */
  raft_id vote;
  raft_index commit;     /* highest hint seen */
  raft_index base_index; /* the entry before the oldest of the log: a snapshot
                            covers it; 0 from the beginning */
  raft_term base_term;   /* its term; 0 iff there is none */
  raft_index last;       /* newest entry; base_index when there is none */
  raft_term last_term;   /* its term; base_term when there is none */
  raft_ms last_time;     /* its stamp; 0 none */
  struct raft_run *runs; /* Invariant: first and term ascend strictly */
  size_t run_count;
  size_t run_capacity;
  struct raft_wal_tail tail;
  struct raft_wal_config configs[RAFT_WAL_CONFIGS]; /* oldest first */
  size_t config_count;
};

void raft_wal_state_init(struct raft_wal_state *s, size_t memory_bytes,
                         raft_alloc alloc, void *ud);
void raft_wal_state_free(struct raft_wal_state *s);

/* The log begins behind this entry; all that was added before is void. */
void raft_wal_state_reset(struct raft_wal_state *s, raft_index index,
                          raft_term term);

/* Takes in a batch and what is in it. RAFT_OK; RAFT_E_CORRUPT with the reason
 * in *why; RAFT_E_NOMEM. After an error the state is good for nothing. */
int raft_wal_state_add(struct raft_wal_state *s, const struct raft_wal_batch *b,
                       const struct raft_wal_body *body, const char **why);

/* What the core starts from; points into the state. */
void raft_wal_state_result(const struct raft_wal_state *s,
                           struct raft_recovery *out);

#pragma GCC visibility pop
#endif
