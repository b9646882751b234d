/* lua_commands.c - commands on their way into the log.
 *
 *   core:propose(now, command, ...)         -> index of the first | nil, code
 *   core:propose_session(now, request, ...) -> the same, of SESSION entries
 *   core:forward(now, token, command, ...)  -> true | nil, code
 *   core:forward_session(now, token, request, ...)
 *
 * In the place of the commands may stand a list of them, and how many of it:
 * many would not pass the stack.
 */
#include "lua_core.h"

#define FEW 8 /* commands whose slices fit on the C stack */

static struct raft_slice check_command(lua_State *L, int arg) {
  size_t size;
  luaL_checktype(L, arg, LUA_TSTRING);
  const char *bytes = lua_tolstring(L, arg, &size);
  return (struct raft_slice){(const uint8_t *)bytes, size};
}

/* Room for so many; what is on the stack of Lua keeps it. */
static struct raft_slice *room_for(lua_State *L, struct raft_slice *few,
                                   lua_Integer count) {
  if (count <= FEW) return few;
  return lua_newuserdatauv(L, (size_t)count * sizeof *few, 0);
}

/* The list keeps its strings alive while they are looked at. */
static int step_list(lua_State *L, struct raft_lua_core *c,
                     struct raft_event *ev, int list) {
  struct raft_slice few[FEW];
  lua_Integer count = luaL_checkinteger(L, list + 1);
  luaL_argcheck(L, count > 0 && count <= INT32_MAX, list + 1, "how many?");
  struct raft_slice *all = room_for(L, few, count);
  for (lua_Integer i = 0; i < count; i++) {
    size_t size;
    if (lua_rawgeti(L, list, i + 1) != LUA_TSTRING)
      return luaL_argerror(L, list, "a command is no string");
    const char *bytes = lua_tolstring(L, -1, &size);
    all[i] = (struct raft_slice){(const uint8_t *)bytes, size};
    lua_pop(L, 1);
  }
  ev->propose.commands = all;
  ev->propose.count = (uint32_t)count;
  return raft_lua_step(L, c, ev);
}

static int step_arguments(lua_State *L, struct raft_lua_core *c,
                          struct raft_event *ev, int first) {
  struct raft_slice few[FEW];
  int count = lua_gettop(L) - first + 1;
  luaL_argcheck(L, count > 0, first, "a command is missing");
  struct raft_slice *all = room_for(L, few, count);
  for (int i = 0; i < count; i++)
    all[i] = check_command(L, first + i);
  ev->propose.commands = all;
  ev->propose.count = (uint32_t)count;
  return raft_lua_step(L, c, ev);
}

static int step(lua_State *L, struct raft_lua_core *c, struct raft_event *ev,
                int first) {
  if (lua_istable(L, first)) return step_list(L, c, ev, first);
  return step_arguments(L, c, ev, first);
}

static int propose(lua_State *L, bool is_session) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev =
      raft_lua_event(c, RAFT_EV_PROPOSE, raft_lua_check_ms(L, 2));
  ev.propose.is_session = is_session;
  return step(L, c, &ev, 3);
}

static int forward(lua_State *L, bool is_session) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  struct raft_event ev =
      raft_lua_event(c, RAFT_EV_FORWARD, raft_lua_check_ms(L, 2));
  ev.propose.token = (uint64_t)luaL_checkinteger(L, 3);
  ev.propose.is_session = is_session;
  return step(L, c, &ev, 4);
}

int raft_lua_propose(lua_State *L) {
  return propose(L, false);
}

int raft_lua_propose_session(lua_State *L) {
  return propose(L, true);
}

int raft_lua_forward(lua_State *L) {
  return forward(L, false);
}

int raft_lua_forward_session(lua_State *L) {
  return forward(L, true);
}
