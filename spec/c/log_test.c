/* log_test.c - the log in memory: stories of what once went wrong elsewhere,
 * what comes from a damaged disk, and memory that runs out. Random operations
 * against a model are in log_model_test.c. */
#include "log.h"

#include <string.h>

#include "test.h"

#define BYTES_MAX 8192 /* of encoded entries in one buffer of a test */

static struct test_memory memory;

/* ---- helpers ------------------------------------------------------------- */

static void start(struct raft_log *log) {
  memset(&memory, 0, sizeof memory);
  memset(log, 0xa5, sizeof *log); /* init must not rely on zeroes */
  raft_log_init(log, test_alloc, &memory);
}

static void finish(struct raft_log *log) {
  EQ_TEXT(raft_log_check(log), NULL);
  raft_log_free(log);
  EQ(memory.live, 0);
}

static struct raft_entry entry(raft_index index, raft_term term,
                               const char *text) {
  return (struct raft_entry){.index = index,
                             .term = term,
                             .time = index * 10,
                             .kind = RAFT_ENTRY_COMMAND,
                             .size = (uint32_t)strlen(text),
                             .payload = (const uint8_t *)text};
}

static void append(struct raft_log *log, raft_term term, const char *text) {
  struct raft_entry e = entry(0, term, text);
  EQ(raft_log_reserve(log, raft_entry_bytes(&e), 1), RAFT_OK);
  raft_log_append(log, &e);
}

static void append_many(struct raft_log *log, raft_term term, int count) {
  for (int i = 0; i < count; i++)
    append(log, term, "0123456789");
}

static bool holds(const struct raft_log *log, raft_index index, raft_term term,
                  const char *text) {
  struct raft_entry e;
  if (!raft_log_get(log, index, &e)) return false;
  return e.term == term && e.size == strlen(text) &&
         memcmp(e.payload, text, e.size) == 0;
}

/* Encoded entries [first, last] of one term. */
struct encoded {
  uint8_t data[BYTES_MAX];
  size_t size;
};

static void encode(struct encoded *out, raft_index first, raft_index last,
                   raft_term term) {
  out->size = 0;
  for (raft_index i = first; i <= last; i++) {
    struct raft_entry e = entry(i, term, "from afar");
    out->size += raft_entry_encode(&e, out->data + out->size);
  }
}

/* ---- terms --------------------------------------------------------------- */

static void knows_the_term_of_every_index(void) {
  struct raft_log log;
  start(&log);
  EQ(raft_log_term(&log, 0), 0);
  EQ(raft_log_last_term(&log), 0);
  append_many(&log, 2, 3);
  append_many(&log, 5, 2);
  EQ(raft_log_term(&log, 0), 0);
  EQ(raft_log_term(&log, 1), 2);
  EQ(raft_log_term(&log, 3), 2);
  EQ(raft_log_term(&log, 4), 5);
  EQ(raft_log_last_term(&log), 5);
  EQ(raft_log_term(&log, 6), 0);
  EQ(log.run_count, 2); /* not five */
  finish(&log);
}

/* [Raft 5.3] a whole term of conflicts is skipped at once. */
static void finds_where_logs_may_agree(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 2, 3);
  append_many(&log, 5, 4);
  EQ(raft_log_agree(&log, 7, 5), 7);
  EQ(raft_log_agree(&log, 99, 9), 7);
  EQ(raft_log_agree(&log, 7, 4), 3);
  EQ(raft_log_agree(&log, 2, 4), 2);
  EQ(raft_log_agree(&log, 7, 1), 0);
  raft_log_stored(&log, raft_log_hand(&log));
  raft_log_compact(&log, 2);
  EQ(raft_log_agree(&log, 7, 2), 3);
  EQ(raft_log_agree(&log, 1, 9), 0); /* compacted: nobody knows */
  EQ(raft_log_agree(&log, 7, 1), 0);
  raft_log_compact(&log, 5);
  EQ(raft_log_agree(&log, 7, 2), 0);
  EQ(raft_log_agree(&log, 5, 5), 5);
  finish(&log);
}

/* ---- durability ---------------------------------------------------------- */

