/* lease.c - reads without asking anybody, while no other can lead.
 *
 * Who acknowledged a round helps nobody else to our place for the minimum
 * election time-out (election.c: raft_is_sticky, is_too_young). If that is a
 * commit quorum, no election quorum can form meanwhile: the two meet. The
 * lease is counted from the first sending of the round, which is before any of
 * them heard it. See docs/MEMBERSHIP.md, "Leases". [Thesis 6.4.1]
 *
 * Where a round of its own lies between two marks, the older mark speaks for
 * it: a lease only gets shorter by that.
 */
#include <assert.h>
#include <string.h>

#include "quorum.h"
#include "replica.h"

/* The minimum election time-out that everybody keeps: while a configuration may
 * still be taken back, the one before it may count again. */
static uint32_t kept_min(const struct raft *r) {
  assert(r->config.count > 0);
  uint32_t min = r->config.election_min_ms;
  bool is_open = r->config_index > r->commit && r->config_before_index > 0;
  if (is_open && r->config_before.election_min_ms < min)
    min = r->config_before.election_min_ms;
  assert(min > 0);
  return min;
}

/* Nine tenths, for clocks that differ in rate by up to a tenth; less what whole
 * milliseconds may hide. */
static raft_ms length_of(const struct raft *r) {
  raft_ms length = (kept_min(r) - 1u) * (raft_ms)9 / 10;
  assert(length < kept_min(r));
  return length;
}

void raft_lease_round_sent(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  assert(!r->round_is_sent);
  if (!r->config.leases || r->read_round == 0) return;
  if (r->mark_count > 0) {
    raft_ms newest = r->marks[r->mark_count - 1].sent;
    if (r->now - newest < length_of(r) / RAFT_MARKS) return;
  }
  if (r->mark_count == RAFT_MARKS) /* it is older than a lease lasts */
    memmove(r->marks, r->marks + 1, --r->mark_count * sizeof *r->marks);
  r->marks[r->mark_count++] =
      (struct raft_mark){.round = r->read_round, .sent = r->now};
}

/* The newest round that a commit quorum has acknowledged; UINT64_MAX: we are
 * one alone. Who has not the configuration in force, durably, keeps to another
 * one, perhaps to one without leases. */
static uint64_t held_round(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  uint64_t acked[RAFT_MEMBERS_MAX] = {0};
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    raft_index durable = p != NULL ? p->match : r->log.stored;
    if (durable < r->config_index) continue;
    acked[i] = p != NULL ? p->round_acked : UINT64_MAX;
  }
  return raft_quorum_value(&r->config, acked);
}

/* Was it sent so late that it still counts? */
static bool is_fresh(const struct raft *r, uint64_t round) {
  assert(r->mark_count <= RAFT_MARKS);
  if (round == UINT64_MAX) return true;
  for (uint32_t i = r->mark_count; i > 0; i--) {
    const struct raft_mark *mark = &r->marks[i - 1];
    assert(mark->sent <= r->now);
    if (mark->round <= round) return r->now - mark->sent < length_of(r);
  }
  return false;
}

bool raft_has_lease(const struct raft *r) {
  if (r->state != RAFT_LEADER || !r->config.leases) return false;
  assert(r->term_start > 0);
  if (r->is_lease_void) return false;
  if (r->commit < r->term_start) return false; /* [Thesis 6.4] */
  return is_fresh(r, held_round(r));
}

void raft_lease_reset(struct raft *r) {
  assert(r->mark_count <= RAFT_MARKS);
  r->mark_count = 0;
  r->is_lease_void = false;
}
