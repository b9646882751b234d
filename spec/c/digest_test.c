/* The fingerprint: its bytes for ever, cuts, and what it tells apart. */
#include "digest.h"

#include "golden.h"
#include "test.h"

#include <string.h>

#define BYTES 100

struct sum {
  uint64_t v[2];
};

static struct sum sum_of(const void *data, size_t size) {
  struct raft_digest_state d;
  struct sum sum;
  raft_digest_begin(&d);
  raft_digest_add(&d, data, size);
  raft_digest_end(&d, sum.v);
  return sum;
}

static bool is_same(struct sum a, struct sum b) {
  return a.v[0] == b.v[0] && a.v[1] == b.v[1];
}

static void fill(uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++)
    data[i] = (uint8_t)(i * 37 + 11);
}

/* The sum as bytes, little endian, as an identity is written. */
static void put(struct sum sum, uint8_t *out) {
  for (int i = 0; i < 16; i++)
    out[i] = (uint8_t)(sum.v[i / 8] >> 8 * (i % 8));
}

static void never_changes(void) {
  static const size_t sizes[] = {0, 1, 15, 16, 17, 100};
  uint8_t data[BYTES];
  uint8_t out[6 * 16];
  fill(data, sizeof data);
  for (size_t i = 0; i < 6; i++)
    put(sum_of(data, sizes[i]), out + 16 * i);
  GOLDEN("digest", out, sizeof out);
}

static void does_not_care_how_bytes_were_cut(void) {
  uint8_t data[BYTES];
  fill(data, sizeof data);
  struct sum whole = sum_of(data, sizeof data);
  for (size_t a = 0; a <= BYTES; a++) {
    for (size_t b = a; b <= BYTES; b++) {
      struct raft_digest_state d;
      struct sum sum;
      raft_digest_begin(&d);
      raft_digest_add(&d, data, a);
      raft_digest_add(&d, data + a, b - a);
      raft_digest_add(&d, data + b, BYTES - b);
      raft_digest_end(&d, sum.v);
      CHECK(is_same(sum, whole));
    }
  }
}

static void equal_bytes_give_equal_states(void) {
  struct raft_digest_state a;
  struct raft_digest_state b;
  uint8_t data[BYTES];
  fill(data, sizeof data);
  raft_digest_begin(&a);
  raft_digest_add(&a, data, 40);
  raft_digest_begin(&b);
  for (size_t i = 0; i < 40; i++)
    raft_digest_add(&b, data + i, 1);
  EQ_BYTES(&a, &b, sizeof a);
}

static void ending_it_changes_nothing(void) {
  struct raft_digest_state d;
  struct sum first;
  struct sum second;
  raft_digest_begin(&d);
  raft_digest_u64(&d, 7);
  raft_digest_end(&d, first.v);
  raft_digest_end(&d, second.v);
  CHECK(is_same(first, second));
}

static void a_number_is_its_eight_bytes(void) {
  static const uint8_t bytes[8] = {8, 7, 6, 5, 4, 3, 2, 1};
  struct raft_digest_state d;
  struct sum sum;
  raft_digest_begin(&d);
  raft_digest_u64(&d, 0x0102030405060708u);
  raft_digest_end(&d, sum.v);
  CHECK(is_same(sum, sum_of(bytes, 8)));
}

static void nothing_adds_nothing(void) {
  struct raft_digest_state d;
  struct sum sum;
  raft_digest_begin(&d);
  raft_digest_add(&d, "abc", 3);
  raft_digest_add(&d, NULL, 0); /* as of an empty slice */
  raft_digest_end(&d, sum.v);
  CHECK(is_same(sum, sum_of("abc", 3)));
}

static void zeros_at_the_end_count(void) {
  static const uint8_t zeros[64];
  for (size_t a = 0; a <= 64; a++)
    for (size_t b = a + 1; b <= 64; b++)
      CHECK(!is_same(sum_of(zeros, a), sum_of(zeros, b)));
}

static int bits_in(uint64_t v) {
  int n = 0;
  for (; v != 0; v &= v - 1)
    n++;
  return n;
}

/* One flipped bit flips about half of the 128: never fewer than 32. */
static void one_bit_changes_much(void) {
  uint8_t data[BYTES];
  fill(data, sizeof data);
  struct sum whole = sum_of(data, sizeof data);
  for (size_t bit = 0; bit < 8 * BYTES; bit++) {
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    struct sum other = sum_of(data, sizeof data);
    CHECK(bits_in(whole.v[0] ^ other.v[0]) + bits_in(whole.v[1] ^ other.v[1]) >=
          32);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

/* Small numbers, as states are full of, never meet in half of the sum. */
static void small_numbers_do_not_collide(void) {
  enum { N = 48 };
  static uint64_t seen[N * N];
  for (uint64_t i = 0; i < N * N; i++) {
    struct raft_digest_state d;
    struct sum sum;
    raft_digest_begin(&d);
    raft_digest_u64(&d, i / N);
    raft_digest_u64(&d, i % N);
    raft_digest_end(&d, sum.v);
    seen[i] = sum.v[0];
  }
  for (size_t i = 0; i < N * N; i++)
    for (size_t j = i + 1; j < N * N; j++)
      if (seen[i] == seen[j]) EQ(i, j);
}

int main(void) {
  CASE(never_changes);
  CASE(does_not_care_how_bytes_were_cut);
  CASE(equal_bytes_give_equal_states);
  CASE(ending_it_changes_nothing);
  CASE(a_number_is_its_eight_bytes);
  CASE(nothing_adds_nothing);
  CASE(zeros_at_the_end_count);
  CASE(one_bit_changes_much);
  CASE(small_numbers_do_not_collide);
  return test_end();
}
