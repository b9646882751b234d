/* atlas.c - states and frames as numbers, and what leads from one to the next.
 */
#include "atlas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "entry.h"
#include "replica.h"

/* ---- tables -------------------------------------------------------------- */

/* Room for one more of `size` bytes. */
static void *grow(void *list, uint32_t count, uint32_t *room, size_t size) {
  if (count < *room) return list;
  *room = *room == 0 ? 256 : 2 * *room;
  return blob_need(realloc(list, *room * size));
}

/* A table is kept at most half full; `hash_of` gives the hash of number i. */
struct table {
  uint32_t **slots;
  uint32_t *room;
  uint64_t (*hash_of)(const struct atlas *a, uint32_t i);
};

static void put_slot(uint32_t *slots, uint32_t room, uint64_t hash,
                     uint32_t i) {
  uint64_t at = hash & (room - 1);
  while (slots[at] != 0)
    at = (at + 1) & (room - 1);
  slots[at] = i + 1;
}

static void insert(const struct atlas *a, const struct table *t, uint32_t i) {
  if (2 * (i + 1) > *t->room) {
    uint32_t room = *t->room == 0 ? 1024 : 2 * *t->room;
    uint32_t *slots = blob_need(calloc(room, sizeof *slots));
    for (uint32_t k = 0; k < i; k++)
      put_slot(slots, room, t->hash_of(a, k), k);
    free(*t->slots);
    *t->slots = slots;
    *t->room = room;
  }
  put_slot(*t->slots, *t->room, t->hash_of(a, i), i);
}

static uint64_t site_hash(const struct atlas *a, uint32_t i) {
  return a->sites[i].shapes[0].a;
}

static uint64_t frame_hash(const struct atlas *a, uint32_t i) {
  return a->frames[i].shapes[0].a;
}

static uint64_t mixed(uint64_t key) {
  key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
  return key ^ key >> 29;
}

static uint64_t key_hash(const struct atlas *a, uint32_t i) {
  return mixed(a->keys[i]);
}

static bool is_same(struct canon_hash x, struct canon_hash y) {
  return x.a == y.a && x.b == y.b;
}

/* ---- renamings ----------------------------------------------------------- */

/* Strangers keep their places: they are unlike the others. */
static void add_shapes(struct atlas *a, uint8_t *places, uint32_t from) {
  uint32_t n = a->rules.count - a->rules.strangers;
  if (from == n) memcpy(a->shapes[a->shape_count++], places, SITE_MAX);
  for (uint32_t i = from; i < n; i++) {
    uint8_t swap = places[from];
    places[from] = places[i], places[i] = swap;
    add_shapes(a, places, from + 1);
    swap = places[from];
    places[from] = places[i], places[i] = swap;
  }
}

static struct canon_names names_of(const struct atlas *a, uint32_t shape) {
  struct canon_names names = {.rules = &a->rules};
  memcpy(names.place, a->shapes[shape], SITE_MAX);
  for (uint32_t i = 0; i < SITE_MAX; i++)
    names.rounds[i] = ATLAS_OPEN;
  return names;
}

/* ---- frames -------------------------------------------------------------- */

/* The same question or answer, under another round. */
static struct blob *with_round(struct blob *frame, uint64_t round) {
  struct raft_message m;
  uint8_t head[RAFT_FRAME_FIXED_MAX];
  (void)raft_wire_decode(frame->bytes, frame->size, &m); /* it was read once */
  if (m.kind == RAFT_MSG_VOTE) m.vote.round = round;
  if (m.kind == RAFT_MSG_VOTE_REPLY) m.vote_reply.round = round;
  return blob_of(head, raft_wire_encode(&m, head));
}

/* All frames that tell nothing but this term are one. */
static struct blob *term_only(raft_term term) {
  uint8_t head[RAFT_FRAME_FIXED_MAX];
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = term};
  m.vote_reply.for_term = term;
  m.vote_reply.round = ATLAS_CLOSED;
  return blob_of(head, raft_wire_encode(&m, head));
}

