/* wal_state_test.c - what a log adds up to, and how entries are read back:
 * random histories against a model that keeps every entry. */
#include "wal_state.h"

#include "entry.h"
#include "test.h"
#include "wal_files.h"

#include <string.h>

enum { ENTRIES_MAX = 400, BYTES_MAX = 120 };

struct kept { /* one entry of the model */
  raft_term term;
  uint8_t kind;
  uint8_t flags;
  size_t size;
  uint8_t bytes[BYTES_MAX];
};

static struct model {
  raft_index last;
  struct kept entries[ENTRIES_MAX + 1]; /* by index */
} model;

static struct wal_files files;

static size_t model_put(raft_index index, raft_term term, uint64_t *random,
                        uint8_t *out) {
  static const uint8_t payload[BYTES_MAX] = {7, 7, 7};
  struct kept *k = &model.entries[index];
  struct raft_entry e = {
      .index = index,
      .term = term,
      .time = test_random(random) % 1000,
      .kind =
          test_random(random) % 8 == 0 ? RAFT_ENTRY_CONFIG : RAFT_ENTRY_COMMAND,
      .size = (uint32_t)(test_random(random) % 80),
      .payload = payload,
  };
  if (e.kind == RAFT_ENTRY_COMMAND && test_random(random) % 16 == 0) {
    e.flags = RAFT_ENTRY_STRIPPED;
    e.size = 0;
  }
  k->term = term;
  k->kind = e.kind;
  k->flags = e.flags;
  k->size = raft_entry_encode(&e, k->bytes);
  memcpy(out, k->bytes, k->size);
  model.last = index;
  return k->size;
}

/* One to eight entries, now and then over others. Returns their bytes. */
static size_t random_entries(uint64_t *random, uint8_t *out) {
  raft_index first = model.last + 1;
  if (model.last > 0 && test_random(random) % 6 == 0) {
    first = model.last - test_random(random) % model.last;
    raft_index back = model.last - test_random(random) % 12;
    if (first < back && back <= model.last) first = back;
    files.term++;
  }
  if (test_random(random) % 10 == 0) files.term++;
  size_t size = 0;
  raft_index last = first + test_random(random) % 8;
  for (raft_index i = first; i <= last && i < ENTRIES_MAX; i++)
    size += model_put(i, files.term, random, out + size);
  return size;
}

static void put_random_batch(uint64_t *random) {
  uint8_t bytes[16 * BYTES_MAX];
  size_t size = 0;
  if (test_random(random) % 4 != 0) size = random_entries(random, bytes);
  if (size > 0 && test_random(random) % 3 == 0) /* two stores in one batch */
    size += random_entries(random, bytes + size);
  if (!raft_wal_writer_fits(&files.now.writer, size, 0))
    wal_files_segment(&files, 16);
  wal_files_put(&files, RAFT_WAL_DATA, bytes, size);
}

static void write_random_log(uint64_t *random) {
  memset(&model, 0, sizeof model);
  wal_files_init(&files);
  wal_files_segment(&files, 4 + (unsigned)(test_random(random) % 12));
  unsigned batches = (unsigned)(test_random(random) % 90);
  for (unsigned i = 0; i < batches && model.last < ENTRIES_MAX - 20; i++)
    put_random_batch(random);
}

/* ---- the recovery -------------------------------------------------------- */

static void check_runs(const struct raft_recovery *r) {
  size_t run = 0;
  for (raft_index i = 1; i <= model.last; i++) {
    if (run + 1 < r->run_count && r->runs[run + 1].first == i) run++;
    CHECK(run < r->run_count);
    EQ(r->runs[run].term, model.entries[i].term);
  }
  EQ(run + 1, model.last > 0 ? r->run_count : 1);
}

static void check_tail(const struct raft_recovery *r, size_t memory_bytes) {
  struct raft_slice piece = r->tail;
  CHECK(r->tail.size + r->tail_rest.size <= memory_bytes);
  for (raft_index i = r->tail_first; i <= model.last; i++) {
    const struct kept *k = &model.entries[i];
    if (piece.size == 0 && i > r->tail_first) piece = r->tail_rest;
    CHECK(k->size <= piece.size);
    EQ_BYTES(piece.data, k->bytes, k->size);
    piece.data += k->size;
    piece.size -= k->size;
  }
  EQ(piece.size, 0);
}

