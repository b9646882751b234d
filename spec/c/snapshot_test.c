/* snapshot_test.c - snapshots in the core: made, received, shipped, and what of
 * the log goes then. [Raft 7] [Thesis 5] docs/SNAPSHOTS.md */
#include "alone.h"

#include "config.h"
#include "replica.h"

#include <string.h>

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

/* ---- pieces -------------------------------------------------------------- */

static void propose(struct cluster *c, uint32_t node, int count) {
  for (int i = 0; i < count; i++) {
    CHECK(cluster_propose(c, node, "x") > 0);
    cluster_work(c);
  }
}

static struct raft_config config_of(const struct cluster *c, uint32_t count) {
  struct raft_config config = c->config;
  config.count = count;
  return config;
}

struct made_up { /* a snapshot from somewhere */
  struct raft_snapshot s;
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
};

static struct raft_snapshot *make_up(const struct cluster *c, struct made_up *m,
                                     raft_index index, raft_term term) {
  m->s =
      (struct raft_snapshot){.index = index, .term = term, .config_index = 1};
  m->s.config.data = m->config;
  m->s.config.size = raft_config_encode(&c->config, m->config);
  return &m->s;
}

/* As if it had come from somebody; the virtual disk has the file. */
static int64_t receive(struct cluster *c, const struct raft_snapshot *s) {
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED, .snapshot = s};
  c->is_made_up = true;
  int64_t rc = cluster_step(c, N1, &ev);
  if (rc > 0) cluster_keep_file(c, N1, s);
  return rc;
}

static int64_t made(struct cluster *c, const struct raft_snapshot *s) {
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_MADE, .snapshot = s};
  return cluster_step(c, N1, &ev);
}

/* n3, a leader of term 3, gives n1 this configuration as its next entry. */
static void append_config(struct cluster *c, const struct raft_config *config) {
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t tail[RAFT_CONFIG_BYTES_MAX + 64];
  raft_index last = alone_status(c).last;
  struct raft_entry e = {
      .index = last + 1, .term = 3, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(config, payload);
  e.payload = payload;
  struct raft_message append = {.kind = RAFT_MSG_APPEND, .term = 3};
  append.append.prev_index = last;
  append.append.prev_term = raft_term_at(c->nodes[N1].raft, last);
  append.append.count = 1;
  append.tail = (struct raft_slice){tail, raft_entry_encode(&e, tail)};
  EQ(cluster_receive(c, N1, N3, &append), RAFT_OK);
  raft_index index = 0;
  (void)raft_config_in_force(c->nodes[N1].raft, &index);
  EQ(index, last + 1);
}

static struct cluster *with_log(raft_term term, const raft_term *terms,
                                uint32_t count) {
  return alone_new(3, &(struct alone_log){term, terms, count});
}

/* n2 leads, in that term, and says how much is committed. */
static void follow(struct cluster *c, raft_term term, raft_index commit) {
  struct alone_append a = {.term = term, .commit = commit};
  a.prev = alone_status(c).last;
  a.prev_term = raft_term_at(c->nodes[N1].raft, a.prev);
  c->is_made_up = true;
  EQ(alone_append(c, N2, &a), RAFT_OK);
}

/* ---- made ---------------------------------------------------------------- */

static void what_a_snapshot_says_of_the_state(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_snapshot s;
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {0};
  CHECK(cluster_elect(c, N1));
  propose(c, N1, 2);
  EQ(raft_snapshot_meta(c->nodes[N1].raft, config, &s), RAFT_OK);
  CHECK(raft_entry_at(c->nodes[N1].raft, 4, &e));
  EQ(s.index, 4);
  EQ(s.term, 2);
  EQ(s.time, e.time);
  CHECK(s.time > 0);
  EQ(s.config_index, 1);
  struct raft_config got;
  EQ(raft_config_decode(s.config.data, s.config.size, &got), RAFT_OK);
  CHECK(memcmp(&got, &c->config, sizeof got) == 0);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(cluster_snapshot(c, N1), RAFT_OK); /* of what is applied by then */
  alone_end(c);
}

/* While the newest one that is known to be committed is not applied, its place
 * in the state is not known: no snapshot is taken. */
static void no_snapshot_before_its_configuration_is_applied(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 1, .seed = 1, .unformed = 1});
  EQ(cluster_snapshot(c, N1), RAFT_E_BUSY); /* of nothing */
  c->nodes[N1].is_apply_held = true;
  EQ(cluster_form(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).commit, 1);
  EQ(cluster_snapshot(c, N1), RAFT_E_BUSY);
  c->nodes[N1].is_apply_held = false;
  cluster_applied(c, N1);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  alone_end(c);
}

