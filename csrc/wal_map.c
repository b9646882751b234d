/* wal_map.c - where in the segments an entry lies, and how it is read back. */
#include "wal_map.h"

#include "entry.h"
#include "wal.h"

#include <assert.h>
#include <string.h>

void raft_wal_map_init(struct raft_wal_map *map, raft_alloc alloc, void *ud) {
  assert(map != NULL);
  assert(alloc != NULL);
  *map = (struct raft_wal_map){.alloc = alloc, .alloc_ud = ud};
}

void raft_wal_map_free(struct raft_wal_map *map) {
  assert(map->count <= map->capacity);
  (void)map->alloc(map->alloc_ud, map->spots,
                   map->capacity * sizeof(*map->spots), 0); /* cannot fail */
  (void)map->alloc(map->alloc_ud, map->extents,
                   map->extent_capacity * sizeof(*map->extents), 0);
  raft_wal_map_init(map, map->alloc, map->alloc_ud);
}

/* ---- segments ------------------------------------------------------------ */

int raft_wal_map_open(struct raft_wal_map *map, uint64_t segment,
                      raft_index next) {
  assert(next >= 1);
  assert(map->extent_count == 0 ||
         map->extents[map->extent_count - 1].segment + 1 == segment);
  if (map->extent_count == map->extent_capacity) {
    size_t capacity = 2 * map->extent_capacity + 4;
    size_t unit = sizeof(*map->extents);
    struct raft_wal_extent *extents =
        map->alloc(map->alloc_ud, map->extents, map->extent_capacity * unit,
                   capacity * unit);
    if (extents == NULL) return RAFT_E_NOMEM;
    map->extents = extents;
    map->extent_capacity = capacity;
  }
  map->extents[map->extent_count++] = (struct raft_wal_extent){
      .segment = segment, .next = next, .low = UINT64_MAX};
  return RAFT_OK;
}

void raft_wal_map_reset(struct raft_wal_map *map, raft_index last) {
  assert(map->count <= map->capacity);
  map->count = 0;
  map->last = last;
}

/* A segment says where the log stood when it was opened. It can be the oldest
 * if nothing in it or behind it goes back before that, for then the log begins
 * there; and if a batch, and with it the hard state, is in it or behind it. */
uint64_t raft_wal_map_oldest(const struct raft_wal_map *map, raft_index upto) {
  raft_index low = UINT64_MAX;
  bool is_used = false;
  assert(map->extent_count <= map->extent_capacity);
  if (map->extent_count == 0) return 0;
  for (size_t i = map->extent_count - 1; i > 0; i--) {
    const struct raft_wal_extent *e = &map->extents[i];
    assert(e->next >= 1);
    if (e->low < low) low = e->low;
    is_used = is_used || e->is_used;
    if (is_used && e->next <= low && e->next - 1 <= upto) return e->segment;
  }
  return map->extents[0].segment;
}

void raft_wal_map_drop(struct raft_wal_map *map, uint64_t segment) {
  assert(map->extent_count <= map->extent_capacity);
  size_t n = 0;
  while (n < map->extent_count && map->extents[n].segment < segment)
    n++;
  map->extent_count -= n;
  if (n > 0)
    memmove(map->extents, map->extents + n,
            map->extent_count * sizeof(*map->extents));
  n = 0;
  while (n < map->count && map->spots[n].segment < segment)
    n++;
  map->count -= n;
  if (n > 0)
    memmove(map->spots, map->spots + n, map->count * sizeof(*map->spots));
  assert(map->count == 0 || map->spots[0].segment >= segment);
}

raft_index raft_wal_map_before(const struct raft_wal_map *map, uint64_t bytes) {
  assert(map->count <= map->capacity);
  uint64_t behind = 0;
  size_t i = map->count;
  while (i > 0 && behind < bytes)
    behind += map->spots[--i].size;
  if (behind < bytes || map->count == 0) return 0;
  return i < map->count ? map->spots[i].first - 1 : map->last;
}

/* ---- entries ------------------------------------------------------------- */

static int reserve(struct raft_wal_map *map, size_t more) {
  assert(map->count <= map->capacity);
  if (map->capacity - map->count >= more) return RAFT_OK;
  size_t capacity = map->capacity + more + map->capacity / 2;
  size_t unit = sizeof(*map->spots);
  struct raft_wal_spot *spots = map->alloc(
      map->alloc_ud, map->spots, map->capacity * unit, capacity * unit);
  if (spots == NULL) return RAFT_E_NOMEM;
  map->spots = spots;
  map->capacity = capacity;
  assert(map->capacity - map->count >= more);
  return RAFT_OK;
}

/* No more spots than this come of these entries. */
static size_t spots_needed(struct raft_slice entries, raft_index last) {
  struct raft_entry e;
  size_t jumps = 0;
  for (size_t at = 0; at < entries.size; at += raft_entry_bytes(&e)) {
    raft_entry_view(entries.data + at, &e);
    assert(e.index <= last + 1);
    if (e.index <= last) jumps++;
    last = e.index;
  }
  return jumps + entries.size / RAFT_WAL_SPOT_BYTES + 2;
}

/* Entries from `index` on are no more. [Raft 5.3] */
static void forget(struct raft_wal_map *map, raft_index index) {
  assert(index >= 1);
  while (map->count > 0 && map->spots[map->count - 1].first >= index)
    map->count--;
  map->last = index - 1;
}

void raft_wal_map_break(struct raft_wal_map *map) {
  assert(map->count <= map->capacity);
  map->is_broken = true;
}

