/* wal_files.h - a log as files in memory, for tests: written by the writer of
 * the core, damaged by the test, judged by the scan.
 */
#ifndef RAFT_WAL_FILES_H
#define RAFT_WAL_FILES_H

#include "wal_scan.h"
#include "wal_writer.h"

#define WAL_FILES_MAX  8
#define WAL_FILE_BYTES (16 * RAFT_WAL_SECTOR)
#define WAL_STARTS     3

struct wal_file {
  uint64_t number;
  size_t size; /* as the directory shows it; 0: not there */
  uint8_t bytes[WAL_FILE_BYTES];
};

struct wal_files {
  struct wal_writer_and_map {
    struct raft_wal_writer writer;
    struct raft_wal_map map; /* as a running process keeps it */
  } now;
  raft_term term; /* hard state of the next batches */
  raft_id vote;
  raft_index commit;
  struct raft_wal_mark mark; /* of the batch that is put next */
  size_t count;
  struct wal_file files[WAL_FILES_MAX];
};

void wal_files_init(struct wal_files *f);
void wal_files_free(struct wal_files *f);

/* A new segment of that many sectors. */
struct wal_file *wal_files_segment(struct wal_files *f, unsigned sectors);

/* Entries of `text` bytes each, [first, last], encoded into out. */
size_t wal_entries(raft_index first, raft_index last, raft_term term,
                   size_t text, uint8_t *out);

/* A batch with these entries (size 0: none). Returns its offset. */
uint64_t wal_files_put(struct wal_files *f, enum raft_wal_kind kind,
                       const uint8_t *entries, size_t size);

/* A batch with this mark before its entries. */
uint64_t wal_files_mark(struct wal_files *f, const struct raft_wal_mark *mark,
                        const uint8_t *entries, size_t size);

/* The same with entries [first, last] of `term`, of 10 bytes each. */
uint64_t wal_files_add(struct wal_files *f, raft_index first, raft_index last,
                       raft_term term);

/* Scans the files: RAFT_OK or the error. The caller frees the scan. */
int wal_files_scan(const struct wal_files *f, struct raft_wal_scan *scan,
                   const struct raft_wal_options *options);

/* The options of a scan: segment 1 first, everything kept in memory. */
struct raft_wal_options wal_files_options(void);

#endif
