/* frame.h - the envelope of everything that travels: header, checksum, tail.
 * What lies in it is wire.c's (messages) and greeting.c's (hello, refuse). The
 * layout is drawn in wire.h.
 */
#ifndef RAFT_FRAME_H
#define RAFT_FRAME_H

#include "bytes.h"
#include "crc32c.h"
#include "raft.h"
#include "wire.h"

#include <assert.h>

#pragma GCC visibility push(hidden)

struct raft_frame {
  uint8_t kind;
  uint32_t group;
  raft_term term;         /* below 2^63 */
  struct raft_in fields;  /* opened: the head behind the header */
  struct raft_slice tail; /* opened: what lies behind the head */
};

/* Is it a term or index that may travel? Of several the same is asked at once
 * of their bits together. */
static inline bool raft_frame_is_number(uint64_t v) {
  return v <= (uint64_t)INT64_MAX;
}

/* Where the fields of the header lie. */
enum raft_frame_at {
  RAFT_FRAME_AT_SIZE = 0, /* where the header's fields lie */
  RAFT_FRAME_AT_CRC = 4,
  RAFT_FRAME_AT_VERSION = 8,
  RAFT_FRAME_AT_KIND = 9,
  RAFT_FRAME_AT_HEAD = 10,
  RAFT_FRAME_AT_GROUP = 12,
  RAFT_FRAME_AT_TERM = 16,
};
_Static_assert(RAFT_FRAME_AT_TERM + 8 == RAFT_FRAME_HEADER_BYTES,
               "the term is last");
_Static_assert(RAFT_FRAME_AT_SIZE == 0, "raft_crc32c_head begins there");
_Static_assert(RAFT_FRAME_AT_CRC == 4 && RAFT_FRAME_AT_VERSION == 8,
               "and leaves these four out");
_Static_assert(RAFT_FRAME_AT_KIND == 9 && RAFT_FRAME_AT_HEAD == 10 &&
                   RAFT_FRAME_AT_GROUP == 12,
               "written once");

static inline uint32_t raft_frame_crc(const uint8_t *frame, size_t head) {
  assert(frame != NULL);
  assert(head >= RAFT_FRAME_HEADER_BYTES);
  return raft_crc32c_head(frame, head);
}

/* Opens one whole frame: RAFT_OK, RAFT_E_CORRUPT, RAFT_E_VERSION. Its head is
 * then undamaged and of our version. */
static inline int raft_frame_open(const uint8_t *data, size_t size,
                                  struct raft_frame *f) {
  assert(data != NULL || size == 0);
  assert(f != NULL);
  if (size < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (size > RAFT_FRAME_BYTES_MAX) return RAFT_E_CORRUPT;
  if (raft_get_u32(data + RAFT_FRAME_AT_SIZE) != size) return RAFT_E_CORRUPT;
  size_t head = raft_get_u16(data + RAFT_FRAME_AT_HEAD);
  if (head < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (head > size) return RAFT_E_CORRUPT;
  if (raft_get_u32(data + RAFT_FRAME_AT_CRC) != raft_frame_crc(data, head))
    return RAFT_E_CORRUPT;
  if (data[RAFT_FRAME_AT_VERSION] != RAFT_WIRE_VERSION) return RAFT_E_VERSION;
  f->kind = data[RAFT_FRAME_AT_KIND];
  f->group = raft_get_u32(data + RAFT_FRAME_AT_GROUP);
  f->term = raft_get_u64(data + RAFT_FRAME_AT_TERM);
  f->fields = (struct raft_in){.at = data + RAFT_FRAME_HEADER_BYTES,
                               .end = data + head};
  f->tail = (struct raft_slice){data + head, size - head};
  return raft_frame_is_number(f->term) ? RAFT_OK : RAFT_E_CORRUPT;
}

/* Where the fields of a frame at `out` go, which has `room` bytes. */
static inline struct raft_out raft_frame_begin(uint8_t *out, size_t room) {
  assert(out != NULL);
  assert(room >= RAFT_FRAME_HEADER_BYTES);
  return (struct raft_out){out + RAFT_FRAME_HEADER_BYTES, out + room};
}

/* Fills in the header of a frame whose fields are written; of f->tail only the
 * size counts. Returns the bytes of the head. */
static inline size_t raft_frame_end(const struct raft_out *fields, uint8_t *out,
                                    const struct raft_frame *f) {
  size_t head = (size_t)(fields->at - out);
  assert(head >= RAFT_FRAME_HEADER_BYTES);
  assert(head <= UINT16_MAX);
  assert(raft_frame_is_number(f->term));
  assert(f->tail.size <= RAFT_FRAME_BYTES_MAX - head);
  raft_put_u32(out + RAFT_FRAME_AT_SIZE, (uint32_t)(head + f->tail.size));
  uint32_t word = RAFT_WIRE_VERSION | (uint32_t)f->kind << 8 |
                  (uint32_t)head << 16; /* at once: it is read so for the sum */
  raft_put_u64(out + RAFT_FRAME_AT_VERSION, word | (uint64_t)f->group << 32);
  raft_put_u64(out + RAFT_FRAME_AT_TERM, f->term);
  raft_put_u32(out + RAFT_FRAME_AT_CRC,
               raft_frame_crc(out, head)); /* it covers the rest */
  return head;
}

#pragma GCC visibility pop
#endif
