/* cluster_poor.c - what a step and a turn make of it when memory lacks: on
 * clones, for each allocation that they make, and all behind it.
 *
 * A step without memory changes nothing. A turn without memory does less, and
 * the next one does the rest: nothing is lost, nothing happens twice.
 */
#include "cluster_inner.h"

#include "check.h"

enum { TRIES_MAX = 100, TURNS = 3 };

/* From the k-th allocation on all fail. */
static void arm(struct cluster *c, uint64_t k) {
  c->memory.calls = 0;
  c->memory.fail_in = k;
  c->memory.fails_for_good = true;
}

/* Did one fail? */
static bool disarm(struct cluster *c, uint64_t k) {
  c->memory.fail_in = 0;
  c->memory.fails_for_good = false;
  return c->memory.calls >= k;
}

static bool is_same(const struct raft *a, const struct raft *b) {
  uint64_t one[2];
  uint64_t other[2];
  raft_digest(a, one);
  raft_digest(b, other);
  return one[0] == other[0] && one[1] == other[1];
}

void cluster_poor_step(struct cluster *c, uint32_t node,
                       const struct raft_event *ev) {
  const struct raft *r = c->nodes[node].raft;
  bool has_failed = true;
  for (uint64_t k = 1; has_failed && k < TRIES_MAX; k++) {
    struct raft *poor = cluster_need(raft_clone(r));
    arm(c, k);
    int64_t rc = raft_step(poor, ev);
    has_failed = disarm(c, k);
    if (rc == RAFT_E_NOMEM && !is_same(r, poor))
      cluster_note(c, node, "a step without memory changed something");
    if (rc == RAFT_E_NOMEM && raft_step(poor, ev) == RAFT_E_NOMEM)
      cluster_note(c, node, "no memory, for no reason");
    cluster_note(c, node, raft_check(poor));
    raft_free(poor);
    c->seen_counts.failed_allocations += has_failed;
  }
  if (has_failed) cluster_note(c, node, "a step allocates without end");
}

/* Effects of some turns; the k-th allocation of the first of them fails. */
static uint32_t take_turns(struct cluster *c, struct raft *r, uint64_t k,
                           bool *has_failed) {
  uint32_t count = 0;
  struct raft_batch batch;
  for (int i = 0; i < TURNS; i++) {
    if (i == 0) arm(c, k);
    raft_take(r, &batch);
    if (i == 0) *has_failed = disarm(c, k);
    count += batch.count;
  }
  return count;
}

/* A clone that lacks memory is none, and leaves nothing behind. */
static void poor_clone(struct cluster *c, uint32_t node) {
  bool has_failed = true;
  uint64_t live = c->memory.live;
  for (uint64_t k = 1; has_failed && k < TRIES_MAX; k++) {
    arm(c, k);
    struct raft *copy = raft_clone(c->nodes[node].raft);
    has_failed = disarm(c, k);
    if (has_failed != (copy == NULL))
      cluster_note(c, node, "a clone that lacks memory is half of one");
    raft_free(copy);
    if (c->memory.live != live) cluster_note(c, node, "a clone leaks");
    c->seen_counts.failed_allocations += has_failed;
  }
}

void cluster_poor_take(struct cluster *c, uint32_t node) {
  const struct raft *r = c->nodes[node].raft;
  poor_clone(c, node);
  struct raft *rich = cluster_need(raft_clone(r));
  bool has_failed;
  uint32_t count = take_turns(c, rich, TRIES_MAX, &has_failed);
  if (has_failed) cluster_note(c, node, "a turn allocates without end");
  has_failed = true;
  for (uint64_t k = 1; has_failed && k < TRIES_MAX; k++) {
    struct raft *poor = cluster_need(raft_clone(r));
    if (take_turns(c, poor, k, &has_failed) != count)
      cluster_note(c, node, "what lacked memory was lost, or was done twice");
    if (!is_same(rich, poor))
      cluster_note(c, node, "a turn without memory led elsewhere");
    cluster_note(c, node, raft_check(poor));
    raft_free(poor);
    c->seen_counts.failed_allocations += has_failed;
  }
  raft_free(rich);
}
