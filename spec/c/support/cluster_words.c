/* cluster_words.c - frames in words, for stories that people read.
 *
 * A message speaks for its sender. "7/t3" is the entry with index 7, which a
 * leader made in term 3. A message that a cut link or a dead receiver is going
 * to swallow ends with [lost].
 */
#include "config.h"
#include "cluster_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES_SHOWN 6 /* of one append; of more, the first and the last */

static void words_of_vote(const struct raft_message *m, char *out,
                          size_t room) {
  snprintf(out, room,
           "%s in term %" PRIu64 "%s My log ends at %" PRIu64 "/t%" PRIu64 "%s",
           m->vote.pre ? "would you vote for me" : "vote for me",
           m->vote.for_term, m->vote.pre ? "?" : "!", m->vote.last_index,
           m->vote.last_term,
           m->vote.transfer ? " (the leader asked me to)" : "");
}

static void words_of_vote_reply(const struct raft_message *m, char *out,
                                size_t room) {
  bool is_granted = m->vote_reply.granted;
  uint64_t term = m->vote_reply.for_term;
  if (m->vote_reply.pre)
    snprintf(out, room,
             "%s in term %" PRIu64 " I would%s (I am in term %" PRIu64 ")",
             is_granted ? "yes," : "no,", term, is_granted ? "" : " not",
             m->term);
  else if (is_granted)
    snprintf(out, room, "you have my vote in term %" PRIu64, term);
  else
    snprintf(out, room,
             "no vote from me in term %" PRIu64 " (I am in term %" PRIu64 ")",
             term, m->term);
}

/* The first and the last of many entries; their size. */
static size_t words_of_ends(const struct raft_message *m, struct raft_entry e,
                            char *out, size_t room) {
  struct raft_slice tail = m->tail;
  struct raft_entry last = e;
  while (tail.size > 0 && raft_entry_decode(tail.data, tail.size, &last) == 0) {
    tail.data += raft_entry_bytes(&last);
    tail.size -= raft_entry_bytes(&last);
  }
  return (size_t)snprintf(out, room,
                          " %" PRIu64 "/t%" PRIu64 " .. %" PRIu64 "/t%" PRIu64,
                          e.index, e.term, last.index, last.term);
}

static size_t words_of_entries(const struct raft_message *m, char *out,
                               size_t room) {
  size_t size = 0;
  struct raft_slice tail = m->tail;
  for (uint32_t i = 0; i < m->append.count && size < room; i++) {
    struct raft_entry e;
    if (raft_entry_decode(tail.data, tail.size, &e) != RAFT_OK) break;
    if (m->append.count > ENTRIES_SHOWN) return words_of_ends(m, e, out, room);
    size += (size_t)snprintf(out + size, room - size, " %" PRIu64 "/t%" PRIu64,
                             e.index, e.term);
    tail.data += raft_entry_bytes(&e);
    tail.size -= raft_entry_bytes(&e);
  }
  return size;
}

static void words_of_round(uint64_t round, char *out, size_t room) {
  *out = '\0';
  if (round > 0) snprintf(out, room, ", read round %" PRIu64, round);
}

static void words_of_append(const struct raft_message *m, char *out,
                            size_t room) {
  char entries[160] = "";
  char round[40];
  words_of_round(m->append.round, round, sizeof round);
  (void)words_of_entries(m, entries, sizeof entries); /* cut short is fine */
  snprintf(out, room,
           "%s%s after %" PRIu64 "/t%" PRIu64 "; committed up to %" PRIu64
           " (term %" PRIu64 "%s)",
           m->append.count > 0 ? "append" : "nothing new", entries,
           m->append.prev_index, m->append.prev_term, m->append.commit, m->term,
           round);
}

static void words_of_append_reply(const struct raft_message *m, char *out,
                                  size_t room) {
  char round[80];
  bool is_short = (m->append_reply.flags & RAFT_REPLY_REPAIRING) != 0;
  words_of_round(m->append_reply.round, round, sizeof round);
  if (is_short) strcat(round, ", damage took what followed");
  if (m->append_reply.accepted)
    snprintf(out, room, "I have everything up to %" PRIu64 " on disk%s",
             m->append_reply.index, round);
  else
    snprintf(out, room,
             "I cannot append after %" PRIu64
             "; our logs may agree up to %" PRIu64 "/t%" PRIu64
             " (term %" PRIu64 "%s)",
             m->append_reply.index, m->append_reply.hint_index,
             m->append_reply.hint_term, m->term, round);
}

