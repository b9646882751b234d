/* replication.c - appends, their answers, and what becomes committed.
 *
 * What must hold: a follower's log changes only where it differs from the
 * leader's [Raft 5.3]; an answer promises durable entries only; a leader
 * commits by counting only entries of its own term [Raft 5.4.2].
 */
#include <assert.h>
#include <string.h>

#include "config.h"
#include "quorum.h"
#include "replica.h"

#define SLICES_MAX       8 /* pieces of log in one append */
#define LOADED_BYTES_MAX (RAFT_FRAME_BYTES_MAX - RAFT_FRAME_FIXED_MAX)

/* ---- the follower -------------------------------------------------------- */

/* Why leadership shall not come here. */
static uint8_t reply_flags(const struct raft *r) {
  assert(r->is_started);
  unsigned avoid = r->is_avoiding ? RAFT_REPLY_AVOID : 0;
  unsigned repairing = raft_is_repairing(r) ? RAFT_REPLY_REPAIRING : 0;
  unsigned holes = raft_has_holes(r) ? RAFT_REPLY_HOLES : 0;
  return (uint8_t)(avoid | repairing | holes);
}

void raft_refuse_append(struct raft *r, raft_id to,
                        const struct raft_message *m) {
  assert(to != r->options.self);
  assert(m->kind == RAFT_MSG_APPEND);
  raft_index last = r->log.last;
  raft_index prev = m->append.prev_index;
  struct raft_message reply = {.kind = RAFT_MSG_APPEND_REPLY, .term = r->term};
  reply.append_reply.index = prev;
  reply.append_reply.hint_index =
      raft_log_agree(&r->log, prev < last ? prev : last, m->append.prev_term);
  reply.append_reply.hint_term =
      raft_log_term(&r->log, reply.append_reply.hint_index);
  reply.append_reply.round = m->term == r->term ? m->append.round : 0;
  reply.append_reply.wall = r->wall;
  reply.append_reply.flags = reply_flags(r);
  reply.append_reply.sum = raft_results_report(r);
  raft_send(r, to, raft_hard_after(r), &reply);
}

/* Does the append follow something that our log has? [Raft 5.3] */
static bool is_joining(const struct raft *r, const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_APPEND);
  assert(m->term == r->term);
  raft_index prev = m->append.prev_index;
  if (prev < r->log.base_index) return true; /* a snapshot covers it */
  if (prev > r->log.last) return false;
  return raft_log_term(&r->log, prev) == m->append.prev_term;
}

/* Appends `count` entries that were verified; room was reserved. */
static void extend(struct raft *r, struct raft_slice run, uint32_t count) {
  assert(run.size >= (size_t)count * RAFT_ENTRY_HEADER_BYTES);
  const uint8_t *end = run.data + run.size;
  const uint8_t *newest = run.data;
  const uint8_t *hole = NULL; /* the newest one without its command */
  bool has_config = false;
  for (const uint8_t *p = run.data; p < end; p += raft_entry_span(p)) {
    newest = p;
    if ((raft_entry_flags(p) & RAFT_ENTRY_STRIPPED) != 0) hole = p;
    if (raft_entry_kind(p) == RAFT_ENTRY_CONFIG) has_config = true;
  }
  r->last_time = raft_entry_time(newest);
  raft_log_append_raw(&r->log, run.data, run.size, count);
  raft_holes_grown(r, hole != NULL ? raft_entry_index(hole) : 0);
  for (const uint8_t *p = run.data; has_config && p < end;
       p += raft_entry_span(p)) {
    struct raft_entry e;
    raft_entry_view(p, &e);
    if (e.kind == RAFT_ENTRY_CONFIG) raft_config_append(r, &e);
  }
}

/* How many entries of the message do we have, at its front? */
static uint32_t known_entries(const struct raft *r,
                              const struct raft_message *m,
                              struct raft_slice *rest) {
  assert(m->kind == RAFT_MSG_APPEND);
  uint32_t n = 0;
  *rest = m->tail;
  for (; n < m->append.count; n++) {
    raft_index index = raft_entry_index(rest->data);
    raft_term term = raft_entry_term(rest->data);
    if (index > r->log.last) break;
    bool is_known =
        index <= r->log.base_index || raft_log_term(&r->log, index) == term;
    if (!is_known) break;
    size_t bytes = raft_entry_span(rest->data);
    assert(bytes <= rest->size);
    *rest = (struct raft_slice){rest->data + bytes, rest->size - bytes};
  }
  return n;
}