static void a_snapshot_has_the_committed_configuration(void) {
  struct cluster *c = with_log(2, TERMS(2, 2), 2);
  follow(c, 2, 3);
  cluster_work(c);
  struct raft_config phantom = config_of(c, 2);
  append_config(c, &phantom);
  struct raft_snapshot s;
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  EQ(raft_snapshot_meta(c->nodes[N1].raft, config, &s), RAFT_OK);
  EQ(s.config_index, 1);
  struct raft_config got;
  EQ(raft_config_decode(s.config.data, s.config.size, &got), RAFT_OK);
  EQ(got.count, 3);
  alone_end(c);
}

static void only_what_is_applied_is_made(void) {
  struct cluster *c = alone_new(1, NULL);
  struct made_up m;
  CHECK(cluster_elect(c, N1));
  propose(c, N1, 2);
  EQ(made(c, make_up(c, &m, 5, 2)), RAFT_E_USAGE);
  EQ(made(c, make_up(c, &m, 4, 1)), RAFT_E_USAGE); /* not its term */
  make_up(c, &m, 4, 2)->config_index = 5;
  EQ(made(c, &m.s), RAFT_E_USAGE);
  make_up(c, &m, 4, 2)->config.size = 9;
  EQ(made(c, &m.s), RAFT_E_USAGE);
  EQ(made(c, NULL), RAFT_E_USAGE);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  EQ(made(c, make_up(c, &m, 3, 2)), RAFT_OK); /* an older one says nothing */
  EQ(alone_status(c).snapshot, 4);
  cluster_work(c);
  alone_end(c);
}

/* ---- received ------------------------------------------------------------ */

/* [Raft 7] one that is not above the commit index changes nothing (museum 71),
 * and is answered like an append: all up to there is here. */
static void an_old_snapshot_changes_nothing(void) {
  struct cluster *c = with_log(2, TERMS(2, 2, 2), 3);
  struct made_up m;
  follow(c, 2, 4);
  cluster_work(c);
  cluster_drop_all(c);
  for (raft_index i = 1; i <= 4; i++) {
    EQ(receive(c, make_up(c, &m, i, i == 1 ? 1 : 2)), RAFT_OK);
    struct raft_message reply = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
    CHECK(reply.append_reply.accepted);
    EQ(reply.append_reply.index, 4);
  }
  EQ(alone_status(c).snapshot, 0);
  EQ(alone_status(c).applied, 4);
  EQ(c->nodes[N1].disk.count, 0);
  alone_end(c);
}

/* Another entry where one is committed (museum 106). */
static void a_snapshot_against_a_committed_entry_is_divergence(void) {
  struct cluster *c = with_log(3, TERMS(2, 2, 2), 3);
  struct made_up m;
  follow(c, 3, 3);
  cluster_work(c);
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED,
                          .snapshot = make_up(c, &m, 3, 3)};
  uint64_t before[2];
  uint64_t after[2];
  raft_digest(c->nodes[N1].raft, before);
  ev.now = c->now;
  EQ(raft_step(c->nodes[N1].raft, &ev), RAFT_E_DIVERGED);
  raft_digest(c->nodes[N1].raft, after);
  EQ_BYTES(after, before, sizeof after);
  EQ(receive(c, make_up(c, &m, 4, 3)), 4); /* there nothing is decided */
  alone_end(c);
}

/* A conflicting entry at its last index goes, and all of the log (museum 68,
 * 107): what follows is of the leader's log. */
static void a_conflicting_log_is_void(void) {
  struct cluster *c = with_log(3, TERMS(1, 1, 2, 2, 2, 2), 6);
  struct made_up m;
  follow(c, 3, 2);
  cluster_work(c);
  cluster_drop_all(c);
  EQ(receive(c, make_up(c, &m, 5, 3)), 5);
  EQ(alone_status(c).last, 5);
  EQ(alone_status(c).first, 6);
  cluster_work(c);
  EQ(c->seen_counts.resets, 1);
  EQ(alone_status(c).applied, 5);
  cluster_drop_all(c);
  struct alone_append a = {.term = 3, .prev = 5, .prev_term = 3, .commit = 6};
  a.terms = TERMS(3);
  a.count = 1;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.accepted);
  EQ(alone_status(c).applied, 6);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).first, 6);
  EQ(alone_status(c).last, 6);
  alone_end(c);
}

