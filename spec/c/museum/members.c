/* members.c - museum rows 37, 55, 57, 59 to 65, 110, 111: who is a member, who
 * counts, and the way from one to the other. */
#include "museum.h"

#include <string.h>

#include "config.h"
#include "replica.h"
#include "search.h"

enum { VOTER = RAFT_ROLE_VOTER, LEARNER = RAFT_ROLE_LEARNER };
enum { NONE = RAFT_ROLE_NONE };

/* n1 leads; the last `strangers` of the nodes are no members. */
static struct cluster *led(uint32_t nodes, uint32_t strangers) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = nodes, .strangers = strangers, .seed = 1});
  CHECK(cluster_elect(c, N1));
  return c;
}

static int64_t ask(struct cluster *c, uint32_t who, uint8_t goal) {
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, who, goal);
  return cluster_change(c, N1, &target, false);
}

static bool is_settled(const struct cluster *c, uint32_t node) {
  return cluster_status(c, node).is_settled;
}

static uint32_t count(const struct cluster *c, uint32_t node) {
  return raft_config_in_force(c->nodes[node].raft, NULL)->count;
}

static uint8_t own_role(const struct cluster *c, uint32_t node) {
  const struct raft_config *now =
      raft_config_in_force(c->nodes[node].raft, NULL);
  int at = raft_config_find(now, c->nodes[node].id);
  return at < 0 ? NONE : now->members[at].role[RAFT_OLD];
}

/* All interleavings of a few steps, on the core as it is. [Raft 6] */
static void explore(struct world_bounds bounds, uint32_t depth) {
  struct search_limits limits = {.states_max = 1000000, .depth_max = depth};
  bounds.timeouts = WORLD_ANY;
  bounds.duplicates = WORLD_ANY;
  bounds.frames = WORLD_FRAMES;
  bounds.is_newest = bounds.is_paced = true;
  struct search_result r = search_run(&bounds, &limits, NULL, NULL);
  EQ_TEXT(r.broken, NULL);
  CHECK(r.states > 1000);
}

static void the_explorer_commits_by_the_old_half(void) {
  explore((struct world_bounds){.nodes = 3, .terms = 1, .changes = 1}, 20);
}

static void the_explorer_commits_by_the_new_half(void) {
  explore(
      (struct world_bounds){
          .nodes = 3, .strangers = 1, .terms = 1, .changes = 1},
      30);
}

static void the_explorer_ends_a_joint_too_early(void) {
  explore((struct world_bounds){.nodes = 3, .terms = 1, .changes = 1}, 20);
}

/* ---- steps --------------------------------------------------------------- */

static void a_change_comes_before_the_first_commit(void) {
  struct cluster *c = alone_new(4, NULL);
  for (uint32_t i = N2; i <= N4; i++)
    cluster_isolate(c, i, true);
  cluster_time_out(c, N1);
  for (int round = 0; round < 2; round++) { /* pre-vote, vote */
    alone_reply(c, N2, true);
    alone_reply(c, N3, true);
    (void)cluster_flush(c, N1);
    cluster_disk(c, N1, 9);
  }
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  EQ(ask(c, N2, NONE), RAFT_E_BUSY);
  alone_end(c);
}

/* n1 dies when all have the joint, and it is not committed. */
static void a_new_leader_leaves_a_joint_as_it_is(void) {
  struct cluster *c = led(4, 0);
  CHECK(ask(c, N4, NONE) > 0);
  (void)cluster_flush(c, N1);
  for (uint32_t i = N2; i <= N4; i++) {
    cluster_deliver(c, (uint32_t)cluster_find(c, N1, i, RAFT_MSG_APPEND));
    (void)cluster_flush(c, i);
    cluster_disk(c, i, 9);
  }
  cluster_crash(c, N1, 9);
  cluster_drop_all(c);
  cluster_run(c, 2000);
  CHECK(cluster_leader(c) > N1);
  CHECK(is_settled(c, N2));
  alone_end(c);
}

static void who_is_demoted_cannot_win_while_joint(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, LEARNER) > 0);
  (void)cluster_flush(c, N1);
  for (uint32_t i = N2; i <= N3; i++) {
    cluster_deliver(c, (uint32_t)cluster_find(c, N1, i, RAFT_MSG_APPEND));
    (void)cluster_flush(c, i);
    cluster_disk(c, i, 9);
  }
  cluster_disk(c, N1, 9);
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  EQ(cluster_restart(c, N1), RAFT_OK);
  raft_term term = cluster_status(c, N1).term + 1;
  CHECK(c->nodes[N1].deadline != UINT64_MAX);
  if (c->nodes[N1].deadline != UINT64_MAX) (void)cluster_elect(c, N1);
  EQ(c->leaders[term], N1 + 1);
  alone_end(c);
}

/* ---- who leaves ---------------------------------------------------------- */

static void a_leader_that_leaves_stops_too_early(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, NONE) > 0);
  cluster_work(c);
  cluster_run(c, 500);
  CHECK(is_settled(c, N2));
  EQ(count(c, N2), 2);
  alone_end(c);
}

