/* wal_forge_test.c - logs whose checksums are right and whose words are not: no
 * chance does that, but a bug or a hand. All of it is refused, in words. */
#include "bytes.h"
#include "crc32c.h"
#include "test.h"
#include "wal_files.h"

#include <string.h>

enum { SECTOR = RAFT_WAL_SECTOR, BATCH = RAFT_WAL_BATCH_BYTES };
enum {
  SEG_VERSION = 12,
  SEG_SECTOR = 16,
  SEG_CHAIN = 20,
  SEG_SIZE = 24,
  SEG_NUMBER = 32,
  SEG_NEXT = 48,
  SEG_TERM = 56,
  SEG_BATCH = 64
};
enum { BAT_NUMBER = 32, BAT_LAST = 64, BAT_SIZE = 80, BAT_KIND = 84 };

static struct wal_files files;
static uint8_t kept[SECTOR];

static void sign_segment(uint8_t *head) {
  raft_put_u32(head + 8, raft_crc32c(0, head + 12, SECTOR - 12));
}

static void sign_batch(uint8_t *head) {
  raft_put_u32(head + 4, raft_crc32c(0, head + 8, BATCH - 8));
}

static void sign_body(uint8_t *head) {
  uint32_t size = raft_get_u32(head + BAT_SIZE);
  raft_put_u32(head + 8, raft_crc32c(0, head + BATCH, size));
  sign_batch(head);
}

/* Entries 1 and 2 in segment 1, 3 in segment 2, in a batch each. */
static void write_log(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, 1);
  wal_files_add(&files, 2, 2, 1);
  wal_files_segment(&files, 6);
  wal_files_add(&files, 3, 3, 2);
  wal_files_free(&files);
}

static void refused(const char *why) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_E_CORRUPT);
  EQ_TEXT(scan.fault.why, why);
  raft_wal_scan_free(&scan);
}

/* ---- heads of segments --------------------------------------------------- */

static int segment_error(size_t at, uint64_t value, size_t bytes) {
  struct raft_wal_segment s;
  uint32_t version = 0;
  uint8_t head[SECTOR];
  memcpy(head, kept, SECTOR);
  if (bytes == 4)
    raft_put_u32(head + at, (uint32_t)value);
  else
    raft_put_u64(head + at, value);
  sign_segment(head);
  int error = raft_wal_segment_decode(head, SECTOR, &s, &version);
  if (error == RAFT_E_VERSION) EQ(version, value);
  return error;
}

static void heads_of_segments(void) {
  write_log();
  memcpy(kept, files.files[0].bytes, SECTOR);
  EQ(segment_error(SEG_SIZE, 4 * SECTOR, 8), RAFT_OK);
  EQ(segment_error(SEG_SIZE, SECTOR, 8), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_SIZE, 4 * SECTOR + 1, 8), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_SIZE, (uint64_t)INT64_MAX + 1, 8), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_NUMBER, 0, 8), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_NEXT, 0, 8), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_SECTOR, 512, 4), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_VERSION, 0, 4), RAFT_E_CORRUPT);
  EQ(segment_error(SEG_VERSION, 2, 4), RAFT_E_VERSION);
}

static void a_newer_segment_is_named(void) {
  write_log();
  raft_put_u32(files.files[1].bytes + SEG_VERSION, 7);
  sign_segment(files.files[1].bytes);
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_E_VERSION);
  EQ(scan.fault.version, 7);
  EQ(scan.fault.segment, 2);
  raft_wal_scan_free(&scan);
}

/* Segment 2 says something else of what was before it. */
static void linked(size_t at, uint64_t value, const char *why) {
  write_log();
  uint8_t *head = files.files[1].bytes;
  raft_put_u64(head + at, value);
  sign_segment(head);
  refused(why);
}

static void links_between_segments(void) {
  const char *other = "the segment does not follow the one before it";
  linked(SEG_NEXT, 4, other);
  linked(SEG_TERM, 2, other);
  linked(SEG_BATCH, 0, other);
  linked(SEG_BATCH, raft_wal_number(WAL_STARTS, 9),
         "the numbers of batches have a gap"); /* its own first is too early */
  write_log();
  files.files[1].bytes[SEG_CHAIN] ^= 1;
  sign_segment(files.files[1].bytes);
  refused(other);
}

/* A first segment that says something was before it. */
static void a_first_segment_follows_nothing(void) {
  write_log();
  raft_put_u64(files.files[0].bytes + SEG_BATCH, 9);
  sign_segment(files.files[0].bytes);
  refused("the segment does not follow the one before it");
}

/* ---- batches ------------------------------------------------------------- */

static int batch_error(size_t at, uint8_t value) {
  struct raft_wal_batch b;
  uint8_t head[SECTOR];
  memcpy(head, kept, SECTOR);
  head[at] = value;
  sign_batch(head);
  return raft_wal_batch_decode(head, SECTOR, &b);
}

