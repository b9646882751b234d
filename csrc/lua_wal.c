/* lua_wal.c - the write-ahead log and the identity file, for storage.lua.
 *
 *   wal = core.wal_new(first, starts before this one, memory_bytes)
 *   reading what a start finds:
 *     wal:open(number, file_bytes, is_last, head)  ok | nil, code, fault
 *     wal:want()                                   offset, size | nothing
 *     wal:feed(bytes)                              ok | nil, code, fault
 *     wal:torn()                                   from, to | nothing
 *     wal:damage()                                 fault | nothing: what was
 *                                                  stepped over
 *     wal:recovery()                               a raft.recovery, once;
 *                                                  term, vote, commit, last,
 *                                                  last before damage or 0
 *   writing:
 *     wal:segment(salt, size)                      head of the next segment
 *     wal:fits(entry_bytes, reserve)               boolean; a mark counts like
 *                                                  core.WAL_MARK_BYTES more
 *     wal:batch(kind, term, vote, commit, list     bytes, offset
 *               [, mark_index, mark_term, is_reset])
 *     wal:stored(bytes)                            ok | nil, code
 *     wal:position()       segment, offset, segment size, newest entry, kind
 *   reading back:
 *     wal:find(index)      segment, offset, size, last, first, rest | nothing
 *   letting old ones go, once a snapshot covers all up to an index:
 *     wal:oldest(index)    the oldest segment that is needed then
 *     wal:drop(segment)    forgets those before this one; then remove them
 *     wal:before(bytes)    the newest index behind which so much lies, or 0
 *     core.wal_cut(bytes, first_there, offset, rest, first, last, bytes_max)
 *                                                  entries, last | nil, code
 *     core.wal_entry(entries, at)     where the next one begins, index, kind,
 *                                     term, time, payload | nil, code
 */
#include "lua_raft.h"

#include "entry.h"
#include "identity.h"
#include "wal.h"
#include "wal_map.h"
#include "wal_scan.h"
#include "wal_state.h"
#include "wal_writer.h"

#include <stdlib.h>
#include <string.h>

static const char WAL[] = "raft.wal";

enum { SLICES_MAX = 64 }; /* stores joined into one batch */

struct wal {
  bool is_writing; /* has recovery been handed out? */
  struct raft_wal_scan scan;
  struct raft_wal_writer writer;
  uint64_t put_offset; /* of the batch under way */
};

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size > 0) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

/* ---- arguments and results ----------------------------------------------- */

static struct wal *check_wal(lua_State *L, bool is_writing) {
  struct wal *w = luaL_checkudata(L, 1, WAL);
  luaL_argcheck(L, w->is_writing == is_writing, 1,
                is_writing ? "not recovered yet" : "recovered already");
  return w;
}

static uint64_t check_u64(lua_State *L, int arg, uint64_t least) {
  uint64_t v = (uint64_t)luaL_checkinteger(L, arg);
  luaL_argcheck(L, v >= least && v <= (uint64_t)INT64_MAX, arg, "out of range");
  return v;
}

static struct raft_slice check_slice(lua_State *L, int arg) {
  struct raft_slice s;
  s.data = (const uint8_t *)luaL_checklstring(L, arg, &s.size);
  return s;
}

static void set_integer(lua_State *L, const char *name, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, name);
}

static void push_table(lua_State *L, const struct raft_wal_fault *fault) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, fault->why);
  lua_setfield(L, -2, "why");
  set_integer(L, "segment", fault->segment);
  set_integer(L, "offset", fault->offset);
  set_integer(L, "version", fault->version);
}

/* nil, code, fault. The code is the one of raft.errors. */
static int push_fault(lua_State *L, int error,
                      const struct raft_wal_fault *fault) {
  lua_pushnil(L);
  if (error == RAFT_E_NOMEM) {
    lua_pushliteral(L, "no memory");
    return 2;
  }
  lua_pushstring(L, error == RAFT_E_VERSION ? "format_version" : "corrupt");
  push_table(L, fault);
  return 3;
}

