/* wal_mark_test.c - marks of snapshots in the log, and logs whose oldest
 * segments are gone: what they mean, against a model that keeps every entry. */
#include "bytes.h"
#include "crc32c.h"
#include "entry.h"
#include "golden.h"
#include "test.h"
#include "wal_files.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = RAFT_WAL_SECTOR, BODY = RAFT_WAL_BATCH_BYTES };
enum { SIZE_AT = 80 }; /* in the head of a batch */

static struct wal_files files; /* large, so not on the stack */

static struct raft_wal_mark marked(raft_index index, raft_term term) {
  return (struct raft_wal_mark){.index = index, .term = term};
}

static struct raft_wal_mark reset(raft_index index, raft_term term) {
  return (struct raft_wal_mark){index, term, true};
}

/* ---- bytes --------------------------------------------------------------- */

static struct raft_wal_batch batch(const struct raft_wal_mark *mark) {
  return (struct raft_wal_batch){
      .salt = 0x1122334455667788,
      .offset = 2 * SECTOR,
      .number = raft_wal_number(3, 7),
      .chain = 0xdeadbeef,
      .term = 9,
      .vote = 5,
      .commit = 3,
      .last = 13,
      .last_term = 9,
      .kind = RAFT_WAL_DATA,
      .mark = *mark,
  };
}

static size_t encode(struct raft_wal_mark mark, raft_index first,
                     raft_index last, uint8_t *out) {
  uint8_t entries[1024];
  struct raft_slice slice = {entries, 0};
  if (first <= last) slice.size = wal_entries(first, last, 9, 10, entries);
  struct raft_wal_batch b = batch(&mark);
  raft_wal_batch_encode(&b, &slice, 1, out);
  size_t size = slice.size + RAFT_WAL_MARK_BYTES;
  EQ(raft_wal_batch_bytes(size), raft_wal_align(BODY + b.size));
  return slice.size;
}

static int decode(const uint8_t *bytes, struct raft_wal_body *body) {
  struct raft_wal_batch b;
  EQ(raft_wal_batch_decode(bytes, SECTOR, &b), RAFT_OK);
  return raft_wal_batch_body(&b, bytes, SECTOR, body);
}

static void the_golden_marks(void) {
  uint8_t bytes[SECTOR];
  (void)encode(marked(12, 8), 13, 13, bytes); /* its size is in it */
  GOLDEN("wal_mark", bytes, BODY + 24 + 8 + 50);
  (void)encode(reset(12, 8), 1, 0, bytes);
  GOLDEN("wal_reset", bytes, BODY + 24);
}

static void marks_survive_the_trip(void) {
  uint8_t bytes[SECTOR];
  struct raft_wal_body body;
  size_t size = encode(marked(12, 8), 13, 14, bytes);
  EQ(decode(bytes, &body), RAFT_OK);
  EQ(body.mark.index, 12);
  EQ(body.mark.term, 8);
  CHECK(!body.mark.is_reset);
  EQ(body.entries.size, size);
  EQ(body.entries_at, BODY + 24 + 8);
  CHECK(body.entries.data == bytes + BODY + 24 + 8);
  EQ(encode(reset(12, 8), 1, 0, bytes), 0);
  EQ(decode(bytes, &body), RAFT_OK);
  CHECK(body.mark.is_reset);
  EQ(body.entries.size, 0);
}

/* The body with a number at `at` changed, and signed again. */
static int changed(size_t at, uint64_t value, uint32_t size) {
  uint8_t bytes[SECTOR];
  struct raft_wal_body body;
  (void)encode(marked(12, 8), 13, 13, bytes);
  if (at > 0) raft_put_u64(bytes + BODY + at, value);
  if (size > 0) raft_put_u32(bytes + SIZE_AT, size);
  if (size == 0) size = raft_get_u32(bytes + SIZE_AT);
  raft_put_u32(bytes + 8, raft_crc32c(0, bytes + BODY, size));
  raft_put_u32(bytes + 4, raft_crc32c(0, bytes + 8, BODY - 8));
  return decode(bytes, &body);
}

static void marks_that_nobody_writes_are_refused(void) {
  EQ(changed(0, 0, 0), RAFT_OK);
  EQ(changed(8, 0, 0), RAFT_E_CORRUPT);                   /* index 0 */
  EQ(changed(8, INT64_MAX, 0), RAFT_E_CORRUPT);           /* too high */
  EQ(changed(16, 0, 0), RAFT_E_CORRUPT);                  /* term 0 */
  EQ(changed(16, (uint64_t)1 << 63, 0), RAFT_E_CORRUPT);  /* too high */
  EQ(changed(0, 0, 24), RAFT_OK);                         /* the mark alone */
  EQ(changed(0, 0, 23), RAFT_E_CORRUPT);                  /* and half of it */
  EQ(changed(0, 0, 32), RAFT_E_CORRUPT);                  /* no entry in it */
  EQ(changed(24, 0x0000000200000032, 0), RAFT_E_CORRUPT); /* two of them */
  EQ(changed(24, 0x0000000100000031, 0), RAFT_E_CORRUPT); /* too short */
}

