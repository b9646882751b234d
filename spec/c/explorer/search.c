#include "search.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- worlds that were met ------------------------------------------------ */

struct met {
  struct canon_hash *hashes; /* by number */
  uint32_t *parents;         /* by number */
  uint32_t count, max;
  uint32_t *slots; /* number + 1; 0 empty */
  uint64_t room;   /* a power of two, never more than 3/4 full */
};

static void met_init(struct met *m, uint64_t states_max) {
  *m = (struct met){.max = (uint32_t)states_max, .room = 1u << 16};
  /* Pages that nobody touches cost nothing. */
  m->hashes = blob_need(malloc(states_max * sizeof *m->hashes));
  m->parents = blob_need(malloc(states_max * sizeof *m->parents));
  m->slots = blob_need(calloc(m->room, sizeof *m->slots));
}

static void met_free(struct met *m) {
  free(m->hashes);
  free(m->parents);
  free(m->slots);
}

static void met_grow(struct met *m) {
  free(m->slots);
  m->room *= 2;
  m->slots = blob_need(calloc(m->room, sizeof *m->slots));
  for (uint32_t i = 0; i < m->count; i++) {
    uint64_t at = m->hashes[i].a & (m->room - 1);
    while (m->slots[at] != 0)
      at = (at + 1) & (m->room - 1);
    m->slots[at] = i + 1;
  }
}

/* True when it is new. */
static bool met_add(struct met *m, struct canon_hash h, uint32_t parent) {
  uint64_t at = h.a & (m->room - 1);
  for (; m->slots[at] != 0; at = (at + 1) & (m->room - 1)) {
    const struct canon_hash *known = &m->hashes[m->slots[at] - 1];
    if (known->a == h.a && known->b == h.b) return false;
  }
  if (m->count == m->max) return false; /* the caller looks for it */
  m->hashes[m->count] = h;
  m->parents[m->count] = parent;
  m->slots[at] = ++m->count;
  if (4 * (uint64_t)m->count > 3 * m->room) met_grow(m);
  return true;
}

/* ---- the frontier: worlds, packed ---------------------------------------- */

struct queue {
  uint8_t *bytes;
  size_t size, room, at; /* at: read up to here */
  uint64_t count;
};

#define PACKED_HEAD offsetof(struct world, frames)

static void push(struct queue *q, const struct world *w) {
  size_t size = PACKED_HEAD + w->frame_count * sizeof *w->frames;
  if (q->size + size > q->room) {
    q->room = 2 * q->room + 4096;
    q->bytes = blob_need(realloc(q->bytes, q->room));
  }
  memcpy(q->bytes + q->size, w, size);
  q->size += size;
  q->count++;
}

static bool pop(struct queue *q, struct world *w) {
  if (q->at == q->size) return false;
  memcpy(w, q->bytes + q->at, PACKED_HEAD);
  memcpy(w->frames, q->bytes + q->at + PACKED_HEAD,
         w->frame_count * sizeof *w->frames);
  q->at += PACKED_HEAD + w->frame_count * sizeof *w->frames;
  return true;
}

/* ---- asserts of the core ------------------------------------------------- */

/* An assert that fails is a violation like any other: it shall have its story,
 * so abort ends up here. There is no other way to hand it over. */
static jmp_buf aborted;
static const char *const assert_failed = "an assert of the core failed";

static void catch_abort(int signal_number) {
  (void)signal(signal_number, catch_abort);
  longjmp(aborted, 1);
}

/* ---- the way to a violation ---------------------------------------------- */

struct search {
  struct world_space *space;
  struct met met;
  struct queue now, next;
  uint32_t number; /* of the world being looked at */
  struct search_result result;
  const struct search_limits *limits;
  FILE *progress, *story;
  struct timespec start;
  clock_t began; /* in processor time */
};

static void tell(const struct search *s, uint32_t line, const struct world *w,
                 const struct world_action *action, const struct world *next) {
  char words[400];
  words_of_action(s->space, w, action, words, sizeof words);
  fprintf(s->story, "%3" PRIu32 ". %s\n", line, words);
  words_of_world(s->space, next, words, sizeof words);
  fprintf(s->story, "       %s\n", words);
}

/* The action that leads to the world of this form, tried in order; the world
 * found may be another of the same form, which is as good. */
static bool go(struct search *s, struct world *w, struct canon_hash to,
               uint32_t line) {
  struct world_action actions[WORLD_ACTIONS];
  uint32_t count = world_actions(s->space, w, actions);
  for (uint32_t i = 0; i < count; i++) {
    struct world next;
    if (world_act(s->space, w, &actions[i], &next) != WORLD_NEXT) continue;
    struct canon_hash h = world_hash(s->space, &next);
    if (h.a != to.a || h.b != to.b) continue;
    tell(s, line, w, &actions[i], &next);
    *w = next;
    return true;
  }
  return false;
}

/* world_act, where an assert may fail: *next is then as `w`. */
static enum world_outcome try_act(struct search *s, const struct world *w,
                                  const struct world_action *action,
                                  struct world *next) {
  if (setjmp(aborted) == 0) return world_act(s->space, w, action, next);
  s->space->broken = assert_failed;
  *next = *w;
  return WORLD_BROKEN;
}

