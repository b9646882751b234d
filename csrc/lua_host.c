/* lua_host.c - raft.core.host: the few system services that luv lacks.
 *
 *   lock(path)  -> lock | nil, "dir_locked", pid | nil, "io_error", reason
 *   wall()      -> milliseconds since 1970
 *   forget(fd)  -> were the cached pages of the file dropped?
 *   ignore_sigpipe()
 *
 * A lock is given back by lock:unlock(), by <close>, or by the collector.
 */
#include "lua_raft.h"

#include "host.h"

#include <string.h>

static const char LOCK[] = "raft.lock";

struct lock {
  int fd; /* -1: given back */
};

static int unlock(lua_State *L) {
  struct lock *lock = luaL_checkudata(L, 1, LOCK);
  if (lock->fd >= 0) raft_host_unlock(lock->fd);
  lock->fd = -1;
  return 0;
}

static int lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct lock *lock = lua_newuserdatauv(L, sizeof(*lock), 0);
  lock->fd = -1;
  luaL_setmetatable(L, LOCK);
  int error = 0;
  int64_t pid = 0;
  lock->fd = raft_host_lock(path, &error, &pid);
  if (lock->fd >= 0) return 1;
  lua_pushnil(L);
  if (error == 0) {
    lua_pushliteral(L, "dir_locked");
    lua_pushinteger(L, (lua_Integer)pid);
  } else {
    lua_pushliteral(L, "io_error");
    lua_pushstring(L, strerror(error));
  }
  return 3;
}

static int wall(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)raft_host_wall_ms());
  return 1;
}

static int forget(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  lua_pushboolean(L, raft_host_forget(fd));
  return 1;
}

static int ignore_sigpipe(lua_State *L) {
  (void)L;
  raft_host_ignore_sigpipe();
  return 0;
}

static const luaL_Reg LOCK_META[] = {
    {"__gc", unlock},
    {"__close", unlock},
    {NULL, NULL},
};

static const luaL_Reg LOCK_METHODS[] = {
    {"unlock", unlock},
    {NULL, NULL},
};

static const luaL_Reg HOST[] = {
    {"lock", lock},     {"wall", wall},
    {"forget", forget}, {"ignore_sigpipe", ignore_sigpipe},
    {NULL, NULL},
};

void raft_lua_open_host(lua_State *L) {
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_newmetatable(L, LOCK); /* there already? it may be half made */
  luaL_setfuncs(L, LOCK_META, 0);
  luaL_newlib(L, LOCK_METHODS);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, HOST);
  lua_setfield(L, -2, "host");
}
