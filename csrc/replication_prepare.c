/* replication_prepare.c - what an append brings is verified, and room made for
 * it, before anything changes: a log that was wrong stays as it was.
 */
#include <assert.h>

#include "config.h"
#include "replica.h"

static bool is_config_sound(const uint8_t *entry) {
  assert(raft_entry_kind(entry) == RAFT_ENTRY_CONFIG);
  struct raft_config config;
  struct raft_entry e;
  raft_entry_view(entry, &e);
  return raft_config_decode(e.payload, e.size, &config) == RAFT_OK;
}

/* What the entry before the one that is looked at was. */
struct before {
  struct raft_place place;
  raft_ms stamp; /* none behind it may be below that */
};

/* Verifies a received entry and that it may follow the one before it. */
static int verify_entry(const struct raft *r, const struct raft_message *m,
                        const struct before *before, struct raft_slice bytes) {
  assert(m->kind == RAFT_MSG_APPEND);
  if (raft_entry_verify(bytes.data, bytes.size) != RAFT_OK)
    return RAFT_E_CORRUPT;
  raft_index index = before->place.index + 1;
  raft_term term = raft_entry_term(bytes.data);
  if (raft_entry_index(bytes.data) != index) return RAFT_E_CORRUPT;
  if (term < before->place.term || term > m->term) return RAFT_E_CORRUPT;
  if (raft_entry_time(bytes.data) < before->stamp) /* stamps never fall */
    return RAFT_E_CORRUPT;
  if (raft_entry_kind(bytes.data) == RAFT_ENTRY_CONFIG &&
      !is_config_sound(bytes.data))
    return RAFT_E_CORRUPT;
  if (index > r->log.last) return RAFT_OK; /* new, as nearly all are */
  bool is_current = m->term >= r->term;    /* an old leader may be wrong */
  /* The configuration before the one in force is committed. [Raft 6] */
  raft_index decided =
      r->commit > r->config_before_index ? r->commit : r->config_before_index;
  bool is_decided = index >= r->log.base_index && index <= decided;
  if (is_current && is_decided && raft_log_term(&r->log, index) != term)
    return RAFT_E_DIVERGED;
  return RAFT_OK;
}

/* The stamp below which nothing may fall that follows this place: that of the
 * entry received for it, and of the one which we have there, if it is the
 * same. */
static raft_ms stamp_of(const struct raft *r, struct raft_place place,
                        raft_ms received) {
  assert(place.index <= r->log.last);
  assert(r->log.base_index <= r->log.last);
  if (raft_log_term(&r->log, place.index) != place.term) return received;
  raft_ms ours = r->last_time; /* as nearly always: the newest */
  if (place.index < r->log.last) {
    const uint8_t *entry = raft_log_at(&r->log, place.index);
    ours = entry != NULL ? raft_entry_time(entry) : 0;
  }
  return ours > received ? ours : received;
}

int raft_append_prepare(struct raft *r, const struct raft_message *m) {
  assert(r->is_started);
  assert(m->kind == RAFT_MSG_APPEND);
  struct raft_slice tail = m->tail;
  if (m->append.count == 0 && tail.size == 0) return RAFT_OK; /* nothing new? */
  /* unreachable: wire.c has looked */
  if (m->append.prev_index > UINT64_MAX - m->append.count - 1)
    return RAFT_E_CORRUPT;
  struct before before = {{m->append.prev_term, m->append.prev_index}, 0};
  if (before.place.index <= r->log.last)
    before.stamp = stamp_of(r, before.place, 0);
  for (uint32_t i = 0; i < m->append.count; i++) {
    int rc = verify_entry(r, m, &before, tail);
    if (rc != RAFT_OK) return rc;
    before.place.term = raft_entry_term(tail.data);
    before.place.index++;
    before.stamp = raft_entry_time(tail.data);
    if (before.place.index <= r->log.last) /* as few are */
      before.stamp = stamp_of(r, before.place, before.stamp);
    size_t bytes = raft_entry_span(tail.data);
    tail = (struct raft_slice){tail.data + bytes, tail.size - bytes};
  }
  if (tail.size != 0) return RAFT_E_CORRUPT;
  if (m->term < r->term) return RAFT_OK;
  return raft_log_reserve(&r->log, m->tail.size, m->append.count);
}
