/* repair.c - a log that damage has cut short, until it is whole again.
 *
 * What we acknowledged, others count on; so we vote as if we still had it. What
 * must hold: a vote is judged by the newest entry that there was [Raft 5.4.1];
 * nothing is acknowledged that is not there now; we do not campaign. A log as
 * new as that entry holds every committed one that the lost part held, for the
 * reason that a candidate with such a log may be elected [Raft 5.4.3]: then all
 * is as usual. The argument: docs/decisions/0010-repair.md
 */
#include <assert.h>

#include "config.h"
#include "quorum.h"
#include "replica.h"

static struct raft_place last_place(const struct raft *r) {
  assert(r->log.base_index <= r->log.last);
  return (struct raft_place){raft_log_last_term(&r->log), r->log.last};
}

static bool is_newer(struct raft_place a, struct raft_place b) {
  assert((a.term == 0) == (a.index == 0));
  if (a.term != b.term) return a.term > b.term;
  return a.index > b.index;
}

/* Can we commit, or elect, all by ourselves? Then nobody else has what we
 * lost. */
static bool are_alone(const struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  int self = raft_config_find(&r->config, r->options.self);
  if (self < 0) return false;
  assert((uint32_t)self < r->config.count);
  uint32_t mask = 1u << self;
  return raft_quorum_has(&r->config, RAFT_COMMIT, mask) ||
         raft_quorum_has(&r->config, RAFT_ELECTION, mask);
}

int raft_repair_begin(struct raft *r, const struct raft_recovery *rec) {
  assert(!r->is_started);
  assert(r->lost.index == 0);
  struct raft_place lost = {rec->lost_term, rec->lost_last};
  if (lost.term == 0 && lost.index == 0) return RAFT_OK;
  if (lost.term == 0 || lost.index == 0) return RAFT_E_CORRUPT;
  if (lost.term > rec->term) return RAFT_E_CORRUPT; /* [Raft 5.1] */
  assert(r->log.last == rec->last);
  if (!is_newer(lost, last_place(r))) return RAFT_E_CORRUPT;
  if (r->config_index == 0 || are_alone(r)) return RAFT_E_CORRUPT;
  r->lost = lost;
  return RAFT_OK;
}

void raft_repair_grown(struct raft *r) {
  assert(r->is_started);
  if (!raft_is_repairing(r) || is_newer(r->lost, last_place(r))) return;
  assert(r->state == RAFT_FOLLOWER);
  r->lost = (struct raft_place){0};
  raft_set_election_timer(r);
}

struct raft_place raft_repair_place(const struct raft *r) {
  assert(r->lost.term <= r->term);
  return raft_is_repairing(r) ? r->lost : last_place(r);
}
