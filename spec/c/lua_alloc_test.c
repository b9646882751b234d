/* lua_alloc_test.c - the binding when memory lacks: every use of lua_alloc.lua
 * again and again, each time with the next allocation failing, of Lua or of the
 * C below it; once, and from then on.
 *
 * A call that lacks memory raises Lua's memory error, or answers nil and a
 * code; it has changed nothing, and the same call succeeds when there is memory
 * again, with the answer it always has. Nothing leaks: the sanitizer looks.
 */
#include "test.h"

#include <lauxlib.h>
#include <lualib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int luaopen_raft_core(lua_State *L); /* of the binding */

#define ALLOCATIONS_MAX 3000 /* that one call makes */

static struct test_memory memory; /* of Lua, and of the C below it */
static uint64_t failures;         /* calls that lacked memory, in all */

/* ---- allocations --------------------------------------------------------- */

static bool must_fail(void) {
  if (memory.fail_in == 0) return false;
  if (memory.fail_in > 1) {
    memory.fail_in--;
    return false;
  }
  if (!memory.fails_for_good) memory.fail_in = 0;
  memory.calls++; /* here: those that failed */
  return true;
}

#ifdef __linux__ /* the linker sends realloc here: csrc calls no malloc */
void *__real_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

void *__wrap_realloc(void *ptr, size_t size) {
  return size > 0 && must_fail() ? NULL : __real_realloc(ptr, size);
}
#define REALLOC __real_realloc
#else
#define REALLOC realloc
#endif

/* Lua relies on it that less memory is never refused. */
static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  bool is_less = ptr != NULL && new_size <= old_size;
  return !is_less && must_fail() ? NULL : REALLOC(ptr, new_size);
}

static void arm(uint64_t n, bool for_good) {
  memory = (struct test_memory){.fail_in = n, .fails_for_good = for_good};
}

/* Stops it; did any allocation fail since? */
static bool disarm(void) {
  bool has_failed = memory.calls > 0;
  memory = (struct test_memory){.fail_in = 0};
  return has_failed;
}

/* ---- Lua ----------------------------------------------------------------- */

static lua_State *open_state(void) {
  lua_State *L = lua_newstate(allocate, NULL);
  CHECK(L != NULL);
  luaL_openlibs(L);
  return L;
}

/* Calls field `name` of the use with the world; leaves what it answers. The
 * use is at 2, the world at 3. */
static int call(lua_State *L, const char *name) {
  int top = lua_gettop(L);
  lua_getfield(L, 2, name);
  lua_pushvalue(L, 3);
  return lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK ? lua_gettop(L) - top : -1;
}

/* The same without failures, its first answer as text, which stays on the
 * stack. */
static const char *tell(lua_State *L, const char *name) {
  int top = lua_gettop(L);
  int count = call(L, name);
  if (count < 0) printf("%s: %s\n", name, lua_tostring(L, -1));
  CHECK(count >= 0);
  lua_settop(L, top + 1);
  return luaL_tolstring(L, -1, NULL);
}

/* Replaces the `count` values on top by words for them. The function that
 * makes them is at 1. */
static const char *to_words(lua_State *L, int count) {
  lua_pushvalue(L, 1);
  lua_insert(L, -count - 1);
  lua_call(L, count, 1);
  return lua_tostring(L, -1);
}

/* ---- one use ------------------------------------------------------------- */

struct tale { /* of a use that lacked no memory */
  char *answer;
  char *finish;
};

static char *copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *out = malloc(size);
  if (out == NULL) exit(2);
  return memcpy(out, text, size);
}

static void make_world(lua_State *L) {
  lua_settop(L, 2);
  lua_getfield(L, 2, "make");
  bool is_made = lua_pcall(L, 0, 1, 0) == LUA_OK;
  if (!is_made) printf("%s\n", lua_tostring(L, -1));
  CHECK(is_made);
}

static struct tale reference(lua_State *L) {
  make_world(L);
  int count = call(L, "act");
  if (count < 0) printf("%s\n", lua_tostring(L, -1));
  CHECK(count >= 0);
  struct tale tale = {copy(to_words(L, count < 0 ? 1 : count)), NULL};
  tale.finish = copy(tell(L, "finish"));
  return tale;
}

/* Did the call say that memory lacks? Its answers, or its error, are on top. */
static bool is_refusal(lua_State *L, int count) {
  bool is_text = lua_type(L, -1) == LUA_TSTRING; /* a number stays one */
  const char *text = is_text ? lua_tostring(L, -1) : NULL;
  bool says_so = text != NULL && (strstr(text, "no_memory") != NULL ||
                                  strstr(text, "no memory") != NULL ||
                                  strstr(text, "not enough memory") != NULL);
  if (count < 0) return says_so;
  return count == 2 && lua_isnil(L, -2) && says_so;
}

