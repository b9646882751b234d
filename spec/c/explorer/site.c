/* site.c - events in, effects out; what one replica promises is checked. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "config.h"
#include "entry.h"
#include "replica.h"
#include "wire.h"

void site_note(struct site *s, const char *broken) {
  if (s->broken == NULL) s->broken = broken;
}

/* ---- birth --------------------------------------------------------------- */

static void put_member(const struct site_rules *rules,
                       struct raft_config *config, uint32_t place) {
  struct raft_member *m = &config->members[config->count++];
  memset(m, 0, sizeof *m);
  m->id = rules->ids[place];
  m->role[0] = m->role[1] = m->goal = RAFT_ROLE_VOTER;
  memcpy(m->name, rules->names[place], sizeof rules->names[place]);
  snprintf(m->address, sizeof m->address, "h:%u", (unsigned)place + 1);
}

static void make_first(struct site_rules *rules) {
  struct raft_config config = {.election_min_ms = rules->election_min_ms};
  config.rule[0].kind = config.rule[1].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < rules->count - rules->strangers; i++)
    put_member(rules, &config, i);
  raft_config_sort(&config);
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&config, payload);
  e.payload = payload;
  rules->first = blob_new(raft_entry_bytes(&e));
  (void)raft_entry_encode(&e, rules->first->bytes); /* its size is known */
}

void site_rules_init(struct site_rules *rules, uint32_t count,
                     uint32_t strangers, uint32_t election_min_ms,
                     uint32_t election_max_ms, uint32_t heartbeat_ms) {
  *rules = (struct site_rules){
      .count = count,
      .strangers = strangers,
      .election_min_ms = election_min_ms,
      .election_max_ms = election_max_ms,
      .heartbeat_ms = heartbeat_ms,
  };
  for (uint32_t i = 0; i < count; i++) {
    rules->names[i][0] = 'n';
    rules->names[i][1] = (char)('1' + i);
    rules->ids[i] = raft_id_of(rules->names[i]);
  }
  make_first(rules);
}

void site_rules_free(struct site_rules *rules) {
  blob_drop(rules->first);
  rules->first = NULL;
}

uint32_t site_place_of(const struct site_rules *rules, raft_id id) {
  uint32_t i = 0;
  while (i < rules->count && rules->ids[i] != id)
    i++;
  return i;
}

static struct raft *make_raft(const struct site *s, uint64_t seed) {
  const struct site_rules *rules = s->rules;
  const struct raft_options options = {
      .self = rules->ids[s->place],
      .seed = seed,
      .election_min_ms = rules->election_min_ms,
      .election_max_ms = rules->election_max_ms,
      .heartbeat_ms = rules->heartbeat_ms,
      .command_bytes_max = 600,
      .pending_bytes_max = 65536,
      .message_bytes_max = 256,
      .inflight_bytes_max = 1024,
      .memory_bytes_max = 1u << 24, /* all of it: nothing is loaded */
  };
  return blob_need(raft_new(&options));
}

/* ---- the disk ------------------------------------------------------------ */

static void write_entry(struct site_disk *d, raft_index index,
                        struct blob *bytes) {
  if (index >= d->room) {
    d->room = d->room == 0 ? 4 : 2 * d->room;
    d->log = blob_need(realloc(d->log, d->room * sizeof *d->log));
  }
  for (raft_index i = index; i <= d->last; i++)
    blob_drop(d->log[i]);
  d->log[index] = bytes;
  d->last = index;
}

static void check_batch(struct site *s, const struct site_batch *b) {
  const struct site_disk *d = &s->disk;
  if (b->term < d->term) site_note(s, "a batch takes a term back");
  if (b->term == d->term && d->vote != 0 && b->vote != d->vote)
    site_note(s, "a batch changes a vote that was durable");
}

/* The oldest batch becomes durable. */
static void complete(struct site *s) {
  struct site_disk *d = &s->disk;
  struct site_batch b = d->under_way[0];
  d->count--;
  memmove(d->under_way, d->under_way + 1, d->count * sizeof b);
  check_batch(s, &b);
  d->term = b.term;
  d->vote = b.vote;
  d->commit = b.commit;
  for (size_t at = 0; b.entries != NULL && at < b.entries->size;) {
    struct raft_entry e;
    raft_entry_view(b.entries->bytes + at, &e);
    if (e.index > d->last + 1 || e.index == 0) {
      site_note(s, "a batch leaves a hole in the log");
      break;
    }
    write_entry(d, e.index,
                blob_of(b.entries->bytes + at, raft_entry_bytes(&e)));
    at += raft_entry_bytes(&e);
  }
  blob_drop(b.entries);
}

