/* The core alone: three replicas in this process (world.h). What is measured is
 * deciding, encoding and checking, and two copies of what is sent.
 *
 *   core_alone <commands in a batch> <entries> [<entries before them>]
 *       -> core <entries committed> <nanoseconds of the processor>
 *
 * A round: the leader is handed a batch, and frames are delivered until nobody
 * has anything left to do, the followers having heard what is committed. So
 * nothing is under way when the next one begins: of a batch of one all that a
 * round costs is counted, which under load is shared. A round takes 1 ms, so
 * heartbeats are part of it. What comes before the entries that are measured
 * fills the logs up to their limit, so that the pages of the first use are not
 * counted. The counts of callgrind are the difference of two runs of different
 * length: see bench/core_alone.lua. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COMMAND_BYTES = 128, BATCH_MAX = 4096 };

static struct raft_slice commands[BATCH_MAX];

/* Of the processor, so that others on the machine count less. */
static double nanoseconds(clock_t ticks) {
  return (double)ticks / CLOCKS_PER_SEC * 1e9;
}

/* Commits so many entries, or a few more: how many. */
static uint64_t commit(struct world_node *leader, uint32_t batch,
                       uint64_t wanted) {
  raft_index first = world_applied(leader);
  while (world_applied(leader) - first < wanted) {
    raft_index before = world_applied(leader);
    world_propose(leader, commands, batch);
    world_settle();
    if (world_applied(leader) == before)
      world_give_up("no progress", RAFT_E_USAGE);
  }
  return world_applied(leader) - first;
}

static uint64_t number(int argc, char **argv, int i) {
  return i < argc ? strtoull(argv[i], NULL, 10) : 0;
}

int main(int argc, char **argv) {
  static uint8_t command[COMMAND_BYTES];
  uint64_t batch = number(argc, argv, 1);
  uint64_t wanted = number(argc, argv, 2);
  if (batch < 1 || batch > BATCH_MAX || wanted < 1)
    world_give_up("usage: core_alone batch entries [before]", RAFT_E_USAGE);
  for (uint32_t i = 0; i < batch; i++)
    commands[i] = (struct raft_slice){.data = command, .size = COMMAND_BYTES};
  struct world_node *leader = world_form();
  world_settle();
  (void)commit(leader, (uint32_t)batch, number(argc, argv, 3));
  clock_t began = clock();
  uint64_t count = commit(leader, (uint32_t)batch, wanted);
  printf("core %" PRIu64 " %.0f\n", count, nanoseconds(clock() - began));
  world_end();
  return 0;
}
