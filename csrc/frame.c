/* frame.c - the envelope of everything that travels.
 *
 * Owns the header drawn in wire.h. What must hold: every length is checked
 * before it is believed. It refuses any damage to a head, and whatever is not
 * exactly as long as it says.
 */
#include "frame.h"

#include "wire.h"

#include <assert.h>

int64_t raft_wire_size(const uint8_t *data, size_t size) {
  assert(data != NULL || size == 0);
  if (size < RAFT_FRAME_AT_SIZE + 4) return 0;
  uint32_t frame_size = raft_get_u32(data + RAFT_FRAME_AT_SIZE);
  if (frame_size < RAFT_FRAME_HEADER_BYTES) return RAFT_E_CORRUPT;
  if (frame_size > RAFT_FRAME_BYTES_MAX) return RAFT_E_TOO_LARGE;
  return frame_size;
}

uint8_t raft_wire_kind(const uint8_t *data) {
  assert(data != NULL);
  return data[RAFT_FRAME_AT_KIND];
}