static void heads_of_batches(void) {
  write_log();
  memcpy(kept, files.files[0].bytes + SECTOR, SECTOR);
  EQ(batch_error(BAT_KIND, RAFT_WAL_DATA), RAFT_OK);
  EQ(batch_error(BAT_KIND, 0), RAFT_E_CORRUPT);
  EQ(batch_error(BAT_KIND, 3), RAFT_E_CORRUPT);
  EQ(batch_error(BAT_KIND, RAFT_WAL_MARK), RAFT_E_CORRUPT); /* with a body */
  EQ(batch_error(BAT_SIZE + 3, 0x80), RAFT_E_CORRUPT);      /* 2 GiB */
}

/* The body of the first batch, changed and signed. */
static int body_error(size_t at, uint32_t value) {
  struct raft_wal_batch b;
  struct raft_wal_body body;
  uint8_t head[SECTOR];
  memcpy(head, kept, SECTOR);
  raft_put_u32(head + at, value);
  sign_body(head);
  EQ(raft_wal_batch_decode(head, SECTOR, &b), RAFT_OK);
  return raft_wal_batch_body(&b, head, SECTOR, &body);
}

static void bodies_of_batches(void) {
  write_log();
  memcpy(kept, files.files[0].bytes + SECTOR, SECTOR);
  uint32_t size = raft_get_u32(kept + BATCH);
  EQ(body_error(BATCH, size), RAFT_OK);
  EQ(body_error(BATCH, size - 1), RAFT_E_CORRUPT);
  EQ(body_error(BATCH + 4, 2), RAFT_E_CORRUPT);
  EQ(body_error(BATCH + 4, RAFT_WAL_ENTRIES | 0x100), RAFT_E_CORRUPT);
  EQ(body_error(BAT_SIZE, 4), RAFT_E_CORRUPT); /* no room for a record */
}

/* The last batch of the log, which is the one of segment 2. */
static uint8_t *last_batch(void) {
  write_log();
  return files.files[1].bytes + SECTOR;
}

static void a_gap_in_the_numbers(void) {
  uint8_t *head = last_batch();
  raft_put_u64(head + BAT_NUMBER, raft_get_u64(head + BAT_NUMBER) + 1);
  sign_batch(head);
  refused("the numbers of batches have a gap");
}

static void a_batch_longer_than_its_segment(void) {
  uint8_t *head = last_batch();
  raft_put_u32(head + BAT_SIZE, 6 * SECTOR);
  sign_batch(head);
  refused("a batch that reaches beyond its segment");
}

static void entries_that_are_missing(void) {
  uint8_t entry[64];
  uint8_t *head = last_batch();
  size_t size = wal_entries(4, 4, 2, 10, entry);
  memcpy(head + BATCH + RAFT_WAL_RECORD_BYTES, entry, size);
  sign_body(head);
  refused("entries are missing before this one");
}

static void an_entry_that_is_damaged(void) {
  uint8_t *head = last_batch();
  head[BATCH + RAFT_WAL_RECORD_BYTES] ^= 1;
  sign_body(head);
  refused("an entry is damaged");
}

/* Numbers begin with 1 in each start, and starts with 1. */
static void numbers_of_no_start(void) {
  CHECK(raft_wal_follows(raft_wal_number(1, 1), 0));
  CHECK(!raft_wal_follows(1, 0));
  CHECK(!raft_wal_follows(UINT64_C(1) << RAFT_WAL_COUNT_BITS, 0));
}

/* ---- the end ------------------------------------------------------------- */

/* A batch of another log behind the end is no trace of ours: its salt says so.
 * With our salt it is one only if it is newer. */
static void traces_behind_the_end(void) {
  write_log();
  uint8_t *bytes = files.files[1].bytes;
  memcpy(bytes + 4 * SECTOR, bytes + SECTOR, SECTOR); /* not newer */
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  EQ(scan.torn_end, 5 * SECTOR);
  raft_wal_scan_free(&scan);
  bytes[4 * SECTOR + 16] ^= 1; /* the salt */
  raft_put_u64(bytes + 4 * SECTOR + BAT_NUMBER, UINT64_MAX >> 8);
  sign_batch(bytes + 4 * SECTOR);
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  EQ(scan.torn_end, 5 * SECTOR);
  raft_wal_scan_free(&scan);
  bytes[4 * SECTOR + 16] ^= 1;
  sign_batch(bytes + 4 * SECTOR);
  refused("a batch is damaged that later ones build on");
}

/* The file was longer when its head was read. */
static void a_file_that_shrinks_meanwhile(void) {
  write_log();
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_wal_file file = {1, files.files[0].size, true};
  raft_wal_scan_init(&scan, &options);
  struct raft_slice head = {files.files[0].bytes, SECTOR};
  EQ(raft_wal_scan_open(&scan, &file, head), RAFT_OK);
  CHECK(scan.want_size > SECTOR);
  EQ(raft_wal_scan_feed(&scan, head), RAFT_E_CORRUPT);
  EQ_TEXT(scan.fault.why, "the end of the segment is missing");
  raft_wal_scan_free(&scan);
}