static void counts_an_entry_once_its_batch_is_durable(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 2);
  EQ(raft_log_after(&log, 2), 1); /* the batch to come */
  EQ(raft_log_hand(&log), 1);
  append_many(&log, 1, 1);
  EQ(raft_log_after(&log, 2), 1);
  EQ(raft_log_after(&log, 3), 2);
  EQ(raft_log_hand(&log), 2);
  raft_log_stored(&log, 1);
  EQ(log.stored, 2);
  EQ(raft_log_after(&log, 2), 0);
  raft_log_stored(&log, 2);
  EQ(log.stored, 3);
  EQ(raft_log_after(&log, 0), 0);
  finish(&log);
}

/* An acknowledgement of bytes that were overwritten is no promise for what
 * stands in their place, though index and even length are the same. */
static void a_late_ack_is_not_for_the_new_entry(void) {
  struct raft_log log;
  start(&log);
  append(&log, 1, "one");
  append(&log, 1, "two");
  EQ(raft_log_hand(&log), 1); /* in flight: one, two */
  raft_log_truncate(&log, 2);
  append(&log, 2, "TWO");
  EQ(raft_log_after(&log, 2), 2);
  raft_log_stored(&log, 1);
  EQ(log.stored, 1); /* not 2: that is another two */
  EQ(raft_log_after(&log, 2), 2);
  EQ(raft_log_hand(&log), 2);
  raft_log_stored(&log, 2);
  EQ(log.stored, 2);
  finish(&log);
}

/* Overwritten twice: A, B, A again. Each batch stands for its own entry. */
static void two_truncations_in_flight(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 3);
  EQ(raft_log_hand(&log), 1);
  raft_log_truncate(&log, 1);
  append_many(&log, 2, 3);
  EQ(raft_log_hand(&log), 2);
  raft_log_truncate(&log, 2);
  append_many(&log, 3, 2);
  EQ(raft_log_hand(&log), 3);
  raft_log_stored(&log, 1);
  EQ(log.stored, 0);
  raft_log_stored(&log, 2);
  EQ(log.stored, 1);
  raft_log_stored(&log, 3);
  EQ(log.stored, 3);
  finish(&log);
}

static void truncation_lowers_what_is_durable(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 5);
  raft_log_stored(&log, raft_log_hand(&log));
  raft_log_truncate(&log, 3);
  EQ(log.last, 2);
  EQ(log.stored, 2);
  EQ(log.handed, 2);
  append_many(&log, 2, 3);
  EQ(log.stored, 2);
  EQ(raft_log_after(&log, 3), 2);
  raft_log_truncate(&log, 99); /* past the end: nothing */
  EQ(log.last, 5);
  finish(&log);
}

/* Numbers are cumulative: a smaller one after a larger one tells nothing. */
static void acks_out_of_order_change_nothing(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 1);
  EQ(raft_log_hand(&log), 1);
  append_many(&log, 1, 1);
  EQ(raft_log_hand(&log), 2);
  append_many(&log, 1, 1);
  EQ(raft_log_hand(&log), 3);
  raft_log_stored(&log, 2);
  EQ(log.stored, 2);
  raft_log_stored(&log, 1);
  EQ(log.stored, 2);
  EQ(log.seq_stored, 2);
  finish(&log);
}

static void too_many_stores_under_way_are_refused(void) {
  struct raft_log log;
  start(&log);
  for (raft_seq seq = 1; seq <= RAFT_STORES_MAX; seq++) {
    append_many(&log, 1, 1);
    EQ(raft_log_hand(&log), seq);
  }
  append_many(&log, 1, 1);
  EQ(raft_log_hand(&log), 0);
  EQ(log.handed, RAFT_STORES_MAX);
  raft_log_stored(&log, 1);
  EQ(raft_log_hand(&log), RAFT_STORES_MAX + 1);
  raft_log_stored(&log, RAFT_STORES_MAX + 1);
  EQ(log.stored, RAFT_STORES_MAX + 1);
  finish(&log);
}

/* ---- bytes that were lent out -------------------------------------------- */

