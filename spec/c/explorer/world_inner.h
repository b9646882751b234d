/* world_inner.h - what the files of a world share. */
#ifndef RAFT_WORLD_INNER_H
#define RAFT_WORLD_INNER_H

#include "world.h"

static inline const struct atlas_view *
world_view(const struct world_space *space, const struct world *w,
           uint32_t place) {
  return &space->atlas->sites[w->site[place]].view;
}

/* May nothing but its disk move this node now? */
static inline bool world_is_busy(const struct world_space *space,
                                 const struct world *w, uint32_t place) {
  return space->bounds.is_paced && world_view(space, w, place)->batches > 0;
}

static inline bool world_is_soup(const struct world_space *space) {
  return space->bounds.duplicates == WORLD_ANY;
}

/* ---- world_net.c: the frames under way ----------------------------------- */

bool world_is_same_link(const struct atlas *a, uint16_t x, uint16_t y);

/* Takes the frame off; on a link that keeps order what it overtook, too. */
void world_take(const struct world_space *space, struct world *w,
                uint16_t frame);

/* Puts what was sent on the network. False: there is no room. */
bool world_send(const struct world_space *space, struct world *w,
                const struct atlas_result *result);

/* Does the core leave the receiver as it is, if the frame arrives now? */
bool world_is_ignored(const struct world_space *space, const struct world *w,
                      uint16_t frame);

/* The ballot of `owner` has closed: frames and other nodes hear of it. */
void world_close(const struct world_space *space, struct world *w,
                 uint32_t owner);

/* Takes frames off that the node, changed as it is now, will ever ignore. */
void world_bury(const struct world_space *space, struct world *w,
                uint32_t place);

/* ---- world_soup.c: where every frame stays for ever ---------------------- */

/* Does at once all that changes no node and only adds frames; then forgets what
 * is spent or superseded. False: broken, or there is no room. */
bool world_settle(struct world_space *space, struct world *w);

#endif