static void perform_store(struct site *s, struct site_held *h) {
  struct site_disk *d = &s->disk;
  if (d->count == RAFT_STORES_MAX) {
    site_note(s, "more stores under way than the core says");
    return;
  }
  d->under_way[d->count++] = (struct site_batch){
      .seq = h->fx.store.seq,
      .term = h->fx.store.term,
      .vote = h->fx.store.vote,
      .commit = h->fx.store.commit,
      .entries = blob_share(h->bytes),
  };
}

/* ---- effects ------------------------------------------------------------- */

/* [Raft 5.1] [Raft 5.2] a term, a vote, an acknowledgement that has left is
 * never taken back: the disk must hold it. */
static void check_send(struct site *s, raft_id to, const struct blob *frame) {
  struct raft_message m;
  const struct site_disk *d = &s->disk;
  if (raft_wire_decode(frame->bytes, frame->size, &m) != RAFT_OK) {
    site_note(s, "a frame that nobody can read");
    return;
  }
  if (m.term > d->term) site_note(s, "a term left before it was durable");
  bool is_current = m.term == d->term;
  if (m.kind == RAFT_MSG_VOTE && !m.vote.pre && is_current &&
      d->vote != s->rules->ids[s->place])
    site_note(s, "a vote for itself left before it was durable");
  if (m.kind == RAFT_MSG_VOTE_REPLY && !m.vote_reply.pre &&
      m.vote_reply.granted && is_current && d->vote != to)
    site_note(s, "a vote left before it was durable");
  if (m.kind == RAFT_MSG_APPEND_REPLY && m.append_reply.accepted &&
      is_current && m.append_reply.index > d->last)
    site_note(s, "an answer left before its entries were durable");
}

static void perform_apply(struct site *s, const struct raft_effect *fx) {
  for (raft_index i = fx->apply.first; i <= fx->apply.last; i++) {
    struct raft_entry e;
    if (i != s->performed + 1) site_note(s, "applied out of order");
    s->performed = i;
    if (!raft_entry_at(s->raft, i, &e)) {
      site_note(s, "nothing to apply");
      return;
    }
    struct raft_entry stored = {.term = 0};
    if (i <= s->disk.last) raft_entry_view(s->disk.log[i]->bytes, &stored);
    if (stored.term != e.term) site_note(s, "applied before it was durable");
  }
}

static void perform(struct site *s, struct site_held *h, struct site_net *net) {
  switch (h->fx.kind) {
  case RAFT_FX_STORE: perform_store(s, h); break;
  case RAFT_FX_SEND:
    check_send(s, h->fx.to, h->bytes);
    net->send(net, s->place, site_place_of(s->rules, h->fx.to),
              blob_share(h->bytes));
    break;
  case RAFT_FX_APPLY: perform_apply(s, &h->fx); break;
  case RAFT_FX_ROLE:
  case RAFT_FX_CONFIG: break; /* news for the driver */
  case RAFT_FX_LOAD:
  case RAFT_FX_READ:
  case RAFT_FX_FORWARDED:
  case RAFT_FX_SHIP:
  case RAFT_FX_INSTALL:
  case RAFT_FX_COMPACT:
  case RAFT_FX_DIVERGED:
  case RAFT_FX_NONE: site_note(s, "an effect that nothing asked for"); break;
  }
  blob_drop(h->bytes);
}

static void hold(struct site *s, const struct raft_effect *fx) {
  if (s->held_count == SITE_HELD) {
    site_note(s, "more effects wait than ever should");
    return;
  }
  if (s->held_count == s->held_room) {
    s->held_room = s->held_room == 0 ? 4 : 2 * s->held_room;
    s->held = blob_need(realloc(s->held, s->held_room * sizeof *s->held));
  }
  struct site_held *h = &s->held[s->held_count++];
  size_t size = 0;
  for (uint32_t i = 0; i < fx->part_count; i++)
    size += fx->parts[i].size;
  h->fx = *fx;
  h->fx.parts = NULL;
  h->fx.part_count = 0;
  h->bytes = size > 0 ? blob_new(size) : NULL;
  size_t at = 0;
  for (uint32_t i = 0; i < fx->part_count; i++) {
    memcpy(h->bytes->bytes + at, fx->parts[i].data, fx->parts[i].size);
    at += fx->parts[i].size;
  }
}

