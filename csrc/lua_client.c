/* lua_client.c - frames between clients and nodes as they come in, many of them
 * at once; lua_client_writer.c has those that go out.
 *
 *   client_reader(body_max) -> reader
 *     reader:feed(chunk)       once next has said that there is no more
 *     reader:next() -> kind, id, number, body | nil | false, why
 *     reader:next_answer()     the same; of a RESULT that is no error, and as
 *         answer_decode reads it: kind, id, number, true, value, why
 *     reader:next_answers()    two or more of these with ids that follow one
 *         another: count, id of the first, highest number, values, whys; or
 *         nothing, and next_answer is to be asked
 *     reader:next_requests()   the same of SESSION frames of one number: count,
 *         id of the first, number, bodies; or nothing
 *     reader:drop()            it ends here: what it keeps is freed now
 *   session_decode(bytes) -> op, session, sequence, floor, command | nil
 *
 * The frames are drawn in lua/raft/client/frames.lua, the payload of a SESSION
 * entry in lua_session.h. Kinds and ops are numbers here.
 *
 * Lua does not see how large its buffer is, and would collect it late: so
 * whoever ends a connection drops its reader.
 *
 * Promises. A frame is bounded before anything is kept for it. An error is the
 * last word of a reader.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lua_buffer.h"
#include "lua_codec.h"
#include "lua_frame.h"
#include "lua_session.h"

#define READER "raft.client_reader"

/* Why this whole frame is none, or NULL. One that may be dropped is not looked
 * at. */
static const char *fault_of(const uint8_t *frame, size_t size) {
  if (size <= AT_KIND) return "it is too short";
  uint8_t kind = frame[AT_KIND];
  if (kind & KIND_OPTIONAL) return NULL;
  if (kind < KIND_FIRST || kind > KIND_RESULT) return "an unknown kind";
  if (size < HEAD_BYTES) return "it is too short";
  if (raft_get_u32(frame + AT_CRC) != head_crc(frame))
    return "a wrong checksum";
  if (frame[AT_VERSION] != RAFT_WIRE_VERSION ||
      raft_get_u16(frame + AT_HEAD) != HEAD_BYTES ||
      raft_get_u32(frame + AT_GROUP) != 0 || raft_get_u64(frame + AT_TERM) != 0)
    return "a header that is not known here";
  uint32_t crc = raft_crc32c(0, frame + HEAD_BYTES, size - HEAD_BYTES);
  if (raft_get_u32(frame + AT_BODY_CRC) != crc) return "a wrong checksum";
  return NULL;
}

/* Pushes kind, id, number and body, or an answer, of a frame without fault. */
static int push_frame(lua_State *L, const uint8_t *frame, size_t size,
                      bool decodes) {
  uint8_t kind = frame[AT_KIND];
  const uint8_t *body = frame + HEAD_BYTES;
  size -= HEAD_BYTES;
  lua_pushinteger(L, kind);
  lua_pushinteger(L, (lua_Integer)raft_get_u64(frame + AT_ID));
  lua_pushinteger(L, (lua_Integer)raft_get_u64(frame + AT_NUMBER));
  if (decodes && kind == KIND_RESULT && raft_lua_push_answer(L, body, size))
    return 6;
  lua_pushlstring(L, (const char *)body, size);
  return 4;
}

/* ---- the reader ---------------------------------------------------------- */

struct reader {
  size_t frame_max;
  const uint8_t *chunk; /* of the string that is its user value; or NULL */
  size_t chunk_size;
  size_t at;          /* how much of it was taken */
  struct buffer rest; /* the beginning of a frame, from chunks before this */
  const char *fault;  /* what ended it, or NULL */
};

static struct reader *check_reader(lua_State *L) {
  return luaL_checkudata(L, 1, READER);
}

static int client_reader(lua_State *L) {
  lua_Integer body_max = luaL_checkinteger(L, 1);
  luaL_argcheck(L, body_max >= 0 && body_max <= UINT32_MAX, 1, "0..2^32-1");
  struct reader *r = lua_newuserdatauv(L, sizeof *r, 1);
  *r = (struct reader){.frame_max = HEAD_BYTES + (size_t)body_max};
  luaL_setmetatable(L, READER);
  return 1;
}

