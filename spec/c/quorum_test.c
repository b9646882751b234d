/* quorum_test.c - quorums against brute force: every mask of up to 9 members.
 * What the leaf computes, this file counts out from the definitions. */
#include "quorum.h"

#include <string.h>

#include "test.h"

#define N_MAX  9
#define ROUNDS 150 /* random configurations for each number of members */

static uint64_t dice;

static uint32_t draw(uint32_t below) {
  return (uint32_t)(test_random(&dice) % below);
}

/* ---- definitions --------------------------------------------------------- */

static bool is_voter(const struct raft_config *c, int half, uint32_t i) {
  return c->members[i].role[half] == RAFT_ROLE_VOTER ||
         c->members[i].role[half] == RAFT_ROLE_WITNESS;
}

static uint32_t voters_of(const struct raft_config *c, int half) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->count; i++)
    n += is_voter(c, half, i);
  return n;
}

static bool holds_set(const struct raft_config *c, uint32_t set,
                      uint32_t mask) {
  for (uint32_t i = 0; i < c->count; i++)
    if ((set >> i & 1) != 0 && (mask >> i & 1) == 0) return false;
  return true;
}

static bool half_is_quorum(const struct raft_config *c, int half, int purpose,
                           uint32_t mask) {
  const struct raft_rule *rule = &c->rule[half];
  uint32_t in = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (is_voter(c, half, i) && (mask >> i & 1) != 0) in++;
  if (voters_of(c, half) == 0) return false;
  if (rule->kind == RAFT_RULE_MAJORITY) return 2 * in > voters_of(c, half);
  if (rule->kind == RAFT_RULE_SIZES) return in >= rule->size[purpose];
  for (uint32_t i = 0; i < rule->set_count[purpose]; i++)
    if (holds_set(c, rule->sets[purpose][i], mask)) return true;
  return false;
}

static bool is_quorum(const struct raft_config *c, int purpose, uint32_t mask) {
  return half_is_quorum(c, RAFT_OLD, purpose, mask) &&
         (!c->joint || half_is_quorum(c, RAFT_NEW, purpose, mask));
}

/* Do two quorums exist, one for each purpose, that share no voter? */
static bool can_miss(const struct raft_config *c, int half, int a, int b) {
  uint32_t all = (1u << c->count) - 1;
  for (uint32_t mask = 0; mask <= all; mask++)
    if (half_is_quorum(c, half, a, mask) &&
        half_is_quorum(c, half, b, all & ~mask))
      return true;
  return false;
}

static bool witnesses_commit(const struct raft_config *c, int half) {
  uint32_t witnesses = 0;
  for (uint32_t i = 0; i < c->count; i++)
    if (c->members[i].role[half] == RAFT_ROLE_WITNESS) witnesses |= 1u << i;
  return half_is_quorum(c, half, RAFT_COMMIT, witnesses);
}

static bool has_sound_shape(const struct raft_config *c, int half) {
  const struct raft_rule *rule = &c->rule[half];
  uint32_t n = voters_of(c, half);
  if (n == 0) return false;
  for (int p = 0; p < 2; p++) {
    if (rule->kind == RAFT_RULE_SIZES &&
        (rule->size[p] < 1 || rule->size[p] > n))
      return false;
    if (rule->kind != RAFT_RULE_SETS) continue;
    if (rule->set_count[p] == 0) return false;
    for (uint32_t k = 0; k < rule->set_count[p]; k++) {
      if (rule->sets[p][k] == 0) return false;
      for (uint32_t i = 0; i < 32; i++)
        if ((rule->sets[p][k] >> i & 1) != 0 &&
            (i >= c->count || !is_voter(c, half, i)))
          return false;
    }
  }
  return true;
}

static bool is_allowed(const struct raft_config *c, int half) {
  return has_sound_shape(c, half) &&
         !can_miss(c, half, RAFT_ELECTION, RAFT_ELECTION) &&
         !can_miss(c, half, RAFT_ELECTION, RAFT_COMMIT) &&
         !witnesses_commit(c, half);
}

/* ---- configurations ------------------------------------------------------ */

static struct raft_config voters(uint32_t n) {
  struct raft_config c;
  memset(&c, 0, sizeof c);
  c.count = n;
  c.rule[0].kind = c.rule[1].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < n; i++) {
    c.members[i].id = i + 1;
    c.members[i].role[0] = c.members[i].role[1] = RAFT_ROLE_VOTER;
  }
  return c;
}

