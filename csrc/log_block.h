/* log_block.h - one block of the log in memory: its layout. Part of log.
 *
 * One allocation. Encoded entries grow up from the start, their u32 offsets
 * grow down from the end, so that entry i is found at once:
 *
 *    0                  end  used                      capacity
 *   +----+----+----+----+----+--------+----+----+----+
 *   | e0 | e1 |////| e2 |////|  free  | o2 | o1 | o0 |     o2 = offset of e2
 *   +----+----+----+----+----+--------+----+----+----+
 *                ^         ^ dead: cut off by truncation, but lent out
 *
 * Entries without dead bytes between them are a run: one slice, found by the
 * offset of its first and the end of its last, however many there are.
 *
 * A cut takes entries away and leaves their bytes alone, because slices over
 * them may still be in use; reclaim makes the end free again once they are not.
 * So neither bytes nor offsets ever leave less room than before a cut.
 */
#ifndef RAFT_LOG_BLOCK_H
#define RAFT_LOG_BLOCK_H

#include "raft.h"

#include <assert.h>
#include <string.h>

#pragma GCC visibility push(hidden)

struct raft_block {
  struct raft_block *next; /* the older one in the graveyard, or NULL */
  raft_index first;        /* index of its first entry, also of one to come */
  uint32_t count;          /* entries in it */
  uint32_t end;            /* where the newest entry ends, 0 without one.
                              Invariant: as counted, end <= used */
  uint32_t used;           /* bytes behind which is free.
                              Invariant: used + 4 * count <= capacity */
  uint32_t capacity;       /* bytes of data */
  uint32_t gaps;           /* how often dead bytes part two entries.
                              Invariant: as counted */
  uint8_t data[];
};

/* What an entry costs beyond its encoding: its offset. */
#define RAFT_BLOCK_ENTRY_BYTES 4u
_Static_assert(RAFT_BLOCK_ENTRY_BYTES == sizeof(uint32_t), "an offset");

/* Empties a block of this capacity, for entries from `first` on. */
void raft_block_init(struct raft_block *b, uint32_t capacity, raft_index first);

/* Is there room for `count` more entries of `bytes` encoded bytes in all? */
static inline bool raft_block_fits(const struct raft_block *b, size_t bytes,
                                   uint32_t count) {
  size_t taken = b->used + (size_t)RAFT_BLOCK_ENTRY_BYTES * b->count;
  assert(taken <= b->capacity);
  size_t left = b->capacity - taken;
  size_t offsets = (size_t)RAFT_BLOCK_ENTRY_BYTES * count;
  return offsets <= left && bytes <= left - offsets;
}

/* Where the offset of entry i lies in the data. */
static inline size_t raft_block_slot(const struct raft_block *b, uint32_t i) {
  assert(i < b->capacity / RAFT_BLOCK_ENTRY_BYTES);
  return b->capacity - (size_t)RAFT_BLOCK_ENTRY_BYTES * (i + 1);
}

/* Room for one more entry, which the caller writes at once. Ask fits
 * first. */
static inline uint8_t *raft_block_grow(struct raft_block *b, size_t bytes) {
  assert(raft_block_fits(b, bytes, 1));
  assert(bytes > 0);
  uint8_t *room = b->data + b->used;
  if (b->count > 0 && b->end != b->used) b->gaps++;
  memcpy(b->data + raft_block_slot(b, b->count), &b->used, sizeof b->used);
  b->count++;
  b->used += (uint32_t)bytes; /* it fits, so it is below capacity */
  b->end = b->used;
  return room;
}

/* Copies `count` > 0 encoded entries, which were verified and lie one behind
 * another. Ask fits first. */
void raft_block_fill(struct raft_block *b, struct raft_slice entries,
                     uint32_t count);

/* Where entry i starts in the data. */
static inline uint32_t raft_block_offset(const struct raft_block *b,
                                         uint32_t i) {
  assert(i < b->count);
  uint32_t value;
  memcpy(&value, b->data + raft_block_slot(b, i),
         sizeof value); /* may lie unaligned */
  return value;
}

/* The encoded bytes of entry i. */
static inline const uint8_t *raft_block_at(const struct raft_block *b,
                                           uint32_t i) {
  uint32_t start = raft_block_offset(b, i);
  assert(start < b->used);
  return b->data + start;
}

/* The bytes of entry i and of all behind it, in a block without gaps. */
static inline struct raft_slice raft_block_rest(const struct raft_block *b,
                                                uint32_t i) {
  uint32_t start = raft_block_offset(b, i);
  assert(b->gaps == 0);
  assert(start < b->end);
  return (struct raft_slice){b->data + start, b->end - start};
}

/* Encoded bytes of entry i. */
size_t raft_block_size(const struct raft_block *b, uint32_t i);

/* The bytes of entry i and of those behind it that follow without dead bytes
 * between: of no more than *count > 0 entries, and as many of these as
 * bytes_max has room for. *count becomes how many that are; 0 and no bytes:
 * not even the i-th. */
struct raft_slice raft_block_run(const struct raft_block *b, uint32_t i,
                                 size_t bytes_max, uint32_t *count);

/* Keeps the first `count` entries; the bytes of the others stay. */
void raft_block_cut(struct raft_block *b, uint32_t count);

/* Nothing is lent out any more: dead bytes at the end become free. */
static inline void raft_block_reclaim(struct raft_block *b) {
  assert(b->end <= b->used);
  b->used = b->end;
}

/* The index behind the last entry. */
static inline raft_index raft_block_until(const struct raft_block *b) {
  return b->first + b->count;
}

/* NULL, or the broken invariant. Verifies the checksum of every header. */
const char *raft_block_check(const struct raft_block *b);

#pragma GCC visibility pop
#endif
