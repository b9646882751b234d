/* The configuration: its bytes for ever, its one encoding, its rules. */
#include "config.h"

#include "golden.h"
#include "test.h"

#include <string.h>

/* ---- samples ------------------------------------------------------------- */

static void add(struct raft_config *c, const char *name, const char *address,
                uint8_t role) {
  struct raft_member *m = &c->members[c->count++];
  m->id = raft_id_of(name);
  m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal = role;
  memcpy(m->name, name, strlen(name));
  memcpy(m->address, address, strlen(address));
}

static void make_three(struct raft_config *c) {
  memset(c, 0, sizeof *c);
  c->election_min_ms = 500;
  c->rule[RAFT_OLD].kind = c->rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  add(c, "n1", "127.0.0.1:7101", RAFT_ROLE_VOTER);
  add(c, "n2", "127.0.0.1:7102", RAFT_ROLE_VOTER);
  add(c, "n3", "127.0.0.1:7103", RAFT_ROLE_VOTER);
  raft_config_sort(c);
}

static struct raft_member *member(struct raft_config *c, const char *name) {
  int at = raft_config_find(c, raft_id_of(name));
  CHECK(at >= 0);
  return &c->members[at < 0 ? 0 : at];
}

static uint32_t mask(struct raft_config *c, const char *a, const char *b) {
  return (uint32_t)1 << (member(c, a) - c->members) |
         (uint32_t)1 << (member(c, b) - c->members);
}

/* Every field in use: joint, sizes in one half and sets in the other. */
static void make_joint(struct raft_config *c) {
  make_three(c);
  add(c, "n4", "[::1]:7104", RAFT_ROLE_VOTER);
  add(c, "n5", "h5.example:7105", RAFT_ROLE_WITNESS);
  raft_config_sort(c);
  for (int i = 0; i < RAFT_IDENTITY_BYTES; i++)
    c->identity[i] = (uint8_t)(0xa0 + i);
  c->leases = true;
  c->joint = true;
  member(c, "n1")->role[RAFT_NEW] = RAFT_ROLE_NONE; /* leaves */
  member(c, "n1")->goal = RAFT_ROLE_NONE;
  member(c, "n4")->role[RAFT_OLD] = RAFT_ROLE_NONE; /* comes */
  member(c, "n5")->role[RAFT_OLD] = RAFT_ROLE_LEARNER;
  member(c, "n4")->priority = 7;
  member(c, "n3")->incarnation = 0xfedcba9876543210u;
  c->rule[RAFT_OLD] =
      (struct raft_rule){.kind = RAFT_RULE_SIZES, .size = {3, 2}};
  c->rule[RAFT_NEW] =
      (struct raft_rule){.kind = RAFT_RULE_SETS, .set_count = {2, 1}};
  c->rule[RAFT_NEW].sets[RAFT_ELECTION][0] = mask(c, "n2", "n3");
  c->rule[RAFT_NEW].sets[RAFT_ELECTION][1] = mask(c, "n2", "n4");
  c->rule[RAFT_NEW].sets[RAFT_COMMIT][0] = mask(c, "n2", "n5");
}

static size_t encode(const struct raft_config *c, uint8_t *out) {
  memset(out, 0xee, RAFT_CONFIG_BYTES_MAX);
  size_t size = raft_config_encode(c, out);
  CHECK(size <= RAFT_CONFIG_BYTES_MAX);
  return size;
}

/* ---- names --------------------------------------------------------------- */

/* [FNV-1a, published test values] */
static void an_id_is_the_hash_of_its_name(void) {
  EQ(raft_id_of(""), 0xcbf29ce484222325u);
  EQ(raft_id_of("a"), 0xaf63dc4c8601ec8cu);
  EQ(raft_id_of("foobar"), 0x85944171f73967e8u);
}

