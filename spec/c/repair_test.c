/* repair_test.c - a node whose log lost its end to damage: what it may promise,
 * whom it elects, and how the leader fills it again. */
#include "alone.h"

#include "check.h"
#include "config.h"
#include "replica.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

/* n1 of `nodes` has lost all above `keep` of the entries [2, ..] of these
 * terms; its hard state is of `term`. */
static struct cluster *damaged(uint32_t nodes, const struct alone_log *log,
                               raft_index keep) {
  struct cluster *c = alone_new(nodes, log);
  cluster_crash(c, N1, 0);
  cluster_rot(c, N1, keep);
  EQ(cluster_restart(c, N1), RAFT_OK);
  return c;
}

static struct cluster *usual(void) {
  return damaged(3, &(struct alone_log){3, TERMS(2, 2, 3, 3), 4}, 2);
}

static bool would_elect(struct cluster *c, raft_term term, raft_index last,
                        raft_term last_term) {
  alone_vote(
      c, N2,
      &(struct alone_vote){.term = term, .last = last, .last_term = last_term});
  return alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted;
}

/* ---- starting ------------------------------------------------------------ */

static void starts_and_says_so(void) {
  struct cluster *c = usual();
  EQ(alone_status(c).last, 2);
  CHECK(alone_status(c).is_repairing);
  alone_end(c);
}

/* A start of this node with a log of this configuration alone, or with none. */
static int start_as(raft_id self, const struct raft_config *config,
                    const struct raft_recovery *change) {
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX + RAFT_ENTRY_HEADER_BYTES];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  if (config != NULL) e.size = (uint32_t)raft_config_encode(config, payload);
  e.payload = payload;
  struct raft_slice entry = {bytes, raft_entry_encode(&e, bytes)};
  struct raft_options o = {
      .self = self,
      .seed = 1,
      .election_min_ms = 100,
      .election_max_ms = 200,
      .heartbeat_ms = 20,
      .command_bytes_max = 100,
      .message_bytes_max = 100,
      .inflight_bytes_max = 100,
  };
  struct raft *r = raft_new(&o);
  struct raft_run run = {1, 1};
  struct raft_recovery rec = {
      .term = change->term,
      .commit = 1,
      .last = 1,
      .runs = &run,
      .run_count = 1,
      .tail_first = 1,
      .tail = entry,
      .config = {1,
                 {entry.data + RAFT_ENTRY_HEADER_BYTES,
                  entry.size - RAFT_ENTRY_HEADER_BYTES}},
      .lost_last = change->lost_last,
      .lost_term = change->lost_term,
  };
  struct raft_recovery none = {.term = change->term,
                               .lost_last = change->lost_last,
                               .lost_term = change->lost_term};
  struct raft_event ev = {.kind = RAFT_EV_START,
                          .start = config == NULL ? &none : &rec};
  int rc = (int)raft_step(r, &ev);
  EQ_TEXT(raft_check(r), NULL);
  EQ(raft_is_repairing(r), rc == RAFT_OK);
  raft_free(r);
  return rc;
}

static int start_of(uint32_t nodes, const struct raft_recovery *change) {
  struct cluster *c = alone_new(nodes > 0 ? nodes : 3, NULL);
  int rc = start_as(c->nodes[N1].id, nodes == 0 ? NULL : &c->config, change);
  alone_end(c);
  return rc;
}

/* Who can commit or elect alone finds what it lost nowhere else. */
static void refuses_where_nobody_else_can_help(void) {
  struct raft_recovery lost = {.term = 2, .lost_last = 5, .lost_term = 2};
  EQ(start_of(3, &lost), RAFT_OK);
  EQ(start_of(2, &lost), RAFT_OK);
  EQ(start_of(1, &lost), RAFT_E_CORRUPT);
  EQ(start_of(0, &lost), RAFT_E_CORRUPT); /* no configuration */
}

/* Other rules than majorities, and whatever place it has among the members. */
static void refuses_who_commits_or_elects_alone(void) {
  struct raft_recovery lost = {.term = 2, .lost_last = 5, .lost_term = 2};
  struct cluster *c = alone_new(3, NULL);
  struct raft_config one = c->config;
  one.rule[0] = (struct raft_rule){.kind = RAFT_RULE_SIZES, .size = {3, 1}};
  for (uint32_t self = 0; self < 3; self++) {
    one.rule[1] = one.rule[0];
    EQ(start_as(one.members[self].id, &one, &lost), RAFT_E_CORRUPT);
  }
  for (uint32_t self = 0; self < 3; self++) {
    struct raft_config elects = c->config;
    struct raft_rule rule = {.kind = RAFT_RULE_SETS, .set_count = {1, 1}};
    rule.sets[RAFT_ELECTION][0] = 1u << self;
    rule.sets[RAFT_COMMIT][0] = 7;
    elects.rule[0] = elects.rule[1] = rule;
    for (uint32_t i = 0; i < 3; i++)
      EQ(start_as(elects.members[i].id, &elects, &lost),
         i == self ? RAFT_E_CORRUPT : RAFT_OK);
  }
  alone_end(c);
}