/* A log that is too short, or empty. */
static void a_short_log_is_void(void) {
  struct cluster *c = with_log(3, TERMS(1, 1), 2);
  struct made_up m;
  EQ(receive(c, make_up(c, &m, 9, 3)), 9);
  cluster_work(c);
  EQ(alone_status(c).last, 9);
  EQ(alone_status(c).applied, 9);
  EQ(raft_term_at(c->nodes[N1].raft, 9), 3);
  EQ(c->nodes[N1].disk.base, 9);
  alone_end(c);
}

/* What follows an entry that both have stays. [Raft 7] */
static void the_tail_behind_a_known_entry_stays(void) {
  struct cluster *c = with_log(3, TERMS(1, 2, 2, 3, 3), 5);
  struct made_up m;
  EQ(receive(c, make_up(c, &m, 4, 2)), 4);
  EQ(alone_status(c).last, 6);
  EQ(alone_status(c).commit, 4);
  cluster_work(c);
  EQ(c->seen_counts.resets, 0);
  EQ(c->seen_counts.installs, 1);
  EQ(alone_status(c).first, 5); /* compacted, once the mark was durable */
  EQ(alone_status(c).applied, 4);
  EQ(c->nodes[N1].disk.last, 6);
  alone_end(c);
}

/* Neither the answer nor the state before the mark is durable. */
static void an_install_waits_for_its_mark(void) {
  struct cluster *c = with_log(3, TERMS(1, 2, 2), 3);
  struct made_up m;
  follow(c, 3, 1);
  cluster_work(c);
  cluster_drop_all(c);
  c->nodes[N1].is_disk_held = true;
  EQ(receive(c, make_up(c, &m, 9, 3)), 9);
  follow(c, 3, 9); /* a heartbeat: it wants an answer now */
  struct raft_message reply = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(reply.append_reply.accepted);
  EQ(reply.append_reply.index, 0); /* it promises nothing */
  CHECK(!alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &reply));
  EQ(c->seen_counts.installs, 0);
  EQ(alone_status(c).applied, 1);
  EQ(cluster_snapshot(c, N1), RAFT_E_BUSY);
  cluster_disk(c, N1, 1);
  reply = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(reply.append_reply.index, 9);
  EQ(c->seen_counts.installs, 1);
  EQ(alone_status(c).applied, 9);
  alone_end(c);
}

/* A crash before the mark: nobody was told, and the old log is as it was. */
static void a_crash_before_the_mark_is_as_if_nothing_came(void) {
  struct cluster *c = with_log(3, TERMS(1, 2, 2), 3);
  struct made_up m;
  c->nodes[N1].is_disk_held = true;
  EQ(receive(c, make_up(c, &m, 9, 3)), 9);
  (void)cluster_flush(c, N1);
  EQ(c->nodes[N1].disk.count, 1);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).last, 4);
  EQ(alone_status(c).snapshot, 0);
  alone_end(c);
}

/* Applies that were handed out and not performed are void. */
static void an_install_waits_for_no_apply(void) {
  struct cluster *c = with_log(3, TERMS(3, 3, 3), 3);
  struct made_up m;
  c->nodes[N1].is_apply_held = true; /* performed, and not yet reported */
  follow(c, 3, 4);
  cluster_work(c);
  EQ(c->nodes[N1].performed, 4);
  EQ(alone_status(c).applied, 1);
  EQ(receive(c, make_up(c, &m, 9, 3)), 9);
  cluster_applied(c, N1); /* 4: harmless */
  EQ(alone_status(c).applied, 4);
  cluster_work(c);
  EQ(c->nodes[N1].performed, 9);
  cluster_applied(c, N1);
  EQ(alone_status(c).applied, 9);
  alone_end(c);
}

/* A configuration that nobody committed goes with its log, however high its
 * index is (museum 99). */
static void a_higher_configuration_is_void(void) {
  struct cluster *c = with_log(3, TERMS(2, 2), 2);
  struct made_up m;
  struct raft_config phantom = config_of(c, 2);
  append_config(c, &phantom);
  cluster_work(c);
  raft_index index = 0;
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->count, 2);
  EQ(index, 4);
  EQ(receive(c, make_up(c, &m, 6, 4)), 6);
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->count, 3);
  EQ(index, 1);
  EQ(alone_status(c).term, 4);
  cluster_work(c);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->count, 3);
  EQ(index, 1);
  alone_end(c);
}