static void names_are_checked(void) {
  char room[RAFT_NAME_BYTES + 2];
  CHECK(raft_name_is_valid("n1", 3));
  CHECK(raft_name_is_valid("A_z.9-0", 8));
  CHECK(!raft_name_is_valid("", 1));
  CHECK(!raft_name_is_valid("n1", 2)); /* not ended in its room */
  CHECK(!raft_name_is_valid("n 1", 4));
  CHECK(!raft_name_is_valid("n/1", 4));
  CHECK(!raft_name_is_valid("\xc3\xa9", 3));
  memset(room, 'x', sizeof room);
  room[RAFT_NAME_BYTES] = '\0';
  CHECK(raft_name_is_valid(room, sizeof room));
  room[RAFT_NAME_BYTES] = 'x';
  room[RAFT_NAME_BYTES + 1] = '\0';
  CHECK(!raft_name_is_valid(room, sizeof room));
}

static void addresses_are_checked(void) {
  CHECK(raft_address_is_valid("[::1]:7101", 11));
  CHECK(!raft_address_is_valid("", 1));
  CHECK(!raft_address_is_valid("h:1", 3));
  CHECK(!raft_address_is_valid("h :1", 5));
  CHECK(!raft_address_is_valid(" h:1", 5));
  CHECK(!raft_address_is_valid("h\n:1", 5));
  CHECK(!raft_address_is_valid("h\x7f:1", 5));
}

/* ---- members ------------------------------------------------------------- */

static void sorting_puts_ids_in_order(void) {
  struct raft_config c;
  memset(&c, 0, sizeof c);
  char name[] = "m0";
  for (char i = 0; i < 9; i++) {
    name[1] = (char)('0' + i);
    add(&c, name, "h:1", RAFT_ROLE_VOTER);
  }
  raft_config_sort(&c);
  for (uint32_t i = 1; i < c.count; i++)
    CHECK(c.members[i - 1].id < c.members[i].id);
  for (uint32_t i = 0; i < c.count; i++) /* whole members were moved */
    EQ(raft_id_of(c.members[i].name), c.members[i].id);
}

static void members_are_found_by_id(void) {
  struct raft_config c;
  memset(&c, 0, sizeof c);
  EQ(raft_config_find(&c, 5), -1);
  for (raft_id id = 1; id <= 9; id++)
    c.members[c.count++].id = 10 * id;
  for (raft_id id = 0; id <= 100; id++) {
    int want = id % 10 == 0 && id >= 10 && id <= 90 ? (int)(id / 10) - 1 : -1;
    EQ(raft_config_find(&c, id), want);
  }
}

/* ---- bytes --------------------------------------------------------------- */

static void never_changes(void) {
  struct raft_config c;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_three(&c);
  GOLDEN("config_three", bytes, encode(&c, bytes));
  make_joint(&c);
  GOLDEN("config_joint", bytes, encode(&c, bytes));
}

static void check_comes_back(const struct raft_config *c) {
  struct raft_config got;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  size_t size = encode(c, bytes);
  EQ(raft_config_decode(bytes, size, &got), RAFT_OK);
  EQ_BYTES(&got, c, sizeof got);
}

static void comes_back_as_it_went(void) {
  struct raft_config c;
  make_three(&c);
  check_comes_back(&c);
  c.leases = true;
  check_comes_back(&c);
  c.rule[0].kind = c.rule[1].kind = RAFT_RULE_SIZES;
  c.rule[0].size[0] = c.rule[1].size[0] = 3;
  c.rule[0].size[1] = c.rule[1].size[1] = 1;
  check_comes_back(&c);
  make_joint(&c);
  check_comes_back(&c);
}

/* The longest configuration there is fits the room that encode is given. */
static void the_largest_fits(void) {
  struct raft_config c;
  memset(&c, 0, sizeof c);
  c.election_min_ms = UINT32_MAX;
  c.joint = true;
  c.count = RAFT_MEMBERS_MAX;
  for (uint32_t i = 0; i < c.count; i++) {
    struct raft_member *m = &c.members[i];
    memset(m->name, 'x', RAFT_NAME_BYTES);
    memset(m->address, 'y', RAFT_ADDRESS_BYTES);
    m->name[0] = (char)('a' + i / 8);
    m->name[1] = (char)('a' + i % 8);
    m->id = raft_id_of(m->name);
    m->role[RAFT_OLD] = m->role[RAFT_NEW] = m->goal = RAFT_ROLE_VOTER;
  }
  raft_config_sort(&c);
  for (int half = 0; half < 2; half++) {
    c.rule[half].kind = RAFT_RULE_SETS;
    for (int p = 0; p < 2; p++) {
      c.rule[half].set_count[p] = RAFT_SETS_MAX;
      for (int i = 0; i < RAFT_SETS_MAX; i++)
        c.rule[half].sets[p][i] = 1; /* the first member is all it takes */
    }
  }
  EQ_TEXT(raft_config_check(&c), NULL);
  check_comes_back(&c);
}

