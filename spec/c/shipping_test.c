/* shipping_test.c - what a leader does for a follower whose entries are gone,
 * and when entries may go. [Raft 7] docs/SNAPSHOTS.md */
#include "alone.h"

#include "replica.h"

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

/* n1 leads, n3 is away since entry 2, n1 has let go of all up to entry 8. */
static struct cluster *leader_without_old_entries(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  cluster_drop_all(c);
  propose(c, N1, 6);
  cluster_run(c, 60); /* no word from n3 any more */
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).first, 9);
  EQ(alone_status(c).last, 8);
  return c;
}

static struct raft_progress *progress(struct cluster *c, uint32_t node) {
  return raft_find_peer(c->nodes[N1].raft, c->nodes[node].id);
}

/* n3 is back; nothing that is shipped arrives by itself. */
static struct cluster *leader_that_ships(void) {
  struct cluster *c = leader_without_old_entries();
  c->nodes[N1].is_ship_held = true;
  cluster_isolate(c, N3, false);
  cluster_run(c, 100);
  EQ(c->transfer_count, 1);
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  EQ(progress(c, N3)->snapshot_index, 8);
  return c;
}

/* ---- the main flow ------------------------------------------------------- */

/* [Raft 7] a follower whose entries are gone is brought up by a snapshot, and
 * goes on with the log behind it. */
static void a_follower_is_brought_up_by_a_snapshot(void) {
  struct cluster *c = leader_without_old_entries();
  propose(c, N1, 2);
  cluster_isolate(c, N3, false);
  cluster_run(c, 200);
  EQ(c->seen_counts.ships, 1);
  EQ(c->seen_counts.installs, 1);
  EQ(cluster_status(c, N3).applied, 10);
  EQ(cluster_status(c, N3).first, 9);
  EQ(cluster_status(c, N3).snapshot, 8);
  EQ(progress(c, N3)->state, RAFT_REPLICATE);
  cluster_crash(c, N3, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  EQ(cluster_status(c, N3).commit, 10);
  alone_end(c);
}

/* Behind a log that is all gone (museum 105). */
static void a_log_that_is_all_gone_is_still_shipped(void) {
  struct cluster *c = leader_without_old_entries();
  EQ(alone_status(c).first, alone_status(c).last + 1);
  cluster_isolate(c, N3, false);
  cluster_run(c, 200);
  EQ(cluster_status(c, N3).applied, 8);
  alone_end(c);
}

static void every_node_lets_go_of_its_own(void) {
  struct cluster *c = leader_without_old_entries();
  EQ(cluster_snapshot(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, N2).first, 9);
  cluster_crash(c, N2, 0);
  EQ(cluster_restart(c, N2), RAFT_OK);
  EQ(cluster_status(c, N2).applied, 8);
  propose(c, N1, 1);
  cluster_run(c, 100);
  EQ(cluster_status(c, N2).applied, 9);
  alone_end(c);
}

/* ---- shipping ------------------------------------------------------------ */

/* One SHIP, however often its answers say that it lacks entries. */
static void a_transfer_is_begun_once(void) {
  struct cluster *c = leader_that_ships();
  propose(c, N1, 3);
  cluster_run(c, 200);
  EQ(c->seen_counts.ships, 1);
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  CHECK(progress(c, N3)->heard > c->now - 100); /* heartbeats go on */
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(cluster_status(c, N3).leader, c->nodes[N1].id);
  alone_end(c);
}

/* Nobody is shipped to who does not answer. */
static void the_dead_are_sent_no_files(void) {
  struct cluster *c = leader_without_old_entries();
  cluster_crash(c, N3, 0);
  cluster_run(c, 1000);
  EQ(c->seen_counts.ships, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  cluster_isolate(c, N3, false);
  cluster_run(c, 200);
  EQ(c->seen_counts.ships, 1);
  EQ(cluster_status(c, N3).applied, 8);
  alone_end(c);
}

/* "Done", and the answer of its owner lost: the answers to heartbeats tell
 * (museum 77). */
static void a_lost_answer_is_said_again_by_heartbeats(void) {
  struct cluster *c = leader_that_ships();
  EQ(cluster_receive_snapshot(c, 0), 8);
  c->cut[N3][N1] = true;
  cluster_work(c);
  cluster_shipped(c, 0, true);
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  c->cut[N3][N1] = false;
  propose(c, N1, 1);
  cluster_run(c, 60);
  EQ(progress(c, N3)->state, RAFT_REPLICATE);
  EQ(progress(c, N3)->match, 9);
  EQ(c->seen_counts.ships, 1);
  alone_end(c);
}

/* It arrived, and its sender never hears "done": the answer alone ends it. */
static void an_answer_ends_a_transfer_that_nobody_reports(void) {
  struct cluster *c = leader_that_ships();
  EQ(cluster_receive_snapshot(c, 0), 8);
  cluster_work(c);
  EQ(progress(c, N3)->state, RAFT_REPLICATE);
  cluster_shipped(c, 0, true); /* late, and of no more use */
  EQ(progress(c, N3)->state, RAFT_REPLICATE);
  alone_end(c);
}

/* "Done", and then it was lost with the crash of its owner: not for ever. */
static void a_snapshot_lost_after_all_is_shipped_again(void) {
  struct cluster *c = leader_that_ships();
  cluster_shipped(c, 0, true); /* and n3 has never heard of it */
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  cluster_run(c, 100);
  EQ(c->seen_counts.ships, 2);
  EQ(c->transfer_count, 1);
  c->nodes[N1].is_ship_held = false;
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).applied, 8);
  alone_end(c);
}

