/* lua_log.c - entries of the log, to be applied.
 *
 *   core:entry(index)      -> kind, term, time, payload; nothing when not here
 *   core:run(first, last)  -> count, kind, term, time, payloads
 *   core:requests(first, last) -> count, commands, floors, term, time, session,
 *       sequence, span; or nothing
 *   core:term_at(index)    -> term; 0 where none is known
 *
 * A run is of entries that stand in a row and have kind, term and time in
 * common, as those have that were proposed at once. Of kind "stripped" is where
 * a witness has no command.
 *
 * Requests are a run of two or more SESSION entries, whose commands one session
 * has sent one after the other: `sequence` is that of the first. floors[i] is
 * the highest of the floors up to the i-th, and `span` the most answers that
 * are kept before one of them, when their floors alone count.
 */
#include "entry.h"
#include "lua_core.h"
#include "lua_session.h"

#define RUN_BYTES 65536 /* payloads of a run, about: they are in memory twice */

int raft_lua_entry(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_Integer index = luaL_checkinteger(L, 2);
  struct raft_entry e;
  if (index <= 0 || !raft_entry_at(c->r, (raft_index)index, &e)) return 0;
  return raft_lua_push_entry(L, &e);
}

/* Places for a table of what stands at [first, last]. */
static int room_for(lua_Integer first, lua_Integer last) {
  return last - first < 64 ? (int)(last - first) + 1 : 64;
}

static bool joins(const struct raft_entry *first, const struct raft_entry *e) {
  return e->kind == first->kind && e->flags == first->flags &&
         e->term == first->term && e->time == first->time;
}

/* Nothing when the first is not here. */
int raft_lua_run(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_Integer index = luaL_checkinteger(L, 2);
  lua_Integer last = luaL_checkinteger(L, 3);
  luaL_argcheck(L, last >= index, 3, "it ends before it begins");
  struct raft_entry first;
  struct raft_entry e;
  if (index <= 0 || !raft_entry_at(c->r, (raft_index)index, &first)) return 0;
  lua_settop(L, 1);
  lua_pushnil(L); /* where the count goes */
  raft_lua_push_entry(L, &first);
  lua_createtable(L, room_for(index, last), 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_Integer count = 1;
  for (size_t bytes = first.size; index + count <= last; count++) {
    if (!raft_entry_at(c->r, (raft_index)(index + count), &e)) break;
    bytes += e.size;
    if (bytes > RUN_BYTES || !joins(&first, &e)) break;
    lua_pushlstring(L, (const char *)e.payload, e.size);
    lua_rawseti(L, -2, count + 1);
  }
  lua_pushinteger(L, count);
  lua_replace(L, 2);
  return 5;
}

/* ---- commands of one session --------------------------------------------- */

struct requests {
  struct raft_entry first;
  struct raft_session_head head; /* of the first */
  lua_Integer count;
  lua_Integer floor; /* highest so far */
  lua_Integer span;  /* most sequences from the highest floor to one of them */
  size_t bytes;      /* of payloads */
};

/* Is the entry a command of a session? */
static bool read_request(const struct raft_entry *e,
                         struct raft_session_head *head) {
  return e->kind == RAFT_ENTRY_SESSION && e->flags == 0 &&
         raft_session_read(e->payload, e->size, head) &&
         raft_session_is_command(head);
}

/* Does it go on with what stands before it? */
static bool continues(const struct requests *all, const struct raft_entry *e) {
  struct raft_session_head head;
  return all->bytes + e->size <= RUN_BYTES && joins(&all->first, e) &&
         read_request(e, &head) && head.session == all->head.session &&
         head.sequence == all->head.sequence + all->count;
}

/* Appends a command to the list below the top of the stack, and its floor to
 * the one on top. */
static void push_request(lua_State *L, struct requests *all,
                         const struct raft_entry *e) {
  lua_Integer floor =
      (lua_Integer)raft_get_u64(e->payload + RAFT_SESSION_AT_FLOOR);
  lua_Integer sequence = all->head.sequence + all->count;
  if (floor > all->floor) all->floor = floor;
  if (sequence - all->floor > all->span) all->span = sequence - all->floor;
  all->bytes += e->size;
  all->count++;
  lua_pushlstring(L, (const char *)e->payload + RAFT_SESSION_HEAD_BYTES,
                  e->size - RAFT_SESSION_HEAD_BYTES);
  lua_rawseti(L, -3, all->count);
  lua_pushinteger(L, all->floor);
  lua_rawseti(L, -2, all->count);
}

/* Nothing when there are not two of them. */
int raft_lua_requests(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  lua_Integer index = luaL_checkinteger(L, 2);
  lua_Integer last = luaL_checkinteger(L, 3);
  luaL_argcheck(L, last >= index, 3, "it ends before it begins");
  struct requests all = {0};
  struct raft_entry e;
  if (index <= 0 || !raft_entry_at(c->r, (raft_index)index, &all.first))
    return 0;
  if (!read_request(&all.first, &all.head)) return 0;
  if (index == last || !raft_entry_at(c->r, (raft_index)index + 1, &e))
    return 0;
  all.count = 1; /* as if the first were there */
  if (!continues(&all, &e)) return 0;
  all.count = 0;
  lua_settop(L, 1);
  lua_createtable(L, room_for(index, last), 0);
  lua_createtable(L, room_for(index, last), 0);
  push_request(L, &all, &all.first);
  for (; index + all.count <= last; push_request(L, &all, &e)) {
    if (!raft_entry_at(c->r, (raft_index)(index + all.count), &e)) break;
    if (!continues(&all, &e)) break;
  }
  lua_pushinteger(L, all.count);
  lua_insert(L, 2);
  lua_pushinteger(L, (lua_Integer)all.first.term);
  lua_pushinteger(L, (lua_Integer)all.first.time);
  lua_pushinteger(L, all.head.session);
  lua_pushinteger(L, all.head.sequence);
  lua_pushinteger(L, all.span);
  return 8; /* count, commands, floors, term, time, session, sequence, span */
}

int raft_lua_term_at(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  raft_index index = (raft_index)luaL_checkinteger(L, 2);
  lua_pushinteger(L, (lua_Integer)raft_term_at(c->r, index));
  return 1;
}