static int push_ok(lua_State *L, int error, const struct raft_wal_fault *f) {
  if (error != RAFT_OK) return push_fault(L, error, f);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- reading what a start finds ------------------------------------------ */

static int wal_new(lua_State *L) {
  struct raft_wal_options options = {
      .first = check_u64(L, 1, 1),
      .starts = check_u64(L, 2, 0),
      .memory_bytes = (size_t)check_u64(L, 3, 0),
      .alloc = allocate,
  };
  luaL_argcheck(L, options.starts < RAFT_WAL_STARTS_MAX, 2, "too many starts");
  struct wal *w = lua_newuserdatauv(L, sizeof(*w), 0);
  memset(w, 0, sizeof(*w));
  raft_wal_scan_init(&w->scan, &options);
  luaL_setmetatable(L, WAL);
  return 1;
}

static int wal_gc(lua_State *L) {
  struct wal *w = luaL_checkudata(L, 1, WAL);
  raft_wal_scan_free(&w->scan);
  return 0;
}

static int wal_open(lua_State *L) {
  struct wal *w = check_wal(L, false);
  struct raft_wal_file file = {
      .number = check_u64(L, 2, 1),
      .size = check_u64(L, 3, 0),
      .is_last = lua_toboolean(L, 4),
  };
  struct raft_slice head = check_slice(L, 5);
  luaL_argcheck(L, w->scan.phase == RAFT_WAL_BETWEEN, 1, "not between files");
  int error = raft_wal_scan_open(&w->scan, &file, head);
  return push_ok(L, error, &w->scan.fault);
}

static int wal_want(lua_State *L) {
  struct wal *w = check_wal(L, false);
  if (w->scan.want_size == 0) return 0;
  lua_pushinteger(L, (lua_Integer)w->scan.want_offset);
  lua_pushinteger(L, (lua_Integer)w->scan.want_size);
  return 2;
}

static int wal_feed(lua_State *L) {
  struct wal *w = check_wal(L, false);
  struct raft_slice data = check_slice(L, 2);
  luaL_argcheck(L, w->scan.want_size > 0, 1, "wants nothing");
  int error = raft_wal_scan_feed(&w->scan, data);
  return push_ok(L, error, &w->scan.fault);
}

static int wal_torn(lua_State *L) {
  struct wal *w = luaL_checkudata(L, 1, WAL);
  if (w->scan.torn_end == 0) return 0;
  lua_pushinteger(L, (lua_Integer)w->scan.end);
  lua_pushinteger(L, (lua_Integer)w->scan.torn_end);
  return 2;
}

static int wal_damage(lua_State *L) {
  struct wal *w = luaL_checkudata(L, 1, WAL);
  if (w->scan.damage.why == NULL) return 0;
  push_table(L, &w->scan.damage);
  return 1;
}

static int wal_recovery(lua_State *L) {
  struct wal *w = check_wal(L, false);
  luaL_argcheck(L, w->scan.phase == RAFT_WAL_BETWEEN, 1, "not read to its end");
  raft_wal_writer_init(&w->writer, &w->scan);
  const struct raft_recovery *r = raft_lua_push_recovery(L, &w->scan.state);
  w->is_writing = true;
  lua_pushinteger(L, (lua_Integer)r->term);
  lua_pushinteger(L, (lua_Integer)r->vote);
  lua_pushinteger(L, (lua_Integer)r->commit);
  lua_pushinteger(L, (lua_Integer)r->last);
  lua_pushinteger(L, (lua_Integer)r->lost_last);
  return 6;
}

/* ---- writing ------------------------------------------------------------- */

static int wal_segment(lua_State *L) {
  struct wal *w = check_wal(L, true);
  uint64_t salt = (uint64_t)luaL_checkinteger(L, 2);
  uint64_t size = check_u64(L, 3, 2 * RAFT_WAL_SECTOR);
  luaL_argcheck(L, size % RAFT_WAL_SECTOR == 0, 3, "not whole sectors");
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, RAFT_WAL_SECTOR);
  struct raft_wal_writer next = w->writer;
  raft_wal_writer_open(&next, salt, size, (uint8_t *)out);
  luaL_pushresultsize(&buffer, RAFT_WAL_SECTOR);
  int error = raft_wal_map_open(&w->scan.map, next.segment.number,
                                next.segment.next_index);
  if (error != RAFT_OK) return push_fault(L, error, &w->scan.fault);
  w->writer = next; /* nothing raises from here on */
  return 1;
}

