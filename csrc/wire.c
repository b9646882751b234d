/* wire.c - messages to frames and back.
 *
 * Owns the fields of each kind, drawn in docs/FORMATS.md. What must hold: what
 * decode lets in is sound, and a message that no node of ours could have sent
 * goes no further. Damage to a tail is found by the checksums it carries.
 */
#include "wire.h"

#include "bytes.h"
#include "crc32c.h"
#include "entry.h"
#include "frame.h"

#include <assert.h>
#include <string.h>

#define OPTIONAL_KIND 0x80

_Static_assert(RAFT_WIRE_HEAD_MAX <= RAFT_FRAME_FIXED_MAX, "it is a head");
_Static_assert(RAFT_FRAME_BYTES_MAX >= RAFT_PAYLOAD_BYTES_MAX +
                                           RAFT_FRAME_FIXED_MAX +
                                           RAFT_ENTRY_HEADER_BYTES,
               "the largest entry fits a frame");

/* ---- vote ---------------------------------------------------------------- */

static void put_vote(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_VOTE);
  raft_out_u64(out, m->vote.for_term);
  raft_out_u64(out, m->vote.last_index);
  raft_out_u64(out, m->vote.last_term);
  raft_out_u64(out, m->vote.round);
  raft_out_u8(out, m->vote.pre);
  raft_out_u8(out, m->vote.transfer);
}

static void get_vote(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_VOTE);
  m->vote.for_term = raft_in_u64(in);
  m->vote.last_index = raft_in_u64(in);
  m->vote.last_term = raft_in_u64(in);
  m->vote.round = raft_in_u64(in);
  m->vote.pre = raft_in_bool(in);
  m->vote.transfer = raft_in_bool(in);
}

/* Is (index, term) a place in the log of a node that is in `now`? */
static bool is_place(raft_index index, raft_term term, raft_term now) {
  assert(raft_frame_is_number(now));
  if (!raft_frame_is_number(index)) return false;
  if (term > now) return false; /* entries are never ahead of their node */
  return (index == 0) == (term == 0);
}

/* [Raft 5.2] a candidate is in the term it asks for; [Thesis 9.6] one that only
 * asks beforehand is not yet. */
static bool is_sound_vote(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_VOTE);
  raft_term lead = m->vote.pre ? m->term + 1 : m->term; /* below 2^63 + 1 */
  if (m->vote.for_term == 0 || m->vote.for_term != lead) return false;
  return is_place(m->vote.last_index, m->vote.last_term, m->term);
}

static void put_vote_reply(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_VOTE_REPLY);
  raft_out_u64(out, m->vote_reply.for_term);
  raft_out_u64(out, m->vote_reply.round);
  raft_out_u8(out, m->vote_reply.pre);
  raft_out_u8(out, m->vote_reply.granted);
  raft_out_u64(out, m->vote_reply.wall);
}

static void get_vote_reply(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_VOTE_REPLY);
  m->vote_reply.for_term = raft_in_u64(in);
  m->vote_reply.round = raft_in_u64(in);
  m->vote_reply.pre = raft_in_bool(in);
  m->vote_reply.granted = raft_in_bool(in);
  m->vote_reply.wall = raft_in_u64(in);
}

static bool is_sound_vote_reply(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_VOTE_REPLY);
  if (m->vote_reply.for_term == 0) return false;
  return raft_frame_is_number(m->vote_reply.for_term -
                              1); /* a pre-vote is one ahead */
}

/* ---- append -------------------------------------------------------------- */

static void put_append(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_APPEND);
  uint8_t *p = raft_out_room(out, 36); /* at once: there are many of these */
  raft_put_u64(p, m->append.prev_index);
  raft_put_u64(p + 8, m->append.prev_term);
  raft_put_u64(p + 16, m->append.commit);
  raft_put_u64(p + 24, m->append.round);
  raft_put_u32(p + 32, m->append.count);
  if (m->append.verdict == RAFT_VERDICT_NONE) return;
  raft_out_u8(out, m->append.verdict);
  raft_out_u64(out, m->append.sum.index);
  raft_out_u64(out, m->append.sum.digest);
}

static void get_append(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_APPEND);
  const uint8_t *p = raft_in_bytes(in, 36);
  if (p == NULL) return;
  m->append.prev_index = raft_get_u64(p);
  m->append.prev_term = raft_get_u64(p + 8);
  m->append.commit = raft_get_u64(p + 16);
  m->append.round = raft_get_u64(p + 24);
  m->append.count = raft_get_u32(p + 32);
  if (raft_in_left(in) == 0) return;
  m->append.verdict = raft_in_u8(in);
  m->append.sum.index = raft_in_u64(in);
  m->append.sum.digest = raft_in_u64(in);
  if (m->append.verdict == RAFT_VERDICT_NONE) raft_in_refuse(in);
}

