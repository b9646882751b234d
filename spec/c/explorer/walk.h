/* walk.h - long random runs of a cluster in virtual time, for depth.
 *
 * Sites of the explorer, but with clocks that run, on a network that delays,
 * loses and doubles, with disks that take their time, partitions and crashes.
 * Every few minutes all is healed, and a leader and a write are demanded. Logs
 * are kept short: after some hundred entries a new cluster begins.
 */
#ifndef RAFT_WALK_H
#define RAFT_WALK_H

#include "site.h"

/* Time-outs, in virtual ms: a leader that is late by a tenth is suspected. */
#define WALK_ELECTION_MIN_MS 1000
#define WALK_ELECTION_MAX_MS 2000
#define WALK_HEARTBEAT_MS    900

#define WALK_LOG   400  /* entries of one cluster, at most */
#define WALK_TERMS 8000 /* terms of one cluster, at most */

#define WALK_MARKS(X)                                                          \
  X(elections, "leaders elected")                                              \
  X(split_votes, "terms with several candidates")                              \
  X(no_leader, "terms without a leader")                                       \
  X(truncations, "logs truncated")                                             \
  X(step_downs, "leaders that stepped down")                                   \
  X(lost_touch, "of these, out of touch with the others")                      \
  X(refused_pre_votes, "pre-votes refused")                                    \
  X(refused_votes, "votes refused")                                            \
  X(refused_appends, "appends refused")                                        \
  X(commits, "entries committed")                                              \
  X(crashes, "crashes")                                                        \
  X(torn, "of these, with writes under way that were lost")                    \
  X(lost, "frames lost")                                                       \
  X(doubled, "frames doubled")                                                 \
  X(overtaken, "frames that overtook others")                                  \
  X(partitions, "partitions")                                                  \
  X(slow_disks, "slow disks")                                                  \
  X(full_stores, "disks with all writes under way")                            \
  X(heals, "times healed, and alive again")                                    \
  X(clusters, "clusters")

struct walk_marks { /* what was met, so that nothing dull counts as a proof */
#define X(name, text) uint64_t name;
  WALK_MARKS(X)
#undef X
};

struct walk_result {
  double seconds; /* virtual */
  uint64_t events;
  uint64_t full_checks; /* of these, with a look at everything */
  struct walk_marks marks;
  const char *broken; /* NULL, or what was */
  uint64_t seed;      /* of the cluster where it was */
  double at;          /* virtual seconds in that cluster */
};

/* Walks for so many virtual seconds; ends early when something is broken. */
struct walk_result walk_run(uint64_t seed, double seconds);

/* One cluster again, that of result.seed. */
struct walk_result walk_again(uint64_t seed);

#endif
