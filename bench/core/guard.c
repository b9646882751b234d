/* What `make bench-guard` counts the instructions of (bench/guard.lua):
 *
 *   guard wire|wal|election TIMES
 *
 * Each does the same TIMES over, so that the difference of a long run and a
 * short one is what it costs, without the start. */
#include "world.h"

#include "entry.h"
#include "wal_scan.h"
#include "wal_writer.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  COMMAND_BYTES = 128,
  BATCH = 64, /* entries in one append, and in one batch of the log on disk */
  SEGMENT_BYTES = 1 << 20,
  SEGMENT_BATCHES = 64 /* fit into a segment */
};

static uint8_t entries[BATCH * (RAFT_ENTRY_HEADER_BYTES + COMMAND_BYTES)];

static void encode_entries(raft_index first) {
  static const uint8_t command[COMMAND_BYTES];
  size_t at = 0;
  for (raft_index i = 0; i < BATCH; i++) {
    struct raft_entry e = {.index = first + i,
                           .term = 1,
                           .kind = RAFT_ENTRY_COMMAND,
                           .size = COMMAND_BYTES,
                           .payload = command};
    at += raft_entry_encode(&e, entries + at);
  }
}

/* ---- wire ---------------------------------------------------------------- */

/* One frame there and back; the tail is not looked at. */
static void travel(const struct raft_message *m) {
  static uint8_t frame[RAFT_FRAME_FIXED_MAX + sizeof entries];
  struct raft_message out;
  size_t head = raft_wire_encode(m, frame);
  int rc = raft_wire_decode(frame, head + m->tail.size, &out);
  if (rc != RAFT_OK) world_give_up("wire", rc);
}

/* An append of entries, and its answer. */
static void wire(void) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 7};
  m.append.prev_index = 1000;
  m.append.prev_term = 7;
  m.append.commit = 990;
  m.append.count = BATCH;
  m.tail = (struct raft_slice){entries, sizeof entries};
  travel(&m);
  struct raft_message reply = {.kind = RAFT_MSG_APPEND_REPLY, .term = 7};
  reply.append_reply.accepted = true;
  reply.append_reply.index = 1000 + BATCH;
  reply.append_reply.wall = 1234567;
  travel(&reply);
}

/* ---- the log on disk ----------------------------------------------------- */

static uint64_t write_segment(uint8_t *file) {
  struct raft_wal_writer w = {.starts = 1};
  raft_wal_writer_open(&w, 1, SEGMENT_BYTES, file);
  for (raft_index i = 0; i < SEGMENT_BATCHES; i++) {
    encode_entries(i * BATCH + 1);
    const struct raft_slice slice = {entries, sizeof entries};
    struct raft_wal_batch b = {.term = 1, .kind = RAFT_WAL_DATA};
    raft_index last = w.last;
    if (!raft_wal_writer_fits(&w, slice.size, 0) ||
        !raft_wal_writer_accepts(slice, &last))
      world_give_up("a batch does not fit", RAFT_E_USAGE);
    raft_wal_writer_put(&w, &b, &slice, 1, file + w.offset);
  }
  return w.last;
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size > 0) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

static raft_index scan_segment(const uint8_t *file) {
  struct raft_wal_options options = {
      .first = 1, .starts = 1, .memory_bytes = 32 << 20, .alloc = allocate};
  struct raft_wal_scan scan;
  const struct raft_wal_file found = {
      .number = 1, .size = SEGMENT_BYTES, .is_last = true};
  raft_wal_scan_init(&scan, &options);
  int rc = raft_wal_scan_open(&scan, &found,
                              (struct raft_slice){file, RAFT_WAL_SECTOR});
  while (rc == RAFT_OK && scan.want_size > 0)
    rc = raft_wal_scan_feed(
        &scan, (struct raft_slice){file + scan.want_offset, scan.want_size});
  if (rc != RAFT_OK) world_give_up("a scan", rc);
  raft_index last = scan.state.last;
  raft_wal_scan_free(&scan);
  return last;
}

/* A segment of batches, written and read again. */
static void wal(void) {
  static uint8_t file[SEGMENT_BYTES];
  memset(file, 0, sizeof file);
  uint64_t last = write_segment(file);
  if (scan_segment(file) != last) world_give_up("an end", RAFT_E_CORRUPT);
}

/* ---- an election --------------------------------------------------------- */

/* Three replicas from their birth until one of them leads. */
static void election(void) {
  (void)world_form();
  world_end();
}

int main(int argc, char **argv) {
  static const struct scenario {
    const char *name;
    void (*once)(void);
  } scenarios[] = {{"wire", wire}, {"wal", wal}, {"election", election}};
  encode_entries(1);
  for (size_t i = 0; argc == 3 && i < sizeof scenarios / sizeof *scenarios;
       i++) {
    if (strcmp(scenarios[i].name, argv[1]) != 0) continue;
    for (uint64_t n = strtoull(argv[2], NULL, 10); n > 0; n--)
      scenarios[i].once();
    return 0;
  }
  fprintf(stderr, "usage: guard wire|wal|election TIMES\n");
  return 2;
}
