/* alone.c - one replica against made-up messages. */
#include "alone.h"

struct cluster *alone_new(uint32_t nodes, const struct alone_log *log) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = nodes, .seed = 1});
  if (log == NULL) return c;
  cluster_crash(c, N1, 0);
  cluster_write_log(c, N1, log->term, log->terms, log->count);
  EQ(cluster_restart(c, N1), RAFT_OK);
  return c;
}

void alone_vote(struct cluster *c, uint32_t from, const struct alone_vote *v) {
  struct raft_message m = {.kind = RAFT_MSG_VOTE, .term = v->term - v->pre};
  m.vote.for_term = v->term;
  m.vote.last_index = v->last;
  m.vote.last_term = v->last_term;
  m.vote.round = v->round;
  m.vote.pre = v->pre;
  m.vote.transfer = v->transfer;
  EQ(cluster_receive(c, N1, from, &m), RAFT_OK);
}

int64_t alone_append(struct cluster *c, uint32_t from,
                     const struct alone_append *a) {
  uint8_t bytes[2048];
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = a->term};
  m.append.prev_index = a->prev;
  m.append.prev_term = a->prev_term;
  m.append.commit = a->commit;
  m.append.round = a->round;
  m.append.count = a->count;
  m.tail.data = bytes;
  m.tail.size = cluster_entries(a->prev + 1, a->terms, a->count, bytes);
  return cluster_receive(c, N1, from, &m);
}

static void do_all(struct cluster *c) {
  bool is_held = c->nodes[N1].is_disk_held;
  (void)cluster_flush(c, N1); /* nothing to do is fine */
  for (int i = 0; i < 8 && !is_held && c->nodes[N1].disk.count > 0; i++)
    cluster_disk(c, N1, RAFT_STORES_MAX);
}

bool alone_answer(struct cluster *c, uint32_t to, enum raft_message_kind kind,
                  struct raft_message *m) {
  do_all(c);
  int i = cluster_find(c, N1, to, kind);
  if (i < 0) return false;
  cluster_look(c, (uint32_t)i, m);
  m->tail.data = NULL; /* it goes with the frame */
  cluster_drop(c, (uint32_t)i);
  return true;
}

struct raft_message alone_must_answer(struct cluster *c, uint32_t to,
                                      enum raft_message_kind kind) {
  struct raft_message m = {.kind = RAFT_MSG_NONE};
  CHECK(alone_answer(c, to, kind, &m));
  return m;
}

void alone_reply(struct cluster *c, uint32_t from, bool granted) {
  struct raft_message asked = alone_must_answer(c, from, RAFT_MSG_VOTE);
  struct raft_message newer;
  while (alone_answer(c, from, RAFT_MSG_VOTE, &newer))
    asked = newer;
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = asked.term};
  m.vote_reply.for_term = asked.vote.for_term;
  m.vote_reply.round = asked.vote.round;
  m.vote_reply.pre = asked.vote.pre;
  m.vote_reply.granted = granted;
  EQ(cluster_receive(c, N1, from, &m), RAFT_OK);
  do_all(c);
}

struct raft_status alone_status(const struct cluster *c) {
  return cluster_status(c, N1);
}

void alone_end(struct cluster *c) {
  CHECK(cluster_is_sound(c));
  cluster_free(c);
}
