/* paper_test.c - the ledger: one test per rule of Figure 2 of the extended
 * Raft paper, and per section of the thesis that the core claims. */
#include "alone.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

/* ---- persistent state ---------------------------------------------------- */

/* [Raft Figure 2] updated on stable storage before responding to RPCs: vote */
static void a_vote_is_durable_before_it_is_answered(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  c->nodes[N1].is_disk_held = true;
  alone_vote(c, N2, &(struct alone_vote){.term = 2, .last = 1, .last_term = 1});
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE_REPLY, &m));
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N2, RAFT_MSG_VOTE_REPLY, &m));
  CHECK(m.vote_reply.granted);
  EQ(c->nodes[N1].disk.vote, c->nodes[N2].id);
  alone_end(c);
}

/* ... and entries */
static void entries_are_durable_before_they_are_acknowledged(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  CHECK(!alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  EQ(m.append_reply.index, 3);
  EQ(c->nodes[N1].disk.last, 3);
  alone_end(c);
}

/* ... so that a vote given before a crash binds after it */
static void a_vote_survives_a_crash(void) {
  struct cluster *c = alone_new(3, NULL);
  alone_vote(c, N2, &(struct alone_vote){.term = 2, .last = 1, .last_term = 1});
  CHECK(alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  alone_vote(c, N3, &(struct alone_vote){.term = 2, .last = 1, .last_term = 1});
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

/* ---- AppendEntries, receiver --------------------------------------------- */

/* [Raft Figure 2, AppendEntries 1] reply false if term < currentTerm */
static void an_append_of_an_old_term_is_refused(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, TERMS(2), 1});
  struct alone_append a = {4, 2, 2, 2, 0, TERMS(4), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(!m.append_reply.accepted);
  EQ(m.term, 5); /* so the old leader learns that it is one */
  EQ(alone_status(c).last, 2);
  alone_end(c);
}

/* [Raft Figure 2, AppendEntries 2] reply false if the log has no entry at
 * prevLogIndex whose term matches prevLogTerm: too short */
static void an_append_beyond_the_log_is_refused(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){2, TERMS(2, 2), 2});
  struct alone_append a = {3, 9, 2, 2, 0, TERMS(3), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(!m.append_reply.accepted);
  EQ(m.append_reply.index, 9);
  EQ(m.append_reply.hint_index, 3); /* our end: no need to try 8, 7, ... */
  EQ(m.append_reply.hint_term, 2);
  alone_end(c);
}

/* ... or of another term [Raft 5.3] whose first index we tell */
static void an_append_after_another_term_is_refused(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){4, TERMS(2, 4, 4, 4), 4});
  struct alone_append a = {5, 5, 3, 1, 0, TERMS(5), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(!m.append_reply.accepted);
  EQ(m.append_reply.hint_index, 2); /* all of term 4 is skipped at once */
  EQ(m.append_reply.hint_term, 2);
  EQ(alone_status(c).last, 5); /* a refusal takes nothing away */
  alone_end(c);
}

/* [Raft Figure 2, AppendEntries 3] an existing entry conflicts with a new one:
 * delete it and all that follow it */
static void a_conflict_takes_away_all_that_follows(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){3, TERMS(2, 3, 3, 3), 4});
  struct alone_append a = {4, 2, 2, 1, 0, TERMS(4), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.index, 3);
  EQ(alone_status(c).last, 3);
  EQ(raft_term_at(c->nodes[N1].raft, 3), 4);
  EQ(c->nodes[N1].disk.last, 3);
  alone_end(c);
}

/* ... and only a conflict does: an old message says less than we know */
static void an_overtaken_append_takes_nothing_away(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append all = {2, 1, 1, 1, 0, TERMS(2, 2, 2, 2), 4};
  struct alone_append old = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &all), RAFT_OK);
  EQ(alone_append(c, N2, &old), RAFT_OK);
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).last, 5);
  alone_end(c);
}

/* [Raft Figure 2, AppendEntries 4] append any new entries not in the log */
static void new_entries_are_appended_and_known_ones_skipped(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){2, TERMS(2, 2), 2});
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2, 2, 2), 4};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.index, 5);
  EQ(alone_status(c).last, 5);
  alone_end(c);
}

/* [Raft Figure 2, AppendEntries 5] commitIndex = min(leaderCommit, index of
 * last new entry): a stale tail of ours is not committed by a heartbeat */
static void commit_goes_no_further_than_what_was_verified(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){3, TERMS(2, 3, 3, 3), 4});
  struct alone_append beat = {4, 2, 2, 5, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  struct alone_append more = {4, 2, 2, 5, 0, TERMS(4, 4), 2};
  EQ(alone_append(c, N2, &more), RAFT_OK);
  EQ(alone_status(c).commit, 4);
  alone_end(c);
}

