/* lua_config.c - configurations as Lua tables, and raft.core's functions of
 * them.
 *
 *   config_encode(t) -> bytes         config_decode(bytes) -> t | nil, code
 *   config_check(t) -> true | nil, reason
 *   config_plan(t) -> integer         config_identity(t, cluster) -> 16 bytes
 *   config_entry(t, index, term, time) -> the encoded entry that holds it
 *   id_of(name) -> integer
 *
 * A configuration in Lua:
 *
 *   { election_min_ms = 500, leases = false, joint = false,
 *     identity = 16 bytes or nil,
 *     quorum = nil (majority) | { election = n, commit = n }
 *       | { election = { { "n1", "n2" }, ... }, commit = { ... } },
 *     members = { [name] = { address =, role = "voter" | "learner" | "witness",
 *                 goal =, priority =, incarnation = } } }
 *
 * A joint one has next_quorum beside quorum and, in each member, next_role
 * beside role; `false` where the member belongs to one half only. One that is
 * not settled, and not joint yet, may have next_quorum, the rule to reach, and
 * goals that differ; there next_quorum = false is a majority. A goal of `false`
 * is to leave. Left out, role is "voter", goal is the role to come, numbers are
 * 0; next_quorum is a majority in a joint one, and quorum in another.
 */
#include "lua_raft.h"

#include <string.h>

#include "config.h"
#include "entry.h"

static const char *const role_names[] = {
    [RAFT_ROLE_VOTER] = "voter",
    [RAFT_ROLE_LEARNER] = "learner",
    [RAFT_ROLE_WITNESS] = "witness",
};

static const char *const purposes[] = {
    [RAFT_ELECTION] = "election",
    [RAFT_COMMIT] = "commit",
};

/* ---- from a table: fields of the one on top of the stack ----------------- */

/* Raises: config.members.n2.role: expected a role, got number. The value is on
 * top; `path` ends in a point or is empty. */
static void fail_field(lua_State *L, const char *path, const char *key,
                       const char *expected) {
  const char *got = luaL_typename(L, -1);
  luaL_error(L, "config.%s%s: expected %s, got %s", path, key, expected, got);
}

/* The integer at `key`, 0 when there is none. */
static lua_Integer get_integer(lua_State *L, const char *path,
                               const char *key) {
  int type = lua_getfield(L, -1, key);
  int is_integer = type == LUA_TNIL;
  lua_Integer v = 0;
  if (type == LUA_TNUMBER) v = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) fail_field(L, path, key, "an integer");
  lua_pop(L, 1);
  return v;
}

/* The same in 0..max. */
static uint32_t get_small(lua_State *L, const char *path, const char *key,
                          uint32_t max) {
  lua_Integer v = get_integer(L, path, key);
  if (v < 0 || v > (lua_Integer)max)
    luaL_error(L, "config.%s%s: expected 0..%I, got %I", path, key,
               (lua_Integer)max, v);
  return (uint32_t)v;
}

static bool get_bool(lua_State *L, const char *path, const char *key) {
  int type = lua_getfield(L, -1, key);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    fail_field(L, path, key, "a boolean");
  bool v = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return v;
}

/* A role, `missing` for nil, none for false. */
static uint8_t get_role(lua_State *L, const char *path, const char *key,
                        uint8_t missing) {
  int type = lua_getfield(L, -1, key);
  const char *text = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  uint8_t role = type == LUA_TNIL ? missing : RAFT_ROLE_NONE;
  for (uint8_t i = RAFT_ROLE_VOTER; i <= RAFT_ROLE_WITNESS; i++)
    if (text != NULL && strcmp(text, role_names[i]) == 0) role = i;
  bool is_known = role != RAFT_ROLE_NONE || type == LUA_TNIL ||
                  (type == LUA_TBOOLEAN && !lua_toboolean(L, -1));
  if (!is_known) fail_field(L, path, key, "voter, learner, witness or false");
  lua_pop(L, 1);
  return role;
}

/* Copies the text at stack position `at` without its last zero. */
static void copy_text(lua_State *L, int at, const char *what, char *out,
                      size_t room) {
  size_t size;
  const char *text = lua_tolstring(L, at, &size);
  if (size >= room)
    luaL_error(L, "config.%s: at most %d bytes", what, (int)room - 1);
  if (memchr(text, '\0', size) != NULL)
    luaL_error(L, "config.%s: holds a zero byte", what);
  memcpy(out, text, size);
}

