/* check.h - the invariants, as one file: what holds of one state, and between
 * two consecutive states. Reads everything and changes nothing; the core never
 * calls it, tests call it after every step.
 *
 * Every "Invariant:" in a field comment has its twin here or in the check
 * function of its leaf, which this one calls.
 */
#ifndef RAFT_CHECK_H
#define RAFT_CHECK_H

#include "raft.h"

#pragma GCC visibility push(hidden)

/* NULL, or the invariant that is broken, in words. Looks at every entry in
 * memory. */
const char *raft_check(const struct raft *r);

struct raft_facts { /* what of one state the next one is measured by */
  raft_ms now;
  bool is_started;
  raft_term term;
  raft_id vote; /* in `term`, 0 nobody */
  enum raft_state state;
  raft_id leader; /* 0: none known */
  raft_index base, snapshot, marked, last, stored, commit, apply_handed,
      applied;
  raft_term last_term, stored_term, commit_term; /* of the entries there */
  raft_index config_index;
  raft_term config_term;
  raft_index lost_last; /* what damage took; 0: nothing is missing */
  raft_term lost_term;
  raft_index term_start; /* of a leader */
  raft_seq seq_handed, seq_stored;
  uint64_t ballot_round;
  uint64_t read_round; /* of a leader */
  uint64_t read_context;
};

struct raft_facts raft_facts_of(const struct raft *r);

/* NULL, or the rule that was broken on the way from one state to the next:
 * what may only grow has shrunk, what was promised has changed. */
const char *raft_check_step(const struct raft_facts *before,
                            const struct raft *after);

#pragma GCC visibility pop
#endif
