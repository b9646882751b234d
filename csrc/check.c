/* check.c - the invariants of a replica, each one short function. */
#include "check.h"

#include <assert.h>

#include "config.h"
#include "replica.h"

/* ---- one state ----------------------------------------------------------- */

static const char *check_marks(const struct raft *r) {
  bool installs = r->snapshots.installing != 0;
  if (r->applied < r->log.base_index && !installs)
    return "applied lies below base";
  if (r->apply_handed < r->applied) return "applied what was not handed out";
  if (r->commit < r->apply_handed) return "applying what is not committed";
  if (r->log.last < r->commit) return "commit lies past the log";
  if (raft_log_last_term(&r->log) > r->term)
    return "an entry is of a term still to come";
  return NULL;
}

/* A mark, or what was made of it. */
static const char *check_marked(const struct raft *r) {
  const struct raft_snapshots *s = &r->snapshots;
  if (s->marked > s->index) return "a mark of a snapshot to come";
  if (s->told > s->marked) return "compacting what no mark covers";
  if (s->reset.index != 0 && s->reset.index != r->log.base_index)
    return "the log does not begin where it began anew";
  if (s->mark.index != 0 && s->mark.index != s->index)
    return "an old snapshot is to be marked";
  if (s->mark_seq > r->log.seq_handed || s->reset_seq > s->mark_seq)
    return "a mark is in no batch";
  return NULL;
}

static const char *check_snapshots(const struct raft *r) {
  const struct raft_snapshots *s = &r->snapshots;
  raft_index covered = s->installing != 0 ? s->installing : r->applied;
  if (s->index < r->log.base_index) return "base lies past the snapshot";
  if (s->index > covered) return "a snapshot of what is not applied";
  if (covered > r->apply_handed) return "installing what is not committed";
  if (s->index > 0 && raft_log_term(&r->log, s->index) != s->term)
    return "the snapshot is of another log";
  if (s->installing != 0 && s->installing != s->index)
    return "installing what is not the newest snapshot";
  if (s->installing != 0 && s->installing <= r->applied)
    return "installing what is applied";
  if (s->is_install_due && s->installing == 0)
    return "nothing is to be installed";
  return check_marked(r);
}

static const char *check_hard(const struct raft *r) {
  if (r->hard_seq > r->log.seq_handed) return "a hard state in no batch";
  if (r->vote != 0 && r->term == 0) return "a vote without a term";
  return NULL;
}

static const char *check_heir(const struct raft *r) {
  if ((r->heir != 0) != (r->heir_due != RAFT_NEVER))
    return "an heir for ever, or a time-out of none";
  if (r->is_heir_told && r->heir == 0) return "nobody was told to take over";
  if (r->is_heir_told && !r->is_lease_void)
    return "a lease beside an heir"; /* [Thesis 6.4.1] */
  if (r->heir == r->options.self) return "a leader inherits from itself";
  if (r->state == RAFT_LEADER) return NULL;
  if (r->is_retiring) return "who does not lead hands over";
  if (r->heir != 0) return "an heir of somebody who does not lead";
  if (r->mark_count != 0 || r->is_lease_void)
    return "traces of leases without leading";
  return NULL;
}

/* What damage took is missing, or it is not. */
static const char *check_repair(const struct raft *r) {
  if ((r->lost.index == 0) != (r->lost.term == 0))
    return "what is lost has no place";
  if (!raft_is_repairing(r)) return NULL;
  raft_term last_term = raft_log_last_term(&r->log);
  bool is_whole = last_term > r->lost.term ||
                  (last_term == r->lost.term && r->log.last >= r->lost.index);
  if (is_whole) return "a whole log under repair";
  if (r->lost.term > r->term) return "what is lost is of a term to come";
  if (r->state != RAFT_FOLLOWER) return "who lacks entries wants to lead";
  if (r->election_due != RAFT_NEVER)
    return "who lacks entries waits for an election";
  return NULL;
}

