/* lua_wire.c - raft.core's functions of the first frames of a connection.
 *
 *   hello_encode(t) -> bytes          hello_decode(bytes) -> t | nil, code
 *   refusal_encode(code, text)        refusal_decode(bytes) -> code, text
 *       -> bytes                                          | nil, code
 *   frame_size(bytes) -> n | 0 | nil, code     0: not enough bytes to tell
 *   frame_kind(bytes) -> "hello" | "append" | ... | "unknown" | nil, code
 *   ping() -> bytes
 *
 * A hello is a table with the fields of struct raft_hello; identity is a string
 * of 16 bytes, or nil when neither formed nor promised; purpose is "peer",
 * "client", "snapshot" or "join".
 * 64-bit numbers are Lua integers, so large ones look negative.
 */
#include "lua_raft.h"

#include <ctype.h>
#include <string.h>

#include "wire.h"

static const char *const purposes[] = {
    [RAFT_HELLO_PEER] = "peer",
    [RAFT_HELLO_CLIENT] = "client",
    [RAFT_HELLO_SNAPSHOT] = "snapshot",
    [RAFT_HELLO_JOIN] = "join",
};

static const uint8_t *check_bytes(lua_State *L, int arg, size_t *size) {
  return (const uint8_t *)luaL_checklstring(L, arg, size);
}

/* Raises: hello.id: expected a string, got nil. */
static void fail_field(lua_State *L, const char *key, const char *expected) {
  const char *got = luaL_typename(L, -1);
  luaL_error(L, "hello.%s: expected %s, got %s", key, expected, got);
}

/* ---- a hello from a table ------------------------------------------------ */

/* The integer at `key`, or `missing` when there is none. */
static lua_Integer get_integer(lua_State *L, const char *key,
                               lua_Integer missing) {
  int type = lua_getfield(L, 1, key);
  int is_integer = type == LUA_TNIL;
  lua_Integer v = missing;
  if (type == LUA_TNUMBER) v = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) fail_field(L, key, "an integer");
  lua_pop(L, 1);
  return v;
}

/* The same in 0..max. */
static lua_Integer get_small(lua_State *L, const char *key, lua_Integer missing,
                             lua_Integer max) {
  lua_Integer v = get_integer(L, key, missing);
  if (v < 0 || v > max)
    luaL_error(L, "hello.%s: expected 0..%I, got %I", key, max, v);
  return v;
}

static uint64_t get_u64(lua_State *L, const char *key) {
  return (uint64_t)get_integer(L, key, 0);
}

/* Copies the text at `key`; nil leaves it empty. */
static void get_text(lua_State *L, const char *key, char *out, size_t room) {
  size_t size = 0;
  int type = lua_getfield(L, 1, key);
  if (type != LUA_TNIL) {
    if (type != LUA_TSTRING) fail_field(L, key, "a string");
    const char *text = lua_tolstring(L, -1, &size);
    if (size >= room)
      luaL_error(L, "hello.%s: at most %d bytes", key, (int)room - 1);
    if (memchr(text, '\0', size) != NULL)
      luaL_error(L, "hello.%s: holds a zero byte", key);
    memcpy(out, text, size);
  }
  lua_pop(L, 1);
}

static uint8_t get_purpose(lua_State *L) {
  uint8_t purpose = 0;
  if (lua_getfield(L, 1, "purpose") == LUA_TNIL) purpose = RAFT_HELLO_PEER;
  const char *text = lua_tostring(L, -1);
  for (uint8_t i = RAFT_HELLO_PEER; i <= RAFT_HELLO_JOIN; i++)
    if (text != NULL && strcmp(text, purposes[i]) == 0) purpose = i;
  if (purpose == 0) fail_field(L, "purpose", "peer, client, snapshot or join");
  lua_pop(L, 1);
  return purpose;
}

/* An identity tells that the cluster is formed, unless `formed` is false: then
 * it is what the sender has promised to form. */
