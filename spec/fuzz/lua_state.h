/* lua_state.h - a Lua state for a target that is written in Lua. */
#ifndef RAFT_FUZZ_LUA_STATE_H
#define RAFT_FUZZ_LUA_STATE_H

#include <lua.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A state with the standard libraries and raft.core, and on its stack the
 * function that the file returns; run at the root of the tree. With `is_lua`
 * the lines that run guide libFuzzer, not only the branches of C. */
lua_State *fuzz_lua_open(const char *file, bool is_lua);

/* Calls the function with the bytes; what it raises ends the program. */
void fuzz_lua_call(lua_State *L, const uint8_t *data, size_t size);

#endif
