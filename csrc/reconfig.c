/* reconfig.c - a leader conducts a change of the configuration. [Raft 6]
 *
 *   CHANGE --> intent --(all caught up)--> joint --(committed)--> final
 *
 * change.c knows the steps; here is when they are taken: the next one at the
 * take after the last one was committed, and none before an entry of our own
 * term is. Whoever leads goes on with what it finds in its log. [Thesis 4.3]
 *
 * Who has left stays a peer, `leaving`, until it has the entry that says so and
 * knows it committed, or ten election time-outs have passed.
 */
#include <assert.h>
#include <string.h>

#include "change.h"
#include "config.h"
#include "quorum.h"
#include "replica.h"

#define LEAVING_TIMEOUTS 10 /* how long who has left is told so */

/* ---- who is a peer ------------------------------------------------------- */

static struct raft_member *member_of(struct raft_config *c, raft_id id) {
  assert(id != 0);
  assert(c->count <= RAFT_MEMBERS_MAX);
  int at = raft_config_find(c, id);
  return at >= 0 ? &c->members[at] : NULL;
}

static bool must_catch_up(const struct raft *r, raft_id id) {
  assert(r->state == RAFT_LEADER);
  int at = raft_config_find(&r->config, id);
  return at >= 0 && (raft_change_waits_for(&r->config) >> at & 1u) != 0;
}

/* A first lap to the end of the log as it is now. [Thesis 4.2.1] */
static void begin_lap(struct raft *r, struct raft_progress *p) {
  assert(r->log.last > 0);
  assert(p->leaving_index == 0);
  p->lap_end = r->log.last;
  p->lap_began = r->now;
}

static void begin_peer(struct raft *r, struct raft_progress *p, raft_id id) {
  assert(id != 0);
  assert(id != r->options.self);
  memset(p, 0, sizeof *p);
  p->id = id;
  raft_progress_reset(p, r->log.last);
  p->heard = r->now; /* it gets one time-out to speak */
}

static void remove_peer(struct raft *r, uint32_t at) {
  assert(at < r->peer_count);
  assert(r->peers[at].leaving_index != 0);
  r->peer_count--;
  memmove(r->peers + at, r->peers + at + 1,
          (r->peer_count - at) * sizeof *r->peers);
}

/* Room for one more: who has left gives way to who comes. */
static bool make_room(struct raft *r) {
  assert(r->peer_count <= RAFT_MEMBERS_MAX);
  if (r->peer_count < RAFT_MEMBERS_MAX) return true;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    if (r->peers[i].leaving_index == 0) continue;
    remove_peer(r, i);
    return true;
  }
  return false;
}

static struct raft_progress *add_peer(struct raft *r, raft_id id) {
  assert(r->peer_count < RAFT_MEMBERS_MAX);
  assert(raft_find_peer(r, id) == NULL);
  uint32_t at = r->peer_count;
  while (at > 0 && r->peers[at - 1].id > id)
    at--;
  memmove(r->peers + at + 1, r->peers + at,
          (r->peer_count - at) * sizeof *r->peers);
  r->peer_count++;
  begin_peer(r, &r->peers[at], id);
  return &r->peers[at];
}

static void begin_leaving(struct raft *r, struct raft_progress *p) {
  assert(r->config_index > 0);
  assert(raft_config_find(&r->config, p->id) < 0);
  p->leaving_index = r->config_index;
  p->leaving_until =
      r->now + LEAVING_TIMEOUTS * (raft_ms)r->options.election_max_ms;
  p->lap_end = 0;
  p->lap_began = 0;
  p->is_caught_up = false;
}

/* The peers of the configuration that has just come into force: those that stay
 * keep what we know of them. Who comes back after it has left may be another
 * one under the same name, and starts over. */
void raft_peers_follow(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  for (uint32_t i = 0; i < r->peer_count; i++) {
    struct raft_progress *p = &r->peers[i];
    bool is_member = member_of(&r->config, p->id) != NULL;
    if (!is_member && p->leaving_index == 0) begin_leaving(r, p);
    if (is_member && p->leaving_index != 0) begin_peer(r, p, p->id);
  }
  for (uint32_t i = 0; i < r->config.count; i++) {
    raft_id id = r->config.members[i].id;
    if (id == r->options.self) continue;
    struct raft_progress *p = raft_find_peer(r, id);
    if (p == NULL && make_room(r)) p = add_peer(r, id);
    assert(p != NULL); /* there are no more members than room */
    if (must_catch_up(r, id) && p->lap_end == 0) begin_lap(r, p);
  }
}

/* Somebody that is no member wants to be elected: it has not heard that it was
 * removed. */
