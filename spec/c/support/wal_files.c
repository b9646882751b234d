#include "wal_files.h"

#include "entry.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct test_memory memory; /* never fails */

struct raft_wal_options wal_files_options(void) {
  return (struct raft_wal_options){
      .first = 1,
      .starts = WAL_STARTS,
      .memory_bytes = 1 << 20,
      .alloc = test_alloc,
      .alloc_ud = &memory,
  };
}

void wal_files_init(struct wal_files *f) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan empty;
  memset(f, 0, sizeof *f);
  f->term = 1;
  options.starts = WAL_STARTS - 1; /* as the start before this one left it */
  raft_wal_scan_init(&empty, &options);
  raft_wal_writer_init(&f->now.writer, &empty);
  raft_wal_map_init(&f->now.map, test_alloc, &memory);
  raft_wal_scan_free(&empty);
}

void wal_files_free(struct wal_files *f) {
  raft_wal_map_free(&f->now.map);
}

struct wal_file *wal_files_segment(struct wal_files *f, unsigned sectors) {
  struct wal_file *file = &f->files[f->count++];
  file->size = (size_t)sectors * RAFT_WAL_SECTOR;
  raft_wal_writer_open(&f->now.writer, 0x5a17 + f->count, file->size,
                       file->bytes);
  file->number = f->now.writer.segment.number;
  EQ(raft_wal_map_open(&f->now.map, file->number,
                       f->now.writer.segment.next_index),
     RAFT_OK);
  return file;
}

size_t wal_entries(raft_index first, raft_index last, raft_term term,
                   size_t text, uint8_t *out) {
  static uint8_t payload[RAFT_WAL_SECTOR * 4]; /* xyzxyz: never all zero */
  for (size_t i = 0; payload[sizeof payload - 1] == 0; i++)
    payload[i] = (uint8_t)('x' + i % 3);
  size_t size = 0;
  for (raft_index i = first; i <= last; i++) {
    struct raft_entry e = {
        .index = i,
        .term = term,
        .time = 1000 + i,
        .kind = RAFT_ENTRY_COMMAND,
        .size = (uint32_t)text,
        .payload = payload,
    };
    size += raft_entry_encode(&e, out + size);
  }
  return size;
}

uint64_t wal_files_mark(struct wal_files *f, const struct raft_wal_mark *mark,
                        const uint8_t *entries, size_t size) {
  f->mark = *mark;
  uint64_t offset = wal_files_put(f, RAFT_WAL_DATA, entries, size);
  f->mark = (struct raft_wal_mark){0};
  return offset;
}

uint64_t wal_files_put(struct wal_files *f, enum raft_wal_kind kind,
                       const uint8_t *entries, size_t size) {
  struct wal_file *file = &f->files[f->count - 1];
  struct raft_slice slice = {entries, size};
  uint64_t offset = f->now.writer.offset;
  struct raft_wal_batch b = {
      .kind = (uint8_t)kind,
      .term = f->term,
      .vote = f->vote,
      .commit = f->commit,
      .mark = f->mark,
  };
  size_t mark = f->mark.index > 0 ? RAFT_WAL_MARK_BYTES : 0;
  CHECK(raft_wal_writer_fits(&f->now.writer, size + mark, 0));
  raft_wal_writer_put(&f->now.writer, &b, &slice, size > 0 ? 1 : 0,
                      file->bytes + offset);
  if (f->mark.is_reset) raft_wal_map_reset(&f->now.map, f->mark.index);
  uint64_t at = offset + mark + RAFT_WAL_BATCH_BYTES + RAFT_WAL_RECORD_BYTES;
  EQ(raft_wal_map_add(&f->now.map, file->number, at, slice), RAFT_OK);
  return offset;
}

uint64_t wal_files_add(struct wal_files *f, raft_index first, raft_index last,
                       raft_term term) {
  static uint8_t bytes[WAL_FILE_BYTES];
  if (f->term < term) {
    f->term = term;
    f->vote = 0;
  }
  size_t size = wal_entries(first, last, term, 10, bytes);
  return wal_files_put(f, RAFT_WAL_DATA, bytes, size);
}

static int scan_file(struct raft_wal_scan *scan, const struct wal_file *file,
                     bool is_last) {
  struct raft_wal_file found = {file->number, file->size, is_last};
  size_t head = file->size < RAFT_WAL_SECTOR ? file->size : RAFT_WAL_SECTOR;
  int error =
      raft_wal_scan_open(scan, &found, (struct raft_slice){file->bytes, head});
  while (error == RAFT_OK && scan->want_size > 0) {
    size_t left = file->size - (size_t)scan->want_offset;
    size_t size = (size_t)scan->want_size;
    CHECK(size <= left);
    uint8_t *exact = malloc(size); /* so that no byte more is read */
    if (exact == NULL) exit(2);
    memcpy(exact, file->bytes + scan->want_offset, size);
    error = raft_wal_scan_feed(scan, (struct raft_slice){exact, size});
    free(exact);
  }
  if (error == RAFT_OK) EQ(scan->phase, RAFT_WAL_BETWEEN); /* done with it */
  return error;
}

int wal_files_scan(const struct wal_files *f, struct raft_wal_scan *scan,
                   const struct raft_wal_options *options) {
  int error = RAFT_OK;
  size_t last = 0;
  raft_wal_scan_init(scan, options);
  for (size_t i = 0; i < f->count; i++)
    if (f->files[i].size > 0) last = i;
  for (size_t i = 0; i < f->count && error == RAFT_OK; i++) {
    if (f->files[i].size == 0) continue;
    error = scan_file(scan, &f->files[i], i == last);
  }
  return error;
}
