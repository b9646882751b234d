/* replication_test.c - appends and answers that come late, twice, or in another
 * life; disks that lag; followers that lag behind what is in memory. */
#include "alone.h"

#include "replica.h"

#include <string.h>

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

static struct raft_message accepted(raft_term term, raft_index index) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = term};
  m.append_reply.accepted = true;
  m.append_reply.index = index;
  return m;
}

static struct raft_message refused(raft_term term, raft_index index,
                                   raft_index hint, raft_term hint_term) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = term};
  m.append_reply.index = index;
  m.append_reply.hint_index = hint;
  m.append_reply.hint_term = hint_term;
  return m;
}

static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

/* ---- followers ----------------------------------------------------------- */

/* The same leader is back in a later term, and we were not told in between: an
 * answer owed to its former self would promise entries it no longer has. */
static void an_owed_answer_does_not_outlive_its_term(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 7, TERMS(2, 2), 2};
  struct alone_append later = {4, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_append(c, N2, &later), RAFT_OK); /* in the same turn */
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(m.term, 4);
  EQ(m.append_reply.index, 1);
  EQ(m.append_reply.round, 0);
  CHECK(!alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  alone_end(c);
}

/* Overwritten while the write is under way: its end says nothing of the entry
 * that is now at that index (the ABA race). */
/* A leader that contradicts itself within its term is broken; that must not
 * end us, and no answer may promise what it has taken back. */
static void an_owed_answer_does_not_outlive_its_entries(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {3, 1, 1, 1, 0, TERMS(2, 2, 2), 3};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_append(c, N2, &b), RAFT_OK); /* nothing was taken in between */
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(alone_status(c).last, 2);
  CHECK(m.append_reply.accepted);
  EQ(m.append_reply.index, 2);
  alone_end(c);
}

static void a_late_write_confirms_nothing_overwritten(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1); /* batch 1: 2 and 3 of term 2 */
  EQ(alone_append(c, N3, &b), RAFT_OK);
  (void)cluster_flush(c, N1); /* batch 2: 2 and 3 of term 3 */
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 1);
  CHECK(!alone_answer(c, N3, RAFT_MSG_APPEND_REPLY, &m));
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 3);
  CHECK(alone_answer(c, N3, RAFT_MSG_APPEND_REPLY, &m));
  EQ(m.append_reply.index, 3);
  alone_end(c);
}

/* A heartbeat is answered though the disk is busy, for what is durable. */
static void a_slow_disk_is_no_silence(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2), 1};
  struct alone_append beat = {2, 2, 2, 1, 3, NULL, 0};
  EQ(alone_append(c, N2, &(struct alone_append){2, 1, 1, 1, 0, NULL, 0}),
     RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  c->nodes[N1].is_disk_held = true;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  CHECK(alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  EQ(m.append_reply.index, 1);
  EQ(m.append_reply.round, 3); /* we follow, whatever the disk does */
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  EQ(m.append_reply.index, 2);
  alone_end(c);
}

static void two_leaders_in_a_term_are_not_believed(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  a.terms = TERMS(1);
  EQ(alone_append(c, N3, &a), RAFT_OK);
  EQ(alone_status(c).leader, c->nodes[N2].id);
  EQ(raft_term_at(c->nodes[N1].raft, 2), 2);
  EQ(alone_status(c).bad_frames, 1);
  alone_end(c);
}

static void another_entry_where_one_is_committed_is_divergence(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 2, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  struct alone_append b = {3, 1, 1, 2, 0, TERMS(3), 1};
  EQ(alone_append(c, N3, &b), RAFT_E_DIVERGED);
  EQ(alone_status(c).term, 2); /* nothing has happened */
  EQ(raft_term_at(c->nodes[N1].raft, 2), 2);
  EQ_TEXT(c->broken, "diverged");
  c->broken = NULL;
  alone_end(c);
}

/* ---- a leader and its answers -------------------------------------------- */

/* Entry 2 and what follows it, with these stamps, from a leader in term 2. */
static int64_t append_stamps(struct cluster *c, raft_index prev,
                             const raft_ms *times, uint32_t count) {
  uint8_t bytes[200];
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  m.append.prev_index = prev;
  m.append.prev_term = prev > 1 ? 2 : 1;
  m.append.count = count;
  m.tail.data = bytes;
  for (uint32_t i = 0; i < count; i++) {
    struct raft_entry e = {.index = prev + 1 + i, .term = 2, .time = times[i]};
    e.kind = RAFT_ENTRY_NOOP;
    m.tail.size += raft_entry_encode(&e, bytes + m.tail.size);
  }
  return cluster_receive(c, N1, N2, &m);
}

static void stamps_that_fall_are_refused(void) {
  struct cluster *c = alone_new(3, NULL);
  const raft_ms falling[] = {9, 8};
  const raft_ms rising[] = {9, 9};
  EQ(append_stamps(c, 1, falling, 2), RAFT_E_CORRUPT);
  EQ(append_stamps(c, 1, rising, 2), RAFT_OK);
  EQ(append_stamps(c, 3, falling + 1, 1), RAFT_E_CORRUPT);
  EQ(append_stamps(c, 2, falling + 1, 1), RAFT_E_CORRUPT);
  const raft_ms early[] = {1, 1, 2}; /* what we have, with other stamps */
  EQ(append_stamps(c, 1, early, 3), RAFT_E_CORRUPT);
  const raft_ms late[] = {10, 10, 9}; /* nor below those in the message */
  EQ(append_stamps(c, 1, late, 3), RAFT_E_CORRUPT);
  EQ(alone_status(c).last, 3);
  EQ(append_stamps(c, 3, rising, 1), RAFT_OK);
  EQ(alone_status(c).last, 4);
  alone_end(c);
}

static void a_late_refusal_moves_nothing(void) {
  struct cluster *c = leader_of(3);
  raft_term term = alone_status(c).term;
  struct raft_message m = refused(term, 1, 0, 0); /* overtaken by the accept */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).peers[0].match, 2);
  EQ(alone_status(c).peers[0].next, 3);
  alone_end(c);
}