/* Keeps what agrees, drops what conflicts, appends what is new. [Raft 5.3] A
 * late or doubled message changes nothing: entries we have are skipped. The
 * answer: up to where our log equals the leader's, which is all of it unless
 * the disk is full. */
static raft_index merge(struct raft *r, const struct raft_message *m) {
  assert(r->state == RAFT_FOLLOWER);
  assert(m->term == r->term);
  struct raft_slice run;
  uint32_t known = known_entries(r, m, &run);
  if (run.size == 0) return m->append.prev_index + m->append.count;
  raft_index first = m->append.prev_index + known + 1;
  assert(first > r->commit); /* verify_entry refused the rest */
  if (r->is_out_of_space) return first - 1;
  if (first <= r->log.last) {
    raft_log_truncate(&r->log, first);
    raft_holes_cut(r, first);
    raft_config_truncate(r, first);
    if (r->ack.index >= first) r->ack.index = first - 1; /* took it back */
  }
  assert(first == r->log.last + 1);
  extend(r, run, m->append.count - known);
  return r->log.last;
}

static void owe_ack(struct raft *r, raft_id to, raft_index index,
                    const struct raft_message *m) {
  assert(r->state == RAFT_FOLLOWER);
  assert(r->leader == to);
  assert(index <= r->log.last);
  if (r->ack.to != to) r->ack = (struct raft_ack){.to = to};
  if (index > r->ack.index) r->ack.index = index;
  if (m->append.round > r->ack.round) r->ack.round = m->append.round;
  if (m->append.count == 0) r->ack.is_prompt = true;
}

void raft_on_append(struct raft *r, raft_id from,
                    const struct raft_message *m) {
  assert(from != r->options.self);
  assert(m->term == r->term);
  if (r->state == RAFT_LEADER || (r->leader != 0 && r->leader != from)) {
    r->bad_frames++; /* two leaders in one term: not from an honest peer */
    return;
  }
  raft_become_follower(r, r->term, from);
  r->leader_heard = r->now;
  raft_set_election_timer(r);
  if (m->append.verdict != RAFT_VERDICT_NONE || r->results.asked != 0)
    raft_on_verdict(r, m);
  if (!is_joining(r, m)) {
    /* To refuse is to ask for what is missing, which we could not take. */
    if (r->is_out_of_space)
      owe_ack(r, from, r->commit, m);
    else
      raft_refuse_append(r, from, m);
    return;
  }
  raft_index verified = merge(r, m);
  if (raft_is_repairing(r)) raft_repair_grown(r);
  /* Only what this message verified may be committed, not our stale tail. */
  raft_index commit = m->append.commit < verified ? m->append.commit : verified;
  if (commit > r->commit && commit <= r->log.last) r->commit = commit;
  raft_wait_or_not(r);
  owe_ack(r, from, verified > r->commit ? verified : r->commit, m);
}

static void send_ack(struct raft *r, raft_index index, raft_seq after) {
  assert(r->ack.to != 0);
  assert(index <= r->log.last);
  struct raft_message m;
  raft_message_begin(r, RAFT_MSG_APPEND_REPLY, &m);
  m.append_reply.accepted = true;
  m.append_reply.index = index;
  m.append_reply.round = r->ack.round;
  m.append_reply.wall = r->wall;
  m.append_reply.flags = reply_flags(r);
  if (r->results.count > 0) m.append_reply.sum = raft_results_report(r);
  raft_send(r, r->ack.to, after, &m);
}

/* One answer a turn; two when a part of it must wait for our disk. */
void raft_emit_acks(struct raft *r) {
  assert(r->ack.to == 0 || r->ack.to == r->leader);
  if (r->ack.to == 0) return;
  assert(r->ack.index <= r->log.last);
  if (raft_outbox_reserve(&r->out, 2, 2 * RAFT_SEND_BYTES) != RAFT_OK)
    return; /* next turn */
  raft_seq hard = raft_hard_after(r);
  raft_seq log = raft_log_after(&r->log, r->ack.index);
  raft_seq reset = raft_reset_after(r); /* what came before it is void */
  if (reset > log) log = reset;
  raft_seq after = log > hard ? log : hard;
  raft_index stored = reset > 0 ? 0 : r->log.stored;
  if (r->ack.is_prompt && after > hard) send_ack(r, stored, hard);
  send_ack(r, r->ack.index, after);
  r->ack = (struct raft_ack){0};
}

/* ---- the leader: sending ------------------------------------------------- */

