/* wal_writer_test.c - what the writer takes: entries that may come next, and
 * batches that there is room for. Its bytes are in wal_test.c, what becomes of
 * them in wal_scan_test.c. */
#include "wal_writer.h"

#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "test.h"
#include "wal_files.h"

static struct wal_files files;

static void open_files(unsigned sectors) {
  wal_files_init(&files);
  (void)wal_files_segment(&files, sectors);
}

static void a_batch_fits_to_the_last_sector(void) {
  open_files(4); /* three for batches */
  const struct raft_wal_writer *w = &files.now.writer;
  uint64_t most = 3 * RAFT_WAL_SECTOR - 96;
  CHECK(raft_wal_writer_fits(w, most, 0));
  CHECK(!raft_wal_writer_fits(w, most + 1, 0));
  CHECK(!raft_wal_writer_fits(w, most, 1));
  CHECK(raft_wal_writer_fits(w, 10, 2 * RAFT_WAL_SECTOR));
  CHECK(!raft_wal_writer_fits(w, 10, 2 * RAFT_WAL_SECTOR + 1));
  CHECK(!raft_wal_writer_fits(w, (uint64_t)RAFT_WAL_BODY_MAX + 1, 0));
  wal_files_add(&files, 1, 1, 1);
  most -= RAFT_WAL_SECTOR;
  CHECK(raft_wal_writer_fits(w, most, 0));
  CHECK(!raft_wal_writer_fits(w, most + 1, 0));
  wal_files_free(&files);
}

static void the_largest_body_fits_where_there_is_room(void) {
  const struct raft_wal_writer w = {
      .segment = {.size = UINT64_C(1) << 40, .number = 1},
      .offset = RAFT_WAL_SECTOR,
  };
  CHECK(raft_wal_writer_fits(&w, RAFT_WAL_BODY_MAX, 0));
  CHECK(!raft_wal_writer_fits(&w, (uint64_t)RAFT_WAL_BODY_MAX + 1, 0));
}

/* The number of the segment that a writer opens after a recovery. */
static uint64_t next_segment(uint64_t first) {
  uint8_t head[RAFT_WAL_SECTOR];
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_wal_writer w;
  options.first = first;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  raft_wal_writer_init(&w, &scan);
  raft_wal_writer_open(&w, 1, 2 * RAFT_WAL_SECTOR, head);
  raft_wal_scan_free(&scan);
  return w.segment.number;
}

static void segments_go_on_counting_after_a_restart(void) {
  wal_files_init(&files);
  EQ(next_segment(1), 1); /* an empty directory */
  EQ(next_segment(7), 7); /* older ones were purged */
  for (uint64_t n = 1; n <= 3; n++) {
    (void)wal_files_segment(&files, 3);
    EQ(next_segment(1), n + 1);
  }
  wal_files_free(&files);
}

/* The answer to an exact copy, so that no byte more is read; up to where. */
static bool accepts(const uint8_t *bytes, size_t size, raft_index *last) {
  uint8_t *exact = malloc(size + 1);
  CHECK(exact != NULL);
  if (exact == NULL) return false;
  if (size > 0) memcpy(exact, bytes, size);
  bool is_taken =
      raft_wal_writer_accepts((struct raft_slice){exact, size}, last);
  free(exact);
  return is_taken;
}

static void entries_must_follow_one_another(void) {
  uint8_t bytes[400];
  size_t size = wal_entries(5, 7, 2, 10, bytes);
  raft_index last = 4;
  CHECK(accepts(bytes, size, &last));
  EQ(last, 7);
  CHECK(accepts(bytes, size, &last)); /* over others */
  EQ(last, 7);
  last = 3;
  CHECK(!accepts(bytes, size, &last)); /* 4 is missing */
  last = 4;
  size = wal_entries(5, 5, 2, 10, bytes);
  size += wal_entries(7, 7, 2, 10, bytes + size);
  CHECK(!accepts(bytes, size, &last)); /* 6 is */
  last = 9;
  CHECK(accepts(bytes, 0, &last)); /* none need not */
  EQ(last, 9);
}

static void half_an_entry_is_refused(void) {
  uint8_t bytes[400];
  size_t size = wal_entries(1, 2, 1, 10, bytes);
  for (size_t cut = 1; cut < size; cut++) {
    raft_index last = 0;
    EQ(accepts(bytes, cut, &last), cut == size / 2);
  }
  bytes[20] ^= 1; /* in the head of the first */
  raft_index last = 0;
  CHECK(!accepts(bytes, size, &last));
}

int main(void) {
  CASE(a_batch_fits_to_the_last_sector);
  CASE(the_largest_body_fits_where_there_is_room);
  CASE(segments_go_on_counting_after_a_restart);
  CASE(entries_must_follow_one_another);
  CASE(half_an_entry_is_refused);
  return test_end();
}