static int reader_drop(lua_State *L) {
  struct reader *r = check_reader(L);
  drop(&r->rest);
  r->chunk = NULL;
  r->chunk_size = r->at = 0;
  r->fault = "dropped";
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

static int reader_feed(lua_State *L) {
  struct reader *r = check_reader(L);
  size_t size;
  const char *chunk = luaL_checklstring(L, 2, &size);
  if (r->at < r->chunk_size) return luaL_error(L, "frames are left");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  r->chunk = (const uint8_t *)chunk;
  r->chunk_size = size;
  r->at = 0;
  return 0;
}

/* The size of the frame that begins so; 0: not enough to tell. Else it sets
 * the fault. */
static size_t size_of(struct reader *r, const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  size_t frame = raft_get_u32(data);
  if (frame <= AT_KIND) r->fault = "corrupt";
  if (frame > r->frame_max) r->fault = "too_large";
  return frame;
}

/* Takes `want` bytes of the chunk into the rest, or as many as there are. */
static void keep(lua_State *L, struct reader *r, size_t want) {
  size_t left = r->chunk_size - r->at;
  size_t part = want < left ? want : left;
  if (part == 0) return;
  memcpy(reserve_or_raise(L, &r->rest, part), r->chunk + r->at, part);
  r->rest.size += part;
  r->at += part;
}

/* Goes on with the frame whose beginning is kept: its size once it is whole;
 * 0: more must come, or there is a fault. */
static size_t complete(lua_State *L, struct reader *r) {
  assert(r->rest.size > 0);
  if (r->rest.size < 4) keep(L, r, 4 - r->rest.size);
  size_t size = size_of(r, r->rest.data, r->rest.size);
  if (size == 0 || r->fault != NULL) return 0;
  assert(r->rest.size <= size);
  keep(L, r, size - r->rest.size);
  return r->rest.size == size ? size : 0;
}

/* The next whole frame, or NULL: more must come, or there is a fault. */
static const uint8_t *whole_frame(lua_State *L, struct reader *r,
                                  size_t *size) {
  if (r->rest.size > 0) {
    *size = complete(L, r);
    return *size > 0 ? r->rest.data : NULL;
  }
  size_t left = r->chunk_size - r->at;
  if (left == 0) return NULL;
  *size = size_of(r, r->chunk + r->at, left);
  if (r->fault != NULL) return NULL;
  if (*size > 0 && *size <= left) return r->chunk + r->at;
  keep(L, r, left);
  return NULL;
}

/* It is done with. */
static void drop_frame(struct reader *r, const uint8_t *frame, size_t size) {
  if (frame == r->rest.data)
    empty(&r->rest);
  else
    r->at += size;
}

static bool is_optional(const uint8_t *frame) {
  return frame[AT_KIND] & KIND_OPTIONAL;
}

static int next_frame(lua_State *L, bool decodes) {
  struct reader *r = check_reader(L);
  while (r->fault == NULL) {
    size_t size;
    const uint8_t *frame = whole_frame(L, r, &size);
    if (frame == NULL) break;
    r->fault = fault_of(frame, size);
    int count = 0;
    if (r->fault == NULL && !is_optional(frame))
      count = push_frame(L, frame, size, decodes);
    drop_frame(r, frame, size); /* not before it was pushed */
    if (count > 0) return count;
  }
  if (r->fault == NULL) {
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1); /* the chunk may go */
    lua_pushnil(L);
    return 1;
  }
  lua_pushboolean(L, false);
  lua_pushstring(L, r->fault);
  return 2;
}

static int reader_next(lua_State *L) {
  return next_frame(L, false);
}

static int reader_next_answer(lua_State *L) {
  return next_frame(L, true);
}

/* ---- several frames at once ---------------------------------------------- */

/* The frame at this place of the chunk, if it lies there as a whole and nothing
 * is wrong with it; or NULL: next_frame is to be asked. */
static const uint8_t *peek(const struct reader *r, size_t at, size_t *size) {
  assert(at <= r->chunk_size);
  size_t left = r->chunk_size - at;
  if (r->fault != NULL || r->rest.size > 0 || left < HEAD_BYTES) return NULL;
  const uint8_t *frame = r->chunk + at;
  *size = raft_get_u32(frame + AT_SIZE);
  if (*size < HEAD_BYTES || *size > left || *size > r->frame_max) return NULL;
  if (is_optional(frame) || fault_of(frame, *size) != NULL) return NULL;
  return frame;
}

static bool is_like(const uint8_t *frame, uint8_t kind, uint64_t id) {
  return frame[AT_KIND] == kind && raft_get_u64(frame + AT_ID) == id;
}

/* Does a frame of this kind come next, and then the one that follows it? Of
 * that one the head is looked at alone. */
static const uint8_t *peek_two(const struct reader *r, uint8_t kind) {
  size_t size;
  const uint8_t *frame = peek(r, r->at, &size);
  if (frame == NULL || frame[AT_KIND] != kind) return NULL;
  if (r->chunk_size - r->at - size < HEAD_BYTES) return NULL;
  uint64_t id = raft_get_u64(frame + AT_ID);
  return is_like(frame + size, kind, id + 1) ? frame : NULL;
}