static void every_truncation_asks_for_more(void) {
  struct raft_config c;
  struct raft_config got;
  static const struct raft_config none;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_joint(&c);
  size_t whole = encode(&c, bytes);
  for (size_t size = 0; size < whole; size++) {
    EQ(raft_config_decode(bytes, size, &got), RAFT_E_MORE);
    EQ_BYTES(&got, &none, sizeof got);
  }
}

/* What decode lets in, encode writes again: there is no second encoding. */
static void check_is_canonical(const uint8_t *bytes, size_t size) {
  struct raft_config got;
  uint8_t again[RAFT_CONFIG_BYTES_MAX];
  if (raft_config_decode(bytes, size, &got) != RAFT_OK) return;
  EQ(encode(&got, again), size);
  EQ_BYTES(again, bytes, size);
}

static void there_is_one_encoding_only(void) {
  struct raft_config c;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_joint(&c);
  size_t size = encode(&c, bytes);
  for (size_t at = 0; at < size; at++) {
    uint8_t was = bytes[at];
    for (int value = 0; value < 256; value++) {
      bytes[at] = (uint8_t)value;
      check_is_canonical(bytes, size);
    }
    bytes[at] = was;
  }
}

static void noise_is_refused_or_canonical(void) {
  uint64_t state = test_seed();
  struct raft_config c;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  for (int round = 0; round < 20000; round++) {
    if (round % 2 == 0)
      make_three(&c);
    else
      make_joint(&c);
    size_t size = encode(&c, bytes);
    for (uint64_t n = test_random(&state) % 4; n > 0; n--)
      bytes[test_random(&state) % size] = (uint8_t)test_random(&state);
    if (test_random(&state) % 4 == 0) size = test_random(&state) % size;
    check_is_canonical(bytes, size);
  }
}

/* Decodes the sample of three with one byte changed. */
static int decode_with(size_t at, uint8_t value) {
  struct raft_config c;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_three(&c);
  size_t size = encode(&c, bytes);
  bytes[at] = value;
  return raft_config_decode(bytes, size, &c);
}

static void what_version_1_does_not_write_is_refused(void) {
  EQ(decode_with(0, 0), RAFT_E_VERSION);
  EQ(decode_with(0, 2), RAFT_E_VERSION);
  EQ(decode_with(1, 4), RAFT_E_CORRUPT);                    /* a flag */
  EQ(decode_with(2, RAFT_MEMBERS_MAX + 1), RAFT_E_CORRUPT); /* the count */
  EQ(decode_with(2, 2), RAFT_E_CORRUPT); /* a member too many behind */
  EQ(decode_with(2, 4), RAFT_E_MORE);
  EQ(decode_with(3, 1), RAFT_E_CORRUPT);  /* 259 members */
  EQ(decode_with(24, 0), RAFT_E_CORRUPT); /* the rule */
  EQ(decode_with(24, 4), RAFT_E_CORRUPT);
  EQ(decode_with(37, RAFT_NAME_BYTES + 1), RAFT_E_CORRUPT); /* name size */
  EQ(decode_with(40, 0), RAFT_E_CORRUPT); /* a zero in the name */
  EQ(decode_with(40, ' '), RAFT_E_BAD_CONFIG);
  EQ(decode_with(33, 9), RAFT_E_BAD_CONFIG); /* a role */
}

static void a_byte_too_many_is_refused(void) {
  struct raft_config c;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_three(&c);
  size_t size = encode(&c, bytes);
  EQ(raft_config_decode(bytes, size + 1, &c), RAFT_E_CORRUPT);
}

/* ---- rules --------------------------------------------------------------- */

