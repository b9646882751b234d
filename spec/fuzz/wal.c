/* wal.c - a log on disk, written as the input says, damaged as it says, read.
 *
 *   input   memory u8; then steps, each a byte and what it wants:
 *           first writes of every kind, then, once, damage of every kind
 *
 * Whatever happened to the files: the scan wants no byte that is not there, and
 * what it takes for the log is one that was written - a beginning of it, whole
 * batches, never less than what one bad sector may cost. With checksums put
 * right over the damage only what it says of itself must hold.
 */
#include "fuzz.h"

#include "bytes.h"
#include "crc32c.h"
#include "entry.h"
#include "test.h"
#include "wal_files.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 40, BATCHES_MAX = 64, SECTOR = RAFT_WAL_SECTOR };
enum { LOG_MAX = 4 * STEPS_MAX }; /* entries */

struct batch { /* what the log was worth once this batch was durable */
  size_t file;
  uint64_t offset;
  uint64_t end; /* behind it */
  uint64_t number;
  raft_term term;
  raft_id vote;
  raft_index last;
  raft_term terms[LOG_MAX + 1]; /* of all entries, by index */
};

struct life {
  struct wal_files files;
  struct batch batches[BATCHES_MAX];
  size_t batch_count;
  raft_term last_term;          /* of the newest entry */
  raft_term terms[LOG_MAX + 1]; /* of all entries, by index */
  unsigned damages;             /* in all */
  unsigned wide;  /* of them, those that one bad sector cannot do */
  bool is_forged; /* are checksums right over damage? */
};

/* ---- writing ------------------------------------------------------------- */

static bool has_room(const struct life *l, size_t size) {
  if (l->files.count == 0 || l->batch_count == BATCHES_MAX) return false;
  return raft_wal_writer_fits(&l->files.now.writer, size, 0);
}

static void put(struct life *l, enum raft_wal_kind kind, const uint8_t *entries,
                size_t size) {
  if (!has_room(l, size)) return;
  uint64_t offset = wal_files_put(&l->files, kind, entries, size);
  struct batch *b = &l->batches[l->batch_count++];
  *b = (struct batch){
      .file = l->files.count - 1,
      .offset = offset,
      .end = l->files.now.writer.offset,
      .number = l->files.now.writer.number,
      .term = l->files.term,
      .vote = l->files.vote,
      .last = l->files.now.writer.last,
  };
  memcpy(b->terms, l->terms, sizeof b->terms);
}

static void write_segment(struct life *l, struct raft_in *in) {
  unsigned sectors = 2 + fuzz_below(in, 14);
  if (l->files.count < WAL_FILES_MAX)
    (void)wal_files_segment(&l->files, sectors); /* found by its place */
}

/* Entries after the newest, or over some that are not committed, in a term not
 * older, and in a later one where they overwrite: as leaders do. */
static void write_entries(struct life *l, struct raft_in *in) {
  static uint8_t bytes[WAL_FILE_BYTES];
  raft_index count = 1 + raft_in_u8(in) % 4;
  raft_index back = raft_in_u8(in) % 4;
  size_t text = raft_in_u8(in) * 8u;
  raft_index last = l->files.now.writer.last;
  if (l->files.count == 0) return;
  if (back > last - l->files.commit) back = 0;
  if (back > last || l->files.term == l->last_term) back = 0;
  raft_index first = last + 1 - back;
  size_t size =
      wal_entries(first, first + count - 1, l->files.term, text, bytes);
  if (!has_room(l, size)) return;
  l->last_term = l->files.term;
  for (raft_index i = first; i < first + count; i++)
    l->terms[i] = l->files.term;
  put(l, RAFT_WAL_DATA, bytes, size);
}

static void write_state(struct life *l, struct raft_in *in) {
  uint8_t what = raft_in_u8(in);
  if (!has_room(l, 0)) return;
  if ((what & 1) != 0) {
    l->files.term++;
    l->files.vote = 0;
  }
  if (l->files.vote == 0 && (what & 2) != 0) l->files.vote = 7;
  if ((what & 4) != 0) l->files.commit = l->files.now.writer.last;
  put(l, RAFT_WAL_DATA, NULL, 0);
}

