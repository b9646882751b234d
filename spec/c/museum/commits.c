/* commits.c - museum rows 21, 32 to 43, 109, 112: what is committed, by whom
 * it is counted, and when it may be applied. */
#include "museum.h"

#include "quorum.h"

/* ---- the leader ---------------------------------------------------------- */

/* [Raft Figure 8] n1 leads in term 4 and brings its entry of term 2 to a third
 * server; then n5, with an entry of term 3 at the same place, leads. */
static void figure_8(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 5, .seed = 1, .message_bytes_max = 1});
  museum_boot(c, N1, 3, TERMS(2), 1);
  museum_boot(c, N2, 3, TERMS(2), 1);
  for (uint32_t i = N3; i <= N4; i++)
    museum_boot(c, i, 3, NULL, 0);
  museum_boot(c, N5, 3, TERMS(3), 1);
  cluster_crash(c, N4, 0);
  cluster_crash(c, N5, 0);
  cluster_time_out(c, N1);
  for (int round = 0; round < 4; round++) /* pre-vote, vote, probe, entry 2 */
    for (uint32_t i = N2; i <= N3; i++) {
      museum_carry(c, N1, i);
      museum_carry(c, i, N1);
      if (cluster_status(c, N3).last == 2) break;
    }
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(raft_term_at(c->nodes[N3].raft, 2), 2); /* a majority has it */
  EQ(cluster_status(c, N3).last, 2);         /* and not the no-op */
  cluster_drop_all(c);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N4), RAFT_OK);
  EQ(cluster_restart(c, N5), RAFT_OK);
  CHECK(!cluster_elect(c, N5)); /* it learns of term 4 */
  (void)cluster_elect(c, N5);   /* red: it lacks what was committed */
  CHECK(cluster_is_sound(c));
  EQ(cluster_leader(c), N5);
  alone_end(c);
}

/* Both others have it, the leader's own disk does not. */
static void what_others_committed_is_applied_before_it_is_written(void) {
  struct cluster *c = museum_led(3);
  c->nodes[N1].is_disk_held = true;
  museum_command(c, N1);
  EQ(alone_status(c).commit, 3);
  CHECK(cluster_is_sound(c));
  EQ(c->nodes[N1].performed, 2);
  alone_end(c);
}

static void one_voter_alone_does_not_wait_for_its_disk(void) {
  struct cluster *c = museum_led(1);
  c->nodes[N1].is_disk_held = true;
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  EQ(cluster_propose(c, N1, "y"), 4);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 1); /* x is written, y is not */
  EQ(alone_status(c).commit, 3);
  alone_end(c);
}

/* The window is full and every answer is lost. */
static void a_full_window_never_opens_again(void) {
  struct cluster *c = museum_led(2);
  for (int i = 0; i < 8; i++) {
    CHECK(cluster_propose(c, N1, "x") > 0);
    (void)cluster_flush(c, N1);
  }
  while (c->packet_count > 0) {
    cluster_deliver(c, 0);
    (void)cluster_flush(c, N2);
    cluster_disk(c, N2, 9);
    int i = cluster_find(c, N2, N1, RAFT_MSG_APPEND_REPLY);
    if (i >= 0) cluster_drop(c, (uint32_t)i);
  }
  cluster_run(c, 100);
  EQ(cluster_status(c, N2).commit, 10);
  alone_end(c);
}

/* n2 follows n3 in term 3; what it has from there is none of n1's business. */
static void a_follower_of_another_leader_is_counted(void) {
  struct cluster *c = museum_led(3);
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  cluster_drop_all(c);
  struct raft_message m = museum_accepted(alone_status(c).term + 1, 3);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* The leader's heartbeats go on while its disk hangs: then the cluster must go
 * on as well. */
static void a_leader_with_a_hanging_disk_holds_up_all(void) {
  struct cluster *c = museum_led(3);
  c->nodes[N1].is_disk_held = true;
  museum_command(c, N1);
  cluster_run(c, 500);
  EQ(alone_status(c).commit, 3);
  EQ(c->nodes[N2].performed, 3);
  alone_end(c);
}

/* Three voters and two learners: the leader and the learners are three. */
static void learners_are_counted(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 5,
      .seed = 1,
      .roles = {0, 0, 0, RAFT_ROLE_LEARNER, RAFT_ROLE_LEARNER}});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N2, true);
  cluster_isolate(c, N3, true);
  museum_command(c, N1);
  EQ(cluster_status(c, N4).last, 3);
  EQ(alone_status(c).commit, 2);
  alone_end(c);
}

