/* wal_map_test.c - finding entries in the files of a log, and reading them
 * back: spots that cover several batches, and batches with several spots. */
#include "wal_map.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "crc32c.h"
#include "entry.h"
#include "test.h"
#include "wal_files.h"

#define SECTOR RAFT_WAL_SECTOR

static struct wal_files files;
static uint8_t all[WAL_FILE_BYTES]; /* entries as they were written, in order */
static size_t ends[512];            /* where entry i ends in it, by index */

static void open_files(void) {
  wal_files_init(&files);
  (void)wal_files_segment(&files, 16);
  ends[0] = 0;
}

static void put(raft_index first, raft_index last, size_t text) {
  size_t from = ends[first - 1];
  for (raft_index i = first; i <= last; i++)
    ends[i] = ends[i - 1] + wal_entries(i, i, 1, text, all + ends[i - 1]);
  (void)wal_files_put(&files, RAFT_WAL_DATA, all + from, ends[last] - from);
}

/* What the map says of an index: the first entry of its spot. */
static raft_index spot_of(raft_index index, struct raft_wal_spot *spot,
                          raft_index *last) {
  bool is_found = raft_wal_map_find(&files.now.map, index, spot, last);
  CHECK(is_found);
  return is_found ? spot->first : 0;
}

/* Reads from `first` on, no more than `size_max`; up to which entry. */
static raft_index read_back(raft_index first, raft_index last,
                            size_t size_max) {
  static uint8_t out[WAL_FILE_BYTES];
  struct raft_wal_spot spot = {0};
  struct raft_wal_cut cut = {.first = first, .size_max = size_max};
  raft_index spot_last = 0;
  if (spot_of(first, &spot, &spot_last) == 0) return 0;
  cut.last = last < spot_last ? last : spot_last;
  struct raft_slice data = {files.files[0].bytes + spot.offset,
                            (size_t)spot.size};
  EQ(raft_wal_map_cut(&spot, data, &cut, out), RAFT_OK);
  EQ(cut.size, ends[cut.last] - ends[first - 1]);
  EQ_BYTES(out, all + ends[first - 1], cut.size);
  return cut.last;
}

/* Batches of a sector each: the fourth is three sectors from the first. */
static void a_spot_covers_several_batches(void) {
  struct raft_wal_spot spot;
  raft_index last;
  open_files();
  for (raft_index i = 1; i <= 9; i += 2)
    put(i, i + 1, 10);
  EQ(files.now.map.count, 2);
  EQ(spot_of(6, &spot, &last), 1);
  EQ(last, 6);
  EQ(spot_of(7, &spot, &last), 7);
  EQ(last, 10);
  for (raft_index i = 1; i <= 6; i++)
    EQ(read_back(i, 10, SIZE_MAX), 6);
  for (raft_index i = 7; i <= 10; i++)
    EQ(read_back(i, 10, SIZE_MAX), 10);
  EQ(read_back(2, 5, SIZE_MAX), 5);
  wal_files_free(&files);
}

static void what_has_no_entries_is_stepped_over(void) {
  open_files();
  put(1, 2, 10);
  (void)wal_files_put(&files, RAFT_WAL_MARK, NULL, 0);
  put(3, 4, 10);
  EQ(files.now.map.count, 1);
  EQ(read_back(1, 4, SIZE_MAX), 4);
  EQ(read_back(3, 4, SIZE_MAX), 4);
  wal_files_free(&files);
}

static void a_large_batch_has_several_spots(void) {
  struct raft_wal_spot spot;
  raft_index last;
  open_files();
  put(1, 300, 100);
  put(301, 302, 10);
  CHECK(files.now.map.count >= 4);
  for (raft_index i = 1; i <= 302; i = last + 1) {
    EQ(spot_of(i, &spot, &last), i);
    CHECK(spot.size < RAFT_WAL_SPOT_BYTES + SECTOR + 200);
    EQ(read_back(i, 302, SIZE_MAX), last);
    EQ(read_back(last, 302, SIZE_MAX), last);
  }
  wal_files_free(&files);
}

/* As much as may be, and one entry in any case. */
static void no_more_is_read_than_was_asked(void) {
  open_files();
  put(1, 3, 10);
  put(4, 6, 10);
  size_t one = ends[1];
  EQ(read_back(1, 6, 1), 1);
  EQ(read_back(1, 6, 2 * one - 1), 1);
  EQ(read_back(1, 6, 2 * one), 2);
  EQ(read_back(1, 6, 4 * one), 4);
  EQ(read_back(1, 6, 5 * one - 1), 4);
  EQ(read_back(2, 6, 5 * one), 6);
  wal_files_free(&files);
}

/* [Raft 5.3] what was overwritten is found no more. */
static void only_the_newest_is_found(void) {
  struct raft_wal_spot spot;
  raft_index last;
  open_files();
  put(1, 6, 10);
  put(4, 5, 20);
  EQ(files.now.map.last, 5);
  CHECK(!raft_wal_map_find(&files.now.map, 6, &spot, &last));
  CHECK(!raft_wal_map_find(&files.now.map, 0, &spot, &last));
  EQ(spot_of(3, &spot, &last), 1);
  EQ(last, 3);
  EQ(spot_of(5, &spot, &last), 4);
  EQ(read_back(1, 5, SIZE_MAX), 3);
  EQ(read_back(4, 5, SIZE_MAX), 5);
  wal_files_free(&files);
}