static void get_identity(lua_State *L, struct raft_config *out) {
  if (lua_getfield(L, -1, "identity") != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING)
      fail_field(L, "", "identity", "a string or nil");
    size_t size;
    const char *bytes = lua_tolstring(L, -1, &size);
    if (size != RAFT_IDENTITY_BYTES)
      luaL_error(L, "config.identity: expected %d bytes", RAFT_IDENTITY_BYTES);
    memcpy(out->identity, bytes, size);
  }
  lua_pop(L, 1);
}

/* ---- members ------------------------------------------------------------- */

static void get_roles(lua_State *L, const char *path, bool joint,
                      struct raft_member *m) {
  m->role[RAFT_OLD] = get_role(L, path, "role", RAFT_ROLE_VOTER);
  m->role[RAFT_NEW] = m->role[RAFT_OLD];
  if (lua_getfield(L, -1, "next_role") != LUA_TNIL && !joint)
    fail_field(L, path, "next_role", "nil where it is not joint");
  lua_pop(L, 1);
  if (joint)
    m->role[RAFT_NEW] = get_role(L, path, "next_role", m->role[RAFT_OLD]);
  m->goal = get_role(L, path, "goal", m->role[RAFT_NEW]);
}

/* The name is below the member's table on the stack. */
static void get_member(lua_State *L, bool joint, struct raft_member *m) {
  copy_text(L, -2, "members: a name", m->name, sizeof m->name);
  const char *path = lua_pushfstring(L, "members.%s.", m->name);
  lua_insert(L, -2); /* name, path, member: the path stays anchored */
  if (!lua_istable(L, -1)) fail_field(L, "members.", m->name, "a table");
  m->id = raft_id_of(m->name);
  get_roles(L, path, joint, m);
  m->priority = (uint8_t)get_small(L, path, "priority", UINT8_MAX);
  m->incarnation = (uint64_t)get_integer(L, path, "incarnation");
  if (lua_getfield(L, -1, "address") != LUA_TSTRING)
    fail_field(L, path, "address", "a string");
  copy_text(L, -1, "members: an address", m->address, sizeof m->address);
  lua_pop(L, 3); /* address, member, path */
}

static void get_members(lua_State *L, struct raft_config *out) {
  if (lua_getfield(L, -1, "members") != LUA_TTABLE)
    fail_field(L, "", "members", "a table");
  luaL_checkstack(L, 8, "configuration");
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "config.members: a name is a string");
    if (out->count == RAFT_MEMBERS_MAX)
      luaL_error(L, "config.members: at most %d", RAFT_MEMBERS_MAX);
    get_member(L, out->joint, &out->members[out->count]);
    out->count++;
  }
  lua_pop(L, 1);
  raft_config_sort(out); /* masks of sets refer to this order */
}

/* ---- quorum rules -------------------------------------------------------- */

/* The mask of a list of names, on top of the stack. */
static uint32_t get_set(lua_State *L, const char *path, const char *key,
                        const struct raft_config *c) {
  uint32_t mask = 0;
  if (!lua_istable(L, -1)) fail_field(L, path, key, "lists of names");
  lua_Integer n = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, -1, i);
    const char *name =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int at = name != NULL ? raft_config_find(c, raft_id_of(name)) : -1;
    if (at < 0) fail_field(L, path, key, "names of members");
    mask |= (uint32_t)1 << at;
    lua_pop(L, 1);
  }
  return mask;
}

/* The sets for one purpose; the rule's table is on top. */
static void get_sets(lua_State *L, const char *path, int purpose,
                     const struct raft_config *c, struct raft_rule *rule) {
  if (lua_getfield(L, -1, purposes[purpose]) != LUA_TTABLE)
    fail_field(L, path, purposes[purpose], "a list of sets");
  lua_Integer n = luaL_len(L, -1);
  if (n > RAFT_SETS_MAX)
    luaL_error(L, "config.%s%s: at most %d sets", path, purposes[purpose],
               RAFT_SETS_MAX);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, -1, i);
    rule->sets[purpose][i - 1] = get_set(L, path, purposes[purpose], c);
    lua_pop(L, 1);
  }
  rule->set_count[purpose] = (uint8_t)n;
  lua_pop(L, 1);
}

