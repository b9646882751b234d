/* lua_effects.c - core:effects(): the batch of a turn, one effect a step.
 *
 *   for kind, after, a, b, c, d, e, f, g, h in core:effects() do
 *     "store",     after, seq, bytes, term, vote, commit, mark_index,
 *                  mark_term, is_reset
 *     "send",      after, peer, bytes, is_patient, covers
 *     "load",      after, peer or false, first, last
 *     "apply",     after, first, last
 *     "read",      after, token, index
 *     "role",      after, state, term, leader or false
 *     "config",    after, index
 *     "forwarded", after, token, true or code, index, term
 *     "ship",      after, peer, index, is_bare
 *     "install",   after, index, term
 *     "compact",   after, index
 *     "diverged",  after, index, id or false, agreed, majority, own
 *
 * An effect is consumed only after its values were pushed, so that a failed
 * push loses nothing: the next call of effects() goes on where it stopped.
 */
#include <assert.h>
#include <string.h>

#include "lua_core.h"

static const char *const kind_names[] = {
    [RAFT_FX_STORE] = "store",     [RAFT_FX_SEND] = "send",
    [RAFT_FX_LOAD] = "load",       [RAFT_FX_APPLY] = "apply",
    [RAFT_FX_READ] = "read",       [RAFT_FX_ROLE] = "role",
    [RAFT_FX_CONFIG] = "config",   [RAFT_FX_FORWARDED] = "forwarded",
    [RAFT_FX_SHIP] = "ship",       [RAFT_FX_INSTALL] = "install",
    [RAFT_FX_COMPACT] = "compact", [RAFT_FX_DIVERGED] = "diverged",
};

static size_t parts_size(const struct raft_effect *fx, uint32_t count) {
  size_t size = 0;
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t k = 0; k < fx[i].part_count; k++)
      size += fx[i].parts[k].size;
  return size;
}

/* The parts of `count` effects in a row as one string. */
static void push_parts(lua_State *L, const struct raft_effect *fx,
                       uint32_t count) {
  if (count == 1 && fx->part_count == 1) {
    lua_pushlstring(L, (const char *)fx->parts[0].data, fx->parts[0].size);
    return;
  }
  luaL_Buffer buffer;
  size_t size = parts_size(fx, count);
  char *out = luaL_buffinitsize(L, &buffer, size);
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t k = 0; k < fx[i].part_count; k++) {
      memcpy(out, fx[i].parts[k].data, fx[i].parts[k].size);
      out += fx[i].parts[k].size;
    }
  }
  luaL_pushresultsize(&buffer, size);
}

/* How many sends in a row go to one peer under one condition? */
static uint32_t count_joined(const struct raft_lua_core *c) {
  const struct raft_effect *fx = &c->batch.effects[c->next];
  uint32_t count = 1;
  for (; c->next + count < c->batch.count; count++) {
    const struct raft_effect *other = fx + count;
    bool joins = other->kind == RAFT_FX_SEND && other->to == fx->to &&
                 other->after == fx->after;
    if (!joins) break;
  }
  return count;
}

static int push_integers(lua_State *L, uint64_t a, uint64_t b) {
  lua_pushinteger(L, (lua_Integer)a);
  lua_pushinteger(L, (lua_Integer)b);
  return 2;
}

static int push_store(lua_State *L, const struct raft_effect *fx) {
  lua_pushinteger(L, (lua_Integer)fx->store.seq);
  push_parts(L, fx, 1);
  push_integers(L, fx->store.term, fx->store.vote);
  lua_pushinteger(L, (lua_Integer)fx->store.commit);
  push_integers(L, fx->store.mark_index, fx->store.mark_term);
  lua_pushboolean(L, fx->store.is_reset);
  return 8;
}

static int push_role(lua_State *L, const struct raft_effect *fx) {
  lua_pushstring(L, raft_lua_role((enum raft_state)fx->role.role));
  lua_pushinteger(L, (lua_Integer)fx->role.term);
  raft_lua_push_name(L, 1, fx->role.leader);
  return 3;
}

static int push_load(lua_State *L, const struct raft_effect *fx) {
  raft_lua_push_name(L, 1, fx->load.peer);
  return 1 + push_integers(L, fx->load.first, fx->load.last);
}

