/* cluster_words.c - frames in words, for stories that people read. */
#include "cluster_inner.h"

#include <inttypes.h>
#include <stdio.h>

static void words_of_vote(const struct raft_message *m, char *out,
                          size_t room) {
  snprintf(out, room,
           "asks for %s in term %" PRIu64 "%s, its log ends at %" PRIu64
           "/t%" PRIu64,
           m->vote.pre ? "a pre-vote" : "the vote", m->vote.for_term,
           m->vote.transfer ? " as the leader wished" : "", m->vote.last_index,
           m->vote.last_term);
}

static void words_of_vote_reply(const struct raft_message *m, char *out,
                                size_t room) {
  snprintf(out, room, "%s %s in term %" PRIu64 " (own term %" PRIu64 ")",
           m->vote_reply.granted ? "grants" : "refuses",
           m->vote_reply.pre ? "the pre-vote" : "the vote",
           m->vote_reply.for_term, m->term);
}

static void words_of_append(const struct raft_message *m, char *out,
                            size_t room) {
  int size = snprintf(out, room,
                      "append in term %" PRIu64 " after %" PRIu64 "/t%" PRIu64,
                      m->term, m->append.prev_index, m->append.prev_term);
  struct raft_slice tail = m->tail;
  for (uint32_t i = 0; i < m->append.count && (size_t)size < room; i++) {
    struct raft_entry e;
    if (raft_entry_decode(tail.data, tail.size, &e) != RAFT_OK) break;
    size += snprintf(out + size, room - (size_t)size, "%s%" PRIu64 "/t%" PRIu64,
                     i == 0 ? ": " : " ", e.index, e.term);
    tail.data += raft_entry_bytes(&e);
    tail.size -= raft_entry_bytes(&e);
  }
  if ((size_t)size >= room) return;
  snprintf(out + size, room - (size_t)size, ", commit %" PRIu64,
           m->append.commit);
}

static void words_of_append_reply(const struct raft_message *m, char *out,
                                  size_t room) {
  if (m->append_reply.accepted)
    snprintf(out, room, "has all up to %" PRIu64, m->append_reply.index);
  else
    snprintf(out, room,
             "refuses what follows %" PRIu64 " (term %" PRIu64
             "), may agree at %" PRIu64 "/t%" PRIu64,
             m->append_reply.index, m->term, m->append_reply.hint_index,
             m->append_reply.hint_term);
}

static void words_of(const struct raft_message *m, char *out, size_t room) {
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: words_of_vote(m, out, room); break;
  case RAFT_MSG_VOTE_REPLY: words_of_vote_reply(m, out, room); break;
  case RAFT_MSG_APPEND: words_of_append(m, out, room); break;
  case RAFT_MSG_APPEND_REPLY: words_of_append_reply(m, out, room); break;
  case RAFT_MSG_TIMEOUT_NOW: snprintf(out, room, "take over"); break;
  case RAFT_MSG_PROPOSE: snprintf(out, room, "forwards a command"); break;
  case RAFT_MSG_PROPOSE_REPLY:
    snprintf(out, room, "answers the command: %d", (int)m->propose_reply.code);
    break;
  case RAFT_MSG_READ: snprintf(out, room, "asks for a read index"); break;
  case RAFT_MSG_READ_REPLY:
    snprintf(out, room, "says read index %" PRIu64, m->read.index);
    break;
  case RAFT_MSG_NONE:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE:
  case RAFT_MSG_PING: snprintf(out, room, "?"); break;
  }
}

void cluster_words(const struct cluster *c, const struct cluster_packet *p,
                   char *out, size_t room) {
  struct raft_message m;
  char words[260] = "noise";
  if (raft_wire_decode(p->bytes, p->size, &m) == RAFT_OK)
    words_of(&m, words, sizeof words);
  snprintf(out, room, "%s -> %s: %s", c->nodes[p->from].name,
           c->nodes[p->to].name, words);
}
