/* config.h - the cluster configuration as a value: its bytes, its rules.
 * A leaf: knows no roles. Effect and rollback are membership.c's. */
#ifndef RAFT_CONFIG_H
#define RAFT_CONFIG_H

#include "raft.h"

#include <assert.h>

#pragma GCC visibility push(hidden)

/* An upper bound for the encoded bytes of any valid configuration. */
#define RAFT_CONFIG_BYTES_MAX                                                  \
  (64u + RAFT_MEMBERS_MAX * (24u + RAFT_NAME_BYTES + RAFT_ADDRESS_BYTES) +     \
   4u * 4u * RAFT_SETS_MAX)

/* Is it a name of a node or cluster: [%w_.-]+, up to RAFT_NAME_BYTES, ended by
 * a zero within its array of `room` bytes? */
bool raft_name_is_valid(const char *name, size_t room);

/* Is it an address: not empty, no blanks or control bytes, up to
 * RAFT_ADDRESS_BYTES, ended likewise? Whether it resolves is the driver's. */
bool raft_address_is_valid(const char *address, size_t room);

/* The payload of a CONFIG entry. Equal configurations give equal bytes on every
 * node. `c` holds the rules of raft_config_check (asserted). `out` has
 * RAFT_CONFIG_BYTES_MAX. Returns the bytes written. */
size_t raft_config_encode(const struct raft_config *c, uint8_t *out);

/* RAFT_OK, RAFT_E_MORE, RAFT_E_CORRUPT, RAFT_E_VERSION or RAFT_E_BAD_CONFIG
 * (it reads, and breaks a rule of raft_config_check, which then says of *out
 * which one). All other errors leave *out all zero. */
int raft_config_decode(const uint8_t *data, size_t size,
                       struct raft_config *out);

/* NULL, or the broken rule in words: ids ascend and match the names, at least
 * one voter in each half, roles known, each member in one half at least, roles
 * equal unless joint; in a joint one the goals are the roles to come, else what
 * the goals and rule[RAFT_NEW] give could be in force; no witness is to become
 * something else; rule of each half valid and both intersection checks of
 * quorum.h hold, addresses and names valid, election_min_ms > 0. */
const char *raft_config_check(const struct raft_config *c);

/* Puts members in id order; use before the first encode. Set masks of a rule
 * refer to positions after sorting. */
void raft_config_sort(struct raft_config *c);

/* Do they ask for the same quorums, by the same positions? The first one holds
 * the rules. */
bool raft_config_same_rule(const struct raft_rule *a,
                           const struct raft_rule *b);

/* The position of a member, or -1. Ids ascend, and there are few of them. */
static inline int raft_config_find(const struct raft_config *c, raft_id id) {
  assert(c->count <= RAFT_MEMBERS_MAX);
  for (uint32_t i = 0; i < c->count; i++)
    if (c->members[i].id >= id) return c->members[i].id == id ? (int)i : -1;
  return -1;
}

/* The two fingerprints are of a configuration that keeps all rules (asserted).
 * Neither is cryptographic. */

/* The identity of a cluster formed by this configuration (all incarnations
 * filled in; its own identity field does not count) under this name. */
void raft_config_identity(const struct raft_config *c, const char *cluster,
                          uint8_t out[RAFT_IDENTITY_BYTES]);

/* A digest of what must be equal on all initial voters before they met:
 * everything but identity and incarnations. */
uint64_t raft_config_plan(const struct raft_config *c);

#pragma GCC visibility pop
#endif
