/* status.c - questions to a replica: status, entries, digest, clone. Nothing
 * here changes what it looks at. */
#include <assert.h>
#include <string.h>

#include "change.h"
#include "config.h"
#include "digest.h"
#include "replica.h"

static void copy_peers(const struct raft *r, struct raft_status *out) {
  assert(r->peer_count <= RAFT_MEMBERS_MAX);
  out->peer_count = r->state == RAFT_LEADER ? r->peer_count : 0;
  for (uint32_t i = 0; i < out->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    out->peers[i] = (struct raft_peer_status){
        .id = p->id,
        .state = p->state,
        .match = p->match,
        .next = p->next,
        .heard = p->heard,
        .sum = p->sum,
        .is_leaving = p->leaving_index != 0,
    };
  }
}

void raft_status(const struct raft *r, struct raft_status *out) {
  assert(r != NULL);
  assert(out != NULL);
  *out = (struct raft_status){
      .state = r->state,
      .term = r->term,
      .vote = r->vote,
      .leader = r->leader,
      .first = r->log.base_index + 1,
      .last = r->log.last,
      .stored = r->log.stored,
      .commit = r->commit,
      .applied = r->applied,
      .config_index = r->config_index,
      .is_settled = r->config_index > 0 && r->config_index <= r->commit &&
                    raft_change_is_settled(&r->config),
      .is_repairing = raft_is_repairing(r),
      .memory_first = r->log.memory_first,
      .snapshot = r->snapshots.index,
      .memory_bytes = r->log.memory_bytes,
      .pending_bytes = r->pending_bytes,
      .read_count = r->read_count,
      .has_lease = raft_has_lease(r),
      .heir = r->heir,
      .agreed = r->results.agreed,
      .is_leaving = r->state == RAFT_LEADER && raft_is_leaving(r),
      .bad_frames = r->bad_frames,
  };
  copy_peers(r, out);
}

const struct raft_config *raft_config_in_force(const struct raft *r,
                                               raft_index *index) {
  assert(r != NULL);
  if (index != NULL) *index = r->config_index;
  return &r->config;
}

bool raft_entry_at(const struct raft *r, raft_index index,
                   struct raft_entry *out) {
  assert(out != NULL);
  assert(index > 0);
  return raft_log_get(&r->log, index, out);
}

raft_term raft_term_at(const struct raft *r, raft_index index) {
  assert(r != NULL);
  return raft_log_term(&r->log, index);
}

/* ---- digest: every field that can change what happens next --------------- */

static void add_many(struct raft_digest_state *d, const uint64_t *values,
                     size_t count) {
  assert(d != NULL);
  assert(values != NULL);
  for (size_t i = 0; i < count; i++)
    raft_digest_u64(d, values[i]);
}

static void add_config(struct raft_digest_state *d, const struct raft_config *c,
                       raft_index index) {
  assert(index > 0 || c->count == 0);
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  raft_digest_u64(d, index);
  if (index > 0) raft_digest_add(d, bytes, raft_config_encode(c, bytes));
}

static void add_log(struct raft_digest_state *d, const struct raft_log *log) {
  assert(log->memory_first <= log->last + 1);
  assert(log->store_count <= RAFT_STORES_MAX);
  const uint64_t values[] = {
      log->base_index,   log->base_term,  log->last,       log->stored,
      log->handed,       log->seq_handed, log->seq_stored, log->store_count,
      log->memory_first, log->run_count,
  };
  add_many(d, values, sizeof values / sizeof *values);
  for (uint32_t i = 0; i < log->run_count; i++) {
    raft_digest_u64(d, log->runs[i].first);
    raft_digest_u64(d, log->runs[i].term);
  }
  for (uint32_t i = 0; i < log->store_count; i++) {
    uint32_t at = (log->store_head + i) % RAFT_STORES_MAX;
    raft_digest_u64(d, log->stores[at].seq);
    raft_digest_u64(d, log->stores[at].last);
  }
  if (log->window != NULL) { /* may be applied without asking the disk */
    raft_digest_u64(d, log->window->first);
    raft_digest_u64(d, log->window->count);
  }
  struct raft_entry e;
  for (raft_index i = log->memory_first; i <= log->last; i++) {
    /* unreachable: all from memory_first on are there */
    if (!raft_log_get(log, i, &e)) continue;
    raft_digest_u64(d, e.time);
    raft_digest_u64(d, e.kind);
    raft_digest_u64(d, e.flags);
    raft_digest_add(d, e.payload, e.size);
  }
}

