/* frame_repair.c - damage that has the right checksums all the same. */
#include "frame_repair.h"

#include "bytes.h"
#include "crc32c.h"
#include "entry.h"
#include "wire.h"

enum { /* as drawn in docs/FORMATS.md */
       FRAME_SIZE = 0,
       FRAME_CRC = 4,
       FRAME_VERSION = 8,
       FRAME_KIND = 9,
       FRAME_HEAD = 10,
       PROPOSE_CRC = RAFT_FRAME_HEADER_BYTES + 12,
       ENTRY_CRC = 0,
       ENTRY_PAYLOAD_CRC = 4,
       ENTRY_SIZE = 32,
};

void frame_repair(uint8_t *frame, size_t size) {
  if (size < RAFT_FRAME_HEADER_BYTES) return;
  size_t head = raft_get_u16(frame + FRAME_HEAD);
  if (head < RAFT_FRAME_HEADER_BYTES || head > size)
    head =
        RAFT_FRAME_HEADER_BYTES + head % (size - RAFT_FRAME_HEADER_BYTES + 1);
  raft_put_u32(frame + FRAME_SIZE, (uint32_t)size);
  raft_put_u16(frame + FRAME_HEAD, (uint16_t)head);
  if (frame[FRAME_VERSION] != RAFT_WIRE_VERSION + 1)
    frame[FRAME_VERSION] = RAFT_WIRE_VERSION;
  if (frame[FRAME_KIND] == RAFT_MSG_PROPOSE && head >= PROPOSE_CRC + 4)
    raft_put_u32(frame + PROPOSE_CRC,
                 raft_crc32c(0, frame + head, size - head));
  uint32_t crc = raft_crc32c(0, frame, FRAME_CRC);
  crc = raft_crc32c(crc, frame + FRAME_VERSION, head - FRAME_VERSION);
  raft_put_u32(frame + FRAME_CRC, crc);
}

size_t entries_repair(uint8_t *data, size_t size) {
  size_t at = 0;
  while (size - at >= RAFT_ENTRY_HEADER_BYTES) {
    uint8_t *e = data + at;
    size_t payload = raft_get_u32(e + ENTRY_SIZE);
    if (payload > size - at - RAFT_ENTRY_HEADER_BYTES) break;
    raft_put_u32(e + ENTRY_PAYLOAD_CRC,
                 raft_crc32c(0, e + RAFT_ENTRY_HEADER_BYTES, payload));
    raft_put_u32(e + ENTRY_CRC, raft_crc32c(0, e + ENTRY_PAYLOAD_CRC,
                                            RAFT_ENTRY_HEADER_BYTES - 4));
    at += RAFT_ENTRY_HEADER_BYTES + payload;
  }
  return at;
}
