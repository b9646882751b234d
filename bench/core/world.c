/* world.c - replicas in this process, and the boxes their frames travel in. */
#include "world.h"

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  TICKS_TO_ELECT = 1000,
  BOX_BYTES = 8 << 20 /* frames under way to one node; 8 MiB hold any round */
};

struct box { /* frames one after the other, each behind its sender */
  uint8_t *bytes;
  size_t size;
};

struct world_node {
  struct raft *raft;
  raft_id id;
  uint64_t incarnation;
  struct box in;      /* what is to be delivered */
  struct box reading; /* what is being delivered */
  raft_ms deadline;   /* of the next tick */
  raft_index applied;
  bool is_leader;
  bool has_news; /* was it told something since its last turn? */
};

static struct world_node nodes[WORLD_NODES];
static raft_ms now;

void world_give_up(const char *what, int64_t code) {
  fprintf(stderr, "core: %s: %s\n", what, raft_error_text((int)code));
  exit(1);
}

static void step(struct world_node *n, struct raft_event *ev) {
  ev->now = ev->wall = now;
  int64_t rc = raft_step(n->raft, ev);
  if (rc < 0) world_give_up("a step was refused", rc);
  n->has_news = true;
}

/* ---- the network --------------------------------------------------------- */

static struct world_node *find(raft_id id) {
  for (int i = 0; i < WORLD_NODES; i++)
    if (nodes[i].id == id) return &nodes[i];
  world_give_up("a frame for nobody", RAFT_E_USAGE);
  return NULL;
}

static void put(struct box *box, const void *bytes, size_t size) {
  if (size > BOX_BYTES - box->size) world_give_up("a full box", RAFT_E_NOMEM);
  memcpy(box->bytes + box->size, bytes, size);
  box->size += size;
}

static void send_parts(struct world_node *from, const struct raft_effect *fx) {
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
static void receive(struct world_node *n, const struct world_node *from,
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

static void deliver(struct world_node *n) {
  struct box box = n->in;
  n->in = n->reading;
  n->in.size = 0;
  n->reading = box;
  for (size_t at = 0; at < box.size;) {
    struct world_node *from;
    uint64_t size;
    memcpy(&from, box.bytes + at, sizeof from);
    memcpy(&size, box.bytes + at + sizeof from, sizeof size);
    at += sizeof from + sizeof size;
    receive(n, from, (struct raft_slice){.data = box.bytes + at, .size = size});
    at += size;
  }
}

/* ---- turns --------------------------------------------------------------- */

struct facts { /* what a batch of effects leads to */
  raft_seq stored;
  raft_index applied;
};

static void perform(struct world_node *n, const struct raft_effect *fx,
                    struct facts *facts) {
  if (fx->kind == RAFT_FX_STORE) facts->stored = fx->store.seq;
  if (fx->kind == RAFT_FX_APPLY) facts->applied = fx->apply.last;
  if (fx->kind == RAFT_FX_SEND) send_parts(n, fx);
  if (fx->kind == RAFT_FX_ROLE) n->is_leader = fx->role.role == RAFT_LEADER;
  if (fx->kind == RAFT_FX_LOAD) world_give_up("a load", RAFT_E_UNSUPPORTED);
}

/* Does what is due. Frames are delivered only after the writes of their batch
 * were reported, so none of them is early. */
static void turn(struct world_node *n) {
  while (n->has_news) {
    struct raft_batch batch;
    struct facts facts = {0};
    n->has_news = false;
    raft_take(n->raft, &batch);
    n->deadline = batch.deadline;
    for (uint32_t i = 0; i < batch.count; i++)
      perform(n, &batch.effects[i], &facts);
    if (facts.stored != 0)
      step(n, &(struct raft_event){.kind = RAFT_EV_STORED,
                                   .stored = facts.stored});
    if (facts.applied == 0) continue;
    n->applied = facts.applied;
    step(n, &(struct raft_event){.kind = RAFT_EV_APPLIED,
                                 .applied = facts.applied});
  }
}

static void tick(void) {
  for (int i = 0; i < WORLD_NODES; i++) {
    if (nodes[i].deadline > now) continue;
    step(&nodes[i], &(struct raft_event){.kind = RAFT_EV_TICK});
  }
}

/* Until nobody has anything left to do. */
static void rest(void) {
  bool is_busy = true;
  for (int i = 0; i < WORLD_NODES; i++)
    turn(&nodes[i]);
  while (is_busy) {
    is_busy = false;
    for (int i = 0; i < WORLD_NODES; i++) {
      if (nodes[i].in.size == 0) continue;
      is_busy = true;
      deliver(&nodes[i]);
      turn(&nodes[i]);
    }
  }
}

void world_settle(void) {
  rest();
  now++;
  tick();
}

void world_propose(struct world_node *leader, const struct raft_slice *commands,
                   uint32_t count) {
  struct raft_event ev = {.kind = RAFT_EV_PROPOSE};
  ev.propose.commands = commands;
  ev.propose.count = count;
  step(leader, &ev);
}

raft_index world_applied(const struct world_node *n) {
  return n->applied;
}

/* ---- birth and end ------------------------------------------------------- */

static void make_box(struct box *box) {
  if (box->bytes == NULL) box->bytes = malloc(BOX_BYTES);
  if (box->bytes == NULL) world_give_up("a box", RAFT_E_NOMEM);
  box->size = 0;
}

static void make_node(int i, struct raft_config *config) {
  struct world_node *n = &nodes[i];
  struct raft_member *m = &config->members[config->count++];
  snprintf(m->name, sizeof m->name, "n%d", i + 1);
  snprintf(m->address, sizeof m->address, "h:%d", i + 1);
  n->id = raft_id_of(m->name);
  n->incarnation = 100 + (uint64_t)i;
  n->deadline = UINT64_MAX;
  n->applied = 0;
  n->is_leader = n->has_news = false;
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
  if (n->raft == NULL) world_give_up("raft_new", RAFT_E_NOMEM);
}

/* The time of whoever wants to be woken first. */
static raft_ms next_deadline(void) {
  raft_ms next = UINT64_MAX;
  for (int i = 0; i < WORLD_NODES; i++)
    if (nodes[i].deadline < next) next = nodes[i].deadline;
  return next;
}

struct world_node *world_form(void) {
  static struct raft_config config;
  memset(&config, 0, sizeof config);
  now = 1;
  config.election_min_ms = 500;
  config.identity[0] = 1;
  config.rule[0].kind = config.rule[1].kind = RAFT_RULE_MAJORITY;
  for (int i = 0; i < WORLD_NODES; i++)
    make_node(i, &config);
  raft_config_sort(&config);
  for (int i = 0; i < WORLD_NODES; i++) {
    step(&nodes[i], &(struct raft_event){.kind = RAFT_EV_START});
    step(&nodes[i],
         &(struct raft_event){.kind = RAFT_EV_FORM, .form = &config});
  }
  for (int round = 0; round < TICKS_TO_ELECT; round++) {
    rest();
    for (int i = 0; i < WORLD_NODES; i++)
      if (nodes[i].is_leader) return &nodes[i];
    if (next_deadline() > now) now = next_deadline();
    tick();
  }
  world_give_up("nobody leads", RAFT_E_NO_LEADER);
  return NULL;
}

void world_end(void) {
  for (int i = 0; i < WORLD_NODES; i++)
    raft_free(nodes[i].raft);
}
