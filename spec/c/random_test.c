/* random_test.c - random schedules of a whole cluster: frames lost, doubled and
 * overtaken, crashes with half-done writes, cuts, failing allocations, changes
 * of members, roles and quorums; checked after each step (see
 * support/cluster.h), healed at the end.
 *
 *   SEED=7 N=5000 build/unit/random_test
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

static struct cluster_counts all; /* of all runs */
static bool has_changes;          /* are members changed in this run? */

static uint32_t draw(struct cluster *c, uint32_t below) {
  return (uint32_t)(test_random(&c->random) % below);
}

static bool is_up(const struct cluster *c, uint32_t node) {
  return c->nodes[node].raft != NULL;
}

/* ---- what may happen ----------------------------------------------------- */

static void some_frame(struct cluster *c, uint32_t node) {
  (void)node;
  if (c->packet_count == 0) return;
  uint32_t any = draw(c, c->packet_count);
  struct raft_message m;
  cluster_look(c, any, &m);
  uint32_t fate = draw(c, 20);
  if (fate == 0) cluster_drop(c, any);
  /* A command doubled would be two commands: connections do not do that. */
  else if (fate == 1 && m.kind != RAFT_MSG_PROPOSE)
    cluster_double(c, any);
  else
    cluster_deliver(c, fate < 14 ? 0 : any);
}

static void some_time(struct cluster *c, uint32_t node) {
  c->now += draw(c, 8);
  if (!is_up(c, node) || c->nodes[node].deadline > c->now) return;
  cluster_tick(c, node);
}

static void next_time(struct cluster *c, uint32_t node) {
  raft_ms due = UINT64_MAX;
  for (uint32_t i = 0; i < c->count; i++) {
    if (!is_up(c, i) || c->nodes[i].deadline >= due) continue;
    due = c->nodes[i].deadline;
    node = i;
  }
  if (due == UINT64_MAX) return;
  if (due > c->now) c->now = due;
  cluster_tick(c, node);
}

static void some_command(struct cluster *c, uint32_t node) {
  static const char text[] = "forty commands were given to the cluster, and "
                             "of these not one was ever to be lost by anybody";
  const char *command = text + draw(c, sizeof text);
  if (!is_up(c, node)) return;
  struct raft_status s = cluster_status(c, node);
  if (s.last + 20 > CLUSTER_LOG) return;
  if (s.state == RAFT_LEADER)
    (void)cluster_propose(c, node, command);
  else
    (void)cluster_forward(c, node, command); /* busy, no leader: fine */
}

static void some_read(struct cluster *c, uint32_t node) {
  if (!is_up(c, node)) return;
  c->seen_counts.leases += cluster_status(c, node).has_lease;
  if (draw(c, 2) == 0)
    (void)cluster_read(c, node); /* may be busy */
  else
    (void)cluster_read_lease(c, node);
}

static void some_transfer(struct cluster *c, uint32_t node) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  uint32_t to = draw(c, c->count + 1);
  if (to < c->count) ev.transfer.to = c->nodes[to].id;
  ev.transfer.token = draw(c, 2);
  if (!is_up(c, node) || cluster_step(c, node, &ev) != RAFT_OK) return;
  c->seen_counts.transfers++;
}

static void some_avoiding(struct cluster *c, uint32_t node) {
  struct raft_event ev = {.kind = RAFT_EV_AVOID, .avoid = draw(c, 2) == 0};
  if (is_up(c, node)) EQ(cluster_step(c, node, &ev), RAFT_OK);
}

static void some_disk(struct cluster *c, uint32_t node) {
  if (is_up(c, node)) cluster_disk(c, node, 1 + draw(c, 3));
}

static void some_flush(struct cluster *c, uint32_t node) {
  (void)cluster_flush(c, node); /* nothing to do is fine */
}

static void some_apply(struct cluster *c, uint32_t node) {
  if (is_up(c, node)) cluster_applied(c, node);
  c->nodes[node].is_apply_held = draw(c, 2) == 0;
}

