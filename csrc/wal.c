/* wal.c - segment heads and batches, to bytes and back.
 *
 * Owns the layout drawn in docs/FORMATS.md, "The log on disk". What must hold:
 * every byte that means something lies under a checksum. It refuses what this
 * version does not write; whether that is a torn end or rot is for wal_scan.c.
 */
#include "wal.h"

#include "bytes.h"
#include "crc32c.h"

#include <assert.h>
#include <string.h>

/* ---- the head of a segment ----------------------------------------------- */

static const uint8_t SEGMENT_MAGIC[8] = {'r', 'a', 'f', 't', 's', 'e', 'g', 0};

enum { /* magic, crc and version stay where they are in every version */
       SEG_MAGIC = 0,
       SEG_CRC = 8, /* of everything behind it in the first 4096 bytes */
       SEG_VERSION = 12,
       SEG_SECTOR = 16,
       SEG_CHAIN = 20,
       SEG_SIZE = 24,
       SEG_NUMBER = 32,
       SEG_SALT = 40,
       SEG_NEXT = 48,
       SEG_TERM = 56,
       SEG_BATCH = 64,
       SEG_END = 72,
};
_Static_assert(SEG_END <= RAFT_WAL_SECTOR, "the head is one sector");

static uint32_t sector_crc(const uint8_t *sector) {
  assert(sector != NULL);
  return raft_crc32c(0, sector + SEG_VERSION, RAFT_WAL_SECTOR - SEG_VERSION);
}

static bool is_sound_segment(const struct raft_wal_segment *s) {
  assert(s != NULL);
  if (s->size < 2 * RAFT_WAL_SECTOR) return false;
  if (s->size != raft_wal_align(s->size)) return false;
  if (s->size > (uint64_t)INT64_MAX) return false;
  return s->number != 0 && s->next_index != 0;
}

void raft_wal_segment_encode(const struct raft_wal_segment *s, uint8_t *out) {
  assert(out != NULL);
  assert(is_sound_segment(s));
  memset(out, 0, RAFT_WAL_SECTOR);
  memcpy(out + SEG_MAGIC, SEGMENT_MAGIC, sizeof(SEGMENT_MAGIC));
  raft_put_u32(out + SEG_VERSION, RAFT_WAL_VERSION);
  raft_put_u32(out + SEG_SECTOR, RAFT_WAL_SECTOR);
  raft_put_u32(out + SEG_CHAIN, s->chain);
  raft_put_u64(out + SEG_SIZE, s->size);
  raft_put_u64(out + SEG_NUMBER, s->number);
  raft_put_u64(out + SEG_SALT, s->salt);
  raft_put_u64(out + SEG_NEXT, s->next_index);
  raft_put_u64(out + SEG_TERM, s->last_term);
  raft_put_u64(out + SEG_BATCH, s->batch);
  raft_put_u32(out + SEG_CRC, sector_crc(out)); /* last: it covers the rest */
}

static void get_segment(const uint8_t *data, struct raft_wal_segment *out) {
  assert(data != NULL);
  assert(out != NULL);
  *out = (struct raft_wal_segment){
      .size = raft_get_u64(data + SEG_SIZE),
      .number = raft_get_u64(data + SEG_NUMBER),
      .salt = raft_get_u64(data + SEG_SALT),
      .next_index = raft_get_u64(data + SEG_NEXT),
      .last_term = raft_get_u64(data + SEG_TERM),
      .batch = raft_get_u64(data + SEG_BATCH),
      .chain = raft_get_u32(data + SEG_CHAIN),
  };
}

int raft_wal_segment_decode(const uint8_t *data, size_t size,
                            struct raft_wal_segment *out, uint32_t *version) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  assert(version != NULL);
  if (size < RAFT_WAL_SECTOR) return RAFT_E_MORE;
  if (memcmp(data, SEGMENT_MAGIC, sizeof(SEGMENT_MAGIC)) != 0)
    return RAFT_E_CORRUPT;
  if (raft_get_u32(data + SEG_CRC) != sector_crc(data)) return RAFT_E_CORRUPT;
  *version = raft_get_u32(data + SEG_VERSION);
  if (*version > RAFT_WAL_VERSION) return RAFT_E_VERSION;
  if (*version != RAFT_WAL_VERSION) return RAFT_E_CORRUPT;
  if (raft_get_u32(data + SEG_SECTOR) != RAFT_WAL_SECTOR) return RAFT_E_CORRUPT;
  struct raft_wal_segment s;
  if (!raft_bytes_are_zero(data + SEG_END, RAFT_WAL_SECTOR - SEG_END))
    return RAFT_E_CORRUPT;
  get_segment(data, &s);
  if (!is_sound_segment(&s)) return RAFT_E_CORRUPT;
  *out = s;
  return RAFT_OK;
}

