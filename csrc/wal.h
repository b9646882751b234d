/* wal.h - the write-ahead log as bytes. A leaf: it knows no files.
 *
 * A segment is a file of a fixed size, filled with zeros before it is used.
 * Its first sector is its head; behind it lie batches, each from a sector
 * boundary on, so that no write ever touches durable bytes. The first sector
 * that holds no batch ends the log of a segment.
 *
 *   0        4096                    12288       16384
 *   +--------+-----------------------+-----------+----------------- - -
 *   | head   | batch 1        ..zero | batch 2 0 | zeros
 *   +--------+-----------------------+-----------+----------------- - -
 *
 * One batch is one write and one promise. Its head carries the hard state,
 * the place of the newest entry, the salt of its segment, its own place, its
 * number and the checksum of the head before it: a chain in which nothing can
 * be missing, old or misplaced without being seen. Offsets are drawn in
 * docs/FORMATS.md.
 */
#ifndef RAFT_WAL_H
#define RAFT_WAL_H

#include "raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_WAL_VERSION      1
#define RAFT_WAL_SECTOR       4096       /* bytes; what a disk writes as one */
#define RAFT_WAL_BATCH_BYTES  88         /* head of a batch */
#define RAFT_WAL_RECORD_BYTES 8          /* head of a record in its body */
#define RAFT_WAL_MARK_BYTES   24         /* a mark: a record in its body */
#define RAFT_WAL_BODY_MAX     (1u << 30) /* bytes of records in one batch */

/* Batch numbers: the start of the process above, a count from 1 below. */
#define RAFT_WAL_COUNT_BITS 40
#define RAFT_WAL_STARTS_MAX ((UINT64_C(1) << 24) - 1)

struct raft_wal_segment {
  uint64_t size;         /* bytes of the file, a multiple of the sector */
  uint64_t number;       /* from 1, without gaps */
  uint64_t salt;         /* drawn when it is opened for writing */
  raft_index next_index; /* of the next entry, when it was opened */
  raft_term last_term;   /* of the entry before that; 0 none */
  uint64_t batch;        /* number of the batch before it; 0 none */
  uint32_t chain;        /* checksum of that batch's head; 0 none */
};

enum raft_wal_kind {
  RAFT_WAL_DATA = 1, /* hard state, and entries if there are any */
  RAFT_WAL_MARK = 2, /* says that the batch before it was durable */
};

enum raft_wal_flags {
  RAFT_WAL_REPAIRING = 1, /* last is what damage took, not in the log yet */
};

enum raft_wal_record {
  RAFT_WAL_ENTRIES = 1,  /* encoded entries; an index seen before overwrites */
  RAFT_WAL_SNAPSHOT = 2, /* mark: a snapshot of an entry of the log, this batch
                            included, is durable */
  RAFT_WAL_RESET = 3,    /* mark: the same of an entry that the log has not. All
                            of it is void, and it starts anew behind that */
};

struct raft_wal_mark {
  raft_index index; /* of the last entry that the snapshot covers; 0: no mark */
  raft_term term;   /* of that entry */
  bool is_reset;
};

struct raft_wal_body { /* what is in a batch; a mark comes first */
  struct raft_wal_mark mark;
  struct raft_slice entries; /* encoded; empty: none */
  uint32_t entries_at;       /* bytes from the batch's start to them */
};

struct raft_wal_batch {
  uint64_t salt;             /* of its segment */
  uint64_t offset;           /* in the file: where it believes to be */
  uint64_t number;           /* ascends; never used twice, by no start either */
  uint32_t chain;            /* the crc of the batch before it */
  uint32_t crc;              /* of this head; covers body_crc */
  uint32_t body_crc;         /* of the body */
  uint32_t size;             /* bytes of body */
  raft_term term;            /* hard state from here on */
  raft_id vote;              /* 0 nobody */
  raft_index commit;         /* a hint for the next start */
  raft_index last;           /* newest entry, this batch included; 0 none */
  raft_term last_term;       /* its term */
  uint8_t kind;              /* enum raft_wal_kind */
  uint8_t flags;             /* enum raft_wal_flags */
  struct raft_wal_mark mark; /* to be written; it is in the body */
};

/* Whole sectors. */
static inline uint64_t raft_wal_align(uint64_t size) {
  return (size + RAFT_WAL_SECTOR - 1) & ~(uint64_t)(RAFT_WAL_SECTOR - 1);
}

/* Bytes in the file of a batch with that many bytes of entries. A mark counts
 * like RAFT_WAL_MARK_BYTES more of them. */
uint64_t raft_wal_batch_bytes(uint64_t entry_bytes);

/* The number of the n-th batch of a start. */
uint64_t raft_wal_number(uint64_t starts, uint64_t n);

/* May a batch of this number follow one of that number (0: none)? */
bool raft_wal_follows(uint64_t number, uint64_t before);

/* Writes the head of a segment into `out`: one sector. */
void raft_wal_segment_encode(const struct raft_wal_segment *s, uint8_t *out);

/* RAFT_OK; RAFT_E_MORE: no whole sector; RAFT_E_CORRUPT; RAFT_E_VERSION: it is
 * of a newer format, whose number is then in *version. */
int raft_wal_segment_decode(const uint8_t *data, size_t size,
                            struct raft_wal_segment *out, uint32_t *version);

/* Writes a batch with its mark, its entries and the zeros behind it into `out`,
 * which has room for raft_wal_batch_bytes. Fills in size, crc, body_crc. */
void raft_wal_batch_encode(struct raft_wal_batch *b,
                           const struct raft_slice *entries, size_t count,
                           uint8_t *out);

/* Reads the head: RAFT_OK, RAFT_E_MORE or RAFT_E_CORRUPT (it is no head). */
int raft_wal_batch_decode(const uint8_t *data, size_t size,
                          struct raft_wal_batch *out);

/* What is in the batch of a decoded head, of which `data` has the bytes.
 * RAFT_OK, RAFT_E_MORE, or RAFT_E_CORRUPT when the body does not fit. */
int raft_wal_batch_body(const struct raft_wal_batch *b, const uint8_t *data,
                        size_t size, struct raft_wal_body *out);

/* The same of a body that is there in part, unverified: where its entries are,
 * and their size (entries.data is NULL). For who reads single entries back. */
int raft_wal_batch_layout(const struct raft_wal_batch *b, const uint8_t *data,
                          size_t size, struct raft_wal_body *out);

#pragma GCC visibility pop
#endif