static void answers_of_older_terms_move_nothing(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){2, TERMS(2, 2), 2});
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  struct raft_message m = accepted(2, 3);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).peers[0].match, 0);
  EQ(alone_status(c).peers[1].match, 0);
  alone_end(c);
}

static void nobody_has_what_was_never_sent(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = accepted(alone_status(c).term, 99);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).bad_frames, 1);
  EQ(alone_status(c).commit, 2);
  alone_end(c);
}

static void learners_and_strangers_commit_nothing(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 4, .seed = 1, .roles = {0, 0, 0, RAFT_ROLE_LEARNER}});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N2, true);
  cluster_isolate(c, N3, true);
  EQ(cluster_propose(c, N1, "x"), 3);
  cluster_work(c);
  EQ(cluster_status(c, N4).last, 3);
  EQ(alone_status(c).commit, 2);
  alone_end(c);
}

/* Every answer is lost while the window is full: heartbeats lead out. */
static void a_full_window_opens_again(void) {
  struct cluster *c = leader_of(2);
  for (int i = 0; i < 8; i++) {
    CHECK(cluster_propose(c, N1, "x") > 0);
    (void)cluster_flush(c, N1);
  }
  CHECK(c->seen_counts.full_windows > 0);
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

/* ... and so do the appends themselves. */
static void a_lost_window_is_sent_again(void) {
  struct cluster *c = leader_of(2);
  for (int i = 0; i < 8; i++) {
    CHECK(cluster_propose(c, N1, "x") > 0);
    (void)cluster_flush(c, N1);
  }
  cluster_drop_all(c);
  cluster_run(c, 100);
  EQ(cluster_status(c, N2).commit, 10);
  alone_end(c);
}

static void what_was_dropped_before_the_wire_is_sent_again(void) {
  struct cluster *c = leader_of(2);
  CHECK(cluster_propose(c, N1, "x") == 3);
  (void)cluster_flush(c, N1);
  cluster_drop_all(c);
  cluster_unreachable(c, N1, N2);
  cluster_work(c); /* no heartbeat needed */
  EQ(cluster_status(c, N2).last, 3);
  alone_end(c);
}

/* The only send of what n1 has to do now. */
static struct raft_effect only_send(struct cluster *c) {
  struct raft_batch batch;
  struct raft_effect send = {.kind = RAFT_FX_NONE};
  uint32_t count = 0;
  raft_take(c->nodes[N1].raft, &batch);
  for (uint32_t i = 0; i < batch.count; i++)
    if (batch.effects[i].kind == RAFT_FX_SEND && ++count > 0)
      send = batch.effects[i];
  EQ(count, 1);
  return send;
}

/* What waits for the turn's end need not be sent where entries follow, which
 * say what is committed, too. */
static void entries_cover_a_word_about_commit(void) {
  struct cluster *c = leader_of(2);
  CHECK(cluster_propose(c, N1, "x") == 3);
  (void)cluster_flush(c, N1);
  cluster_deliver(c, 0);
  (void)cluster_flush(c, N2);
  cluster_disk(c, N2, 9);
  cluster_disk(c, N1, 9);
  cluster_deliver(c, 0);
  EQ(alone_status(c).commit, 3);
  struct raft_effect send = only_send(c);
  CHECK(send.is_patient && !send.covers);
  CHECK(cluster_propose(c, N1, "y") == 4);
  send = only_send(c);
  CHECK(send.covers && !send.is_patient);
  alone_end(c);
}

/* ---- disks and memory ---------------------------------------------------- */

/* Followers commit what the leader's own disk was not even given: an APPLY that
 * is born before the STORE it waits for would wait for ever. */
static void a_stalled_disk_of_the_leader_stalls_nobody(void) {
  struct cluster *c = leader_of(3);
  c->nodes[N1].is_disk_held = true;
  for (int i = 0; i < RAFT_STORES_MAX + 4; i++) {
    CHECK(cluster_propose(c, N1, "x") > 0);
    cluster_work(c);
  }
  CHECK(c->seen_counts.full_disks > 0);
  EQ(alone_status(c).commit, RAFT_STORES_MAX + 6);
  EQ(c->nodes[N1].performed, 2);
  c->nodes[N1].is_disk_held = false;
  cluster_run(c, 50);
  EQ(c->nodes[N1].performed, RAFT_STORES_MAX + 6);
  alone_end(c);
}

/* Overwritten entries leave gaps in a block; a store steps over each. */
static void a_store_steps_over_what_was_overwritten(void) {
  struct cluster *c = alone_new(3, NULL);
  for (raft_term t = 2; t < 6; t++) { /* all in one turn */
    struct alone_append a = {t, t - 1, t - 1, 1, 0, TERMS(t, t), 2};
    EQ(alone_append(c, N2, &a), RAFT_OK); /* the second will be cut off */
  }
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(c->nodes[N1].disk.last, 6);
  for (raft_index i = 2; i < 6; i++)
    EQ(c->nodes[N1].disk.log[i].term, i);
  alone_end(c);
}

static void what_left_memory_is_loaded_for_a_slow_follower(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 40; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    cluster_work(c);
  }
  CHECK(alone_status(c).memory_first > 20);
  cluster_isolate(c, N3, false);
  cluster_run(c, 100);
  CHECK(c->seen_counts.loads > 0);
  EQ(cluster_status(c, N3).commit, 42);
  alone_end(c);
}

