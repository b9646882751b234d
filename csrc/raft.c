/* raft.c - birth, the one door (step), the term rule, and take.
 *
 * Step reserves what any handler may need before it changes anything: a
 * negative answer means that nothing has happened.
 */
#include "raft.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "replica.h"

/* ---- birth --------------------------------------------------------------- */

static void *default_alloc(void *ud, void *ptr, size_t old_size,
                           size_t new_size) {
  assert(ptr != NULL || old_size == 0);
  (void)ud;
  if (new_size > 0) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

static bool are_options_sound(const struct raft_options *o) {
  assert(o != NULL);
  if (o->self == 0 || o->heartbeat_ms == 0) return false;
  if (o->heartbeat_ms >= o->election_min_ms) return false;
  if (o->election_min_ms >= o->election_max_ms) return false;
  if (o->command_bytes_max > RAFT_COMMAND_BYTES_MAX) return false;
  if (o->message_bytes_max > RAFT_COMMAND_BYTES_MAX) return false;
  return o->message_bytes_max > 0 && o->inflight_bytes_max > 0;
}

struct raft *raft_new(const struct raft_options *options) {
  assert(options != NULL);
  if (!are_options_sound(options)) return NULL;
  raft_alloc alloc = options->alloc != NULL ? options->alloc : default_alloc;
  struct raft *r = alloc(options->alloc_ud, NULL, 0, sizeof *r);
  if (r == NULL) return NULL;
  memset(r, 0, sizeof *r);
  r->options = *options;
  r->options.alloc = alloc;
  r->random = options->seed;
  r->state = r->told_state = RAFT_FOLLOWER;
  r->election_due = r->heartbeat_due = r->read_resend = RAFT_NEVER;
  r->heir_due = RAFT_NEVER;
  r->ballot.round = raft_random(r) >> 1; /* never wraps, unlike any before */
  r->read_context = raft_random(r) >> 1;
  r->life = raft_random(r);
  raft_config_changed(r);
  raft_log_init(&r->log, alloc, options->alloc_ud);
  raft_outbox_init(&r->out, alloc, options->alloc_ud);
  raft_outbox_init(&r->taken, alloc, options->alloc_ud);
  return r;
}

void raft_free(struct raft *r) {
  if (r == NULL) return;
  raft_log_free(&r->log);
  raft_outbox_free(&r->out);
  raft_outbox_free(&r->taken);
  r->options.alloc(r->options.alloc_ud, r, sizeof *r, 0);
}

uint64_t raft_random(struct raft *r) { /* splitmix64 */
  uint64_t z = (r->random += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* ---- hard state and sending ---------------------------------------------- */

void raft_set_hard(struct raft *r, raft_term term, raft_id vote) {
  assert(term > 0);
  assert(term >= r->term);
  assert(term > r->term || r->vote == 0); /* one vote in a term */
  r->term = term;
  r->vote = vote;
  r->hard_changed = true;
}

raft_seq raft_hard_after(const struct raft *r) {
  assert(r->hard_seq <= r->log.seq_handed);
  if (r->hard_changed) return r->log.seq_handed + 1;
  return r->hard_seq > r->log.seq_stored ? r->hard_seq : 0;
}

int raft_reserve_send(struct raft *r, size_t tail_bytes) {
  assert(r != NULL);
  assert(tail_bytes <= RAFT_FRAME_BYTES_MAX);
  size_t bytes = RAFT_SEND_BYTES + tail_bytes + RAFT_OUTBOX_ALIGN;
  return raft_outbox_reserve(&r->out, 1, bytes);
}

void raft_send(struct raft *r, raft_id to, raft_seq after,
               const struct raft_message *m) {
  assert(m->term == r->term);
  assert(to != 0);
  assert(to != r->options.self);
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_SEND, after);
  struct raft_slice *part =
      raft_outbox_room(&r->out, sizeof *part + RAFT_WIRE_HEAD_MAX);
  uint8_t *data = (uint8_t *)part + sizeof *part;
  size_t size = raft_wire_encode(m, data);
  (void)raft_outbox_bytes(&r->out, sizeof *part + size + m->tail.size);
  if (m->tail.size > 0) memcpy(data + size, m->tail.data, m->tail.size);
  *part = (struct raft_slice){data, size + m->tail.size};
  fx->to = to;
  fx->parts = part;
  fx->part_count = 1;
}

/* ---- receiving ----------------------------------------------------------- */

static bool is_vote_coherent(const struct raft_message *m) {
  assert(m->kind != RAFT_MSG_NONE);
  if (m->kind != RAFT_MSG_VOTE) return true;
  if (m->vote.pre) return m->vote.for_term == m->term + 1;
  return m->vote.for_term == m->term;
}

/* [Raft 5.1] a higher term makes us its follower; but who only asks whether
 * it could win, or asks while a leader lives, does not disturb us. */
static void adopt_term(struct raft *r, raft_id from,
                       const struct raft_message *m) {
  assert(from != r->options.self);
  assert(m->term > r->term);
  if (m->kind == RAFT_MSG_TIMEOUT_NOW) return;
  if (m->kind == RAFT_MSG_VOTE && m->vote.pre) return;
  if (m->kind == RAFT_MSG_VOTE && !m->vote.transfer && raft_is_sticky(r))
    return;
  raft_become_follower(r, m->term, m->kind == RAFT_MSG_APPEND ? from : 0);
}

/* Messages of our own term, and those that carry their own proof of age. */
static void handle(struct raft *r, const struct raft_event *ev,
                   const struct raft_message *m, int verdict) {
  assert(r->is_started);
  assert(ev->kind == RAFT_EV_RECEIVE);
  raft_id from = ev->receive.from;
  bool is_current = m->term == r->term;
  /* unreachable: the last kinds are never decoded to here */
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: raft_on_vote(r, from, m); break;
  case RAFT_MSG_VOTE_REPLY: raft_on_vote_reply(r, ev, m); break;
  case RAFT_MSG_APPEND:
    if (is_current)
      raft_on_append(r, from, m);
    else
      raft_refuse_append(r, from, m); /* lets an old leader step down */
    break;
  case RAFT_MSG_APPEND_REPLY:
    if (is_current) raft_on_append_reply(r, ev, m);
    break;
  case RAFT_MSG_TIMEOUT_NOW:
    if (is_current) raft_on_timeout_now(r, from, m);
    break;
  case RAFT_MSG_PROPOSE: raft_on_propose_request(r, from, m, verdict); break;
  case RAFT_MSG_PROPOSE_REPLY: raft_on_propose_reply(r, m); break;
  case RAFT_MSG_READ: raft_on_read_request(r, from, m); break;
  case RAFT_MSG_READ_REPLY:
    if (is_current) raft_on_read_reply(r, from, m);
    break;
  case RAFT_MSG_NONE:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE:
  case RAFT_MSG_PING: break;
  }
}

static int receive(struct raft *r, const struct raft_event *ev) {
  assert(r->is_started);
  assert(ev->kind == RAFT_EV_RECEIVE);
  struct raft_slice frame = ev->receive.frame;
  struct raft_message m;
  if (ev->receive.from == 0 || ev->receive.from == r->options.self)
    return RAFT_E_USAGE; /* such a greeting is refused */
  int rc = raft_wire_decode(frame.data, frame.size, &m);
  if (rc == RAFT_E_UNSUPPORTED) return RAFT_OK; /* optional and unknown */
  /* unreachable: wire.c refuses such a vote */
  if (rc == RAFT_OK && !is_vote_coherent(&m)) rc = RAFT_E_CORRUPT;
  int verdict = RAFT_OK;
  if (rc == RAFT_OK && m.kind == RAFT_MSG_APPEND)
    rc = raft_append_prepare(r, &m);
  if (rc == RAFT_OK && m.kind == RAFT_MSG_PROPOSE) {
    verdict = raft_propose_prepare(r, &m);
    if (verdict == RAFT_E_CORRUPT) rc = verdict;
  }
  if (rc == RAFT_E_CORRUPT || rc == RAFT_E_VERSION) r->bad_frames++;
  if (rc != RAFT_OK) return rc;
  if (m.term > r->term) adopt_term(r, ev->receive.from, &m);
  handle(r, ev, &m, verdict);
  return RAFT_OK;
}

/* ---- the other events ---------------------------------------------------- */

/* An entry of a term that the hard state has not seen, or a configuration that
 * nobody told of: one of them is lost. [Raft 5.1] */
static int judge_recovery(struct raft *r, const struct raft_recovery *rec) {
  assert(!r->is_started);
  assert(r->log.last == rec->last);
  if (raft_log_last_term(&r->log) > rec->term) return RAFT_E_CORRUPT;
  if (!raft_config_is_newest(r)) return RAFT_E_CORRUPT;
  return raft_repair_begin(r, rec);
}

static int start(struct raft *r, const struct raft_recovery *rec) {
  assert(!r->is_started);
  assert(r->log.last == 0);
  static const struct raft_recovery empty;
  struct raft_recovery merged = rec != NULL ? *rec : empty;
  rec = &merged;
  int rc = raft_snapshot_merge(&merged);
  if (rc == RAFT_OK) rc = raft_config_recover(r, rec);
  if (rc == RAFT_OK) rc = raft_log_recover(&r->log, rec);
  if (rc == RAFT_OK) rc = raft_snapshot_recover(r, rec);
  if (rc == RAFT_OK) rc = judge_recovery(r, rec);
  if (rc != RAFT_OK) {
    raft_log_free(&r->log);
    memset(&r->snapshots, 0, sizeof r->snapshots);
    r->applied = r->apply_handed = r->commit = r->applied_time = 0;
    memset(&r->config, 0, sizeof r->config);
    memset(&r->config_before, 0, sizeof r->config_before);
    r->config_index = r->config_before_index = 0;
    raft_config_changed(r);
    return rc;
  }
  raft_holes_recover(r, rec);
  r->is_started = true;
  r->started = r->now;
  r->term = rec->term;
  r->vote = rec->vote;
  r->last_time = rec->last_time;
  /* The hint may be older than a lost tail; what is left of it is true. */
  raft_index hint = rec->commit < rec->last ? rec->commit : rec->last;
  if (hint > r->commit) r->commit = hint;
  raft_set_election_timer(r);
  assert(r->commit <= r->log.last);
  return RAFT_OK;
}

static void tick(struct raft *r) {
  assert(r->is_started);
  raft_transfer_tick(r);
  raft_leader_tick(r);
  raft_election_tick(r);
  raft_read_tick(r);
}

static int stored(struct raft *r, raft_seq seq) {
  assert(r->log.seq_stored <= r->log.seq_handed);
  if (seq > r->log.seq_handed) return RAFT_E_USAGE;
  if (seq <= r->log.seq_stored) return RAFT_OK;
  raft_log_stored(&r->log, seq);
  raft_election_stored(r);
  raft_snapshot_stored(r);
  raft_advance_commit(r);
  assert(r->log.seq_stored == seq);
  return RAFT_OK;
}

static int applied(struct raft *r, raft_index index) {
  assert(r->applied <= r->apply_handed);
  assert(r->apply_handed <= r->commit);
  if (index < r->applied || index > r->apply_handed) return RAFT_E_USAGE;
  r->applied = index;
  raft_snapshot_applied(r, index);
  const struct raft_block *w = r->log.window;
  if (w != NULL && index >= w->first + w->count - 1)
    raft_log_window_drop(&r->log);
  return RAFT_OK;
}

static int loaded(struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_LOADED);
  assert(r->apply_handed <= r->commit);
  if (ev->loaded.peer != 0) return raft_on_loaded(r, ev);
  bool is_wanted = r->is_apply_loading && ev->loaded.entries.size > 0 &&
                   ev->loaded.first == r->apply_handed + 1;
  if (!is_wanted) { /* too late, or nothing: it is asked for again */
    r->is_apply_loading = false;
    return RAFT_OK;
  }
  raft_index last = 0;
  int rc = raft_log_window(&r->log, ev->loaded.first, ev->loaded.entries.data,
                           ev->loaded.entries.size, &last);
  if (rc == RAFT_OK) r->is_apply_loading = false;
  assert(rc != RAFT_OK || r->log.window != NULL);
  return rc;
}

