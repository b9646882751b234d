/* raft_test.c - birth, the one door, questions, forming: what is refused has
 * changed nothing, and what is damaged never reaches an assert. */
#include "alone.h"

#include "bytes.h"
#include "check.h"
#include "config.h"
#include "crc32c.h"

#include <string.h>

#include "replica.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

static const struct raft_options sound = {
    .self = 7,
    .election_min_ms = 100,
    .election_max_ms = 200,
    .heartbeat_ms = 20,
    .command_bytes_max = 100,
    .pending_bytes_max = 100,
    .message_bytes_max = 100,
    .inflight_bytes_max = 100,
};

/* ---- birth --------------------------------------------------------------- */

static bool is_taken(struct raft_options o) {
  struct raft *r = raft_new(&o);
  raft_free(r);
  return r != NULL;
}

static void options_that_break_a_rule_make_nothing(void) {
  struct raft_options o = sound;
  CHECK(is_taken(o));
  o.self = 0, CHECK(!is_taken(o)), o = sound;
  o.heartbeat_ms = 0, CHECK(!is_taken(o)), o = sound;
  o.heartbeat_ms = 100, CHECK(!is_taken(o)), o = sound;
  o.election_max_ms = 100, CHECK(!is_taken(o)), o = sound;
  o.command_bytes_max = RAFT_COMMAND_BYTES_MAX + 1, CHECK(!is_taken(o));
  o = sound;
  o.message_bytes_max = 0, CHECK(!is_taken(o));
  o.message_bytes_max = RAFT_COMMAND_BYTES_MAX + 1, CHECK(!is_taken(o));
  o = sound;
  o.inflight_bytes_max = 0, CHECK(!is_taken(o));
}

static void start_comes_first_and_once(void) {
  struct raft *r = raft_new(&sound);
  struct raft_event tick = {.kind = RAFT_EV_TICK, .now = 5};
  struct raft_event start = {.kind = RAFT_EV_START, .now = 5};
  EQ(raft_step(r, &tick), RAFT_E_USAGE);
  EQ(raft_step(r, &start), RAFT_OK);
  EQ(raft_step(r, &start), RAFT_E_USAGE);
  EQ(raft_step(r, &tick), RAFT_OK);
  tick.now = 4; /* time runs backwards? */
  EQ(raft_step(r, &tick), RAFT_E_USAGE);
  struct raft_batch batch;
  raft_take(r, &batch);
  EQ(batch.count, 0);
  EQ(batch.deadline, UINT64_MAX); /* no member of anything */
  raft_free(r);
}

static int start_with(const struct raft_recovery *rec) {
  struct raft *r = raft_new(&sound);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = rec};
  uint64_t before[2];
  uint64_t after[2];
  raft_digest(r, before);
  int rc = (int)raft_step(r, &ev);
  raft_digest(r, after);
  if (rc < 0) EQ_BYTES(after, before, sizeof after);
  raft_free(r);
  return rc;
}

static void a_recovery_that_contradicts_itself_is_corrupt(void) {
  struct raft_run run = {.first = 1, .term = 3};
  struct raft_recovery rec = {
      .term = 3, .last = 4, .runs = &run, .run_count = 1, .tail_first = 5};
  EQ(start_with(&rec), RAFT_OK);
  rec.term = 2; /* an entry of a term that the hard state has not seen */
  EQ(start_with(&rec), RAFT_E_CORRUPT);
  rec.term = 3;
  rec.run_count = 0;
  EQ(start_with(&rec), RAFT_E_CORRUPT);
  rec.run_count = 1;
  rec.config.index = 5; /* a configuration past the log */
  EQ(start_with(&rec), RAFT_E_CORRUPT);
  rec.config.index = 2;
  EQ(start_with(&rec), RAFT_E_MORE); /* without a byte of it */
  rec.config_before.index = 2;
  EQ(start_with(&rec), RAFT_E_CORRUPT);
}

