/* replica.h - the private struct and the verbs the role files share.
 *
 *   raft.c         birth, the one door (step), the term rule, take
 *   election.c     time-outs, pre-vote, votes, becoming leader   [Raft 5.2]
 *   replication.c  appends, answers, commit                      [Raft 5.3]
 *   replication_prepare.c  what an append brings is verified
 *   membership.c   which configuration is in force, forming      [Raft 6]
 *   reconfig.c     a leader conducts a change of it              [Raft 6]
 *   read.c         ReadIndex, on leaders and followers       [Thesis 6.4]
 *   lease.c        when a leader may read without asking     [Thesis 6.4.1]
 *   transfer.c     leadership handed over                    [Thesis 3.10]
 *   witness.c      logs without commands, for who keeps none
 *   repair.c       a log that damage has cut short
 *   results.c      do all nodes come to the same results?
 *   snapshot.c     snapshots made, received, shipped, and what may go then
 *   forward.c      proposals: our own, and those of followers
 *
 * Every step reserves what its handlers may need before anything changes, so
 * that handlers cannot fail half-way.
 */
#ifndef RAFT_REPLICA_H
#define RAFT_REPLICA_H

#include <assert.h>

#include "bytes.h"
#include "effects.h"
#include "entry.h"
#include "log.h"
#include "progress.h"
#include "raft.h"
#include "wire.h"

#pragma GCC visibility push(hidden)

#define RAFT_NEVER UINT64_MAX /* a deadline that does not come */

struct raft_ballot { /* one election of ours, pre or real */
  uint64_t round;    /* names it; answers that echo another are dropped */
  uint32_t granted;  /* masks of member positions.
                           Invariant: granted & refused == 0 */
  uint32_t refused;
  raft_seq own_vote; /* CANDIDATE: batch that makes our vote durable; 0: it
                           counts already. Invariant: not yet reported, and
                           no further than the batch to come */
  bool is_transfer;  /* the leader asked for it */
};

struct raft_ack {   /* what we owe the leader at the next take */
  raft_id to;       /* 0: nothing. Invariant: else our leader, of this term */
  raft_index index; /* equal to the leader's log up to here.
                        Invariant: index <= log.last */
  uint64_t round;   /* newest read round seen */
  bool is_prompt;   /* answer even before `index` is durable */
};

#define RAFT_MARKS 8 /* rounds whose time of sending is remembered */

struct raft_mark { /* a round, and when it was first sent */
  uint64_t round;
  raft_ms sent;
};

struct raft_place { /* of an entry; by term first, then by index */
  raft_term term;
  raft_index index;
};

struct raft_read {  /* a read that waits */
  uint64_t token;   /* the driver's; of a remote read its context */
  raft_id from;     /* leader: who asked; self: our own driver */
  uint64_t round;   /* leader: confirmed when a quorum acked this round, 0: by a
                        lease; follower: the context it was asked under */
  raft_index index; /* leader: serve when applied; follower: the leader's
                        answer, 0 none yet. Invariant: >= term_start on a
                        leader */
};

/* Our snapshots. Invariants: base <= index <= applied, where an install that is
 * under way counts as applied; marked <= index; told <= marked. */
struct raft_snapshots {
  raft_index index; /* the newest one, made or received; 0 none */
  raft_term term;   /* of the entry there. Invariant: as the log has it */
  raft_ms time;     /* its stamp */
  struct raft_place reset; /* the log began anew, and no batch holds that yet;
                             index 0: none. Invariant: index is base */
  struct raft_place mark;  /* of the newest one, to be written; likewise */
  raft_seq reset_seq;      /* batch that holds the newest reset; 0 none */
  raft_seq mark_seq;       /* batch that holds the newest mark; 0 none.
                             Invariant: both <= log.seq_handed */
  raft_index marked;       /* the newest one whose mark is durable */
  raft_index told;         /* newest COMPACT effect */
  raft_index installing;   /* an INSTALL of it is to be reported as applied; 0:
                             none. Invariant: 0, or index and > applied */
  bool is_install_due;     /* has no INSTALL effect yet.
                             Invariant: only while installing */
};

/* What the configurations make of us and of the others. They change rarely, and
 * it is asked for in each step; so it is remembered. */