static void some_crash(struct cluster *c, uint32_t node) {
  if (is_up(c, node))
    cluster_crash(c, node, draw(c, c->nodes[node].disk.count + 1));
  else
    (void)cluster_restart(c, node); /* what fails is noted */
}

/* Enough others have all of their logs: so nothing committed is lost for good,
 * and they can elect one another. */
static bool may_rot(const struct cluster *c, uint32_t node) {
  uint32_t voters = 0;
  if (has_changes) return false; /* who has enough is another question then */
  for (uint32_t i = 0; i < c->count; i++) {
    if (c->nodes[i].disk.lost_last > 0 && i != node) return false;
    voters += c->options.roles[i] != RAFT_ROLE_LEARNER;
  }
  return voters >= 3;
}

static void some_rot(struct cluster *c, uint32_t node) {
  struct cluster_disk *d = &c->nodes[node].disk;
  raft_index sure = d->newest.index > 0 ? d->newest.index : 1;
  if (is_up(c, node) || !may_rot(c, node) || d->last <= sure) return;
  cluster_rot(c, node, sure + draw(c, (uint32_t)(d->last - sure)));
}

static void some_snapshot(struct cluster *c, uint32_t node) {
  if (is_up(c, node)) (void)cluster_snapshot(c, node); /* may be busy */
  c->nodes[node].keeps_log = draw(c, 3) == 0;
}

/* As far as a driver may, and not always that far. */
static void some_compaction(struct cluster *c, uint32_t node) {
  raft_index upto = c->nodes[node].compact;
  if (is_up(c, node) && upto > 0)
    EQ(cluster_compact(c, node, upto - draw(c, (uint32_t)upto)), RAFT_OK);
}

/* It arrives, or half of that is heard of, or it fails. */
static void some_shipment(struct cluster *c, uint32_t node) {
  (void)node;
  if (c->transfer_count == 0) return;
  uint32_t any = draw(c, c->transfer_count);
  uint32_t to = c->transfers[any].to;
  switch (draw(c, 8)) {
  case 0: cluster_shipped(c, any, false); break;
  case 1: cluster_shipped(c, any, true); break; /* lost by its receiver */
  case 2:
    if (is_up(c, to)) (void)cluster_receive_snapshot(c, any); /* notes faults */
    break;
  default: cluster_arrive(c, any);
  }
}

/* One at the most: then nobody else may be said to differ. */
static void some_straying(struct cluster *c, uint32_t node) {
  for (uint32_t i = 0; i < c->count; i++)
    if (c->nodes[i].has_strayed) return;
  if (c->count < 3 || draw(c, 8) != 0) return;
  cluster_stray(c, node, c->nodes[node].performed + 1, 7);
}

static void some_cut(struct cluster *c, uint32_t node) {
  uint32_t other = draw(c, c->count);
  if (other != node) c->cut[node][other] = draw(c, 3) == 0;
}

static void some_partition(struct cluster *c, uint32_t node) {
  cluster_isolate(c, node, draw(c, 2) == 0);
}

static void some_loss(struct cluster *c, uint32_t node) {
  uint32_t other = draw(c, c->count);
  if (is_up(c, node) && other != node) cluster_unreachable(c, node, other);
}

static void some_swap(struct cluster *c, uint32_t node) {
  if (is_up(c, node)) cluster_swap(c, node);
}

static void some_poverty(struct cluster *c, uint32_t node) {
  (void)node;
  if (c->memory.fail_in == 0) c->memory.fail_in = 1 + draw(c, 20);
}

/* ---- changes of members -------------------------------------------------- */

/* Any rule; most do not fit, and are refused. */
static struct raft_rule some_rule(struct cluster *c) {
  struct raft_rule rule = {.kind = RAFT_RULE_MAJORITY};
  switch (draw(c, 6)) {
  case 0:
    rule.kind = RAFT_RULE_SIZES;
    rule.size[RAFT_ELECTION] = (uint8_t)(1 + draw(c, 4));
    rule.size[RAFT_COMMIT] = (uint8_t)(1 + draw(c, 4));
    break;
  case 1:
    rule.kind = RAFT_RULE_SETS;
    for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
      rule.set_count[p] = (uint8_t)(1 + draw(c, 2));
      for (int i = 0; i < rule.set_count[p]; i++)
        rule.sets[p][i] = 1 + draw(c, 31);
    }
    break;
  default: break;
  }
  return rule;
}

