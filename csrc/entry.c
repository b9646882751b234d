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
_Static_assert(RAFT_ENTRY_AT_PAYLOAD_CRC + RAFT_CRC32C_FEW ==
                   RAFT_ENTRY_HEADER_BYTES,
               "the checksum covers all behind it");
_Static_assert(RAFT_ENTRY_SESSION == RAFT_ENTRY_KIND_MAX, "the last kind");

_Static_assert(RAFT_ENTRY_AT_KIND + 4 == RAFT_ENTRY_HEADER_BYTES &&
                   RAFT_ENTRY_AT_FLAGS == RAFT_ENTRY_AT_KIND + 1,
               "a kind and three zeros are one number");
_Static_assert(RAFT_ENTRY_AT_SIZE + 4 == RAFT_ENTRY_AT_KIND &&
                   RAFT_ENTRY_AT_KIND + 1 == RAFT_ENTRY_AT_FLAGS &&
                   RAFT_ENTRY_AT_FLAGS + 1 == RAFT_ENTRY_AT_ZERO,
               "put_header writes these four at once");

/* Is it the copy of a command that a witness keeps? */
static bool is_stripped(const uint8_t *data) {
  assert(!raft_entry_is_plain(data));
  uint8_t kind = raft_entry_kind(data);
  bool has_command = kind == RAFT_ENTRY_COMMAND || kind == RAFT_ENTRY_SESSION;
  bool is_bare = raft_entry_flags(data) == RAFT_ENTRY_STRIPPED &&
                 raft_get_u16(data + RAFT_ENTRY_AT_ZERO) == 0 &&
                 raft_entry_span(data) == RAFT_ENTRY_HEADER_BYTES;
  return is_bare && has_command &&
         raft_entry_is_position(raft_entry_index(data)) &&
         raft_entry_is_position(raft_entry_term(data));
}

/* Would encode write this header? */
static inline bool is_sound(const uint8_t *data) {
  assert(data != NULL);
  return raft_entry_is_plain(data) || is_stripped(data);
}

static uint32_t header_crc(const uint8_t *data) {
  assert(data != NULL);
  return raft_crc32c_few(data + RAFT_ENTRY_AT_PAYLOAD_CRC);
}

static void put_header(const struct raft_entry *e, uint8_t *out) {
  assert(e != NULL);
  assert(out != NULL);
  raft_put_u32(out + RAFT_ENTRY_AT_PAYLOAD_CRC, e->payload_crc);
  raft_put_u64(out + RAFT_ENTRY_AT_INDEX, e->index);
  raft_put_u64(out + RAFT_ENTRY_AT_TERM, e->term);
  raft_put_u64(out + RAFT_ENTRY_AT_TIME, e->time);
  uint64_t kind = (uint64_t)e->kind | (uint64_t)e->flags << 8; /* and zeros */
  raft_put_u64(out + RAFT_ENTRY_AT_SIZE, e->size | kind << 32);
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
  assert(e->payload != NULL || e->size == 0);
  assert(out != NULL);
  e->payload_crc = raft_crc32c(0, e->payload, e->size);
  put_header(e, out);
  assert(is_sound(out));
  if (e->size != 0) memcpy(out + RAFT_ENTRY_HEADER_BYTES, e->payload, e->size);
  return raft_entry_bytes(e);
}

static inline int verify_header(const uint8_t *data, size_t size) {
  if (size < RAFT_ENTRY_HEADER_BYTES) return RAFT_E_MORE;
  if (raft_get_u32(data + RAFT_ENTRY_AT_CRC) != header_crc(data))
    return RAFT_E_CORRUPT;
  return is_sound(data) ? RAFT_OK : RAFT_E_CORRUPT;
}

int raft_entry_decode_header(const uint8_t *data, size_t size,
                             struct raft_entry *out) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  int error = verify_header(data, size);
  if (error == RAFT_OK) get_header(data, out);
  return error;
}

int raft_entry_judge(const uint8_t *data, size_t size) {
  assert(data != NULL || size == 0);
  int error = verify_header(data, size);
  if (error != RAFT_OK) return error;
  size_t bytes = raft_entry_span(data);
  if (size < bytes) return RAFT_E_MORE;
  uint32_t crc = raft_crc32c(0, data + RAFT_ENTRY_HEADER_BYTES,
                             bytes - RAFT_ENTRY_HEADER_BYTES);
  if (crc != raft_get_u32(data + RAFT_ENTRY_AT_PAYLOAD_CRC))
    return RAFT_E_CORRUPT;
  return RAFT_OK;
}

int raft_entry_decode(const uint8_t *data, size_t size,
                      struct raft_entry *out) {
  assert(out != NULL);
  int error = raft_entry_verify(data, size);
  if (error == RAFT_OK) raft_entry_view(data, out);
  assert(error != RAFT_OK || raft_entry_bytes(out) <= size);
  return error;
}

void raft_entry_view(const uint8_t *data, struct raft_entry *out) {
  assert(out != NULL);
  assert(is_sound(data)); /* it was when it came in */
  get_header(data, out);
  out->payload = data + RAFT_ENTRY_HEADER_BYTES;
}
