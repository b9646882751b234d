/* transfer.c - a leader hands its place over. [Thesis 3.10]
 *
 *   TRANSFER --> heir: no proposals --(it has everything)--> told: campaign
 *                  |                                           |
 *                  +---- time-out, its removal, our term's end +--> no heir
 *
 * The leader stays what it is until the heir's term reaches it, so nothing must
 * be undone when the heir does not come: proposals are taken again, and that is
 * all. Only leases do not come back in this term: the heir may still campaign,
 * and those it asks may vote for it though they have just heard us.
 */
#include <assert.h>

#include "config.h"
#include "replica.h"

/* Is it a voter, and to stay one? NULL: no. */
static const struct raft_member *voter(const struct raft *r, raft_id id) {
  int at = raft_config_find(&r->config, id);
  if (at < 0) return NULL;
  assert((uint32_t)at < r->config.count);
  const struct raft_member *m = &r->config.members[at];
  if (m->role[RAFT_NEW] != RAFT_ROLE_VOTER) return NULL;
  return m->goal == RAFT_ROLE_VOTER ? m : NULL;
}

/* May this member lead, does it want to, and is it there? */
static bool is_candidate(const struct raft *r, const struct raft_progress *p) {
  assert(p->id != r->options.self);
  assert(p->heard <= r->now);
  if (p->is_avoiding || voter(r, p->id) == NULL) return false;
  return r->now - p->heard < raft_election_min(r);
}

/* First who shall lead rather, then who lacks less. */
static bool is_better(const struct raft *r, const struct raft_progress *a,
                      const struct raft_progress *b) {
  assert(is_candidate(r, a));
  assert(is_candidate(r, b));
  uint8_t ours = voter(r, a->id)->priority;
  uint8_t theirs = voter(r, b->id)->priority;
  if (ours != theirs) return ours < theirs;
  return a->match > b->match;
}

/* The best placed heir, or NULL. A snapshot takes too long to wait for. */
static const struct raft_progress *best_heir(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  const struct raft_progress *heir = NULL;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    if (!is_candidate(r, p) || p->state == RAFT_SNAPSHOT) continue;
    if (heir == NULL || is_better(r, p, heir)) heir = p;
  }
  assert(heir == NULL || heir->match <= r->log.last);
  return heir;
}

static const struct raft_progress *named_heir(struct raft *r, raft_id to) {
  assert(to != 0);
  const struct raft_progress *p = raft_find_peer(r, to);
  return p != NULL && is_candidate(r, p) ? p : NULL;
}

/* To ask again changes nothing; to name another one does, until it was told. */
int raft_on_transfer(struct raft *r, raft_id to) {
  assert(r->is_started);
  if (r->state != RAFT_LEADER) return RAFT_E_NOT_LEADER;
  if (r->heir != 0 && (to == 0 || to == r->heir)) return RAFT_OK;
  const struct raft_progress *p = to != 0 ? named_heir(r, to) : best_heir(r);
  if (p == NULL) return RAFT_E_UNSUPPORTED;
  if (r->is_heir_told) return RAFT_E_BUSY;
  r->heir = p->id;
  r->heir_due = r->now + r->options.election_max_ms;
  return RAFT_OK;
}

void raft_transfer_end(struct raft *r) {
  assert((r->heir != 0) == (r->heir_due != RAFT_NEVER));
  r->heir = 0;
  r->heir_due = RAFT_NEVER;
  r->is_heir_told = false;
}

void raft_transfer_tick(struct raft *r) {
  assert(r->is_started);
  assert(r->heir == 0 || r->state == RAFT_LEADER);
  if (r->now >= r->heir_due) raft_transfer_end(r);
}

/* Tells the heir once it has everything. */
void raft_emit_transfer(struct raft *r) {
  if (r->heir == 0) return;
  assert(r->state == RAFT_LEADER);
  const struct raft_progress *p = raft_find_peer(r, r->heir);
  if (p == NULL || voter(r, p->id) == NULL) { /* it was removed meanwhile */
    raft_transfer_end(r);
    return;
  }
  assert(p->match <= r->log.last);
  if (r->is_heir_told || p->match < r->log.last) return;
  if (raft_reserve_send(r, 0) != RAFT_OK) return; /* next turn */
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = r->term};
  raft_send(r, p->id, 0, &m);
  r->is_heir_told = r->is_lease_void = true;
}

/* The leader hears of it with the next answer, so it is owed one. */
int raft_on_avoid(struct raft *r, bool is_avoiding) {
  assert(r->is_started);
  bool is_news = r->is_avoiding != is_avoiding;
  r->is_avoiding = is_avoiding;
  if (!is_news || r->state != RAFT_FOLLOWER || r->leader == 0) return RAFT_OK;
  if (r->ack.to == 0)
    r->ack = (struct raft_ack){.to = r->leader, .index = r->commit};
  r->ack.is_prompt = true;
  assert(r->ack.to == r->leader);
  return RAFT_OK;
}
