/* effects.c - the outbox. Owns effects and the chunks they point into. */
#include "effects.h"

#include <assert.h>
#include <string.h>

static void chunk_free(struct raft_outbox *o, struct raft_chunk *c) {
  assert(c->used <= c->capacity);
  o->alloc(o->alloc_ud, c, sizeof *c + c->capacity, 0);
}

static int reserve_bytes(struct raft_outbox *o, size_t bytes) {
  assert(bytes <= SIZE_MAX / 2);
  assert(o->alloc != NULL);
  struct raft_chunk *c = o->chunks;
  if (c != NULL && c->capacity - c->used >= bytes) return RAFT_OK;
  size_t capacity =
      bytes > RAFT_CHUNK_BYTES ? raft_outbox_aligned(bytes) : RAFT_CHUNK_BYTES;
  c = o->alloc(o->alloc_ud, NULL, 0, sizeof *c + capacity);
  if (c == NULL) return RAFT_E_NOMEM;
  *c = (struct raft_chunk){.next = o->chunks, .capacity = capacity};
  o->chunks = c;
  return RAFT_OK;
}

static int reserve_effects(struct raft_outbox *o, uint32_t effects) {
  assert(effects <= UINT32_MAX / 2 - o->count);
  uint32_t needed = o->count + effects;
  if (needed <= o->capacity) return RAFT_OK;
  uint32_t capacity = o->capacity * 2 > needed ? o->capacity * 2 : needed;
  size_t size = sizeof *o->effects;
  void *grown =
      o->alloc(o->alloc_ud, o->effects, o->capacity * size, capacity * size);
  if (grown == NULL) return RAFT_E_NOMEM;
  o->effects = grown;
  o->capacity = capacity;
  return RAFT_OK;
}

void raft_outbox_init(struct raft_outbox *o, raft_alloc alloc, void *ud) {
  assert(o != NULL);
  assert(alloc != NULL);
  *o = (struct raft_outbox){.alloc = alloc, .alloc_ud = ud};
}

void raft_outbox_free(struct raft_outbox *o) {
  assert(o->alloc != NULL);
  for (struct raft_chunk *c = o->chunks; c != NULL;) {
    struct raft_chunk *next = c->next;
    chunk_free(o, c);
    c = next;
  }
  size_t size = o->capacity * sizeof *o->effects;
  if (o->effects != NULL) o->alloc(o->alloc_ud, o->effects, size, 0);
  raft_outbox_init(o, o->alloc, o->alloc_ud);
}

void raft_outbox_shrink(struct raft_outbox *o) {
  assert(o->count <= o->capacity);
  struct raft_chunk *kept = NULL;
  for (struct raft_chunk *c = o->chunks; c != NULL;) {
    struct raft_chunk *next = c->next;
    bool keeps = kept == NULL && c->capacity == RAFT_CHUNK_BYTES;
    if (keeps) kept = c;
    if (!keeps) chunk_free(o, c);
    c = next;
  }
  assert(kept == NULL || kept->capacity == RAFT_CHUNK_BYTES);
  if (kept != NULL) *kept = (struct raft_chunk){.capacity = kept->capacity};
  o->chunks = kept;
  o->count = 0;
}

int raft_outbox_grow(struct raft_outbox *o, uint32_t effects, size_t bytes) {
  assert(o->count <= o->capacity);
  assert(o->alloc != NULL);
  int rc = reserve_effects(o, effects);
  if (rc != RAFT_OK) return rc;
  return reserve_bytes(o, bytes);
}

static size_t parts_bytes(const struct raft_effect *fx) {
  assert(fx->parts != NULL || fx->part_count == 0);
  size_t bytes = raft_outbox_aligned(fx->part_count * sizeof *fx->parts);
  for (uint32_t i = 0; i < fx->part_count; i++)
    bytes += raft_outbox_aligned(fx->parts[i].size);
  return bytes;
}

static void copy_parts(struct raft_outbox *out, const struct raft_effect *from,
                       struct raft_effect *to) {
  assert(from != to);
  assert(from->part_count == to->part_count);
  uint32_t n = from->part_count;
  struct raft_slice *parts = raft_outbox_bytes(out, n * sizeof *parts);
  for (uint32_t i = 0; i < n; i++) {
    uint8_t *data = raft_outbox_bytes(out, from->parts[i].size);
    memcpy(data, from->parts[i].data, from->parts[i].size);
    parts[i] = (struct raft_slice){data, from->parts[i].size};
  }
  to->parts = parts;
}

int raft_outbox_clone(const struct raft_outbox *o, struct raft_outbox *out) {
  assert(o != out);
  assert(o->count <= o->capacity);
  raft_outbox_init(out, o->alloc, o->alloc_ud);
  for (uint32_t i = 0; i < o->count; i++) {
    const struct raft_effect *fx = &o->effects[i];
    if (raft_outbox_reserve(out, 1, parts_bytes(fx)) != RAFT_OK) {
      raft_outbox_free(out);
      return RAFT_E_NOMEM;
    }
    struct raft_effect *copy = raft_outbox_add(out, fx->kind, fx->after);
    *copy = *fx;
    copy_parts(out, fx, copy);
  }
  assert(out->count == o->count);
  return RAFT_OK;
}
