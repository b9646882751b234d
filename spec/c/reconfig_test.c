/* reconfig_test.c - a cluster changes its members: steps, who waits for whom,
 * what is refused, who leaves. [Raft 6] [Thesis 4] */
#include "alone.h"

#include <string.h>

#include "change.h"
#include "config.h"
#include "replica.h"

enum { NONE = RAFT_ROLE_NONE, VOTER = RAFT_ROLE_VOTER };
enum { LEARNER = RAFT_ROLE_LEARNER, WITNESS = RAFT_ROLE_WITNESS };

/* n1 leads; the last `strangers` of the nodes are no members. */
static struct cluster *led(uint32_t nodes, uint32_t strangers) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = nodes, .strangers = strangers, .seed = 1});
  CHECK(cluster_elect(c, N1));
  return c;
}

static const struct raft_config *config_of(const struct cluster *c,
                                           uint32_t node) {
  return raft_config_in_force(c->nodes[node].raft, NULL);
}

/* Asks `node` that another one shall have this goal. */
static int64_t ask(struct cluster *c, uint32_t node, uint32_t who,
                   uint8_t goal) {
  struct raft_config target = cluster_target(c, node);
  cluster_want(c, &target, who, goal);
  return cluster_change(c, node, &target, false);
}

static uint8_t role_of(const struct cluster *c, uint32_t node, uint32_t who) {
  const struct raft_config *config = config_of(c, node);
  int at = raft_config_find(config, c->nodes[who].id);
  return at < 0 ? NONE : config->members[at].role[RAFT_OLD];
}

static bool is_settled(const struct cluster *c, uint32_t node) {
  return cluster_status(c, node).is_settled;
}

/* ---- to the end ---------------------------------------------------------- */

static void a_voter_is_added(void) {
  struct cluster *c = led(4, 1);
  raft_index before = cluster_status(c, N1).last;
  EQ(ask(c, N1, N4, VOTER), before + 1);
  CHECK(!is_settled(c, N1));
  cluster_work(c);
  cluster_run(c, 300);
  CHECK(is_settled(c, N1));
  for (uint32_t i = N1; i <= N4; i++) {
    EQ(config_of(c, i)->count, 4);
    EQ(role_of(c, i, N4), VOTER);
    EQ(cluster_status(c, i).config_index, before + 3);
  }
  int at = raft_config_find(config_of(c, N1), c->nodes[N4].id);
  EQ(config_of(c, N1)->members[at].incarnation, c->nodes[N4].incarnation);
  cluster_isolate(c, N2, true); /* three of four are a quorum, two are not */
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last);
  cluster_isolate(c, N3, true);
  CHECK(cluster_propose(c, N1, "y") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last - 1);
  alone_end(c);
}

static void a_voter_is_removed(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, N3, NONE) > 0);
  CHECK(config_of(c, N1)->joint); /* nobody has to catch up */
  cluster_work(c);
  CHECK(is_settled(c, N1));
  EQ(config_of(c, N1)->count, 2);
  EQ(config_of(c, N3)->count, 2);        /* it was told */
  EQ(c->nodes[N3].deadline, UINT64_MAX); /* and does not campaign */
  cluster_run(c, 1000);
  EQ(cluster_leader(c), N1);
  EQ(cluster_status(c, N1).peer_count, 1);
  alone_end(c);
}

static void one_is_replaced_in_one_change(void) {
  struct cluster *c = led(4, 1);
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, N4, VOTER);
  cluster_want(c, &target, N2, NONE);
  CHECK(cluster_change(c, N1, &target, false) > 0);
  cluster_work(c);
  cluster_run(c, 300);
  CHECK(is_settled(c, N4));
  EQ(config_of(c, N1)->count, 3);
  EQ(role_of(c, N3, N4), VOTER);
  EQ(role_of(c, N2, N2), NONE);
  cluster_isolate(c, N3, true);
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last);
  alone_end(c);
}