static int transfer(struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_TRANSFER);
  bool is_wish = r->state != RAFT_LEADER && ev->transfer.token != 0;
  if (!is_wish) return raft_on_transfer(r, ev->transfer.to);
  return raft_forward_transfer(r, ev->transfer.to, ev->transfer.token);
}

static int64_t dispatch(struct raft *r, const struct raft_event *ev) {
  assert(ev->now == r->now);
  assert(r->is_started || ev->kind == RAFT_EV_START);
  switch (ev->kind) {
  case RAFT_EV_START: return start(r, ev->start);
  case RAFT_EV_TICK: tick(r); return RAFT_OK;
  case RAFT_EV_RECEIVE: return receive(r, ev);
  case RAFT_EV_STORED: return stored(r, ev->stored);
  case RAFT_EV_APPLIED: return applied(r, ev->applied);
  case RAFT_EV_LOADED: return loaded(r, ev);
  case RAFT_EV_PROPOSE: return raft_on_propose(r, ev);
  case RAFT_EV_FORWARD: return raft_on_forward(r, ev);
  case RAFT_EV_READ: return raft_on_read(r, ev->read);
  case RAFT_EV_READ_LEASE: return raft_on_read_lease(r, ev->read);
  case RAFT_EV_FORM: return raft_on_form(r, ev->form);
  case RAFT_EV_UNREACHABLE:
    raft_on_unreachable(r, ev->unreachable);
    return RAFT_OK;
  case RAFT_EV_TRANSFER: return transfer(r, ev);
  case RAFT_EV_AVOID: return raft_on_avoid(r, ev->avoid);
  case RAFT_EV_RESULTS: return raft_on_results(r, &ev->results);
  case RAFT_EV_SPACE: r->is_out_of_space = !ev->has_space; return RAFT_OK;
  case RAFT_EV_COMPACTED: return raft_on_compacted(r, ev->compacted);
  case RAFT_EV_SNAPSHOT_MADE: return raft_on_snapshot_made(r, ev->snapshot);
  case RAFT_EV_CHANGE: return raft_on_change(r, ev);
  case RAFT_EV_SNAPSHOT_RECEIVED:
    return raft_on_snapshot_received(r, ev->snapshot);
  case RAFT_EV_SHIPPED: raft_on_shipped(r, ev); return RAFT_OK;
  case RAFT_EV_NONE: break;
  }
  return RAFT_E_USAGE;
}

