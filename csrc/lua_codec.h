/* lua_codec.h - the codec of plain values, for what writes and reads messages
 * of a known shape without the table around them (lua_answer.c).
 *
 * An encode has its buffer at place 2 of Lua's stack, nil at first: whoever
 * begins one leaves that place alone.
 */
#ifndef LUA_CODEC_H
#define LUA_CODEC_H

#include "bytes.h"
#include "lua_raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_CODEC_VERSION 1
#define RAFT_CODEC_TABLE   6 /* the tags that others write */
#define RAFT_CODEC_STRING  5

/* Up to this size a message needs no memory of its own. */
#define RAFT_CODEC_FEW_BYTES 512

struct raft_encoder {
  lua_State *L;
  uint8_t *bytes; /* C's stack at first, then the userdata at place 2 */
  size_t size;    /* how many are written. Invariant: size <= room */
  size_t room;    /* how many there are */
};

/* Bytes as they are. May raise: out of memory. */
void raft_codec_put(struct raft_encoder *e, const void *data, size_t size);

/* The value on top of the stack, which is in `depth` tables. False: it is not
 * plain; the stack may have more on it then. */
bool raft_codec_write(struct raft_encoder *e, int depth);

/* Pushes a value that is in `depth` tables. False: the bytes are not what
 * write makes; the stack may have more or less on it then. */
bool raft_codec_read(lua_State *L, struct raft_in *in, int depth);

/* Writes the answer of a result that is no error: what it came to and why, at
 * these places of the stack, not counted from its top. False: it is not plain;
 * the stack may have more on it then. */
bool raft_lua_put_answer(struct raft_encoder *e, int value, int why);

/* Pushes true, value, why of an answer that is no error. False: it is not just
 * that, and nothing is pushed. */
bool raft_lua_push_answer(lua_State *L, const uint8_t *bytes, size_t size);

#pragma GCC visibility pop
#endif