static void append_after(struct raft *r, struct raft_progress *p,
                         struct raft_message *m) {
  assert(r->state == RAFT_LEADER);
  assert(p->next > 0);
  raft_message_begin(r, RAFT_MSG_APPEND, m);
  /* What is compacted we can not name; at 0 all logs agree. */
  bool is_compacted = p->next - 1 < r->log.base_index;
  m->append.prev_index = is_compacted ? 0 : p->next - 1;
  m->append.prev_term = raft_log_term(&r->log, m->append.prev_index);
  m->append.commit = r->commit;
  m->append.round = r->read_round;
  raft_put_verdict(r, p, m);
  p->commit_sent = r->commit;
  p->round_sent = r->read_round;
  if (!r->round_is_sent) raft_lease_round_sent(r);
  r->round_is_sent = true;
}

static void send_empty(struct raft *r, struct raft_progress *p) {
  assert(p->id != r->options.self);
  assert(p->next <= r->log.last + 1);
  struct raft_message m;
  append_after(r, p, &m);
  raft_send(r, p->id, 0, &m);
}

/* An append whose tail is slices of the log, which stay where they are. */
static void send_slices(struct raft *r, struct raft_progress *p,
                        raft_index last, const struct raft_slice *slices,
                        uint32_t count, size_t bytes) {
  assert(count > 0);
  assert(last >= p->next);
  struct raft_message m;
  append_after(r, p, &m);
  m.append.count = (uint32_t)(last - p->next + 1);
  m.tail.size = bytes;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_SEND, 0);
  size_t own_bytes = (count + 1) * sizeof(struct raft_slice);
  struct raft_slice *parts =
      raft_outbox_room(&r->out, own_bytes + RAFT_WIRE_HEAD_MAX);
  uint8_t *head = (uint8_t *)parts + own_bytes;
  size_t head_bytes = raft_wire_encode(&m, head);
  (void)raft_outbox_bytes(&r->out, own_bytes + head_bytes);
  parts[0] = (struct raft_slice){head, head_bytes};
  memcpy(parts + 1, slices, count * sizeof *slices);
  fx->to = p->id;
  fx->parts = parts;
  fx->part_count = count + 1;
  fx->covers = true; /* commit, round and verdict are in every append */
  raft_progress_sent(p, last, bytes);
}

static void ask_load(struct raft *r, struct raft_progress *p) {
  assert(p->next > r->log.base_index);
  assert(p->next < r->log.memory_first);
  if (p->is_loading) return;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_LOAD, 0);
  fx->load.peer = p->id;
  fx->load.first = p->next;
  fx->load.last = r->log.memory_first - 1;
  p->is_loading = true;
}

/* An append of the entries up to `last`, which are copied. */
static void send_copies(struct raft *r, struct raft_progress *p,
                        raft_index last, struct raft_slice tail) {
  assert(r->state == RAFT_LEADER);
  assert(last >= p->next);
  struct raft_message m;
  append_after(r, p, &m);
  m.append.count = (uint32_t)(last - p->next + 1);
  m.tail = tail;
  raft_send(r, p->id, 0, &m);
  raft_progress_sent(p, last, tail.size);
}

/* What a witness keeps of our log. */
static void send_stripped(struct raft *r, struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  struct raft_slice tail;
  raft_index last = raft_strip_log(r, p->next, raft_last_for(r, p), &tail);
  if (last == 0 || raft_reserve_send(r, tail.size) != RAFT_OK) return;
  send_copies(r, p, last, tail);
}

/* Sends one message of entries; false when there is nothing to send now. */
static bool send_some(struct raft *r, struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  assert(p->match < p->next);
  assert(p->next <= r->log.last);
  if (p->state == RAFT_SNAPSHOT) return false;
  raft_index last = raft_last_for(r, p);
  if (p->next > last) return false;
  if (p->next <= r->log.base_index) return false; /* a transfer rests */
  if (!raft_progress_can_send(p, r->options.inflight_bytes_max)) return false;
  if (p->next < r->log.memory_first) {
    ask_load(r, p);
    return false;
  }
  if (raft_is_stripped(r, p->id)) {
    raft_index next = p->next;
    send_stripped(r, p);
    return p->next > next; /* a probe does not go on, nor who has no room */
  }
  size_t room = (SLICES_MAX + 1) * sizeof(struct raft_slice) + 256;
  if (raft_outbox_reserve(&r->out, 1, room) != RAFT_OK) return false;
  struct raft_slice slices[SLICES_MAX];
  size_t bytes = 0;
  uint32_t count =
      raft_log_slices(&r->log, p->next, &last, r->options.message_bytes_max,
                      slices, SLICES_MAX, &bytes);
  assert(count > 0);
  send_slices(r, p, last, slices, count, bytes);
  return p->state == RAFT_REPLICATE;
}

