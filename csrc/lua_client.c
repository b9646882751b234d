/* lua_client.c - frames between clients and nodes, many of them at once.
 *
 *   client_frame(kind, id, number, body) -> bytes
 *   client_reader(body_max) -> reader
 *     reader:feed(chunk)       once next has said that there is no more
 *     reader:next() -> kind, id, number, body | nil | false, why
 *     reader:next_answer()     the same; of a RESULT that is no error, and as
 *         answer_decode reads it: kind, id, number, true, value, why
 *     reader:drop()            it ends here: what it keeps is freed now
 *   client_writer() -> writer
 *     writer:frame(kind, id, number, body)
 *     writer:command(id, number, session, sequence, floor, command)
 *     writer:take() -> bytes | nil      of all frames since the last one
 *     writer:drop()            forgets them
 *   session_decode(bytes) -> op, session, sequence, floor, command | nil
 *
 * The frames are drawn in lua/raft/client/frames.lua, the payload of a SESSION
 * entry in lua_session.h. Kinds and ops are numbers here.
 *
 * Lua does not see how large their buffers are, and would collect them late: so
 * whoever ends a connection drops its reader and writer.
 *
 * Promises. A frame is bounded before anything is kept for it. An error is the
 * last word of a reader. A writer that could not take a frame is as it was.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "lua_codec.h"
#include "lua_session.h"
#include "wire.h"

#define READER "raft.client_reader"
#define WRITER "raft.client_writer"

#define KIND_OPTIONAL 0x80 /* a kind with this bit may be dropped */
#define KIND_FIRST    32   /* head */
#define KIND_SESSION  33
#define KIND_RESULT   36 /* and the last one */

/* Buffers that are larger go with what they were made for. */
#define KEPT_BYTES_MAX (64 << 10)
#define BUFFER_BYTES   4096

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

/* ---- one frame ----------------------------------------------------------- */

struct head {
  uint8_t kind;
  uint64_t id;
  uint64_t number;
  size_t body_size; /* the body lies behind the head */
};

static uint32_t head_crc(const uint8_t *frame) {
  uint32_t crc = raft_crc32c(0, frame + AT_SIZE, AT_CRC - AT_SIZE);
  return raft_crc32c(crc, frame + AT_VERSION, HEAD_BYTES - AT_VERSION);
}

/* Writes the head of a frame whose body stands behind it. */
static void put_head(uint8_t *out, const struct head *h) {
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

/* ---- a buffer ------------------------------------------------------------ */

struct buffer {
  uint8_t *data;
  size_t size;     /* Invariant: size <= capacity */
  size_t capacity; /* 0: data is NULL */
};

/* Room for `more` bytes behind the others: where, or NULL. */
static uint8_t *reserve(struct buffer *b, size_t more) {
  assert(b->size <= b->capacity);
  if (more > SIZE_MAX / 4 - b->size) return NULL;
  if (b->size + more > b->capacity) {
    size_t capacity = b->capacity > 0 ? b->capacity : BUFFER_BYTES;
    while (capacity < b->size + more)
      capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL) return NULL;
    b->data = data;
    b->capacity = capacity;
  }
  return b->data + b->size;
}

static uint8_t *reserve_or_raise(lua_State *L, struct buffer *b, size_t more) {
  uint8_t *to = reserve(b, more);
  if (to == NULL) luaL_error(L, "not enough memory");
  return to;
}

static void drop(struct buffer *b) {
  free(b->data);
  *b = (struct buffer){0};
}