void raft_tell_removed(struct raft *r, raft_id id) {
  assert(id != r->options.self);
  if (r->state != RAFT_LEADER || r->config_index == 0) return;
  if (member_of(&r->config, id) != NULL) return;
  if (raft_find_peer(r, id) != NULL) return;
  if (r->peer_count == RAFT_MEMBERS_MAX) return;
  begin_leaving(r, add_peer(r, id));
}

static bool has_left(const struct raft *r, const struct raft_progress *p) {
  assert(p->match < p->next);
  if (p->leaving_index == 0) return false;
  if (r->now >= p->leaving_until) return true;
  return p->match >= p->leaving_index && p->commit_sent >= p->leaving_index;
}

static void forget_leaving(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  for (uint32_t i = r->peer_count; i > 0; i--)
    if (has_left(r, &r->peers[i - 1])) remove_peer(r, i - 1);
}

/* ---- what peers say ------------------------------------------------------ */

/* A member whose directory is not written down yet may have been emptied since
 * it last spoke: then it has nothing of what it told us. [etcd #8935] */
void raft_peer_speaks(struct raft *r, struct raft_progress *p,
                      uint64_t incarnation) {
  assert(r->state == RAFT_LEADER);
  assert(p->leaving_index == 0);
  bool is_another = p->incarnation != 0 && p->incarnation != incarnation;
  if (is_another) begin_peer(r, p, p->id);
  p->incarnation = incarnation;
  if (is_another && must_catch_up(r, p->id)) begin_lap(r, p);
}

/* Laps, each up to the end of the log when it began, until one is shorter than
 * the election time-out. [Thesis 4.2.1] */
void raft_lap(struct raft *r, struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  assert(p->lap_began <= r->now);
  if (p->lap_end == 0 || p->match < p->lap_end) return;
  p->is_caught_up = r->now - p->lap_began < raft_election_min(r);
  begin_lap(r, p);
}

static bool is_heard(const struct raft *r, const struct raft_progress *p) {
  assert(p->heard <= r->now);
  return r->now - p->heard <= r->options.election_max_ms;
}

/* Who was a witness in the same directory lacks commands for ever. */
static bool has_all(const struct raft *r, uint32_t position,
                    const struct raft_progress *p) {
  assert(position < r->config.count);
  return !p->has_holes || r->config.members[position].goal == RAFT_ROLE_WITNESS;
}

static bool are_all_caught_up(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  uint32_t waits = raft_change_waits_for(&r->config);
  for (uint32_t i = 0; i < r->config.count; i++) {
    if ((waits >> i & 1u) == 0) continue;
    const struct raft_progress *p = raft_peer_at(r, i);
    if (p == NULL) continue; /* that is us: nobody has more */
    if (!p->is_caught_up || !is_heard(r, p)) return false;
    if (!has_all(r, i, p)) return false;
  }
  return true;
}

/* ---- steps --------------------------------------------------------------- */

static int reserve_entry(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  size_t bytes = RAFT_ENTRY_HEADER_BYTES + RAFT_CONFIG_BYTES_MAX;
  return raft_log_reserve(&r->log, bytes, 1);
}

/* In force from now on; room was reserved. At most one is uncommitted. */
static raft_index append_step(struct raft *r, const struct raft_config *step) {
  assert(r->state == RAFT_LEADER);
  assert(r->config_index <= r->commit);
  assert(raft_config_check(step) == NULL);
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {
      .index = r->log.last + 1,
      .term = r->term,
      .time = raft_stamp(r),
      .kind = RAFT_ENTRY_CONFIG,
      .size = (uint32_t)raft_config_encode(step, payload),
      .payload = payload,
  };
  raft_log_append(&r->log, &e);
  r->last_time = e.time;
  r->pending_bytes += raft_entry_bytes(&e);
  raft_config_append(r, &e);
  raft_peers_follow(r);
  return e.index;
}

/* Whose answers were counted is who is meant from now on. */
static void write_incarnations(const struct raft *r, struct raft_config *step) {
  assert(step->joint);
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    struct raft_member *m = member_of(step, p->id);
    bool is_vote = m != NULL &&
                   (m->goal == RAFT_ROLE_VOTER || m->goal == RAFT_ROLE_WITNESS);
    if (is_vote && m->incarnation == 0) m->incarnation = p->incarnation;
  }
}

/* [Thesis 4.2.2] a leader that the final configuration has not as a voter leads
 * until that is committed. Then it hands over, and if nobody comes it stops. */
static void retire(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  assert(raft_change_is_settled(&r->config));
  if (r->heir != 0) return; /* on its way */
  bool has_heir = !r->is_retiring && raft_on_transfer(r, 0) == RAFT_OK;
  r->is_retiring = true;
  if (!has_heir) raft_become_follower(r, r->term, 0);
}

/* Is the configuration in force, which is not joint, one where we are no voter?
 * Then nothing is appended any more. What stands behind the entry that says so
 * nobody else might have but a witness, that refuses who has less; and once it
 * is compacted here, we would not know that we have to lead once more. */