static void a_layout_needs_no_more_than_the_heads(void) {
  uint8_t bytes[SECTOR];
  struct raft_wal_batch b;
  struct raft_wal_body body;
  size_t size = encode(marked(12, 8), 13, 14, bytes);
  EQ(raft_wal_batch_decode(bytes, SECTOR, &b), RAFT_OK);
  uint8_t *exact = malloc(BODY + 32); /* so that no byte more is read */
  CHECK(exact != NULL);
  if (exact == NULL) return;
  memcpy(exact, bytes, BODY + 32);
  EQ(raft_wal_batch_layout(&b, exact, BODY + 31, &body), RAFT_E_MORE);
  EQ(raft_wal_batch_layout(&b, exact, BODY + 32, &body), RAFT_OK);
  EQ(body.entries.size, size);
  EQ(body.entries_at, BODY + 32);
  CHECK(body.entries.data == NULL);
  free(exact);
}

/* ---- what they mean ------------------------------------------------------ */

static struct raft_wal_scan scan_files(const char *why) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  while (options.first <= files.count &&
         files.files[options.first - 1].size == 0)
    options.first++;
  int error = wal_files_scan(&files, &scan, &options);
  EQ(error, why != NULL ? RAFT_E_CORRUPT : RAFT_OK);
  EQ_TEXT(scan.fault.why != NULL ? scan.fault.why : "", why != NULL ? why : "");
  return scan;
}

static void recovers(raft_index base, raft_index last) {
  struct raft_wal_scan scan = scan_files(NULL);
  struct raft_recovery rec;
  raft_wal_state_result(&scan.state, &rec);
  EQ(rec.base_index, base);
  EQ(rec.last, last);
  EQ(scan.map.last, last);
  raft_wal_scan_free(&scan);
}

static void is_refused(const char *why) {
  struct raft_wal_scan scan = scan_files(why);
  raft_wal_scan_free(&scan);
}

static void begin(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 16);
  wal_files_add(&files, 1, 6, 1);
}

static void put_mark(struct raft_wal_mark mark, raft_index first,
                     raft_index last) {
  uint8_t bytes[1024];
  size_t size = 0;
  if (mark.term > files.term) files.term = mark.term;
  if (first <= last) size = wal_entries(first, last, files.term, 10, bytes);
  wal_files_mark(&files, &mark, size > 0 ? bytes : NULL, size);
}

static void a_mark_that_fits_changes_nothing(void) {
  begin();
  put_mark(marked(4, 1), 1, 0);
  recovers(0, 6);
  put_mark(marked(8, 1), 7, 8); /* of an entry in its own batch */
  recovers(0, 8);
  wal_files_free(&files);
}

static void a_reset_voids_all_before_it(void) {
  begin();
  put_mark(reset(4, 3), 5, 6); /* into the middle */
  recovers(4, 6);
  put_mark(reset(20, 3), 1, 0); /* beyond the end */
  recovers(20, 20);
  wal_files_add(&files, 21, 23, 4);
  recovers(20, 23);
  wal_files_free(&files);
}

