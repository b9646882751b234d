/* lua_session.h - what stands in front of the command in a SESSION entry.
 *
 *    0    1         9          17      25
 *   +----+---------+----------+-------+----------
 *   | op | session | sequence | floor | command
 *   | u8 |   u64   |   u64    |  u64  |  bytes
 *   +----+---------+----------+-------+----------
 *
 * lua/raft/session_entry.lua tells what the fields mean.
 */
#ifndef LUA_SESSION_H
#define LUA_SESSION_H

#include "bytes.h"
#include "lua_raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_SESSION_COMMAND 2 /* an op; the others are open, keep and close */
#define RAFT_SESSION_OP_LAST 4

enum raft_session_at { /* where the fields lie */
                       RAFT_SESSION_AT_OP = 0,
                       RAFT_SESSION_AT_SESSION = 1,
                       RAFT_SESSION_AT_SEQUENCE = 9,
                       RAFT_SESSION_AT_FLOOR = 17,
};
_Static_assert(RAFT_SESSION_AT_FLOOR + 8 == RAFT_SESSION_HEAD_BYTES,
               "the floor is last");

struct raft_session_head {
  uint8_t op; /* 1..RAFT_SESSION_OP_LAST */
  lua_Integer session;
  lua_Integer sequence;
  lua_Integer floor;
};

/* Reads the head: false where there is none, or a number that Lua has not. */
static inline bool raft_session_read(const uint8_t *bytes, size_t size,
                                     struct raft_session_head *out) {
  assert(bytes != NULL);
  assert(out != NULL);
  if (size < RAFT_SESSION_HEAD_BYTES) return false;
  *out = (struct raft_session_head){
      .op = bytes[RAFT_SESSION_AT_OP],
      .session = (lua_Integer)raft_get_u64(bytes + RAFT_SESSION_AT_SESSION),
      .sequence = (lua_Integer)raft_get_u64(bytes + RAFT_SESSION_AT_SEQUENCE),
      .floor = (lua_Integer)raft_get_u64(bytes + RAFT_SESSION_AT_FLOOR)};
  if (out->op == 0 || out->op > RAFT_SESSION_OP_LAST) return false;
  return out->session >= 0 && out->sequence >= 0 && out->floor >= 0;
}

/* Is it a command as a client sends one? */
static inline bool raft_session_is_command(const struct raft_session_head *h) {
  assert(h->op > 0);
  return h->op == RAFT_SESSION_COMMAND && h->session > 0 && h->sequence > 0 &&
         h->floor <= h->sequence;
}

static inline void raft_session_put(uint8_t *out,
                                    const struct raft_session_head *h) {
  assert(h->op > 0);
  out[RAFT_SESSION_AT_OP] = h->op;
  raft_put_u64(out + RAFT_SESSION_AT_SESSION, (uint64_t)h->session);
  raft_put_u64(out + RAFT_SESSION_AT_SEQUENCE, (uint64_t)h->sequence);
  raft_put_u64(out + RAFT_SESSION_AT_FLOOR, (uint64_t)h->floor);
}

#pragma GCC visibility pop
#endif