/* Whose ballot does it carry? SITE_MAX: none. */
static uint32_t owner_of(const struct raft_message *m, uint32_t from,
                         uint32_t to) {
  if (m->kind == RAFT_MSG_VOTE) return from;
  return m->kind == RAFT_MSG_VOTE_REPLY ? to : SITE_MAX;
}

static uint16_t find_frame(const struct atlas *a, struct canon_hash h) {
  if (a->by_frame_room == 0) return UINT16_MAX;
  uint64_t at = h.a & (a->by_frame_room - 1);
  for (; a->by_frame[at] != 0; at = (at + 1) & (a->by_frame_room - 1)) {
    uint32_t i = a->by_frame[at] - 1;
    if (is_same(a->frames[i].shapes[0], h)) return (uint16_t)i;
  }
  return UINT16_MAX;
}

static void note_terms(struct atlas_frame *f) {
  const uint8_t *at = f->m.tail.data;
  f->terms[0] = 0;
  for (uint32_t i = 0; i < f->m.append.count; i++) {
    struct raft_entry e;
    raft_entry_view(at, &e);
    if (e.index < ATLAS_INDEXES) f->terms[e.index] = (uint8_t)e.term;
    at += raft_entry_bytes(&e);
  }
}

/* Takes the bytes over. */
static uint16_t intern_frame(struct atlas *a, uint32_t from, uint32_t to,
                             struct blob *bytes) {
  struct canon_names names = names_of(a, 0);
  struct canon_hash h;
  struct raft_message m;
  (void)raft_wire_decode(bytes->bytes, bytes->size, &m); /* it was sent */
  if (canon_is_term_only(&m, ATLAS_OPEN)) {
    blob_drop(bytes);
    bytes = term_only(m.term);
    from = to == 0; /* anybody */
  }
  canon_frame(from, to, bytes, &names, &h);
  uint16_t known = find_frame(a, h);
  if (known != UINT16_MAX) {
    blob_drop(bytes);
    return known;
  }
  if (a->frame_count == UINT16_MAX) {
    fprintf(stderr, "more frames than 16 bits can name\n");
    exit(2);
  }
  a->frames =
      grow(a->frames, a->frame_count, &a->frame_room, sizeof *a->frames);
  uint32_t i = a->frame_count++;
  struct atlas_frame *f = &a->frames[i];
  *f = (struct atlas_frame){.bytes = bytes, .from = (uint8_t)from};
  f->to = (uint8_t)to;
  f->aged = f->spent = UINT16_MAX;
  (void)raft_wire_decode(bytes->bytes, bytes->size, &f->m); /* it was sent */
  f->key = from | to << 4 | (uint32_t)f->m.kind << 8 |
           (uint32_t)f->m.term << 16; /* terms are small */
  if (f->m.kind == RAFT_MSG_APPEND) note_terms(f);
  f->shapes = blob_need(malloc(a->shape_count * sizeof *f->shapes));
  for (uint32_t k = 0; k < a->shape_count; k++) {
    names = names_of(a, k);
    canon_frame(from, to, bytes, &names, &f->shapes[k]);
  }
  insert(a, &(struct table){&a->by_frame, &a->by_frame_room, frame_hash}, i);
  return (uint16_t)i;
}

uint16_t atlas_age(struct atlas *a, uint16_t frame, uint32_t owner) {
  struct atlas_frame *f = &a->frames[frame];
  if (owner_of(&f->m, f->from, f->to) != owner) return frame;
  if (f->aged != UINT16_MAX) return f->aged;
  struct blob *bytes = f->m.kind == RAFT_MSG_VOTE
                           ? with_round(f->bytes, ATLAS_CLOSED)
                           : term_only(f->m.term);
  uint16_t aged = intern_frame(a, f->from, f->to, bytes);
  a->frames[frame].aged = aged; /* the list may have moved */
  a->frames[aged].aged = aged;
  return aged;
}