/* Every second entry overwrites the one before it, and starts a spot. */
static void a_batch_may_overwrite_itself_all_along(void) {
  struct raft_wal_spot spot;
  raft_index last;
  size_t size = 0;
  open_files();
  for (raft_index i = 1; i <= 60; i++) {
    size += wal_entries(i, i, 1, 10, all + size);
    size += wal_entries(i, i, 1, 10, all + size);
  }
  (void)wal_files_put(&files, RAFT_WAL_DATA, all, size);
  EQ(files.now.map.count, 60);
  for (raft_index i = 1; i <= 60; i++) {
    EQ(spot_of(i, &spot, &last), i);
    EQ(last, i);
  }
  wal_files_free(&files);
}

/* A spot that is not as the file has it. */
static int read_with(const struct raft_wal_spot *spot) {
  static uint8_t out[WAL_FILE_BYTES];
  struct raft_wal_cut cut = {
      .first = spot->first, .last = spot->first, .size_max = SIZE_MAX};
  struct raft_slice data = {files.files[0].bytes + spot->offset,
                            (size_t)spot->size};
  return raft_wal_map_cut(spot, data, &cut, out);
}

static void what_is_not_where_it_should_be_is_refused(void) {
  struct raft_wal_spot good;
  raft_index last;
  open_files();
  put(1, 2, 10);
  put(3, 4, 10);
  EQ(spot_of(1, &good, &last), 1);
  EQ(read_with(&good), RAFT_OK);
  struct raft_wal_spot spot = good;
  spot.first = 2; /* another entry is there */
  EQ(read_with(&spot), RAFT_E_CORRUPT);
  spot = good;
  spot.rest = (uint32_t)ends[1] - 1; /* the batch ends within it */
  EQ(read_with(&spot), RAFT_E_CORRUPT);
  spot = good;
  spot.size = ends[1] - 1; /* the file does */
  EQ(read_with(&spot), RAFT_E_CORRUPT);
  spot = good;
  spot.rest = 0; /* then a batch should start here */
  EQ(read_with(&spot), RAFT_E_CORRUPT);
  wal_files_free(&files);
}

/* Entry 3 stands in the second batch; a file that ends before it has none. */
static void a_file_that_ends_early_is_refused_at_every_length(void) {
  struct raft_wal_spot spot;
  raft_index last;
  uint8_t out[2 * SECTOR];
  open_files();
  put(1, 2, 10);
  put(3, 3, 10);
  EQ(spot_of(3, &spot, &last), 1);
  for (size_t size = 0; size <= spot.size; size++) {
    struct raft_wal_cut cut = {.first = 3, .last = 3, .size_max = SIZE_MAX};
    uint8_t *exact = malloc(size + 1); /* so that no byte more is read */
    CHECK(exact != NULL);
    if (exact == NULL) return;
    memcpy(exact, files.files[0].bytes + spot.offset, size);
    int rc =
        raft_wal_map_cut(&spot, (struct raft_slice){exact, size}, &cut, out);
    EQ(rc, size < spot.size ? RAFT_E_CORRUPT : RAFT_OK);
    free(exact);
  }
  wal_files_free(&files);
}

/* Another size in the head of the second batch, sealed. */
static int read_after(uint32_t size) {
  open_files();
  put(1, 2, 10);
  put(3, 3, 10);
  uint8_t *head = files.files[0].bytes + 2 * SECTOR;
  raft_put_u32(head + 80, size);
  raft_put_u32(head + 4, raft_crc32c(0, head + 8, RAFT_WAL_BATCH_BYTES - 8));
  struct raft_wal_spot spot;
  raft_index last;
  uint8_t out[2 * SECTOR];
  struct raft_wal_cut cut = {.first = 3, .last = 3, .size_max = SIZE_MAX};
  EQ(spot_of(3, &spot, &last), 1);
  struct raft_slice data = {files.files[0].bytes + spot.offset,
                            (size_t)spot.size};
  int rc = raft_wal_map_cut(&spot, data, &cut, out);
  wal_files_free(&files);
  return rc;
}

static void a_batch_too_small_for_an_entry_is_refused(void) {
  uint32_t size = (uint32_t)(8 + RAFT_ENTRY_HEADER_BYTES + 10);
  EQ(read_after(size), RAFT_OK);
  EQ(read_after(size - 1), RAFT_E_CORRUPT);
  EQ(read_after(9), RAFT_E_CORRUPT);
  EQ(read_after(8), RAFT_E_CORRUPT);
  EQ(read_after(1), RAFT_E_CORRUPT);
}

int main(void) {
  CASE(a_spot_covers_several_batches);
  CASE(what_has_no_entries_is_stepped_over);
  CASE(a_large_batch_has_several_spots);
  CASE(no_more_is_read_than_was_asked);
  CASE(only_the_newest_is_found);
  CASE(a_batch_may_overwrite_itself_all_along);
  CASE(what_is_not_where_it_should_be_is_refused);
  CASE(a_file_that_ends_early_is_refused_at_every_length);
  CASE(a_batch_too_small_for_an_entry_is_refused);
  return test_end();
}