static void get_identity(lua_State *L, struct raft_hello *h) {
  size_t size = 0;
  int type = lua_getfield(L, 1, "identity");
  bool is_given = type == LUA_TSTRING;
  const char *bytes = is_given ? lua_tolstring(L, -1, &size) : NULL;
  if (!is_given && lua_toboolean(L, -1))
    fail_field(L, "identity", "a string or nil");
  if (is_given && size != RAFT_IDENTITY_BYTES)
    luaL_error(L, "hello.identity: expected %d bytes", RAFT_IDENTITY_BYTES);
  if (bytes != NULL) memcpy(h->identity, bytes, RAFT_IDENTITY_BYTES);
  lua_pop(L, 1);
  bool is_said = lua_getfield(L, 1, "formed") != LUA_TNIL;
  h->formed = is_said ? lua_toboolean(L, -1) != 0 : is_given;
  if (h->formed && !is_given)
    luaL_error(L, "hello.formed: who is formed has an identity");
  lua_pop(L, 1);
}

static void check_hello(lua_State *L, struct raft_hello *h) {
  luaL_checktype(L, 1, LUA_TTABLE);
  memset(h, 0, sizeof *h);
  h->version_min =
      (uint8_t)get_small(L, "version_min", RAFT_WIRE_VERSION, UINT8_MAX);
  h->version_max =
      (uint8_t)get_small(L, "version_max", RAFT_WIRE_VERSION, UINT8_MAX);
  h->purpose = get_purpose(L);
  get_identity(L, h);
  h->group = (uint32_t)get_small(L, "group", 0, UINT32_MAX);
  h->plan = get_u64(L, "plan");
  h->incarnation = get_u64(L, "incarnation");
  h->starts = get_u64(L, "starts");
  h->nonce = get_u64(L, "nonce");
  h->known = get_u64(L, "known");
  h->config_index = get_u64(L, "config_index");
  get_text(L, "cluster", h->cluster, sizeof h->cluster);
  get_text(L, "id", h->id, sizeof h->id);
  get_text(L, "to", h->to, sizeof h->to);
  get_text(L, "address", h->address, sizeof h->address);
}

static int hello_encode(lua_State *L) {
  struct raft_hello h;
  uint8_t out[RAFT_HELLO_BYTES_MAX];
  check_hello(L, &h);
  const char *broken = raft_hello_check(&h);
  if (broken != NULL) return luaL_error(L, "hello.%s: not valid", broken);
  size_t size = raft_hello_encode(&h, out);
  lua_pushlstring(L, (const char *)out, size);
  return 1;
}

/* ---- and back ------------------------------------------------------------ */

