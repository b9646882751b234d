/* cluster_change.c - changes of the members that somebody wishes for. */
#include "cluster_inner.h"

#include "config.h"

struct raft_config cluster_target(const struct cluster *c, uint32_t node) {
  return *raft_config_in_force(c->nodes[node].raft, NULL);
}

void cluster_want(const struct cluster *c, struct raft_config *target,
                  uint32_t node, uint8_t goal) {
  if (raft_config_find(target, c->nodes[node].id) < 0)
    cluster_put_member(c, target, node, goal);
  raft_config_sort(target);
  int at = raft_config_find(target, c->nodes[node].id);
  target->members[at].goal = goal;
}

int64_t cluster_change(struct cluster *c, uint32_t node,
                       const struct raft_config *target, bool is_forced) {
  struct raft_event ev = {.kind = RAFT_EV_CHANGE};
  (void)raft_config_in_force(c->nodes[node].raft, &ev.change.based_on);
  ev.change.target = target;
  ev.change.is_forced = is_forced;
  ev.change.token = ++c->next_token;
  cluster_say(c, "somebody asks %s for a change", c->nodes[node].name);
  return cluster_step(c, node, &ev);
}
