/* counts.c - what a Lua process does: crossings between Lua and C, allocations
 * and copies of memory, by whom.
 *
 * Preloaded into a process, it stands in front of the C library's functions
 * that allocate and copy; required as the module `counts`, it is the same
 * object, and says what was counted. Crossings are seen by a hook, which makes
 * Lua slower, and is there only while they are counted.
 *
 * What it cannot see: copies of a few bytes that the compiler has made into
 * moves, copies inside the C library (of realloc, too) and in the kernel, and
 * crossings of finalizers, as Lua calls no hooks in them.
 */
#define _GNU_SOURCE 1 /* dl_iterate_phdr, RTLD_NEXT */

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX    8
#define FUNCTIONS_MAX 512 /* a power of two */
#define NAME_SIZE     48

/* Whose code it is. The rest is the C library's, and what else there is. */
#define WHOS(X)                                                                \
  X(LUA, "lua")                                                                \
  X(CORE, "core")                                                              \
  X(LUV, "luv")                                                                \
  X(REST, "rest")

enum who {
#define X(name, text) WHO_##name,
  WHOS(X)
#undef X
};

static const char *const who_names[] = {
#define X(name, text) text,
    WHOS(X)
#undef X
};

enum { WHO_COUNT = sizeof who_names / sizeof *who_names };

struct range {
  uintptr_t from, end; /* of code and data of one object */
  enum who who;
};

struct function {
  lua_CFunction fn; /* NULL: free */
  uint64_t calls;
  enum who who;
  char name[NAME_SIZE]; /* as it was called first */
};

/* The work of this process may be done by several threads. */
struct tally {
  atomic_uint_fast64_t count, bytes;
};

static struct range ranges[RANGES_MAX];
static size_t range_count;
static struct function functions[FUNCTIONS_MAX];
static uint64_t calls_out[WHO_COUNT]; /* of C functions, by Lua */
static uint64_t calls_in[WHO_COUNT];  /* of Lua functions, by C */
static struct tally allocations[WHO_COUNT];
static struct tally copies[WHO_COUNT];
static atomic_bool is_counting; /* allocations and copies */
static bool sees_calls;         /* a coroutine may keep the hook for longer */

static enum who who_is(uintptr_t address) {
  for (size_t i = 0; i < range_count; i++)
    if (address >= ranges[i].from && address < ranges[i].end)
      return ranges[i].who;
  return WHO_REST;
}

static void add(struct tally *tallies, const void *caller, size_t bytes) {
  if (!atomic_load_explicit(&is_counting, memory_order_relaxed)) return;
  struct tally *tally = &tallies[who_is((uintptr_t)caller)];
  atomic_fetch_add_explicit(&tally->count, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&tally->bytes, bytes, memory_order_relaxed);
}

/* -------------------------------------------------------- in front of libc */

#define CALLER __builtin_return_address(0)

/* The C library's own names of what is hidden below. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  add(allocations, CALLER, size);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  add(allocations, CALLER, count * size);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  add(allocations, CALLER, size);
  return __libc_realloc(old, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
  add(allocations, CALLER, size);
  bool is_power = alignment != 0 && (alignment & (alignment - 1)) == 0;
  if (!is_power || alignment % sizeof(void *) != 0) return EINVAL;
  void *block = __libc_memalign(alignment, size);
  if (block == NULL) return ENOMEM;
  *out = block;
  return 0;
}

typedef void *copier(void *to, const void *from, size_t size);

/* Before the linker has come to us, copies are made here, byte by byte. */
static void *copy_slowly(void *to, const void *from, size_t size) {
  volatile unsigned char *out = to; /* or the compiler would call memmove */
  const unsigned char *in = from;
  bool is_up = (uintptr_t)to < (uintptr_t)from;
  for (size_t i = 0; i < size; i++) {
    size_t at = is_up ? i : size - 1 - i;
    out[at] = in[at];
  }
  return to;
}

static copier *real_memcpy = copy_slowly;
static copier *real_memmove = copy_slowly;

__attribute__((constructor)) static void find_copiers(void) {
  /* POSIX lets what dlsym returns be a function; ISO C has no cast for it. */
  void *found = dlsym(RTLD_NEXT, "memmove");
  if (found != NULL) copy_slowly(&real_memmove, &found, sizeof found);
  found = dlsym(RTLD_NEXT, "memcpy");
  if (found != NULL) copy_slowly(&real_memcpy, &found, sizeof found);
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  add(copies, CALLER, size);
  return real_memcpy(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) {
  add(copies, CALLER, size);
  return real_memmove(to, from, size);
}

/* What they are called where a compiler knows the room there is. */
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room) {
  if (size > room) abort();
  add(copies, CALLER, size);
  return real_memcpy(to, from, size);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room) {
  if (size > room) abort();
  add(copies, CALLER, size);
  return real_memmove(to, from, size);
}

/* ----------------------------------------------------------------- the hook */

static uintptr_t address_of(lua_CFunction fn) {
  return (uintptr_t)fn;
}

/* The function of a frame: NULL where it is of Lua. */
static lua_CFunction function_of(lua_State *L, lua_Debug *frame) {
  lua_getinfo(L, "f", frame);
  lua_CFunction fn = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return fn;
}

static void count_function(lua_State *L, lua_Debug *frame, lua_CFunction fn) {
  size_t at = (address_of(fn) >> 4) % FUNCTIONS_MAX;
  for (size_t i = 0; i < FUNCTIONS_MAX; i++, at = (at + 1) % FUNCTIONS_MAX) {
    struct function *each = &functions[at];
    if (each->fn == fn) {
      each->calls++;
      return;
    }
    if (each->fn != NULL) continue;
    lua_getinfo(L, "n", frame);
    const char *name = frame->name != NULL ? frame->name : "?";
    size_t size = strlen(name);
    if (size >= NAME_SIZE) size = NAME_SIZE - 1;
    *each =
        (struct function){.fn = fn, .calls = 1, .who = who_is(address_of(fn))};
    copy_slowly(each->name, name, size);
    return;
  }
}

