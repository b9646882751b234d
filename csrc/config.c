/* config.c - the cluster configuration: its bytes, its rules, its fingerprints.
 *
 * Owns the layout drawn in docs/FORMATS.md. What must hold: a configuration has
 * exactly one encoding, and decode refuses every other: no unknown flag, no
 * byte too many, ids are never written but follow from the names. It refuses
 * whatever breaks a rule of raft_config_check, and says which.
 */
#include "config.h"

#include "bytes.h"
#include "digest.h"
#include "quorum.h"

#include <assert.h>
#include <string.h>

#define CONFIG_VERSION 1

enum {
  FLAG_LEASES = 1, /* bits of the flags byte */
  FLAG_JOINT = 2,
  FLAG_NEXT_RULE = 4, /* not joint, and another rule is to come */
};
#define FLAGS_KNOWN (FLAG_LEASES | FLAG_JOINT | FLAG_NEXT_RULE)

_Static_assert(RAFT_NAME_BYTES <= UINT8_MAX, "a name's size is one byte");
_Static_assert(RAFT_ADDRESS_BYTES <= UINT16_MAX, "an address's is two");
_Static_assert(RAFT_MEMBERS_MAX <= 32, "masks of members are 32 bits wide");
_Static_assert(RAFT_SETS_MAX <= UINT8_MAX, "a count of sets is one byte");

/* ---- names --------------------------------------------------------------- */

raft_id raft_id_of(const char *name) {
  assert(name != NULL);
  uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
  for (const char *p = name; *p != '\0'; p++)
    hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
  return hash != 0 ? hash : 1; /* 0 is nobody */
}

/* [%w_.-], in the C locale whatever the program's is. */
static bool is_name_byte(char c) {
  if (c >= 'a' && c <= 'z') return true;
  if (c >= 'A' && c <= 'Z') return true;
  if (c >= '0' && c <= '9') return true;
  return c == '_' || c == '.' || c == '-';
}

/* The size of a text in an array of `room` bytes; room when it does not end. */
static size_t size_of(const char *text, size_t room) {
  assert(text != NULL);
  assert(room > 0);
  const char *end = memchr(text, '\0', room);
  return end != NULL ? (size_t)(end - text) : room;
}

bool raft_name_is_valid(const char *name, size_t room) {
  assert(name != NULL);
  size_t size = size_of(name, room);
  if (size == 0 || size == room || size > RAFT_NAME_BYTES) return false;
  for (size_t i = 0; i < size; i++)
    if (!is_name_byte(name[i])) return false;
  assert(name[size] == '\0');
  return true;
}

bool raft_address_is_valid(const char *address, size_t room) {
  assert(address != NULL);
  size_t size = size_of(address, room);
  if (size == 0 || size == room || size > RAFT_ADDRESS_BYTES) return false;
  for (size_t i = 0; i < size; i++) /* no blanks, no control bytes */
    if ((uint8_t)address[i] <= ' ' || address[i] == 0x7f) return false;
  assert(address[size] == '\0');
  return true;
}

/* ---- rules --------------------------------------------------------------- */

bool raft_config_same_rule(const struct raft_rule *a,
                           const struct raft_rule *b) {
  assert(a != b);
  assert(a->set_count[RAFT_ELECTION] <= RAFT_SETS_MAX ||
         a->kind != RAFT_RULE_SETS); /* the first of them was checked */
  if (a->kind != b->kind) return false;
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
    if (a->kind == RAFT_RULE_SIZES && a->size[p] != b->size[p]) return false;
    if (a->kind != RAFT_RULE_SETS) continue;
    if (a->set_count[p] != b->set_count[p]) return false;
    if (memcmp(a->sets[p], b->sets[p], sizeof a->sets[p][0] * a->set_count[p]))
      return false;
  }
  return true;
}