static bool is_answer_dead(const struct atlas_frame *f,
                           const struct atlas_view *v) {
  if (f->m.term < v->disk_term || v->state != RAFT_LEADER) return true;
  raft_index match = v->match[f->from];
  if (f->m.append_reply.accepted) return f->m.append_reply.index < match;
  return f->m.append_reply.index <= match;
}

bool atlas_is_dead(const struct atlas *a, uint16_t frame, uint32_t site) {
  const struct atlas_frame *f = &a->frames[frame];
  const struct atlas_view *v = &a->sites[site].view;
  bool is_stranger = v->state == RAFT_LEADER &&
                     (v->members >> f->from & 1u) == 0; /* it is told */
  if (f->m.kind == RAFT_MSG_VOTE && is_stranger) return false;
  if (f->m.kind == RAFT_MSG_TIMEOUT_NOW) return f->m.term < v->disk_term;
  if (f->m.kind == RAFT_MSG_VOTE && f->m.vote.round == ATLAS_CLOSED)
    return f->m.vote.pre || v->disk_term > f->m.term ||
           (v->disk_term == f->m.term && v->disk_vote != 0);
  if (f->m.term > v->disk_term) return false; /* it may bring a new term */
  if (f->m.kind == RAFT_MSG_VOTE_REPLY)
    return f->m.vote_reply.round == ATLAS_CLOSED;
  if (f->m.kind == RAFT_MSG_APPEND_REPLY) return is_answer_dead(f, v);
  return false;
}

bool atlas_is_spent(const struct atlas *a, uint16_t frame, uint32_t site,
                    bool crashes) {
  const struct atlas_frame *f = &a->frames[frame];
  const struct atlas_view *v = &a->sites[site].view;
  if (f->m.kind != RAFT_MSG_APPEND || f->m.term > v->disk_term) return false;
  if (f->m.term < v->disk_term) return true; /* refused, whatever it has */
  if (!v->has_leader) return false;          /* its answer was not sent */
  raft_index first = f->m.append.prev_index;
  raft_index last = first + f->m.append.count;
  raft_index commit = f->m.append.commit < last ? f->m.append.commit : last;
  if (commit > (crashes ? v->disk_commit : v->commit)) return false;
  if (last > v->disk_last || v->disk_terms[first] != f->m.append.prev_term)
    return false;
  for (raft_index i = first + 1; i <= last; i++)
    if (v->disk_terms[i] != f->terms[i]) return false;
  return true;
}

uint16_t atlas_spend(struct atlas *a, uint16_t frame) {
  struct atlas_frame *f = &a->frames[frame];
  if (f->spent != UINT16_MAX) return f->spent;
  uint8_t head[RAFT_FRAME_FIXED_MAX];
  struct raft_message m = f->m;
  m.append.count = 0;
  m.append.commit = 0;
  m.tail = (struct raft_slice){NULL, 0};
  uint16_t spent = intern_frame(a, f->from, f->to,
                                blob_of(head, raft_wire_encode(&m, head)));
  a->frames[frame].spent = spent; /* the list may have moved */
  a->frames[spent].spent = spent;
  return spent;
}

/* ---- sites --------------------------------------------------------------- */

/* Of all entries up to this one. */
static uint64_t chain(uint64_t before, const struct raft_entry *e) {
  uint64_t h = mixed(before ^ mixed(e->index) ^ mixed(e->term << 8));
  for (uint32_t i = 0; i < e->size; i++)
    h = mixed(h ^ e->payload[i]);
  return mixed(h ^ e->kind) | 1;
}

