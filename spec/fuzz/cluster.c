/* cluster.c - one to three replicas, their disks and a network, driven by the
 * input. All that spec/c/support/cluster.h checks is checked after each step.
 *
 *   input   shape u8, flags u8, sizes u8, seed u8; then steps: what u8, node
 *           and details as each wants
 *
 * Frames arrive, or not, or twice, or late, or damaged: a damaged one must be
 * refused and must change nothing. Everything else is honest, so that every
 * rule of the paper holds whatever happens. Inputs with HEALS end in calm, in
 * which a command must reach everybody. STORY=1 tells a life in words.
 */
#include "cluster_inner.h"

#include "bytes.h"
#include "check.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 250 };
enum { /* flags */
       SMALL_MEMORY = 1,
       SHORT_TAIL = 2,
       SMALL_PENDING = 4,
       LEARNER = 8,
       UNFORMED = 16,
       HEALS = 32,
       HELD_LOADS = 64,
       HELD_DISKS = 128,
};

struct run {
  struct cluster *c;
  struct raft_in *in;
  uint32_t node; /* of this step */
};

static bool is_up(const struct run *r) {
  return r->c->nodes[r->node].raft != NULL;
}

/* ---- frames -------------------------------------------------------------- */

static bool pick(struct run *r, uint32_t *packet) {
  if (r->c->packet_count == 0) return false;
  *packet = fuzz_below(r->in, r->c->packet_count);
  return true;
}

static void deliver_first(struct run *r) {
  if (r->c->packet_count > 0) cluster_deliver(r->c, 0);
}

static void deliver_any(struct run *r) {
  uint32_t any;
  if (pick(r, &any)) cluster_deliver(r->c, any);
}

static void drop_any(struct run *r) {
  uint32_t any;
  if (pick(r, &any)) cluster_drop(r->c, any);
}

/* A command doubled would be two commands: connections do not do that. */
static void double_any(struct run *r) {
  uint32_t any;
  struct raft_message m;
  if (!pick(r, &any)) return;
  cluster_look(r->c, any, &m);
  if (m.kind != RAFT_MSG_PROPOSE) cluster_double(r->c, any);
}

/* Hears a frame that is no frame: refused, counted, and nothing else. */
static void hear_noise(struct cluster *c, const struct cluster_packet *p,
                       const uint8_t *noise, size_t size) {
  struct raft *r = c->nodes[p->to].raft;
  struct raft_facts before = raft_facts_of(r);
  uint64_t bad = cluster_status(c, p->to).bad_frames;
  int64_t rc =
      cluster_hear(c, p->to, p->from, (struct raft_slice){noise, size});
  if (rc == RAFT_E_NOMEM) return;
  DEMAND(rc == RAFT_E_CORRUPT || rc == RAFT_E_VERSION);
  DEMAND(cluster_status(c, p->to).bad_frames == bad + 1);
  struct raft_facts after = raft_facts_of(r);
  DEMAND(before.term == after.term);
  DEMAND(before.state == after.state);
  DEMAND(before.last == after.last);
  DEMAND(before.commit == after.commit);
  DEMAND(before.leader == after.leader);
}

/* A frame arrives with a byte changed, cut short, or with one too many. */
static void mangle_any(struct run *r) {
  uint32_t any;
  if (!pick(r, &any)) return;
  const struct cluster_packet p = r->c->packets[any];
  uint32_t at = fuzz_below(r->in, (uint32_t)p.size + 2);
  uint8_t bits = raft_in_u8(r->in);
  if (r->c->nodes[p.to].raft == NULL) return;
  uint8_t *noise = malloc(p.size + 1);
  DEMAND(noise != NULL);
  memcpy(noise, p.bytes, p.size);
  noise[p.size] = bits;
  size_t size = p.size;
  if (at < p.size && bits != 0)
    noise[at] ^= bits;
  else
    size = at < p.size ? at : p.size + 1;
  uint8_t *exact = fuzz_copy(noise, size);
  hear_noise(r->c, &p, exact, size);
  free(exact);
  free(noise);
}

/* ---- disk, time, machine ------------------------------------------------- */

static void flush(struct run *r) {
  (void)cluster_flush(r->c, r->node); /* nothing to do is fine */
}

static void disk(struct run *r) {
  if (is_up(r)) cluster_disk(r->c, r->node, 1 + raft_in_u8(r->in) % 4);
}

static void apply(struct run *r) {
  if (is_up(r)) cluster_applied(r->c, r->node);
}