/* Does a verdict name its place, and the digest of a majority only? */
static bool is_sound_verdict(const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_APPEND);
  const struct raft_sum *sum = &m->append.sum;
  if (m->append.verdict == RAFT_VERDICT_NONE)
    return (sum->index | sum->digest) == 0;
  if (!raft_frame_is_number(sum->index)) return false;
  switch (m->append.verdict) {
  case RAFT_VERDICT_ASKED:
  case RAFT_VERDICT_SPLIT: return sum->index != 0 && sum->digest == 0;
  case RAFT_VERDICT_MAJORITY: return sum->index != 0;
  default: return false;
  }
}

static bool is_sound_append(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_APPEND);
  if (m->term == 0) return false; /* nobody leads in term 0 */
  if (!is_place(m->append.prev_index, m->append.prev_term, m->term))
    return false;
  raft_index last = m->append.prev_index + m->append.count;
  if (!raft_frame_is_number(last | m->append.commit)) return false;
  if (!is_sound_verdict(m)) return false;
  if (m->append.count == 0) return m->tail.size == 0;
  return m->append.count <= m->tail.size / RAFT_ENTRY_HEADER_BYTES;
}

static void put_append_reply(struct raft_out *out,
                             const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  uint8_t *p = raft_out_room(out, 42); /* at once, as above */
  raft_put_u64(p, m->append_reply.index);
  raft_put_u64(p + 8, m->append_reply.hint_index);
  raft_put_u64(p + 16, m->append_reply.hint_term);
  raft_put_u64(p + 24, m->append_reply.round);
  raft_put_u64(p + 32, m->append_reply.wall);
  p[40] = m->append_reply.accepted;
  p[41] = m->append_reply.flags;
  if (m->append_reply.sum.index == 0) return;
  raft_out_u64(out, m->append_reply.sum.index);
  raft_out_u64(out, m->append_reply.sum.digest);
}

static void get_append_reply(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  const uint8_t *p = raft_in_bytes(in, 42);
  if (p == NULL) return;
  m->append_reply.index = raft_get_u64(p);
  m->append_reply.hint_index = raft_get_u64(p + 8);
  m->append_reply.hint_term = raft_get_u64(p + 16);
  m->append_reply.round = raft_get_u64(p + 24);
  m->append_reply.wall = raft_get_u64(p + 32);
  m->append_reply.accepted = p[40] == 1;
  m->append_reply.flags = p[41];
  if (p[40] > 1) raft_in_refuse(in);
  if (raft_in_left(in) == 0) return;
  m->append_reply.sum.index = raft_in_u64(in);
  m->append_reply.sum.digest = raft_in_u64(in);
  if (m->append_reply.sum.index == 0) raft_in_refuse(in);
}

static bool is_sound_append_reply(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  const unsigned known =
      RAFT_REPLY_AVOID | RAFT_REPLY_REPAIRING | RAFT_REPLY_HOLES;
  if ((m->append_reply.flags & ~known) != 0) return false;
  if (m->tail.size != 0) return false;
  return raft_frame_is_number(
      m->append_reply.sum.index | m->append_reply.index |
      m->append_reply.hint_index | m->append_reply.hint_term);
}

/* ---- propose ------------------------------------------------------------- */

static void put_propose(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_PROPOSE);
  raft_out_u64(out, m->propose.token);
  raft_out_u32(out, m->propose.count);
  raft_out_u32(out, m->propose.crc);
  raft_out_u8(out, m->propose.kind);
}

static void get_propose(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_PROPOSE);
  m->propose.token = raft_in_u64(in);
  m->propose.count = raft_in_u32(in);
  m->propose.crc = raft_in_u32(in);
  m->propose.kind = raft_in_u8(in);
}

static bool is_sound_propose(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_PROPOSE);
  if (m->term == 0) return false; /* nobody leads in term 0 */
  if (m->propose.kind > RAFT_PROPOSE_SESSIONS) return false;
  bool is_one = m->propose.kind == RAFT_PROPOSE_CHANGE ||
                m->propose.kind == RAFT_PROPOSE_TRANSFER;
  if (is_one && m->propose.count != 1) return false;
  return m->propose.count > 0 && m->propose.count <= m->tail.size / 4;
}

