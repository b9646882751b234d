/* lease_test.c - reads that ask nobody: when a leader may, and when not any
 * more. docs/MEMBERSHIP.md, "Leases". [Thesis 6.4.1]
 *
 * The minimum election time-out is 100 ms, so a lease lasts 89: nine tenths of
 * it, less a millisecond that may be hidden. */
#include "alone.h"

#include "check.h"
#include "replica.h"

#define LASTS 89

static struct cluster *with_leases(uint32_t nodes) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = nodes, .seed = 1, .leases = true});
  c->now += 100; /* nobody is too young */
  return c;
}

/* n1 leads, and its no-op is committed: the lease counts from c->now. */
static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = with_leases(nodes);
  CHECK(cluster_elect(c, N1));
  return c;
}

static struct raft *n1(const struct cluster *c) {
  return c->nodes[N1].raft;
}

/* Is a lease read of n1 served at once, without a word to anybody? */
static bool reads_alone(struct cluster *c) {
  uint64_t before = c->seen_counts.leader_reads;
  CHECK(cluster_read_lease(c, N1) > 0);
  uint32_t packets = c->packet_count;
  (void)cluster_flush(c, N1);
  bool is_served = c->seen_counts.leader_reads > before;
  EQ(is_served, c->packet_count == packets);
  return is_served;
}

/* Sends the heartbeat that is due, and drops it. */
static void lost_heartbeat(struct cluster *c) {
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  cluster_drop_all(c);
}

static void a_leader_with_a_lease_reads_alone(void) {
  struct cluster *c = leader_of(3);
  CHECK(alone_status(c).has_lease);
  CHECK(reads_alone(c));
  alone_end(c);
}

static void without_leases_it_asks(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  CHECK(!alone_status(c).has_lease);
  CHECK(!reads_alone(c));
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, 1);
  EQ(n1(c)->mark_count, 0);
  alone_end(c);
}

/* Rule 1: whatever the way back of an answer takes, the other side counts from
 * when it heard us. */
static void it_lasts_from_the_sending(void) {
  struct cluster *c = leader_of(3);
  raft_ms sent = c->now += 20;
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  c->now += 60; /* the heartbeat, or its answer, is slow */
  cluster_work(c);
  c->now = sent + LASTS - 1;
  CHECK(reads_alone(c));
  c->now = sent + LASTS;
  CHECK(!reads_alone(c));
  alone_end(c);
}

static void an_answer_to_an_older_round_prolongs_nothing(void) {
  struct cluster *c = leader_of(3);
  raft_ms begin = c->now;
  c->now += 20;
  lost_heartbeat(c);
  c->now += 20;
  lost_heartbeat(c);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  m.append_reply.round = n1(c)->read_round - 1; /* sent at begin + 20 */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  c->now = begin + 20 + LASTS - 1;
  CHECK(reads_alone(c));
  c->now++;
  CHECK(!reads_alone(c));
  alone_end(c);
}

/* Only some rounds are remembered. Those answered last are, however many have
 * been sent. */
static void it_goes_on_however_many_rounds_were_sent(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  for (int i = 0; i < 3 * RAFT_MARKS; i++) {
    m.append_reply.round = n1(c)->read_round; /* of 20 ms ago */
    c->now += 20;
    lost_heartbeat(c);
    EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
    CHECK(alone_status(c).has_lease);
  }
  alone_end(c);
}

static void send_round(struct raft *r) {
  r->read_round++;
  r->round_is_sent = false;
  raft_lease_round_sent(r);
}

/* Rounds follow each other at an eighth of a lease at least: so when the oldest
 * one is forgotten, it is of no use. */
static void rounds_soon_after_another_are_not_remembered(void) {
  struct cluster *c = leader_of(3);
  struct raft *r = raft_clone(n1(c));
  raft_lease_reset(r);
  send_round(r);
  EQ(r->mark_count, 1);
  r->now += LASTS / RAFT_MARKS - 1;
  send_round(r);
  EQ(r->mark_count, 1);
  r->now++;
  send_round(r);
  EQ(r->mark_count, 2);
  EQ(r->marks[1].sent, r->now);
  raft_free(r);
  alone_end(c);
}

/* Rule 2: one of five is no quorum, two are with us. */
static void a_quorum_must_have_answered(void) {
  struct cluster *c = leader_of(5);
  raft_ms begin = c->now;
  c->now += 80;
  lost_heartbeat(c);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  m.append_reply.round = n1(c)->read_round;
  c->now = begin + LASTS;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  CHECK(!alone_status(c).has_lease);
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  CHECK(alone_status(c).has_lease);
  alone_end(c);
}

static uint32_t position_of(const struct raft *r, raft_id id) {
  for (uint32_t i = 0; i < r->config.count; i++)
    if (r->config.members[i].id == id) return i;
  return RAFT_MEMBERS_MAX;
}