/* After a restart with a short tail the machine gets all of it. */
static void what_left_memory_is_loaded_for_applying(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 1, .seed = 1, .tail_max = 2});
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 20; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  CHECK(cluster_elect(c, N1));
  EQ(c->nodes[N1].performed, 24);
  CHECK(c->seen_counts.loads > 3); /* in parts */
  alone_end(c);
}

static void loads_that_bring_nonsense_are_refused(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 2, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N2, true);
  for (int i = 0; i < 30; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    (void)cluster_flush(c, N1);
    cluster_disk(c, N1, 9);
  }
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  ev.loaded.peer = c->nodes[N2].id;
  ev.loaded.first = 3;
  uint8_t bytes[200];
  ev.loaded.entries =
      (struct raft_slice){bytes, cluster_entries(4, TERMS(2, 2), 2, bytes)};
  EQ(cluster_step(c, N1, &ev), RAFT_OK); /* not asked for: dropped */
  memset(bytes, 0, sizeof bytes);
  ev.loaded.peer = 0;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  alone_end(c);
}

/* Just what is not in memory, and as far as it is committed. */
static void no_more_is_loaded_for_applying_than_is_wanted(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 1, .seed = 1, .tail_max = 2});
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 10; i++) {
    CHECK(cluster_propose(c, N1, "x") > 0);
    cluster_work(c);
  }
  cluster_crash(c, N1, 0);
  c->nodes[N1].is_load_held = true;
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).memory_first, 11);
  EQ(c->nodes[N1].held_count, 1);
  EQ(c->nodes[N1].held[0].fx.kind, RAFT_FX_LOAD);
  EQ(c->nodes[N1].held[0].fx.load.first, 1);
  EQ(c->nodes[N1].held[0].fx.load.last, 10);
  alone_end(c);
}

