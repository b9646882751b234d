/* digest.h - a 128-bit fingerprint of bytes. Not cryptographic: it tells apart
 * what chance made different (identities, states), not what an enemy forged. */
#ifndef RAFT_DIGEST_H
#define RAFT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct raft_digest_state { /* copyable at any moment */
  uint64_t a, b;           /* the two lanes */
  uint64_t size;           /* bytes taken so far */
  uint8_t tail[16];        /* size % 16 bytes that fill no block yet */
};

void raft_digest_begin(struct raft_digest_state *d);
void raft_digest_add(struct raft_digest_state *d, const void *data,
                     size_t size);
void raft_digest_u64(struct raft_digest_state *d, uint64_t value);
void raft_digest_end(const struct raft_digest_state *d, uint64_t out[2]);

#pragma GCC visibility pop
#endif
