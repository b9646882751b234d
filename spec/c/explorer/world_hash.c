/* world_hash.c - the form of a world: sums of the forms of its parts, so that
 * order does not count, least over all renamings of nodes. */
#include "world_inner.h"

#include <stdlib.h>

#include "test.h"

enum { /* kinds of marks: each is a range of random numbers */
       MARKS_LEADER = 0,
       MARKS_VOTE = MARKS_LEADER + WORLD_TERMS * 8,
       MARKS_COMMIT = MARKS_VOTE + SITE_MAX * WORLD_TERMS * 8,
       MARKS_USED = MARKS_COMMIT + ATLAS_INDEXES * WORLD_TERMS * WORLD_TERMS,
       MARKS_ALL = MARKS_USED + 5 * 256,
};

void world_make_marks(struct world_space *space) {
  uint64_t random = 20; /* any, but always the same: counts are compared */
  space->marks = blob_need(malloc(MARKS_ALL * sizeof *space->marks));
  for (uint32_t i = 0; i < MARKS_ALL; i++) {
    space->marks[i].a = test_random(&random);
    space->marks[i].b = test_random(&random);
  }
}

static void plus(struct canon_hash *sum, struct canon_hash h) {
  sum->a += h.a;
  sum->b += h.b;
}

/* Who led and who voted, under a renaming. */
static void add_past(const struct world_space *space, const struct world *w,
                     const uint8_t *places, struct canon_hash *sum) {
  const struct world_past *past = &w->past;
  const struct canon_hash *marks = space->marks;
  for (uint32_t t = 2; t < space->bounds.terms + 2; t++) {
    uint32_t leader = past->leader[t];
    if (leader != 0)
      plus(sum, marks[MARKS_LEADER + t * 8 + places[leader - 1]]);
    for (uint32_t i = 0; i < space->bounds.nodes; i++) {
      uint32_t vote = past->votes[i][t];
      uint32_t row = places[i] * WORLD_TERMS + t;
      if (vote != 0) plus(sum, marks[MARKS_VOTE + row * 8 + places[vote - 1]]);
    }
  }
}

/* What no renaming changes. */
static struct canon_hash common(const struct world_space *space,
                                const struct world *w) {
  const struct canon_hash *marks = space->marks;
  struct canon_hash sum = {0, 0};
  for (uint32_t i = 2; i <= w->past.commit; i++) {
    uint32_t row = i * WORLD_TERMS + w->past.terms[i];
    plus(&sum, marks[MARKS_COMMIT + row * WORLD_TERMS + w->past.since[i]]);
  }
  plus(&sum, marks[MARKS_USED + w->crashes]);
  plus(&sum, marks[MARKS_USED + 256 + w->duplicates]);
  plus(&sum, marks[MARKS_USED + 512 + w->commands]);
  plus(&sum, marks[MARKS_USED + 768 + w->timeouts]);
  plus(&sum, marks[MARKS_USED + 1024 + w->changes]);
  return sum;
}

/* On links that keep order, or lose the oldest, the place in line counts. */
static struct canon_hash in_line(const struct world_space *space,
                                 const struct world *w, uint32_t i,
                                 struct canon_hash h) {
  uint64_t rank = 1;
  for (uint32_t k = 0; k < i; k++)
    rank += world_is_same_link(space->atlas, w->frames[k], w->frames[i]);
  h.a = (h.a ^ h.a >> 29) * (2 * rank + 1);
  h.b = (h.b ^ h.b >> 31) * (2 * rank + 1);
  return h;
}

static struct canon_hash shape_of(const struct world_space *space,
                                  const struct world *w, uint32_t shape,
                                  struct canon_hash sum) {
  const struct atlas *a = space->atlas;
  bool has_order = space->bounds.is_fifo || space->bounds.frames < WORLD_FRAMES;
  for (uint32_t i = 0; i < space->bounds.nodes; i++)
    plus(&sum, a->sites[w->site[i]].shapes[shape]);
  for (uint32_t i = 0; i < w->frame_count; i++) {
    struct canon_hash h = a->frames[w->frames[i]].shapes[shape];
    plus(&sum, has_order ? in_line(space, w, i, h) : h);
  }
  add_past(space, w, a->shapes[shape], &sum);
  return sum;
}

struct canon_hash world_shape(const struct world_space *space,
                              const struct world *w, uint32_t shape) {
  return shape_of(space, w, shape, common(space, w));
}

struct canon_hash world_hash(const struct world_space *space,
                             const struct world *w) {
  struct canon_hash sum = common(space, w);
  struct canon_hash least = shape_of(space, w, 0, sum);
  for (uint32_t k = 1; k < space->atlas->shape_count; k++) {
    struct canon_hash h = shape_of(space, w, k, sum);
    if (h.a < least.a || (h.a == least.a && h.b < least.b)) least = h;
  }
  return least;
}