static void add_peer(struct raft_digest_state *d,
                     const struct raft_progress *p) {
  assert(p->count <= RAFT_INFLIGHT_MAX);
  assert(p->match < p->next);
  const uint64_t values[] = {
      p->id,
      p->state,
      p->match,
      p->next,
      p->is_probing,
      p->is_loading,
      p->snapshot_index,
      p->commit_sent,
      p->round_acked,
      p->round_sent,
      p->heard,
      p->wall,
      p->count,
      p->bytes,
      p->is_avoiding,
      p->incarnation,
      p->lap_end,
      p->lap_began,
      p->is_caught_up,
      p->leaving_index,
      p->leaving_until,
      p->has_holes,
      p->is_shipped,
      p->is_resting,
  };
  add_many(d, values, sizeof values / sizeof *values);
  for (uint32_t i = 0; i < p->count; i++) {
    uint32_t at = (p->head + i) % RAFT_INFLIGHT_MAX;
    raft_digest_u64(d, p->flights[at].last);
    raft_digest_u64(d, p->flights[at].bytes);
  }
  if (p->sum.index == 0) return; /* then there is nothing of results */
  const uint64_t sums[] = {p->sum.index, p->sum.digest, p->agreed, p->differs,
                           p->is_diverged_told};
  add_many(d, sums, sizeof sums / sizeof *sums);
}

static void add_reads(struct raft_digest_state *d, const struct raft *r) {
  assert(r->read_count <= RAFT_READS_MAX);
  for (uint32_t i = 0; i < r->read_count; i++) {
    const struct raft_read *read = &r->reads[i];
    const uint64_t values[] = {read->token, read->from, read->round,
                               read->index};
    add_many(d, values, sizeof values / sizeof *values);
  }
}

/* Where nobody reports any the digest is as if there were no results. */
static void add_results(struct raft_digest_state *d,
                        const struct raft_results *s) {
  assert(s->count <= RAFT_SUMS_MAX);
  const uint64_t values[] = {
      s->count,         s->agreed,         s->asked,
      s->asked_at,      s->split,          s->split_told,
      s->verdict.index, s->verdict.digest, s->is_verdict_told,
  };
  bool is_empty = s->count == 0 && s->asked == 0 && s->split == 0;
  if (is_empty) return;
  add_many(d, values, sizeof values / sizeof *values);
  for (uint32_t i = 0; i < s->count; i++) {
    raft_digest_u64(d, s->own[i].index);
    raft_digest_u64(d, s->own[i].digest);
  }
}

/* Between two takes there is nothing but SEND and FORWARDED. */
static void add_outbox(struct raft_digest_state *d,
                       const struct raft_outbox *o) {
  assert(o->count <= o->capacity);
  for (uint32_t i = 0; i < o->count; i++) {
    const struct raft_effect *fx = &o->effects[i];
    raft_digest_u64(d, fx->kind);
    raft_digest_u64(d, fx->after);
    if (fx->kind == RAFT_FX_SEND) raft_digest_u64(d, fx->to);
    if (fx->kind == RAFT_FX_FORWARDED) {
      const uint64_t values[] = {
          fx->forwarded.token, fx->forwarded.index, fx->forwarded.term,
          (uint64_t)fx->forwarded.code, fx->forwarded.missing};
      add_many(d, values, sizeof values / sizeof *values);
    }
    for (uint32_t k = 0; k < fx->part_count; k++)
      raft_digest_add(d, fx->parts[k].data, fx->parts[k].size);
  }
}

