/* lua_client_writer.c - frames between clients and nodes on their way out, many
 * of them in one write.
 *
 *   client_frame(kind, id, number, body) -> bytes
 *   client_writer() -> writer
 *     writer:frame(kind, id, number, body)
 *     writer:command(id, number, session, sequence, floor, command)
 *     writer:commands(id, number, session, sequence, floor, commands, count)
 *         so many of them: ids and sequences ascend
 *     writer:answers(id, number, values, whys, from, last, body_max) -> count
 *         RESULT frames of plain results, as answer_encode has them: ids
 *         ascend. It ends before one that is not plain, or too large
 *     writer:take() -> bytes | nil      of all frames since the last one
 *     writer:drop()            forgets them
 *
 * Lua does not see how large its buffer is, and would collect it late: so
 * whoever ends a connection drops its writer.
 *
 * Promises. A writer that could not take all that it was given is as it was.
 */
#include <string.h>

#include "lua_buffer.h"
#include "lua_codec.h"
#include "lua_frame.h"
#include "lua_session.h"

#define WRITER "raft.client_writer"

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

/* Bytes of the frame of a command. */
static size_t command_frame(lua_State *L, size_t size) {
  if (size > UINT32_MAX - HEAD_BYTES - RAFT_SESSION_HEAD_BYTES)
    luaL_error(L, "too large a body");
  return HEAD_BYTES + RAFT_SESSION_HEAD_BYTES + size;
}

/* A SESSION frame with this command, for which there is room. */
static void put_command(struct buffer *b, struct head *h,
                        const struct raft_session_head *place,
                        const char *command, size_t size) {
  h->body_size = RAFT_SESSION_HEAD_BYTES + size;
  assert(b->capacity - b->size >= HEAD_BYTES + h->body_size);
  uint8_t *out = b->data + b->size;
  uint8_t *body = out + HEAD_BYTES;
  raft_session_put(body, place);
  memcpy(body + RAFT_SESSION_HEAD_BYTES, command, size);
  put_head(out, h);
  b->size += HEAD_BYTES + h->body_size;
}

/* Its head, and the place in its session, from the arguments behind the
 * writer. */
static struct head check_place(lua_State *L, struct raft_session_head *place) {
  *place = (struct raft_session_head){.op = RAFT_SESSION_COMMAND,
                                      .session = luaL_checkinteger(L, 4),
                                      .sequence = luaL_checkinteger(L, 5),
                                      .floor = luaL_checkinteger(L, 6)};
  return (struct head){.kind = KIND_SESSION,
                       .id = (uint64_t)luaL_checkinteger(L, 2),
                       .number = (uint64_t)luaL_checkinteger(L, 3)};
}

static int writer_command(lua_State *L) {
  struct buffer *b = check_writer(L);
  struct raft_session_head place;
  struct head h = check_place(L, &place);
  size_t size;
  const char *command = luaL_checklstring(L, 7, &size);
  reserve_or_raise(L, b, command_frame(L, size));
  put_command(b, &h, &place, command, size);
  return 0;
}

/* Bytes of the frames of the commands in the list at 7. */
static size_t check_commands(lua_State *L, lua_Integer count) {
  size_t bytes = 0;
  luaL_checktype(L, 7, LUA_TTABLE);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(L, 7, i) != LUA_TSTRING)
      luaL_argerror(L, 7, "a command is no string");
    bytes += command_frame(L, lua_rawlen(L, -1));
    lua_pop(L, 1);
  }
  return bytes;
}

static int writer_commands(lua_State *L) {
  struct buffer *b = check_writer(L);
  struct raft_session_head place;
  struct head h = check_place(L, &place);
  lua_Integer count = luaL_checkinteger(L, 8);
  reserve_or_raise(L, b, check_commands(L, count));
  for (lua_Integer i = 1; i <= count; i++) {
    size_t size;
    lua_rawgeti(L, 7, i);
    const char *command = lua_tolstring(L, -1, &size);
    put_command(b, &h, &place, command, size);
    lua_pop(L, 1);
    h.id++;
    place.sequence++;
  }
  return 0;
}

/* The places of writer_answers on the stack: an encode has its buffer at 2. */
enum { PLACE_WRITER = 1, PLACE_BUFFER, PLACE_VALUE = 9, PLACE_WHY };

static int writer_answers(lua_State *L) {
  uint8_t few[RAFT_CODEC_FEW_BYTES];
  struct raft_encoder e = {.L = L, .bytes = few, .room = sizeof few};
  struct buffer *b = check_writer(L);
  struct head h = {.kind = KIND_RESULT,
                   .id = (uint64_t)luaL_checkinteger(L, 2),
                   .number = (uint64_t)luaL_checkinteger(L, 3)};
  luaL_checktype(L, 4, LUA_TTABLE);
  luaL_checktype(L, 5, LUA_TTABLE);
  lua_Integer from = luaL_checkinteger(L, 6);
  lua_Integer last = luaL_checkinteger(L, 7);
  lua_Integer body_max = luaL_checkinteger(L, 8);
  luaL_argcheck(L, body_max >= 0 && body_max <= UINT32_MAX - HEAD_BYTES, 8,
                "a size");
  lua_settop(L, PLACE_VALUE - 1);
  lua_pushnil(L);
  lua_replace(L, PLACE_BUFFER);
  size_t put = 0; /* bytes that count once all that may raise is done */
  lua_Integer i = from;
  for (; i <= last; i++, h.id++) {
    lua_rawgeti(L, 4, i);
    lua_rawgeti(L, 5, i);
    e.size = 0;
    if (!raft_lua_put_answer(&e, PLACE_VALUE, PLACE_WHY)) break;
    if (e.size > (size_t)body_max) break;
    h.body_size = e.size;
    uint8_t *out = reserve_or_raise(L, b, put + HEAD_BYTES + e.size) + put;
    memcpy(out + HEAD_BYTES, e.bytes, e.size);
    put_head(out, &h);
    put += HEAD_BYTES + e.size;
    lua_settop(L, PLACE_VALUE - 1);
  }
  b->size += put;
  lua_pushinteger(L, i - from);
  return 1;
}

static int writer_take(lua_State *L) {
  struct buffer *b = check_writer(L);
  if (b->size == 0) return 0;
  lua_pushlstring(L, (const char *)b->data, b->size);
  empty(b);
  return 1;
}

/* ---- a single one ------------------------------------------------------ */

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

void raft_lua_open_client_writer(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"client_frame", client_frame},
      {"client_writer", client_writer},
      {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"frame", writer_frame},
      {"command", writer_command},
      {"commands", writer_commands},
      {"answers", writer_answers},
      {"take", writer_take},
      {"drop", writer_drop},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, WRITER, writer_drop, methods);
  luaL_setfuncs(L, functions, 0);
}
