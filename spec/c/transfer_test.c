/* transfer_test.c - who is told to take over: one that may lead, is there, and
 * has everything; and what ends a transfer. [Thesis 3.10] */
#include "alone.h"

#include "config.h"
#include "crc32c.h"
#include "replica.h"

static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

/* n1 is asked to hand over; `to` is a position, N1 is "to anybody". */
static int64_t transfer(struct cluster *c, uint32_t to) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  if (to != N1) ev.transfer.to = c->nodes[to].id;
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
  ev.transfer.to = c->nodes[N1].id;
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  (void)cluster_flush(c, N2);
  CHECK(cluster_find(c, N2, N1, RAFT_MSG_TIMEOUT_NOW) >= 0);
  alone_end(c);
}

/* [Thesis 3.10] what it lacks is sent first; meanwhile there are no others. */
static void who_lacks_an_entry_is_told_once_it_has_it(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_OK);
  EQ(told(c), 0);
  EQ(alone_status(c).heir, c->nodes[N3].id);
  EQ(cluster_propose(c, N1, "y"), RAFT_E_BUSY);
  EQ(alone_status(c).last, 3);
  raft_term term = alone_status(c).term;
  cluster_run(c, 60); /* a heartbeat finds out what n3 lacks */
  EQ(cluster_status(c, N3).state, RAFT_LEADER);
  EQ(cluster_status(c, N3).term, term + 1);
  EQ(alone_status(c).heir, 0);
  alone_end(c);
}

/* A follower's commands are told to come again, and come then. */
static void a_forward_meanwhile_is_busy(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_OK);
  EQ(cluster_forward(c, N2, "y"), RAFT_OK);
  (void)cluster_flush(c, N2);
  cluster_deliver(c, (uint32_t)cluster_find(c, N2, N1, RAFT_MSG_PROPOSE));
  (void)cluster_flush(c, N1);
  cluster_deliver(c, (uint32_t)cluster_find(c, N1, N2, RAFT_MSG_PROPOSE_REPLY));
  (void)cluster_flush(c, N2);
  EQ(c->forwarded.code, RAFT_E_BUSY);
  alone_end(c);
}

/* [Thesis 3.10] it is given up after one election time-out. */
static void an_heir_that_does_not_come_is_given_up(void) {
  struct cluster *c = leader_of(3);
  EQ(transfer(c, N2), RAFT_OK);
  EQ(told(c), 1u << N2);
  cluster_isolate(c, N2, true);
  raft_ms begin = c->now;
  cluster_drop_all(c);
  cluster_run(c, 199);
  EQ(c->now, begin + 199);
  EQ(alone_status(c).heir, c->nodes[N2].id);
  EQ(cluster_propose(c, N1, "y"), RAFT_E_BUSY);
  cluster_run(c, 1);
  EQ(alone_status(c).heir, 0);
  EQ(alone_status(c).state, RAFT_LEADER);
  CHECK(cluster_propose(c, N1, "y") > 0);
  cluster_work(c);
  EQ(alone_status(c).commit, 3);
  alone_end(c);
}

/* So that nobody has to tick for anything else then. */
static void its_end_is_a_deadline(void) {
  struct cluster *c = leader_of(3);
  cluster_run(c, 10);
  EQ(transfer(c, N2), RAFT_OK);
  c->nodes[N1].raft->heartbeat_due += 1000;
  (void)cluster_flush(c, N1);
  EQ(c->nodes[N1].deadline, c->now + 200);
  c->nodes[N1].raft->heartbeat_due -= 1000;
  alone_end(c);
}

static void to_ask_again_changes_nothing(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_OK);
  raft_ms due = c->nodes[N1].raft->heir_due;
  c->now += 10;
  EQ(transfer(c, N3), RAFT_OK);
  EQ(transfer(c, N1), RAFT_OK); /* to anybody: that is under way */
  EQ(c->nodes[N1].raft->heir_due, due);
  EQ(alone_status(c).heir, c->nodes[N3].id);
  alone_end(c);
}

/* To name another one replaces the heir, but not one that was told: both would
 * campaign. */
static void another_heir_replaces_one_that_was_not_told(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_OK);
  EQ(transfer(c, N2), RAFT_OK);
  EQ(told(c), 1u << N2);
  EQ(transfer(c, N3), RAFT_E_BUSY);
  EQ(alone_status(c).heir, c->nodes[N2].id);
  alone_end(c);
}

static void a_later_term_ends_it(void) {
  struct cluster *c = leader_of(3);
  propose_to(c, 1u << N2);
  EQ(transfer(c, N3), RAFT_OK);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = 9};
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  EQ(alone_status(c).heir, 0);
  EQ(c->nodes[N1].raft->heir_due, RAFT_NEVER);
  alone_end(c);
}