static void get_rule(lua_State *L, const char *key, const struct raft_config *c,
                     struct raft_rule *rule) {
  rule->kind = RAFT_RULE_MAJORITY;
  const char *path = lua_pushfstring(L, "%s.", key);
  lua_insert(L, -2);
  int type = lua_getfield(L, -1, key);
  bool is_false = type == LUA_TBOOLEAN && !lua_toboolean(L, -1);
  if (type != LUA_TNIL && type != LUA_TTABLE && !is_false)
    fail_field(L, "", key, "a table, false or nil");
  if (type == LUA_TTABLE) {
    bool has_sets = lua_getfield(L, -1, "election") == LUA_TTABLE;
    lua_pop(L, 1);
    rule->kind = has_sets ? RAFT_RULE_SETS : RAFT_RULE_SIZES;
    for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
      if (has_sets)
        get_sets(L, path, p, c, rule);
      else
        rule->size[p] = (uint8_t)get_small(L, path, purposes[p], UINT8_MAX);
    }
  }
  lua_pop(L, 1);
  lua_remove(L, -2); /* the path */
}

void raft_lua_check_config(lua_State *L, int arg, struct raft_config *out) {
  luaL_checktype(L, arg, LUA_TTABLE);
  luaL_checkstack(L, 16, "configuration");
  memset(out, 0, sizeof *out);
  lua_pushvalue(L, arg);
  get_identity(L, out);
  out->election_min_ms = get_small(L, "", "election_min_ms", UINT32_MAX);
  out->leases = get_bool(L, "", "leases");
  out->joint = get_bool(L, "", "joint");
  get_members(L, out);
  get_rule(L, "quorum", out, &out->rule[RAFT_OLD]);
  out->rule[RAFT_NEW] = out->rule[RAFT_OLD];
  bool has_next = lua_getfield(L, -1, "next_quorum") != LUA_TNIL;
  lua_pop(L, 1);
  if (out->joint || has_next) {
    memset(&out->rule[RAFT_NEW], 0, sizeof out->rule[RAFT_NEW]);
    get_rule(L, "next_quorum", out, &out->rule[RAFT_NEW]);
  }
  lua_pop(L, 1);
}

/* ---- to a table ---------------------------------------------------------- */

static void set_integer(lua_State *L, const char *key, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static void set_bool(lua_State *L, const char *key, bool v) {
  lua_pushboolean(L, v);
  lua_setfield(L, -2, key);
}

static void set_role(lua_State *L, const char *key, uint8_t role) {
  if (role == RAFT_ROLE_NONE)
    lua_pushboolean(L, 0);
  else
    lua_pushstring(L, role_names[role]);
  lua_setfield(L, -2, key);
}

static void push_member(lua_State *L, const struct raft_config *c,
                        const struct raft_member *m) {
  lua_createtable(L, 0, 8);
  set_integer(L, "id", m->id);
  set_integer(L, "incarnation", m->incarnation);
  set_integer(L, "priority", m->priority);
  set_role(L, "role", m->role[RAFT_OLD]);
  if (c->joint) set_role(L, "next_role", m->role[RAFT_NEW]);
  set_role(L, "goal", m->goal);
  lua_pushstring(L, m->address);
  lua_setfield(L, -2, "address");
}

static void push_set(lua_State *L, const struct raft_config *c, uint32_t mask) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (uint32_t i = 0; i < c->count; i++) {
    if ((mask >> i & 1) == 0) continue;
    lua_pushstring(L, c->members[i].name);
    lua_seti(L, -2, ++n);
  }
}

static void push_sets(lua_State *L, const struct raft_config *c,
                      const struct raft_rule *rule, int purpose) {
  lua_createtable(L, rule->set_count[purpose], 0);
  for (int i = 0; i < rule->set_count[purpose]; i++) {
    push_set(L, c, rule->sets[purpose][i]);
    lua_seti(L, -2, i + 1);
  }
}

static void set_rule(lua_State *L, const char *key, const struct raft_config *c,
                     const struct raft_rule *rule) {
  bool is_majority = rule->kind == RAFT_RULE_MAJORITY;
  if (is_majority && rule == &c->rule[RAFT_NEW] && !c->joint) {
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, key);
  }
  if (is_majority) return;
  lua_createtable(L, 0, 2);
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
    if (rule->kind == RAFT_RULE_SETS)
      push_sets(L, c, rule, p);
    else
      lua_pushinteger(L, rule->size[p]);
    lua_setfield(L, -2, purposes[p]);
  }
  lua_setfield(L, -2, key);
}

