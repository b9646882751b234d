/* binding.c - raft.core under any calls with any arguments; binding.lua reads
 * the input as a list of them. */
#include "fuzz.h"
#include "lua_state.h"

void fuzz_binding(const uint8_t *data, size_t size) {
  static lua_State *L;
  if (L == NULL) L = fuzz_lua_open("spec/fuzz/binding.lua", false);
  fuzz_lua_call(L, data, size);
}
