/* election.c - time-outs, pre-vote, votes, winning and giving up.
 *
 * What must hold: at most one vote in a term, durable before it is answered;
 * a pre-vote changes nothing here [Thesis 9.6]; a node that hears a leader
 * helps nobody else to its place [Thesis 4.2.3]; our own vote counts, and the
 * next time-out starts, only when that vote is durable.
 */
#include <assert.h>

#include "config.h"
#include "quorum.h"
#include "replica.h"

static bool is_member(const struct raft *r, int position) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  /* unreachable: only asserts ask */
  return position >= 0 && (uint32_t)position < r->config.count;
}

void raft_set_election_timer(struct raft *r) {
  assert(r->state != RAFT_LEADER);
  if (!raft_is_candidate_material(r)) {
    r->election_due = RAFT_NEVER;
    return;
  }
  uint32_t min = raft_election_min(r);
  /* unreachable: raft_new has refused the other order */
  uint32_t spread =
      r->options.election_max_ms > r->options.election_min_ms
          ? r->options.election_max_ms - r->options.election_min_ms
          : min;
  int self = r->standing.self;
  uint64_t patience = 1u + (self >= 0 ? r->config.members[self].priority : 0u);
  uint64_t wait = min + raft_random(r) % (spread + 1u);
  r->election_due = r->now + wait * patience; /* small next to 2^64 */
}

void raft_become_follower(struct raft *r, raft_term term, raft_id leader) {
  assert(term >= r->term);
  assert(leader != r->options.self);
  /* What the same node was owed in an older term, it is not owed in this. */
  bool is_new_reign = term > r->term || leader != r->leader;
  if (term > r->term) raft_set_hard(r, term, 0);
  /* The same term keeps its vote: to forget it would be a second one. */
  bool was_passive = r->state == RAFT_FOLLOWER;
  if (was_passive && !is_new_reign) return; /* as nearly always */
  r->state = RAFT_FOLLOWER;
  r->leader = leader;
  r->ballot = (struct raft_ballot){.round = r->ballot.round};
  r->peer_count = 0;
  raft_lease_reset(r);
  raft_transfer_end(r);
  r->is_retiring = false;
  r->heartbeat_due = RAFT_NEVER;
  r->pending_bytes = 0;
  raft_drop_reads(r);
  if (is_new_reign) r->ack = (struct raft_ack){0};
  if (!was_passive) raft_set_election_timer(r);
}

bool raft_is_sticky(const struct raft *r) {
  assert(r->is_started);
  if (r->state == RAFT_LEADER) return true; /* check-quorum speaks for it */
  /* With leases a leader relies on us, also when we have come into a later
   * term meanwhile and follow nobody. */
  if (r->leader == 0 && !r->config.leases) return false;
  if (r->leader_heard == 0) return false;
  assert(r->now >= r->leader_heard);
  return r->now - r->leader_heard < raft_election_min(r);
}

/* With leases a node that just started may have promised one before. */
static bool is_too_young(const struct raft *r) {
  assert(r->now >= r->started);
  if (!r->config.leases) return false;
  return r->now - r->started < raft_election_min(r);
}

/* With leases our own vote is bound like that for another: the time-out may
 * have been drawn when a shorter minimum was in force. */
static bool is_bound(const struct raft *r) {
  assert(r->state != RAFT_LEADER);
  if (!r->config.leases) return false;
  return is_too_young(r) || raft_is_sticky(r);
}

/* [Raft 5.4.1] our log must not be newer than the candidate's, nor may the part
 * of it have been that we lost. */
static bool is_up_to_date(const struct raft *r, const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_VOTE);
  struct raft_place ours = raft_repair_place(r);
  if (m->vote.last_term != ours.term) return m->vote.last_term > ours.term;
  return m->vote.last_index >= ours.index;
}