struct raft_standing {
  int self;           /* our position in the one in force; -1: none */
  bool is_voter;      /* of it, in either half? */
  bool was_voter;     /* of the one before, likewise? */
  bool is_settled;    /* is the one in force? See change.h */
  bool has_witnesses; /* is there one in either, or to be one? */
};

/* What applying has come to, here and elsewhere: results.c. */
struct raft_results {
  uint32_t count;        /* Invariant: <= RAFT_SUMS_MAX */
  raft_index agreed;     /* ours are a majority's up to here; 0 unknown.
                             Invariant: <= apply_handed */
  raft_index asked;      /* of which index ours are wanted; 0 none. Leader: the
                             first where somebody differs and none is right */
  raft_ms asked_at;      /* leader: since when. Invariant: 0 without asked */
  raft_index split;      /* the first where no majority was found in time; 0
                             none. Invariant: 0, or > agreed */
  raft_index split_told; /* by a DIVERGED effect */
  struct raft_sum verdict; /* a majority has this, and we something else; index
                             0: not that we know. Invariant: else > agreed */
  bool is_verdict_told;    /* likewise. Invariant: only with a verdict */
  struct raft_sum own[RAFT_SUMS_MAX]; /* the newest of ours. Invariant: indexes
                             ascend from above 0 to apply_handed at most */
};

struct raft {
  struct raft_options options;
  bool is_started;
  raft_ms now;     /* of the newest event */
  raft_ms wall;    /* of the newest event; data only */
  raft_ms started; /* when START came */
  uint64_t random; /* state of the generator */
  uint64_t life;   /* drawn at birth, so that tokens that travel are unlike
                       those of a life before */
  uint64_t bad_frames;
  bool is_out_of_space; /* no entries are taken */
  bool is_avoiding;     /* we are no heir, and tell so */

  /* hard state: durable before any answer that rests on it [Raft 5.1] */
  raft_term term;    /* Invariant: >= that of the newest entry */
  raft_id vote;      /* in `term`, 0 nobody.
                             Invariant: self if CANDIDATE or LEADER */
  bool hard_changed; /* not yet given to a store batch */
  raft_seq hard_seq; /* the batch that holds it.
                             Invariant: <= log.seq_handed */

  enum raft_state state;
  raft_id leader;       /* 0 unknown. Invariant: self iff LEADER */
  raft_ms leader_heard; /* when it last spoke; 0 never. Invariant: <= now */
  raft_ms election_due; /* RAFT_NEVER: not from us. Invariant: RAFT_NEVER on
                             a leader, and until our own vote is durable */

  struct raft_log log;
  struct raft_place lost; /* the newest entry that damage took, 0 none: the log
                             is whole. Invariant: else newer than its last
                             one, not of a later term than ours, and we are
                             FOLLOWER without election_due */
  raft_index newest_hole; /* no entry above it lacks its command; 0 none.
                             Invariant: <= log.last; no hole on a leader */
  bool is_bare;           /* commands lack in the state, or will once the log is
                             applied. Invariant: true with a hole above the
                             newest snapshot; false on a leader */
  raft_index commit;      /* Invariant: base <= applied <= apply_handed <=
                             commit <= log.last */
  raft_index apply_handed; /* newest entry in an APPLY effect */
  raft_index applied;      /* reported by the driver */
  raft_ms applied_time;    /* stamp of the entry there; 0 unknown */
  bool is_apply_loading;   /* a LOAD for applying is out */
  raft_ms last_time;       /* stamp of the newest entry. Invariant: stamps do
                             not fall along the log */

  raft_index config_index; /* Invariant: the newest configuration of the log;
                              0: none */
  raft_index config_before_index; /* Invariant: < config_index unless 0, and
                                     committed */
  struct raft_standing standing;  /* Invariant: as raft_standing_of has it */

  struct raft_snapshots snapshots;
  struct raft_results results;

  struct raft_ballot ballot;
  struct raft_ack ack;