static void lent_bytes_outlive_truncation(void) {
  struct raft_log log;
  struct raft_slice slice;
  uint8_t before[512];
  size_t bytes;
  raft_index last = 3;
  start(&log);
  append_many(&log, 1, 3);
  EQ(raft_log_slices(&log, 1, &last, SIZE_MAX, &slice, 1, &bytes), 1);
  EQ(bytes, slice.size);
  memcpy(before, slice.data, slice.size);
  raft_log_truncate(&log, 2);
  append(&log, 2, "another one");
  append(&log, 2, "and more");
  EQ_BYTES(slice.data, before, slice.size);
  CHECK(holds(&log, 2, 2, "another one"));
  raft_log_reset(&log, 9, 2);
  append(&log, 2, "a new life");
  EQ_BYTES(slice.data, before, slice.size);
  raft_log_settle(&log);
  CHECK(holds(&log, 10, 2, "a new life"));
  finish(&log);
}

/* Entries around the hole are read in two slices, never over it. */
static void slices_leave_out_what_was_cut_off(void) {
  struct raft_log log;
  struct raft_slice slices[3];
  size_t bytes;
  raft_index last = 3;
  start(&log);
  append(&log, 1, "one");
  append(&log, 1, "two");
  EQ(raft_log_slices_max(&log, 1), 1);
  raft_log_truncate(&log, 2);
  append(&log, 2, "TWO");
  append(&log, 2, "THREE");
  EQ(raft_log_slices_max(&log, 1), 2);
  EQ(raft_log_slices(&log, 1, &last, SIZE_MAX, slices, 3, &bytes), 2);
  EQ(last, 3);
  EQ(slices[0].size, 43);
  EQ(slices[1].size, 43 + 45);
  EQ(bytes, 43 + 43 + 45);
  last = 3;
  EQ(raft_log_slices(&log, 1, &last, SIZE_MAX, slices, 1, &bytes), 1);
  EQ(last, 1);
  raft_log_truncate(&log, 2);
  EQ(raft_log_slices_max(&log, 1), 1);
  finish(&log);
}

static void room_of_dead_bytes_comes_back(void) {
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 1);
  uint64_t calls = memory.calls;
  for (raft_term term = 2; term < 9000; term++) { /* more than a block holds */
    raft_log_truncate(&log, 1);
    raft_log_settle(&log);
    append_many(&log, term, 1);
  }
  EQ(memory.calls, calls);
  finish(&log);
}

static void slices_keep_to_the_bytes_asked(void) {
  struct raft_log log;
  struct raft_slice slices[4];
  size_t bytes;
  raft_index last = 5;
  start(&log);
  append_many(&log, 1, 5); /* of 50 bytes */
  EQ(raft_log_slices(&log, 2, &last, 149, slices, 4, &bytes), 1);
  EQ(last, 3);
  EQ(bytes, 100);
  last = 5;
  EQ(raft_log_slices(&log, 2, &last, 150, slices, 4, &bytes), 1);
  EQ(last, 4);
  last = 5;
  EQ(raft_log_slices(&log, 5, &last, 0, slices, 4, &bytes), 1);
  EQ(last, 5); /* one always fits */
  EQ(raft_log_bytes(&log, 1, 4), 150);
  EQ(raft_log_bytes(&log, 0, 99), 250);
  EQ(raft_log_bytes(&log, 5, 5), 0);
  finish(&log);
}

/* ---- room ---------------------------------------------------------------- */

static void costs_four_bytes_beyond_the_encoding(void) {
  struct raft_log log;
  start(&log);
  struct raft_block *b;
  uint32_t capacity = RAFT_BLOCK_BYTES - (uint32_t)sizeof *b;
  append_many(&log, 1, (int)(capacity / 54)); /* 50 encoded, 4 beyond */
  EQ(log.block_count, 1);
  EQ(log.memory_bytes, RAFT_BLOCK_BYTES);
  append_many(&log, 1, 1);
  EQ(log.block_count, 2);
  finish(&log);
}

/* A follower reserves first, then drops a conflict, then appends: memory that
 * runs out must be told before anything changed. */
