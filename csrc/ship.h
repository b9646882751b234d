/* ship.h - what travels on the connection of a snapshot. A leaf.
 *
 * The frames of frame.h, of kinds that no other connection carries:
 *
 *   leader                                 follower
 *   OFFER: which file it is   --------->
 *                             <---------   TAKEN: all before this offset is
 *   CHUNK, CHUNK, ...         --------->          written here, go on from it
 *                             <---------   TAKEN, once for each chunk
 *                             <---------   VERDICT: at the end, or instead
 *
 * Tails (configuration, bytes, text) are covered by a checksum in the head.
 */
#ifndef RAFT_SHIP_H
#define RAFT_SHIP_H

#include "config.h"
#include "raft.h"

#pragma GCC visibility push(hidden)

#ifdef RAFT_TINY
#define RAFT_SHIP_CHUNK_BYTES 512u
#else
#define RAFT_SHIP_CHUNK_BYTES 262144u /* of the file, at a time */
#endif
#define RAFT_SHIP_TEXT_BYTES 255u /* of a verdict */
#define RAFT_SHIP_HEAD_MAX   128u /* any head */
#define RAFT_SHIP_FRAME_BYTES_MAX                                              \
  (RAFT_SHIP_HEAD_MAX + RAFT_SHIP_CHUNK_BYTES + RAFT_CONFIG_BYTES_MAX)
#define RAFT_SHIP_FILE_BYTES_MAX ((uint64_t)1 << 62) /* sums cannot wrap */

#define RAFT_SHIPS(X)                                                          \
  X(OFFER, 16)                                                                 \
  X(TAKEN, 17)                                                                 \
  X(CHUNK, 18)                                                                 \
  X(VERDICT, 19)

enum raft_ship_kind {
#define X(name, value) RAFT_SHIP_##name = (value),
  RAFT_SHIPS(X)
#undef X
};

/* How it ends. All but DONE and HAVE mean that the follower has it not. */
#define RAFT_SHIP_VERDICTS(X)                                                  \
  X(DONE, 1)     /* all of it is there, durable and verified */                \
  X(HAVE, 2)     /* its log has all that and more */                           \
  X(BUSY, 3)     /* another one is coming in */                                \
  X(STALE, 4)    /* the offer is of a leader that leads no more */             \
  X(NO_SPACE, 5) /* its disk is full */                                        \
  X(DAMAGED, 6)  /* what came is not what was offered */                       \
  X(FAILED, 7)   /* it cannot be kept there, for another reason */

enum raft_ship_verdict {
#define X(name, value) RAFT_SHIP_##name = (value),
  RAFT_SHIP_VERDICTS(X)
#undef X
};

struct raft_ship {
  uint8_t kind;   /* enum raft_ship_kind */
  uint32_t group; /* 0 until groups share a transport */
  raft_term term; /* the sender's term */
  union {
    struct { /* tail: the configuration, encoded */
      raft_index index;
      raft_term term; /* of the entry at `index`. Invariant: <= the sender's */
      raft_ms time;
      raft_index config_index; /* Invariant: 1 <= config_index <= index */
      uint64_t size;           /* of the file; not 0 */
      uint64_t checksum;       /* of its content, as the file names it */
    } offer;
    struct {
      uint64_t offset; /* [0, offset) is written there */
    } taken;
    struct { /* tail: bytes of the file, one at least */
      uint64_t offset;
    } chunk;
    struct {        /* tail: why, one line for people, perhaps empty */
      uint8_t code; /* enum raft_ship_verdict; later versions may have others */
    } verdict;
  };
  struct raft_slice tail; /* within the frame when decoded */
};

/* Writes the head of a frame: everything but the tail, of which the bytes are
 * read for their checksum. What decode would refuse is asserted. `out` has
 * RAFT_SHIP_HEAD_MAX. Returns the bytes written. */
size_t raft_ship_encode(const struct raft_ship *m, uint8_t *out);

/* NULL, or what of the message decode would refuse. */
const char *raft_ship_check(const struct raft_ship *m);

/* How long is the frame at `data`? > 0 its size; 0: not enough bytes to tell;
 * RAFT_E_CORRUPT or RAFT_E_TOO_LARGE: close the connection. */
int64_t raft_ship_size(const uint8_t *data, size_t size);

/* Reads one whole frame: RAFT_OK, RAFT_E_CORRUPT, RAFT_E_VERSION, or
 * RAFT_E_UNSUPPORTED (an optional kind, PING too: drop it, go on). An error
 * leaves nothing of use in *m. */
int raft_ship_decode(const uint8_t *data, size_t size, struct raft_ship *m);

#pragma GCC visibility pop
#endif
