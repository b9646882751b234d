/* snapfile.c - the file of a snapshot, to bytes and back.
 *
 * Owns the layout, drawn in docs/FORMATS.md. What must hold: no size is
 * believed before the checksum beside it was, and a file of which any byte is
 * missing, changed or left over is not whole. Says nothing of whether the state
 * in it is right.
 */
#include "snapfile.h"

#include "bytes.h"
#include "crc32c.h"
#include "frame.h"

#include <assert.h>
#include <string.h>

static const uint8_t MAGIC[8] = {'r', 'a', 'f', 't', 's', 'n', 'a', 'p'};

enum { /* of the head: the same in every version, as far as the config's crc */
       AT_CRC = 8, /* of what follows in the fixed part */
       AT_VERSION = 12,
       AT_INDEX = 16,
       AT_TERM = 24,
       AT_TIME = 32,
       AT_CONFIG_INDEX = 40,
       AT_CONFIG_SIZE = 48,
       AT_CONFIG_CRC = 52,
};

enum {                    /* of a record */
       AT_RECORD_CRC = 0, /* of the rest of its head */
       AT_KIND = 4,       /* u8, and three of zero */
       AT_SIZE = 8,
       AT_BYTES_CRC = 12,
};

enum { ENDING_BYTES = RAFT_SNAPFILE_END_BYTES - RAFT_SNAPFILE_RECORD_BYTES };

_Static_assert(AT_CONFIG_CRC + 4 == RAFT_SNAPFILE_FIXED_BYTES, "the head");
_Static_assert(AT_BYTES_CRC + 4 == RAFT_SNAPFILE_RECORD_BYTES, "a record");
_Static_assert(ENDING_BYTES == 3 * 8, "the end");

/* One without a state is another file than one of an empty state. */
static uint64_t checksum_of(const struct raft_digest_state *digest,
                            bool is_bare) {
  uint64_t out[2];
  assert(digest->size >= RAFT_SNAPFILE_FIXED_BYTES);
  raft_digest_end(digest, out);
  assert(sizeof(out[0]) == 8);
  return (out[0] & (uint64_t)INT64_MAX) ^ is_bare; /* a number of Lua, >= 0 */
}

const char *raft_snapfile_check(const struct raft_snapshot *s) {
  assert(s != NULL);
  assert(s->config.data != NULL || s->config.size == 0);
  struct raft_config config;
  if (s->index == 0 || !raft_frame_is_number(s->index)) return "index";
  if (s->term == 0 || !raft_frame_is_number(s->term)) return "term";
  if (!raft_frame_is_number(s->time)) return "time";
  if (s->config_index == 0 || s->config_index > s->index)
    return "config_index"; /* [Raft 7] that in force at its last entry */
  if (s->config.size > RAFT_CONFIG_BYTES_MAX) return "config";
  int error = raft_config_decode(s->config.data, s->config.size, &config);
  return error == RAFT_OK ? NULL : "config";
}

/* ---- writing ------------------------------------------------------------- */

static void count(struct raft_snapfile_writer *w, const uint8_t *data,
                  size_t size) {
  assert(w != NULL);
  assert(w->size <= (uint64_t)INT64_MAX - size); /* no disk is that large */
  raft_digest_add(&w->digest, data, size);
  w->size += size;
}

size_t raft_snapfile_begin(struct raft_snapfile_writer *w,
                           const struct raft_snapshot *s, uint8_t *out) {
  assert(raft_snapfile_check(s) == NULL);
  assert(out != NULL);
  uint8_t *config = out + RAFT_SNAPFILE_FIXED_BYTES;
  memcpy(config, s->config.data, s->config.size);
  memcpy(out, MAGIC, sizeof(MAGIC));
  raft_put_u32(out + AT_VERSION, RAFT_SNAPFILE_VERSION);
  raft_put_u64(out + AT_INDEX, s->index);
  raft_put_u64(out + AT_TERM, s->term);
  raft_put_u64(out + AT_TIME, s->time);
  raft_put_u64(out + AT_CONFIG_INDEX, s->config_index);
  raft_put_u32(out + AT_CONFIG_SIZE, (uint32_t)s->config.size);
  raft_put_u32(out + AT_CONFIG_CRC, raft_crc32c(0, config, s->config.size));
  raft_put_u32(
      out + AT_CRC,
      raft_crc32c(0, out + AT_VERSION, RAFT_SNAPFILE_FIXED_BYTES - AT_VERSION));
  *w = (struct raft_snapfile_writer){.is_bare = s->is_bare};
  raft_digest_begin(&w->digest);
  count(w, out, RAFT_SNAPFILE_FIXED_BYTES + s->config.size);
  return RAFT_SNAPFILE_FIXED_BYTES + s->config.size;
}

