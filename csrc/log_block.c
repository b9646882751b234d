/* log_block.c - entries up, offsets down, in one piece of memory. */
#include "log_block.h"

#include "entry.h"

#include <assert.h>
#include <string.h>

static uint32_t end_of(const struct raft_block *b, uint32_t i) {
  assert(i < b->count);
  uint32_t start = raft_block_offset(b, i);
  size_t size = raft_entry_span(b->data + start);
  assert(size <= b->used - start);
  return start + (uint32_t)size;
}

/* Where the bytes of the entries before the i-th end. */
static uint32_t end_before(const struct raft_block *b, uint32_t i) {
  assert(i <= b->count);
  if (i == b->count) return b->end;
  if (i == 0) return 0;
  return end_of(b, i - 1);
}

static uint32_t count_gaps(const struct raft_block *b) {
  assert(b->count <= b->capacity / RAFT_BLOCK_ENTRY_BYTES);
  uint32_t n = 0;
  for (uint32_t i = 1; i < b->count; i++)
    if (raft_block_offset(b, i) != end_before(b, i)) n++;
  return n;
}

void raft_block_init(struct raft_block *b, uint32_t capacity,
                     raft_index first) {
  assert(b != NULL);
  assert(first > 0);
  assert(capacity > 0);
  *b = (struct raft_block){.first = first, .capacity = capacity};
}

void raft_block_fill(struct raft_block *b, struct raft_slice entries,
                     uint32_t count) {
  assert(count > 0);
  assert(raft_block_fits(b, entries.size, count));
  if (b->count > 0 && b->end != b->used) b->gaps++;
  uint8_t *room = b->data + b->used;
  memcpy(room, entries.data, entries.size);
  uint32_t at = b->used;
  uint8_t *place = b->data + raft_block_slot(b, b->count);
  for (uint32_t i = 0; i < count; i++) { /* offsets grow down */
    memcpy(place, &at, sizeof at);
    place -= sizeof at;
    at += (uint32_t)raft_entry_span(b->data + at);
  }
  assert(at == b->used + entries.size); /* nothing less, nothing more */
  b->count += count;
  b->used = b->end = at;
}

size_t raft_block_size(const struct raft_block *b, uint32_t i) {
  return end_of(b, i) - raft_block_offset(b, i);
}

/* How many of the entries [i, i + count) follow one another without dead bytes
 * between? At least one. */
static uint32_t unbroken(const struct raft_block *b, uint32_t i,
                         uint32_t count) {
  assert(count > 0);
  assert(count <= b->count - i);
  if (b->gaps == 0) return count;
  uint32_t n = 1;
  while (n < count && raft_block_offset(b, i + n) == end_before(b, i + n))
    n++;
  return n;
}

/* How many of n entries that follow one another have room? Not all of them. */
static uint32_t fitting(const struct raft_block *b, uint32_t i, uint32_t n,
                        size_t bytes_max) {
  assert(n > 0);
  assert(end_before(b, i + n) - raft_block_offset(b, i) > bytes_max);
  uint32_t low = 0; /* so many have, and n have not */
  while (n - low > 1) {
    uint32_t middle = low + (n - low) / 2;
    if (end_before(b, i + middle) - raft_block_offset(b, i) <= bytes_max)
      low = middle;
    else
      n = middle;
  }
  return low;
}

struct raft_slice raft_block_run(const struct raft_block *b, uint32_t i,
                                 size_t bytes_max, uint32_t *count) {
  assert(*count > 0);
  assert(*count <= b->count - i);
  uint32_t first = raft_block_offset(b, i);
  uint32_t n = unbroken(b, i, *count);
  if (end_before(b, i + n) - first > bytes_max) n = fitting(b, i, n, bytes_max);
  *count = n;
  if (n == 0) return (struct raft_slice){NULL, 0};
  return (struct raft_slice){b->data + first, end_before(b, i + n) - first};
}

void raft_block_cut(struct raft_block *b, uint32_t count) {
  assert(count <= b->count);
  if (count < b->count) b->end = end_before(b, count);
  b->count = count;
  if (b->gaps > 0) b->gaps = count_gaps(b); /* rare */
  assert(b->gaps <= b->count);
  assert(raft_block_fits(b, 0, 0));
}

const char *raft_block_check(const struct raft_block *b) {
  uint64_t taken = b->used + (uint64_t)RAFT_BLOCK_ENTRY_BYTES * b->count;
  if (taken > b->capacity) return "a block is fuller than its capacity";
  uint32_t end = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    struct raft_entry e;
    uint32_t start = raft_block_offset(b, i);
    if (start < end || start >= b->used) return "offsets of a block run back";
    if (raft_entry_decode_header(b->data + start, b->used - start, &e) != 0)
      return "an entry in memory is damaged";
    if (raft_entry_bytes(&e) > b->used - start)
      return "an entry reaches past its block";
    if (e.index != b->first + i) return "an entry stands in another's place";
    end = start + (uint32_t)raft_entry_bytes(&e);
  }
  if (b->end != end) return "the end of a block's entries is miscounted";
  if (b->gaps != count_gaps(b)) return "gaps of a block are miscounted";
  return NULL;
}