/* A tail call is none from C, and none of C. */
static void on_call(lua_State *L, lua_Debug *frame) {
  if (!sees_calls || frame->event != LUA_HOOKCALL) return;
  lua_CFunction fn = function_of(L, frame);
  lua_Debug above;
  bool has_caller = lua_getstack(L, 1, &above) == 1;
  lua_CFunction caller = has_caller ? function_of(L, &above) : NULL;
  if (fn != NULL && has_caller && caller == NULL) {
    calls_out[who_is(address_of(fn))]++;
    count_function(L, frame, fn);
  } else if (fn == NULL && !has_caller) {
    calls_in[WHO_LUA]++; /* the first function of a coroutine */
  } else if (fn == NULL && caller != NULL) {
    calls_in[who_is(address_of(caller))]++;
  }
}

/* ------------------------------------------------------------- for the user */

struct anchors {
  uintptr_t address[WHO_REST]; /* of anything in the object of each */
};

/* luv has libuv in an object of its own, or in itself. */
static int take_object(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  const struct anchors *anchors = data;
  uintptr_t from = UINTPTR_MAX, end = 0;
  for (size_t i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t start = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
    uintptr_t stop = start + object->dlpi_phdr[i].p_memsz;
    if (start < from) from = start;
    if (stop > end) end = stop;
  }
  enum who who = WHO_REST;
  for (int i = 0; i < WHO_REST; i++)
    if (anchors->address[i] >= from && anchors->address[i] < end)
      who = (enum who)i;
  if (strstr(object->dlpi_name, "/libuv.so") != NULL) who = WHO_LUV;
  if (who != WHO_REST && range_count < RANGES_MAX)
    ranges[range_count++] = (struct range){from, end, who};
  return 0;
}

static uintptr_t check_function(lua_State *L, int index) {
  luaL_argcheck(L, lua_iscfunction(L, index), index, "expected a C function");
  return address_of(lua_tocfunction(L, index));
}

static void clear(void) {
  memset(functions, 0, sizeof functions);
  for (int i = 0; i < WHO_COUNT; i++) {
    calls_out[i] = calls_in[i] = 0;
    atomic_store(&allocations[i].count, 0);
    atomic_store(&allocations[i].bytes, 0);
    atomic_store(&copies[i].count, 0);
    atomic_store(&copies[i].bytes, 0);
  }
}

/* begin(what, lua_fn, core_fn, luv_fn): counts "calls" or "memory" from now on;
 * the three are any C functions of these. */
static int begin(lua_State *L) {
  static const char *const whats[] = {"calls", "memory", NULL};
  bool is_memory = luaL_checkoption(L, 1, NULL, whats) == 1;
  struct anchors anchors = {{[WHO_LUA] = check_function(L, 2),
                             [WHO_CORE] = check_function(L, 3),
                             [WHO_LUV] = check_function(L, 4)}};
  range_count = 0;
  dl_iterate_phdr(take_object, &anchors);
  clear();
  if (is_memory)
    atomic_store(&is_counting, true);
  else
    lua_sethook(L, on_call, LUA_MASKCALL, 0);
  sees_calls = !is_memory;
  return 0;
}

static void push_numbers(lua_State *L, const char *name,
                         const uint64_t *values) {
  lua_createtable(L, 0, WHO_COUNT);
  for (int i = 0; i < WHO_COUNT; i++) {
    lua_pushinteger(L, (lua_Integer)values[i]);
    lua_setfield(L, -2, who_names[i]);
  }
  lua_setfield(L, -2, name);
}

static void push_tallies(lua_State *L, const char *name, const char *bytes,
                         struct tally *tallies) {
  uint64_t counts[WHO_COUNT], sizes[WHO_COUNT];
  for (int i = 0; i < WHO_COUNT; i++) {
    counts[i] = atomic_load(&tallies[i].count);
    sizes[i] = atomic_load(&tallies[i].bytes);
  }
  push_numbers(L, name, counts);
  push_numbers(L, bytes, sizes);
}

/* finish() -> { calls_out=, calls_in=, allocations=, allocated_bytes=, copies=,
 * copied_bytes= }, each by whom, and functions = { ["who.name"] = calls } */
static int finish(lua_State *L) {
  atomic_store(&is_counting, false);
  sees_calls = false;
  lua_sethook(L, NULL, 0, 0);
  lua_newtable(L);
  push_numbers(L, "calls_out", calls_out);
  push_numbers(L, "calls_in", calls_in);
  push_tallies(L, "allocations", "allocated_bytes", allocations);
  push_tallies(L, "copies", "copied_bytes", copies);
  lua_newtable(L);
  for (size_t i = 0; i < FUNCTIONS_MAX; i++) {
    if (functions[i].fn == NULL) continue;
    lua_pushfstring(L, "%s.%s", who_names[functions[i].who], functions[i].name);
    lua_pushvalue(L, -1);
    lua_Integer before = lua_rawget(L, -3) == LUA_TNUMBER
                             ? lua_tointeger(L, -1)
                             : 0; /* two of the same name are one */
    lua_pop(L, 1);
    lua_pushinteger(L, before + (lua_Integer)functions[i].calls);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "functions");
  return 1;
}

int luaopen_counts(lua_State *L);

int luaopen_counts(lua_State *L) {
  static const luaL_Reg calls[] = {
      {"begin", begin}, {"finish", finish}, {NULL, NULL}};
  luaL_newlib(L, calls);
  return 1;
}
