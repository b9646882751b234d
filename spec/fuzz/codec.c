/* codec.c - raft.codec in a Lua state; what it checks is in codec.lua. */
#include "fuzz.h"
#include "lua_state.h"

void fuzz_codec(const uint8_t *data, size_t size) {
  static lua_State *L;
  if (L == NULL) L = fuzz_lua_open("spec/fuzz/codec.lua", true);
  fuzz_lua_call(L, data, size);
}
