/* wire.c - frames between nodes: what decodes is what encode writes. */
#include "wire.h"

#include "bytes.h"
#include "entry.h"
#include "frame_repair.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* The commands lie in the tail, one behind the other, and fill it. */
static void check_commands(const struct raft_message *m) {
  struct raft_slice rest = m->tail;
  struct raft_slice command;
  size_t bytes = 0;
  uint32_t count = 0;
  for (; raft_wire_command_next(&rest, &command) == RAFT_OK; count++) {
    DEMAND(command.data == m->tail.data + bytes + 4);
    bytes += 4 + command.size;
  }
  DEMAND(count == m->propose.count);
  DEMAND(bytes == m->tail.size);
}

/* Fields may grow at their end, so the head may be longer than ours is. */
static void check_decoded(const uint8_t *data, size_t size,
                          const struct raft_message *m) {
  uint8_t head[RAFT_FRAME_FIXED_MAX];
  size_t head_size = raft_wire_encode(m, head);
  size_t found = size - m->tail.size;
  DEMAND(head_size <= found);
  DEMAND(m->tail.data == data + found || m->tail.size == 0);
  DEMAND(memcmp(head + 24, data + 24, head_size - 24) == 0);
  if (head_size == found) DEMAND(memcmp(head, data, head_size) == 0);
  uint8_t *again = malloc(head_size + m->tail.size);
  DEMAND(again != NULL);
  memcpy(again, head, head_size);
  if (m->tail.size > 0) memcpy(again + head_size, m->tail.data, m->tail.size);
  struct raft_message n;
  DEMAND(raft_wire_decode(again, head_size + m->tail.size, &n) == RAFT_OK);
  n.tail = m->tail;
  DEMAND(memcmp(m, &n, sizeof n) == 0);
  free(again);
}

static void check(const uint8_t *data, size_t size) {
  struct raft_message m;
  int64_t told = raft_wire_size(data, size);
  DEMAND(told == RAFT_E_CORRUPT || told == RAFT_E_TOO_LARGE || told >= 0);
  DEMAND(told <= RAFT_FRAME_BYTES_MAX);
  if (told == 0) DEMAND(size < 4);
  int error = raft_wire_decode(data, size, &m);
  if (error == RAFT_E_UNSUPPORTED) DEMAND((raft_wire_kind(data) & 0x80) != 0);
  if (error != RAFT_OK) {
    DEMAND(error == RAFT_E_CORRUPT || error == RAFT_E_VERSION ||
           error == RAFT_E_UNSUPPORTED || error == RAFT_E_USAGE);
    return;
  }
  DEMAND(told == (int64_t)size);
  DEMAND(raft_wire_kind(data) == m.kind);
  check_decoded(data, size, &m);
  if (m.kind == RAFT_MSG_PROPOSE)
    check_commands(&m);
  else if (m.kind == RAFT_MSG_APPEND) /* is there room for so many entries? */
    DEMAND((uint64_t)m.append.count * RAFT_ENTRY_HEADER_BYTES <= m.tail.size);
  else
    DEMAND(m.tail.size == 0);
}

void fuzz_wire(const uint8_t *data, size_t size) {
  check(data, size);
  uint8_t *copy = fuzz_copy(data, size);
  frame_repair(copy, size);
  check(copy, size);
  free(copy);
}
