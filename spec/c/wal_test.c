/* wal_test.c - segment heads and batches as bytes. */
#include "wal.h"

#include "bytes.h"
#include "crc32c.h"
#include "golden.h"
#include "test.h"
#include "wal_files.h"

#include <string.h>

static const struct raft_wal_segment SEGMENT = {
    .size = 1 << 20,
    .number = 7,
    .salt = 0x1122334455667788,
    .next_index = 1000,
    .last_term = 5,
    .batch = (UINT64_C(3) << RAFT_WAL_COUNT_BITS) + 12,
    .chain = 0xcafef00d,
};

static struct raft_wal_batch batch(void) {
  return (struct raft_wal_batch){
      .salt = SEGMENT.salt,
      .offset = 2 * RAFT_WAL_SECTOR,
      .number = raft_wal_number(3, 13),
      .chain = SEGMENT.chain,
      .term = 5,
      .vote = 0x99,
      .commit = 998,
      .last = 1001,
      .last_term = 5,
      .kind = RAFT_WAL_DATA,
  };
}

static size_t encode_batch(uint8_t *out, struct raft_wal_batch *b) {
  uint8_t entries[512];
  struct raft_slice parts[2];
  size_t first = wal_entries(1000, 1000, 5, 3, entries);
  size_t second = wal_entries(1001, 1001, 5, 0, entries + first);
  parts[0] = (struct raft_slice){entries, first};
  parts[1] = (struct raft_slice){entries + first, second};
  *b = batch();
  raft_wal_batch_encode(b, parts, 2, out);
  return (size_t)RAFT_WAL_BATCH_BYTES + b->size;
}

static bool all_zero(const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (data[i] != 0) return false;
  return true;
}

static void a_segment_head_survives_the_trip(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_segment s;
  uint32_t version = 0;
  raft_wal_segment_encode(&SEGMENT, bytes);
  EQ(raft_wal_segment_decode(bytes, sizeof bytes, &s, &version), RAFT_OK);
  EQ(s.size, SEGMENT.size);
  EQ(s.number, SEGMENT.number);
  EQ(s.salt, SEGMENT.salt);
  EQ(s.next_index, SEGMENT.next_index);
  EQ(s.last_term, SEGMENT.last_term);
  EQ(s.batch, SEGMENT.batch);
  EQ(s.chain, SEGMENT.chain);
  EQ(raft_wal_segment_decode(bytes, sizeof bytes - 1, &s, &version),
     RAFT_E_MORE);
}