static struct raft_config sized(uint32_t n, uint8_t election, uint8_t commit) {
  struct raft_config c = voters(n);
  c.rule[0] =
      (struct raft_rule){.kind = RAFT_RULE_SIZES, .size = {election, commit}};
  return c;
}

static void draw_rule(struct raft_config *c, int half) {
  struct raft_rule *rule = &c->rule[half];
  memset(rule, 0, sizeof *rule);
  rule->kind = (uint8_t)(1 + draw(3));
  for (int p = 0; p < 2; p++) {
    rule->size[p] = (uint8_t)(1 + draw(voters_of(c, half)));
    rule->set_count[p] = (uint8_t)(1 + draw(4));
    for (uint32_t k = 0; k < rule->set_count[p]; k++) {
      uint32_t set = 0;
      for (uint32_t i = 0; i < c->count; i++)
        if (is_voter(c, half, i) && draw(2) == 0) set |= 1u << i;
      rule->sets[p][k] = set;
    }
  }
}

/* Any roles, any rule; not always one that is allowed. */
static struct raft_config drawn(uint32_t n) {
  struct raft_config c = voters(n);
  c.joint = draw(2) == 0;
  for (uint32_t i = 0; i < n; i++) {
    for (int half = 0; half < 2; half++)
      c.members[i].role[half] =
          (uint8_t)(draw(2) == 0 ? RAFT_ROLE_VOTER : draw(4));
    if (!c.joint) c.members[i].role[1] = c.members[i].role[0];
  }
  c.members[draw(n)].role[0] = RAFT_ROLE_VOTER;
  c.members[draw(n)].role[1] = RAFT_ROLE_VOTER;
  draw_rule(&c, RAFT_OLD);
  if (c.joint) draw_rule(&c, RAFT_NEW);
  return c;
}

/* Values below 2^k all over, so that equal ones are common. */
static void draw_values(uint64_t *values, uint32_t n) {
  uint64_t top = draw(2) == 0 ? 3 : UINT64_MAX;
  for (uint32_t i = 0; i < n; i++)
    values[i] = test_random(&dice) % top;
}

/* ---- the tests ----------------------------------------------------------- */

static void has_a_quorum_by_every_mask(void) {
  for (uint32_t n = 1; n <= N_MAX; n++)
    for (int round = 0; round < ROUNDS; round++) {
      struct raft_config c = drawn(n);
      for (uint32_t mask = 0; mask < 1u << n; mask++)
        for (int p = 0; p < 2; p++)
          EQ(raft_quorum_has(&c, (enum raft_purpose)p, mask),
             is_quorum(&c, p, mask));
    }
}

static void ignores_bits_of_nobody(void) {
  struct raft_config c = voters(3);
  CHECK(!raft_quorum_has(&c, RAFT_COMMIT, ~3u & ~4u));
  CHECK(!raft_quorum_has(&c, RAFT_ELECTION, ~7u | 1u));
  CHECK(raft_quorum_has(&c, RAFT_ELECTION, ~7u | 3u));
}

static enum raft_tally tally_of(const struct raft_config *c, uint32_t granted,
                                uint32_t refused) {
  if (is_quorum(c, RAFT_ELECTION, granted)) return RAFT_TALLY_WON;
  for (uint32_t mask = 0; mask < 1u << c->count; mask++)
    if ((mask & refused) == 0 && (mask & granted) == granted &&
        is_quorum(c, RAFT_ELECTION, mask))
      return RAFT_TALLY_PENDING;
  return RAFT_TALLY_LOST;
}

static void tallies_every_outcome(void) {
  for (uint32_t n = 1; n <= 5; n++)
    for (int round = 0; round < 12; round++) {
      struct raft_config c = drawn(n);
      for (uint32_t granted = 0; granted < 1u << n; granted++)
        for (uint32_t refused = 0; refused < 1u << n; refused++)
          if ((granted & refused) == 0)
            EQ(raft_quorum_tally(&c, granted, refused),
               tally_of(&c, granted, refused));
    }
}

static void tallies_many_members(void) {
  for (int round = 0; round < 200; round++) {
    struct raft_config c = drawn(6 + draw(N_MAX - 5));
    uint32_t granted = draw(1u << c.count);
    uint32_t refused = draw(1u << c.count) & ~granted;
    EQ(raft_quorum_tally(&c, granted, refused), tally_of(&c, granted, refused));
  }
}