/* A leader that has only the newest entries in memory, and n2 far behind, for
 * whom entries are to be loaded. */
static struct cluster *loading(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N2, true);
  for (int i = 0; i < 30; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    cluster_work(c);
  }
  c->nodes[N1].is_load_held = true;
  cluster_isolate(c, N2, false);
  cluster_run(c, 40);
  EQ(c->nodes[N1].held_count, 1);
  EQ(c->nodes[N1].held[0].fx.kind, RAFT_FX_LOAD);
  return c;
}

static int64_t bring(struct cluster *c, raft_index first, const uint8_t *bytes,
                     size_t size) {
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  ev.loaded.peer = c->nodes[N2].id;
  ev.loaded.first = first;
  ev.loaded.entries = (struct raft_slice){bytes, size};
  return cluster_step(c, N1, &ev);
}

static void what_is_not_on_disk_any_more_is_asked_for_again(void) {
  struct cluster *c = loading();
  raft_index first = c->nodes[N1].held[0].fx.load.first;
  EQ(bring(c, first, NULL, 0), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(c->nodes[N1].held_count, 2);
  c->nodes[N1].is_load_held = false;
  cluster_run(c, 100);
  EQ(cluster_status(c, N2).commit, 32);
  alone_end(c);
}

/* As after a restart within one process: somebody else asked for it. */
static void what_nobody_asked_for_is_dropped(void) {
  struct cluster *c = leader_of(3);
  uint8_t bytes[200];
  raft_index next = alone_status(c).peers[0].next;
  size_t size = cluster_entries(next, TERMS(2), 1, bytes);
  for (uint32_t i = N2; i <= N3; i++) {
    struct raft_event ev = {.kind = RAFT_EV_LOADED};
    ev.loaded.peer = c->nodes[i].id;
    ev.loaded.first = next;
    ev.loaded.entries = (struct raft_slice){bytes, size};
    EQ(cluster_step(c, N1, &ev), RAFT_OK);
  }
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 0);
  alone_end(c);
}

static void what_is_loaded_must_be_the_logs(void) {
  struct cluster *c = loading();
  raft_index first = c->nodes[N1].held[0].fx.load.first;
  uint32_t sent = c->packet_count;
  uint8_t bytes[200];
  size_t size = cluster_entries(first, TERMS(2, 2), 2, bytes);
  EQ(bring(c, first, bytes, size - 1), RAFT_E_CORRUPT);
  bytes[size - 1] ^= 1;
  EQ(bring(c, first, bytes, size), RAFT_E_CORRUPT);
  size = cluster_entries(first + 1, TERMS(2, 2), 2, bytes);
  EQ(bring(c, first, bytes, size), RAFT_E_CORRUPT);
  size = cluster_entries(first, TERMS(1, 2), 2, bytes);
  EQ(bring(c, first, bytes, size), RAFT_E_CORRUPT);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, sent);
  EQ(c->nodes[N1].held_count, 1); /* it still waits for the right ones */
  c->nodes[N1].is_load_held = false;
  cluster_run(c, 100);
  EQ(cluster_status(c, N2).commit, 32);
  alone_end(c);
}

static void a_tick_too_early_is_no_heartbeat(void) {
  struct cluster *c = leader_of(3);
  EQ(c->packet_count, 0);
  c->now += 19;
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 0);
  c->now += 1;
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 2);
  alone_end(c);
}

