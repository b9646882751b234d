#include "canon.h"

#include <string.h>

#include "config.h"
#include "digest.h"
#include "entry.h"
#include "replica.h"
#include "wire.h"

struct form {
  struct raft_digest_state digest;
  const struct canon_names *names;
};

static void put(struct form *f, uint64_t value) {
  raft_digest_u64(&f->digest, value);
}

static void begin(struct form *f, const struct canon_names *names) {
  raft_digest_begin(&f->digest);
  f->names = names;
}

static void end(struct form *f, struct canon_hash *out) {
  uint64_t bits[2];
  raft_digest_end(&f->digest, bits);
  *out = (struct canon_hash){bits[0], bits[1]};
}

/* Place + 1 under the renaming; 0 is nobody. */
static uint64_t renamed(const struct form *f, raft_id id) {
  if (id == 0) return 0;
  return 1u + f->names->place[site_place_of(f->names->rules, id)];
}

/* ---- entries -----------------------------------------------------------  */

/* A configuration by the places of its members, in the order of these: as bytes
 * it has their names. Rules are majorities here, settings all the same. */
static void put_config(struct form *f, const struct raft_entry *e) {
  struct raft_config c;
  if (raft_config_decode(e->payload, e->size, &c) != RAFT_OK) return;
  put(f, c.joint);
  for (uint32_t place = 0; place < f->names->rules->count; place++)
    for (uint32_t i = 0; i < c.count; i++) {
      if (renamed(f, c.members[i].id) != place + 1u) continue;
      put(f, place);
      put(f, c.members[i].role[RAFT_OLD]);
      put(f, c.members[i].role[RAFT_NEW]);
      put(f, c.members[i].goal);
      put(f, c.members[i].incarnation);
    }
}

static void put_entry(struct form *f, const struct raft_entry *e) {
  put(f, e->index);
  put(f, e->term);
  put(f, e->kind);
  put(f, e->flags);
  put(f, e->size);
  if (e->kind == RAFT_ENTRY_CONFIG)
    put_config(f, e);
  else
    raft_digest_add(&f->digest, e->payload, e->size);
}

/* ---- frames -------------------------------------------------------------- */

static void put_entries(struct form *f, const uint8_t *bytes, size_t size) {
  for (size_t at = 0; at < size;) {
    struct raft_entry e;
    raft_entry_view(bytes + at, &e);
    put_entry(f, &e);
    at += raft_entry_bytes(&e);
  }
}

static void put_vote(struct form *f, uint32_t from,
                     const struct raft_message *m) {
  put(f, m->vote.for_term);
  put(f, m->vote.last_index);
  put(f, m->vote.last_term);
  put(f, m->vote.round == f->names->rounds[from]);
  put(f, m->vote.pre);
  put(f, m->vote.transfer);
}

static void put_vote_reply(struct form *f, const struct raft_message *m) {
  put(f, m->vote_reply.for_term);
  put(f, m->vote_reply.pre);
  put(f, m->vote_reply.granted);
}

static void put_append(struct form *f, const struct raft_message *m) {
  put(f, m->append.prev_index);
  put(f, m->append.prev_term);
  put(f, m->append.commit);
  put(f, m->append.round);
  put(f, m->append.count);
  put_entries(f, m->tail.data, m->tail.size);
}

static void put_append_reply(struct form *f, const struct raft_message *m) {
  put(f, m->append_reply.accepted);
  put(f, m->append_reply.index);
  put(f, m->append_reply.hint_index);
  put(f, m->append_reply.hint_term);
  put(f, m->append_reply.round);
  put(f, m->append_reply.flags);
}

bool canon_is_term_only(const struct raft_message *m, uint64_t open) {
  if (m->kind != RAFT_MSG_VOTE_REPLY) return false;
  if (m->vote_reply.round != open) return true;
  return m->vote_reply.pre ? m->term >= m->vote_reply.for_term
                           : m->term > m->vote_reply.for_term;
}

