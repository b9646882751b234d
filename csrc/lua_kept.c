/* lua_kept.c - the answers that a session keeps, by their sequences, which
 * follow one another.
 *
 *   answers_kept() -> kept
 *     kept:add(sequence, bytes) -> weight       the next one, or any first one
 *     kept:add_many(sequence, values, whys, from, last) -> count, weight
 *         answers of plain results, encoded as answer_encode does; it ends
 *         before one that is none
 *     kept:get(sequence) -> bytes | nil
 *     kept:trim(floor) -> count, weight         what is below it goes
 *     kept:size() -> count, weight
 *     kept:all() -> { [sequence] = bytes }
 *     kept:drop()                               all goes, and its memory
 *   answer_weight(bytes) -> weight
 *
 * They lie in one piece of memory, one behind the other, and so do the places
 * where they end. Lua does not see how large that is: whoever ends a session
 * drops them.
 *
 *      gone      |  kept                 |  room
 *   +------------+-------+------+--------+--------+
 *   |            | first | ...  |  last  |        |
 *   +------------+-------+------+--------+--------+
 *             begin                     end    capacity
 *
 * Promises. What could not be kept has changed nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lua_codec.h"

#define KEPT "raft.answers_kept"

/* The text of an error may name a file, and be longer elsewhere: so all errors
 * weigh the same. */
#define ERROR_WEIGHT 1024

#define SMALL_BYTES 4096 /* more room than this goes when it is not needed */

/* How the bytes of every error begin: no array, one pair, its key. */
static const uint8_t ERROR_HEAD[] = {RAFT_CODEC_VERSION,
                                     RAFT_CODEC_TABLE,
                                     0,
                                     1,
                                     RAFT_CODEC_STRING,
                                     5,
                                     'e',
                                     'r',
                                     'r',
                                     'o',
                                     'r'};

static lua_Integer weight_of(const void *bytes, size_t size) {
  bool is_error = size >= sizeof ERROR_HEAD &&
                  memcmp(bytes, ERROR_HEAD, sizeof ERROR_HEAD) == 0;
  return is_error ? ERROR_WEIGHT : (lua_Integer)size;
}

/* ---- a queue of bytes ---------------------------------------------------- */

struct queue {
  uint8_t *data; /* NULL: capacity is 0 */
  size_t begin;  /* Invariant: begin <= end <= capacity */
  size_t end;
  size_t capacity;
};

static size_t live(const struct queue *q) {
  assert(q->begin <= q->end);
  assert(q->end <= q->capacity);
  return q->end - q->begin;
}

static void move_to_front(struct queue *q) {
  size_t size = live(q);
  if (size > 0) memmove(q->data, q->data + q->begin, size);
  q->begin = 0;
  q->end = size;
}

/* Another capacity, in which what is kept has room. */
static bool resize(struct queue *q, size_t capacity) {
  move_to_front(q);
  assert(capacity >= q->end);
  assert(capacity > 0);
  uint8_t *data = realloc(q->data, capacity);
  if (data == NULL) return false;
  q->data = data;
  q->capacity = capacity;
  return true;
}

/* Room for `more` behind the end. What is kept is moved only where it is less
 * than half, so that a byte is not moved again and again. */
static bool reserve(struct queue *q, size_t more) {
  if (more > SIZE_MAX / 4 - live(q)) return false;
  if (q->capacity - q->end >= more) return true;
  size_t needed = live(q) + more;
  if (needed > q->capacity / 2) return resize(q, 2 * needed);
  move_to_front(q);
  assert(q->capacity - q->end >= more);
  return true;
}

/* Gives back what is far too much; that it cannot is no harm. */
static void shrink(struct queue *q) {
  if (q->capacity > SMALL_BYTES && live(q) < q->capacity / 16)
    (void)resize(q, live(q) < SMALL_BYTES / 4 ? SMALL_BYTES : 4 * live(q));
}

static void drop_queue(struct queue *q) {
  free(q->data);
  *q = (struct queue){0};
}

/* ---- answers ------------------------------------------------------------- */

