/* entry.h - the one encoding of a log entry, in memory, on the wire, on disk.
 *
 * An entry is encoded once, when it is proposed. Little endian:
 *
 *    0        4         8       16      24     32     36   37   38    40
 *   +--------+---------+-------+-------+------+------+----+----+-----+----...
 *   | header | payload | index | term  | time | size |kind|flag|  0  | payload
 *   |  crc   |   crc   |  u64  |  u64  | u64  | u32  | u8 | u8 | u16 | bytes
 *   +--------+---------+-------+-------+------+------+----+----+-----+----...
 *
 * The header's checksum covers bytes [4, 40), so the payload's checksum too: a
 * copy of the header alone (a witness keeps no more) can be verified. Index and
 * term are in [1, 2^63).
 */
#ifndef RAFT_ENTRY_H
#define RAFT_ENTRY_H

#include "bytes.h"
#include "crc32c.h"
#include "raft.h"

#include <assert.h>

#pragma GCC visibility push(hidden)

#define RAFT_ENTRY_HEADER_BYTES 40

enum raft_entry_kind {
  RAFT_ENTRY_NOOP = 1,    /* opens a leader's term [Raft 8] */
  RAFT_ENTRY_COMMAND = 2, /* the user's bytes */
  RAFT_ENTRY_CONFIG = 3,  /* an encoded struct raft_config */
  RAFT_ENTRY_SESSION = 4, /* a client's command with session and sequence */
};
#define RAFT_ENTRY_KIND_MAX 4

enum raft_entry_flags {
  RAFT_ENTRY_STRIPPED = 1, /* a command that a witness has not got: size 0 */
};

struct raft_entry {
  raft_index index;
  raft_term term;
  raft_ms time;  /* the leader's stamp, never goes back in the log */
  uint8_t kind;  /* enum raft_entry_kind */
  uint8_t flags; /* enum raft_entry_flags */
  uint32_t size; /* bytes of payload */
  uint32_t payload_crc;
  const uint8_t *payload;
};

/* Writes header and payload; fills in payload_crc. `out` has room for
 * RAFT_ENTRY_HEADER_BYTES + e->size. Returns the bytes written. */
size_t raft_entry_encode(struct raft_entry *e, uint8_t *out);

/* Reads the header alone and verifies it: RAFT_OK, RAFT_E_MORE, RAFT_E_CORRUPT
 * (also: unknown kind or flag, size over RAFT_PAYLOAD_BYTES_MAX, index or term
 * 0). out->payload is NULL: nobody has looked whether it is there. An error
 * leaves *out as it was. */
int raft_entry_decode_header(const uint8_t *data, size_t size,
                             struct raft_entry *out);

/* Reads and verifies header and payload: same errors. The payload points into
 * `data`; bytes behind it are not looked at. */
int raft_entry_decode(const uint8_t *data, size_t size, struct raft_entry *out);

/* Reads an entry that was verified before (our own memory): asserts. */
void raft_entry_view(const uint8_t *data, struct raft_entry *out);

/* Encoded bytes of an entry. */
static inline size_t raft_entry_bytes(const struct raft_entry *e) {
  return RAFT_ENTRY_HEADER_BYTES + (size_t)e->size;
}

/* ---- one field of an encoded entry --------------------------------------- */

/* For whoever walks along entries that were verified before and wants little of
 * each. Nothing is checked. */

enum raft_entry_at { /* where the fields lie */
                     RAFT_ENTRY_AT_CRC = 0,
                     RAFT_ENTRY_AT_PAYLOAD_CRC = 4,
                     RAFT_ENTRY_AT_INDEX = 8,
                     RAFT_ENTRY_AT_TERM = 16,
                     RAFT_ENTRY_AT_TIME = 24,
                     RAFT_ENTRY_AT_SIZE = 32,
                     RAFT_ENTRY_AT_KIND = 36,
                     RAFT_ENTRY_AT_FLAGS = 37,
                     RAFT_ENTRY_AT_ZERO = 38,
};

/* Bytes from this entry to the next one. */
static inline size_t raft_entry_span(const uint8_t *data) {
  return RAFT_ENTRY_HEADER_BYTES +
         (size_t)raft_get_u32(data + RAFT_ENTRY_AT_SIZE);
}

static inline raft_index raft_entry_index(const uint8_t *data) {
  return raft_get_u64(data + RAFT_ENTRY_AT_INDEX);
}

static inline raft_term raft_entry_term(const uint8_t *data) {
  return raft_get_u64(data + RAFT_ENTRY_AT_TERM);
}

static inline raft_ms raft_entry_time(const uint8_t *data) {
  return raft_get_u64(data + RAFT_ENTRY_AT_TIME);
}

static inline uint8_t raft_entry_kind(const uint8_t *data) {
  return data[RAFT_ENTRY_AT_KIND];
}

static inline uint8_t raft_entry_flags(const uint8_t *data) {
  return data[RAFT_ENTRY_AT_FLAGS];
}

/* ---- is an entry whole? -------------------------------------------------- */

/* Terms and indexes stay below 2^63: sums cannot wrap, Lua sees no minus. */
static inline bool raft_entry_is_position(uint64_t v) {
  return v - 1 < (uint64_t)INT64_MAX; /* of 0 that wraps, and is refused */
}

/* May it stand in a log, and is it no more than nearly all are: without a flag?
 */
static inline bool raft_entry_is_plain(const uint8_t *data) {
  uint32_t kind = raft_get_u32(data + RAFT_ENTRY_AT_KIND);
  size_t most = RAFT_ENTRY_HEADER_BYTES + RAFT_PAYLOAD_BYTES_MAX;
  return kind - 1 < RAFT_ENTRY_KIND_MAX && raft_entry_span(data) <= most &&
         raft_entry_is_position(raft_entry_index(data)) &&
         raft_entry_is_position(raft_entry_term(data));
}

/* As decode, for who wants single fields only, or none. */
int raft_entry_judge(const uint8_t *data, size_t size);
static inline int raft_entry_verify(const uint8_t *data, size_t size) {
  assert(data != NULL || size == 0);
  if (size < RAFT_ENTRY_HEADER_BYTES) return RAFT_E_MORE;
  if (!raft_entry_is_plain(data)) return raft_entry_judge(data, size);
  size_t bytes = raft_entry_span(data);
  bool is_whole = size >= bytes &&
                  raft_get_u32(data + RAFT_ENTRY_AT_CRC) ==
                      raft_crc32c_few(data + RAFT_ENTRY_AT_PAYLOAD_CRC) &&
                  raft_get_u32(data + RAFT_ENTRY_AT_PAYLOAD_CRC) ==
                      raft_crc32c(0, data + RAFT_ENTRY_HEADER_BYTES,
                                  bytes - RAFT_ENTRY_HEADER_BYTES);
  return is_whole ? RAFT_OK : raft_entry_judge(data, size); /* which says why */
}

#pragma GCC visibility pop
#endif
