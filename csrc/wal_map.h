/* wal_map.h - where in the segments an entry lies. A leaf.
 *
 * Sparse: one spot for every 64 KiB of file, one at every overwrite, one for
 * the first entry of a segment. So the entries from one spot to the next lie
 * in one segment, one behind the other, and are found with a single read.
 */
#ifndef RAFT_WAL_MAP_H
#define RAFT_WAL_MAP_H

#include "raft.h"

#pragma GCC visibility push(hidden)

#ifdef RAFT_TINY
#define RAFT_WAL_SPOT_BYTES 12288 /* of file between two spots: 3 sectors */
#else
#define RAFT_WAL_SPOT_BYTES 65536
#endif

struct raft_wal_spot {
  raft_index first; /* the entry that starts here */
  uint64_t segment; /* number of the file */
  uint64_t offset;  /* of that entry in it */
  uint64_t size;    /* bytes from there to the end of the spot's entries */
  uint32_t rest;    /* bytes from there to the end of its batch's entries */
};

struct raft_wal_extent { /* one segment */
  uint64_t segment;      /* its number */
  raft_index next;       /* of the next entry, when it was opened */
  raft_index low;        /* the lowest index written in it; UINT64_MAX none */
  bool is_used;          /* is there a batch in it? */
};

struct raft_wal_map {
  raft_alloc alloc;
  void *alloc_ud;
  struct raft_wal_spot *spots; /* Invariant: first ascends strictly */
  size_t count;
  size_t capacity;
  raft_index last; /* the newest entry there is; 0 none */
  bool is_broken;  /* does the next entry begin a spot, whatever it follows? */
  struct raft_wal_extent *extents; /* Invariant: segments ascend by one */
  size_t extent_count;
  size_t extent_capacity;
};

void raft_wal_map_init(struct raft_wal_map *map, raft_alloc alloc, void *ud);
void raft_wal_map_free(struct raft_wal_map *map);

/* A segment was opened, in which entry `next` comes next. RAFT_OK, or
 * RAFT_E_NOMEM: nothing has changed. */
int raft_wal_map_open(struct raft_wal_map *map, uint64_t segment,
                      raft_index next);

/* All entries are void; the next one follows `last`. */
void raft_wal_map_reset(struct raft_wal_map *map, raft_index last);

/* The oldest segment that is needed when a snapshot covers all up to `upto`:
 * those before it may go. 0: no segment is open. */
uint64_t raft_wal_map_oldest(const struct raft_wal_map *map, raft_index upto);

/* The newest entry behind which lie at least so many bytes of log; 0: none. */
raft_index raft_wal_map_before(const struct raft_wal_map *map, uint64_t bytes);

/* Segments before this one are going: forgets all that lies in them. */
void raft_wal_map_drop(struct raft_wal_map *map, uint64_t segment);

/* Takes in the entries of one durable batch, verified before, that lie at
 * `offset` of segment `segment`, the newest. RAFT_OK, or RAFT_E_NOMEM: nothing
 * has changed. */
int raft_wal_map_add(struct raft_wal_map *map, uint64_t segment,
                     uint64_t offset, struct raft_slice entries);

/* Batches that cannot be read lie behind the newest spot: what comes next is
 * not found by reading on. */
void raft_wal_map_break(struct raft_wal_map *map);

/* Entries above `last` are no more. */
void raft_wal_map_truncate(struct raft_wal_map *map, raft_index last);

/* The spot whose read yields entry `index`, and the last entry before the next
 * spot; false when there is none. */
bool raft_wal_map_find(const struct raft_wal_map *map, raft_index index,
                       struct raft_wal_spot *out, raft_index *last);

/* What a cut of file bytes yielded. */
struct raft_wal_cut {
  raft_index first; /* the entry wanted */
  raft_index last;  /* in: the newest wanted; out: the newest found */
  size_t size_max;  /* bytes wanted; one entry is always given */
  size_t size;      /* out: bytes of entries found */
};

/* Copies entries [first, last] out of `data`, the file's bytes from the spot
 * on, into `out` (room for as many bytes as data has). RAFT_OK, or
 * RAFT_E_CORRUPT when they are not there, whole and in order. */
int raft_wal_map_cut(const struct raft_wal_spot *spot, struct raft_slice data,
                     struct raft_wal_cut *cut, uint8_t *out);

#pragma GCC visibility pop
#endif