void raft_wal_map_truncate(struct raft_wal_map *map, raft_index last) {
  assert(map->count <= map->capacity);
  if (last < map->last) forget(map, last + 1);
  assert(map->last <= last);
}

static bool needs_spot(const struct raft_wal_map *map, uint64_t segment,
                       uint64_t offset) {
  if (map->count == 0 || map->is_broken) return true;
  const struct raft_wal_spot *s = &map->spots[map->count - 1];
  if (s->segment != segment) return true;
  assert(offset > s->offset);
  return offset - s->offset >= RAFT_WAL_SPOT_BYTES;
}

int raft_wal_map_add(struct raft_wal_map *map, uint64_t segment,
                     uint64_t offset, struct raft_slice entries) {
  assert(segment >= 1);
  assert(offset >= RAFT_WAL_SECTOR);
  struct raft_entry e;
  int error = reserve(map, spots_needed(entries, map->last));
  if (error != RAFT_OK) return error;
  assert(map->extent_count > 0);
  struct raft_wal_extent *extent = &map->extents[map->extent_count - 1];
  assert(extent->segment == segment);
  extent->is_used = true;
  for (size_t at = 0; at < entries.size; at += raft_entry_bytes(&e)) {
    raft_entry_view(entries.data + at, &e);
    if (e.index < extent->low) extent->low = e.index;
    bool overwrites = e.index <= map->last;
    if (overwrites) forget(map, e.index);
    if (overwrites || needs_spot(map, segment, offset + at)) {
      assert(map->count < map->capacity);
      map->spots[map->count++] = (struct raft_wal_spot){
          .first = e.index,
          .segment = segment,
          .offset = offset + at,
          .rest = (uint32_t)(entries.size - at),
      };
      map->is_broken = false;
    }
    struct raft_wal_spot *s = &map->spots[map->count - 1];
    s->size = offset + at + raft_entry_bytes(&e) - s->offset;
    map->last = e.index;
  }
  return RAFT_OK;
}

bool raft_wal_map_find(const struct raft_wal_map *map, raft_index index,
                       struct raft_wal_spot *out, raft_index *last) {
  assert(out != NULL);
  assert(last != NULL);
  size_t low = 0; /* spots [0, low) start at or before index */
  size_t high = map->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (map->spots[middle].first <= index)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0 || index > map->last) return false;
  *out = map->spots[low - 1];
  *last = low < map->count ? map->spots[low].first - 1 : map->last;
  assert(out->first <= index);
  assert(index <= *last);
  return true;
}

/* ---- reading back -------------------------------------------------------- */

struct reader { /* walks the entries of file bytes, from batch to batch */
  struct raft_slice data;
  uint64_t base; /* offset in the file of data */
  size_t at;     /* next byte of data. Invariant: at <= data.size */
  size_t rest;   /* bytes of entries left in this batch */
};

/* Moves to the entries of the next batch that has any. */
static int next_batch(struct reader *r) {
  struct raft_wal_batch b;
  struct raft_wal_body body;
  assert(r->at <= r->data.size);
  while (r->rest == 0) {
    uint64_t start = raft_wal_align(r->base + r->at) - r->base;
    if (start > r->data.size) return RAFT_E_CORRUPT;
    size_t at = (size_t)start;
    size_t left = r->data.size - at;
    if (raft_wal_batch_decode(r->data.data + at, left, &b) != RAFT_OK)
      return RAFT_E_CORRUPT;
    if (b.offset != r->base + at) return RAFT_E_CORRUPT;
    if (raft_wal_batch_layout(&b, r->data.data + at, left, &body) != RAFT_OK)
      return RAFT_E_CORRUPT;
    r->at = at + body.entries_at; /* none there? then the next batch */
    r->rest = body.entries.size;
  }
  assert(r->at <= r->data.size);
  return RAFT_OK;
}

/* The next entry, verified as a whole only when it is wanted. */
static int next_entry(struct reader *r, raft_index wanted, raft_index index,
                      struct raft_entry *e) {
  assert(index >= 1);
  int error = next_batch(r);
  if (error != RAFT_OK) return error;
  const uint8_t *data = r->data.data + r->at;
  size_t left = r->data.size - r->at;
  if (left > r->rest) left = r->rest;
  error = index < wanted ? raft_entry_decode_header(data, left, e)
                         : raft_entry_decode(data, left, e);
  if (error != RAFT_OK) return RAFT_E_CORRUPT;
  size_t size = raft_entry_bytes(e);
  if (e->index != index || size > left) return RAFT_E_CORRUPT;
  r->at += size;
  r->rest -= size;
  assert(r->at <= r->data.size);
  return RAFT_OK;
}

int raft_wal_map_cut(const struct raft_wal_spot *spot, struct raft_slice data,
                     struct raft_wal_cut *cut, uint8_t *out) {
  assert(spot->first <= cut->first);
  assert(cut->first <= cut->last);
  struct reader r = {.data = data, .base = spot->offset, .rest = spot->rest};
  struct raft_entry e;
  raft_index last = cut->last;
  cut->size = 0;
  for (raft_index i = spot->first; i <= last; i++) {
    int error = next_entry(&r, cut->first, i, &e);
    if (error != RAFT_OK) return error;
    if (i < cut->first) continue;
    size_t size = raft_entry_bytes(&e);
    size_t from = r.at - size;
    if (i > cut->first && cut->size + size > cut->size_max) break;
    memcpy(out + cut->size, data.data + from, size);
    cut->size += size;
    cut->last = i;
  }
  assert(cut->size > 0);
  assert(cut->last <= last);
  return RAFT_OK;
}
