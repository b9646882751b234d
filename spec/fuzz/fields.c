/* fields.c - what stands in a frame: near to what it would be, or not. */
#include "fields.h"

#include "fuzz.h"
#include "wire.h"

/* Around a number that means something, or anything at all. */
uint64_t fuzz_near(struct raft_in *in, uint64_t base) {
  uint8_t how = raft_in_u8(in);
  if (how >= 248) return fuzz_number(in);
  uint64_t v = base + how % 8 - 3;
  return v > base + 8 ? 0 : v; /* below 0? */
}

static void put_numbers(struct raft_out *out, struct raft_in *in, uint64_t base,
                        int count) {
  for (int i = 0; i < count; i++)
    raft_out_u64(out, fuzz_near(in, base));
}

/* The fields of a kind, each near to what it would be. */
void fuzz_fields(struct raft_in *in, uint8_t kind, const struct raft_status *s,
                 struct raft_out *out) {
  switch ((enum raft_message_kind)kind) {
  case RAFT_MSG_VOTE:
    raft_out_u64(out, fuzz_near(in, s->term));
    raft_out_u64(out, fuzz_near(in, s->last));
    raft_out_u64(out, fuzz_near(in, s->term));
    raft_out_u64(out, raft_in_u8(in));
    raft_out_u16(out, raft_in_u16(in) & 0x0101);
    return;
  case RAFT_MSG_APPEND_REPLY: {
    put_numbers(out, in, s->last, 2);
    put_numbers(out, in, s->term, 1);
    put_numbers(out, in, 3, 2);
    uint8_t how = raft_in_u8(in);
    raft_out_u8(out, how & 1);
    if (how < 128) return;
    raft_out_u8(out, 0); /* no flags, and results */
    put_numbers(out, in, s->applied, 1);
    raft_out_u64(out, raft_in_u8(in) % 3);
    return;
  }
  case RAFT_MSG_PROPOSE_REPLY:
    put_numbers(out, in, s->last, 2);
    raft_out_u32(out, 0u - raft_in_u8(in) % 15);
    return;
  case RAFT_MSG_READ:
  case RAFT_MSG_READ_REPLY: put_numbers(out, in, s->commit, 2); return;
  case RAFT_MSG_NONE:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE:
  case RAFT_MSG_VOTE_REPLY: /* see answer_vote */
  case RAFT_MSG_APPEND:     /* see append */
  case RAFT_MSG_TIMEOUT_NOW:
  case RAFT_MSG_PROPOSE: /* raw ones find their way */
  case RAFT_MSG_PING: return;
  }
}

void fuzz_verdict(struct raft_in *in, uint8_t how, raft_index applied,
                  struct raft_out *out) {
  uint8_t verdict = RAFT_VERDICT_ASKED + how % 3;
  raft_out_u8(out, verdict);
  raft_out_u64(out, fuzz_near(in, applied));
  bool has_digest = verdict == RAFT_VERDICT_MAJORITY;
  raft_out_u64(out, has_digest ? raft_in_u8(in) % 3 : 0);
}
