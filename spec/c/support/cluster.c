/* cluster.c - the virtual cluster: events in, effects out, all checked. */
#include "cluster_inner.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "config.h"

void *cluster_need(void *p) {
  if (p != NULL) return p;
  fprintf(stderr, "the test ran out of memory\n");
  exit(2);
}

uint8_t *cluster_copy(const void *data, size_t size) {
  uint8_t *out = cluster_need(malloc(size + 1));
  if (size > 0) memcpy(out, data, size);
  return out;
}

void cluster_note(struct cluster *c, uint32_t node, const char *broken) {
  if (broken == NULL || c->broken != NULL) return;
  c->broken = broken;
  c->broken_at = node;
}

bool cluster_is_sound(const struct cluster *c) {
  if (c->broken == NULL) return true;
  printf("%s at %" PRIu64 " ms: %s\n", c->nodes[c->broken_at].name, c->now,
         c->broken);
  return false;
}

/* ---- stories ------------------------------------------------------------- */

void cluster_listen(struct cluster *c) {
  c->story_size = 0;
  if (c->story == NULL) c->story = cluster_need(malloc(c->story_room = 4096));
  c->story[0] = '\0';
}

void cluster_say(struct cluster *c, const char *format, ...) {
  if (c->story == NULL) return;
  char line[400];
  int head = snprintf(line, 32, "t=%-4" PRIu64 " ", c->now);
  va_list list;
  va_start(list, format);
  int size =
      vsnprintf(line + head, sizeof line - (size_t)head - 2, format, list);
  va_end(list);
  size_t all = (size_t)(head + size);
  line[all++] = '\n';
  if (c->story_size + all + 1 > c->story_room) {
    c->story_room = 2 * (c->story_size + all + 1);
    c->story = cluster_need(realloc(c->story, c->story_room));
  }
  memcpy(c->story + c->story_size, line, all);
  c->story_size += all;
  c->story[c->story_size] = '\0';
}

static uint32_t node_of(const struct cluster *c, raft_id id) {
  for (uint32_t i = 0; i < c->count; i++)
    if (c->nodes[i].id == id) return i;
  return c->count;
}

static const char *name_of(const struct cluster *c, raft_id id) {
  uint32_t i = node_of(c, id);
  return i < c->count ? c->nodes[i].name : "nobody";
}

/* "entry 4" or "entries 4 to 7". */
static const char *range(raft_index first, raft_index last) {
  static char text[64];
  if (first == last)
    snprintf(text, sizeof text, "entry %" PRIu64, first);
  else
    snprintf(text, sizeof text, "entries %" PRIu64 " to %" PRIu64, first, last);
  return text;
}

/* ---- birth --------------------------------------------------------------- */

static void set_defaults(struct cluster_options *o) {
  if (o->election_min_ms == 0) o->election_min_ms = 100;
  if (o->election_max_ms == 0) o->election_max_ms = 2 * o->election_min_ms;
  if (o->heartbeat_ms == 0) o->heartbeat_ms = o->election_min_ms / 5;
  if (o->pending_bytes_max == 0) o->pending_bytes_max = 65536;
  if (o->message_bytes_max == 0) o->message_bytes_max = 256;
  if (o->memory_bytes_max == 0) o->memory_bytes_max = 1u << 20;
}

void cluster_put_member(const struct cluster *c, struct raft_config *config,
                        uint32_t node, uint8_t role) {
  struct raft_member *m = &config->members[config->count++];
  memset(m, 0, sizeof *m);
  m->id = c->nodes[node].id;
  m->role[0] = m->role[1] = m->goal = role;
  memcpy(m->name, c->nodes[node].name, sizeof c->nodes[node].name);
  snprintf(m->address, sizeof m->address, "h:%u", (unsigned)node + 1);
}

static void make_config(struct cluster *c) {
  struct raft_config *config = &c->config;
  config->election_min_ms = c->options.election_min_ms;
  config->leases = c->options.leases;
  config->rule[0].kind = config->rule[1].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < c->count - c->options.strangers; i++) {
    uint8_t role = c->options.roles[i];
    cluster_put_member(c, config, i, role != 0 ? role : RAFT_ROLE_VOTER);
    config->members[i].incarnation = c->nodes[i].incarnation;
  }
  raft_config_sort(config);
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(config, payload);
  e.payload = payload;
  if (raft_entry_bytes(&e) > sizeof c->first_entry) exit(2);
  c->first_size = raft_entry_encode(&e, c->first_entry);
}