static void hold(struct run *r) {
  struct cluster_node *n = &r->c->nodes[r->node];
  uint8_t bits = raft_in_u8(r->in);
  n->is_apply_held = (bits & 1) != 0;
  n->is_load_held = (bits & 2) != 0;
  n->wall_ahead = (bits & 4) != 0 ? 5000 : 0;
}

static void pass_time(struct run *r) {
  r->c->now += raft_in_u8(r->in);
  if (is_up(r)) cluster_tick(r->c, r->node);
}

static void time_out(struct run *r) {
  raft_ms due = r->c->nodes[r->node].deadline;
  if (!is_up(r)) return;
  if (due != UINT64_MAX && due > r->c->now) r->c->now = due;
  cluster_tick(r->c, r->node);
}

static void crash(struct run *r) {
  uint32_t keep = raft_in_u8(r->in) % (RAFT_STORES_MAX + 1);
  if (is_up(r)) cluster_crash(r->c, r->node, keep);
}

static void restart(struct run *r) {
  if (!is_up(r)) DEMAND(cluster_restart(r->c, r->node) == RAFT_OK);
}

static void swap(struct run *r) {
  if (is_up(r)) cluster_swap(r->c, r->node);
}

static void lack_memory(struct run *r) {
  r->c->memory.fail_in = 1 + raft_in_u8(r->in) % 16;
}

static void set_space(struct run *r) {
  struct raft_event ev = {.kind = RAFT_EV_SPACE};
  ev.has_space = raft_in_u8(r->in) % 2 == 0;
  if (is_up(r)) DEMAND(cluster_step(r->c, r->node, &ev) == RAFT_OK);
}

/* ---- users --------------------------------------------------------------- */

static const char text[] = "one of these sixty-three bytes begins a command, "
                           "all others are";

static void propose(struct run *r) {
  const char *command = text + fuzz_below(r->in, sizeof text);
  if (!is_up(r) || cluster_status(r->c, r->node).last + 40 > CLUSTER_LOG)
    return;
  (void)cluster_propose(r->c, r->node, command); /* not leader, busy: fine */
}

static void forward(struct run *r) {
  const char *command = text + fuzz_below(r->in, sizeof text);
  if (!is_up(r) || cluster_status(r->c, r->node).last + 40 > CLUSTER_LOG)
    return;
  (void)cluster_forward(r->c, r->node, command); /* no leader, busy: fine */
}

static void read(struct run *r) {
  if (is_up(r)) (void)cluster_read(r->c, r->node); /* may be busy */
}

static void form(struct run *r) {
  if (is_up(r) && r->c->options.unformed == 1)
    (void)cluster_form(r->c, r->node); /* formed already: usage */
}

static void transfer(struct run *r) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  uint32_t to = fuzz_below(r->in, r->c->count + 1);
  if (to < r->c->count) ev.transfer.to = r->c->nodes[to].id;
  if (is_up(r)) (void)cluster_step(r->c, r->node, &ev); /* refused: fine */
}

static void cut(struct run *r) {
  uint8_t bits = raft_in_u8(r->in);
  uint32_t other = (r->node + 1) % r->c->count;
  if (other == r->node) return;
  r->c->cut[r->node][other] = (bits & 1) != 0;
  r->c->cut[other][r->node] = (bits & 2) != 0;
}

static void lose(struct run *r) {
  uint32_t other = fuzz_below(r->in, r->c->count);
  if (is_up(r) && other != r->node) cluster_unreachable(r->c, r->node, other);
}

/* Much at once, so that short inputs get far. */
static void work(struct run *r) {
  cluster_work(r->c);
}

static void run(struct run *r) {
  cluster_run(r->c, raft_in_u8(r->in));
}

static void snapshot(struct run *r) {
  uint8_t how = raft_in_u8(r->in);
  if (is_up(r)) (void)cluster_snapshot(r->c, r->node); /* may be busy */
  r->c->nodes[r->node].keeps_log = how % 4 == 0;
}

static void compact(struct run *r) {
  raft_index upto = r->c->nodes[r->node].compact;
  if (!is_up(r) || upto == 0) return;
  upto -= fuzz_below(r->in, (uint32_t)upto);
  DEMAND(cluster_compact(r->c, r->node, upto) != RAFT_E_USAGE);
}

/* A file arrives, or half of that is heard of, or it fails. */
static void ship(struct run *r) {
  uint8_t how = raft_in_u8(r->in);
  if (r->c->transfer_count == 0) return;
  uint32_t any = fuzz_below(r->in, r->c->transfer_count);
  bool is_there = r->c->nodes[r->c->transfers[any].to].raft != NULL;
  if (how % 8 == 0)
    cluster_shipped(r->c, any, how % 16 == 0);
  else if (how % 8 == 1 && is_there)
    (void)cluster_receive_snapshot(r->c, any); /* it notes faults */
  else
    cluster_arrive(r->c, any);
}

