/* log_memory.c - the tail of the log that is in memory, in blocks.
 *
 * What must hold: room that was reserved is there whatever is taken away in
 * between, so the newest block never leaves, it is emptied. Bytes that were
 * lent out stay until settle, so blocks that leave go through the graveyard.
 */
#include "log_inner.h"

#include <assert.h>
#include <string.h>

_Static_assert(RAFT_BLOCK_BYTES > sizeof(struct raft_block) + 128,
               "a block holds a small entry at least");

#define BLOCK_CAPACITY ((size_t)RAFT_BLOCK_BYTES - sizeof(struct raft_block))

static size_t allocated(const struct raft_block *b) {
  return sizeof *b + b->capacity;
}

/* ---- single blocks ------------------------------------------------------- */

struct raft_block *raft_memory_block(const struct raft_log *log,
                                     size_t capacity, raft_index first) {
  assert(first > 0);
  if (capacity > UINT32_MAX - sizeof(struct raft_block)) return NULL;
  struct raft_block *b =
      log->alloc(log->alloc_ud, NULL, 0, sizeof(struct raft_block) + capacity);
  if (b == NULL) return NULL;
  raft_block_init(b, (uint32_t)capacity, first);
  assert(allocated(b) == sizeof(struct raft_block) + capacity);
  return b;
}

void raft_memory_release(const struct raft_log *log, struct raft_block *b) {
  assert(log->alloc != NULL);
  if (b != NULL) (void)log->alloc(log->alloc_ud, b, allocated(b), 0);
}

void raft_memory_bury(struct raft_log *log, struct raft_block *b) {
  if (b == NULL) return;
  assert(b != log->graveyard);
  b->next = log->graveyard;
  log->graveyard = b;
}

/* ---- room for appends ---------------------------------------------------- */

/* One more block in the list must not fail later. */
static bool reserve_place(struct raft_log *log) {
  assert(log->block_count <= log->block_capacity);
  if (log->block_count < log->block_capacity) return true;
  uint32_t capacity = log->block_capacity > 0 ? 2 * log->block_capacity : 4;
  struct raft_block **blocks = log->alloc(log->alloc_ud, log->blocks,
                                          log->block_capacity * sizeof *blocks,
                                          capacity * sizeof *blocks);
  if (blocks == NULL) return false;
  log->blocks = blocks;
  log->block_capacity = capacity;
  assert(log->block_count < log->block_capacity);
  return true;
}

/* A spare with room for all: what the newest block cannot take goes there. */
static bool reserve_spare(struct raft_log *log, size_t need) {
  if (log->spare != NULL && log->spare->capacity >= need) return true;
  size_t capacity = need > BLOCK_CAPACITY ? need : BLOCK_CAPACITY;
  struct raft_block *b = raft_memory_block(log, capacity, log->last + 1);
  if (b == NULL) return false;
  raft_memory_release(log, log->spare); /* nobody was lent its bytes */
  log->spare = b;
  assert(raft_block_fits(b, 0, 0));
  return true;
}

int raft_memory_reserve(struct raft_log *log, size_t bytes, uint32_t count) {
  const struct raft_block *b = raft_memory_newest(log);
  assert(log->block_count <= log->block_capacity);
  if (count == 0) return RAFT_OK;
  if (b != NULL && raft_block_fits(b, bytes, count)) return RAFT_OK;
  if (bytes > UINT32_MAX / 2) return RAFT_E_NOMEM; /* offsets have 32 bits */
  if (count > UINT32_MAX / 8) return RAFT_E_NOMEM;
  size_t need = bytes + (size_t)RAFT_BLOCK_ENTRY_BYTES * count;
  if (!reserve_place(log)) return RAFT_E_NOMEM;
  if (!reserve_spare(log, need)) return RAFT_E_NOMEM;
  assert(raft_block_fits(log->spare, bytes, count));
  return RAFT_OK;
}