/* The hint of what is committed may be older than a lost tail. */
static void a_hint_past_the_log_is_clipped(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_crash(c, N1, 0);
  c->nodes[N1].disk.commit = 9;
  EQ(cluster_restart(c, N1), RAFT_OK);
  EQ(alone_status(c).commit, 1);
  alone_end(c);
}

/* ---- the door ------------------------------------------------------------ */

/* [Thesis 3.10] */
static void a_leader_hands_its_place_to_one_that_has_everything(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  EQ(cluster_step(c, N1, &ev), RAFT_E_NOT_LEADER);
  CHECK(cluster_elect(c, N1));
  CHECK(cluster_propose(c, N1, "x") > 0);
  raft_term term = alone_status(c).term;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);  /* though nobody has it yet */
  EQ(alone_status(c).state, RAFT_LEADER); /* until another one is */
  cluster_work(c);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).term, term + 1); /* at once, and without a pre-vote */
  CHECK(cluster_leader(c) >= 0);
  alone_end(c);
}

static void a_leader_alone_has_no_heir(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED);
  alone_end(c);
}

static void what_is_no_event_is_refused(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_event none = {.kind = RAFT_EV_NONE};
  EQ(cluster_step(c, N1, &none), RAFT_E_USAGE);
  alone_end(c);
}

static void reports_of_what_was_not_asked_are_refused(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_event ev = {.kind = RAFT_EV_STORED, .stored = 99};
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE);
  ev = (struct raft_event){.kind = RAFT_EV_APPLIED, .applied = 99};
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE);
  alone_end(c);
}

/* Completions may be told of together, or late, but never backwards. */
static void completions_are_cumulative(void) {
  struct cluster *c = alone_new(3, NULL);
  c->nodes[N1].is_disk_held = true;
  for (raft_term t = 2; t < 5; t++) {
    struct alone_append a = {t, 1, 1, 1, 0, TERMS(t), 1};
    EQ(alone_append(c, N2, &a), RAFT_OK);
    (void)cluster_flush(c, N1);
  }
  EQ(c->nodes[N1].disk.count, 3);
  EQ(alone_status(c).stored, 1);
  cluster_disk(c, N1, 2);
  EQ(alone_status(c).stored, 1); /* both were overwritten */
  struct raft_event ev = {.kind = RAFT_EV_STORED, .stored = 1};
  EQ(cluster_step(c, N1, &ev), RAFT_OK); /* again: nothing */
  cluster_disk(c, N1, 1);
  EQ(alone_status(c).stored, 2);
  alone_end(c);
}

static int64_t receive(struct cluster *c, raft_id from, const uint8_t *data,
                       size_t size) {
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = from;
  ev.receive.frame = (struct raft_slice){data, size};
  return cluster_step(c, N1, &ev);
}

static void nobody_else_is_who_we_are(void) {
  struct cluster *c = alone_new(3, NULL);
  uint8_t byte = 0;
  EQ(receive(c, c->nodes[N1].id, &byte, 1), RAFT_E_USAGE);
  EQ(receive(c, 0, &byte, 1), RAFT_E_USAGE);
  alone_end(c);
}

/* Every frame of a busy hour, with each byte damaged in turn: nothing breaks,
 * and a damaged append appends nothing. */
static void damaged_frames_change_nothing(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N2));
  CHECK(cluster_propose(c, N2, "some command") == 3);
  (void)cluster_flush(c, N2);
  int i = cluster_find(c, N2, N1, RAFT_MSG_APPEND);
  CHECK(i >= 0);
  struct cluster_packet *p = &c->packets[i];
  for (size_t at = 0; at < p->size; at++) {
    p->bytes[at] ^= 0x10;
    CHECK(receive(c, c->nodes[N2].id, p->bytes, p->size) < 0);
    p->bytes[at] ^= 0x10;
    CHECK(receive(c, c->nodes[N2].id, p->bytes, at) < 0);
  }
  EQ(alone_status(c).last, 2);
  CHECK(alone_status(c).bad_frames > 100);
  alone_end(c);
}