static void a_reservation_survives_truncation(void) {
  for (raft_index from = 1; from <= 30; from++) {
    static struct encoded in;
    struct raft_log log;
    start(&log);
    append_many(&log, 1, 30);
    encode(&in, from, from + 29, 2);
    EQ(raft_log_reserve(&log, in.size, 30), RAFT_OK);
    EQ(raft_log_reserve(&log, 40, 1), RAFT_OK); /* the larger one holds */
    raft_log_truncate(&log, from);
    memory.fail_in = 1; /* not one more allocation */
    memory.fails_for_good = true;
    raft_log_append_raw(&log, in.data, in.size, 30);
    EQ(log.last, from + 29);
    CHECK(holds(&log, from, 2, "from afar"));
    memory.fail_in = 0;
    finish(&log);
  }
}

static void a_reservation_survives_a_reset(void) {
  static struct encoded in;
  struct raft_log log;
  start(&log);
  append_many(&log, 1, 9);
  encode(&in, 101, 120, 2);
  EQ(raft_log_reserve(&log, in.size, 20), RAFT_OK);
  memory.fail_in = 1;
  memory.fails_for_good = true;
  raft_log_reset(&log, 100, 2);
  raft_log_append_raw(&log, in.data, in.size, 20);
  EQ(log.last, 120);
  EQ(log.stored, 100);
  EQ(raft_log_term(&log, 100), 2);
  memory.fail_in = 0;
  finish(&log);
}

static void an_entry_larger_than_a_block_fits(void) {
  static char text[2 * RAFT_BLOCK_BYTES];
  struct raft_log log;
  start(&log);
  memset(text, 'x', sizeof text - 1);
  append(&log, 1, "small");
  append(&log, 1, text);
  append(&log, 1, "small");
  CHECK(holds(&log, 2, 1, text));
  CHECK(holds(&log, 3, 1, "small"));
  EQ(log.block_count, 3);
  finish(&log);
}

/* A huge reservation that came to nothing must not become a huge block. */
static void an_unused_huge_spare_is_dropped(void) {
  struct raft_log log;
  start(&log);
  EQ(raft_log_reserve(&log, 64u * RAFT_BLOCK_BYTES, 1), RAFT_OK);
  raft_log_settle(&log);
  append(&log, 1, "small");
  EQ(log.memory_bytes, RAFT_BLOCK_BYTES);
  EQ(raft_log_reserve(&log, SIZE_MAX, 1), RAFT_E_NOMEM);
  finish(&log);
}

static void a_spare_is_kept_until_it_is_too_small(void) {
  struct raft_log log;
  start(&log);
  EQ(raft_log_reserve(&log, 100, 1), RAFT_OK);
  uint64_t calls = memory.calls;
  EQ(raft_log_reserve(&log, 200, 1), RAFT_OK); /* it is there already */
  EQ(memory.calls, calls);
  EQ(raft_log_reserve(&log, 2 * RAFT_BLOCK_BYTES, 1), RAFT_OK);
  EQ(memory.calls, calls + 1);
  finish(&log); /* and none of them leaks */
}

static void eviction_spares_what_is_needed(void) {
  struct raft_log log;
  start(&log);
  while (log.block_count < 6)
    append_many(&log, 1, 1);
  raft_index second = log.blocks[1]->first;
  raft_log_evict(&log, 0, log.last);
  EQ(log.memory_first, 1); /* nothing is durable yet */
  raft_log_stored(&log, raft_log_hand(&log));
  raft_log_evict(&log, SIZE_MAX, log.last);
  EQ(log.memory_first, 1); /* nothing is too much */
  raft_log_evict(&log, 0, second - 2);
  EQ(log.memory_first, 1); /* the first block is still wanted */
  raft_log_evict(&log, 0, second - 1);
  EQ(log.memory_first, second);
  raft_log_evict(&log, 0, log.last);
  EQ(log.block_count, 1); /* room for appends stays */
  EQ(raft_log_term(&log, 1), 1);
  struct raft_entry e;
  CHECK(!raft_log_get(&log, 1, &e));
  CHECK(raft_log_get(&log, log.last, &e));
  raft_log_truncate(&log, 2); /* of what is on disk only */
  EQ(log.memory_first, 2);
  append(&log, 4, "two");
  CHECK(holds(&log, 2, 4, "two"));
  finish(&log);
}