/* Every hole is known, also where the tail does not reach; of what was
 * overwritten more may be said than there is left. */
static void check_holes(const struct raft_recovery *r) {
  CHECK(r->newest_hole <= r->last);
  for (raft_index i = r->newest_hole + 1; i <= model.last; i++)
    CHECK((model.entries[i].flags & RAFT_ENTRY_STRIPPED) == 0);
}

/* The newest configuration at or below `index`. */
static raft_index config_below(raft_index index) {
  while (index > 0 && model.entries[index].kind != RAFT_ENTRY_CONFIG)
    index--;
  return index;
}

static void check_config(const struct raft_recovered_config *c,
                         raft_index index) {
  EQ(c->index, index);
  if (index == 0 || c->index != index) return;
  const struct kept *k = &model.entries[index];
  EQ(c->payload.size, k->size - RAFT_ENTRY_HEADER_BYTES);
  if (c->payload.size > 0)
    EQ_BYTES(c->payload.data, k->bytes + RAFT_ENTRY_HEADER_BYTES,
             c->payload.size);
}

static void check_recovery(size_t memory_bytes) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_recovery r;
  options.memory_bytes = memory_bytes;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  raft_wal_state_result(&scan.state, &r);
  EQ(r.last, model.last);
  EQ(r.term, files.now.writer.number > 0 ? files.term : 0);
  check_runs(&r);
  check_tail(&r, memory_bytes);
  check_holes(&r);
  raft_wal_scan_free(&scan);
}

static void random_histories_recover_as_the_model_says(void) {
  uint64_t random = test_seed();
  for (unsigned round = 0; round < 60; round++) {
    write_random_log(&random);
    check_recovery(1 << 20);
    check_recovery(test_random(&random) % 4000);
    check_recovery(0);
    wal_files_free(&files);
  }
}

/* With one configuration uncommitted at most, as the core guarantees. */
static void overwritten_configurations_give_way_to_older_ones(void) {
  uint8_t bytes[BYTES_MAX];
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_recovery r;
  memset(&model, 0, sizeof model);
  wal_files_init(&files);
  wal_files_segment(&files, 16);
  for (raft_index i = 1; i <= 9; i++) { /* 7 is a configuration three times */
    raft_index index = i < 8 ? i : 7;
    struct kept *k = &model.entries[index];
    struct raft_entry e = {.index = index,
                           .term = i,
                           .kind = RAFT_ENTRY_CONFIG,
                           .size = (uint32_t)i,
                           .payload = bytes};
    if (index == 7 && i == 9) e.kind = RAFT_ENTRY_NOOP;
    memset(bytes, (int)i, sizeof bytes);
    files.term = i;
    k->kind = e.kind;
    k->size = raft_entry_encode(&e, k->bytes);
    wal_files_put(&files, RAFT_WAL_DATA, k->bytes, k->size);
    EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
    raft_wal_state_result(&scan.state, &r);
    check_config(&r.config, config_below(index));
    raft_index newest = config_below(index);
    check_config(&r.config_before, newest ? config_below(newest - 1) : 0);
    raft_wal_scan_free(&scan);
  }
  wal_files_free(&files);
}

static void the_commit_hint_is_clipped(void) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_recovery r;
  wal_files_init(&files);
  wal_files_segment(&files, 8);
  files.commit = 9;
  wal_files_add(&files, 1, 3, 1);
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  raft_wal_state_result(&scan.state, &r);
  EQ(r.commit, 3);
  EQ(r.last_time, 1003);
  raft_wal_scan_free(&scan);
  wal_files_free(&files);
}

/* ---- reading back -------------------------------------------------------- */

