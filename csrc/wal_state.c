/* wal_state.c - what the batches of a log add up to.
 *
 * Owns the tail of entries that recovery keeps in memory. What must hold:
 * indexes have no gaps, terms never fall along the log, the hard state never
 * goes back. It refuses whatever breaks that, however well its checksums fit.
 */
#include "wal_state.h"

#include <assert.h>
#include <string.h>

enum { FIRST_ROOM = 64, FIRST_BYTES = 65536 };

void raft_wal_state_init(struct raft_wal_state *s, size_t memory_bytes,
                         raft_alloc alloc, void *ud) {
  assert(s != NULL);
  assert(alloc != NULL);
  const size_t most = UINT32_MAX / 2; /* offsets are 32 bits wide */
  *s = (struct raft_wal_state){
      .alloc = alloc,
      .alloc_ud = ud,
      .memory_bytes = memory_bytes < most ? memory_bytes : most,
      .tail = {.first = 1},
  };
}

static void *resize(struct raft_wal_state *s, void *ptr, size_t old_size,
                    size_t new_size) {
  assert(ptr != NULL || old_size == 0);
  assert(new_size > 0);
  return s->alloc(s->alloc_ud, ptr, old_size, new_size);
}

static void release(struct raft_wal_state *s, void *ptr, size_t size) {
  assert(ptr != NULL || size == 0);
  if (ptr != NULL) (void)s->alloc(s->alloc_ud, ptr, size, 0); /* cannot fail */
}

void raft_wal_state_free(struct raft_wal_state *s) {
  struct raft_wal_tail *t = &s->tail;
  assert(s->config_count <= RAFT_WAL_CONFIGS);
  for (size_t i = 0; i < s->config_count; i++)
    release(s, s->configs[i].payload, s->configs[i].size);
  release(s, s->runs, s->run_capacity * sizeof(*s->runs));
  release(s, t->bytes, t->capacity);
  release(s, t->offsets, t->slots * sizeof(*t->offsets));
  raft_wal_state_init(s, s->memory_bytes, s->alloc, s->alloc_ud);
}

/* ---- the tail ------------------------------------------------------------ */

/* Gives up the oldest entries until no more than `size_max` bytes are left. */
static void shed(struct raft_wal_tail *t, size_t size_max) {
  assert(t->from <= t->size);
  while (t->count > 0 && t->size - t->from > size_max) {
    t->count--;
    t->skip++;
    t->first++;
    t->from = t->count > 0 ? t->offsets[t->skip] : t->size;
  }
  assert(t->skip + t->count <= t->slots);
}

/* Closes the gap that shed entries left in front. */
static void close_gap(struct raft_wal_tail *t) {
  assert(t->from <= t->size);
  if (t->from == 0) return;
  size_t size = t->size - t->from;
  if (size > 0) memmove(t->bytes, t->bytes + t->from, size);
  for (size_t i = 0; i < t->count; i++)
    t->offsets[i] = t->offsets[t->skip + i] - (uint32_t)t->from;
  t->skip = 0;
  t->from = 0;
  t->size = size;
  assert(t->size <= t->capacity);
}

static int grow_bytes(struct raft_wal_state *s, size_t need) {
  struct raft_wal_tail *t = &s->tail;
  assert(need > t->capacity);
  size_t capacity = t->capacity ? t->capacity : FIRST_BYTES;
  while (capacity < need)
    capacity += capacity / 2;
  uint8_t *bytes = resize(s, t->bytes, t->capacity, capacity);
  if (bytes == NULL) return RAFT_E_NOMEM;
  t->bytes = bytes;
  t->capacity = capacity;
  assert(t->capacity >= need);
  return RAFT_OK;
}

static int grow_slots(struct raft_wal_state *s) {
  struct raft_wal_tail *t = &s->tail;
  assert(t->skip + t->count == t->slots);
  size_t slots = t->slots ? t->slots * 2 : FIRST_ROOM;
  size_t unit = sizeof(*t->offsets);
  uint32_t *offsets = resize(s, t->offsets, t->slots * unit, slots * unit);
  if (offsets == NULL) return RAFT_E_NOMEM;
  t->offsets = offsets;
  t->slots = slots;
  assert(t->skip + t->count < t->slots);
  return RAFT_OK;
}

/* Room for one more entry. A quarter over the bound is let grow before the
 * front is closed, so that every byte is moved about four times at most. */
static int make_room(struct raft_wal_state *s, size_t size) {
  struct raft_wal_tail *t = &s->tail;
  assert(size >= RAFT_ENTRY_HEADER_BYTES);
  if (t->size + size > s->memory_bytes + s->memory_bytes / 4 + FIRST_BYTES) {
    shed(t, s->memory_bytes);
    close_gap(t);
  }
  if (t->size + size > t->capacity) {
    int error = grow_bytes(s, t->size + size);
    if (error != RAFT_OK) return error;
  }
  if (t->skip + t->count < t->slots) return RAFT_OK;
  assert(t->size + size <= UINT32_MAX);
  return grow_slots(s);
}

