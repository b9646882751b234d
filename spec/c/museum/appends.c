/* appends.c - museum rows 22 to 41, 64 and 106: what a follower does to its
 * log, and what it says of its disk. */
#include "museum.h"

#include <string.h>

#include "config.h"

/* A heartbeat of the next leader fits at 2; what lies behind is a stale tail
 * that this leader does not have. */
static void a_stale_tail_is_committed_by_a_heartbeat(void) {
  struct cluster *c =
      alone_new(3, &(struct alone_log){3, TERMS(2, 3, 3, 3), 4});
  struct alone_append beat = {4, 2, 2, 5, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  struct alone_append more = {4, 2, 2, 5, 0, TERMS(4, 4), 2};
  EQ(alone_append(c, N2, &more), RAFT_OK);
  EQ(alone_status(c).commit, 4);
  alone_end(c);
}

/* Five entries arrive, then an older message with the first two of them. */
static void an_overtaken_append_cuts_the_log(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append all = {2, 1, 1, 1, 0, TERMS(2, 2, 2, 2, 2), 5};
  struct alone_append old = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  EQ(alone_append(c, N2, &all), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY); /* promised */
  EQ(alone_append(c, N2, &old), RAFT_OK);
  EQ(alone_status(c).last, 6);
  alone_end(c);
}

/* What n3 needs left the leader's memory long ago. */
static struct cluster *lagging(bool is_load_held) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 40; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    cluster_work(c);
  }
  CHECK(alone_status(c).memory_first > 20);
  c->nodes[N1].is_load_held = is_load_held;
  cluster_isolate(c, N3, false);
  return c;
}

/* The place before what is not in memory is known all the same. */
static void an_append_from_the_disk_names_no_place(void) {
  struct cluster *c = lagging(false);
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).commit, 42);
  alone_end(c);
}

static void an_append_from_the_disk_has_a_hole(void) {
  struct cluster *c = lagging(true);
  cluster_run(c, 60); /* n3 was found to have 2, and 3 is being read */
  const struct cluster_record *wrong = &c->nodes[N1].disk.log[4];
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  ev.loaded.peer = c->nodes[N3].id;
  ev.loaded.first = 3;
  ev.loaded.entries = (struct raft_slice){wrong->bytes, wrong->size};
  EQ(cluster_step(c, N1, &ev), RAFT_E_CORRUPT);
  c->nodes[N1].is_load_held = false;
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).commit, 42);
  alone_end(c);
}

/* It refused at first, and has accepted since: the refusal comes last. */
static void a_late_refusal_moves_next_below_match(void) {
  struct cluster *c = museum_led(3);
  struct raft_message m = museum_refused(alone_status(c).term, 1, 0, 0);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  struct raft_peer_status peer = alone_status(c).peers[0];
  CHECK(peer.next > peer.match);
  alone_end(c);
}

/* n2 had 3 in term 2; in term 3 it may have lost it to another leader. */
static void an_answer_of_an_older_term_moves_match(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){2, TERMS(2, 2), 2});
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  struct raft_message m = museum_accepted(2, 3);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).peers[0].match + alone_status(c).peers[1].match, 0);
  alone_end(c);
}

/* Entries 2 and 3 are durable, and overwritten by others that are not yet. */
static void what_was_overwritten_still_counts_as_written(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  struct alone_append beat = {3, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N3, &beat), RAFT_OK);
  (void)alone_must_answer(c, N3, RAFT_MSG_APPEND_REPLY); /* has the term */
  c->nodes[N1].is_disk_held = true;
  EQ(alone_append(c, N3, &b), RAFT_OK);
  CHECK(!alone_answer(c, N3, RAFT_MSG_APPEND_REPLY, &m));
  alone_end(c);
}

/* The write under way is of entries that are gone: its end says nothing of
 * those that stand at their place now. */
static void a_late_write_confirms_what_replaced_it(void) {
  struct cluster *c = alone_new(3, NULL);
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1);
  EQ(alone_append(c, N3, &b), RAFT_OK);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 1);
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 3);
  alone_end(c);
}

static void an_overwritten_entry_is_read_again(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_append(c, N3, &b), RAFT_OK);
  struct raft_entry e;
  CHECK(raft_entry_at(c->nodes[N1].raft, 2, &e));
  EQ(e.term, 3);
  CHECK(!raft_entry_at(c->nodes[N1].raft, 3, &e));
  alone_end(c);
}

/* n2 has 50 entries that n1, who leads, has others for. */
static void fifty_conflicts_take_fifty_rounds(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 2, .seed = 1});
  raft_term old[50];
  raft_term new[50];
  for (int i = 0; i < 50; i++) {
    old[i] = 2;
    new[i] = 3;
  }
  museum_boot(c, N1, 3, new, 50);
  museum_boot(c, N2, 3, old, 50);
  CHECK(cluster_elect(c, N1));
  cluster_work(c);
  EQ(cluster_status(c, N2).last, 52);
  bool is_quick = c->seen_counts.refused_appends <= 3;
  CHECK(is_quick);
  alone_end(c);
}

