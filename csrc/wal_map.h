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

struct raft_wal_map {
  raft_alloc alloc;
  void *alloc_ud;
  struct raft_wal_spot *spots; /* Invariant: first ascends strictly */
  size_t count;
  size_t capacity;
  raft_index last; /* the newest entry there is; 0 none */
};

void raft_wal_map_init(struct raft_wal_map *map, raft_alloc alloc, void *ud);
void raft_wal_map_free(struct raft_wal_map *map);

/* Takes in the entries of one batch, verified before, that lie at `offset` of
 * segment `segment`. RAFT_OK, or RAFT_E_NOMEM: nothing has changed. */
int raft_wal_map_add(struct raft_wal_map *map, uint64_t segment,
                     uint64_t offset, struct raft_slice entries);

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
