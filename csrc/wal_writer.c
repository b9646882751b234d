/* wal_writer.c - makes the bytes of the next batch or segment. */
#include "wal_writer.h"

#include "entry.h"

#include <assert.h>

void raft_wal_writer_init(struct raft_wal_writer *w,
                          const struct raft_wal_scan *scan) {
  assert(scan->phase == RAFT_WAL_BETWEEN);
  assert(scan->options.starts < RAFT_WAL_STARTS_MAX);
  *w = (struct raft_wal_writer){
      .segment = scan->segment,
      .offset = scan->end,
      .starts = scan->options.starts + 1,
      .number = scan->number,
      .chain = scan->chain,
      .kind = scan->kind,
      .last = scan->state.last,
      .last_term = scan->state.last_term,
  };
  if (raft_wal_state_has_lost(&scan->state)) {
    w->lost_last = scan->state.head_last;
    w->lost_term = scan->state.head_term;
  }
  if (w->segment.number == 0) /* an empty directory: the oldest comes next */
    w->segment.number = scan->options.first - 1;
  assert(w->offset <= w->segment.size);
}

void raft_wal_writer_open(struct raft_wal_writer *w, uint64_t salt,
                          uint64_t size, uint8_t *out) {
  assert(size >= 2 * RAFT_WAL_SECTOR);
  assert(out != NULL);
  w->segment = (struct raft_wal_segment){
      .size = size,
      .number = w->segment.number + 1,
      .salt = salt,
      .next_index = w->last + 1,
      .last_term = w->last_term,
      .batch = w->number,
      .chain = w->chain,
  };
  w->offset = RAFT_WAL_SECTOR;
  raft_wal_segment_encode(&w->segment, out);
}

bool raft_wal_writer_fits(const struct raft_wal_writer *w, uint64_t entry_bytes,
                          uint64_t reserve) {
  assert(w->offset <= w->segment.size);
  if (entry_bytes > RAFT_WAL_BODY_MAX) return false;
  uint64_t left = w->segment.size - w->offset;
  uint64_t need = raft_wal_batch_bytes(entry_bytes);
  return need <= left && reserve <= left - need;
}

bool raft_wal_writer_accepts(struct raft_slice entries, raft_index *last) {
  struct raft_entry e;
  assert(last != NULL);
  assert(entries.data != NULL || entries.size == 0);
  for (size_t at = 0; at < entries.size; at += raft_entry_bytes(&e)) {
    size_t left = entries.size - at;
    if (raft_entry_decode_header(entries.data + at, left, &e) != RAFT_OK)
      return false;
    if (raft_entry_bytes(&e) > left) return false;
    if (e.index > *last + 1) return false;
    *last = e.index;
  }
  return true;
}

/* Is the log as new again as it was before the damage? */
static void forget_lost(struct raft_wal_writer *w) {
  assert((w->lost_last == 0) == (w->lost_term == 0));
  bool is_short = w->lost_term > w->last_term ||
                  (w->lost_term == w->last_term && w->lost_last > w->last);
  if (is_short) return;
  w->lost_last = 0;
  w->lost_term = 0;
}

/* Moves on to the newest of the entries. */
static void note_entries(struct raft_wal_writer *w, struct raft_slice entries) {
  struct raft_entry e;
  assert(entries.data != NULL || entries.size == 0);
  for (size_t at = 0; at < entries.size; at += raft_entry_bytes(&e)) {
    raft_entry_view(entries.data + at, &e);
    assert(e.index <= w->last + 1);
    w->last = e.index;
    w->last_term = e.term;
    forget_lost(w);
  }
}

void raft_wal_writer_put(struct raft_wal_writer *w, struct raft_wal_batch *b,
                         const struct raft_slice *entries, size_t count,
                         uint8_t *out) {
  assert(w->segment.number >= 1);
  if (b->mark.is_reset) {
    w->last = b->mark.index;
    w->last_term = b->mark.term;
    forget_lost(w);
  }
  for (size_t i = 0; i < count; i++)
    note_entries(w, entries[i]);
  b->salt = w->segment.salt;
  b->offset = w->offset;
  b->number = raft_wal_number(w->starts, w->count + 1);
  b->chain = w->chain;
  bool is_short = w->lost_last != 0;
  b->last = is_short ? w->lost_last : w->last;
  b->last_term = is_short ? w->lost_term : w->last_term;
  b->flags = is_short ? RAFT_WAL_REPAIRING : 0;
  assert(raft_wal_follows(b->number, w->number));
  raft_wal_batch_encode(b, entries, count, out);
  w->count++;
  w->number = b->number;
  w->chain = b->crc;
  w->kind = b->kind;
  w->offset += raft_wal_align((uint64_t)RAFT_WAL_BATCH_BYTES + b->size);
  assert(w->offset <= w->segment.size);
}