static const char *check_role(const struct raft *r) {
  bool is_leader = r->state == RAFT_LEADER;
  if (r->state < RAFT_FOLLOWER || r->state > RAFT_LEADER) return "no such role";
  if ((r->leader == r->options.self) != is_leader)
    return "leader is self, and not LEADER, or the other way round";
  bool is_passive = r->state == RAFT_FOLLOWER;
  if (!is_passive && !is_leader && r->leader != 0)
    return "a candidate that follows";
  if ((is_leader || r->state == RAFT_CANDIDATE) && r->vote != r->options.self)
    return "a candidate or leader that voted for another";
  if (is_leader != (r->heartbeat_due != RAFT_NEVER))
    return "heartbeats without leading, or leading without them";
  if (is_leader && r->election_due != RAFT_NEVER)
    return "a leader that waits for an election";
  if (r->leader_heard > r->now) return "a leader was heard in the future";
  if (is_leader && raft_is_leaving(r) && r->log.last > r->config_index &&
      r->log.last > r->term_start)
    return "a leader that leaves goes on appending";
  return check_heir(r);
}

static const char *check_ballot(const struct raft *r) {
  const struct raft_ballot *b = &r->ballot;
  bool is_open = r->state == RAFT_PRE_CANDIDATE || r->state == RAFT_CANDIDATE;
  if ((b->granted & b->refused) != 0) return "a vote both granted and refused";
  if (r->state == RAFT_FOLLOWER && (b->granted | b->refused) != 0)
    return "votes without a ballot";
  if (r->state == RAFT_PRE_CANDIDATE && b->own_vote != 0)
    return "a pre-vote that waits for the disk";
  if (!is_open || b->own_vote == 0) return NULL;
  if (b->own_vote > r->log.seq_handed + 1) return "our vote is in no batch";
  if (b->own_vote <= r->log.seq_stored) return "our vote is durable, uncounted";
  if (r->election_due != RAFT_NEVER)
    return "a time-out runs before our vote is durable";
  return NULL;
}

static const char *check_ack(const struct raft *r) {
  if (r->ack.to == 0) return NULL;
  if (r->state != RAFT_FOLLOWER) return "only followers owe an answer";
  if (r->ack.to != r->leader) return "an answer owed to a former leader";
  if (r->ack.index > r->log.last) return "an answer beyond the log";
  return NULL;
}

static const char *check_one_config(const struct raft *r,
                                    const struct raft_config *c,
                                    raft_index index) {
  if (index > r->log.last) return "a configuration past the log";
  if (index == 0 && c->count != 0) return "a configuration from nowhere";
  return index == 0 ? NULL : raft_config_check(c);
}

/* The newest configuration in memory is the one in force. */
static const char *check_newest_config(const struct raft *r) {
  struct raft_entry e;
  for (raft_index i = r->log.memory_first; i <= r->log.last; i++) {
    if (!raft_log_get(&r->log, i, &e)) return "an entry in memory is not there";
    if (i > r->config_index && e.kind == RAFT_ENTRY_CONFIG)
      return "a newer configuration than the one in force";
    if (i == r->config_index && e.kind != RAFT_ENTRY_CONFIG)
      return "the configuration in force is no configuration";
  }
  return NULL;
}

static const char *check_standing(const struct raft *r) {
  const struct raft_standing *kept = &r->standing;
  struct raft_standing now = raft_standing_of(r);
  if (kept->self != now.self) return "we stand at another place";
  if (kept->is_voter != now.is_voter) return "a voter that is none, or is one";
  if (kept->was_voter != now.was_voter)
    return "a voter that was none, or was one";
  if (kept->is_settled != now.is_settled)
    return "the configuration is settled, and is not";
  if (kept->has_witnesses != now.has_witnesses)
    return "there are witnesses, and are none";
  return NULL;
}

static const char *check_config(const struct raft *r) {
  const char *broken = check_one_config(r, &r->config, r->config_index);
  if (broken == NULL)
    broken = check_one_config(r, &r->config_before, r->config_before_index);
  if (broken != NULL) return broken;
  if (r->config_before_index > 0 && r->config_before_index >= r->config_index)
    return "configurations in the wrong order";
  /* A new leader may not know yet how much of its log is committed. */
  bool knows = r->state == RAFT_LEADER && r->commit >= r->term_start;
  if (knows && r->config_before_index > r->commit)
    return "two uncommitted configurations";
  return check_newest_config(r);
}

/* Stamps never go back in the log, and last_time is the newest one. */
static const char *check_times(const struct raft *r) {
  struct raft_entry e;
  raft_ms before = 0;
  for (raft_index i = r->log.memory_first; i <= r->log.last; i++) {
    if (!raft_log_get(&r->log, i, &e)) continue; /* said above */
    if (e.time < before) return "a stamp goes back";
    before = e.time;
  }
  if (r->log.memory_first <= r->log.last && before != r->last_time)
    return "last_time is not the stamp of the newest entry";
  return NULL;
}

