/* snapshots.c - museum rows 24, 25, 66, 68, 71, 72, 77, 78, 99, 105 to 108:
 * logs that begin later, snapshots received and shipped. More about each rule
 * in spec/c/snapshot_test.c and shipping_test.c. */
#include "museum.h"

#include <string.h>

#include "config.h"

/* A snapshot that n1 hears of, made up. */
struct made_up {
  struct raft_snapshot s;
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
};

static int64_t receive(struct cluster *c, raft_index index, raft_term term) {
  struct made_up m = {.s = {.index = index, .term = term, .config_index = 1}};
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED, .snapshot = &m.s};
  m.s.config.data = m.config;
  m.s.config.size = raft_config_encode(&c->config, m.config);
  c->is_made_up = true;
  int64_t rc = cluster_step(c, N1, &ev);
  if (rc > 0) cluster_keep_file(c, N1, &m.s);
  return rc;
}

/* n1 is a follower with entries 2 to 6, applied, and lets go of 2 to 4. */
static struct cluster *follower_behind_4(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){2, TERMS(2, 2, 2, 2, 2), 5});
  EQ(alone_append(c, N2, &(struct alone_append){2, 6, 2, 6, 0, NULL, 0}), 0);
  cluster_work(c);
  c->nodes[N1].keeps_log = true;
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(cluster_compact(c, N1, 4), RAFT_OK);
  cluster_drop_all(c);
  return c;
}

static void the_first_append_comes_again(void) {
  struct cluster *c = follower_behind_4();
  EQ(alone_append(c, N2, &(struct alone_append){2, 1, 1, 6, 0, TERMS(2, 2), 2}),
     RAFT_OK);
  EQ(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.index, 6);
  EQ(alone_status(c).last, 6);
  alone_end(c);
}

static void a_place_before_the_snapshot_is_a_conflict(void) {
  struct cluster *c = follower_behind_4();
  EQ(alone_append(c, N2, &(struct alone_append){2, 3, 2, 6, 0, NULL, 0}),
     RAFT_OK);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.accepted);
  alone_end(c);
}

static void a_configuration_is_lost_with_the_log(void) {
  struct cluster *c = museum_led(3);
  museum_command(c, N1);
  EQ(cluster_snapshot(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, N2).first, 4); /* entry 1, too, is gone */
  cluster_crash(c, N2, 0);
  (void)cluster_restart(c, N2); /* what fails is noted */
  EQ(raft_config_in_force(c->nodes[N2].raft, NULL)->count, 3);
  alone_end(c);
}

/* n1 has entries 2 and 3, and behind them a configuration of two members that
 * nobody has committed. */
static struct cluster *with_a_newer_configuration(void) {
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t tail[RAFT_CONFIG_BYTES_MAX + 64];
  struct cluster *c = alone_new(3, &(struct alone_log){3, TERMS(2, 2), 2});
  struct raft_config newer = c->config;
  newer.count = 2;
  struct raft_entry e = {.index = 4, .term = 3, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&newer, payload);
  e.payload = payload;
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 3};
  m.append.prev_index = 3;
  m.append.prev_term = 2;
  m.append.count = 1;
  m.tail = (struct raft_slice){tail, raft_entry_encode(&e, tail)};
  EQ(cluster_receive(c, N1, N3, &m), RAFT_OK);
  cluster_work(c);
  return c;
}

static void a_configuration_is_believed_blindly(void) {
  struct cluster *c = with_a_newer_configuration();
  EQ(receive(c, 3, 2), 3); /* which the log has */
  raft_index index = 0;
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->count, 2);
  EQ(index, 4);
  alone_end(c);
}

static void a_conflicting_entry_is_kept_at_the_end(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){3, TERMS(1, 1, 2, 2), 4});
  EQ(receive(c, 4, 3), 4);
  EQ(alone_append(c, N2, &(struct alone_append){3, 4, 3, 5, 0, TERMS(3), 1}),
     RAFT_OK);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY).append_reply.accepted);
  EQ(alone_status(c).last, 5);
  alone_end(c);
}

static void an_old_snapshot_is_installed(void) {
  struct cluster *c = follower_behind_4();
  EQ(receive(c, 5, 2), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).applied, 6);
  alone_end(c);
}

/* n1 starts with entries 5 and 6 alone and this file: the answer. */
static int64_t start_behind_4(struct cluster *c, raft_index file) {
  const struct cluster_disk *d = &c->nodes[N1].disk;
  const struct raft_run run = {.first = 5, .term = 2};
  struct raft_recovery rec = {.term = 2,
                              .base_index = 4,
                              .base_term = 2,
                              .last = 6,
                              .runs = &run,
                              .run_count = 1,
                              .tail_first = 7};
  if (file > 0)
    rec.snapshot = (struct raft_snapshot){
        .index = file,
        .term = 2,
        .config_index = 1,
        .config = {d->newest.config, d->newest.config_size}};
  const struct raft_options o = {.self = c->nodes[N1].id,
                                 .election_min_ms = 100,
                                 .election_max_ms = 200,
                                 .heartbeat_ms = 20,
                                 .message_bytes_max = 256,
                                 .inflight_bytes_max = 1024};
  struct raft *r = raft_new(&o);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = &rec};
  int64_t rc = raft_step(r, &ev);
  raft_free(r);
  return rc;
}

static void a_start_with_a_hole_behind_the_snapshot(void) {
  struct cluster *c = follower_behind_4();
  EQ(start_behind_4(c, 4), RAFT_OK);
  EQ(start_behind_4(c, 3), RAFT_E_CORRUPT);
  alone_end(c);
}

static void a_start_without_what_the_log_begins_behind(void) {
  struct cluster *c = follower_behind_4();
  EQ(start_behind_4(c, 0), RAFT_E_CORRUPT);
  alone_end(c);
}