static void a_sound_one_passes(void) {
  struct raft_config c;
  make_three(&c);
  EQ_TEXT(raft_config_check(&c), NULL);
  make_joint(&c);
  EQ_TEXT(raft_config_check(&c), NULL);
}

static void checks_the_whole(void) {
  struct raft_config c;
  make_three(&c);
  c.count = RAFT_MEMBERS_MAX + 1;
  EQ_TEXT(raft_config_check(&c), "too many members");
  make_three(&c);
  c.election_min_ms = 0;
  EQ_TEXT(raft_config_check(&c), "the election timeout is 0");
  make_three(&c);
  c.count = 0;
  EQ_TEXT(raft_config_check(&c), "there is no voter");
  make_three(&c);
  c.rule[RAFT_NEW].kind = RAFT_RULE_SIZES; /* of size 0 */
  EQ_TEXT(raft_config_check(&c),
          "the election quorum must be of 1 to all voters");
}

static void checks_names_ids_and_addresses(void) {
  struct raft_config c;
  make_three(&c);
  c.members[1].name[0] = ' ';
  EQ_TEXT(raft_config_check(&c),
          "a member's name is not made of letters, digits, _ . -");
  make_three(&c);
  memset(c.members[1].name, 'x', sizeof c.members[1].name);
  EQ_TEXT(raft_config_check(&c),
          "a member's name is not made of letters, digits, _ . -");
  make_three(&c);
  c.members[1].address[0] = '\0';
  EQ_TEXT(raft_config_check(&c), "a member's address is empty or has blanks");
  make_three(&c);
  c.members[1].id++;
  EQ_TEXT(raft_config_check(&c), "an id is not that of its name");
  make_three(&c);
  c.members[1] = c.members[0];
  EQ_TEXT(raft_config_check(&c), "two members share an id");
  make_three(&c);
  struct raft_member first = c.members[0];
  c.members[0] = c.members[1];
  c.members[1] = first;
  EQ_TEXT(raft_config_check(&c), "members are not in the order of their ids");
}

/* Puts the roles of the two halves and the goal of one member of three. */
static const char *check_roles(bool joint, uint8_t before, uint8_t after,
                               uint8_t goal) {
  struct raft_config c;
  make_three(&c);
  c.joint = joint;
  c.members[1].role[RAFT_OLD] = before;
  c.members[1].role[RAFT_NEW] = after;
  c.members[1].goal = goal;
  return raft_config_check(&c);
}

static void checks_roles(void) {
  static const char goal[] = "a goal is not the role in the half to come";
  EQ_TEXT(check_roles(false, 2, 2, 1), NULL); /* a learner to be promoted */
  EQ_TEXT(check_roles(false, 1, 1, 0), NULL); /* is to leave */
  EQ_TEXT(check_roles(true, 1, 0, 0), NULL);  /* leaves */
  EQ_TEXT(check_roles(true, 0, 2, 2), NULL);  /* comes */
  EQ_TEXT(check_roles(false, 1, 2, 1), "the halves differ and it is not joint");
  EQ_TEXT(check_roles(false, 4, 4, 1), "a role is of no known kind");
  EQ_TEXT(check_roles(true, 1, 4, 1), "a role is of no known kind");
  EQ_TEXT(check_roles(false, 1, 1, 4), "a role is of no known kind");
  EQ_TEXT(check_roles(false, 0, 0, 0), "a member belongs to neither half");
  EQ_TEXT(check_roles(true, 1, 0, 1), goal);
  EQ_TEXT(check_roles(true, 0, 2, 1), goal);
}

/* It has no commands to serve, and none to give to others. */
static void a_witness_becomes_nothing_else(void) {
  static const char words[] =
      "a witness has no commands: it can only stay one, or leave";
  EQ_TEXT(check_roles(false, 3, 3, 1), words);
  EQ_TEXT(check_roles(false, 3, 3, 2), words);
  EQ_TEXT(check_roles(true, 3, 1, 1), words);
  EQ_TEXT(check_roles(true, 3, 0, 0), NULL);
  EQ_TEXT(check_roles(false, 3, 3, 3), NULL);
  EQ_TEXT(check_roles(true, 1, 3, 3), NULL);
}