static const char *check_roles(const struct raft_config *c,
                               const struct raft_member *m) {
  assert(m >= c->members);
  assert(m < c->members + c->count);
  if (m->role[RAFT_OLD] > RAFT_ROLE_WITNESS ||
      m->role[RAFT_NEW] > RAFT_ROLE_WITNESS || m->goal > RAFT_ROLE_WITNESS)
    return "a role is of no known kind";
  if (m->role[RAFT_OLD] == RAFT_ROLE_NONE &&
      m->role[RAFT_NEW] == RAFT_ROLE_NONE)
    return "a member belongs to neither half";
  if (!c->joint && m->role[RAFT_OLD] != m->role[RAFT_NEW])
    return "the halves differ and it is not joint";
  if (c->joint && m->goal != m->role[RAFT_NEW])
    return "a goal is not the role in the half to come";
  bool is_witness = m->role[RAFT_OLD] == RAFT_ROLE_WITNESS;
  if (is_witness && m->goal != RAFT_ROLE_WITNESS && m->goal != RAFT_ROLE_NONE)
    return "a witness has no commands: it can only stay one, or leave";
  return NULL;
}

static const char *check_member(const struct raft_config *c, uint32_t i) {
  assert(i < c->count);
  assert(c->count <= RAFT_MEMBERS_MAX);
  const struct raft_member *m = &c->members[i];
  if (!raft_name_is_valid(m->name, sizeof m->name))
    return "a member's name is not made of letters, digits, _ . -";
  if (!raft_address_is_valid(m->address, sizeof m->address))
    return "a member's address is empty or has blanks";
  if (m->id != raft_id_of(m->name)) return "an id is not that of its name";
  if (i > 0 && c->members[i - 1].id == m->id) return "two members share an id";
  if (i > 0 && c->members[i - 1].id > m->id)
    return "members are not in the order of their ids";
  return check_roles(c, m);
}

/* Could the configuration that the goals give be in force? */
static const char *check_goals(const struct raft_config *c) {
  assert(!c->joint);
  assert(c->count <= RAFT_MEMBERS_MAX);
  bool is_there = raft_config_same_rule(&c->rule[RAFT_OLD], &c->rule[RAFT_NEW]);
  for (uint32_t i = 0; i < c->count && is_there; i++)
    is_there = c->members[i].goal == c->members[i].role[RAFT_OLD];
  if (is_there) return NULL; /* it is in force */
  struct raft_config to_come = *c;
  for (uint32_t i = 0; i < c->count; i++)
    to_come.members[i].role[RAFT_NEW] = c->members[i].goal;
  return raft_quorum_check(&to_come, RAFT_NEW);
}

const char *raft_config_check(const struct raft_config *c) {
  assert(c != NULL);
  if (c->count > RAFT_MEMBERS_MAX) return "too many members";
  if (c->election_min_ms == 0) return "the election timeout is 0";
  for (uint32_t i = 0; i < c->count; i++) {
    const char *broken = check_member(c, i);
    if (broken != NULL) return broken;
  }
  const char *broken = raft_quorum_check(c, RAFT_OLD);
  if (broken != NULL) return broken;
  return c->joint ? raft_quorum_check(c, RAFT_NEW) : check_goals(c);
}

/* ---- members in order ---------------------------------------------------- */

void raft_config_sort(struct raft_config *c) {
  assert(c != NULL);
  assert(c->count <= RAFT_MEMBERS_MAX);
  for (uint32_t i = 1; i < c->count; i++) { /* few, and mostly sorted */
    struct raft_member m = c->members[i];
    uint32_t at = i;
    for (; at > 0 && c->members[at - 1].id > m.id; at--)
      c->members[at] = c->members[at - 1];
    c->members[at] = m;
  }
}

/* ---- to bytes ------------------------------------------------------------ */

static void put_rule(struct raft_out *out, const struct raft_rule *rule) {
  assert(out != NULL);
  assert(rule->kind >= RAFT_RULE_MAJORITY);
  assert(rule->kind <= RAFT_RULE_SETS);
  raft_out_u8(out, rule->kind);
  if (rule->kind == RAFT_RULE_SIZES) raft_out_bytes(out, rule->size, 2);
  if (rule->kind != RAFT_RULE_SETS) return;
  raft_out_bytes(out, rule->set_count, 2);
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++)
    for (int i = 0; i < rule->set_count[p]; i++)
      raft_out_u32(out, rule->sets[p][i]);
}

