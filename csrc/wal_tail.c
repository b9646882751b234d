/* wal_tail.c - the newest entries of a log, as many as there is room for. */
#include "wal_tail.h"

#include <assert.h>
#include <string.h>

#ifdef RAFT_TINY
enum { FIRST_SLOTS = 2, FIRST_BYTES = 512 };
#else
enum { FIRST_SLOTS = 64, FIRST_BYTES = 65536 };
#endif

void raft_wal_tail_init(struct raft_wal_tail *t, size_t memory_bytes,
                        raft_alloc alloc, void *ud) {
  assert(t != NULL);
  assert(alloc != NULL);
  const size_t most = UINT32_MAX / 2; /* offsets are 32 bits wide */
  if (memory_bytes > most) memory_bytes = most;
  *t = (struct raft_wal_tail){
      .alloc = alloc,
      .alloc_ud = ud,
      .capacity_max = memory_bytes + memory_bytes / 8 + FIRST_BYTES,
      .first = 1,
  };
}

void raft_wal_tail_free(struct raft_wal_tail *t) {
  assert(t->count <= t->slots);
  (void)t->alloc(t->alloc_ud, t->bytes, t->capacity, 0); /* cannot fail */
  (void)t->alloc(t->alloc_ud, t->offsets, t->slots * sizeof(*t->offsets), 0);
  *t = (struct raft_wal_tail){.alloc = t->alloc,
                              .alloc_ud = t->alloc_ud,
                              .capacity_max = t->capacity_max,
                              .first = 1};
}

/* Where the offset of entry first + i stands. */
static size_t slot(const struct raft_wal_tail *t, size_t i) {
  assert(i < t->slots);
  assert((t->slots & (t->slots - 1)) == 0); /* a power of two */
  return (t->skip + i) & (t->slots - 1);
}

static size_t offset(const struct raft_wal_tail *t, size_t i) {
  assert(i < t->count);
  return t->offsets[slot(t, i)];
}

/* ---- letting go ---------------------------------------------------------- */

static void empty(struct raft_wal_tail *t) {
  assert(t->count <= t->slots);
  t->skip = t->count = 0;
  t->from = t->to = t->wrap = 0;
}

/* The oldest entry goes. */
static void drop_oldest(struct raft_wal_tail *t) {
  assert(t->count > 0);
  size_t was = t->from;
  t->first++;
  t->skip = (t->skip + 1) & (t->slots - 1);
  t->count--;
  if (t->count == 0) {
    empty(t);
    return;
  }
  t->from = offset(t, 0);
  if (t->from < was) t->wrap = 0; /* that was the last of the older ones */
  assert(t->wrap == 0 || t->from < t->wrap);
}

void raft_wal_tail_reset(struct raft_wal_tail *t, raft_index next) {
  assert(next >= 1);
  empty(t);
  t->first = next;
}

void raft_wal_tail_shed(struct raft_wal_tail *t, size_t size_max) {
  while (raft_wal_tail_size(t) > size_max)
    drop_oldest(t);
  assert(raft_wal_tail_size(t) <= size_max);
}

void raft_wal_tail_cut(struct raft_wal_tail *t, raft_index index) {
  assert(index >= 1);
  if (index <= t->first) {
    raft_wal_tail_reset(t, index);
    return;
  }
  size_t left = (size_t)(index - t->first);
  assert(left <= t->count);
  if (left == t->count) return;
  size_t to = offset(t, left);
  if (to > t->from) t->wrap = 0; /* all of the newer ones go */
  t->to = to;
  t->count = left;
  assert(t->wrap == 0 || t->to <= t->from);
}

/* ---- adding -------------------------------------------------------------- */