/* A failed transfer begins anew with a heartbeat, not at once. */
static void a_failed_transfer_rests_until_the_next_heartbeat(void) {
  struct cluster *c = leader_that_ships();
  raft_ms due = c->nodes[N1].deadline;
  CHECK(due > c->now);
  cluster_shipped(c, 0, false);
  cluster_work(c);
  cluster_work(c);
  EQ(c->transfer_count, 0);
  EQ(progress(c, N3)->state, RAFT_PROBE);
  cluster_run(c, due - c->now);
  EQ(c->transfer_count, 1);
  EQ(c->seen_counts.ships, 2);
  alone_end(c);
}

static void a_report_of_another_transfer_is_dropped(void) {
  struct cluster *c = leader_that_ships();
  struct raft_event ev = {.kind = RAFT_EV_SHIPPED};
  ev.shipped.peer = c->nodes[N3].id;
  ev.shipped.index = 7;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  ev.shipped.peer = raft_id_of("zz");
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  ev.shipped.peer = c->nodes[N2].id;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  EQ(progress(c, N2)->state, RAFT_REPLICATE);
  EQ(cluster_step(c, N2, &ev), RAFT_OK); /* who does not lead ships nothing */
  alone_end(c);
}

/* A new snapshot meanwhile changes nothing for that transfer (museum 108), and
 * the log behind the one that is shipped stays. */
static void a_transfer_pins_what_follows_it(void) {
  struct cluster *c = leader_that_ships();
  propose(c, N1, 4);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).snapshot, 12);
  EQ(alone_status(c).first, 9); /* all behind 8 is still there */
  EQ(c->transfer_count, 1);
  EQ(c->transfers[0].file.index, 8);
  cluster_arrive(c, 0);
  cluster_run(c, 50);
  EQ(cluster_status(c, N3).applied, 12);
  EQ(c->seen_counts.ships, 1);
  EQ(alone_status(c).first, 13); /* nobody waits for it any more */
  alone_end(c);
}

/* The driver may give up on a pin: then a newer one follows. */
static void past_a_pin_the_next_one_is_shipped(void) {
  struct cluster *c = leader_that_ships();
  propose(c, N1, 4);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(cluster_compact(c, N1, 12), RAFT_OK);
  EQ(progress(c, N3)->state, RAFT_SNAPSHOT);
  c->nodes[N1].is_ship_held = false;
  cluster_run(c, 100);
  EQ(c->seen_counts.ships, 2);
  EQ(cluster_status(c, N3).applied, 12);
  alone_end(c);
}

/* Entries that leave while they are read for a peer (museum 27). */
static void entries_that_leave_while_they_are_loaded(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  cluster_drop_all(c);
  propose(c, N1, 30);
  c->nodes[N1].is_load_held = true;
  cluster_isolate(c, N3, false);
  cluster_run(c, 60);
  CHECK(progress(c, N3)->is_loading);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  c->nodes[N1].is_load_held = false;
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).applied, 32);
  EQ(c->seen_counts.ships, 1);
  alone_end(c);
}

