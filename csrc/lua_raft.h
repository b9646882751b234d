/* lua_raft.h - what the files of the binding share. Only lua_*.c include it.
 *
 * `raft.core` is one table; each file adds its functions to it:
 *   lua_core.c    a replica         lua_wire.c  hello, refusal, ping frames
 *   lua_config.c  configurations    lua_wal.c   log batches and recovery
 *   lua_recovery.c  what a core starts from
 *   lua_codec.c   plain values as bytes
 *   lua_answer.c  answers and queries of clients as bytes
 *   lua_kept.c    answers that sessions keep
 *   lua_client.c, lua_client_writer.c  frames between clients and nodes
 *   lua_ship.c    frames on the connection of a snapshot
 *   lua_snapfile.c  the file of a snapshot
 *   lua_host.c    what luv lacks: lock, preallocation, wall clock
 *   lua_host_fork.c  a child that writes a file
 *
 * Rule of all of them: check arguments (may raise), call C (never raises), push
 * results (may raise). Memory that malloc gave lives in a userdata with __gc
 * before anything can raise.
 */
#ifndef LUA_RAFT_H
#define LUA_RAFT_H

#include <lauxlib.h>
#include <lua.h>

#include "raft.h"

#pragma GCC visibility push(hidden)

/* Each adds its functions to the table on top of the stack. */
void raft_lua_open_wire(lua_State *L);
void raft_lua_open_codec(lua_State *L);
void raft_lua_open_answer(lua_State *L);
void raft_lua_open_kept(lua_State *L);
void raft_lua_open_results(lua_State *L);
void raft_lua_open_client(lua_State *L);
void raft_lua_open_client_writer(lua_State *L);
void raft_lua_open_ship(lua_State *L);
void raft_lua_open_snapfile(lua_State *L);
void raft_lua_open_config(lua_State *L);
void raft_lua_open_wal(lua_State *L);
void raft_lua_open_recovery(lua_State *L);
void raft_lua_open_host(lua_State *L);
void raft_lua_open_host_fork(lua_State *L);
void raft_lua_open_host_aio(lua_State *L); /* after open_host */

/* A class of userdata with these methods, once. */
void raft_lua_new_class(lua_State *L, const char *name, lua_CFunction gc,
                        const luaL_Reg *methods);

/* The recovery object at `arg` (raises when it is none); owned by it. */
const struct raft_recovery *raft_lua_check_recovery(lua_State *L, int arg);

/* Pushes a recovery object that takes over what the state owns; the state is
 * empty then. After an error it is as it was. */
struct raft_wal_state;
const struct raft_recovery *
raft_lua_push_recovery(lua_State *L, struct raft_wal_state *state);

/* A configuration from a table and back. `check` raises with the path; `push`
 * gives { identity=, joint=, leases=, election_min_ms=, quorum=, members =
 * { [name] = { id=, address=, role=, goal=, priority=, incarnation= } } }. */
void raft_lua_check_config(lua_State *L, int arg, struct raft_config *out);
void raft_lua_push_config(lua_State *L, const struct raft_config *c);

/* Pushes kind, term, time and payload of an entry. Of kind "stripped" it is
 * where a witness has no command. Returns 4. */
struct raft_entry;
int raft_lua_push_entry(lua_State *L, const struct raft_entry *e);

/* The code of an error for Lua: RAFT_E_CORRUPT -> "corrupt". */
const char *raft_lua_code(int error);

/* nil, code: RAFT_E_CORRUPT -> nil, "corrupt". Returns 2. */
int raft_lua_fail(lua_State *L, int error);

#pragma GCC visibility pop
#endif