/* ---- numbers ------------------------------------------------------------- */

static uint64_t count_of(uint64_t number) {
  return number & ((UINT64_C(1) << RAFT_WAL_COUNT_BITS) - 1);
}

uint64_t raft_wal_number(uint64_t starts, uint64_t n) {
  assert(starts >= 1);
  assert(starts <= RAFT_WAL_STARTS_MAX);
  assert(n >= 1);
  assert(count_of(n) == n);
  return starts << RAFT_WAL_COUNT_BITS | n;
}

bool raft_wal_follows(uint64_t number, uint64_t before) {
  uint64_t starts = number >> RAFT_WAL_COUNT_BITS;
  if (starts == 0 || count_of(number) == 0) return false;
  if (starts == before >> RAFT_WAL_COUNT_BITS) return number == before + 1;
  return number > before && count_of(number) == 1; /* the first of its start */
}

/* ---- batches ------------------------------------------------------------- */

static const uint8_t BATCH_MAGIC[4] = {'r', 'b', 'a', 't'};

enum {
  BAT_MAGIC = 0,
  BAT_CRC = 4, /* of everything behind it in the head */
  BAT_BODY_CRC = 8,
  BAT_CHAIN = 12,
  BAT_SALT = 16,
  BAT_OFFSET = 24,
  BAT_NUMBER = 32,
  BAT_TERM = 40,
  BAT_VOTE = 48,
  BAT_COMMIT = 56,
  BAT_LAST = 64,
  BAT_LAST_TERM = 72,
  BAT_SIZE = 80,
  BAT_KIND = 84,
  BAT_FLAGS = 85,
  BAT_ZERO = 86, /* two bytes */
};
_Static_assert(BAT_ZERO + 2 == RAFT_WAL_BATCH_BYTES, "no gap at the end");

enum { REC_SIZE = 0, REC_KIND = 4, REC_ZERO = 5 /* three bytes */ };
_Static_assert(REC_ZERO + 3 == RAFT_WAL_RECORD_BYTES, "no gap at the end");

enum { MARK_INDEX = 8, MARK_TERM = 16 /* behind the head of its record */ };
_Static_assert(MARK_TERM + 8 == RAFT_WAL_MARK_BYTES, "no gap at the end");

static uint64_t body_bytes(uint64_t entry_bytes) {
  return entry_bytes == 0 ? 0 : RAFT_WAL_RECORD_BYTES + entry_bytes;
}

uint64_t raft_wal_batch_bytes(uint64_t entry_bytes) {
  assert(entry_bytes <= RAFT_WAL_BODY_MAX);
  return raft_wal_align(RAFT_WAL_BATCH_BYTES + body_bytes(entry_bytes));
}

static uint32_t head_crc(const uint8_t *data) {
  assert(data != NULL);
  return raft_crc32c(0, data + BAT_BODY_CRC,
                     RAFT_WAL_BATCH_BYTES - BAT_BODY_CRC);
}

static void put_record(uint8_t *out, uint32_t size, enum raft_wal_record kind) {
  assert(size > 0);
  memset(out, 0, RAFT_WAL_RECORD_BYTES);
  raft_put_u32(out + REC_SIZE, size);
  out[REC_KIND] = (uint8_t)kind;
}

/* The record of a mark, if there is one. Returns its bytes. */
static uint32_t put_mark(const struct raft_wal_mark *mark, uint8_t *out) {
  assert((mark->index == 0) == (mark->term == 0));
  if (mark->index == 0) return 0;
  put_record(out, RAFT_WAL_MARK_BYTES - RAFT_WAL_RECORD_BYTES,
             mark->is_reset ? RAFT_WAL_RESET : RAFT_WAL_SNAPSHOT);
  raft_put_u64(out + MARK_INDEX, mark->index);
  raft_put_u64(out + MARK_TERM, mark->term);
  return RAFT_WAL_MARK_BYTES;
}