  /* leader */
  uint32_t peer_count; /* members but us, and who has just left. Invariant: all
                             members on a leader, 0 on others */
  raft_index term_start; /* index of the no-op that opened our term.
                             Invariant: the first entry of it */
  raft_ms heartbeat_due; /* Invariant: RAFT_NEVER unless LEADER */
  size_t pending_bytes;  /* Invariant: of entries (commit, last] on a leader,
                             0 on others */
  uint64_t read_round;   /* newest round */
  bool round_is_sent;    /* a read may join it no more */
  uint32_t mark_count;   /* Invariant: <= RAFT_MARKS, 0 unless LEADER */
  struct raft_mark marks[RAFT_MARKS]; /* Invariant: round and sent ascend;
                             round <= read_round, sent <= now */
  bool is_lease_void; /* somebody was told to take over: no lease in this term.
                         Invariant: false unless LEADER */
  raft_id heir;       /* leadership is to go to this member, 0 nobody.
                         Invariant: 0 unless LEADER, never self */
  raft_ms heir_due;   /* given up then. Invariant: RAFT_NEVER without heir */
  bool is_heir_told;  /* to campaign. Invariant: only of an heir */
  bool is_retiring;   /* we hand over since we are no voter any more.
                         Invariant: false unless LEADER */

  /* reads that wait: on a leader for rounds, on a follower for its answer */
  uint64_t read_context; /* newest context; starts at random: unique */
  bool is_read_due;      /* follower: ask at the next take */
  raft_ms read_resend;   /* follower: ask again then */
  uint32_t read_count;   /* Invariant: <= RAFT_READS_MAX; 0 without leader */

  /* what was announced by ROLE and CONFIG effects */
  enum raft_state told_state;
  raft_term told_term;
  raft_id told_leader;
  raft_index told_config;

  struct raft_outbox out;   /* grows in step */
  struct raft_outbox taken; /* lent to the driver until the next take */

  /* What is large comes last, so that what each step asks for lies close
   * together. The configuration in force, and the committed one that it would
   * fall back to: */
  struct raft_config config;
  struct raft_config config_before;
  struct raft_progress peers[RAFT_MEMBERS_MAX]; /* Invariant: ids ascend;
                             commit_sent <= commit;
                             round_acked <= round_sent <= read_round */
  raft_ms voter_walls[RAFT_MEMBERS_MAX];        /* what voters' clocks said, by
                                            position; 0 unknown */
  struct raft_read reads[RAFT_READS_MAX];       /* Invariant: round ascends */
};

/* raft.c */
#define RAFT_SEND_BYTES 192 /* room for one frame without tail, all in all */
uint64_t raft_random(struct raft *r);
raft_seq raft_hard_after(const struct raft *r); /* batch that holds it, or 0 */
void raft_set_hard(struct raft *r, raft_term term, raft_id vote);
/* A frame to a peer; the tail is copied. Room is reserved by step or caller. */
void raft_send(struct raft *r, raft_id to, raft_seq after,
               const struct raft_message *m);
int raft_reserve_send(struct raft *r, size_t tail_bytes);
/* A message of our term, zeroed else: for those that are many. */
static inline void raft_message_begin(const struct raft *r,
                                      enum raft_message_kind kind,
                                      struct raft_message *m) {
  assert(kind != RAFT_MSG_NONE);
  assert(r->is_started);
  raft_zero(m, sizeof *m);
  m->kind = (uint8_t)kind;
  m->term = r->term;
}

/* election.c */
void raft_become_follower(struct raft *r, raft_term term, raft_id leader);
void raft_set_election_timer(struct raft *r);
void raft_election_tick(struct raft *r);
void raft_election_stored(struct raft *r);
bool raft_is_sticky(const struct raft *r); /* did a leader speak just now? */
void raft_on_vote(struct raft *r, raft_id from, const struct raft_message *m);
void raft_on_vote_reply(struct raft *r, const struct raft_event *ev,
                        const struct raft_message *m);
void raft_on_timeout_now(struct raft *r, raft_id from,
                         const struct raft_message *m);

/* replication.c */
int raft_append_prepare(struct raft *r, const struct raft_message *m);
void raft_on_append(struct raft *r, raft_id from, const struct raft_message *m);
void raft_on_append_reply(struct raft *r, const struct raft_event *ev,
                          const struct raft_message *m);
void raft_refuse_append(struct raft *r, raft_id to,
                        const struct raft_message *m);
int raft_on_loaded(struct raft *r, const struct raft_event *ev);
void raft_on_unreachable(struct raft *r, raft_id peer);
void raft_lead(struct raft *r); /* begin: progress, no-op */
void raft_leader_tick(struct raft *r);
void raft_advance_commit(struct raft *r);
void raft_emit_appends(struct raft *r); /* at take */
void raft_emit_acks(struct raft *r);    /* at take */

