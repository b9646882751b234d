/* wal_state.h - what the batches of a log add up to: a recovery. A leaf.
 *
 * Fed with every intact batch in order, it keeps the hard state, the runs of
 * terms, the newest configurations and the newest entries, within a bound.
 * What a batch says is checked against what came before it: an intact batch
 * that contradicts the log is damage, not history.
 *
 * Damage in the middle. Of a batch that cannot be read nobody knows what it
 * overwrote. So raft_wal_state_break makes the log unsure, and the next head
 * tells: two logs that have entries of one term are equal up to the older of
 * the newest of that term [Raft 5.3], and what was committed stays. What is not
 * sure is dropped; entries behind the gap are not taken in, until there are
 * some that overwrite, or follow, what is left. docs/decisions/0010-repair.md
 *
 *      1 ....... sure | dropped |  gap, cannot be read  | not taken in
 */
#ifndef RAFT_WAL_STATE_H
#define RAFT_WAL_STATE_H

#include "entry.h"
#include "raft.h"
#include "wal.h"
#include "wal_tail.h"

#pragma GCC visibility push(hidden)

/* Configurations remembered: at most one is not committed and can be
 * overwritten; then the two before it are wanted. [Raft 6] One is to spare. */
#define RAFT_WAL_CONFIGS 4

struct raft_wal_config {
  raft_index index;
  uint8_t *payload; /* owned */
  size_t size;
};

struct raft_wal_state {
  raft_alloc alloc;
  void *alloc_ud;
  size_t memory_bytes; /* of entries to keep */
  raft_term term;      /* hard state of the newest batch */
  raft_id vote;
  raft_index commit;      /* highest hint seen */
  raft_index base_index;  /* the entry before the oldest of the log: a snapshot
                            covers it; 0 from the beginning */
  raft_term base_term;    /* its term; 0 iff there is none */
  raft_index last;        /* newest entry; base_index when there is none */
  raft_term last_term;    /* its term; base_term when there is none */
  raft_ms last_time;      /* its stamp; 0 unknown */
  raft_index newest_hole; /* no entry above it lacks its command; 0: none does.
                             Invariant: <= last */
  raft_index head_last;   /* newest entry by the newest head; 0 none */
  raft_term head_term;    /* its term */
  bool is_gapped;         /* may the log on disk go on behind `last`? */
  bool is_unsure;         /* has no head told yet what of it is true?
                            Invariant: then it is gapped */
  raft_index sure;        /* if unsure: committed up to here all the same */
  bool is_marked;         /* did this batch begin the log behind its mark? */
  struct raft_run *runs;  /* Invariant: first and term ascend strictly */
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

/* Takes in a batch and what is in it; entries that were not taken in, because
 * they lie behind a gap, are cut off the front of *body. RAFT_OK;
 * RAFT_E_CORRUPT with the reason in *why; RAFT_E_NOMEM. After an error the
 * state is good for nothing. */
int raft_wal_state_add(struct raft_wal_state *s, const struct raft_wal_batch *b,
                       struct raft_wal_body *body, const char **why);

/* Batches are missing here, or cannot be read. */
void raft_wal_state_break(struct raft_wal_state *s);

/* Takes in the head of a batch whose body cannot be read; after break. */
int raft_wal_state_skip(struct raft_wal_state *s,
                        const struct raft_wal_batch *b, const char **why);

/* The next segment says that the log ended at `last` of `last_term`. False:
 * that cannot be. */
bool raft_wal_state_link(struct raft_wal_state *s, raft_index last,
                         raft_term last_term);

/* Had the log a newer entry than those that are left? */
bool raft_wal_state_has_lost(const struct raft_wal_state *s);

/* What the core starts from; points into the state. */
void raft_wal_state_result(const struct raft_wal_state *s,
                           struct raft_recovery *out);

#pragma GCC visibility pop
#endif