struct raft_block *raft_memory_open(struct raft_log *log, raft_index index) {
  assert(log->spare != NULL);
  assert(log->spare->count == 0);
  struct raft_block *b = raft_memory_newest(log);
  if (b != NULL && b->count == 0) { /* no empty block amid others */
    log->memory_bytes -= allocated(b);
    raft_memory_bury(log, b);
    log->block_count--;
  }
  assert(log->block_count < log->block_capacity);
  b = log->spare;
  b->first = index;
  log->blocks[log->block_count++] = b;
  log->memory_bytes += allocated(b);
  log->spare = NULL;
  return b;
}

/* How many of these entries does the block have room for? */
static uint32_t fitting(const struct raft_block *b, struct raft_slice entries,
                        uint32_t count, size_t *bytes) {
  assert(count > 0);
  assert(entries.size >= (size_t)count * RAFT_ENTRY_HEADER_BYTES);
  *bytes = entries.size;
  if (raft_block_fits(b, entries.size, count)) return count;
  size_t end = 0;
  uint32_t n = 0;
  for (; n < count; n++) {
    size_t size = raft_entry_span(entries.data + end);
    if (!raft_block_fits(b, end + size, n + 1)) break;
    end += size;
  }
  assert(n < count);
  *bytes = end;
  return n;
}

void raft_memory_fill(struct raft_log *log, raft_index index,
                      struct raft_slice entries, uint32_t count) {
  assert(index == log->last + 1);
  assert(count > 0);
  struct raft_block *b = raft_memory_newest(log);
  size_t bytes = 0;
  uint32_t n = b != NULL ? fitting(b, entries, count, &bytes) : 0;
  if (n > 0) {
    assert(raft_block_until(b) == index);
    raft_block_fill(b, (struct raft_slice){entries.data, bytes}, n);
  }
  if (n == count) return;
  b = raft_memory_open(log, index + n);
  raft_block_fill(
      b, (struct raft_slice){entries.data + bytes, entries.size - bytes},
      count - n);
}

/* ---- taking away --------------------------------------------------------- */

/* Blocks [from, to) of the list leave it. */
static void remove_blocks(struct raft_log *log, uint32_t from, uint32_t to) {
  assert(from <= to);
  assert(to <= log->block_count);
  if (from == to) return;
  for (uint32_t i = from; i < to; i++) {
    log->memory_bytes -= allocated(log->blocks[i]);
    raft_memory_bury(log, log->blocks[i]);
  }
  memmove(log->blocks + from, log->blocks + to,
          (log->block_count - to) * sizeof *log->blocks);
  log->block_count -= to - from;
  assert(log->block_count > 0 || log->memory_bytes == 0);
}

/* The window is a copy: what it has of the part that is cut off goes. What is
 * before that may be on its way to be applied. */
static void cut_window(struct raft_log *log, raft_index from) {
  struct raft_block *w = log->window;
  assert(from > log->base_index);
  if (w == NULL || raft_block_until(w) <= from) return;
  assert(w->count > 0);
  if (w->first >= from || from == log->base_index + 1)
    raft_log_window_drop(log); /* nothing that is in the log is left of it */
  else
    raft_block_cut(w, (uint32_t)(from - w->first));
}

void raft_memory_cut(struct raft_log *log, raft_index from) {
  assert(from > log->base_index);
  cut_window(log, from);
  if (from < log->memory_first) log->memory_first = from;
  assert(log->memory_first > log->base_index);
  struct raft_block *b = raft_memory_newest(log);
  if (b == NULL) return;
  uint32_t i = log->block_count - 1; /* the first block to lose all */
  while (i > 0 && log->blocks[i - 1]->first >= from)
    i--;
  if (b->first < from) {
    raft_block_cut(b, (uint32_t)(from - b->first));
    return;
  }
  remove_blocks(log, i, log->block_count - 1);
  assert(raft_memory_newest(log) == b);
  raft_block_cut(b, 0);
  b->first = from;
  if (i == 0) return;
  b = log->blocks[i - 1];
  if (from < raft_block_until(b))
    raft_block_cut(b, (uint32_t)(from - b->first));
}