/* Whole and checksummed, but impossible: index gaps, terms that fall or come
 * from the future, configurations that are none. */
static void impossible_entries_are_corrupt(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {3, 1, 1, 1, 0, TERMS(3, 2), 2};
  EQ(alone_append(c, N2, &a), RAFT_E_CORRUPT);
  a.terms = TERMS(4, 4);
  EQ(alone_append(c, N2, &a), RAFT_E_CORRUPT);
  EQ(alone_status(c).term, 1);
  struct raft_entry e = {.index = 2,
                         .term = 3,
                         .kind = RAFT_ENTRY_CONFIG,
                         .size = 4,
                         .payload = (const uint8_t *)"nope"};
  uint8_t bytes[64];
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 3};
  m.append.prev_index = m.append.prev_term = m.append.count = 1;
  m.tail = (struct raft_slice){bytes, raft_entry_encode(&e, bytes)};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_E_CORRUPT);
  e = (struct raft_entry){.index = 5, .term = 3, .kind = RAFT_ENTRY_NOOP};
  m.tail.size = raft_entry_encode(&e, bytes);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_E_CORRUPT);
  EQ(alone_status(c).last, 1);
  alone_end(c);
}

/* ---- forming ------------------------------------------------------------- */

/* Three entries on disk, the last of them the configuration of n1 alone, and
 * none in memory. */
static struct raft *on_disk_only(uint8_t *bytes, size_t *sizes) {
  static const raft_term terms[] = {1, 1, 1};
  struct cluster *c = alone_new(1, NULL);
  struct raft_recovery rec = {.term = 1, .commit = 3, .last = 3};
  struct raft_run run = {.first = 1, .term = 1};
  struct raft_options o = sound;
  o.self = c->nodes[N1].id;
  rec.runs = &run;
  rec.run_count = 1;
  rec.tail_first = 4;
  rec.config.index = 1;
  rec.config.payload =
      (struct raft_slice){c->first_entry + RAFT_ENTRY_HEADER_BYTES,
                          c->first_size - RAFT_ENTRY_HEADER_BYTES};
  struct raft *r = raft_new(&o);
  struct raft_event ev = {.kind = RAFT_EV_START, .now = 1, .start = &rec};
  EQ(raft_step(r, &ev), RAFT_OK);
  memcpy(bytes, c->first_entry, c->first_size);
  sizes[0] = c->first_size;
  for (uint32_t i = 1; i < 3; i++)
    sizes[i] = cluster_entries(i + 1, terms, 1, bytes + 512 * i);
  alone_end(c);
  return r;
}

/* The first effect of a kind of the work that is due; fails without. */
static struct raft_effect taken(struct raft *r, enum raft_effect_kind kind) {
  struct raft_batch batch;
  raft_take(r, &batch);
  for (uint32_t i = 0; i < batch.count; i++)
    if (batch.effects[i].kind == kind) return batch.effects[i];
  CHECK(batch.count > UINT32_MAX - 1); /* there is no such effect */
  return (struct raft_effect){.kind = RAFT_FX_NONE};
}

/* One load an entry; nothing is written, so nothing waits for the disk. */
static void what_is_only_on_disk_is_applied_to_its_end(void) {
  uint8_t bytes[3 * 512];
  size_t sizes[3];
  struct raft *r = on_disk_only(bytes, sizes);
  struct raft *other = raft_clone(r);
  EQ(taken(other, RAFT_FX_CONFIG).after, 0);
  raft_free(other);
  for (raft_index i = 1; i <= 3; i++) {
    struct raft_effect fx = taken(r, RAFT_FX_LOAD);
    EQ(fx.load.first, i);
    EQ(fx.load.last, 3);
    struct raft_event ev = {.kind = RAFT_EV_LOADED, .now = 1};
    ev.loaded.first = i;
    ev.loaded.entries =
        (struct raft_slice){bytes + 512 * (i - 1), sizes[i - 1]};
    EQ(raft_step(r, &ev), RAFT_OK);
    fx = taken(r, RAFT_FX_APPLY);
    EQ(fx.after, 0);
    EQ(fx.apply.first, i);
    EQ(fx.apply.last, i);
    ev = (struct raft_event){.kind = RAFT_EV_APPLIED, .now = 1, .applied = i};
    EQ(raft_step(r, &ev), RAFT_OK);
  }
  raft_free(r);
}

