/* lua_core.c - the module raft.core, and a replica as a userdata.
 *
 *   core = raft_core.new{ id=, incarnation=, seed=, election_min_ms=, ... }
 *   core:start(now, recovery [, snapshot])   core:tick(now)
 *   core:receive(now, reader, s)
 *   core:stored(now, seq)       core:applied(now, index)
 *   core:loaded(now, peer or false, first, bytes)
 *   core:propose(now, ...)  core:propose_session(now, ...)  lua_commands.c
 *   core:forward(now, token, ...)  core:forward_session(...)
 *   core:read(now, token)       core:form(now, config)
 *   core:unreachable(now, peer)   core:space(now, has_space)
 *   core:read_lease(now, token)
 *   core:transfer(now [, id [, token]]) -> true | nil, code
 *   core:avoid(now, is_avoiding)
 *   core:change(now, token, config, based_on, is_forced)
 *     -> index, 0: it was sent to the leader | nil, code [, missing]
 *   core:entry(index)  core:run(first, last)  core:term_at(index)  lua_log.c
 *   core:effects()  core:deadline()  core:status(t) ...
 *
 * Times are integers in ms. core:wall(ms) sets the wall clock of this turn.
 */
#include "lua_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "crc32c.h"

const char *raft_lua_code(int error) {
  switch ((enum raft_error)error) {
  case RAFT_OK: return "ok";
  case RAFT_E_NOMEM: return "no_memory";
  case RAFT_E_USAGE: return "usage";
  case RAFT_E_NOT_LEADER: return "not_leader";
  case RAFT_E_BUSY: return "busy";
  case RAFT_E_TOO_LARGE: return "too_large";
  case RAFT_E_CORRUPT: return "corrupt";
  case RAFT_E_MORE: return "more";
  case RAFT_E_VERSION: return "version";
  case RAFT_E_BAD_CONFIG: return "bad_config";
  case RAFT_E_DIVERGED: return "diverged";
  case RAFT_E_NO_LEADER: return "no_leader";
  case RAFT_E_UNSUPPORTED: return "unsupported";
  case RAFT_E_NO_SPACE: return "no_space";
  case RAFT_E_NO_QUORUM: return "no_quorum";
  case RAFT_E_CHANGED: return "changed";
  }
  return "unknown";
}

int raft_lua_fail(lua_State *L, int error) {
  lua_pushnil(L);
  lua_pushstring(L, raft_lua_code(error));
  return 2;
}

const char *raft_lua_role(enum raft_state state) {
  switch (state) {
  case RAFT_FOLLOWER: return "follower";
  case RAFT_PRE_CANDIDATE: return "pre_candidate";
  case RAFT_CANDIDATE: return "candidate";
  case RAFT_LEADER: return "leader";
  }
  return "unknown";
}

/* ---- arguments ----------------------------------------------------------- */

struct raft_lua_core *raft_lua_check_core(lua_State *L, int arg) {
  struct raft_lua_core *c = luaL_checkudata(L, arg, RAFT_LUA_CORE);
  luaL_argcheck(L, c->r != NULL, arg, "the replica is closed");
  return c;
}

raft_ms raft_lua_check_ms(lua_State *L, int arg) {
  lua_Integer ms = luaL_checkinteger(L, arg);
  luaL_argcheck(L, ms >= 0, arg, "a time is not negative");
  return (raft_ms)ms;
}

struct raft_event raft_lua_event(const struct raft_lua_core *c,
                                 enum raft_event_kind kind, raft_ms now) {
  return (struct raft_event){.kind = kind, .now = now, .wall = c->wall};
}

static struct raft_event event_of(lua_State *L, struct raft_lua_core **c,
                                  enum raft_event_kind kind) {
  *c = raft_lua_check_core(L, 1);
  return raft_lua_event(*c, kind, raft_lua_check_ms(L, 2));
}

int raft_lua_step(lua_State *L, struct raft_lua_core *c,
                  const struct raft_event *ev) {
  int64_t rc = raft_step(c->r, ev);
  if (rc < 0) return raft_lua_fail(L, (int)rc);
  if (rc > 0)
    lua_pushinteger(L, rc);
  else
    lua_pushboolean(L, true);
  return 1;
}

/* ---- names --------------------------------------------------------------- */

void raft_lua_name(lua_State *L, int core_index, raft_id id, int name_index) {
  lua_getiuservalue(L, core_index, 1);
  lua_pushvalue(L, name_index);
  lua_rawseti(L, -2, (lua_Integer)id);
  lua_pop(L, 1);
}

