/* check_test.c - every invariant of check.c, broken by hand, is seen. */
#include "check.h"

#include "alone.h"
#include "replica.h"

static struct raft *leader;    /* of term 2, with a log of 4 */
static struct raft *follower;  /* of that leader */
static struct raft *candidate; /* whose vote is on its way to the disk */

/* One broken copy, and what is said of it. */
#define BROKEN(of, text, ...)                                                  \
  do {                                                                         \
    struct raft *r = raft_clone(of);                                           \
    EQ_TEXT(raft_check(r), NULL);                                              \
    __VA_ARGS__;                                                               \
    EQ_TEXT(raft_check(r), text);                                              \
    raft_free(r);                                                              \
  } while (0)

static void marks(void) {
  BROKEN(leader, "applied lies below base", raft_log_compact(&r->log, 4),
         r->applied = 3);
  BROKEN(leader, "applied what was not handed out", r->apply_handed = 3);
  BROKEN(leader, "applying what is not committed", r->commit = 3);
  BROKEN(leader, "commit lies past the log", r->commit = 9);
  BROKEN(leader, "an entry is of a term still to come", r->term = 1);
}

static void hard_state(void) {
  BROKEN(follower, "a hard state in no batch", r->hard_seq = 99);
  BROKEN(follower, "stored lies past handed", r->log.stored = 9);
}

static void roles(void) {
  BROKEN(leader, "no such role", r->state = 0);
  BROKEN(leader, "leader is self, and not LEADER, or the other way round",
         r->leader = 0);
  BROKEN(follower, "leader is self, and not LEADER, or the other way round",
         r->leader = r->options.self);
  BROKEN(candidate, "a candidate that follows", r->leader = 77);
  BROKEN(candidate, "a candidate or leader that voted for another",
         r->vote = 77);
  BROKEN(leader, "heartbeats without leading, or leading without them",
         r->heartbeat_due = RAFT_NEVER);
  BROKEN(leader, "a leader that waits for an election", r->election_due = 5);
  BROKEN(follower, "a leader was heard in the future",
         r->leader_heard = r->now + 1);
}

static void ballots(void) {
  BROKEN(candidate, "a vote both granted and refused",
         r->ballot.granted = r->ballot.refused = 1);
  BROKEN(follower, "votes without a ballot", r->ballot.granted = 1);
  BROKEN(candidate, "a pre-vote that waits for the disk",
         r->state = RAFT_PRE_CANDIDATE);
  BROKEN(candidate, "our vote is in no batch", r->ballot.own_vote = 99);
  BROKEN(candidate, "our vote is durable, uncounted",
         r->ballot.own_vote = r->log.seq_stored);
  BROKEN(candidate, "a time-out runs before our vote is durable",
         r->election_due = 5);
}

static void acks(void) {
  BROKEN(leader, "only followers owe an answer", r->ack.to = 7);
  BROKEN(follower, "an answer owed to a former leader", r->ack.to = 7);
  BROKEN(follower, "an answer beyond the log", r->ack.to = r->leader,
         r->ack.index = 9);
}

static void configurations(void) {
  BROKEN(follower, "a configuration past the log", r->config_index = 9);
  BROKEN(follower, "a configuration from nowhere", r->config_index = 0);
  BROKEN(follower, "a configuration from nowhere", r->config_before.count = 1);
  BROKEN(follower, "configurations in the wrong order",
         r->config_before = r->config, r->config_before_index = 1);
  BROKEN(follower, "the configuration in force is no configuration",
         r->config_index = 2);
  BROKEN(leader, "two uncommitted configurations", r->config_before = r->config,
         r->config_before_index = 3, r->config_index = 4,
         r->commit = r->apply_handed = r->applied = 2);
}

static void what_they_make_of_us(void) {
  BROKEN(leader, "we stand at another place", r->standing.self++);
  BROKEN(leader, "a voter that is none, or is one",
         r->standing.is_voter = false);
  BROKEN(follower, "a voter that was none, or was one",
         r->standing.was_voter = true);
  BROKEN(follower, "the configuration is settled, and is not",
         r->standing.is_settled = false);
  BROKEN(leader, "there are witnesses, and are none",
         r->standing.has_witnesses = true);
}

static void times(void) {
  BROKEN(follower, "last_time is not the stamp of the newest entry",
         r->last_time++);
}