/* Frames to all members and the no-op of a new leader fit afterwards. */
static int reserve(struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  uint32_t peers =
      r->peer_count > r->config.count ? r->peer_count : r->config.count;
  uint32_t sends = peers + 4;
  int rc = raft_outbox_reserve(&r->out, sends, sends * RAFT_SEND_BYTES);
  if (rc != RAFT_OK || r->state != RAFT_CANDIDATE) return rc;
  return raft_log_reserve(&r->log, RAFT_ENTRY_HEADER_BYTES, 1);
}

int64_t raft_step(struct raft *r, const struct raft_event *ev) {
  assert(r != NULL);
  assert(ev != NULL);
  bool is_start = ev->kind == RAFT_EV_START;
  if (is_start == r->is_started) return RAFT_E_USAGE; /* first, and once */
  if (ev->now < r->now) return RAFT_E_USAGE;          /* time runs backwards? */
  int rc = reserve(r);
  if (rc != RAFT_OK) return rc;
  raft_ms now = r->now;
  raft_ms wall = r->wall;
  r->now = ev->now;
  r->wall = ev->wall;
  int64_t result = dispatch(r, ev);
  if (result >= 0) return result;
  r->now = now;
  r->wall = wall;
  return result;
}

/* ---- take ---------------------------------------------------------------- */

