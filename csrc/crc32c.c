/* crc32c.c - CRC-32C (Castagnoli), reflected, as RFC 3720 has it.
 *
 * Owns the choice of the fastest way this machine knows. What must hold: all
 * ways give the same number. Everything that depends on the machine is here.
 */
#include "crc32c.h"

#include "bytes.h"

#include <assert.h>

/* ---- tables, eight bytes at a time --------------------------------------- */

/* The checksum is linear: a byte's entry is the sum of what its bits stand for.
 * Table k answers for a byte that has k more behind it, so bit i of its byte
 * stands for the polynomial after 8k + 7 - i further zero bits; that is all
 * there is to know, 8 numbers per table, and the compiler adds them up. */
#define BIT(n, i, value) ((((n) >> (i)) & 1u) * (value))
#define ENTRY(n, b0, b1, b2, b3, b4, b5, b6, b7)                               \
  (BIT(n, 0, b0) ^ BIT(n, 1, b1) ^ BIT(n, 2, b2) ^ BIT(n, 3, b3) ^             \
   BIT(n, 4, b4) ^ BIT(n, 5, b5) ^ BIT(n, 6, b6) ^ BIT(n, 7, b7))
#define FOUR(n, ...)                                                           \
  ENTRY((n), __VA_ARGS__), ENTRY((n) + 1u, __VA_ARGS__),                       \
      ENTRY((n) + 2u, __VA_ARGS__), ENTRY((n) + 3u, __VA_ARGS__)
#define SIXTEEN(n, ...)                                                        \
  FOUR((n), __VA_ARGS__), FOUR((n) + 4u, __VA_ARGS__),                         \
      FOUR((n) + 8u, __VA_ARGS__), FOUR((n) + 12u, __VA_ARGS__)
#define SIXTY_FOUR(n, ...)                                                     \
  SIXTEEN((n), __VA_ARGS__), SIXTEEN((n) + 16u, __VA_ARGS__),                  \
      SIXTEEN((n) + 32u, __VA_ARGS__), SIXTEEN((n) + 48u, __VA_ARGS__)
#define TABLE(...)                                                             \
  {                                                                            \
    SIXTY_FOUR(0u, __VA_ARGS__), SIXTY_FOUR(64u, __VA_ARGS__),                 \
        SIXTY_FOUR(128u, __VA_ARGS__), SIXTY_FOUR(192u, __VA_ARGS__)           \
  }

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, /* bits 0 to 3 */
          0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, /* one behind */
          0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, /* two ... */
          0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, /* 3 */
          0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, /* 4 */
          0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, /* 5 */
          0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, /* 6 */
          0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, /* 7 */
          0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

static uint32_t by_eight(uint32_t crc, const uint8_t *p) {
  assert(p != NULL);
  uint32_t low = crc ^ raft_get_u32(p);
  uint32_t high = raft_get_u32(p + 4);
  return tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^
         tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^
         tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
         tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t size) {
  assert(p != NULL || size == 0);
  for (; size >= 8; p += 8, size -= 8)
    crc = by_eight(crc, p);
  for (; size > 0; p++, size--)
    crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
  return crc;
}

/* ---- the processor's own instruction ------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__)

#include <nmmintrin.h>
#include <wmmintrin.h>

static bool has_instruction(void) { /* SSE4.2 is newer than x86-64 */
  return __builtin_cpu_supports("sse4.2") != 0;
}

static inline uint64_t word_at(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

static inline uint32_t half_word_at(const uint8_t *p) {
  uint32_t half;
  memcpy(&half, p, sizeof half);
  return half;
}

/* The instruction takes three cycles and can begin in every one. So of long
 * data three strands are summed side by side, as if each began anew, and joined
 * afterwards:
 *
 *    strand 0         strand 1         strand 2
 *   +----------------+----------------+--------------+------+
 *   | a              | b              | c            | last |
 *   +----------------+----------------+--------------+------+
 *
 * What a strand comes to counts as if the bytes behind it followed as zeros. To
 * move a sum past n bytes is to multiply it by x^8n; the carry-less product
 * with x^(8n - 33), both reflected, put through the instruction as the last
 * word, does that: the 33 are its 32 bits, and the one that a product of
 * reflected numbers lies off. */
#define STRAND_BYTES 128u
#define PAST_ONE     0xd3b6092  /* x^(8 * 128 - 33) mod the polynomial */
#define PAST_TWO     0xb9e02b86 /* x^(8 * 256 - 33) */

__attribute__((target("pclmul,sse4.2"))) static inline uint64_t
product(uint64_t a, int64_t b) {
  assert(a <= UINT32_MAX);
  __m128i both = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)a),
                                      _mm_cvtsi64_si128(b), 0);
  return (uint64_t)_mm_cvtsi128_si64(both);
}

/* Of 3 * STRAND_BYTES. */
__attribute__((target("pclmul,sse4.2"))) static uint64_t
by_strands(uint64_t a, const uint8_t *p) {
  assert(a <= UINT32_MAX);
  assert(p != NULL);
  uint64_t b = 0;
  uint64_t c = 0;
  const uint8_t *last = p + STRAND_BYTES - 8;
  for (; p < last; p += 8) {
    a = _mm_crc32_u64(a, word_at(p));
    b = _mm_crc32_u64(b, word_at(p + STRAND_BYTES));
    c = _mm_crc32_u64(c, word_at(p + 2 * (size_t)STRAND_BYTES));
  }
  a = _mm_crc32_u64(a, word_at(p));
  b = _mm_crc32_u64(b, word_at(p + STRAND_BYTES));
  uint64_t word = word_at(p + 2 * (size_t)STRAND_BYTES);
  return _mm_crc32_u64(c, word ^ product(a, PAST_TWO) ^ product(b, PAST_ONE));
}