/* reconfig.c */
int64_t raft_on_change(struct raft *r, const struct raft_event *ev);
int64_t raft_change(struct raft *r, const struct raft_config *target,
                    raft_index based_on, bool is_forced);
void raft_conduct(struct raft *r); /* at take */
/* Are there peers that are no members any more? */
static inline bool raft_has_leavers(const struct raft *r) {
  bool is_member = r->standing.self >= 0; /* all others are peers */
  assert(r->peer_count + is_member >= r->config.count);
  return r->peer_count + is_member > r->config.count;
}
/* Has the leader nothing to conduct? It is a member of what is settled, nobody
 * leaves, and it is a voter: so it is nearly always. */
static inline bool raft_is_at_rest(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  return r->standing.is_settled && r->standing.is_voter && !raft_has_leavers(r);
}
bool raft_is_leaving(const struct raft *r);
void raft_peers_follow(struct raft *r);
void raft_tell_removed(struct raft *r, raft_id id);
void raft_peer_speaks(struct raft *r, struct raft_progress *p,
                      uint64_t incarnation);
void raft_lap(struct raft *r, struct raft_progress *p); /* match has grown */

/* witness.c */
bool raft_is_stripped(const struct raft *r, raft_id peer); /* gets copies? */
raft_index raft_strip_log(struct raft *r, raft_index first, raft_index upto,
                          struct raft_slice *out);
int raft_strip_loaded(struct raft *r, struct raft_slice *tail);
void raft_holes_grown(struct raft *r, raft_index newest);
void raft_holes_cut(struct raft *r, raft_index from);
void raft_holes_filled(struct raft *r, const struct raft_snapshot *s);
void raft_holes_recover(struct raft *r, const struct raft_recovery *rec);
/* Do commands lack, in the state or in the log? */
static inline bool raft_has_holes(const struct raft *r) {
  assert(r->newest_hole <= r->log.last);
  return r->is_bare || r->newest_hole > r->log.base_index;
}
bool raft_is_witness(const struct raft *r);

/* membership.c */
struct raft_standing raft_standing_of(const struct raft *r);
void raft_config_changed(struct raft *r); /* or the one before it */
bool raft_is_candidate_material(const struct raft *r); /* may we campaign? */
void raft_wait_or_not(struct raft *r); /* for an election; that has changed */
bool raft_counts(const struct raft *r, const struct raft_event *ev);
void raft_config_append(struct raft *r, const struct raft_entry *e);
void raft_config_truncate(struct raft *r, raft_index from);
int raft_on_form(struct raft *r, const struct raft_config *config);
int raft_config_recover(struct raft *r, const struct raft_recovery *rec);
bool raft_config_is_newest(const struct raft *r); /* after a recovery */
void raft_peers_reset(struct raft *r); /* progress for the config in force */
struct raft_progress *raft_find_peer(struct raft *r, raft_id id); /* or NULL */
/* What a leader knows of the member at this position; NULL: that is us. */
const struct raft_progress *raft_peer_of(const struct raft *r, raft_id id);
static inline const struct raft_progress *raft_peer_at(const struct raft *r,
                                                       uint32_t position) {
  assert(r->state == RAFT_LEADER);
  assert(position < r->config.count);
  /* Both ascend, and we are the only member that is no peer: it has the same
   * place or, behind ours, one less; unless others are about to leave. */
  raft_id id = r->config.members[position].id;
  if (id == r->options.self) return NULL;
  uint32_t at = position - (r->options.self < id); /* wraps, and is no place */
  if (at < r->peer_count && r->peers[at].id == id) return &r->peers[at];
  return raft_peer_of(r, id);
}
/* The newest entry that it may be sent now. */
raft_index raft_last_for(const struct raft *r, const struct raft_progress *p);
raft_ms raft_stamp(const struct raft *r); /* the time of a new entry */
uint32_t raft_election_min(const struct raft *r);
uint32_t raft_heartbeat(const struct raft *r); /* ms between two of a leader */

/* read.c */
int64_t raft_on_read(struct raft *r, uint64_t token);
void raft_on_read_request(struct raft *r, raft_id from,
                          const struct raft_message *m);
void raft_on_read_reply(struct raft *r, raft_id from,
                        const struct raft_message *m);
void raft_read_tick(struct raft *r);
void raft_drop_reads(struct raft *r);
void raft_emit_reads(struct raft *r); /* at take */
bool raft_read_waits_for(const struct raft *r, const struct raft_progress *p);
int64_t raft_on_read_lease(struct raft *r, uint64_t token);
void raft_open_round(struct raft *r); /* one that is not sent yet */