/* The driver asks all its reads again when it hears of ROLE, so those that wait
 * here go with it. False: there is no room to say it. */
static bool emit_role(struct raft *r) {
  assert(r->state >= RAFT_FOLLOWER);
  assert(r->leader != r->options.self || r->state == RAFT_LEADER);
  bool is_told = r->told_state == r->state && r->told_term == r->term &&
                 r->told_leader == r->leader;
  if (is_told) return true;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return false;
  raft_drop_reads(r);
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_ROLE, 0);
  fx->role.term = r->told_term = r->term;
  fx->role.leader = r->told_leader = r->leader;
  r->told_state = r->state;
  fx->role.role = (uint8_t)r->state;
  return true;
}

static void emit_config(struct raft *r) {
  assert(r->config_index <= r->log.last);
  if (r->told_config == r->config_index) return;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_CONFIG, 0);
  fx->config = r->told_config = r->config_index;
}

static void put_mark(struct raft *r, struct raft_effect *fx) {
  const struct raft_place *mark = raft_mark_due(r);
  assert(fx->kind == RAFT_FX_STORE);
  if (mark == NULL) return;
  fx->store.mark_index = mark->index;
  fx->store.mark_term = mark->term;
  fx->store.is_reset = mark == &r->snapshots.reset;
  raft_mark_handed(r, fx->store.seq);
}

/* Is there anything that the disk was not given yet? */
static bool has_news(const struct raft *r) {
  assert(r->log.handed <= r->log.last);
  if (r->log.handed < r->log.last || r->hard_changed) return true;
  return raft_mark_due(r) != NULL;
}