/* Who is no member promised nothing that counts. */
static void starts_where_it_is_no_member(void) {
  struct raft_recovery lost = {.term = 2, .lost_last = 5, .lost_term = 2};
  struct cluster *c = alone_new(3, NULL);
  EQ(start_as(raft_id_of("stranger"), &c->config, &lost), RAFT_OK);
  alone_end(c);
}

static void refuses_a_loss_that_cannot_be(void) {
  EQ(start_of(3, &(struct raft_recovery){2, .lost_last = 5, .lost_term = 3}),
     RAFT_E_CORRUPT); /* of a term to come */
  EQ(start_of(3, &(struct raft_recovery){2, .lost_last = 5}), RAFT_E_CORRUPT);
  EQ(start_of(3, &(struct raft_recovery){2, .lost_term = 2}), RAFT_E_CORRUPT);
  EQ(start_of(3, &(struct raft_recovery){2, .lost_last = 1, .lost_term = 1}),
     RAFT_E_CORRUPT); /* the log is as new */
}

/* ---- votes --------------------------------------------------------------- */

/* [Raft 5.4.1] by what it had: entry 5 may be committed, with its help. */
static void votes_by_what_it_had(void) {
  struct cluster *c = usual();
  CHECK(!would_elect(c, 4, 2, 2));
  CHECK(!would_elect(c, 5, 9, 2));
  CHECK(!would_elect(c, 6, 4, 3));
  CHECK(would_elect(c, 7, 5, 3));
  CHECK(would_elect(c, 8, 2, 4));
  alone_end(c);
}

static void never_campaigns(void) {
  struct cluster *c = usual();
  struct raft_message m;
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  c->now += 100000;
  cluster_tick(c, N1);
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE, &m));
  EQ(alone_append(c, N2, &(struct alone_append){4, 2, 2, 1, 0, NULL, 0}),
     RAFT_OK);
  m = (struct raft_message){.kind = RAFT_MSG_TIMEOUT_NOW, .term = 4};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE, &m));
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* ---- the follower -------------------------------------------------------- */

static void acknowledges_what_is_there_and_says_that_it_is_short(void) {
  struct cluster *c = usual();
  struct alone_append beat = {4, 5, 3, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(!m.append_reply.accepted);
  EQ(m.append_reply.hint_index, 2);
  EQ(m.append_reply.flags, RAFT_REPLY_REPAIRING);
  EQ(alone_append(c, N2, &(struct alone_append){4, 2, 2, 1, 0, TERMS(2), 1}),
     RAFT_OK);
  m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(m.append_reply.accepted);
  EQ(m.append_reply.index, 3);
  EQ(m.append_reply.flags, RAFT_REPLY_REPAIRING);
  alone_end(c);
}

/* As new is enough: by the entry it had, or by one of a later term. */
static void is_whole_with_the_entry_that_it_had(void) {
  struct cluster *c = usual();
  struct alone_append a = {4, 2, 2, 1, 0, TERMS(2, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  CHECK(alone_status(c).is_repairing); /* 4/t3 */
  a = (struct alone_append){4, 4, 3, 1, 0, TERMS(3), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  CHECK(!alone_status(c).is_repairing);
  (void)cluster_flush(c, N1);
  CHECK(c->nodes[N1].deadline != UINT64_MAX); /* may campaign again */
  alone_end(c);
}

static void is_whole_with_an_entry_of_a_later_term(void) {
  struct cluster *c = usual();
  struct alone_append a = {4, 2, 2, 1, 0, TERMS(4), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  CHECK(!alone_status(c).is_repairing);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(m.append_reply.index, 3);
  EQ(m.append_reply.flags, 0);
  CHECK(!would_elect(c, 5, 5, 3)); /* judged by its log again */
  alone_end(c);
}

/* In the middle of it: what was fetched is kept, what was lost is not
 * forgotten. */
static void a_crash_does_not_end_the_repair(void) {
  struct cluster *c = usual();
  struct alone_append a = {4, 2, 2, 1, 0, TERMS(2, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).last, 4);
  CHECK(alone_status(c).is_repairing);
  CHECK(!would_elect(c, 5, 4, 3));
  CHECK(would_elect(c, 6, 5, 3));
  alone_end(c);
}

/* ---- the leader ---------------------------------------------------------- */

static const struct raft_progress *peer(const struct cluster *c, uint32_t at) {
  const struct raft *r = c->nodes[N1].raft;
  for (uint32_t i = 0; i < r->peer_count; i++)
    if (r->peers[i].id == c->nodes[at].id) return &r->peers[i];
  return NULL;
}

static struct cluster *leader_with_entries(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 4; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(peer(c, N2)->match, 6);
  EQ(alone_status(c).commit, 6);
  return c;
}

static struct raft_message reply(const struct cluster *c, bool accepted,
                                 raft_index index, raft_index hint) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY};
  m.term = alone_status(c).term;
  m.append_reply.accepted = accepted;
  m.append_reply.index = index;
  m.append_reply.hint_index = hint;
  m.append_reply.hint_term = hint > 1 ? m.term : hint;
  m.append_reply.flags = RAFT_REPLY_REPAIRING;
  return m;
}

/* What it counted is not there any more; what is committed stays so. */
static void a_leader_takes_back_what_damage_took(void) {
  struct cluster *c = leader_with_entries();
  struct raft_message m = reply(c, false, 6, 3);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(peer(c, N2)->match, 0);
  EQ(peer(c, N2)->next, 4);
  EQ(peer(c, N2)->state, RAFT_PROBE);
  EQ(alone_status(c).commit, 6);
  (void)cluster_flush(c, N1);
  EQ(cluster_find(c, N1, N2, RAFT_MSG_APPEND) >= 0, true);
  m = reply(c, true, 5, 0);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(peer(c, N2)->match, 5);
  m = reply(c, true, 4, 0); /* it lost another one */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(peer(c, N2)->match, 4);
  EQ(peer(c, N2)->next, 5);
  alone_end(c);
}

/* Who is not under repair does not take back what it said. */
static void an_old_answer_takes_nothing_back(void) {
  struct cluster *c = leader_with_entries();
  struct raft_message m = reply(c, false, 6, 3);
  m.append_reply.flags = 0;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  m = reply(c, true, 4, 0);
  m.append_reply.flags = 0;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(peer(c, N2)->match, 6);
  alone_end(c);
}

static void what_is_lost_does_not_commit(void) {
  struct cluster *c = leader_with_entries();
  cluster_isolate(c, N3, true);
  c->cut[N1][N2] = true; /* only its answers come through */
  CHECK(cluster_propose(c, N1, "y") == 7);
  cluster_work(c);
  struct raft_message m = reply(c, false, 6, 3);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  m = reply(c, true, 6, 0);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).commit, 6);
  alone_end(c);
}

/* ---- all together -------------------------------------------------------- */

/* The leader dies after it committed with the help of a node that then loses
 * it all. Who never had it must not be elected with the vote of that node. */
static void what_was_committed_with_its_help_is_not_lost(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  CHECK(cluster_propose(c, N1, "x") == 3);
  CHECK(cluster_propose(c, N1, "y") == 4);
  cluster_work(c);
  EQ(alone_status(c).commit, 4);
  cluster_crash(c, N1, 0);
  cluster_crash(c, N2, 0);
  cluster_rot(c, N2, 1);
  EQ(cluster_restart(c, N2), RAFT_OK);
  cluster_isolate(c, N3, false);
  cluster_run(c, 5000);
  EQ(cluster_leader(c), -1); /* n3 lacks them, n2 lost them */
  EQ(cluster_restart(c, N1), RAFT_OK);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N1);
  CHECK(!cluster_status(c, N2).is_repairing);
  EQ(cluster_status(c, N2).commit, cluster_status(c, N1).last);
  EQ(c->seen_counts.repairs, 1);
  alone_end(c);
}