static const char *check_peer(const struct raft *r, uint32_t i) {
  assert(i < r->peer_count);
  const struct raft_progress *p = &r->peers[i];
  if (p->id == r->options.self) return "a leader that follows itself";
  if (i > 0 && r->peers[i - 1].id >= p->id) return "peers are out of order";
  bool is_member = raft_config_find(&r->config, p->id) >= 0;
  if (!is_member && p->leaving_index == 0) return "a peer, no member";
  if (is_member && p->leaving_index != 0) return "a member that has left";
  if (p->leaving_index > r->config_index) return "a peer leaves in the future";
  if (p->lap_end > r->log.last) return "a lap ends beyond the log";
  if (p->lap_began > r->now) return "a lap begins in the future";
  if (p->lap_end == 0 && (p->lap_began != 0 || p->is_caught_up))
    return "a peer caught up without a lap";
  if (p->commit_sent > r->commit) return "a peer was told of no commit";
  if (p->round_sent > r->read_round) return "a round was sent before its time";
  if (p->round_acked > p->round_sent) return "a round was answered unasked";
  if (p->heard > r->now) return "a peer was heard in the future";
  return raft_progress_check(p, r->log.last);
}

static const char *check_marks_sent(const struct raft *r) {
  if (r->mark_count > RAFT_MARKS) return "too many marks of rounds";
  for (uint32_t i = 0; i < r->mark_count; i++) {
    const struct raft_mark *m = &r->marks[i];
    if (m->round > r->read_round) return "a mark of a round to come";
    if (m->sent > r->now) return "a round was sent in the future";
    if (i == 0) continue;
    if (m->round <= r->marks[i - 1].round || m->sent < r->marks[i - 1].sent)
      return "marks of rounds do not ascend";
  }
  return NULL;
}

/* What lacks a command is known, and does not lead. */
static const char *check_holes(const struct raft *r) {
  struct raft_entry e;
  if (r->newest_hole > r->log.last) return "a hole past the log";
  for (raft_index i = r->log.memory_first; i <= r->log.last; i++) {
    if (!raft_log_get(&r->log, i, &e)) continue; /* said above */
    if ((e.flags & RAFT_ENTRY_STRIPPED) == 0) continue;
    if (i > r->newest_hole) return "a hole that nobody knows of";
  }
  if (r->newest_hole > r->snapshots.index && !r->is_bare)
    return "a hole that the state is not to have";
  if (r->state == RAFT_LEADER && raft_has_holes(r))
    return "a leader without all commands";
  return NULL;
}

static const char *check_leader(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  bool has_start = r->term_start > r->log.base_index; /* or is compacted */
  if (has_start && raft_log_term(&r->log, r->term_start) != r->term)
    return "a leader's term does not start where it says";
  if (has_start && raft_log_term(&r->log, r->term_start - 1) == r->term)
    return "a leader's term starts earlier than it says";
  if (r->pending_bytes != raft_log_bytes(&r->log, r->commit, r->log.last))
    return "pending_bytes is not the sum";
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const char *broken = check_peer(r, i);
    if (broken != NULL) return broken;
  }
  const char *broken = check_marks_sent(r);
  if (broken != NULL) return broken;
  bool is_member = raft_config_find(&r->config, r->options.self) >= 0;
  uint32_t members = is_member;
  for (uint32_t i = 0; i < r->peer_count; i++)
    members += r->peers[i].leaving_index == 0;
  if (members != r->config.count) return "a leader forgot a member";
  return NULL;
}

static const char *check_follower(const struct raft *r) {
  assert(r->state != RAFT_LEADER);
  if (r->peer_count != 0) return "peers without leading";
  if (r->pending_bytes != 0) return "pending bytes without leading";
  return NULL;
}

static const char *check_read(const struct raft *r, uint32_t i) {
  assert(i < r->read_count);
  const struct raft_read *read = &r->reads[i];
  bool is_leader = r->state == RAFT_LEADER;
  uint64_t newest = is_leader ? r->read_round : r->read_context;
  if (i > 0 && r->reads[i - 1].round > read->round)
    return "rounds of reads do not ascend";
  if (read->round > newest) return "a read waits for a round to come";
  if (is_leader && (read->index == 0 || read->index > r->log.last))
    return "a read of an index that is not there";
  if (is_leader && read->index < r->term_start)
    return "a read before the leader's own term"; /* [Thesis 6.4] */
  if (!is_leader && read->from != r->options.self)
    return "a follower answers for others";
  return NULL;
}