static void a_cluster_forms_once(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .unformed = 1});
  cluster_run(c, 1000);
  EQ(cluster_leader(c), -1); /* nobody campaigns before */
  for (uint32_t i = 0; i < 3; i++) {
    EQ(cluster_form(c, i), RAFT_OK);
    EQ(cluster_form(c, i), RAFT_E_USAGE);
  }
  cluster_run(c, 1000);
  CHECK(cluster_leader(c) >= 0);
  raft_index index = 0;
  EQ(raft_config_in_force(c->nodes[N1].raft, &index)->count, 3);
  EQ(index, 1);
  EQ_BYTES(c->nodes[N3].disk.log[1].bytes, c->nodes[N1].disk.log[1].bytes,
           c->nodes[N1].disk.log[1].size);
  alone_end(c);
}

static void a_bad_configuration_forms_nothing(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .unformed = 1});
  struct raft_config bad = c->config;
  bad.count = 0;
  struct raft_event ev = {.kind = RAFT_EV_FORM, .form = &bad};
  EQ(cluster_step(c, N1, &ev), RAFT_E_BAD_CONFIG);
  EQ(alone_status(c).last, 0);
  alone_end(c);
}

/* One of them is asked for its vote before it was told to form. */
static void who_has_voted_may_still_form(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .unformed = 1});
  alone_vote(c, N2, &(struct alone_vote){.term = 2, .last = 1, .last_term = 1});
  EQ(alone_status(c).term, 2);
  EQ(cluster_form(c, N1), RAFT_OK);
  EQ(alone_status(c).last, 1);
  EQ(alone_status(c).term, 2);
  alone_end(c);
}

/* ---- questions ----------------------------------------------------------- */

/* They only count up: from the lower half they never wrap. */
static void counters_start_in_the_lower_half(void) {
  struct raft_options o = sound;
  for (o.seed = 1; o.seed <= 64; o.seed++) {
    struct raft *r = raft_new(&o);
    CHECK(r != NULL);
    if (r == NULL) return;
    CHECK(r->ballot.round < UINT64_C(1) << 63);
    CHECK(r->read_context < UINT64_C(1) << 63);
    raft_free(r);
  }
}

static void a_digest_tells_states_apart(void) {
  struct cluster *c = alone_new(3, NULL);
  uint64_t a[2];
  uint64_t b[2];
  raft_digest(c->nodes[N1].raft, a);
  c->now++;
  cluster_tick(c, N1);
  raft_digest(c->nodes[N1].raft, b);
  CHECK(memcmp(a, b, sizeof a) != 0);
  alone_end(c);
}

/* Two frames that wait in the outbox differ only in whom they are for. */
static void a_digest_sees_whom_a_frame_is_for(void) {
  uint64_t digests[2][2];
  for (uint32_t i = 0; i < 2; i++) {
    struct cluster *c = alone_new(3, NULL);
    struct alone_vote v = {.term = 2, .last = 1, .last_term = 1, .pre = true};
    alone_vote(c, N2 + i, &v);
    raft_digest(c->nodes[N1].raft, digests[i]);
    alone_end(c);
  }
  CHECK(memcmp(digests[0], digests[1], sizeof digests[0]) != 0);
}

static void clones_go_the_same_way(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  CHECK(cluster_propose(c, N1, "x") == 3);
  struct raft *r = c->nodes[N1].raft;
  struct raft *copy = raft_clone(r);
  struct raft_event ev = {.kind = RAFT_EV_TICK, .now = c->now + 500};
  uint64_t a[2];
  uint64_t b[2];
  struct raft_batch batch;
  EQ(raft_step(copy, &ev), RAFT_OK);
  raft_take(copy, &batch);
  EQ(raft_step(r, &ev), RAFT_OK);
  raft_take(r, &batch);
  raft_digest(r, a);
  raft_digest(copy, b);
  EQ_BYTES(a, b, sizeof a);
  raft_free(copy);
  alone_end(c);
}