bool raft_is_leaving(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  if (r->config.joint) return false;
  int self = r->standing.self;
  return self < 0 || r->config.members[self].role[RAFT_OLD] != RAFT_ROLE_VOTER;
}

/* At take: the next step, if it may be taken now. */
void raft_conduct(struct raft *r) {
  if (r->state != RAFT_LEADER) return;
  assert(r->term_start > 0);
  if (raft_has_leavers(r)) forget_leaving(r);
  if (r->commit < r->term_start || r->config_index > r->commit) return;
  struct raft_config next;
  if (r->standing.is_settled) {
    if (raft_is_leaving(r)) retire(r);
    return;
  }
  if (r->heir != 0 || r->is_out_of_space || !are_all_caught_up(r)) return;
  if (reserve_entry(r) != RAFT_OK) return; /* next turn */
  bool has_next = raft_change_next(&r->config, &next);
  assert(has_next);
  if (next.joint) write_incarnations(r, &next);
  (void)append_step(r, &next);
}

/* ---- the event ----------------------------------------------------------- */

/* Of those that are to count and are members now: who is not heard? */
static bool is_missing(const struct raft *r, raft_id id) {
  assert(r->state == RAFT_LEADER);
  if (id == r->options.self) return false;
  if (raft_config_find(&r->config, id) < 0) return false; /* it comes */
  for (uint32_t i = 0; i < r->peer_count; i++)
    if (r->peers[i].id == id) return !is_heard(r, &r->peers[i]);
  return true; /* unreachable: all members are peers */
}

uint32_t raft_change_missing(const struct raft *r,
                             const struct raft_config *target) {
  assert(target->count <= RAFT_MEMBERS_MAX);
  uint32_t missing = 0;
  if (r->state != RAFT_LEADER) return 0;
  for (uint32_t i = 0; i < target->count; i++) {
    const struct raft_member *m = &target->members[i];
    bool counts = m->goal == RAFT_ROLE_VOTER || m->goal == RAFT_ROLE_WITNESS;
    if (counts && is_missing(r, m->id)) missing |= UINT32_C(1) << i;
  }
  return missing;
}

/* Could what it is to become win an election and commit, with those we hear? */
static bool has_quorum(const struct raft *r, const struct raft_config *target) {
  assert(raft_config_check(target) == NULL);
  struct raft_config end;
  raft_change_goal(target, &end);
  uint32_t all = (uint32_t)((UINT64_C(1) << end.count) - 1);
  uint32_t there = all & ~raft_change_missing(r, &end);
  return raft_quorum_has(&end, RAFT_ELECTION, there) &&
         raft_quorum_has(&end, RAFT_COMMIT, there);
}

/* RAFT_OK, or why not now. */
static int judge(const struct raft *r, const struct raft_config *target,
                 raft_index based_on) {
  assert(r->state == RAFT_LEADER);
  assert(r->config_index > 0);
  if (raft_config_check(target) != NULL) return RAFT_E_BAD_CONFIG;
  if (based_on != r->config_index) return RAFT_E_CHANGED;
  if (r->commit < r->term_start) return RAFT_E_BUSY; /* [Ongaro 2015] */
  if (r->config_index > r->commit || r->heir != 0) return RAFT_E_BUSY;
  if (raft_is_leaving(r)) return RAFT_E_BUSY;
  return r->is_out_of_space ? RAFT_E_NO_SPACE : RAFT_OK;
}

int64_t raft_change(struct raft *r, const struct raft_config *target,
                    raft_index based_on, bool is_forced) {
  assert(r->is_started);
  if (r->state != RAFT_LEADER) return RAFT_E_NOT_LEADER;
  int rc = judge(r, target, based_on);
  if (rc != RAFT_OK) return rc;
  struct raft_config step;
  rc = raft_change_begin(&r->config, target, &step);
  if (rc < 0) return rc;
  if (rc == 0) return (int64_t)r->config_index;
  if (!is_forced && !has_quorum(r, target)) return RAFT_E_NO_QUORUM;
  rc = reserve_entry(r);
  if (rc != RAFT_OK) return rc;
  if (step.joint) write_incarnations(r, &step);
  return (int64_t)append_step(r, &step);
}

int64_t raft_on_change(struct raft *r, const struct raft_event *ev) {
  assert(r->is_started);
  assert(ev->kind == RAFT_EV_CHANGE);
  const struct raft_config *target = ev->change.target;
  if (target == NULL) return RAFT_E_USAGE;
  if (r->state == RAFT_LEADER)
    return raft_change(r, target, ev->change.based_on, ev->change.is_forced);
  if (r->leader == 0) return RAFT_E_NO_LEADER;
  if (raft_config_check(target) != NULL) return RAFT_E_BAD_CONFIG;
  return raft_forward_change(r, ev);
}
