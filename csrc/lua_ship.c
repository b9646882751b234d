/* lua_ship.c - raft.core's functions of the connection of a snapshot.
 *
 *   ship_offer(term, t) -> bytes       t: index, term, time, config_index,
 *                                      config (encoded), size, checksum
 *   ship_taken(term, offset) -> bytes
 *   ship_chunk(term, offset, bytes) -> bytes
 *   ship_verdict(term, word, text) -> bytes     word: "done" "have" "busy"
 *                             "stale" "no_space" "damaged" "failed"
 *   ship_size(bytes) -> n | 0 | nil, code       0: not enough bytes to tell
 *   ship_decode(bytes) -> "offer", term, t
 *                       | "taken", term, offset
 *                       | "chunk", term, offset, bytes
 *                       | "verdict", term, word, text
 *                       | "other"               a kind that may be dropped
 *                       | nil, code
 *   SHIP_CHUNK_BYTES      of the file, at a time, at most
 *
 * `term` is the sender's. 64-bit numbers are Lua integers.
 */
#include "lua_raft.h"

#include <ctype.h>
#include <string.h>

#include "ship.h"

static struct raft_slice check_slice(lua_State *L, int arg) {
  struct raft_slice s;
  s.data = (const uint8_t *)luaL_checklstring(L, arg, &s.size);
  return s;
}

static uint64_t check_u64(lua_State *L, int arg) {
  lua_Integer v = luaL_checkinteger(L, arg);
  luaL_argcheck(L, v >= 0, arg, "out of range");
  return (uint64_t)v;
}

static uint64_t get_u64(lua_State *L, const char *key) {
  int is_integer = 0;
  lua_getfield(L, 2, key);
  lua_Integer v = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) luaL_error(L, "offer.%s: expected an integer", key);
  lua_pop(L, 1);
  return (uint64_t)v;
}

/* Pushes the frame of this message, which decode would take. */
static int push_frame(lua_State *L, const struct raft_ship *m) {
  uint8_t head[RAFT_SHIP_HEAD_MAX];
  const char *broken = raft_ship_check(m);
  if (broken != NULL) return luaL_error(L, "ship.%s: not valid", broken);
  size_t head_size = raft_ship_encode(m, head);
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, head_size + m->tail.size);
  memcpy(out, head, head_size);
  if (m->tail.size > 0) memcpy(out + head_size, m->tail.data, m->tail.size);
  luaL_pushresultsize(&b, head_size + m->tail.size);
  return 1;
}