/* ---- RequestVote, receiver ----------------------------------------------- */

/* [Raft Figure 2, RequestVote 1] reply false if term < currentTerm */
static void a_vote_of_an_old_term_is_refused(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, NULL, 0});
  alone_vote(c, N2, &(struct alone_vote){.term = 4, .last = 9, .last_term = 4});
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY);
  CHECK(!m.vote_reply.granted);
  EQ(m.term, 5);
  alone_end(c);
}

/* [Raft Figure 2, RequestVote 2] votedFor is null or candidateId: grant */
static void one_vote_in_a_term_and_again_to_the_same(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_vote v = {.term = 2, .last = 1, .last_term = 1};
  alone_vote(c, N2, &v);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_vote(c, N3, &v);
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_vote(c, N2, &v); /* the answer was lost: asked again */
  CHECK(alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

static bool would_vote_for(raft_index last, raft_term last_term) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, TERMS(2, 4), 2});
  alone_vote(
      c, N2,
      &(struct alone_vote){.term = 6, .last = last, .last_term = last_term});
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY);
  alone_end(c);
  return m.vote_reply.granted;
}

/* [Raft Figure 2, RequestVote 2] [Raft 5.4.1] ... and its log is at least as
 * up-to-date as ours, which ends at 3 in term 4 */
static void votes_go_to_logs_that_are_up_to_date(void) {
  CHECK(would_vote_for(3, 4));  /* equal */
  CHECK(would_vote_for(4, 4));  /* longer */
  CHECK(would_vote_for(2, 5));  /* shorter, of a later term */
  CHECK(!would_vote_for(2, 4)); /* shorter */
  CHECK(!would_vote_for(9, 3)); /* longer, of an earlier term */
}

/* ---- all servers --------------------------------------------------------- */

/* [Raft Figure 2, All Servers 1] commitIndex > lastApplied: apply, in order */
static void what_is_committed_is_applied_in_order(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 5; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(alone_status(c).commit, 7);
  for (uint32_t i = 0; i < 3; i++)
    EQ(c->nodes[i].performed, 7); /* out of order is noted as broken */
  alone_end(c);
}

/* [Raft Figure 2, All Servers 2] a term T > currentTerm in any request or
 * response: set currentTerm = T, convert to follower */
static void a_higher_term_makes_a_follower(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  raft_term term = alone_status(c).term;
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = term + 3};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).term, term + 3);
  EQ(alone_status(c).vote, 0); /* seen in an answer, not voted for */
  EQ(alone_status(c).leader, 0);
  alone_end(c);
}

/* ---- followers ----------------------------------------------------------- */

/* [Raft Figure 2, Followers 2] the election time-out elapses without
 * AppendEntries from the current leader: convert to candidate */
static void a_follower_that_hears_nothing_campaigns(void) {
  struct cluster *c = alone_new(3, NULL);
  (void)cluster_flush(c, N1);
  raft_ms due = c->nodes[N1].deadline;
  CHECK(due >= c->now + 100);
  CHECK(due <= c->now + 200);
  c->now = due - 1;
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  c->now = due;
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE); /* [Thesis 9.6] asks first */
  alone_end(c);
}

/* ... and one that hears its leader does not */
static void heartbeats_put_the_time_out_off(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  for (int i = 0; i < 20; i++) {
    EQ(alone_append(c, N2, &beat), RAFT_OK);
    c->now += 99;
    cluster_tick(c, N1);
    EQ(alone_status(c).state, RAFT_FOLLOWER);
  }
  alone_end(c);
}

/* ... and not from a leader that is one no more */
static void old_heartbeats_put_nothing_off(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, NULL, 0});
  struct alone_append beat = {4, 1, 1, 1, 0, NULL, 0};
  for (int i = 0; i < 5; i++) {
    EQ(alone_append(c, N2, &beat), RAFT_OK);
    c->now += 50;
    cluster_tick(c, N1);
  }
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

/* How long n1 waits by its own time-out once it was asked, after half of it has
 * passed, for a vote that it gives, or for one that it refuses. */
static raft_ms waits_after_being_asked(bool is_granted) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, TERMS(2, 4), 2});
  (void)cluster_flush(c, N1);
  raft_ms due = c->nodes[N1].deadline;
  c->now += (due - c->now) / 2;
  struct alone_vote v = {.term = 6, .last = is_granted ? 3 : 2, .last_term = 4};
  alone_vote(c, N2, &v);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY);
  EQ(m.vote_reply.granted, is_granted);
  EQ(m.term, 6); /* the term is taken over all the same [Raft 5.1] */
  EQ(alone_status(c).term, 6);
  (void)cluster_flush(c, N1);
  raft_ms wait = c->nodes[N1].deadline - c->now;
  if (!is_granted) EQ(c->nodes[N1].deadline, due);
  alone_end(c);
  return wait;
}