/* Whoever feeds more than was asked for is not misunderstood. */
static void more_bytes_than_were_wanted(void) {
  write_log();
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_wal_file file = {1, files.files[0].size, true};
  raft_wal_scan_init(&scan, &options);
  EQ(raft_wal_scan_open(&scan, &file,
                        (struct raft_slice){files.files[0].bytes, SECTOR}),
     RAFT_OK);
  while (scan.want_size > 0) {
    struct raft_slice rest = {files.files[0].bytes + scan.want_offset,
                              WAL_FILE_BYTES - (size_t)scan.want_offset};
    EQ(raft_wal_scan_feed(&scan, rest), RAFT_OK);
  }
  EQ(scan.state.last, 2);
  EQ(scan.torn_end, 0);
  raft_wal_scan_free(&scan);
}

/* ---- the writer ---------------------------------------------------------- */

static void no_batch_is_longer_than_a_batch_can_be(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  const struct raft_wal_writer *w = &files.now.writer;
  CHECK(raft_wal_writer_fits(w, 100, 2 * SECTOR));
  CHECK(!raft_wal_writer_fits(w, 100, 2 * SECTOR + 1));
  CHECK(!raft_wal_writer_fits(w, 3 * SECTOR, 0));
  CHECK(!raft_wal_writer_fits(w, (uint64_t)RAFT_WAL_BODY_MAX + 1, 0));
  wal_files_free(&files);
}

/* Joined stores may be of a hard state alone. */
static void an_empty_slice_adds_nothing(void) {
  uint8_t entry[64];
  uint8_t one[SECTOR];
  uint8_t other[SECTOR];
  size_t size = wal_entries(1, 1, 1, 5, entry);
  const struct raft_slice slices[] = {{NULL, 0}, {entry, size}, {entry, 0}};
  struct raft_wal_batch b = {.offset = SECTOR, .kind = RAFT_WAL_DATA};
  raft_wal_batch_encode(&b, slices, 3, one);
  raft_wal_batch_encode(&b, slices + 1, 1, other);
  EQ_BYTES(one, other, SECTOR);
}

/* ---- reading back -------------------------------------------------------- */

/* Cuts entry 2 out of the bytes of segment 1 from entry 1 on. */
static int cut(size_t size) {
  static uint8_t out[WAL_FILE_BYTES];
  uint64_t offset = SECTOR + BATCH + RAFT_WAL_RECORD_BYTES;
  struct raft_wal_spot spot = {.first = 1, .segment = 1, .offset = offset};
  spot.rest = raft_get_u32(files.files[0].bytes + SECTOR + BATCH);
  struct raft_wal_cut c = {.first = 2, .last = 2, .size_max = 1};
  struct raft_slice data = {files.files[0].bytes + offset, size};
  int error = raft_wal_map_cut(&spot, data, &c, out);
  if (error == RAFT_OK) EQ(c.last, 2);
  return error;
}

static void what_is_read_back_is_judged_anew(void) {
  const size_t heads = BATCH + RAFT_WAL_RECORD_BYTES;
  const size_t first = SECTOR - heads; /* up to the second batch */
  const size_t all = first + SECTOR;
  write_log();
  uint8_t *second = files.files[0].bytes + 2 * SECTOR;
  EQ(cut(all), RAFT_OK);
  EQ(cut(20), RAFT_E_CORRUPT);                 /* within entry 1 */
  EQ(cut(first), RAFT_E_CORRUPT);              /* no second batch */
  EQ(cut(first + 9), RAFT_E_CORRUPT);          /* not even its head */
  EQ(cut(first + BATCH), RAFT_E_CORRUPT);      /* its head alone */
  EQ(cut(first + heads + 45), RAFT_E_CORRUPT); /* half of an entry */
  raft_put_u32(second + BAT_SIZE, RAFT_WAL_RECORD_BYTES);
  sign_batch(second);
  EQ(cut(all), RAFT_E_CORRUPT); /* a record without entries */
  raft_put_u32(second + BAT_SIZE, 0);
  sign_batch(second);
  EQ(cut(all), RAFT_E_CORRUPT); /* a mark, and behind it nothing */
  write_log();
  second[24] ^= 1; /* the offset */
  sign_batch(second);
  EQ(cut(all), RAFT_E_CORRUPT); /* it belongs elsewhere */
  write_log();
  uint8_t entry[64];
  size_t size = wal_entries(3, 3, 1, 10, entry);
  memcpy(second + BATCH + RAFT_WAL_RECORD_BYTES, entry, size);
  EQ(cut(all), RAFT_E_CORRUPT); /* another entry */
}

int main(void) {
  CASE(heads_of_segments);
  CASE(a_newer_segment_is_named);
  CASE(links_between_segments);
  CASE(a_first_segment_follows_nothing);
  CASE(heads_of_batches);
  CASE(bodies_of_batches);
  CASE(a_gap_in_the_numbers);
  CASE(a_batch_longer_than_its_segment);
  CASE(entries_that_are_missing);
  CASE(an_entry_that_is_damaged);
  CASE(numbers_of_no_start);
  CASE(traces_behind_the_end);
  CASE(a_file_that_shrinks_meanwhile);
  CASE(more_bytes_than_were_wanted);
  CASE(no_batch_is_longer_than_a_batch_can_be);
  CASE(an_empty_slice_adds_nothing);
  CASE(what_is_read_back_is_judged_anew);
  return test_end();
}