/* By a configuration without it, or where it is no voter any more. */
static void its_removal_ends_it(void) {
  for (int how = 0; how < 3; how++) {
    struct cluster *c = leader_of(3);
    propose_to(c, 1u << N2);
    EQ(transfer(c, N3), RAFT_OK);
    struct raft *r = c->nodes[N1].raft;
    int at = raft_config_find(&r->config, c->nodes[N3].id);
    struct raft_member *m = &r->config.members[at];
    struct raft_member before = *m;
    if (how == 0) m->role[RAFT_NEW] = RAFT_ROLE_NONE;
    if (how == 1) m->role[RAFT_NEW] = RAFT_ROLE_WITNESS;
    if (how == 2) m->goal = RAFT_ROLE_LEARNER;
    raft_emit_transfer(r);
    EQ(r->heir, 0);
    *m = before;
    alone_end(c);
  }
}

/* What it says in its answers; n1 hears it with the very next one. */
static void who_avoids_it_is_no_heir(void) {
  struct cluster *c = leader_of(3);
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = true};
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  cluster_work(c);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N1), RAFT_OK);
  EQ(told(c), 1u << N3);
  alone_end(c);
}

/* Whoever will lead hears of it with the first answer. */
static void who_follows_nobody_owes_no_answer(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = true};
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  EQ(c->nodes[N1].raft->leader, 0);
  CHECK(!c->nodes[N1].raft->ack.is_prompt);
  EQ(alone_append(c, N2, &(struct alone_append){1, 1, 1, 1, 0, NULL, 0}), 0);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(m.append_reply.flags, RAFT_REPLY_AVOID);
  alone_end(c);
}

static void who_does_not_avoid_it_any_more_is_one(void) {
  struct cluster *c = leader_of(2);
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = true};
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  EQ(cluster_step(c, N2, &ev), RAFT_OK); /* no news: no second answer */
  cluster_work(c);
  EQ(transfer(c, N1), RAFT_E_UNSUPPORTED);
  ev.avoid = false;
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  cluster_work(c);
  EQ(transfer(c, N1), RAFT_OK);
  alone_end(c);
}

/* Also where the disk is stalled, which is a reason to avoid it. */
static void a_stalled_disk_does_not_keep_it_silent(void) {
  struct cluster *c = leader_of(3);
  c->nodes[N2].is_disk_held = true;
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  cluster_run(c, 30); /* n2 knows that 3 is committed, and has not written it */
  EQ(cluster_status(c, N2).commit, 3);
  EQ(cluster_status(c, N2).stored, 2);
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = true};
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  cluster_work(c);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  alone_end(c);
}

/* The leader did not know when it told it. */
static void who_avoids_it_does_not_follow_the_wish(void) {
  struct cluster *c = leader_of(3);
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = true};
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  EQ(transfer(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, N2).state, RAFT_FOLLOWER);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

/* n2 wishes it; it hears what n1 says to that. */
static int wish(struct cluster *c, raft_id to) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = to;
  ev.transfer.token = 5;
  c->forwarded.token = 0;
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  (void)cluster_flush(c, N2);
  cluster_deliver(c, (uint32_t)cluster_find(c, N2, N1, RAFT_MSG_PROPOSE));
  (void)cluster_flush(c, N1);
  int reply = cluster_find(c, N1, N2, RAFT_MSG_PROPOSE_REPLY);
  CHECK(reply >= 0);
  cluster_deliver(c, (uint32_t)reply);
  (void)cluster_flush(c, N2);
  EQ(c->forwarded.token, 5);
  return c->forwarded.code;
}

static void a_follower_may_wish_it(void) {
  struct cluster *c = leader_of(3);
  EQ(wish(c, c->nodes[N3].id), RAFT_OK);
  EQ(alone_status(c).last, 2); /* it is in no log */
  EQ(told(c), 1u << N3);
  cluster_work(c);
  EQ(cluster_status(c, N3).state, RAFT_LEADER);
  alone_end(c);
}

static void a_wish_is_refused_as_an_event_is(void) {
  struct cluster *c = leader_of(3);
  EQ(wish(c, 77), RAFT_E_UNSUPPORTED);
  EQ(wish(c, c->nodes[N1].id), RAFT_E_UNSUPPORTED);
  EQ(wish(c, 0), RAFT_OK);
  alone_end(c);
}

static void without_a_leader_or_a_token_there_is_no_wish(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.token = 5;
  EQ(cluster_step(c, N1, &ev), RAFT_E_NO_LEADER);
  ev.transfer.token = 0;
  EQ(cluster_step(c, N1, &ev), RAFT_E_NOT_LEADER);
  alone_end(c);
}