static uint64_t value_of(const struct raft_config *c, const uint64_t *values) {
  uint64_t best = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    uint32_t mask = 0;
    for (uint32_t k = 0; k < c->count; k++)
      if (values[k] >= values[i]) mask |= 1u << k;
    if (values[i] > best && is_quorum(c, RAFT_COMMIT, mask)) best = values[i];
  }
  return best;
}

/* A drawn rule may ask for an empty set, which check refuses. */
static bool has_values(const struct raft_config *c) {
  return has_sound_shape(c, 0) && (!c->joint || has_sound_shape(c, 1));
}

static void finds_the_largest_value_of_a_quorum(void) {
  uint32_t tried = 0;
  for (uint32_t n = 1; n <= N_MAX; n++)
    for (int round = 0; round < 4 * ROUNDS; round++) {
      struct raft_config c = drawn(n);
      uint64_t values[RAFT_MEMBERS_MAX];
      draw_values(values, n);
      if (!has_values(&c)) continue;
      EQ(raft_quorum_value(&c, values), value_of(&c, values));
      tried++;
    }
  CHECK(tried > N_MAX * ROUNDS);
}

static uint64_t majority_of(const struct raft_config *c,
                            const uint64_t *values) {
  uint64_t best = 0;
  for (uint32_t i = 0; i < c->count; i++) {
    bool is_majority = true;
    for (int half = 0; half <= (c->joint ? 1 : 0); half++) {
      uint32_t all = 0;
      uint32_t in = 0;
      for (uint32_t k = 0; k < c->count; k++) {
        if (c->members[k].role[half] != RAFT_ROLE_VOTER) continue;
        all++;
        in += values[k] >= values[i];
      }
      is_majority = is_majority && 2 * in > all;
    }
    if (is_majority && values[i] > best) best = values[i];
  }
  return best;
}

/* Whatever the rule, and whoever else votes. */
static void finds_what_most_of_those_with_a_state_have(void) {
  for (uint32_t n = 1; n <= N_MAX; n++)
    for (int round = 0; round < ROUNDS; round++) {
      struct raft_config c = drawn(n);
      uint64_t values[RAFT_MEMBERS_MAX];
      draw_values(values, n);
      EQ(raft_quorum_majority(&c, values), majority_of(&c, values));
    }
}

static void counts_up_to_the_last_position(void) {
  struct raft_config c = voters(RAFT_MEMBERS_MAX);
  uint64_t values[RAFT_MEMBERS_MAX];
  for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
    values[i] = 100 + i;
  /* a majority of n has reached the value at position n - (n/2 + 1) */
  EQ(raft_quorum_value(&c, values), 100 + (RAFT_MEMBERS_MAX - 1) / 2);
  uint32_t all = UINT32_MAX >> (32 - RAFT_MEMBERS_MAX);
  EQ(raft_quorum_voters(&c), all);
  CHECK(raft_quorum_has(&c, RAFT_COMMIT, all << RAFT_MEMBERS_MAX / 2 & all) ==
        (RAFT_MEMBERS_MAX % 2 == 1));
}

static void finds_nothing_where_nobody_votes(void) {
  struct raft_config c;
  uint64_t values[RAFT_MEMBERS_MAX] = {7};
  memset(&c, 0, sizeof c);
  CHECK(!raft_quorum_has(&c, RAFT_ELECTION, UINT32_MAX));
  EQ(raft_quorum_tally(&c, 0, 0), RAFT_TALLY_LOST);
  EQ(raft_quorum_value(&c, values), 0);
  EQ(raft_quorum_voters(&c), 0);
  CHECK(raft_quorum_check(&c, RAFT_OLD) != NULL);
}

/* [Raft 6] learners count nowhere, and a joint needs both halves. */
static void asks_both_halves(void) {
  struct raft_config c = voters(4);
  uint64_t values[RAFT_MEMBERS_MAX] = {9, 9, 4, 5};
  c.joint = true; /* from {0, 1} to {2, 3} */
  c.members[0].role[1] = c.members[1].role[1] = RAFT_ROLE_NONE;
  c.members[2].role[0] = c.members[3].role[0] = RAFT_ROLE_LEARNER;
  EQ(raft_quorum_voters(&c), 15);
  CHECK(!raft_quorum_has(&c, RAFT_COMMIT, 7));
  CHECK(raft_quorum_has(&c, RAFT_COMMIT, 15));
  EQ(raft_quorum_value(&c, values), 4);
  c.joint = false;
  EQ(raft_quorum_voters(&c), 3);
  CHECK(raft_quorum_has(&c, RAFT_COMMIT, 3));
  EQ(raft_quorum_value(&c, values), 9);
}

