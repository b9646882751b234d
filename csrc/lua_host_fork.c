/* lua_host_fork.c - raft.core.host.fork_writer: a function of Lua writes a file
 * in a child.
 *
 *   fork_writer(path, writer) -> child | nil, errno, text
 *     In the child writer(write) runs; write(bytes) appends to the file at
 *     `path`, which is made anew. Then the file is synced, and the child ends.
 *     The child says what it does on a pipe:
 *       "." for each MiB;  at the end "=<bytes>" or "!<text>"; then it closes
 *     child:pipe() -> fd       once: it is the caller's from then on
 *     child:reap() -> false | true, status or -1, signal or 0
 *     child:kill()
 *
 * A child that was not reaped is killed with its object.
 */
#include "lua_raft.h"

#include "host_fork.h"

#include <string.h>
#include <unistd.h>

static const char CHILD[] = "raft.child";

enum {
  TELL_BYTES = 1 << 20,  /* between two words on the pipe */
  SYNC_BYTES = 32 << 20, /* what is not yet on the disk is bounded: the syncs
                            of the log would wait for it */
};

/* ---- in the child -------------------------------------------------------- */

struct output { /* one child, one file */
  struct raft_host_child child;
  uint64_t size;
  uint64_t told;   /* bytes, when a word was said last */
  uint64_t synced; /* bytes */
  int error;       /* an errno; what is written then is dropped */
};

static void tell(const struct output *out, const char *text, size_t size) {
  /* Without a parent nobody reads it, and we end as well. */
  if (raft_host_write(out->child.pipe, text, size) != 0)
    raft_host_child_exit(1);
}

static int child_write(lua_State *L) {
  struct output *out = lua_touserdata(L, lua_upvalueindex(1));
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  if (out->error == 0)
    out->error = raft_host_write(out->child.file, bytes, size);
  out->size += size;
  if (out->error == 0 && out->size - out->synced >= SYNC_BYTES) {
    out->error = raft_host_sync(out->child.file);
    out->synced = out->size;
  }
  if (out->error != 0) return luaL_error(L, "%s", strerror(out->error));
  if (out->size - out->told >= TELL_BYTES) {
    tell(out, ".", 1);
    out->told = out->size;
  }
  return 0;
}

static void finish(lua_State *L, struct output *out, bool is_ok) {
  if (is_ok && out->error == 0) out->error = raft_host_sync(out->child.file);
  if (is_ok && out->error == 0) {
    const char *text = lua_pushfstring(L, "=%I", (LUAI_UACINT)out->size);
    tell(out, text, strlen(text));
    return;
  }
  const char *why = out->error != 0                  ? strerror(out->error)
                    : lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                     : "no error message";
  tell(out, "!", 1);
  tell(out, why, strlen(why));
}

/* Protected: the end of it, and what may raise for want of memory. */
static int run(lua_State *L) {
  struct output *out = lua_touserdata(L, 1);
  lua_pushvalue(L, 2);
  lua_pushlightuserdata(L, out);
  lua_pushcclosure(L, child_write, 1);
  bool is_ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
  finish(L, out, is_ok);
  return 0;
}

_Noreturn static void be_child(lua_State *L, struct output *out) {
  lua_gc(L, LUA_GCSTOP, 0); /* to mark is to copy: every page would be ours */
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, out);
  lua_pushvalue(L, 2);
  raft_host_child_exit(lua_pcall(L, 2, 0, 0) == LUA_OK ? 0 : 1);
}

/* ---- in the parent ------------------------------------------------------- */

struct child {
  struct raft_host_child child;
  bool has_ended;
};

static int fork_writer(lua_State *L) {
  struct output out = {0};
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  luaL_checkstack(L, LUA_MINSTACK, "too deep to fork");
  struct child *child = lua_newuserdatauv(L, sizeof *child, 0);
  *child = (struct child){.has_ended = true};
  luaL_setmetatable(L, CHILD);
  int error = raft_host_fork(path, &out.child);
  if (error == 0 && out.child.pid == 0) be_child(L, &out);
  if (error == 0) {
    *child = (struct child){.child = out.child};
    return 1;
  }
  lua_pushnil(L);
  lua_pushinteger(L, error);
  lua_pushstring(L, strerror(error));
  return 3;
}

static int child_pipe(lua_State *L) {
  struct child *child = luaL_checkudata(L, 1, CHILD);
  if (child->child.pipe < 0) return luaL_error(L, "the pipe was given away");
  lua_pushinteger(L, child->child.pipe);
  child->child.pipe = -1;
  return 1;
}

static int child_reap(lua_State *L) {
  struct child *child = luaL_checkudata(L, 1, CHILD);
  int status = -1;
  int signal = 0;
  if (!child->has_ended)
    child->has_ended = raft_host_child_reap(&child->child, &status, &signal);
  lua_pushboolean(L, child->has_ended);
  if (!child->has_ended) return 1;
  lua_pushinteger(L, status);
  lua_pushinteger(L, signal);
  return 3;
}

static int child_kill(lua_State *L) {
  struct child *child = luaL_checkudata(L, 1, CHILD);
  if (!child->has_ended) raft_host_child_kill(&child->child);
  return 0;
}

static int child_gc(lua_State *L) {
  struct child *child = luaL_checkudata(L, 1, CHILD);
  int status;
  int signal;
  if (child->has_ended) return 0;
  child->has_ended = true;
  raft_host_child_kill(&child->child);
  if (child->child.pipe >= 0) (void)close(child->child.pipe);
  /* It ends at once; who is slow to be seen is left to the parent's end. */
  (void)raft_host_child_reap(&child->child, &status, &signal);
  return 0;
}

void raft_lua_open_host_fork(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"pipe", child_pipe},
      {"reap", child_reap},
      {"kill", child_kill},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, CHILD, child_gc, methods);
  lua_getfield(L, -1, "host");
  lua_pushcfunction(L, fork_writer);
  lua_setfield(L, -2, "fork_writer");
  lua_pop(L, 1);
}
