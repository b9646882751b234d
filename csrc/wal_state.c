/* wal_state.c - what the batches of a log add up to.
 *
 * What must hold: indexes have no gaps, terms never fall along the log, the
 * hard state never goes back; what is left before damage is the beginning of
 * the log as it was when the last batch was written. It refuses whatever
 * breaks that, however well its checksums fit.
 */
#include "wal_state.h"

#include <assert.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

void raft_wal_state_init(struct raft_wal_state *s, size_t memory_bytes,
                         raft_alloc alloc, void *ud) {
  assert(s != NULL);
  assert(alloc != NULL);
  *s = (struct raft_wal_state){
      .alloc = alloc,
      .alloc_ud = ud,
      .memory_bytes = memory_bytes,
  };
  raft_wal_tail_init(&s->tail, memory_bytes, alloc, ud);
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
  assert(s->config_count <= RAFT_WAL_CONFIGS);
  for (size_t i = 0; i < s->config_count; i++)
    release(s, s->configs[i].payload, s->configs[i].size);
  release(s, s->runs, s->run_capacity * sizeof(*s->runs));
  raft_wal_tail_free(&s->tail);
  raft_wal_state_init(s, s->memory_bytes, s->alloc, s->alloc_ud);
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

/* The stamp of the newest entry; 0 when it is not kept. */
static raft_ms last_time(const struct raft_wal_tail *t) {
  struct raft_entry e;
  return raft_wal_tail_newest(t, &e) ? e.time : 0;
}

/* Entries from `index` on were overwritten, or are not sure. [Raft 5.3] */
static void truncate(struct raft_wal_state *s, raft_index index) {
  assert(index > s->base_index);
  assert(index <= s->last);
  raft_wal_tail_cut(&s->tail, index);
  while (s->run_count > 0 && s->runs[s->run_count - 1].first >= index)
    s->run_count--;
  drop_configs(s, index);
  s->last = index - 1;
  s->last_term = term_at(s, s->last);
  s->last_time = last_time(&s->tail);
  if (s->newest_hole > s->last) s->newest_hole = s->last; /* or less */
}

/* ---- damage -------------------------------------------------------------- */

/* The newest entry of that term; 0 when there is none. */
static raft_index last_of(const struct raft_wal_state *s, raft_term term) {
  assert(term > 0);
  for (size_t i = s->run_count; i > 0; i--) {
    if (s->runs[i - 1].term > term) continue;
    if (s->runs[i - 1].term < term) return 0;
    return i < s->run_count ? s->runs[i].first - 1 : s->last;
  }
  return 0;
}

/* The log that the damage left had an entry of this place: what of ours is
 * also there? The leader of its term had that entry and all that we have of
 * that term, so up to the older of both we have what it had. [Raft 5.3] */
static void settle(struct raft_wal_state *s, raft_index index, raft_term term) {
  assert(s->is_unsure);
  assert(s->sure <= s->last);
  raft_index known = term > 0 ? last_of(s, term) : 0;
  if (known > index) known = index;
  if (known < s->sure) known = s->sure;
  if (known < s->last) truncate(s, known + 1);
  s->is_unsure = false;
}

void raft_wal_state_break(struct raft_wal_state *s) {
  if (s->is_unsure) return;
  s->sure = s->commit < s->last ? s->commit : s->last;
  if (s->sure < s->base_index) s->sure = s->base_index;
  s->is_gapped = s->is_unsure = true;
  assert(s->sure <= s->last);
}

bool raft_wal_state_link(struct raft_wal_state *s, raft_index last,
                         raft_term last_term) {
  if (s->is_unsure) settle(s, last, last_term);
  if (last == s->last && last_term == s->last_term) s->is_gapped = false;
  assert(!s->is_unsure);
  return !s->is_gapped ? last == s->last && last_term == s->last_term
                       : last > s->last && last_term >= s->last_term;
}

bool raft_wal_state_has_lost(const struct raft_wal_state *s) {
  assert(!s->is_unsure);
  if (s->head_term != s->last_term) return s->head_term > s->last_term;
  return s->head_last > s->last;
}

void raft_wal_state_reset(struct raft_wal_state *s, raft_index index,
                          raft_term term) {
  assert((index == 0) == (term == 0));
  raft_wal_tail_reset(&s->tail, index + 1);
  s->run_count = 0;
  drop_configs(s, 0);
  s->base_index = s->last = index;
  s->base_term = s->last_term = term;
  s->last_time = 0;   /* the snapshot knows it */
  s->newest_hole = 0; /* and of commands that lack */
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
  struct raft_slice all = {bytes, raft_entry_bytes(e)};
  if (error == RAFT_OK) error = raft_wal_tail_add(&s->tail, all);
  if (error != RAFT_OK) return error;
  s->last = e->index;
  s->last_term = e->term;
  s->last_time = e->time;
  if ((e->flags & RAFT_ENTRY_STRIPPED) != 0) s->newest_hole = e->index;
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

/* Is this entry not taken in? Behind a gap the first that joins what we have
 * closes it, for it and what is before it is all that there is then. What a
 * mark of the same batch covers was skipped with it; but it overwrites. */
static bool is_passed_over(struct raft_wal_state *s,
                           const struct raft_wal_mark *mark,
                           const struct raft_entry *e) {
  assert(s->base_index <= s->last);
  bool is_covered = s->is_marked && e->index <= mark->index;
  if (is_covered && s->last > s->base_index) truncate(s, s->base_index + 1);
  if (is_covered) return true;
  if (s->is_gapped && e->index > s->last + 1) return true;
  s->is_gapped = false;
  return false;
}

static int add_entries(struct raft_wal_state *s, struct raft_wal_body *body,
                       const char **why) {
  struct raft_entry e;
  struct raft_slice rest = body->entries;
  assert(why != NULL);
  for (; rest.size > 0;) {
    const uint8_t *bytes = rest.data;
    *why = "an entry is damaged";
    if (raft_entry_decode(bytes, rest.size, &e) != RAFT_OK)
      return RAFT_E_CORRUPT;
    size_t size = raft_entry_bytes(&e);
    rest = (struct raft_slice){rest.data + size, rest.size - size};
    if (is_passed_over(s, &body->mark, &e)) {
      body->entries_at += (uint32_t)(body->entries.size - rest.size);
      body->entries = rest;
      continue;
    }
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
  if (b->last_term > b->term) return "an entry of a term that had not begun";
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

/* What a head says beside its entries. */
static int add_head(struct raft_wal_state *s, const struct raft_wal_batch *b,
                    const char **why) {
  assert(why != NULL);
  *why = hard_fault(s, b);
  if (*why != NULL) return RAFT_E_CORRUPT;
  s->term = b->term;
  s->vote = b->vote;
  if (b->commit > s->commit) s->commit = b->commit;
  s->head_last = b->last;
  s->head_term = b->last_term;
  assert(s->head_term <= s->term);
  return RAFT_OK;
}

/* Does the log end where the head says? Under repair it says what was lost. */
static const char *end_fault(struct raft_wal_state *s,
                             const struct raft_wal_batch *b) {
  assert(!s->is_unsure);
  if ((b->flags & RAFT_WAL_REPAIRING) != 0) return NULL;
  if (raft_wal_state_link(s, b->last, b->last_term)) return NULL;
  return "the log does not end where the batch says";
}

/* Which entry of the log behind the damage does this batch tell of? */
static void settle_by(struct raft_wal_state *s, const struct raft_wal_batch *b,
                      struct raft_slice entries) {
  struct raft_entry e;
  assert(s->is_unsure);
  if (raft_entry_decode_header(entries.data, entries.size, &e) == RAFT_OK)
    settle(s, e.index, e.term);
  else if ((b->flags & RAFT_WAL_REPAIRING) == 0)
    settle(s, b->last, b->last_term);
  else
    settle(s, 0, 0); /* it speaks of another log */
}

/* A log that starts anew has no gap, whatever was before. And where a snapshot
 * covers what lies in the gap, the log may as well begin behind that. */
static void begin_at_mark(struct raft_wal_state *s,
                          const struct raft_wal_mark *mark) {
  assert(mark->index > 0);
  if (mark->is_reset) {
    s->is_gapped = s->is_unsure = false;
    raft_wal_state_reset(s, mark->index, mark->term);
  } else if (s->is_gapped && mark->index > s->last) {
    raft_wal_state_reset(s, mark->index, mark->term);
    s->is_marked = true;
  }
}

int raft_wal_state_add(struct raft_wal_state *s, const struct raft_wal_batch *b,
                       struct raft_wal_body *body, const char **why) {
  assert(body != NULL);
  int error = add_head(s, b, why);
  if (error != RAFT_OK) return error;
  *why = "a snapshot of a term that had not begun";
  if (body->mark.term > s->term) return RAFT_E_CORRUPT;
  if (s->is_unsure) settle_by(s, b, body->entries);
  s->is_marked = false;
  if (body->mark.index > 0) begin_at_mark(s, &body->mark);
  error = add_entries(s, body, why);
  if (error != RAFT_OK) return error;
  *why = mark_fault(s, &body->mark);
  if (*why == NULL) *why = end_fault(s, b);
  return *why == NULL ? RAFT_OK : RAFT_E_CORRUPT;
}

int raft_wal_state_skip(struct raft_wal_state *s,
                        const struct raft_wal_batch *b, const char **why) {
  assert(s->is_gapped);
  int error = add_head(s, b, why);
  if (error != RAFT_OK) return error;
  if (s->is_unsure) settle_by(s, b, (struct raft_slice){0});
  *why = end_fault(s, b);
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
  struct raft_wal_tail t = s->tail; /* a view */
  struct raft_slice pieces[2];
  raft_wal_tail_shed(&t, s->memory_bytes);
  raft_wal_tail_pieces(&t, pieces);
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
      .tail = pieces[0],
      .tail_rest = pieces[1],
      .last_time = s->last > s->base_index ? s->last_time : 0,
      .newest_hole = s->newest_hole,
      .config = config_at(s, 0),
      .config_before = config_at(s, 1),
  };
  if (!raft_wal_state_has_lost(s)) return;
  out->lost_last = s->head_last;
  out->lost_term = s->head_term;
}