static void a_reset_voids_configurations_too(void) {
  uint8_t bytes[128];
  struct raft_entry e = {.index = 7, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = 3;
  e.payload = (const uint8_t *)"abc";
  begin();
  wal_files_put(&files, RAFT_WAL_DATA, bytes, raft_entry_encode(&e, bytes));
  put_mark(reset(9, 3), 1, 0);
  struct raft_wal_scan scan = scan_files(NULL);
  struct raft_recovery rec;
  raft_wal_state_result(&scan.state, &rec);
  EQ(rec.config.index, 0);
  EQ(rec.base_term, 3);
  EQ(rec.run_count, 0);
  EQ(rec.tail_first, 10);
  EQ(rec.tail.size, 0);
  EQ(rec.last_time, 0);
  raft_wal_scan_free(&scan);
  wal_files_free(&files);
}

static void marks_that_contradict_the_log_are_damage(void) {
  begin();
  put_mark(marked(9, 1), 1, 0);
  is_refused("a snapshot of entries that are not there");
  wal_files_free(&files);
  begin();
  put_mark(marked(4, 2), 1, 0);
  is_refused("a snapshot of another log");
  wal_files_free(&files);
  begin();
  struct raft_wal_mark mark = marked(4, 7);
  wal_files_mark(&files, &mark, NULL, 0);
  is_refused("a snapshot of a term that had not begun");
  wal_files_free(&files);
  begin();
  put_mark(reset(9, 2), 1, 0);
  wal_files_add(&files, 9, 9, 2); /* below the begin */
  is_refused("an entry of before the log's begin");
  wal_files_free(&files);
}

/* ---- logs that begin later ----------------------------------------------- */

/* Segments of entries 1 to 3, 4 to 6, 7 to 9 and none. */
static void write_segments(void) {
  wal_files_init(&files);
  for (raft_index i = 1; i <= 7; i += 3) {
    wal_files_segment(&files, 4);
    wal_files_add(&files, i, i + 2, i);
  }
}

static void drop_until(uint64_t segment) {
  raft_wal_map_drop(&files.now.map, segment);
  for (size_t i = 0; i < files.count; i++)
    if (files.files[i].number < segment) files.files[i].size = 0;
}

static uint64_t oldest(raft_index upto) {
  return raft_wal_map_oldest(&files.now.map, upto);
}

static void the_oldest_segment_that_is_needed(void) {
  write_segments();
  EQ(oldest(0), 1);
  EQ(oldest(2), 1);
  EQ(oldest(3), 2); /* entry 3 is in the snapshot, 4 is not */
  EQ(oldest(5), 2);
  EQ(oldest(6), 3);
  EQ(oldest(9), 3); /* the newest stays */
  wal_files_segment(&files, 4);
  EQ(oldest(9), 3); /* the hard state is not in the newest yet */
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  EQ(oldest(9), 4);
  EQ(oldest(8), 3);
  wal_files_free(&files);
}

/* A segment that goes back before its own begin needs the one before. */
static void what_is_overwritten_is_needed(void) {
  write_segments();
  wal_files_segment(&files, 4); /* behind 9 */
  wal_files_add(&files, 5, 10, 8);
  EQ(oldest(9), 2); /* the segment of 4, which 5 follows */
  EQ(oldest(3), 2);
  EQ(oldest(2), 1);
  wal_files_segment(&files, 4); /* behind 10 */
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  EQ(oldest(9), 2);
  EQ(oldest(10), 5);
  drop_until(2);
  recovers(3, 10);
  wal_files_free(&files);
}

static void a_log_begins_where_its_oldest_segment_does(void) {
  write_segments();
  drop_until(2);
  recovers(3, 9);
  struct raft_wal_scan scan = scan_files(NULL);
  EQ(scan.state.base_term, 1);
  raft_wal_scan_free(&scan);
  drop_until(3);
  recovers(6, 9);
  wal_files_segment(&files, 4);
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  drop_until(4);
  recovers(9, 9);
  wal_files_free(&files);
}

/* A mark of a snapshot that was made before the log began so late. */
static void old_marks_stay_behind(void) {
  write_segments();
  put_mark(marked(5, 4), 1, 0);
  drop_until(3);
  recovers(6, 9);
  wal_files_free(&files);
}

static void a_segment_that_is_missing_is_seen(void) {
  write_segments();
  files.files[1].size = 0; /* of three */
  is_refused("the segment is missing");
  files.files[0].size = 0;
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_E_CORRUPT); /* 1 is wanted */
  raft_wal_scan_free(&scan);
  wal_files_free(&files);
}

static void a_head_that_contradicts_itself_is_refused(void) {
  write_segments();
  drop_until(2);
  struct raft_wal_segment s;
  uint32_t version;
  uint8_t *head = files.files[1].bytes;
  EQ(raft_wal_segment_decode(head, SECTOR, &s, &version), RAFT_OK);
  struct raft_wal_segment bent = s;
  bent.last_term = 0;
  raft_wal_segment_encode(&bent, head);
  is_refused("the head of the segment contradicts itself");
  bent = s;
  bent.batch = 0;
  raft_wal_segment_encode(&bent, head);
  is_refused("the head of the segment contradicts itself");
  bent = s;
  bent.chain++;
  raft_wal_segment_encode(&bent, head);
  is_refused("batches are missing before this one");
  wal_files_free(&files);
}

static void where_so_many_bytes_lie_behind(void) {
  write_segments();
  EQ(raft_wal_map_before(&files.now.map, 0), 9);
  EQ(raft_wal_map_before(&files.now.map, 1), 6);   /* by whole spots */
  EQ(raft_wal_map_before(&files.now.map, 150), 6); /* 3 entries of 50 */
  EQ(raft_wal_map_before(&files.now.map, 151), 3);
  EQ(raft_wal_map_before(&files.now.map, 450), 0);
  EQ(raft_wal_map_before(&files.now.map, 451), 0);
  wal_files_free(&files);
}

/* ---- random histories ---------------------------------------------------- */

enum { INDEX_MAX = 300 };

