/* log_block_test.c - runs of entries in one block, found by their offsets,
 * against a walk along all of them; and where a log has its blocks' borders. */
#include "log_inner.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define CAPACITY 4096u
#define MANY     64u

static struct raft_block *b;

/* One encoded entry at `out`; how long it is. */
static size_t encode(uint8_t *out, raft_index index, uint32_t size) {
  static const uint8_t payload[CAPACITY];
  struct raft_entry e = {.index = index,
                         .term = 1,
                         .kind = RAFT_ENTRY_COMMAND,
                         .size = size,
                         .payload = payload};
  CHECK(size <= sizeof payload);
  return raft_entry_encode(&e, out);
}

static void grow(uint32_t size) {
  raft_index index = raft_block_until(b);
  (void)encode(raft_block_grow(b, RAFT_ENTRY_HEADER_BYTES + size), index, size);
}

static void fill(uint32_t count, uint32_t size) {
  static uint8_t bytes[CAPACITY];
  size_t end = 0;
  for (uint32_t i = 0; i < count; i++)
    end += encode(bytes + end, raft_block_until(b) + i, size);
  raft_block_fill(b, (struct raft_slice){bytes, end}, count);
}

static void begin(void) {
  CHECK(b != NULL);
  raft_block_init(b, CAPACITY, 11);
}

/* The same as raft_block_run, entry by entry. */
static struct raft_slice walk(uint32_t i, size_t bytes_max, uint32_t *count) {
  struct raft_slice run = {NULL, 0};
  uint32_t n = 0;
  for (; n < *count; n++) {
    struct raft_slice one = {raft_block_at(b, i + n),
                             raft_block_size(b, i + n)};
    if (n > 0 && run.data + run.size != one.data) break;
    if (run.size + one.size > bytes_max) break;
    if (n == 0) run.data = one.data;
    run.size += one.size;
  }
  *count = n;
  return run;
}

static void same_as_walk(uint32_t i, uint32_t wanted, size_t bytes_max) {
  uint32_t count = wanted;
  uint32_t want_count = wanted;
  struct raft_slice want = walk(i, bytes_max, &want_count);
  struct raft_slice got = raft_block_run(b, i, bytes_max, &count);
  EQ(count, want_count);
  EQ(got.size, want.size);
  CHECK(got.data == want.data);
}

/* Every run of this block, with room for all, for a part and for nothing. */
static void all_runs(void) {
  EQ_TEXT(raft_block_check(b), NULL);
  for (uint32_t i = 0; i < b->count; i++) {
    for (uint32_t n = 1; n <= b->count - i; n++) {
      same_as_walk(i, n, SIZE_MAX);
      same_as_walk(i, n, 0);
      for (size_t max = 39; max < 40 * MANY; max = max * 3 / 2)
        same_as_walk(i, n, max);
    }
  }
}

static void a_run_is_as_long_as_asked_for_or_fits(void) {
  begin();
  fill(10, 10); /* of 50 bytes */
  all_runs();
  for (size_t max = 0; max <= 501; max++)
    same_as_walk(2, 8, max);
  uint32_t count = 8;
  struct raft_slice run = raft_block_run(b, 2, 149, &count);
  EQ(count, 2);
  EQ(run.size, 100);
  CHECK(run.data == raft_block_at(b, 2));
}

static void a_run_ends_where_bytes_are_dead(void) {
  begin();
  fill(5, 10);
  raft_block_cut(b, 3);
  grow(20); /* behind what was lent out */
  fill(3, 0);
  EQ(b->gaps, 1);
  all_runs();
  uint32_t count = 7;
  EQ(raft_block_run(b, 0, SIZE_MAX, &count).size, 150);
  EQ(count, 3);
}

static void filling_behind_dead_bytes_makes_a_gap(void) {
  begin();
  fill(4, 10);
  raft_block_cut(b, 3);
  fill(2, 10);
  EQ(b->gaps, 1);
  raft_block_cut(b, 3); /* it goes with what was behind it */
  EQ(b->gaps, 0);
  raft_block_reclaim(b);
  EQ(b->used, 150);
  fill(2, 10);
  EQ(b->gaps, 0);
  all_runs();
}

/* Dead bytes in front of the first entry part nothing. */
static void an_emptied_block_begins_behind_what_was_lent(void) {
  begin();
  fill(3, 10);
  raft_block_cut(b, 0);
  EQ(b->end, 0);
  fill(2, 10);
  EQ(b->gaps, 0);
  EQ(raft_block_at(b, 0) - b->data, 150);
  all_runs();
  raft_block_cut(b, 0);
  raft_block_reclaim(b);
  EQ(b->used, 0);
}

static void a_block_is_filled_to_the_last_byte(void) {
  begin();
  uint32_t size = CAPACITY - RAFT_BLOCK_ENTRY_BYTES - RAFT_ENTRY_HEADER_BYTES;
  CHECK(raft_block_fits(b, CAPACITY - RAFT_BLOCK_ENTRY_BYTES, 1));
  CHECK(!raft_block_fits(b, CAPACITY - RAFT_BLOCK_ENTRY_BYTES + 1, 1));
  fill(1, size);
  CHECK(!raft_block_fits(b, 0, 1));
  all_runs();
  begin();
  fill(CAPACITY / 44, 0); /* 40 bytes and an offset each */
  CHECK(!raft_block_fits(b, 40, 1));
  all_runs();
}

