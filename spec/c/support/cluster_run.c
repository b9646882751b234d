/* cluster_run.c - the network of the virtual cluster, and many events in order:
 * work, time, elections. */
#include "cluster_inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- the network --------------------------------------------------------- */

void cluster_post(struct cluster *c, const struct cluster_packet *p) {
  if (c->packet_count == c->packet_room) {
    c->packet_room = 2 * c->packet_room + 16;
    c->packets = cluster_need(realloc(c->packets, c->packet_room * sizeof *p));
  }
  c->packets[c->packet_count++] = *p;
}

static struct cluster_packet remove_packet(struct cluster *c, uint32_t i) {
  struct cluster_packet p = c->packets[i];
  memmove(c->packets + i, c->packets + i + 1,
          (--c->packet_count - i) * sizeof p);
  return p;
}

void cluster_drop(struct cluster *c, uint32_t i) {
  struct cluster_packet p = remove_packet(c, i);
  free(p.bytes);
}

void cluster_drop_all(struct cluster *c) {
  while (c->packet_count > 0)
    cluster_drop(c, c->packet_count - 1);
}

void cluster_double(struct cluster *c, uint32_t i) {
  struct cluster_packet p = c->packets[i];
  p.bytes = cluster_copy(p.bytes, p.size);
  cluster_post(c, &p);
}

void cluster_deliver(struct cluster *c, uint32_t i) {
  struct cluster_packet p = remove_packet(c, i);
  bool is_lost = c->cut[p.from][p.to] || c->nodes[p.to].raft == NULL;
  if (!is_lost) {
    uint8_t *exact =
        cluster_need(malloc(p.size)); /* so that no byte more is read */
    memcpy(exact, p.bytes, p.size);
    int64_t rc =
        cluster_hear(c, p.to, p.from, (struct raft_slice){exact, p.size});
    free(exact);
    cluster_note(c, p.to, rc == RAFT_OK ? NULL : "a frame was refused");
  }
  free(p.bytes);
}

void cluster_isolate(struct cluster *c, uint32_t node, bool is_cut) {
  for (uint32_t i = 0; i < c->count; i++)
    if (i != node) c->cut[i][node] = c->cut[node][i] = is_cut;
  cluster_say(c, "%s is %s the others", c->nodes[node].name,
              is_cut ? "cut off from" : "joined again with");
}

void cluster_look(const struct cluster *c, uint32_t i, struct raft_message *m) {
  *m = (struct raft_message){.kind = RAFT_MSG_NONE};
  CHECK(i < c->packet_count); /* was it found? */
  if (i >= c->packet_count) return;
  const struct cluster_packet *p = &c->packets[i];
  EQ(raft_wire_decode(p->bytes, p->size, m), RAFT_OK);
}

int cluster_find(const struct cluster *c, uint32_t from, uint32_t to,
                 enum raft_message_kind kind) {
  for (uint32_t i = 0; i < c->packet_count; i++) {
    struct raft_message m;
    if (c->packets[i].from != from || c->packets[i].to != to) continue;
    cluster_look(c, i, &m);
    if (m.kind == kind) return (int)i;
  }
  return -1;
}

/* ---- many events --------------------------------------------------------- */

static bool work_on(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  if (n->raft == NULL) return false;
  bool has_done = cluster_flush(c, node);
  if (n->disk.count > 0 && !n->is_disk_held) {
    cluster_disk(c, node, n->disk.count);
    has_done = true;
  }
  return has_done;
}

/* The first transfer that nobody holds back. */
static bool arrive_one(struct cluster *c) {
  for (uint32_t i = 0; i < c->transfer_count; i++) {
    if (c->nodes[c->transfers[i].from].is_ship_held) continue;
    cluster_arrive(c, i);
    return true;
  }
  return false;
}

void cluster_work(struct cluster *c) {
  uint32_t idle = 0; /* twice, for what lacked memory the first time */
  for (uint32_t turn = 0; turn < 20000 && idle < 2; turn++) {
    bool has_done = c->packet_count > 0;
    if (c->packet_count > 0) cluster_deliver(c, 0);
    has_done = arrive_one(c) || has_done;
    for (uint32_t i = 0; i < c->count; i++)
      has_done = work_on(c, i) || has_done;
    if (c->broken != NULL) return;
    idle = has_done ? 0 : idle + 1;
  }
  cluster_note(c, 0, idle < 2 ? "the work never ends" : NULL);
}

static raft_ms next_deadline(const struct cluster *c) {
  raft_ms next = UINT64_MAX;
  for (uint32_t i = 0; i < c->count; i++)
    if (c->nodes[i].raft != NULL && c->nodes[i].deadline < next)
      next = c->nodes[i].deadline;
  return next;
}

void cluster_run(struct cluster *c, raft_ms ms) {
  raft_ms end = c->now + ms;
  cluster_work(c);
  while (c->broken == NULL && next_deadline(c) <= end) {
    raft_ms next = next_deadline(c);
    if (next > c->now) c->now = next;
    for (uint32_t i = 0; i < c->count; i++) {
      if (c->nodes[i].raft == NULL || c->nodes[i].deadline > c->now) continue;
      cluster_tick(c, i);
      (void)cluster_flush(c, i);
    }
    cluster_work(c);
  }
  c->now = end;
}

void cluster_time_out(struct cluster *c, uint32_t node) {
  raft_ms due = c->nodes[node].deadline;
  if (due != UINT64_MAX && due > c->now) c->now = due;
  /* nobody shall think that it still hears a leader */
  c->now += c->options.election_min_ms;
  cluster_say(c, "%s times out", c->nodes[node].name);
  cluster_tick(c, node);
  (void)cluster_flush(c, node);
}

bool cluster_elect(struct cluster *c, uint32_t node) {
  cluster_time_out(c, node);
  cluster_work(c);
  return cluster_status(c, node).state == RAFT_LEADER;
}

int cluster_leader(const struct cluster *c) {
  int leader = -1;
  raft_term newest = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    if (c->nodes[i].raft == NULL) continue;
    struct raft_status s = cluster_status(c, i);
    if (s.state != RAFT_LEADER || s.term < newest) continue;
    leader = (int)i;
    newest = s.term;
  }
  return leader;
}

struct raft_status cluster_status(const struct cluster *c, uint32_t node) {
  struct raft_status s;
  raft_status(c->nodes[node].raft, &s);
  return s;
}