/* [Thesis 4.2.2] it leads, not counting itself, until the end is committed. */
static void the_leader_is_removed(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, N1, NONE) > 0);
  cluster_work(c);
  CHECK(cluster_leader(c) > N1); /* it was told to take over */
  cluster_run(c, 200);
  CHECK(cluster_status(c, N1).state != RAFT_LEADER);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  EQ(config_of(c, N2)->count, 2);
  cluster_run(c, 2000);
  CHECK(cluster_leader(c) > N1);
  CHECK(is_settled(c, N2));
  alone_end(c);
}

/* The bug of a leader that counts itself though it is no voter any more. */
static void a_leader_that_leaves_does_not_count_itself(void) {
  struct cluster *c = led(3, 0);
  cluster_isolate(c, N3, true);
  CHECK(ask(c, N1, N1, NONE) > 0);
  cluster_work(c);
  /* The joint needs n2 and n3 of the new half. */
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last - 1);
  CHECK(config_of(c, N1)->joint);
  cluster_isolate(c, N3, false);
  cluster_run(c, 300);
  CHECK(is_settled(c, N2));
  EQ(config_of(c, N2)->count, 2);
  alone_end(c);
}

/* Is it what it is to be, committed or not, where that one leads? */
static bool is_at_end(const struct cluster *c, uint32_t leader, uint32_t who,
                      uint8_t goal) {
  return !config_of(c, leader)->joint && role_of(c, leader, who) == goal;
}

/* n2 is to have another role. n1 has the end of that in memory only, crashes,
 * and needs the vote of n2 again: were n2 ahead of it, n2 would refuse it and
 * never campaign itself. Found by random schedules. */
static void leads_again(uint32_t lead, uint32_t other, uint8_t role,
                        uint8_t goal) {
  struct cluster_options o = {.nodes = 2, .seed = 1, .roles = {0}};
  o.roles[other] = role;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, lead));
  CHECK(ask(c, lead, other, goal) > 0);
  for (int turn = 0; turn < 200; turn++) {
    (void)cluster_flush(c, lead);
    if (!is_at_end(c, lead, other, goal)) cluster_disk(c, lead, 9);
    if (c->packet_count > 0) cluster_deliver(c, 0);
    (void)cluster_flush(c, other);
    cluster_disk(c, other, 9);
    if (turn % 20 == 19 && !is_at_end(c, lead, other, goal)) {
      c->now += 20; /* a heartbeat: n2 is new as a peer */
      cluster_tick(c, lead);
    }
  }
  CHECK(is_at_end(c, lead, other, goal));
  cluster_crash(c, lead, 0);
  EQ(cluster_restart(c, lead), RAFT_OK);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), lead);
  CHECK(is_settled(c, lead));
  EQ(role_of(c, lead, other), goal);
  alone_end(c);
}

static void nobody_is_left_without_a_leader(uint8_t role, uint8_t goal) {
  leads_again(N1, N2, role, goal);
  leads_again(N2, N1, role, goal);
}

static void who_never_campaigns_is_never_ahead(void) {
  nobody_is_left_without_a_leader(VOTER, NONE);
  nobody_is_left_without_a_leader(VOTER, LEARNER);
  nobody_is_left_without_a_leader(VOTER, WITNESS);
  nobody_is_left_without_a_leader(LEARNER, WITNESS);
  nobody_is_left_without_a_leader(WITNESS, NONE);
}

/* [Thesis 4.2.2] a leader that leaves has the only copy of the end, and starts
 * again: it has to lead once more, by the votes of the others alone; and where
 * it is a witness now they need its own. */
static void who_leaves_leads_once_more(uint8_t goal) {
  struct cluster *c = led(2, 0);
  CHECK(ask(c, N1, N1, goal) > 0);
  for (int turn = 0; turn < 50; turn++) {
    (void)cluster_flush(c, N1);
    if (!config_of(c, N1)->joint) break;
    cluster_disk(c, N1, 9);
    if (c->packet_count > 0) cluster_deliver(c, 0);
    (void)cluster_flush(c, N2);
    cluster_disk(c, N2, 9);
  }
  CHECK(!config_of(c, N1)->joint);
  CHECK(config_of(c, N2)->joint);
  cluster_crash(c, N1, 9);
  cluster_drop_all(c);
  EQ(cluster_restart(c, N1), RAFT_OK);
  CHECK(c->nodes[N1].deadline != UINT64_MAX);
  cluster_isolate(c, N1, true);
  cluster_run(c, 1000);
  EQ(cluster_leader(c), -1); /* it does not count itself */
  cluster_isolate(c, N1, false);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N2);
  CHECK(is_settled(c, N2));
  EQ(config_of(c, N2)->count, goal == NONE ? 1 : 2);
  EQ(c->nodes[N1].deadline, UINT64_MAX); /* it knows that it may rest */
  alone_end(c);
}

