/* The core alone: three replicas in this process, no disk, no network, no Lua.
 * What is measured is deciding, encoding and checking, and two copies of what
 * is sent (a network would make them, too).
 *
 *   core_alone <commands in a batch> <entries>
 *       -> core <entries committed> <nanoseconds of the processor>
 *
 * A round: the leader is handed a batch, and frames are delivered until nobody
 * has anything left to do. Writes are durable at once. A round takes 1 ms, so
 * heartbeats are part of it. The counts of callgrind are the difference of two
 * runs of different length: see bench/core_alone.lua. The limits are those of
 * lua/raft/node/parts.lua. */
#include "config.h"
#include "raft.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  NODES = 3,
  COMMAND_BYTES = 128,
  BATCH_MAX = 4096,
  ROUNDS_TO_ELECT = 10000,
  BOX_BYTES = 8 << 20 /* frames under way to one node; 8 MiB hold any round */
};

struct box { /* frames one after the other, each behind its sender */
  uint8_t *bytes;
  size_t size;
};

struct node {
  struct raft *raft;
  raft_id id;
  uint64_t incarnation;
  struct box in;      /* what is to be delivered */
  struct box reading; /* what is being delivered */
  raft_ms deadline;   /* of the next tick */
  raft_index applied;
  bool is_leader;
};

static struct node nodes[NODES];
static raft_ms now = 1;

static void give_up(const char *what, int64_t code) {
  fprintf(stderr, "core_alone: %s: %s\n", what, raft_error_text((int)code));
  exit(1);
}

static void step(struct node *n, struct raft_event *ev) {
  ev->now = ev->wall = now;
  int64_t rc = raft_step(n->raft, ev);
  if (rc < 0) give_up("a step was refused", rc);
}

/* ---- the network --------------------------------------------------------- */

static struct node *find(raft_id id) {
  for (int i = 0; i < NODES; i++)
    if (nodes[i].id == id) return &nodes[i];
  give_up("a frame for nobody", RAFT_E_USAGE);
  return NULL;
}

static void put(struct box *box, const void *bytes, size_t size) {
  if (size > BOX_BYTES - box->size) give_up("a full box", RAFT_E_NOMEM);
  memcpy(box->bytes + box->size, bytes, size);
  box->size += size;
}

static void send_parts(struct node *from, const struct raft_effect *fx) {
  struct box *box = &find(fx->to)->in;
  uint64_t size = 0;
  for (uint32_t i = 0; i < fx->part_count; i++)
    size += fx->parts[i].size;
  put(box, &from, sizeof from);
  put(box, &size, sizeof size);
  for (uint32_t i = 0; i < fx->part_count; i++)
    put(box, fx->parts[i].data, fx->parts[i].size);
}

/* The frames of one send, each on its own. */
static void receive(struct node *n, const struct node *from,
                    struct raft_slice frames) {
  while (frames.size > 0) {
    uint32_t size;
    memcpy(&size, frames.data, sizeof size); /* little endian, as we are */
    struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
    ev.receive.from = from->id;
    ev.receive.incarnation = from->incarnation;
    ev.receive.frame = (struct raft_slice){.data = frames.data, .size = size};
    step(n, &ev);
    frames.data += size;
    frames.size -= size;
  }
}

/* Were there any? */
static bool deliver(struct node *n) {
  struct box box = n->in;
  n->in = n->reading;
  n->in.size = 0;
  n->reading = box;
  for (size_t at = 0; at < box.size;) {
    struct node *from;
    uint64_t size;
    memcpy(&from, box.bytes + at, sizeof from);
    memcpy(&size, box.bytes + at + sizeof from, sizeof size);
    at += sizeof from + sizeof size;
    receive(n, from, (struct raft_slice){.data = box.bytes + at, .size = size});
    at += size;
  }
  return box.size > 0;
}

/* ---- turns --------------------------------------------------------------- */

struct facts { /* what a batch of effects leads to */
  raft_seq stored;
  raft_index applied;
};

static void perform(struct node *n, const struct raft_effect *fx,
                    struct facts *facts) {
  if (fx->kind == RAFT_FX_STORE) facts->stored = fx->store.seq;
  if (fx->kind == RAFT_FX_APPLY) facts->applied = fx->apply.last;
  if (fx->kind == RAFT_FX_SEND) send_parts(n, fx);
  if (fx->kind == RAFT_FX_ROLE) n->is_leader = fx->role.role == RAFT_LEADER;
  if (fx->kind == RAFT_FX_LOAD) give_up("a load", RAFT_E_UNSUPPORTED);
}

/* Does what is due. Frames are delivered only after the writes of their batch
 * were reported, so none of them is early. */
