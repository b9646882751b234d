/* membership_test.c - which configuration is in force: appended, truncated,
 * recovered; and what a node is that has none. [Raft 6] */
#include "alone.h"

#include <string.h>

#include "config.h"
#include "replica.h"

/* n1 forms a cluster of c->config, as the test has changed it. */
static void form(struct cluster *c) {
  EQ(cluster_form(c, N1), RAFT_OK);
  (void)cluster_flush(c, N1); /* nothing to do is fine */
  cluster_disk(c, N1, RAFT_STORES_MAX);
  EQ(alone_status(c).term, 1);
  EQ(alone_status(c).vote, 0);
}

static struct cluster *unformed(uint32_t nodes) {
  return cluster_new(
      &(struct cluster_options){.nodes = nodes, .seed = 1, .unformed = 1});
}

static struct raft_member *member(struct cluster *c, uint32_t node) {
  int at = raft_config_find(&c->config, c->nodes[node].id);
  CHECK(at >= 0);
  return &c->config.members[at < 0 ? 0 : at];
}

static raft_index in_force(const struct cluster *c) {
  raft_index index = 0;
  (void)raft_config_in_force(c->nodes[N1].raft, &index);
  return index;
}

/* ---- time-outs ----------------------------------------------------------- */

static void a_time_out_is_as_long_as_the_configuration_says(void) {
  struct cluster *c = unformed(1);
  c->config.election_min_ms = 700;
  form(c);
  CHECK(c->nodes[N1].deadline >= c->now + 700);
  alone_end(c);
}

/* n1, alone and in office, of a cluster with this minimum. */
static struct cluster *leads_with(uint32_t election_min_ms) {
  struct cluster *c = unformed(1);
  c->config.election_min_ms = election_min_ms;
  form(c);
  cluster_time_out(c, N1);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, RAFT_STORES_MAX);
  EQ(alone_status(c).state, RAFT_LEADER);
  return c;
}

/* A node that was started with options for 100 ms, and so beats each 20 ms,
 * deposed itself in a cluster of a shorter patience, and again. */
static void a_leader_speaks_within_the_patience_in_force(void) {
  struct cluster *c = unformed(1);
  EQ(raft_heartbeat(c->nodes[N1].raft), 20); /* nothing is in force */
  alone_end(c);
  c = leads_with(21);
  EQ(raft_heartbeat(c->nodes[N1].raft), 20);
  EQ(c->nodes[N1].deadline, c->now + 20);
  alone_end(c);
  c = leads_with(20);
  EQ(raft_heartbeat(c->nodes[N1].raft), 4);
  EQ(c->nodes[N1].deadline, c->now + 4);
  alone_end(c);
  c = leads_with(3);
  EQ(c->nodes[N1].deadline, c->now + 1);
  alone_end(c);
}

/* Who shall lead last waits four times as long. */
static void a_low_priority_is_patient(void) {
  struct cluster *c = unformed(1);
  member(c, N1)->priority = 3;
  form(c);
  CHECK(c->nodes[N1].deadline >= c->now + 400);
  CHECK(c->nodes[N1].deadline <= c->now + 800);
  alone_end(c);
}

/* Without a configuration the options say how long a leader is trusted. */
static void who_has_no_configuration_trusts_a_leader_too(void) {
  struct cluster *c = unformed(3);
  struct alone_append beat = {2, 5, 2, 5, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK); /* refused, and heard */
  EQ(alone_status(c).leader, c->nodes[N2].id);
  struct alone_vote v = {.term = 3, .last = 5, .last_term = 2};
  c->now += 99;
  alone_vote(c, N3, &v);
  EQ(alone_status(c).term, 2);
  c->now += 1;
  alone_vote(c, N3, &v);
  EQ(alone_status(c).term, 3);
  alone_end(c);
}

static void who_learns_that_it_is_a_voter_may_campaign(void) {
  struct cluster *c = unformed(3);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  (void)cluster_form(c, N2);
  m.append.count = 1;
  uint8_t bytes[512];
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&c->config, payload);
  e.payload = payload;
  m.tail = (struct raft_slice){bytes, raft_entry_encode(&e, bytes)};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(c->nodes[N1].raft->commit, 0); /* open, and there was none before */
  EQ(raft_heartbeat(c->nodes[N1].raft), 20);
  (void)cluster_flush(c, N1);
  CHECK(c->nodes[N1].deadline < UINT64_MAX);
  alone_end(c);
}

/* ---- appended and truncated ---------------------------------------------- */

/* n2 leads `term` and appends a configuration after entry `prev`. */
static void give_config(struct cluster *c, uint32_t from, raft_term term,
                        raft_index prev, raft_term prev_term) {
  uint8_t bytes[512];
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_config config = c->config;
  config.election_min_ms = 150;
  struct raft_entry e = {
      .index = prev + 1, .term = term, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&config, payload);
  e.payload = payload;
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = term};
  m.append.prev_index = prev;
  m.append.prev_term = prev_term;
  m.append.commit = 1;
  m.append.count = 1;
  m.tail = (struct raft_slice){bytes, raft_entry_encode(&e, bytes)};
  EQ(cluster_receive(c, N1, from, &m), RAFT_OK);
}