/* All of it becomes one batch. */
static void emit_store(struct raft *r) {
  assert(has_news(r));
  assert(r->log.store_count <= RAFT_STORES_MAX);
  bool has_entries = r->log.handed < r->log.last;
  if (r->log.store_count == RAFT_STORES_MAX) return; /* next turn */
  raft_index first = r->log.handed + 1;
  uint32_t max = raft_log_slices_max(&r->log, first);
  size_t room = max * sizeof(struct raft_slice) + RAFT_OUTBOX_ALIGN;
  if (raft_outbox_reserve(&r->out, 1, room) != RAFT_OK) return;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_STORE, 0);
  struct raft_slice *parts = raft_outbox_bytes(&r->out, max * sizeof *parts);
  raft_index last = r->log.last;
  size_t bytes = 0;
  if (has_entries)
    fx->part_count =
        raft_log_slices(&r->log, first, &last, SIZE_MAX, parts, max, &bytes);
  assert(last == r->log.last);
  fx->parts = parts;
  fx->store.seq = raft_log_hand(&r->log);
  fx->store.term = r->term;
  fx->store.vote = r->vote;
  fx->store.hard_changed = r->hard_changed;
  fx->store.commit = r->commit;
  fx->store.first = first;
  fx->store.last = last;
  put_mark(r, fx);
  if (r->hard_changed) r->hard_seq = fx->store.seq;
  r->hard_changed = false;
}

static void emit_apply_load(struct raft *r, raft_index first) {
  assert(first == r->apply_handed + 1);
  assert(first <= r->commit);
  if (r->is_apply_loading || r->log.window != NULL) return; /* still in use? */
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  raft_index oldest = r->log.memory_first;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_LOAD, 0);
  fx->load.first = first;
  fx->load.last = r->commit < oldest ? r->commit : oldest - 1;
  r->is_apply_loading = true;
}

/* Up to where can entries from `first` on be read without the disk? */
static raft_index readable_from(const struct raft *r, raft_index first) {
  assert(first > r->log.base_index);
  assert(first <= r->commit);
  if (first >= r->log.memory_first) return r->commit;
  const struct raft_block *w = r->log.window;
  if (w == NULL || first < w->first) return 0;
  raft_index last = w->first + w->count - 1;
  return last < r->commit ? last : r->commit;
}

/* Followers may commit what our own disk was not given yet. Such an entry is
 * not handed out: its APPLY would be born before the STORE it waits for. */
static void emit_apply(struct raft *r) {
  assert(r->apply_handed <= r->commit);
  if (r->apply_handed == r->commit || r->snapshots.is_install_due) return;
  raft_index first = r->apply_handed + 1;
  raft_index last = readable_from(r, first);
  if (last > r->log.handed) last = r->log.handed;
  if (last < first && first > r->log.handed) return;
  if (last < first) {
    emit_apply_load(r, first);
    return;
  }
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  raft_seq after = raft_log_after(&r->log, last);
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_APPLY, after);
  fx->apply.first = first;
  fx->apply.last = last;
  r->apply_handed = last;
}

static raft_ms earlier(raft_ms a, raft_ms b) {
  return a < b ? a : b;
}

void raft_take(struct raft *r, struct raft_batch *batch) {
  assert(r != NULL);
  assert(batch != NULL);
  raft_log_settle(&r->log);
  raft_outbox_clear(&r->taken);
  if (r->state == RAFT_LEADER && !raft_is_at_rest(r)) raft_conduct(r);
  bool is_role_told = emit_role(r);
  emit_config(r);
  if (has_news(r)) emit_store(r);
  if (raft_mark_due(r) != NULL) emit_store(r); /* a batch holds one */
  if (r->snapshots.is_install_due) raft_emit_install(r);
  if (r->ack.to != 0) raft_emit_acks(r);
  if (r->state == RAFT_LEADER) raft_emit_appends(r);
  if (r->heir != 0) raft_emit_transfer(r);
  emit_apply(r);
  if (is_role_told && r->read_count > 0) raft_emit_reads(r);
  if (r->snapshots.marked > r->snapshots.told) raft_emit_compact(r);
  if (raft_may_differ(r)) raft_emit_diverged(r);
  raft_log_evict(&r->log, r->options.memory_bytes_max, r->applied);
  raft_outbox_swap(&r->out, &r->taken);
  batch->effects = r->taken.effects;
  batch->count = r->taken.count;
  batch->deadline = earlier(earlier(r->election_due, r->heartbeat_due),
                            earlier(r->read_resend, r->heir_due));
}
