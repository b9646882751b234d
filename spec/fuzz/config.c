/* config.c - a configuration has one encoding, and no other is let in. */
#include "config.h"

#include "fuzz.h"
#include "quorum.h"

#include <string.h>

/* Any two commit and election quorums meet; asked of all masks when they are
 * few enough. [Raft 5.4.3] */
static void check_quorums(const struct raft_config *c) {
  if (c->count > 5) return;
  uint32_t end = 1u << c->count;
  for (uint32_t a = 0; a < end; a++)
    for (uint32_t b = 0; b < end; b++)
      if (raft_quorum_has(c, RAFT_ELECTION, a) &&
          raft_quorum_has(c, RAFT_COMMIT, b))
        DEMAND((a & b) != 0);
}

static void check_good(const uint8_t *data, size_t size,
                       const struct raft_config *c) {
  uint8_t out[RAFT_CONFIG_BYTES_MAX];
  DEMAND(raft_config_check(c) == NULL);
  DEMAND(raft_config_encode(c, out) == size);
  DEMAND(memcmp(out, data, size) == 0);
  for (uint32_t i = 0; i < c->count; i++)
    DEMAND(raft_config_find(c, c->members[i].id) == (int)i);
  struct raft_config moved = *c;
  memset(moved.identity, 0x5a, sizeof moved.identity);
  DEMAND(raft_config_plan(&moved) == raft_config_plan(c));
  check_quorums(c);
}

void fuzz_config(const uint8_t *data, size_t size) {
  static const struct raft_config blank;
  struct raft_config c;
  memset(&c, 0xa5, sizeof c);
  int error = raft_config_decode(data, size, &c);
  if (error == RAFT_OK) {
    check_good(data, size, &c);
  } else if (error == RAFT_E_BAD_CONFIG) {
    DEMAND(raft_config_check(&c) != NULL);
  } else {
    DEMAND(error == RAFT_E_MORE || error == RAFT_E_CORRUPT ||
           error == RAFT_E_VERSION);
    DEMAND(memcmp(&c, &blank, sizeof c) == 0);
  }
}
