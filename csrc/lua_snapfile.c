/* lua_snapfile.c - raft.core's functions of a snapshot's file.
 *
 *   snapfile_writer(t) -> writer     t: index, term, time, config_index,
 *                                    config (encoded), is_bare; raises when it
 *                                    is wrong
 *     writer:begin() -> bytes        the head
 *     writer:state(bytes) -> bytes   records of them
 *     writer:finish() -> bytes       the end
 *     writer:sums() -> size, checksum, state_bytes
 *   snapfile_scan() -> scan
 *     scan:feed(chunk [, wants]) -> true, the state bytes in it if wanted
 *                                 | nil, code, why, version
 *     scan:finish() -> true | nil, code, why
 *     scan:info() -> t as above with size, checksum, state_bytes once whole;
 *                    nil before the head was read
 *   SNAPFILE_PIECE_BYTES             of a record, at most
 *   SNAPFILE_VERSION
 */
#include "lua_raft.h"

#include <string.h>

#include "snapfile.h"

#define WRITER "raft.snapfile.writer"
#define SCAN   "raft.snapfile.scan"

/* ---- writing ------------------------------------------------------------- */

struct writer {
  struct raft_snapfile_writer w;
  bool has_ended;
  uint64_t checksum;
  size_t head_size;
  uint8_t head[RAFT_SNAPFILE_HEAD_MAX];
};

static uint64_t get_number(lua_State *L, const char *key) {
  int is_integer = 0;
  lua_getfield(L, 1, key);
  lua_Integer v = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) luaL_error(L, "snapshot.%s: expected an integer", key);
  lua_pop(L, 1);
  return (uint64_t)v;
}

static int new_writer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct raft_snapshot s = {
      .index = get_number(L, "index"),
      .term = get_number(L, "term"),
      .time = get_number(L, "time"),
      .config_index = get_number(L, "config_index"),
  };
  if (lua_getfield(L, 1, "config") != LUA_TSTRING)
    return luaL_error(L, "snapshot.config: expected a string");
  s.config.data = (const uint8_t *)lua_tolstring(L, -1, &s.config.size);
  lua_getfield(L, 1, "is_bare");
  s.is_bare = lua_toboolean(L, -1) != 0;
  const char *broken = raft_snapfile_check(&s);
  if (broken != NULL) return luaL_error(L, "snapshot.%s: not valid", broken);
  struct writer *writer = lua_newuserdatauv(L, sizeof *writer, 0);
  *writer = (struct writer){0};
  luaL_setmetatable(L, WRITER);
  writer->head_size = raft_snapfile_begin(&writer->w, &s, writer->head);
  return 1;
}

static struct writer *check_writer(lua_State *L) {
  struct writer *writer = luaL_checkudata(L, 1, WRITER);
  if (writer->has_ended) luaL_error(L, "the file has ended");
  return writer;
}

static int writer_begin(lua_State *L) {
  struct writer *writer = check_writer(L);
  lua_pushlstring(L, (const char *)writer->head, writer->head_size);
  return 1;
}

/* One string of the whole: heads and bytes in turn. */
static int writer_state(lua_State *L) {
  struct writer *writer = check_writer(L);
  struct raft_slice all;
  all.data = (const uint8_t *)luaL_checklstring(L, 2, &all.size);
  luaL_argcheck(L, !writer->w.is_bare, 2, "the file has no state");
  size_t count =
      (all.size + RAFT_SNAPFILE_PIECE_BYTES - 1) / RAFT_SNAPFILE_PIECE_BYTES;
  size_t room = all.size + count * RAFT_SNAPFILE_RECORD_BYTES;
  luaL_Buffer b;
  uint8_t *out = (uint8_t *)luaL_buffinitsize(L, &b, room);
  while (all.size > 0) {
    struct raft_slice part = all;
    if (part.size > RAFT_SNAPFILE_PIECE_BYTES)
      part.size = RAFT_SNAPFILE_PIECE_BYTES;
    raft_snapfile_record(&writer->w, part, out);
    memcpy(out + RAFT_SNAPFILE_RECORD_BYTES, part.data, part.size);
    out += RAFT_SNAPFILE_RECORD_BYTES + part.size;
    all.data += part.size;
    all.size -= part.size;
  }
  luaL_pushresultsize(&b, room);
  return 1;
}

static int writer_finish(lua_State *L) {
  struct writer *writer = check_writer(L);
  uint8_t out[RAFT_SNAPFILE_END_BYTES];
  writer->checksum = raft_snapfile_end(&writer->w, out);
  writer->has_ended = true;
  lua_pushlstring(L, (const char *)out, sizeof(out));
  return 1;
}

