/* lua_recovery.c - what a core starts from, as a userdata.
 *
 *   recovery:fields() -> t        for people, tests and recordings
 *   recovery:bounds() -> base, last, newest lost entry or 0
 *   recovery:term_at(index) -> term | nil
 *   core.recovery(t) -> recovery  the same again, from such fields
 *
 * A recovery of the log on disk owns a raft_wal_state, and its result points
 * into that. One made of fields owns its runs, which stand behind it, and
 * strings, which its uservalue keeps alive.
 */
#include "lua_raft.h"

#include "wal_state.h"

#include <stdlib.h>
#include <string.h>

static const char RECOVERY[] = "raft.recovery";

enum { RUNS_MAX = 1 << 20 }; /* of one made of fields */

struct recovery {
  struct raft_wal_state state; /* empty when made of fields */
  struct raft_recovery result;
  struct raft_run runs[]; /* when made of fields */
};

void raft_lua_new_class(lua_State *L, const char *name, lua_CFunction gc,
                        const luaL_Reg *methods) {
  luaL_newmetatable(L, name); /* there already? it may be half made */
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* An empty one with room for `count` runs. */
static struct recovery *new_recovery(lua_State *L, size_t count) {
  size_t size = sizeof(struct recovery) + count * sizeof(struct raft_run);
  struct recovery *r = lua_newuserdatauv(L, size, 1);
  memset(r, 0, size);
  luaL_setmetatable(L, RECOVERY);
  return r;
}

const struct raft_recovery *
raft_lua_push_recovery(lua_State *L, struct raft_wal_state *state) {
  struct recovery *r = new_recovery(L, 0);
  r->state = *state; /* moves; nothing raises from here on */
  raft_wal_state_init(state, 0, state->alloc, state->alloc_ud);
  raft_wal_state_result(&r->state, &r->result);
  return &r->result;
}

const struct raft_recovery *raft_lua_check_recovery(lua_State *L, int arg) {
  struct recovery *r = luaL_checkudata(L, arg, RECOVERY);
  return &r->result;
}

static int recovery_gc(lua_State *L) {
  struct recovery *r = luaL_checkudata(L, 1, RECOVERY);
  if (r->state.alloc != NULL) raft_wal_state_free(&r->state);
  r->result = (struct raft_recovery){.tail_first = 1};
  return 0;
}

/* ---- fields -------------------------------------------------------------- */

static void set_integer(lua_State *L, const char *name, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, name);
}

static void set_config(lua_State *L, const char *name,
                       const struct raft_recovered_config *c) {
  if (c->index == 0) return;
  lua_createtable(L, 0, 2);
  set_integer(L, "index", c->index);
  lua_pushlstring(L, (const char *)c->payload.data, c->payload.size);
  lua_setfield(L, -2, "payload");
  lua_setfield(L, -2, name);
}

/* terms = { first, term, first, term, ... } */
static void set_terms(lua_State *L, const struct raft_recovery *r) {
  lua_createtable(L, (int)r->run_count * 2, 0);
  for (size_t i = 0; i < r->run_count; i++) {
    lua_pushinteger(L, (lua_Integer)r->runs[i].first);
    lua_rawseti(L, -2, (lua_Integer)(2 * i + 1));
    lua_pushinteger(L, (lua_Integer)r->runs[i].term);
    lua_rawseti(L, -2, (lua_Integer)(2 * i + 2));
  }
  lua_setfield(L, -2, "terms");
}

static int recovery_fields(lua_State *L) {
  const struct raft_recovery *r = raft_lua_check_recovery(L, 1);
  lua_createtable(L, 0, 16);
  set_integer(L, "term", r->term);
  set_integer(L, "vote", r->vote);
  set_integer(L, "commit", r->commit);
  set_integer(L, "base_index", r->base_index);
  set_integer(L, "base_term", r->base_term);
  set_integer(L, "last", r->last);
  set_integer(L, "runs", r->run_count);
  set_integer(L, "tail_first", r->tail_first);
  set_integer(L, "last_time", r->last_time);
  if (r->lost_last != 0) set_integer(L, "lost_last", r->lost_last);
  if (r->lost_term != 0) set_integer(L, "lost_term", r->lost_term);
  if (r->newest_hole != 0) set_integer(L, "newest_hole", r->newest_hole);
  luaL_Buffer tail;
  luaL_buffinit(L, &tail);
  luaL_addlstring(&tail, (const char *)r->tail.data, r->tail.size);
  luaL_addlstring(&tail, (const char *)r->tail_rest.data, r->tail_rest.size);
  luaL_pushresult(&tail);
  lua_setfield(L, -2, "tail");
  set_terms(L, r);
  set_config(L, "config", &r->config);
  set_config(L, "config_before", &r->config_before);
  return 1;
}