/* The snapshot's configuration is what an uncommitted one falls back to. */
static void a_newer_configuration_falls_back_to_the_snapshots(void) {
  struct cluster *c = with_log(3, TERMS(2, 2, 2), 3);
  struct made_up m;
  struct raft *r = c->nodes[N1].raft;
  struct raft_config phantom = config_of(c, 2);
  append_config(c, &phantom);
  r->config_before_index = 0; /* as after a rollback: it is forgotten */
  memset(&r->config_before, 0, sizeof r->config_before);
  EQ(receive(c, make_up(c, &m, 4, 2)), 4);
  EQ(r->config_index, 5);
  EQ(r->config_before_index, 1);
  struct alone_append a = {.term = 4, .prev = 4, .prev_term = 2};
  a.terms = TERMS(4);
  a.count = 1;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(r->config_index, 1);
  EQ(r->config.count, 3);
  cluster_work(c);
  alone_end(c);
}

static void another_configuration_below_a_known_entry_is_damage(void) {
  struct cluster *c = with_log(3, TERMS(2, 2, 2, 3), 4);
  struct made_up m;
  make_up(c, &m, 4, 2)->config_index = 3;
  EQ(receive(c, &m.s), RAFT_E_CORRUPT);
  EQ(alone_status(c).commit, 1);
  make_up(c, &m, 4, 2)->config.size = 3;
  EQ(receive(c, &m.s), RAFT_E_CORRUPT);
  EQ(receive(c, make_up(c, &m, 0, 2)), RAFT_E_CORRUPT);
  EQ(receive(c, make_up(c, &m, 4, 0)), RAFT_E_CORRUPT);
  alone_end(c);
}

/* Of what came before our log nobody knows the terms any more. */
static void a_snapshot_of_before_the_log_changes_nothing(void) {
  struct cluster *c = with_log(3, TERMS(2, 2, 2, 3), 4);
  struct made_up m;
  follow(c, 3, 5);
  cluster_work(c);
  c->nodes[N1].keeps_log = true;
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(cluster_compact(c, N1, 4), RAFT_OK);
  EQ(alone_status(c).first, 5);
  EQ(receive(c, make_up(c, &m, 3, 1)), RAFT_OK);
  alone_end(c);
}

/* The configuration of a snapshot says whether it waits for elections. */
static void who_is_no_voter_any_more_waits_for_no_election(void) {
  struct cluster *c = with_log(3, TERMS(2, 2), 2);
  struct made_up m;
  struct raft_config config = c->config;
  int at = raft_config_find(&config, c->nodes[N1].id);
  struct raft_member *own = &config.members[at];
  make_up(c, &m, 9, 3)->config_index = 5;
  own->role[RAFT_OLD] = own->role[RAFT_NEW] = own->goal = RAFT_ROLE_LEARNER;
  m.s.config.size = raft_config_encode(&config, m.config);
  CHECK(c->nodes[N1].raft->election_due != RAFT_NEVER);
  EQ(receive(c, &m.s), 9);
  CHECK(c->nodes[N1].raft->election_due == RAFT_NEVER);
  make_up(c, &m, 12, 3)->config_index = 11;
  EQ(receive(c, &m.s), 12);
  CHECK(c->nodes[N1].raft->election_due != RAFT_NEVER);
  cluster_work(c);
  alone_end(c);
}

/* Made, told, shipped, installed: each turn is tried with no room for what it
 * has to say. */
static void without_memory_nothing_is_lost(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .is_poor = true});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  propose(c, N1, 3);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  CHECK(cluster_status(c, N1).first > cluster_status(c, N3).last + 1);
  cluster_isolate(c, N3, false);
  cluster_run(c, 300);
  EQ(c->seen_counts.installs, 1);
  EQ(cluster_status(c, N3).applied, cluster_status(c, N1).applied);
  CHECK(c->seen_counts.failed_allocations > 0);
  alone_end(c);
}