static void put_record(uint8_t *out, enum raft_snapfile_kind kind,
                       struct raft_slice bytes) {
  assert(bytes.size <= RAFT_SNAPFILE_PIECE_BYTES);
  assert(bytes.size > 0);
  raft_put_u32(out + AT_KIND, (uint32_t)kind);
  raft_put_u32(out + AT_SIZE, (uint32_t)bytes.size);
  raft_put_u32(out + AT_BYTES_CRC, raft_crc32c(0, bytes.data, bytes.size));
  raft_put_u32(
      out + AT_RECORD_CRC,
      raft_crc32c(0, out + AT_KIND, RAFT_SNAPFILE_RECORD_BYTES - AT_KIND));
}

void raft_snapfile_record(struct raft_snapfile_writer *w,
                          struct raft_slice bytes, uint8_t *out) {
  assert(w->size > 0); /* it has begun */
  assert(!w->is_bare);
  put_record(out, RAFT_SNAPFILE_STATE, bytes);
  count(w, out, RAFT_SNAPFILE_RECORD_BYTES);
  count(w, bytes.data, bytes.size);
  w->records++;
  w->state_bytes += bytes.size;
  assert(w->state_bytes < w->size);
}

uint64_t raft_snapfile_end(struct raft_snapfile_writer *w, uint8_t *out) {
  assert(w->size > 0);
  assert(out != NULL);
  uint64_t checksum = checksum_of(&w->digest, w->is_bare);
  uint8_t *ending = out + RAFT_SNAPFILE_RECORD_BYTES;
  raft_put_u64(ending, w->records);
  raft_put_u64(ending + 8, w->state_bytes);
  raft_put_u64(ending + 16, checksum);
  put_record(out, w->is_bare ? RAFT_SNAPFILE_BARE : RAFT_SNAPFILE_END,
             (struct raft_slice){ending, ENDING_BYTES});
  w->size += RAFT_SNAPFILE_END_BYTES;
  return checksum;
}

/* ---- reading ------------------------------------------------------------- */

static void enter(struct raft_snapfile_scan *scan,
                  enum raft_snapfile_stage stage, size_t wanted) {
  assert(scan->error == RAFT_OK);
  assert(scan->held == scan->wanted);
  scan->stage = stage;
  scan->held = 0;
  scan->wanted = wanted;
}

static int refuse(struct raft_snapfile_scan *scan, int error, const char *why) {
  assert(error < 0);
  assert(why != NULL);
  scan->error = error;
  scan->why = why;
  return error;
}

void raft_snapfile_scan_begin(struct raft_snapfile_scan *scan) {
  assert(scan != NULL);
  *scan = (struct raft_snapfile_scan){0};
  raft_digest_begin(&scan->digest);
  enter(scan, RAFT_SNAPFILE_AT_FIXED, RAFT_SNAPFILE_FIXED_BYTES);
  assert(scan->wanted <= sizeof(scan->head));
}

/* The fixed part is the same in every version, so another one is told apart
 * from damage. */
static int take_fixed(struct raft_snapfile_scan *scan) {
  const uint8_t *p = scan->head;
  assert(scan->held == RAFT_SNAPFILE_FIXED_BYTES);
  assert(scan->stage == RAFT_SNAPFILE_AT_FIXED);
  if (memcmp(p, MAGIC, sizeof(MAGIC)) != 0)
    return refuse(scan, RAFT_E_CORRUPT, "not the head of a snapshot");
  uint32_t crc =
      raft_crc32c(0, p + AT_VERSION, RAFT_SNAPFILE_FIXED_BYTES - AT_VERSION);
  if (crc != raft_get_u32(p + AT_CRC))
    return refuse(scan, RAFT_E_CORRUPT, "the head does not fit its checksum");
  scan->version = raft_get_u32(p + AT_VERSION);
  if (scan->version != RAFT_SNAPFILE_VERSION)
    return refuse(scan, RAFT_E_VERSION, "of another format version");
  uint32_t size = raft_get_u32(p + AT_CONFIG_SIZE);
  if (size == 0 || size > RAFT_CONFIG_BYTES_MAX)
    return refuse(scan, RAFT_E_CORRUPT, "the configuration's size");
  enter(scan, RAFT_SNAPFILE_AT_CONFIG, size);
  return RAFT_OK;
}