static void view_logs(const struct site *s, struct atlas_view *v) {
  struct raft_entry e;
  for (raft_index i = 1; i <= s->raft->log.last; i++) {
    if (!raft_entry_at(s->raft, i, &e)) continue;
    v->terms[i] = (uint8_t)e.term;
    v->prefix[i] = chain(v->prefix[i - 1], &e);
  }
  for (raft_index i = 1; i <= s->disk.last; i++) {
    raft_entry_view(s->disk.log[i]->bytes, &e);
    v->disk_terms[i] = (uint8_t)e.term;
    v->disk_prefix[i] = chain(v->disk_prefix[i - 1], &e);
  }
}

static uint8_t place_plus_1(const struct site *s, raft_id id) {
  return id == 0 ? 0 : (uint8_t)(1 + site_place_of(s->rules, id));
}

static void view_config(const struct site *s, struct atlas_view *v) {
  const struct raft *r = s->raft;
  const struct raft_config *c = &r->config;
  for (uint32_t i = 0; i < c->count; i++) {
    unsigned bit = 1u << site_place_of(s->rules, c->members[i].id);
    v->members = (uint8_t)(v->members | bit);
    for (int half = RAFT_OLD; half <= RAFT_NEW; half++)
      if (c->members[i].role[half] == RAFT_ROLE_VOTER)
        v->voters[half] = (uint8_t)(v->voters[half] | bit);
  }
  v->has_heir = r->heir != 0;
  v->may_change = r->state == RAFT_LEADER && r->commit >= r->term_start &&
                  r->config_index <= r->commit && r->heir == 0 &&
                  raft_change_is_settled(c);
}

static void make_view(const struct site *s, struct atlas_view *v) {
  const struct raft *r = s->raft;
  *v = (struct atlas_view){
      .state = (uint8_t)r->state,
      .term = (uint8_t)r->term,
      .last = (uint8_t)r->log.last,
      .commit = (uint8_t)r->commit,
      .performed = (uint8_t)s->performed,
      .disk_term = (uint8_t)s->disk.term,
      .disk_last = (uint8_t)s->disk.last,
      .disk_commit = (uint8_t)s->disk.commit,
      .vote = place_plus_1(s, r->vote),
      .disk_vote = place_plus_1(s, s->disk.vote),
      .batches = (uint8_t)s->disk.count,
      .can_time_out = r->election_due != RAFT_NEVER,
      .has_leader = r->state == RAFT_FOLLOWER && r->leader != 0,
  };
  view_config(s, v);
  for (uint32_t i = 0; i < r->peer_count; i++)
    v->match[site_place_of(s->rules, r->peers[i].id)] =
        (uint8_t)r->peers[i].match;
  if (r->log.last < ATLAS_INDEXES && s->disk.last < ATLAS_INDEXES)
    view_logs(s, v);
}

/* A held frame gets other bytes, or goes when an equal one waits before it. */
static void replace_held(struct site *s, uint32_t i, struct blob *bytes) {
  blob_drop(s->held[i].bytes);
  s->held[i].bytes = bytes;
}

static bool is_waiting_twice(const struct site *s, uint32_t i, bool is_soup) {
  const struct site_held *h = &s->held[i];
  for (uint32_t k = 0; k < i; k++) {
    const struct site_held *other = &s->held[k];
    if (other->fx.kind != RAFT_FX_SEND || other->fx.to != h->fx.to) continue;
    if (other->fx.after != h->fx.after && !is_soup) continue;
    if (blob_digest(other->bytes) == blob_digest(h->bytes)) return true;
  }
  return false;
}

/* Of equal frames that leave together one will do; where frames stay for ever,
 * of all equal ones the first. Nobody needs the question of a ballot that has
 * closed. */
static void drop_held(struct site *s, bool is_soup) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->held_count; i++) {
    struct site_held h = s->held[i];
    struct raft_message m = {.kind = RAFT_MSG_NONE};
    if (h.fx.kind == RAFT_FX_SEND)
      (void)raft_wire_decode(h.bytes->bytes, h.bytes->size, &m);
    bool is_vain =
        m.kind == RAFT_MSG_VOTE && m.vote.pre && m.vote.round == ATLAS_CLOSED;
    s->held[kept] = h;
    is_vain = is_vain ||
              (h.fx.kind == RAFT_FX_SEND && is_waiting_twice(s, kept, is_soup));
    if (is_vain)
      blob_drop(h.bytes);
    else
      kept++;
  }
  s->held_count = kept;
}

