/* lua_answer.c - answers and queries as bytes, without a table around them.
 *
 *   answer_encode(value, why) -> bytes | nil
 *   answer_decode(bytes) -> true, value, why | nil
 *   query_encode(opts, request) -> bytes | nil     opts: bytes of a value
 *   query_decode(bytes) -> true, at_least, consistency, timeout, request | nil
 *
 * The bytes are those of the codec: { value =, why = } and { opts = { timeout
 * =, consistency =, at_least = }, request = }. Whatever is not just that, be it
 * an error or broken, is answered by nothing: who asked looks at it then as at
 * any value.
 */
#include "lua_codec.h"

static const uint8_t TABLE_OF_PAIRS[] = {RAFT_CODEC_VERSION, RAFT_CODEC_TABLE,
                                         0}; /* nothing in the array */

/* ---- out ----------------------------------------------------------------- */

static void put_byte(struct raft_encoder *e, uint8_t byte) {
  raft_codec_put(e, &byte, 1);
}

/* A key that is shorter than 128 bytes. */
static void put_key(struct raft_encoder *e, const char *key) {
  size_t size = strlen(key);
  assert(size < 0x80);
  put_byte(e, RAFT_CODEC_STRING);
  put_byte(e, (uint8_t)size);
  raft_codec_put(e, key, size);
}

static void begin(struct raft_encoder *e, int pairs) {
  assert(pairs >= 0);
  assert(pairs < 0x80);
  raft_codec_put(e, TABLE_OF_PAIRS, sizeof TABLE_OF_PAIRS);
  put_byte(e, (uint8_t)pairs);
}

/* A pair of the value at `at`, unless that is nil. */
static bool put_pair(struct raft_encoder *e, const char *key, int at) {
  if (lua_isnil(e->L, at)) return true;
  put_key(e, key);
  lua_pushvalue(e->L, at);
  bool is_plain = raft_codec_write(e, 1);
  if (is_plain) lua_pop(e->L, 1);
  return is_plain;
}

/* Two arguments, and the place of the buffer between them. */
static void two_arguments(lua_State *L) {
  lua_settop(L, 2);
  lua_pushnil(L);
  lua_insert(L, 2);
}

static int finish(struct raft_encoder *e, bool is_plain) {
  if (!is_plain) return 0;
  lua_pushlstring(e->L, (const char *)e->bytes, e->size);
  return 1;
}

bool raft_lua_put_answer(struct raft_encoder *e, int value, int why) {
  begin(e, !lua_isnil(e->L, value) + !lua_isnil(e->L, why));
  return put_pair(e, "value", value) && put_pair(e, "why", why);
}

static int answer_encode(lua_State *L) {
  uint8_t few[RAFT_CODEC_FEW_BYTES];
  struct raft_encoder e = {.L = L, .bytes = few, .room = sizeof few};
  two_arguments(L);
  return finish(&e, raft_lua_put_answer(&e, 1, 3));
}

static int query_encode(lua_State *L) {
  uint8_t few[RAFT_CODEC_FEW_BYTES];
  struct raft_encoder e = {.L = L, .bytes = few, .room = sizeof few};
  size_t size;
  const char *opts = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size > 1, 1, "no value");
  two_arguments(L);
  begin(&e, 1 + !lua_isnil(L, 3));
  put_key(&e, "opts");
  raft_codec_put(&e, opts + 1, size - 1); /* without its version */
  return finish(&e, put_pair(&e, "request", 3));
}

/* ---- in ------------------------------------------------------------------ */

static struct raft_in bytes_at(lua_State *L, int arg) {
  size_t size;
  const char *bytes = luaL_checklstring(L, arg, &size);
  return (struct raft_in){.at = (const uint8_t *)bytes,
                          .end = (const uint8_t *)bytes + size};
}

/* How many pairs the table has that begins here, an empty array before them;
 * -1: it is none. */
static int read_pairs(struct raft_in *in) {
  if (raft_in_u8(in) != RAFT_CODEC_TABLE || raft_in_u8(in) != 0) return -1;
  uint8_t count = raft_in_u8(in);
  return raft_in_is_good(in) && count < 0x80 ? count : -1;
}

/* Is this the next key? Then it is taken. */
static bool take_key(struct raft_in *in, const char *key) {
  size_t size = strlen(key);
  if (raft_in_left(in) < size + 2) return false;
  if (in->at[0] != RAFT_CODEC_STRING || in->at[1] != size) return false;
  if (memcmp(in->at + 2, key, size) != 0) return false;
  in->at += size + 2;
  return true;
}

/* Pushes the value of this key, or nil where another one comes. False: it is
 * broken. */
static bool push_field(lua_State *L, struct raft_in *in, const char *key,
                       int *pairs) {
  if (*pairs == 0 || !take_key(in, key)) {
    lua_pushnil(L);
    return true;
  }
  *pairs -= 1;
  return raft_codec_read(L, in, 1);
}

static bool push_answer(lua_State *L, struct raft_in *in) {
  if (raft_in_u8(in) != RAFT_CODEC_VERSION) return false;
  int pairs = read_pairs(in);
  return pairs >= 0 && push_field(L, in, "value", &pairs) &&
         push_field(L, in, "why", &pairs) && pairs == 0 &&
         raft_in_left(in) == 0;
}

bool raft_lua_push_answer(lua_State *L, const uint8_t *bytes, size_t size) {
  struct raft_in in = {.at = bytes, .end = bytes + size};
  int top = lua_gettop(L);
  lua_pushboolean(L, 1);
  bool is_plain = push_answer(L, &in);
  if (!is_plain) lua_settop(L, top);
  return is_plain;
}

static int answer_decode(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  return raft_lua_push_answer(L, (const uint8_t *)bytes, size) ? 3 : 0;
}

/* Pushes the three fields of opts, whose keys come in the order of their
 * bytes. */
static bool push_opts(lua_State *L, struct raft_in *in) {
  int pairs = read_pairs(in);
  if (pairs < 0) return false;
  return push_field(L, in, "at_least", &pairs) &&
         push_field(L, in, "consistency", &pairs) &&
         push_field(L, in, "timeout", &pairs) && pairs == 0;
}

static int query_decode(lua_State *L) {
  struct raft_in in = bytes_at(L, 1);
  if (raft_in_u8(&in) != RAFT_CODEC_VERSION) return 0;
  int pairs = read_pairs(&in);
  lua_settop(L, 1);
  lua_pushboolean(L, 1);
  if (pairs < 1 || !take_key(&in, "opts") || !push_opts(L, &in)) return 0;
  pairs--;
  if (!push_field(L, &in, "request", &pairs)) return 0;
  return pairs == 0 && raft_in_left(&in) == 0 ? 5 : 0;
}

void raft_lua_open_answer(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"answer_encode", answer_encode},
      {"answer_decode", answer_decode},
      {"query_encode", query_encode},
      {"query_decode", query_decode},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_setfuncs(L, functions, 0);
}