static void set_integer(lua_State *L, const char *key, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static void set_text(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static bool has_identity(const struct raft_hello *h) {
  for (int i = 0; i < RAFT_IDENTITY_BYTES; i++)
    if (h->identity[i] != 0) return true;
  return false;
}

static void push_hello(lua_State *L, const struct raft_hello *h) {
  lua_createtable(L, 0, 17);
  set_integer(L, "version_min", h->version_min);
  set_integer(L, "version_max", h->version_max);
  set_text(L, "purpose", purposes[h->purpose]);
  lua_pushboolean(L, h->formed);
  lua_setfield(L, -2, "formed");
  if (has_identity(h)) {
    lua_pushlstring(L, (const char *)h->identity, RAFT_IDENTITY_BYTES);
    lua_setfield(L, -2, "identity");
  }
  set_integer(L, "group", h->group);
  set_integer(L, "plan", h->plan);
  set_integer(L, "incarnation", h->incarnation);
  set_integer(L, "starts", h->starts);
  set_integer(L, "nonce", h->nonce);
  set_integer(L, "known", h->known);
  set_integer(L, "config_index", h->config_index);
  set_text(L, "cluster", h->cluster);
  set_text(L, "id", h->id);
  set_text(L, "to", h->to);
  set_text(L, "address", h->address);
}

static int hello_decode(lua_State *L) {
  struct raft_hello h;
  size_t size;
  const uint8_t *bytes = check_bytes(L, 1, &size);
  int error = raft_hello_decode(bytes, size, &h);
  if (error != RAFT_OK) return raft_lua_fail(L, error);
  push_hello(L, &h);
  return 1;
}

/* ---- refusal ------------------------------------------------------------- */

/* Copies a text for people: cut where it is too long, but not within a UTF-8
 * sequence, and one line of it. */
static void copy_plain(const char *text, size_t size, char *out, size_t room) {
  if (size >= room) {
    size = room - 1;
    while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
      size--;
  }
  for (size_t i = 0; i < size; i++)
    out[i] = (uint8_t)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
  out[size] = '\0';
}

static int refusal_encode(lua_State *L) {
  struct raft_refusal f = {0};
  uint8_t out[RAFT_HELLO_BYTES_MAX];
  size_t code_size;
  size_t text_size;
  const char *code = luaL_checklstring(L, 1, &code_size);
  const char *text = luaL_checklstring(L, 2, &text_size);
  bool is_code = code_size > 0 && code_size < sizeof f.code &&
                 strspn(code, "abcdefghijklmnopqrstuvwxyz_") == code_size;
  luaL_argcheck(L, is_code, 1, "an error code is made of a-z and _");
  memcpy(f.code, code, code_size);
  copy_plain(text, text_size, f.text, sizeof f.text);
  size_t size = raft_refusal_encode(&f, out);
  lua_pushlstring(L, (const char *)out, size);
  return 1;
}

static int refusal_decode(lua_State *L) {
  struct raft_refusal f;
  size_t size;
  const uint8_t *bytes = check_bytes(L, 1, &size);
  int error = raft_refusal_decode(bytes, size, &f);
  if (error != RAFT_OK) return raft_lua_fail(L, error);
  lua_pushstring(L, f.code);
  lua_pushstring(L, f.text);
  return 2;
}

/* ---- any frame ----------------------------------------------------------- */

static int frame_size(lua_State *L) {
  size_t size;
  const uint8_t *bytes = check_bytes(L, 1, &size);
  int64_t n = raft_wire_size(bytes, size);
  if (n < 0) return raft_lua_fail(L, (int)n);
  lua_pushinteger(L, n);
  return 1;
}

static const char *kind_name(uint8_t kind) {
  switch ((enum raft_message_kind)kind) {
  case RAFT_MSG_NONE: break;
#define X(name, value)                                                         \
  case RAFT_MSG_##name: return #name;
    RAFT_MESSAGES(X)
#undef X
  }
  return "UNKNOWN";
}

/* What kind does the frame say it is? Nothing is verified: a hint for whom to
 * hand it to. */
static int frame_kind(lua_State *L) {
  size_t size;
  const uint8_t *bytes = check_bytes(L, 1, &size);
  if (size < RAFT_FRAME_HEADER_BYTES) return raft_lua_fail(L, RAFT_E_MORE);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *p = kind_name(raft_wire_kind(bytes)); *p != '\0'; p++)
    luaL_addchar(&b, (char)tolower((unsigned char)*p));
  luaL_pushresult(&b);
  return 1;
}

static int ping(lua_State *L) {
  uint8_t out[RAFT_FRAME_FIXED_MAX];
  struct raft_message m;
  memset(&m, 0, sizeof m);
  m.kind = RAFT_MSG_PING;
  size_t size = raft_wire_encode(&m, out);
  lua_pushlstring(L, (const char *)out, size);
  return 1;
}

void raft_lua_open_wire(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hello_encode", hello_encode},
      {"hello_decode", hello_decode},
      {"refusal_encode", refusal_encode},
      {"refusal_decode", refusal_decode},
      {"frame_size", frame_size},
      {"frame_kind", frame_kind},
      {"ping", ping},
      {NULL, NULL},
  };
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_setfuncs(L, functions, 0);
}