static void write_entry(struct cluster_disk *d, const struct raft_entry *e,
                        const uint8_t *bytes) {
  if (e->index > CLUSTER_LOG) return; /* the checks say so */
  for (raft_index i = e->index; i <= d->last; i++)
    free(d->log[i].bytes);
  d->last = e->index;
  d->log[e->index] = (struct cluster_record){
      .term = e->term,
      .kind = e->kind,
      .bytes = cluster_copy(bytes, raft_entry_bytes(e)),
      .size = raft_entry_bytes(e),
  };
}

static void write_first(struct cluster *c, struct cluster_disk *d) {
  struct raft_entry e;
  raft_entry_view(c->first_entry, &e);
  write_entry(d, &e, c->first_entry);
  d->term = 1;
  d->commit = 1;
}

struct cluster *cluster_new(const struct cluster_options *options) {
  struct cluster *c = cluster_need(calloc(1, sizeof *c));
  c->options = *options;
  set_defaults(&c->options);
  c->count = options->nodes;
  c->random = options->seed;
  c->memory.fail_in = options->fail_in;
  c->now = 1000;
  for (uint32_t i = 0; i < c->count; i++) {
    struct cluster_node *n = &c->nodes[i];
    n->name[0] = 'n';
    n->name[1] = (char)('1' + i);
    n->id = raft_id_of(n->name);
    n->incarnation = 100 + i;
  }
  make_config(c);
  if (!options->unformed) {
    c->commit = 1;
    c->committed[1] = 1;
  }
  for (uint32_t i = 0; i < c->count; i++) {
    bool is_member = i + options->strangers < c->count;
    if (!options->unformed && is_member) write_first(c, &c->nodes[i].disk);
    (void)cluster_restart(c, i); /* what fails is noted */
  }
  return c;
}

static void forget_held(struct cluster_node *n) {
  for (uint32_t i = 0; i < n->held_count; i++)
    free(n->held[i].bytes);
  n->held_count = 0;
}

static void free_node(struct cluster *c, uint32_t i) {
  struct cluster_node *n = &c->nodes[i];
  if (n->raft != NULL) cluster_crash(c, i, 0);
  free(n->held);
  for (raft_index k = n->disk.base + 1; k <= n->disk.last; k++)
    free(n->disk.log[k].bytes);
}

void cluster_free(struct cluster *c) {
  c->story_room = 0;
  free(c->story);
  c->story = NULL;
  for (uint32_t i = 0; i < c->count; i++)
    free_node(c, i);
  cluster_drop_all(c);
  free(c->packets);
  free(c->transfers);
  EQ(c->memory.live, 0); /* nothing leaks */
  free(c);
}

void cluster_write_log(struct cluster *c, uint32_t node, raft_term term,
                       const raft_term *terms, uint32_t count) {
  struct cluster_disk *d = &c->nodes[node].disk;
  uint8_t bytes[128];
  for (uint32_t i = 0; i < count; i++) {
    struct raft_entry e;
    (void)cluster_entries(2 + i, &terms[i], 1, bytes); /* its size is in it */
    raft_entry_view(bytes, &e);
    write_entry(d, &e, bytes);
  }
  d->term = term;
  d->vote = 0;
}

size_t cluster_entries(raft_index first, const raft_term *terms, uint32_t count,
                       uint8_t *out) {
  size_t size = 0;
  for (uint32_t i = 0; i < count; i++) {
    char text[32];
    int length = snprintf(text, sizeof text, "%" PRIu64 "/%" PRIu64, first + i,
                          terms[i]);
    struct raft_entry e = {
        .index = first + i,
        .term = terms[i],
        .kind = RAFT_ENTRY_COMMAND,
        .size = (uint32_t)length,
        .payload = (const uint8_t *)text,
    };
    size += raft_entry_encode(&e, out + size);
  }
  return size;
}

/* ---- recovery ------------------------------------------------------------ */

/* The newest configuration of the log, and the one before it. */
static void recover_configs(const struct cluster_disk *d,
                            struct raft_recovery *rec) {
  for (raft_index i = d->base + 1; i <= d->last; i++) {
    if (d->log[i].kind != RAFT_ENTRY_CONFIG) continue;
    rec->config_before = rec->config;
    rec->config.index = i;
    rec->config.payload =
        (struct raft_slice){d->log[i].bytes + RAFT_ENTRY_HEADER_BYTES,
                            d->log[i].size - RAFT_ENTRY_HEADER_BYTES};
  }
}