struct kept {
  lua_Integer first;  /* sequence of the oldest; counts where there is one */
  lua_Integer weight; /* Invariant: that of all that is kept */
  uint64_t gone;      /* bytes that went, of all answers so far */
  struct queue bytes; /* the answers */
  size_t adding;      /* how many there were when add_many began: if it did
                        * not come to its end, those behind these go */
  bool is_adding;
  struct queue places; /* of each a u64: where it ends, from the very first
                        * byte on. Invariant: they ascend */
};

static size_t count_of(const struct kept *k) {
  assert(live(&k->places) % sizeof(uint64_t) == 0);
  return live(&k->places) / sizeof(uint64_t);
}

/* Where the i-th ends, among the bytes that are kept; of 0 they begin. */
static size_t end_of(const struct kept *k, size_t i) {
  uint64_t end;
  assert(i <= count_of(k));
  if (i == 0) return 0;
  memcpy(&end, k->places.data + k->places.begin + (i - 1) * sizeof end,
         sizeof end);
  assert(end >= k->gone);
  return (size_t)(end - k->gone);
}

/* The i-th, from 0. */
static const uint8_t *answer_at(const struct kept *k, size_t i, size_t *size) {
  assert(i < count_of(k));
  size_t from = end_of(k, i);
  size_t end = end_of(k, i + 1);
  assert(from <= end);
  *size = end - from;
  return k->bytes.data + k->bytes.begin + from;
}

static bool can_follow(const struct kept *k, lua_Integer sequence) {
  size_t count = count_of(k);
  return count == 0 || sequence - (lua_Integer)count == k->first;
}

/* The next one; false: no memory. */
static bool add(struct kept *k, lua_Integer sequence, const uint8_t *bytes,
                size_t size) {
  assert(can_follow(k, sequence));
  if (!reserve(&k->bytes, size) || !reserve(&k->places, sizeof(uint64_t)))
    return false;
  uint64_t end = k->gone + live(&k->bytes) + size;
  if (count_of(k) == 0) k->first = sequence;
  if (size > 0) memcpy(k->bytes.data + k->bytes.end, bytes, size);
  memcpy(k->places.data + k->places.end, &end, sizeof end);
  k->bytes.end += size;
  k->places.end += sizeof end;
  k->weight += weight_of(bytes, size);
  return true;
}

static void drop(struct kept *k) {
  drop_queue(&k->bytes);
  drop_queue(&k->places);
  k->weight = 0;
  k->gone = 0;
  k->is_adding = false;
}

/* ---- the class ----------------------------------------------------------- */

/* Those behind the first so many go. */
static void cut(struct kept *k, size_t count) {
  assert(count <= count_of(k));
  for (size_t i = count_of(k); i > count; i--) {
    size_t size;
    const uint8_t *bytes = answer_at(k, i - 1, &size);
    k->weight -= weight_of(bytes, size);
    k->bytes.end -= size;
    k->places.end -= sizeof(uint64_t);
  }
  assert(count_of(k) == count);
}

static struct kept *check_kept(lua_State *L) {
  struct kept *k = luaL_checkudata(L, 1, KEPT);
  if (k->is_adding) cut(k, k->adding); /* the last call has raised */
  k->is_adding = false;
  return k;
}

static int answers_kept(lua_State *L) {
  struct kept *k = lua_newuserdatauv(L, sizeof *k, 0);
  *k = (struct kept){0};
  luaL_setmetatable(L, KEPT);
  return 1;
}

static lua_Integer check_sequence(lua_State *L, struct kept *k) {
  lua_Integer sequence = luaL_checkinteger(L, 2);
  luaL_argcheck(L, sequence > 0 && can_follow(k, sequence), 2,
                "one is missing before it");
  return sequence;
}

static int kept_add(lua_State *L) {
  struct kept *k = check_kept(L);
  lua_Integer sequence = check_sequence(L, k);
  size_t size;
  const char *bytes = luaL_checklstring(L, 3, &size);
  if (!add(k, sequence, (const uint8_t *)bytes, size))
    return luaL_error(L, "not enough memory");
  lua_pushinteger(L, weight_of(bytes, size));
  return 1;
}

/* The places of add_many on Lua's stack: an encode has its buffer at 2. */
enum { AT_SELF = 1, AT_BUFFER, AT_VALUES, AT_WHYS, AT_VALUE, AT_WHY };