/* In one turn it learns that 3 is committed, and that its term is over. */
static void a_commit_of_the_last_moment_is_taken_back(void) {
  struct cluster *c = museum_led(3);
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  museum_carry(c, N1, N2);
  int i = cluster_find(c, N2, N1, RAFT_MSG_APPEND_REPLY);
  CHECK(i >= 0);
  if (i >= 0) cluster_deliver(c, (uint32_t)i);
  struct raft_message m = museum_accepted(alone_status(c).term + 1, 2);
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).commit, 3);
  cluster_run(c, 1000);
  alone_end(c);
}

/* ---- quorums ------------------------------------------------------------- */

static struct raft_config voters(uint32_t n) {
  struct raft_config c = {.count = n};
  c.rule[RAFT_OLD].kind = c.rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < n; i++)
    c.members[i].role[RAFT_OLD] = c.members[i].role[RAFT_NEW] = RAFT_ROLE_VOTER;
  return c;
}

/* Old voters 0 1 2, new voters 2 3 4: the old ones alone decide nothing. */
static void half_of_a_joint_configuration_commits(void) {
  struct raft_config c = voters(5);
  c.joint = true;
  for (uint32_t i = 0; i < 2; i++) {
    c.members[i].role[RAFT_NEW] = RAFT_ROLE_NONE;
    c.members[4 - i].role[RAFT_OLD] = RAFT_ROLE_NONE;
  }
  EQ(raft_quorum_value(&c, (const uint64_t[]){7, 7, 7, 3, 3}), 3);
  EQ(raft_quorum_value(&c, (const uint64_t[]){3, 3, 7, 7, 7}), 3);
  EQ(raft_quorum_value(&c, (const uint64_t[]){7, 3, 7, 7, 3}), 7);
}

static uint32_t bits(uint32_t mask) {
  uint32_t n = 0;
  for (; mask != 0; mask &= mask - 1)
    n++;
  return n;
}

static void half_of_the_voters_are_a_majority(void) {
  for (uint32_t n = 1; n <= 9; n++) {
    struct raft_config c = voters(n);
    bool is_right = true;
    for (uint32_t mask = 0; mask < 1u << n; mask++) {
      bool is_more = 2 * bits(mask) > n;
      is_right = is_right &&
                 raft_quorum_has(&c, RAFT_ELECTION, mask) == is_more &&
                 raft_quorum_has(&c, RAFT_COMMIT, mask) == is_more;
    }
    CHECK(is_right);
  }
}

const struct museum_scenario museum_commits[] = {
    RED("21", figure_8, "a leader committed an old entry by counting"),
    RED("32", what_others_committed_is_applied_before_it_is_written,
        "applied before it was durable"),
    RED("33", one_voter_alone_does_not_wait_for_its_disk,
        "alone_status(c).commit: got 4, want 3"),
    RED("35", a_full_window_never_opens_again,
        "cluster_status(c, N2).commit: got 2, want 10"),
    RED("37", half_of_a_joint_configuration_commits,
        "raft_quorum_value(&c, (const uint64_t[]){7, 7, 7, 3, 3}): got 7, want "
        "3"),
    RED("38", half_of_the_voters_are_a_majority, "is_right"),
    RED_BY("38", "38b", half_of_the_voters_are_a_majority, "is_right"),
    RED("42", a_follower_of_another_leader_is_counted,
        "alone_status(c).commit: got 3, want 2"),
    RED("43", a_leader_with_a_hanging_disk_holds_up_all,
        "alone_status(c).commit: got 2, want 3"),
    RED("109", learners_are_counted, "alone_status(c).commit: got 3, want 2"),
    RED("112", a_commit_of_the_last_moment_is_taken_back,
        "alone_status(c).commit: got 2, want 3"),
    LAST,
};
