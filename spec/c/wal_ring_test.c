/* wal_ring_test.c - the ring of the newest entries, against a model that keeps
 * them all; and what the log makes of one that is in two pieces. */
#include "log.h"
#include "wal_tail.h"

#include <string.h>

#include "test.h"
#include "wal_files.h"

#define ENTRIES_MAX 4096
#define MEMORY      8000
#define SMALL       (MEMORY / 8 - RAFT_ENTRY_HEADER_BYTES) /* of text */
#define TEXT_MAX    (MEMORY + MEMORY / 4)
#define STEPS       6000
#define RUNS        8

static struct test_memory memory;

/* ---- against a model ----------------------------------------------------- */

/* Entry i of the log has sizes[i] bytes of text and terms[i]; the ring holds
 * [first, next). */
static struct {
  raft_index first;
  raft_index next;
  size_t sizes[ENTRIES_MAX];
  raft_term terms[ENTRIES_MAX];
} model;

static size_t encoded(raft_index i, uint8_t *out) {
  return wal_entries(i, i, model.terms[i], model.sizes[i], out);
}

static size_t bytes_from(raft_index first) {
  size_t bytes = 0;
  for (raft_index i = first; i < model.next; i++)
    bytes += RAFT_ENTRY_HEADER_BYTES + model.sizes[i];
  return bytes;
}

/* Byte for byte what the model has; how many pieces it is in. */
static int compare(const struct raft_wal_tail *t) {
  struct raft_slice pieces[2];
  uint8_t want[TEXT_MAX + 100];
  raft_wal_tail_pieces(t, pieces);
  int at = 0;
  for (raft_index i = t->first; i < t->first + t->count; i++) {
    size_t size = encoded(i, want);
    if (pieces[at].size == 0 && at == 0) at++;
    CHECK(pieces[at].size >= size);
    if (pieces[at].size < size) return 0;
    EQ_BYTES(pieces[at].data, want, size);
    pieces[at].data += size;
    pieces[at].size -= size;
  }
  EQ(pieces[0].size, 0);
  EQ(pieces[1].size, 0);
  if (t->wrap == 0) CHECK(pieces[1].data == NULL);
  return at + 1;
}

static void check(const struct raft_wal_tail *t) {
  struct raft_entry newest;
  CHECK(t->wrap == 0 || (t->to <= t->from && t->from < t->wrap));
  CHECK(t->capacity <= t->capacity_max);
  EQ(t->first + t->count, model.next);
  CHECK(t->first >= model.first);
  EQ(raft_wal_tail_newest(t, &newest), t->count > 0);
  if (t->count > 0) EQ(newest.index, model.next - 1);
  EQ(raft_wal_tail_size(t), bytes_from(t->first));
}

static void add(struct raft_wal_tail *t, size_t most, uint64_t *random) {
  static uint8_t bytes[TEXT_MAX + 100];
  raft_index i = model.next++;
  raft_index oldest = t->first;
  model.sizes[i] = test_random(random) % (test_random(random) % most + 1);
  model.terms[i] = 1 + test_random(random) % 9;
  struct raft_slice entry = {bytes, encoded(i, bytes)};
  EQ(raft_wal_tail_add(t, entry), RAFT_OK);
  if (most <= SMALL && bytes_from(oldest) <= MEMORY)
    EQ(t->first, oldest); /* what is wanted does not go */
  model.first = t->first;
}

static void cut(struct raft_wal_tail *t, uint64_t *random) {
  raft_index back = test_random(random) % 12;
  if (back >= model.next) back = model.next - 1;
  model.next -= back;
  if (model.next < model.first) model.first = model.next;
  raft_wal_tail_cut(t, model.next);
}

static void shed_a_view(const struct raft_wal_tail *t, uint64_t *random) {
  struct raft_wal_tail view = *t;
  size_t most = test_random(random) % (2 * MEMORY);
  raft_wal_tail_shed(&view, most);
  CHECK(raft_wal_tail_size(&view) <= most);
  if (view.first > t->first)
    CHECK(bytes_from(view.first - 1) > most); /* no fewer than fit */
  (void)compare(&view);
  check(&view);
}

static void it_keeps_what_a_model_keeps(void) {
  uint64_t random = test_seed();
  uint32_t parted = 0;
  for (int run = 0; run < RUNS; run++) {
    struct raft_wal_tail t;
    memory = (struct test_memory){0};
    raft_wal_tail_init(&t, MEMORY, test_alloc, &memory);
    model.first = model.next = 1;
    for (int i = 0; i < STEPS && model.next < ENTRIES_MAX; i++) {
      uint64_t what = test_random(&random) % 16;
      if (what == 0)
        cut(&t, &random);
      else if (what == 1)
        shed_a_view(&t, &random);
      else
        add(&t, run % 2 == 0 ? SMALL : TEXT_MAX, &random);
      if (compare(&t) == 2) parted++;
      check(&t);
    }
    raft_wal_tail_free(&t);
    EQ(memory.live, 0);
  }
  CHECK(parted > RUNS);
}