/* [Raft 5.2] granting a vote puts the time-out off, refusing one does not,
 * or who can never win could keep the others from trying */
static void only_a_granted_vote_puts_the_time_out_off(void) {
  CHECK(waits_after_being_asked(true) >= 100);
  CHECK(waits_after_being_asked(false) <= 100);
}

/* ---- candidates ---------------------------------------------------------- */

/* [Raft Figure 2, Candidates 1] increment currentTerm, vote for self, reset the
 * time-out, send RequestVote to all others */
static void a_candidate_votes_for_itself_and_asks_all(void) {
  struct cluster *c = alone_new(5, NULL);
  cluster_time_out(c, N1);
  alone_reply(c, N2, true); /* pre-votes */
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  EQ(alone_status(c).term, 2);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  for (uint32_t i = N2; i <= N5; i++)
    EQ(alone_must_answer(c, i, RAFT_MSG_VOTE).vote.for_term, 2);
  (void)cluster_flush(c, N1);
  CHECK(c->nodes[N1].deadline > c->now);
  alone_end(c);
}

static struct cluster *candidate(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  cluster_time_out(c, N1);
  for (uint32_t i = N2; i <= nodes / 2; i++)
    alone_reply(c, i, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  return c;
}

/* [Raft Figure 2, Candidates 2] votes from a majority: become leader */
static void a_majority_makes_a_leader(void) {
  struct cluster *c = candidate(5);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

/* [Raft Figure 2, Candidates 3] AppendEntries from a new leader: follow it,
 * and keep the vote of this term */
static void a_candidate_follows_who_has_won(void) {
  struct cluster *c = candidate(3);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).leader, c->nodes[N2].id);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  alone_end(c);
}

/* [Raft Figure 2, Candidates 4] the time-out elapses: start over */
static void a_candidate_that_wins_nothing_starts_over(void) {
  struct cluster *c = candidate(3);
  cluster_drop_all(c);
  cluster_time_out(c, N1);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  EQ(alone_status(c).term, 3);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

/* ---- leaders ------------------------------------------------------------- */

/* [Raft Figure 2, Leaders 1] [Raft 8] upon election: AppendEntries to each,
 * here with the no-op; then in idle periods, heartbeats */
static void a_leader_speaks_at_once_and_when_idle(void) {
  struct cluster *c = candidate(3);
  alone_reply(c, N2, true);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND);
  EQ(m.append.count, 1);
  EQ(m.append.prev_index, 1);
  (void)alone_must_answer(c, N3, RAFT_MSG_APPEND);
  CHECK(!alone_answer(c, N3, RAFT_MSG_APPEND, &m));
  EQ(c->nodes[N1].deadline, c->now + 20);
  c->now += 20;
  cluster_tick(c, N1);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND).append.count, 0);
  EQ(alone_must_answer(c, N3, RAFT_MSG_APPEND).append.count, 0);
  alone_end(c);
}

/* [Raft Figure 2, Leaders 2] a command: append, answer after it is applied */
static void a_command_is_applied_once_a_majority_has_it(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  EQ(c->nodes[N1].performed, 2);
  cluster_work(c);
  EQ(c->nodes[N1].performed, 3);
  alone_end(c);
}

/* [Raft Figure 2, Leaders 3] last log index >= nextIndex: send from nextIndex;
 * success: update nextIndex and matchIndex */
static void success_moves_next_and_match(void) {
  struct cluster *c = alone_new(2, NULL);
  CHECK(cluster_elect(c, N1));
  EQ(alone_status(c).peers[0].match, 2);
  EQ(alone_status(c).peers[0].next, 3);
  CHECK(cluster_propose(c, N1, "x") == 3);
  (void)cluster_flush(c, N1);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND);
  EQ(m.append.prev_index, 2);
  EQ(m.append.count, 1);
  EQ(alone_status(c).peers[0].next, 4); /* ahead of the answer */
  EQ(alone_status(c).peers[0].match, 2);
  alone_end(c);
}

