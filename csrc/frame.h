/* frame.h - the envelope of everything that travels: header, checksum, tail.
 * What lies in it is wire.c's (messages) and greeting.c's (hello, refuse). The
 * layout is drawn in wire.h.
 */
#ifndef RAFT_FRAME_H
#define RAFT_FRAME_H

#include "bytes.h"
#include "raft.h"

#pragma GCC visibility push(hidden)

struct raft_frame {
  uint8_t kind;
  uint32_t group;
  raft_term term;         /* below 2^63 */
  struct raft_in fields;  /* opened: the head behind the header */
  struct raft_slice tail; /* opened: what lies behind the head */
};

/* Is it a term or index that may travel? Of several the same is asked at once
 * of their bits together. */
static inline bool raft_frame_is_number(uint64_t v) {
  return v <= (uint64_t)INT64_MAX;
}

/* Opens one whole frame: RAFT_OK, RAFT_E_CORRUPT, RAFT_E_VERSION. Its head is
 * then undamaged and of our version. */
int raft_frame_open(const uint8_t *data, size_t size, struct raft_frame *f);

/* Where the fields of a frame at `out` go, which has `room` bytes. */
struct raft_out raft_frame_begin(uint8_t *out, size_t room);

/* Fills in the header of a frame whose fields are written; of f->tail only the
 * size counts. Returns the bytes of the head. */
size_t raft_frame_end(const struct raft_out *fields, uint8_t *out,
                      const struct raft_frame *f);

#pragma GCC visibility pop
#endif