static void rename_round(struct site *s, uint32_t i, const uint64_t *rounds) {
  struct site_held *h = &s->held[i];
  struct raft_message m;
  uint32_t to = site_place_of(s->rules, h->fx.to);
  (void)raft_wire_decode(h->bytes->bytes, h->bytes->size, &m);
  if (m.kind == RAFT_MSG_VOTE) {
    bool is_open = m.vote.round == rounds[s->place];
    replace_held(s, i,
                 with_round(h->bytes, is_open ? ATLAS_OPEN : ATLAS_CLOSED));
  } else if (m.kind == RAFT_MSG_VOTE_REPLY) {
    bool is_term = canon_is_term_only(&m, rounds[to]);
    replace_held(
        s, i, is_term ? term_only(m.term) : with_round(h->bytes, ATLAS_OPEN));
  }
}

void atlas_normalize(struct site *s, const uint64_t *rounds, bool is_soup) {
  for (uint32_t i = 0; i < s->held_count; i++)
    if (s->held[i].fx.kind == RAFT_FX_SEND) rename_round(s, i, rounds);
  drop_held(s, is_soup);
  s->raft->ballot.round = ATLAS_OPEN;
  s->raft->leader_heard = s->raft->now; /* see ATLAS_DELIVER_LATE */
}

/* True when the ballot that was open before is not any more. */
static bool normalize(struct site *s, bool was_open, bool is_soup) {
  uint64_t rounds[SITE_MAX];
  for (uint32_t i = 0; i < SITE_MAX; i++)
    rounds[i] = ATLAS_OPEN; /* of others: named already */
  rounds[s->place] = canon_open_round(s);
  atlas_normalize(s, rounds, is_soup);
  return was_open && rounds[s->place] != ATLAS_OPEN;
}

static bool find_site(const struct atlas *a, struct canon_hash h,
                      uint32_t *out) {
  if (a->by_site_room == 0) return false;
  uint64_t at = h.a & (a->by_site_room - 1);
  for (; a->by_site[at] != 0; at = (at + 1) & (a->by_site_room - 1)) {
    *out = a->by_site[at] - 1;
    if (is_same(a->sites[*out].shapes[0], h)) return true;
  }
  return false;
}

/* Takes the site over. */
static uint32_t intern_site(struct atlas *a, struct site *s) {
  struct canon_names names = names_of(a, 0);
  struct canon_hash h;
  uint32_t i;
  canon_site(s, &names, &h);
  if (find_site(a, h, &i)) {
    if (a->on_known != NULL) a->on_known(a, i, s);
    site_free(s);
    return i;
  }
  a->sites = grow(a->sites, a->site_count, &a->site_room, sizeof *a->sites);
  i = a->site_count++;
  struct atlas_site *kept = &a->sites[i];
  site_copy(s, &kept->site); /* a clone is smaller */
  site_free(s);
  make_view(&kept->site, &kept->view);
  kept->shapes = blob_need(malloc(a->shape_count * sizeof *kept->shapes));
  for (uint32_t k = 0; k < a->shape_count; k++) {
    names = names_of(a, k);
    canon_site(&kept->site, &names, &kept->shapes[k]);
  }
  insert(a, &(struct table){&a->by_site, &a->by_site_room, site_hash}, i);
  return i;
}

uint32_t atlas_first(struct atlas *a, uint32_t place) {
  struct site s;
  site_init(&s, &a->rules, place, place + 1);
  (void)normalize(&s, false, a->is_soup); /* no ballot yet */
  return intern_site(a, &s);
}