/* ... fails because of inconsistency: go back and retry */
static void a_refusal_moves_next_back(void) {
  struct cluster *c =
      alone_new(2, &(struct alone_log){4, TERMS(2, 2, 3, 3, 4, 4), 6});
  CHECK(cluster_elect(c, N1)); /* n2 has but entry 1 */
  for (uint32_t i = 0; i < 2; i++) {
    struct raft_status s = cluster_status(c, i);
    EQ(s.last, 8);
    EQ(s.commit, 8);
  }
  EQ(alone_status(c).peers[0].match, 8);
  alone_end(c);
}

/* [Raft Figure 2, Leaders 4] [Raft 5.4.2] N > commitIndex on a majority, and
 * of the current term: commit. Of an older one: not by counting. (Figure 8 is
 * a story in spec/traces.) */
static void an_old_entry_is_not_committed_by_counting(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){2, TERMS(2), 1});
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER); /* of term 3, no-op at 3 */
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = 3};
  m.append_reply.accepted = true;
  m.append_reply.index = 2; /* a majority has the entry of term 2 */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).peers[0].match + alone_status(c).peers[1].match, 2);
  EQ(alone_status(c).commit, 1);
  alone_end(c);
}

/* The leader's own disk counts, and only what is on it. */
static void a_leader_counts_its_own_disk(void) {
  struct cluster *c = alone_new(2, NULL);
  CHECK(cluster_elect(c, N1));
  c->nodes[N1].is_disk_held = true;
  CHECK(cluster_propose(c, N1, "x") == 3);
  cluster_work(c);
  EQ(alone_status(c).peers[0].match, 3);
  EQ(alone_status(c).commit, 2);
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).commit, 3);
  alone_end(c);
}

/* ---- the thesis ---------------------------------------------------------- */

/* [Thesis 3.10] TimeoutNow of the leader: campaign at once, asking nobody
 * first, and be voted for though the leader lives */
static void a_transfer_needs_no_pre_vote(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N2));
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW,
                           .term = alone_status(c).term};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  cluster_work(c);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

/* [Thesis 3.10] TimeoutNow of another term, or from another, is dropped */
static void a_stale_transfer_is_dropped(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N2));
  raft_term term = alone_status(c).term;
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = term - 1};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  m.term = term + 1;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).term, term);
  m.term = term;
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* [Thesis 4.2.3] who heard a leader within the minimum time-out neither votes
 * nor takes the term */
