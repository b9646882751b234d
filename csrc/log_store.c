/* log_store.c - which batch makes which entry durable.
 *
 *   stores   seq 7, last 12 | seq 8, last 15 | seq 9, last 15
 *
 * Durability is acknowledged by batch number, never by index and term: after a
 * truncation the same index names another entry, and a late acknowledgement of
 * the old one must not count for it. So truncation clips what the batches under
 * way promise, and what replaces the lost entries is promised by later ones.
 */
#include "log_inner.h"

#include <assert.h>

static struct raft_store_record *store_at(struct raft_log *log, uint32_t i) {
  assert(i < RAFT_STORES_MAX);
  assert(log->store_head < RAFT_STORES_MAX);
  return &log->stores[(log->store_head + i) % RAFT_STORES_MAX];
}

static const struct raft_store_record *peek(const struct raft_log *log,
                                            uint32_t i) {
  assert(i < log->store_count);
  assert(log->store_head < RAFT_STORES_MAX);
  return &log->stores[(log->store_head + i) % RAFT_STORES_MAX];
}

void raft_stores_clip(struct raft_log *log, raft_index index) {
  assert(log->store_count <= RAFT_STORES_MAX);
  for (uint32_t i = 0; i < log->store_count; i++) {
    struct raft_store_record *record = store_at(log, i);
    if (record->last > index) record->last = index;
  }
}

raft_seq raft_log_hand(struct raft_log *log) {
  assert(log->handed <= log->last);
  if (log->store_count == RAFT_STORES_MAX) return 0;
  log->seq_handed++;
  *store_at(log, log->store_count) =
      (struct raft_store_record){.seq = log->seq_handed, .last = log->last};
  log->store_count++;
  log->handed = log->last;
  return log->seq_handed;
}

void raft_log_stored(struct raft_log *log, raft_seq seq) {
  assert(seq <= log->seq_handed);
  while (log->store_count > 0 && store_at(log, 0)->seq <= seq) {
    const struct raft_store_record *record = store_at(log, 0);
    assert(record->last <= log->handed);
    if (record->last > log->stored) log->stored = record->last;
    log->seq_stored = record->seq;
    log->store_head = (log->store_head + 1) % RAFT_STORES_MAX;
    log->store_count--;
  }
  assert(log->stored <= log->handed);
}

raft_seq raft_log_batch_of(const struct raft_log *log, raft_index index) {
  assert(index <= log->last);
  assert(index > log->stored);
  for (uint32_t i = 0; i < log->store_count; i++)
    if (peek(log, i)->last >= index) return peek(log, i)->seq;
  assert(index > log->handed); /* no batch has it yet */
  return log->seq_handed + 1;
}

const char *raft_stores_check(const struct raft_log *log) {
  if (log->store_count > RAFT_STORES_MAX) return "too many stores under way";
  if (log->store_head >= RAFT_STORES_MAX) return "stores start out of bounds";
  if (log->store_count != log->seq_handed - log->seq_stored)
    return "a store batch is lost, or counted twice";
  raft_index before = 0;
  for (uint32_t i = 0; i < log->store_count; i++) {
    if (peek(log, i)->seq != log->seq_stored + 1 + i)
      return "store batches are not consecutive";
    if (peek(log, i)->last < before) return "a store batch goes back";
    before = peek(log, i)->last;
  }
  if (before > log->handed) return "a store batch promises what was dropped";
  if (log->handed > log->stored && before != log->handed)
    return "entries were handed out that no batch makes durable";
  return NULL;
}