static void (*const steps[])(struct run *r) = {
    flush,       disk,      deliver_first, deliver_any, work,  run,
    time_out,    pass_time, propose,       forward,     read,  apply,
    drop_any,    hold,      double_any,    mangle_any,  crash, restart,
    lack_memory, set_space, transfer,      swap,        form,  cut,
    lose,        snapshot,  compact,       ship,
};

/* ---- one life ------------------------------------------------------------ */

static struct cluster *make(struct raft_in *in, uint8_t *flags) {
  struct cluster_options o = {.nodes = 1 + raft_in_u8(in) % 3};
  *flags = raft_in_u8(in);
  o.seed = 1 + raft_in_u8(in);
  if ((*flags & SMALL_MEMORY) != 0) o.memory_bytes_max = 600;
  if ((*flags & SHORT_TAIL) != 0) o.tail_max = 2;
  if ((*flags & SMALL_PENDING) != 0) o.pending_bytes_max = 300;
  if ((*flags & LEARNER) != 0 && o.nodes > 1) o.roles[1] = RAFT_ROLE_LEARNER;
  o.unformed = (*flags & UNFORMED) != 0;
  return cluster_new(&o);
}

/* Does one lead, and have all applied all it has? */
static bool is_calm(const struct cluster *c) {
  int leader = cluster_leader(c);
  if (leader < 0) return false;
  raft_index last = cluster_status(c, (uint32_t)leader).last;
  for (uint32_t i = 0; i < c->count; i++)
    if (cluster_status(c, i).applied != last) return false;
  return true;
}

/* As long as calm may take: 15 times the longest election time-out. */
static void calm_down(struct cluster *c) {
  for (int i = 0; i < 60 && c->broken == NULL && !is_calm(c); i++)
    cluster_run(c, 50);
  DEMAND(c->broken != NULL || is_calm(c));
}

/* In calm all become equal, and a command reaches everybody. */
static void heal(struct cluster *c) {
  c->memory.fail_in = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    struct raft_event ev = {.kind = RAFT_EV_SPACE, .has_space = true};
    cluster_isolate(c, i, false);
    c->nodes[i].is_apply_held = c->nodes[i].is_load_held = false;
    if (c->nodes[i].raft == NULL) DEMAND(cluster_restart(c, i) == RAFT_OK);
    if (c->options.unformed == 1 && cluster_status(c, i).last == 0)
      DEMAND(cluster_form(c, i) == RAFT_OK);
    DEMAND(cluster_step(c, i, &ev) == RAFT_OK);
    cluster_applied(c, i);
  }
  calm_down(c);
  if (c->broken != NULL) return;
  uint32_t leader = (uint32_t)cluster_leader(c);
  int64_t index = cluster_propose(c, leader, "calm");
  if (index == RAFT_E_BUSY) { /* it was handing over */
    calm_down(c);
    cluster_run(c, 2 * c->options.election_max_ms);
    leader = (uint32_t)cluster_leader(c);
    index = cluster_propose(c, leader, "calm");
  }
  DEMAND(index > 0);
  calm_down(c);
  DEMAND(cluster_status(c, leader).applied >= (raft_index)index);
}

void fuzz_cluster(const uint8_t *data, size_t size) {
  uint8_t flags;
  struct raft_in in = {.at = data, .end = data + size};
  struct run r = {.in = &in};
  r.c = make(&in, &flags);
  bool is_told = getenv("STORY") != NULL;
  if (is_told) cluster_listen(r.c);
  for (uint32_t i = 0; i < r.c->count; i++) {
    r.c->nodes[i].is_load_held = (flags & HELD_LOADS) != 0;
    r.c->nodes[i].is_disk_held = (flags & HELD_DISKS) != 0;
  }
  for (int i = 0; i < STEPS_MAX && raft_in_left(&in) > 0; i++) {
    uint8_t what = raft_in_u8(&in); /* node and step in one byte */
    r.node = what % r.c->count;
    steps[what / 3 % (sizeof steps / sizeof *steps)](&r);
    if (r.c->broken != NULL) break;
  }
  for (uint32_t i = 0; i < r.c->count; i++)
    r.c->nodes[i].is_disk_held = false;
  if ((flags & HEALS) != 0 && r.c->broken == NULL) heal(r.c);
  if (is_told) printf("%s\n", r.c->story);
  DEMAND(cluster_is_sound(r.c));
  cluster_free(r.c);
  fuzz_demand_support();
}
