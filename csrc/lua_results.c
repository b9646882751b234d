/* lua_results.c - raft.core.results: the digest that runs over what applying
 * has come to, see raft.results.
 *
 *   results.plain(digest, value)            -> digest; nil: no plain value
 *   results.many(digest, values, from, to)  -> digest, next: of plain values up
 *                                              to the one before `next`
 *   results.word(digest, word)              -> digest: of what is none
 *
 * Plain are integers, booleans and strings. The digest is the same on every
 * node and machine, and stands in snapshots: none of this may ever change.
 */
#include "lua_raft.h"

#include "crc32c.h"

#include <limits.h>

/* Odd: no two words meet. */
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

/* Words that stand for results; of the others the tag goes in. */
#define WORD_TRUE   UINT64_C(0x510e527fade682d1)
#define WORD_FALSE  UINT64_C(0x1f83d9abfb41bd6b)
#define TAG_INTEGER UINT64_C(0x243f6a8885a308d3)
#define TAG_STRING  UINT64_C(0x13198a2e03707344)

static uint64_t mix(uint64_t digest, uint64_t word) {
  uint64_t mixed = (digest ^ word) * MULTIPLIER;
  return mixed ^ mixed >> 29;
}

static uint64_t word_of_string(lua_State *L) {
  size_t size;
  const char *bytes = lua_tolstring(L, -1, &size);
  return TAG_STRING ^ (uint64_t)size << 32 ^ raft_crc32c(0, bytes, size);
}

/* Of the value on top. False: it is not plain. */
static bool mix_top(lua_State *L, uint64_t *digest) {
  uint64_t word = 0;
  switch (lua_type(L, -1)) {
  case LUA_TNUMBER:
    if (!lua_isinteger(L, -1)) return false;
    word = (uint64_t)lua_tointeger(L, -1) * MULTIPLIER ^ TAG_INTEGER;
    break;
  case LUA_TBOOLEAN:
    word = lua_toboolean(L, -1) != 0 ? WORD_TRUE : WORD_FALSE;
    break;
  case LUA_TSTRING: word = word_of_string(L); break;
  default: return false;
  }
  *digest = mix(*digest, word);
  return true;
}

static int plain(lua_State *L) {
  uint64_t digest = (uint64_t)luaL_checkinteger(L, 1);
  lua_settop(L, 2);
  if (!mix_top(L, &digest)) return 0;
  lua_pushinteger(L, (lua_Integer)digest);
  return 1;
}

static int many(lua_State *L) {
  uint64_t digest = (uint64_t)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer i = luaL_checkinteger(L, 3);
  lua_Integer to = luaL_checkinteger(L, 4);
  luaL_argcheck(L, i > 0 && to < INT_MAX, 4, "a list");
  for (; i <= to; i++) {
    lua_rawgeti(L, 2, i);
    if (!mix_top(L, &digest)) break;
    lua_pop(L, 1);
  }
  lua_pushinteger(L, (lua_Integer)digest);
  lua_pushinteger(L, i);
  return 2;
}

static int word(lua_State *L) {
  uint64_t digest = (uint64_t)luaL_checkinteger(L, 1);
  uint64_t given = (uint64_t)luaL_checkinteger(L, 2);
  lua_pushinteger(L, (lua_Integer)mix(digest, given));
  return 1;
}

void raft_lua_open_results(lua_State *L) {
  static const luaL_Reg FUNCTIONS[] = {
      {"plain", plain},
      {"many", many},
      {"word", word},
      {NULL, NULL},
  };
  luaL_newlib(L, FUNCTIONS);
  lua_setfield(L, -2, "results");
}
