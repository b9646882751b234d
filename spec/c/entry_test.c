/* An entry: its bytes for ever, and every damage to them refused. */
#include "entry.h"

#include "crc32c.h"
#include "golden.h"
#include "test.h"

#include <string.h>

static const uint8_t payload[] = "set x = 1";
#define PAYLOAD_BYTES 9
#define ENTRY_BYTES   (RAFT_ENTRY_HEADER_BYTES + PAYLOAD_BYTES)

static struct raft_entry sample(void) {
  return (struct raft_entry){.index = 0x1122334455667788u,
                             .term = 0x0102030405060708u,
                             .time = 1700000000123u,
                             .kind = RAFT_ENTRY_COMMAND,
                             .size = PAYLOAD_BYTES,
                             .payload = payload};
}

static void encode_sample(uint8_t *out) {
  struct raft_entry e = sample();
  EQ(raft_entry_encode(&e, out), ENTRY_BYTES);
}

/* Makes the header's checksum fit what was changed behind it. */
static void mend(uint8_t *data) {
  uint32_t crc = raft_crc32c(0, data + 4, RAFT_ENTRY_HEADER_BYTES - 4);
  for (int i = 0; i < 4; i++)
    data[i] = (uint8_t)(crc >> 8 * i);
}

static void never_changes(void) {
  uint8_t data[ENTRY_BYTES];
  encode_sample(data);
  GOLDEN("entry", data, sizeof data);
}

static void comes_back_as_it_went(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry e = sample();
  struct raft_entry got;
  raft_entry_encode(&e, data);
  EQ(e.payload_crc, raft_crc32c(0, payload, PAYLOAD_BYTES));
  EQ(raft_entry_decode(data, sizeof data, &got), RAFT_OK);
  EQ(got.index, e.index);
  EQ(got.term, e.term);
  EQ(got.time, e.time);
  EQ(got.kind, e.kind);
  EQ(got.flags, 0);
  EQ(got.size, PAYLOAD_BYTES);
  EQ(got.payload_crc, e.payload_crc);
  CHECK(got.payload == data + RAFT_ENTRY_HEADER_BYTES);
  EQ_BYTES(got.payload, payload, PAYLOAD_BYTES);
  EQ(raft_entry_bytes(&got), ENTRY_BYTES);
}

static void may_be_empty(void) {
  uint8_t data[RAFT_ENTRY_HEADER_BYTES];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_NOOP};
  struct raft_entry got;
  EQ(raft_entry_encode(&e, data), RAFT_ENTRY_HEADER_BYTES);
  EQ(raft_entry_decode(data, sizeof data, &got), RAFT_OK);
  EQ(got.size, 0);
  EQ(got.index, 1);
}

/* A copy of the header alone, as a witness keeps it. [Thesis 11.7.2] */
static void the_header_can_be_verified_alone(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got;
  encode_sample(data);
  EQ(raft_entry_decode_header(data, RAFT_ENTRY_HEADER_BYTES, &got), RAFT_OK);
  EQ(got.index, sample().index);
  EQ(got.payload_crc, raft_crc32c(0, payload, PAYLOAD_BYTES));
  CHECK(got.payload == NULL);
  EQ(raft_entry_decode(data, RAFT_ENTRY_HEADER_BYTES, &got), RAFT_E_MORE);
}

static void every_truncation_asks_for_more(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got = {.index = 99};
  encode_sample(data);
  for (size_t size = 0; size < ENTRY_BYTES; size++)
    EQ(raft_entry_decode(data, size, &got), RAFT_E_MORE);
  for (size_t size = 0; size < RAFT_ENTRY_HEADER_BYTES; size++)
    EQ(raft_entry_decode_header(data, size, &got), RAFT_E_MORE);
  EQ(got.index, 99); /* and nothing was touched */
}