static int push_forwarded(lua_State *L, const struct raft_effect *fx) {
  lua_pushinteger(L, (lua_Integer)fx->forwarded.token);
  if (fx->forwarded.code == RAFT_OK)
    lua_pushboolean(L, true);
  else
    lua_pushstring(L, raft_lua_code(fx->forwarded.code));
  push_integers(L, fx->forwarded.index, fx->forwarded.term);
  lua_pushinteger(L, fx->forwarded.missing);
  return 5;
}

static int push_send(lua_State *L, const struct raft_effect *fx,
                     uint32_t count) {
  bool is_patient = true; /* as all of those that are joined */
  for (uint32_t i = 0; i < count; i++)
    is_patient = is_patient && fx[i].is_patient;
  raft_lua_push_name(L, 1, fx->to);
  push_parts(L, fx, count);
  lua_pushboolean(L, is_patient);
  lua_pushboolean(L, fx->covers);
  return 4;
}

static int push_ship(lua_State *L, const struct raft_effect *fx) {
  raft_lua_push_name(L, 1, fx->ship.to);
  lua_pushinteger(L, (lua_Integer)fx->ship.index);
  lua_pushboolean(L, fx->ship.is_bare);
  return 3;
}

static int push_diverged(lua_State *L, const struct raft_effect *fx) {
  lua_pushinteger(L, (lua_Integer)fx->diverged.index);
  raft_lua_push_name(L, 1, fx->diverged.id);
  lua_pushinteger(L, (lua_Integer)fx->diverged.agreed);
  return 3 + push_integers(L, fx->diverged.majority, fx->diverged.own);
}

static int push_details(lua_State *L, const struct raft_effect *fx,
                        uint32_t joined) {
  switch (fx->kind) {
  case RAFT_FX_STORE: return push_store(L, fx);
  case RAFT_FX_SEND: return push_send(L, fx, joined);
  case RAFT_FX_LOAD: return push_load(L, fx);
  case RAFT_FX_APPLY: return push_integers(L, fx->apply.first, fx->apply.last);
  case RAFT_FX_READ: return push_integers(L, fx->read.token, fx->read.index);
  case RAFT_FX_ROLE: return push_role(L, fx);
  case RAFT_FX_CONFIG: lua_pushinteger(L, (lua_Integer)fx->config); return 1;
  case RAFT_FX_FORWARDED: return push_forwarded(L, fx);
  case RAFT_FX_SHIP: return push_ship(L, fx);
  case RAFT_FX_INSTALL:
    return push_integers(L, fx->install.index, fx->install.term);
  case RAFT_FX_COMPACT: lua_pushinteger(L, (lua_Integer)fx->compact); return 1;
  case RAFT_FX_DIVERGED: return push_diverged(L, fx);
  case RAFT_FX_NONE: break;
  }
  return 0;
}

static int next_effect(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_settop(L, 1);
  if (c->next == c->batch.count) {
    lua_pushnil(L);
    return 1;
  }
  const struct raft_effect *fx = &c->batch.effects[c->next];
  uint32_t joined = fx->kind == RAFT_FX_SEND ? count_joined(c) : 1;
  lua_pushstring(L, kind_names[fx->kind]);
  lua_pushinteger(L, (lua_Integer)fx->after);
  int pushed = 2 + push_details(L, fx, joined);
  c->next += joined; /* nothing can raise from here on */
  return pushed;
}

/* Another configuration is in force, perhaps of the same index. */
static bool has_config(const struct raft_batch *batch) {
  for (uint32_t i = 0; i < batch->count; i++)
    if (batch->effects[i].kind == RAFT_FX_CONFIG) return true;
  return false;
}

int raft_lua_effects(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_settop(L, 1);
  raft_lua_name_members(L, 1);
  if (c->next == c->batch.count) {
    raft_take(c->r, &c->batch);
    c->next = 0;
    if (has_config(&c->batch)) c->named = 0;
    raft_lua_name_members(L, 1);
  }
  lua_pushcfunction(L, next_effect);
  lua_pushvalue(L, 1);
  return 2;
}