static void peers(void) {
  BROKEN(leader, "a leader that follows itself",
         r->peers[0].id = r->options.self);
  BROKEN(leader, "peers are out of order", r->peers[1].id = r->peers[0].id);
  BROKEN(leader, "a peer, no member", r->peers[1].id = UINT64_MAX);
  BROKEN(leader, "a peer was told of no commit", r->peers[0].commit_sent = 9);
  BROKEN(leader, "a round was sent before its time",
         r->peers[0].round_sent = 9);
  BROKEN(leader, "a round was answered unasked", r->peers[0].round_acked = 9,
         r->read_round = 9);
  BROKEN(leader, "a peer was heard in the future",
         r->peers[0].heard = r->now + 1);
  BROKEN(leader, "match is not below next", r->peers[0].match = 9);
  BROKEN(leader, "a leader forgot a member", r->peer_count--);
  BROKEN(follower, "peers without leading", r->peer_count = 1);
}

static void heirs(void) {
  BROKEN(leader, "an heir for ever, or a time-out of none", r->heir = 7);
  BROKEN(leader, "an heir for ever, or a time-out of none", r->heir_due = 7);
  BROKEN(leader, "nobody was told to take over", r->is_heir_told = true);
  BROKEN(leader, "a lease beside an heir", r->heir = 7, r->heir_due = 7,
         r->is_heir_told = true);
  BROKEN(leader, "a leader inherits from itself", r->heir = r->options.self,
         r->heir_due = 7);
  BROKEN(follower, "an heir of somebody who does not lead", r->heir = 7,
         r->heir_due = 7);
}

static void snapshots(void) {
  BROKEN(leader, "base lies past the snapshot", raft_log_compact(&r->log, 2));
  BROKEN(leader, "a snapshot of what is not applied", r->snapshots.index = 5);
  BROKEN(leader, "installing what is not committed",
         r->snapshots.installing = 9);
  BROKEN(leader, "the snapshot is of another log", r->snapshots.index = 4,
         r->snapshots.term = 99);
  BROKEN(leader, "installing what is not the newest snapshot",
         r->snapshots.installing = 4);
  BROKEN(leader, "installing what is applied",
         r->snapshots.installing = r->snapshots.index = 4,
         r->snapshots.term = 2);
  BROKEN(leader, "nothing is to be installed",
         r->snapshots.is_install_due = true);
  BROKEN(leader, "a mark of a snapshot to come", r->snapshots.marked = 1);
  BROKEN(leader, "compacting what no mark covers", r->snapshots.told = 1);
  BROKEN(leader, "the log does not begin where it began anew",
         r->snapshots.reset.index = 3);
  BROKEN(leader, "an old snapshot is to be marked",
         r->snapshots.mark.index = 2);
  BROKEN(leader, "a mark is in no batch", r->snapshots.mark_seq = 99);
  BROKEN(leader, "a mark is in no batch", r->snapshots.reset_seq = 1);
}

static void losses(void) {
  BROKEN(follower, "what is lost has no place", r->lost.index = 1);
  BROKEN(follower, "what is lost has no place", r->lost.term = 1);
  BROKEN(follower, "a whole log under repair", r->lost.index = 1,
         r->lost.term = 1);
  BROKEN(follower, "a whole log under repair", r->lost.index = 4,
         r->lost.term = 2);
  BROKEN(follower, "what is lost is of a term to come", r->lost.index = 9,
         r->lost.term = 99);
  BROKEN(leader, "who lacks entries wants to lead", r->lost.index = 9,
         r->lost.term = 2);
  BROKEN(follower, "who lacks entries waits for an election", r->lost.index = 9,
         r->lost.term = 2);
}

static void holes(void) {
  BROKEN(follower, "a hole past the log", r->newest_hole = 99);
  BROKEN(follower, "a hole that the state is not to have", r->newest_hole = 2);
  BROKEN(leader, "a leader without all commands", r->newest_hole = 2,
         r->is_bare = true);
}

static void become_learner(struct raft *r) {
  int self = raft_config_find(&r->config, r->options.self);
  struct raft_member *m = &r->config.members[self];
  m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal = RAFT_ROLE_LEARNER;
}

static void changes(void) {
  BROKEN(follower, "who does not lead hands over", r->is_retiring = true);
  BROKEN(leader, "a leader that leaves goes on appending", become_learner(r));
  BROKEN(leader, "a member that has left", r->peers[0].leaving_index = 1);
  BROKEN(leader, "a peer leaves in the future", r->peers[1].id = UINT64_MAX,
         r->peers[1].leaving_index = 9);
  BROKEN(leader, "a lap ends beyond the log", r->peers[0].lap_end = 99);
  BROKEN(leader, "a lap begins in the future",
         r->peers[0].lap_began = r->now + 1);
  BROKEN(leader, "a peer caught up without a lap",
         r->peers[0].is_caught_up = true);
  BROKEN(leader, "a peer caught up without a lap", r->peers[0].lap_began = 1);
}

