/* quorum.c - who is enough: counted for sizes, compared for sets.
 *
 * A rule is monotone: with a quorum every superset is one. So it is described
 * by its smallest quorums, and two rules meet everywhere iff their smallest
 * quorums do.
 */
#include "quorum.h"

#include <assert.h>

_Static_assert(RAFT_MEMBERS_MAX <= 32, "masks of members are 32 bits wide");

static uint32_t bit(uint32_t position) {
  assert(position < RAFT_MEMBERS_MAX);
  return UINT32_C(1) << position;
}

static uint32_t bit_count(uint32_t mask) {
  uint32_t n = 0;
  for (; mask != 0; mask &= mask - 1)
    n++; /* drops the lowest bit */
  assert(n <= 32);
  return n;
}

static bool counts(uint8_t role) {
  return role == RAFT_ROLE_VOTER || role == RAFT_ROLE_WITNESS;
}

/* Mask of the members that vote and acknowledge in one half. */
static uint32_t half_voters(const struct raft_config *c, enum raft_half half) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  assert(half == RAFT_OLD || half == RAFT_NEW);
  uint32_t mask = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (counts(c->members[i].role[half])) mask |= bit(i);
  return mask;
}

/* Mask of the members of one half that keep the commands they acknowledge. */
static uint32_t half_full(const struct raft_config *c, enum raft_half half) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  assert(half == RAFT_OLD || half == RAFT_NEW);
  uint32_t mask = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (c->members[i].role[half] == RAFT_ROLE_VOTER) mask |= bit(i);
  return mask;
}

/* How many of n voters are enough; not for SETS. */
static uint32_t enough(const struct raft_rule *rule, enum raft_purpose purpose,
                       uint32_t n) {
  assert(rule->kind == RAFT_RULE_MAJORITY || rule->kind == RAFT_RULE_SIZES);
  assert(n <= RAFT_MEMBERS_MAX);
  if (rule->kind == RAFT_RULE_MAJORITY) return n / 2 + 1;
  return rule->size[purpose];
}

static bool covers_a_set(const struct raft_rule *rule,
                         enum raft_purpose purpose, uint32_t mask) {
  assert(rule->kind == RAFT_RULE_SETS);
  assert(rule->set_count[purpose] <= RAFT_SETS_MAX);
  for (uint32_t i = 0; i < rule->set_count[purpose]; i++)
    if ((rule->sets[purpose][i] & ~mask) == 0) return true;
  return false;
}

static bool half_has(const struct raft_config *c, enum raft_half half,
                     enum raft_purpose purpose, uint32_t mask) {
  assert(purpose == RAFT_ELECTION || purpose == RAFT_COMMIT);
  const struct raft_rule *rule = &c->rule[half];
  uint32_t voters = half_voters(c, half);
  if (voters == 0) return false; /* nobody is not enough */
  mask &= voters;
  if (rule->kind == RAFT_RULE_SETS) return covers_a_set(rule, purpose, mask);
  return bit_count(mask) >= enough(rule, purpose, bit_count(voters));
}

/* One more among n that descend; there are few, and room for it. */
static inline void insert(uint64_t *sorted, uint32_t n, uint64_t value) {
  assert(n < RAFT_MEMBERS_MAX);
  uint32_t hole = n;
  for (; hole > 0 && sorted[hole - 1] < value; hole--)
    sorted[hole] = sorted[hole - 1];
  sorted[hole] = value;
}

/* The k-th largest value among the voters, k being how many are enough. */
static uint64_t counted_value(const struct raft_config *c, enum raft_half half,
                              const uint64_t *values) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  uint64_t sorted[RAFT_MEMBERS_MAX];
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (counts(c->members[i].role[half])) insert(sorted, n++, values[i]);
  if (n == 0) return 0; /* nobody is not enough */
  uint32_t k = enough(&c->rule[half], RAFT_COMMIT, n);
  assert(k >= 1);
  assert(k <= n);
  return sorted[k - 1];
}

/* What every member of `set` has reached. */
static uint64_t smallest_in(uint32_t set, const uint64_t *values) {
  assert(set != 0);
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
    if ((set & bit(i)) != 0 && values[i] < least) least = values[i];
  return least;
}

static uint64_t set_value(const struct raft_rule *rule,
                          const uint64_t *values) {
  assert(rule->kind == RAFT_RULE_SETS);
  assert(rule->set_count[RAFT_COMMIT] <= RAFT_SETS_MAX);
  uint64_t best = 0;
  for (uint32_t i = 0; i < rule->set_count[RAFT_COMMIT]; i++) {
    uint64_t value = smallest_in(rule->sets[RAFT_COMMIT][i], values);
    if (value > best) best = value;
  }
  return best;
}

static uint64_t half_value(const struct raft_config *c, enum raft_half half,
                           const uint64_t *values) {
  assert(values != NULL);
  if (c->rule[half].kind != RAFT_RULE_SETS)
    return counted_value(c, half, values);
  if (half_voters(c, half) == 0) return 0;
  return set_value(&c->rule[half], values);
}

static uint64_t half_majority(const struct raft_config *c, enum raft_half half,
                              const uint64_t *values) {
  assert(values != NULL);
  uint32_t full = half_full(c, half);
  uint64_t sorted[RAFT_MEMBERS_MAX];
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if ((full & bit(i)) != 0) insert(sorted, n++, values[i]);
  assert(n == bit_count(full));
  if (n == 0) return 0;
  return sorted[n / 2];
}

/* ---- may this rule be in force? ------------------------------------------ */