/* As many places as there may be frames like this one; in a chunk there are
 * not too many. */
static int places_for(const struct reader *r, const uint8_t *frame) {
  size_t count = (r->chunk_size - r->at) / raft_get_u32(frame + AT_SIZE);
  assert(count > 0);
  return count < 1024 ? (int)count : 1024;
}

/* Takes an answer into the tables at 2 and 3; false: it is none that is plain,
 * and nothing has changed. */
static bool take_answer(lua_State *L, const uint8_t *frame, size_t size,
                        lua_Integer at) {
  assert(lua_gettop(L) == 3);
  if (!raft_lua_push_answer(L, frame + HEAD_BYTES, size - HEAD_BYTES))
    return false;
  lua_rawseti(L, 3, at); /* why */
  lua_rawseti(L, 2, at);
  lua_settop(L, 3);
  return true;
}

static int reader_next_answers(lua_State *L) {
  struct reader *r = check_reader(L);
  const uint8_t *frame = peek_two(r, KIND_RESULT);
  if (frame == NULL) return 0;
  uint64_t first = raft_get_u64(frame + AT_ID);
  uint64_t most = 0;
  lua_Integer count = 0;
  size_t size;
  size_t at = r->at; /* nothing is taken before all that may raise is done */
  lua_settop(L, 1);
  lua_createtable(L, places_for(r, frame), 0);
  lua_newtable(L);
  while ((frame = peek(r, at, &size)) != NULL) {
    if (!is_like(frame, KIND_RESULT, first + (uint64_t)count)) break;
    if (!take_answer(L, frame, size, count + 1)) break;
    uint64_t number = raft_get_u64(frame + AT_NUMBER);
    if (number > most) most = number;
    at += size;
    count++;
  }
  if (count == 0) return 0;
  r->at = at;
  lua_pushinteger(L, count);
  lua_insert(L, 2);
  lua_pushinteger(L, (lua_Integer)first);
  lua_insert(L, 3);
  lua_pushinteger(L, (lua_Integer)most);
  lua_insert(L, 4);
  return 5;
}

static int reader_next_requests(lua_State *L) {
  struct reader *r = check_reader(L);
  const uint8_t *frame = peek_two(r, KIND_SESSION);
  if (frame == NULL) return 0;
  uint64_t first = raft_get_u64(frame + AT_ID);
  uint64_t number = raft_get_u64(frame + AT_NUMBER);
  lua_Integer count = 0;
  size_t size;
  size_t at = r->at; /* as above */
  lua_settop(L, 1);
  lua_createtable(L, places_for(r, frame), 0);
  while ((frame = peek(r, at, &size)) != NULL) {
    if (!is_like(frame, KIND_SESSION, first + (uint64_t)count)) break;
    if (raft_get_u64(frame + AT_NUMBER) != number) break;
    lua_pushlstring(L, (const char *)frame + HEAD_BYTES, size - HEAD_BYTES);
    lua_rawseti(L, 2, ++count);
    at += size;
  }
  assert(count > 0); /* the first was looked at before */
  r->at = at;
  lua_pushinteger(L, count);
  lua_insert(L, 2);
  lua_pushinteger(L, (lua_Integer)first);
  lua_insert(L, 3);
  lua_pushinteger(L, (lua_Integer)number);
  lua_insert(L, 4);
  return 4;
}

/* ---- single ones --------------------------------------------------------- */

static int session_decode(lua_State *L) {
  size_t size;
  const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 1, &size);
  struct raft_session_head h;
  if (!raft_session_read(bytes, size, &h)) return 0;
  lua_pushinteger(L, h.op);
  lua_pushinteger(L, h.session);
  lua_pushinteger(L, h.sequence);
  lua_pushinteger(L, h.floor);
  lua_pushlstring(L, (const char *)bytes + RAFT_SESSION_HEAD_BYTES,
                  size - RAFT_SESSION_HEAD_BYTES);
  return 5;
}

void raft_lua_open_client(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"client_reader", client_reader},
      {"session_decode", session_decode},
      {NULL, NULL},
  };
  static const luaL_Reg reader[] = {
      {"feed", reader_feed},
      {"next", reader_next},
      {"next_answer", reader_next_answer},
      {"next_answers", reader_next_answers},
      {"next_requests", reader_next_requests},
      {"drop", reader_drop},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, READER, reader_drop, reader);
  luaL_setfuncs(L, functions, 0);
}