/* In the very term in which it had acknowledged more. */
static void the_same_leader_fills_it_again(void) {
  struct cluster *c = leader_with_entries();
  cluster_crash(c, N2, 0);
  cluster_rot(c, N2, 2);
  EQ(cluster_restart(c, N2), RAFT_OK);
  cluster_unreachable(c, N1, N2);
  cluster_run(c, 100);
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(alone_status(c).term, 2);
  EQ(cluster_status(c, N2).last, 6);
  EQ(peer(c, N2)->match, 6);
  CHECK(!cluster_status(c, N2).is_repairing);
  alone_end(c);
}

static void two_of_three_are_filled_by_the_third(void) {
  struct cluster *c = leader_with_entries();
  for (uint32_t i = N1; i <= N3; i++)
    cluster_crash(c, i, 0);
  cluster_rot(c, N1, 1);
  cluster_rot(c, N2, 3);
  for (uint32_t i = N1; i <= N3; i++)
    EQ(cluster_restart(c, i), RAFT_OK);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N3);
  EQ(c->seen_counts.repairs, 2);
  EQ(cluster_status(c, N1).commit, 7);
  EQ(cluster_status(c, N2).commit, 7);
  alone_end(c);
}

int main(void) {
  CASE(starts_and_says_so);
  CASE(refuses_where_nobody_else_can_help);
  CASE(refuses_who_commits_or_elects_alone);
  CASE(starts_where_it_is_no_member);
  CASE(refuses_a_loss_that_cannot_be);
  CASE(votes_by_what_it_had);
  CASE(never_campaigns);
  CASE(acknowledges_what_is_there_and_says_that_it_is_short);
  CASE(is_whole_with_the_entry_that_it_had);
  CASE(is_whole_with_an_entry_of_a_later_term);
  CASE(a_crash_does_not_end_the_repair);
  CASE(a_leader_takes_back_what_damage_took);
  CASE(an_old_answer_takes_nothing_back);
  CASE(what_is_lost_does_not_commit);
  CASE(what_was_committed_with_its_help_is_not_lost);
  CASE(the_same_leader_fills_it_again);
  CASE(two_of_three_are_filled_by_the_third);
  return test_end();
}
