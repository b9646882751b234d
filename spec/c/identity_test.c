/* identity_test.c - who a data directory belongs to, as bytes. */
#include "identity.h"

#include "bytes.h"
#include "crc32c.h"
#include "golden.h"
#include "test.h"

#include <string.h>

#define COPY RAFT_IDENTITY_SECTOR

static const struct raft_identity SAMPLE = {
    .sequence = 6,
    .incarnation = 0x0123456789abcdef,
    .starts = 3,
    .first_segment = 1,
    .last_segment = 4,
    .is_formed = true,
    .cluster_identity = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .node = "n1",
    .cluster = "default",
};

static void write_both(uint8_t *file) {
  raft_identity_encode(&SAMPLE, file);
  raft_identity_encode(&SAMPLE, file + COPY);
}

static int read_file(const uint8_t *file, struct raft_identity *out) {
  uint32_t version = 0;
  return raft_identity_decode(file, (size_t)2 * COPY, out, &version);
}

static void it_survives_the_trip(void) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  write_both(file);
  EQ(read_file(file, &got), RAFT_OK);
  EQ(got.sequence, SAMPLE.sequence);
  EQ(got.incarnation, SAMPLE.incarnation);
  EQ(got.starts, SAMPLE.starts);
  EQ(got.first_segment, SAMPLE.first_segment);
  EQ(got.last_segment, SAMPLE.last_segment);
  CHECK(got.is_formed);
  EQ_BYTES(got.cluster_identity, SAMPLE.cluster_identity, 16);
  EQ_TEXT(got.node, SAMPLE.node);
  EQ_TEXT(got.cluster, SAMPLE.cluster);
}

static void before_forming_it_is_not_formed(void) {
  uint8_t file[2 * COPY];
  struct raft_identity young = SAMPLE;
  struct raft_identity got;
  young.is_formed = false;
  write_both(file);
  young.sequence++;
  raft_identity_encode(&young, file);
  EQ(read_file(file, &got), RAFT_OK);
  CHECK(!got.is_formed);
}

static void names_may_be_one_letter(void) {
  uint8_t file[2 * COPY];
  struct raft_identity brief = SAMPLE;
  struct raft_identity got;
  memset(brief.node + 1, 0, sizeof brief.node - 1);
  memset(brief.cluster + 1, 0, sizeof brief.cluster - 1);
  raft_identity_encode(&brief, file);
  raft_identity_encode(&brief, file + COPY);
  EQ(read_file(file, &got), RAFT_OK);
  EQ_TEXT(got.node, "n");
  EQ_TEXT(got.cluster, "d");
}

static void its_bytes_never_change(void) {
  uint8_t file[2 * COPY];
  write_both(file);
  GOLDEN("identity", file, 96);
}

static void every_flipped_bit_of_one_copy_is_healed_by_the_other(void) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  write_both(file);
  for (size_t bit = 0; bit < 8 * sizeof file; bit++) {
    file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(read_file(file, &got), RAFT_OK);
    EQ(got.starts, SAMPLE.starts);
    file[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

static void damage_in_both_copies_is_refused(void) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  write_both(file);
  file[100] ^= 1;
  file[COPY + 4000] ^= 1;
  EQ(read_file(file, &got), RAFT_E_CORRUPT);
}

static void every_cut_keeps_a_copy_or_is_refused(void) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  uint32_t version = 0;
  write_both(file);
  for (size_t size = 0; size <= sizeof file; size++) {
    int want = size < COPY ? RAFT_E_CORRUPT : RAFT_OK;
    EQ(raft_identity_decode(file, size, &got, &version), want);
  }
}

static void the_higher_sequence_counts(void) {
  uint8_t file[2 * COPY];
  struct raft_identity newer = SAMPLE;
  struct raft_identity got;
  newer.sequence++;
  newer.starts++;
  write_both(file);
  raft_identity_encode(&newer, file);
  EQ(read_file(file, &got), RAFT_OK);
  EQ(got.starts, newer.starts);
  write_both(file);
  raft_identity_encode(&newer, file + COPY);
  EQ(read_file(file, &got), RAFT_OK);
  EQ(got.starts, newer.starts);
}

