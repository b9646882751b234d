/* entry.c - one log entry to bytes and back.
 *
 * Owns the layout drawn in entry.h. What must hold: no entry leaves here whose
 * checksums do not fit it, and none is let in. It refuses kinds, flags and
 * sizes that version 1 does not write, and a term or index of 0.
 */
#include "entry.h"

#include "bytes.h"
#include "crc32c.h"

#include <assert.h>
#include <string.h>

_Static_assert(RAFT_ENTRY_AT_ZERO + 2 == RAFT_ENTRY_HEADER_BYTES,
               "no gap at the end");
_Static_assert(RAFT_ENTRY_SESSION == RAFT_ENTRY_KIND_MAX, "the last kind");

/* Terms and indexes stay below 2^63: sums cannot wrap, Lua sees no minus. */
static inline bool is_position(uint64_t v) {
  return v - 1 < (uint64_t)INT64_MAX; /* of 0 that wraps, and is refused */
}

/* The copy of a command that a witness keeps. */
static bool is_stripped(const struct raft_entry *e) {
  assert(e->kind != 0);
  bool has_command =
      e->kind == RAFT_ENTRY_COMMAND || e->kind == RAFT_ENTRY_SESSION;
  return e->flags == RAFT_ENTRY_STRIPPED && has_command && e->size == 0;
}

/* Would encode write it? */
static inline bool is_sound(const struct raft_entry *e) {
  if (e->kind == 0 || e->kind > RAFT_ENTRY_KIND_MAX) return false;
  if (e->flags != 0 && !is_stripped(e)) return false;
  if (e->size > RAFT_PAYLOAD_BYTES_MAX) return false;
  return is_position(e->index) && is_position(e->term);
}

static uint32_t header_crc(const uint8_t *data) {
  assert(data != NULL);
  return raft_crc32c(0, data + RAFT_ENTRY_AT_PAYLOAD_CRC,
                     RAFT_ENTRY_HEADER_BYTES - RAFT_ENTRY_AT_PAYLOAD_CRC);
}

static void put_header(const struct raft_entry *e, uint8_t *out) {
  assert(e != NULL);
  assert(out != NULL);
  raft_put_u32(out + RAFT_ENTRY_AT_PAYLOAD_CRC, e->payload_crc);
  raft_put_u64(out + RAFT_ENTRY_AT_INDEX, e->index);
  raft_put_u64(out + RAFT_ENTRY_AT_TERM, e->term);
  raft_put_u64(out + RAFT_ENTRY_AT_TIME, e->time);
  raft_put_u32(out + RAFT_ENTRY_AT_SIZE, e->size);
  out[RAFT_ENTRY_AT_KIND] = e->kind;
  out[RAFT_ENTRY_AT_FLAGS] = e->flags;
  raft_put_u16(out + RAFT_ENTRY_AT_ZERO, 0);
  raft_put_u32(out + RAFT_ENTRY_AT_CRC, header_crc(out)); /* last: it covers
                                                             the rest */
}

static inline void get_header(const uint8_t *data, struct raft_entry *out) {
  *out = (struct raft_entry){
      .index = raft_entry_index(data),
      .term = raft_entry_term(data),
      .time = raft_entry_time(data),
      .kind = raft_entry_kind(data),
      .flags = raft_entry_flags(data),
      .size = raft_get_u32(data + RAFT_ENTRY_AT_SIZE),
      .payload_crc = raft_get_u32(data + RAFT_ENTRY_AT_PAYLOAD_CRC),
  };
}

size_t raft_entry_encode(struct raft_entry *e, uint8_t *out) {
  assert(is_sound(e));
  assert(e->payload != NULL || e->size == 0);
  assert(out != NULL);
  e->payload_crc = raft_crc32c(0, e->payload, e->size);
  put_header(e, out);
  if (e->size != 0) memcpy(out + RAFT_ENTRY_HEADER_BYTES, e->payload, e->size);
  return raft_entry_bytes(e);
}

static inline int decode_header(const uint8_t *data, size_t size,
                                struct raft_entry *out) {
  if (size < RAFT_ENTRY_HEADER_BYTES) return RAFT_E_MORE;
  if (raft_get_u32(data + RAFT_ENTRY_AT_CRC) != header_crc(data))
    return RAFT_E_CORRUPT;
  get_header(data, out);
  if (!is_sound(out)) return RAFT_E_CORRUPT;
  if (raft_get_u16(data + RAFT_ENTRY_AT_ZERO) != 0) return RAFT_E_CORRUPT;
  assert(out->payload == NULL);
  return RAFT_OK;
}

int raft_entry_decode_header(const uint8_t *data, size_t size,
                             struct raft_entry *out) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  struct raft_entry e;
  int error = decode_header(data, size, &e);
  if (error == RAFT_OK) *out = e;
  return error;
}

int raft_entry_decode(const uint8_t *data, size_t size,
                      struct raft_entry *out) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  struct raft_entry e;
  int error = decode_header(data, size, &e);
  if (error != RAFT_OK) return error;
  if (size - RAFT_ENTRY_HEADER_BYTES < e.size) return RAFT_E_MORE;
  e.payload = data + RAFT_ENTRY_HEADER_BYTES;
  if (raft_crc32c(0, e.payload, e.size) != e.payload_crc) return RAFT_E_CORRUPT;
  *out = e;
  assert(raft_entry_bytes(out) <= size);
  return RAFT_OK;
}

void raft_entry_view(const uint8_t *data, struct raft_entry *out) {
  assert(data != NULL);
  assert(out != NULL);
  get_header(data, out);
  assert(is_sound(out)); /* it was when it came in */
  out->payload = data + RAFT_ENTRY_HEADER_BYTES;
}