static void a_node_that_hears_a_leader_helps_nobody_else(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  c->now += 99;
  struct alone_vote v = {.term = 9, .last = 9, .last_term = 8};
  alone_vote(c, N3, &v);
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  EQ(alone_status(c).term, 2);
  EQ(alone_status(c).leader, c->nodes[N2].id);
  v.transfer = true; /* [Thesis 3.10] unless the leader asked for it */
  alone_vote(c, N3, &v);
  CHECK(alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

/* [Thesis 6.2] a leader that no quorum answers for a time-out steps down */
static void a_leader_nobody_answers_steps_down(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  raft_term term = alone_status(c).term;
  cluster_isolate(c, N1, true);
  cluster_run(c, 199);
  EQ(alone_status(c).state, RAFT_LEADER);
  cluster_run(c, 60);
  CHECK(alone_status(c).state != RAFT_LEADER);
  EQ(alone_status(c).term, term); /* it only stops, it disturbs nobody */
  alone_end(c);
}

/* [Thesis 9.6] a pre-vote changes nothing at who is asked */
static void a_pre_vote_changes_nothing(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_status before = alone_status(c);
  raft_ms due = c->nodes[N1].deadline;
  c->now += 50;
  struct alone_vote v = {
      .term = 2, .last = 9, .last_term = 1, .round = 7, .pre = true};
  alone_vote(c, N2, &v);
  alone_vote(c, N3, &v); /* and more than one may be granted */
  for (uint32_t i = N2; i <= N3; i++) {
    struct raft_message m = alone_must_answer(c, i, RAFT_MSG_VOTE_REPLY);
    CHECK(m.vote_reply.granted);
    EQ(m.vote_reply.round, 7);
  }
  struct raft_status after = alone_status(c);
  EQ(after.term, before.term);
  EQ(after.vote, before.vote);
  EQ(c->nodes[N1].deadline, due); /* the timer neither */
  EQ(c->nodes[N1].disk.count, 0);
  alone_end(c);
}

/* [Thesis 9.6] it is granted by the rules of a vote: log and leader */
static void a_pre_vote_is_judged_like_a_vote(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){4, TERMS(3), 1});
  struct alone_vote v = {.term = 5, .last = 9, .last_term = 2, .pre = true};
  alone_vote(c, N2, &v); /* an older log */
  CHECK(!alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  v = (struct alone_vote){.term = 4, .last = 2, .last_term = 3, .pre = true};
  alone_vote(c, N2, &v); /* for a term that is not to come */
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY);
  CHECK(!m.vote_reply.granted);
  EQ(m.term, 4); /* so that who is behind learns of it */
  struct alone_append beat = {4, 2, 3, 1, 0, NULL, 0};
  EQ(alone_append(c, N3, &beat), RAFT_OK);
  v.term = 5;
  alone_vote(c, N2, &v); /* while a leader lives */
  CHECK(!alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

/* [Thesis 6.4] step 1: no read before the leader's no-op is committed; it
 * waits, and is not lost */
static void a_read_waits_for_the_no_op(void) {
  struct cluster *c = candidate(3);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 0);
  cluster_drop_all(c);
  cluster_run(c, 100); /* the others hear of it */
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* [Thesis 6.4] step 3: a quorum answers a heartbeat sent after the read came;
 * older answers prove nothing */
static void a_read_is_confirmed_by_answers_to_later_words(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  c->now += 20;
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1); /* heartbeats are out */
  CHECK(cluster_read(c, N1) > 0);
  cluster_deliver(c, 0); /* they are answered */
  cluster_deliver(c, 0);
  (void)cluster_flush(c, N2);
  (void)cluster_flush(c, N3);
  cluster_deliver(c, 0);
  cluster_deliver(c, 0);
  EQ(c->seen_counts.leader_reads, 0);
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* [Thesis 6.4] a leader that was replaced serves no read */
static void a_deposed_leader_serves_no_read(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N1, true);
  CHECK(cluster_elect(c, N2));
  CHECK(cluster_propose(c, N2, "x") > 0);
  cluster_work(c);
  EQ(alone_status(c).state, RAFT_LEADER); /* it does not know yet */
  CHECK(cluster_read(c, N1) > 0);
  cluster_run(c, 500);
  EQ(c->seen_counts.leader_reads, 0);
  EQ(c->seen_counts.void_reads, 1);
  alone_end(c);
}

/* [Thesis 6.4] followers serve reads too, at the leader's read index */
static void a_follower_serves_a_read(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  CHECK(cluster_propose(c, N1, "x") > 0);
  CHECK(cluster_read(c, N2) > 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

static void test_figure_2(void) {
  CASE(a_vote_is_durable_before_it_is_answered);
  CASE(entries_are_durable_before_they_are_acknowledged);
  CASE(a_vote_survives_a_crash);
  CASE(an_append_of_an_old_term_is_refused);
  CASE(an_append_beyond_the_log_is_refused);
  CASE(an_append_after_another_term_is_refused);
  CASE(a_conflict_takes_away_all_that_follows);
  CASE(an_overtaken_append_takes_nothing_away);
  CASE(new_entries_are_appended_and_known_ones_skipped);
  CASE(commit_goes_no_further_than_what_was_verified);
  CASE(a_vote_of_an_old_term_is_refused);
  CASE(one_vote_in_a_term_and_again_to_the_same);
  CASE(votes_go_to_logs_that_are_up_to_date);
  CASE(what_is_committed_is_applied_in_order);
  CASE(a_higher_term_makes_a_follower);
  CASE(a_follower_that_hears_nothing_campaigns);
  CASE(heartbeats_put_the_time_out_off);
  CASE(old_heartbeats_put_nothing_off);
  CASE(only_a_granted_vote_puts_the_time_out_off);
  CASE(a_candidate_votes_for_itself_and_asks_all);
  CASE(a_majority_makes_a_leader);
  CASE(a_candidate_follows_who_has_won);
  CASE(a_candidate_that_wins_nothing_starts_over);
  CASE(a_leader_speaks_at_once_and_when_idle);
  CASE(a_command_is_applied_once_a_majority_has_it);
  CASE(success_moves_next_and_match);
  CASE(a_refusal_moves_next_back);
  CASE(an_old_entry_is_not_committed_by_counting);
  CASE(a_leader_counts_its_own_disk);
}

static void test_thesis(void) {
  CASE(a_transfer_needs_no_pre_vote);
  CASE(a_stale_transfer_is_dropped);
  CASE(a_node_that_hears_a_leader_helps_nobody_else);
  CASE(a_leader_nobody_answers_steps_down);
  CASE(a_pre_vote_changes_nothing);
  CASE(a_pre_vote_is_judged_like_a_vote);
  CASE(a_read_waits_for_the_no_op);
  CASE(a_read_is_confirmed_by_answers_to_later_words);
  CASE(a_deposed_leader_serves_no_read);
  CASE(a_follower_serves_a_read);
}

int main(void) {
  test_figure_2();
  test_thesis();
  return test_end();
}