/* Kinds that nobody explores count by their bytes. */
static void put_frame(struct form *f, uint32_t from, uint32_t to,
                      const struct blob *frame) {
  struct raft_message m;
  int rc = raft_wire_decode(frame->bytes, frame->size, &m);
  put(f, f->names->place[to]);
  bool is_term_only =
      rc == RAFT_OK && canon_is_term_only(&m, f->names->rounds[to]);
  put(f, is_term_only ? SITE_MAX : f->names->place[from]);
  put(f, rc == RAFT_OK ? m.kind : 0);
  if (rc != RAFT_OK || m.kind < RAFT_MSG_VOTE || m.kind > RAFT_MSG_APPEND_REPLY)
    raft_digest_add(&f->digest, frame->bytes, frame->size);
  if (rc != RAFT_OK) return;
  /* An answer that counts is of no later term than it asked for: no news. */
  bool is_answer = m.kind == RAFT_MSG_VOTE_REPLY && !is_term_only;
  put(f, is_answer ? 0 : m.term);
  if (m.kind == RAFT_MSG_VOTE) put_vote(f, from, &m);
  if (is_answer) put_vote_reply(f, &m);
  if (m.kind == RAFT_MSG_APPEND) put_append(f, &m);
  if (m.kind == RAFT_MSG_APPEND_REPLY) put_append_reply(f, &m);
}

void canon_frame(uint32_t from, uint32_t to, const struct blob *frame,
                 const struct canon_names *names, struct canon_hash *out) {
  struct form f;
  begin(&f, names);
  put_frame(&f, from, to, frame);
  end(&f, out);
}

/* ---- the replica --------------------------------------------------------- */

uint64_t canon_open_round(const struct site *s) {
  enum raft_state state = s->raft->state;
  bool is_open = state == RAFT_PRE_CANDIDATE || state == RAFT_CANDIDATE;
  return is_open ? s->raft->ballot.round : 0;
}

/* How far ahead of the disk; 0 when it is durable. */
static uint64_t ahead(const struct raft *r, raft_seq seq) {
  return seq > r->log.seq_stored ? seq - r->log.seq_stored : 0;
}

/* Bits of a mask by member, as bits by renamed place. */
static uint64_t renamed_mask(const struct form *f, const struct raft *r,
                             uint32_t mask) {
  uint64_t out = 0;
  for (uint32_t i = 0; i < r->config.count; i++)
    if (mask >> i & 1u) out |= 1u << renamed(f, r->config.members[i].id);
  return out;
}

static void put_log(struct form *f, const struct raft_log *log) {
  put(f, log->base_index);
  put(f, log->last);
  put(f, log->stored);
  put(f, log->handed);
  put(f, log->memory_first);
  put(f, log->store_count);
  for (uint32_t i = 0; i < log->store_count; i++)
    put(f, log->stores[(log->store_head + i) % RAFT_STORES_MAX].last);
  for (raft_index i = log->memory_first; i <= log->last; i++) {
    struct raft_entry e;
    if (!raft_log_get(log, i, &e)) continue;
    put_entry(f, &e);
  }
}

static void put_peer(struct form *f, const struct raft_progress *p) {
  put(f, p->state);
  put(f, p->match);
  put(f, p->next);
  put(f, p->is_probing);
  put(f, p->is_loading);
  put(f, p->snapshot_index);
  put(f, p->is_shipped);
  put(f, p->is_resting);
  put(f, p->commit_sent);
  put(f, p->round_acked);
  put(f, p->round_sent);
  put(f, p->lap_end);
  put(f, p->is_caught_up);
  put(f, p->leaving_index);
  put(f, p->has_holes);
  put(f, p->count);
  for (uint32_t i = 0; i < p->count; i++) {
    uint32_t at = (p->head + i) % RAFT_INFLIGHT_MAX;
    put(f, p->flights[at].last);
    put(f, p->flights[at].bytes);
  }
}

static void put_peers(struct form *f, const struct raft *r) {
  put(f, r->peer_count);
  for (uint32_t place = 0; place < f->names->rules->count; place++)
    for (uint32_t i = 0; i < r->peer_count; i++) {
      if (renamed(f, r->peers[i].id) != place + 1u) continue;
      put(f, place);
      put_peer(f, &r->peers[i]);
    }
}

static void put_role(struct form *f, const struct raft *r) {
  put(f, r->state);
  put(f, renamed(f, r->leader));
  put(f, r->election_due == RAFT_NEVER);
  put(f, renamed_mask(f, r, r->ballot.granted));
  put(f, renamed_mask(f, r, r->ballot.refused));
  put(f, ahead(r, r->ballot.own_vote));
  put(f, r->ballot.is_transfer);
  put(f, renamed(f, r->ack.to));
  put(f, r->ack.index);
  put(f, r->ack.is_prompt);
  bool leads = r->state == RAFT_LEADER;
  put(f, leads ? r->term_start : 0);
  put(f, leads ? r->read_round : 0);
  put(f, renamed(f, r->heir));
  put(f, r->is_heir_told);
  put(f, r->is_retiring);
}

