/* log_load.c - what the disk gives back: the log at a start, older entries
 * later. Bytes from the disk are verified here and never reach an assert.
 */
#include "log_inner.h"

#include <assert.h>
#include <string.h>

/* ---- recovery ------------------------------------------------------------ */

/* Do the runs describe (base, last] and nothing else? */
static bool are_runs_sound(const struct raft_recovery *rec) {
  assert(rec->runs != NULL || rec->run_count == 0);
  raft_index first = rec->base_index;
  raft_term term = rec->base_term;
  if ((rec->run_count == 0) != (rec->last == rec->base_index)) return false;
  for (size_t i = 0; i < rec->run_count; i++) {
    const struct raft_run *run = &rec->runs[i];
    if (run->first <= first || run->first > rec->last) return false;
    if (run->term == 0 || run->term < term) return false;
    if (i > 0 && run->term == term) return false;
    first = run->first;
    term = run->term;
  }
  return rec->run_count == 0 || rec->runs[0].first == rec->base_index + 1;
}

static bool are_marks_sound(const struct raft_recovery *rec) {
  assert(rec->tail.data != NULL || rec->tail.size == 0);
  assert(rec->tail_rest.data != NULL || rec->tail_rest.size == 0);
  if ((rec->base_index == 0) != (rec->base_term == 0)) return false;
  if (rec->last < rec->base_index || rec->last >= UINT64_MAX) return false;
  if (rec->tail.size == 0) { /* an empty directory says 0 */
    if (rec->tail_rest.size > 0) return false;
    return rec->tail_first == 0 || rec->tail_first == rec->last + 1;
  }
  return rec->tail_first > rec->base_index && rec->tail_first <= rec->last;
}

/* The next entry of loaded bytes, verified with its place: index and term. */
static int take_entry(const struct raft_log *log, struct raft_slice *bytes,
                      raft_index index, struct raft_entry *e) {
  if (raft_entry_decode(bytes->data, bytes->size, e) != RAFT_OK)
    return RAFT_E_CORRUPT;
  if (e->index != index) return RAFT_E_CORRUPT;
  if (e->term != raft_log_term(log, index)) /* past last there is none */
    return RAFT_E_CORRUPT;
  size_t taken = raft_entry_bytes(e);
  assert(taken <= bytes->size);
  *bytes = (struct raft_slice){bytes->data + taken, bytes->size - taken};
  return RAFT_OK;
}

static int recover_runs(struct raft_log *log, const struct raft_recovery *rec) {
  assert(log->run_count == 0);
  if (!are_marks_sound(rec)) return RAFT_E_CORRUPT;
  if (!are_runs_sound(rec)) return RAFT_E_CORRUPT;
  if (raft_runs_reserve(log, rec->run_count) != RAFT_OK) return RAFT_E_NOMEM;
  if (rec->run_count > 0)
    memcpy(log->runs, rec->runs, rec->run_count * sizeof *log->runs);
  log->run_count = (uint32_t)rec->run_count; /* reserve bounds it */
  log->base_index = rec->base_index;
  log->base_term = rec->base_term;
  log->last = rec->last;
  log->stored = rec->last;
  log->handed = rec->last;
  log->memory_first = rec->last + 1;
  assert(raft_runs_check(log) == NULL);
  return RAFT_OK;
}

/* Verifies entries of the tail, from *index on; that goes on behind them. */
static bool is_piece_sound(const struct raft_log *log, struct raft_slice piece,
                           raft_index *index) {
  for (; piece.size > 0; ++*index) {
    struct raft_entry e;
    if (take_entry(log, &piece, *index, &e) != RAFT_OK) return false;
  }
  return true;
}

/* Does the tail hold [tail_first, last], and nothing else? */
static bool is_tail_sound(const struct raft_log *log,
                          const struct raft_recovery *rec) {
  raft_index index = rec->tail_first;
  assert(log->last == rec->last); /* its runs are known */
  assert(rec->tail.size > 0);
  if (!is_piece_sound(log, rec->tail, &index)) return false;
  if (!is_piece_sound(log, rec->tail_rest, &index)) return false;
  return index == rec->last + 1;
}

