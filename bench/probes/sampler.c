/* sampler.c - where a Lua process spends its processor time: the module
 * `sampler`.
 *
 * A timer of the thread's own processor time sends it a signal. The handler
 * asks for a hook, which Lua allows in a handler, and the next thing that Lua
 * does calls it: there the stack is read. Whoever was interrupted is on top of
 * it then: a Lua function goes on with its next instruction, a C function
 * returns, or calls Lua; then it is the one below.
 *
 * Only the state that began is looked at: what goes on in a coroutine counts
 * for whoever runs next on it. Finalizers have no hooks; they count for whoever
 * comes next, too. The time of other threads does not count.
 */
#define _GNU_SOURCE 1 /* dladdr, gettid, SIGEV_THREAD_ID */

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_MAX      64
#define FRAME_SIZE      160
#define INTERVAL_US_MAX 1000000

#ifndef sigev_notify_thread_id /* the C library may not have the name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

static lua_State *sampled; /* the state that began; NULL: nothing is sampled */
static timer_t timer;
static struct sigaction before; /* what SIGPROF did */
static int table_ref = LUA_NOREF;

/* The last two parts of a path: node/driver.lua. */
static const char *tail_of(const char *path) {
  const char *last = strrchr(path, '/');
  if (last == NULL) return path;
  while (last > path && last[-1] != '/')
    last--;
  return last;
}

/* The object that a C function is in, without path. */
static const char *object_of(lua_CFunction fn) {
  Dl_info info;
  if (fn == NULL || dladdr((void *)(uintptr_t)fn, &info) == 0) return "C";
  const char *last = strrchr(info.dli_fname, '/');
  return last != NULL ? last + 1 : info.dli_fname;
}

/* Adds "name|where" of a frame. */
static void add_frame(lua_State *L, lua_Debug *frame, luaL_Buffer *out) {
  char text[FRAME_SIZE];
  lua_getinfo(L, "Sn", frame);
  const char *name = frame->name != NULL ? frame->name : "?";
  if (*frame->what == 'C') {
    lua_getinfo(L, "f", frame);
    lua_CFunction fn = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    snprintf(text, sizeof text, "%s|%s", name, object_of(fn));
  } else {
    snprintf(text, sizeof text, "%s|%s:%d", name, tail_of(frame->source),
             frame->linedefined);
  }
  luaL_addstring(out, text);
}

static void on_event(lua_State *L, lua_Debug *event) {
  lua_sethook(L, NULL, 0, 0);
  if (sampled == NULL) return;
  lua_Debug frames[FRAMES_MAX];
  int first = event->event == LUA_HOOKCALL ? 1 : 0; /* it has not run yet */
  int count = 0;
  while (count < FRAMES_MAX &&
         lua_getstack(L, first + count, &frames[count]) == 1)
    count++;
  if (count == 0 || lua_checkstack(L, FRAMES_MAX) == 0) return;
  luaL_Buffer out;
  lua_rawgeti(L, LUA_REGISTRYINDEX, table_ref);
  luaL_buffinit(L, &out);
  for (int i = count - 1; i >= 0; i--) {
    add_frame(L, &frames[i], &out);
    if (i > 0) luaL_addchar(&out, ';');
  }
  luaL_pushresult(&out);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  lua_Integer seen = lua_tointeger(L, -1); /* 0 of nil */
  lua_pop(L, 1);
  lua_pushinteger(L, seen + 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void on_signal(int number) {
  (void)number;
  if (sampled == NULL) return;
  lua_sethook(sampled, on_event, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static int fail(lua_State *L, const char *what) {
  return luaL_error(L, "%s: %s", what, strerror(errno));
}

/* start(interval_us): samples this thread, each time it has had the processor
 * for so long. */
static int start(lua_State *L) {
  lua_Integer us = luaL_checkinteger(L, 1);
  luaL_argcheck(L, us > 0 && us < INTERVAL_US_MAX, 1, "out of range");
  if (sampled != NULL) return luaL_error(L, "it samples already");
  lua_newtable(L);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  if (sigaction(SIGPROF, &action, &before) != 0) return fail(L, "sigaction");
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                           .sigev_signo = SIGPROF};
  event.sigev_notify_thread_id = gettid();
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
    return fail(L, "timer_create");
  struct timespec interval = {.tv_nsec = (long)us * 1000};
  struct itimerspec times = {.it_interval = interval, .it_value = interval};
  table_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  sampled = L;
  if (timer_settime(timer, 0, &times, NULL) != 0)
    return fail(L, "timer_settime");
  return 0;
}

/* stop() -> { ["name|where;name|where..."] = samples }, the outermost first */
static int stop(lua_State *L) {
  if (sampled == NULL) return luaL_error(L, "it does not sample");
  timer_delete(timer);
  lua_State *of = sampled;
  sampled = NULL;
  lua_sethook(of, NULL, 0, 0);
  sigaction(SIGPROF, &before, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, table_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, table_ref);
  table_ref = LUA_NOREF;
  return 1;
}

int luaopen_sampler(lua_State *L);

int luaopen_sampler(lua_State *L) {
  static const luaL_Reg calls[] = {
      {"start", start}, {"stop", stop}, {NULL, NULL}};
  luaL_newlib(L, calls);
  return 1;
}