/* n3 is back, and n1 ships it all up to 6; it stays under way. */
static struct cluster *shipping(void) {
  struct cluster *c = museum_led(3);
  cluster_isolate(c, N3, true);
  cluster_drop_all(c);
  for (int i = 0; i < 4; i++)
    museum_command(c, N1);
  cluster_run(c, 60);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  c->nodes[N1].is_ship_held = true;
  cluster_isolate(c, N3, false);
  cluster_run(c, 60);
  return c;
}

static void nothing_is_shipped_behind_an_empty_log(void) {
  struct cluster *c = shipping();
  EQ(alone_status(c).first, alone_status(c).last + 1);
  EQ(c->transfer_count, 1);
  c->nodes[N1].is_ship_held = false;
  cluster_run(c, 60);
  EQ(cluster_status(c, N3).applied, 6);
  alone_end(c);
}

static void a_follower_is_left_in_the_snapshot_state(void) {
  struct cluster *c = shipping();
  cluster_shipped(c, 0, true); /* and it was lost by its owner */
  cluster_run(c, 100);
  EQ(c->transfer_count, 1);
  c->nodes[N1].is_ship_held = false;
  cluster_run(c, 60);
  EQ(cluster_status(c, N3).applied, 6);
  alone_end(c);
}

static void a_failed_transfer_is_begun_at_once(void) {
  struct cluster *c = shipping();
  uint64_t ships = c->seen_counts.ships;
  for (int i = 0; i < 5; i++) {
    if (c->transfer_count > 0) cluster_shipped(c, 0, false);
    (void)cluster_flush(c, N1);
  }
  EQ(c->seen_counts.ships, ships); /* not before the next heartbeat */
  alone_end(c);
}

static void a_newer_snapshot_begins_the_transfer_anew(void) {
  struct cluster *c = shipping();
  for (int round = 0; round < 3; round++) {
    museum_command(c, N1);
    EQ(cluster_snapshot(c, N1), RAFT_OK);
    cluster_work(c);
  }
  cluster_arrive(c, 0); /* the first one */
  cluster_run(c, 60);
  EQ(c->seen_counts.ships, 1);
  EQ(cluster_status(c, N3).applied, 9);
  alone_end(c);
}

static void a_phantom_configuration_outlives_its_log(void) {
  struct cluster *c = with_a_newer_configuration();
  EQ(receive(c, 6, 4), 6);
  EQ(raft_config_in_force(c->nodes[N1].raft, NULL)->count, 3);
  alone_end(c);
}

static void a_snapshot_replaces_a_committed_entry(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){3, TERMS(2, 2), 2});
  EQ(alone_append(c, N2, &(struct alone_append){3, 3, 2, 3, 0, NULL, 0}), 0);
  struct made_up m = {.s = {.index = 3, .term = 3, .config_index = 1}};
  m.s.config.data = m.config;
  m.s.config.size = raft_config_encode(&c->config, m.config);
  struct raft_event ev = {
      .kind = RAFT_EV_SNAPSHOT_RECEIVED, .now = c->now, .snapshot = &m.s};
  EQ(raft_step(c->nodes[N1].raft, &ev), RAFT_E_DIVERGED);
  alone_end(c);
}

/* The state is there, the mark is not, and the old log comes back. */
static void the_state_is_installed_before_its_mark(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){3, TERMS(1, 2), 2});
  c->nodes[N1].is_disk_held = true;
  EQ(receive(c, 9, 3), 9);
  (void)cluster_flush(c, N1);
  EQ(c->seen_counts.installs, 0);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).last, 3);
  alone_end(c);
}

/* n1 says that it has it all, and then the power fails. */
static void a_receipt_comes_before_its_mark(void) {
  struct raft_message m;
  struct cluster *c = alone_new(3, &(struct alone_log){3, TERMS(1, 2), 2});
  EQ(alone_append(c, N2, &(struct alone_append){3, 3, 2, 1, 0, NULL, 0}), 0);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  c->nodes[N1].is_disk_held = true;
  EQ(receive(c, 9, 3), 9);
  (void)cluster_flush(c, N1);
  bool has_said = alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m);
  CHECK(!has_said || m.append_reply.index < 9);
  alone_end(c);
}

const struct museum_scenario museum_snapshots[] = {
    RED("24", the_first_append_comes_again, "first > r->commit"),
    RED("25", a_place_before_the_snapshot_is_a_conflict, "accepted"),
    RED("66", a_configuration_is_lost_with_the_log, "count"),
    RED("68", a_conflicting_entry_is_kept_at_the_end, "accepted"),
    RED("66b", a_configuration_is_believed_blindly, "count: got 3, want 2"),
    RED("71", an_old_snapshot_is_installed, "s->index > r->commit"),
    RED("72", a_start_with_a_hole_behind_the_snapshot,
        "start_behind_4(c, 3): got 0, want -6"),
    RED("72b", a_start_without_what_the_log_begins_behind,
        "start_behind_4(c, 0): got 0, want -6"),
    RED("77", a_follower_is_left_in_the_snapshot_state, "transfer_count"),
    RED("78", a_failed_transfer_is_begun_at_once, "ships"),
    RED("99", a_phantom_configuration_outlives_its_log, "count"),
    RED("105", nothing_is_shipped_behind_an_empty_log, "transfer_count"),
    RED("106b", a_snapshot_replaces_a_committed_entry, "got 0, want -10"),
    RED("107", the_state_is_installed_before_its_mark,
        "installs: got 1, want 0"),
    RED("107b", a_receipt_comes_before_its_mark, "m.append_reply.index < 9"),
    RED("108", a_newer_snapshot_begins_the_transfer_anew, "ships"),
    LAST,
};