static const char *check_reads(const struct raft *r) {
  if (r->read_count > RAFT_READS_MAX) return "too many reads";
  if (r->read_count > 0 && r->leader == 0) return "reads wait for nobody";
  for (uint32_t i = 0; i < r->read_count; i++) {
    const char *broken = check_read(r, i);
    if (broken != NULL) return broken;
  }
  return NULL;
}

static const char *check_outbox(const struct raft_outbox *o, raft_seq newest) {
  assert(o != NULL);
  if (o->count > o->capacity) return "more effects than room";
  for (const struct raft_chunk *c = o->chunks; c != NULL; c = c->next)
    if (c->used > c->capacity) return "more bytes than a chunk has";
  for (uint32_t i = 0; i < o->count; i++)
    if (o->effects[i].after > newest) return "an effect waits for ever";
  return NULL;
}

static const char *check_result_of(const struct raft *r,
                                   const struct raft_progress *p) {
  if (p->differs != 0 && p->differs <= p->agreed)
    return "a peer agrees where it differs";
  if (p->agreed > r->apply_handed) return "a peer agrees with what is to come";
  if (p->differs > r->apply_handed) return "a peer differs in what is to come";
  if (p->is_diverged_told && p->differs == 0)
    return "it was told of a peer that does not differ";
  return NULL;
}

static const char *check_results(const struct raft *r) {
  const struct raft_results *s = &r->results;
  if (s->count > RAFT_SUMS_MAX) return "too many digests of results";
  raft_index before = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    if (s->own[i].index <= before) return "digests of results do not ascend";
    before = s->own[i].index;
  }
  if (before > r->apply_handed) return "results of what is not applied";
  if (s->agreed > r->apply_handed) return "agreed on what is to come";
  if (s->asked == 0 && s->asked_at != 0) return "a time of no question";
  if (s->split != 0 && s->split <= s->agreed)
    return "no majority where there is one";
  if (s->verdict.index != 0 && s->verdict.index <= s->agreed)
    return "a majority is said to differ where it agrees";
  if (s->is_verdict_told && s->verdict.index == 0)
    return "a verdict was told that is none";
  const char *broken = NULL;
  for (uint32_t i = 0; broken == NULL && i < r->peer_count; i++)
    broken = check_result_of(r, &r->peers[i]);
  return broken;
}

const char *raft_check(const struct raft *r) {
  assert(r != NULL);
  const char *(*const checks[])(const struct raft *) = {
      check_marks,    check_snapshots,
      check_hard,     check_repair,
      check_role,     check_ballot,
      check_ack,      check_config,
      check_standing, check_holes,
      check_times,    check_results,
      check_reads,    r->state == RAFT_LEADER ? check_leader : check_follower,
  };
  const char *broken = raft_log_check(&r->log);
  for (size_t i = 0; broken == NULL && i < sizeof checks / sizeof *checks; i++)
    broken = checks[i](r);
  if (broken == NULL) broken = check_outbox(&r->out, r->log.seq_handed + 1);
  if (broken == NULL) broken = check_outbox(&r->taken, r->log.seq_handed + 1);
  return broken;
}

/* ---- two consecutive states ---------------------------------------------- */

struct raft_facts raft_facts_of(const struct raft *r) {
  assert(r != NULL);
  const struct raft_log *log = &r->log;
  return (struct raft_facts){
      .now = r->now,
      .is_started = r->is_started,
      .term = r->term,
      .vote = r->vote,
      .state = r->state,
      .leader = r->leader,
      .base = log->base_index,
      .snapshot = r->snapshots.index,
      .marked = r->snapshots.marked,
      .last = log->last,
      .stored = log->stored,
      .commit = r->commit,
      .apply_handed = r->apply_handed,
      .applied = r->applied,
      .last_term = raft_log_last_term(log),
      .stored_term = raft_log_term(log, log->stored),
      .commit_term = raft_log_term(log, r->commit),
      .config_index = r->config_index,
      .config_term = raft_log_term(log, r->config_index),
      .lost_last = r->lost.index,
      .lost_term = r->lost.term,
      .term_start = r->term_start,
      .seq_handed = log->seq_handed,
      .seq_stored = log->seq_stored,
      .ballot_round = r->ballot.round,
      .read_round = r->read_round,
      .read_context = r->read_context,
  };
}

