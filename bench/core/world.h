/* world.h - replicas in this process, for what is measured of the core alone:
 * no disk, no network, no Lua. Writes are durable at once; a delivery copies
 * what is sent twice, as a network would. Deterministic: each run is like
 * another. The limits of the replicas are those of lua/raft/node/parts.lua. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "raft.h"

#define WORLD_NODES 3

struct world_node;

/* Ends the program: nothing that is measured may fail. */
void world_give_up(const char *what, int64_t code);

/* Forms a cluster of WORLD_NODES and waits, in virtual time, until one of them
 * leads: that one. There is one world at a time. */
struct world_node *world_form(void);
void world_end(void);

void world_propose(struct world_node *leader, const struct raft_slice *commands,
                   uint32_t count);

/* Everything that follows from what was said, and one millisecond. */
void world_settle(void);

/* The newest entry that it has applied. */
raft_index world_applied(const struct world_node *n);

#endif