__attribute__((target("sse4.2"))) static inline uint64_t
two_words(uint64_t sum, const uint8_t *p) {
  return _mm_crc32_u64(_mm_crc32_u64(sum, word_at(p)), word_at(p + 8));
}

__attribute__((target("sse4.2"))) static inline uint64_t
four_words(uint64_t sum, const uint8_t *p) {
  return two_words(two_words(sum, p), p + 16);
}

/* What is left for less than three strands. There are many of these, and each
 * is short: to call it would take as long as to do it. */
__attribute__((target("sse4.2"), always_inline)) static inline uint32_t
by_words(uint64_t sum, const uint8_t *p, size_t size) {
  for (size_t n = size / 64; n > 0; n--, p += 64) {
    sum = four_words(sum, p);
    sum = four_words(sum, p + 32);
  }
  if ((size & 63) == 0) return ~(uint32_t)sum; /* the upper half is 0 */
  if ((size & 32) != 0) sum = four_words(sum, p);
  p += size & 32;
  if ((size & 16) != 0) sum = two_words(sum, p);
  p += size & 16;
  if ((size & 8) != 0) sum = _mm_crc32_u64(sum, word_at(p));
  p += size & 8;
  uint32_t crc = (uint32_t)sum;
  if ((size & 4) != 0) crc = _mm_crc32_u32(crc, half_word_at(p));
  p += size & 4;
  for (size &= 3; size > 0; p++, size--)
    crc = _mm_crc32_u8(crc, *p);
  return ~crc;
}

__attribute__((target("sse4.2"), noinline)) static uint32_t
by_many_strands(uint64_t sum, const uint8_t *p, size_t size) {
  assert(size >= 3u * STRAND_BYTES);
  if (__builtin_cpu_supports("pclmul") != 0) {
    for (; size >= 3u * STRAND_BYTES; size -= 3u * STRAND_BYTES) {
      sum = by_strands(sum, p);
      p += 3u * STRAND_BYTES;
    }
  }
  return by_words(sum, p, size);
}

__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const uint8_t *p, size_t size) {
  assert(p != NULL || size == 0);
  if (size >= 3u * STRAND_BYTES) return by_many_strands(~crc, p, size);
  return by_words(~crc, p, size);
}

__attribute__((target("sse4.2"))) static uint32_t
few_by_instruction(const uint8_t *p) {
  assert(p != NULL);
  uint32_t first = _mm_crc32_u32(UINT32_MAX, half_word_at(p));
  return ~(uint32_t)four_words(first, p + 4);
}

__attribute__((target("sse4.2"))) static uint32_t
head_by_instruction(const uint8_t *p, size_t size) {
  assert(size >= 8);
  return by_words(_mm_crc32_u32(UINT32_MAX, half_word_at(p)), p + 8, size - 8);
}

#elif defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static bool has_instruction(void) { /* the compiler was told so */
  return true;
}

static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t size) {
  assert(p != NULL || size == 0);
  crc = ~crc;
  for (; size >= 8; p += 8, size -= 8)
    crc = __crc32cd(crc, raft_get_u64(p));
  for (; size > 0; p++, size--)
    crc = __crc32cb(crc, *p);
  return ~crc;
}

static uint32_t few_by_instruction(const uint8_t *p) {
  assert(p != NULL);
  return by_instruction(0, p, RAFT_CRC32C_FEW);
}

#else

static bool has_instruction(void) {
  return false;
}

static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t size) {
  return ~by_table(~crc, p, size);
}

static uint32_t few_by_instruction(const uint8_t *p) {
  return by_instruction(0, p, RAFT_CRC32C_FEW);
}

#endif

#if !(defined(__x86_64__) && defined(__GNUC__))

static uint32_t head_by_instruction(const uint8_t *p, size_t size) {
  assert(size >= 8);
  return by_instruction(by_instruction(0, p, 4), p + 8, size - 8);
}

#endif

/* ---- the door ------------------------------------------------------------ */

/* The register holds the complement, so that leading zeros count. */

uint32_t raft_crc32c(uint32_t crc, const void *data, size_t size) {
  assert(data != NULL || size == 0);
  if (!has_instruction()) return ~by_table(~crc, data, size);
  return by_instruction(crc, data, size);
}

uint32_t raft_crc32c_few(const uint8_t *data) {
  assert(data != NULL);
  if (!has_instruction()) return ~by_table(UINT32_MAX, data, RAFT_CRC32C_FEW);
  return few_by_instruction(data);
}

uint32_t raft_crc32c_head(const uint8_t *data, size_t size) {
  assert(data != NULL);
  assert(size >= 8);
  if (has_instruction()) return head_by_instruction(data, size);
  return ~by_table(by_table(UINT32_MAX, data, 4), data + 8, size - 8);
}

uint32_t raft_crc32c_portable(uint32_t crc, const void *data, size_t size) {
  assert(data != NULL || size == 0);
  return ~by_table(~crc, data, size);
}
