/* search.h - breadth first over all worlds within bounds: the first violation
 * has a shortest way to it.
 *
 * A world that was met is kept as 128 bits of its form and the number of the
 * world it came from; only the frontier is kept whole.
 */
#ifndef RAFT_SEARCH_H
#define RAFT_SEARCH_H

#include "world.h"

#include <stdio.h>

struct search_limits {
  uint64_t states_max; /* memory: 24 to 32 bytes each, and the frontier */
  uint64_t depth_max;  /* 0: none */
  double seconds_max;  /* 0: none */
};

struct search_result {
  uint64_t states, transitions; /* distinct worlds; actions tried in them */
  uint64_t cut;                 /* of these, led out of the bounds */
  uint64_t in_vain;             /* of these, changed nothing */
  uint32_t depth;               /* of the last world that was new */
  uint64_t frontier_max;        /* worlds */
  uint32_t sites, frames;       /* distinct states of one node, and frames */
  uint64_t core_steps;          /* events run on the real core */
  double seconds;               /* of processor time */
  bool is_done;                 /* the frontier is empty */
  const char *broken; /* what did not hold; then `story` was written */
};

/* `progress` NULL: silent. The way to a violation is written to `story`. */
struct search_result search_run(const struct world_bounds *bounds,
                                const struct search_limits *limits,
                                FILE *progress, FILE *story);

/* The same, silent, in a space of the caller's. */
struct search_result search_in(struct world_space *space,
                               const struct search_limits *limits);

/* One action, in words, without a line end (words.c). */
void words_of_action(const struct world_space *space, const struct world *w,
                     const struct world_action *action, char *out, size_t room);
/* A world in a line. */
void words_of_world(const struct world_space *space, const struct world *w,
                    char *out, size_t room);

#endif
