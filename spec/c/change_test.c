/* The steps of a change, as values: every way ends in its target, and quorums
 * of neighbours meet. [Raft 6] */
#include "change.h"

#include "config.h"
#include "quorum.h"
#include "test.h"

#include <string.h>

/* ---- samples ------------------------------------------------------------- */

static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};

static void add(struct raft_config *c, const char *name, uint8_t role) {
  struct raft_member *m = &c->members[c->count++];
  m->id = raft_id_of(name);
  m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal = role;
  memcpy(m->name, name, strlen(name));
  memcpy(m->address, "h:1", 4);
}

/* n1, n2, ... in these roles, 0: not there. */
static struct raft_config config_of(const uint8_t *roles, uint32_t count) {
  struct raft_config c;
  memset(&c, 0, sizeof c);
  c.election_min_ms = 100;
  c.rule[RAFT_OLD].kind = c.rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < count; i++)
    if (roles[i] != RAFT_ROLE_NONE) add(&c, names[i], roles[i]);
  raft_config_sort(&c);
  return c;
}

static struct raft_config voters(uint32_t count) {
  static const uint8_t all[] = {1, 1, 1, 1, 1};
  return config_of(all, count);
}

static struct raft_member *member(struct raft_config *c, const char *name) {
  static struct raft_member nobody;
  int at = raft_config_find(c, raft_id_of(name));
  return at >= 0 ? &c->members[at] : &nobody;
}

static void leave(struct raft_config *c, const char *name) {
  member(c, name)->goal = RAFT_ROLE_NONE;
}

static void want(struct raft_config *c, const char *name, uint8_t goal) {
  if (raft_config_find(c, raft_id_of(name)) < 0) add(c, name, goal);
  raft_config_sort(c);
  member(c, name)->goal = goal;
}

static uint32_t mask(struct raft_config *c, const char *a, const char *b) {
  return UINT32_C(1) << (member(c, a) - c->members) |
         UINT32_C(1) << (member(c, b) - c->members);
}

/* ---- each kind of change ------------------------------------------------- */

static void a_new_voter_learns_first(void) {
  struct raft_config now = voters(3);
  struct raft_config target = voters(4);
  struct raft_config next;
  struct raft_config after;
  member(&target, "n4")->incarnation = 9; /* not believed */
  EQ(raft_change_begin(&now, &target, &next), 1);
  EQ(next.count, 4);
  CHECK(!next.joint);
  EQ(member(&next, "n4")->role[RAFT_OLD], RAFT_ROLE_LEARNER);
  EQ(member(&next, "n4")->goal, RAFT_ROLE_VOTER);
  EQ(member(&next, "n4")->incarnation, 0);
  EQ(raft_change_waits_for(&next), mask(&next, "n4", "n4"));
  CHECK(raft_change_next(&next, &after));
  CHECK(after.joint);
  EQ(member(&after, "n4")->role[RAFT_OLD], RAFT_ROLE_LEARNER);
  EQ(member(&after, "n4")->role[RAFT_NEW], RAFT_ROLE_VOTER);
  EQ(raft_change_waits_for(&after), 0);
  CHECK(raft_change_next(&after, &next));
  CHECK(raft_change_is_settled(&next));
  EQ(member(&next, "n4")->role[RAFT_OLD], RAFT_ROLE_VOTER);
  CHECK(!raft_change_next(&next, &after));
}

static void nobody_to_wait_for_is_joint_at_once(void) {
  struct raft_config now = voters(4);
  struct raft_config target = now;
  struct raft_config next;
  struct raft_config after;
  leave(&target, "n2");
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(next.joint);
  EQ(member(&next, "n2")->role[RAFT_OLD], RAFT_ROLE_VOTER);
  EQ(member(&next, "n2")->role[RAFT_NEW], RAFT_ROLE_NONE);
  CHECK(raft_change_next(&next, &after));
  CHECK(raft_change_is_settled(&after));
  EQ(raft_config_find(&after, raft_id_of("n2")), -1);
}