static int take_config(struct raft_snapfile_scan *scan) {
  struct raft_snapshot s;
  const uint8_t *config = scan->head + RAFT_SNAPFILE_FIXED_BYTES;
  assert(scan->stage == RAFT_SNAPFILE_AT_CONFIG);
  assert(scan->held == raft_get_u32(scan->head + AT_CONFIG_SIZE));
  if (raft_crc32c(0, config, scan->held) !=
      raft_get_u32(scan->head + AT_CONFIG_CRC))
    return refuse(scan, RAFT_E_CORRUPT,
                  "the configuration does not fit its checksum");
  scan->head_size = RAFT_SNAPFILE_FIXED_BYTES + scan->held;
  (void)raft_snapfile_scan_head(scan, &s); /* it was just read */
  const char *broken = raft_snapfile_check(&s);
  if (broken != NULL) {
    scan->head_size = 0;
    return refuse(scan, RAFT_E_CORRUPT, broken);
  }
  raft_digest_add(&scan->digest, scan->head, scan->head_size);
  enter(scan, RAFT_SNAPFILE_AT_RECORD, RAFT_SNAPFILE_RECORD_BYTES);
  return RAFT_OK;
}

static bool is_end(uint32_t kind) {
  return kind == RAFT_SNAPFILE_END || kind == RAFT_SNAPFILE_BARE;
}

static bool is_possible(uint32_t kind, uint32_t size) {
  assert(RAFT_SNAPFILE_PIECE_BYTES > ENDING_BYTES);
  assert(ENDING_BYTES > 0);
  if (is_end(kind)) return size == ENDING_BYTES;
  if (kind != RAFT_SNAPFILE_STATE) return false; /* of no version so far */
  return size > 0 && size <= RAFT_SNAPFILE_PIECE_BYTES;
}

static int take_record(struct raft_snapfile_scan *scan) {
  const uint8_t *p = scan->hold;
  assert(scan->stage == RAFT_SNAPFILE_AT_RECORD);
  assert(scan->held == RAFT_SNAPFILE_RECORD_BYTES);
  uint32_t crc =
      raft_crc32c(0, p + AT_KIND, RAFT_SNAPFILE_RECORD_BYTES - AT_KIND);
  if (crc != raft_get_u32(p + AT_RECORD_CRC))
    return refuse(scan, RAFT_E_CORRUPT,
                  "the head of a record does not fit its checksum");
  uint32_t kind = raft_get_u32(p + AT_KIND);
  scan->size = scan->left = raft_get_u32(p + AT_SIZE);
  if (!is_possible(kind, scan->size))
    return refuse(scan, RAFT_E_CORRUPT, "a record that no version has");
  scan->kind = (uint8_t)kind;
  scan->crc = raft_get_u32(p + AT_BYTES_CRC);
  scan->crc_here = 0;
  if (is_end(kind)) {
    enter(scan, RAFT_SNAPFILE_AT_ENDING, ENDING_BYTES);
    return RAFT_OK;
  }
  raft_digest_add(&scan->digest, p, RAFT_SNAPFILE_RECORD_BYTES);
  enter(scan, RAFT_SNAPFILE_AT_BYTES, 0);
  return RAFT_OK;
}

static int take_ending(struct raft_snapfile_scan *scan) {
  const uint8_t *p = scan->hold;
  assert(scan->stage == RAFT_SNAPFILE_AT_ENDING);
  assert(scan->held == ENDING_BYTES);
  if (raft_crc32c(0, p, ENDING_BYTES) != scan->crc)
    return refuse(scan, RAFT_E_CORRUPT, "the end does not fit its checksum");
  scan->is_bare = scan->kind == RAFT_SNAPFILE_BARE;
  scan->checksum = checksum_of(&scan->digest, scan->is_bare);
  if (scan->is_bare && scan->records > 0)
    return refuse(scan, RAFT_E_CORRUPT, "a state where none is to be");
  if (raft_get_u64(p) != scan->records ||
      raft_get_u64(p + 8) != scan->state_bytes ||
      raft_get_u64(p + 16) != scan->checksum)
    return refuse(scan, RAFT_E_CORRUPT, "the end is of another file");
  enter(scan, RAFT_SNAPFILE_WHOLE, 0);
  return RAFT_OK;
}