static int wal_fits(lua_State *L) {
  struct wal *w = check_wal(L, true);
  uint64_t entry_bytes = check_u64(L, 2, 0);
  uint64_t reserve = check_u64(L, 3, 0);
  lua_pushboolean(L, raft_wal_writer_fits(&w->writer, entry_bytes, reserve));
  return 1;
}

struct joined { /* the entries of one batch */
  struct raft_slice slices[SLICES_MAX];
  size_t count;
  uint64_t size;
};

/* The mark of a snapshot at `arg` and behind it; none where it is 0 or nil. */
static struct raft_wal_mark check_mark(lua_State *L, int arg) {
  struct raft_wal_mark mark = {0};
  if (lua_isnoneornil(L, arg) || check_u64(L, arg, 0) == 0) return mark;
  mark.index = check_u64(L, arg, 1);
  mark.term = check_u64(L, arg + 1, 1);
  mark.is_reset = lua_toboolean(L, arg + 2);
  return mark;
}

/* Strings of encoded entries, in order, from the list at `arg`, which keeps
 * them alive. Checked here, so that what follows cannot fail. */
static void check_joined(lua_State *L, int arg, raft_index last,
                         struct joined *out) {
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_Unsigned count = lua_rawlen(L, arg);
  luaL_argcheck(L, count <= SLICES_MAX, arg, "too many strings");
  out->count = (size_t)count;
  out->size = 0;
  for (size_t i = 0; i < out->count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, arg, "not a string");
    out->slices[i] = check_slice(L, -1);
    out->size += out->slices[i].size;
    lua_pop(L, 1); /* the list still holds it */
    luaL_argcheck(L, raft_wal_writer_accepts(out->slices[i], &last), arg,
                  "not entries that can come next");
  }
}

static int wal_batch(lua_State *L) {
  static const char *const kinds[] = {"data", "mark", NULL};
  struct wal *w = check_wal(L, true);
  struct joined joined;
  struct raft_wal_batch b = {
      .kind =
          luaL_checkoption(L, 2, NULL, kinds) ? RAFT_WAL_MARK : RAFT_WAL_DATA,
      .term = check_u64(L, 3, 0),
      .vote = (uint64_t)luaL_checkinteger(L, 4),
      .commit = check_u64(L, 5, 0),
      .mark = check_mark(L, 7),
  };
  check_joined(L, 6, b.mark.is_reset ? b.mark.index : w->writer.last, &joined);
  uint64_t bytes =
      joined.size + (b.mark.index > 0 ? (uint64_t)RAFT_WAL_MARK_BYTES : 0);
  luaL_argcheck(L, b.kind == RAFT_WAL_DATA || bytes == 0, 6,
                "a mark has no entries");
  luaL_argcheck(L, raft_wal_writer_fits(&w->writer, bytes, 0), 6,
                "no room in the segment");
  size_t size = (size_t)raft_wal_batch_bytes(bytes);
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, size);
  struct raft_wal_writer next = w->writer;
  raft_wal_writer_put(&next, &b, joined.slices, joined.count, (uint8_t *)out);
  luaL_pushresultsize(&buffer, size);
  w->put_offset = w->writer.offset;
  w->writer = next; /* nothing raises from here on */
  lua_pushinteger(L, (lua_Integer)w->put_offset);
  return 2;
}