static uint8_t *recover_tail(const struct cluster *c,
                             const struct cluster_disk *d,
                             struct raft_recovery *rec) {
  raft_index count = d->last - d->base;
  if (c->options.tail_max > 0 && count > c->options.tail_max)
    count = c->options.tail_max;
  rec->tail_first = d->last - count + 1;
  size_t size = 0;
  for (raft_index i = rec->tail_first; i <= d->last; i++)
    size += d->log[i].size;
  uint8_t *tail = cluster_need(malloc(size + 1));
  rec->tail = (struct raft_slice){tail, size};
  size = 0;
  for (raft_index i = rec->tail_first; i <= d->last; i++) {
    memcpy(tail + size, d->log[i].bytes, d->log[i].size);
    size += d->log[i].size;
  }
  return tail;
}

static size_t recover_runs(const struct cluster_disk *d,
                           struct raft_run *runs) {
  size_t count = 0;
  for (raft_index i = d->base + 1; i <= d->last; i++) {
    if (count > 0 && runs[count - 1].term == d->log[i].term) continue;
    runs[count++] = (struct raft_run){.first = i, .term = d->log[i].term};
  }
  return count;
}

static raft_ms time_of(const struct cluster_record *record) {
  struct raft_entry e;
  raft_entry_view(record->bytes, &e);
  return e.time;
}

static int start(struct cluster *c, uint32_t node) {
  const struct cluster_disk *d = &c->nodes[node].disk;
  static struct raft_run runs[CLUSTER_LOG];
  struct raft_recovery rec = {
      .term = d->term,
      .vote = d->vote,
      .commit = d->commit,
      .last = d->last,
      .runs = runs,
      .run_count = recover_runs(d, runs),
      .last_time = d->last > d->base ? time_of(&d->log[d->last]) : 0,
      .base_index = d->base,
      .base_term = d->base_term,
      .snapshot = cluster_view(&d->newest),
      .lost_last = d->lost_last,
      .lost_term = d->lost_term,
      .newest_hole = cluster_newest_hole(d),
  };
  recover_configs(d, &rec);
  uint8_t *tail = recover_tail(c, d, &rec);
  struct raft_event ev = {.kind = RAFT_EV_START, .start = &rec};
  int64_t rc = cluster_step(c, node, &ev);
  free(tail);
  return (int)rc;
}

static struct raft *make_raft(struct cluster *c, uint32_t node) {
  const struct cluster_options *o = &c->options;
  const struct raft_options options = {
      .self = c->nodes[node].id,
      .incarnation = c->nodes[node].incarnation,
      .seed = test_random(&c->random),
      .election_min_ms = o->election_min_ms,
      .election_max_ms = o->election_max_ms,
      .heartbeat_ms = o->heartbeat_ms,
      .command_bytes_max = 600,
      .pending_bytes_max = o->pending_bytes_max,
      .message_bytes_max = o->message_bytes_max,
      .inflight_bytes_max = 1024,
      .memory_bytes_max = o->memory_bytes_max,
      .alloc = test_alloc,
      .alloc_ud = &c->memory,
  };
  return raft_new(&options);
}

int cluster_restart(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  while (n->raft == NULL) /* a refused allocation? the next one will do */
    n->raft = make_raft(c, node);
  n->reported = n->compact = 0;
  cluster_choose_snapshot(c, node);
  n->performed = n->told = n->disk.newest.index;
  n->is_bare = n->disk.newest.is_bare;
  n->read_count = 0;
  n->has_void_reads = false;
  cluster_say(c, "%s starts", n->name);
  int rc = start(c, node);
  cluster_note(c, node, rc == RAFT_OK ? NULL : "a recovery failed");
  (void)cluster_flush(c, node); /* nothing done is fine */
  return rc;
}

/* ---- disk ---------------------------------------------------------------- */

static void free_batch(struct cluster_batch *b) {
  free(b->bytes);
  b->bytes = NULL;
}

/* Where the test decides when a write ends, it is told that it did. */
static void say_completed(struct cluster *c, uint32_t node,
                          const struct cluster_batch *b) {
  const struct cluster_node *n = &c->nodes[node];
  if (!n->is_disk_held) return;
  if (b->term != n->disk.term || b->vote != n->disk.vote)
    cluster_say(c, "%s has term %" PRIu64 " and its vote for %s on disk",
                n->name, b->term, name_of(c, b->vote));
  if (b->first <= b->last)
    cluster_say(c, "%s has %s on disk", n->name, range(b->first, b->last));
}

