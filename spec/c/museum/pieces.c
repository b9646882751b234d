/* pieces.c - what several scenarios of the museum start from. */
#include "museum.h"

#include <stdlib.h>

struct cluster *museum_led(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

struct cluster *museum_asking(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  cluster_time_out(c, N1);
  return c;
}

struct cluster *museum_candidate(uint32_t nodes) {
  struct cluster *c = museum_asking(nodes);
  for (uint32_t i = N2; i <= nodes / 2; i++)
    alone_reply(c, i, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  return c;
}

bool museum_grants(struct cluster *c, uint32_t from,
                   const struct alone_vote *v) {
  alone_vote(c, from, v);
  struct raft_message m = alone_must_answer(c, from, RAFT_MSG_VOTE_REPLY);
  return m.vote_reply.granted;
}

struct raft_message museum_vote(const struct raft_message *asked,
                                bool granted) {
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = asked->term};
  m.vote_reply.for_term = asked->vote.for_term;
  m.vote_reply.round = asked->vote.round;
  m.vote_reply.pre = asked->vote.pre;
  m.vote_reply.granted = granted;
  return m;
}

struct raft_message museum_accepted(raft_term term, raft_index index) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = term};
  m.append_reply.accepted = true;
  m.append_reply.index = index;
  return m;
}

struct raft_message museum_refused(raft_term term, raft_index index,
                                   raft_index hint, raft_term hint_term) {
  struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY, .term = term};
  m.append_reply.index = index;
  m.append_reply.hint_index = hint;
  m.append_reply.hint_term = hint_term;
  return m;
}

void museum_boot(struct cluster *c, uint32_t node, raft_term term,
                 const raft_term *terms, uint32_t count) {
  cluster_crash(c, node, 0);
  cluster_write_log(c, node, term, terms, count);
  EQ(cluster_restart(c, node), RAFT_OK);
}

void museum_wipe(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  cluster_crash(c, node, 0);
  for (raft_index i = 1; i <= n->disk.last; i++)
    free(n->disk.log[i].bytes);
  n->disk = (struct cluster_disk){.term = 0};
  n->incarnation += 1000;
  EQ(cluster_restart(c, node), RAFT_OK);
}

void museum_carry(struct cluster *c, uint32_t from, uint32_t to) {
  for (uint32_t i = 0; i < c->packet_count;) {
    bool is_it = c->packets[i].from == from && c->packets[i].to == to;
    if (is_it)
      cluster_deliver(c, i);
    else
      i++;
  }
  for (int i = 0; i < 4; i++) {
    (void)cluster_flush(c, to); /* nothing to do is fine */
    cluster_disk(c, to, RAFT_STORES_MAX);
  }
}

void museum_command(struct cluster *c, uint32_t leader) {
  CHECK(cluster_propose(c, leader, "x") > 0);
  cluster_work(c);
}
