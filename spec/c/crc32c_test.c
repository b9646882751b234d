/* The checksum against the vectors of RFC 3720 and against its definition. */
#include "crc32c.h"

#include "test.h"

#include <string.h>

/* The definition: one bit at a time. */
static uint32_t slow(uint32_t crc, const uint8_t *p, size_t size) {
  crc = ~crc;
  for (size_t i = 0; i < size; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
  }
  return ~crc;
}

static void check_both(const void *data, size_t size, uint32_t want) {
  EQ(raft_crc32c(0, data, size), want);
  EQ(raft_crc32c_portable(0, data, size), want);
}

/* [RFC 3720 B.4] */
static void gives_the_published_values(void) {
  uint8_t data[48];
  memset(data, 0, 32);
  check_both(data, 32, 0x8a9136aau);
  memset(data, 0xff, 32);
  check_both(data, 32, 0x62a8ab43u);
  for (uint8_t i = 0; i < 32; i++)
    data[i] = i;
  check_both(data, 32, 0x46dd794eu);
  for (uint8_t i = 0; i < 32; i++)
    data[i] = (uint8_t)(31 - i);
  check_both(data, 32, 0x113fdb5cu);
  static const uint8_t read_command[48] = {
      0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
      0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
      0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  check_both(read_command, 48, 0xd9963a56u);
}

static void gives_the_check_value(void) {
  check_both("123456789", 9, 0xe3069283u);
}

static void of_nothing_is_nothing(void) {
  check_both(NULL, 0, 0);
  EQ(raft_crc32c(0xe3069283u, NULL, 0), 0xe3069283u);
}

static void knows_every_byte_at_every_place(void) {
  uint8_t data[24]; /* one round by eight, at each offset from it */
  for (size_t at = 0; at < sizeof data; at++) {
    for (int value = 0; value < 256; value++) {
      memset(data, 0, sizeof data);
      data[at] = (uint8_t)value;
      check_both(data, sizeof data, slow(0, data, sizeof data));
    }
  }
}

static void does_not_care_for_alignment_or_size(void) {
  uint8_t data[96];
  uint64_t state = test_seed();
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)test_random(&state);
  for (size_t from = 0; from < 16; from++)
    for (size_t size = 0; size <= 64; size++)
      check_both(data + from, size, slow(0, data + from, size));
}

static void goes_on_where_it_stopped(void) {
  uint8_t data[200];
  uint64_t state = test_seed();
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)test_random(&state);
  uint32_t whole = raft_crc32c(0, data, sizeof data);
  for (size_t cut = 0; cut <= sizeof data; cut++) {
    uint32_t crc = raft_crc32c(0, data, cut);
    EQ(raft_crc32c(crc, data + cut, sizeof data - cut), whole);
    crc = raft_crc32c_portable(0, data, cut);
    EQ(raft_crc32c_portable(crc, data + cut, sizeof data - cut), whole);
  }
}

/* Long data is summed in strands that are joined: every length near to where
 * their number changes, and after other bytes. */
static void joins_what_it_sums_side_by_side(void) {
  static uint8_t data[1600];
  uint64_t state = test_seed();
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)test_random(&state);
  for (size_t size = 370; size < sizeof data; size += size % 384 < 30 ? 1 : 7)
    check_both(data, size, slow(0, data, size));
  for (size_t from = 1; from < 400; from++) {
    uint32_t before = raft_crc32c(0, data, from);
    uint32_t whole = slow(0, data, from + 1199);
    EQ(raft_crc32c(before, data + from, 1199), whole);
  }
}

static void knows_few_bytes_quickly(void) {
  uint8_t data[RAFT_CRC32C_FEW + 8];
  uint64_t state = test_seed();
  for (int round = 0; round < 1000; round++) {
    for (size_t i = 0; i < sizeof data; i++)
      data[i] = (uint8_t)test_random(&state);
    const uint8_t *from = data + round % 8;
    EQ(raft_crc32c_few(from), slow(0, from, RAFT_CRC32C_FEW));
  }
}

static void leaves_its_own_place_in_a_head_out(void) {
  uint8_t data[600];
  uint64_t state = test_seed();
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)test_random(&state);
  for (size_t size = 8; size < sizeof data; size++) {
    uint32_t first = slow(0, data, 4);
    EQ(raft_crc32c_head(data, size), slow(first, data + 8, size - 8));
  }
}

static void tells_leading_zeros_apart(void) {
  static const uint8_t zeros[9];
  CHECK(raft_crc32c(0, zeros, 8) != raft_crc32c(0, zeros, 9));
  CHECK(raft_crc32c(0, zeros, 8) != 0);
}

int main(void) {
  CASE(gives_the_published_values);
  CASE(gives_the_check_value);
  CASE(of_nothing_is_nothing);
  CASE(knows_every_byte_at_every_place);
  CASE(does_not_care_for_alignment_or_size);
  CASE(goes_on_where_it_stopped);
  CASE(joins_what_it_sums_side_by_side);
  CASE(knows_few_bytes_quickly);
  CASE(leaves_its_own_place_in_a_head_out);
  CASE(tells_leading_zeros_apart);
  return test_end();
}