/* [Raft 6] decisions need both halves, so each needs somebody to decide. */
static void each_half_needs_a_voter(void) {
  struct raft_config c;
  make_three(&c);
  c.joint = true;
  for (uint32_t i = 0; i < c.count; i++)
    c.members[i].role[RAFT_NEW] = c.members[i].goal = RAFT_ROLE_LEARNER;
  EQ_TEXT(raft_config_check(&c), "there is no voter");
}

static void checks_quorums(void) {
  struct raft_config c;
  make_three(&c);
  for (int half = 0; half < 2; half++)
    c.rule[half] = (struct raft_rule){.kind = RAFT_RULE_SIZES, .size = {1, 3}};
  CHECK(raft_config_check(&c) != NULL); /* two leaders in one term */
  for (int half = 0; half < 2; half++)
    c.rule[half].size[0] = 2, c.rule[half].size[1] = 1;
  CHECK(raft_config_check(&c) != NULL); /* a commit that no leader sees */
  for (int half = 0; half < 2; half++)
    c.rule[half].kind = 9;
  EQ_TEXT(raft_config_check(&c), "the kind of quorum rule is not known");
}

static void checks_sets(void) {
  struct raft_config c;
  make_joint(&c);
  c.rule[RAFT_NEW].sets[RAFT_COMMIT][0] |= 32; /* of 5 members */
  EQ_TEXT(raft_config_check(&c), "a quorum set holds somebody who is no voter");
  make_joint(&c);
  c.rule[RAFT_NEW].set_count[RAFT_ELECTION] = RAFT_SETS_MAX + 1;
  EQ_TEXT(raft_config_check(&c), "a quorum rule has too many sets");
}

/* ---- fingerprints -------------------------------------------------------- */

static void the_identity_is_of_name_plan_and_incarnations(void) {
  struct raft_config c;
  uint8_t first[RAFT_IDENTITY_BYTES];
  uint8_t other[RAFT_IDENTITY_BYTES];
  make_joint(&c);
  raft_config_identity(&c, "default", first);
  GOLDEN("config_identity", first, sizeof first);
  memset(c.identity, 9, sizeof c.identity); /* does not count */
  raft_config_identity(&c, "default", other);
  EQ_BYTES(other, first, sizeof first);
  raft_config_identity(&c, "defaulu", other);
  CHECK(memcmp(other, first, sizeof first) != 0);
  member(&c, "n2")->incarnation++;
  raft_config_identity(&c, "default", other);
  CHECK(memcmp(other, first, sizeof first) != 0);
}

static void the_plan_is_all_but_identity_and_incarnations(void) {
  struct raft_config c;
  make_three(&c);
  uint64_t plan = raft_config_plan(&c);
  c.members[1].incarnation = 77;
  c.identity[3] = 1;
  EQ(raft_config_plan(&c), plan);
  c.members[1].address[0] = '2';
  CHECK(raft_config_plan(&c) != plan);
  make_three(&c);
  c.election_min_ms++;
  CHECK(raft_config_plan(&c) != plan);
  make_three(&c);
  c.leases = true;
  CHECK(raft_config_plan(&c) != plan);
}

static void names_all_errors(void) {
  EQ_TEXT(raft_error_text(RAFT_OK), "no error");
  EQ_TEXT(raft_error_text(RAFT_E_BAD_CONFIG), "configuration breaks a rule");
  EQ_TEXT(raft_error_text(-999), "unknown error");
  for (int code = -13; code < 0; code++)
    CHECK(strcmp(raft_error_text(code), "unknown error") != 0);
}

/* One that is not joint says which rule it is to reach, and that one must hold
 * for the members that are to be. */