/* Learners and settings change no quorum: one entry will do. */
static void what_moves_no_quorum_is_one_step(void) {
  struct raft_config now = voters(3);
  struct raft_config target = now;
  struct raft_config next;
  want(&target, "n4", RAFT_ROLE_LEARNER);
  memcpy(member(&target, "n1")->address, "other:1", 8);
  member(&target, "n2")->priority = 5;
  target.election_min_ms = 300;
  target.leases = true;
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(raft_change_is_settled(&next));
  EQ(next.count, 4);
  EQ_TEXT(member(&next, "n1")->address, "other:1");
  EQ(member(&next, "n2")->priority, 5);
  EQ(next.election_min_ms, 300);
  CHECK(next.leases);
  EQ(raft_change_begin(&next, &now, &target), 1); /* and all of it back */
  CHECK(raft_change_is_settled(&target));
  EQ(target.count, 3);
}

/* The bug of dropping what an update does not speak of. [etcd #21694] */
static void an_address_keeps_the_role(void) {
  static const uint8_t roles[] = {1, 1, 1, 2};
  struct raft_config now = config_of(roles, 4);
  struct raft_config target = now;
  struct raft_config next;
  memcpy(member(&target, "n4")->address, "other:1", 8);
  member(&now, "n4")->incarnation = 77;
  EQ(raft_change_begin(&now, &target, &next), 1);
  EQ(member(&next, "n4")->role[RAFT_OLD], RAFT_ROLE_LEARNER);
  EQ(member(&next, "n4")->incarnation, 77);
  want(&next, "n4", RAFT_ROLE_VOTER);
  EQ(raft_change_begin(&now, &next, &target), 1);
  EQ(member(&target, "n4")->goal, RAFT_ROLE_VOTER);
}

static void nothing_to_do_is_no_step(void) {
  struct raft_config now = voters(3);
  struct raft_config next;
  EQ(raft_change_begin(&now, &now, &next), 0);
  struct raft_config target = voters(4);
  EQ(raft_change_begin(&now, &target, &next), 1);
  now = next;
  EQ(raft_change_begin(&now, &target, &next), 0); /* it is under way */
}

static void a_rule_moves_with_its_members(void) {
  struct raft_config now = voters(3);
  struct raft_config target;
  struct raft_config next;
  struct raft_config after;
  for (int half = RAFT_OLD; half <= RAFT_NEW; half++) {
    now.rule[half] =
        (struct raft_rule){.kind = RAFT_RULE_SETS, .set_count = {1, 1}};
    now.rule[half].sets[0][0] = now.rule[half].sets[1][0] =
        mask(&now, "n1", "n2");
  }
  target = now;
  want(&target, "n4", RAFT_ROLE_VOTER);
  want(&target, "n5", RAFT_ROLE_VOTER);
  leave(&target, "n1");
  target.rule[RAFT_OLD].kind = target.rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  EQ(raft_change_begin(&now, &target, &next), 1);
  EQ(next.rule[RAFT_OLD].sets[0][0], mask(&next, "n1", "n2"));
  EQ(next.rule[RAFT_NEW].kind, RAFT_RULE_MAJORITY);
  CHECK(raft_change_next(&next, &after));
  CHECK(after.joint);
  CHECK(raft_quorum_has(&after, RAFT_ELECTION, 0x1f));
  CHECK(!raft_quorum_has(&after, RAFT_ELECTION,
                         0x1f & ~mask(&after, "n1", "n1")));
  CHECK(raft_change_next(&after, &next));
  EQ(next.count, 4);
  EQ(next.rule[RAFT_OLD].kind, RAFT_RULE_MAJORITY);
  target = now = next; /* and sets again, of the four */
  target.rule[RAFT_NEW] =
      (struct raft_rule){.kind = RAFT_RULE_SETS, .set_count = {1, 1}};
  target.rule[RAFT_NEW].sets[0][0] = target.rule[RAFT_NEW].sets[1][0] =
      mask(&target, "n2", "n4");
  leave(&target, "n5");
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(next.joint);
  CHECK(raft_change_next(&next, &after));
  EQ(after.count, 3);
  EQ(after.rule[RAFT_OLD].sets[1][0], mask(&after, "n2", "n4"));
}