void raft_lua_push_name(lua_State *L, int core_index, raft_id id) {
  if (id == 0) {
    lua_pushboolean(L, false);
    return;
  }
  lua_getiuservalue(L, core_index, 1);
  lua_rawgeti(L, -1, (lua_Integer)id);
  lua_remove(L, -2);
}

void raft_lua_name_members(lua_State *L, int core_index) {
  struct raft_lua_core *c = raft_lua_check_core(L, core_index);
  raft_index index;
  const struct raft_config *config = raft_config_in_force(c->r, &index);
  if (index == c->named) return;
  for (uint32_t i = 0; i < config->count; i++) {
    lua_pushstring(L, config->members[i].name);
    raft_lua_name(L, core_index, config->members[i].id, lua_gettop(L));
    lua_pop(L, 1);
  }
  c->named = index;
}

/* ---- birth and death ----------------------------------------------------- */

static uint64_t field(lua_State *L, const char *name, lua_Integer max) {
  if (lua_getfield(L, 1, name) != LUA_TNUMBER)
    luaL_error(L, "raft.core.new: %s: expected an integer", name);
  int is_integer;
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || (max > 0 && (value < 0 || value > max)))
    luaL_error(L, "raft.core.new: %s: out of range", name);
  lua_pop(L, 1);
  return (uint64_t)value;
}

static struct raft_options check_options(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "id");
  const char *id = luaL_checkstring(L, -1);
  const lua_Integer bytes_max = (lua_Integer)1 << 40;
  struct raft_options o = {
      .self = raft_id_of(id),
      .incarnation = field(L, "incarnation", 0),
      .seed = field(L, "seed", 0),
      .election_min_ms = (uint32_t)field(L, "election_min_ms", INT32_MAX),
      .election_max_ms = (uint32_t)field(L, "election_max_ms", INT32_MAX),
      .heartbeat_ms = (uint32_t)field(L, "heartbeat_ms", INT32_MAX),
      .command_bytes_max = (uint32_t)field(L, "command_bytes_max", INT32_MAX),
      .pending_bytes_max = field(L, "pending_bytes_max", bytes_max),
      .message_bytes_max = field(L, "message_bytes_max", bytes_max),
      .inflight_bytes_max = field(L, "inflight_bytes_max", bytes_max),
      .memory_bytes_max = field(L, "memory_bytes_max", bytes_max),
  };
  return o;
}

static int core_new(lua_State *L) {
  lua_settop(L, 1);
  struct raft_options options = check_options(L); /* leaves the id at 2 */
  struct raft_lua_core *c = lua_newuserdatauv(L, sizeof *c, 1);
  memset(c, 0, sizeof *c);
  luaL_setmetatable(L, RAFT_LUA_CORE);
  lua_createtable(L, 0, 8);
  lua_setiuservalue(L, -2, 1);
  raft_lua_name(L, 3, options.self, 2);
  c->r = raft_new(&options);
  if (c->r == NULL)
    return luaL_error(L, "raft.core.new: options contradict, or no memory");
  return 1;
}

static int core_close(lua_State *L) {
  struct raft_lua_core *c = luaL_checkudata(L, 1, RAFT_LUA_CORE);
  raft_free(c->r);
  memset(c, 0, sizeof *c);
  return 0;
}

/* ---- events -------------------------------------------------------------- */

static int core_start(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_START);
  struct raft_recovery found;
  if (!lua_isnoneornil(L, 3)) {
    found = *raft_lua_check_recovery(L, 3);
    if (lua_toboolean(L, 4)) found.snapshot = raft_lua_check_snapshot(L, 4);
    ev.start = &found;
  }
  return raft_lua_step(L, c, &ev);
}

static int core_tick(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_TICK);
  return raft_lua_step(L, c, &ev);
}

static int core_stored(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_STORED);
  ev.stored = (raft_seq)luaL_checkinteger(L, 3);
  return raft_lua_step(L, c, &ev);
}

static int core_applied(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_APPLIED);
  ev.applied = (raft_index)luaL_checkinteger(L, 3);
  return raft_lua_step(L, c, &ev);
}

static int core_loaded(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_LOADED);
  size_t size;
  if (lua_toboolean(L, 3)) ev.loaded.peer = raft_id_of(luaL_checkstring(L, 3));
  ev.loaded.first = (raft_index)luaL_checkinteger(L, 4);
  const char *bytes = luaL_checklstring(L, 5, &size);
  ev.loaded.entries = (struct raft_slice){(const uint8_t *)bytes, size};
  return raft_lua_step(L, c, &ev);
}

static int core_read(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_READ);
  ev.read = (uint64_t)luaL_checkinteger(L, 3);
  return raft_lua_step(L, c, &ev);
}

