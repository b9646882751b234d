/* read_test.c - ReadIndex beyond the letter of the thesis: rounds, contexts,
 * reads that wait while the world changes. */
#include "alone.h"

#include "check.h"

static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

static void without_a_leader_there_is_no_read(void) {
  struct cluster *c = alone_new(3, NULL);
  EQ(cluster_read(c, N1), RAFT_E_NO_LEADER);
  alone_end(c);
}

static void too_many_reads_are_busy(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < RAFT_READS_MAX; i++)
    CHECK(cluster_read(c, N1) > 0);
  EQ(cluster_read(c, N1), RAFT_E_BUSY);
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, RAFT_READS_MAX);
  CHECK(cluster_read(c, N1) > 0);
  alone_end(c);
}

/* One round for all reads of a turn, and words to each peer but once. */
static void reads_of_a_turn_share_a_round(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N1) > 0);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 2);
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, 2);
  alone_end(c);
}

/* A round that was sent is joined no more: its answers may be older than what
 * another leader has committed since. */
static void a_round_that_was_sent_is_closed(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  uint64_t round = alone_must_answer(c, N2, RAFT_MSG_APPEND).append.round;
  cluster_drop_all(c);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND).append.round, round + 1);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  m.append_reply.round = round; /* of the first read alone */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* Who confirms a round before it was asked has seen the future, or lies. */
static void a_round_that_was_not_asked_confirms_nothing(void) {
  struct cluster *c = leader_of(3);
  uint64_t before = raft_facts_of(c->nodes[N1].raft).read_round;
  CHECK(cluster_read(c, N1) > 0);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                           .term = alone_status(c).term};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  m.append_reply.round = before + 1;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 0);
  cluster_work(c); /* those who were asked */
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

static void a_lost_round_is_asked_again(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  cluster_drop_all(c);
  cluster_run(c, 30);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

static void a_lost_question_is_asked_again(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  CHECK(cluster_find(c, N2, N1, RAFT_MSG_READ) >= 0);
  cluster_drop_all(c);
  cluster_run(c, 60);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

/* The answer to an older question does not serve a newer read. */
static void an_answer_serves_what_was_asked_before_it(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  struct raft_message asked;
  cluster_look(c, (uint32_t)cluster_find(c, N2, N1, RAFT_MSG_READ), &asked);
  cluster_drop_all(c);
  CHECK(cluster_read(c, N2) > 0);
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY, .term = asked.term};
  m.read.context = asked.read.context;
  m.read.index = 2;
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  EQ(c->seen_counts.follower_reads, 1);
  EQ(cluster_status(c, N2).read_count, 1);
  alone_end(c);
}

static void an_answer_serves_all_that_was_asked_before_it(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < 3; i++)
    CHECK(cluster_read(c, N2) > 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 3);
  EQ(cluster_status(c, N2).read_count, 0);
  alone_end(c);
}