static void append_config(struct cluster *c, uint32_t from, raft_term term,
                          raft_index prev, raft_term prev_term) {
  give_config(c, from, term, prev, prev_term);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, RAFT_STORES_MAX);
}

static uint32_t election_min(const struct cluster *c) {
  raft_index index;
  return raft_config_in_force(c->nodes[N1].raft, &index)->election_min_ms;
}

/* A leader of term 3 overwrites entry 2, which was the configuration. */
static void overwrite(struct cluster *c) {
  struct alone_append other = {3, 1, 1, 1, 0, (const raft_term[]){3}, 1};
  EQ(alone_append(c, N3, &other), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(raft_term_at(c->nodes[N1].raft, 2), 3);
  EQ(in_force(c), 1);
  EQ(election_min(c), 100);
}

static void a_configuration_counts_from_its_append_to_its_truncation(void) {
  struct cluster *c = alone_new(3, NULL);
  EQ(in_force(c), 1);
  append_config(c, N2, 2, 1, 1);
  EQ(in_force(c), 2);
  EQ(election_min(c), 150);
  overwrite(c);
  alone_end(c);
}

/* While the shorter one may come back, it counts. */
static void an_open_configuration_slows_no_heartbeat(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft *r = c->nodes[N1].raft;
  append_config(c, N2, 2, 1, 1);
  r->options.heartbeat_ms = 120; /* below 150, and not below 100 */
  EQ(raft_heartbeat(r), 20);
  r->commit = 2;
  EQ(raft_heartbeat(r), 120);
  r->commit = 1;
  r->options.heartbeat_ms = 20;
  alone_end(c);
}

/* In one turn, and of the same index: whoever listens hears of it. */
static void another_one_in_its_place_is_told_of(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_batch batch;
  append_config(c, N2, 2, 1, 1);
  give_config(c, N3, 3, 1, 1);
  EQ(in_force(c), 2);
  raft_take(c->nodes[N1].raft, &batch);
  uint32_t told = 0;
  for (uint32_t i = 0; i < batch.count; i++)
    told += batch.effects[i].kind == RAFT_FX_CONFIG;
  EQ(told, 1);
  alone_end(c);
}

static void truncation_behind_it_leaves_it_in_force(void) {
  struct cluster *c = alone_new(3, NULL);
  append_config(c, N2, 2, 1, 1);
  struct alone_append more = {2, 2, 2, 1, 0, (const raft_term[]){2}, 1};
  EQ(alone_append(c, N2, &more), RAFT_OK);
  more = (struct alone_append){3, 2, 2, 1, 0, (const raft_term[]){3}, 1};
  EQ(alone_append(c, N3, &more), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(raft_term_at(c->nodes[N1].raft, 3), 3);
  EQ(in_force(c), 2);
  alone_end(c);
}

static void the_one_before_is_recovered_too(void) {
  struct cluster *c = alone_new(3, NULL);
  append_config(c, N2, 2, 1, 1);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(in_force(c), 2);
  overwrite(c);
  alone_end(c);
}

/* ---- who counts ---------------------------------------------------------- */

/* n1 forms a cluster that n3 is no member of. */
static struct cluster *without_n3(void) {
  struct cluster *c = unformed(3);
  struct raft_member *m = member(c, N3);
  struct raft_member *last = &c->config.members[c->config.count - 1];
  memmove(m, m + 1, (size_t)(last - m) * sizeof *m);
  c->config.count--;
  form(c);
  return c;
}

static void a_stranger_s_word_changes_nothing(void) {
  struct cluster *c = without_n3();
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = 2};
  m.append_reply.accepted = true;
  m.append_reply.index = 2;
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  cluster_unreachable(c, N1, N3);
  EQ(alone_status(c).commit, 1);
  alone_end(c);
}

static void a_stranger_s_vote_does_not_count(void) {
  struct cluster *c = without_n3();
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  EQ(cluster_find(c, N1, N3, RAFT_MSG_VOTE), -1);
  struct raft_message reply = {.kind = RAFT_MSG_VOTE_REPLY, .term = 1};
  reply.vote_reply.for_term = 2;
  reply.vote_reply.round = asked.vote.round;
  reply.vote_reply.pre = reply.vote_reply.granted = true;
  EQ(cluster_receive(c, N1, N3, &reply), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  EQ(cluster_receive(c, N1, N2, &reply), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_end(c);
}

int main(void) {
  CASE(a_time_out_is_as_long_as_the_configuration_says);
  CASE(a_leader_speaks_within_the_patience_in_force);
  CASE(an_open_configuration_slows_no_heartbeat);
  CASE(a_low_priority_is_patient);
  CASE(who_has_no_configuration_trusts_a_leader_too);
  CASE(who_learns_that_it_is_a_voter_may_campaign);
  CASE(a_configuration_counts_from_its_append_to_its_truncation);
  CASE(another_one_in_its_place_is_told_of);
  CASE(truncation_behind_it_leaves_it_in_force);
  CASE(the_one_before_is_recovered_too);
  CASE(a_stranger_s_word_changes_nothing);
  CASE(a_stranger_s_vote_does_not_count);
  return test_end();
}