static void tell_last(struct search *s, const struct world *w, uint32_t line) {
  struct world_action actions[WORLD_ACTIONS];
  uint32_t count = world_actions(s->space, w, actions);
  for (uint32_t i = 0; i < count; i++) {
    struct world next;
    if (try_act(s, w, &actions[i], &next) != WORLD_BROKEN) continue;
    tell(s, line, w, &actions[i], &next);
    fprintf(s->story, "Broken: %s.\n", s->space->broken);
    return;
  }
}

/* From the first world to the one where the violation was met. */
static void tell_story(struct search *s) {
  uint32_t *path = blob_need(malloc((s->result.depth + 2) * sizeof *path));
  uint32_t length = 0;
  for (uint32_t i = s->number; i != 0; i = s->met.parents[i])
    path[length++] = i;
  struct world w;
  world_first(s->space, &w);
  fprintf(s->story, "The way, %" PRIu32 " steps:\n", length + 1);
  for (uint32_t k = 0; k < length; k++)
    if (!go(s, &w, s->met.hashes[path[length - 1 - k]], k + 1)) {
      fprintf(s->story, "the way is lost: the form is not sound\n");
      break;
    }
  tell_last(s, &w, length + 1);
  free(path);
}

/* ---- the search ---------------------------------------------------------- */

static double seconds_since(const struct timespec *start) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (double)(now.tv_sec - start->tv_sec) +
         (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void expand(struct search *s, const struct world *w) {
  struct world_action actions[WORLD_ACTIONS];
  uint32_t count = world_actions(s->space, w, actions);
  for (uint32_t i = 0; i < count && s->result.broken == NULL; i++) {
    struct world next;
    enum world_outcome outcome = world_act(s->space, w, &actions[i], &next);
    s->result.transitions++;
    if (outcome == WORLD_BROKEN) s->result.broken = s->space->broken;
    s->result.cut += outcome == WORLD_CUT;
    s->result.in_vain += outcome == WORLD_SAME;
    if (outcome != WORLD_NEXT) continue;
    struct canon_hash h = world_hash(s->space, &next);
    if (met_add(&s->met, h, s->number)) push(&s->next, &next);
  }
}

static bool is_enough(const struct search *s) {
  const struct search_limits *l = s->limits;
  if (s->result.broken != NULL || s->met.count == s->met.max) return true;
  if (l->depth_max > 0 && s->result.depth > l->depth_max) return true;
  if (l->seconds_max <= 0 || s->number % 1024 != 0) return false;
  return seconds_since(&s->start) > l->seconds_max;
}

static void show(const struct search *s) {
  if (s->progress == NULL) return;
  fprintf(s->progress,
          "depth %3" PRIu32 "  worlds %10" PRIu32 "  frontier %9" PRIu64
          "  transitions %11" PRIu64 "  node states %8" PRIu32
          "  frames %5" PRIu32 "  %7.1f s\n",
          s->result.depth, s->met.count, s->now.count, s->result.transitions,
          s->space->atlas->site_count, s->space->atlas->frame_count,
          seconds_since(&s->start));
  fflush(s->progress);
}

/* Worlds have the numbers in which they were met, so the frontier is in order
 * and the number of the one at hand just counts up. */
static void run(struct search *s) {
  struct world w;
  world_first(s->space, &w);
  (void)met_add(&s->met, world_hash(s->space, &w), 0); /* it is the first */
  push(&s->next, &w);
  if (setjmp(aborted) != 0) { /* from within expand */
    s->result.broken = assert_failed;
    return;
  }
  while (s->next.count > 0 && !is_enough(s)) {
    struct queue done = s->now;
    s->now = s->next;
    done.size = done.at = 0;
    done.count = 0;
    s->next = done;
    if (s->now.count > s->result.frontier_max)
      s->result.frontier_max = s->now.count;
    show(s);
    s->result.depth++;
    while (!is_enough(s) && pop(&s->now, &w)) {
      expand(s, &w);
      if (s->result.broken == NULL) s->number++;
    }
  }
  s->result.is_done =
      s->next.count == 0 && s->now.at == s->now.size && !is_enough(s);
}

static struct search_result search(struct search *s) {
  const struct atlas *a = s->space->atlas;
  timespec_get(&s->start, TIME_UTC);
  s->began = clock();
  met_init(&s->met, s->limits->states_max);
  void (*before)(int) = signal(SIGABRT, catch_abort);
  run(s);
  struct search_result result = s->result;
  result.states = s->met.count;
  result.sites = a->site_count;
  result.frames = a->frame_count;
  result.core_steps = a->core_steps;
  result.seconds = (double)(clock() - s->began) / CLOCKS_PER_SEC;
  if (result.broken != NULL && s->story != NULL) tell_story(s);
  (void)signal(SIGABRT, before);
  free(s->now.bytes);
  free(s->next.bytes);
  met_free(&s->met);
  return result;
}

struct search_result search_run(const struct world_bounds *bounds,
                                const struct search_limits *limits,
                                FILE *progress, FILE *story) {
  struct world_space space;
  struct search s = {.space = &space, .limits = limits};
  s.progress = progress;
  s.story = story;
  world_space_init(&space, bounds);
  struct search_result result = search(&s);
  world_space_free(&space);
  return result;
}

struct search_result search_in(struct world_space *space,
                               const struct search_limits *limits) {
  struct search s = {.space = space, .limits = limits};
  return search(&s);
}
