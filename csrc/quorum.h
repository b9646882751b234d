/* quorum.h - who is enough. A leaf: pure functions of a configuration.
 *
 * Every function answers for joint configurations by asking both halves.
 * [Raft 6] Votes count VOTER and WITNESS of a half, never LEARNER.
 * Masks have bit i for the member at position i; bits of members that do not
 * count, or do not exist, are ignored.
 *
 * A half without voters has no quorum at all: nothing is won or committed
 * before a configuration is known.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "raft.h"

#pragma GCC visibility push(hidden)

enum raft_tally {
  RAFT_TALLY_PENDING = 1, /* neither yet */
  RAFT_TALLY_WON,         /* the granted ones are a quorum */
  RAFT_TALLY_LOST,        /* they cannot become one any more */
};

/* Is the set of members in `mask` a quorum for this purpose? */
bool raft_quorum_has(const struct raft_config *c, enum raft_purpose purpose,
                     uint32_t mask);

/* How an election stands, by who granted and who refused. LOST: not even if
 * everybody grants who has not refused. */
enum raft_tally raft_quorum_tally(const struct raft_config *c, uint32_t granted,
                                  uint32_t refused);

/* The largest value v such that the members with values[i] >= v are a commit
 * quorum: the commit index from match indexes, the confirmed round from acked
 * rounds, the time since when a quorum was heard. values[i] by position; of
 * members that do not count it is not read. 0 when there is no quorum. */
uint64_t raft_quorum_value(const struct raft_config *c, const uint64_t *values);

/* The largest value that a strict majority of those with a state has reached,
 * in each half: of the VOTERs, whatever the rule. What learners and witnesses
 * have is not read. 0 when nobody has a state. */
uint64_t raft_quorum_majority(const struct raft_config *c,
                              const uint64_t *values);

/* Mask of the members that count in either half. */
uint32_t raft_quorum_voters(const struct raft_config *c);

/* NULL, or the rule that this half breaks, in words. The rule may come from the
 * network: nothing of it is believed. Checked are
 *   every two election quorums meet, so a term has one leader;
 *   every election quorum meets every commit quorum, so a leader has what is
 *   committed. Both, never one: {n=5, election=2, commit=4} passes the second
 *   alone. [Howard, Flexible Paxos]
 *   Every commit quorum holds a full member: a witness keeps no commands. */
const char *raft_quorum_check(const struct raft_config *c, enum raft_half half);

#pragma GCC visibility pop
#endif