/* Has the log become as new as what damage took from it? */
static void end_repair(struct cluster *c, struct cluster_disk *d) {
  raft_term term = d->log[d->last].term;
  bool is_whole =
      term > d->lost_term || (term == d->lost_term && d->last >= d->lost_last);
  if (d->lost_last == 0 || !is_whole) return;
  d->lost_last = 0;
  d->lost_term = 0;
  memset(d->lost, 0, sizeof d->lost);
  c->seen_counts.repairs++;
}

void cluster_rot(struct cluster *c, uint32_t node, raft_index keep) {
  struct cluster_node *n = &c->nodes[node];
  struct cluster_disk *d = &n->disk;
  CHECK(n->raft == NULL);
  if (keep >= d->last) return;
  if (d->lost_last == 0) {
    d->lost_last = d->last;
    d->lost_term = d->log[d->last].term;
  }
  cluster_say(c, "damage takes %s from %s", range(keep + 1, d->last), n->name);
  for (; d->last > keep; d->last--) {
    d->lost[d->last] = d->log[d->last].term;
    free(d->log[d->last].bytes);
  }
  c->seen_counts.rots++;
}

/* One batch becomes durable. */
static void complete(struct cluster *c, uint32_t node) {
  struct cluster_disk *d = &c->nodes[node].disk;
  struct cluster_batch b = d->under_way[0];
  memmove(d->under_way, d->under_way + 1, --d->count * sizeof b);
  cluster_note(c, node, b.term < d->term ? "a batch takes a term back" : NULL);
  say_completed(c, node, &b);
  d->term = b.term;
  d->vote = b.vote;
  d->commit = b.commit;
  if (b.is_reset) {
    cluster_take_mark(c, node, &b);
    end_repair(c, d);
  }
  for (size_t at = 0; at < b.size;) {
    struct raft_entry e;
    raft_entry_view(b.bytes + at, &e);
    write_entry(d, &e, b.bytes + at);
    at += raft_entry_bytes(&e);
    end_repair(c, d);
  }
  if (!b.is_reset) cluster_take_mark(c, node, &b);
  free_batch(&b);
}

void cluster_disk(struct cluster *c, uint32_t node, uint32_t count) {
  struct cluster_node *n = &c->nodes[node];
  raft_seq seq = n->reported;
  for (; count > 0 && n->disk.count > 0; count--) {
    seq = n->disk.under_way[0].seq;
    complete(c, node);
  }
  if (seq == n->reported) return;
  n->reported = seq;
  struct raft_event ev = {.kind = RAFT_EV_STORED, .stored = seq};
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "a report of the disk was refused");
  (void)cluster_flush(c, node);
}

static void say_store(struct cluster *c, uint32_t node,
                      const struct raft_effect *fx) {
  const struct cluster_node *n = &c->nodes[node];
  bool has_entries = fx->store.first <= fx->store.last;
  if (fx->store.hard_changed)
    cluster_say(c, "%s writes term %" PRIu64 "%s%s", n->name, fx->store.term,
                fx->store.vote != 0 ? " and its vote for " : ", no vote yet",
                fx->store.vote != 0 ? name_of(c, fx->store.vote) : "");
  if (fx->store.mark_index > 0)
    cluster_say(c, "%s writes that its snapshot of %" PRIu64 "/t%" PRIu64 "%s",
                n->name, fx->store.mark_index, fx->store.mark_term,
                fx->store.is_reset ? " is all it has" : " is there");
  if (has_entries && !fx->store.is_reset && fx->store.first <= n->disk.last)
    cluster_say(c, "%s drops its own entries from %" PRIu64 " on", n->name,
                fx->store.first);
  if (has_entries)
    cluster_say(c, "%s writes %s", n->name,
                range(fx->store.first, fx->store.last));
}

static void perform_store(struct cluster *c, uint32_t node,
                          struct cluster_held *h) {
  struct cluster_disk *d = &c->nodes[node].disk;
  const struct raft_effect *fx = &h->fx;
  if (d->count == RAFT_STORES_MAX) {
    cluster_note(c, node, "more stores under way than the core says");
    return;
  }
  d->under_way[d->count++] = (struct cluster_batch){
      .seq = fx->store.seq,
      .term = fx->store.term,
      .vote = fx->store.vote,
      .commit = fx->store.commit,
      .first = fx->store.first,
      .last = fx->store.last,
      .mark_index = fx->store.mark_index,
      .mark_term = fx->store.mark_term,
      .is_reset = fx->store.is_reset,
      .bytes = h->bytes,
      .size = h->size,
  };
  h->bytes = NULL;
  say_store(c, node, fx);
}