/* Writes the checksum anew, as who made this sector would. */
static void seal(uint8_t *sector) {
  raft_put_u32(sector + 8, raft_crc32c(0, sector + 12, COPY - 12));
}

/* Both copies with one byte changed, and sealed. */
static int read_with(size_t at, uint8_t value) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  write_both(file);
  for (size_t i = 0; i < 2; i++) {
    file[i * COPY + at] = value;
    seal(file + i * COPY);
  }
  return read_file(file, &got);
}

static void what_nobody_writes_is_refused(void) {
  enum { FORMED = 16 + 40, NODE = FORMED + 1 + 16, CLUSTER = NODE + 3 };
  EQ(read_with(NODE + 1, 'm'), RAFT_OK);
  EQ(read_with(0, 'x'), RAFT_E_CORRUPT); /* another kind of file */
  EQ(read_with(7, 'x'), RAFT_E_CORRUPT);
  EQ(read_with(12, 0), RAFT_E_CORRUPT);     /* a version before the first */
  EQ(read_with(FORMED, 2), RAFT_E_CORRUPT); /* neither yes nor no */
  EQ(read_with(NODE, 0), RAFT_E_CORRUPT);   /* no name */
  EQ(read_with(NODE, 255), RAFT_E_CORRUPT); /* too long a name */
  EQ(read_with(CLUSTER, 0), RAFT_E_CORRUPT);
  EQ(read_with(CLUSTER, 1), RAFT_E_CORRUPT); /* letters behind the name */
  EQ(read_with(40, 7), RAFT_E_CORRUPT);      /* first segment > last + 1 */
  EQ(read_with(40, 5), RAFT_OK);             /* there is none */
}

static void there_are_two_copies_and_no_third(void) {
  uint8_t file[3 * COPY];
  struct raft_identity newer = SAMPLE;
  struct raft_identity got;
  uint32_t version = 0;
  write_both(file);
  newer.sequence++;
  newer.starts++;
  raft_identity_encode(&newer, file + 2 * COPY);
  EQ(raft_identity_decode(file, sizeof file, &got, &version), RAFT_OK);
  EQ(got.starts, SAMPLE.starts);
}

static void a_newer_format_is_named(void) {
  uint8_t file[2 * COPY];
  struct raft_identity got;
  uint32_t version = 0;
  write_both(file);
  raft_put_u32(file + COPY + 12, 9);
  raft_put_u32(file + COPY + 8, raft_crc32c(0, file + COPY + 12, COPY - 12));
  EQ(raft_identity_decode(file, sizeof file, &got, &version), RAFT_E_VERSION);
  EQ(version, 9);
}

/* Bytes behind the last name that nobody wrote, under the right checksum. */
static void every_reserved_byte_is_zero(void) {
  uint8_t bytes[COPY];
  struct raft_identity got;
  uint32_t version = 0;
  raft_identity_encode(&SAMPLE, bytes);
  for (size_t i = 84; i < sizeof bytes; i++) { /* 73 + "n1" + "default" */
    bytes[i] = 1;
    raft_put_u32(bytes + 8, raft_crc32c(0, bytes + 12, sizeof bytes - 12));
    EQ(raft_identity_decode(bytes, sizeof bytes, &got, &version),
       RAFT_E_CORRUPT);
    bytes[i] = 0;
  }
}

int main(void) {
  CASE(it_survives_the_trip);
  CASE(before_forming_it_is_not_formed);
  CASE(names_may_be_one_letter);
  CASE(its_bytes_never_change);
  CASE(every_flipped_bit_of_one_copy_is_healed_by_the_other);
  CASE(damage_in_both_copies_is_refused);
  CASE(every_cut_keeps_a_copy_or_is_refused);
  CASE(the_higher_sequence_counts);
  CASE(what_nobody_writes_is_refused);
  CASE(there_are_two_copies_and_no_third);
  CASE(a_newer_format_is_named);
  CASE(every_reserved_byte_is_zero);
  return test_end();
}
