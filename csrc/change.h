/* change.h - the way from one configuration to another. [Raft 6] A leaf: pure
 * functions of configurations. When a step may be taken is reconfig.c's.
 *
 *   settled --> intent --> joint --> final = settled
 *         |        |                   ^
 *         +--------+-------------------+  where nobody's vote changes
 *
 * Every quorum of a step meets every quorum of the step before: the halves of a
 * joint one are those of its neighbours, and all else leaves quorums alone.
 */
#ifndef RAFT_CHANGE_H
#define RAFT_CHANGE_H

#include "raft.h"

#pragma GCC visibility push(hidden)

/* Is there nothing left to reach? (Whether it is committed is not asked.) */
bool raft_change_is_settled(const struct raft_config *c);

/* The first step from the configuration in force to the target, of which the
 * roles do not count, only the goals. 1: *next is to be appended; 0: there is
 * nothing to do; RAFT_E_BUSY: another change is under way, and this does not
 * only take back what is not joint yet; RAFT_E_BAD_CONFIG. The target may break
 * any rule. Nothing is of use in *next but at 1. */
int raft_change_begin(const struct raft_config *now,
                      const struct raft_config *target,
                      struct raft_config *next);

/* The step after this one; false: it is settled. Incarnations are the caller's:
 * they stay as they are. */
bool raft_change_next(const struct raft_config *now, struct raft_config *next);

/* Mask of the members that must have caught up before the next step. */
uint32_t raft_change_waits_for(const struct raft_config *now);

/* What all this is to end in: a settled configuration of its goals. */
void raft_change_goal(const struct raft_config *c, struct raft_config *out);

/* Is the member sent no commands, once this is committed? */
bool raft_change_is_stripped(const struct raft_member *m);

#pragma GCC visibility pop
#endif
