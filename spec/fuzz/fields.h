/* fields.h - what stands in a frame: near to what it would be, or not. */
#ifndef RAFT_FUZZ_FIELDS_H
#define RAFT_FUZZ_FIELDS_H

#include "bytes.h"
#include "raft.h"

/* Around a number that means something, or anything at all. */
uint64_t fuzz_near(struct raft_in *in, uint64_t base);

/* The fields of a kind, each near to what it would be. */
void fuzz_fields(struct raft_in *in, uint8_t kind, const struct raft_status *s,
                 struct raft_out *out);

/* What an append says of results, behind its other fields. */
void fuzz_verdict(struct raft_in *in, uint8_t how, raft_index applied,
                  struct raft_out *out);

#endif
