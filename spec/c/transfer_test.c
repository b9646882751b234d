/* transfer_test.c - who is told to take over: one that may lead, is there, and
 * has everything. [Thesis 3.10] */
#include "alone.h"

static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

/* n1 is asked to hand over; `to` is a position, N1 is "to anybody". */
static int64_t transfer(struct cluster *c, uint32_t to) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  if (to != N1) ev.transfer = c->nodes[to].id;
  int64_t rc = cluster_step(c, N1, &ev);
  (void)cluster_flush(c, N1);
  return rc;
}

/* Who was told, as bits of positions. */
static uint32_t told(const struct cluster *c) {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (cluster_find(c, N1, i, RAFT_MSG_TIMEOUT_NOW) >= 0) mask |= 1u << i;
  return mask;
}

/* Only n1 and the nodes of the mask get the next command. */
static void propose_to(struct cluster *c, uint32_t mask) {
  for (uint32_t i = 1; i < c->count; i++)
    if ((mask >> i & 1u) == 0) cluster_isolate(c, i, true);
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  for (uint32_t i = 1; i < c->count; i++)
    cluster_isolate(c, i, false);
}

static void the_one_that_has_everything_is_told(void) {
  for (uint32_t heir = N2; heir <= N5; heir++) {
    struct cluster *c = leader_of(5);
    propose_to(c, 1u << heir);
    EQ(transfer(c, N1), RAFT_OK);
    EQ(told(c), 1u << heir);
    alone_end(c);
  }
}

static void only_the_one_that_was_named_is_told(void) {
  for (uint32_t heir = N2; heir <= N5; heir++) {
    struct cluster *c = leader_of(5);
    EQ(transfer(c, heir), RAFT_OK);
    EQ(told(c), 1u << heir);
    alone_end(c);
  }
}

/* n1 is the first member in the order of ids. */
static void the_first_member_may_be_told_too(void) {
  struct cluster *c = alone_new(5, NULL);
  CHECK(cluster_elect(c, N2));
  EQ(c->config.members[0].id, c->nodes[N1].id);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer = c->nodes[N1].id;
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  (void)cluster_flush(c, N2);
  CHECK(cluster_find(c, N2, N1, RAFT_MSG_TIMEOUT_NOW) >= 0);
  alone_end(c);
}

static void who_lacks_an_entry_must_wait(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_E_BUSY);
  EQ(told(c), 0);
  alone_end(c);
}

static void a_learner_is_no_heir(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 4, .seed = 1, .roles = {0, RAFT_ROLE_LEARNER}});
  CHECK(cluster_elect(c, N1));
  propose_to(c, 1u << N2);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N1), RAFT_E_BUSY); /* the others may, and lack an entry */
  EQ(told(c), 0);
  alone_end(c);
}

/* It has to have spoken within one time-out. */
static void who_is_silent_is_no_heir(void) {
  struct cluster *c = leader_of(2);
  raft_ms heard = alone_status(c).peers[0].heard;
  c->now = heard + 99;
  EQ(transfer(c, N1), RAFT_OK);
  c->now = heard + 100;
  EQ(transfer(c, N1), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  alone_end(c);
}

static void nobody_is_no_heir(void) {
  struct cluster *c = leader_of(3);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER, .transfer = 77};
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED);
  ev.transfer = 0;
  EQ(cluster_step(c, N2, &ev), RAFT_E_NOT_LEADER);
  alone_end(c);
}

int main(void) {
  CASE(the_one_that_has_everything_is_told);
  CASE(only_the_one_that_was_named_is_told);
  CASE(the_first_member_may_be_told_too);
  CASE(who_lacks_an_entry_must_wait);
  CASE(a_learner_is_no_heir);
  CASE(who_is_silent_is_no_heir);
  CASE(nobody_is_no_heir);
  return test_end();
}