void raft_memory_drop(struct raft_log *log, raft_index upto) {
  assert(upto <= log->last);
  if (log->window != NULL && raft_block_until(log->window) <= upto + 1)
    raft_log_window_drop(log); /* what lies past upto may still be applied */
  if (log->memory_first <= upto) log->memory_first = upto + 1;
  assert(log->memory_first <= log->last + 1);
  struct raft_block *b = raft_memory_newest(log);
  if (b == NULL) return;
  uint32_t n = 0;
  while (n + 1 < log->block_count && log->blocks[n + 1]->first <= upto + 1)
    n++;
  remove_blocks(log, 0, n);
  if (raft_block_until(b) > upto + 1) return;
  raft_block_cut(b, 0);
  b->first = upto + 1;
  assert(log->block_count == 1);
}

void raft_log_let_go(struct raft_log *log, size_t bytes_max, raft_index upto) {
  assert(log->memory_bytes > bytes_max);
  if (upto > log->stored) upto = log->stored;
  size_t held = log->memory_bytes;
  uint32_t n = 0;
  while (n + 1 < log->block_count && held > bytes_max &&
         raft_block_until(log->blocks[n]) <= upto + 1) {
    held -= allocated(log->blocks[n]);
    n++;
  }
  if (n == 0) return;
  remove_blocks(log, 0, n);
  log->memory_first = log->blocks[0]->first;
  assert(log->memory_bytes == held);
  assert(log->memory_first <= upto + 1);
}

void raft_log_clean_up(struct raft_log *log) {
  while (log->graveyard != NULL) {
    struct raft_block *b = log->graveyard;
    log->graveyard = b->next;
    raft_memory_release(log, b);
  }
  if (log->spare != NULL && log->spare->capacity > BLOCK_CAPACITY) {
    raft_memory_release(log, log->spare); /* small entries never fill it */
    log->spare = NULL;
  }
  assert(log->graveyard == NULL);
  assert(log->spare == NULL || log->spare->count == 0);
}

/* ---- reading ------------------------------------------------------------- */

/* Which block of the list has this entry? */
static uint32_t position(const struct raft_log *log, raft_index index) {
  assert(index >= log->memory_first);
  assert(index <= log->last);
  uint32_t low = 0;
  uint32_t high = log->block_count; /* it is in [low, high) */
  assert(high > 0);
  if (log->blocks[high - 1]->first <= index) return high - 1;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (log->blocks[middle]->first <= index)
      low = middle;
    else
      high = middle;
  }
  assert(index < raft_block_until(log->blocks[low]));
  return low;
}

static void view(const struct raft_block *b, raft_index index,
                 struct raft_entry *out) {
  assert(index >= b->first);
  raft_entry_view(raft_block_at(b, (uint32_t)(index - b->first)), out);
  assert(out->index == index);
}

/* How many entries [index, last] has this block, which has the first of them?
 */
static uint32_t entries_in(const struct raft_block *b, raft_index index,
                           raft_index last) {
  assert(index >= b->first);
  assert(index < raft_block_until(b));
  assert(index <= last);
  raft_index until = raft_block_until(b);
  return (uint32_t)((last < until ? last + 1 : until) - index);
}

static bool is_in_window(const struct raft_log *log, raft_index index) {
  if (log->window == NULL || index <= log->base_index) return false;
  if (index < log->window->first) return false;
  assert(raft_block_until(log->window) <= log->last + 1);
  assert(log->window->count > 0);
  return index < raft_block_until(log->window);
}

const uint8_t *raft_log_at(const struct raft_log *log, raft_index index) {
  const struct raft_block *b = log->window;
  if (index >= log->memory_first && index <= log->last)
    b = log->blocks[position(log, index)];
  else if (!is_in_window(log, index))
    return NULL;
  assert(index >= b->first);
  const uint8_t *entry = raft_block_at(b, (uint32_t)(index - b->first));
  assert(raft_entry_index(entry) == index);
  return entry;
}