/* Only a start finds damage, and only all of it ends the repair. */
static const char *check_loss(const struct raft_facts *b,
                              const struct raft *r) {
  if (!raft_is_repairing(r)) return NULL;
  if (b->lost_last == 0 && b->is_started) return "damage out of nowhere";
  if (b->lost_last != 0 &&
      (b->lost_last != r->lost.index || b->lost_term != r->lost.term))
    return "what is lost has changed";
  return NULL;
}

static const char *check_growth(const struct raft_facts *b,
                                const struct raft *r) {
  if (r->now < b->now) return "time goes back";
  if (r->term < b->term) return "the term goes back";
  if (r->commit < b->commit) return "commit goes back";
  if (r->apply_handed < b->apply_handed) return "entries are applied twice";
  if (r->applied < b->applied) return "applied goes back";
  if (r->log.base_index < b->base) return "base goes back";
  if (r->snapshots.index < b->snapshot) return "the snapshot goes back";
  if (r->snapshots.marked < b->marked) return "a mark is forgotten";
  if (r->log.seq_handed < b->seq_handed) return "batch numbers go back";
  if (r->log.seq_stored < b->seq_stored) return "what was durable is not";
  if (r->ballot.round < b->ballot_round) return "ballots go back";
  if (r->read_context < b->read_context) return "read contexts go back";
  return NULL;
}

/* [Raft 5.2] one vote in a term, and one leader seen in it. */
static const char *check_term(const struct raft_facts *b,
                              const struct raft *r) {
  if (r->term != b->term) return NULL;
  if (b->vote != 0 && r->vote != b->vote) return "a vote changed in its term";
  if (b->state == RAFT_LEADER && r->leader != 0 && r->leader != b->leader)
    return "a second leader in one term";
  if (b->state == RAFT_LEADER && r->state == RAFT_CANDIDATE)
    return "a leader campaigns in its own term";
  return NULL;
}

/* Does the log still have the entry that was here? */
static bool has_kept(const struct raft *r, raft_index index, raft_term term) {
  if (index <= r->log.base_index) return true; /* compacted: committed */
  return raft_log_term(&r->log, index) == term;
}

static const char *check_log(const struct raft_facts *b, const struct raft *r) {
  if (!has_kept(r, b->commit, b->commit_term))
    return "a committed entry was changed";
  bool led = b->state == RAFT_LEADER && r->term == b->term;
  if (led && !has_kept(r, b->last, b->last_term))
    return "a leader changed its own log"; /* [Raft 5.3] append-only */
  bool kept = has_kept(r, b->stored, b->stored_term);
  if (kept && r->log.stored < b->stored) return "a durable entry is not";
  /* Nobody committed it, and a snapshot of another log came over it? */
  bool is_void =
      b->config_index > b->commit && b->config_index <= r->log.base_index;
  bool kept_config =
      b->config_index == 0 || has_kept(r, b->config_index, b->config_term);
  if (kept_config && !is_void && r->config_index < b->config_index)
    return "a configuration was forgotten";
  return NULL;
}

static const char *check_reign(const struct raft_facts *b,
                               const struct raft *r) {
  if (b->state != RAFT_LEADER || r->state != RAFT_LEADER) return NULL;
  if (r->term != b->term) return "a leader took another term in one step";
  if (r->term_start != b->term_start) return "a leader's term starts anew";
  if (r->read_round < b->read_round) return "rounds of reads go back";
  /* [Raft 5.4.2] those of older terms follow with one of its own */
  if (r->commit > b->commit && raft_log_term(&r->log, r->commit) != r->term)
    return "a leader committed an old entry by counting";
  return NULL;
}

const char *raft_check_step(const struct raft_facts *before,
                            const struct raft *after) {
  assert(before != NULL);
  assert(after != NULL);
  const char *broken = check_growth(before, after);
  if (broken == NULL) broken = check_term(before, after);
  if (broken == NULL) broken = check_log(before, after);
  if (broken == NULL) broken = check_loss(before, after);
  if (broken == NULL) broken = check_reign(before, after);
  return broken;
}