/* The batch that was put last is durable: its entries can be found. */
static int wal_stored(lua_State *L) {
  struct wal *w = check_wal(L, true);
  struct raft_slice data = check_slice(L, 2);
  struct raft_wal_batch b;
  struct raft_wal_body body = {0};
  int error = raft_wal_batch_decode(data.data, data.size, &b);
  if (error == RAFT_OK)
    error = raft_wal_batch_body(&b, data.data, data.size, &body);
  luaL_argcheck(L, error == RAFT_OK && b.number == w->writer.number, 2,
                "not the newest batch");
  if (body.mark.is_reset) raft_wal_map_reset(&w->scan.map, body.mark.index);
  error = raft_wal_map_add(&w->scan.map, w->writer.segment.number,
                           b.offset + body.entries_at, body.entries);
  return push_ok(L, error, &w->scan.fault);
}

static int wal_position(lua_State *L) {
  struct wal *w = check_wal(L, true);
  lua_pushinteger(L, (lua_Integer)w->writer.segment.number);
  lua_pushinteger(L, (lua_Integer)w->writer.offset);
  lua_pushinteger(L, (lua_Integer)w->writer.segment.size);
  lua_pushinteger(L, (lua_Integer)w->scan.map.last);
  lua_pushinteger(L, w->writer.kind);
  return 5;
}

/* ---- letting go ---------------------------------------------------------- */

static int wal_oldest(lua_State *L) {
  struct wal *w = check_wal(L, true);
  raft_index upto = check_u64(L, 2, 0);
  uint64_t oldest = raft_wal_map_oldest(&w->scan.map, upto);
  lua_pushinteger(L, (lua_Integer)oldest);
  return 1;
}

static int wal_drop(lua_State *L) {
  struct wal *w = check_wal(L, true);
  uint64_t segment = check_u64(L, 2, 1);
  luaL_argcheck(L, segment <= w->writer.segment.number, 2, "no such segment");
  raft_wal_map_drop(&w->scan.map, segment);
  return 0;
}

static int wal_before(lua_State *L) {
  struct wal *w = check_wal(L, true);
  uint64_t bytes = check_u64(L, 2, 0);
  raft_index index = raft_wal_map_before(&w->scan.map, bytes);
  lua_pushinteger(L, (lua_Integer)index);
  return 1;
}

/* ---- reading back -------------------------------------------------------- */

static int wal_find(lua_State *L) {
  struct wal *w = check_wal(L, true);
  raft_index index = check_u64(L, 2, 1);
  struct raft_wal_spot spot;
  raft_index last;
  if (!raft_wal_map_find(&w->scan.map, index, &spot, &last)) return 0;
  lua_pushinteger(L, (lua_Integer)spot.segment);
  lua_pushinteger(L, (lua_Integer)spot.offset);
  lua_pushinteger(L, (lua_Integer)spot.size);
  lua_pushinteger(L, (lua_Integer)last);
  lua_pushinteger(L, (lua_Integer)spot.first);
  lua_pushinteger(L, (lua_Integer)spot.rest);
  return 6;
}

static int wal_cut(lua_State *L) {
  struct raft_slice data = check_slice(L, 1);
  struct raft_wal_spot spot = {
      .first = check_u64(L, 2, 1),
      .offset = check_u64(L, 3, 0),
  };
  uint64_t rest = check_u64(L, 4, 0);
  luaL_argcheck(L, rest <= RAFT_WAL_BODY_MAX, 4, "out of range");
  spot.rest = (uint32_t)rest;
  struct raft_wal_cut cut = {
      .first = check_u64(L, 5, spot.first),
      .last = check_u64(L, 6, 1),
      .size_max = (size_t)check_u64(L, 7, 0),
  };
  luaL_argcheck(L, cut.first <= cut.last, 6, "before the first");
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, data.size);
  int error = raft_wal_map_cut(&spot, data, &cut, (uint8_t *)out);
  if (error != RAFT_OK)
    return push_fault(L, error, &(struct raft_wal_fault){0});
  luaL_pushresultsize(&buffer, cut.size);
  lua_pushinteger(L, (lua_Integer)cut.last);
  return 2;
}