static const char *check_sizes(const struct raft_rule *rule, uint32_t n) {
  uint32_t election = enough(rule, RAFT_ELECTION, n);
  uint32_t commit = enough(rule, RAFT_COMMIT, n);
  assert(n > 0);
  assert(n <= RAFT_MEMBERS_MAX);
  if (election < 1 || election > n)
    return "the election quorum must be of 1 to all voters";
  if (commit < 1 || commit > n)
    return "the commit quorum must be of 1 to all voters";
  if (2 * election <= n)
    return "two election quorums may not meet: 2 * election must exceed the "
           "number of voters";
  if (election + commit <= n)
    return "an election quorum may not meet a commit quorum: election + "
           "commit must exceed the number of voters";
  return NULL;
}

/* Does every set for `a` meet every set for `b`? */
static bool sets_meet(const struct raft_rule *rule, enum raft_purpose a,
                      enum raft_purpose b) {
  assert(rule->set_count[a] <= RAFT_SETS_MAX);
  assert(rule->set_count[b] <= RAFT_SETS_MAX);
  for (uint32_t i = 0; i < rule->set_count[a]; i++)
    for (uint32_t j = 0; j < rule->set_count[b]; j++)
      if ((rule->sets[a][i] & rule->sets[b][j]) == 0) return false;
  return true;
}

static const char *check_set_shape(const struct raft_rule *rule,
                                   enum raft_purpose purpose, uint32_t voters) {
  assert(purpose == RAFT_ELECTION || purpose == RAFT_COMMIT);
  assert(voters != 0);
  if (rule->set_count[purpose] == 0)
    return "a quorum rule by sets needs a set for each purpose";
  if (rule->set_count[purpose] > RAFT_SETS_MAX)
    return "a quorum rule has too many sets";
  for (uint32_t i = 0; i < rule->set_count[purpose]; i++) {
    if (rule->sets[purpose][i] == 0) return "a quorum set is empty";
    if ((rule->sets[purpose][i] & ~voters) != 0)
      return "a quorum set holds somebody who is no voter";
  }
  return NULL;
}

static const char *check_sets(const struct raft_rule *rule, uint32_t voters) {
  assert(voters != 0);
  const char *broken = check_set_shape(rule, RAFT_ELECTION, voters);
  if (broken == NULL) broken = check_set_shape(rule, RAFT_COMMIT, voters);
  if (broken != NULL) return broken;
  if (!sets_meet(rule, RAFT_ELECTION, RAFT_ELECTION))
    return "two election sets do not meet";
  if (!sets_meet(rule, RAFT_ELECTION, RAFT_COMMIT))
    return "an election set does not meet a commit set";
  assert(rule->set_count[RAFT_COMMIT] > 0);
  return NULL;
}

/* Could witnesses alone be a commit quorum? They keep no commands. */
static bool witnesses_commit(const struct raft_config *c, enum raft_half half) {
  uint32_t witnesses = half_voters(c, half) & ~half_full(c, half);
  assert((witnesses & half_full(c, half)) == 0);
  return half_has(c, half, RAFT_COMMIT, witnesses);
}

/* ---- public -------------------------------------------------------------- */

bool raft_quorum_has(const struct raft_config *c, enum raft_purpose purpose,
                     uint32_t mask) {
  assert(purpose == RAFT_ELECTION || purpose == RAFT_COMMIT);
  assert(c->count <= RAFT_MEMBERS_MAX);
  if (!half_has(c, RAFT_OLD, purpose, mask)) return false;
  return !c->joint || half_has(c, RAFT_NEW, purpose, mask);
}

enum raft_tally raft_quorum_tally(const struct raft_config *c, uint32_t granted,
                                  uint32_t refused) {
  assert((granted & refused) == 0); /* nobody answers twice */
  if (raft_quorum_has(c, RAFT_ELECTION, granted)) return RAFT_TALLY_WON;
  if (raft_quorum_has(c, RAFT_ELECTION, ~refused)) return RAFT_TALLY_PENDING;
  return RAFT_TALLY_LOST;
}

uint64_t raft_quorum_value(const struct raft_config *c,
                           const uint64_t *values) {
  assert(values != NULL);
  uint64_t value = half_value(c, RAFT_OLD, values);
  if (!c->joint) return value;
  uint64_t other = half_value(c, RAFT_NEW, values);
  return value < other ? value : other; /* both halves must have reached it */
}

uint64_t raft_quorum_majority(const struct raft_config *c,
                              const uint64_t *values) {
  assert(values != NULL);
  assert(c->count <= RAFT_MEMBERS_MAX);
  uint64_t old = half_majority(c, RAFT_OLD, values);
  uint64_t new = c->joint ? half_majority(c, RAFT_NEW, values) : old;
  return old < new ? old : new;
}

uint32_t raft_quorum_voters(const struct raft_config *c) {
  uint32_t voters = half_voters(c, RAFT_OLD);
  if (c->joint) voters |= half_voters(c, RAFT_NEW);
  assert(bit_count(voters) <= c->count);
  return voters;
}

const char *raft_quorum_check(const struct raft_config *c,
                              enum raft_half half) {
  assert(half == RAFT_OLD || half == RAFT_NEW);
  const struct raft_rule *rule = &c->rule[half];
  uint32_t voters = half_voters(c, half);
  const char *broken = NULL;
  if (voters == 0) return "there is no voter";
  if (rule->kind == RAFT_RULE_SETS)
    broken = check_sets(rule, voters);
  else if (rule->kind == RAFT_RULE_MAJORITY || rule->kind == RAFT_RULE_SIZES)
    broken = check_sizes(rule, bit_count(voters));
  else
    return "the kind of quorum rule is not known";
  if (broken != NULL) return broken;
  if (witnesses_commit(c, half))
    return "witnesses alone may commit: every commit quorum needs a full "
           "member";
  return NULL;
}
