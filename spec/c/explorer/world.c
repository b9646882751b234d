/* world.c - what may happen, and what comes of it. */
#include "world_inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- birth --------------------------------------------------------------- */

void world_space_init(struct world_space *space,
                      const struct world_bounds *bounds) {
  *space = (struct world_space){.bounds = *bounds};
  space->atlas =
      atlas_new(bounds->nodes, bounds->strangers, world_is_soup(space));
  world_make_marks(space);
}

void world_space_free(struct world_space *space) {
  atlas_free(space->atlas);
  free(space->marks);
}

void world_first(struct world_space *space, struct world *w) {
  memset(w, 0, sizeof *w);
  for (uint32_t i = 0; i < space->bounds.nodes; i++)
    w->site[i] = atlas_first(space->atlas, i);
  w->past.commit = 1;
  w->past.terms[1] = w->past.since[1] = 1;
}

/* ---- what may happen ----------------------------------------------------- */

struct list {
  struct world_action *out;
  uint32_t count;
};

static void add(struct list *l, enum atlas_event event, uint32_t place,
                uint32_t arg) {
  if (l->count == WORLD_ACTIONS) return; /* never: see WORLD_ACTIONS */
  l->out[l->count++] = (struct world_action){
      .event = event, .place = (uint8_t)place, .arg = (uint16_t)arg};
}

static void add_disk(const struct world_space *space, const struct world *w,
                     struct list *l, uint32_t place) {
  uint32_t batches = world_view(space, w, place)->batches;
  for (uint32_t n = 1; n <= batches; n++)
    if (n == 1 || n == batches) add(l, ATLAS_STORE, place, n);
  if (w->crashes == space->bounds.crashes) return;
  for (uint32_t keep = 0; keep <= batches; keep++)
    add(l, ATLAS_CRASH, place, keep);
}

/* In the last term a time-out leads to an election outside the bounds. It
 * matters only to who has a leader and has not voted: he may vote then. */
static bool may_time_out(const struct world_space *space, const struct world *w,
                         const struct atlas_view *v) {
  const struct world_bounds *b = &space->bounds;
  if (b->timeouts != WORLD_ANY && w->timeouts >= b->timeouts) return false;
  if (v->state == RAFT_LEADER) return v->term <= b->terms;
  if (!v->can_time_out) return false;
  return v->term <= b->terms || (v->has_leader && v->vote == 0);
}

static void add_own(const struct world_space *space, const struct world *w,
                    struct list *l, uint32_t place) {
  const struct atlas_view *v = world_view(space, w, place);
  bool leads = v->state == RAFT_LEADER;
  if (may_time_out(space, w, v))
    add(l, leads ? ATLAS_LOSE_TOUCH : ATLAS_TIME_OUT, place, 0);
  if (!leads) return;
  add(l, ATLAS_HEARTBEAT, place, 0);
  if (w->commands < space->bounds.entries && !v->has_heir)
    add(l, ATLAS_PROPOSE, place, w->commands);
  if (w->changes == space->bounds.changes || !v->may_change) return;
  for (uint32_t i = 0; i < space->bounds.nodes; i++)
    if (v->members != 1u << i)
      add(l, ATLAS_CHANGE, place, i); /* not the last */
}

static void add_delivery(const struct world_space *space, const struct world *w,
                         struct list *l, uint16_t frame, bool keeps) {
  const struct atlas_frame *f = &space->atlas->frames[frame];
  bool is_vote = f->m.kind == RAFT_MSG_VOTE;
  add(l, ATLAS_DELIVER, f->to, frame);
  l->out[l->count - 1].keeps = keeps;
  if (!is_vote || !world_view(space, w, f->to)->has_leader) return;
  add(l, ATLAS_DELIVER_LATE, f->to, frame);
  l->out[l->count - 1].keeps = keeps;
}