static int kept_add_many(lua_State *L) {
  uint8_t few[RAFT_CODEC_FEW_BYTES];
  struct raft_encoder e = {.L = L, .bytes = few, .room = sizeof few};
  struct kept *k = check_kept(L);
  lua_Integer sequence = check_sequence(L, k);
  lua_Integer from = luaL_checkinteger(L, 5);
  lua_Integer last = luaL_checkinteger(L, 6);
  lua_Integer weight = k->weight;
  luaL_checktype(L, AT_VALUES, LUA_TTABLE);
  luaL_checktype(L, AT_WHYS, LUA_TTABLE);
  lua_settop(L, AT_WHYS);
  lua_pushnil(L);
  lua_replace(L, AT_BUFFER);
  k->adding = count_of(k);
  k->is_adding = true;
  lua_Integer i = from;
  for (; i <= last; i++) {
    lua_rawgeti(L, AT_VALUES, i);
    lua_rawgeti(L, AT_WHYS, i);
    e.size = 0;
    if (!raft_lua_put_answer(&e, AT_VALUE, AT_WHY)) break;
    if (!add(k, sequence + (i - from), e.bytes, e.size))
      return luaL_error(L, "not enough memory");
    lua_settop(L, AT_WHYS);
  }
  k->is_adding = false;
  lua_pushinteger(L, i - from);
  lua_pushinteger(L, k->weight - weight);
  return 2;
}

static int kept_get(lua_State *L) {
  struct kept *k = check_kept(L);
  lua_Integer sequence = luaL_checkinteger(L, 2);
  size_t count = count_of(k);
  size_t size;
  if (count == 0 || sequence < k->first) return 0;
  if (sequence - k->first >= (lua_Integer)count) return 0;
  const uint8_t *bytes = answer_at(k, (size_t)(sequence - k->first), &size);
  lua_pushlstring(L, (const char *)bytes, size);
  return 1;
}

static int kept_trim(lua_State *L) {
  struct kept *k = check_kept(L);
  lua_Integer floor = luaL_checkinteger(L, 2);
  size_t count = count_of(k);
  lua_Integer weight = 0;
  size_t gone = 0;
  size_t end = 0;
  for (; gone < count && k->first + (lua_Integer)gone < floor; gone++) {
    size_t size;
    const uint8_t *bytes = answer_at(k, gone, &size);
    weight += weight_of(bytes, size);
    end += size;
  }
  k->first += (lua_Integer)gone;
  k->weight -= weight;
  k->gone += end;
  k->bytes.begin += end;
  k->places.begin += gone * sizeof(uint64_t);
  assert(count_of(k) > 0 || k->weight == 0);
  assert(count_of(k) > 0 || live(&k->bytes) == 0);
  shrink(&k->bytes);
  shrink(&k->places);
  lua_pushinteger(L, (lua_Integer)gone);
  lua_pushinteger(L, weight);
  return 2;
}

static int kept_size(lua_State *L) {
  struct kept *k = check_kept(L);
  lua_pushinteger(L, (lua_Integer)count_of(k));
  lua_pushinteger(L, k->weight);
  return 2;
}

/* The table has as many places in its array as if it had been filled one by
 * one: the codec does not see the difference. */
static int kept_all(lua_State *L) {
  struct kept *k = check_kept(L);
  size_t count = count_of(k);
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    size_t size;
    const uint8_t *bytes = answer_at(k, i, &size);
    lua_pushlstring(L, (const char *)bytes, size);
    lua_rawseti(L, -2, k->first + (lua_Integer)i);
  }
  return 1;
}

static int kept_drop(lua_State *L) {
  drop(check_kept(L));
  return 0;
}

static int answer_weight(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  lua_pushinteger(L, weight_of(bytes, size));
  return 1;
}

void raft_lua_open_kept(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"answers_kept", answers_kept},
      {"answer_weight", answer_weight},
      {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"add", kept_add},   {"add_many", kept_add_many},
      {"get", kept_get},   {"trim", kept_trim},
      {"size", kept_size}, {"all", kept_all},
      {"drop", kept_drop}, {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, KEPT, kept_drop, methods);
  luaL_setfuncs(L, functions, 0);
}