static bool can_grant(const struct raft *r, raft_id from,
                      const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_VOTE);
  if (is_too_young(r)) return false;
  if (!m->vote.transfer && raft_is_sticky(r)) return false;
  if (!is_up_to_date(r, m)) return false;
  if (m->vote.pre) return m->vote.for_term > r->term;
  if (m->vote.for_term != r->term) return false;
  if (r->state == RAFT_LEADER) return false;
  if (r->vote == 0) return r->leader == 0 || r->leader == from;
  return r->vote == from; /* asked again: the answer may have been lost */
}

static void answer_vote(struct raft *r, raft_id to,
                        const struct raft_message *m, bool granted) {
  assert(m->kind == RAFT_MSG_VOTE);
  assert(!granted || m->vote.pre || r->vote == to);
  struct raft_message reply = {.kind = RAFT_MSG_VOTE_REPLY, .term = r->term};
  reply.vote_reply.for_term = m->vote.for_term;
  reply.vote_reply.round = m->vote.round;
  reply.vote_reply.pre = m->vote.pre;
  reply.vote_reply.granted = granted;
  reply.vote_reply.wall = r->wall;
  /* The log it was judged by must be as durable as the vote. */
  raft_seq after = raft_hard_after(r);
  raft_seq log_after = raft_log_after(&r->log, r->log.last);
  if (granted && log_after > after) after = log_after;
  raft_send(r, to, after, &reply);
}

void raft_on_vote(struct raft *r, raft_id from, const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_VOTE);
  assert(r->is_started);
  bool granted = can_grant(r, from, m);
  if (granted && !m->vote.pre) {
    if (r->vote != from) raft_set_hard(r, r->term, from);
    if (r->state != RAFT_FOLLOWER) raft_become_follower(r, r->term, 0);
    raft_set_election_timer(r);
  }
  answer_vote(r, from, m, granted);
  if (!granted) raft_tell_removed(r, from);
}

/* ---- our own elections --------------------------------------------------- */

static void ask_for_votes(struct raft *r, bool pre, raft_seq after) {
  assert(r->ballot.round > 0);
  assert(pre == (r->state == RAFT_PRE_CANDIDATE));
  struct raft_message m = {.kind = RAFT_MSG_VOTE, .term = r->term};
  m.vote.for_term = pre ? r->term + 1 : r->term;
  m.vote.last_index = r->log.last;
  m.vote.last_term = raft_log_last_term(&r->log);
  m.vote.round = r->ballot.round;
  m.vote.pre = pre;
  m.vote.transfer = r->ballot.is_transfer;
  uint32_t voters = raft_quorum_voters(&r->config);
  for (uint32_t i = 0; i < r->config.count; i++) {
    raft_id id = r->config.members[i].id;
    if ((voters >> i & 1u) == 0) continue;
    if (id != r->options.self) raft_send(r, id, after, &m);
  }
}

static void count_own_vote(struct raft *r) {
  assert((r->ballot.refused & r->ballot.granted) == 0);
  int self = raft_config_find(&r->config, r->options.self);
  r->ballot.own_vote = 0;
  if (self < 0) return; /* we are to leave: the others elect [Thesis 4.2.2] */
  assert(is_member(r, self));
  r->ballot.granted |= 1u << self;
}

/* [Raft 5.2] a new term, our vote for ourselves, and the question to all. */
static void start_candidacy(struct raft *r) {
  assert(raft_is_candidate_material(r));
  assert(r->state != RAFT_LEADER);
  bool is_transfer = r->ballot.is_transfer;
  r->state = RAFT_CANDIDATE;
  r->leader = 0;
  raft_set_hard(r, r->term + 1, r->options.self);
  r->ballot = (struct raft_ballot){
      .round = r->ballot.round + 1,
      .own_vote = raft_hard_after(r),
      .is_transfer = is_transfer,
  };
  r->election_due = RAFT_NEVER; /* until our vote is durable */
  ask_for_votes(r, false, r->ballot.own_vote);
  assert(r->ballot.own_vote != 0);
}

