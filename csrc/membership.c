/* membership.c - which configuration is in force, and how a cluster forms.
 *
 * A configuration is in force from the moment it is appended, committed or
 * not; truncating it brings the one before back. [Raft 6] At most one is
 * uncommitted, so remembering one before is enough.
 */
#include <assert.h>
#include <string.h>

#include "change.h"
#include "config.h"
#include "quorum.h"
#include "replica.h"

#define CLOCK_SLACK_MS 1000 /* a leader's clock may be so much ahead */
#define HEARTBEATS     5u   /* to a minimum election timeout */

/* Are we a voter of this one, in either half? */
static bool is_voter_of(const struct raft *r, const struct raft_config *c) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  int i = raft_config_find(c, r->options.self);
  if (i < 0) return false;
  assert((uint32_t)i < c->count);
  return c->members[i].role[RAFT_OLD] == RAFT_ROLE_VOTER ||
         c->members[i].role[RAFT_NEW] == RAFT_ROLE_VOTER;
}

static bool has_witnesses(const struct raft_config *c) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  for (uint32_t i = 0; i < c->count; i++) {
    const struct raft_member *m = &c->members[i];
    if (m->role[RAFT_OLD] == RAFT_ROLE_WITNESS) return true;
    if (m->role[RAFT_NEW] == RAFT_ROLE_WITNESS) return true;
    if (m->goal == RAFT_ROLE_WITNESS) return true;
  }
  return false;
}

struct raft_standing raft_standing_of(const struct raft *r) {
  assert(r->options.self != 0);
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  return (struct raft_standing){
      .self = raft_config_find(&r->config, r->options.self),
      .is_voter = is_voter_of(r, &r->config),
      .was_voter = is_voter_of(r, &r->config_before),
      .is_settled = raft_change_is_settled(&r->config),
      .has_witnesses =
          has_witnesses(&r->config) || has_witnesses(&r->config_before),
  };
}

void raft_config_changed(struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  assert(r->config_before.count <= RAFT_MEMBERS_MAX);
  r->standing = raft_standing_of(r);
  assert(r->standing.self < (int)r->config.count);
}

/* A witness votes and never campaigns; a learner does neither. What damage took
 * from our log may be committed, and so may be the commands that it lacks: who
 * lacks something must not lead. Who is no voter any more may have to, until
 * it knows all that it has to be committed: nobody else may have the entry that
 * says so [Thesis 4.2.2], and a witness would refuse who has less than it. */
bool raft_is_candidate_material(const struct raft *r) {
  assert(r->commit <= r->log.last);
  if (r->term >= RAFT_TERM_LAST) return false;
  if (raft_is_repairing(r) || raft_has_holes(r)) return false;
  if (r->standing.is_voter) return true;
  bool is_open = r->log.last > r->commit && r->config_before_index > 0;
  return is_open && r->standing.was_voter;
}

/* Does an answer come from the directory that the configuration means? */
bool raft_counts(const struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_RECEIVE);
  int i = raft_config_find(&r->config, ev->receive.from);
  if (i < 0) return false;
  uint64_t known = r->config.members[i].incarnation;
  return known == 0 || known == ev->receive.incarnation;
}

/* While a configuration may still be taken back, the longer patience of the two
 * counts: a leader may rely on either. */
uint32_t raft_election_min(const struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  if (r->config.count == 0) return r->options.election_min_ms;
  uint32_t min = r->config.election_min_ms;
  bool is_open = r->config_index > r->commit && r->config_before_index > 0;
  if (is_open && r->config_before.election_min_ms > min)
    min = r->config_before.election_min_ms;
  return min;
}

/* A leader speaks before anybody's patience ends. Options that were written for
 * a longer one would depose it again and again: then a fifth of what is in
 * force counts, of the shorter one while that may still be taken back. */
uint32_t raft_heartbeat(const struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  assert(r->options.heartbeat_ms > 0);
  if (r->config.count == 0) return r->options.heartbeat_ms;
  uint32_t min = r->config.election_min_ms;
  bool is_open = r->config_index > r->commit && r->config_before_index > 0;
  if (is_open && r->config_before.election_min_ms < min)
    min = r->config_before.election_min_ms;
  if (r->options.heartbeat_ms < min) return r->options.heartbeat_ms;
  return min / HEARTBEATS > 0 ? min / HEARTBEATS : 1;
}

/* Fresh progress for every member of the configuration but us. */
void raft_peers_reset(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  r->peer_count = 0;
  raft_peers_follow(r);
  assert(r->peer_count <= r->config.count);
}

struct raft_progress *raft_find_peer(struct raft *r, raft_id id) {
  assert(r->peer_count <= RAFT_MEMBERS_MAX);
  if (r->state != RAFT_LEADER) return NULL;
  for (uint32_t i = 0; i < r->peer_count; i++)
    if (r->peers[i].id == id) return &r->peers[i];
  return NULL;
}

const struct raft_progress *raft_peer_of(const struct raft *r, raft_id id) {
  assert(r->state == RAFT_LEADER);
  assert(r->peer_count <= RAFT_MEMBERS_MAX);
  uint32_t at = 0;
  while (at < r->peer_count && r->peers[at].id != id)
    at++;
  assert(at < r->peer_count); /* all but us have a progress */
  return &r->peers[at];
}

/* Who has become a voter waits for an election, who is none any more, for sure,
 * does not. */
void raft_wait_or_not(struct raft *r) {
  if (r->state != RAFT_FOLLOWER) return;
  bool waits = r->election_due != RAFT_NEVER;
  if (waits != raft_is_candidate_material(r)) raft_set_election_timer(r);
  assert(r->config.count <= RAFT_MEMBERS_MAX);
}