static int ship_offer(lua_State *L) {
  struct raft_ship m = {.kind = RAFT_SHIP_OFFER};
  m.term = check_u64(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  m.offer.index = get_u64(L, "index");
  m.offer.term = get_u64(L, "term");
  m.offer.time = get_u64(L, "time");
  m.offer.config_index = get_u64(L, "config_index");
  m.offer.size = get_u64(L, "size");
  m.offer.checksum = get_u64(L, "checksum");
  if (lua_getfield(L, 2, "config") != LUA_TSTRING)
    return luaL_error(L, "offer.config: expected a string");
  m.tail = check_slice(L, -1); /* it stays on the stack */
  return push_frame(L, &m);
}

static int ship_taken(lua_State *L) {
  struct raft_ship m = {.kind = RAFT_SHIP_TAKEN};
  m.term = check_u64(L, 1);
  m.taken.offset = check_u64(L, 2);
  return push_frame(L, &m);
}

static int ship_chunk(lua_State *L) {
  struct raft_ship m = {.kind = RAFT_SHIP_CHUNK};
  m.term = check_u64(L, 1);
  m.chunk.offset = check_u64(L, 2);
  m.tail = check_slice(L, 3);
  return push_frame(L, &m);
}

/* ---- verdicts ------------------------------------------------------------ */

static const char *verdict_name(uint8_t code) {
  switch ((enum raft_ship_verdict)code) {
#define X(name, value)                                                         \
  case RAFT_SHIP_##name: return #name;
    RAFT_SHIP_VERDICTS(X)
#undef X
  }
  return "FAILED"; /* of a later version */
}

static bool is_word(const char *word, const char *name) {
  for (; *name != '\0'; word++, name++)
    if (*word != tolower((unsigned char)*name)) return false;
  return *word == '\0';
}

static uint8_t check_word(lua_State *L, int arg) {
  const char *word = luaL_checkstring(L, arg);
#define X(name, value)                                                         \
  if (is_word(word, #name)) return RAFT_SHIP_##name;
  RAFT_SHIP_VERDICTS(X)
#undef X
  return (uint8_t)luaL_argerror(L, arg, "no such verdict");
}

/* One line of it, and not too long; cut not within a UTF-8 sequence. */
static size_t copy_plain(struct raft_slice text, uint8_t *out) {
  size_t size = text.size;
  if (size > RAFT_SHIP_TEXT_BYTES) {
    size = RAFT_SHIP_TEXT_BYTES;
    while (size > 0 && (text.data[size] & 0xc0) == 0x80)
      size--;
  }
  for (size_t i = 0; i < size; i++)
    out[i] = text.data[i] < ' ' || text.data[i] == 0x7f ? ' ' : text.data[i];
  return size;
}

static int ship_verdict(lua_State *L) {
  uint8_t text[RAFT_SHIP_TEXT_BYTES];
  struct raft_ship m = {.kind = RAFT_SHIP_VERDICT};
  m.term = check_u64(L, 1);
  m.verdict.code = check_word(L, 2);
  m.tail = (struct raft_slice){text, copy_plain(check_slice(L, 3), text)};
  return push_frame(L, &m);
}

static void push_word(lua_State *L, const char *name) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; *name != '\0'; name++)
    luaL_addchar(&b, (char)tolower((unsigned char)*name));
  luaL_pushresult(&b);
}

/* ---- frames -------------------------------------------------------------- */

static int ship_size(lua_State *L) {
  struct raft_slice bytes = check_slice(L, 1);
  int64_t n = raft_ship_size(bytes.data, bytes.size);
  if (n < 0) return raft_lua_fail(L, (int)n);
  lua_pushinteger(L, n);
  return 1;
}

static void set_integer(lua_State *L, const char *key, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static void push_tail(lua_State *L, const struct raft_ship *m) {
  lua_pushlstring(L, (const char *)m->tail.data, m->tail.size);
}

static void push_offer(lua_State *L, const struct raft_ship *m) {
  lua_createtable(L, 0, 7);
  set_integer(L, "index", m->offer.index);
  set_integer(L, "term", m->offer.term);
  set_integer(L, "time", m->offer.time);
  set_integer(L, "config_index", m->offer.config_index);
  set_integer(L, "size", m->offer.size);
  set_integer(L, "checksum", m->offer.checksum);
  push_tail(L, m);
  lua_setfield(L, -2, "config");
}

static int push_message(lua_State *L, const struct raft_ship *m) {
  static const char *const names[] = {"offer", "taken", "chunk", "verdict"};
  lua_pushstring(L, names[m->kind - RAFT_SHIP_OFFER]);
  lua_pushinteger(L, (lua_Integer)m->term);
  switch ((enum raft_ship_kind)m->kind) {
  case RAFT_SHIP_OFFER: push_offer(L, m); return 3;
  case RAFT_SHIP_TAKEN:
    lua_pushinteger(L, (lua_Integer)m->taken.offset);
    return 3;
  case RAFT_SHIP_CHUNK:
    lua_pushinteger(L, (lua_Integer)m->chunk.offset);
    push_tail(L, m);
    return 4;
  case RAFT_SHIP_VERDICT:
    push_word(L, verdict_name(m->verdict.code));
    push_tail(L, m);
    return 4;
  }
  return 0;
}

static int ship_decode(lua_State *L) {
  struct raft_ship m;
  struct raft_slice frame = check_slice(L, 1);
  int error = raft_ship_decode(frame.data, frame.size, &m);
  if (error == RAFT_OK) return push_message(L, &m);
  if (error != RAFT_E_UNSUPPORTED) return raft_lua_fail(L, error);
  lua_pushliteral(L, "other");
  return 1;
}

void raft_lua_open_ship(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"ship_offer", ship_offer},
      {"ship_taken", ship_taken},
      {"ship_chunk", ship_chunk},
      {"ship_verdict", ship_verdict},
      {"ship_size", ship_size},
      {"ship_decode", ship_decode},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_setfuncs(L, functions, 0);
  set_integer(L, "SHIP_CHUNK_BYTES", RAFT_SHIP_CHUNK_BYTES);
}
