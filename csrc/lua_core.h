/* lua_core.h - one replica as a userdata: shared by lua_core.c (events and
 * questions), lua_effects.c (the batch) and lua_reader.c (frames). */
#ifndef LUA_CORE_H
#define LUA_CORE_H

#include "lua_raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_LUA_CORE "raft.core"

struct raft_lua_core {
  struct raft *r;          /* NULL once closed */
  raft_ms wall;            /* the wall clock of this turn */
  raft_index named;        /* configuration whose names are registered */
  struct raft_batch batch; /* taken last */
  uint32_t next;           /* first effect of it not yet handed to Lua */
};

/* The open replica at `arg`; raises otherwise. */
struct raft_lua_core *raft_lua_check_core(lua_State *L, int arg);

/* A time in ms at `arg`. */
raft_ms raft_lua_check_ms(lua_State *L, int arg);

/* The name of a role for Lua: RAFT_PRE_CANDIDATE -> "pre_candidate". */
const char *raft_lua_role(enum raft_state state);

/* Events of this replica start from here. */
struct raft_event raft_lua_event(const struct raft_lua_core *c,
                                 enum raft_event_kind kind, raft_ms now);

/* Steps; pushes true, or the positive answer, or nil and a code. */
int raft_lua_step(lua_State *L, struct raft_lua_core *c,
                  const struct raft_event *ev);

/* Remembers that an id belongs to the name at `name_index` of the stack. The
 * uservalue of the core at `core_index` maps ids to names. */
void raft_lua_name(lua_State *L, int core_index, raft_id id, int name_index);

/* Pushes the name of an id, or false for nobody. */
void raft_lua_push_name(lua_State *L, int core_index, raft_id id);

/* Registers the names of the configuration in force, once. */
void raft_lua_name_members(lua_State *L, int core_index);

int raft_lua_effects(lua_State *L); /* core:effects() */

/* lua_commands.c: commands on their way into the log. */
int raft_lua_propose(lua_State *L);
int raft_lua_propose_session(lua_State *L);
int raft_lua_forward(lua_State *L);
int raft_lua_forward_session(lua_State *L);

/* lua_log.c: entries, to be applied. */
int raft_lua_entry(lua_State *L);
int raft_lua_run(lua_State *L);
int raft_lua_requests(lua_State *L);
int raft_lua_term_at(lua_State *L);

/* lua_snapshot.c: events and questions about snapshots and results. */
struct raft_snapshot raft_lua_check_snapshot(lua_State *L, int arg);
int raft_lua_snapshot_made(lua_State *L);
int raft_lua_snapshot_received(lua_State *L);
int raft_lua_snapshot_meta(lua_State *L);
int raft_lua_compacted(lua_State *L);
int raft_lua_shipped(lua_State *L);
int raft_lua_results(lua_State *L);
int raft_lua_reader(lua_State *L);  /* core:reader(name, incarnation) */
int raft_lua_receive(lua_State *L); /* core:receive(now, reader, chunk) */
void raft_lua_open_reader(lua_State *L);

#pragma GCC visibility pop
#endif