bool raft_log_get(const struct raft_log *log, raft_index index,
                  struct raft_entry *out) {
  assert(out != NULL);
  const uint8_t *entry = raft_log_at(log, index);
  if (entry != NULL) raft_entry_view(entry, out);
  return entry != NULL;
}

/* Does the newest block have them all, from this one on up to the end of the
 * log, in one piece? So it is with nearly all that is looked for. */
static inline bool is_at_the_end(const struct raft_log *log, raft_index first) {
  assert(first >= log->memory_first);
  assert(first <= log->last);
  const struct raft_block *b = raft_memory_newest(log);
  assert(b != NULL); /* who has entries in memory has a block */
  return b->gaps == 0 && first >= b->first;
}

/* Then that is the piece. */
static inline struct raft_slice end_from(const struct raft_log *log,
                                         raft_index first) {
  const struct raft_block *b = raft_memory_newest(log);
  assert(b != NULL);
  assert(raft_block_until(b) == log->last + 1);
  return raft_block_rest(b, (uint32_t)(first - b->first));
}

uint32_t raft_log_slices(const struct raft_log *log, raft_index first,
                         raft_index *last, size_t bytes_max,
                         struct raft_slice *slices, uint32_t slice_max,
                         size_t *bytes) {
  assert(first <= *last);
  assert(*last <= log->last);
  assert(slice_max > 0);
  if (*last == log->last && is_at_the_end(log, first)) {
    slices[0] = end_from(log, first);
    *bytes = slices[0].size;
    if (*bytes <= bytes_max) return 1;
  }
  uint32_t at = position(log, first);
  uint32_t n = 0;
  raft_index index = first;
  *bytes = 0;
  while (index <= *last && n < slice_max) {
    if (index == raft_block_until(log->blocks[at])) at++;
    const struct raft_block *b = log->blocks[at];
    uint32_t i = (uint32_t)(index - b->first);
    uint32_t count = entries_in(b, index, *last);
    size_t left = bytes_max > *bytes ? bytes_max - *bytes : 0;
    struct raft_slice run = raft_block_run(b, i, left, &count);
    if (count == 0 && n > 0) break;
    if (count == 0) { /* one always fits */
      count = 1;
      run = (struct raft_slice){raft_block_at(b, i), raft_block_size(b, i)};
    }
    slices[n++] = run;
    *bytes += run.size;
    index += count;
  }
  *last = index - 1;
  assert(*last >= first);
  assert(n <= slice_max);
  return n;
}

uint32_t raft_log_slices_max(const struct raft_log *log, raft_index first) {
  assert(first >= log->memory_first);
  if (first > log->last) return 0;
  if (is_at_the_end(log, first)) return 1;
  uint32_t n = 0;
  for (uint32_t i = position(log, first); i < log->block_count; i++)
    n += 1 + log->blocks[i]->gaps;
  assert(n > 0);
  return n;
}

size_t raft_log_bytes(const struct raft_log *log, raft_index from,
                      raft_index to) {
  assert(from < UINT64_MAX);
  raft_index index = from + 1;
  if (index < log->memory_first) index = log->memory_first;
  if (to > log->last) to = log->last;
  if (index > to) return 0;
  if (to == log->last && is_at_the_end(log, index))
    return end_from(log, index).size;
  size_t bytes = 0;
  for (uint32_t at = position(log, index); index <= to;) {
    if (index == raft_block_until(log->blocks[at])) at++;
    const struct raft_block *b = log->blocks[at];
    uint32_t count = entries_in(b, index, to);
    uint32_t i = (uint32_t)(index - b->first);
    bytes += raft_block_run(b, i, SIZE_MAX, &count).size;
    index += count;
  }
  assert(bytes >= RAFT_ENTRY_HEADER_BYTES);
  return bytes;
}

/* ---- copies and the end -------------------------------------------------- */