static void who_leaves_may_have_to_lead(void) {
  who_leaves_leads_once_more(NONE);
  who_leaves_leads_once_more(LEARNER);
  who_leaves_leads_once_more(WITNESS);
}

/* A leader that is on its way out takes nothing more: behind the entry that
 * says so it would have what n2 lacks, and n2 may need its vote, or that of a
 * witness which has that too. Once that entry is compacted it would not know
 * that it has to lead once more. Found by random schedules. */
static void what_a_leader_that_leaves_takes(uint8_t goal) {
  struct cluster *c = led(3, 1);
  CHECK(ask(c, N1, N1, goal) > 0);
  uint32_t refused = 0, asked = 0;
  for (int turn = 0; turn < 100 && asked == 0; turn++) {
    (void)cluster_flush(c, N1);
    cluster_disk(c, N1, 9);
    int64_t index = cluster_propose(c, N1, "x");
    if (config_of(c, N1)->joint)
      CHECK(index > 0);
    else
      EQ(index, RAFT_E_BUSY);
    EQ(cluster_status(c, N1).is_leaving, !config_of(c, N1)->joint);
    refused += index == RAFT_E_BUSY;
    if (c->packet_count > 0) cluster_deliver(c, 0);
    if (is_settled(c, N1)) { /* and it has not handed over yet */
      EQ(ask(c, N1, N3, LEARNER), RAFT_E_BUSY);
      asked++;
    }
    (void)cluster_flush(c, N2);
    cluster_disk(c, N2, 9);
  }
  CHECK(refused > 0);
  CHECK(is_settled(c, N1));
  EQ(cluster_status(c, N1).last, cluster_status(c, N1).config_index);
  EQ(asked, 1);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N2);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  alone_end(c);
}

static void a_leader_that_leaves_takes_nothing_more(void) {
  what_a_leader_that_leaves_takes(NONE);
  what_a_leader_that_leaves_takes(LEARNER);
  what_a_leader_that_leaves_takes(WITNESS);
}

/* Nobody can take over: it stops all the same, and the others elect. */
static void a_leader_that_leaves_stops_when_nobody_comes(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, N1, NONE) > 0);
  for (int turn = 0; turn < 100; turn++) {
    for (uint32_t i = N1; i <= N3; i++) {
      (void)cluster_flush(c, i);
      cluster_disk(c, i, 9);
    }
    if (cluster_status(c, N1).heir != 0) break;
    if (c->packet_count > 0) cluster_deliver(c, 0);
  }
  CHECK(is_settled(c, N1));
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  CHECK(cluster_status(c, N1).heir != 0);
  EQ(cluster_propose(c, N1, "x"), RAFT_E_BUSY);
  cluster_isolate(c, N1, true);
  cluster_drop_all(c);
  c->now += 200; /* one election time-out */
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  cluster_run(c, 1000);
  CHECK(cluster_leader(c) > N1);
  alone_end(c);
}

static void the_leader_becomes_a_learner(void) {
  struct cluster *c = led(4, 0);
  CHECK(ask(c, N1, N1, LEARNER) > 0);
  cluster_work(c);
  cluster_run(c, 500);
  CHECK(cluster_leader(c) > N1);
  EQ(role_of(c, N1, N1), LEARNER);
  CHECK(cluster_propose(c, (uint32_t)cluster_leader(c), "x") > 0);
  cluster_run(c, 100);
  EQ(cluster_status(c, N1).last, cluster_status(c, N2).last);
  alone_end(c);
}

