/* change.c - the steps from one configuration to another, as values. */
#include "change.h"

#include <assert.h>
#include <string.h>

#include "config.h"

static bool counts(uint8_t role) {
  assert(role <= RAFT_ROLE_WITNESS);
  return role == RAFT_ROLE_VOTER || role == RAFT_ROLE_WITNESS;
}

/* ---- rules move with their members --------------------------------------- */

/* The same members by their places in another configuration. Who is not there
 * is left out. */
static uint32_t moved_mask(uint32_t mask, const struct raft_config *from,
                           const struct raft_config *to) {
  assert(from->count <= RAFT_MEMBERS_MAX);
  assert(to->count <= RAFT_MEMBERS_MAX);
  uint32_t moved = 0;
  for (uint32_t i = 0; i < from->count; i++) {
    if ((mask >> i & 1u) == 0) continue;
    int at = raft_config_find(to, from->members[i].id);
    if (at >= 0) moved |= UINT32_C(1) << at;
  }
  return moved;
}

static struct raft_rule moved_rule(const struct raft_rule *rule,
                                   const struct raft_config *from,
                                   const struct raft_config *to) {
  assert(rule >= from->rule);
  assert(rule <= from->rule + 1);
  struct raft_rule moved = *rule;
  if (rule->kind != RAFT_RULE_SETS) return moved;
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++)
    for (int i = 0; i < rule->set_count[p]; i++)
      moved.sets[p][i] = moved_mask(rule->sets[p][i], from, to);
  return moved;
}

/* ---- one configuration --------------------------------------------------- */

static bool is_same_rule(const struct raft_config *c) {
  return raft_config_same_rule(&c->rule[RAFT_OLD], &c->rule[RAFT_NEW]);
}

bool raft_change_is_settled(const struct raft_config *c) {
  assert(c != NULL);
  assert(c->count <= RAFT_MEMBERS_MAX);
  if (c->joint || !is_same_rule(c)) return false;
  for (uint32_t i = 0; i < c->count; i++)
    if (c->members[i].goal != c->members[i].role[RAFT_OLD]) return false;
  return true;
}

/* Does the way to the goals change who votes, or how many are enough? */
static bool needs_joint(const struct raft_config *c) {
  assert(!c->joint);
  assert(c->count <= RAFT_MEMBERS_MAX);
  if (!is_same_rule(c)) return true;
  for (uint32_t i = 0; i < c->count; i++) {
    const struct raft_member *m = &c->members[i];
    bool is_vote = counts(m->role[RAFT_OLD]) || counts(m->goal);
    if (is_vote && m->role[RAFT_OLD] != m->goal) return true;
  }
  return false;
}

uint32_t raft_change_waits_for(const struct raft_config *now) {
  assert(now != NULL);
  assert(now->count <= RAFT_MEMBERS_MAX);
  uint32_t mask = 0;
  if (now->joint) return 0;
  for (uint32_t i = 0; i < now->count; i++) {
    const struct raft_member *m = &now->members[i];
    if (counts(m->goal) && !counts(m->role[RAFT_OLD])) mask |= UINT32_C(1) << i;
  }
  return mask;
}

/* A voter that is to be a witness counts as one that keeps commands until it is
 * none. A learner on its way needs none: it is to have none. */
bool raft_change_is_stripped(const struct raft_member *m) {
  assert(m != NULL);
  if (m->role[RAFT_OLD] == RAFT_ROLE_VOTER) return false;
  return m->role[RAFT_OLD] == RAFT_ROLE_WITNESS || m->goal == RAFT_ROLE_WITNESS;
}

void raft_change_goal(const struct raft_config *c, struct raft_config *out) {
  assert(c != NULL);
  assert(c != out);
  *out = *c;
  out->joint = false;
  out->count = 0;
  memset(out->members, 0, sizeof out->members);
  for (uint32_t i = 0; i < c->count; i++) {
    if (c->members[i].goal == RAFT_ROLE_NONE) continue;
    struct raft_member *m = &out->members[out->count++];
    *m = c->members[i];
    m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal;
  }
  out->rule[RAFT_NEW] = moved_rule(&c->rule[RAFT_NEW], c, out);
  out->rule[RAFT_OLD] = out->rule[RAFT_NEW];
}

bool raft_change_next(const struct raft_config *now, struct raft_config *next) {
  assert(now != next);
  assert(raft_config_check(now) == NULL);
  if (raft_change_is_settled(now)) return false;
  if (now->joint || !needs_joint(now)) {
    raft_change_goal(now, next);
    return true;
  }
  *next = *now;
  next->joint = true;
  for (uint32_t i = 0; i < next->count; i++)
    next->members[i].role[RAFT_NEW] = next->members[i].goal;
  return true;
}

/* ---- the beginning ------------------------------------------------------- */

/* What a member of `now` is to be in the end. */
static uint8_t goal_in(const struct raft_config *end, raft_id id) {
  assert(id != 0);
  int at = raft_config_find(end, id);
  if (at < 0) return RAFT_ROLE_NONE;
  assert(end->members[at].goal != RAFT_ROLE_NONE);
  return end->members[at].goal;
}

