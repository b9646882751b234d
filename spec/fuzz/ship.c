/* ship.c - frames of a snapshot's connection: what decodes is what encode
 * writes, and nothing in it is longer than it may be. */
#include "ship.h"

#include "bytes.h"
#include "crc32c.h"
#include "frame_repair.h"
#include "fuzz.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_CRC = RAFT_FRAME_HEADER_BYTES, HEAD = 10 };

/* Puts the checksum of the tail right, and then that of the head. */
static void repair(uint8_t *frame, size_t size) {
  frame_repair(frame, size);
  if (size < RAFT_FRAME_HEADER_BYTES) return;
  size_t head = raft_get_u16(frame + HEAD);
  if (head < TAIL_CRC + 4) return;
  raft_put_u32(frame + TAIL_CRC, raft_crc32c(0, frame + head, size - head));
  frame_repair(frame, size);
}

static void check_sense(const struct raft_ship *m) {
  DEMAND(raft_ship_check(m) == NULL);
  if (m->kind == RAFT_SHIP_OFFER) {
    DEMAND(m->offer.config_index <= m->offer.index);
    DEMAND(m->offer.term <= m->term);
    DEMAND(m->tail.size <= RAFT_CONFIG_BYTES_MAX);
  } else if (m->kind == RAFT_SHIP_CHUNK) {
    DEMAND(m->tail.size > 0);
    DEMAND(m->tail.size <= RAFT_SHIP_CHUNK_BYTES);
    DEMAND(m->chunk.offset + m->tail.size <= (uint64_t)INT64_MAX);
  }
}

/* Fields may grow at their end, so the head may be longer than ours is. */
static void check_again(const uint8_t *data, size_t size,
                        const struct raft_ship *m) {
  uint8_t head[RAFT_SHIP_HEAD_MAX];
  struct raft_ship n;
  size_t head_size = raft_ship_encode(m, head);
  size_t found = size - m->tail.size;
  DEMAND(head_size <= found);
  DEMAND(memcmp(head + RAFT_FRAME_HEADER_BYTES, data + RAFT_FRAME_HEADER_BYTES,
                head_size - RAFT_FRAME_HEADER_BYTES) == 0);
  DEMAND(m->tail.data == data + found);
  uint8_t *again = malloc(head_size + m->tail.size);
  DEMAND(again != NULL);
  memcpy(again, head, head_size);
  if (m->tail.size > 0) memcpy(again + head_size, m->tail.data, m->tail.size);
  DEMAND(raft_ship_decode(again, head_size + m->tail.size, &n) == RAFT_OK);
  n.tail = m->tail;
  DEMAND(memcmp(m, &n, sizeof n) == 0);
  free(again);
}

static void check(const uint8_t *data, size_t size) {
  struct raft_ship m;
  struct raft_message other;
  int64_t told = raft_ship_size(data, size);
  DEMAND(told <= RAFT_SHIP_FRAME_BYTES_MAX);
  if (told == 0) DEMAND(size < 4);
  int error = raft_ship_decode(data, size, &m);
  if (error != RAFT_OK) {
    DEMAND(error == RAFT_E_CORRUPT || error == RAFT_E_VERSION ||
           error == RAFT_E_UNSUPPORTED);
    return;
  }
  DEMAND(told == (int64_t)size);
  DEMAND(raft_wire_decode(data, size, &other) == RAFT_E_CORRUPT);
  check_sense(&m);
  check_again(data, size, &m);
}

void fuzz_ship(const uint8_t *data, size_t size) {
  check(data, size);
  uint8_t *copy = fuzz_copy(data, size);
  repair(copy, size);
  check(copy, size);
  free(copy);
}