static void a_learner_counts_nowhere(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N1, N4, LEARNER) > 0);
  CHECK(raft_change_is_settled(config_of(c, N1))); /* in one step */
  cluster_work(c);
  cluster_run(c, 300);
  EQ(cluster_status(c, N4).last, cluster_status(c, N1).last);
  EQ(c->nodes[N4].deadline, UINT64_MAX); /* no elections for it */
  cluster_isolate(c, N2, true);
  cluster_isolate(c, N3, true);
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N4).last, cluster_status(c, N1).last);
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last - 1);
  alone_end(c);
}

/* One alone becomes three in one change, and one again. */
static void one_becomes_three(void) {
  struct cluster *c = led(3, 2);
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, N2, VOTER);
  cluster_want(c, &target, N3, VOTER);
  CHECK(cluster_change(c, N1, &target, false) > 0);
  cluster_run(c, 500);
  CHECK(is_settled(c, N3));
  target = cluster_target(c, N1);
  cluster_want(c, &target, N1, NONE);
  cluster_want(c, &target, N2, NONE);
  CHECK(cluster_change(c, N1, &target, false) > 0);
  cluster_run(c, 1000);
  EQ(cluster_leader(c), N3);
  EQ(config_of(c, N3)->count, 1);
  CHECK(cluster_propose(c, N3, "x") > 0);
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).commit, cluster_status(c, N3).last);
  alone_end(c);
}

/* ---- who waits for whom -------------------------------------------------- */

/* A voter of the new half alone may lead while joint: it is not leaving. */
static void who_comes_may_lead_while_joint(void) {
  struct cluster *c = led(2, 1);
  CHECK(ask(c, N1, N2, VOTER) > 0);
  for (int turn = 0; turn < 300 && !config_of(c, N2)->joint; turn++) {
    (void)cluster_flush(c, N1);
    cluster_disk(c, N1, 9);
    if (c->packet_count > 0) cluster_deliver(c, 0);
    (void)cluster_flush(c, N2);
    cluster_disk(c, N2, 9);
    if (turn % 20 == 19) {
      c->now += 20;
      cluster_tick(c, N1);
    }
  }
  CHECK(config_of(c, N2)->joint);
  cluster_crash(c, N1, 9);
  cluster_drop_all(c);
  EQ(cluster_restart(c, N1), RAFT_OK);
  CHECK(config_of(c, N1)->joint);
  cluster_time_out(c, N2);
  for (int turn = 0; turn < 100; turn++) {
    (void)cluster_flush(c, N2);
    cluster_disk(c, N2, 9);
    if (cluster_status(c, N2).state == RAFT_LEADER) break;
    if (c->packet_count > 0) cluster_deliver(c, 0);
    (void)cluster_flush(c, N1);
    cluster_disk(c, N1, 9);
  }
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  CHECK(config_of(c, N2)->joint);
  CHECK(!cluster_status(c, N2).is_leaving);
  CHECK(cluster_propose(c, N2, "x") > 0);
  cluster_run(c, 500);
  CHECK(is_settled(c, N2));
  alone_end(c);
}

/* O11: who does not catch up is not promoted, and can be taken back. */
static void who_does_not_catch_up_is_no_voter(void) {
  struct cluster *c = led(4, 1);
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N1, N4, VOTER) > 0);
  cluster_run(c, 3000);
  EQ(role_of(c, N1, N4), LEARNER);
  CHECK(!config_of(c, N1)->joint);
  CHECK(!is_settled(c, N1));
  EQ(ask(c, N1, N2, NONE), RAFT_E_BUSY);
  CHECK(ask(c, N1, N4, NONE) > 0); /* given up */
  cluster_run(c, 100);
  CHECK(is_settled(c, N1));
  EQ(config_of(c, N1)->count, 3);
  alone_end(c);
}

/* [Thesis 4.2.1] a lap that lasts as long as an election time-out is too long:
 * others are added meanwhile. */