static int writer_sums(lua_State *L) {
  struct writer *writer = luaL_checkudata(L, 1, WRITER);
  lua_pushinteger(L, (lua_Integer)writer->w.size);
  lua_pushinteger(L, (lua_Integer)writer->checksum);
  lua_pushinteger(L, (lua_Integer)writer->w.state_bytes);
  return 3;
}

/* ---- reading ------------------------------------------------------------- */

static int new_scan(lua_State *L) {
  struct raft_snapfile_scan *scan = lua_newuserdatauv(L, sizeof *scan, 0);
  luaL_setmetatable(L, SCAN);
  raft_snapfile_scan_begin(scan);
  return 1;
}

static int push_error(lua_State *L, const struct raft_snapfile_scan *scan) {
  lua_pushnil(L);
  lua_pushstring(L, raft_lua_code(scan->error));
  lua_pushstring(L, scan->why);
  lua_pushinteger(L, (lua_Integer)scan->version);
  return 4;
}

static int scan_feed(lua_State *L) {
  struct raft_snapfile_scan *scan = luaL_checkudata(L, 1, SCAN);
  size_t size;
  const uint8_t *data = (const uint8_t *)luaL_checklstring(L, 2, &size);
  bool is_wanted = lua_toboolean(L, 3);
  luaL_Buffer b;
  lua_pushboolean(L, true); /* below the buffer, which stays on top */
  if (is_wanted) luaL_buffinitsize(L, &b, size);
  size_t used = 0;
  while (size > 0) {
    struct raft_slice piece;
    if (raft_snapfile_scan_feed(scan, &data, &size, &piece) != RAFT_OK) break;
    if (!is_wanted || piece.size == 0) continue;
    memcpy(luaL_buffaddr(&b) + used, piece.data, piece.size);
    used += piece.size;
  }
  if (scan->error != RAFT_OK) return push_error(L, scan);
  if (!is_wanted) return 1;
  luaL_pushresultsize(&b, used);
  return 2;
}

static int scan_finish(lua_State *L) {
  struct raft_snapfile_scan *scan = luaL_checkudata(L, 1, SCAN);
  if (raft_snapfile_scan_end(scan) != RAFT_OK) return push_error(L, scan);
  lua_pushboolean(L, true);
  return 1;
}

static void set_number(lua_State *L, const char *key, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static int scan_info(lua_State *L) {
  struct raft_snapfile_scan *scan = luaL_checkudata(L, 1, SCAN);
  struct raft_snapshot s;
  if (!raft_snapfile_scan_head(scan, &s)) return 0;
  lua_createtable(L, 0, 10);
  set_number(L, "index", s.index);
  set_number(L, "term", s.term);
  set_number(L, "time", s.time);
  set_number(L, "config_index", s.config_index);
  lua_pushlstring(L, (const char *)s.config.data, s.config.size);
  lua_setfield(L, -2, "config");
  if (scan->stage != RAFT_SNAPFILE_WHOLE) return 1;
  set_number(L, "size", scan->offset);
  set_number(L, "checksum", scan->checksum);
  set_number(L, "state_bytes", scan->state_bytes);
  lua_pushboolean(L, s.is_bare);
  lua_setfield(L, -2, "is_bare");
  return 1;
}

/* Nothing to give back: the memory is Lua's. */
static int no_gc(lua_State *L) {
  (void)L;
  return 0;
}

void raft_lua_open_snapfile(lua_State *L) {
  static const luaL_Reg writer[] = {
      {"begin", writer_begin},
      {"state", writer_state},
      {"finish", writer_finish},
      {"sums", writer_sums},
      {NULL, NULL},
  };
  static const luaL_Reg scan[] = {
      {"feed", scan_feed},
      {"finish", scan_finish},
      {"info", scan_info},
      {NULL, NULL},
  };
  static const luaL_Reg functions[] = {
      {"snapfile_writer", new_writer},
      {"snapfile_scan", new_scan},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, WRITER, no_gc, writer);
  raft_lua_new_class(L, SCAN, no_gc, scan);
  luaL_setfuncs(L, functions, 0);
  lua_pushinteger(L, RAFT_SNAPFILE_PIECE_BYTES);
  lua_setfield(L, -2, "SNAPFILE_PIECE_BYTES");
  lua_pushinteger(L, RAFT_SNAPFILE_VERSION);
  lua_setfield(L, -2, "SNAPFILE_VERSION");
}