void raft_config_append(struct raft *r, const struct raft_entry *e) {
  assert(e->kind == RAFT_ENTRY_CONFIG);
  assert(e->index > r->config_index);
  r->config_before = r->config;
  r->config_before_index = r->config_index;
  int rc = raft_config_decode(e->payload, e->size, &r->config);
  assert(rc == RAFT_OK); /* verified before it was appended */
  r->config_index = e->index;
  raft_config_changed(r);
  raft_wait_or_not(r);
}

void raft_config_truncate(struct raft *r, raft_index from) {
  assert(from > r->commit);
  if (r->config_index < from) return;
  assert(r->config_before_index < from); /* committed: never truncated */
  r->config = r->config_before;
  r->config_index = r->config_before_index;
  memset(&r->config_before, 0, sizeof r->config_before);
  r->config_before_index = 0;
  r->told_config = UINT64_MAX; /* the next one may have the same index */
  raft_config_changed(r);
  raft_wait_or_not(r);
}

/* Every initial voter writes the very same entry 1 of term 1. It needs no vote:
 * all of them have it, or will have it, before any of them votes. */
int raft_on_form(struct raft *r, const struct raft_config *config) {
  assert(r->is_started);
  assert(config != NULL);
  if (r->log.last != 0) return RAFT_E_USAGE; /* formed? */
  if (raft_config_check(config) != NULL) return RAFT_E_BAD_CONFIG;
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(config, payload);
  e.payload = payload;
  int rc = raft_log_reserve(&r->log, raft_entry_bytes(&e), 1);
  if (rc != RAFT_OK) return rc;
  if (r->term < 1) raft_set_hard(r, 1, 0);
  raft_log_append(&r->log, &e);
  raft_config_append(r, &e);
  r->commit = 1;
  raft_set_election_timer(r);
  assert(r->log.last == 1);
  return RAFT_OK;
}

static int recover_one(const struct raft_recovered_config *from,
                       struct raft_config *out, raft_index *index) {
  assert(from != NULL);
  assert(out != NULL);
  *index = from->index;
  if (from->index == 0) return RAFT_OK;
  return raft_config_decode(from->payload.data, from->payload.size, out);
}

int raft_config_recover(struct raft *r, const struct raft_recovery *rec) {
  assert(!r->is_started);
  assert(r->config_index == 0);
  bool is_ordered = rec->config.index <= rec->last &&
                    (rec->config_before.index == 0 ||
                     rec->config_before.index < rec->config.index);
  if (!is_ordered) return RAFT_E_CORRUPT;
  int rc = recover_one(&rec->config, &r->config, &r->config_index);
  if (rc != RAFT_OK) return rc;
  rc = recover_one(&rec->config_before, &r->config_before,
                   &r->config_before_index);
  if (rc == RAFT_OK) raft_config_changed(r);
  return rc;
}

/* Is none in memory newer than the one in force? What reads a disk has seen
 * all of them, other makers of a recovery may have missed one. */
bool raft_config_is_newest(const struct raft *r) {
  assert(!r->is_started);
  struct raft_entry e;
  raft_index i = r->config_index + 1;
  if (i < r->log.memory_first) i = r->log.memory_first;
  for (; i <= r->log.last; i++) {
    bool is_there = raft_log_get(&r->log, i, &e);
    assert(is_there);
    if (e.kind == RAFT_ENTRY_CONFIG) return false;
  }
  return true;
}

/* Is it a witness of this one, or to be one? */
static bool is_witness_of(const struct raft_config *c, raft_id id) {
  int i = raft_config_find(c, id);
  if (i < 0) return false;
  assert((uint32_t)i < c->count);
  const struct raft_member *m = &c->members[i];
  return m->role[RAFT_OLD] == RAFT_ROLE_WITNESS || m->goal == RAFT_ROLE_WITNESS;
}

/* Others are sent what our own disk has not yet: the writes go on beside one
 * another [Thesis 10.2.1]. A witness is not. If we crashed and lost it, the
 * witness would be ahead of us: it would refuse us, never campaign itself, and
 * we may need it. It is one until an entry that says otherwise is committed:
 * that is lost as well. */
raft_index raft_last_for(const struct raft *r, const struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  assert(p->id != r->options.self);
  if (!r->standing.has_witnesses) return r->log.last;
  bool is_open = r->config_index > r->commit;
  bool is_witness = is_witness_of(&r->config, p->id) ||
                    (is_open && is_witness_of(&r->config_before, p->id));
  return is_witness ? r->log.stored : r->log.last;
}

/* Is nobody's clock far behind ours? Then no quorum's is. */
static bool are_clocks_near(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  for (uint32_t i = 0; i < r->peer_count; i++) /* a sum that wraps is far */
    if (r->peers[i].wall + CLOCK_SLACK_MS < r->wall) return false;
  return true;
}

/* The stamp of a new entry: never below the last one, and our clock counts only
 * as far as a quorum's clocks come near it. */
raft_ms raft_stamp(const struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  assert(r->state == RAFT_LEADER);
  if (are_clocks_near(r))
    return r->wall > r->last_time ? r->wall : r->last_time;
  uint64_t walls[RAFT_MEMBERS_MAX]; /* so many of them as members */
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    walls[i] = p != NULL ? p->wall : r->wall;
  }
  raft_ms limit = raft_quorum_value(&r->config, walls) + CLOCK_SLACK_MS;
  raft_ms stamp = r->wall < limit ? r->wall : limit;
  return stamp > r->last_time ? stamp : r->last_time;
}