/* ---- compaction ---------------------------------------------------------- */

static void compaction_moves_the_base(void) {
  struct raft_log log;
  struct raft_entry e;
  start(&log);
  append_many(&log, 1, 4);
  append_many(&log, 2, 4);
  raft_log_stored(&log, raft_log_hand(&log));
  raft_log_compact(&log, 3);
  EQ(log.base_index, 3);
  EQ(log.base_term, 1);
  EQ(raft_log_term(&log, 2), 0);
  EQ(raft_log_term(&log, 3), 1);
  EQ(raft_log_term(&log, 4), 1);
  CHECK(!raft_log_get(&log, 3, &e));
  CHECK(raft_log_get(&log, 4, &e));
  raft_log_compact(&log, 2); /* behind already */
  EQ(log.base_index, 3);
  EQ_TEXT(raft_log_check(&log), NULL);
  raft_log_compact(&log, 8);
  EQ(log.run_count, 0);
  EQ(raft_log_last_term(&log), 2);
  append(&log, 2, "nine");
  CHECK(holds(&log, 9, 2, "nine"));
  finish(&log);
}

static void compaction_frees_whole_blocks(void) {
  struct raft_log log;
  start(&log);
  while (log.block_count < 3)
    append_many(&log, 1, 1);
  raft_log_stored(&log, raft_log_hand(&log));
  raft_index second = log.blocks[1]->first;
  raft_log_compact(&log, second - 2);
  EQ(log.block_count, 3);
  raft_log_compact(&log, second - 1);
  EQ(log.block_count, 2);
  EQ(log.memory_first, second);
  raft_log_compact(&log, log.last);
  EQ(log.block_count, 1); /* room for appends stays */
  finish(&log);
}

/* ---- from the disk ------------------------------------------------------- */

static const struct raft_run two_runs[] = {{4, 1}, {6, 2}};

/* Base 3 (term 1), entries 4..5 of term 1 on disk only, 6..8 of term 2. */
static struct raft_recovery recovery(struct encoded *tail) {
  encode(tail, 6, 8, 2);
  return (struct raft_recovery){
      .base_index = 3,
      .base_term = 1,
      .last = 8,
      .runs = two_runs,
      .run_count = 2,
      .tail_first = 6,
      .tail = {tail->data, tail->size},
  };
}

static void recovers_what_the_disk_held(void) {
  static struct encoded tail;
  struct raft_log log;
  struct raft_entry e;
  start(&log);
  struct raft_recovery rec = recovery(&tail);
  EQ(raft_log_recover(&log, &rec), RAFT_OK);
  EQ_TEXT(raft_log_check(&log), NULL);
  EQ(log.last, 8);
  EQ(log.stored, 8);
  EQ(log.memory_first, 6);
  EQ(raft_log_term(&log, 3), 1);
  EQ(raft_log_term(&log, 5), 1);
  CHECK(!raft_log_get(&log, 5, &e));
  CHECK(holds(&log, 6, 2, "from afar"));
  EQ(raft_log_hand(&log), 1); /* numbers start anew */
  append(&log, 3, "nine");
  EQ(raft_log_after(&log, 8), 0);
  EQ(raft_log_after(&log, 9), 2);
  finish(&log);
}

static void recovers_nothing_from_an_empty_directory(void) {
  struct raft_recovery rec = {0};
  struct raft_log log;
  start(&log);
  EQ(raft_log_recover(&log, &rec), RAFT_OK);
  EQ(log.memory_first, 1);
  append(&log, 1, "one");
  CHECK(holds(&log, 1, 1, "one"));
  finish(&log);
}

static void recovers_without_a_tail(void) {
  static struct encoded tail;
  struct raft_log log;
  start(&log);
  struct raft_recovery rec = recovery(&tail);
  rec.tail = (struct raft_slice){0};
  rec.tail_first = 9;
  EQ(raft_log_recover(&log, &rec), RAFT_OK);
  EQ(log.memory_first, 9);
  append(&log, 2, "nine");
  CHECK(holds(&log, 9, 2, "nine"));
  finish(&log);
}

