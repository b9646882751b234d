/* log_block.c - entries up, offsets down, in one piece of memory. */
#include "log_block.h"

#include "entry.h"

#include <assert.h>
#include <string.h>

_Static_assert(RAFT_BLOCK_ENTRY_BYTES == sizeof(uint32_t), "an offset");

/* Where the offset of entry i lies in the data. */
static size_t slot(const struct raft_block *b, uint32_t i) {
  assert(i < b->capacity / RAFT_BLOCK_ENTRY_BYTES);
  return b->capacity - (size_t)RAFT_BLOCK_ENTRY_BYTES * (i + 1);
}

static uint32_t offset(const struct raft_block *b, uint32_t i) {
  assert(i < b->count);
  uint32_t value;
  memcpy(&value, b->data + slot(b, i), sizeof value); /* may lie unaligned */
  return value;
}

/* Where the bytes of the entries before the i-th end. */
static uint32_t end_before(const struct raft_block *b, uint32_t i) {
  assert(i <= b->count);
  if (i == 0) return 0;
  return offset(b, i - 1) + (uint32_t)raft_block_size(b, i - 1);
}

static uint32_t count_gaps(const struct raft_block *b) {
  assert(b->count <= b->capacity / RAFT_BLOCK_ENTRY_BYTES);
  uint32_t n = 0;
  for (uint32_t i = 1; i < b->count; i++)
    if (offset(b, i) != end_before(b, i)) n++;
  return n;
}

void raft_block_init(struct raft_block *b, uint32_t capacity,
                     raft_index first) {
  assert(b != NULL);
  assert(first > 0);
  assert(capacity > 0);
  *b = (struct raft_block){.first = first, .capacity = capacity};
}

bool raft_block_fits(const struct raft_block *b, size_t bytes, uint32_t count) {
  size_t taken = b->used + (size_t)RAFT_BLOCK_ENTRY_BYTES * b->count;
  assert(taken <= b->capacity);
  size_t left = b->capacity - taken;
  if (count > left / RAFT_BLOCK_ENTRY_BYTES) return false;
  return bytes <= left - (size_t)RAFT_BLOCK_ENTRY_BYTES * count;
}

uint8_t *raft_block_grow(struct raft_block *b, size_t bytes) {
  assert(raft_block_fits(b, bytes, 1));
  assert(bytes >= RAFT_ENTRY_HEADER_BYTES);
  uint8_t *room = b->data + b->used;
  if (b->count > 0 && end_before(b, b->count) != b->used) b->gaps++;
  memcpy(b->data + slot(b, b->count), &b->used, sizeof b->used);
  b->count++;
  b->used += (uint32_t)bytes; /* it fits, so it is below capacity */
  assert(b->used <= b->capacity);
  return room;
}

const uint8_t *raft_block_at(const struct raft_block *b, uint32_t i) {
  assert(offset(b, i) < b->used);
  return b->data + offset(b, i);
}

size_t raft_block_size(const struct raft_block *b, uint32_t i) {
  struct raft_entry e;
  raft_entry_view(raft_block_at(b, i), &e);
  assert(raft_entry_bytes(&e) <= b->used - offset(b, i));
  return raft_entry_bytes(&e);
}

void raft_block_cut(struct raft_block *b, uint32_t count) {
  assert(count <= b->count);
  b->count = count;
  if (b->gaps > 0) b->gaps = count_gaps(b); /* rare */
  assert(b->gaps <= b->count);
  assert(raft_block_fits(b, 0, 0));
}

void raft_block_reclaim(struct raft_block *b) {
  uint32_t end = end_before(b, b->count);
  assert(end <= b->used);
  b->used = end;
  assert(raft_block_fits(b, 0, 0));
}

const char *raft_block_check(const struct raft_block *b) {
  uint64_t taken = b->used + (uint64_t)RAFT_BLOCK_ENTRY_BYTES * b->count;
  if (taken > b->capacity) return "a block is fuller than its capacity";
  uint32_t end = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    struct raft_entry e;
    uint32_t start = offset(b, i);
    if (start < end || start >= b->used) return "offsets of a block run back";
    if (raft_entry_decode_header(b->data + start, b->used - start, &e) != 0)
      return "an entry in memory is damaged";
    if (raft_entry_bytes(&e) > b->used - start)
      return "an entry reaches past its block";
    if (e.index != b->first + i) return "an entry stands in another's place";
    end = start + (uint32_t)raft_entry_bytes(&e);
  }
  if (b->gaps != count_gaps(b)) return "gaps of a block are miscounted";
  return NULL;
}