static void put_member(struct raft_out *out, const struct raft_member *m) {
  size_t name_size = size_of(m->name, sizeof m->name);
  size_t address_size = size_of(m->address, sizeof m->address);
  assert(name_size <= RAFT_NAME_BYTES);
  assert(address_size <= RAFT_ADDRESS_BYTES);
  assert(m->id == raft_id_of(m->name));
  raft_out_u64(out, m->incarnation);
  raft_out_bytes(out, m->role, 2);
  raft_out_u8(out, m->goal);
  raft_out_u8(out, m->priority);
  raft_out_u8(out, (uint8_t)name_size);
  raft_out_u16(out, (uint16_t)address_size);
  raft_out_bytes(out, m->name, name_size);
  raft_out_bytes(out, m->address, address_size);
}

static uint8_t flags_of(const struct raft_config *c) {
  assert(c != NULL);
  unsigned leases = c->leases ? FLAG_LEASES : 0;
  if (c->joint) return (uint8_t)(leases | FLAG_JOINT);
  bool is_same = raft_config_same_rule(&c->rule[RAFT_OLD], &c->rule[RAFT_NEW]);
  return (uint8_t)(leases | (is_same ? 0 : FLAG_NEXT_RULE));
}

size_t raft_config_encode(const struct raft_config *c, uint8_t *out_bytes) {
  assert(out_bytes != NULL);
  assert(raft_config_check(c) == NULL);
  uint8_t flags = flags_of(c);
  struct raft_out out = {out_bytes, out_bytes + RAFT_CONFIG_BYTES_MAX};
  raft_out_u8(&out, CONFIG_VERSION);
  raft_out_u8(&out, flags);
  raft_out_u16(&out, (uint16_t)c->count);
  raft_out_u32(&out, c->election_min_ms);
  raft_out_bytes(&out, c->identity, RAFT_IDENTITY_BYTES);
  put_rule(&out, &c->rule[RAFT_OLD]);
  if ((flags & (FLAG_JOINT | FLAG_NEXT_RULE)) != 0)
    put_rule(&out, &c->rule[RAFT_NEW]);
  for (uint32_t i = 0; i < c->count; i++)
    put_member(&out, &c->members[i]);
  assert(out.at <= out.end);
  return (size_t)(out.at - out_bytes);
}

/* ---- and back ------------------------------------------------------------ */

static void get_sets(struct raft_in *in, struct raft_rule *rule) {
  assert(rule->kind == RAFT_RULE_SETS);
  assert(rule->set_count[RAFT_ELECTION] == 0);
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++) {
    rule->set_count[p] = raft_in_u8(in);
    if (rule->set_count[p] > RAFT_SETS_MAX) raft_in_refuse(in);
  }
  for (int p = RAFT_ELECTION; p <= RAFT_COMMIT; p++)
    for (int i = 0; i < rule->set_count[p] && raft_in_is_good(in); i++)
      rule->sets[p][i] = raft_in_u32(in);
}

static void get_rule(struct raft_in *in, struct raft_rule *rule) {
  assert(rule->kind == 0); /* zeroed: fields that are not read stay 0 */
  rule->kind = raft_in_u8(in);
  switch ((enum raft_rule_kind)rule->kind) {
  case RAFT_RULE_MAJORITY: return;
  case RAFT_RULE_SIZES:
    rule->size[RAFT_ELECTION] = raft_in_u8(in);
    rule->size[RAFT_COMMIT] = raft_in_u8(in);
    return;
  case RAFT_RULE_SETS: get_sets(in, rule); return;
  }
  raft_in_refuse(in);
}

static void get_member(struct raft_in *in, struct raft_member *m) {
  assert(in != NULL);
  assert(m->id == 0);
  m->incarnation = raft_in_u64(in);
  m->role[RAFT_OLD] = raft_in_u8(in);
  m->role[RAFT_NEW] = raft_in_u8(in);
  m->goal = raft_in_u8(in);
  m->priority = raft_in_u8(in);
  size_t name_size = raft_in_u8(in);
  size_t address_size = raft_in_u16(in);
  raft_in_text(in, name_size, m->name, sizeof m->name);
  raft_in_text(in, address_size, m->address, sizeof m->address);
  m->id = raft_id_of(m->name);
}