static void refused(const struct raft_recovery *rec) {
  struct raft_log log;
  start(&log);
  EQ(raft_log_recover(&log, rec), RAFT_E_CORRUPT);
  EQ(log.last, 0);
  EQ(log.memory_first, 1);
  append(&log, 1, "one"); /* as after init */
  finish(&log);
}

static void refuses_marks_that_contradict(void) {
  static struct encoded tail;
  struct raft_recovery good = recovery(&tail);
  struct raft_recovery rec = good;
  rec.last = 7; /* less than the tail */
  refused(&rec);
  rec = good;
  rec.last = 9; /* more than the tail */
  refused(&rec);
  rec = good;
  rec.last = 2; /* before the base */
  refused(&rec);
  rec = good;
  rec.base_term = 0;
  refused(&rec);
  rec = good;
  rec.tail_first = 5;
  refused(&rec);
  rec = good;
  rec.tail_first = 3;
  refused(&rec);
  static struct encoded longer; /* from the base on, which it has no more */
  encode(&longer, 3, 5, 1);
  memcpy(longer.data + longer.size, tail.data, tail.size);
  rec.tail = (struct raft_slice){longer.data, longer.size + tail.size};
  refused(&rec);
  rec = good;
  rec.tail.size = 0; /* where are they? */
  refused(&rec);
  rec.last = UINT64_MAX; /* no entry could follow */
  rec.tail_first = 0;
  refused(&rec);
}

static void refuses_runs_that_contradict(void) {
  static struct encoded tail;
  static const struct raft_run bad[][2] = {
      {{4, 1}, {6, 3}}, /* another term than the entries' */
      {{4, 1}, {7, 2}}, /* starts too late */
      {{5, 1}, {6, 2}}, /* a gap after base */
      {{4, 2}, {6, 2}}, /* does not change */
      {{4, 3}, {6, 2}}, /* falls */
      {{4, 1}, {4, 2}}, /* does not move on */
      {{4, 1}, {9, 2}}, /* past the end */
      {{4, 0}, {6, 2}}, /* no term */
      {{6, 2}, {4, 1}}, /* backwards */
  };
  struct raft_recovery rec = recovery(&tail);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    rec.runs = bad[i];
    refused(&rec);
  }
  rec = recovery(&tail);
  rec.run_count = 0;
  refused(&rec);
  rec.run_count = 1; /* ends early: entries 6.. of term 1? */
  refused(&rec);
}

static void refuses_a_damaged_tail(void) {
  static struct encoded tail;
  struct raft_recovery rec = recovery(&tail);
  for (size_t i = 0; i < tail.size; i++) {
    tail.data[i] ^= 1;
    refused(&rec);
    tail.data[i] ^= 1;
  }
  for (size_t size = 1; size < tail.size; size++) {
    rec.tail.size = size;
    refused(&rec);
  }
  rec.tail.size = tail.size + 1;
  refused(&rec);
}

/* ---- the window ---------------------------------------------------------- */

/* A log of 20 entries of term 1 whose first blocks have left. */
static void start_evicted(struct raft_log *log) {
  start(log);
  while (log->block_count < 4)
    append_many(log, 1, 1);
  raft_log_stored(log, raft_log_hand(log));
  raft_log_evict(log, 0, log->last);
  raft_log_settle(log);
  CHECK(log->memory_first > 8);
}

static void reads_loaded_entries(void) {
  static struct encoded in;
  struct raft_log log;
  struct raft_entry e;
  raft_index last = 0;
  start_evicted(&log);
  encode(&in, 3, 6, 1);
  EQ(raft_log_window(&log, 3, in.data, in.size, &last), RAFT_OK);
  EQ(last, 6);
  CHECK(!raft_log_get(&log, 2, &e));
  CHECK(holds(&log, 3, 1, "from afar"));
  CHECK(holds(&log, 6, 1, "from afar"));
  CHECK(!raft_log_get(&log, 7, &e));
  raft_log_compact(&log, 4); /* what lies past it may still be applied */
  CHECK(!raft_log_get(&log, 4, &e));
  CHECK(holds(&log, 5, 1, "from afar"));
  EQ_TEXT(raft_log_check(&log), NULL);
  encode(&in, 7, 7, 1);
  EQ(raft_log_window(&log, 7, in.data, in.size, &last), RAFT_OK);
  CHECK(!raft_log_get(&log, 6, &e));
  CHECK(holds(&log, 7, 1, "from afar"));
  raft_log_window_drop(&log);
  CHECK(!raft_log_get(&log, 7, &e));
  finish(&log);
}