/* ---- what is refused ----------------------------------------------------- */

static void broken_targets_are_refused(void) {
  struct raft_config now = voters(3);
  struct raft_config target = now;
  struct raft_config next;
  target.joint = true;
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
  target = now;
  for (uint32_t i = 0; i < 3; i++)
    target.members[i].goal = RAFT_ROLE_NONE; /* nobody is left */
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
  target = now;
  target.members[0].id++;
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
}

/* All of both are there for a while. */
static void the_union_must_fit(void) {
  struct raft_config now;
  struct raft_config target;
  struct raft_config next;
  memset(&now, 0, sizeof now);
  now.election_min_ms = 100;
  now.rule[RAFT_OLD].kind = now.rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  target = now;
  char name[] = "a0";
  for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
    name[1] = (char)('0' + i);
    add(&now, name, RAFT_ROLE_VOTER);
  }
  raft_config_sort(&now);
  target = now;
  EQ(raft_change_begin(&now, &target, &next), 0);
  leave(&target, "a3");
  EQ(raft_change_begin(&now, &target, &next), 1);
  raft_change_goal(&target, &next);
  target = next;
  add(&target, "b0", RAFT_ROLE_VOTER);
  raft_config_sort(&target);
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
}

static void a_witness_has_holes(void) {
  static const uint8_t roles[] = {1, 1, 3};
  struct raft_config now = config_of(roles, 3);
  struct raft_config target = now;
  struct raft_config next;
  for (uint8_t goal = RAFT_ROLE_VOTER; goal <= RAFT_ROLE_LEARNER; goal++) {
    target = now;
    member(&target, "n3")->role[0] = member(&target, "n3")->role[1] =
        member(&target, "n3")->goal = goal;
    EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
  }
  leave(&target, "n3");
  EQ(raft_change_begin(&now, &target, &next), 1);
  now = voters(2); /* one on its way has holes too */
  EQ(raft_change_begin(&now, &target, &next), 0);
  target = config_of(roles, 3);
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(raft_change_is_stripped(member(&next, "n3")));
  now = next;
  target = voters(3);
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
  target = voters(2);
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(raft_change_is_settled(&next));
}

static void a_witness_has_holes_at_any_place(void) {
  for (int which = 0; which < 3; which++) {
    uint8_t roles[] = {1, 1, 1};
    roles[which] = RAFT_ROLE_WITNESS;
    struct raft_config now = config_of(roles, 3);
    struct raft_config target = voters(3);
    struct raft_config next;
    EQ(raft_change_begin(&now, &target, &next), RAFT_E_BAD_CONFIG);
  }
  for (int which = 0; which < 3; which++) { /* and one on its way */
    uint8_t roles[] = {1, 1, 1};
    roles[which] = RAFT_ROLE_NONE;
    struct raft_config now = config_of(roles, 3);
    roles[which] = RAFT_ROLE_WITNESS;
    struct raft_config target = config_of(roles, 3);
    struct raft_config next;
    EQ(raft_change_begin(&now, &target, &next), 1);
    target = voters(3);
    EQ(raft_change_begin(&next, &target, &now), RAFT_E_BAD_CONFIG);
  }
}

/* While somebody catches up, its coming is taken back with the new rule or with
 * the one before. */
static void either_rule_is_a_way_back(void) {
  struct raft_config now = voters(3);
  struct raft_config target = voters(4);
  struct raft_config intent;
  struct raft_config next;
  const struct raft_rule sizes = {.kind = RAFT_RULE_SIZES, .size = {3, 2}};
  target.rule[RAFT_OLD] = target.rule[RAFT_NEW] = sizes;
  EQ(raft_change_begin(&now, &target, &intent), 1);
  CHECK(!raft_change_is_settled(&intent));
  EQ(raft_change_begin(&intent, &now, &next), 1);
  target = now;
  target.rule[RAFT_OLD] = target.rule[RAFT_NEW] = sizes;
  EQ(raft_change_begin(&intent, &target, &next), 1);
  target.rule[RAFT_OLD].size[0] = target.rule[RAFT_NEW].size[0] = 2;
  EQ(raft_change_begin(&intent, &target, &next), RAFT_E_BUSY);
}

