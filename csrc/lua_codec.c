/* lua_codec.c - plain Lua values as bytes and back, at the speed of C.
 *
 *   codec_encode(value) -> bytes | nil, "bad_value"
 *   codec_decode(bytes) -> true, value | nil, "corrupt"
 *
 * lua/raft/codec.lua has the format. What is refused here is refused without
 * words: codec/reference.lua does the same in Lua, finds it again and says what
 * is wrong and where.
 *
 * Promises. Decode accepts only what encode writes, and reads nothing but the
 * bytes. No metamethod runs, and no function of Lua but finalizers: these may
 * run wherever memory is asked for, and change any table. So keys that are
 * being written stay on Lua's stack, and nothing is taken to be still there.
 *
 * Limits. Values are nested, and so are calls here: DEPTH_MAX at most. Other
 * keys than 1..n have to fit on Lua's stack, which ends at a million.
 */
#include "lua_codec.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX        100 /* as in plain.lua */
#define VARINT_BYTES_MAX 10
#define NAN_BITS         UINT64_C(0x7ff8000000000000)

/* Up to so many the keys of a table need no memory of their own. */
#define FEW_KEYS 8

/* A table is not made larger than this before its content has come: each of a
 * hundred counts, one in the other, may claim all the bytes that are left. */
#define ROOM_MAX 1024

_Static_assert(sizeof(lua_Integer) == 8, "integers of 64 bits");
_Static_assert(sizeof(lua_Number) == 8, "floats of 64 bits");

enum tag {
  TAG_NIL,
  TAG_FALSE, /* from here to strings this is the order of keys, too */
  TAG_TRUE,
  TAG_INTEGER,
  TAG_FLOAT,
  TAG_STRING,
  TAG_TABLE,
  TAG_NONE, /* not plain; never written */
};
_Static_assert(TAG_STRING == RAFT_CODEC_STRING, "as others write it");
_Static_assert(TAG_TABLE == RAFT_CODEC_TABLE, "as others write it");

/* What is at a place of Lua's stack. */
struct value {
  enum tag tag; /* tells which of the union counts */
  int at;       /* the place */
  union {
    lua_Integer integer;
    lua_Number number;
    struct {
      const char *text; /* Lua's, as long as the string is at that place */
      size_t size;
    };
  };
};

static struct value value_at(lua_State *L, int at) {
  struct value v = {.tag = TAG_NONE, .at = at};
  switch (lua_type(L, at)) {
  case LUA_TNIL: v.tag = TAG_NIL; break;
  case LUA_TBOOLEAN: v.tag = lua_toboolean(L, at) ? TAG_TRUE : TAG_FALSE; break;
  case LUA_TNUMBER:
    v.tag = lua_isinteger(L, at) ? TAG_INTEGER : TAG_FLOAT;
    if (v.tag == TAG_INTEGER) v.integer = lua_tointeger(L, at);
    if (v.tag == TAG_FLOAT) v.number = lua_tonumber(L, at);
    break;
  case LUA_TSTRING:
    v.tag = TAG_STRING;
    v.text = lua_tolstring(L, at, &v.size);
    break;
  case LUA_TTABLE: v.tag = TAG_TABLE; break;
  default: break; /* a function, a userdata, a thread */
  }
  return v;
}

/* ---- order of keys ------------------------------------------------------- */

/* Byte by byte, whatever the locale. */
static int text_order(const struct value *a, const struct value *b) {
  size_t shorter = a->size < b->size ? a->size : b->size;
  int order = memcmp(a->text, b->text, shorter);
  if (order != 0) return order;
  return (a->size > b->size) - (a->size < b->size);
}

/* Less than 0: a comes before b; 0: they are the same key. For qsort. */
static int key_order(const void *left, const void *right) {
  const struct value *a = left;
  const struct value *b = right;
  if (a->tag != b->tag) return a->tag < b->tag ? -1 : 1;
  if (a->tag == TAG_STRING) return text_order(a, b);
  if (a->tag == TAG_INTEGER)
    return (a->integer > b->integer) - (a->integer < b->integer);
  if (a->tag == TAG_FLOAT)
    return (a->number > b->number) - (a->number < b->number);
  return 0;
}

