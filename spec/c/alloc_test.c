/* alloc_test.c - the life of a cluster, told again and again, each time with
 * the next allocation failing: the step that lacks memory changes nothing (the
 * cluster compares digests), nothing leaks, and the life goes on to its end. */
#include <inttypes.h>
#include <stdio.h>

#include "alone.h"

static void write_some(struct cluster *c, uint32_t node, int count) {
  for (int i = 0; i < count; i++) {
    CHECK(cluster_propose(c, node, "as long as forty characters, or about") >
          0);
    cluster_work(c);
  }
}

/* A leader with entries that nobody else gets, overwritten by the next. */
static void depose(struct cluster *c, uint32_t old, uint32_t heir) {
  cluster_isolate(c, old, true);
  write_some(c, old, 3);
  (void)cluster_elect(c, heir); /* may take two, if memory lacks */
  cluster_run(c, 600);
  cluster_isolate(c, old, false);
  cluster_run(c, 600);
}

/* What a follower missed has left the leader's memory when it is back. */
static void lag(struct cluster *c, uint32_t node) {
  cluster_isolate(c, node, true);
  cluster_run(c, 300); /* one of the others leads, or goes on */
  write_some(c, (uint32_t)cluster_leader(c), 12);
  cluster_run(c, 100);
  uint64_t loads = c->seen_counts.loads;
  cluster_isolate(c, node, false);
  cluster_run(c, 600);
  CHECK(c->seen_counts.loads > loads);
}

static void restart(struct cluster *c, uint32_t node) {
  cluster_crash(c, node, 0);
  EQ(cluster_restart(c, node), RAFT_OK);
  cluster_run(c, 600);
}

/* More than fits beside what each step keeps in reserve. */
static void forward_many(struct cluster *c, uint32_t node) {
  static const uint8_t text[500];
  struct raft_slice commands[3];
  for (int i = 0; i < 3; i++)
    commands[i] = (struct raft_slice){text, sizeof text};
  struct raft_event ev = {.kind = RAFT_EV_FORWARD};
  ev.propose.commands = commands;
  ev.propose.count = 3;
  EQ(cluster_step(c, node, &ev), RAFT_OK);
  cluster_work(c);
}

static void read_everywhere(struct cluster *c) {
  for (uint32_t i = 0; i < c->count; i++)
    (void)cluster_read(c, i); /* its leader may be unknown for a moment */
  cluster_run(c, 100);
}

/* Forming, electing, writing, forwarding, reading, truncating, loading for a
 * follower and for applying, crashing, cloning; one differs in its results. */
static struct cluster *live(uint64_t fail_in, bool is_poor) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .is_poor = is_poor,
      .results_every = 3,
      .nodes = 3,
      .unformed = 1,
      .seed = 3,
      .memory_bytes_max = 1,
      .tail_max = 2,
      .fail_in = fail_in,
  });
  for (uint32_t i = 0; i < 3; i++)
    EQ(cluster_form(c, i), RAFT_OK);
  cluster_work(c);
  cluster_run(c, 1000);
  uint32_t leader = (uint32_t)cluster_leader(c);
  uint32_t other = (leader + 1) % 3;
  cluster_stray(c, 3 - leader - other, 10, 1);
  write_some(c, leader, 12);
  EQ(cluster_forward(c, other, "from a follower"), RAFT_OK);
  forward_many(c, other);
  read_everywhere(c);
  restart(c, other);
  depose(c, leader, other);
  lag(c, other == 0 ? 1 : 0);
  for (uint32_t i = 0; i < 3; i++)
    cluster_swap(c, i);
  cluster_run(c, 1000);
  read_everywhere(c);
  return c;
}

static void end(struct cluster *c) {
  CHECK(cluster_leader(c) >= 0);
  raft_index last = cluster_status(c, 0).last;
  CHECK(last >= 16);
  for (uint32_t i = 0; i < 3; i++) {
    EQ(cluster_status(c, i).last, last);
    EQ(c->nodes[i].performed, last);
  }
  CHECK(c->seen_counts.truncations > 0);
  CHECK(c->seen_counts.loads > 0);
  alone_end(c);
}

/* A life in which the n-th allocation fails; false when something broke, or
 * when it has fewer than that. */
static bool survive(uint64_t n) {
  struct cluster *c = live(n, false);
  bool is_reached = c->memory.fail_in == 0;
  bool is_sound = cluster_is_sound(c);
  if (!is_sound) printf("allocation %" PRIu64 " failed\n", n);
  CHECK(is_sound);
  end(c);
  return is_reached && is_sound;
}

static void survives_each_failing_allocation(void) {
  uint64_t n = 1;
  while (n < 5000 && survive(n))
    n++;
  CHECK(n < 5000); /* all of them have had their turn */
  CHECK(n > 50);
}

/* A replica keeps its memory, so most of its steps allocate nothing; clones of
 * it have none to spare. */
static void each_step_and_turn_survives_each_failing_allocation(void) {
  struct cluster *c = live(0, true);
  CHECK(cluster_is_sound(c));
  printf("%" PRIu64 " failed\n", c->seen_counts.failed_allocations);
  CHECK(c->seen_counts.failed_allocations > 1000);
  end(c);
}

static void a_replica_that_cannot_be_made_is_none(void) {
  struct test_memory memory = {.fail_in = 1};
  struct raft_options o = {
      .self = 1,
      .election_min_ms = 100,
      .election_max_ms = 200,
      .heartbeat_ms = 20,
      .command_bytes_max = 100,
      .pending_bytes_max = 100,
      .message_bytes_max = 100,
      .inflight_bytes_max = 100,
      .alloc = test_alloc,
      .alloc_ud = &memory,
  };
  CHECK(raft_new(&o) == NULL);
  EQ(memory.live, 0);
}

int main(void) {
  CASE(survives_each_failing_allocation);
  CASE(each_step_and_turn_survives_each_failing_allocation);
  CASE(a_replica_that_cannot_be_made_is_none);
  return test_end();
}