static void every_flipped_bit_of_a_segment_head_is_seen(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_segment s;
  uint32_t version = 0;
  raft_wal_segment_encode(&SEGMENT, bytes);
  for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(raft_wal_segment_decode(bytes, sizeof bytes, &s, &version),
       RAFT_E_CORRUPT);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

/* Damage that has the right checksum is still none of ours. */
static void every_reserved_byte_of_a_segment_head_is_zero(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_segment s;
  uint32_t version = 0;
  raft_wal_segment_encode(&SEGMENT, bytes);
  for (size_t i = 72; i < sizeof bytes; i++) {
    bytes[i] = 1;
    raft_put_u32(bytes + 8, raft_crc32c(0, bytes + 12, sizeof bytes - 12));
    EQ(raft_wal_segment_decode(bytes, sizeof bytes, &s, &version),
       RAFT_E_CORRUPT);
    bytes[i] = 0;
  }
}

static void every_reserved_byte_of_a_batch_head_is_zero(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  struct raft_wal_batch got;
  size_t size = encode_batch(bytes, &b);
  for (size_t i = 86; i < RAFT_WAL_BATCH_BYTES; i++) {
    bytes[i] = 1;
    raft_put_u32(bytes + 4,
                 raft_crc32c(0, bytes + 8, RAFT_WAL_BATCH_BYTES - 8));
    EQ(raft_wal_batch_decode(bytes, size, &got), RAFT_E_CORRUPT);
    bytes[i] = 0;
  }
}

static void the_bytes_of_a_segment_head_never_change(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  raft_wal_segment_encode(&SEGMENT, bytes);
  GOLDEN("wal_segment", bytes, 72);
  CHECK(all_zero(bytes + 72, sizeof bytes - 72));
}

static void the_bytes_of_a_batch_never_change(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  memset(bytes, 0xa5, sizeof bytes); /* what was in the buffer before */
  size_t size = encode_batch(bytes, &b);
  GOLDEN("wal_batch", bytes, size);
  CHECK(all_zero(bytes + size, sizeof bytes - size));
}

static void a_batch_survives_the_trip(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  struct raft_wal_batch got;
  struct raft_wal_body body;
  size_t size = encode_batch(bytes, &b);
  EQ(raft_wal_batch_bytes(size - 96), RAFT_WAL_SECTOR);
  EQ(raft_wal_batch_decode(bytes, size, &got), RAFT_OK);
  EQ(got.salt, b.salt);
  EQ(got.offset, b.offset);
  EQ(got.number, b.number);
  EQ(got.chain, b.chain);
  EQ(got.crc, b.crc);
  EQ(got.term, b.term);
  EQ(got.vote, b.vote);
  EQ(got.commit, b.commit);
  EQ(got.kind, b.kind);
  EQ(raft_wal_batch_body(&got, bytes, size, &body), RAFT_OK);
  EQ(body.entries.size, size - 96);
  CHECK(body.entries.data == bytes + 96);
  EQ(body.entries_at, 96);
  EQ(body.mark.index, 0);
}

static void a_batch_without_entries_is_one_sector(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b = batch();
  struct raft_wal_body body;
  b.kind = RAFT_WAL_MARK;
  raft_wal_batch_encode(&b, NULL, 0, bytes);
  EQ(raft_wal_batch_bytes(0), RAFT_WAL_SECTOR);
  EQ(raft_wal_batch_decode(bytes, sizeof bytes, &b), RAFT_OK);
  EQ(raft_wal_batch_body(&b, bytes, sizeof bytes, &body), RAFT_OK);
  EQ(body.entries.size, 0);
  EQ(body.mark.index, 0);
}

static int read_batch(const uint8_t *bytes, size_t size) {
  struct raft_wal_batch b;
  struct raft_wal_body body;
  int error = raft_wal_batch_decode(bytes, size, &b);
  if (error != RAFT_OK) return error;
  return raft_wal_batch_body(&b, bytes, size, &body);
}

static void every_flipped_bit_of_a_batch_is_seen(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  size_t size = encode_batch(bytes, &b);
  for (size_t bit = 0; bit < 8 * size; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(read_batch(bytes, sizeof bytes), RAFT_E_CORRUPT);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  EQ(read_batch(bytes, sizeof bytes), RAFT_OK);
}

static void every_cut_of_a_batch_asks_for_more(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  size_t size = encode_batch(bytes, &b);
  for (size_t cut = 0; cut < size; cut++)
    EQ(read_batch(bytes, cut), RAFT_E_MORE);
}

/* ---- sealed: the checksums are right, what they cover makes no sense ----- */

static int segment_with(size_t at, uint64_t value, size_t count,
                        uint32_t *version) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_segment s;
  raft_wal_segment_encode(&SEGMENT, bytes);
  for (size_t i = 0; i < count; i++)
    bytes[at + i] = (uint8_t)(value >> 8 * i);
  raft_put_u32(bytes + 8, raft_crc32c(0, bytes + 12, sizeof bytes - 12));
  return raft_wal_segment_decode(bytes, sizeof bytes, &s, version);
}

static void a_sealed_segment_head_must_make_sense(void) {
  enum { VERSION = 12, SECTOR = 16, SIZE = 24, NUMBER = 32, NEXT = 48 };
  uint32_t version = 0;
  EQ(segment_with(VERSION, 1, 4, &version), RAFT_OK);
  EQ(segment_with(0, 'x', 1, &version), RAFT_E_CORRUPT);
  EQ(segment_with(VERSION, 0, 4, &version), RAFT_E_CORRUPT);
  EQ(segment_with(VERSION, 2, 4, &version), RAFT_E_VERSION);
  EQ(version, 2);
  EQ(segment_with(SECTOR, 512, 4, &version), RAFT_E_CORRUPT);
  EQ(segment_with(SIZE, RAFT_WAL_SECTOR, 8, &version), RAFT_E_CORRUPT);
  EQ(segment_with(SIZE, 2 * RAFT_WAL_SECTOR, 8, &version), RAFT_OK);
  EQ(segment_with(SIZE, 3 * RAFT_WAL_SECTOR - 1, 8, &version), RAFT_E_CORRUPT);
  EQ(segment_with(SIZE, UINT64_C(1) << 63, 8, &version), RAFT_E_CORRUPT);
  EQ(segment_with(NUMBER, 0, 8, &version), RAFT_E_CORRUPT);
  EQ(segment_with(NEXT, 0, 8, &version), RAFT_E_CORRUPT);
  EQ(segment_with(NEXT, 1, 8, &version), RAFT_OK);
}

/* Head and body of a batch of so many bytes in its body, sealed anew. */
static int batch_with(size_t at, uint8_t value, uint32_t size) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  (void)encode_batch(bytes, &b); /* b tells its size */
  if (size != 0) raft_put_u32(bytes + 80, size);
  bytes[at] = value;
  b.size = raft_get_u32(bytes + 80);
  raft_put_u32(bytes + 8, raft_crc32c(0, bytes + RAFT_WAL_BATCH_BYTES, b.size));
  raft_put_u32(bytes + 4, raft_crc32c(0, bytes + 8, RAFT_WAL_BATCH_BYTES - 8));
  return read_batch(bytes, sizeof bytes);
}