/* Also where it is the first of the members. */
static void who_is_not_there_is_no_voter_at_any_place(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 4, .seed = 1});
  uint32_t who = N1;
  while (raft_config_find(&c->config, c->nodes[who].id) != 0)
    who++;
  uint32_t leader = who == N1 ? N2 : N1;
  CHECK(cluster_elect(c, leader));
  CHECK(ask(c, leader, who, NONE) > 0);
  cluster_run(c, 300);
  CHECK(is_settled(c, leader));
  cluster_isolate(c, who, true);
  CHECK(ask(c, leader, who, VOTER) > 0);
  cluster_run(c, 100);
  EQ(raft_config_find(config_of(c, leader), c->nodes[who].id), 0);
  CHECK(!config_of(c, leader)->joint);
  EQ(role_of(c, leader, who), LEARNER);
  alone_end(c);
}

static void what_is_so_already_is_answered_with_its_index(void) {
  struct cluster *c = led(3, 0);
  raft_index last = cluster_status(c, N1).last;
  EQ(ask(c, N1, N3, VOTER), cluster_status(c, N1).config_index);
  EQ(cluster_status(c, N1).last, last);
  alone_end(c);
}

static void laps_must_become_short(void) {
  struct cluster *c = led(4, 1);
  for (int i = 0; i < 40; i++)
    CHECK(cluster_propose(c, N1, "some bytes, so that it takes several") > 0);
  cluster_work(c);
  CHECK(ask(c, N1, N4, VOTER) > 0);
  c->nodes[N4].is_disk_held = true;
  for (int i = 0; i < 10; i++) {
    cluster_run(c, 120); /* longer than 100: the minimum */
    CHECK(!config_of(c, N1)->joint);
    (void)cluster_propose(c, N1, "and more meanwhile");
    cluster_disk(c, N4, 1);
  }
  c->nodes[N4].is_disk_held = false;
  cluster_disk(c, N4, RAFT_STORES_MAX);
  cluster_run(c, 500);
  CHECK(is_settled(c, N1));
  EQ(role_of(c, N1, N4), VOTER);
  alone_end(c);
}

/* Who was emptied while it caught up has nothing of what it told. [etcd #8935]
 */
static void another_directory_starts_over(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N1, N4, LEARNER) > 0);
  cluster_run(c, 200);
  struct raft *r = c->nodes[N1].raft;
  struct raft_progress *p = raft_find_peer(r, c->nodes[N4].id);
  EQ(p->match, r->log.last);
  EQ(p->incarnation, c->nodes[N4].incarnation);
  c->nodes[N4].incarnation = 999;
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = r->term};
  m.append_reply.index = r->log.last; /* does not fit: there is nothing */
  EQ(cluster_receive(c, N1, N4, &m), RAFT_OK);
  EQ(p->match, 0);
  EQ(p->incarnation, 999);
  alone_end(c);
}

/* In a joint the directory is written down, and no other counts. */
static void the_directory_that_caught_up_is_meant(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N1, N4, VOTER) > 0);
  cluster_run(c, 300);
  CHECK(is_settled(c, N1));
  struct raft *r = c->nodes[N1].raft;
  raft_index match = raft_find_peer(r, c->nodes[N4].id)->match;
  c->nodes[N4].incarnation = 999;
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = r->term};
  m.append_reply.index = 1;
  EQ(cluster_receive(c, N1, N4, &m), RAFT_OK);
  EQ(raft_find_peer(r, c->nodes[N4].id)->match, match);
  alone_end(c);
}

/* A new leader goes on with what it finds. [Thesis 4.3] */
static void a_new_leader_goes_on(void) {
  for (int joint = 0; joint <= 1; joint++) {
    struct cluster *c = led(5, 1);
    if (joint) {
      CHECK(ask(c, N1, N4, NONE) > 0);
    } else {
      cluster_isolate(c, N5, true);
      CHECK(ask(c, N1, N5, VOTER) > 0);
    }
    for (uint32_t i = N2; i <= N4; i++) { /* they have it, and n1 dies */
      (void)cluster_flush(c, N1);
      int at = cluster_find(c, N1, i, RAFT_MSG_APPEND);
      CHECK(at >= 0);
      cluster_deliver(c, (uint32_t)at);
      (void)cluster_flush(c, i);
      cluster_disk(c, i, 9);
    }
    cluster_crash(c, N1, 9);
    cluster_drop_all(c);
    EQ(config_of(c, N2)->joint, joint);
    cluster_isolate(c, N5, false);
    cluster_run(c, 2000);
    CHECK(cluster_leader(c) > N1);
    CHECK(is_settled(c, N2));
    EQ(role_of(c, N2, N5), joint ? NONE : VOTER);
    EQ(role_of(c, N2, N4), joint ? NONE : VOTER);
    alone_end(c);
  }
}

