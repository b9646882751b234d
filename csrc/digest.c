/* digest.c - the 128-bit fingerprint.
 *
 * Owns the arithmetic, which is a format: identities on disks depend on it, so
 * it never changes (golden values in spec/golden). What must hold: the result
 * depends on the bytes, not on how they were cut into pieces. Each step is
 * invertible, so two inputs that differ in one block always differ at the end.
 */
#include "digest.h"

#include "bytes.h"

#include <assert.h>
#include <string.h>

#define BLOCK_BYTES 16u

/* Odd numbers with bits in no order: the golden ratio and square roots. */
#define K1 0x9e3779b97f4a7c15u
#define K2 0x6a09e667f3bcc909u
#define K3 0xbb67ae8584caa73bu

_Static_assert(sizeof(((struct raft_digest_state *)0)->tail) == BLOCK_BYTES,
               "the tail holds one block");

static uint64_t rotate(uint64_t v, unsigned bits) {
  assert(bits > 0);
  assert(bits < 64);
  return v << bits | v >> (64 - bits);
}

static uint64_t scramble(uint64_t v) {
  v = (v ^ v >> 29) * K2;
  v = (v ^ v >> 32) * K3;
  return v ^ v >> 31;
}

static void take_block(struct raft_digest_state *d, const uint8_t *block) {
  assert(d != NULL);
  assert(block != NULL);
  uint64_t x = (raft_get_u64(block) ^ d->a) * K1;
  uint64_t y = (raft_get_u64(block + 8) ^ d->b) * K2;
  d->a = (x ^ x >> 29) * K3 + d->b;
  d->b = (y ^ y >> 31) * K1 + rotate(d->a, 23);
}

void raft_digest_begin(struct raft_digest_state *d) {
  assert(d != NULL);
  memset(d, 0, sizeof *d);
  d->a = K2;
  d->b = K3;
  assert(d->size == 0);
}

void raft_digest_add(struct raft_digest_state *d, const void *data,
                     size_t size) {
  assert(d != NULL);
  assert(data != NULL || size == 0);
  const uint8_t *p = data;
  size_t held = (size_t)(d->size % BLOCK_BYTES);
  d->size += size;
  if (held + size < BLOCK_BYTES) { /* no block gets full? */
    if (size > 0) memcpy(d->tail + held, p, size);
    return;
  }
  if (held > 0) { /* fill the one that was begun */
    memcpy(d->tail + held, p, BLOCK_BYTES - held);
    take_block(d, d->tail);
    p += BLOCK_BYTES - held;
    size -= BLOCK_BYTES - held;
  }
  for (; size >= BLOCK_BYTES; p += BLOCK_BYTES, size -= BLOCK_BYTES)
    take_block(d, p);
  memset(d->tail, 0, BLOCK_BYTES); /* states compare byte by byte */
  if (size > 0) memcpy(d->tail, p, size);
}

void raft_digest_u64(struct raft_digest_state *d, uint64_t value) {
  assert(d != NULL);
  uint8_t bytes[8];
  raft_put_u64(bytes, value);
  assert(raft_get_u64(bytes) == value);
  raft_digest_add(d, bytes, sizeof bytes);
}

void raft_digest_end(const struct raft_digest_state *d, uint64_t out[2]) {
  assert(d != NULL);
  assert(out != NULL);
  struct raft_digest_state last = *d;
  /* The last block: what is left, with zeros behind it, even if nothing is.
   * The size tells those zeros from the caller's. */
  take_block(&last, last.tail);
  last.a ^= last.size;
  out[0] = scramble(last.a + rotate(last.b, 32));
  out[1] = scramble(last.b + out[0] * K1);
}