/* The record of entries, if there are any. Returns its bytes. */
static uint32_t put_entries(const struct raft_slice *entries, size_t count,
                            uint8_t *out) {
  assert(out != NULL);
  uint8_t *at = out + RAFT_WAL_RECORD_BYTES;
  for (size_t i = 0; i < count; i++) {
    if (entries[i].size == 0) continue;
    memcpy(at, entries[i].data, entries[i].size);
    at += entries[i].size;
  }
  size_t size = (size_t)(at - out) - RAFT_WAL_RECORD_BYTES;
  assert(size <= RAFT_WAL_BODY_MAX - RAFT_WAL_RECORD_BYTES);
  if (size == 0) return 0;
  put_record(out, (uint32_t)size, RAFT_WAL_ENTRIES);
  return (uint32_t)(size + RAFT_WAL_RECORD_BYTES);
}

static void put_head(const struct raft_wal_batch *b, uint8_t *out) {
  assert(out != NULL);
  assert(b->kind == RAFT_WAL_DATA || b->kind == RAFT_WAL_MARK);
  memset(out, 0, RAFT_WAL_BATCH_BYTES);
  memcpy(out + BAT_MAGIC, BATCH_MAGIC, sizeof(BATCH_MAGIC));
  raft_put_u32(out + BAT_BODY_CRC, b->body_crc);
  raft_put_u32(out + BAT_CHAIN, b->chain);
  raft_put_u64(out + BAT_SALT, b->salt);
  raft_put_u64(out + BAT_OFFSET, b->offset);
  raft_put_u64(out + BAT_NUMBER, b->number);
  raft_put_u64(out + BAT_TERM, b->term);
  raft_put_u64(out + BAT_VOTE, b->vote);
  raft_put_u64(out + BAT_COMMIT, b->commit);
  raft_put_u64(out + BAT_LAST, b->last);
  raft_put_u64(out + BAT_LAST_TERM, b->last_term);
  raft_put_u32(out + BAT_SIZE, b->size);
  out[BAT_KIND] = b->kind;
  out[BAT_FLAGS] = b->flags;
  raft_put_u32(out + BAT_CRC, head_crc(out)); /* last: it covers the rest */
}

void raft_wal_batch_encode(struct raft_wal_batch *b,
                           const struct raft_slice *entries, size_t count,
                           uint8_t *out) {
  assert(b->offset == raft_wal_align(b->offset));
  assert(entries != NULL || count == 0);
  uint8_t *body = out + RAFT_WAL_BATCH_BYTES;
  b->size = put_mark(&b->mark, body);
  b->size += put_entries(entries, count, body + b->size);
  b->body_crc = raft_crc32c(0, body, b->size);
  put_head(b, out);
  b->crc = raft_get_u32(out + BAT_CRC);
  size_t used = (size_t)RAFT_WAL_BATCH_BYTES + b->size;
  memset(out + used, 0, (size_t)raft_wal_align(used) - used);
}

static void get_batch(const uint8_t *data, struct raft_wal_batch *out) {
  assert(data != NULL);
  assert(out != NULL);
  *out = (struct raft_wal_batch){
      .salt = raft_get_u64(data + BAT_SALT),
      .offset = raft_get_u64(data + BAT_OFFSET),
      .number = raft_get_u64(data + BAT_NUMBER),
      .chain = raft_get_u32(data + BAT_CHAIN),
      .crc = raft_get_u32(data + BAT_CRC),
      .body_crc = raft_get_u32(data + BAT_BODY_CRC),
      .size = raft_get_u32(data + BAT_SIZE),
      .term = raft_get_u64(data + BAT_TERM),
      .vote = raft_get_u64(data + BAT_VOTE),
      .commit = raft_get_u64(data + BAT_COMMIT),
      .last = raft_get_u64(data + BAT_LAST),
      .last_term = raft_get_u64(data + BAT_LAST_TERM),
      .kind = data[BAT_KIND],
      .flags = data[BAT_FLAGS],
  };
}

static bool is_sound_batch(const struct raft_wal_batch *b) {
  assert(b != NULL);
  if (b->kind != RAFT_WAL_DATA && b->kind != RAFT_WAL_MARK) return false;
  if (b->kind == RAFT_WAL_MARK && b->size != 0) return false;
  if ((b->flags & ~RAFT_WAL_REPAIRING) != 0) return false;
  if ((b->last == 0) != (b->last_term == 0)) return false;
  return b->size <= RAFT_WAL_BODY_MAX;
}