static void some_change(struct cluster *c, uint32_t node) {
  static const uint8_t goals[] = {RAFT_ROLE_NONE,    RAFT_ROLE_VOTER,
                                  RAFT_ROLE_VOTER,   RAFT_ROLE_VOTER,
                                  RAFT_ROLE_LEARNER, RAFT_ROLE_WITNESS};
  if (!has_changes || !is_up(c, node)) return;
  struct raft_status s = cluster_status(c, node);
  if (s.config_index == 0 || s.last + 20 > CLUSTER_LOG) return;
  struct raft_config target = cluster_target(c, node);
  if (target.joint) return;
  for (uint32_t edits = 1 + draw(c, 2); edits > 0; edits--)
    cluster_want(c, &target, draw(c, c->count),
                 goals[draw(c, sizeof goals / sizeof *goals)]);
  if (draw(c, 6) == 0) target.rule[RAFT_NEW] = some_rule(c);
  if (draw(c, 8) == 0) target.leases = !target.leases;
  int64_t rc = cluster_change(c, node, &target, draw(c, 3) == 0);
  bool leads = s.state == RAFT_LEADER;
  c->seen_counts.changes += leads && rc > (int64_t)s.config_index;
  c->seen_counts.refused_changes += leads && rc < 0;
}

static const struct {
  uint32_t weight;
  void (*act)(struct cluster *c, uint32_t node);
} actions[] = {
    {400, some_frame},  {200, some_disk},     {250, some_flush},
    {60, some_time},    {12, next_time},      {60, some_command},
    {30, some_read},    {40, some_apply},     {4, some_crash},
    {4, some_cut},      {2, some_partition},  {4, some_loss},
    {4, some_swap},     {4, some_poverty},    {8, some_rot},
    {6, some_snapshot}, {3, some_compaction}, {20, some_shipment},
    {2, some_avoiding}, {4, some_transfer},   {60, some_change},
    {1, some_straying},
};

static void act(struct cluster *c) {
  uint32_t total = 0;
  uint32_t count = sizeof actions / sizeof *actions;
  for (uint32_t i = 0; i < count; i++)
    total += actions[i].weight;
  uint32_t ticket = draw(c, total);
  uint32_t i = 0;
  for (; ticket >= actions[i].weight; i++)
    ticket -= actions[i].weight;
  actions[i].act(c, draw(c, c->count));
}

/* ---- one run ------------------------------------------------------------- */

static void heal(struct cluster *c) {
  c->memory.fail_in = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    cluster_isolate(c, i, false);
    c->nodes[i].is_apply_held = false;
    if (!is_up(c, i)) CHECK(cluster_restart(c, i) == RAFT_OK);
    cluster_applied(c, i);
  }
  cluster_run(c, 3000);
}

/* Is this node a member where that one leads? */
static bool is_member(const struct cluster *c, uint32_t node, uint32_t leader) {
  struct raft_config config = cluster_target(c, leader);
  return raft_config_find(&config, c->nodes[node].id) >= 0;
}

/* A command is committed by all, and every log and machine is at its end. */
static void demand_life(struct cluster *c) {
  int leader = cluster_leader(c);
  if (leader < 0) cluster_note(c, 0, "healed, and nobody leads");
  if (leader < 0) return;
  int64_t index = cluster_propose(c, (uint32_t)leader, "after the storm");
  CHECK(index > 0);
  cluster_run(c, 1000);
  for (uint32_t i = 0; i < c->count; i++) {
    struct raft_status s = cluster_status(c, i);
    if (!is_member(c, i, (uint32_t)leader)) continue;
    EQ(s.term, cluster_status(c, (uint32_t)leader).term);
    EQ(s.last, index);
    EQ(s.commit, index);
    EQ(s.applied, index);
    EQ(c->nodes[i].read_count, 0); /* served, or void by a new role */
    EQ(s.read_count, 0);
  }
}