/* Something without entries, if it must hear it. Who reads waits for an answer;
 * of what is committed most hear with the entries of the same turn. */
static void send_word(struct raft *r, struct raft_progress *p) {
  bool has_reads = raft_read_waits_for(r, p);
  bool is_behind = p->state == RAFT_REPLICATE && p->commit_sent < r->commit;
  if (!has_reads && !is_behind) return;
  if (raft_reserve_send(r, 0) != RAFT_OK) return;
  send_empty(r, p);
  assert(r->out.effects[r->out.count - 1].to == p->id);
  r->out.effects[r->out.count - 1].is_patient = !has_reads;
}

void raft_emit_appends(struct raft *r) {
  assert(r->peer_count <= RAFT_MEMBERS_MAX);
  if (r->state != RAFT_LEADER) return;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    struct raft_progress *p = &r->peers[i];
    if (p->next <= r->log.base_index)
      (void)raft_emit_ship(r, p); /* or not; then there may be entries */
    while (p->next <= r->log.last && send_some(r, p))
      continue;
    if (r->read_count > 0 || p->commit_sent < r->commit) send_word(r, p);
  }
}

int raft_on_loaded(struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_LOADED);
  assert(ev->loaded.peer != 0);
  struct raft_progress *p = raft_find_peer(r, ev->loaded.peer);
  if (p == NULL || !p->is_loading) return RAFT_OK; /* asked in another life */
  if (ev->loaded.entries.size > LOADED_BYTES_MAX) return RAFT_E_USAGE;
  bool is_there = p->next == ev->loaded.first && p->next > r->log.base_index;
  bool is_wanted = p->state != RAFT_SNAPSHOT && is_there &&
                   raft_progress_can_send(p, r->options.inflight_bytes_max);
  if (!is_wanted || ev->loaded.entries.size == 0) {
    p->is_loading = false;
    return RAFT_OK;
  }
  uint32_t count = 0;
  struct raft_slice tail = ev->loaded.entries;
  struct raft_entry e;
  for (struct raft_slice s = tail; s.size > 0; count++) {
    if (raft_entry_decode(s.data, s.size, &e) != RAFT_OK) return RAFT_E_CORRUPT;
    if (e.index != p->next + count) return RAFT_E_CORRUPT;
    if (raft_log_term(&r->log, e.index) != e.term) return RAFT_E_CORRUPT;
    s.data += raft_entry_bytes(&e);
    s.size -= raft_entry_bytes(&e);
  }
  int rc = raft_is_stripped(r, p->id) ? raft_strip_loaded(r, &tail) : RAFT_OK;
  if (rc == RAFT_OK) rc = raft_reserve_send(r, tail.size);
  if (rc != RAFT_OK) return rc;
  send_copies(r, p, p->next + count - 1, tail);
  p->is_loading = false;
  return RAFT_OK;
}

/* ---- the leader: life ---------------------------------------------------- */

/* [Raft 5.2] [Raft 8] take office: no-op first, so that all before commits. */
void raft_lead(struct raft *r) {
  assert(r->state == RAFT_CANDIDATE);
  assert(r->vote == r->options.self);
  r->state = RAFT_LEADER;
  r->leader = r->options.self;
  r->election_due = RAFT_NEVER;
  r->heartbeat_due = r->now + raft_heartbeat(r);
  r->read_round = 0;
  r->round_is_sent = false;
  raft_lease_reset(r);
  raft_results_lead(r);
  if (r->config.leases) raft_open_round(r); /* the no-op begins a lease */
  r->ack = (struct raft_ack){0};
  raft_peers_reset(r);
  for (uint32_t i = 0; i < r->peer_count; i++) {
    int at = raft_config_find(&r->config, r->peers[i].id);
    /* unreachable: peers are members */
    if (at >= 0) r->peers[i].wall = r->voter_walls[at];
  }
  r->pending_bytes = raft_log_bytes(&r->log, r->commit, r->log.last);
  struct raft_entry noop = {
      .index = r->log.last + 1,
      .term = r->term,
      .time = raft_stamp(r),
      .kind = RAFT_ENTRY_NOOP,
  };
  raft_log_append(&r->log, &noop); /* step has reserved it */
  r->last_time = noop.time;
  r->pending_bytes += raft_entry_bytes(&noop);
  r->term_start = r->log.last;
  assert(raft_log_last_term(&r->log) == r->term);
}