/* Who has left leaves nothing behind: configurations are compared as bytes. */
static void a_goal_is_clean(void) {
  struct raft_config now = voters(5);
  struct raft_config goal;
  leave(&now, "n2");
  leave(&now, "n4");
  memset(&goal, 0xff, sizeof goal);
  raft_change_goal(&now, &goal);
  EQ(goal.count, 3);
  static const struct raft_member none;
  for (uint32_t i = goal.count; i < RAFT_MEMBERS_MAX; i++)
    EQ(memcmp(&goal.members[i], &none, sizeof none), 0);
}

/* A voter keeps its commands until it is none: the way back is open. */
static void a_voter_that_is_to_be_a_witness_keeps_all(void) {
  static const uint8_t roles[] = {1, 1, 3, 1};
  struct raft_config now = voters(3);
  struct raft_config target = config_of(roles, 4);
  struct raft_config next;
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(!next.joint); /* n4 is to catch up */
  CHECK(!raft_change_is_stripped(member(&next, "n3")));
  struct raft_config back = voters(3);
  struct raft_config after;
  EQ(raft_change_begin(&next, &back, &after), 1);
  CHECK(raft_change_is_settled(&after));
  EQ(after.count, 3);
  CHECK(raft_change_next(&next, &after));
  CHECK(!raft_change_is_stripped(member(&after, "n3")));
  CHECK(raft_change_next(&after, &next));
  CHECK(raft_change_is_stripped(member(&next, "n3")));
}

static void one_change_at_a_time(void) {
  struct raft_config now = voters(3);
  struct raft_config target = voters(5);
  struct raft_config next;
  EQ(raft_change_begin(&now, &target, &next), 1);
  now = next;
  target = voters(4); /* gives up a half of it */
  EQ(raft_change_begin(&now, &target, &next), 1);
  EQ(member(&next, "n5")->goal, RAFT_ROLE_NONE);
  EQ(member(&next, "n4")->goal, RAFT_ROLE_VOTER);
  EQ(raft_change_waits_for(&next), mask(&next, "n4", "n4"));
  leave(&target, "n1"); /* and asks for more */
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BUSY);
  target = voters(3);
  target.leases = true;
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BUSY);
  target = voters(3);
  target.members[0].priority++;
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BUSY);
  target = voters(3);
  EQ(raft_change_begin(&now, &target, &next), 1);
  CHECK(raft_change_is_settled(&next));
  CHECK(raft_change_next(&now, &next));
  now = next;
  CHECK(now.joint); /* too late */
  EQ(raft_change_begin(&now, &target, &next), RAFT_E_BUSY);
}

/* ---- every way, by brute force ------------------------------------------- */

static uint32_t ids_of(const struct raft_config *c, uint32_t mask_of_names) {
  uint32_t out = 0; /* from names to places */
  for (uint32_t i = 0; i < 5; i++) {
    if ((mask_of_names >> i & 1u) == 0) continue;
    int at = raft_config_find(c, raft_id_of(names[i]));
    if (at >= 0) out |= UINT32_C(1) << at;
  }
  return out;
}

/* Do all election quorums of each meet all quorums of the other? */
static bool do_meet(const struct raft_config *a, const struct raft_config *b,
                    uint32_t count) {
  uint32_t all = (UINT32_C(1) << count) - 1;
  for (uint32_t m = 0; m <= all; m++) {
    uint32_t ours = ids_of(a, m);
    uint32_t theirs = ids_of(b, all & ~m); /* the largest that misses it */
    for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
      enum raft_purpose other = (enum raft_purpose)p;
      if (raft_quorum_has(a, RAFT_ELECTION, ours) &&
          raft_quorum_has(b, other, theirs))
        return false;
      if (raft_quorum_has(a, other, ours) &&
          raft_quorum_has(b, RAFT_ELECTION, theirs))
        return false;
    }
  }
  return true;
}