static void test_doors(void) {
  CASE(a_leader_hands_its_place_to_one_that_has_everything);
  CASE(a_leader_alone_has_no_heir);
  CASE(what_is_no_event_is_refused);
  CASE(reports_of_what_was_not_asked_are_refused);
  CASE(completions_are_cumulative);
  CASE(nobody_else_is_who_we_are);
  CASE(damaged_frames_change_nothing);
  CASE(impossible_entries_are_corrupt);
}

static int64_t hear(struct cluster *c, const uint8_t *frame, size_t size) {
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = c->nodes[N2].id;
  ev.receive.frame = (struct raft_slice){frame, size};
  return cluster_step(c, N1, &ev);
}

/* Of another version, optional, or longer than any: none does harm. */
static void frames_of_other_ages(void) {
  struct cluster *c = alone_new(3, NULL);
  uint8_t frame[RAFT_FRAME_FIXED_MAX];
  struct raft_message m = {.kind = RAFT_MSG_PING};
  size_t size = raft_wire_encode(&m, frame);
  EQ(hear(c, frame, size), RAFT_OK);
  EQ(alone_status(c).bad_frames, 0);
  frame[8] = 2; /* the version */
  uint32_t crc = raft_crc32c(0, frame, 4);
  crc = raft_crc32c(crc, frame + 8, size - 8);
  raft_put_u32(frame + 4, crc);
  EQ(hear(c, frame, size), RAFT_E_VERSION);
  EQ(alone_status(c).bad_frames, 1);
  EQ(hear(c, frame, (size_t)RAFT_FRAME_BYTES_MAX + 1), RAFT_E_CORRUPT);
  EQ(alone_status(c).bad_frames, 2);
  alone_end(c);
}

static void applied_is_what_was_handed_out(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  struct raft_event ev = {.kind = RAFT_EV_APPLIED, .applied = 1};
  EQ(alone_status(c).applied, 2);
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE); /* it goes back */
  ev.applied = 3;
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE); /* nobody was told to */
  ev.applied = 2;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  alone_end(c);
}

/* Loaded entries are kept until the last of them is applied. */
static void a_window_is_applied_in_parts(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 1, .seed = 1, .tail_max = 1});
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 5; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  CHECK(cluster_propose(c, N1, "x") > 0); /* says how far it is committed */
  cluster_work(c);
  cluster_crash(c, N1, 0);
  c->nodes[N1].is_apply_held = true;
  EQ(cluster_restart(c, N1), RAFT_OK);
  cluster_work(c);
  struct raft_status s = alone_status(c);
  raft_index handed = raft_facts_of(c->nodes[N1].raft).apply_handed;
  CHECK(handed >= s.applied + 2);
  struct raft_entry e;
  for (raft_index i = s.applied + 1; i <= handed; i++) {
    struct raft_event ev = {.kind = RAFT_EV_APPLIED, .applied = i};
    CHECK(raft_entry_at(c->nodes[N1].raft, i, &e));
    EQ(cluster_step(c, N1, &ev), RAFT_OK);
  }
  struct raft_event late = {.kind = RAFT_EV_LOADED};
  uint8_t bytes[100];
  late.loaded.first = 2;
  late.loaded.entries.data = bytes;
  late.loaded.entries.size = cluster_entries(2, TERMS(2), 1, bytes);
  EQ(cluster_step(c, N1, &late), RAFT_OK); /* not what comes next: dropped */
  c->nodes[N1].told = handed;
  c->nodes[N1].is_apply_held = false;
  CHECK(cluster_elect(c, N1));
  EQ(c->nodes[N1].performed, alone_status(c).last);
  alone_end(c);
}