static int core_read_lease(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_READ_LEASE);
  ev.read = (uint64_t)luaL_checkinteger(L, 3);
  return raft_lua_step(L, c, &ev);
}

static int core_form(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_FORM);
  struct raft_config config;
  raft_lua_check_config(L, 3, &config);
  ev.form = &config;
  return raft_lua_step(L, c, &ev);
}

/* NO_QUORUM says who is missing, as a mask of places in the target. */
static int core_change(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_CHANGE);
  struct raft_config target;
  ev.change.token = (uint64_t)luaL_checkinteger(L, 3);
  raft_lua_check_config(L, 4, &target);
  ev.change.target = &target;
  ev.change.based_on = (raft_index)luaL_checkinteger(L, 5);
  ev.change.is_forced = lua_toboolean(L, 6) != 0;
  int64_t rc = raft_step(c->r, &ev);
  if (rc < 0) {
    uint32_t missing = 0;
    if (rc == RAFT_E_NO_QUORUM) missing = raft_change_missing(c->r, &target);
    int pushed = raft_lua_fail(L, (int)rc);
    lua_pushinteger(L, missing);
    return pushed + 1;
  }
  lua_pushinteger(L, rc);
  return 1;
}

static int core_unreachable(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_UNREACHABLE);
  ev.unreachable = raft_id_of(luaL_checkstring(L, 3));
  return raft_lua_step(L, c, &ev);
}

static int core_space(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_SPACE);
  ev.has_space = lua_toboolean(L, 3) != 0;
  return raft_lua_step(L, c, &ev);
}

static int core_transfer(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_TRANSFER);
  if (lua_toboolean(L, 3)) ev.transfer.to = raft_id_of(luaL_checkstring(L, 3));
  ev.transfer.token = (uint64_t)luaL_optinteger(L, 4, 0);
  return raft_lua_step(L, c, &ev);
}

static int core_avoid(lua_State *L) {
  struct raft_lua_core *c;
  struct raft_event ev = event_of(L, &c, RAFT_EV_AVOID);
  ev.avoid = lua_toboolean(L, 3) != 0;
  return raft_lua_step(L, c, &ev);
}

static int core_wall(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  c->wall = raft_lua_check_ms(L, 2);
  return 0;
}

/* ---- questions ----------------------------------------------------------- */

/* When to tick at the latest, as of the last effects(); nil: never. */
static int core_deadline(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  if (c->batch.deadline == UINT64_MAX) return 0;
  lua_pushinteger(L, (lua_Integer)c->batch.deadline);
  return 1;
}

/* core:config() -> table, index; nil before a cluster has formed */
static int core_config(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  raft_index index;
  const struct raft_config *config = raft_config_in_force(c->r, &index);
  if (index == 0) return 0;
  raft_lua_push_config(L, config);
  lua_pushinteger(L, (lua_Integer)index);
  return 2;
}

static void set(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void push_peer(lua_State *L, const struct raft_peer_status *p) {
  static const char *const states[] = {
      [RAFT_PROBE] = "probe",
      [RAFT_REPLICATE] = "replicate",
      [RAFT_SNAPSHOT] = "snapshot",
  };
  lua_createtable(L, 0, 8);
  lua_pushstring(L, states[p->state]);
  lua_setfield(L, -2, "state");
  set(L, "match", p->match);
  set(L, "next", p->next);
  set(L, "heard", p->heard);
  set(L, "digest_index", p->sum.index);
  set(L, "digest", p->sum.digest);
  lua_pushboolean(L, p->is_leaving);
  lua_setfield(L, -2, "is_leaving");
}

static void push_peers(lua_State *L, const struct raft_status *s) {
  lua_createtable(L, 0, (int)s->peer_count);
  for (uint32_t i = 0; i < s->peer_count; i++) {
    raft_lua_push_name(L, 1, s->peers[i].id);
    push_peer(L, &s->peers[i]);
    lua_rawset(L, -3);
  }
}

/* core:status([t]) -> t filled */
static int core_status(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_status s;
  raft_status(c->r, &s);
  raft_lua_name_members(L, 1);
  lua_settop(L, 2);
  if (!lua_istable(L, 2)) {
    lua_settop(L, 1);
    lua_createtable(L, 0, 16);
  }
  lua_pushstring(L, raft_lua_role(s.state));
  lua_setfield(L, -2, "role");
  raft_lua_push_name(L, 1, s.leader);
  lua_setfield(L, -2, "leader");
  raft_lua_push_name(L, 1, s.heir);
  lua_setfield(L, -2, "heir");
  lua_pushboolean(L, s.is_leaving);
  lua_setfield(L, -2, "is_leaving");
  lua_pushboolean(L, s.has_lease);
  lua_setfield(L, -2, "has_lease");
  set(L, "term", s.term);
  set(L, "first", s.first);
  set(L, "last", s.last);
  set(L, "stored", s.stored);
  set(L, "commit", s.commit);
  set(L, "applied", s.applied);
  set(L, "agreed", s.agreed);
  set(L, "memory_first", s.memory_first);
  set(L, "snapshot", s.snapshot);
  set(L, "config_index", s.config_index);
  lua_pushboolean(L, s.is_settled);
  lua_setfield(L, -2, "is_settled");
  set(L, "memory_bytes", s.memory_bytes);
  set(L, "pending_bytes", s.pending_bytes);
  set(L, "reads", s.read_count);
  set(L, "bad_frames", s.bad_frames);
  lua_pushboolean(L, s.is_repairing);
  lua_setfield(L, -2, "repairing");
  push_peers(L, &s);
  lua_setfield(L, -2, "peers");
  return 1;
}

static int core_digest(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  uint64_t digest[2];
  raft_digest(c->r, digest);
  char text[33];
  snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, digest[0],
           digest[1]);
  lua_pushstring(L, text);
  return 1;
}

