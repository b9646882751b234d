/* effects.h - the outbox: work that waits for the next take. A leaf.
 *
 * Bytes and slices of effects lie in chunks that never move, so an effect may
 * point at them while the outbox grows. Reserve, then add: adding cannot fail.
 */
#ifndef RAFT_EFFECTS_H
#define RAFT_EFFECTS_H

#include "bytes.h"
#include "raft.h"

#include <assert.h>
#include <string.h>

#pragma GCC visibility push(hidden)

struct raft_chunk {
  struct raft_chunk *next; /* the older one */
  size_t used;             /* Invariant: used <= capacity */
  size_t capacity;         /* bytes behind this header */
};

struct raft_outbox {
  raft_alloc alloc;
  void *alloc_ud;
  struct raft_effect *effects; /* Invariant: `after` is at most the batch to
                                  come */
  uint32_t count, capacity;    /* Invariant: count <= capacity */
  struct raft_chunk *chunks;   /* newest first */
};

void raft_outbox_init(struct raft_outbox *o, raft_alloc alloc, void *ud);
void raft_outbox_free(struct raft_outbox *o);

#ifdef RAFT_TINY
#define RAFT_CHUNK_BYTES 2048 /* of what one allocation gives */
#else
#define RAFT_CHUNK_BYTES 16384
#endif

/* Forgets all effects; keeps memory for the next turn: one chunk of the usual
 * size, so that a busy turn's goes back. */
void raft_outbox_shrink(struct raft_outbox *o);
static inline void raft_outbox_clear(struct raft_outbox *o) {
  struct raft_chunk *only = o->chunks;
  if (only == NULL || only->next != NULL ||
      only->capacity != RAFT_CHUNK_BYTES) {
    raft_outbox_shrink(o);
    return;
  }
  only->used = 0;
  o->count = 0;
}

/* As raft_outbox_reserve, where there is not room enough already. */
int raft_outbox_grow(struct raft_outbox *o, uint32_t effects, size_t bytes);

/* Room for so many effects and, in one piece, so many bytes.
 * RAFT_OK or RAFT_E_NOMEM (nothing changed). */
static inline int raft_outbox_reserve(struct raft_outbox *o, uint32_t effects,
                                      size_t bytes) {
  const struct raft_chunk *c = o->chunks;
  bool has_room = o->capacity - o->count >= effects && c != NULL &&
                  c->capacity - c->used >= bytes;
  return has_room ? RAFT_OK : raft_outbox_grow(o, effects, bytes);
}

/* A new effect, zeroed but for kind and after. Reserve first. */
static inline struct raft_effect *raft_outbox_add(struct raft_outbox *o,
                                                  enum raft_effect_kind kind,
                                                  raft_seq after) {
  assert(kind != RAFT_FX_NONE);
  assert(o->count < o->capacity); /* reserved? */
  struct raft_effect *fx = &o->effects[o->count++];
  raft_zero(fx, sizeof *fx);
  fx->kind = kind;
  fx->after = after;
  return fx;
}

/* `size` bytes, aligned for any slice, until clear. Reserve first; each call
 * may take up to RAFT_OUTBOX_ALIGN more than its size. */
#define RAFT_OUTBOX_ALIGN 16

static inline size_t raft_outbox_aligned(size_t size) {
  assert(size <= SIZE_MAX - RAFT_OUTBOX_ALIGN);
  return (size + RAFT_OUTBOX_ALIGN - 1) & ~(size_t)(RAFT_OUTBOX_ALIGN - 1);
}

/* Where they will be, for who writes up to `size` bytes there and then takes as
 * many as that came to. */
static inline void *raft_outbox_room(const struct raft_outbox *o, size_t size) {
  struct raft_chunk *c = o->chunks;
  assert(c != NULL);
  assert(c->capacity - c->used >= size); /* reserved? */
  return (uint8_t *)c + sizeof *c + c->used;
}

static inline void *raft_outbox_bytes(struct raft_outbox *o, size_t size) {
  size = raft_outbox_aligned(size);
  void *out = raft_outbox_room(o, size);
  o->chunks->used += size;
  return out;
}

/* Each has what the other had; both are of one allocator. */
static inline void raft_outbox_swap(struct raft_outbox *a,
                                    struct raft_outbox *b) {
  assert(a->alloc == b->alloc);
  struct raft_effect *effects = a->effects;
  struct raft_chunk *chunks = a->chunks;
  uint32_t count = a->count;
  uint32_t capacity = a->capacity;
  a->effects = b->effects;
  a->chunks = b->chunks;
  a->count = b->count;
  a->capacity = b->capacity;
  b->effects = effects;
  b->chunks = chunks;
  b->count = count;
  b->capacity = capacity;
}

/* A deep copy of all effects and what they point at. RAFT_OK or NOMEM. */
int raft_outbox_clone(const struct raft_outbox *o, struct raft_outbox *out);

#pragma GCC visibility pop
#endif