static void the_goals_are_checked_too(void) {
  struct raft_config c;
  make_three(&c);
  EQ_TEXT(raft_config_check(&c), NULL);
  for (int half = RAFT_OLD; half <= RAFT_NEW; half++)
    c.rule[half] = (struct raft_rule){.kind = RAFT_RULE_SIZES, .size = {2, 2}};
  EQ_TEXT(raft_config_check(&c), NULL);
  c.rule[RAFT_NEW].size[RAFT_COMMIT] = 3;
  EQ_TEXT(raft_config_check(&c), NULL);
  c.members[2].goal = RAFT_ROLE_NONE; /* two are to stay */
  EQ_TEXT(raft_config_check(&c),
          "the commit quorum must be of 1 to all voters");
  make_three(&c);
  for (uint32_t i = 0; i < c.count; i++)
    c.members[i].goal = i == 0 ? RAFT_ROLE_VOTER : RAFT_ROLE_WITNESS;
  EQ_TEXT(raft_config_check(&c), "witnesses alone may commit: every commit "
                                 "quorum needs a full member");
}

/* Another rule to reach is in the bytes, the same one is not. */
static void a_rule_to_reach_is_encoded(void) {
  struct raft_config c;
  struct raft_config back;
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  make_three(&c);
  size_t plain = encode(&c, bytes);
  EQ(bytes[1], 0);
  c.rule[RAFT_NEW] = (struct raft_rule){
      .kind = RAFT_RULE_SETS, .set_count = {1, 2}, .sets = {{7}, {3, 6}}};
  c.members[1].goal = RAFT_ROLE_VOTER;
  size_t size = encode(&c, bytes);
  EQ(size, plain + 3 + 3 * 4);
  EQ(bytes[1], 4);
  EQ(raft_config_decode(bytes, size, &back), RAFT_OK);
  EQ(back.rule[RAFT_OLD].kind, RAFT_RULE_MAJORITY);
  EQ(back.rule[RAFT_NEW].sets[RAFT_COMMIT][1], 6);
  bytes[24] = RAFT_RULE_SETS; /* garbage from here on */
  CHECK(raft_config_decode(bytes, size, &back) != RAFT_OK);
  make_three(&c); /* one that says the same rule twice is another's */
  size = encode(&c, bytes);
  memmove(bytes + 26, bytes + 25, size - 25);
  bytes[1] = 4;
  bytes[25] = RAFT_RULE_MAJORITY;
  EQ(raft_config_decode(bytes, size + 1, &back), RAFT_E_CORRUPT);
  bytes[1] = 2 | 4; /* joint, and not */
  EQ(raft_config_decode(bytes, size + 1, &back), RAFT_E_CORRUPT);
}

/* One name in 2^64 hashes to what stands for nobody. */
static void no_name_is_nobody(void) {
  EQ(raft_id_of("77kepQFQ8Kl"), 1);
}

static void an_address_has_its_bounds(void) {
  char text[RAFT_ADDRESS_BYTES + 8];
  memset(text, 'a', sizeof text);
  text[RAFT_ADDRESS_BYTES] = '\0';
  CHECK(raft_address_is_valid(text, sizeof text));
  text[RAFT_ADDRESS_BYTES] = 'a';
  text[RAFT_ADDRESS_BYTES + 1] = '\0';
  CHECK(!raft_address_is_valid(text, sizeof text));
}

int main(void) {
  CASE(an_id_is_the_hash_of_its_name);
  CASE(names_are_checked);
  CASE(addresses_are_checked);
  CASE(sorting_puts_ids_in_order);
  CASE(members_are_found_by_id);
  CASE(never_changes);
  CASE(comes_back_as_it_went);
  CASE(the_largest_fits);
  CASE(every_truncation_asks_for_more);
  CASE(there_is_one_encoding_only);
  CASE(noise_is_refused_or_canonical);
  CASE(what_version_1_does_not_write_is_refused);
  CASE(a_byte_too_many_is_refused);
  CASE(a_sound_one_passes);
  CASE(checks_the_whole);
  CASE(checks_names_ids_and_addresses);
  CASE(checks_roles);
  CASE(each_half_needs_a_voter);
  CASE(checks_quorums);
  CASE(checks_sets);
  CASE(the_identity_is_of_name_plan_and_incarnations);
  CASE(the_plan_is_all_but_identity_and_incarnations);
  CASE(names_all_errors);
  CASE(the_goals_are_checked_too);
  CASE(a_rule_to_reach_is_encoded);
  CASE(a_witness_becomes_nothing_else);
  CASE(no_name_is_nobody);
  CASE(an_address_has_its_bounds);
  return test_end();
}