static void leases(void) {
  BROKEN(leader, "too many marks of rounds", r->mark_count = RAFT_MARKS + 1);
  BROKEN(leader, "a mark of a round to come", r->mark_count = 1,
         r->marks[0].round = r->read_round + 1);
  BROKEN(leader, "a round was sent in the future", r->mark_count = 1,
         r->marks[0].sent = r->now + 1);
  BROKEN(leader, "marks of rounds do not ascend", r->mark_count = 2);
  BROKEN(leader, "marks of rounds do not ascend", r->mark_count = 2,
         r->read_round = 9, r->marks[0].sent = r->now, r->marks[1].round = 1);
  BROKEN(follower, "traces of leases without leading", r->mark_count = 1);
  BROKEN(follower, "traces of leases without leading", r->is_lease_void = true);
}

static void reigns(void) {
  BROKEN(leader, "a leader's term does not start where it says",
         r->term_start = 1);
  BROKEN(leader, "a leader's term starts earlier than it says",
         r->term_start = 3);
  BROKEN(leader, "pending_bytes is not the sum", r->pending_bytes++);
  BROKEN(follower, "pending bytes without leading", r->pending_bytes = 1);
}

static void reads(void) {
  BROKEN(leader, "too many reads", r->read_count = RAFT_READS_MAX + 1);
  BROKEN(candidate, "reads wait for nobody", r->read_count = 1);
  BROKEN(leader, "a read waits for a round to come", r->read_count = 1,
         r->reads[0].round = 9);
  BROKEN(leader, "a read of an index that is not there", r->read_count = 1,
         r->reads[0] = (struct raft_read){.index = 9});
  BROKEN(leader, "a read before the leader's own term", r->read_count = 1,
         r->reads[0] = (struct raft_read){.index = 1});
  BROKEN(leader, "rounds of reads do not ascend", r->read_count = 2,
         r->read_round = 2,
         r->reads[0] = (struct raft_read){.index = 3, .round = 2},
         r->reads[1] = (struct raft_read){.index = 3, .round = 1});
  BROKEN(follower, "a follower answers for others", r->read_count = 1,
         r->reads[0] = (struct raft_read){.from = 9});
}

static void outboxes(void) {
  BROKEN(leader, "more effects than room", r->out.count = r->out.capacity + 1);
  BROKEN(candidate, "an effect waits for ever",
         r->out.effects[0].after = r->log.seq_handed + 2);
  struct raft *r = raft_clone(candidate);
  size_t used = r->out.chunks->used;
  r->out.chunks->used = r->out.chunks->capacity + 1;
  EQ_TEXT(raft_check(r), "more bytes than a chunk has");
  r->out.chunks->used = used; /* or it could not be freed */
  raft_free(r);
}

/* ---- from one state to the next ------------------------------------------ */

#define STEP(of, text, ...)                                                    \
  do {                                                                         \
    struct raft *r = raft_clone(of);                                           \
    struct raft_facts before = raft_facts_of(r);                               \
    EQ_TEXT(raft_check_step(&before, r), NULL);                                \
    __VA_ARGS__;                                                               \
    EQ_TEXT(raft_check_step(&before, r), text);                                \
    raft_free(r);                                                              \
  } while (0)

static void what_may_only_grow(void) {
  STEP(leader, "time goes back", r->now--);
  STEP(leader, "the term goes back", r->term--);
  STEP(leader, "commit goes back", r->commit--);
  STEP(leader, "entries are applied twice", r->apply_handed--);
  STEP(leader, "applied goes back", r->applied--);
  STEP(leader, "base goes back", before.base = 1);
  STEP(leader, "the snapshot goes back", before.snapshot = 1);
  STEP(leader, "a mark is forgotten", before.marked = 1);
  STEP(leader, "batch numbers go back", r->log.seq_handed--);
  STEP(leader, "what was durable is not", r->log.seq_stored--);
  STEP(leader, "ballots go back", r->ballot.round--);
  STEP(leader, "read contexts go back", r->read_context--);
}

static void what_a_term_fixes(void) {
  STEP(leader, "a vote changed in its term", r->vote = 7);
  STEP(leader, "a second leader in one term", r->state = RAFT_FOLLOWER,
       r->leader = 7);
  STEP(leader, "a leader campaigns in its own term", r->state = RAFT_CANDIDATE,
       r->leader = 0);
  STEP(leader, "a leader took another term in one step", r->term++);
  STEP(leader, "a leader's term starts anew", r->term_start++);
  STEP(leader, "rounds of reads go back", before.read_round = 9);
  STEP(leader, "a leader committed an old entry by counting",
       before.commit = before.apply_handed = before.applied = 0,
       before.commit_term = 0, r->commit = r->apply_handed = r->applied = 1);
}