/* ---- effects ------------------------------------------------------------- */

static void perform_send(struct cluster *c, uint32_t node,
                         struct cluster_held *h) {
  struct cluster_packet p = {.from = node, .to = node_of(c, h->fx.to)};
  struct raft_message m;
  int rc = raft_wire_decode(h->bytes, h->size, &m);
  cluster_note(c, node, rc == RAFT_OK ? NULL : "a frame that nobody can read");
  if (rc == RAFT_OK)
    cluster_note(c, node, cluster_check_send(c, node, h->fx.to, &m));
  if (p.to == c->count) return; /* to a stranger */
  p.bytes = h->bytes;
  p.size = h->size;
  h->bytes = NULL;
  cluster_post(c, &p);
  char words[300];
  if (c->story == NULL) return;
  cluster_words(c, &p, words, sizeof words);
  cluster_say(c, "%s", words);
}

void cluster_report_applied(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  if (n->told == n->performed) return;
  n->told = n->performed;
  struct raft_event ev = {.kind = RAFT_EV_APPLIED, .applied = n->told};
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "a report of applying was refused");
}

void cluster_applied(struct cluster *c, uint32_t node) {
  cluster_report_applied(c, node);
  (void)cluster_flush(c, node);
}

/* Commands lack in the state from here on: who waits to read it is told. */
void cluster_lose_state(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  if (!n->is_bare) {
    n->has_void_reads = n->has_void_reads || n->read_count > 0;
    n->read_count = 0;
  }
  n->is_bare = true;
}

static void perform_apply(struct cluster *c, uint32_t node,
                          const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  for (raft_index i = fx->apply.first; i <= fx->apply.last; i++) {
    struct raft_entry e;
    if (i != n->performed + 1) cluster_note(c, node, "applied out of order");
    if (!raft_entry_at(n->raft, i, &e))
      cluster_note(c, node, "nothing to apply");
    else if (i > c->commit || e.term != c->committed[i])
      cluster_note(c, node, "applied another entry than the others");
    else if ((e.flags & RAFT_ENTRY_STRIPPED) != 0) {
      c->seen_counts.holes++;
      cluster_lose_state(c, node);
    }
    if (n->disk.last < i)
      cluster_note(c, node, "applied before it was durable");
    n->performed = i;
    cluster_results(c, node, i);
  }
  cluster_say(c, "%s applies %s", n->name,
              range(fx->apply.first, fx->apply.last));
  if (!n->is_apply_held) cluster_report_applied(c, node);
}

/* A few entries at a time: loads may be answered in part. */
static void perform_load(struct cluster *c, uint32_t node,
                         const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  const struct cluster_disk *d = &n->disk;
  uint8_t bytes[4096];
  size_t size = 0;
  raft_index i = fx->load.first;
  if (i <= d->base) i = fx->load.last + 1; /* not there any more */
  for (; i <= fx->load.last && i <= d->last && i < fx->load.first + 3; i++) {
    memcpy(bytes + size, d->log[i].bytes, d->log[i].size);
    size += d->log[i].size;
  }
  c->seen_counts.loads++;
  cluster_say(c, "%s loads %s from its disk %s%s", n->name,
              range(fx->load.first, i - 1),
              fx->load.peer == 0 ? "to apply" : "for ",
              fx->load.peer == 0 ? "" : name_of(c, fx->load.peer));
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  ev.loaded.peer = fx->load.peer;
  ev.loaded.first = fx->load.first;
  ev.loaded.entries = (struct raft_slice){bytes, size};
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "loaded entries were refused");
}

/* [Thesis 6.4] a read misses nothing that was committed when it was asked. */
static void perform_read(struct cluster *c, uint32_t node,
                         const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  for (uint32_t i = 0; i < n->read_count; i++) {
    if (n->reads[i].token != fx->read.token) continue;
    if (fx->read.index < n->reads[i].floor)
      cluster_note(c, node, "a stale read");
    if (n->is_bare) cluster_note(c, node, "a read of half a state");
    n->reads[i] = n->reads[--n->read_count];
    bool leads = cluster_status(c, node).state == RAFT_LEADER;
    c->seen_counts.leader_reads += leads;
    c->seen_counts.follower_reads += !leads;
    cluster_say(c, "%s answers a read from what it has applied up to %" PRIu64,
                n->name, fx->read.index);
    return;
  }
  if (!n->has_void_reads) cluster_note(c, node, "a read that nobody waits for");
}