static void get_head(struct raft_in *in, struct raft_config *c) {
  assert(raft_in_is_good(in));
  assert(c->count == 0);
  uint8_t flags = raft_in_u8(in);
  if ((flags & ~FLAGS_KNOWN) != 0) raft_in_refuse(in);
  c->leases = (flags & FLAG_LEASES) != 0;
  c->joint = (flags & FLAG_JOINT) != 0;
  c->count = raft_in_u16(in);
  c->election_min_ms = raft_in_u32(in);
  const uint8_t *identity = raft_in_bytes(in, RAFT_IDENTITY_BYTES);
  if (identity != NULL) memcpy(c->identity, identity, RAFT_IDENTITY_BYTES);
  get_rule(in, &c->rule[RAFT_OLD]);
  c->rule[RAFT_NEW] = c->rule[RAFT_OLD];
  if ((flags & (FLAG_JOINT | FLAG_NEXT_RULE)) == 0) return;
  c->rule[RAFT_NEW] = (struct raft_rule){0};
  get_rule(in, &c->rule[RAFT_NEW]);
  if ((flags & FLAG_NEXT_RULE) == 0 || !raft_in_is_good(in)) return;
  if (c->joint || /* one encoding only */
      raft_config_same_rule(&c->rule[RAFT_OLD], &c->rule[RAFT_NEW]))
    raft_in_refuse(in);
}

static void get_config(struct raft_in *in, struct raft_config *c) {
  assert(in != NULL);
  get_head(in, c);
  if (c->count > RAFT_MEMBERS_MAX) raft_in_refuse(in);
  for (uint32_t i = 0; i < c->count && raft_in_is_good(in); i++)
    get_member(in, &c->members[i]);
  if (raft_in_left(in) > 0) raft_in_refuse(in); /* bytes too many? */
}

int raft_config_decode(const uint8_t *data, size_t size,
                       struct raft_config *out) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  memset(out, 0, sizeof *out);
  if (size == 0) return RAFT_E_MORE;
  if (data[0] != CONFIG_VERSION) return RAFT_E_VERSION;
  struct raft_in in = {.at = data + 1, .end = data + size};
  get_config(&in, out);
  if (raft_in_is_good(&in))
    return raft_config_check(out) == NULL ? RAFT_OK : RAFT_E_BAD_CONFIG;
  memset(out, 0, sizeof *out); /* half a configuration helps nobody */
  return in.is_short ? RAFT_E_MORE : RAFT_E_CORRUPT;
}

/* ---- fingerprints -------------------------------------------------------- */

/* Adds a text and the zero at its end, so that texts in a row stay apart. */
static void digest_text(struct raft_digest_state *d, const char *text) {
  assert(d != NULL);
  assert(text != NULL);
  raft_digest_add(d, text, strlen(text) + 1);
}

static void digest_config(struct raft_digest_state *d,
                          const struct raft_config *c) {
  assert(d != NULL);
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
  size_t size = raft_config_encode(c, bytes);
  assert(size <= sizeof bytes);
  raft_digest_add(d, bytes, size);
}

void raft_config_identity(const struct raft_config *c, const char *cluster,
                          uint8_t out[RAFT_IDENTITY_BYTES]) {
  assert(c != NULL);
  assert(cluster != NULL);
  struct raft_config formed = *c;
  memset(formed.identity, 0, sizeof formed.identity);
  struct raft_digest_state d;
  raft_digest_begin(&d);
  digest_text(&d, "raft identity");
  digest_text(&d, cluster);
  digest_config(&d, &formed);
  uint64_t sum[2];
  raft_digest_end(&d, sum);
  raft_put_u64(out, sum[0]);
  raft_put_u64(out + 8, sum[1]);
}

uint64_t raft_config_plan(const struct raft_config *c) {
  assert(c != NULL);
  struct raft_config planned = *c;
  memset(planned.identity, 0, sizeof planned.identity);
  for (uint32_t i = 0; i < planned.count; i++)
    planned.members[i].incarnation = 0;
  struct raft_digest_state d;
  raft_digest_begin(&d);
  digest_text(&d, "raft plan");
  digest_config(&d, &planned);
  uint64_t sum[2];
  raft_digest_end(&d, sum);
  assert(raft_config_check(&planned) == NULL);
  return sum[0];
}