static void what_a_log_keeps(void) {
  STEP(leader, "a committed entry was changed", before.commit_term = 1);
  STEP(leader, "a leader changed its own log", before.last_term = 1);
  STEP(follower, "a durable entry is not", r->log.stored--);
  STEP(follower, "a configuration was forgotten", r->config_index = 0);
}

static void what_damage_took(void) {
  STEP(follower, "damage out of nowhere", r->lost.index = 9, r->lost.term = 2);
  STEP(follower, "what is lost has changed", before.lost_last = 8,
       before.lost_term = 2, r->lost.index = 9, r->lost.term = 2);
  STEP(follower, "what is lost has changed", before.lost_last = 9,
       before.lost_term = 1, r->lost.index = 9, r->lost.term = 2);
}

/* ---- who is broken ------------------------------------------------------- */

/* The newest entry but one of the follower, rewritten as this one. */
static void rewrite(struct raft *r, struct raft_entry e) {
  struct raft_block *b = r->log.blocks[r->log.block_count - 1];
  CHECK(b->count >= 2);
  e.index = b->first + b->count - 2;
  struct raft_entry old;
  raft_entry_view(raft_block_at(b, b->count - 2), &old);
  EQ(raft_entry_bytes(&e), raft_entry_bytes(&old));
  e.term = old.term;
  (void)raft_entry_encode(&e, b->data + (raft_block_at(b, b->count - 2) -
                                         b->data)); /* as long as it was */
}

static void entries(void) {
  const uint8_t x = 'x';
  BROKEN(follower, "a stamp goes back",
         rewrite(r, (struct raft_entry){.kind = RAFT_ENTRY_COMMAND,
                                        .time = UINT64_MAX,
                                        .size = 1,
                                        .payload = &x}));
  BROKEN(follower, "a newer configuration than the one in force",
         rewrite(r, (struct raft_entry){
                        .kind = RAFT_ENTRY_CONFIG, .size = 1, .payload = &x}));
  BROKEN(follower, "no such role", r->state = RAFT_LEADER + 1);
  BROKEN(leader, "a read of an index that is not there", r->read_count = 1,
         r->reads[0] = (struct raft_read){.index = 0});
}

static void a_vote_has_a_term(void) {
  struct raft *r = raft_new(&(struct raft_options){
      .self = 7,
      .election_min_ms = 100,
      .election_max_ms = 200,
      .heartbeat_ms = 20,
      .message_bytes_max = 100,
      .inflight_bytes_max = 100,
  });
  EQ_TEXT(raft_check(r), NULL);
  r->vote = 7;
  EQ_TEXT(raft_check(r), "a vote without a term");
  raft_free(r);
}

int main(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  CHECK(cluster_propose(c, N1, "x") == 3);
  CHECK(cluster_propose(c, N1, "x") == 4);
  cluster_work(c);
  struct cluster *d = alone_new(3, NULL);
  struct alone_append a = {1, 1, 1, 1, 0, (const raft_term[]){1}, 1};
  EQ(alone_append(d, N2, &a), RAFT_OK);
  (void)alone_must_answer(d, N2, RAFT_MSG_APPEND_REPLY); /* batch 1 */
  cluster_time_out(d, N1);
  d->nodes[N1].is_disk_held = true;
  struct raft_message asked = alone_must_answer(d, N2, RAFT_MSG_VOTE);
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = 1};
  m.vote_reply.for_term = 2;
  m.vote_reply.round = asked.vote.round;
  m.vote_reply.pre = m.vote_reply.granted = true;
  EQ(cluster_receive(d, N1, N2, &m), RAFT_OK); /* votes are in its outbox */
  leader = c->nodes[N1].raft;
  follower = c->nodes[N2].raft;
  candidate = d->nodes[N1].raft;
  CASE(marks);
  CASE(hard_state);
  CASE(roles);
  CASE(ballots);
  CASE(acks);
  CASE(configurations);
  CASE(what_they_make_of_us);
  CASE(times);
  CASE(entries);
  CASE(a_vote_has_a_term);
  CASE(peers);
  CASE(heirs);
  CASE(snapshots);
  CASE(losses);
  CASE(holes);
  CASE(changes);
  CASE(leases);
  CASE(reigns);
  CASE(reads);
  CASE(outboxes);
  CASE(what_may_only_grow);
  CASE(what_a_term_fixes);
  CASE(what_a_log_keeps);
  CASE(what_damage_took);
  alone_end(c);
  alone_end(d);
  return test_end();
}