static void what_was_loaded_and_is_compacted_is_not_sent(void) {
  struct cluster *c = leader_without_old_entries();
  struct raft_progress *p = progress(c, N3);
  uint8_t bytes[64];
  raft_progress_reset(p, 2);
  p->is_loading = true; /* as if asked for before entry 8 went */
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  ev.loaded.peer = c->nodes[N3].id;
  ev.loaded.first = 3;
  ev.loaded.entries.data = bytes;
  ev.loaded.entries.size = cluster_entries(3, TERMS(2), 1, bytes);
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  CHECK(!p->is_loading);
  alone_end(c);
}

/* ---- compacting ---------------------------------------------------------- */

static void nothing_goes_before_its_mark_is_durable(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  propose(c, N1, 3);
  c->nodes[N1].is_disk_held = true;
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).snapshot, 5);
  EQ(c->nodes[N1].compact, 0);
  EQ(cluster_compact(c, N1, 5), RAFT_E_USAGE);
  c->nodes[N1].is_disk_held = false;
  cluster_work(c);
  EQ(c->nodes[N1].compact, 5);
  EQ(alone_status(c).first, 6);
  EQ(cluster_compact(c, N1, 6), RAFT_E_USAGE); /* no snapshot has it */
  EQ(cluster_compact(c, N1, 2), RAFT_OK);      /* long gone */
  EQ(alone_status(c).first, 6);
  alone_end(c);
}

/* The tail is the driver's to keep. */
static void compacting_goes_as_far_as_the_driver_does(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  c->nodes[N1].keeps_log = true;
  propose(c, N1, 6);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  EQ(c->nodes[N1].compact, 8);
  EQ(cluster_compact(c, N1, 4), RAFT_OK);
  EQ(alone_status(c).first, 5);
  CHECK(!raft_entry_at(c->nodes[N1].raft, 4, &(struct raft_entry){0}));
  CHECK(raft_entry_at(c->nodes[N1].raft, 5, &(struct raft_entry){0}));
  EQ(raft_term_at(c->nodes[N1].raft, 4), 2); /* prevLogTerm of the next */
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).first, 5);
  EQ(alone_status(c).applied, 8);
  alone_end(c);
}

/* A leader may let its own no-op go, and leads on. */
static void a_leader_lets_the_beginning_of_its_term_go(void) {
  struct cluster *c = leader_without_old_entries();
  CHECK(cluster_read(c, N1) > 0);
  propose(c, N1, 1);
  EQ(c->seen_counts.leader_reads, 1);
  EQ(alone_status(c).commit, 9);
  alone_end(c);
}

/* A read that waits for what the snapshot covers waits for the install. */
static void a_read_waits_for_the_install(void) {
  struct cluster *c = leader_that_ships();
  c->nodes[N3].is_disk_held = true;
  CHECK(cluster_read(c, N3) > 0);
  cluster_work(c);
  EQ(cluster_receive_snapshot(c, 0), 8);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 0);
  c->nodes[N3].is_disk_held = false;
  cluster_work(c);
  EQ(c->seen_counts.installs, 1);
  EQ(c->seen_counts.follower_reads, 1);
  alone_end(c);
}

int main(void) {
  CASE(a_follower_is_brought_up_by_a_snapshot);
  CASE(a_log_that_is_all_gone_is_still_shipped);
  CASE(every_node_lets_go_of_its_own);
  CASE(a_transfer_is_begun_once);
  CASE(the_dead_are_sent_no_files);
  CASE(a_lost_answer_is_said_again_by_heartbeats);
  CASE(an_answer_ends_a_transfer_that_nobody_reports);
  CASE(a_snapshot_lost_after_all_is_shipped_again);
  CASE(a_failed_transfer_rests_until_the_next_heartbeat);
  CASE(a_report_of_another_transfer_is_dropped);
  CASE(a_transfer_pins_what_follows_it);
  CASE(past_a_pin_the_next_one_is_shipped);
  CASE(entries_that_leave_while_they_are_loaded);
  CASE(what_was_loaded_and_is_compacted_is_not_sent);
  CASE(nothing_goes_before_its_mark_is_durable);
  CASE(compacting_goes_as_far_as_the_driver_does);
  CASE(a_leader_lets_the_beginning_of_its_term_go);
  CASE(a_read_waits_for_the_install);
  return test_end();
}
