/* frame.c - the envelope of everything that travels.
 *
 * Owns the header drawn in wire.h. What must hold: every length is checked
 * before it is believed. It refuses any damage to a head, and whatever is not
 * exactly as long as it says.
 */
#include "frame.h"

#include "crc32c.h"
#include "wire.h"

#include <assert.h>

enum {
  AT_SIZE = 0, /* where the header's fields lie */
  AT_CRC = 4,
  AT_VERSION = 8,
  AT_KIND = 9,
  AT_HEAD = 10,
  AT_GROUP = 12,
  AT_TERM = 16,
};
_Static_assert(AT_TERM + 8 == RAFT_FRAME_HEADER_BYTES, "the term is last");
_Static_assert(AT_SIZE == 0, "raft_crc32c_head begins there");
_Static_assert(AT_CRC == 4 && AT_VERSION == 8, "and leaves these four out");
_Static_assert(AT_KIND == 9 && AT_HEAD == 10 && AT_GROUP == 12, "written once");

static uint32_t head_crc(const uint8_t *frame, size_t head) {
  assert(frame != NULL);
  assert(head >= RAFT_FRAME_HEADER_BYTES);
  return raft_crc32c_head(frame, head);
}

int raft_frame_open(const uint8_t *data, size_t size, struct raft_frame *f) {
  assert(data != NULL || size == 0);
  assert(f != NULL);
  if (size < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (size > RAFT_FRAME_BYTES_MAX) return RAFT_E_CORRUPT;
  if (raft_get_u32(data + AT_SIZE) != size) return RAFT_E_CORRUPT;
  size_t head = raft_get_u16(data + AT_HEAD);
  if (head < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (head > size) return RAFT_E_CORRUPT;
  if (raft_get_u32(data + AT_CRC) != head_crc(data, head))
    return RAFT_E_CORRUPT;
  if (data[AT_VERSION] != RAFT_WIRE_VERSION) return RAFT_E_VERSION;
  f->kind = data[AT_KIND];
  f->group = raft_get_u32(data + AT_GROUP);
  f->term = raft_get_u64(data + AT_TERM);
  f->fields = (struct raft_in){.at = data + RAFT_FRAME_HEADER_BYTES,
                               .end = data + head};
  f->tail = (struct raft_slice){data + head, size - head};
  return raft_frame_is_number(f->term) ? RAFT_OK : RAFT_E_CORRUPT;
}

struct raft_out raft_frame_begin(uint8_t *out, size_t room) {
  assert(out != NULL);
  assert(room >= RAFT_FRAME_HEADER_BYTES);
  return (struct raft_out){out + RAFT_FRAME_HEADER_BYTES, out + room};
}

size_t raft_frame_end(const struct raft_out *fields, uint8_t *out,
                      const struct raft_frame *f) {
  size_t head = (size_t)(fields->at - out);
  assert(head >= RAFT_FRAME_HEADER_BYTES);
  assert(head <= UINT16_MAX);
  assert(raft_frame_is_number(f->term));
  assert(f->tail.size <= RAFT_FRAME_BYTES_MAX - head);
  raft_put_u32(out + AT_SIZE, (uint32_t)(head + f->tail.size));
  uint32_t word = RAFT_WIRE_VERSION | (uint32_t)f->kind << 8 |
                  (uint32_t)head << 16; /* at once: it is read so for the sum */
  raft_put_u64(out + AT_VERSION, word | (uint64_t)f->group << 32);
  raft_put_u64(out + AT_TERM, f->term);
  raft_put_u32(out + AT_CRC, head_crc(out, head)); /* it covers the rest */
  return head;
}

int64_t raft_wire_size(const uint8_t *data, size_t size) {
  assert(data != NULL || size == 0);
  if (size < AT_SIZE + 4) return 0;
  uint32_t frame_size = raft_get_u32(data + AT_SIZE);
  if (frame_size < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (frame_size > RAFT_FRAME_BYTES_MAX) return RAFT_E_TOO_LARGE;
  return frame_size;
}

uint8_t raft_wire_kind(const uint8_t *data) {
  assert(data != NULL);
  return data[AT_KIND];
}