/* What the stage needs at once is there. */
static int take_held(struct raft_snapfile_scan *scan) {
  assert(scan->held == scan->wanted);
  assert(scan->error == RAFT_OK);
  switch (scan->stage) {
  case RAFT_SNAPFILE_AT_FIXED: return take_fixed(scan);
  case RAFT_SNAPFILE_AT_CONFIG: return take_config(scan);
  case RAFT_SNAPFILE_AT_RECORD: return take_record(scan);
  case RAFT_SNAPFILE_AT_ENDING: return take_ending(scan);
  case RAFT_SNAPFILE_AT_BYTES:
  case RAFT_SNAPFILE_WHOLE: break;
  }
  return RAFT_OK;
}

/* Where bytes of this stage are kept until all are there. */
static uint8_t *holder(struct raft_snapfile_scan *scan) {
  assert(scan->stage != RAFT_SNAPFILE_AT_BYTES);
  assert(scan->stage != RAFT_SNAPFILE_WHOLE);
  if (scan->stage == RAFT_SNAPFILE_AT_FIXED) return scan->head;
  if (scan->stage == RAFT_SNAPFILE_AT_CONFIG)
    return scan->head + RAFT_SNAPFILE_FIXED_BYTES;
  return scan->hold;
}

/* Takes up to `want` bytes off the front. */
static struct raft_slice cut(struct raft_snapfile_scan *scan,
                             const uint8_t **data, size_t *size, size_t want) {
  struct raft_slice part = {*data, *size < want ? *size : want};
  assert(part.size > 0);
  assert(part.size <= *size);
  *data += part.size;
  *size -= part.size;
  scan->offset += part.size;
  return part;
}

static int take_bytes(struct raft_snapfile_scan *scan,
                      struct raft_slice piece) {
  assert(scan->stage == RAFT_SNAPFILE_AT_BYTES);
  assert(piece.size <= scan->left);
  raft_digest_add(&scan->digest, piece.data, piece.size);
  scan->crc_here = raft_crc32c(scan->crc_here, piece.data, piece.size);
  scan->state_bytes += piece.size;
  scan->left -= (uint32_t)piece.size;
  if (scan->left > 0) return RAFT_OK;
  if (scan->crc_here != scan->crc)
    return refuse(scan, RAFT_E_CORRUPT, "a record does not fit its checksum");
  scan->records++;
  enter(scan, RAFT_SNAPFILE_AT_RECORD, RAFT_SNAPFILE_RECORD_BYTES);
  return RAFT_OK;
}

int raft_snapfile_scan_feed(struct raft_snapfile_scan *scan,
                            const uint8_t **data, size_t *size,
                            struct raft_slice *piece) {
  assert(*data != NULL || *size == 0);
  assert(piece != NULL);
  *piece = (struct raft_slice){0};
  while (scan->error == RAFT_OK && *size > 0) {
    if (scan->stage == RAFT_SNAPFILE_WHOLE)
      return refuse(scan, RAFT_E_CORRUPT, "bytes behind the end");
    if (scan->stage == RAFT_SNAPFILE_AT_BYTES) {
      *piece = cut(scan, data, size, scan->left);
      return take_bytes(scan, *piece);
    }
    struct raft_slice part = cut(scan, data, size, scan->wanted - scan->held);
    memcpy(holder(scan) + scan->held, part.data, part.size);
    scan->held += part.size;
    if (scan->held == scan->wanted) (void)take_held(scan); /* kept in error */
  }
  return scan->error;
}

int raft_snapfile_scan_end(struct raft_snapfile_scan *scan) {
  assert(scan != NULL);
  assert(scan->held <= scan->wanted);
  if (scan->error != RAFT_OK) return scan->error;
  if (scan->stage == RAFT_SNAPFILE_WHOLE) return RAFT_OK;
  return refuse(scan, RAFT_E_CORRUPT, "it ends too early");
}

bool raft_snapfile_scan_head(const struct raft_snapfile_scan *scan,
                             struct raft_snapshot *out) {
  const uint8_t *p = scan->head;
  assert(out != NULL);
  assert(scan->head_size <= sizeof(scan->head));
  *out = (struct raft_snapshot){0};
  if (scan->head_size == 0) return false;
  out->index = raft_get_u64(p + AT_INDEX);
  out->term = raft_get_u64(p + AT_TERM);
  out->time = raft_get_u64(p + AT_TIME);
  out->config_index = raft_get_u64(p + AT_CONFIG_INDEX);
  out->config =
      (struct raft_slice){p + RAFT_SNAPFILE_FIXED_BYTES,
                          scan->head_size - RAFT_SNAPFILE_FIXED_BYTES};
  out->is_bare = scan->is_bare;
  return true;
}
