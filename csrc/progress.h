/* progress.h - what a leader knows of one follower. A leaf: knows no roles.
 *
 *   match            next                       last
 *     |  in flight    |   not yet sent           |
 *   --+===============+--------------------------+
 *
 * PROBE: one append at a time until an answer shows where the logs meet.
 * REPLICATE: appends flow ahead of their answers, bounded by messages and
 * bytes. SNAPSHOT: nothing is sent until it is installed.
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft.h"

#pragma GCC visibility push(hidden)

struct raft_inflight { /* one append under way */
  raft_index last;     /* its last entry */
  uint32_t bytes;      /* of its entries */
};

struct raft_progress {
  raft_id id;
  enum raft_progress_state state;
  raft_index match; /* durable there, as far as we know; damage there may take
                       it back. Invariant: match < next */
  raft_index next;  /* Invariant: next <= last + 1 of the leader's log */
  bool is_probing;  /* an append is out, wait for its answer or tick.
                        Invariant: only in PROBE */
  bool is_loading;  /* a LOAD for it is out */
  raft_index snapshot_index; /* what is being installed.
                                Invariant: 0 unless SNAPSHOT */
  bool is_shipped;           /* it was sent all of that, and owes the answer.
                      Invariant: only in SNAPSHOT */
  bool is_resting; /* a transfer failed: none before the next heartbeat */
  raft_index commit_sent;   /* newest commit index it was told */
  uint64_t round_acked;     /* newest read round it confirmed */
  uint64_t round_sent;      /* newest read round it was asked to confirm */
  raft_ms heard;            /* when it last spoke; 0 never */
  raft_ms wall;             /* the wall clock it last reported; 0 unknown */
  bool is_avoiding;         /* it said that it is no heir, or lacks entries */
  bool has_holes;           /* it lacks commands of entries that it has */
  struct raft_sum sum;      /* of its results, as it told us last */
  raft_index agreed;        /* newest of these that was as ours; 0 none */
  raft_index differs;       /* first one behind it that was not; 0 none.
                               Invariant: 0, or > agreed */
  bool is_diverged_told;    /* by a DIVERGED effect. Only of one that differs */
  uint64_t incarnation;     /* of the directory that spoke last; 0 none */
  raft_index lap_end;       /* it catches up to here, 0: need not.
                                Invariant: <= last of the leader's log */
  raft_ms lap_began;        /* Invariant: 0 without a lap */
  bool is_caught_up;        /* its last lap was short. Only with a lap */
  raft_index leaving_index; /* it is no member since this configuration, and is
                                to hear of it; 0: a member */
  raft_ms leaving_until;    /* given up then */
  uint32_t head, count;     /* ring of flights, oldest at head.
                                Invariant: count <= RAFT_INFLIGHT_MAX */
  size_t bytes;             /* Invariant: sum of bytes over the ring */
  struct raft_inflight flights[RAFT_INFLIGHT_MAX]; /* Invariant: last ascends
                                from above match to next - 1; empty unless
                                REPLICATE */
};

/* A fresh PROBE that starts after `last`. Keeps id only. */
void raft_progress_reset(struct raft_progress *p, raft_index last);

/* May entries be sent now? (bytes_max bounds what is under way; one message is
 * always allowed.) is_loading is the caller's own mark and not asked. */
bool raft_progress_can_send(const struct raft_progress *p, size_t bytes_max);

/* Entries [next, last] of so many bytes were sent; last == next - 1: an append
 * without entries. REPLICATE moves next on; PROBE waits for the answer. */
void raft_progress_sent(struct raft_progress *p, raft_index last, size_t bytes);

/* The peer has everything up to `match`, durably; the caller made sure that our
 * log reaches so far. Frees every flight it covers, moves PROBE or a covered
 * SNAPSHOT to REPLICATE. True when match grew or the state changed. */
bool raft_progress_accept(struct raft_progress *p, raft_index match);

/* The peer refused an append that followed `rejected`; `hint` is the newest
 * index where our logs may agree. Any numbers will do: next only moves down and
 * stays above match. False when the refusal is stale: it speaks of what has
 * been accepted since, or of another append than the one that is out. */
bool raft_progress_reject(struct raft_progress *p, raft_index rejected,
                          raft_index hint);

/* It lost entries that it had told us of: no more than `match` is there, which
 * is less than we counted. PROBE after `hint`, from where our logs may agree;
 * what waits for a snapshot goes on waiting. */
void raft_progress_retract(struct raft_progress *p, raft_index match,
                           raft_index hint);

/* Sends to it were lost, or it may have forgotten: back to PROBE, after match.
 * A PROBE keeps its guess and may send at once. */
void raft_progress_probe(struct raft_progress *p);

/* What it needs is compacted: nothing is sent until `index` > match is
 * installed (accept) or has failed (probe). */
void raft_progress_snapshot(struct raft_progress *p, raft_index index);

/* It was sent the snapshot, and no answer of its own said so: probe behind it,
 * for it may have lost it again. Only in SNAPSHOT. */
void raft_progress_shipped(struct raft_progress *p);

/* NULL, or the invariant of one progress that is broken; `last` is that of the
 * leader's log. */
const char *raft_progress_check(const struct raft_progress *p, raft_index last);

#pragma GCC visibility pop
#endif
