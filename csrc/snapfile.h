/* snapfile.h - the file of a snapshot: a head, records, an end. A leaf.
 *
 *     head | record | record | ... | end
 *
 * A writer goes once from front to back, so a child may do it. A scan takes the
 * file in chunks of any size and believes nothing: it is whole once the end was
 * seen, and the end is the last of it. Both need the same memory whatever the
 * file is.
 */
#ifndef RAFT_SNAPFILE_H
#define RAFT_SNAPFILE_H

#include "config.h"
#include "digest.h"
#include "raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_SNAPFILE_VERSION      1u
#define RAFT_SNAPFILE_FIXED_BYTES  56u /* of the head without configuration */
#define RAFT_SNAPFILE_RECORD_BYTES 16u /* of a record, before its bytes */
#define RAFT_SNAPFILE_END_BYTES    40u /* the last record, all of it */
#define RAFT_SNAPFILE_HEAD_MAX                                                 \
  (RAFT_SNAPFILE_FIXED_BYTES + RAFT_CONFIG_BYTES_MAX)
#ifdef RAFT_TINY
#define RAFT_SNAPFILE_PIECE_BYTES 64u
#else
#define RAFT_SNAPFILE_PIECE_BYTES 262144u /* of one record, at most */
#endif

enum raft_snapfile_kind {
  RAFT_SNAPFILE_STATE = 1, /* the next bytes of the user's state */
  /* 2, 3, 4 are kept for sessions, the digest of results, service versions */
  RAFT_SNAPFILE_BARE = 254, /* the end of a file that has no state */
  RAFT_SNAPFILE_END = 255,
};

/* ---- writing ------------------------------------------------------------- */

struct raft_snapfile_writer {
  struct raft_digest_state digest; /* of all bytes so far */
  uint64_t records;                /* without the end */
  uint64_t state_bytes;            /* in records, without their heads */
  uint64_t size;                   /* of the file so far */
  bool is_bare;                    /* Invariant: then there are no records */
};

/* NULL, or what of a snapshot no file may say: "index", "term", ... */
const char *raft_snapfile_check(const struct raft_snapshot *s);

/* Begins a file; a bare one gets no records. What check refuses is asserted.
 * `out` has RAFT_SNAPFILE_HEAD_MAX. Returns the bytes written. */
size_t raft_snapfile_begin(struct raft_snapfile_writer *w,
                           const struct raft_snapshot *s, uint8_t *out);

/* The head of a record of these bytes of state, RAFT_SNAPFILE_PIECE_BYTES of
 * them at most, which follow it in the file. `out` has
 * RAFT_SNAPFILE_RECORD_BYTES. */
void raft_snapfile_record(struct raft_snapfile_writer *w,
                          struct raft_slice bytes, uint8_t *out);

/* The end. `out` has RAFT_SNAPFILE_END_BYTES. Returns the file's checksum, as
 * scan.checksum has it. */
uint64_t raft_snapfile_end(struct raft_snapfile_writer *w, uint8_t *out);

/* ---- reading ------------------------------------------------------------- */

enum raft_snapfile_stage { /* what comes next in the file */
                           RAFT_SNAPFILE_AT_FIXED = 1,
                           RAFT_SNAPFILE_AT_CONFIG,
                           RAFT_SNAPFILE_AT_RECORD,
                           RAFT_SNAPFILE_AT_BYTES,
                           RAFT_SNAPFILE_AT_ENDING, /* the bytes of the end */
                           RAFT_SNAPFILE_WHOLE,
};

struct raft_snapfile_scan {
  enum raft_snapfile_stage stage;
  int error;                       /* what ended it; RAFT_OK: it goes on */
  const char *why;                 /* in words, once there is an error */
  struct raft_digest_state digest; /* of all bytes but the end */
  uint64_t offset;                 /* of the next byte */
  uint64_t records;
  uint64_t state_bytes;
  uint64_t checksum; /* names the content; once WHOLE. < 2^63 */
  bool is_bare;      /* has it no state? Once WHOLE */
  uint32_t version;  /* as the file says it, once an error is VERSION */
  uint8_t kind;      /* of the record that is being read */
  uint32_t size;     /* of its bytes */
  uint32_t left;     /* of them not yet read. Invariant: <= size */
  uint32_t crc;      /* as its head says */
  uint32_t crc_here; /* of those read so far */
  size_t held;       /* bytes of it held back. Invariant: held <= wanted */
  size_t wanted;     /* bytes that this stage needs at once */
  uint8_t hold[RAFT_SNAPFILE_END_BYTES]; /* of a record or the end */
  uint8_t head[RAFT_SNAPFILE_HEAD_MAX];
  size_t head_size; /* bytes of it that were read and are sound */
};

void raft_snapfile_scan_begin(struct raft_snapfile_scan *scan);

/* Takes bytes from the front of [*data, *data + *size) up to the end of one
 * run of state bytes, or all: moves *data and *size on. *piece gets the run,
 * which lies in the bytes given; empty: there was none. Its checksum is known
 * only with its last byte. Returns RAFT_OK, RAFT_E_CORRUPT or RAFT_E_VERSION;
 * an error is the last word. */
int raft_snapfile_scan_feed(struct raft_snapfile_scan *scan,
                            const uint8_t **data, size_t *size,
                            struct raft_slice *piece);

/* No more bytes come: RAFT_OK when the file is whole, else RAFT_E_CORRUPT. */
int raft_snapfile_scan_end(struct raft_snapfile_scan *scan);

/* What the head says, once it was read; false before. The configuration lies
 * in the scan. That it is bare is known once WHOLE. */
bool raft_snapfile_scan_head(const struct raft_snapfile_scan *scan,
                             struct raft_snapshot *out);

#pragma GCC visibility pop
#endif
