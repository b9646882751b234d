/* log_runs.c - the terms of the whole log, also of what has left memory.
 *
 *   base  4                9          12                 last
 *     |   |    term 1      |  term 3  |     term 4        |
 *
 * A run starts where the term changes, so that a million entries of one term
 * cost sixteen bytes, and prevLogTerm never asks the disk.
 */
#include "log_inner.h"

#include <assert.h>
#include <string.h>

/* How many runs start at or before `index`? */
static uint32_t runs_until(const struct raft_log *log, raft_index index) {
  uint32_t low = 0;
  uint32_t high = log->run_count; /* runs [low, high) are in doubt */
  if (high > 0 && log->runs[high - 1].first <= index) return high;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (log->runs[middle].first <= index)
      low = middle + 1;
    else
      high = middle;
  }
  assert(low <= log->run_count);
  return low;
}

raft_term raft_log_term_before(const struct raft_log *log, raft_index index) {
  if (index == log->base_index) return log->base_term;
  if (index < log->base_index || index > log->last) return 0;
  uint32_t n = runs_until(log, index);
  assert(n > 0);
  assert(log->runs[n - 1].first <= index);
  return log->runs[n - 1].term;
}

raft_index raft_log_agree(const struct raft_log *log, raft_index index,
                          raft_term term) {
  if (index < log->base_index) return 0;
  if (index > log->last) index = log->last;
  uint32_t n = runs_until(log, index);
  while (n > 0 && log->runs[n - 1].term > term) {
    index = log->runs[n - 1].first - 1; /* the end of the run before */
    n--;
  }
  if (n == 0 && log->base_term > term) return 0;
  assert(index >= log->base_index);
  assert(raft_log_term(log, index) <= term);
  return index;
}

int raft_runs_reserve(struct raft_log *log, size_t count) {
  size_t need = log->run_count + count;
  if (need <= log->run_capacity) return RAFT_OK;
  size_t capacity = need > 2u * (size_t)log->run_capacity
                        ? need
                        : 2u * (size_t)log->run_capacity;
  if (capacity > UINT32_MAX / sizeof *log->runs) return RAFT_E_NOMEM;
  struct raft_run *runs =
      log->alloc(log->alloc_ud, log->runs, log->run_capacity * sizeof *runs,
                 capacity * sizeof *runs);
  if (runs == NULL) return RAFT_E_NOMEM;
  log->runs = runs;
  log->run_capacity = (uint32_t)capacity;
  assert(log->run_capacity - log->run_count >= count);
  return RAFT_OK;
}

void raft_runs_add(struct raft_log *log, raft_index index, raft_term term) {
  assert(index == log->last + 1);
  assert(term > 0);
  assert(term >= raft_log_last_term(log));
  if (log->run_count > 0 && log->runs[log->run_count - 1].term == term) return;
  assert(log->run_count < log->run_capacity);
  log->runs[log->run_count++] = (struct raft_run){.first = index, .term = term};
}

void raft_runs_cut(struct raft_log *log, raft_index from) {
  assert(from > log->base_index);
  log->run_count = runs_until(log, from - 1);
}

void raft_runs_drop(struct raft_log *log, raft_index upto) {
  assert(upto <= log->last);
  if (upto == log->last) {
    log->run_count = 0;
    return;
  }
  uint32_t n = runs_until(log, upto + 1); /* the n-th goes on past `upto` */
  assert(n > 0);
  log->run_count -= n - 1;
  memmove(log->runs, log->runs + n - 1, log->run_count * sizeof *log->runs);
  if (log->runs[0].first <= upto) log->runs[0].first = upto + 1;
  assert(log->run_count > 0);
}

const char *raft_runs_check(const struct raft_log *log) {
  if (log->run_count > log->run_capacity) return "more runs than room";
  if ((log->run_count == 0) != (log->last == log->base_index))
    return "runs without entries, or entries without runs";
  raft_index first = log->base_index;
  raft_term term = log->base_term; /* the first run may go on with it */
  for (uint32_t i = 0; i < log->run_count; i++) {
    if (log->runs[i].first <= first) return "runs do not ascend";
    if (log->runs[i].term < term) return "terms of runs fall";
    if (i > 0 && log->runs[i].term == term) return "two runs of one term";
    first = log->runs[i].first;
    term = log->runs[i].term;
  }
  if (log->run_count == 0) return NULL;
  if (log->runs[0].first != log->base_index + 1)
    return "runs do not start after base";
  if (first > log->last) return "a run starts past the log";
  return NULL;
}
