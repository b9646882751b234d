/* log_inner.h - the verbs that the log's own files share. Nobody else includes
 * it. Callers keep the marks (base, last, stored, handed); these keep the rest.
 */
#ifndef RAFT_LOG_INNER_H
#define RAFT_LOG_INNER_H

#include "log.h"
#include "log_block.h"

#pragma GCC visibility push(hidden)

/* ---- log_runs.c: which term an index is of ------------------------------- */

/* Room for so many more runs; RAFT_OK or RAFT_E_NOMEM. */
int raft_runs_reserve(struct raft_log *log, size_t count);

/* Entry `index` = last + 1 is of this term. Reserve first. */
void raft_runs_add(struct raft_log *log, raft_index index, raft_term term);

/* Forgets [from, last]. */
void raft_runs_cut(struct raft_log *log, raft_index from);

/* Forgets all up to `upto` <= last. */
void raft_runs_drop(struct raft_log *log, raft_index upto);

const char *raft_runs_check(const struct raft_log *log);

/* ---- log_memory.c: the entries in memory --------------------------------- */

/* A block of its own, or NULL without memory. */
struct raft_block *raft_memory_block(const struct raft_log *log,
                                     size_t capacity, raft_index first);
void raft_memory_release(const struct raft_log *log, struct raft_block *b);

/* Takes a block out of use; its bytes stay until settle. NULL is nothing. */
void raft_memory_bury(struct raft_log *log, struct raft_block *b);

/* Room for so many entries and bytes; RAFT_OK or RAFT_E_NOMEM. */
int raft_memory_reserve(struct raft_log *log, size_t bytes, uint32_t count);

/* The newest block, or NULL: there is none yet. */
static inline struct raft_block *
raft_memory_newest(const struct raft_log *log) {
  return log->block_count > 0 ? log->blocks[log->block_count - 1] : NULL;
}

/* The spare, which was reserved, becomes the newest block. */
struct raft_block *raft_memory_open(struct raft_log *log, raft_index index);

/* Where entry `index` = last + 1 is to be written. Reserve first. */
static inline uint8_t *raft_memory_place(struct raft_log *log, raft_index index,
                                         size_t bytes) {
  assert(index == log->last + 1);
  struct raft_block *b = raft_memory_newest(log);
  if (b == NULL || !raft_block_fits(b, bytes, 1))
    b = raft_memory_open(log, index);
  assert(raft_block_until(b) == index);
  return raft_block_grow(b, bytes);
}

/* Copies `count` > 0 verified entries from `index` = last + 1 on, which the
 * bytes hold exactly. Reserve first. */
void raft_memory_fill(struct raft_log *log, raft_index index,
                      struct raft_slice entries, uint32_t count);

/* Forgets entries [from, ...], but not the room in the newest block. */
void raft_memory_cut(struct raft_log *log, raft_index from);

/* Forgets entries up to `upto` <= last, but not the newest block. */
void raft_memory_drop(struct raft_log *log, raft_index upto);

int raft_memory_clone(const struct raft_log *log, struct raft_log *out);
void raft_memory_free(struct raft_log *log);
const char *raft_memory_check(const struct raft_log *log);

/* ---- log_store.c: the batches under way ---------------------------------- */

/* No batch makes anything durable past `index` any more. */
void raft_stores_clip(struct raft_log *log, raft_index index);

const char *raft_stores_check(const struct raft_log *log);

#pragma GCC visibility pop
#endif
