/* lua_log.c - entries of the log, to be applied.
 *
 *   core:entry(index)      -> kind, term, time, payload; nothing when not here
 *   core:run(first, last)  -> count, kind, term, time, payloads
 *   core:term_at(index)    -> term; 0 where none is known
 *
 * A run is of entries that stand in a row and have kind, term and time in
 * common, as those have that were proposed at once. Of kind "stripped" is where
 * a witness has no command.
 */
#include "entry.h"
#include "lua_core.h"

#define RUN_BYTES 65536 /* payloads of a run, about: they are in memory twice */

int raft_lua_entry(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_Integer index = luaL_checkinteger(L, 2);
  struct raft_entry e;
  if (index <= 0 || !raft_entry_at(c->r, (raft_index)index, &e)) return 0;
  return raft_lua_push_entry(L, &e);
}

static bool joins(const struct raft_entry *first, const struct raft_entry *e) {
  return e->kind == first->kind && e->flags == first->flags &&
         e->term == first->term && e->time == first->time;
}

/* Nothing when the first is not here. */
int raft_lua_run(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_Integer index = luaL_checkinteger(L, 2);
  lua_Integer last = luaL_checkinteger(L, 3);
  luaL_argcheck(L, last >= index, 3, "it ends before it begins");
  struct raft_entry first;
  struct raft_entry e;
  if (index <= 0 || !raft_entry_at(c->r, (raft_index)index, &first)) return 0;
  lua_settop(L, 1);
  lua_pushnil(L); /* where the count goes */
  raft_lua_push_entry(L, &first);
  lua_createtable(L, last - index < 64 ? (int)(last - index) + 1 : 64, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_Integer count = 1;
  for (size_t bytes = first.size; index + count <= last; count++) {
    if (!raft_entry_at(c->r, (raft_index)(index + count), &e)) break;
    bytes += e.size;
    if (bytes > RUN_BYTES || !joins(&first, &e)) break;
    lua_pushlstring(L, (const char *)e.payload, e.size);
    lua_rawseti(L, -2, count + 1);
  }
  lua_pushinteger(L, count);
  lua_replace(L, 2);
  return 5;
}

int raft_lua_term_at(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  raft_index index = (raft_index)luaL_checkinteger(L, 2);
  lua_pushinteger(L, (lua_Integer)raft_term_at(c->r, index));
  return 1;
}