/* ---- damage -------------------------------------------------------------- */

static struct wal_file *some_file(struct life *l, struct raft_in *in) {
  return &l->files.files[fuzz_below(in, (uint32_t)l->files.count)];
}

static void flip_at(struct life *l, struct wal_file *file, size_t at,
                    uint8_t bits) {
  if (at >= file->size) return;
  file->bytes[at] ^= bits;
  l->damages++;
}

static void flip(struct life *l, struct raft_in *in) {
  struct wal_file *file = some_file(l, in);
  size_t at = fuzz_below(in, WAL_FILE_BYTES);
  flip_at(l, file, at, raft_in_u8(in));
}

/* The same within a batch, mostly its head. */
static void flip_batch(struct life *l, struct raft_in *in) {
  if (l->batch_count == 0) return;
  const struct batch *b = &l->batches[raft_in_u8(in) % l->batch_count];
  uint8_t place = raft_in_u8(in);
  uint64_t at = b->offset + place * (place < 128 ? 1u : 32u);
  if (at >= b->end) at = b->end - 1;
  flip_at(l, &l->files.files[b->file], (size_t)at, raft_in_u8(in));
}

static void wipe(struct life *l, struct raft_in *in) {
  struct wal_file *file = some_file(l, in);
  size_t at = fuzz_below(in, WAL_FILE_BYTES / SECTOR) * (size_t)SECTOR;
  if (at >= file->size) return;
  memset(file->bytes + at, 0, SECTOR);
  l->damages++;
  l->wide++; /* a batch all gone is no flip: it may be the newest */
}

static void misplace(struct life *l, struct raft_in *in) {
  struct wal_file *from = some_file(l, in);
  struct wal_file *to = some_file(l, in);
  size_t a = fuzz_below(in, WAL_FILE_BYTES / SECTOR) * (size_t)SECTOR;
  size_t b = fuzz_below(in, WAL_FILE_BYTES / SECTOR) * (size_t)SECTOR;
  memmove(to->bytes + b, from->bytes + a, SECTOR);
  l->damages++;
  l->wide++;
}

static void cut_off(struct life *l, struct raft_in *in) {
  struct wal_file *file = some_file(l, in);
  size_t size = fuzz_below(in, WAL_FILE_BYTES + 1);
  if (size < file->size) file->size = size;
  l->damages++;
  l->wide++;
}

static void overwrite(struct life *l, struct raft_in *in) {
  struct wal_file *file = some_file(l, in);
  size_t at = fuzz_below(in, WAL_FILE_BYTES - UINT8_MAX);
  size_t size = raft_in_u8(in);
  const uint8_t *data = raft_in_bytes(in, size);
  if (data != NULL) memcpy(file->bytes + at, data, size);
  l->damages++;
  l->wide++;
}

/* Puts the checksums of whatever stands in a sector right. */
static void forge(struct life *l, struct raft_in *in) {
  struct wal_file *file = some_file(l, in);
  size_t at = fuzz_below(in, WAL_FILE_BYTES / SECTOR) * (size_t)SECTOR;
  uint8_t *head = file->bytes + at;
  l->is_forged = true;
  if (at == 0) {
    raft_put_u32(head + 8, raft_crc32c(0, head + 12, SECTOR - 12));
    return;
  }
  size_t size = raft_get_u32(head + 80);
  if (size <= WAL_FILE_BYTES - at - RAFT_WAL_BATCH_BYTES)
    raft_put_u32(head + 8, raft_crc32c(0, head + RAFT_WAL_BATCH_BYTES, size));
  raft_put_u32(head + 4, raft_crc32c(0, head + 8, RAFT_WAL_BATCH_BYTES - 8));
}

/* ---- one life ------------------------------------------------------------ */