/* A cache that is not cut with the log would show an entry that is gone. */
static void the_window_is_cut_with_the_log(void) {
  static struct encoded in;
  struct raft_log log;
  struct raft_entry e;
  raft_index last;
  start_evicted(&log);
  encode(&in, 3, 6, 1);
  EQ(raft_log_window(&log, 3, in.data, in.size, &last), RAFT_OK);
  raft_log_truncate(&log, 7);
  CHECK(holds(&log, 6, 1, "from afar"));
  raft_log_truncate(&log, 5);
  CHECK(!raft_log_get(&log, 5, &e));
  append(&log, 2, "five");
  CHECK(holds(&log, 5, 2, "five"));
  finish(&log);
}

static void refuses_entries_that_are_not_the_logs(void) {
  static struct encoded in;
  struct raft_log log;
  raft_index last = 77;
  start_evicted(&log);
  encode(&in, 3, 6, 2); /* another term */
  EQ(raft_log_window(&log, 3, in.data, in.size, &last), RAFT_E_CORRUPT);
  encode(&in, 3, 6, 1);
  EQ(raft_log_window(&log, 4, in.data, in.size, &last), RAFT_E_CORRUPT);
  EQ(raft_log_window(&log, 3, in.data, 0, &last), RAFT_E_CORRUPT);
  EQ(raft_log_window(&log, 3, in.data, in.size - 1, &last), RAFT_E_CORRUPT);
  EQ(raft_log_window(&log, 3, in.data, in.size + 1, &last), RAFT_E_CORRUPT);
  in.data[60] ^= 1;
  EQ(raft_log_window(&log, 3, in.data, in.size, &last), RAFT_E_CORRUPT);
  encode(&in, log.last, log.last + 1, 1); /* past the end */
  EQ(raft_log_window(&log, log.last, in.data, in.size, &last), RAFT_E_CORRUPT);
  raft_log_compact(&log, 4);
  encode(&in, 4, 6, 1); /* compacted */
  EQ(raft_log_window(&log, 4, in.data, in.size, &last), RAFT_E_CORRUPT);
  EQ(last, 77);
  finish(&log);
}

/* ---- copies and memory --------------------------------------------------- */

static void a_copy_goes_its_own_way(void) {
  struct raft_log log;
  struct raft_log copy;
  start(&log);
  append(&log, 1, "one");
  append(&log, 1, "two");
  EQ(raft_log_hand(&log), 1);
  EQ(raft_log_clone(&log, &copy), RAFT_OK);
  EQ_TEXT(raft_log_check(&copy), NULL);
  raft_log_truncate(&log, 1);
  append(&log, 2, "ONE");
  CHECK(holds(&copy, 1, 1, "one"));
  CHECK(holds(&copy, 2, 1, "two"));
  raft_log_stored(&copy, 1);
  EQ(copy.stored, 2);
  EQ(log.stored, 0);
  raft_log_free(&log);
  CHECK(holds(&copy, 2, 1, "two"));
  finish(&copy);
}

static void a_copy_has_the_window(void) {
  static struct encoded in;
  struct raft_log log;
  struct raft_log copy;
  raft_index last;
  start_evicted(&log);
  encode(&in, 3, 6, 1);
  EQ(raft_log_window(&log, 3, in.data, in.size, &last), RAFT_OK);
  EQ(raft_log_clone(&log, &copy), RAFT_OK);
  raft_log_free(&log);
  CHECK(holds(&copy, 3, 1, "from afar"));
  CHECK(holds(&copy, 6, 1, "from afar"));
  finish(&copy);
}

