/* lua_reader.c - one connection's bytes become frames, each frame a step.
 *
 * A reader belongs to one connection and is dropped with it, so half a frame of
 * one never meets the next. It keeps at most one incomplete frame, whose length
 * was bounded before it was believed. An error is its last word: how much of a
 * chunk was heard by then is not said, so nothing may be heard after it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lua_core.h"
#include "wire.h"

#define READER "raft.reader"

struct reader {
  raft_id from;
  uint64_t incarnation;
  uint8_t *data; /* the beginning of an incomplete frame */
  size_t size;   /* Invariant: size <= capacity */
  size_t capacity;
  int error; /* what ended it; RAFT_OK: it goes on */
};

static int reader_gc(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, 1, READER);
  free(reader->data);
  *reader = (struct reader){0};
  return 0;
}

int raft_lua_reader(lua_State *L) {
  (void)raft_lua_check_core(L, 1);
  const char *name = luaL_checkstring(L, 2);
  uint64_t incarnation = (uint64_t)luaL_checkinteger(L, 3);
  raft_id id = raft_id_of(name);
  raft_lua_name(L, 1, id, 2);
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
  *reader = (struct reader){.from = id, .incarnation = incarnation};
  luaL_setmetatable(L, READER);
  return 1;
}

static int grow(struct reader *reader, size_t needed) {
  if (needed <= reader->capacity) return RAFT_OK;
  uint8_t *data = realloc(reader->data, needed);
  if (data == NULL) return RAFT_E_NOMEM;
  reader->data = data;
  reader->capacity = needed;
  return RAFT_OK;
}

/* Keeps bytes for later; makes room for the whole frame where it is known. */
static int keep(struct reader *reader, const uint8_t *data, size_t size) {
  if (size == 0) return RAFT_OK;
  size_t needed = reader->size + size;
  int64_t frame = 0;
  if (reader->size == 0) frame = raft_wire_size(data, size);
  if (frame > 0 && (size_t)frame > needed) needed = (size_t)frame;
  int rc = grow(reader, needed);
  if (rc != RAFT_OK) return rc;
  memcpy(reader->data + reader->size, data, size);
  reader->size += size;
  assert(reader->size <= reader->capacity);
  return RAFT_OK;
}

/* Steps every whole frame at `data`; *used tells how many bytes they were. */
static int step_frames(struct raft_lua_core *c, struct reader *reader,
                       raft_ms now, const uint8_t *data, size_t size,
                       size_t *used) {
  *used = 0;
  while (*used < size) {
    int64_t frame = raft_wire_size(data + *used, size - *used);
    if (frame < 0) return (int)frame;
    if (frame == 0 || (size_t)frame > size - *used) return RAFT_OK;
    struct raft_event ev = raft_lua_event(c, RAFT_EV_RECEIVE, now);
    ev.receive.from = reader->from;
    ev.receive.incarnation = reader->incarnation;
    ev.receive.frame = (struct raft_slice){data + *used, (size_t)frame};
    int64_t rc = raft_step(c->r, &ev);
    if (rc < 0) return (int)rc;
    *used += (size_t)frame;
  }
  return RAFT_OK;
}

/* How many bytes are missing until the kept frame is whole; 0: not known. */
static size_t missing(const struct reader *reader) {
  int64_t frame = raft_wire_size(reader->data, reader->size);
  if (frame <= 0 || (size_t)frame <= reader->size) return 0;
  return (size_t)frame - reader->size;
}

/* First completes the kept frame, then steps the rest of the chunk in place. */
static int feed(struct raft_lua_core *c, struct reader *reader, raft_ms now,
                const uint8_t *data, size_t size) {
  size_t used = 0;
  while (reader->size > 0 && size > 0) {
    size_t want = missing(reader);
    size_t part = want == 0 ? 1 : want < size ? want : size;
    int rc = keep(reader, data, part);
    if (rc != RAFT_OK) return rc;
    data += part;
    size -= part;
    rc = step_frames(c, reader, now, reader->data, reader->size, &used);
    if (rc != RAFT_OK) return rc;
    assert(used == 0 || used == reader->size);
    if (used > 0) reader->size = 0;
  }
  int rc = step_frames(c, reader, now, data, size, &used);
  if (rc != RAFT_OK) return rc;
  return keep(reader, data + used, size - used);
}

int raft_lua_receive(lua_State *L) {
  struct raft_lua_core *c = raft_lua_check_core(L, 1);
  raft_ms now = raft_lua_check_ms(L, 2);
  struct reader *reader = luaL_checkudata(L, 3, READER);
  size_t size;
  const char *chunk = luaL_checklstring(L, 4, &size);
  if (reader->error == RAFT_OK)
    reader->error = feed(c, reader, now, (const uint8_t *)chunk, size);
  if (reader->error != RAFT_OK) return raft_lua_fail(L, reader->error);
  lua_pushboolean(L, true);
  return 1;
}

void raft_lua_open_reader(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"__gc", reader_gc},
      {"__close", reader_gc},
      {NULL, NULL},
  };
  luaL_newmetatable(L, READER); /* there already? it may be half made */
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 1);
}