/* Walks from `now` to the target; the steps, 0: it was refused. */
static uint32_t walk(const struct raft_config *from,
                     const struct raft_config *target, uint32_t count) {
  struct raft_config now = *from;
  struct raft_config next;
  uint32_t steps = 0;
  int rc = raft_change_begin(&now, target, &next);
  if (rc == RAFT_E_BAD_CONFIG) return 0;
  EQ(rc >= 0, 1);
  if (rc == 0) return 1;
  do {
    steps++;
    EQ_TEXT(raft_config_check(&next), NULL);
    CHECK(do_meet(&now, &next, count));
    uint32_t waits = raft_change_waits_for(&next);
    EQ(waits & raft_quorum_voters(&next), 0); /* they do not count yet */
    now = next;
  } while (steps < 9 && raft_change_next(&now, &next));
  CHECK(steps <= 3);
  CHECK(raft_change_is_settled(&now));
  EQ(now.count, target->count);
  for (uint32_t i = 0; i < now.count; i++) {
    EQ(now.members[i].id, target->members[i].id);
    EQ(now.members[i].role[RAFT_OLD], target->members[i].goal);
  }
  CHECK(raft_config_same_rule(&target->rule[0], &now.rule[0]));
  return steps;
}

/* The number of configurations of n members is 4^n. */
static bool make(uint32_t number, uint32_t n, struct raft_config *out) {
  uint8_t roles[5];
  for (uint32_t i = 0; i < n; i++, number /= 4)
    roles[i] = (uint8_t)(number % 4);
  *out = config_of(roles, n);
  return raft_config_check(out) == NULL;
}

static void every_way_ends_and_quorums_meet(void) {
  enum { N = 4, ALL = 256 };
  uint32_t ways = 0;
  uint32_t refused = 0;
  struct raft_config now;
  struct raft_config target;
  for (uint32_t i = 0; i < ALL; i++) {
    if (!make(i, N, &now)) continue;
    for (uint32_t j = 0; j < ALL; j++) {
      if (!make(j, N, &target)) continue;
      uint32_t steps = walk(&now, &target, N);
      ways += steps > 0;
      refused += steps == 0;
    }
  }
  CHECK(ways > 5000);
  CHECK(refused > 500); /* witnesses that were to be more */
}

/* The same with another rule to reach, by sizes. */
static void every_rule_is_reached(void) {
  struct raft_config now;
  struct raft_config target;
  uint32_t ways = 0;
  for (uint8_t election = 1; election <= 5; election++)
    for (uint8_t commit = 1; commit <= 5; commit++)
      for (uint32_t before = 3; before <= 5; before++)
        for (uint32_t after = 3; after <= 5; after++) {
          now = voters(before);
          target = voters(after);
          for (int half = RAFT_OLD; half <= RAFT_NEW; half++)
            target.rule[half] = (struct raft_rule){.kind = RAFT_RULE_SIZES,
                                                   .size = {election, commit}};
          if (raft_config_check(&target) != NULL) continue;
          CHECK(walk(&now, &target, 5) > 0);
          CHECK(walk(&target, &now, 5) > 0);
          ways += 2;
        }
  CHECK(ways >= 100);
}

int main(void) {
  CASE(a_new_voter_learns_first);
  CASE(nobody_to_wait_for_is_joint_at_once);
  CASE(what_moves_no_quorum_is_one_step);
  CASE(an_address_keeps_the_role);
  CASE(nothing_to_do_is_no_step);
  CASE(a_rule_moves_with_its_members);
  CASE(broken_targets_are_refused);
  CASE(the_union_must_fit);
  CASE(a_witness_has_holes);
  CASE(a_witness_has_holes_at_any_place);
  CASE(a_goal_is_clean);
  CASE(either_rule_is_a_way_back);
  CASE(a_voter_that_is_to_be_a_witness_keeps_all);
  CASE(one_change_at_a_time);
  CASE(every_way_ends_and_quorums_meet);
  CASE(every_rule_is_reached);
  return test_end();
}