static int keep(struct raft_wal_state *s, const uint8_t *bytes, size_t size) {
  struct raft_wal_tail *t = &s->tail;
  int error = make_room(s, size);
  if (error != RAFT_OK) return error;
  assert(t->size + size <= t->capacity);
  t->offsets[t->skip + t->count++] = (uint32_t)t->size;
  memcpy(t->bytes + t->size, bytes, size);
  t->size += size;
  assert(t->skip + t->count <= t->slots);
  return RAFT_OK;
}

/* Drops the entries of the tail from `index` on. */
static void cut_tail(struct raft_wal_tail *t, raft_index index) {
  assert(index >= 1);
  if (index <= t->first) { /* all of them, and older ones are not here */
    t->first = index;
    t->skip = t->count = 0;
    t->from = t->size = 0;
    return;
  }
  size_t left = (size_t)(index - t->first);
  assert(left <= t->count);
  if (left == t->count) return;
  t->size = t->offsets[t->skip + left];
  t->count = left;
}

/* ---- overwriting --------------------------------------------------------- */

static raft_term term_at(const struct raft_wal_state *s, raft_index index) {
  assert(index <= s->last);
  for (size_t i = s->run_count; i > 0; i--)
    if (s->runs[i - 1].first <= index) return s->runs[i - 1].term;
  assert(index == s->base_index);
  return s->base_term;
}

static void drop_configs(struct raft_wal_state *s, raft_index from) {
  assert(s->config_count <= RAFT_WAL_CONFIGS);
  while (s->config_count > 0 && s->configs[s->config_count - 1].index >= from) {
    struct raft_wal_config *c = &s->configs[--s->config_count];
    release(s, c->payload, c->size);
  }
}

/* Entries from `index` on were overwritten. [Raft 5.3] */
static void truncate(struct raft_wal_state *s, raft_index index) {
  assert(index > s->base_index);
  assert(index <= s->last);
  cut_tail(&s->tail, index);
  while (s->run_count > 0 && s->runs[s->run_count - 1].first >= index)
    s->run_count--;
  drop_configs(s, index);
  s->last = index - 1;
  s->last_term = term_at(s, s->last);
}

void raft_wal_state_reset(struct raft_wal_state *s, raft_index index,
                          raft_term term) {
  assert((index == 0) == (term == 0));
  s->tail.first = index + 1;
  cut_tail(&s->tail, index + 1);
  s->run_count = 0;
  drop_configs(s, 0);
  s->base_index = s->last = index;
  s->base_term = s->last_term = term;
  s->last_time = 0; /* the snapshot knows it */
  assert(s->tail.count == 0);
}

/* ---- adding -------------------------------------------------------------- */

static int add_run(struct raft_wal_state *s, const struct raft_entry *e) {
  assert(e->term >= s->last_term);
  if (s->run_count == s->run_capacity) {
    size_t capacity = s->run_capacity ? s->run_capacity * 2 : FIRST_ROOM;
    size_t unit = sizeof(*s->runs);
    struct raft_run *runs =
        resize(s, s->runs, s->run_capacity * unit, capacity * unit);
    if (runs == NULL) return RAFT_E_NOMEM;
    s->runs = runs;
    s->run_capacity = capacity;
  }
  assert(s->run_count < s->run_capacity);
  s->runs[s->run_count++] = (struct raft_run){e->index, e->term};
  return RAFT_OK;
}

static int add_config(struct raft_wal_state *s, const struct raft_entry *e) {
  assert(e->kind == RAFT_ENTRY_CONFIG);
  if (s->config_count == RAFT_WAL_CONFIGS) {
    release(s, s->configs[0].payload, s->configs[0].size);
    s->config_count--;
    memmove(s->configs, s->configs + 1,
            s->config_count * sizeof(s->configs[0]));
  }
  uint8_t *payload = NULL;
  if (e->size > 0) {
    payload = resize(s, NULL, 0, e->size);
    if (payload == NULL) return RAFT_E_NOMEM;
    memcpy(payload, e->payload, e->size);
  }
  assert(s->config_count < RAFT_WAL_CONFIGS);
  s->configs[s->config_count++] =
      (struct raft_wal_config){e->index, payload, e->size};
  return RAFT_OK;
}

static int add_entry(struct raft_wal_state *s, const uint8_t *bytes,
                     const struct raft_entry *e) {
  int error = RAFT_OK;
  assert(e->index == s->last + 1);
  /* The first one may go on with the term of the base. */
  bool begins = s->last == s->base_index || e->term != s->last_term;
  if (begins) error = add_run(s, e);
  if (error == RAFT_OK && e->kind == RAFT_ENTRY_CONFIG)
    error = add_config(s, e);
  if (error == RAFT_OK) error = keep(s, bytes, raft_entry_bytes(e));
  if (error != RAFT_OK) return error;
  s->last = e->index;
  s->last_term = e->term;
  s->last_time = e->time;
  assert(s->tail.first + s->tail.count == s->last + 1);
  return RAFT_OK;
}