/* Was its READ handed out already? */
static bool is_served(const struct cluster_node *n, uint64_t token) {
  for (uint32_t i = 0; i < n->held_count; i++)
    if (n->held[i].fx.kind == RAFT_FX_READ && n->held[i].fx.read.token == token)
      return true;
  return false;
}

/* Reads that wait in the core are void: whoever waits asks again. */
static void drop_reads(struct cluster *c, struct cluster_node *n) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n->read_count; i++)
    if (is_served(n, n->reads[i].token)) n->reads[kept++] = n->reads[i];
  c->seen_counts.void_reads += n->read_count - kept;
  n->read_count = kept;
}

static void perform_role(struct cluster *c, uint32_t node,
                         const struct raft_effect *fx) {
  static const char *const names[] = {"?", "follower", "pre-candidate",
                                      "candidate", "leader"};
  struct cluster_node *n = &c->nodes[node];
  raft_id leader = fx->role.leader;
  drop_reads(c, n);
  if (fx->role.role == RAFT_LEADER)
    cluster_say(c, "%s is the leader of term %" PRIu64, n->name, fx->role.term);
  else
    cluster_say(c, "%s is a %s in term %" PRIu64 "%s%s", n->name,
                names[fx->role.role], fx->role.term,
                leader != 0 ? " and follows " : ", no leader known",
                leader != 0 ? name_of(c, leader) : "");
}

static void perform_forwarded(struct cluster *c, uint32_t node,
                              const struct raft_effect *fx) {
  bool is_taken = fx->forwarded.code == RAFT_OK;
  if (is_taken)
    cluster_say(c, "%s knows that its client's command is entry %" PRIu64,
                c->nodes[node].name, fx->forwarded.index);
  else
    cluster_say(c, "%s tells its client: not taken, ask again",
                c->nodes[node].name);
  c->forwarded.token = fx->forwarded.token;
  c->forwarded.code = fx->forwarded.code;
  c->forwarded.index = fx->forwarded.index;
  c->forwarded.term = fx->forwarded.term;
  c->forwarded.missing = fx->forwarded.missing;
  c->seen_counts.accepted_forwards += is_taken;
  c->seen_counts.refused_forwards += !is_taken;
}

static void perform(struct cluster *c, uint32_t node, struct cluster_held *h) {
  switch (h->fx.kind) {
  case RAFT_FX_STORE: perform_store(c, node, h); break;
  case RAFT_FX_SEND: perform_send(c, node, h); break;
  case RAFT_FX_LOAD: perform_load(c, node, &h->fx); break;
  case RAFT_FX_APPLY: perform_apply(c, node, &h->fx); break;
  case RAFT_FX_READ: perform_read(c, node, &h->fx); break;
  case RAFT_FX_ROLE: perform_role(c, node, &h->fx); break;
  case RAFT_FX_FORWARDED: perform_forwarded(c, node, &h->fx); break;
  case RAFT_FX_CONFIG: cluster_say_config(c, node, h->fx.config); break;
  case RAFT_FX_SHIP: cluster_begin_ship(c, node, &h->fx); break;
  case RAFT_FX_INSTALL: cluster_install(c, node, &h->fx); break;
  case RAFT_FX_COMPACT:
    c->nodes[node].compact = h->fx.compact;
    if (!c->nodes[node].keeps_log)
      (void)cluster_compact(c, node, h->fx.compact);
    break;
  case RAFT_FX_DIVERGED: cluster_diverged(c, node, &h->fx); break;
  case RAFT_FX_NONE: cluster_note(c, node, "an effect of no kind"); break;
  }
}

static void hold(struct cluster_node *n, const struct raft_effect *fx) {
  if (n->held_count == n->held_room) {
    n->held_room = 2 * n->held_room + 16;
    n->held = cluster_need(realloc(n->held, n->held_room * sizeof *n->held));
  }
  struct cluster_held *h = &n->held[n->held_count++];
  *h = (struct cluster_held){.fx = *fx};
  h->fx.parts = NULL;
  for (uint32_t i = 0; i < fx->part_count; i++)
    h->size += fx->parts[i].size;
  h->bytes = cluster_need(malloc(h->size + 1));
  size_t at = 0;
  for (uint32_t i = 0; i < fx->part_count; i++) {
    memcpy(h->bytes + at, fx->parts[i].data, fx->parts[i].size);
    at += fx->parts[i].size;
  }
}