static void it_starts_anew_anywhere(void) {
  uint64_t random = 1;
  struct raft_wal_tail t;
  memory = (struct test_memory){0};
  raft_wal_tail_init(&t, MEMORY, test_alloc, &memory);
  model.first = model.next = 1;
  for (int i = 0; i < 100; i++)
    add(&t, SMALL, &random);
  model.first = model.next = 1000;
  raft_wal_tail_reset(&t, 1000);
  check(&t);
  for (int i = 0; i < 100; i++) {
    add(&t, SMALL, &random);
    (void)compare(&t);
    check(&t);
  }
  raft_wal_tail_free(&t);
  EQ(memory.live, 0);
  model.first = model.next = 1;
  add(&t, SMALL, &random); /* as if it were new */
  check(&t);
  raft_wal_tail_free(&t);
  EQ(memory.live, 0);
}

static void what_never_fits_is_not_kept(void) {
  static uint8_t bytes[3 * MEMORY];
  struct raft_wal_tail t;
  memory = (struct test_memory){0};
  raft_wal_tail_init(&t, 0, test_alloc, &memory);
  size_t most = t.capacity_max;
  size_t size = wal_entries(1, 1, 1, 10, bytes);
  EQ(raft_wal_tail_add(&t, (struct raft_slice){bytes, size}), RAFT_OK);
  EQ(t.count, 1);
  t.capacity_max = MEMORY; /* as if it were small, in every build */
  size = wal_entries(2, 2, 1, MEMORY, bytes);
  EQ(raft_wal_tail_add(&t, (struct raft_slice){bytes, size}), RAFT_OK);
  EQ(t.count, 0);
  EQ(t.first, 3);
  size = wal_entries(3, 3, 1, 10, bytes);
  t.capacity_max = most;
  EQ(raft_wal_tail_add(&t, (struct raft_slice){bytes, size}), RAFT_OK);
  EQ(t.count, 1);
  raft_wal_tail_free(&t);
  EQ(memory.live, 0);
}

/* ---- in two pieces ------------------------------------------------------- */

static const struct raft_run one_run[] = {{1, 2}};

/* A log of ten entries, of which the tail has five. */
static struct raft_recovery recovery(uint8_t *bytes) {
  size_t size = wal_entries(6, 8, 2, 50, bytes);
  size_t rest = wal_entries(9, 10, 2, 50, bytes + size);
  return (struct raft_recovery){
      .last = 10,
      .runs = one_run,
      .run_count = 1,
      .tail_first = 6,
      .tail = {bytes, size},
      .tail_rest = {bytes + size, rest},
  };
}

static int recover(const struct raft_recovery *rec, uint64_t fail_in) {
  struct raft_log log;
  memory = (struct test_memory){.fail_in = fail_in};
  raft_log_init(&log, test_alloc, &memory);
  int error = raft_log_recover(&log, rec);
  EQ_TEXT(raft_log_check(&log), NULL);
  for (raft_index i = 6; error == RAFT_OK && i <= 10; i++) {
    struct raft_entry e;
    CHECK(raft_log_get(&log, i, &e));
    EQ(e.size, 50);
  }
  raft_log_free(&log);
  EQ(memory.live, 0);
  return error;
}

static void a_log_takes_both_pieces(void) {
  static uint8_t bytes[1000];
  struct raft_recovery rec = recovery(bytes);
  EQ(recover(&rec, 0), RAFT_OK);
  int failures = 0;
  while (recover(&rec, (uint64_t)failures + 1) == RAFT_E_NOMEM)
    failures++;
  CHECK(failures > 0);
}

static void damage_in_either_piece_is_refused(void) {
  static uint8_t bytes[1000];
  struct raft_recovery rec = recovery(bytes);
  for (size_t i = 0; i < rec.tail.size + rec.tail_rest.size; i++) {
    bytes[i] ^= 1;
    EQ(recover(&rec, 0), RAFT_E_CORRUPT);
    bytes[i] ^= 1;
  }
}

static void pieces_that_do_not_join_are_refused(void) {
  static uint8_t bytes[1000];
  struct raft_recovery good = recovery(bytes);
  struct raft_recovery rec = good;
  rec.tail_rest.size = 0; /* the newer ones are missing */
  EQ(recover(&rec, 0), RAFT_E_CORRUPT);
  rec = good;
  rec.tail.size = 0; /* the older ones are */
  EQ(recover(&rec, 0), RAFT_E_CORRUPT);
  rec.tail_first = 11;
  EQ(recover(&rec, 0), RAFT_E_CORRUPT);
  rec = good;
  rec.tail = good.tail_rest; /* the wrong way round */
  rec.tail_rest = good.tail;
  EQ(recover(&rec, 0), RAFT_E_CORRUPT);
  rec = good;
  rec.tail_rest = good.tail; /* the same twice */
  EQ(recover(&rec, 0), RAFT_E_CORRUPT);
}

int main(void) {
  CASE(it_keeps_what_a_model_keeps);
  CASE(it_starts_anew_anywhere);
  CASE(what_never_fits_is_not_kept);
  CASE(a_log_takes_both_pieces);
  CASE(damage_in_either_piece_is_refused);
  CASE(pieces_that_do_not_join_are_refused);
  return test_end();
}
