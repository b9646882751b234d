/* effects.h - the outbox: work that waits for the next take. A leaf.
 *
 * Bytes and slices of effects lie in chunks that never move, so an effect may
 * point at them while the outbox grows. Reserve, then add: adding cannot fail.
 */
#ifndef RAFT_EFFECTS_H
#define RAFT_EFFECTS_H

#include "raft.h"

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

/* Forgets all effects; keeps memory for the next turn. */
void raft_outbox_clear(struct raft_outbox *o);

/* Room for so many effects and, in one piece, so many bytes.
 * RAFT_OK or RAFT_E_NOMEM (nothing changed). */
int raft_outbox_reserve(struct raft_outbox *o, uint32_t effects, size_t bytes);

/* A new effect, zeroed but for kind and after. Reserve first. */
struct raft_effect *raft_outbox_add(struct raft_outbox *o,
                                    enum raft_effect_kind kind, raft_seq after);

/* `size` bytes, aligned for any slice, until clear. Reserve first; each call
 * may take up to RAFT_OUTBOX_ALIGN more than its size. */
#define RAFT_OUTBOX_ALIGN 16
void *raft_outbox_bytes(struct raft_outbox *o, size_t size);

/* A deep copy of all effects and what they point at. RAFT_OK or NOMEM. */
int raft_outbox_clone(const struct raft_outbox *o, struct raft_outbox *out);

#pragma GCC visibility pop
#endif