/* Nothing is appended before an entry of our own term is committed: the bug of
 * two leaders that remove one each. [Ongaro 2015] (O2) */
static void no_change_before_the_first_commit(void) {
  struct cluster *c = alone_new(4, NULL);
  for (uint32_t i = N2; i <= N4; i++)
    cluster_isolate(c, i, true);
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  alone_reply(c, N3, true);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  alone_reply(c, N2, true);
  alone_reply(c, N3, true);
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  EQ(ask(c, N1, N2, NONE), RAFT_E_BUSY);
  EQ(cluster_status(c, N1).config_index, 1);
  alone_end(c);
}

/* ---- what is refused ----------------------------------------------------- */

/* The disk is full: a change is refused, and one under way waits. */
static void no_change_without_room(void) {
  struct cluster *c = led(4, 1);
  struct raft_event ev = {.kind = RAFT_EV_CHANGE};
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE); /* to what? */
  struct raft_event full = {.kind = RAFT_EV_SPACE, .has_space = false};
  EQ(cluster_step(c, N1, &full), RAFT_OK);
  EQ(ask(c, N1, N4, VOTER), RAFT_E_NO_SPACE);
  full.has_space = true;
  EQ(cluster_step(c, N1, &full), RAFT_OK);
  CHECK(ask(c, N1, N4, VOTER) > 0);
  full.has_space = false;
  EQ(cluster_step(c, N1, &full), RAFT_OK);
  cluster_run(c, 50);
  EQ(role_of(c, N1, N4), LEARNER); /* it has caught up */
  CHECK(!is_settled(c, N1));
  full.has_space = true;
  EQ(cluster_step(c, N1, &full), RAFT_OK);
  cluster_run(c, 500);
  CHECK(is_settled(c, N1));
  EQ(role_of(c, N1, N4), VOTER);
  alone_end(c);
}

static void who_saw_another_configuration_is_refused(void) {
  struct cluster *c = led(4, 0);
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, N4, NONE);
  CHECK(ask(c, N1, N3, NONE) > 0);
  struct raft_event ev = {.kind = RAFT_EV_CHANGE};
  ev.change.target = &target;
  ev.change.based_on = 1;
  EQ(cluster_step(c, N1, &ev), RAFT_E_CHANGED);
  EQ(cluster_change(c, N1, &target, false), RAFT_E_BUSY); /* not committed */
  cluster_run(c, 100);
  EQ(cluster_step(c, N1, &ev), RAFT_E_CHANGED);
  EQ(config_of(c, N1)->count, 3);
  alone_end(c);
}

static void what_would_have_no_quorum_is_refused(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N3, true);
  cluster_run(c, 300);
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, N2, NONE);
  cluster_want(c, &target, N4, NONE); /* n1 and n3 are left */
  EQ(cluster_change(c, N1, &target, false), RAFT_E_NO_QUORUM);
  int at = raft_config_find(&target, c->nodes[N3].id);
  EQ(raft_change_missing(c->nodes[N1].raft, &target), 1u << at);
  EQ(raft_change_missing(c->nodes[N2].raft, &target), 0); /* knows nothing */
  EQ(cluster_status(c, N1).config_index, 1);
  CHECK(cluster_change(c, N1, &target, true) > 0); /* if it must be */
  CHECK(config_of(c, N1)->joint);
  alone_end(c);
}

/* Whom nobody has seen yet may come. */
static void who_comes_is_believed_to_be_there(void) {
  struct cluster *c = led(3, 2);
  cluster_isolate(c, N2, true);
  EQ(ask(c, N1, N2, VOTER) > 0, true);
  alone_end(c);
}