/* One command of eight bytes, or it is no wish. */
static void a_wish_has_its_form(void) {
  struct cluster *c = leader_of(3);
  uint8_t tail[4 + 9] = {0};
  for (size_t size = 0; size <= 9; size++) {
    tail[0] = (uint8_t)size;
    struct raft_message m = {.kind = RAFT_MSG_PROPOSE,
                             .term = alone_status(c).term};
    m.propose.kind = RAFT_PROPOSE_TRANSFER;
    m.propose.count = 1;
    m.propose.crc = raft_crc32c(0, tail, 4 + size);
    m.tail = (struct raft_slice){tail, 4 + size};
    EQ(cluster_receive(c, N1, N2, &m), size == 8 ? RAFT_OK : RAFT_E_CORRUPT);
  }
  alone_end(c);
}

static void set_priority(struct cluster *c, uint32_t node, uint8_t priority) {
  struct raft_config *config = &c->nodes[N1].raft->config;
  int at = raft_config_find(config, c->nodes[node].id);
  config->members[at].priority = priority;
}

/* The lowest number first, though it lacks an entry; then the longest log. */
static void the_best_heir_is_first_by_priority(void) {
  struct cluster *c = leader_of(4);
  propose_to(c, 1u << N2 | 1u << N3);
  set_priority(c, N2, 3);
  set_priority(c, N3, 2);
  set_priority(c, N4, 2);
  EQ(transfer(c, N1), RAFT_OK);
  EQ(alone_status(c).heir, c->nodes[N3].id);
  raft_transfer_end(c->nodes[N1].raft);
  set_priority(c, N4, 1);
  EQ(transfer(c, N1), RAFT_OK);
  EQ(alone_status(c).heir, c->nodes[N4].id);
  alone_end(c);
}

/* It would take longer than a transfer may. Who is named may be on its way. */
static void who_needs_a_snapshot_is_no_heir_of_choice(void) {
  struct cluster *c = leader_of(2);
  struct raft *r = raft_clone(c->nodes[N1].raft);
  raft_progress_snapshot(&r->peers[0], 9);
  EQ(raft_on_transfer(r, 0), RAFT_E_UNSUPPORTED);
  EQ(raft_on_transfer(r, c->nodes[N2].id), RAFT_OK);
  raft_free(r);
  alone_end(c);
}

static void a_witness_is_no_heir(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {0, RAFT_ROLE_WITNESS}});
  CHECK(cluster_elect(c, N1));
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N1), RAFT_OK);
  EQ(told(c), 1u << N3);
  alone_end(c);
}

static void a_learner_is_no_heir(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 4, .seed = 1, .roles = {0, RAFT_ROLE_LEARNER}});
  CHECK(cluster_elect(c, N1));
  propose_to(c, 1u << N2);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N1), RAFT_OK); /* the others may, and lack an entry */
  EQ(told(c), 0);
  CHECK(alone_status(c).heir != c->nodes[N2].id);
  alone_end(c);
}

/* It has to have spoken within one time-out. */
static void who_is_silent_is_no_heir(void) {
  struct cluster *c = leader_of(2);
  raft_ms heard = alone_status(c).peers[0].heard;
  c->now = heard + 99;
  EQ(transfer(c, N1), RAFT_OK);
  raft_transfer_end(c->nodes[N1].raft);
  c->now = heard + 100;
  EQ(transfer(c, N1), RAFT_E_UNSUPPORTED);
  EQ(transfer(c, N2), RAFT_E_UNSUPPORTED);
  alone_end(c);
}

static void nobody_is_no_heir(void) {
  struct cluster *c = leader_of(3);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER, .transfer.to = 77};
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED);
  ev.transfer.to = 0;
  EQ(cluster_step(c, N2, &ev), RAFT_E_NOT_LEADER);
  alone_end(c);
}

int main(void) {
  CASE(the_one_that_has_everything_is_told);
  CASE(only_the_one_that_was_named_is_told);
  CASE(the_first_member_may_be_told_too);
  CASE(who_lacks_an_entry_is_told_once_it_has_it);
  CASE(a_forward_meanwhile_is_busy);
  CASE(an_heir_that_does_not_come_is_given_up);
  CASE(its_end_is_a_deadline);
  CASE(to_ask_again_changes_nothing);
  CASE(another_heir_replaces_one_that_was_not_told);
  CASE(a_later_term_ends_it);
  CASE(its_removal_ends_it);
  CASE(who_avoids_it_is_no_heir);
  CASE(who_follows_nobody_owes_no_answer);
  CASE(who_does_not_avoid_it_any_more_is_one);
  CASE(a_stalled_disk_does_not_keep_it_silent);
  CASE(who_avoids_it_does_not_follow_the_wish);
  CASE(a_follower_may_wish_it);
  CASE(a_wish_is_refused_as_an_event_is);
  CASE(without_a_leader_or_a_token_there_is_no_wish);
  CASE(a_wish_has_its_form);
  CASE(the_best_heir_is_first_by_priority);
  CASE(who_needs_a_snapshot_is_no_heir_of_choice);
  CASE(a_witness_is_no_heir);
  CASE(a_learner_is_no_heir);
  CASE(who_is_silent_is_no_heir);
  CASE(nobody_is_no_heir);
  return test_end();
}