static void words_of_propose(const struct raft_message *m, char *out,
                             size_t room) {
  static const char *const wishes[] = {
      [RAFT_PROPOSE_COMMANDS] = "append this command",
      [RAFT_PROPOSE_CHANGE] = "change the members to these",
      [RAFT_PROPOSE_TRANSFER] = "let another lead instead of you",
      [RAFT_PROPOSE_SESSIONS] = "append this command of a client",
  };
  snprintf(out, room, "please %s in term %" PRIu64, wishes[m->propose.kind],
           m->term);
}

static void words_of_propose_reply(const struct raft_message *m, char *out,
                                   size_t room) {
  bool is_no_leader = m->propose_reply.code == RAFT_E_NOT_LEADER;
  if (m->propose_reply.code == RAFT_OK)
    snprintf(out, room, "your command is entry %" PRIu64 "/t%" PRIu64,
             m->propose_reply.index, m->term);
  else
    snprintf(out, room, "%s%s (I am in term %" PRIu64 ")",
             is_no_leader ? "your command is in no log: I am " : "refused: ",
             raft_error_text((int)m->propose_reply.code), m->term);
}

static void words_of_read_reply(const struct raft_message *m, char *out,
                                size_t room) {
  if (m->read.index > 0)
    snprintf(out, room, "answer your read once you have applied %" PRIu64,
             m->read.index);
  else
    snprintf(out, room, "I can not tell: I do not lead your term");
}

static void words_of(const struct raft_message *m, char *out, size_t room) {
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: words_of_vote(m, out, room); break;
  case RAFT_MSG_VOTE_REPLY: words_of_vote_reply(m, out, room); break;
  case RAFT_MSG_APPEND: words_of_append(m, out, room); break;
  case RAFT_MSG_APPEND_REPLY: words_of_append_reply(m, out, room); break;
  case RAFT_MSG_TIMEOUT_NOW:
    snprintf(out, room, "campaign now and take my place (term %" PRIu64 ")",
             m->term);
    break;
  case RAFT_MSG_PROPOSE: words_of_propose(m, out, room); break;
  case RAFT_MSG_PROPOSE_REPLY: words_of_propose_reply(m, out, room); break;
  case RAFT_MSG_READ:
    snprintf(out, room, "I have a read: what must I have applied for it?");
    break;
  case RAFT_MSG_READ_REPLY: words_of_read_reply(m, out, room); break;
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
  bool is_lost = c->cut[p->from][p->to] || c->nodes[p->to].raft == NULL;
  snprintf(out, room, "%s -> %s: %s%s", c->nodes[p->from].name,
           c->nodes[p->to].name, words, is_lost ? " [lost]" : "");
}

/* ---- configurations ------------------------------------------------------ */

static void put_half(const struct cluster *c, const struct raft_config *config,
                     enum raft_half half, char *out, size_t room) {
  size_t at = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    int k = raft_config_find(config, c->nodes[i].id);
    if (k < 0 || config->members[k].role[half] == RAFT_ROLE_NONE) continue;
    static const char *const marks[] = {"", "", " (learner)", " (witness)"};
    at += (size_t)snprintf(out + at, room - at, "%s%s%s", at > 0 ? ", " : "",
                           c->nodes[i].name,
                           marks[config->members[k].role[half]]);
  }
}

/* All have the first one from the beginning. */
void cluster_say_config(struct cluster *c, uint32_t node, raft_index index) {
  const struct raft_config *config =
      raft_config_in_force(c->nodes[node].raft, NULL);
  char old[120] = "";
  char new[120] = "";
  if (index <= 1) return;
  put_half(c, config, RAFT_OLD, old, sizeof old);
  put_half(c, config, RAFT_NEW, new, sizeof new);
  if (config->joint)
    cluster_say(c, "%s follows configuration %" PRIu64 ": %s, and %s",
                c->nodes[node].name, index, old, new);
  else
    cluster_say(c, "%s follows configuration %" PRIu64 ": %s",
                c->nodes[node].name, index, old);
}