/* [Thesis 6.2] a leader that no commit quorum answers serves nobody. */
static bool has_lost_touch(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  uint64_t heard[RAFT_MEMBERS_MAX] = {0};
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    heard[i] = p != NULL ? p->heard : r->now;
  }
  raft_ms since = raft_quorum_value(&r->config, heard);
  assert(since <= r->now);
  return r->now - since > r->options.election_max_ms;
}

void raft_leader_tick(struct raft *r) {
  assert(r->is_started);
  if (r->state != RAFT_LEADER || r->now < r->heartbeat_due) return;
  if (has_lost_touch(r)) {
    raft_become_follower(r, r->term, 0);
    return;
  }
  r->heartbeat_due = r->now + raft_heartbeat(r);
  raft_results_tick(r);
  if (r->config.leases) raft_open_round(r); /* its answers prolong it */
  for (uint32_t i = 0; i < r->peer_count; i++) {
    raft_ship_tick(&r->peers[i]);
    send_empty(r, &r->peers[i]);
  }
}

void raft_on_unreachable(struct raft *r, raft_id peer) {
  assert(r->is_started);
  struct raft_progress *p = raft_find_peer(r, peer);
  if (p != NULL && p->state == RAFT_REPLICATE) raft_progress_probe(p);
}

/* ---- the leader: answers and commit -------------------------------------- */

/* [Raft 5.3] [Raft 5.4.2] the newest entry on a commit quorum, if it is of our
 * term; older ones follow with it. Our own disk counts like any other. */
void raft_advance_commit(struct raft *r) {
  if (r->state != RAFT_LEADER) return;
  uint64_t match[RAFT_MEMBERS_MAX]; /* so many of them as there are members */
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    match[i] = p != NULL ? p->match : r->log.stored;
  }
  raft_index index = raft_quorum_value(&r->config, match);
  assert(index <= r->log.last);
  if (index <= r->commit) return;
  if (raft_log_term(&r->log, index) != r->term) return;
  size_t settled = raft_log_bytes(&r->log, r->commit, index);
  r->pending_bytes -= settled < r->pending_bytes ? settled : r->pending_bytes;
  r->commit = index;
}

/* Does it say that damage has taken entries which it had? */
static bool is_repairing(const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  return (m->append_reply.flags & RAFT_REPLY_REPAIRING) != 0;
}

/* Where the logs may agree below what we counted on, all of that is in doubt;
 * and what it says may not be durable. So nothing counts but what it will
 * acknowledge. */
static void take_refusal(struct raft *r, struct raft_progress *p,
                         const struct raft_message *m) {
  assert(!m->append_reply.accepted);
  assert(p->match < p->next);
  raft_index hint = m->append_reply.hint_index;
  if (hint > r->log.last) hint = r->log.last;
  raft_index agree = raft_log_agree(&r->log, hint, m->append_reply.hint_term);
  if (is_repairing(m) && agree < p->match)
    raft_progress_retract(p, 0, agree);
  else
    (void)raft_progress_reject(p, m->append_reply.index, agree); /* or stale */
}

static void take_acceptance(struct raft *r, struct raft_progress *p,
                            const struct raft_message *m) {
  assert(m->append_reply.accepted);
  raft_index index = m->append_reply.index;
  assert(index <= r->log.last);
  if (is_repairing(m) && index < p->match)
    raft_progress_retract(p, index, index);
  else if (raft_progress_accept(p, index) && index > r->commit)
    raft_advance_commit(r); /* what is below tells nothing of what is above */
  if (p->lap_end != 0) raft_lap(r, p);
}

void raft_on_append_reply(struct raft *r, const struct raft_event *ev,
                          const struct raft_message *m) {
  assert(ev->kind == RAFT_EV_RECEIVE);
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  assert(m->term == r->term);
  struct raft_progress *p = raft_find_peer(r, ev->receive.from);
  if (p == NULL) return;
  bool is_leaving = p->leaving_index != 0;
  if (!is_leaving && !raft_counts(r, ev)) return;
  if (m->append_reply.index > r->log.last) {
    r->bad_frames++; /* nobody has what we never sent */
    return;
  }
  if (!is_leaving) raft_peer_speaks(r, p, ev->receive.incarnation);
  p->heard = r->now;
  p->wall = m->append_reply.wall;
  p->is_avoiding = m->append_reply.flags != 0;
  p->has_holes = (m->append_reply.flags & RAFT_REPLY_HOLES) != 0;
  uint64_t round = m->append_reply.round;
  if (round > p->round_acked && round <= p->round_sent) p->round_acked = round;
  raft_on_sum(r, p, m);
  if (!m->append_reply.accepted)
    take_refusal(r, p, m);
  else
    take_acceptance(r, p, m);
}