static void put_snapshots(struct form *f, const struct raft *r) {
  const struct raft_snapshots *s = &r->snapshots;
  put(f, s->index);
  put(f, s->term);
  put(f, s->reset.index);
  put(f, s->mark.index);
  put(f, ahead(r, s->reset_seq));
  put(f, ahead(r, s->mark_seq));
  put(f, s->marked);
  put(f, s->told);
  put(f, s->installing);
  put(f, s->is_install_due);
}

static void put_raft(struct form *f, const struct raft *r) {
  put(f, r->is_out_of_space);
  put(f, r->term);
  put(f, renamed(f, r->vote));
  put(f, r->hard_changed);
  put(f, ahead(r, r->hard_seq));
  put_role(f, r);
  put(f, r->commit);
  put(f, r->apply_handed);
  put(f, r->applied);
  put(f, r->last_time);
  put(f, r->lost.term);
  put(f, r->lost.index);
  put(f, r->newest_hole);
  put(f, r->is_bare);
  put(f, r->config_index);
  put(f, r->config_before_index);
  put(f, r->read_count);
  put(f, r->out.count);
  put_log(f, &r->log);
  put_snapshots(f, r);
  put_peers(f, r);
}

/* ---- its surroundings ---------------------------------------------------- */

static void put_disk(struct form *f, const struct site_disk *d) {
  put(f, d->term);
  put(f, renamed(f, d->vote));
  put(f, d->commit);
  put(f, d->last);
  for (raft_index i = 1; i <= d->last; i++)
    put_entries(f, d->log[i]->bytes, d->log[i]->size);
  put(f, d->count);
  for (uint32_t i = 0; i < d->count; i++) {
    const struct site_batch *b = &d->under_way[i];
    put(f, b->term);
    put(f, renamed(f, b->vote));
    put(f, b->commit);
    put(f, b->entries != NULL);
    if (b->entries != NULL) put_entries(f, b->entries->bytes, b->entries->size);
  }
}

static void put_store(struct form *f, const struct site_held *h) {
  put(f, h->fx.store.term);
  put(f, renamed(f, h->fx.store.vote));
  put(f, h->fx.store.commit);
  put(f, h->bytes != NULL);
  if (h->bytes != NULL) put_entries(f, h->bytes->bytes, h->bytes->size);
}

static void put_one_held(struct form *f, const struct site *s,
                         const struct site_held *h) {
  put(f, h->fx.kind);
  put(f, ahead(s->raft, h->fx.after));
  if (h->fx.kind == RAFT_FX_STORE) put_store(f, h);
  if (h->fx.kind == RAFT_FX_APPLY) put(f, h->fx.apply.first);
  if (h->fx.kind == RAFT_FX_APPLY) put(f, h->fx.apply.last);
  if (h->fx.kind == RAFT_FX_SEND)
    put_frame(f, s->place, site_place_of(s->rules, h->fx.to), h->bytes);
}

/* How many sends to the same peer wait before the i-th. */
static uint32_t rank(const struct site *s, uint32_t i) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < i; k++)
    n += s->held[k].fx.kind == RAFT_FX_SEND &&
         s->held[k].fx.to == s->held[i].fx.to;
  return n;
}

/* Sends to several peers keep no order: a sum. */
static uint64_t held_sends(const struct form *f, const struct site *s,
                           uint64_t *second) {
  uint64_t sum = 0;
  *second = 0;
  for (uint32_t i = 0; i < s->held_count; i++) {
    struct form one;
    struct canon_hash h;
    if (s->held[i].fx.kind != RAFT_FX_SEND) continue;
    begin(&one, f->names);
    put(&one, rank(s, i));
    put_one_held(&one, s, &s->held[i]);
    end(&one, &h);
    sum += h.a;
    *second += h.b;
  }
  return sum;
}

static void put_held(struct form *f, const struct site *s) {
  uint64_t second = 0;
  put(f, held_sends(f, s, &second));
  put(f, second);
  for (uint32_t i = 0; i < s->held_count; i++) {
    enum raft_effect_kind kind = s->held[i].fx.kind;
    if (kind == RAFT_FX_STORE || kind == RAFT_FX_APPLY)
      put_one_held(f, s, &s->held[i]);
  }
}

void canon_site(const struct site *s, const struct canon_names *names,
                struct canon_hash *out) {
  struct form f;
  begin(&f, names);
  put(&f, names->place[s->place]);
  put_raft(&f, s->raft);
  put_disk(&f, &s->disk);
  put_held(&f, s);
  put(&f, s->performed);
  end(&f, out);
}