static struct model { /* what the log is, however it is written */
  raft_index base, last;
  raft_index covered; /* by a durable snapshot */
  raft_term terms[INDEX_MAX + 40];
} model;

static bool has_room(size_t size) {
  return raft_wal_writer_fits(&files.now.writer, size + 24, 0);
}

static void write_some(uint64_t *random, const struct raft_wal_mark *mark) {
  static uint8_t bytes[8 * 256];
  raft_index first = model.last + 1;
  if (test_random(random) % 5 == 0 && model.last > model.covered) {
    first -= test_random(random) % (model.last - model.covered) + 1;
    files.term++;
  }
  raft_index last = first + test_random(random) % 6;
  size_t text = test_random(random) % 200;
  size_t size = wal_entries(first, last, files.term, text, bytes);
  if (!has_room(size)) return;
  for (raft_index i = first; i <= last; i++)
    model.terms[i] = files.term;
  model.last = last;
  wal_files_mark(&files, mark, bytes, size);
}

static void mark_some(uint64_t *random) {
  raft_index index = model.covered + test_random(random) % 9;
  bool is_reset = index > model.last ||
                  (index > model.covered && test_random(random) % 8 == 0);
  if (!has_room(8 * 256) || index == 0 || index + 20 > INDEX_MAX) return;
  if (is_reset) {
    files.term++;
    model.base = model.last = index;
    model.terms[index] = files.term;
  }
  model.covered = index;
  struct raft_wal_mark mark = {index, model.terms[index], is_reset};
  if (test_random(random) % 2 == 0)
    wal_files_mark(&files, &mark, NULL, 0);
  else
    write_some(random, &mark);
}

/* Lets go as much as may go. */
static void drop_some(void) {
  uint64_t segment = oldest(model.covered);
  drop_until(segment);
}

static void check_found(const struct raft_wal_scan *scan) {
  struct raft_recovery rec;
  raft_wal_state_result(&scan->state, &rec);
  EQ(rec.last, model.last);
  CHECK(rec.base_index <= model.covered); /* or the start is refused */
  CHECK(rec.base_index >= model.base);
  EQ(rec.base_term, model.terms[rec.base_index]);
  size_t run = 0;
  for (raft_index i = rec.base_index + 1; i <= rec.last; i++) {
    struct raft_wal_spot spot;
    raft_index last;
    if (run + 1 < rec.run_count && rec.runs[run + 1].first == i) run++;
    EQ(rec.runs[run].term, model.terms[i]);
    CHECK(raft_wal_map_find(&scan->map, i, &spot, &last));
    CHECK(raft_wal_map_find(&files.now.map, i, &spot, &last));
    CHECK(spot.segment >= scan->options.first);
  }
  EQ(scan->map.last, files.now.map.last);
}

static void one_history(uint64_t *random) {
  const struct raft_wal_mark none = {0};
  memset(&model, 0, sizeof model);
  wal_files_init(&files);
  wal_files_segment(&files, 6);
  for (int step = 0; step < 60 && model.last + 40 < INDEX_MAX; step++) {
    uint64_t what = test_random(random) % 10;
    bool is_full = !has_room(8 * 256);
    if (is_full && files.count == WAL_FILES_MAX) break;
    if (is_full || what == 0) {
      if (files.count < WAL_FILES_MAX) wal_files_segment(&files, 6);
    } else if (what <= 2) {
      mark_some(random);
    } else if (what == 3) {
      drop_some();
    } else {
      write_some(random, &none);
    }
    struct raft_wal_scan scan = scan_files(NULL);
    check_found(&scan);
    raft_wal_scan_free(&scan);
    if (test_has_failed()) break;
  }
  wal_files_free(&files);
}

static void random_histories_begin_where_they_should(void) {
  uint64_t random = test_seed();
  for (int i = 0; i < 200 && !test_has_failed(); i++)
    one_history(&random);
}

int main(void) {
  CASE(the_golden_marks);
  CASE(marks_survive_the_trip);
  CASE(marks_that_nobody_writes_are_refused);
  CASE(a_layout_needs_no_more_than_the_heads);
  CASE(a_mark_that_fits_changes_nothing);
  CASE(a_reset_voids_all_before_it);
  CASE(a_reset_voids_configurations_too);
  CASE(marks_that_contradict_the_log_are_damage);
  CASE(the_oldest_segment_that_is_needed);
  CASE(what_is_overwritten_is_needed);
  CASE(a_log_begins_where_its_oldest_segment_does);
  CASE(old_marks_stay_behind);
  CASE(a_segment_that_is_missing_is_seen);
  CASE(a_head_that_contradicts_itself_is_refused);
  CASE(where_so_many_bytes_lie_behind);
  CASE(random_histories_begin_where_they_should);
  return test_end();
}