static bool is_ordered(const struct raft_effect *fx) {
  return fx->kind == RAFT_FX_STORE || fx->kind == RAFT_FX_APPLY;
}

/* Performs what may be, in order; the rest stays. */
static void perform_due(struct site *s, struct site_net *net) {
  bool is_blocked = false;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->held_count; i++) {
    struct site_held h = s->held[i];
    bool waits = h.fx.after > s->reported;
    if (is_ordered(&h.fx)) is_blocked = waits = waits || is_blocked;
    if (waits)
      s->held[kept++] = h;
    else
      perform(s, &h, net);
  }
  s->held_count = kept;
}

/* ---- events -------------------------------------------------------------- */

/* [Raft 5.4.2] by counting a leader commits entries of its own term only. */
static bool has_counted_old(const struct raft *r,
                            const struct raft_facts *before) {
  if (before->state != RAFT_LEADER || r->state != RAFT_LEADER) return false;
  if (r->commit == before->commit) return false;
  return raft_log_term(&r->log, r->commit) != r->term;
}

static void check(struct site *s, const struct raft_facts *before) {
  if (s->is_thorough) site_note(s, raft_check(s->raft));
  site_note(s, raft_check_step(before, s->raft));
  if (has_counted_old(s->raft, before))
    site_note(s, "a leader committed an old entry by counting");
}

static int64_t step(struct site *s, struct raft_event *ev) {
  ev->now = s->now;
  ev->wall = 1; /* stamps are data; the same for all */
  struct raft_facts before = raft_facts_of(s->raft);
  int64_t rc = raft_step(s->raft, ev);
  check(s, &before);
  return rc;
}

static void must(struct site *s, struct raft_event *ev, const char *broken) {
  if (step(s, ev) != RAFT_OK) site_note(s, broken);
}

static void flush(struct site *s, struct site_net *net) {
  raft_index told = 0;
  do { /* again, when the applied entries were told */
    struct raft_batch batch;
    struct raft_facts before = raft_facts_of(s->raft);
    told = s->performed;
    raft_take(s->raft, &batch);
    check(s, &before);
    s->deadline = batch.deadline;
    for (uint32_t i = 0; i < batch.count; i++)
      hold(s, &batch.effects[i]);
    perform_due(s, net);
    struct raft_event ev = {.kind = RAFT_EV_APPLIED, .applied = s->performed};
    if (s->performed > told) must(s, &ev, "a report of applying was refused");
  } while (s->performed > told && s->broken == NULL);
}

void site_tick(struct site *s, struct site_net *net) {
  struct raft_event ev = {.kind = RAFT_EV_TICK};
  must(s, &ev, "a tick failed");
  flush(s, net);
}

void site_hear(struct site *s, uint32_t from, struct blob *frame,
               struct site_net *net) {
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = s->rules->ids[from];
  ev.receive.frame = (struct raft_slice){frame->bytes, frame->size};
  must(s, &ev, "a frame was refused");
  flush(s, net);
}

int64_t site_propose(struct site *s, const char *command, size_t size,
                     struct site_net *net) {
  struct raft_slice slice = {(const uint8_t *)command, size};
  struct raft_event ev = {.kind = RAFT_EV_PROPOSE};
  ev.propose.commands = &slice;
  ev.propose.count = 1;
  int64_t rc = step(s, &ev);
  flush(s, net);
  return rc;
}

int64_t site_change(struct site *s, uint32_t place, struct site_net *net) {
  struct raft_event ev = {.kind = RAFT_EV_CHANGE};
  struct raft_config target =
      *raft_config_in_force(s->raft, &ev.change.based_on);
  int at = raft_config_find(&target, s->rules->ids[place]);
  if (at >= 0) {
    target.members[at].goal = RAFT_ROLE_NONE;
  } else {
    put_member(s->rules, &target, place);
    raft_config_sort(&target);
  }
  ev.change.target = &target;
  int64_t rc = step(s, &ev);
  flush(s, net);
  return rc;
}

void site_store(struct site *s, uint32_t count, struct site_net *net) {
  for (; count > 0 && s->disk.count > 0; count--) {
    s->reported = s->disk.under_way[0].seq;
    complete(s);
  }
  struct raft_event ev = {.kind = RAFT_EV_STORED, .stored = s->reported};
  must(s, &ev, "a report of the disk was refused");
  perform_due(s, net); /* released by the report itself */
  flush(s, net);
}

