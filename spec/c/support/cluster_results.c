/* cluster_results.c - what machines come to: the same, but for who strays. */
#include "cluster_inner.h"

void cluster_stray(struct cluster *c, uint32_t node, raft_index from,
                   uint64_t to) {
  struct cluster_node *n = &c->nodes[node];
  n->strays_at = from;
  n->strays_to = to;
  n->has_strayed = true;
}

uint64_t cluster_sum(const struct cluster *c, uint32_t node, raft_index index) {
  const struct cluster_node *n = &c->nodes[node];
  bool strays = n->strays_at != 0 && index >= n->strays_at;
  return index * UINT64_C(0x9e3779b97f4a7c15) + (strays ? n->strays_to : 0);
}

void cluster_results(struct cluster *c, uint32_t node, raft_index index) {
  uint32_t every = c->options.results_every;
  if (every == 0 || index % every != 0 || c->nodes[node].is_bare) return;
  struct raft_event ev = {.kind = RAFT_EV_RESULTS};
  ev.results.index = index;
  ev.results.digest = cluster_sum(c, node, index);
  if (cluster_step(c, node, &ev) != RAFT_OK)
    cluster_note(c, node, "a report of results was refused");
  c->seen_counts.sums++;
  c->seen_counts.agreed += cluster_status(c, node).agreed == index;
}

/* Is one of three or more, of which none comes or goes, no majority? */
static bool is_one_of_many(const struct cluster *c) {
  uint32_t full = 0;
  for (uint32_t i = 0; i < c->count; i++)
    full += c->options.roles[i] == 0 || c->options.roles[i] == RAFT_ROLE_VOTER;
  return full >= 3 && c->options.strangers == 0;
}

void cluster_diverged(struct cluster *c, uint32_t node,
                      const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  uint32_t strayed = 0;
  bool is_innocent = false;
  for (uint32_t i = 0; i < c->count; i++) {
    strayed += c->nodes[i].has_strayed;
    if (c->nodes[i].id == fx->diverged.id)
      is_innocent = !c->nodes[i].has_strayed;
  }
  if (strayed == 0) cluster_note(c, node, "results differ, and nobody strayed");
  if (strayed == 1 && is_innocent && is_one_of_many(c))
    cluster_note(c, node, "one that never strayed is said to differ");
  if (n->diverged_count == 8) return;
  n->diverged[n->diverged_count++] = (struct cluster_diverged){
      fx->diverged.index, fx->diverged.id, fx->diverged.agreed,
      fx->diverged.majority, fx->diverged.own};
}