/* Rule 2, while joint: n2 answers for the old half, and nobody for the new. */
static void both_halves_must_have_answered(void) {
  struct cluster *c = leader_of(5);
  struct raft *r = raft_clone(n1(c));
  r->config.joint = true;
  for (uint32_t i = N1; i <= N5; i++) {
    struct raft_member *m = &r->config.members[position_of(r, c->nodes[i].id)];
    m->role[RAFT_OLD] = i <= N3 ? RAFT_ROLE_VOTER : RAFT_ROLE_NONE;
    m->role[RAFT_NEW] = i <= N3 ? RAFT_ROLE_NONE : RAFT_ROLE_VOTER;
  }
  CHECK(raft_has_lease(r));
  raft_find_peer(r, c->nodes[N4].id)->round_acked = 0;
  CHECK(!raft_has_lease(r));
  raft_free(r);
  alone_end(c);
}

/* Rule 2: who has not the configuration in force may keep to another one. */
static void who_lacks_the_configuration_does_not_count(void) {
  struct cluster *c = leader_of(3);
  struct raft *r = raft_clone(n1(c));
  r->config_index = r->commit + 1; /* as if one had just been appended */
  r->config_before_index = 1;
  r->config_before = r->config;
  CHECK(!raft_has_lease(r));
  r->log.stored = r->peers[0].match = r->config_index;
  CHECK(raft_has_lease(r));
  r->log.stored--; /* we are one of those who must */
  CHECK(!raft_has_lease(r));
  r->peers[1].match = r->config_index;
  CHECK(raft_has_lease(r));
  raft_free(r);
  alone_end(c);
}

/* What is not committed may be taken back: the shorter time-out counts. */
static void the_shorter_time_out_counts_while_both_may(void) {
  struct cluster *c = leader_of(3);
  struct raft *r = raft_clone(n1(c));
  r->config_before = r->config;
  r->config_before_index = 1;
  r->config_index = r->commit + 1;
  r->log.stored = r->peers[0].match = r->config_index;
  r->config.election_min_ms = 1000;
  r->now += LASTS;
  CHECK(!raft_has_lease(r));
  r->commit++; /* now it is committed */
  CHECK(raft_has_lease(r));
  r->config.election_min_ms = 50;
  CHECK(!raft_has_lease(r));
  raft_free(r);
  alone_end(c);
}

static void the_first_configuration_has_none_before_it(void) {
  struct cluster *c = leader_of(3);
  struct raft *r = raft_clone(n1(c));
  EQ(r->config_before_index, 0);
  r->config_index = r->commit + 1; /* and nobody knows it committed */
  r->log.stored = r->peers[0].match = r->config_index;
  CHECK(raft_has_lease(r));
  raft_free(r);
  alone_end(c);
}

/* [Thesis 6.4] n1 has an answer of a quorum, and its own term is not committed:
 * what it knows may be less than what was acknowledged. */
static void before_its_own_entry_is_committed_there_is_none(void) {
  struct cluster *c = with_leases(3);
  cluster_time_out(c, N1);
  cluster_work(c);
  struct raft *r = raft_clone(n1(c));
  CHECK(raft_has_lease(r));
  r->commit = r->term_start - 1;
  CHECK(!raft_has_lease(r));
  raft_free(r);
  alone_end(c);
}

/* Rule 3: the heir may be voted for at any time, by those who just heard us. */
static void after_an_heir_was_told_there_is_none_in_this_term(void) {
  struct cluster *c = leader_of(3);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  CHECK(alone_status(c).has_lease); /* nobody was told yet */
  (void)cluster_flush(c, N1);
  CHECK(cluster_find(c, N1, N2, RAFT_MSG_TIMEOUT_NOW) >= 0 ||
        cluster_find(c, N1, N3, RAFT_MSG_TIMEOUT_NOW) >= 0);
  CHECK(!reads_alone(c));
  cluster_drop_all(c);
  cluster_run(c, 500); /* given up, heartbeats go on */
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(alone_status(c).heir, 0);
  CHECK(!reads_alone(c));
  CHECK(!alone_status(c).has_lease);
  cluster_work(c);
  CHECK(cluster_elect(c, N2));
  CHECK(cluster_elect(c, N1));
  CHECK(reads_alone(c)); /* another term */
  alone_end(c);
}

static void one_voter_alone_always_has_one(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 2, .seed = 1, .leases = true, .roles = {0, RAFT_ROLE_LEARNER}});
  c->now += 100;
  CHECK(cluster_elect(c, N1));
  c->now += 100000;
  CHECK(reads_alone(c));
  alone_end(c);
}

static void who_does_not_lead_any_more_has_none(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = 9};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  CHECK(!alone_status(c).has_lease);
  EQ(n1(c)->mark_count, 0);
  EQ(cluster_read_lease(c, N1), RAFT_E_NO_LEADER);
  alone_end(c);
}

static void a_follower_asks_its_leader(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read_lease(c, N2) > 0);
  (void)cluster_flush(c, N2);
  CHECK(cluster_find(c, N2, N1, RAFT_MSG_READ) >= 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

/* A read that asks waits for its round; one by a lease overtakes it. */
static void it_overtakes_reads_that_wait(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  cluster_drop_all(c);
  CHECK(cluster_read_lease(c, N1) > 0);
  CHECK(cluster_read_lease(c, N1) > 0);
  EQ_TEXT(raft_check(n1(c)), NULL);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 2);
  EQ(alone_status(c).read_count, 1);
  cluster_run(c, 30);
  EQ(c->seen_counts.leader_reads, 3);
  alone_end(c);
}