static void empty(struct buffer *b) {
  b->size = 0;
  if (b->capacity > KEPT_BYTES_MAX) drop(b);
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

/* ---- the writer ---------------------------------------------------------- */

static struct buffer *check_writer(lua_State *L) {
  return luaL_checkudata(L, 1, WRITER);
}

static int client_writer(lua_State *L) {
  struct buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (struct buffer){0};
  luaL_setmetatable(L, WRITER);
  return 1;
}

static int writer_drop(lua_State *L) {
  drop(check_writer(L));
  return 0;
}

/* The kind, id, number from `arg` on, for a body of this size. */
static struct head check_head(lua_State *L, int arg, size_t body_size) {
  lua_Integer kind = luaL_checkinteger(L, arg);
  luaL_argcheck(L, kind >= KIND_FIRST && kind <= KIND_RESULT, arg, "a kind");
  if (body_size > UINT32_MAX - HEAD_BYTES) luaL_error(L, "too large a body");
  return (struct head){.kind = (uint8_t)kind,
                       .id = (uint64_t)luaL_checkinteger(L, arg + 1),
                       .number = (uint64_t)luaL_checkinteger(L, arg + 2),
                       .body_size = body_size};
}

static int writer_frame(lua_State *L) {
  struct buffer *b = check_writer(L);
  size_t size;
  const char *body = luaL_checklstring(L, 5, &size);
  struct head h = check_head(L, 2, size);
  uint8_t *out = reserve_or_raise(L, b, HEAD_BYTES + size);
  memcpy(out + HEAD_BYTES, body, size);
  put_head(out, &h);
  b->size += HEAD_BYTES + size;
  return 0;
}

static int writer_command(lua_State *L) {
  struct buffer *b = check_writer(L);
  size_t size;
  const char *command = luaL_checklstring(L, 7, &size);
  struct head h = {.kind = KIND_SESSION,
                   .id = (uint64_t)luaL_checkinteger(L, 2),
                   .number = (uint64_t)luaL_checkinteger(L, 3),
                   .body_size = RAFT_SESSION_HEAD_BYTES + size};
  struct raft_session_head place = {.op = RAFT_SESSION_COMMAND,
                                    .session = luaL_checkinteger(L, 4),
                                    .sequence = luaL_checkinteger(L, 5),
                                    .floor = luaL_checkinteger(L, 6)};
  if (h.body_size > UINT32_MAX - HEAD_BYTES) luaL_error(L, "too large a body");
  uint8_t *out = reserve_or_raise(L, b, HEAD_BYTES + h.body_size);
  uint8_t *body = out + HEAD_BYTES;
  raft_session_put(body, &place);
  memcpy(body + RAFT_SESSION_HEAD_BYTES, command, size);
  put_head(out, &h);
  b->size += HEAD_BYTES + h.body_size;
  return 0;
}

static int writer_take(lua_State *L) {
  struct buffer *b = check_writer(L);
  if (b->size == 0) return 0;
  lua_pushlstring(L, (const char *)b->data, b->size);
  empty(b);
  return 1;
}

/* ---- single ones --------------------------------------------------------- */

static int client_frame(lua_State *L) {
  size_t size;
  const char *body = luaL_checklstring(L, 4, &size);
  struct head h = check_head(L, 1, size);
  luaL_Buffer b;
  uint8_t *out = (uint8_t *)luaL_buffinitsize(L, &b, HEAD_BYTES + size);
  memcpy(out + HEAD_BYTES, body, size);
  put_head(out, &h);
  luaL_pushresultsize(&b, HEAD_BYTES + size);
  return 1;
}

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
      {"client_frame", client_frame},
      {"client_reader", client_reader},
      {"client_writer", client_writer},
      {"session_decode", session_decode},
      {NULL, NULL},
  };
  static const luaL_Reg reader[] = {
      {"feed", reader_feed},
      {"next", reader_next},
      {"next_answer", reader_next_answer},
      {"drop", reader_drop},
      {NULL, NULL},
  };
  static const luaL_Reg writer[] = {
      {"frame", writer_frame},
      {"command", writer_command},
      {"take", writer_take},
      {"drop", writer_drop},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, READER, reader_drop, reader);
  raft_lua_new_class(L, WRITER, writer_drop, writer);
  luaL_setfuncs(L, functions, 0);
}