static void a_follower_asks_its_leader(void) {
  struct cluster *c = led(4, 1);
  EQ(ask(c, N2, N4, VOTER), 0);
  cluster_run(c, 300);
  EQ(c->forwarded.code, RAFT_OK);
  EQ(c->forwarded.token, c->next_token);
  CHECK(c->forwarded.index > 0);
  EQ(c->forwarded.missing, 0);
  CHECK(is_settled(c, N2));
  EQ(config_of(c, N2)->count, 4);
  cluster_isolate(c, N3, true);
  cluster_isolate(c, N4, true);
  c->cut[N2][N1] = false;
  cluster_run(c, 250);
  alone_end(c);
}

static void a_follower_hears_why_not(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N3, true);
  cluster_run(c, 300);
  struct raft_config target = cluster_target(c, N2);
  cluster_want(c, &target, N1, NONE);
  cluster_want(c, &target, N4, NONE); /* n2 and n3 are left */
  EQ(cluster_change(c, N2, &target, false), 0);
  cluster_run(c, 50);
  EQ(c->forwarded.code, RAFT_E_NO_QUORUM);
  int at = raft_config_find(&target, c->nodes[N3].id);
  EQ(c->forwarded.missing, 1u << at);
  target.members[0].address[0] = ' '; /* nobody is asked */
  EQ(cluster_change(c, N2, &target, false), RAFT_E_BAD_CONFIG);
  EQ(cluster_change(c, N3, &target, false), RAFT_E_NO_LEADER);
  alone_end(c);
}

/* ---- who leaves ---------------------------------------------------------- */

/* It was not there when it was removed; it asks for votes, and is told. */
static void who_was_removed_is_told_when_it_asks(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N1, N4, NONE) > 0);
  cluster_run(c, 3000); /* ten time-outs are over */
  CHECK(is_settled(c, N1));
  EQ(cluster_status(c, N1).peer_count, 2);
  raft_term term = cluster_status(c, N1).term;
  EQ(config_of(c, N4)->count, 4);
  cluster_isolate(c, N4, false);
  cluster_run(c, 1000);
  EQ(config_of(c, N4)->count, 3);
  EQ(c->nodes[N4].deadline, UINT64_MAX);
  EQ(cluster_status(c, N1).peer_count, 2);
  EQ(cluster_status(c, N1).term, term); /* and disturbed nobody */
  alone_end(c);
}

/* Who left and comes back under the same name is a new one. [ra #528] */
static void who_comes_back_starts_over(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N1, N4, NONE) > 0);
  cluster_run(c, 100);
  CHECK(is_settled(c, N1));
  EQ(cluster_status(c, N1).peer_count, 3); /* n4 is leaving */
  struct raft *r = c->nodes[N1].raft;
  CHECK(raft_find_peer(r, c->nodes[N4].id)->match > 0);
  CHECK(ask(c, N1, N4, VOTER) > 0);
  EQ(raft_find_peer(r, c->nodes[N4].id)->match, 0);
  EQ(cluster_status(c, N1).peer_count, 3);
  cluster_isolate(c, N4, false);
  cluster_run(c, 500);
  CHECK(is_settled(c, N1));
  EQ(role_of(c, N4, N4), VOTER);
  alone_end(c);
}

/* ---- elections meanwhile ------------------------------------------------- */

/* A member whose own log does not say yet that it votes must vote. [etcd
 * #10998] */
static void who_does_not_know_that_it_votes_votes(void) {
  struct cluster *c = led(4, 1);
  CHECK(ask(c, N1, N4, LEARNER) > 0);
  cluster_run(c, 200);
  EQ(role_of(c, N4, N4), LEARNER);
  struct raft_message m = {.kind = RAFT_MSG_VOTE, .term = 9};
  m.vote.for_term = 9;
  m.vote.last_index = 99;
  m.vote.last_term = 8;
  m.vote.round = 1;
  c->now += 1000; /* no leader is heard any more */
  EQ(cluster_receive(c, N4, N2, &m), RAFT_OK);
  EQ(cluster_status(c, N4).vote, c->nodes[N2].id);
  alone_end(c);
}

/* One that is to leave, or to be a learner, may still win while it is joint, by
 * the old half and without itself by the new. [scylla #10618] */