static void only_the_leader_answers(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  struct raft_message asked;
  cluster_look(c, (uint32_t)cluster_find(c, N2, N1, RAFT_MSG_READ), &asked);
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY, .term = asked.term};
  m.read.context = asked.read.context;
  m.read.index = 1;
  EQ(cluster_receive(c, N2, N3, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  EQ(cluster_status(c, N2).read_count, 1);
  alone_end(c);
}

/* Its disk was given nothing in this life, so there is nothing to wait for. */
static void a_restarted_follower_reads_without_a_write(void) {
  struct cluster *c = leader_of(3);
  cluster_run(c, 20);
  cluster_crash(c, N2, 0);
  EQ(cluster_restart(c, N2), RAFT_OK);
  c->nodes[N2].is_disk_held = true;
  cluster_run(c, 40);
  EQ(c->nodes[N2].disk.count, 0);
  CHECK(cluster_read(c, N2) > 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

/* The leader answers what we asked before a crash. Its context may be a larger
 * number than ours, and is older than anything we wait for. */
static void an_answer_to_a_former_life_serves_nothing(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  cluster_drop_all(c);
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY,
                           .term = cluster_status(c, N2).term};
  m.read.context = UINT64_MAX;
  m.read.index = 1;
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  EQ(c->seen_counts.follower_reads, 0);
  EQ(cluster_status(c, N2).read_count, 1);
  alone_end(c);
}

/* It is served when applied, not before: also where answers overtake. */
static void a_read_waits_until_it_is_applied_here(void) {
  struct cluster *c = leader_of(3);
  c->nodes[N2].is_apply_held = true;
  CHECK(cluster_propose(c, N1, "x") == 3);
  cluster_work(c);
  CHECK(cluster_read(c, N2) > 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 0);
  cluster_applied(c, N2);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

/* A READ is born after the APPLY that it waits for: who performs them in order
 * is never stuck. */
static void a_read_comes_after_its_apply(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_propose(c, N1, "x") == 3);
  cluster_isolate(c, N2, true);
  cluster_work(c); /* committed, and n2 does not know it */
  cluster_isolate(c, N2, false);
  EQ(cluster_status(c, N2).commit, 2);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  struct raft_message asked;
  cluster_look(c, (uint32_t)cluster_find(c, N2, N1, RAFT_MSG_READ), &asked);
  cluster_drop_all(c);
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY, .term = asked.term};
  m.read.context = asked.read.context;
  m.read.index = 3;
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  EQ(c->nodes[N2].held_count, 0);
  cluster_run(c, 60);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

/* Whoever waits hears of ROLE, also when the same leader is back in the turn
 * in which it was lost: no read is dropped in silence. */
static void a_dropped_read_is_told_of(void) {
  struct cluster *c = leader_of(3);
  struct cluster_node *n = &c->nodes[N2];
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  cluster_drop_all(c);
  c->now += 500;
  cluster_tick(c, N2); /* gives its leader up */
  struct raft_message beat = {.kind = RAFT_MSG_APPEND,
                              .term = cluster_status(c, N1).term};
  beat.append.prev_index = 2;
  beat.append.prev_term = beat.term;
  EQ(cluster_receive(c, N2, N1, &beat), RAFT_OK); /* and hears it again */
  EQ(cluster_status(c, N2).read_count, 0);
  (void)cluster_flush(c, N2);
  EQ(n->read_count, 0);
  EQ(c->seen_counts.void_reads, 1);
  alone_end(c);
}

static void a_follower_asks_nobody_but_its_leader(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = {.kind = RAFT_MSG_READ,
                           .term = cluster_status(c, N2).term};
  m.read.context = 77;
  EQ(cluster_receive(c, N2, N3, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  int i = cluster_find(c, N2, N3, RAFT_MSG_READ_REPLY);
  CHECK(i >= 0);
  if (i >= 0) cluster_look(c, (uint32_t)i, &m);
  EQ(m.read.context, 77);
  EQ(m.read.index, 0);
  alone_end(c);
}

static void one_voter_alone_serves_at_once(void) {
  struct cluster *c = leader_of(1);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

int main(void) {
  CASE(without_a_leader_there_is_no_read);
  CASE(too_many_reads_are_busy);
  CASE(reads_of_a_turn_share_a_round);
  CASE(a_round_that_was_sent_is_closed);
  CASE(a_round_that_was_not_asked_confirms_nothing);
  CASE(a_lost_round_is_asked_again);
  CASE(a_lost_question_is_asked_again);
  CASE(an_answer_serves_what_was_asked_before_it);
  CASE(an_answer_serves_all_that_was_asked_before_it);
  CASE(only_the_leader_answers);
  CASE(a_restarted_follower_reads_without_a_write);
  CASE(an_answer_to_a_former_life_serves_nothing);
  CASE(a_read_waits_until_it_is_applied_here);
  CASE(a_read_comes_after_its_apply);
  CASE(a_dropped_read_is_told_of);
  CASE(a_follower_asks_nobody_but_its_leader);
  CASE(one_voter_alone_serves_at_once);
  return test_end();
}