static void write_some(struct life *l, struct raft_in *in) {
  write_segment(l, in);
  for (int i = 0; i < STEPS_MAX && raft_in_left(in) > 0; i++) {
    switch (raft_in_u8(in) % 6) {
    case 0: write_segment(l, in); break;
    case 1:
    case 2: write_entries(l, in); break;
    case 3: write_state(l, in); break;
    case 4: put(l, RAFT_WAL_MARK, NULL, 0); break;
    default: return; /* from here on: damage */
    }
  }
}

static void damage_some(struct life *l, struct raft_in *in) {
  for (int i = 0; i < STEPS_MAX && raft_in_left(in) > 0; i++) {
    switch (raft_in_u8(in) % 8) {
    case 0: flip(l, in); break;
    case 6:
    case 7: flip_batch(l, in); break;
    case 1: wipe(l, in); break;
    case 2: misplace(l, in); break;
    case 3: cut_off(l, in); break;
    case 4: overwrite(l, in); break;
    case 5: forge(l, in); break;
    }
  }
}

/* ---- what must hold ------------------------------------------------------ */

/* Entries from `next` on; the index behind them. */
static raft_index check_piece(const struct raft_recovery *r,
                              struct raft_slice piece, raft_index next) {
  struct raft_entry e;
  for (size_t at = 0; at < piece.size; at += raft_entry_bytes(&e)) {
    int error = raft_entry_decode(piece.data + at, piece.size - at, &e);
    DEMAND(error == RAFT_OK);
    DEMAND(e.index == next);
    DEMAND(e.term <= r->term);
    next++;
  }
  return next;
}

/* The entries in memory are whole, in order, and end with the newest one. */
static void check_recovery(const struct raft_recovery *r) {
  raft_index next = check_piece(r, r->tail, r->tail_first);
  next = check_piece(r, r->tail_rest, next);
  DEMAND(next == r->last + 1);
  DEMAND((r->run_count > 0) == (r->last > 0));
  for (size_t i = 1; i < r->run_count; i++) {
    DEMAND(r->runs[i].first > r->runs[i - 1].first);
    DEMAND(r->runs[i].term > r->runs[i - 1].term);
  }
  DEMAND(r->config_before.index <= r->config.index);
  DEMAND(r->config.index <= r->last);
}

/* Every entry is found where the map says that it lies. */
static void check_map(const struct life *l, const struct raft_wal_scan *scan) {
  static uint8_t out[WAL_FILE_BYTES];
  struct raft_wal_spot spot;
  raft_index last;
  DEMAND(scan->map.last == scan->state.last);
  DEMAND(!raft_wal_map_find(&scan->map, scan->state.last + 1, &spot, &last));
  for (raft_index i = 1; i <= scan->state.last; i++) {
    bool is_found = raft_wal_map_find(&scan->map, i, &spot, &last);
    DEMAND(is_found);
    const struct wal_file *file = &l->files.files[spot.segment - 1];
    DEMAND(spot.offset + spot.size <= file->size);
    uint8_t *data = fuzz_copy(file->bytes + spot.offset, (size_t)spot.size);
    struct raft_wal_cut cut = {.first = i, .last = last, .size_max = 1};
    struct raft_slice all = {data, (size_t)spot.size};
    DEMAND(raft_wal_map_cut(&spot, all, &cut, out) == RAFT_OK);
    DEMAND(cut.last == i); /* one entry is always given, here one only */
    struct raft_entry e;
    DEMAND(raft_entry_decode(out, cut.size, &e) == RAFT_OK);
    DEMAND(e.index == i);
    free(data);
  }
}

/* What was read is what was written, up to some batch; behind damage that was
 * stepped over the beginning of it, and how far it went. */
static void check_batch(const struct batch *b,
                        const struct raft_wal_scan *scan) {
  const struct raft_wal_state *s = &scan->state;
  struct raft_recovery found;
  raft_wal_state_result(s, &found);
  DEMAND(b->number == scan->number);
  DEMAND(b->term == s->term);
  DEMAND(b->vote == s->vote);
  DEMAND(s->last <= b->last);
  for (size_t i = 0; i < found.run_count; i++) {
    raft_index end =
        i + 1 < found.run_count ? found.runs[i + 1].first : s->last + 1;
    for (raft_index k = found.runs[i].first; k < end; k++)
      DEMAND(b->terms[k] == found.runs[i].term);
  }
  if (scan->damage.why == NULL) DEMAND(s->last == b->last);
  DEMAND(found.lost_last == (s->last < b->last ? b->last : 0));
  DEMAND(found.lost_term == (s->last < b->last ? b->terms[b->last] : 0));
}