/* Acts on how the ballot stands now. */
static void judge_ballot(struct raft *r) {
  assert(r->state == RAFT_CANDIDATE || r->state == RAFT_PRE_CANDIDATE);
  assert((r->ballot.granted & r->ballot.refused) == 0);
  if (r->state == RAFT_CANDIDATE && r->ballot.own_vote != 0) return;
  enum raft_tally tally =
      raft_quorum_tally(&r->config, r->ballot.granted, r->ballot.refused);
  if (tally == RAFT_TALLY_PENDING) return;
  if (tally == RAFT_TALLY_LOST) {
    raft_become_follower(r, r->term, 0);
    return;
  }
  if (r->state == RAFT_PRE_CANDIDATE) {
    start_candidacy(r);
    return;
  }
  assert(r->state == RAFT_CANDIDATE);
  raft_lead(r);
}

/* [Thesis 9.6] ask whether an election could be won, and change nothing. */
static void start_pre_vote(struct raft *r) {
  assert(raft_is_candidate_material(r));
  assert(r->state != RAFT_LEADER);
  raft_drop_reads(r);
  r->state = RAFT_PRE_CANDIDATE;
  r->leader = 0;
  r->ack = (struct raft_ack){0};
  r->ballot = (struct raft_ballot){.round = r->ballot.round + 1};
  raft_set_election_timer(r);
  ask_for_votes(r, true, raft_hard_after(r));
  count_own_vote(r);
  judge_ballot(r);
}

void raft_election_tick(struct raft *r) {
  assert(r->is_started);
  if (r->state == RAFT_LEADER || r->now < r->election_due) return;
  if (!raft_is_candidate_material(r) || is_bound(r)) {
    raft_set_election_timer(r);
    return;
  }
  start_pre_vote(r);
}

void raft_election_stored(struct raft *r) {
  assert(r->log.seq_stored <= r->log.seq_handed);
  if (r->state != RAFT_CANDIDATE || r->ballot.own_vote == 0) return;
  if (r->log.seq_stored < r->ballot.own_vote) return;
  raft_set_election_timer(r);
  count_own_vote(r);
  judge_ballot(r);
}

static bool is_answer_to_us(const struct raft *r,
                            const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_VOTE_REPLY);
  if (m->vote_reply.round != r->ballot.round) return false;
  if (m->vote_reply.pre)
    return r->state == RAFT_PRE_CANDIDATE &&
           m->vote_reply.for_term == r->term + 1;
  return r->state == RAFT_CANDIDATE && m->vote_reply.for_term == r->term;
}

void raft_on_vote_reply(struct raft *r, const struct raft_event *ev,
                        const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_VOTE_REPLY);
  if (!is_answer_to_us(r, m)) return; /* of an older ballot? */
  if (!raft_counts(r, ev)) return;
  int i = raft_config_find(&r->config, ev->receive.from);
  assert(is_member(r, i));
  uint32_t bit = 1u << i;
  r->voter_walls[i] = m->vote_reply.wall;
  if (m->vote_reply.granted && (r->ballot.refused & bit) == 0)
    r->ballot.granted |= bit;
  if (!m->vote_reply.granted && (r->ballot.granted & bit) == 0)
    r->ballot.refused |= bit;
  judge_ballot(r);
}

/* [Thesis 3.10] the leader hands over: campaign now, without asking first. */
void raft_on_timeout_now(struct raft *r, raft_id from,
                         const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_TIMEOUT_NOW);
  assert(m->term == r->term);
  if (r->state != RAFT_FOLLOWER || r->leader != from) return;
  if (r->is_avoiding) return; /* it could not know yet */
  if (!raft_is_candidate_material(r) || is_too_young(r)) return;
  raft_drop_reads(r);
  r->ack = (struct raft_ack){0};
  r->ballot.is_transfer = true;
  start_candidacy(r);
}