static void who_is_demoted_may_win_while_joint(void) {
  struct cluster *c = led(3, 0);
  CHECK(ask(c, N1, N1, LEARNER) > 0);
  CHECK(config_of(c, N1)->joint);
  cluster_drop_all(c);
  (void)cluster_flush(c, N1);
  for (uint32_t i = N2; i <= N3; i++) { /* all have the joint */
    cluster_deliver(c, (uint32_t)cluster_find(c, N1, i, RAFT_MSG_APPEND));
    (void)cluster_flush(c, i);
    cluster_disk(c, i, 9);
  }
  cluster_disk(c, N1, 9);
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  (void)cluster_restart(c, N1);
  CHECK(config_of(c, N1)->joint);
  raft_term term = cluster_status(c, N1).term + 1;
  (void)cluster_elect(c, N1); /* it does not stay */
  EQ(c->leaders[term], N1 + 1);
  cluster_run(c, 1000);
  CHECK(cluster_leader(c) > N1);
  CHECK(is_settled(c, N2));
  EQ(role_of(c, N2, N1), LEARNER);
  alone_end(c);
}

/* A configuration that was cut off takes its promotion back. */
static void what_is_truncated_is_not_in_force(void) {
  struct cluster *c = led(3, 0);
  cluster_isolate(c, N1, true);
  CHECK(ask(c, N1, N3, NONE) > 0);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  CHECK(config_of(c, N1)->joint);
  cluster_run(c, 1000);
  CHECK(cluster_leader(c) > N1);
  cluster_isolate(c, N1, false);
  cluster_run(c, 500);
  CHECK(!config_of(c, N1)->joint);
  EQ(cluster_status(c, N1).config_index, 1);
  EQ(config_of(c, N1)->count, 3);
  CHECK(c->nodes[N1].deadline != UINT64_MAX);
  alone_end(c);
}

/* The longer patience counts until the shorter one is committed. */
static void patience_shrinks_with_the_commit(void) {
  struct cluster *c = led(3, 0);
  struct raft_config target = cluster_target(c, N1);
  target.election_min_ms = 40;
  CHECK(cluster_change(c, N1, &target, false) > 0);
  EQ(config_of(c, N1)->election_min_ms, 40);
  EQ(raft_election_min(c->nodes[N1].raft), 100);
  cluster_run(c, 50);
  CHECK(is_settled(c, N1));
  EQ(raft_election_min(c->nodes[N1].raft), 40);
  EQ(raft_election_min(c->nodes[N2].raft), 40);
  alone_end(c);
}

int main(void) {
  CASE(a_voter_is_added);
  CASE(a_voter_is_removed);
  CASE(one_is_replaced_in_one_change);
  CASE(the_leader_is_removed);
  CASE(a_leader_that_leaves_does_not_count_itself);
  CASE(who_leaves_may_have_to_lead);
  CASE(a_leader_that_leaves_takes_nothing_more);
  CASE(who_never_campaigns_is_never_ahead);
  CASE(a_leader_that_leaves_stops_when_nobody_comes);
  CASE(the_leader_becomes_a_learner);
  CASE(a_learner_counts_nowhere);
  CASE(one_becomes_three);
  CASE(who_comes_may_lead_while_joint);
  CASE(who_does_not_catch_up_is_no_voter);
  CASE(who_is_not_there_is_no_voter_at_any_place);
  CASE(what_is_so_already_is_answered_with_its_index);
  CASE(laps_must_become_short);
  CASE(another_directory_starts_over);
  CASE(the_directory_that_caught_up_is_meant);
  CASE(a_new_leader_goes_on);
  CASE(no_change_before_the_first_commit);
  CASE(no_change_without_room);
  CASE(who_saw_another_configuration_is_refused);
  CASE(what_would_have_no_quorum_is_refused);
  CASE(who_comes_is_believed_to_be_there);
  CASE(a_follower_asks_its_leader);
  CASE(a_follower_hears_why_not);
  CASE(who_was_removed_is_told_when_it_asks);
  CASE(who_comes_back_starts_over);
  CASE(who_does_not_know_that_it_votes_votes);
  CASE(who_is_demoted_may_win_while_joint);
  CASE(what_is_truncated_is_not_in_force);
  CASE(patience_shrinks_with_the_commit);
  return test_end();
}