/* ---- events -------------------------------------------------------------- */

#define CATCH_MAX 128 /* frames that one event sends: more is a fault */

struct catch { /* a net that keeps what is sent */
  struct site_net net;
  uint32_t count;
  struct {
    uint32_t to;
    struct blob *frame;
  } sent[CATCH_MAX];
};

static void catch_frame(struct site_net *net, uint32_t from, uint32_t to,
                        struct blob *frame) {
  struct catch *c = (struct catch *)net;
  (void)from; /* all are of one site */
  if (c->count == CATCH_MAX) {
    blob_drop(frame);
    return;
  }
  c->sent[c->count].to = to;
  c->sent[c->count++].frame = frame;
}

static void run_time(struct site *s, enum atlas_event event,
                     struct site_net *net) {
  const struct raft *r = s->raft;
  raft_ms due = s->now;
  if (event == ATLAS_TIME_OUT) due = r->election_due;
  if (event == ATLAS_HEARTBEAT) due = r->heartbeat_due;
  if (event == ATLAS_LOSE_TOUCH) due = s->now + 2 * s->rules->election_max_ms;
  if (due > s->now) s->now = due;
  site_tick(s, net);
  if (event == ATLAS_HEARTBEAT && s->raft->state != RAFT_LEADER)
    site_note(s, "a leader lost touch too early");
}

/* Answers to a ballot that has closed are but a term. */
static void run_age(struct site *s, uint32_t owner) {
  for (uint32_t i = 0; i < s->held_count; i++) {
    struct site_held *h = &s->held[i];
    struct raft_message m;
    if (h->fx.kind != RAFT_FX_SEND) continue;
    if (site_place_of(s->rules, h->fx.to) != owner) continue;
    (void)raft_wire_decode(h->bytes->bytes, h->bytes->size, &m);
    if (m.kind == RAFT_MSG_VOTE_REPLY) replace_held(s, i, term_only(m.term));
  }
}

void atlas_run(struct site *s, enum atlas_event event, uint32_t arg,
               struct blob *frame, uint32_t from, struct site_net *net) {
  char command = (char)('a' + arg);
  switch (event) {
  case ATLAS_DELIVER: site_hear(s, from, frame, net); break;
  case ATLAS_DELIVER_LATE:
    s->raft->leader_heard = s->now - s->rules->election_min_ms;
    site_hear(s, from, frame, net);
    break;
  case ATLAS_TIME_OUT:
  case ATLAS_HEARTBEAT:
  case ATLAS_LOSE_TOUCH: run_time(s, event, net); break;
  case ATLAS_STORE: site_store(s, arg, net); break;
  case ATLAS_CRASH: site_crash(s, arg, s->now, net); break;
  case ATLAS_PROPOSE:
    if (site_propose(s, &command, 1, net) <= 0)
      site_note(s, "a leader refused a command");
    break;
  case ATLAS_CHANGE:
    if (site_change(s, arg, net) <= 0) site_note(s, "a change was refused");
    break;
  case ATLAS_AGE: run_age(s, arg); break;
  }
}

/* ---- what was run is kept ------------------------------------------------ */

static void keep_sent(struct atlas *a, struct atlas_result *result,
                      const struct catch *c, uint32_t place, uint64_t open) {
  result->sent_first = a->sent_count;
  for (uint32_t i = 0; i < c->count; i++) {
    struct blob *bytes = c->sent[i].frame;
    struct raft_message m;
    (void)raft_wire_decode(bytes->bytes, bytes->size, &m); /* site read it */
    if (m.kind == RAFT_MSG_VOTE) {
      bool is_open = m.vote.round == open;
      struct blob *renamed =
          with_round(bytes, is_open ? ATLAS_OPEN : ATLAS_CLOSED);
      blob_drop(bytes);
      bytes = renamed;
    }
    uint16_t frame = intern_frame(a, place, c->sent[i].to, bytes);
    a->sent = grow(a->sent, a->sent_count, &a->sent_room, sizeof *a->sent);
    a->sent[a->sent_count++] = frame;
    result->sent_count++;
  }
}