/* lease.c */
void raft_lease_round_sent(struct raft *r); /* the newest, for the first time */
bool raft_has_lease(const struct raft *r);  /* at r->now */
void raft_lease_reset(struct raft *r);

/* transfer.c */
int raft_on_transfer(struct raft *r, raft_id to);
int raft_on_avoid(struct raft *r, bool is_avoiding);
void raft_transfer_end(struct raft *r);
void raft_transfer_tick(struct raft *r);
void raft_emit_transfer(struct raft *r); /* at take */

/* repair.c */
int raft_repair_begin(struct raft *r, const struct raft_recovery *rec);
static inline bool raft_is_repairing(const struct raft *r) {
  assert((r->lost.index == 0) == (r->lost.term == 0));
  return r->lost.index != 0;
}
/* The log has grown: is it whole again? */
void raft_repair_grown(struct raft *r);
/* The newest entry that others may believe us to have. */
struct raft_place raft_repair_place(const struct raft *r);

/* results.c */
int raft_on_results(struct raft *r, const struct raft_sum *sum);
void raft_results_reset(struct raft *r); /* the state becomes another one */
struct raft_sum raft_results_report(const struct raft *r);
void raft_on_verdict(struct raft *r, const struct raft_message *m);
void raft_results_lead(struct raft *r);
void raft_compare_results(struct raft *r);
void raft_results_tick(struct raft *r); /* with each heartbeat */
void raft_on_sum(struct raft *r, struct raft_progress *p,
                 const struct raft_message *m);
void raft_put_verdict(const struct raft *r, const struct raft_progress *p,
                      struct raft_message *m);
void raft_emit_diverged(struct raft *r); /* at take */
/* Could there be something to say? There is not before a majority agrees in
 * something, or somebody differs. */
static inline bool raft_may_differ(const struct raft *r) {
  const struct raft_results *s = &r->results;
  return s->agreed != 0 || s->split != s->split_told || s->verdict.index != 0;
}

/* snapshot.c */
int raft_on_snapshot_made(struct raft *r, const struct raft_snapshot *s);
int64_t raft_on_snapshot_received(struct raft *r,
                                  const struct raft_snapshot *s);
int raft_on_compacted(struct raft *r, raft_index index);
void raft_on_shipped(struct raft *r, const struct raft_event *ev);
void raft_snapshot_stored(struct raft *r);
void raft_snapshot_applied(struct raft *r, raft_index index);
/* Before a start: configurations and stamp, from log and snapshot. */
int raft_snapshot_merge(struct raft_recovery *rec);
int raft_snapshot_recover(struct raft *r, const struct raft_recovery *rec);
/* The mark for the next store batch, or NULL; and that a batch holds it. */
static inline const struct raft_place *raft_mark_due(const struct raft *r) {
  const struct raft_snapshots *own = &r->snapshots;
  assert(own->reset.index == 0 || own->reset.index == r->log.base_index);
  assert(own->mark.index <= own->index);
  if (own->reset.index != 0) return &own->reset;
  return own->mark.index != 0 ? &own->mark : NULL;
}
void raft_mark_handed(struct raft *r, raft_seq seq);
raft_seq raft_reset_after(const struct raft *r); /* batch that holds it, or 0 */
void raft_ship_tick(struct raft_progress *p);    /* with each heartbeat */
bool raft_emit_ship(struct raft *r, struct raft_progress *p); /* at take */
void raft_emit_install(struct raft *r);
void raft_emit_compact(struct raft *r);

/* forward.c */
int64_t raft_on_propose(struct raft *r, const struct raft_event *ev);
int64_t raft_on_forward(struct raft *r, const struct raft_event *ev);
int raft_forward_change(struct raft *r, const struct raft_event *ev);
int raft_forward_transfer(struct raft *r, raft_id to, uint64_t token);
int raft_propose_prepare(struct raft *r, const struct raft_message *m);
void raft_on_propose_request(struct raft *r, raft_id from,
                             const struct raft_message *m, int verdict);
void raft_refuse_propose(struct raft *r, raft_id to,
                         const struct raft_message *m, int code);
void raft_on_propose_reply(struct raft *r, const struct raft_message *m);

#pragma GCC visibility pop
#endif