static void add_snapshots(struct raft_digest_state *d,
                          const struct raft_snapshots *s) {
  assert(s->marked <= s->index);
  assert(s->told <= s->marked);
  const uint64_t values[] = {
      s->index,          s->term,       s->time,      s->reset.index,
      s->reset.term,     s->mark.index, s->mark.term, s->reset_seq,
      s->mark_seq,       s->marked,     s->told,      s->installing,
      s->is_install_due,
  };
  add_many(d, values, sizeof values / sizeof *values);
}

static void add_scalars(struct raft_digest_state *d, const struct raft *r) {
  assert(r->options.self != 0);
  const uint64_t values[] = {
      r->options.self,
      r->is_started,
      r->now,
      r->wall,
      r->started,
      r->random,
      r->term,
      r->vote,
      r->hard_changed,
      r->is_out_of_space,
      r->is_avoiding,
      r->hard_seq,
      r->state,
      r->leader,
      r->leader_heard,
      r->election_due,
      r->commit,
      r->apply_handed,
      r->applied,
      r->applied_time,
      r->last_time,
      r->lost.term,
      r->lost.index,
      r->newest_hole,
      r->is_bare,
      r->is_apply_loading,
      r->ballot.round,
      r->ballot.granted,
      r->ballot.refused,
      r->ballot.own_vote,
      r->ack.to,
      r->ballot.is_transfer,
      r->ack.index,
      r->ack.round,
      r->ack.is_prompt,
      r->peer_count,
      r->term_start,
      r->heartbeat_due,
      r->pending_bytes,
      r->read_round,
      r->round_is_sent,
      r->mark_count,
      r->is_lease_void,
      r->heir,
      r->heir_due,
      r->is_heir_told,
      r->is_retiring,
      r->read_context,
      r->life,
      r->is_read_due,
      r->read_resend,
      r->read_count,
      r->told_state,
      r->told_term,
      r->told_leader,
      r->told_config,
  };
  add_many(d, values, sizeof values / sizeof *values);
  add_many(d, r->voter_walls, RAFT_MEMBERS_MAX);
}

void raft_digest(const struct raft *r, uint64_t out[2]) {
  assert(r != NULL);
  assert(out != NULL);
  struct raft_digest_state d;
  raft_digest_begin(&d);
  add_scalars(&d, r);
  add_snapshots(&d, &r->snapshots);
  add_results(&d, &r->results);
  add_log(&d, &r->log);
  add_config(&d, &r->config, r->config_index);
  add_config(&d, &r->config_before, r->config_before_index);
  for (uint32_t i = 0; i < r->peer_count; i++)
    add_peer(&d, &r->peers[i]);
  for (uint32_t i = 0; i < r->mark_count; i++) {
    raft_digest_u64(&d, r->marks[i].round);
    raft_digest_u64(&d, r->marks[i].sent);
  }
  add_reads(&d, r);
  add_outbox(&d, &r->out);
  raft_digest_end(&d, out);
}

/* The copy has taken nothing: effects lent out belong to the original. */
struct raft *raft_clone(const struct raft *r) {
  assert(r != NULL);
  assert(r->options.alloc != NULL);
  const struct raft_options *o = &r->options;
  struct raft *copy = o->alloc(o->alloc_ud, NULL, 0, sizeof *copy);
  if (copy == NULL) return NULL;
  memcpy(copy, r, sizeof *copy);
  raft_log_init(&copy->log, o->alloc, o->alloc_ud);
  raft_outbox_init(&copy->out, o->alloc, o->alloc_ud);
  raft_outbox_init(&copy->taken, o->alloc, o->alloc_ud);
  int rc = raft_log_clone(&r->log, &copy->log);
  if (rc == RAFT_OK) rc = raft_outbox_clone(&r->out, &copy->out);
  if (rc == RAFT_OK) return copy;
  raft_free(copy);
  return NULL;
}
