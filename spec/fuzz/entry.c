/* entry.c - entries in a row, as they travel and as they lie on a disk. */
#include "entry.h"

#include "frame_repair.h"
#include "fuzz.h"
#include "wal_writer.h"

#include <stdlib.h>
#include <string.h>

/* The header alone says the same as the whole. */
static void check_header(const uint8_t *data, const struct raft_entry *whole) {
  struct raft_entry header;
  int error = raft_entry_decode_header(data, RAFT_ENTRY_HEADER_BYTES, &header);
  DEMAND(error == RAFT_OK);
  DEMAND(header.payload == NULL);
  DEMAND(header.index == whole->index);
  DEMAND(header.term == whole->term);
  DEMAND(header.time == whole->time);
  DEMAND(header.kind == whole->kind);
  DEMAND(header.size == whole->size);
  DEMAND(header.payload_crc == whole->payload_crc);
}

static size_t check_one(const uint8_t *data, size_t size) {
  struct raft_entry e;
  struct raft_entry before;
  memset(&e, 0xa5, sizeof e);
  memset(&before, 0xa5, sizeof before);
  int error = raft_entry_decode(data, size, &e);
  if (error != RAFT_OK) {
    DEMAND(error == RAFT_E_MORE || error == RAFT_E_CORRUPT);
    DEMAND(memcmp(&e, &before, sizeof e) == 0); /* left as it was */
    return 0;
  }
  size_t bytes = raft_entry_bytes(&e);
  DEMAND(bytes <= size);
  check_header(data, &e);
  uint8_t *again = malloc(bytes);
  DEMAND(again != NULL);
  struct raft_entry copy = e;
  DEMAND(raft_entry_encode(&copy, again) == bytes);
  DEMAND(memcmp(data, again, bytes) == 0);
  free(again);
  return bytes;
}

/* The writer takes whole entries without a gap, and nothing else. */
static void check_row(const uint8_t *data, size_t size) {
  struct raft_entry e;
  struct raft_slice all = {data, size};
  raft_index last = 5;
  if (!raft_wal_writer_accepts(all, &last)) return;
  raft_index seen = 5;
  for (size_t at = 0; at < size; at += raft_entry_bytes(&e)) {
    int error = raft_entry_decode_header(data + at, size - at, &e);
    DEMAND(error == RAFT_OK);
    DEMAND(e.index <= seen + 1);
    seen = e.index;
  }
  DEMAND(seen == last);
}

static void check(const uint8_t *data, size_t size) {
  size_t at = 0;
  for (size_t bytes = 1; bytes > 0; at += bytes)
    bytes = check_one(data + at, size - at);
  check_row(data, at);
  check_row(data, size);
}

void fuzz_entry(const uint8_t *data, size_t size) {
  check(data, size);
  uint8_t *copy = fuzz_copy(data, size);
  size_t whole = entries_repair(copy, size);
  check(copy, size);
  if (whole < size) check(copy, whole);
  free(copy);
}
