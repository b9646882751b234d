/* wal_tail.h - the newest entries of a log, as many as there is room for. A
 * leaf.
 *
 * A ring of bytes, in which an entry is never parted: where one does not fit
 * before the end of the room it goes to its start, and the oldest make way.
 *
 *      0             to        from                    wrap    capacity
 *      +-------------+---------+------------------------+------+
 *      | newer ones  | free    | older ones             | free |
 *      +-------------+---------+------------------------+------+
 *
 * So every byte is written once, and none is moved.
 */
#ifndef RAFT_WAL_TAIL_H
#define RAFT_WAL_TAIL_H

#include "entry.h"
#include "raft.h"

#pragma GCC visibility push(hidden)

struct raft_wal_tail {
  raft_alloc alloc;
  void *alloc_ud;
  size_t capacity_max; /* bytes. Invariant: capacity <= capacity_max */
  uint8_t *bytes;
  size_t capacity;
  size_t from;       /* of the oldest entry */
  size_t to;         /* behind the newest one */
  size_t wrap;       /* where the older ones end; 0: all are one behind the
                        other. Invariant: 0, or to <= from < wrap <= capacity */
  uint32_t *offsets; /* of entry first + i in bytes, at [skip + i] around */
  size_t skip;
  size_t slots;     /* a power of two, or 0 */
  size_t count;     /* entries in it. Invariant: count <= slots */
  raft_index first; /* oldest entry, also of one to come */
};

/* An empty one, in which entries of `memory_bytes` find room; of larger ones
 * than an eighth of that fewer may. */
void raft_wal_tail_init(struct raft_wal_tail *t, size_t memory_bytes,
                        raft_alloc alloc, void *ud);
void raft_wal_tail_free(struct raft_wal_tail *t);

/* Adds the next entry, encoded; old ones may go, and one without any room goes
 * at once. RAFT_OK, or RAFT_E_NOMEM: then it is not added. */
int raft_wal_tail_add(struct raft_wal_tail *t, struct raft_slice entry);

/* All go; entry `next` is the next one. */
void raft_wal_tail_reset(struct raft_wal_tail *t, raft_index next);

/* Entries from `index` on go. Before the first one: all, and it is the next. */
void raft_wal_tail_cut(struct raft_wal_tail *t, raft_index index);

/* The oldest go until no more than `size_max` bytes are left. Moves no byte, so
 * that a copy of the struct can be a view. */
void raft_wal_tail_shed(struct raft_wal_tail *t, size_t size_max);

/* The newest entry; false when there is none. */
bool raft_wal_tail_newest(const struct raft_wal_tail *t,
                          struct raft_entry *out);

/* Bytes of entries in it. */
size_t raft_wal_tail_size(const struct raft_wal_tail *t);

/* All entries, the older ones in out[0]; out[1] may be empty. */
void raft_wal_tail_pieces(const struct raft_wal_tail *t,
                          struct raft_slice out[2]);

#pragma GCC visibility pop
#endif