static void checks_every_pair_of_sizes(void) {
  for (uint32_t n = 1; n <= N_MAX; n++)
    for (uint32_t election = 0; election <= n + 1; election++)
      for (uint32_t commit = 0; commit <= n + 1; commit++) {
        struct raft_config c = sized(n, (uint8_t)election, (uint8_t)commit);
        EQ(raft_quorum_check(&c, RAFT_OLD) == NULL, is_allowed(&c, RAFT_OLD));
      }
}

static void says_what_is_wrong_with_a_size(void) {
  struct raft_config c = sized(3, 0, 3);
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD),
          "the election quorum must be of 1 to all voters");
  c = sized(3, 3, 0);
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD),
          "the commit quorum must be of 1 to all voters");
}

static void checks_any_rule(void) {
  uint32_t allowed = 0;
  for (uint32_t n = 1; n <= N_MAX; n++)
    for (int round = 0; round < 4 * ROUNDS; round++) {
      struct raft_config c = drawn(n);
      for (int half = 0; half < (c.joint ? 2 : 1); half++) {
        bool want = is_allowed(&c, half);
        EQ(raft_quorum_check(&c, (enum raft_half)half) == NULL, want);
        allowed += want;
      }
    }
  CHECK(allowed > 100); /* both answers were tried */
}

/* The check that is so easily forgotten: two leaders in one term. */
static void refuses_election_quorums_that_miss(void) {
  struct raft_config c = sized(5, 2, 4);
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD),
          "two election quorums may not meet: 2 * election must exceed the "
          "number of voters");
  c = sized(5, 3, 2);
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD),
          "an election quorum may not meet a commit quorum: election + commit "
          "must exceed the number of voters");
  c = sized(5, 4, 2);
  CHECK(raft_quorum_check(&c, RAFT_OLD) == NULL);
}

static void refuses_what_no_encoder_wrote(void) {
  struct raft_config c = voters(3);
  c.rule[0].kind = 77;
  CHECK(raft_quorum_check(&c, RAFT_OLD) != NULL);
  c.rule[0] = (struct raft_rule){.kind = RAFT_RULE_SETS,
                                 .set_count = {RAFT_SETS_MAX + 1, 1}};
  for (uint32_t i = 0; i < RAFT_SETS_MAX; i++)
    c.rule[0].sets[0][i] = c.rule[0].sets[1][i] = 7;
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD), "a quorum rule has too many sets");
  c.rule[0].set_count[0] = 1;
  CHECK(raft_quorum_check(&c, RAFT_OLD) == NULL);
  c.rule[0].sets[1][0] = 8; /* nobody's bit */
  CHECK(raft_quorum_check(&c, RAFT_OLD) != NULL);
}

static void wants_a_full_member_in_every_commit_quorum(void) {
  struct raft_config c = voters(3);
  c.members[2].role[0] = RAFT_ROLE_WITNESS;
  CHECK(raft_quorum_check(&c, RAFT_OLD) == NULL);
  c.members[1].role[0] = RAFT_ROLE_WITNESS;
  EQ_TEXT(raft_quorum_check(&c, RAFT_OLD),
          "witnesses alone may commit: every commit quorum needs a full "
          "member");
  CHECK(raft_quorum_check(&c, RAFT_NEW) == NULL);
}

int main(void) {
  dice = test_seed();
  CASE(has_a_quorum_by_every_mask);
  CASE(ignores_bits_of_nobody);
  CASE(tallies_every_outcome);
  CASE(tallies_many_members);
  CASE(finds_the_largest_value_of_a_quorum);
  CASE(finds_what_most_of_those_with_a_state_have);
  CASE(counts_up_to_the_last_position);
  CASE(finds_nothing_where_nobody_votes);
  CASE(asks_both_halves);
  CASE(checks_every_pair_of_sizes);
  CASE(says_what_is_wrong_with_a_size);
  CASE(checks_any_rule);
  CASE(refuses_election_quorums_that_miss);
  CASE(refuses_what_no_encoder_wrote);
  CASE(wants_a_full_member_in_every_commit_quorum);
  return test_end();
}