/* ---- bytes out ----------------------------------------------------------- */

/* The stack of an encode: the value, the buffer, then what is on the way. */
enum { PLACE_VALUE = 1, PLACE_BUFFER = 2 };

/* Room for so many more bytes. Takes a slot of Lua's stack for a while. */
static void grow(struct raft_encoder *e, size_t more) {
  if (more > SIZE_MAX / 2 - e->size) luaL_error(e->L, "not enough memory");
  size_t room = 2 * (e->size + more);
  uint8_t *bytes = lua_newuserdatauv(e->L, room, 0);
  memcpy(bytes, e->bytes, e->size);
  lua_replace(e->L, PLACE_BUFFER);
  e->bytes = bytes;
  e->room = room;
}

/* Where the next bytes go, `more` of them at most; what was put there counts
 * once e->size says so. */
static uint8_t *reserve(struct raft_encoder *e, size_t more) {
  if (e->room - e->size < more) grow(e, more);
  return e->bytes + e->size;
}

static void put_byte(struct raft_encoder *e, uint8_t byte) {
  *reserve(e, 1) = byte;
  e->size++;
}

static void put_varint(struct raft_encoder *e, uint64_t u) {
  uint8_t *p = reserve(e, VARINT_BYTES_MAX);
  for (; u >= 0x80; u >>= 7)
    *p++ = (uint8_t)(u | 0x80);
  *p++ = (uint8_t)u;
  e->size = (size_t)(p - e->bytes);
}

static void put_float(struct raft_encoder *e, lua_Number number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  if (number != number) bits = NAN_BITS; /* there are many */
  raft_put_u64(reserve(e, sizeof bits), bits);
  e->size += sizeof bits;
}

void raft_codec_put(struct raft_encoder *e, const void *data, size_t size) {
  memcpy(reserve(e, size), data, size);
  e->size += size;
}

static void put_text(struct raft_encoder *e, const char *text, size_t size) {
  put_varint(e, size);
  raft_codec_put(e, text, size);
}

/* ---- encode -------------------------------------------------------------- */

static void write_scalar(struct raft_encoder *e, const struct value *v) {
  put_byte(e, (uint8_t)v->tag);
  if (v->tag == TAG_INTEGER) {
    uint64_t u = (uint64_t)v->integer;
    put_varint(e, (u << 1) ^ (0 - (u >> 63)));
  } else if (v->tag == TAG_FLOAT) {
    put_float(e, v->number);
  } else if (v->tag == TAG_STRING) {
    put_text(e, v->text, v->size);
  }
}

/* Not lua_rawlen: with holes that depends on how the table was filled. */
static lua_Integer count_array(lua_State *L, int t) {
  lua_Integer n = 0;
  while (lua_rawgeti(L, t, n + 1) != LUA_TNIL) {
    lua_pop(L, 1);
    n++;
  }
  lua_pop(L, 1);
  return n;
}

/* Pushes the keys outside 1..n, in any order. False: one of them cannot be
 * written, or they are too many. Asks for no memory that Lua's heap has, so
 * that no finalizer comes between two keys. */
static bool push_other_keys(lua_State *L, int t, lua_Integer n) {
  lua_pushnil(L);
  while (lua_next(L, t)) {
    lua_pop(L, 1);
    struct value key = value_at(L, -1);
    if (key.tag >= TAG_TABLE) return false;
    bool is_in_array =
        key.tag == TAG_INTEGER && key.integer >= 1 && key.integer <= n;
    if (is_in_array) continue;
    if (!lua_checkstack(L, 4)) return false;
    lua_pushvalue(L, -1); /* one stays, lua_next takes the other */
  }
  return true;
}