/* Up to what is committed it changes nothing, whatever it says. */
static void a_snapshot_of_what_is_committed_is_not_looked_into(void) {
  struct cluster *c = with_log(3, TERMS(2, 2, 2, 3), 4);
  struct made_up m;
  follow(c, 3, 4);
  EQ(alone_status(c).commit, 4);
  make_up(c, &m, 4, 2)->config_index = 3;
  EQ(receive(c, &m.s), RAFT_OK);
  make_up(c, &m, 5, 3)->config_index = 3;
  EQ(receive(c, &m.s), RAFT_E_CORRUPT);
  alone_end(c);
}

/* No term stands on a snapshot: a candidate stays one, and goes when it hears
 * the leader's heartbeat, which goes on beside the transfer (museum 69). */
static void a_candidate_stays_what_it_is(void) {
  struct cluster *c = with_log(3, TERMS(3), 1);
  struct made_up m;
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  EQ(alone_status(c).term, 4);
  EQ(receive(c, make_up(c, &m, 5, 3)), 5);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  (void)cluster_flush(c, N1);
  follow(c, 4, 5);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).leader, c->nodes[N2].id);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  alone_end(c);
}

/* Votes are counted by place: they go with the configuration. */
static void a_ballot_goes_with_its_configuration(void) {
  struct cluster *c = with_log(3, TERMS(3), 1);
  struct made_up m;
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  struct raft_config smaller = config_of(c, 2);
  make_up(c, &m, 5, 3)->config_index = 4;
  m.s.config.size = raft_config_encode(&smaller, m.config);
  EQ(receive(c, &m.s), 5);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).term, 4);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  EQ(raft_config_in_force(c->nodes[N1].raft, NULL)->count, 2);
  alone_end(c);
}

/* Its term is no reason to go back to (museum 78), and a later one is one to go
 * on to: no entry is of a term that the hard state has not seen. */
static void a_snapshot_of_a_later_term_brings_its_term(void) {
  struct cluster *c = with_log(3, TERMS(3), 1);
  struct made_up m;
  EQ(receive(c, make_up(c, &m, 5, 2)), 5);
  EQ(alone_status(c).term, 3);
  EQ(receive(c, make_up(c, &m, 7, 6)), 7);
  EQ(alone_status(c).term, 6);
  cluster_work(c);
  EQ(c->nodes[N1].disk.term, 6);
  EQ(c->nodes[N1].disk.base, 7);
  EQ(alone_status(c).applied, 7);
  alone_end(c);
}

/* A leader has all that is committed, and takes nobody's word for it. */
static void a_leader_takes_no_snapshot(void) {
  struct cluster *c = alone_new(3, NULL);
  struct made_up m;
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N1, true);
  CHECK(cluster_propose(c, N1, "x") == 3);
  EQ(receive(c, make_up(c, &m, 3, 2)), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED, .now = c->now};
  ev.snapshot = make_up(c, &m, 9, 2); /* it would have that too */
  EQ(raft_step(c->nodes[N1].raft, &ev), RAFT_E_DIVERGED);
  EQ(receive(c, make_up(c, &m, 9, 5)), 9);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).term, 5);
  alone_end(c);
}

/* Two in one turn: the first begins the log, the second is of it. */
static void two_snapshots_of_one_turn(void) {
  struct cluster *c = with_log(3, TERMS(1), 1);
  struct made_up m;
  EQ(receive(c, make_up(c, &m, 5, 3)), 5);
  struct alone_append a = {.term = 3, .prev = 5, .prev_term = 3};
  a.terms = TERMS(3, 3);
  a.count = 2;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(receive(c, make_up(c, &m, 6, 3)), 6);
  (void)cluster_flush(c, N1);
  EQ(c->nodes[N1].disk.count, 2);
  cluster_work(c);
  EQ(c->seen_counts.resets, 1);
  EQ(c->seen_counts.installs, 1);
  EQ(alone_status(c).snapshot, 6);
  EQ(alone_status(c).last, 7);
  EQ(alone_status(c).applied, 6);
  alone_end(c);
}

/* Batches under way make nothing of the old log durable behind the new base. */
static void a_write_under_way_confirms_nothing_of_a_new_log(void) {
  struct cluster *c = with_log(2, TERMS(1), 1);
  struct made_up m;
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {.term = 2, .prev = 2, .prev_term = 1};
  a.terms = TERMS(2, 2, 2, 2, 2, 2);
  a.count = 6;
  EQ(alone_append(c, N3, &a), RAFT_OK); /* 3 to 8, in the old log */
  (void)cluster_flush(c, N1);
  EQ(receive(c, make_up(c, &m, 5, 3)), 5);
  a = (struct alone_append){.term = 3, .prev = 5, .prev_term = 3};
  a.terms = TERMS(3, 3);
  a.count = 2;
  EQ(alone_append(c, N2, &a), RAFT_OK); /* 6 and 7, in the new one */
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 5); /* 6 to 8 were others */
  EQ(cluster_find(c, N1, N2, RAFT_MSG_APPEND_REPLY), -1);
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 7);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.index, 7);
  alone_end(c);
}