static struct raft_block *copy_block(const struct raft_log *out,
                                     const struct raft_block *b) {
  struct raft_block *copy = raft_memory_block(out, b->capacity, b->first);
  if (copy == NULL) return NULL;
  size_t offsets = (size_t)RAFT_BLOCK_ENTRY_BYTES * b->count;
  size_t end = b->capacity - offsets;
  copy->count = b->count;
  copy->end = b->end;
  copy->used = b->used;
  copy->gaps = b->gaps;
  assert(b->used <= end);
  memcpy(copy->data, b->data, b->used);
  memcpy(copy->data + end, b->data + end, offsets);
  assert(raft_block_until(copy) == raft_block_until(b));
  return copy;
}

int raft_memory_clone(const struct raft_log *log, struct raft_log *out) {
  assert(out->block_count == 0);
  assert(out->spare == NULL);
  for (uint32_t i = 0; i < log->block_count; i++) {
    if (!reserve_place(out)) return RAFT_E_NOMEM;
    struct raft_block *copy = copy_block(out, log->blocks[i]);
    if (copy == NULL) return RAFT_E_NOMEM;
    out->blocks[out->block_count++] = copy;
    out->memory_bytes += allocated(copy);
  }
  if (log->spare != NULL) {
    out->spare = copy_block(out, log->spare);
    if (out->spare == NULL) return RAFT_E_NOMEM;
  }
  if (log->window != NULL) {
    out->window = copy_block(out, log->window);
    if (out->window == NULL) return RAFT_E_NOMEM;
  }
  return RAFT_OK;
}

void raft_memory_free(struct raft_log *log) {
  assert(log->alloc != NULL);
  remove_blocks(log, 0, log->block_count);
  raft_log_window_drop(log);
  raft_log_settle(log);
  raft_memory_release(log, log->spare);
  (void)log->alloc(log->alloc_ud, log->blocks,
                   log->block_capacity * sizeof *log->blocks, 0);
  log->spare = NULL;
  log->blocks = NULL;
  log->block_capacity = 0;
  assert(log->memory_bytes == 0);
}

/* ---- invariants ---------------------------------------------------------- */

static const char *check_terms(const struct raft_log *log,
                               const struct raft_block *b) {
  for (raft_index i = b->first; i < raft_block_until(b); i++) {
    struct raft_entry e;
    if (i <= log->base_index) continue; /* compacted within its block */
    view(b, i, &e);
    if (e.term != raft_log_term(log, i))
      return "an entry's term is not the one of its run";
  }
  return NULL;
}

static const char *check_block(const struct raft_log *log,
                               const struct raft_block *b) {
  const char *broken = raft_block_check(b);
  if (broken != NULL) return broken;
  if (raft_block_until(b) > log->last + 1) return "a block passes the log";
  return check_terms(log, b);
}

static const char *check_blocks(const struct raft_log *log) {
  raft_index next = log->block_count > 0 ? log->blocks[0]->first : 0;
  size_t bytes = 0;
  for (uint32_t i = 0; i < log->block_count; i++) {
    const struct raft_block *b = log->blocks[i];
    const char *broken = check_block(log, b);
    if (broken != NULL) return broken;
    if (b->first != next) return "blocks are not contiguous";
    if (b->count == 0 && b != raft_memory_newest(log))
      return "an empty block amid others";
    next = raft_block_until(b);
    bytes += allocated(b);
  }
  if (bytes != log->memory_bytes) return "memory_bytes is not the sum";
  if (log->block_count > 0 && next != log->last + 1)
    return "blocks do not reach last";
  return NULL;
}

const char *raft_memory_check(const struct raft_log *log) {
  const char *broken = check_blocks(log);
  if (broken != NULL) return broken;
  raft_index first = log->last + 1;
  if (log->block_count > 0) first = log->blocks[0]->first;
  if (first > log->memory_first) return "memory_first has no block";
  if (log->spare != NULL && log->spare->count != 0)
    return "the spare holds entries";
  if (log->window == NULL) return NULL;
  if (raft_block_until(log->window) <= log->base_index + 1)
    return "the window holds only what is compacted";
  return check_block(log, log->window);
}