/* ---- life and death ------------------------------------------------------ */

static struct blob *recover(const struct site_disk *d, struct raft_run *runs,
                            struct raft_recovery *rec) {
  size_t size = 0;
  for (raft_index i = 1; i <= d->last; i++)
    size += d->log[i]->size;
  struct blob *tail = blob_new(size);
  size = 0;
  for (raft_index i = 1; i <= d->last; i++) {
    struct raft_entry e;
    raft_entry_view(d->log[i]->bytes, &e);
    size_t n = rec->run_count;
    if (n == 0 || runs[n - 1].term != e.term)
      runs[rec->run_count++] = (struct raft_run){.first = i, .term = e.term};
    memcpy(tail->bytes + size, d->log[i]->bytes, d->log[i]->size);
    size += d->log[i]->size;
    rec->last_time = e.time;
    if (e.kind != RAFT_ENTRY_CONFIG) continue;
    rec->config_before = rec->config;
    rec->config.index = i;
    rec->config.payload =
        (struct raft_slice){d->log[i]->bytes + RAFT_ENTRY_HEADER_BYTES,
                            d->log[i]->size - RAFT_ENTRY_HEADER_BYTES};
  }
  rec->runs = runs;
  rec->tail_first = 1;
  rec->tail = (struct raft_slice){tail->bytes, size};
  return tail;
}

static void start(struct site *s, uint64_t seed, struct site_net *net) {
  const struct site_disk *d = &s->disk;
  s->raft = make_raft(s, seed);
  s->reported = 0;
  s->performed = 0;
  struct raft_run *runs = blob_need(malloc((d->last + 1) * sizeof *runs));
  struct raft_recovery rec = {
      .term = d->term, .vote = d->vote, .commit = d->commit, .last = d->last};
  struct blob *tail = recover(d, runs, &rec);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = &rec};
  must(s, &ev, "a recovery failed");
  blob_drop(tail);
  free(runs);
  flush(s, net);
}

static void forget(struct site *s) {
  for (uint32_t i = 0; i < s->held_count; i++)
    blob_drop(s->held[i].bytes);
  for (uint32_t i = 0; i < s->disk.count; i++)
    blob_drop(s->disk.under_way[i].entries);
  s->held_count = 0;
  s->disk.count = 0;
  raft_free(s->raft);
  s->raft = NULL;
}

void site_crash(struct site *s, uint32_t keep, uint64_t seed,
                struct site_net *net) {
  for (; keep > 0 && s->disk.count > 0; keep--)
    complete(s);
  forget(s);
  start(s, seed, net);
}

static void say_nothing(struct site_net *net, uint32_t from, uint32_t to,
                        struct blob *frame) {
  (void)net, (void)from, (void)to; /* a follower that starts sends nothing */
  blob_drop(frame);
}

void site_init(struct site *s, const struct site_rules *rules, uint32_t place,
               uint64_t seed) {
  struct site_net net = {.send = say_nothing};
  *s = (struct site){.rules = rules, .place = place, .is_thorough = true};
  s->now = 2 * rules->election_min_ms; /* so that nothing was before 0 */
  if (place + rules->strangers < rules->count) {
    s->disk.term = 1;
    s->disk.commit = 1;
    write_entry(&s->disk, 1, blob_share(rules->first));
  }
  start(s, seed, &net);
}

void site_free(struct site *s) {
  forget(s);
  free(s->held);
  for (raft_index i = 1; i <= s->disk.last; i++)
    blob_drop(s->disk.log[i]);
  free(s->disk.log);
}

void site_copy(const struct site *from, struct site *to) {
  *to = *from;
  to->raft = blob_need(raft_clone(from->raft));
  to->held_room = from->held_count;
  to->held = NULL;
  if (from->held_count > 0)
    to->held = blob_need(malloc(from->held_count * sizeof *to->held));
  for (uint32_t i = 0; i < from->held_count; i++) {
    to->held[i] = from->held[i];
    (void)blob_share(to->held[i].bytes); /* counted, and in the copy */
  }
  for (uint32_t i = 0; i < from->disk.count; i++)
    (void)blob_share(from->disk.under_way[i].entries);
  to->disk.room = (uint32_t)from->disk.last + 2;
  to->disk.log = blob_need(malloc(to->disk.room * sizeof *to->disk.log));
  for (raft_index i = 1; i <= from->disk.last; i++)
    to->disk.log[i] = blob_share(from->disk.log[i]);
}