/* Each step either works or has changed nothing. Answers whether all did. */
static bool story(struct raft_log *log) {
  static struct encoded in;
  struct raft_log copy;
  raft_index last;
  bool is_whole = true;
  for (raft_term term = 1; term <= 12; term++) {
    struct raft_entry e = entry(0, term, "a command of some length");
    raft_index before = log->last;
    if (raft_log_reserve(log, raft_entry_bytes(&e), 1) != RAFT_OK) {
      is_whole = false;
      EQ(log->last, before);
      continue;
    }
    raft_log_append(log, &e);
    EQ(log->last, before + 1);
  }
  raft_log_stored(log, raft_log_hand(log));
  if (raft_log_clone(log, &copy) == RAFT_OK)
    raft_log_free(&copy);
  else
    is_whole = false;
  raft_log_evict(log, 0, log->last);
  if (log->memory_first == 1) return is_whole;
  encode(&in, 1, 1, raft_log_term(log, 1));
  if (raft_log_window(log, 1, in.data, in.size, &last) == RAFT_OK)
    CHECK(holds(log, 1, raft_log_term(log, 1), "from afar"));
  else
    is_whole = false;
  return is_whole;
}

static void memory_may_run_out_at_any_time(void) {
  bool is_whole = false;
  for (uint64_t n = 1; !is_whole && n < 200; n++) {
    for (int for_good = 0; for_good < 2; for_good++) {
      struct raft_log log;
      start(&log);
      memory.fail_in = n;
      memory.fails_for_good = for_good == 1;
      is_whole = story(&log);
      memory.fail_in = 0;
      finish(&log);
    }
  }
  CHECK(is_whole); /* the last round was beyond the last allocation */
}

static void recovery_may_run_out_of_memory(void) {
  static struct encoded tail;
  int rc = RAFT_E_NOMEM;
  uint64_t n = 1;
  for (; rc != RAFT_OK && n < 50; n++) {
    struct raft_recovery rec = recovery(&tail);
    struct raft_log log;
    start(&log);
    memory.fail_in = n;
    rc = raft_log_recover(&log, &rec);
    if (rc != RAFT_OK) EQ(rc, RAFT_E_NOMEM);
    if (rc != RAFT_OK) EQ(log.last, 0);
    memory.fail_in = 0;
    finish(&log);
  }
  CHECK(n > 3);
  EQ(rc, RAFT_OK);
}

int main(void) {
  CASE(knows_the_term_of_every_index);
  CASE(finds_where_logs_may_agree);
  CASE(counts_an_entry_once_its_batch_is_durable);
  CASE(a_late_ack_is_not_for_the_new_entry);
  CASE(two_truncations_in_flight);
  CASE(truncation_lowers_what_is_durable);
  CASE(acks_out_of_order_change_nothing);
  CASE(too_many_stores_under_way_are_refused);
  CASE(lent_bytes_outlive_truncation);
  CASE(slices_leave_out_what_was_cut_off);
  CASE(room_of_dead_bytes_comes_back);
  CASE(slices_keep_to_the_bytes_asked);
  CASE(costs_four_bytes_beyond_the_encoding);
  CASE(a_reservation_survives_truncation);
  CASE(a_reservation_survives_a_reset);
  CASE(an_entry_larger_than_a_block_fits);
  CASE(an_unused_huge_spare_is_dropped);
  CASE(a_spare_is_kept_until_it_is_too_small);
  CASE(eviction_spares_what_is_needed);
  CASE(compaction_moves_the_base);
  CASE(compaction_frees_whole_blocks);
  CASE(recovers_what_the_disk_held);
  CASE(recovers_nothing_from_an_empty_directory);
  CASE(recovers_without_a_tail);
  CASE(refuses_marks_that_contradict);
  CASE(refuses_runs_that_contradict);
  CASE(refuses_a_damaged_tail);
  CASE(reads_loaded_entries);
  CASE(the_window_is_cut_with_the_log);
  CASE(refuses_entries_that_are_not_the_logs);
  CASE(a_copy_goes_its_own_way);
  CASE(a_copy_has_the_window);
  CASE(memory_may_run_out_at_any_time);
  CASE(recovery_may_run_out_of_memory);
  return test_end();
}