static void every_flipped_bit_is_found(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got = {.index = 99};
  encode_sample(data);
  for (size_t bit = 0; bit < 8 * ENTRY_BYTES; bit++) {
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(raft_entry_decode(data, ENTRY_BYTES, &got), RAFT_E_CORRUPT);
    bool in_header = bit < 8 * RAFT_ENTRY_HEADER_BYTES;
    EQ(raft_entry_decode_header(data, ENTRY_BYTES, &got),
       in_header ? RAFT_E_CORRUPT : RAFT_OK);
    if (in_header) EQ(got.index, 99);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

static void zeros_are_no_entry(void) {
  static const uint8_t zeros[RAFT_ENTRY_HEADER_BYTES];
  struct raft_entry got;
  EQ(raft_entry_decode(zeros, sizeof zeros, &got), RAFT_E_CORRUPT);
}

/* Writes `count` bytes of `value` at `at`, mends the checksum, decodes. */
static int decode_with(size_t at, uint64_t value, size_t count) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got;
  encode_sample(data);
  for (size_t i = 0; i < count; i++)
    data[at + i] = (uint8_t)(value >> 8 * i);
  mend(data);
  return raft_entry_decode(data, sizeof data, &got);
}

static void what_version_1_does_not_write_is_refused(void) {
  EQ(decode_with(24, 0, 8), RAFT_OK);       /* a time of 0: unknown, and well */
  EQ(decode_with(8, 0, 8), RAFT_E_CORRUPT); /* index */
  EQ(decode_with(8, (uint64_t)1 << 63, 8), RAFT_E_CORRUPT);
  EQ(decode_with(8, INT64_MAX, 8), RAFT_OK); /* the last of all */
  EQ(decode_with(16, 0, 8), RAFT_E_CORRUPT); /* term */
  EQ(decode_with(16, UINT64_MAX, 8), RAFT_E_CORRUPT);
  EQ(decode_with(36, 0, 1), RAFT_E_CORRUPT); /* kind */
  EQ(decode_with(36, RAFT_ENTRY_KIND_MAX, 1), RAFT_OK);
  EQ(decode_with(36, RAFT_ENTRY_KIND_MAX + 1, 1), RAFT_E_CORRUPT);
  EQ(decode_with(37, 1, 1), RAFT_E_CORRUPT); /* flags: stripped, with bytes */
  EQ(decode_with(37, 2, 1), RAFT_E_CORRUPT);
  EQ(decode_with(38, 1, 2), RAFT_E_CORRUPT); /* the zeros */
  EQ(decode_with(38, 0x100, 2), RAFT_E_CORRUPT);
}

/* A witness keeps a command like this; nothing else has a flag. */
static void a_command_can_be_stripped(void) {
  uint8_t data[RAFT_ENTRY_HEADER_BYTES];
  for (uint8_t kind = 1; kind <= RAFT_ENTRY_KIND_MAX; kind++) {
    struct raft_entry e = {.index = 7, .term = 3, .time = 9, .kind = kind};
    struct raft_entry got;
    raft_entry_encode(&e, data);
    data[37] = RAFT_ENTRY_STRIPPED;
    mend(data);
    bool may = kind == RAFT_ENTRY_COMMAND || kind == RAFT_ENTRY_SESSION;
    EQ(raft_entry_decode(data, sizeof data, &got),
       may ? RAFT_OK : RAFT_E_CORRUPT);
    if (!may) continue;
    EQ(got.flags, RAFT_ENTRY_STRIPPED);
    EQ(got.index, 7);
    EQ(got.time, 9);
  }
}

static int decode_stripped_with(size_t at, uint64_t value) {
  uint8_t data[RAFT_ENTRY_HEADER_BYTES];
  struct raft_entry e = {.index = 7, .term = 3, .kind = RAFT_ENTRY_COMMAND};
  raft_entry_encode(&e, data);
  data[37] = RAFT_ENTRY_STRIPPED;
  raft_put_u64(data + at, value);
  mend(data);
  return raft_entry_verify(data, sizeof data);
}

/* The flag excuses from nothing else. */
static void a_stripped_command_has_a_place(void) {
  EQ(decode_stripped_with(RAFT_ENTRY_AT_INDEX, 7), RAFT_OK);
  EQ(decode_stripped_with(RAFT_ENTRY_AT_TERM, 3), RAFT_OK);
  EQ(decode_stripped_with(RAFT_ENTRY_AT_INDEX, 0), RAFT_E_CORRUPT);
  EQ(decode_stripped_with(RAFT_ENTRY_AT_TERM, 0), RAFT_E_CORRUPT);
  EQ(decode_stripped_with(RAFT_ENTRY_AT_INDEX, UINT64_C(1) << 63),
     RAFT_E_CORRUPT);
  EQ(decode_stripped_with(RAFT_ENTRY_AT_TERM, UINT64_C(1) << 63),
     RAFT_E_CORRUPT);
}

static void a_giant_size_is_not_believed(void) {
  EQ(decode_with(32, RAFT_PAYLOAD_BYTES_MAX, 4), RAFT_E_MORE);
  EQ(decode_with(32, RAFT_PAYLOAD_BYTES_MAX + 1u, 4), RAFT_E_CORRUPT);
  EQ(decode_with(32, 0x80000000u, 4), RAFT_E_CORRUPT);
  EQ(decode_with(32, 0xffffffffu, 4), RAFT_E_CORRUPT);
}

static void the_payload_is_covered_by_the_header(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got;
  encode_sample(data);
  data[RAFT_ENTRY_HEADER_BYTES] ^= 1; /* another payload, and its checksum */
  uint32_t crc = raft_crc32c(0, data + RAFT_ENTRY_HEADER_BYTES, PAYLOAD_BYTES);
  for (int i = 0; i < 4; i++)
    data[4 + i] = (uint8_t)(crc >> 8 * i);
  EQ(raft_entry_decode(data, sizeof data, &got), RAFT_E_CORRUPT);
}

static void bytes_behind_it_are_not_its_own(void) {
  uint8_t data[2 * ENTRY_BYTES];
  struct raft_entry got;
  encode_sample(data);
  memset(data + ENTRY_BYTES, 0xee, ENTRY_BYTES);
  EQ(raft_entry_decode(data, sizeof data, &got), RAFT_OK);
  EQ(got.size, PAYLOAD_BYTES);
}

static void a_view_needs_no_checksum(void) {
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got;
  encode_sample(data);
  raft_entry_view(data, &got);
  EQ(got.index, sample().index);
  EQ(got.term, sample().term);
  EQ(got.kind, RAFT_ENTRY_COMMAND);
  EQ_BYTES(got.payload, payload, PAYLOAD_BYTES);
}

/* Whatever the bytes: an answer, and one of three. */
static void noise_is_refused(void) {
  uint64_t state = test_seed();
  uint8_t data[ENTRY_BYTES];
  struct raft_entry got;
  for (int round = 0; round < 20000; round++) {
    size_t size = test_random(&state) % (ENTRY_BYTES + 1);
    for (size_t i = 0; i < size; i++)
      data[i] = (uint8_t)test_random(&state);
    if (size >= RAFT_ENTRY_HEADER_BYTES) mend(data);
    int error = raft_entry_decode(data, size, &got);
    CHECK(error == RAFT_E_MORE || error == RAFT_E_CORRUPT);
  }
}

int main(void) {
  CASE(never_changes);
  CASE(comes_back_as_it_went);
  CASE(may_be_empty);
  CASE(the_header_can_be_verified_alone);
  CASE(every_truncation_asks_for_more);
  CASE(every_flipped_bit_is_found);
  CASE(zeros_are_no_entry);
  CASE(what_version_1_does_not_write_is_refused);
  CASE(a_command_can_be_stripped);
  CASE(a_stripped_command_has_a_place);
  CASE(a_giant_size_is_not_believed);
  CASE(the_payload_is_covered_by_the_header);
  CASE(bytes_behind_it_are_not_its_own);
  CASE(a_view_needs_no_checksum);
  CASE(noise_is_refused);
  return test_end();
}