/* Copies a sound piece, block by block so that it can leave block by block. */
static int recover_piece(struct raft_log *log, struct raft_slice piece) {
  const uint8_t *end = piece.size > 0 ? piece.data + piece.size : piece.data;
  for (const uint8_t *data = piece.data; data != end; log->last++) {
    struct raft_entry e;
    raft_entry_view(data, &e);
    size_t bytes = raft_entry_bytes(&e);
    if (raft_memory_reserve(log, bytes, 1) != RAFT_OK) return RAFT_E_NOMEM;
    memcpy(raft_memory_place(log, e.index, bytes), data, bytes);
    data += bytes;
  }
  return RAFT_OK;
}

static int recover_tail(struct raft_log *log, const struct raft_recovery *rec) {
  assert(log->block_count == 0);
  assert(rec->tail_first > log->base_index);
  log->memory_first = rec->tail_first;
  log->last = rec->tail_first - 1;
  int error = recover_piece(log, rec->tail);
  if (error == RAFT_OK) error = recover_piece(log, rec->tail_rest);
  assert(error != RAFT_OK || log->last == rec->last);
  return error;
}

int raft_log_recover(struct raft_log *log, const struct raft_recovery *rec) {
  assert(log->last == 0);
  assert(log->seq_handed == 0);
  int error = recover_runs(log, rec);
  if (error == RAFT_OK && rec->tail.size > 0) {
    bool is_sound = is_tail_sound(log, rec);
    error = is_sound ? recover_tail(log, rec) : RAFT_E_CORRUPT;
  }
  if (error != RAFT_OK) raft_log_free(log);
  assert(log->stored == log->last);
  return error;
}

/* ---- the window ---------------------------------------------------------- */

/* How many entries are there, all in their place? Negative: RAFT_E_CORRUPT. */
static int64_t count_entries(const struct raft_log *log, raft_index first,
                             struct raft_slice bytes) {
  assert(log->base_index <= log->last);
  int64_t count = 0;
  if (first <= log->base_index) return RAFT_E_CORRUPT;
  while (bytes.size > 0) {
    struct raft_entry e;
    raft_index index = first + (raft_index)count;
    if (take_entry(log, &bytes, index, &e) != RAFT_OK) return RAFT_E_CORRUPT;
    count++;
  }
  return count > 0 ? count : RAFT_E_CORRUPT; /* a load brings one at least */
}

static void fill(struct raft_block *b, const uint8_t *data, int64_t count) {
  assert(count > 0);
  assert(b->count == 0);
  for (int64_t i = 0; i < count; i++) {
    struct raft_entry e;
    raft_entry_view(data, &e);
    assert(e.index == raft_block_until(b));
    memcpy(raft_block_grow(b, raft_entry_bytes(&e)), data,
           raft_entry_bytes(&e));
    data += raft_entry_bytes(&e);
  }
  assert(b->count == count);
}

int raft_log_window(struct raft_log *log, raft_index first, const uint8_t *data,
                    size_t size, raft_index *last) {
  assert(last != NULL);
  int64_t count = count_entries(log, first, (struct raft_slice){data, size});
  if (count < 0) return RAFT_E_CORRUPT;
  /* count entries take 40 bytes each at least, so the sum cannot wrap */
  size_t capacity = size + RAFT_BLOCK_ENTRY_BYTES * (size_t)count;
  struct raft_block *b = raft_memory_block(log, capacity, first);
  if (b == NULL) return RAFT_E_NOMEM;
  fill(b, data, count);
  raft_log_window_drop(log);
  log->window = b;
  *last = raft_block_until(b) - 1;
  assert(*last <= log->last);
  return RAFT_OK;
}

void raft_log_window_drop(struct raft_log *log) {
  assert(log->window == NULL || log->window->count > 0);
  raft_memory_bury(log, log->window);
  log->window = NULL;
}