static void add_counts(const struct cluster_counts *n) {
  const uint64_t *from = (const uint64_t *)n;
  uint64_t *to = (uint64_t *)&all;
  for (size_t i = 0; i < sizeof all / sizeof *to; i++)
    to[i] += from[i];
}

static struct cluster *make(uint64_t seed) {
  uint64_t random = seed;
  struct cluster_options o = {.seed = seed, .nodes = 3};
  uint32_t shape = (uint32_t)(test_random(&random) % 8);
  if (shape == 0) o.nodes = 1;
  if (shape == 1) o.nodes = 2;
  if (shape >= 6) o.nodes = 5;
  if (shape == 3) o.roles[1] = RAFT_ROLE_LEARNER;
  if (shape == 6) o.roles[2] = RAFT_ROLE_LEARNER;
  if (test_random(&random) % 2) o.memory_bytes_max = 600;
  if (test_random(&random) % 2) o.tail_max = 3;
  if (test_random(&random) % 4 == 0) o.pending_bytes_max = 300;
  o.leases = test_random(&random) % 2 == 0;
  o.results_every = (uint32_t)(test_random(&random) % 4);
  has_changes = test_random(&random) % 2 == 0;
  if (has_changes) {
    o.strangers = 1 + (uint32_t)(test_random(&random) % 2);
    o.nodes += o.strangers;
    if (shape == 2 || shape == 4) o.roles[2] = RAFT_ROLE_WITNESS;
  }
  return cluster_new(&o);
}

static bool run(uint64_t seed, uint32_t steps) {
  struct cluster *c = make(seed);
  for (uint32_t i = 0; i < steps && c->broken == NULL; i++)
    act(c);
  if (c->broken == NULL) heal(c);
  if (c->broken == NULL) demand_life(c);
  bool is_sound = cluster_is_sound(c);
  CHECK(is_sound);
  bool has_failed = test_has_failed();
  if (has_failed) printf("again with SEED=%" PRIu64 " N=1\n", seed);
  add_counts(&c->seen_counts);
  cluster_free(c);
  return !has_failed;
}

static uint32_t runs(void) {
  const char *given = getenv("N");
  return given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 100;
}

static void survives_random_schedules(void) {
  uint64_t seed = test_seed();
  uint32_t n = runs();
  for (uint32_t i = 0; i < n; i++)
    if (!run(seed + i, 6000)) return;
}

/* A run that meets nothing proves nothing. */
static void meets_every_kind_of_trouble(void) {
  if (runs() < 60) return;
#define SEEN(what)                                                             \
  printf("%-20s %" PRIu64 "\n", #what, all.what), CHECK(all.what > 0)
  SEEN(steps), SEEN(elections), SEEN(split_votes), SEEN(truncations);
  SEEN(step_downs), SEEN(lost_touch), SEEN(refused_votes);
  SEEN(refused_appends), SEEN(loads), SEEN(crashes), SEEN(torn_stores);
  SEEN(accepted_forwards), SEEN(refused_forwards), SEEN(commits);
  SEEN(leader_reads), SEEN(follower_reads), SEEN(void_reads);
  SEEN(full_windows), SEEN(busy), SEEN(failed_allocations), SEEN(full_disks);
  SEEN(rots), SEEN(repairs), SEEN(leases), SEEN(transfers);
  SEEN(snapshots), SEEN(ships), SEEN(installs), SEEN(compactions), SEEN(resets);
  SEEN(changes), SEEN(refused_changes), SEEN(joints), SEEN(settled);
  SEEN(bare_installs), SEEN(holes), SEEN(sums), SEEN(agreed);
#undef SEEN
}

int main(void) {
  CASE(survives_random_schedules);
  CASE(meets_every_kind_of_trouble);
  return test_end();
}