static void any_history_has_the_same_runs(void) {
  uint64_t state = test_seed();
  for (int round = 0; round < 300; round++) {
    begin();
    for (int i = 0; i < 12; i++) {
      uint32_t size = (uint32_t)(test_random(&state) % 40);
      uint32_t n = 1 + (uint32_t)(test_random(&state) % 4);
      uint64_t what = test_random(&state) % 4;
      if (what == 0 && raft_block_fits(b, 40 + size, 1)) grow(size);
      if (what == 1 && raft_block_fits(b, (40 + (size_t)size) * n, n))
        fill(n, size);
      if (what == 2)
        raft_block_cut(b, (uint32_t)(test_random(&state) % (b->count + 1)));
      if (what == 3 && test_random(&state) % 4 == 0) raft_block_reclaim(b);
    }
    all_runs();
  }
}

/* ---- a log of several blocks --------------------------------------------- */

static struct test_memory memory;
static struct raft_log log_;

static void append(uint32_t count, uint32_t size) {
  static uint8_t bytes[4 * RAFT_BLOCK_BYTES];
  size_t end = 0;
  for (uint32_t i = 0; i < count; i++)
    end += encode(bytes + end, log_.last + 1 + i, size);
  EQ(raft_log_reserve(&log_, end, count), RAFT_OK);
  raft_log_append_raw(&log_, bytes, end, count);
}

static void start(void) {
  memset(&memory, 0, sizeof memory);
  raft_log_init(&log_, test_alloc, &memory);
}

static void finish(void) {
  EQ_TEXT(raft_log_check(&log_), NULL);
  raft_log_free(&log_);
  EQ(memory.live, 0);
}

/* All from each entry on: as many bytes as the entries have, in their order. */
static void slices_hold_all(void) {
  EQ_TEXT(raft_log_check(&log_), NULL);
  for (raft_index first = log_.memory_first; first <= log_.last; first++) {
    struct raft_slice slices[MANY];
    raft_index last = log_.last;
    size_t bytes = 0;
    uint32_t max = raft_log_slices_max(&log_, first);
    CHECK(max <= MANY);
    uint32_t n =
        raft_log_slices(&log_, first, &last, SIZE_MAX, slices, max, &bytes);
    EQ(last, log_.last);
    EQ(raft_log_bytes(&log_, first - 1, last), bytes);
    raft_index index = first;
    for (uint32_t i = 0; i < n; i++) {
      for (size_t at = 0; at < slices[i].size; index++) {
        EQ(raft_entry_index(slices[i].data + at), index);
        at += raft_entry_span(slices[i].data + at);
      }
    }
    EQ(index, log_.last + 1);
  }
}

static void a_fill_goes_on_in_the_next_block(void) {
  for (uint32_t before = 1; before < 12; before++) {
    start();
    for (uint32_t i = 0; i < before; i++)
      append(1, 10);
    append(12, 10); /* RAFT_BLOCK_BYTES holds eight */
    CHECK(log_.block_count > 1);
    slices_hold_all();
    append(3, 0);
    slices_hold_all();
    finish();
  }
}

static void one_huge_entry_stands_among_small_ones(void) {
  start();
  append(2, 10);
  append(1, RAFT_BLOCK_BYTES + 100);
  append(2, 10);
  slices_hold_all();
  EQ(log_.block_count, 3);
  struct raft_slice slices[4];
  raft_index last = 5;
  size_t bytes = 0;
  EQ(raft_log_slices(&log_, 2, &last, 60, slices, 4, &bytes), 1);
  EQ(last, 2); /* the huge one does not fit behind another */
  last = 5;
  EQ(raft_log_slices(&log_, 3, &last, 60, slices, 4, &bytes), 1);
  EQ(last, 3); /* and goes alone */
  last = 5;
  EQ(raft_log_slices(&log_, 2, &last, SIZE_MAX, slices, 2, &bytes), 2);
  EQ(last, 3); /* no more slices */
  finish();
}

static void sums_start_at_base_and_in_memory(void) {
  start();
  append(20, 10); /* of 50 bytes */
  EQ(raft_log_bytes(&log_, 0, 20), 1000);
  raft_log_stored(&log_, raft_log_hand(&log_));
  raft_log_compact(&log_, 4);
  EQ(log_.base_index, 4);
  EQ(raft_log_bytes(&log_, 4, 20), 800);
  EQ(raft_log_bytes(&log_, 0, 20), 800); /* what has left counts for nothing */
  EQ(raft_log_bytes(&log_, 4, 5), 50);
  EQ(raft_log_bytes(&log_, 4, 4), 0);
  EQ(raft_log_bytes(&log_, 19, 99), 50);
  slices_hold_all();
  finish();
}

static void a_truncated_log_has_a_slice_more(void) {
  start();
  append(5, 10);
  raft_log_truncate(&log_, 4);
  append(4, 5);
  slices_hold_all();
  EQ(raft_log_slices_max(&log_, 1), 2);
  EQ(raft_log_bytes(&log_, 0, 7), 3 * 50 + 4 * 45);
  EQ(raft_log_bytes(&log_, 2, 5), 50 + 2 * 45);
  raft_log_truncate(&log_, 4);
  raft_log_settle(&log_);
  append(4, 5);
  EQ(raft_log_slices_max(&log_, 1), 1);
  slices_hold_all();
  finish();
}

int main(void) {
  b = malloc(sizeof *b + CAPACITY);
  CASE(a_run_is_as_long_as_asked_for_or_fits);
  CASE(a_run_ends_where_bytes_are_dead);
  CASE(filling_behind_dead_bytes_makes_a_gap);
  CASE(an_emptied_block_begins_behind_what_was_lent);
  CASE(a_block_is_filled_to_the_last_byte);
  CASE(any_history_has_the_same_runs);
  CASE(a_fill_goes_on_in_the_next_block);
  CASE(one_huge_entry_stands_among_small_ones);
  CASE(sums_start_at_base_and_in_memory);
  CASE(a_truncated_log_has_a_slice_more);
  free(b);
  return test_end();
}