/* What we have already is acknowledged; what we can not take is not. */
static void without_space_we_acknowledge_up_to_what_we_have(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(m.append_reply.index, 2);
  struct raft_event ev = {.kind = RAFT_EV_SPACE, .has_space = false};
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  a = (struct alone_append){2, 1, 1, 1, 0, TERMS(2, 2), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  CHECK(m.append_reply.accepted);
  EQ(m.append_reply.index, 2);
  alone_end(c);
}

/* Of another place than is wanted by now, or more than a frame holds. */
static void loads_that_are_not_wanted_are_asked_for_again(void) {
  struct cluster *c = loading();
  raft_index first = c->nodes[N1].held[0].fx.load.first;
  uint8_t bytes[200];
  size_t size = cluster_entries(first + 1, TERMS(2), 1, bytes);
  EQ(bring(c, first, bytes, RAFT_FRAME_BYTES_MAX), RAFT_E_USAGE);
  EQ(bring(c, first + 1, bytes, size), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(c->nodes[N1].held_count, 2);
  alone_end(c);
}

/* An append whose entries do not fill its tail, or not all of it. */
static void entries_that_do_not_fit_their_frame_are_refused(void) {
  struct cluster *c = alone_new(3, NULL);
  uint8_t bytes[200];
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  m.append.prev_index = m.append.prev_term = 1;
  m.append.count = 1;
  size_t size = cluster_entries(2, TERMS(2, 2), 2, bytes);
  m.tail = (struct raft_slice){bytes, size}; /* one too many */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_E_CORRUPT);
  m.tail.size = size / 2 - 1; /* and half of one */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_E_CORRUPT);
  m.tail.size = size / 2;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).last, 2);
  EQ(alone_status(c).bad_frames, 2);
  alone_end(c);
}

static void a_hint_beyond_our_log_is_no_hint(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = refused(2, 1, 99, 2);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, N2).commit, 2);
  alone_end(c);
}

/* ---- logs that begin later ----------------------------------------------- */

/* A follower that is sent what it has let go. */
static void what_is_compacted_counts_as_there(void) {
  struct cluster *c = leader_of(3);
  for (int i = 0; i < 4; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N2).applied, 6);
  c->nodes[N2].keeps_log = true;
  EQ(cluster_snapshot(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(cluster_compact(c, N2, 5), RAFT_OK);
  uint8_t bytes[400];
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  m.append.prev_index = 2;
  m.append.prev_term = 2;
  m.append.commit = 6;
  m.append.count = 3; /* 3 to 5, as a leader sends them that knows no better */
  m.tail.data = bytes;
  m.tail.size = cluster_entries(3, TERMS(2, 2, 2), 3, bytes);
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  EQ(cluster_status(c, N2).last, 6);
  m.append.prev_index = 1; /* below what it knows by name */
  m.append.prev_term = 1;
  m.append.count = 0;
  m.tail.size = 0;
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  cluster_work(c);
  alone_end(c);
}

int main(void) {
  CASE(an_owed_answer_does_not_outlive_its_term);
  CASE(an_owed_answer_does_not_outlive_its_entries);
  CASE(a_late_write_confirms_nothing_overwritten);
  CASE(a_slow_disk_is_no_silence);
  CASE(two_leaders_in_a_term_are_not_believed);
  CASE(another_entry_where_one_is_committed_is_divergence);
  CASE(stamps_that_fall_are_refused);
  CASE(a_late_refusal_moves_nothing);
  CASE(answers_of_older_terms_move_nothing);
  CASE(nobody_has_what_was_never_sent);
  CASE(learners_and_strangers_commit_nothing);
  CASE(a_full_window_opens_again);
  CASE(a_lost_window_is_sent_again);
  CASE(what_was_dropped_before_the_wire_is_sent_again);
  CASE(entries_cover_a_word_about_commit);
  CASE(a_stalled_disk_of_the_leader_stalls_nobody);
  CASE(a_store_steps_over_what_was_overwritten);
  CASE(what_left_memory_is_loaded_for_a_slow_follower);
  CASE(what_left_memory_is_loaded_for_applying);
  CASE(loads_that_bring_nonsense_are_refused);
  CASE(what_is_not_on_disk_any_more_is_asked_for_again);
  CASE(no_more_is_loaded_for_applying_than_is_wanted);
  CASE(what_nobody_asked_for_is_dropped);
  CASE(what_is_loaded_must_be_the_logs);
  CASE(a_tick_too_early_is_no_heartbeat);
  CASE(without_space_we_acknowledge_up_to_what_we_have);
  CASE(loads_that_are_not_wanted_are_asked_for_again);
  CASE(entries_that_do_not_fit_their_frame_are_refused);
  CASE(a_hint_beyond_our_log_is_no_hint);
  CASE(what_is_compacted_counts_as_there);
  return test_end();
}