int raft_wal_batch_decode(const uint8_t *data, size_t size,
                          struct raft_wal_batch *out) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  if (size < RAFT_WAL_BATCH_BYTES) return RAFT_E_MORE;
  if (memcmp(data, BATCH_MAGIC, sizeof(BATCH_MAGIC)) != 0)
    return RAFT_E_CORRUPT;
  if (raft_get_u32(data + BAT_CRC) != head_crc(data)) return RAFT_E_CORRUPT;
  struct raft_wal_batch b;
  if (!raft_bytes_are_zero(data + BAT_ZERO, RAFT_WAL_BATCH_BYTES - BAT_ZERO))
    return RAFT_E_CORRUPT;
  get_batch(data, &b);
  if (!is_sound_batch(&b)) return RAFT_E_CORRUPT;
  *out = b;
  return RAFT_OK;
}

static bool is_place(const struct raft_wal_mark *mark) {
  assert(mark != NULL);
  if (mark->index == 0 || mark->index >= INT64_MAX) return false;
  return mark->term != 0 && mark->term < INT64_MAX;
}

/* The mark that a body begins with, if it does: its bytes, or CORRUPT. */
static int get_mark(const uint8_t *body, uint32_t size,
                    struct raft_wal_mark *out) {
  assert(size > RAFT_WAL_RECORD_BYTES);
  assert(out->index == 0);
  uint32_t kind = raft_get_u32(body + REC_KIND); /* and the zeros behind it */
  if (kind != RAFT_WAL_SNAPSHOT && kind != RAFT_WAL_RESET) return 0;
  if (size < RAFT_WAL_MARK_BYTES) return RAFT_E_CORRUPT;
  uint32_t bytes = raft_get_u32(body + REC_SIZE);
  if (bytes != RAFT_WAL_MARK_BYTES - RAFT_WAL_RECORD_BYTES)
    return RAFT_E_CORRUPT;
  *out = (struct raft_wal_mark){
      .index = raft_get_u64(body + MARK_INDEX),
      .term = raft_get_u64(body + MARK_TERM),
      .is_reset = kind == RAFT_WAL_RESET,
  };
  return is_place(out) ? RAFT_WAL_MARK_BYTES : RAFT_E_CORRUPT;
}

int raft_wal_batch_layout(const struct raft_wal_batch *b, const uint8_t *data,
                          size_t size, struct raft_wal_body *out) {
  assert(out != NULL);
  assert(b->size <= RAFT_WAL_BODY_MAX);
  const uint32_t heads = RAFT_WAL_MARK_BYTES + RAFT_WAL_RECORD_BYTES;
  size_t need = RAFT_WAL_BATCH_BYTES + (b->size < heads ? b->size : heads);
  *out = (struct raft_wal_body){.entries_at = RAFT_WAL_BATCH_BYTES};
  if (size < need) return RAFT_E_MORE;
  if (b->size == 0) return RAFT_OK;
  if (b->size <= RAFT_WAL_RECORD_BYTES) return RAFT_E_CORRUPT;
  const uint8_t *body = data + RAFT_WAL_BATCH_BYTES;
  int mark = get_mark(body, b->size, &out->mark);
  if (mark < 0) return mark;
  uint32_t left = b->size - (uint32_t)mark;
  out->entries_at += (uint32_t)mark;
  if (left == 0) return RAFT_OK;
  if (left <= RAFT_WAL_RECORD_BYTES) return RAFT_E_CORRUPT;
  body += mark;
  left -= RAFT_WAL_RECORD_BYTES;
  if (raft_get_u32(body + REC_SIZE) != left) return RAFT_E_CORRUPT;
  if (raft_get_u32(body + REC_KIND) != RAFT_WAL_ENTRIES) return RAFT_E_CORRUPT;
  out->entries_at += RAFT_WAL_RECORD_BYTES;
  out->entries.size = left;
  return RAFT_OK;
}

int raft_wal_batch_body(const struct raft_wal_batch *b, const uint8_t *data,
                        size_t size, struct raft_wal_body *out) {
  assert(out != NULL);
  assert(b->size <= RAFT_WAL_BODY_MAX);
  *out = (struct raft_wal_body){.entries_at = RAFT_WAL_BATCH_BYTES};
  if (size < (size_t)RAFT_WAL_BATCH_BYTES + b->size) return RAFT_E_MORE;
  if (raft_crc32c(0, data + RAFT_WAL_BATCH_BYTES, b->size) != b->body_crc)
    return RAFT_E_CORRUPT;
  int error = raft_wal_batch_layout(b, data, size, out);
  assert(error != RAFT_E_MORE);
  if (error == RAFT_OK && out->entries.size > 0)
    out->entries.data = data + out->entries_at;
  return error;
}