int raft_wire_command_next(struct raft_slice *tail,
                           struct raft_slice *command) {
  assert(tail != NULL);
  assert(command != NULL);
  if (tail->size == 0) return RAFT_E_MORE;
  struct raft_in in = {.at = tail->data, .end = tail->data + tail->size};
  size_t size = raft_in_u32(&in);
  const uint8_t *data = raft_in_bytes(&in, size);
  if (!raft_in_is_good(&in)) return RAFT_E_CORRUPT;
  if (size > RAFT_PAYLOAD_BYTES_MAX) return RAFT_E_CORRUPT;
  assert(data == tail->data + 4);
  *command = (struct raft_slice){data, size};
  *tail = (struct raft_slice){in.at, raft_in_left(&in)};
  return RAFT_OK;
}

/* Does the tail hold exactly the commands that the head speaks of? */
static bool has_commands(const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  struct raft_slice rest = m->tail;
  struct raft_slice command;
  if (raft_crc32c(0, rest.data, rest.size) != m->propose.crc) return false;
  for (uint32_t i = 0; i < m->propose.count; i++)
    if (raft_wire_command_next(&rest, &command) != RAFT_OK) return false;
  return rest.size == 0;
}

static void put_propose_reply(struct raft_out *out,
                              const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_PROPOSE_REPLY);
  raft_out_u64(out, m->propose_reply.token);
  raft_out_u64(out, m->propose_reply.index);
  raft_out_u32(out, (uint32_t)m->propose_reply.code);
  raft_out_u32(out, m->propose_reply.missing);
}

/* An error code, known to us or not. */
static int32_t get_code(struct raft_in *in) {
  assert(in != NULL);
  uint32_t v = raft_in_u32(in);
  if (v == 0) return RAFT_OK;
  if (v <= (uint32_t)INT32_MAX) { /* a positive error? */
    raft_in_refuse(in);
    return RAFT_OK;
  }
  int32_t size = (int32_t)(UINT32_MAX - v); /* two's complement: ~v */
  assert(size >= 0);
  return -size - 1;
}

static void get_propose_reply(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_PROPOSE_REPLY);
  m->propose_reply.token = raft_in_u64(in);
  m->propose_reply.index = raft_in_u64(in);
  m->propose_reply.code = get_code(in);
  m->propose_reply.missing = raft_in_u32(in);
}

static bool is_sound_propose_reply(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_PROPOSE_REPLY);
  /* unreachable: get_code has refused it */
  if (m->propose_reply.code > 0) return false;
  if (!raft_frame_is_number(m->propose_reply.index)) return false;
  if (m->propose_reply.code != RAFT_OK) return true;
  return m->propose_reply.index != 0; /* appended, then where? */
}

/* ---- read ---------------------------------------------------------------- */

static void put_read(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m->kind == RAFT_MSG_READ || m->kind == RAFT_MSG_READ_REPLY);
  raft_out_u64(out, m->read.context);
  if (m->kind == RAFT_MSG_READ_REPLY) raft_out_u64(out, m->read.index);
}

static void get_read(struct raft_in *in, struct raft_message *m) {
  assert(raft_in_is_good(in)); /* nothing read yet */
  assert(m->kind == RAFT_MSG_READ || m->kind == RAFT_MSG_READ_REPLY);
  m->read.context = raft_in_u64(in);
  if (m->kind == RAFT_MSG_READ_REPLY) m->read.index = raft_in_u64(in);
}

static bool is_sound_read(const struct raft_message *m) {
  assert(raft_frame_is_number(m->term));
  assert(m->kind == RAFT_MSG_READ || m->kind == RAFT_MSG_READ_REPLY);
  return raft_frame_is_number(m->read.index);
}

/* ---- all kinds ----------------------------------------------------------- */

/* Nearly all that travels are appends and their answers: they are asked for
 * first, and all other kinds by these three. */

static void put_rare(struct raft_out *out, const struct raft_message *m) {
  assert(out != NULL);
  assert(m != NULL);
  /* unreachable: the last kinds are greeting.c's, or none */
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: put_vote(out, m); return;
  case RAFT_MSG_VOTE_REPLY: put_vote_reply(out, m); return;
  case RAFT_MSG_PROPOSE: put_propose(out, m); return;
  case RAFT_MSG_PROPOSE_REPLY: put_propose_reply(out, m); return;
  case RAFT_MSG_READ: put_read(out, m); return;
  case RAFT_MSG_READ_REPLY: put_read(out, m); return;
  case RAFT_MSG_TIMEOUT_NOW: return;
  case RAFT_MSG_PING: return;
  case RAFT_MSG_NONE:
  case RAFT_MSG_APPEND:
  case RAFT_MSG_APPEND_REPLY:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE: break;
  }
  assert(false); /* not a kind that raft_wire_encode writes */
}