/* The n-th allocation of the call fails. False: it makes fewer than that. */
static bool lack(lua_State *L, uint64_t n, bool for_good,
                 const struct tale *tale) {
  make_world(L);
  const char *before = tell(L, "look"); /* stays at 5 */
  lua_settop(L, 5);
  arm(n, for_good);
  int count = call(L, "act");
  bool has_failed = disarm();
  if (count < 0 || is_refusal(L, count)) {
    CHECK(has_failed);
    CHECK(is_refusal(L, count));
    failures++;
    lua_settop(L, 5);
    EQ_TEXT(tell(L, "look"), before);
    lua_settop(L, 5);
    count = call(L, "again");
    CHECK(count >= 0);
  }
  EQ_TEXT(to_words(L, count < 0 ? 1 : count), tale->answer);
  lua_settop(L, 5);
  EQ_TEXT(tell(L, "finish"), tale->finish);
  return has_failed;
}

static void lack_all(lua_State *L, bool for_good) {
  struct tale tale = reference(L);
  uint64_t n = 1;
  while (!test_has_failed() && n < ALLOCATIONS_MAX &&
         lack(L, n, for_good, &tale))
    n++;
  CHECK(n < ALLOCATIONS_MAX);
  free(tale.answer);
  free(tale.finish);
  lua_getfield(L, 2, "name");
  if (test_has_failed())
    printf("in %s, allocation %d\n", lua_tostring(L, -1), (int)n);
}

/* A state for each use: what one leaves behind is no other's. */
static int count_of_uses;

static void each_use(bool for_good) {
  count_of_uses = 1;
  for (int i = 1; i <= count_of_uses && !test_has_failed(); i++) {
    lua_State *L = open_state();
    luaL_requiref(L, "raft.core", luaopen_raft_core, 0);
    lua_settop(L, 0);
    CHECK(luaL_dofile(L, "spec/c/lua_alloc.lua") == LUA_OK);
    count_of_uses = (int)luaL_len(L, 2);
    lua_geti(L, 2, i);
    lua_remove(L, 2);
    lack_all(L, for_good);
    lua_close(L);
  }
}

/* Lua collects all garbage and asks again: mostly nobody notices. */
static void an_allocation_that_fails_once(void) {
  failures = 0;
  each_use(false);
  CHECK(count_of_uses > 50);
  CHECK(failures > 10); /* below Lua nobody asks again */
}

static void allocations_that_fail_from_then_on(void) {
  failures = 0;
  each_use(true);
  CHECK(failures > 100);
  printf("%d calls that lacked memory\n", (int)failures);
}

/* ---- the module itself --------------------------------------------------- */

static int open_module(lua_State *L) {
  luaL_requiref(L, "raft.core", luaopen_raft_core, 0);
  return 1;
}

/* What was half made when memory lacked is whole the next time. */
static void a_module_that_lacked_memory_opens_whole(void) {
  static const char *const demand =
      "local raft = package.loaded['raft.core']\n"
      "raft.wal_new(1, 0, 1):recovery():fields()\n"
      "local path = os.tmpname()\n"
      "assert(raft.host.lock(path):unlock() == nil)\n"
      "assert(os.remove(path))\n"
      "local core <close> = raft.new{ id = 'n1', incarnation = 1, seed = 1,\n"
      "  election_min_ms = 2, election_max_ms = 3, heartbeat_ms = 1,\n"
      "  command_bytes_max = 1, pending_bytes_max = 1,\n"
      "  message_bytes_max = 1, inflight_bytes_max = 1,\n"
      "  memory_bytes_max = 1 }\n"
      "local reader <close> = core:reader('n2', 1)\n"
      "assert(core:start(1))\n"
      "assert(core:digest())\n";
  bool has_failed = true;
  for (uint64_t n = 1; has_failed && !test_has_failed(); n++) {
    lua_State *L = open_state();
    lua_pushcfunction(L, open_module);
    arm(n, true);
    int status = lua_pcall(L, 0, 0, 0);
    has_failed = disarm();
    if (has_failed) EQ(status, LUA_ERRMEM);
    lua_settop(L, 0);
    lua_pushcfunction(L, open_module);
    EQ(lua_pcall(L, 0, 0, 0), LUA_OK);
    bool works = luaL_dostring(L, demand) == LUA_OK;
    if (!works) printf("allocation %d: %s\n", (int)n, lua_tostring(L, -1));
    CHECK(works);
    lua_close(L);
  }
}

int main(void) {
  CASE(an_allocation_that_fails_once);
  CASE(allocations_that_fail_from_then_on);
  CASE(a_module_that_lacked_memory_opens_whole);
  return test_end();
}
