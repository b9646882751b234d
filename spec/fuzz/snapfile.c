/* snapfile.c - the file of a snapshot: what is whole is what a writer writes,
 * in whatever chunks it is read. */
#include "snapfile.h"

#include "bytes.h"
#include "crc32c.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { FIXED = RAFT_SNAPFILE_FIXED_BYTES, RECORD = RAFT_SNAPFILE_RECORD_BYTES };

/* Puts all checksums right, and what the end says. */
static void repair(uint8_t *data, size_t size) {
  if (size < FIXED) return;
  struct raft_digest_state digest;
  uint64_t records = 0;
  uint64_t bytes = 0;
  size_t config = raft_get_u32(data + 48) % 512;
  if (config > size - FIXED) return;
  raft_put_u32(data + 48, (uint32_t)config);
  raft_put_u32(data + 52, raft_crc32c(0, data + FIXED, config));
  raft_put_u32(data + 8, raft_crc32c(0, data + 12, FIXED - 12));
  size_t at = FIXED + config;
  while (size - at >= RECORD) {
    uint8_t *record = data + at;
    size_t part = raft_get_u32(record + 8);
    if (part > size - at - RECORD) return;
    if (record[4] == RAFT_SNAPFILE_END && part == 24) {
      uint64_t out[2];
      raft_digest_begin(&digest);
      raft_digest_add(&digest, data, at);
      raft_digest_end(&digest, out);
      raft_put_u64(record + RECORD, records);
      raft_put_u64(record + RECORD + 8, bytes);
      raft_put_u64(record + RECORD + 16, out[0] & INT64_MAX);
    }
    raft_put_u32(record + 12, raft_crc32c(0, record + RECORD, part));
    raft_put_u32(record, raft_crc32c(0, record + 4, RECORD - 4));
    records++;
    bytes += part;
    at += RECORD + part;
  }
}

struct outcome { /* of reading all of it */
  int error;
  uint8_t state[FUZZ_INPUT_MAX];
  size_t size;
};

static void read_in(const uint8_t *data, size_t size, size_t step,
                    struct raft_snapfile_scan *scan, struct outcome *out) {
  out->size = 0;
  raft_snapfile_scan_begin(scan);
  for (size_t at = 0; at < size && scan->error == RAFT_OK; at += step) {
    const uint8_t *next = data + at;
    size_t left = size - at < step ? size - at : step;
    while (left > 0) {
      struct raft_slice piece;
      if (raft_snapfile_scan_feed(scan, &next, &left, &piece) != RAFT_OK) break;
      DEMAND(piece.size <= FUZZ_INPUT_MAX - out->size);
      if (piece.size == 0) continue;
      memcpy(out->state + out->size, piece.data, piece.size);
      out->size += piece.size;
    }
    DEMAND(scan->offset <= size);
  }
  out->error = raft_snapfile_scan_end(scan);
  DEMAND(out->error == RAFT_OK || out->error == RAFT_E_CORRUPT ||
         out->error == RAFT_E_VERSION);
  DEMAND((scan->why != NULL) == (out->error != RAFT_OK));
}

/* Written again, record for record. */
static void check_again(const uint8_t *data, size_t size,
                        const struct raft_snapfile_scan *scan) {
  uint8_t head[RAFT_SNAPFILE_HEAD_MAX];
  struct raft_snapfile_writer w;
  struct raft_snapshot s;
  DEMAND(raft_snapfile_scan_head(scan, &s));
  DEMAND(raft_snapfile_check(&s) == NULL);
  size_t at = raft_snapfile_begin(&w, &s, head);
  DEMAND(memcmp(head, data, at) == 0);
  while (data[at + 4] == RAFT_SNAPFILE_STATE) {
    struct raft_slice part = {data + at + RECORD, raft_get_u32(data + at + 8)};
    raft_snapfile_record(&w, part, head);
    DEMAND(memcmp(head, data + at, RECORD) == 0);
    at += RECORD + part.size;
  }
  DEMAND(raft_snapfile_end(&w, head) == scan->checksum);
  DEMAND(w.size == size);
  DEMAND(memcmp(head, data + at, size - at) == 0);
  DEMAND(w.state_bytes == scan->state_bytes);
}

static void check(const uint8_t *data, size_t size) {
  struct raft_snapfile_scan whole;
  struct raft_snapfile_scan split;
  static struct outcome a;
  static struct outcome b;
  read_in(data, size, FUZZ_INPUT_MAX, &whole, &a);
  read_in(data, size, 1 + size % 7, &split, &b);
  DEMAND(a.error == b.error);
  DEMAND(whole.offset == split.offset || a.error != RAFT_OK);
  if (a.error != RAFT_OK) return;
  DEMAND(whole.offset == size);
  DEMAND(a.size == b.size);
  DEMAND(a.size == whole.state_bytes);
  DEMAND(memcmp(a.state, b.state, a.size) == 0);
  check_again(data, size, &whole);
}

void fuzz_snapfile(const uint8_t *data, size_t size) {
  check(data, size);
  uint8_t *copy = fuzz_copy(data, size);
  repair(copy, size);
  check(copy, size);
  free(copy);
}
