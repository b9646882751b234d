/* log.c - birth and change of the log; the marks base, stored, handed, last.
 *
 * What must hold: an append that was reserved cannot fail; nothing durable is
 * claimed of entries that were cut off; a change that fails has changed
 * nothing, and most cannot fail.
 */
#include "log_inner.h"

#include <assert.h>
#include <string.h>

static raft_index lesser(raft_index a, raft_index b) {
  return a < b ? a : b;
}

static raft_index greater(raft_index a, raft_index b) {
  return a > b ? a : b;
}

/* ---- birth and death ----------------------------------------------------- */

void raft_log_init(struct raft_log *log, raft_alloc alloc, void *ud) {
  assert(log != NULL);
  assert(alloc != NULL);
  memset(log, 0, sizeof *log);
  log->alloc = alloc;
  log->alloc_ud = ud;
  log->memory_first = 1;
}

void raft_log_free(struct raft_log *log) {
  assert(log->alloc != NULL);
  raft_memory_free(log);
  (void)log->alloc(log->alloc_ud, log->runs,
                   log->run_capacity * sizeof *log->runs, 0);
  raft_log_init(log, log->alloc, log->alloc_ud);
}

/* The marks and batches, without what hangs on pointers. */
static void copy_marks(const struct raft_log *log, struct raft_log *out) {
  assert(log != out);
  assert(log->stored <= log->handed);
  *out = *log;
  out->runs = NULL;
  out->run_count = 0;
  out->run_capacity = 0;
  out->blocks = NULL;
  out->block_count = 0;
  out->block_capacity = 0;
  out->spare = NULL;
  out->graveyard = NULL;
  out->window = NULL;
  out->memory_bytes = 0;
}

int raft_log_clone(const struct raft_log *log, struct raft_log *out) {
  assert(log != out);
  assert(log->alloc != NULL);
  copy_marks(log, out);
  if (raft_runs_reserve(out, log->run_count) != RAFT_OK) goto fail;
  if (raft_memory_clone(log, out) != RAFT_OK) goto fail;
  out->run_count = log->run_count;
  if (log->run_count > 0)
    memcpy(out->runs, log->runs, log->run_count * sizeof *log->runs);
  assert(out->memory_bytes == log->memory_bytes);
  return RAFT_OK;
fail:
  raft_log_free(out);
  return RAFT_E_NOMEM;
}

/* ---- appending ----------------------------------------------------------- */

int raft_log_reserve(struct raft_log *log, size_t bytes, uint32_t count) {
  assert(bytes >= (size_t)count * RAFT_ENTRY_HEADER_BYTES);
  /* Each entry may open a term; so it is rare that all this is used. */
  if (raft_runs_reserve(log, count) != RAFT_OK) return RAFT_E_NOMEM;
  return raft_memory_reserve(log, bytes, count);
}

void raft_log_append(struct raft_log *log, struct raft_entry *e) {
  assert(e->payload != NULL || e->size == 0);
  struct raft_slice payload = {e->payload, e->size};
  raft_log_append_alike(log, e, &payload, 1);
}

void raft_log_append_alike(struct raft_log *log, struct raft_entry *e,
                           const struct raft_slice *payloads, uint32_t count) {
  assert(count > 0);
  if (e->term != raft_log_last_term(log) || log->run_count == 0)
    raft_runs_add(log, log->last + 1, e->term);
  struct raft_block *b = raft_memory_newest(log);
  for (uint32_t i = 0; i < count; i++) {
    e->index = log->last + 1;
    e->payload = payloads[i].data;
    e->size = (uint32_t)payloads[i].size;
    size_t size = raft_entry_bytes(e);
    if (b == NULL || !raft_block_fits(b, size, 1))
      b = raft_memory_open(log, e->index);
    size_t bytes = raft_entry_encode(e, raft_block_grow(b, size));
    assert(bytes == size);
    log->last = e->index;
  }
  assert(b != NULL && raft_block_until(b) == log->last + 1);
  assert(raft_log_last_term(log) == e->term);
}

void raft_log_append_raw(struct raft_log *log, const uint8_t *data, size_t size,
                         uint32_t count) {
  if (count == 0) return;
  assert(size >= (size_t)count * RAFT_ENTRY_HEADER_BYTES);
  assert(raft_entry_index(data) == log->last + 1);
  raft_index last = log->last + count;
  raft_memory_fill(log, log->last + 1, (struct raft_slice){data, size}, count);
  const struct raft_block *b = log->blocks[log->block_count - 1];
  raft_term newest = raft_entry_term(raft_block_at(b, b->count - 1));
  /* Nearly all are of the term that the log has already: no walk. */
  while (log->run_count == 0 || raft_log_last_term(log) != newest) {
    raft_runs_add(log, log->last + 1, raft_entry_term(data));
    log->last++;
    data += raft_entry_span(data);
  }
  log->last = last;
  assert(raft_log_last_term(log) == newest);
}

/* ---- taking away --------------------------------------------------------- */

void raft_log_truncate(struct raft_log *log, raft_index from) {
  assert(from > log->base_index);
  assert(log->handed <= log->last);
  if (from > log->last) return;
  raft_runs_cut(log, from);
  raft_memory_cut(log, from);
  raft_stores_clip(log, from - 1);
  log->last = from - 1;
  log->handed = lesser(log->handed, log->last);
  log->stored = lesser(log->stored, log->last);
  assert(log->base_index <= log->stored);
  assert(log->memory_first <= log->last + 1);
}

void raft_log_reset(struct raft_log *log, raft_index index, raft_term term) {
  assert(index >= log->base_index);
  assert((index == 0) == (term == 0));
  log->run_count = 0;
  raft_memory_cut(log, log->base_index + 1);
  log->base_index = index;
  log->base_term = term;
  log->last = index;
  log->stored = index;
  log->handed = index;
  raft_stores_clip(log, index);
  raft_memory_drop(log, index);
  assert(log->memory_first == index + 1);
}

void raft_log_compact(struct raft_log *log, raft_index index) {
  assert(index <= log->last);
  assert(log->stored <= log->handed);
  if (index <= log->base_index) return;
  raft_term term = raft_log_term(log, index);
  raft_runs_drop(log, index);
  raft_memory_drop(log, index);
  log->base_index = index;
  log->base_term = term;
  log->handed = greater(log->handed, index); /* the snapshot is durable */
  log->stored = greater(log->stored, index);
  assert(log->base_index < log->memory_first);
  assert(log->stored <= log->handed);
}

/* ---- invariants ---------------------------------------------------------- */

static const char *check_marks(const struct raft_log *log) {
  if ((log->base_index == 0) != (log->base_term == 0))
    return "a base without a term, or a term without one";
  if (log->base_index > log->stored) return "stored lies below base";
  if (log->stored > log->handed) return "stored lies past handed";
  if (log->handed > log->last) return "handed lies past last";
  if (log->memory_first <= log->base_index)
    return "memory holds what is compacted";
  if (log->memory_first > log->last + 1) return "memory starts past the log";
  return NULL;
}

const char *raft_log_check(const struct raft_log *log) {
  const char *broken = check_marks(log);
  if (broken == NULL) broken = raft_runs_check(log);
  if (broken == NULL) broken = raft_stores_check(log);
  if (broken == NULL) broken = raft_memory_check(log);
  return broken;
}