/* More stores than the disk takes: the mark waits, and what waits for it. */
static void a_mark_waits_for_its_turn(void) {
  struct cluster *c = with_log(3, TERMS(1), 1);
  struct made_up m;
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {.term = 3, .prev = 2, .prev_term = 1, .count = 1};
  for (a.terms = TERMS(3); a.prev < 2 + RAFT_STORES_MAX; a.prev++) {
    EQ(alone_append(c, N2, &a), RAFT_OK);
    (void)cluster_flush(c, N1);
    a.prev_term = 3;
  }
  EQ(c->nodes[N1].disk.count, RAFT_STORES_MAX);
  cluster_drop_all(c);
  EQ(receive(c, make_up(c, &m, 20, 3)), 20);
  (void)cluster_flush(c, N1);
  for (uint32_t i = 0; i < c->nodes[N1].held_count; i++)
    EQ(c->nodes[N1].held[i].fx.kind, RAFT_FX_SEND); /* answers */
  c->nodes[N1].is_disk_held = false;
  cluster_work(c);
  EQ(alone_status(c).applied, 20);
  EQ(c->seen_counts.installs, 1);
  alone_end(c);
}

/* ---- starting ------------------------------------------------------------ */

static int start_from(const struct raft_recovery *rec) {
  const struct raft_options o = {
      .self = raft_id_of("n1"),
      .election_min_ms = 100,
      .election_max_ms = 200,
      .heartbeat_ms = 20,
      .message_bytes_max = 256,
      .inflight_bytes_max = 1024,
  };
  struct raft *r = raft_new(&o);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = rec};
  int rc = (int)raft_step(r, &ev);
  struct raft_status s;
  raft_status(r, &s);
  if (rc == RAFT_OK) EQ(s.applied, rec->snapshot.index);
  raft_free(r);
  return rc;
}

/* Each contradiction between log and snapshot is refused. */
static void a_start_that_contradicts_itself_is_refused(void) {
  struct cluster *c = alone_new(3, NULL);
  struct made_up m;
  struct raft_run run = {.first = 6, .term = 3};
  struct raft_recovery good = {
      .term = 3,
      .base_index = 5,
      .base_term = 2,
      .last = 8,
      .runs = &run,
      .run_count = 1,
      .tail_first = 9,
      .snapshot = *make_up(c, &m, 6, 3),
  };
  struct raft_recovery rec = good;
  EQ(start_from(&rec), RAFT_OK);
  rec.snapshot = (struct raft_snapshot){0};
  EQ(start_from(&rec), RAFT_E_CORRUPT); /* entries are gone, and nothing is
                                           there in their place */
  rec = good;
  rec.snapshot.index = 4; /* a hole behind it (museum 72) */
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec.snapshot.index = 9;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec = good;
  rec.snapshot.term = 2;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec.snapshot.index = 5; /* the entry before the oldest: known by its term */
  EQ(start_from(&rec), RAFT_OK);
  rec.snapshot.term = 1;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  run.first = 2; /* the first entry of all is no other case */
  rec = good;
  rec.base_index = rec.snapshot.index = 1;
  rec.base_term = 1;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec.snapshot.term = 1;
  EQ(start_from(&rec), RAFT_OK);
  run.first = 6;
  rec = good;
  rec.snapshot.config_index = 7;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec = good;
  rec.snapshot.config.size--;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec = good;
  rec.term = 2; /* [Raft 5.1] */
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  alone_end(c);
}

