/* transfer.c - a leader hands its place over. [Thesis 3.10]
 *
 * The member that has everything and spoke last is told to campaign at once.
 * The leader stays what it is until the other's term reaches it, so nothing
 * must be undone when the other does not come.
 */
#include <assert.h>

#include "config.h"
#include "replica.h"

/* May this member lead, and is it there? */
static bool is_candidate(const struct raft *r, const struct raft_progress *p) {
  assert(p->id != r->options.self);
  int at = raft_config_find(&r->config, p->id);
  if (at < 0) return false; /* unreachable: peers are members */
  assert((uint32_t)at < r->config.count);
  if (r->config.members[at].role[RAFT_NEW] != RAFT_ROLE_VOTER) return false;
  return r->now - p->heard < raft_election_min(r);
}

/* The best placed heir, or NULL; with `to` only that one. */
static const struct raft_progress *find_heir(const struct raft *r, raft_id to) {
  assert(r->state == RAFT_LEADER);
  const struct raft_progress *heir = NULL;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    if ((to != 0 && p->id != to) || !is_candidate(r, p)) continue;
    if (heir == NULL || p->match > heir->match) heir = p;
  }
  assert(heir == NULL || heir->match <= r->log.last);
  return heir;
}

int raft_on_transfer(struct raft *r, raft_id to) {
  assert(r->is_started);
  if (r->state != RAFT_LEADER) return RAFT_E_NOT_LEADER;
  const struct raft_progress *heir = find_heir(r, to);
  if (heir == NULL) return RAFT_E_UNSUPPORTED;
  if (heir->match < r->log.last) return RAFT_E_BUSY; /* ask again */
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = r->term};
  raft_send(r, heir->id, 0, &m);
  return RAFT_OK;
}