static void turn(struct node *n) {
  struct raft_batch batch;
  struct facts facts = {0};
  raft_take(n->raft, &batch);
  n->deadline = batch.deadline;
  for (uint32_t i = 0; i < batch.count; i++)
    perform(n, &batch.effects[i], &facts);
  if (facts.stored != 0) {
    step(n,
         &(struct raft_event){.kind = RAFT_EV_STORED, .stored = facts.stored});
  }
  if (facts.applied != 0) {
    n->applied = facts.applied;
    step(n, &(struct raft_event){.kind = RAFT_EV_APPLIED,
                                 .applied = facts.applied});
  }
  if (facts.stored != 0 || facts.applied != 0) turn(n);
}

/* Everything that follows from what was said, and one millisecond. */
static void settle(void) {
  bool is_busy = true;
  for (int i = 0; i < NODES; i++)
    turn(&nodes[i]);
  while (is_busy) {
    is_busy = false;
    for (int i = 0; i < NODES; i++) {
      if (!deliver(&nodes[i])) continue;
      is_busy = true;
      turn(&nodes[i]);
    }
  }
  now++;
  for (int i = 0; i < NODES; i++) {
    if (nodes[i].deadline > now) continue;
    step(&nodes[i], &(struct raft_event){.kind = RAFT_EV_TICK});
  }
}

/* ---- birth --------------------------------------------------------------- */

static void make_box(struct box *box) {
  box->bytes = malloc(BOX_BYTES);
  if (box->bytes == NULL) give_up("a box", RAFT_E_NOMEM);
}

static void make_node(int i, struct raft_config *config) {
  struct node *n = &nodes[i];
  struct raft_member *m = &config->members[config->count++];
  snprintf(m->name, sizeof m->name, "n%d", i + 1);
  snprintf(m->address, sizeof m->address, "h:%d", i + 1);
  *n = (struct node){.id = raft_id_of(m->name),
                     .incarnation = 100 + (uint64_t)i,
                     .deadline = UINT64_MAX};
  m->id = n->id;
  m->incarnation = n->incarnation;
  m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal = RAFT_ROLE_VOTER;
  make_box(&n->in);
  make_box(&n->reading);
  n->raft = raft_new(&(struct raft_options){
      .self = n->id,
      .incarnation = n->incarnation,
      .seed = 1 + (uint64_t)i,
      .election_min_ms = 500,
      .election_max_ms = 1000,
      .heartbeat_ms = 100,
      .command_bytes_max = 1 << 20,
      .pending_bytes_max = 64 << 20,
      .message_bytes_max = 256 << 10,
      .inflight_bytes_max = 8 << 20,
      .memory_bytes_max = 32 << 20,
  });
  if (n->raft == NULL) give_up("raft_new", RAFT_E_NOMEM);
}

/* The node that leads. */
static struct node *form(void) {
  static struct raft_config config;
  config.election_min_ms = 500;
  config.identity[0] = 1;
  config.rule[0].kind = config.rule[1].kind = RAFT_RULE_MAJORITY;
  for (int i = 0; i < NODES; i++)
    make_node(i, &config);
  raft_config_sort(&config);
  for (int i = 0; i < NODES; i++) {
    step(&nodes[i], &(struct raft_event){.kind = RAFT_EV_START});
    step(&nodes[i],
         &(struct raft_event){.kind = RAFT_EV_FORM, .form = &config});
  }
  for (int round = 0; round < ROUNDS_TO_ELECT; round++) {
    settle();
    for (int i = 0; i < NODES; i++)
      if (nodes[i].is_leader) return &nodes[i];
  }
  give_up("nobody leads", RAFT_E_NO_LEADER);
  return NULL;
}

/* ---- the measurement ----------------------------------------------------- */

/* Of the processor, so that others on the machine count less. */
static double nanoseconds(clock_t ticks) {
  return (double)ticks / CLOCKS_PER_SEC * 1e9;
}

int main(int argc, char **argv) {
  static uint8_t command[COMMAND_BYTES];
  static struct raft_slice commands[BATCH_MAX];
  uint32_t batch = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
  uint64_t wanted = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
  if (batch < 1 || batch > BATCH_MAX || wanted < 1)
    give_up("usage: core_alone batch entries", RAFT_E_USAGE);
  struct node *leader = form();
  settle();
  for (uint32_t i = 0; i < batch; i++)
    commands[i] = (struct raft_slice){.data = command, .size = COMMAND_BYTES};
  raft_index first = leader->applied;
  clock_t began = clock();
  while (leader->applied - first < wanted) {
    raft_index before = leader->applied;
    struct raft_event ev = {.kind = RAFT_EV_PROPOSE};
    ev.propose.commands = commands;
    ev.propose.count = batch;
    step(leader, &ev);
    settle();
    if (leader->applied == before) give_up("no progress", RAFT_E_USAGE);
  }
  printf("core %" PRIu64 " %.0f\n", leader->applied - first,
         nanoseconds(clock() - began));
  for (int i = 0; i < NODES; i++) {
    raft_free(nodes[i].raft);
    free(nodes[i].in.bytes);
    free(nodes[i].reading.bytes);
  }
  return 0;
}
