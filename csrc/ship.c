/* ship.c - the frames on the connection of a snapshot.
 *
 * Owns their fields, drawn in docs/FORMATS.md. What must hold: no length is
 * believed before it is bounded, and the bytes of a chunk are those that were
 * sent. Whether the file is whole is not decided here: its own checksums are.
 */
#include "ship.h"

#include "bytes.h"
#include "crc32c.h"
#include "frame.h"
#include "wire.h"

#include <assert.h>
#include <string.h>

#define OPTIONAL_KIND 0x80

_Static_assert(RAFT_SHIP_HEAD_MAX >= RAFT_FRAME_HEADER_BYTES + 6 * 8 + 4,
               "the head of an offer fits");
_Static_assert(RAFT_SHIP_FRAME_BYTES_MAX <= RAFT_FRAME_BYTES_MAX,
               "a frame like any other");

static bool is_plain_text(struct raft_slice text) { /* fit for a log line */
  assert(text.data != NULL || text.size == 0);
  for (size_t i = 0; i < text.size; i++)
    if (text.data[i] < ' ' || text.data[i] == 0x7f) return false;
  return true;
}

/* ---- what a node of ours may say ----------------------------------------- */

static const char *check_offer(const struct raft_ship *m) {
  assert(m->kind == RAFT_SHIP_OFFER);
  struct raft_config config;
  if (m->offer.index == 0 || !raft_frame_is_number(m->offer.index))
    return "index";
  /* [Raft 7] a snapshot is of what was committed, so of no later term. */
  if (m->offer.term == 0 || m->offer.term > m->term) return "term";
  if (m->offer.config_index == 0 || m->offer.config_index > m->offer.index)
    return "config_index";
  if (m->offer.size == 0 || m->offer.size > RAFT_SHIP_FILE_BYTES_MAX)
    return "size";
  if (m->tail.size > RAFT_CONFIG_BYTES_MAX) return "config";
  int error = raft_config_decode(m->tail.data, m->tail.size, &config);
  return error == RAFT_OK ? NULL : "config";
}

static const char *check_chunk(const struct raft_ship *m) {
  assert(m->kind == RAFT_SHIP_CHUNK);
  if (m->term == 0) return "term"; /* nobody leads in term 0 */
  if (m->tail.size == 0 || m->tail.size > RAFT_SHIP_CHUNK_BYTES) return "bytes";
  if (m->chunk.offset > RAFT_SHIP_FILE_BYTES_MAX) return "offset";
  return NULL;
}

static const char *check_verdict(const struct raft_ship *m) {
  assert(m->kind == RAFT_SHIP_VERDICT);
  if (m->verdict.code == 0) return "code";
  if (m->tail.size > RAFT_SHIP_TEXT_BYTES) return "text";
  return is_plain_text(m->tail) ? NULL : "text";
}

const char *raft_ship_check(const struct raft_ship *m) {
  assert(m != NULL);
  assert(m->tail.data != NULL || m->tail.size == 0);
  if (!raft_frame_is_number(m->term)) return "term";
  switch ((enum raft_ship_kind)m->kind) {
  case RAFT_SHIP_OFFER: return check_offer(m);
  case RAFT_SHIP_CHUNK: return check_chunk(m);
  case RAFT_SHIP_VERDICT: return check_verdict(m);
  case RAFT_SHIP_TAKEN:
    if (m->tail.size != 0) return "tail";
    return m->taken.offset <= RAFT_SHIP_FILE_BYTES_MAX ? NULL : "offset";
  }
  return "kind";
}

/* ---- out ----------------------------------------------------------------- */

static void put_offer(struct raft_out *out, const struct raft_ship *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_SHIP_OFFER);
  raft_out_u64(out, m->offer.index);
  raft_out_u64(out, m->offer.term);
  raft_out_u64(out, m->offer.time);
  raft_out_u64(out, m->offer.config_index);
  raft_out_u64(out, m->offer.size);
  raft_out_u64(out, m->offer.checksum);
}

static void put_fields(struct raft_out *out, const struct raft_ship *m) {
  assert(out != NULL);
  assert(m != NULL);
  raft_out_u32(out, raft_crc32c(0, m->tail.data, m->tail.size));
  switch ((enum raft_ship_kind)m->kind) {
  case RAFT_SHIP_OFFER: put_offer(out, m); break;
  case RAFT_SHIP_TAKEN: raft_out_u64(out, m->taken.offset); break;
  case RAFT_SHIP_CHUNK: raft_out_u64(out, m->chunk.offset); break;
  case RAFT_SHIP_VERDICT: raft_out_u8(out, m->verdict.code); break;
  }
}

size_t raft_ship_encode(const struct raft_ship *m, uint8_t *out) {
  assert(m != NULL);
  assert(raft_ship_check(m) == NULL);
  struct raft_out fields = raft_frame_begin(out, RAFT_SHIP_HEAD_MAX);
  put_fields(&fields, m);
  struct raft_frame f = {.kind = m->kind, .group = m->group, .term = m->term};
  f.tail.size = m->tail.size;
  size_t head = raft_frame_end(&fields, out, &f);
  assert(head <= RAFT_SHIP_HEAD_MAX);
  return head;
}

/* ---- in ------------------------------------------------------------------ */

static void get_offer(struct raft_in *in, struct raft_ship *m) {
  assert(in != NULL);
  assert(m->kind == RAFT_SHIP_OFFER);
  m->offer.index = raft_in_u64(in);
  m->offer.term = raft_in_u64(in);
  m->offer.time = raft_in_u64(in);
  m->offer.config_index = raft_in_u64(in);
  m->offer.size = raft_in_u64(in);
  m->offer.checksum = raft_in_u64(in);
}

/* Reads the fields, and looks whether the tail is what was sent. */
static void get_fields(struct raft_in *in, struct raft_ship *m) {
  assert(in != NULL);
  assert((m->kind & OPTIONAL_KIND) == 0);
  uint32_t crc = raft_in_u32(in);
  if (crc != raft_crc32c(0, m->tail.data, m->tail.size)) raft_in_refuse(in);
  switch ((enum raft_ship_kind)m->kind) {
  case RAFT_SHIP_OFFER: get_offer(in, m); break;
  case RAFT_SHIP_TAKEN: m->taken.offset = raft_in_u64(in); break;
  case RAFT_SHIP_CHUNK: m->chunk.offset = raft_in_u64(in); break;
  case RAFT_SHIP_VERDICT: m->verdict.code = raft_in_u8(in); break;
  }
}

int64_t raft_ship_size(const uint8_t *data, size_t size) {
  assert(data != NULL || size == 0);
  int64_t frame_size = raft_wire_size(data, size);
  if (frame_size > RAFT_SHIP_FRAME_BYTES_MAX) return RAFT_E_TOO_LARGE;
  return frame_size;
}

int raft_ship_decode(const uint8_t *data, size_t size, struct raft_ship *m) {
  assert(m != NULL);
  struct raft_frame f;
  if (size > RAFT_SHIP_FRAME_BYTES_MAX) return RAFT_E_CORRUPT;
  int error = raft_frame_open(data, size, &f);
  if (error != RAFT_OK) return error;
  if ((f.kind & OPTIONAL_KIND) != 0) return RAFT_E_UNSUPPORTED;
  memset(m, 0, sizeof *m);
  m->kind = f.kind;
  m->group = f.group;
  m->term = f.term;
  m->tail = f.tail;
  get_fields(&f.fields, m);
  if (!raft_in_is_good(&f.fields)) return RAFT_E_CORRUPT;
  return raft_ship_check(m) == NULL ? RAFT_OK : RAFT_E_CORRUPT;
}
