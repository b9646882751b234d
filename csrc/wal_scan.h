/* wal_scan.h - what the files of a log mean after a crash. A leaf: it is fed
 * with their bytes and says which it wants next.
 *
 *     raft_wal_scan_open(scan, head of the oldest segment)
 *     while (scan->want_size > 0) raft_wal_scan_feed(scan, bytes at want)
 *     ... the same for each later segment ...
 *     raft_wal_state_result(&scan->state, &recovery)
 *
 * The judgement. Batch k + 1 is written only after batch k is durable. So what
 * is no intact batch k ends the log - it is the torn end of a write nobody was
 * told of - unless there is any trace of a batch after it: then k was durable,
 * somebody was told, and to cut it would be to forget a promise. That is rot.
 *
 * Rot in the middle is stepped over, to the next intact head in its own place:
 * that has the hard state, which no batch before it can know better, and tells
 * what the log has lost (wal_state.h). Whether the rest is of use is for the
 * core. Rot is refused when no head follows it, for then a vote may be lost;
 * and wherever an intact head says what cannot be.
 */
#ifndef RAFT_WAL_SCAN_H
#define RAFT_WAL_SCAN_H

#include "raft.h"
#include "wal.h"
#include "wal_map.h"
#include "wal_state.h"

#pragma GCC visibility push(hidden)

#ifdef RAFT_TINY
#define RAFT_WAL_CHUNK (2u * RAFT_WAL_SECTOR)
#else
#define RAFT_WAL_CHUNK (1u << 18) /* bytes; more leave the caches */
#endif

enum raft_wal_phase {
  RAFT_WAL_BETWEEN = 1, /* wants the head of the next segment */
  RAFT_WAL_BATCHES,     /* reads batch after batch */
  RAFT_WAL_BEHIND,      /* looks for later batches behind the end */
  RAFT_WAL_BROKEN,      /* cannot go on, see `fault`; or lacked memory */
};

struct raft_wal_fault { /* for people and for tests */
  const char *why;      /* a phrase; NULL: none */
  uint64_t segment;     /* number of the file */
  uint64_t offset;      /* in it */
  uint32_t version;     /* found, when it is too new */
};

struct raft_wal_options {
  uint64_t first;      /* number of the oldest segment */
  uint64_t starts;     /* before this one; no batch is of a later start */
  size_t memory_bytes; /* of entries to keep in memory */
  raft_alloc alloc;
  void *alloc_ud;
};

struct raft_wal_file { /* one segment, as it is found */
  uint64_t number;     /* by its name */
  uint64_t size;       /* of the file */
  bool is_last;        /* is there no later one? */
};

struct raft_wal_scan {
  enum raft_wal_phase phase;
  struct raft_wal_options options;
  struct raft_wal_state state;
  struct raft_wal_map map;
  struct raft_wal_segment segment; /* being read; number 0: none yet */
  bool is_last;                    /* is it the last one? */
  uint64_t end;                    /* behind its last intact batch */
  uint64_t number;                 /* of the last intact batch; 0 none */
  uint32_t chain;                  /* its checksum */
  uint8_t kind;                    /* its kind; 0 none */
  uint64_t want_offset;            /* what feed wants next ... */
  uint64_t want_size;              /* ... and how much; 0: nothing more */
  struct raft_wal_batch torn;      /* head of the torn batch, if it is intact */
  uint64_t torn_extent;            /* where that ends; 0: it is not intact */
  bool has_trace;                  /* was something written after it? */
  bool is_stepping;                /* over damage: the next head is later, but
                                      not the next one */
  bool is_headless;                /* is there damage that no intact head
                                      follows yet? */
  uint64_t torn_end;               /* behind the last byte that is not zero
                                      after `end`; 0: all are */
  struct raft_wal_fault damage;    /* the first that was stepped over */
  struct raft_wal_fault hole;      /* the newest */
  struct raft_wal_fault fault;
};

void raft_wal_scan_init(struct raft_wal_scan *scan,
                        const struct raft_wal_options *options);
void raft_wal_scan_free(struct raft_wal_scan *scan);

/* Goes on to the next segment; `head` is its first sector, or what there is
 * of it. RAFT_OK, RAFT_E_CORRUPT or RAFT_E_VERSION (see scan->fault), or
 * RAFT_E_NOMEM. */
int raft_wal_scan_open(struct raft_wal_scan *scan,
                       const struct raft_wal_file *file,
                       struct raft_slice head);

/* Takes in the bytes at scan->want_offset: want_size of them, or more.
 * RAFT_OK, RAFT_E_CORRUPT (see scan->fault) or RAFT_E_NOMEM. */
int raft_wal_scan_feed(struct raft_wal_scan *scan, struct raft_slice data);

#pragma GCC visibility pop
#endif
