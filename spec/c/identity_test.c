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

int main(void) {
  CASE(it_survives_the_trip);
  CASE(its_bytes_never_change);
  CASE(every_flipped_bit_of_one_copy_is_healed_by_the_other);
  CASE(damage_in_both_copies_is_refused);
  CASE(every_cut_keeps_a_copy_or_is_refused);
  CASE(the_higher_sequence_counts);
  CASE(a_newer_format_is_named);
  return test_end();
}