/* The write of entry 2 has failed, or will: a heartbeat is answered for what is
 * on the disk. */
static void what_is_only_in_memory_is_acknowledged(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1);
  beat = (struct alone_append){2, 2, 2, 1, 3, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  struct raft_message m = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  EQ(m.append_reply.index, 1);
  EQ(m.append_reply.round, 3);
  alone_end(c);
}

/* The driver writes entries 2 and 3 while they are cut off and replaced. */
static void a_cut_reuses_bytes_that_are_lent(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2, 2), 2};
  struct alone_append b = {3, 1, 1, 1, 0, TERMS(3, 3), 2};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct raft_batch batch;
  raft_take(c->nodes[N1].raft, &batch);
  const struct raft_effect *store = NULL;
  for (uint32_t i = 0; i < batch.count; i++)
    if (batch.effects[i].kind == RAFT_FX_STORE) store = &batch.effects[i];
  CHECK(store != NULL);
  if (store == NULL) return;
  EQ(store->part_count, 1);
  struct raft_slice lent = store->parts[0];
  uint8_t before[512];
  CHECK(lent.size < sizeof before);
  memcpy(before, lent.data, lent.size);
  EQ(alone_append(c, N3, &b), RAFT_OK);
  EQ_BYTES(lent.data, before, lent.size);
  alone_end(c);
}

static int64_t append_config(struct cluster *c, uint32_t from, raft_term term,
                             const struct raft_config *config) {
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX + 128];
  struct raft_entry e = {.index = 2, .term = term, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(config, payload);
  e.payload = payload;
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = term};
  m.append.prev_index = m.append.prev_term = m.append.commit = 1;
  m.append.count = 1;
  m.tail = (struct raft_slice){bytes, raft_entry_encode(&e, bytes)};
  return cluster_receive(c, N1, from, &m);
}

/* A configuration that was never committed is cut off with its entry. */
static void a_cut_off_configuration_stays_in_force(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_config other = c->config;
  other.members[0].priority = 5;
  EQ(append_config(c, N2, 2, &other), RAFT_OK);
  raft_index index = 0;
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->members[0].priority, 5);
  EQ(index, 2);
  struct alone_append a = {3, 1, 1, 1, 0, TERMS(3), 1};
  EQ(alone_append(c, N3, &a), RAFT_OK);
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->members[0].priority, 0);
  EQ(index, 1);
  alone_end(c);
}

static void another_entry_replaces_a_committed_one(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 2, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  EQ(alone_status(c).commit, 2);
  struct alone_append b = {3, 1, 1, 2, 0, TERMS(3), 1};
  EQ(alone_append(c, N3, &b), RAFT_E_DIVERGED);
  EQ(raft_term_at(c->nodes[N1].raft, 2), 2);
  EQ_TEXT(c->broken, "diverged"); /* the driver stops the node */
  c->broken = NULL;
  alone_end(c);
}

const struct museum_scenario museum_appends[] = {
    RED("22", a_stale_tail_is_committed_by_a_heartbeat,
        "alone_status(c).commit: got 5, want 2"),
    RED("23", an_overtaken_append_cuts_the_log,
        "alone_status(c).last: got 3, want 6"),
    RED("26", an_append_from_the_disk_names_no_place,
        "cluster_status(c, N3).commit: got 2, want 42"),
    RED("27", an_append_from_the_disk_has_a_hole,
        "cluster_step(c, N1, &ev): got 0, want -6"),
    RED("28", a_late_refusal_moves_next_below_match, "next > p->match"),
    RED("29", an_answer_of_an_older_term_moves_match,
        "alone_status(c).peers[0].match + alone_status(c).peers[1].match: got "
        "3, want 0"),
    RED("30", what_was_overwritten_still_counts_as_written,
        "!alone_answer(c, N3, RAFT_MSG_APPEND_REPLY, &m)"),
    RED("31", a_late_write_confirms_what_replaced_it,
        "alone_status(c).stored: got 3, want 1"),
    RED("34", an_overwritten_entry_is_read_again,
        "raft_block_until(b) == index"),
    RED("39", fifty_conflicts_take_fifty_rounds, "is_quick"),
    RED("40", what_is_only_in_memory_is_acknowledged,
        "m.append_reply.index: got 2, want 1"),
    RED("41", a_cut_reuses_bytes_that_are_lent,
        "lent.data: byte 0 is 60, want 4c"),
    RED("64", a_cut_off_configuration_stays_in_force,
        "raft_config_in_force(c->nodes[N1].raft, &index)->members[0].priority: "
        "got 5, want 0"),
    RED("106", another_entry_replaces_a_committed_one, "first > r->commit"),
    LAST,
};
