/* lua_snapshot.c - what a core is told of the state: of snapshots, and what it
 * says of one; of results.
 *
 *   core:snapshot_made(now, t)       core:snapshot_received(now, t)
 *   core:compacted(now, index)       core:shipped(now, peer, index, is_done)
 *   core:snapshot_meta() -> t | nil, "busy"
 *   core:results(now, index, digest)
 *
 * t = { index=, term=, time=, config_index=, config = encoded bytes, is_bare= }
 *
 * Of more fields nothing is read. snapshot_received answers the index when an
 * install follows, true when it changes nothing.
 */
#include "config.h"
#include "lua_core.h"

static uint64_t field(lua_State *L, int arg, const char *name) {
  int is_integer;
  lua_getfield(L, arg, name);
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < 0)
    luaL_error(L, "snapshot: %s: expected an index, a term or a time", name);
  lua_pop(L, 1);
  return (uint64_t)value;
}

/* The table keeps the bytes alive. */
struct raft_snapshot raft_lua_check_snapshot(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  struct raft_snapshot s = {
      .index = field(L, arg, "index"),
      .term = field(L, arg, "term"),
      .time = field(L, arg, "time"),
      .config_index = field(L, arg, "config_index"),
  };
  if (lua_getfield(L, arg, "config") != LUA_TSTRING)
    luaL_error(L, "snapshot: config: expected a string");
  s.config.data = (const uint8_t *)lua_tolstring(L, -1, &s.config.size);
  lua_getfield(L, arg, "is_bare");
  s.is_bare = lua_toboolean(L, -1) != 0;
  lua_pop(L, 2);
  return s;
}

static int tell(lua_State *L, enum raft_event_kind kind) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev = raft_lua_event(c, kind, raft_lua_check_ms(L, 2));
  struct raft_snapshot snapshot = raft_lua_check_snapshot(L, 3);
  ev.snapshot = &snapshot;
  return raft_lua_step(L, c, &ev);
}

int raft_lua_snapshot_made(lua_State *L) {
  return tell(L, RAFT_EV_SNAPSHOT_MADE);
}

int raft_lua_snapshot_received(lua_State *L) {
  return tell(L, RAFT_EV_SNAPSHOT_RECEIVED);
}

static void set(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

int raft_lua_snapshot_meta(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft_snapshot s;
  int rc = raft_snapshot_meta(c->r, config, &s);
  if (rc != RAFT_OK) return raft_lua_fail(L, rc);
  lua_createtable(L, 0, 6);
  set(L, "index", s.index);
  set(L, "term", s.term);
  set(L, "time", s.time);
  set(L, "config_index", s.config_index);
  lua_pushlstring(L, (const char *)s.config.data, s.config.size);
  lua_setfield(L, -2, "config");
  lua_pushboolean(L, s.is_bare);
  lua_setfield(L, -2, "is_bare");
  return 1;
}

int raft_lua_compacted(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev =
      raft_lua_event(c, RAFT_EV_COMPACTED, raft_lua_check_ms(L, 2));
  ev.compacted = (raft_index)luaL_checkinteger(L, 3);
  return raft_lua_step(L, c, &ev);
}

int raft_lua_shipped(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev =
      raft_lua_event(c, RAFT_EV_SHIPPED, raft_lua_check_ms(L, 2));
  ev.shipped.peer = raft_id_of(luaL_checkstring(L, 3));
  ev.shipped.index = (raft_index)luaL_checkinteger(L, 4);
  ev.shipped.is_done = lua_toboolean(L, 5) != 0;
  return raft_lua_step(L, c, &ev);
}

int raft_lua_results(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev =
      raft_lua_event(c, RAFT_EV_RESULTS, raft_lua_check_ms(L, 2));
  ev.results.index = (raft_index)luaL_checkinteger(L, 3);
  ev.results.digest = (uint64_t)luaL_checkinteger(L, 4);
  return raft_lua_step(L, c, &ev);
}