int raft_lua_push_entry(lua_State *L, const struct raft_entry *e) {
  static const char *const kinds[] = {
      [RAFT_ENTRY_NOOP] = "noop",
      [RAFT_ENTRY_COMMAND] = "command",
      [RAFT_ENTRY_CONFIG] = "config",
      [RAFT_ENTRY_SESSION] = "session",
  };
  bool is_stripped = (e->flags & RAFT_ENTRY_STRIPPED) != 0;
  lua_pushstring(L, is_stripped ? "stripped" : kinds[e->kind]);
  lua_pushinteger(L, (lua_Integer)e->term);
  lua_pushinteger(L, (lua_Integer)e->time);
  lua_pushlstring(L, (const char *)e->payload, e->size);
  return 4;
}

static int wal_entry(lua_State *L) {
  struct raft_slice entries = check_slice(L, 1);
  uint64_t at = check_u64(L, 2, 1);
  luaL_argcheck(L, at <= entries.size, 2, "behind the end");
  struct raft_entry e;
  int error = raft_entry_decode(entries.data + at - 1,
                                entries.size - (size_t)at + 1, &e);
  if (error != RAFT_OK) return raft_lua_fail(L, error);
  lua_pushinteger(L, (lua_Integer)(at + raft_entry_bytes(&e)));
  lua_pushinteger(L, (lua_Integer)e.index);
  return 2 + raft_lua_push_entry(L, &e);
}

/* core.wal_span(entries) -> first, last; nothing when there are none. */
static int wal_span(lua_State *L) {
  struct raft_slice entries = check_slice(L, 1);
  struct raft_entry e;
  if (entries.size == 0) return 0;
  int error = raft_entry_decode_header(entries.data, entries.size, &e);
  luaL_argcheck(L, error == RAFT_OK, 1, "not an entry");
  raft_index last = e.index - 1;
  luaL_argcheck(L, raft_wal_writer_accepts(entries, &last), 1,
                "not entries in a row");
  lua_pushinteger(L, (lua_Integer)e.index);
  lua_pushinteger(L, (lua_Integer)last);
  return 2;
}

/* core.wal_batch_bytes(entry_bytes) -> bytes of a batch in the file */
static int wal_batch_bytes(lua_State *L) {
  uint64_t size = check_u64(L, 1, 0);
  luaL_argcheck(L, size <= RAFT_WAL_BODY_MAX, 1, "out of range");
  lua_pushinteger(L, (lua_Integer)raft_wal_batch_bytes(size));
  return 1;
}

/* ---- the identity file --------------------------------------------------- */

static uint64_t field_u64(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  uint64_t v = (uint64_t)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return v;
}

static void field_name(lua_State *L, const char *name, char *out) {
  size_t size = 0;
  lua_getfield(L, 1, name);
  const char *text = luaL_checklstring(L, -1, &size);
  if (size < 1 || size > RAFT_IDENTITY_NAME_BYTES || strlen(text) != size)
    luaL_error(L, "identity: %s is not a name", name);
  memcpy(out, text, size + 1);
  lua_pop(L, 1);
}

static void field_cluster_identity(lua_State *L, struct raft_identity *out) {
  size_t size = 0;
  lua_getfield(L, 1, "identity");
  if (lua_toboolean(L, -1)) {
    const char *bytes = luaL_checklstring(L, -1, &size);
    if (size != RAFT_IDENTITY_BYTES)
      luaL_error(L, "identity: expected %d bytes", RAFT_IDENTITY_BYTES);
    memcpy(out->cluster_identity, bytes, size);
    out->is_formed = true;
  }
  lua_pop(L, 1);
}