/* Which configuration is in force after a start (museum 66). */
static void the_configuration_of_log_and_snapshot(void) {
  struct cluster *c = alone_new(3, NULL);
  struct made_up m;
  struct raft_run run = {.first = 6, .term = 3};
  uint8_t other[RAFT_CONFIG_BYTES_MAX];
  struct raft_config two = config_of(c, 2);
  struct raft_slice smaller = {other, raft_config_encode(&two, other)};
  struct raft_recovery good = {
      .term = 3,
      .base_index = 5,
      .base_term = 2,
      .last = 8,
      .runs = &run,
      .run_count = 1,
      .tail_first = 9,
      .snapshot = *make_up(c, &m, 7, 3),
  };
  good.snapshot.config_index = 6;
  struct raft_recovery rec = good;
  EQ(start_from(&rec), RAFT_E_CORRUPT); /* entry 6 is none, says the log */
  rec.config = (struct raft_recovered_config){6, good.snapshot.config};
  EQ(start_from(&rec), RAFT_OK);
  rec.config.payload = smaller;
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  struct raft_config urgent = config_of(c, 3); /* as many bytes */
  urgent.members[0].priority = 1;
  rec.config.payload =
      (struct raft_slice){other, raft_config_encode(&urgent, other)};
  EQ(rec.config.payload.size, good.snapshot.config.size);
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  smaller.size = raft_config_encode(&two, other);
  rec.config.payload = smaller;
  rec.config.index = 7; /* the snapshot would know of it */
  EQ(start_from(&rec), RAFT_E_CORRUPT);
  rec.config.index = 8;
  struct raft_recovery merged = rec;
  EQ(raft_snapshot_merge(&merged), RAFT_OK);
  EQ(merged.config.index, 8);
  EQ(merged.config_before.index, 6);
  EQ(merged.config_before.payload.size, good.snapshot.config.size);
  merged = good;
  merged.snapshot.time = 7;
  merged.snapshot.config_index = 3; /* before the log begins */
  EQ(raft_snapshot_merge(&merged), RAFT_OK);
  EQ(merged.config.index, 3);
  EQ(merged.last_time, 7);
  alone_end(c);
}

/* A crash between the snapshot and the compaction: it is told again. */
static void a_crash_before_the_compaction(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  propose(c, N1, 4);
  c->nodes[N1].keeps_log = true;
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).first, 1);
  EQ(alone_status(c).snapshot, 6);
  EQ(alone_status(c).applied, 6); /* nothing is applied twice */
  EQ(c->nodes[N1].compact, 6);
  alone_end(c);
}

/* A file that was made, and whose mark was not durable: the log fits it. */
static void a_crash_between_the_file_and_its_mark(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  propose(c, N1, 4);
  c->nodes[N1].is_disk_held = true;
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  (void)cluster_flush(c, N1);
  cluster_crash(c, N1, 0);
  c->nodes[N1].is_disk_held = false;
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).snapshot, 6);
  alone_end(c);
}

int main(void) {
  CASE(what_a_snapshot_says_of_the_state);
  CASE(no_snapshot_before_its_configuration_is_applied);
  CASE(a_snapshot_has_the_committed_configuration);
  CASE(only_what_is_applied_is_made);
  CASE(an_old_snapshot_changes_nothing);
  CASE(a_snapshot_against_a_committed_entry_is_divergence);
  CASE(a_conflicting_log_is_void);
  CASE(a_short_log_is_void);
  CASE(the_tail_behind_a_known_entry_stays);
  CASE(an_install_waits_for_its_mark);
  CASE(a_crash_before_the_mark_is_as_if_nothing_came);
  CASE(an_install_waits_for_no_apply);
  CASE(a_higher_configuration_is_void);
  CASE(a_newer_configuration_falls_back_to_the_snapshots);
  CASE(another_configuration_below_a_known_entry_is_damage);
  CASE(a_snapshot_of_what_is_committed_is_not_looked_into);
  CASE(a_snapshot_of_before_the_log_changes_nothing);
  CASE(who_is_no_voter_any_more_waits_for_no_election);
  CASE(without_memory_nothing_is_lost);
  CASE(a_candidate_stays_what_it_is);
  CASE(a_ballot_goes_with_its_configuration);
  CASE(a_snapshot_of_a_later_term_brings_its_term);
  CASE(a_leader_takes_no_snapshot);
  CASE(two_snapshots_of_one_turn);
  CASE(a_write_under_way_confirms_nothing_of_a_new_log);
  CASE(a_mark_waits_for_its_turn);
  CASE(a_start_that_contradicts_itself_is_refused);
  CASE(the_configuration_of_log_and_snapshot);
  CASE(a_crash_before_the_compaction);
  CASE(a_crash_between_the_file_and_its_mark);
  return test_end();
}