/* Why the entry cannot come next, or NULL. */
static const char *entry_fault(const struct raft_wal_state *s,
                               const struct raft_entry *e) {
  assert(s->base_index <= s->last);
  if (e->index > s->last + 1) return "entries are missing before this one";
  if (e->index <= s->base_index) return "an entry of before the log's begin";
  if (e->term < term_at(s, e->index - 1)) return "the terms of entries fall";
  if (e->term > s->term) return "an entry of a term that had not begun";
  return NULL;
}

static int add_entries(struct raft_wal_state *s, struct raft_slice entries,
                       const char **why) {
  struct raft_entry e;
  assert(why != NULL);
  for (size_t at = 0; at < entries.size; at += raft_entry_bytes(&e)) {
    const uint8_t *bytes = entries.data + at;
    *why = "an entry is damaged";
    if (raft_entry_decode(bytes, entries.size - at, &e) != RAFT_OK)
      return RAFT_E_CORRUPT;
    *why = entry_fault(s, &e);
    if (*why != NULL) return RAFT_E_CORRUPT;
    if (e.index <= s->last) truncate(s, e.index);
    int error = add_entry(s, bytes, &e);
    if (error != RAFT_OK) return error;
  }
  return RAFT_OK;
}

/* Why the hard state cannot come next, or NULL. [Raft 5.2] one vote a term */
static const char *hard_fault(const struct raft_wal_state *s,
                              const struct raft_wal_batch *b) {
  assert(b->number != 0);
  if (b->term < s->term) return "the term goes back";
  if (b->term > s->term || s->vote == 0) return NULL;
  return b->vote == s->vote ? NULL : "a second vote in one term";
}

/* Why the mark cannot be in this batch, or NULL; after its entries. What lies
 * before the base was in the log when it was marked. */
static const char *mark_fault(const struct raft_wal_state *s,
                              const struct raft_wal_mark *mark) {
  assert(s->base_index <= s->last);
  if (mark->index == 0 || mark->is_reset) return NULL;
  if (mark->index > s->last) return "a snapshot of entries that are not there";
  if (mark->index < s->base_index) return NULL;
  if (term_at(s, mark->index) == mark->term) return NULL;
  return "a snapshot of another log";
}

int raft_wal_state_add(struct raft_wal_state *s, const struct raft_wal_batch *b,
                       const struct raft_wal_body *body, const char **why) {
  assert(s->tail.from <= s->tail.size);
  assert(why != NULL);
  *why = hard_fault(s, b);
  if (*why != NULL) return RAFT_E_CORRUPT;
  s->term = b->term;
  s->vote = b->vote;
  if (b->commit > s->commit) s->commit = b->commit;
  *why = "a snapshot of a term that had not begun";
  if (body->mark.term > s->term) return RAFT_E_CORRUPT;
  if (body->mark.is_reset)
    raft_wal_state_reset(s, body->mark.index, body->mark.term);
  int error = add_entries(s, body->entries, why);
  if (error != RAFT_OK) return error;
  *why = mark_fault(s, &body->mark);
  return *why == NULL ? RAFT_OK : RAFT_E_CORRUPT;
}

/* ---- the result ---------------------------------------------------------- */

static struct raft_recovered_config config_at(const struct raft_wal_state *s,
                                              size_t from_newest) {
  assert(from_newest < RAFT_WAL_CONFIGS);
  if (from_newest >= s->config_count) return (struct raft_recovered_config){0};
  const struct raft_wal_config *c =
      &s->configs[s->config_count - 1 - from_newest];
  assert(c->index >= 1);
  return (struct raft_recovered_config){c->index, {c->payload, c->size}};
}

void raft_wal_state_result(const struct raft_wal_state *s,
                           struct raft_recovery *out) {
  struct raft_wal_tail t = s->tail; /* a view: shedding moves no byte */
  shed(&t, s->memory_bytes);
  assert(t.first + t.count == s->last + 1);
  assert(out != NULL);
  *out = (struct raft_recovery){
      .term = s->term,
      .vote = s->vote,
      .commit = s->commit < s->last ? s->commit : s->last,
      .base_index = s->base_index,
      .base_term = s->base_term,
      .last = s->last,
      .runs = s->runs,
      .run_count = s->run_count,
      .tail_first = t.first,
      .tail = {t.count > 0 ? t.bytes + t.from : NULL, t.size - t.from},
      .last_time = s->last > s->base_index ? s->last_time : 0,
      .config = config_at(s, 0),
      .config_before = config_at(s, 1),
  };
}