static bool is_ordered(const struct raft_effect *fx) {
  return fx->kind == RAFT_FX_STORE || fx->kind == RAFT_FX_APPLY ||
         fx->kind == RAFT_FX_READ || fx->kind == RAFT_FX_INSTALL;
}

static bool is_durable(const struct cluster_node *n,
                       const struct raft_effect *fx) {
  return fx->after <= n->reported;
}

static bool is_due(const struct cluster *c, const struct cluster_node *n,
                   const struct raft_effect *fx) {
  if (!is_durable(n, fx)) return false;
  if (fx->kind == RAFT_FX_LOAD && n->is_load_held) return false;
  if (fx->kind == RAFT_FX_READ && n->told < fx->read.index) return false;
  return !(c->broken != NULL && fx->kind == RAFT_FX_APPLY);
}

/* Performs the first effect that may be; false when there is none. A read that
 * waits for what is to be applied keeps nothing waiting: that may come with an
 * INSTALL behind it. */
static bool perform_one(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  bool is_blocked = false;
  for (uint32_t i = 0; i < n->held_count; i++) {
    bool waits = is_ordered(&n->held[i].fx) && is_blocked;
    if (waits || !is_due(c, n, &n->held[i].fx)) {
      bool is_served_late = !waits && is_durable(n, &n->held[i].fx);
      is_blocked |= is_ordered(&n->held[i].fx) && !is_served_late;
      continue;
    }
    struct cluster_held h = n->held[i];
    memmove(n->held + i, n->held + i + 1,
            (--n->held_count - i) * sizeof *n->held);
    perform(c, node, &h);
    free(h.bytes);
    return true;
  }
  return false;
}

bool cluster_flush(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  if (n->raft == NULL) return false;
  if (c->options.is_poor) cluster_poor_take(c, node);
  struct raft_batch batch;
  struct raft_facts before = raft_facts_of(n->raft);
  raft_take(n->raft, &batch);
  cluster_note(c, node, cluster_check(c, node, &before));
  n->deadline = batch.deadline;
  for (uint32_t i = 0; i < batch.count; i++)
    hold(n, &batch.effects[i]);
  bool has_done = batch.count > 0;
  while (perform_one(c, node))
    has_done = true;
  return has_done;
}

/* ---- events -------------------------------------------------------------- */

/* A step that lacked memory must have changed nothing. */
static int64_t step_without_memory(struct cluster *c, uint32_t node,
                                   const struct raft_event *ev) {
  struct raft *r = c->nodes[node].raft;
  uint64_t before[2];
  uint64_t after[2];
  raft_digest(r, before);
  uint64_t fail_in = c->memory.fail_in;
  int64_t rc = raft_step(r, ev);
  if (rc != RAFT_E_NOMEM) return rc;
  raft_digest(r, after);
  if (before[0] != after[0] || before[1] != after[1])
    cluster_note(c, node, "a step without memory changed something");
  cluster_note(c, node, fail_in == 0 ? "no memory, for no reason" : NULL);
  c->seen_counts.failed_allocations++;
  return raft_step(r, ev);
}

int64_t cluster_step(struct cluster *c, uint32_t node, struct raft_event *ev) {
  struct cluster_node *n = &c->nodes[node];
  ev->now = c->now;
  ev->wall = c->now + 1000000 + (raft_ms)n->wall_ahead;
  struct raft_facts before = raft_facts_of(n->raft);
  if (c->options.is_poor) cluster_poor_step(c, node, ev);
  int64_t rc = c->memory.fail_in > 0 ? step_without_memory(c, node, ev)
                                     : raft_step(n->raft, ev);
  if (rc == RAFT_E_DIVERGED) cluster_note(c, node, "diverged");
  cluster_note(c, node, cluster_check(c, node, &before));
  return rc;
}

void cluster_tick(struct cluster *c, uint32_t node) {
  struct raft_event ev = {.kind = RAFT_EV_TICK};
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "a tick failed");
}

static int64_t give(struct cluster *c, uint32_t node, enum raft_event_kind kind,
                    const char *command) {
  struct raft_slice slice = {(const uint8_t *)command, strlen(command)};
  struct raft_event ev = {.kind = kind};
  ev.propose.commands = &slice;
  ev.propose.count = 1;
  ev.propose.token = ++c->next_token;
  int64_t rc = cluster_step(c, node, &ev);
  if (rc == RAFT_E_BUSY) c->seen_counts.busy++;
  return rc;
}