/* core.identity_encode(t) -> the bytes of one copy */
static int identity_encode(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct raft_identity identity = {
      .sequence = field_u64(L, "sequence"),
      .incarnation = field_u64(L, "incarnation"),
      .starts = field_u64(L, "starts"),
      .first_segment = field_u64(L, "first_segment"),
      .last_segment = field_u64(L, "last_segment"),
  };
  field_name(L, "node", identity.node);
  field_name(L, "cluster", identity.cluster);
  field_cluster_identity(L, &identity);
  luaL_argcheck(L, identity.first_segment <= identity.last_segment + 1, 1,
                "segments in the wrong order");
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, RAFT_IDENTITY_SECTOR);
  raft_identity_encode(&identity, (uint8_t *)out);
  luaL_pushresultsize(&buffer, RAFT_IDENTITY_SECTOR);
  return 1;
}

/* core.identity_decode(bytes) -> t | nil, code, version found */
static int identity_decode(lua_State *L) {
  struct raft_slice data = check_slice(L, 1);
  struct raft_identity identity;
  uint32_t version = 0;
  int error = raft_identity_decode(data.data, data.size, &identity, &version);
  if (error != RAFT_OK) {
    lua_pushnil(L);
    lua_pushstring(L, error == RAFT_E_VERSION ? "format_version" : "corrupt");
    lua_pushinteger(L, version);
    return 3;
  }
  lua_createtable(L, 0, 8);
  set_integer(L, "sequence", identity.sequence);
  set_integer(L, "incarnation", identity.incarnation);
  set_integer(L, "starts", identity.starts);
  set_integer(L, "first_segment", identity.first_segment);
  set_integer(L, "last_segment", identity.last_segment);
  lua_pushstring(L, identity.node);
  lua_setfield(L, -2, "node");
  lua_pushstring(L, identity.cluster);
  lua_setfield(L, -2, "cluster");
  lua_pushboolean(L, false);
  if (identity.is_formed) {
    lua_pop(L, 1);
    lua_pushlstring(L, (const char *)identity.cluster_identity,
                    RAFT_IDENTITY_BYTES);
  }
  lua_setfield(L, -2, "identity");
  return 1;
}

/* ---- the module ---------------------------------------------------------- */

static const luaL_Reg WAL_METHODS[] = {
    {"open", wal_open},         {"want", wal_want},
    {"feed", wal_feed},         {"torn", wal_torn},
    {"recovery", wal_recovery}, {"segment", wal_segment},
    {"fits", wal_fits},         {"batch", wal_batch},
    {"stored", wal_stored},     {"position", wal_position},
    {"find", wal_find},         {"oldest", wal_oldest},
    {"drop", wal_drop},         {"before", wal_before},
    {"damage", wal_damage},     {NULL, NULL},
};

static const luaL_Reg FUNCTIONS[] = {
    {"wal_new", wal_new},
    {"wal_cut", wal_cut},
    {"wal_entry", wal_entry},
    {"wal_span", wal_span},
    {"wal_batch_bytes", wal_batch_bytes},
    {"identity_encode", identity_encode},
    {"identity_decode", identity_decode},
    {NULL, NULL},
};

void raft_lua_open_wal(lua_State *L) {
  luaL_checktype(L, -1, LUA_TTABLE);
  raft_lua_new_class(L, WAL, wal_gc, WAL_METHODS);
  luaL_setfuncs(L, FUNCTIONS, 0);
  set_integer(L, "WAL_SECTOR", RAFT_WAL_SECTOR);
  set_integer(L, "WAL_VERSION", RAFT_WAL_VERSION);
  set_integer(L, "WAL_MARK_BYTES", RAFT_WAL_MARK_BYTES);
}
