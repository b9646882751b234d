/* cluster_check.c - what must hold between nodes, and from one step of a node
 * to the next. [Raft Figure 3] */
#include "cluster_inner.h"

#include "change.h"
#include "check.h"
#include "config.h"
#include "digest.h"
#include "quorum.h"
#include "replica.h"

/* [Raft 5.2] election safety; [Raft 5.4] leader completeness. */
static const char *check_leader(struct cluster *c, uint32_t node,
                                const struct raft *r) {
  bool is_kept = r->state == RAFT_CANDIDATE || r->state == RAFT_LEADER;
  if (is_kept && r->term >= CLUSTER_TERMS) return "the test ran out of terms";
  if (r->state != RAFT_LEADER) return NULL;
  uint32_t *leader = &c->leaders[r->term];
  if (*leader != 0 && *leader != node + 1) return "two leaders in a term";
  if (c->nodes[node].is_bare) return "a leader whose state lacks commands";
  if (*leader != 0) return NULL;
  *leader = node + 1;
  c->seen_counts.elections++;
  raft_index first = r->log.base_index > 0 ? r->log.base_index : 1;
  for (raft_index i = first; i <= c->commit; i++)
    if (raft_log_term(&r->log, i) != c->committed[i])
      return "a leader lacks a committed entry";
  return NULL;
}

static uint64_t digest_of(const struct raft_entry *e) {
  struct raft_digest_state d;
  uint64_t out[2];
  raft_digest_begin(&d);
  raft_digest_u64(&d, e->kind);
  raft_digest_u64(&d, e->time);
  raft_digest_end(&d, out);
  return out[0];
}

/* A witness has no payload to show. */
static uint64_t payload_of(const struct raft_entry *e) {
  if ((e->flags & RAFT_ENTRY_STRIPPED) != 0) return 0;
  struct raft_digest_state d;
  uint64_t out[2];
  raft_digest_begin(&d);
  raft_digest_add(&d, e->payload, e->size);
  raft_digest_end(&d, out);
  return out[0] | 1;
}

/* [Raft 5.3] log matching: one (index, term) is one entry, after one term. */
static const char *check_entry(struct cluster *c, const struct raft *r,
                               raft_index i) {
  struct raft_entry e;
  if (!raft_log_get(&r->log, i, &e)) return NULL;
  struct cluster_seen now = {
      .term = e.term,
      .before = raft_log_term(&r->log, i - 1),
      .digest = digest_of(&e),
      .payload = payload_of(&e),
  };
  for (uint32_t k = 0; k < c->seen_count[i]; k++) {
    struct cluster_seen *seen = &c->seen[i][k];
    if (seen->term != now.term) continue;
    if (seen->before != now.before) return "equal entries follow others";
    if (seen->payload == 0) seen->payload = now.payload;
    bool is_same = now.payload == 0 || seen->payload == now.payload;
    if (seen->digest != now.digest || !is_same)
      return "two entries of one term";
    return NULL;
  }
  uint32_t n = c->seen_count[i];
  if (n == sizeof c->seen[i] / sizeof *c->seen[i]) return NULL; /* forgetful */
  c->seen[i][c->seen_count[i]++] = now;
  return NULL;
}

static const char *check_entries(struct cluster *c, const struct raft *r,
                                 const struct raft_facts *before) {
  if (r->log.last > CLUSTER_LOG) return "the test ran out of log";
  for (raft_index i = before->commit + 1; i <= r->log.last; i++) {
    if (i <= r->log.base_index) continue;
    const char *broken = check_entry(c, r, i);
    if (broken != NULL) return broken;
  }
  return NULL;
}

/* What is committed lies on the disks of a commit quorum of the configuration
 * in force where it is counted, or has: who lost it
 * has acknowledged it before, and still votes by it. */
static bool is_durable(const struct cluster *c, const struct raft *r,
                       raft_index i, raft_term term) {
  uint32_t mask = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    const struct cluster_disk *d = &c->nodes[k].disk;
    int at = raft_config_find(&r->config, c->nodes[k].id);
    bool has_term = i <= d->base || d->log[i].term == term;
    bool is_there = (d->last >= i && has_term) || d->lost[i] == term;
    if (at >= 0 && is_there) mask |= 1u << at;
  }
  return raft_quorum_has(&r->config, RAFT_COMMIT, mask);
}

