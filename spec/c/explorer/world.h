/* world.h - a state of the whole cluster, what may happen in it, and what must
 * hold between nodes.
 *
 * A world is numbers of the atlas (a state for each node, the frames under
 * way), what was used up of the bounds, and what history must not contradict:
 * who led which term, who voted for whom, what was committed.
 */
#ifndef RAFT_WORLD_H
#define RAFT_WORLD_H

#include "atlas.h"

#define WORLD_TERMS   8 /* term numbers, at most */
#define WORLD_FRAMES  250
#define WORLD_ACTIONS 1100 /* four for a frame, and some */
#define WORLD_ANY     255  /* of duplicates: any number */

struct world_bounds { /* what is explored; see docs/EXPLORER.md */
  uint32_t nodes;
  uint32_t terms;      /* beyond term 1, in which the cluster has formed */
  uint32_t strangers;  /* so many of the nodes are no members at first */
  uint32_t entries;    /* commands proposed, all in all */
  uint32_t changes;    /* of the members, all in all */
  uint32_t crashes;    /* all in all */
  uint32_t timeouts;   /* of elections, and leaders that lost touch, all in
                          all; WORLD_ANY: any number */
  uint32_t duplicates; /* deliveries that leave the frame where it is, all in
                          all; WORLD_ANY: every frame stays for ever */
  uint32_t frames;     /* under way on one link, older ones are lost;
                          WORLD_FRAMES: any number */
  bool is_fifo;        /* links keep order: what is overtaken is lost */
  bool is_newest;      /* newer appends and answers replace what they cover;
                          only where every frame stays */
  bool is_paced;       /* a node whose disk is busy does nothing else */
};

struct world_past {                     /* what must never be contradicted */
  uint8_t leader[WORLD_TERMS];          /* place + 1 */
  uint8_t votes[SITE_MAX][WORLD_TERMS]; /* place + 1, as told to others */
  uint8_t commit;                       /* newest committed entry */
  uint8_t terms[ATLAS_INDEXES];         /* of committed entries */
  uint8_t since[ATLAS_INDEXES];         /* the term they were committed in */
};

struct world {
  uint32_t site[SITE_MAX];
  struct world_past past;
  uint8_t crashes, duplicates, commands, timeouts, changes; /* there were */
  uint16_t frame_count;
  uint16_t frames[WORLD_FRAMES]; /* in order of sending */
};

struct world_action {
  enum atlas_event event;
  uint8_t place; /* who acts */
  bool keeps;    /* DELIVER: the frame stays, too */
  uint16_t arg;  /* of the event; DELIVER: the frame */
};

enum world_outcome {
  WORLD_NEXT = 1, /* a state to look at */
  WORLD_SAME,     /* nothing has changed */
  WORLD_CUT,      /* it lies outside the bounds */
  WORLD_BROKEN,   /* an invariant does not hold */
};

struct world_space {
  struct world_bounds bounds;
  struct atlas *atlas;
  struct canon_hash *marks; /* random numbers for the past, see world_hash */
  const char *broken;       /* what did not hold, after WORLD_BROKEN */
};

void world_space_init(struct world_space *space,
                      const struct world_bounds *bounds);
void world_space_free(struct world_space *space);
void world_make_marks(struct world_space *space);

void world_first(struct world_space *space, struct world *w);

/* All that may happen; `out` has WORLD_ACTIONS. */
uint32_t world_actions(const struct world_space *space, const struct world *w,
                       struct world_action *out);

enum world_outcome world_act(struct world_space *space, const struct world *w,
                             const struct world_action *action,
                             struct world *next);

bool world_has_frame(const struct world *w, uint16_t frame);

/* The form of a world, the least over all renamings of nodes; or under one. */
struct canon_hash world_hash(const struct world_space *space,
                             const struct world *w);
struct canon_hash world_shape(const struct world_space *space,
                              const struct world *w, uint32_t shape);

/* What holds between nodes, after `place` has acted, being in the state `was`
 * before, and sent the frames of `result`. Notes the past. NULL or what is
 * broken (world_check.c). */
const char *world_check(const struct world_space *space, struct world *w,
                        uint32_t place, uint32_t was,
                        const struct atlas_result *result);

#endif
