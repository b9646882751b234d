/* identity.h - who a data directory belongs to, as bytes. A leaf.
 *
 * The file holds two copies, a sector each, written one after the other, so
 * that a crash or a bad sector spoils at most one. The intact copy with the
 * higher sequence counts. It never grows, so a full disk cannot refuse it.
 */
#ifndef RAFT_IDENTITY_H
#define RAFT_IDENTITY_H

#include "raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_IDENTITY_VERSION    1
#define RAFT_IDENTITY_SECTOR     4096 /* bytes of one copy */
#define RAFT_IDENTITY_NAME_BYTES 64   /* longest name of a node or cluster */

struct raft_identity {
  uint64_t sequence;      /* of this content; ascends with every change */
  uint64_t incarnation;   /* drawn when the directory was made */
  uint64_t starts;        /* how often it was opened */
  uint64_t first_segment; /* oldest segment of the log; 0 none yet */
  uint64_t last_segment;  /* newest one that may hold batches; 0 none yet */
  bool is_formed;         /* is the next field filled? */
  uint8_t cluster_identity[RAFT_IDENTITY_BYTES];
  char node[RAFT_IDENTITY_NAME_BYTES + 1];
  char cluster[RAFT_IDENTITY_NAME_BYTES + 1];
};

/* Writes one copy: a sector. */
void raft_identity_encode(const struct raft_identity *identity, uint8_t *out);

/* Reads a file of two copies. RAFT_OK; RAFT_E_CORRUPT: neither is intact;
 * RAFT_E_VERSION: one is of a newer format, whose number is in *version. */
int raft_identity_decode(const uint8_t *data, size_t size,
                         struct raft_identity *out, uint32_t *version);

#pragma GCC visibility pop
#endif