/* A kind that we do not read is bad. */
static void get_rare(struct raft_in *in, struct raft_message *m) {
  assert(in != NULL);
  assert((m->kind & OPTIONAL_KIND) == 0);
  /* unreachable: so it is no PING */
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: get_vote(in, m); return;
  case RAFT_MSG_VOTE_REPLY: get_vote_reply(in, m); return;
  case RAFT_MSG_PROPOSE: get_propose(in, m); return;
  case RAFT_MSG_PROPOSE_REPLY: get_propose_reply(in, m); return;
  case RAFT_MSG_READ: get_read(in, m); return;
  case RAFT_MSG_READ_REPLY: get_read(in, m); return;
  case RAFT_MSG_TIMEOUT_NOW: return;
  case RAFT_MSG_PING: return;
  case RAFT_MSG_NONE:
  case RAFT_MSG_APPEND:
  case RAFT_MSG_APPEND_REPLY:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE: break;
  }
  raft_in_refuse(in);
}

static bool is_sound_rare(const struct raft_message *m) {
  assert(m != NULL);
  if (m->kind != RAFT_MSG_PROPOSE && m->tail.size != 0) return false;
  /* unreachable: the last kinds have no fields that could be read */
  switch ((enum raft_message_kind)m->kind) {
  case RAFT_MSG_VOTE: return is_sound_vote(m);
  case RAFT_MSG_VOTE_REPLY: return is_sound_vote_reply(m);
  case RAFT_MSG_PROPOSE: return is_sound_propose(m);
  case RAFT_MSG_PROPOSE_REPLY: return is_sound_propose_reply(m);
  case RAFT_MSG_READ: return is_sound_read(m);
  case RAFT_MSG_READ_REPLY: return is_sound_read(m);
  case RAFT_MSG_TIMEOUT_NOW: return m->term != 0; /* sent by a leader */
  case RAFT_MSG_PING: return true;
  case RAFT_MSG_NONE:
  case RAFT_MSG_APPEND:
  case RAFT_MSG_APPEND_REPLY:
  case RAFT_MSG_HELLO:
  case RAFT_MSG_REFUSE: break;
  }
  return false;
}

/* Writes the fields behind the header. */
static inline void put_fields(struct raft_out *out,
                              const struct raft_message *m) {
  if (m->kind == RAFT_MSG_APPEND)
    put_append(out, m);
  else if (m->kind == RAFT_MSG_APPEND_REPLY)
    put_append_reply(out, m);
  else
    put_rare(out, m);
}

/* Reads them. */
static inline void get_fields(struct raft_in *in, struct raft_message *m) {
  if (m->kind == RAFT_MSG_APPEND)
    get_append(in, m);
  else if (m->kind == RAFT_MSG_APPEND_REPLY)
    get_append_reply(in, m);
  else
    get_rare(in, m);
}

/* Could a node of ours have sent it? */
static bool is_sound(const struct raft_message *m) {
  assert(m != NULL);
  /* unreachable: frame.c has looked, and a sender has a term */
  if (!raft_frame_is_number(m->term)) return false;
  if (m->kind == RAFT_MSG_APPEND) return is_sound_append(m);
  if (m->kind == RAFT_MSG_APPEND_REPLY) return is_sound_append_reply(m);
  return is_sound_rare(m);
}

size_t raft_wire_encode(const struct raft_message *m, uint8_t *out) {
  assert(m != NULL);
  assert(is_sound(m));
  struct raft_out fields = raft_frame_begin(out, RAFT_WIRE_HEAD_MAX);
  put_fields(&fields, m);
  struct raft_frame f;
  f.kind = m->kind;
  f.group = m->group;
  f.term = m->term;
  f.tail = (struct raft_slice){NULL, m->tail.size};
  size_t head = raft_frame_end(&fields, out, &f);
  assert(head <= RAFT_WIRE_HEAD_MAX);
  return head;
}

int raft_wire_decode(const uint8_t *data, size_t size, struct raft_message *m) {
  assert(m != NULL);
  struct raft_frame f;
  int error = raft_frame_open(data, size, &f);
  if (error != RAFT_OK) return error;
  if (f.kind == RAFT_MSG_HELLO || f.kind == RAFT_MSG_REFUSE)
    return RAFT_E_USAGE;
  if ((f.kind & OPTIONAL_KIND) != 0) return RAFT_E_UNSUPPORTED;
  raft_zero(m, sizeof *m);
  m->kind = f.kind;
  m->group = f.group;
  m->term = f.term;
  m->tail = f.tail;
  get_fields(&f.fields, m);
  if (!raft_in_is_good(&f.fields) || !is_sound(m)) return RAFT_E_CORRUPT;
  if (m->kind == RAFT_MSG_PROPOSE && !has_commands(m)) return RAFT_E_CORRUPT;
  return RAFT_OK;
}
