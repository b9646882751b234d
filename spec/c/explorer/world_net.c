/* world_net.c - frames under way: sent, taken, lost, dead. */
#include "world_inner.h"

#include <string.h>

bool world_is_same_link(const struct atlas *a, uint16_t x, uint16_t y) {
  return a->frames[x].from == a->frames[y].from &&
         a->frames[x].to == a->frames[y].to;
}

bool world_has_frame(const struct world *w, uint16_t frame) {
  for (uint32_t i = 0; i < w->frame_count; i++)
    if (w->frames[i] == frame) return true;
  return false;
}

void world_take(const struct world_space *space, struct world *w,
                uint16_t frame) {
  uint32_t kept = 0;
  bool is_passed = !space->bounds.is_fifo;
  for (uint32_t i = 0; i < w->frame_count; i++) {
    uint16_t f = w->frames[i];
    bool goes = f == frame;
    if (!is_passed && world_is_same_link(space->atlas, f, frame)) {
      is_passed = goes;
      goes = true; /* it was overtaken */
    }
    if (!goes) w->frames[kept++] = f;
  }
  w->frame_count = (uint16_t)kept;
}

/* All but what waits to be sent. */
static bool is_unmoved(const struct atlas_view *x, const struct atlas_view *y) {
  return x->state == y->state && x->term == y->term && x->vote == y->vote &&
         x->last == y->last && x->commit == y->commit &&
         x->batches == y->batches;
}

bool world_is_ignored(const struct world_space *space, const struct world *w,
                      uint16_t frame) {
  const struct atlas *a = space->atlas;
  bool is_vote = a->frames[frame].m.kind == RAFT_MSG_VOTE;
  uint32_t site = w->site[a->frames[frame].to];
  const struct atlas_result *result =
      atlas_step(space->atlas, site, ATLAS_DELIVER, frame);
  if (result->broken != NULL) return false;
  if (result->site == site) return true;
  /* The answer may have to wait for the disk. */
  return is_vote &&
         is_unmoved(&a->sites[site].view, &a->sites[result->site].view);
}

/* The rule says so, and the core, asked, is not moved. */
static bool is_dead(const struct world_space *space, const struct world *w,
                    uint16_t frame) {
  uint32_t to = space->atlas->frames[frame].to;
  if (!atlas_is_dead(space->atlas, frame, w->site[to])) return false;
  return world_is_ignored(space, w, frame);
}

/* Makes room for the frame on a link that is full. */
static void lose_oldest(const struct world_space *space, struct world *w,
                        uint16_t frame) {
  uint32_t count = 0;
  uint32_t oldest = w->frame_count;
  for (uint32_t i = w->frame_count; i > 0; i--) {
    if (!world_is_same_link(space->atlas, w->frames[i - 1], frame)) continue;
    oldest = i - 1;
    count++;
  }
  if (count < space->bounds.frames) return;
  w->frame_count--;
  memmove(w->frames + oldest, w->frames + oldest + 1,
          (w->frame_count - oldest) * sizeof *w->frames);
}

/* A frame that is under way already is sent in vain; so is a question for a
 * term outside the bounds. */
static bool send_one(const struct world_space *space, struct world *w,
                     uint16_t frame) {
  const struct atlas_frame *f = &space->atlas->frames[frame]; /* may move */
  bool is_outside = f->m.kind == RAFT_MSG_VOTE &&
                    f->m.vote.for_term > space->bounds.terms + 1;
  if (is_outside || world_has_frame(w, frame)) return true;
  if (is_dead(space, w, frame)) return true;
  lose_oldest(space, w, frame);
  if (w->frame_count == WORLD_FRAMES) return false;
  w->frames[w->frame_count++] = frame;
  return true;
}

bool world_send(const struct world_space *space, struct world *w,
                const struct atlas_result *result) {
  for (uint32_t i = 0; i < result->sent_count; i++)
    if (!send_one(space, w, space->atlas->sent[result->sent_first + i]))
      return false;
  return true;
}

void world_close(const struct world_space *space, struct world *w,
                 uint32_t owner) {
  struct atlas *a = space->atlas;
  uint32_t count = w->frame_count;
  w->frame_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t aged = atlas_age(a, w->frames[i], owner);
    if (world_has_frame(w, aged) || is_dead(space, w, aged)) continue;
    w->frames[w->frame_count++] = aged;
  }
  for (uint32_t i = 0; i < space->bounds.nodes; i++)
    if (i != owner)
      w->site[i] = atlas_step(a, w->site[i], ATLAS_AGE, owner)->site;
}

void world_bury(const struct world_space *space, struct world *w,
                uint32_t place) {
  const struct atlas *a = space->atlas;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < w->frame_count; i++) {
    uint16_t f = w->frames[i];
    bool is_dead =
        a->frames[f].to == place && atlas_is_dead(a, f, w->site[place]);
    if (!is_dead) w->frames[kept++] = f;
  }
  w->frame_count = (uint16_t)kept;
}