/* Who has no configuration yet goes by its options. */
static void an_unformed_node_is_loyal_to_a_leader(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .unformed = 1});
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).leader, c->nodes[N2].id);
  struct alone_vote v = {.term = 3, .last = 9, .last_term = 2, .pre = true};
  c->now += 99;
  alone_vote(c, N3, &v);
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  c->now += 1;
  alone_vote(c, N3, &v);
  CHECK(alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  CHECK(raft_config_in_force(c->nodes[N1].raft, NULL) != NULL);
  alone_end(c);
}

static void configurations_of_a_recovery_are_in_order(void) {
  struct raft *r = raft_new(&sound);
  struct raft_recovery rec = {.tail_first = 1};
  struct raft_event ev = {.kind = RAFT_EV_START, .start = &rec};
  rec.config.index = 1; /* there is no such entry */
  EQ(raft_step(r, &ev), RAFT_E_CORRUPT);
  rec.config.index = 0;
  rec.config_before.index = 1;
  EQ(raft_step(r, &ev), RAFT_E_CORRUPT);
  rec.config_before.index = 0;
  EQ(raft_step(r, &ev), RAFT_OK);
  raft_free(r);
}

/* What a snapshot covers is committed and applied. */
static void a_replica_starts_behind_its_snapshot(void) {
  struct cluster *c = alone_new(3, NULL);
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft *r = raft_new(&sound);
  struct raft_recovery rec = {
      .term = 2, .base_index = 3, .base_term = 1, .last = 3, .tail_first = 4};
  rec.snapshot = (struct raft_snapshot){3, 1, 9, 2, {config, 0}, false};
  rec.snapshot.config.size = raft_config_encode(&c->config, config);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = &rec};
  EQ(raft_step(r, &ev), RAFT_OK);
  struct raft_status status;
  raft_status(r, &status);
  EQ(status.commit, 3);
  EQ(status.applied, 3);
  EQ(status.config_index, 2);
  EQ(status.snapshot, 3);
  raft_free(r);
  alone_end(c);
}

static void a_configuration_in_the_tail_is_told_of(void) {
  struct cluster *c = alone_new(3, NULL);
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t tail[RAFT_CONFIG_BYTES_MAX + 64];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&c->config, payload);
  e.payload = payload;
  struct raft_run run = {.first = 1, .term = 1};
  struct raft_recovery rec = {.term = 1,
                              .last = 1,
                              .runs = &run,
                              .run_count = 1,
                              .tail_first = 1,
                              .tail = {tail, raft_entry_encode(&e, tail)}};
  EQ(start_with(&rec), RAFT_E_CORRUPT);
  rec.config.index = 1;
  rec.config.payload = (struct raft_slice){payload, e.size};
  EQ(start_with(&rec), RAFT_OK);
  rec.last = 2;
  rec.config_before = rec.config;
  rec.config.index = 2; /* both are sound, and the log is not: it is empty */
  EQ(start_with(&rec), RAFT_E_CORRUPT);
  alone_end(c);
}

int main(void) {
  CASE(options_that_break_a_rule_make_nothing);
  CASE(counters_start_in_the_lower_half);
  CASE(start_comes_first_and_once);
  CASE(a_recovery_that_contradicts_itself_is_corrupt);
  CASE(a_hint_past_the_log_is_clipped);
  test_doors();
  CASE(what_is_only_on_disk_is_applied_to_its_end);
  CASE(a_cluster_forms_once);
  CASE(a_bad_configuration_forms_nothing);
  CASE(who_has_voted_may_still_form);
  CASE(a_digest_tells_states_apart);
  CASE(a_digest_sees_whom_a_frame_is_for);
  CASE(clones_go_the_same_way);
  CASE(frames_of_other_ages);
  CASE(applied_is_what_was_handed_out);
  CASE(a_window_is_applied_in_parts);
  CASE(an_unformed_node_is_loyal_to_a_leader);
  CASE(configurations_of_a_recovery_are_in_order);
  CASE(a_replica_starts_behind_its_snapshot);
  CASE(a_configuration_in_the_tail_is_told_of);
  return test_end();
}