/* It covers what is committed, and is served once that is applied. */
static void it_waits_until_all_is_applied_here(void) {
  struct cluster *c = leader_of(3);
  c->nodes[N1].is_apply_held = true;
  CHECK(cluster_propose(c, N1, "x") == 3);
  cluster_work(c);
  CHECK(cluster_read_lease(c, N1) > 0);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 0);
  cluster_applied(c, N1);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

static void too_many_reads_are_busy(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < RAFT_READS_MAX; i++)
    CHECK(cluster_read_lease(c, N1) > 0);
  EQ(cluster_read_lease(c, N1), RAFT_E_BUSY);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, RAFT_READS_MAX);
  alone_end(c);
}

/* Rounds come with every turn that reads; few of them are remembered, and those
 * are enough. */
static void many_rounds_need_few_marks(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < 300; i++) {
    c->now++;
    cluster_tick(c, N1);
    CHECK(cluster_read(c, N1) > 0);
    cluster_work(c);
    CHECK(alone_status(c).has_lease);
    CHECK(n1(c)->mark_count <= RAFT_MARKS);
  }
  raft_ms begin = c->now;
  c->now = begin + LASTS - LASTS / RAFT_MARKS - 1; /* so much may be lost */
  CHECK(reads_alone(c));
  c->now = begin + LASTS;
  CHECK(!reads_alone(c));
  alone_end(c);
}

/* Sixty rounds are out, a millisecond apart; an answer to the twentieth still
 * finds a mark near it. */
static void slow_answers_to_quick_rounds_count(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .leases = true, .heartbeat_ms = 1});
  c->now += 100;
  CHECK(cluster_elect(c, N1));
  raft_ms begin = c->now;
  uint64_t round = n1(c)->read_round;
  for (int i = 0; i < 60; i++) {
    c->now++;
    lost_heartbeat(c);
  }
  EQ(n1(c)->read_round, round + 60);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  m.append_reply.round = round + 20;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  c->now = begin + LASTS; /* that of the election is over */
  CHECK(reads_alone(c));
  c->now = begin + 20 + LASTS;
  CHECK(!reads_alone(c));
  alone_end(c);
}

/* An idle leader keeps it by its heartbeats. */
static void heartbeats_prolong_it(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < 50; i++) {
    cluster_run(c, 20);
    CHECK(reads_alone(c));
  }
  alone_end(c);
}

/* ---- what others promise by an answer ------------------------------------ */

/* Rule 2 rests on it: n1 answered n2, then hears of a later term; nobody is its
 * leader now, but n2 may still read by what it answered. */
static void a_promise_outlives_the_term(void) {
  struct cluster *c = with_leases(3);
  struct alone_append beat = {2, 1, 1, 1, 1, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = 5};
  m.vote_reply.for_term = 5;
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  EQ(alone_status(c).term, 5);
  EQ(alone_status(c).leader, 0);
  struct alone_vote v = {.term = 5, .last = 1, .last_term = 1};
  c->now += 99;
  alone_vote(c, N3, &v);
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  c->now += 1;
  alone_vote(c, N3, &v);
  CHECK(alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

/* Its time-out was drawn when a shorter minimum was in force. */
static void a_promise_binds_our_own_vote(void) {
  struct cluster *c = with_leases(3);
  struct alone_append beat = {2, 1, 1, 1, 1, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  n1(c)->election_due = c->now + 50;
  c->now += 99;
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  CHECK(n1(c)->election_due > c->now);
  n1(c)->election_due = ++c->now;
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

int main(void) {
  CASE(a_leader_with_a_lease_reads_alone);
  CASE(without_leases_it_asks);
  CASE(it_lasts_from_the_sending);
  CASE(an_answer_to_an_older_round_prolongs_nothing);
  CASE(it_goes_on_however_many_rounds_were_sent);
  CASE(rounds_soon_after_another_are_not_remembered);
  CASE(a_quorum_must_have_answered);
  CASE(both_halves_must_have_answered);
  CASE(who_lacks_the_configuration_does_not_count);
  CASE(the_shorter_time_out_counts_while_both_may);
  CASE(the_first_configuration_has_none_before_it);
  CASE(before_its_own_entry_is_committed_there_is_none);
  CASE(after_an_heir_was_told_there_is_none_in_this_term);
  CASE(one_voter_alone_always_has_one);
  CASE(who_does_not_lead_any_more_has_none);
  CASE(a_follower_asks_its_leader);
  CASE(it_overtakes_reads_that_wait);
  CASE(it_waits_until_all_is_applied_here);
  CASE(too_many_reads_are_busy);
  CASE(many_rounds_need_few_marks);
  CASE(slow_answers_to_quick_rounds_count);
  CASE(heartbeats_prolong_it);
  CASE(a_promise_outlives_the_term);
  CASE(a_promise_binds_our_own_vote);
  return test_end();
}
