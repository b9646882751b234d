/* lua_frame.h - the head of a frame between a client and a node, as it is drawn
 * in lua/raft/client/frames.lua.
 */
#ifndef LUA_FRAME_H
#define LUA_FRAME_H

#include "bytes.h"
#include "crc32c.h"
#include "lua_raft.h"
#include "wire.h"

#pragma GCC visibility push(hidden)

#define KIND_OPTIONAL 0x80 /* a kind with this bit may be dropped */
#define KIND_FIRST    32   /* head */
#define KIND_SESSION  33
#define KIND_RESULT   36 /* and the last one */

enum {
  AT_SIZE = 0, /* where the fields of a frame lie */
  AT_CRC = 4,
  AT_VERSION = 8,
  AT_KIND = 9,
  AT_HEAD = 10,
  AT_GROUP = 12,
  AT_TERM = 16,
  AT_ID = 24,
  AT_NUMBER = 32,
  AT_BODY_CRC = 40,
  HEAD_BYTES = 44,
};

struct head {
  uint8_t kind;
  uint64_t id;
  uint64_t number;
  size_t body_size; /* the body lies behind the head */
};

static inline uint32_t head_crc(const uint8_t *frame) {
  uint32_t crc = raft_crc32c(0, frame + AT_SIZE, AT_CRC - AT_SIZE);
  return raft_crc32c(crc, frame + AT_VERSION, HEAD_BYTES - AT_VERSION);
}

/* Writes the head of a frame whose body stands behind it. */
static inline void put_head(uint8_t *out, const struct head *h) {
  raft_put_u32(out + AT_SIZE, (uint32_t)(HEAD_BYTES + h->body_size));
  out[AT_VERSION] = RAFT_WIRE_VERSION;
  out[AT_KIND] = h->kind;
  raft_put_u16(out + AT_HEAD, HEAD_BYTES);
  raft_put_u32(out + AT_GROUP, 0);
  raft_put_u64(out + AT_TERM, 0);
  raft_put_u64(out + AT_ID, h->id);
  raft_put_u64(out + AT_NUMBER, h->number);
  raft_put_u32(out + AT_BODY_CRC,
               raft_crc32c(0, out + HEAD_BYTES, h->body_size));
  raft_put_u32(out + AT_CRC, head_crc(out)); /* it covers the rest */
}

#pragma GCC visibility pop
#endif