static void set_identity(lua_State *L, const struct raft_config *c) {
  static const uint8_t none[RAFT_IDENTITY_BYTES];
  if (memcmp(c->identity, none, sizeof none) == 0) return;
  lua_pushlstring(L, (const char *)c->identity, RAFT_IDENTITY_BYTES);
  lua_setfield(L, -2, "identity");
}

void raft_lua_push_config(lua_State *L, const struct raft_config *c) {
  luaL_checkstack(L, 8, "configuration");
  lua_createtable(L, 0, 8);
  set_identity(L, c);
  set_integer(L, "election_min_ms", c->election_min_ms);
  set_bool(L, "leases", c->leases);
  set_bool(L, "joint", c->joint);
  set_rule(L, "quorum", c, &c->rule[RAFT_OLD]);
  if (c->joint ||
      !raft_config_same_rule(&c->rule[RAFT_OLD], &c->rule[RAFT_NEW]))
    set_rule(L, "next_quorum", c, &c->rule[RAFT_NEW]);
  lua_createtable(L, 0, (int)c->count);
  for (uint32_t i = 0; i < c->count; i++) {
    push_member(L, c, &c->members[i]);
    lua_setfield(L, -2, c->members[i].name);
  }
  lua_setfield(L, -2, "members");
}

/* ---- functions ----------------------------------------------------------- */

/* A configuration that keeps the rules; raises with the broken one. */
static void check_valid(lua_State *L, struct raft_config *out) {
  raft_lua_check_config(L, 1, out);
  const char *broken = raft_config_check(out);
  if (broken != NULL) luaL_error(L, "config: %s", broken);
}

static int config_encode(lua_State *L) {
  struct raft_config c;
  uint8_t out[RAFT_CONFIG_BYTES_MAX];
  check_valid(L, &c);
  size_t size = raft_config_encode(&c, out);
  lua_pushlstring(L, (const char *)out, size);
  return 1;
}

static int config_entry(lua_State *L) {
  struct raft_config c;
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t out[RAFT_ENTRY_HEADER_BYTES + RAFT_CONFIG_BYTES_MAX];
  check_valid(L, &c);
  lua_Integer index = luaL_checkinteger(L, 2);
  lua_Integer term = luaL_checkinteger(L, 3);
  lua_Integer time = luaL_checkinteger(L, 4);
  luaL_argcheck(L, index > 0, 2, "no index");
  luaL_argcheck(L, term > 0, 3, "no term");
  luaL_argcheck(L, time >= 0, 4, "no time");
  struct raft_entry e = {
      .index = (raft_index)index,
      .term = (raft_term)term,
      .time = (raft_ms)time,
      .kind = RAFT_ENTRY_CONFIG,
      .size = (uint32_t)raft_config_encode(&c, payload),
      .payload = payload,
  };
  size_t size = raft_entry_encode(&e, out);
  lua_pushlstring(L, (const char *)out, size);
  return 1;
}

static int config_decode(lua_State *L) {
  struct raft_config c;
  size_t size;
  const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 1, &size);
  int error = raft_config_decode(bytes, size, &c);
  if (error != RAFT_OK) return raft_lua_fail(L, error);
  raft_lua_push_config(L, &c);
  return 1;
}

static int config_check(lua_State *L) {
  struct raft_config c;
  raft_lua_check_config(L, 1, &c);
  const char *broken = raft_config_check(&c);
  if (broken == NULL) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, broken);
  return 2;
}

static int config_plan(lua_State *L) {
  struct raft_config c;
  check_valid(L, &c);
  lua_pushinteger(L, (lua_Integer)raft_config_plan(&c));
  return 1;
}

static int config_identity(lua_State *L) {
  struct raft_config c;
  uint8_t identity[RAFT_IDENTITY_BYTES];
  check_valid(L, &c);
  const char *cluster = luaL_checkstring(L, 2);
  raft_config_identity(&c, cluster, identity);
  lua_pushlstring(L, (const char *)identity, sizeof identity);
  return 1;
}

static int id_of(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)raft_id_of(luaL_checkstring(L, 1)));
  return 1;
}

void raft_lua_open_config(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"config_encode", config_encode},
      {"config_entry", config_entry},
      {"config_decode", config_decode},
      {"config_check", config_check},
      {"config_plan", config_plan},
      {"config_identity", config_identity},
      {"id_of", id_of},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_setfuncs(L, functions, 0);
}