static struct atlas_result run(struct atlas *a, uint32_t from,
                               enum atlas_event event, uint32_t arg) {
  struct catch c = {.net.send = catch_frame};
  struct site s;
  struct blob *frame = NULL;
  uint32_t sender = 0;
  if (event == ATLAS_DELIVER || event == ATLAS_DELIVER_LATE) {
    frame = a->frames[arg].bytes;
    sender = a->frames[arg].from;
  }
  site_copy(&a->sites[from].site, &s);
  bool was_open = canon_open_round(&s) != 0;
  atlas_run(&s, event, arg, frame, sender, &c.net);
  a->core_steps += event != ATLAS_AGE;
  if (c.count == CATCH_MAX) site_note(&s, "more frames than ever");
  struct atlas_result result = {.broken = s.broken};
  uint64_t open = canon_open_round(&s);
  result.has_closed = normalize(&s, was_open, a->is_soup);
  keep_sent(a, &result, &c, s.place, open);
  result.site = intern_site(a, &s);
  return result;
}

static uint32_t find_key(const struct atlas *a, uint64_t key) {
  if (a->by_key_room == 0) return UINT32_MAX;
  uint64_t at = mixed(key) & (a->by_key_room - 1);
  for (; a->by_key[at] != 0; at = (at + 1) & (a->by_key_room - 1))
    if (a->keys[a->by_key[at] - 1] == key) return a->by_key[at] - 1;
  return UINT32_MAX;
}

const struct atlas_result *atlas_step(struct atlas *a, uint32_t site,
                                      enum atlas_event event, uint32_t arg) {
  uint64_t key = (uint64_t)site << 32 | (uint64_t)event << 16 | arg;
  uint32_t known = find_key(a, key);
  if (known != UINT32_MAX) return &a->results[known];
  struct atlas_result result = run(a, site, event, arg);
  uint32_t room = a->result_room;
  a->results =
      grow(a->results, a->result_count, &a->result_room, sizeof *a->results);
  a->keys = grow(a->keys, a->result_count, &room, sizeof *a->keys);
  uint32_t i = a->result_count++;
  a->results[i] = result;
  a->keys[i] = key;
  insert(a, &(struct table){&a->by_key, &a->by_key_room, key_hash}, i);
  return &a->results[i];
}

/* ---- birth and death ----------------------------------------------------- */

/* Time-outs far apart, so that a heartbeat is always due before an election,
 * and nobody loses touch but by ATLAS_LOSE_TOUCH. */
#define ELECTION_MIN_MS 1000000
#define ELECTION_MAX_MS 1000000000
#define HEARTBEAT_MS    1

struct atlas *atlas_new(uint32_t nodes, uint32_t strangers, bool is_soup) {
  struct atlas *a = blob_need(calloc(1, sizeof *a));
  uint8_t places[SITE_MAX] = {0, 1, 2, 3, 4};
  a->is_soup = is_soup;
  site_rules_init(&a->rules, nodes, strangers, ELECTION_MIN_MS, ELECTION_MAX_MS,
                  HEARTBEAT_MS);
  add_shapes(a, places, 0);
  return a;
}

void atlas_free(struct atlas *a) {
  for (uint32_t i = 0; i < a->site_count; i++) {
    site_free(&a->sites[i].site);
    free(a->sites[i].shapes);
  }
  for (uint32_t i = 0; i < a->frame_count; i++) {
    blob_drop(a->frames[i].bytes);
    free(a->frames[i].shapes);
  }
  site_rules_free(&a->rules);
  free(a->sites), free(a->frames), free(a->results), free(a->keys);
  free(a->sent), free(a->by_site), free(a->by_frame), free(a->by_key);
  free(a);
}