/* core:check() -> true, or nil and the broken invariant */
static int core_check(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  const char *broken = raft_check(c->r);
  if (broken == NULL) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, broken);
  return 2;
}

/* raft.core.crc32c(bytes, ...) -> the checksum of all of them in a row */
static int checksum(lua_State *L) {
  uint32_t crc = 0;
  for (int i = 1; i <= lua_gettop(L); i++) {
    size_t size;
    const char *bytes = luaL_checklstring(L, i, &size);
    crc = raft_crc32c(crc, bytes, size);
  }
  lua_pushinteger(L, crc);
  return 1;
}

/* ---- the module ---------------------------------------------------------- */

static void open_core(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"start", core_start},
      {"tick", core_tick},
      {"receive", raft_lua_receive},
      {"stored", core_stored},
      {"applied", core_applied},
      {"loaded", core_loaded},
      {"propose", raft_lua_propose},
      {"propose_session", raft_lua_propose_session},
      {"forward_session", raft_lua_forward_session},
      {"forward", raft_lua_forward},
      {"read", core_read},
      {"read_lease", core_read_lease},
      {"avoid", core_avoid},
      {"results", raft_lua_results},
      {"form", core_form},
      {"change", core_change},
      {"unreachable", core_unreachable},
      {"space", core_space},
      {"transfer", core_transfer},
      {"snapshot_made", raft_lua_snapshot_made},
      {"snapshot_received", raft_lua_snapshot_received},
      {"snapshot_meta", raft_lua_snapshot_meta},
      {"compacted", raft_lua_compacted},
      {"shipped", raft_lua_shipped},
      {"wall", core_wall},
      {"reader", raft_lua_reader},
      {"effects", raft_lua_effects},
      {"deadline", core_deadline},
      {"entry", raft_lua_entry},
      {"run", raft_lua_run},
      {"requests", raft_lua_requests},
      {"term_at", raft_lua_term_at},
      {"config", core_config},
      {"status", core_status},
      {"digest", core_digest},
      {"check", core_check},
      {"close", core_close},
      {"__gc", core_close},
      {"__close", core_close},
      {NULL, NULL},
  };
  luaL_newmetatable(L, RAFT_LUA_CORE); /* there already? it may be half made */
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, core_new);
  lua_setfield(L, -2, "new");
  lua_pushcfunction(L, checksum);
  lua_setfield(L, -2, "crc32c");
}

#pragma GCC visibility push(default)
int luaopen_raft_core(lua_State *L);
#pragma GCC visibility pop

int luaopen_raft_core(lua_State *L) {
  lua_createtable(L, 0, 32);
  open_core(L);
  raft_lua_open_reader(L);
  raft_lua_open_wire(L);
  raft_lua_open_codec(L);
  raft_lua_open_answer(L);
  raft_lua_open_kept(L);
  raft_lua_open_results(L);
  raft_lua_open_client(L);
  raft_lua_open_client_writer(L);
  raft_lua_open_ship(L);
  raft_lua_open_snapfile(L);
  raft_lua_open_config(L);
  raft_lua_open_wal(L);
  raft_lua_open_recovery(L);
  raft_lua_open_host(L);
  raft_lua_open_host_fork(L);
  raft_lua_open_host_aio(L);
  return 1;
}
