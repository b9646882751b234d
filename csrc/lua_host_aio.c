/* lua_host_aio.c - raft.core.host.aio: writes past the page cache.
 *
 *   aio()                         -> aio; nil where the system has none
 *   aio:event()                   -> a descriptor, readable when a write ended
 *   aio:write(fd, bytes, offset)  -> token | nil, text
 *   aio:zeros(fd, size, offset)   -> token | nil, text
 *   aio:wake()                    the descriptor is readable no more
 *   aio:reap()                    -> token, bytes | token, nil, text | nothing
 *   aio:close()                   waits for what is under way
 *   aio:direct(fd, is_direct)     -> can it be?
 *   aio:allocate(fd, size)        -> true | nil, text
 *
 * Offsets and sizes are multiples of aio.ALIGN. Texts begin with the name of an
 * errno, as those of luv.
 */
#include "lua_raft.h"

#include "host_aio.h"

#include <errno.h>
#include <string.h>

static const char AIO[] = "raft.aio";

struct handle {
  struct raft_aio *aio; /* NULL: closed */
};

static struct raft_aio *check(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, AIO);
  luaL_argcheck(L, handle->aio != NULL, 1, "it is closed");
  return handle->aio;
}

/* Those that somebody asks for by name; of others the text is enough. */
static const char *name_of(int error) {
  switch (error) {
  case ENOSPC: return "ENOSPC";
  case EDQUOT: return "EDQUOT";
  case EFBIG: return "EFBIG";
  case ENOMEM: return "ENOMEM";
  case EINVAL: return "EINVAL";
  case EAGAIN: return "EAGAIN";
  case EBADF: return "EBADF";
  case EOPNOTSUPP: return "EOPNOTSUPP";
  default: return "EIO";
  }
}

static int fail(lua_State *L, int error) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", name_of(error), strerror(error));
  return 2;
}

static int event(lua_State *L) {
  lua_pushinteger(L, raft_aio_event(check(L)));
  return 1;
}

static int begin(lua_State *L, const char *bytes, size_t size) {
  lua_Integer offset = luaL_checkinteger(L, 4);
  luaL_argcheck(L, size > 0 && size % RAFT_AIO_ALIGN == 0, 3, "not aligned");
  luaL_argcheck(L, offset >= 0 && offset % RAFT_AIO_ALIGN == 0, 4,
                "not aligned");
  int token = raft_aio_write(check(L), (int)luaL_checkinteger(L, 2), bytes,
                             size, offset);
  if (token < 0) return fail(L, -token);
  lua_pushinteger(L, token);
  return 1;
}

static int write_bytes(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 3, &size);
  return begin(L, bytes, size);
}

static int write_zeros(lua_State *L) {
  lua_Integer size = luaL_checkinteger(L, 3);
  luaL_argcheck(L, size > 0 && size <= INT32_MAX, 3, "how many?");
  return begin(L, NULL, (size_t)size);
}

static int wake(lua_State *L) {
  raft_aio_wake(check(L));
  return 0;
}

static int reap(lua_State *L) {
  int64_t result;
  int token = raft_aio_reap(check(L), &result);
  if (token < 0) return 0;
  lua_pushinteger(L, token);
  if (result < 0) return 1 + fail(L, (int)-result);
  lua_pushinteger(L, result);
  return 2;
}

static int direct(lua_State *L) {
  (void)check(L);
  int fd = (int)luaL_checkinteger(L, 2);
  lua_pushboolean(L, raft_aio_direct(fd, lua_toboolean(L, 3) != 0));
  return 1;
}

static int allocate(lua_State *L) {
  (void)check(L);
  int fd = (int)luaL_checkinteger(L, 2);
  int error = raft_aio_allocate(fd, luaL_checkinteger(L, 3));
  if (error != 0) return fail(L, error);
  lua_pushboolean(L, true);
  return 1;
}

static int close_handle(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, AIO);
  raft_aio_free(handle->aio);
  handle->aio = NULL;
  return 0;
}

static int new_handle(lua_State *L) {
  struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->aio = NULL;
  luaL_setmetatable(L, AIO);
  handle->aio = raft_aio_new();
  return handle->aio != NULL ? 1 : 0;
}

static const luaL_Reg METHODS[] = {
    {"event", event},       {"write", write_bytes},
    {"zeros", write_zeros}, {"wake", wake},
    {"reap", reap},         {"direct", direct},
    {"allocate", allocate}, {"close", close_handle},
    {"__gc", close_handle}, {"__close", close_handle},
    {NULL, NULL},
};

void raft_lua_open_host_aio(lua_State *L) {
  luaL_newmetatable(L, AIO); /* there already? it may be half made */
  luaL_setfuncs(L, METHODS, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushinteger(L, RAFT_AIO_ALIGN);
  lua_setfield(L, -2, "ALIGN");
  lua_pop(L, 1);
  lua_getfield(L, -1, "host");
  lua_pushcfunction(L, new_handle);
  lua_setfield(L, -2, "aio");
  lua_pop(L, 1);
}