/* The pairs of the table at t whose keys are those at first..top. */
static bool write_pairs(struct raft_encoder *e, int t, int first, int depth) {
  lua_State *L = e->L;
  int count = lua_gettop(L) - first + 1;
  struct value few[FEW_KEYS];
  struct value *keys = few;
  if (count > FEW_KEYS)
    keys = lua_newuserdatauv(L, (size_t)count * sizeof *keys, 0);
  for (int i = 0; i < count; i++)
    keys[i] = value_at(L, first + i);
  if (count > 1) qsort(keys, (size_t)count, sizeof *keys, key_order);
  put_varint(e, (uint64_t)count);
  for (int i = 0; i < count; i++) {
    write_scalar(e, &keys[i]);
    lua_pushvalue(L, keys[i].at);
    lua_rawget(L, t);
    if (!raft_codec_write(e, depth)) return false;
    lua_pop(L, 1);
  }
  return true;
}

/* The table on top of the stack, which stays there alone. */
static bool write_table(struct raft_encoder *e, int depth) {
  lua_State *L = e->L;
  int t = lua_gettop(L);
  if (depth == DEPTH_MAX || !lua_checkstack(L, 4)) return false;
  if (lua_getmetatable(L, t)) return false;
  lua_Integer n = count_array(L, t);
  put_byte(e, TAG_TABLE);
  put_varint(e, (uint64_t)n);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, t, i);
    if (!raft_codec_write(e, depth + 1)) return false;
    lua_pop(L, 1);
  }
  if (!push_other_keys(L, t, n)) return false;
  if (!write_pairs(e, t, t + 1, depth + 1)) return false;
  lua_settop(L, t);
  return true;
}

/* The value on top of the stack, which is in `depth` tables. False: reference
 * has to look at it; the stack may have more on it then. */
bool raft_codec_write(struct raft_encoder *e, int depth) {
  struct value v = value_at(e->L, -1);
  if (v.tag == TAG_NONE) return false;
  if (v.tag == TAG_TABLE) return write_table(e, depth);
  write_scalar(e, &v);
  return true;
}

static int codec_encode(lua_State *L) {
  uint8_t few[RAFT_CODEC_FEW_BYTES];
  struct raft_encoder e = {.L = L, .bytes = few, .room = sizeof few};
  lua_settop(L, PLACE_VALUE);
  lua_pushnil(L); /* PLACE_BUFFER */
  lua_pushvalue(L, PLACE_VALUE);
  put_byte(&e, RAFT_CODEC_VERSION);
  if (!raft_codec_write(&e, 0)) {
    lua_pushnil(L);
    lua_pushliteral(L, "bad_value");
    return 2;
  }
  lua_pushlstring(L, (const char *)e.bytes, e.size);
  return 1;
}

/* ---- decode -------------------------------------------------------------- */

/* A number that is not the shortest, or too large, is refused. */
static uint64_t read_varint(struct raft_in *in) {
  uint64_t u = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint8_t byte = raft_in_u8(in);
    if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1)) {
      raft_in_refuse(in);
      return 0;
    }
    u |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return u;
  }
}

/* A count of things of which each takes `size` bytes at least. */
static size_t read_count(struct raft_in *in, size_t size) {
  uint64_t count = read_varint(in);
  if (count > raft_in_left(in) / size) {
    raft_in_refuse(in);
    return 0;
  }
  return (size_t)count;
}

static bool read_integer(lua_State *L, struct raft_in *in) {
  uint64_t u = read_varint(in);
  lua_pushinteger(L, (lua_Integer)((u >> 1) ^ (0 - (u & 1))));
  return raft_in_is_good(in);
}

static bool read_float(lua_State *L, struct raft_in *in) {
  uint64_t bits = raft_in_u64(in);
  lua_Number number;
  memcpy(&number, &bits, sizeof number);
  lua_pushnumber(L, number);
  return raft_in_is_good(in) && (number == number || bits == NAN_BITS);
}