static int grow_bytes(struct raft_wal_tail *t, size_t need) {
  assert(t->wrap == 0);
  assert(need > t->capacity && need <= t->capacity_max);
  size_t capacity = t->capacity ? t->capacity : FIRST_BYTES;
  while (capacity < need)
    capacity += capacity / 2;
  if (capacity > t->capacity_max) capacity = t->capacity_max;
  uint8_t *bytes = t->alloc(t->alloc_ud, t->bytes, t->capacity, capacity);
  if (bytes == NULL) return RAFT_E_NOMEM;
  t->bytes = bytes;
  t->capacity = capacity;
  assert(t->capacity >= need);
  return RAFT_OK;
}

/* Twice the slots. Those that lay around the end go behind what was the end. */
static int grow_slots(struct raft_wal_tail *t) {
  assert(t->count == t->slots);
  size_t slots = t->slots ? t->slots * 2 : FIRST_SLOTS;
  size_t unit = sizeof(*t->offsets);
  uint32_t *offsets =
      t->alloc(t->alloc_ud, t->offsets, t->slots * unit, slots * unit);
  if (offsets == NULL) return RAFT_E_NOMEM;
  memcpy(offsets + t->slots, offsets, t->skip * unit);
  t->offsets = offsets;
  t->slots = slots;
  assert(t->count < t->slots);
  return RAFT_OK;
}

/* Makes `to` a place for `size` bytes, which is no more than there is in all.
 * Grows as long as it may; then the oldest make way. */
static int make_room(struct raft_wal_tail *t, size_t size) {
  assert(size <= t->capacity_max);
  while (t->wrap > 0 && t->from - t->to < size)
    drop_oldest(t);
  if (t->wrap > 0 || t->capacity - t->to >= size) return RAFT_OK;
  if (t->capacity_max - t->to >= size) return grow_bytes(t, t->to + size);
  while (t->count > 0 && t->from < size)
    drop_oldest(t);
  if (t->count == 0 && t->capacity < size) return grow_bytes(t, size);
  t->wrap = t->count > 0 ? t->to : 0;
  t->to = 0;
  assert(t->wrap == 0 || t->from >= size);
  return RAFT_OK;
}

int raft_wal_tail_add(struct raft_wal_tail *t, struct raft_slice entry) {
  assert(entry.size >= RAFT_ENTRY_HEADER_BYTES);
  if (entry.size > t->capacity_max) {
    raft_wal_tail_reset(t, t->first + t->count + 1);
    return RAFT_OK;
  }
  if (t->count == t->slots && grow_slots(t) != RAFT_OK) return RAFT_E_NOMEM;
  if (make_room(t, entry.size) != RAFT_OK) return RAFT_E_NOMEM;
  memcpy(t->bytes + t->to, entry.data, entry.size);
  t->offsets[slot(t, t->count)] = (uint32_t)t->to;
  t->count++;
  t->to += entry.size;
  assert(t->to <= t->capacity);
  return RAFT_OK;
}

/* ---- looking ------------------------------------------------------------- */

bool raft_wal_tail_newest(const struct raft_wal_tail *t,
                          struct raft_entry *out) {
  assert(out != NULL);
  if (t->count == 0) return false;
  raft_entry_view(t->bytes + offset(t, t->count - 1), out);
  assert(out->index == t->first + t->count - 1);
  return true;
}

size_t raft_wal_tail_size(const struct raft_wal_tail *t) {
  if (t->wrap == 0) return t->to - t->from;
  return t->wrap - t->from + t->to;
}

void raft_wal_tail_pieces(const struct raft_wal_tail *t,
                          struct raft_slice out[2]) {
  out[0] = out[1] = (struct raft_slice){0};
  if (t->count == 0) return;
  size_t end = t->wrap > 0 ? t->wrap : t->to;
  out[0] = (struct raft_slice){t->bytes + t->from, end - t->from};
  if (t->wrap > 0) out[1] = (struct raft_slice){t->bytes, t->to};
  assert(out[0].size > 0);
  assert(out[0].size + out[1].size == raft_wal_tail_size(t));
}