int64_t cluster_propose(struct cluster *c, uint32_t node, const char *command) {
  cluster_say(c, "a client gives %s the command \"%s\"", c->nodes[node].name,
              command);
  return give(c, node, RAFT_EV_PROPOSE, command);
}

int64_t cluster_forward(struct cluster *c, uint32_t node, const char *command) {
  cluster_say(c, "a client gives %s, a follower, the command \"%s\"",
              c->nodes[node].name, command);
  return give(c, node, RAFT_EV_FORWARD, command);
}

static int64_t ask_to_read(struct cluster *c, uint32_t node,
                           enum raft_event_kind kind) {
  struct cluster_node *n = &c->nodes[node];
  if (n->read_count == sizeof n->reads / sizeof *n->reads) return RAFT_E_BUSY;
  cluster_say(c, "a client wants to read from %s", n->name);
  struct raft_event ev = {.kind = kind, .read = ++c->next_token};
  int64_t rc = cluster_step(c, node, &ev);
  if (rc != RAFT_OK) return rc;
  n->reads[n->read_count++] =
      (struct cluster_read){.token = ev.read, .floor = c->commit};
  return (int64_t)ev.read;
}

int64_t cluster_read(struct cluster *c, uint32_t node) {
  return ask_to_read(c, node, RAFT_EV_READ);
}

int64_t cluster_read_lease(struct cluster *c, uint32_t node) {
  return ask_to_read(c, node, RAFT_EV_READ_LEASE);
}

void cluster_unreachable(struct cluster *c, uint32_t node, uint32_t peer) {
  struct raft_event ev = {.kind = RAFT_EV_UNREACHABLE};
  ev.unreachable = c->nodes[peer].id;
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "a dropped send was refused");
}

int64_t cluster_form(struct cluster *c, uint32_t node) {
  c->commit = c->commit > 1 ? c->commit : 1;
  c->committed[1] = 1;
  struct raft_event ev = {.kind = RAFT_EV_FORM, .form = &c->config};
  return cluster_step(c, node, &ev);
}

int64_t cluster_hear(struct cluster *c, uint32_t node, uint32_t from,
                     struct raft_slice frame) {
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = c->nodes[from].id;
  ev.receive.incarnation = c->nodes[from].incarnation;
  ev.receive.frame = frame;
  return cluster_step(c, node, &ev);
}

int64_t cluster_receive(struct cluster *c, uint32_t node, uint32_t from,
                        const struct raft_message *m) {
  c->is_made_up = c->is_made_up || m->kind == RAFT_MSG_APPEND;
  uint8_t frame[RAFT_FRAME_FIXED_MAX + 4096];
  size_t size = raft_wire_encode(m, frame);
  if (m->tail.size > 0) memcpy(frame + size, m->tail.data, m->tail.size);
  size += m->tail.size;
  uint8_t *exact = cluster_copy(frame, size); /* so that no byte more is read */
  int64_t rc = cluster_hear(c, node, from, (struct raft_slice){exact, size});
  free(exact);
  return rc;
}

/* ---- life and death ------------------------------------------------------ */

void cluster_crash(struct cluster *c, uint32_t node, uint32_t keep) {
  struct cluster_node *n = &c->nodes[node];
  bool is_torn = keep < n->disk.count;
  cluster_say(c, "%s crashes%s", n->name,
              is_torn ? ", and what it was writing is lost" : "");
  c->seen_counts.torn_stores += is_torn;
  for (; keep > 0 && n->disk.count > 0; keep--)
    complete(c, node);
  for (; n->disk.count > 0; n->disk.count--)
    free_batch(&n->disk.under_way[n->disk.count - 1]);
  forget_held(n);
  raft_free(n->raft);
  n->raft = NULL;
  c->seen_counts.crashes++;
}

void cluster_swap(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  uint64_t before[2];
  uint64_t after[2];
  struct raft *copy = raft_clone(n->raft);
  if (copy == NULL) return; /* no memory */
  raft_digest(n->raft, before);
  raft_digest(copy, after);
  if (before[0] != after[0] || before[1] != after[1])
    cluster_note(c, node, "a clone differs");
  raft_free(n->raft);
  n->raft = copy;
  cluster_note(c, node, raft_check(copy));
}