static void check_history(const struct life *l,
                          const struct raft_wal_scan *scan) {
  size_t kept = 0; /* batches */
  while (kept < l->batch_count && l->batches[kept].number <= scan->number)
    kept++;
  if (kept == 0) {
    DEMAND(scan->number == 0);
    DEMAND(scan->state.last == 0);
    DEMAND(scan->state.term == 0);
  } else {
    check_batch(&l->batches[kept - 1], scan);
  }
  if (l->damages == 0) DEMAND(kept == l->batch_count);
  if (l->damages == 1 && l->wide == 0) DEMAND(kept + 1 >= l->batch_count);
}

/* Feeds exactly the bytes that are wanted: no byte more is there. */
static int scan_file(struct raft_wal_scan *scan, const struct wal_file *file,
                     bool is_last) {
  struct raft_wal_file found = {file->number, file->size, is_last};
  size_t size = file->size < SECTOR ? file->size : SECTOR;
  uint8_t *data = fuzz_copy(file->bytes, size);
  int error = raft_wal_scan_open(scan, &found, (struct raft_slice){data, size});
  free(data);
  while (error == RAFT_OK && scan->want_size > 0) {
    DEMAND(scan->want_offset <= file->size);
    DEMAND(scan->want_size <= file->size - scan->want_offset);
    size = (size_t)scan->want_size;
    data = fuzz_copy(file->bytes + scan->want_offset, size);
    error = raft_wal_scan_feed(scan, (struct raft_slice){data, size});
    free(data);
  }
  return error;
}

static int scan_files(const struct life *l, struct raft_wal_scan *scan) {
  int error = RAFT_OK;
  size_t last = 0;
  for (size_t i = 0; i < l->files.count; i++)
    if (l->files.files[i].size > 0) last = i;
  for (size_t i = 0; i <= last && error == RAFT_OK; i++)
    if (l->files.files[i].size > 0)
      error = scan_file(scan, &l->files.files[i], i == last);
  return error;
}

static void check(const struct life *l, struct raft_wal_options options) {
  struct raft_wal_scan scan;
  raft_wal_scan_init(&scan, &options);
  int error = scan_files(l, &scan);
  if (l->damages == 0 && !l->is_forged) DEMAND(error == RAFT_OK);
  if (error != RAFT_OK) {
    DEMAND(error == RAFT_E_CORRUPT || error == RAFT_E_VERSION);
    DEMAND(scan.fault.why != NULL);
    DEMAND(scan.fault.segment >= 1);
    DEMAND(scan.fault.offset <= WAL_FILE_BYTES);
  } else if (scan.segment.number > 0) {
    struct raft_recovery found;
    DEMAND(scan.phase == RAFT_WAL_BETWEEN);
    DEMAND(scan.end <= scan.segment.size);
    DEMAND(scan.torn_end <= scan.segment.size);
    raft_wal_state_result(&scan.state, &found);
    check_recovery(&found);
    check_map(l, &scan);
    if (!l->is_forged) check_history(l, &scan);
  }
  raft_wal_scan_free(&scan);
}

void fuzz_wal(const uint8_t *data, size_t size) {
  static struct life life; /* large */
  struct raft_in in = {.at = data, .end = data + size};
  struct raft_wal_options options = wal_files_options();
  wal_files_init(&life.files); /* all zero */
  life.batch_count = 0;
  life.last_term = 0;
  life.damages = life.wide = 0;
  life.is_forged = false;
  options.memory_bytes = raft_in_u8(&in) * 16u;
  write_some(&life, &in);
  damage_some(&life, &in);
  check(&life, options);
  wal_files_free(&life.files);
  fuzz_demand_support();
}
