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
#include "raft.h"

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

/* The same for who wants single fields only, or none: see below. */
int raft_entry_verify(const uint8_t *data, size_t size);

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

#pragma GCC visibility pop
#endif
