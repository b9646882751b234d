/* lua_state.c - a Lua state for a target that is written in Lua. */
#include "lua_state.h"

#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

#include <stdio.h>

int luaopen_raft_core(lua_State *L); /* of the binding */

/* What libFuzzer takes for branches beside those of C: pairs of lines that ran
 * one after the other. */
#define COUNTERS 8192
#ifdef __linux__
__attribute__((section("__libfuzzer_extra_counters")))
#endif
static uint8_t counters[COUNTERS];
static unsigned line_before;

static void on_line(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "S", ar);
  unsigned line = (unsigned)ar->currentline * 31u + (unsigned)ar->linedefined;
  unsigned at = (line * 2654435761u ^ line_before * 97u) % COUNTERS;
  if (counters[at] < UINT8_MAX) counters[at]++;
  line_before = line;
}

lua_State *fuzz_lua_open(const char *file, bool is_lua) {
  lua_State *L = luaL_newstate();
  DEMAND(L != NULL);
  luaL_openlibs(L);
  luaL_requiref(L, "raft.core", luaopen_raft_core, 0);
  int error = luaL_dostring(L, "package.path = 'lua/?.lua;' .. package.path");
  DEMAND(error == LUA_OK);
  lua_settop(L, 0);
  if (luaL_dofile(L, file) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    DEMAND(false);
  }
  DEMAND(lua_isfunction(L, -1));
  if (is_lua) lua_sethook(L, on_line, LUA_MASKLINE, 0);
  return L;
}

void fuzz_lua_call(lua_State *L, const uint8_t *data, size_t size) {
  line_before = 0;
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    DEMAND(false);
  }
  lua_gc(L, LUA_GCCOLLECT); /* finalizers are part of the test */
  DEMAND(lua_gettop(L) == 1);
}