/* For who needs no more of it: base, last, newest lost entry or 0. */
static int recovery_bounds(lua_State *L) {
  const struct raft_recovery *r = raft_lua_check_recovery(L, 1);
  lua_pushinteger(L, (lua_Integer)r->base_index);
  lua_pushinteger(L, (lua_Integer)r->last);
  lua_pushinteger(L, (lua_Integer)r->lost_last);
  return 3;
}

/* The term at an index of [base, last], or nil. */
static int recovery_term_at(lua_State *L) {
  const struct raft_recovery *r = raft_lua_check_recovery(L, 1);
  raft_index index = (raft_index)luaL_checkinteger(L, 2);
  raft_term term = r->base_term;
  if (index < r->base_index || index > r->last) return 0;
  for (size_t i = 0; i < r->run_count && r->runs[i].first <= index; i++)
    term = r->runs[i].term;
  lua_pushinteger(L, (lua_Integer)term);
  return 1;
}

/* ---- from fields --------------------------------------------------------- */

/* An integer of the table on top; raises with its name. */
static uint64_t get_integer(lua_State *L, const char *name) {
  if (lua_getfield(L, -1, name) != LUA_TNUMBER || !lua_isinteger(L, -1))
    luaL_error(L, "recovery: %s: expected an integer", name);
  uint64_t v = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* The same, or 0 where the field is not there. */
static uint64_t get_optional(lua_State *L, const char *name) {
  bool is_there = lua_getfield(L, -1, name) != LUA_TNIL;
  lua_pop(L, 1);
  return is_there ? get_integer(L, name) : 0;
}

/* A string of the table on top, kept alive by the list `strings`. */
static struct raft_slice get_bytes(lua_State *L, const char *name,
                                   int strings) {
  struct raft_slice s;
  if (lua_getfield(L, -1, name) != LUA_TSTRING)
    luaL_error(L, "recovery: %s: expected a string", name);
  s.data = (const uint8_t *)lua_tolstring(L, -1, &s.size);
  lua_rawseti(L, strings, (lua_Integer)lua_rawlen(L, strings) + 1);
  return s;
}

static struct raft_recovered_config get_config(lua_State *L, const char *name,
                                               int strings) {
  struct raft_recovered_config c = {0};
  if (lua_getfield(L, -1, name) == LUA_TTABLE) {
    c.index = get_integer(L, "index");
    c.payload = get_bytes(L, "payload", strings);
  }
  lua_pop(L, 1);
  return c;
}

static uint64_t get_term(lua_State *L, lua_Integer at) {
  if (lua_rawgeti(L, -1, at) != LUA_TNUMBER || !lua_isinteger(L, -1))
    luaL_error(L, "recovery: terms: expected integers");
  uint64_t v = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* From the list of terms on top. */
static void get_runs(lua_State *L, struct recovery *r, size_t count) {
  for (size_t i = 0; i < count; i++) {
    r->runs[i].first = get_term(L, (lua_Integer)(2 * i + 1));
    r->runs[i].term = get_term(L, (lua_Integer)(2 * i + 2));
  }
  r->result.runs = r->runs;
  r->result.run_count = count;
}

/* core.recovery(fields) */
static int recovery_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_argcheck(L, lua_getfield(L, 1, "terms") == LUA_TTABLE, 1, "no terms");
  size_t count = (size_t)lua_rawlen(L, 2) / 2;
  luaL_argcheck(L, count <= RUNS_MAX, 1, "too many terms");
  struct recovery *r = new_recovery(L, count); /* at 3 */
  lua_newtable(L);                             /* its strings, at 4 */
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, 3, 1);
  lua_pushvalue(L, 2);
  get_runs(L, r, count);
  lua_pushvalue(L, 1);
  r->result.term = get_integer(L, "term");
  r->result.vote = get_integer(L, "vote");
  r->result.commit = get_integer(L, "commit");
  r->result.base_index = get_integer(L, "base_index");
  r->result.base_term = get_integer(L, "base_term");
  r->result.last = get_integer(L, "last");
  r->result.tail_first = get_integer(L, "tail_first");
  r->result.last_time = get_integer(L, "last_time");
  r->result.lost_last = get_optional(L, "lost_last");
  r->result.lost_term = get_optional(L, "lost_term");
  r->result.newest_hole = get_optional(L, "newest_hole");
  r->result.tail = get_bytes(L, "tail", 4);
  r->result.config = get_config(L, "config", 4);
  r->result.config_before = get_config(L, "config_before", 4);
  lua_pushvalue(L, 3);
  return 1;
}

void raft_lua_open_recovery(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"fields", recovery_fields},
      {"bounds", recovery_bounds},
      {"term_at", recovery_term_at},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, RECOVERY, recovery_gc, methods);
  lua_pushcfunction(L, recovery_new);
  lua_setfield(L, -2, "recovery");
}