/* Reads [first, last] as the storage does: spot by spot. */
static void read_back(const struct raft_wal_map *map, raft_index first,
                      raft_index last, size_t size_max) {
  static uint8_t out[WAL_FILE_BYTES];
  raft_index next = first;
  unsigned guard = 0;
  while (next <= last && guard++ < ENTRIES_MAX) {
    struct raft_wal_spot spot = {0};
    raft_index spot_last = 0;
    CHECK(raft_wal_map_find(map, next, &spot, &spot_last));
    if (spot.segment == 0) return;
    struct raft_wal_cut cut = {.first = next, .size_max = size_max};
    cut.last = spot_last < last ? spot_last : last;
    struct raft_slice data = {files.files[spot.segment - 1].bytes + spot.offset,
                              (size_t)spot.size};
    EQ(raft_wal_map_cut(&spot, data, &cut, out), RAFT_OK);
    size_t at = 0;
    for (; next <= cut.last; next++) {
      EQ_BYTES(out + at, model.entries[next].bytes, model.entries[next].size);
      at += model.entries[next].size;
    }
    EQ(at, cut.size);
  }
  EQ(next, last + 1);
}

static void check_reading(const struct raft_wal_map *map, uint64_t *random) {
  struct raft_wal_spot spot;
  raft_index last;
  EQ(map->last, model.last);
  CHECK(!raft_wal_map_find(map, model.last + 1, &spot, &last));
  for (raft_index i = 1; i <= model.last; i++) {
    raft_index to = i + test_random(random) % (model.last - i + 1);
    read_back(map, i, to, test_random(random) % 500);
  }
}

static void what_was_written_is_read_back(void) {
  uint64_t random = test_seed();
  for (unsigned round = 0; round < 40; round++) {
    struct raft_wal_options options = wal_files_options();
    struct raft_wal_scan scan;
    write_random_log(&random);
    EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
    check_reading(&files.now.map, &random); /* as the running process */
    check_reading(&scan.map, &random);      /* as the next start */
    raft_wal_scan_free(&scan);
    wal_files_free(&files);
  }
}

static void damage_is_seen_when_reading_back(void) {
  static uint8_t out[WAL_FILE_BYTES];
  struct raft_wal_spot spot;
  raft_index last;
  wal_files_init(&files);
  wal_files_segment(&files, 8);
  wal_files_add(&files, 1, 2, 1);
  CHECK(raft_wal_map_find(&files.now.map, 2, &spot, &last));
  uint8_t *bytes = files.files[0].bytes + spot.offset;
  for (size_t bit = 0; bit < 8 * spot.size; bit++) {
    struct raft_wal_cut cut = {.first = 1, .last = 2, .size_max = 1000};
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(raft_wal_map_cut(&spot, (struct raft_slice){bytes, spot.size}, &cut,
                        out),
       RAFT_E_CORRUPT);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  wal_files_free(&files);
}

/* Every byte string is answered, and none reads beyond its end. */
static void garbage_is_refused_when_reading_back(void) {
  uint64_t random = test_seed();
  static uint8_t data[3 * RAFT_WAL_SECTOR];
  static uint8_t out[3 * RAFT_WAL_SECTOR];
  for (unsigned round = 0; round < 2000; round++) {
    size_t size = test_random(&random) % sizeof data;
    for (size_t i = 0; i < size; i++)
      data[i] = (uint8_t)test_random(&random);
    struct raft_wal_spot spot = {.first = 1, .segment = 1};
    spot.offset = test_random(&random) % 100000;
    spot.rest = (uint32_t)(test_random(&random) % 5000);
    struct raft_wal_cut cut = {.first = 1, .last = 9, .size_max = 9000};
    EQ(raft_wal_map_cut(&spot, (struct raft_slice){data, size}, &cut, out),
       RAFT_E_CORRUPT);
  }
}

int main(void) {
  CASE(random_histories_recover_as_the_model_says);
  CASE(overwritten_configurations_give_way_to_older_ones);
  CASE(the_commit_hint_is_clipped);
  CASE(what_was_written_is_read_back);
  CASE(damage_is_seen_when_reading_back);
  CASE(garbage_is_refused_when_reading_back);
  return test_end();
}