static void add_frames(const struct world_space *space, const struct world *w,
                       struct list *l) {
  bool all_stay = world_is_soup(space);
  for (uint32_t i = 0; i < w->frame_count; i++) {
    uint16_t frame = w->frames[i];
    if (world_is_busy(space, w, space->atlas->frames[frame].to)) continue;
    add_delivery(space, w, l, frame, all_stay);
    if (!all_stay && w->duplicates < space->bounds.duplicates)
      add_delivery(space, w, l, frame, true);
  }
}

uint32_t world_actions(const struct world_space *space, const struct world *w,
                       struct world_action *out) {
  struct list l = {.out = out};
  for (uint32_t i = 0; i < space->bounds.nodes; i++) {
    add_disk(space, w, &l, i);
    if (!world_is_busy(space, w, i)) add_own(space, w, &l, i);
  }
  add_frames(space, w, &l);
  return l.count;
}

/* ---- what comes of it ---------------------------------------------------- */

static bool is_delivery(const struct world_action *action) {
  return action->event == ATLAS_DELIVER || action->event == ATLAS_DELIVER_LATE;
}

static void count_action(const struct world_bounds *b, struct world *w,
                         const struct world_action *action) {
  bool is_time_out =
      action->event == ATLAS_TIME_OUT || action->event == ATLAS_LOSE_TOUCH;
  bool is_double = is_delivery(action) && action->keeps;
  if (action->event == ATLAS_CRASH) w->crashes++;
  if (action->event == ATLAS_PROPOSE) w->commands++;
  if (action->event == ATLAS_CHANGE) w->changes++;
  if (is_time_out && b->timeouts != WORLD_ANY) w->timeouts++;
  if (is_double && b->duplicates != WORLD_ANY) w->duplicates++;
}

static bool is_outside(const struct world_space *space, uint32_t site) {
  const struct atlas_view *v = &space->atlas->sites[site].view;
  return v->term > space->bounds.terms + 1 || v->last >= ATLAS_INDEXES;
}

/* Has nothing changed but that a frame was taken, or a bound used up? Then all
 * that may follow may follow from `w` as well: a frame that stays can do more
 * than one that is gone. */
static bool is_in_vain(const struct world_space *space, const struct world *w,
                       const struct world *next,
                       const struct world_action *action) {
  if (action->event == ATLAS_CRASH || action->event == ATLAS_PROPOSE ||
      action->event == ATLAS_CHANGE)
    return false;
  if (w->site[action->place] != next->site[action->place]) return false;
  bool is_taken = is_delivery(action) && !action->keeps;
  bool has_room = space->bounds.frames >= WORLD_FRAMES;
  if (is_taken && !has_room) return false; /* it gave up its place */
  for (uint32_t i = 0; i < next->frame_count; i++)
    if (!world_has_frame(w, next->frames[i])) return false;
  return true;
}

static void copy(const struct world *w, struct world *out) {
  memcpy(out, w, offsetof(struct world, frames));
  memcpy(out->frames, w->frames, w->frame_count * sizeof *w->frames);
}

enum world_outcome world_act(struct world_space *space, const struct world *w,
                             const struct world_action *action,
                             struct world *next) {
  uint32_t place = action->place;
  struct atlas_result result =
      *atlas_step(space->atlas, w->site[place], action->event, action->arg);
  copy(w, next);
  next->site[place] = result.site;
  count_action(&space->bounds, next, action);
  space->broken = result.broken;
  if (space->broken != NULL) return WORLD_BROKEN;
  if (is_outside(space, result.site)) return WORLD_CUT;
  if (is_delivery(action) && !action->keeps)
    world_take(space, next, action->arg);
  if (result.has_closed) world_close(space, next, place);
  if (!world_send(space, next, &result)) return WORLD_CUT;
  if (result.site != w->site[place]) world_bury(space, next, place);
  space->broken = world_check(space, next, place, w->site[place], &result);
  if (space->broken != NULL) return WORLD_BROKEN;
  if (!world_settle(space, next))
    return space->broken != NULL ? WORLD_BROKEN : WORLD_CUT;
  return is_in_vain(space, w, next, action) ? WORLD_SAME : WORLD_NEXT;
}