static void who_was_removed_campaigns_for_ever(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N4, NONE) > 0);
  cluster_run(c, 3000); /* ten time-outs are over */
  cluster_isolate(c, N4, false);
  cluster_run(c, 1000);
  EQ(count(c, N4), 3);
  EQ(c->nodes[N4].deadline, UINT64_MAX);
  alone_end(c);
}

/* A learner is emptied after it told that it has everything. */
static void an_emptied_member_is_believed(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N4, LEARNER) > 0);
  cluster_run(c, 200);
  museum_wipe(c, N4);
  cluster_run(c, 200);
  EQ(cluster_status(c, N4).last, cluster_status(c, N1).last);
  alone_end(c);
}

static void who_comes_back_meets_its_old_state(void) {
  struct cluster *c = led(4, 0);
  CHECK(ask(c, N4, NONE) > 0);
  cluster_isolate(c, N4, true); /* it is told for ten time-outs */
  cluster_run(c, 100);
  museum_wipe(c, N4);
  CHECK(ask(c, N4, LEARNER) > 0);
  EQ(raft_find_peer(c->nodes[N1].raft, c->nodes[N4].id)->match, 0);
  cluster_isolate(c, N4, false);
  cluster_run(c, 300);
  EQ(cluster_status(c, N4).last, cluster_status(c, N1).last);
  alone_end(c);
}

/* ---- who comes ----------------------------------------------------------- */

/* One voter is to become two, and the second is not there. */
static void a_voter_without_a_log_stops_all_commits(void) {
  struct cluster *c = led(2, 1);
  cluster_isolate(c, N2, true);
  CHECK(ask(c, N2, VOTER) > 0);
  cluster_run(c, 50);
  museum_command(c, N1);
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last);
  alone_end(c);
}

static void a_new_address_makes_a_learner_a_voter(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N4, LEARNER) > 0);
  cluster_run(c, 200);
  struct raft_config target = cluster_target(c, N1);
  int at = raft_config_find(&target, c->nodes[N4].id);
  memcpy(target.members[at].address, "other:1", 8);
  CHECK(cluster_change(c, N1, &target, false) > 0);
  cluster_run(c, 500);
  target = cluster_target(c, N1);
  EQ_TEXT(target.members[at].address, "other:1");
  EQ(target.members[at].role[RAFT_OLD], LEARNER);
  alone_end(c);
}

/* n3 is away while it is made a learner, and hears of it by a snapshot. */
static struct cluster *demoted_by_a_snapshot(void) {
  struct cluster *c = led(3, 0);
  cluster_isolate(c, N3, true);
  CHECK(ask(c, N3, LEARNER) > 0);
  cluster_run(c, 100);
  CHECK(is_settled(c, N1));
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  CHECK(cluster_status(c, N1).first > cluster_status(c, N3).last + 1);
  cluster_isolate(c, N3, false);
  cluster_run(c, 300);
  EQ(cluster_status(c, N3).applied, cluster_status(c, N1).applied);
  return c;
}

static void a_voter_is_demoted_by_a_snapshot(void) {
  struct cluster *c = demoted_by_a_snapshot();
  EQ(c->seen_counts.installs, 1);
  EQ(c->nodes[N3].deadline, UINT64_MAX); /* it does not campaign */
  EQ(own_role(c, N3), LEARNER);
  alone_end(c);
}

static void a_learner_by_a_snapshot_starts_as_a_voter(void) {
  struct cluster *c = demoted_by_a_snapshot();
  cluster_crash(c, N3, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  EQ(own_role(c, N3), LEARNER);
  cluster_isolate(c, N3, true);
  cluster_run(c, 3000);
  EQ(cluster_status(c, N3).state, RAFT_FOLLOWER);
  alone_end(c);
}

const struct museum_scenario museum_members[] = {
    RED("37", the_explorer_commits_by_the_old_half,
        "committed, and not on a quorum"),
    RED("37b", the_explorer_commits_by_the_new_half,
        "committed, and not on a quorum"),
    RED("37c", the_explorer_ends_a_joint_too_early,
        "two uncommitted configurations"),
    RED("55", a_change_comes_before_the_first_commit,
        "ask(c, N2, NONE): got 3, want -4"),
    RED("57", a_new_leader_leaves_a_joint_as_it_is, "is_settled(c, N2)"),
    RED("59", a_voter_is_demoted_by_a_snapshot, "deadline: got"),
    RED("59b", a_learner_by_a_snapshot_starts_as_a_voter,
        "own_role(c, N3): got 1, want 2"),
    RED("60", who_is_demoted_cannot_win_while_joint, "deadline"),
    RED("61", a_leader_that_leaves_stops_too_early,
        "count(c, N2): got 3, want 2"),
    RED("62", who_was_removed_campaigns_for_ever,
        "count(c, N4): got 4, want 3"),
    RED("63b", an_emptied_member_is_believed, "cluster_status(c, N4).last"),
    RED("65", who_comes_back_meets_its_old_state, "match: got"),
    RED("110", a_voter_without_a_log_stops_all_commits,
        "cluster_status(c, N1).commit: got"),
    RED("111", a_new_address_makes_a_learner_a_voter,
        "target.members[at].role[RAFT_OLD]: got 1, want 2"),
    LAST,
};