static bool read_text(lua_State *L, struct raft_in *in) {
  size_t size = read_count(in, 1);
  const uint8_t *text = raft_in_bytes(in, size);
  if (!raft_in_is_good(in)) return false;
  lua_pushlstring(L, (const char *)text, size);
  return true;
}

/* Lua has no such float as a key: it makes the integer of it. */
static bool is_integral(lua_Number number) {
  lua_Integer integer;
  return lua_numbertointeger(number, &integer) && (lua_Number)integer == number;
}

/* Would encode write this key behind `last`, with 1..n in the array? */
static bool can_follow(const struct value *key, const struct value *last,
                       size_t n) {
  if (key->tag >= TAG_TABLE) return false;
  if (key->tag == TAG_FLOAT)
    if (key->number != key->number || is_integral(key->number)) return false;
  if (key->tag == TAG_INTEGER)
    if (key->integer >= 1 && (uint64_t)key->integer <= n + 1) return false;
  return last->tag == TAG_NIL || key_order(last, key) < 0;
}

/* Into the table on top of the stack; so do read_pairs. */
static bool read_array(lua_State *L, struct raft_in *in, size_t n, int depth) {
  for (size_t i = 1; i <= n; i++) {
    if (!raft_codec_read(L, in, depth)) return false;
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  return true;
}

/* `last` points into a key that the table holds already. */
static bool read_pairs(lua_State *L, struct raft_in *in, size_t count, size_t n,
                       int depth) {
  struct value last = {.tag = TAG_NIL};
  for (size_t i = 0; i < count; i++) {
    if (!raft_codec_read(L, in, depth)) return false;
    struct value key = value_at(L, -1);
    if (!can_follow(&key, &last, n)) return false;
    if (!raft_codec_read(L, in, depth)) return false;
    lua_rawset(L, -3);
    last = key;
  }
  return true;
}

static int room_for(size_t count) {
  return count < ROOM_MAX ? (int)count : ROOM_MAX;
}

static bool read_table(lua_State *L, struct raft_in *in, int depth) {
  if (depth == DEPTH_MAX) return false;
  luaL_checkstack(L, 4, "raft.codec");
  size_t n = read_count(in, 1);
  size_t count = n == 0 ? read_count(in, 2) : 0; /* known before the array? */
  lua_createtable(L, room_for(n), room_for(count));
  if (!read_array(L, in, n, depth + 1)) return false;
  if (n > 0) count = read_count(in, 2);
  return raft_in_is_good(in) && read_pairs(L, in, count, n, depth + 1);
}

/* Pushes a value that is in `depth` tables. False: the bytes are not what
 * encode writes; the stack may have more or less on it then. */
bool raft_codec_read(lua_State *L, struct raft_in *in, int depth) {
  if (raft_in_left(in) == 0) return false;
  switch (raft_in_u8(in)) {
  case TAG_NIL: lua_pushnil(L); return depth == 0; /* no table has nil */
  case TAG_FALSE: lua_pushboolean(L, 0); return true;
  case TAG_TRUE: lua_pushboolean(L, 1); return true;
  case TAG_INTEGER: return read_integer(L, in);
  case TAG_FLOAT: return read_float(L, in);
  case TAG_STRING: return read_text(L, in);
  case TAG_TABLE: return read_table(L, in, depth);
  default: return false;
  }
}

static int codec_decode(lua_State *L) {
  size_t size;
  luaL_checktype(L, 1, LUA_TSTRING);
  const uint8_t *bytes = (const uint8_t *)lua_tolstring(L, 1, &size);
  struct raft_in in = {.at = bytes, .end = bytes + size};
  lua_pushboolean(L, 1);
  bool is_good =
      raft_in_u8(&in) == RAFT_CODEC_VERSION && raft_codec_read(L, &in, 0);
  if (!is_good || raft_in_left(&in) > 0)
    return raft_lua_fail(L, RAFT_E_CORRUPT);
  return 2;
}

void raft_lua_open_codec(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"codec_encode", codec_encode},
      {"codec_decode", codec_decode},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_setfuncs(L, functions, 0);
}