static void a_sealed_batch_must_make_sense(void) {
  enum { VOTE = 48, KIND = 84, FLAGS, RECORD = 88, RECORD_KIND = 92 };
  EQ(batch_with(VOTE, 7, 0), RAFT_OK);
  EQ(batch_with(0, 'x', 0), RAFT_E_CORRUPT);
  EQ(batch_with(KIND, 0, 0), RAFT_E_CORRUPT);
  EQ(batch_with(KIND, 9, 0), RAFT_E_CORRUPT);
  EQ(batch_with(FLAGS, RAFT_WAL_REPAIRING, 0), RAFT_OK);
  EQ(batch_with(FLAGS, 2, 0), RAFT_E_CORRUPT);
  EQ(batch_with(KIND, RAFT_WAL_MARK, 0), RAFT_E_CORRUPT); /* with entries */
  EQ(batch_with(RECORD_KIND, 9, 0), RAFT_E_CORRUPT);
  EQ(batch_with(RECORD, 1, 0), RAFT_E_CORRUPT); /* another size */
  EQ(batch_with(VOTE, 7, 1), RAFT_E_CORRUPT);   /* no whole record */
  EQ(batch_with(VOTE, 7, 8), RAFT_E_CORRUPT);   /* a record of nothing */
  EQ(batch_with(RECORD, 0, 8), RAFT_E_CORRUPT);
  EQ(batch_with(RECORD, 1, 9), RAFT_OK); /* the scan judges the entries */
}

static void a_head_that_is_cut_asks_for_more(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  (void)encode_batch(bytes, &b); /* its head is what counts */
  for (size_t cut = 0; cut < RAFT_WAL_BATCH_BYTES; cut++)
    EQ(raft_wal_batch_decode(bytes, cut, &b), RAFT_E_MORE);
  EQ(raft_wal_batch_decode(bytes, RAFT_WAL_BATCH_BYTES, &b), RAFT_OK);
}

static void the_largest_body_is_believed_and_a_larger_is_not(void) {
  uint8_t bytes[RAFT_WAL_SECTOR];
  struct raft_wal_batch b;
  (void)encode_batch(bytes, &b); /* its head is what counts */
  for (uint32_t more = 0; more < 2; more++) {
    raft_put_u32(bytes + 80, RAFT_WAL_BODY_MAX + more);
    raft_put_u32(bytes + 4,
                 raft_crc32c(0, bytes + 8, RAFT_WAL_BATCH_BYTES - 8));
    EQ(raft_wal_batch_decode(bytes, RAFT_WAL_BATCH_BYTES, &b),
       more == 0 ? RAFT_OK : RAFT_E_CORRUPT);
  }
}

static void a_batch_takes_whole_sectors(void) {
  EQ(raft_wal_batch_bytes(RAFT_WAL_SECTOR - 96), RAFT_WAL_SECTOR);
  EQ(raft_wal_batch_bytes(RAFT_WAL_SECTOR - 95), 2 * RAFT_WAL_SECTOR);
}

static void numbers_follow_each_other_within_a_start(void) {
  CHECK(raft_wal_follows(raft_wal_number(1, 1), 0));
  CHECK(raft_wal_follows(raft_wal_number(1, 2), raft_wal_number(1, 1)));
  CHECK(!raft_wal_follows(raft_wal_number(1, 3), raft_wal_number(1, 1)));
  CHECK(!raft_wal_follows(raft_wal_number(1, 1), raft_wal_number(1, 1)));
}

static void a_later_start_begins_with_one(void) {
  uint64_t before = raft_wal_number(2, 9);
  CHECK(raft_wal_follows(raft_wal_number(3, 1), before));
  CHECK(raft_wal_follows(raft_wal_number(7, 1), before));
  CHECK(!raft_wal_follows(raft_wal_number(3, 2), before));
  CHECK(!raft_wal_follows(raft_wal_number(1, 1), before));
  CHECK(!raft_wal_follows(0, before));
}

int main(void) {
  CASE(a_segment_head_survives_the_trip);
  CASE(every_flipped_bit_of_a_segment_head_is_seen);
  CASE(every_reserved_byte_of_a_segment_head_is_zero);
  CASE(every_reserved_byte_of_a_batch_head_is_zero);
  CASE(the_bytes_of_a_segment_head_never_change);
  CASE(the_bytes_of_a_batch_never_change);
  CASE(a_batch_survives_the_trip);
  CASE(a_batch_without_entries_is_one_sector);
  CASE(every_flipped_bit_of_a_batch_is_seen);
  CASE(every_cut_of_a_batch_asks_for_more);
  CASE(a_sealed_segment_head_must_make_sense);
  CASE(a_sealed_batch_must_make_sense);
  CASE(a_head_that_is_cut_asks_for_more);
  CASE(the_largest_body_is_believed_and_a_larger_is_not);
  CASE(a_batch_takes_whole_sectors);
  CASE(numbers_follow_each_other_within_a_start);
  CASE(a_later_start_begins_with_one);
  return test_end();
}