/* [Raft 5.4.3] state machine safety. */
static const char *check_commit(struct cluster *c, const struct raft *r,
                                const struct raft_facts *before) {
  raft_index first = before->commit + 1;
  if (first < r->log.base_index) first = r->log.base_index;
  for (raft_index i = first; i <= r->commit; i++) {
    raft_term term = raft_log_term(&r->log, i);
    if (i <= c->commit) {
      if (c->committed[i] != term) return "two entries committed at an index";
      continue;
    }
    if (i > 1 && !c->is_made_up && !is_durable(c, r, i, term))
      return "committed before a quorum had it";
    c->committed[i] = term;
    c->commit = i;
    c->seen_counts.commits++;
  }
  return NULL;
}

static void count_events(struct cluster *c, const struct raft *r,
                         const struct raft_facts *before) {
  struct cluster_counts *n = &c->seen_counts;
  n->steps++;
  bool has_cut = raft_log_term(&r->log, before->last) != before->last_term;
  if (has_cut) n->truncations++;
  bool led = before->state == RAFT_LEADER;
  if (led && r->state != RAFT_LEADER) n->step_downs++;
  if (led && r->state != RAFT_LEADER && r->term == before->term)
    n->lost_touch++;
  if (r->state == RAFT_CANDIDATE && r->term > before->term) {
    c->campaigns[r->term]++;
    if (c->campaigns[r->term] == 2) n->split_votes++;
  }
  for (uint32_t i = 0; i < r->peer_count; i++)
    if (r->peers[i].count == RAFT_INFLIGHT_MAX) n->full_windows++;
  if (r->log.store_count == RAFT_STORES_MAX) n->full_disks++;
  if (r->config_index > before->config_index) n->joints += r->config.joint;
  if (r->config_index > before->config_index)
    n->settled += raft_change_is_settled(&r->config);
}

const char *cluster_check(struct cluster *c, uint32_t node,
                          const struct raft_facts *before) {
  const struct raft *r = c->nodes[node].raft;
  const char *broken = raft_check(r);
  if (broken == NULL) broken = raft_check_step(before, r);
  if (broken == NULL) broken = check_leader(c, node, r);
  if (broken == NULL) broken = check_entries(c, r, before);
  if (broken == NULL) broken = check_commit(c, r, before);
  if (broken == NULL) count_events(c, r, before);
  return broken;
}

/* [Raft 5.2] at most one vote in a term, whatever the disk forgot; and never
 * one that the disk does not hold. */
static const char *check_vote(struct cluster *c, uint32_t node, raft_term term,
                              raft_id vote) {
  struct cluster_node *n = &c->nodes[node];
  if (term >= CLUSTER_TERMS) return "the test ran out of terms";
  if (n->votes[term] != 0 && n->votes[term] != vote)
    return "two votes in one term";
  n->votes[term] = vote;
  bool is_there = n->disk.term > term || n->disk.vote == vote;
  return is_there ? NULL : "a vote left before it was durable";
}

const char *cluster_check_send(struct cluster *c, uint32_t node, raft_id to,
                               const struct raft_message *m) {
  struct cluster_node *n = &c->nodes[node];
  if (m->term > n->disk.term) return "a term left before it was durable";
  if (m->kind == RAFT_MSG_VOTE && !m->vote.pre)
    return check_vote(c, node, m->vote.for_term, n->id);
  if (m->kind == RAFT_MSG_VOTE_REPLY && !m->vote_reply.pre &&
      m->vote_reply.granted)
    return check_vote(c, node, m->vote_reply.for_term, to);
  if (m->kind == RAFT_MSG_APPEND_REPLY && m->append_reply.accepted &&
      m->term == n->disk.term && m->append_reply.index > n->disk.last)
    return "an answer left before its entries were durable";
  if (m->kind == RAFT_MSG_VOTE_REPLY && !m->vote_reply.granted)
    c->seen_counts.refused_votes++;
  if (m->kind == RAFT_MSG_APPEND_REPLY && !m->append_reply.accepted)
    c->seen_counts.refused_appends++;
  return NULL;
}