/* May a change under way be given up like this for this member? */
static bool is_way_back(const struct raft_member *m, uint8_t goal) {
  assert(m->role[RAFT_OLD] == m->role[RAFT_NEW]);
  if (goal == m->goal || goal == m->role[RAFT_OLD]) return true;
  /* it may just have come */
  return m->role[RAFT_OLD] == RAFT_ROLE_LEARNER && goal == RAFT_ROLE_NONE;
}

/* Does it only take back what the one in force was to become? */
static bool takes_back(const struct raft_config *now,
                       const struct raft_config *end) {
  assert(!now->joint);
  assert(!end->joint);
  if (end->election_min_ms != now->election_min_ms) return false;
  if (end->leases != now->leases) return false;
  for (uint32_t i = 0; i < now->count; i++)
    if (!is_way_back(&now->members[i], goal_in(end, now->members[i].id)))
      return false;
  for (uint32_t i = 0; i < end->count; i++) {
    int at = raft_config_find(now, end->members[i].id);
    if (at < 0) return false;
    const struct raft_member *m = &now->members[at];
    if (m->priority != end->members[i].priority) return false;
    if (strcmp(m->address, end->members[i].address) != 0) return false;
  }
  struct raft_rule rule = moved_rule(&end->rule[RAFT_NEW], end, now);
  return raft_config_same_rule(&now->rule[RAFT_NEW], &rule) ||
         raft_config_same_rule(&now->rule[RAFT_OLD], &rule);
}

/* Who was sent entries without their commands has holes for ever. */
static bool fills_holes(const struct raft_config *now,
                        const struct raft_config *end) {
  assert(now->count <= RAFT_MEMBERS_MAX);
  assert(end->count <= RAFT_MEMBERS_MAX);
  for (uint32_t i = 0; i < now->count; i++) {
    uint8_t goal = goal_in(end, now->members[i].id);
    bool keeps_none = goal == RAFT_ROLE_NONE || goal == RAFT_ROLE_WITNESS;
    if (raft_change_is_stripped(&now->members[i]) && !keeps_none) return true;
  }
  return false;
}

/* Members of both, with what they are now and what they are to be. */
static bool merge(const struct raft_config *now, const struct raft_config *end,
                  struct raft_config *next) {
  assert(!now->joint);
  assert(next != now);
  *next = *now;
  next->election_min_ms = end->election_min_ms;
  next->leases = end->leases;
  for (uint32_t i = 0; i < next->count; i++)
    next->members[i].goal = goal_in(end, next->members[i].id);
  for (uint32_t i = 0; i < end->count; i++) {
    const struct raft_member *m = &end->members[i];
    int at = raft_config_find(now, m->id);
    if (at < 0 && next->count == RAFT_MEMBERS_MAX) return false;
    struct raft_member *mine = &next->members[at < 0 ? (int)next->count : at];
    mine->priority = m->priority;
    memcpy(mine->address, m->address, sizeof mine->address);
    if (at >= 0) continue;
    *mine = *m;
    mine->incarnation = 0; /* whoever answers first */
    mine->role[RAFT_OLD] = mine->role[RAFT_NEW] = RAFT_ROLE_LEARNER;
    next->count++;
  }
  raft_config_sort(next);
  next->rule[RAFT_OLD] = moved_rule(&now->rule[RAFT_OLD], now, next);
  next->rule[RAFT_NEW] = moved_rule(&end->rule[RAFT_NEW], end, next);
  return true;
}

static bool is_equal(const struct raft_config *a, const struct raft_config *b) {
  uint8_t ours[RAFT_CONFIG_BYTES_MAX];
  uint8_t theirs[RAFT_CONFIG_BYTES_MAX];
  size_t size = raft_config_encode(a, ours);
  assert(a != b);
  assert(size <= sizeof ours);
  if (raft_config_encode(b, theirs) != size) return false;
  return memcmp(ours, theirs, size) == 0;
}

int raft_change_begin(const struct raft_config *now,
                      const struct raft_config *target,
                      struct raft_config *next) {
  assert(raft_config_check(now) == NULL);
  struct raft_config end;
  if (raft_config_check(target) != NULL || target->joint)
    return RAFT_E_BAD_CONFIG;
  raft_change_goal(target, &end);
  if (now->joint) return RAFT_E_BUSY;
  if (fills_holes(now, &end)) return RAFT_E_BAD_CONFIG;
  if (!raft_change_is_settled(now) && !takes_back(now, &end))
    return RAFT_E_BUSY;
  struct raft_config intent;
  if (!merge(now, &end, &intent)) return RAFT_E_BAD_CONFIG;
  if (raft_config_check(&intent) != NULL) return RAFT_E_BAD_CONFIG;
  if (is_equal(&intent, now)) return 0;
  bool is_direct = raft_change_waits_for(&intent) == 0;
  if (!is_direct || !raft_change_next(&intent, next)) *next = intent;
  assert(raft_config_check(next) == NULL);
  return 1;
}
