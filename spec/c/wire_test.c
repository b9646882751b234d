/* Frames: their bytes for ever, every damage to a head refused, and nothing
 * believed that no node of ours would send. */
#include "wire.h"

#include "crc32c.h"
#include "entry.h"
#include "frame.h"
#include "golden.h"
#include "test.h"

#include <string.h>

#define ROOM    1024
#define SAMPLES 12

struct buffer {
  uint8_t data[ROOM];
  size_t head; /* bytes up to the tail */
  size_t size;
};

/* ---- samples: one message of each kind, no two fields alike -------------- */

/* Three commands: "a", "", "bcd". */
static const uint8_t commands[] = {1, 0, 0, 0, 'a', 0,   0,   0,
                                   0, 3, 0, 0, 0,   'b', 'c', 'd'};
static uint8_t entries[2 * RAFT_ENTRY_HEADER_BYTES];

static void make_entries(void) {
  for (uint32_t i = 0; i < 2; i++) {
    struct raft_entry e = {.index = 8 + i, .term = 4, .kind = RAFT_ENTRY_NOOP};
    raft_entry_encode(&e, entries + i * RAFT_ENTRY_HEADER_BYTES);
  }
}

struct sample {
  const char *golden;
  struct raft_message m;
};

static const struct sample samples[SAMPLES] = {
    {"frame_vote",
     {.kind = RAFT_MSG_VOTE,
      .group = 0x0a0b0c0d,
      .term = 5,
      .vote = {.for_term = 6,
               .last_index = 0x0102030405060708u,
               .last_term = 4,
               .round = 0xf1f2f3f4f5f6f7f8u,
               .pre = true}}},
    {"frame_vote_reply",
     {.kind = RAFT_MSG_VOTE_REPLY,
      .term = 7,
      .vote_reply =
          {.for_term = 7, .round = 9, .granted = true, .wall = 1000}}},
    {"frame_append",
     {.kind = RAFT_MSG_APPEND,
      .group = 1,
      .term = 5,
      .append = {.prev_index = 7,
                 .prev_term = 3,
                 .commit = 6,
                 .round = 11,
                 .count = 2},
      .tail = {entries, sizeof entries}}},
    {"frame_append_reply",
     {.kind = RAFT_MSG_APPEND_REPLY,
      .term = 5,
      .append_reply = {.index = 7,
                       .hint_index = 6,
                       .hint_term = 3,
                       .round = 11,
                       .wall = 1700000000123u,
                       .flags = RAFT_REPLY_AVOID}}},
    {"frame_timeout_now", {.kind = RAFT_MSG_TIMEOUT_NOW, .term = 5}},
    {"frame_propose",
     {.kind = RAFT_MSG_PROPOSE,
      .term = 5,
      .propose = {.token = 0x1122334455667788u, .count = 3},
      .tail = {commands, sizeof commands}}},
    {"frame_propose_reply",
     {.kind = RAFT_MSG_PROPOSE_REPLY,
      .term = 5,
      .propose_reply = {.token = 0x1122334455667788u,
                        .code = RAFT_E_BUSY,
                        .index = 12,
                        .missing = 5}}},
    {"frame_read", {.kind = RAFT_MSG_READ, .term = 5, .read = {.context = 77}}},
    {"frame_read_reply",
     {.kind = RAFT_MSG_READ_REPLY,
      .term = 5,
      .read = {.context = 77, .index = 13}}},
    {"frame_ping", {.kind = RAFT_MSG_PING}},
    {"frame_append_verdict",
     {.kind = RAFT_MSG_APPEND,
      .term = 5,
      .append = {.prev_index = 7,
                 .prev_term = 3,
                 .commit = 6,
                 .verdict = RAFT_VERDICT_MAJORITY,
                 .sum = {4, 0xa1a2a3a4a5a6a7a8u}}}},
    {"frame_append_reply_sum",
     {.kind = RAFT_MSG_APPEND_REPLY,
      .term = 5,
      .append_reply = {.accepted = true,
                       .index = 7,
                       .sum = {6, 0xb1b2b3b4b5b6b7b8u}}}},
};

/* The sample with what cannot be written down as a constant. */
static struct raft_message message(int i) {
  struct raft_message m = samples[i].m;
  make_entries();
  if (m.kind == RAFT_MSG_PROPOSE)
    m.propose.crc = raft_crc32c(0, commands, sizeof commands);
  return m;
}

static void encode(const struct raft_message *m, struct buffer *b) {
  memset(b, 0xee, sizeof *b);
  b->head = raft_wire_encode(m, b->data);
  CHECK(b->head <= RAFT_FRAME_FIXED_MAX);
  if (m->tail.size > 0) memcpy(b->data + b->head, m->tail.data, m->tail.size);
  b->size = b->head + m->tail.size;
}

static void encode_sample(int i, struct buffer *b) {
  struct raft_message m = message(i);
  encode(&m, b);
}

static int decode(const struct buffer *b, struct raft_message *m) {
  return raft_wire_decode(b->data, b->size, m);
}

/* What decode says of an undamaged sample. */
static int verdict(int i) {
  return samples[i].m.kind == RAFT_MSG_PING ? RAFT_E_UNSUPPORTED : RAFT_OK;
}

static void put(struct buffer *b, size_t at, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; i++)
    b->data[at + i] = (uint8_t)(value >> 8 * i);
}

/* Writes head, size and checksum anew, as the sender of this would. */
static void mend(struct buffer *b) {
  put(b, 0, b->size, 4);
  put(b, 10, b->head, 2);
  uint32_t crc = raft_crc32c(0, b->data, 4);
  put(b, 4, raft_crc32c(crc, b->data + 8, b->head - 8), 4);
}

/* ---- whole frames -------------------------------------------------------- */

static void never_changes(void) {
  struct buffer b;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    GOLDEN(samples[i].golden, b.data, b.size);
  }
}

/* The bytes kept in the repository are still understood. */
static void old_frames_are_understood(void) {
  struct buffer b;
  struct raft_message got;
  struct raft_message want;
  for (int i = 0; i < SAMPLES; i++) {
    b.size = golden_read(samples[i].golden, b.data, ROOM);
    int error = decode(&b, &got);
    EQ(error, verdict(i));
    if (error != RAFT_OK) continue;
    want = message(i);
    EQ(got.tail.size, want.tail.size);
    if (got.tail.size > 0)
      EQ_BYTES(got.tail.data, want.tail.data, got.tail.size);
    got.tail = want.tail;
    EQ_BYTES(&got, &want, sizeof got); /* every field in its place */
  }
}

static void the_tail_stays_where_it_is(void) {
  struct buffer b;
  struct raft_message m;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    if (decode(&b, &m) != RAFT_OK) continue;
    CHECK(m.tail.data == b.data + b.head);
  }
}

static void flags_are_told_apart(void) {
  struct raft_message m = message(0);
  struct raft_message got;
  struct buffer b;
  m.vote.pre = false;
  m.vote.transfer = true;
  m.vote.for_term = m.term;
  encode(&m, &b);
  EQ(decode(&b, &got), RAFT_OK);
  CHECK(!got.vote.pre);
  CHECK(got.vote.transfer);
  m = message(1);
  m.vote_reply.pre = true;
  m.vote_reply.granted = false;
  encode(&m, &b);
  EQ(decode(&b, &got), RAFT_OK);
  CHECK(got.vote_reply.pre);
  CHECK(!got.vote_reply.granted);
}

static void codes_come_back_whatever_they_are(void) {
  static const int32_t codes[] = {0, -1, RAFT_E_NOT_LEADER, -300, INT32_MIN};
  struct raft_message m = message(6);
  struct raft_message got;
  struct buffer b;
  for (size_t i = 0; i < 5; i++) {
    m.propose_reply.code = codes[i];
    encode(&m, &b);
    EQ(decode(&b, &got), RAFT_OK);
    EQ(got.propose_reply.code, codes[i]);
    EQ(got.propose_reply.missing, m.propose_reply.missing);
  }
}

/* ---- sizes --------------------------------------------------------------- */

static void a_size_is_told_from_four_bytes(void) {
  struct buffer b;
  encode_sample(2, &b);
  for (size_t size = 0; size < 4; size++)
    EQ(raft_wire_size(b.data, size), 0);
  for (size_t size = 4; size <= b.size; size++)
    EQ(raft_wire_size(b.data, size), b.size);
}

static int64_t size_of(uint32_t size) {
  struct buffer b;
  put(&b, 0, size, 4);
  return raft_wire_size(b.data, 4);
}

static void a_size_is_bounded_before_it_is_believed(void) {
  EQ(size_of(0), RAFT_E_CORRUPT);
  EQ(size_of(RAFT_FRAME_HEADER_BYTES - 1), RAFT_E_CORRUPT);
  EQ(size_of(RAFT_FRAME_HEADER_BYTES), RAFT_FRAME_HEADER_BYTES);
  EQ(size_of(RAFT_FRAME_BYTES_MAX), RAFT_FRAME_BYTES_MAX);
  EQ(size_of(RAFT_FRAME_BYTES_MAX + 1u), RAFT_E_TOO_LARGE);
  EQ(size_of(0x80000000u), RAFT_E_TOO_LARGE);
  EQ(size_of(0xffffffffu), RAFT_E_TOO_LARGE);
}

/* ---- damage -------------------------------------------------------------- */

static void every_truncation_is_refused(void) {
  struct buffer b;
  struct raft_message m;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    for (size_t size = 0; size < b.size; size++)
      EQ(raft_wire_decode(b.data, size, &m), RAFT_E_CORRUPT);
    EQ(raft_wire_decode(b.data, b.size + 1, &m), RAFT_E_CORRUPT);
  }
}

/* Also where the reader took the damaged size for true. */
static void every_flipped_bit_in_a_head_is_found(void) {
  struct buffer b;
  struct raft_message m;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    for (size_t bit = 0; bit < 8 * b.head; bit++) {
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      EQ(raft_wire_decode(b.data, b.size, &m), RAFT_E_CORRUPT);
      int64_t size = raft_wire_size(b.data, b.size);
      if (size > 0 && size <= ROOM)
        EQ(raft_wire_decode(b.data, (size_t)size, &m), RAFT_E_CORRUPT);
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

static void every_flipped_bit_in_commands_is_found(void) {
  struct buffer b;
  struct raft_message m;
  encode_sample(5, &b);
  for (size_t bit = 8 * b.head; bit < 8 * b.size; bit++) {
    b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(decode(&b, &m), RAFT_E_CORRUPT);
    b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

/* ---- what changes with time ---------------------------------------------- */

/* A newer node of the same version may have more to say. */
static void fields_may_grow_at_their_end(void) {
  struct buffer b;
  struct buffer grown;
  struct raft_message want;
  struct raft_message got;
  for (int i = 0; i < SAMPLES; i++) {
    if (i == 2 || i == 3) continue; /* leave out their last ones: 10, 11 */
    encode_sample(i, &b);
    grown = b;
    memmove(grown.data + b.head + 13, b.data + b.head, b.size - b.head);
    memset(grown.data + b.head, 0x5a, 13);
    grown.head += 13;
    grown.size += 13;
    mend(&grown);
    EQ(decode(&grown, &got), verdict(i));
    if (decode(&b, &want) != RAFT_OK) continue;
    EQ(got.tail.size, want.tail.size);
    CHECK(want.tail.size == 0 || got.tail.data == grown.data + grown.head);
    got.tail = want.tail;
    EQ_BYTES(&got, &want, sizeof got);
  }
}

static void a_shorter_head_is_refused(void) {
  struct buffer b;
  struct raft_message m;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    size_t whole = b.head;
    size_t plain = whole; /* without what may be left out */
    if (i == 10) plain -= 17;
    if (i == 11) plain -= 16;
    for (b.head = 8; b.head < whole; b.head++) {
      if (plain < whole && b.head == plain) continue;
      b.size = b.head;
      mend(&b);
      bool is_short = b.head < RAFT_FRAME_HEADER_BYTES || verdict(i) == RAFT_OK;
      EQ(decode(&b, &m), is_short ? RAFT_E_CORRUPT : verdict(i));
    }
  }
}

/* Only the head is read, so the tail need not be there. */
static void the_longest_frame_is_read_and_a_longer_one_is_not(void) {
  struct buffer b;
  struct raft_message m = {.kind = RAFT_MSG_PING};
  encode(&m, &b);
  for (uint32_t more = 0; more < 2; more++) {
    struct raft_frame f;
    b.size = (size_t)RAFT_FRAME_BYTES_MAX + more;
    mend(&b);
    EQ(raft_frame_open(b.data, b.size, &f), more ? RAFT_E_CORRUPT : RAFT_OK);
    EQ(raft_wire_size(b.data, 4), more ? RAFT_E_TOO_LARGE : (int64_t)b.size);
  }
}

static void a_head_beyond_the_frame_is_refused(void) {
  struct buffer b;
  struct raft_message m;
  encode_sample(4, &b);
  put(&b, 10, b.size + 1, 2);
  EQ(decode(&b, &m), RAFT_E_CORRUPT);
  put(&b, 10, 0xffff, 2);
  EQ(decode(&b, &m), RAFT_E_CORRUPT);
}

/* Decodes a sample with a mended change of `count` bytes at `at`. */
static int decode_with(int i, size_t at, uint64_t value, size_t count) {
  struct buffer b;
  struct raft_message m;
  encode_sample(i, &b);
  put(&b, at, value, count);
  mend(&b);
  return decode(&b, &m);
}

static void other_versions_are_told_from_noise(void) {
  struct buffer b;
  struct raft_message m;
  EQ(decode_with(0, 8, 0, 1), RAFT_E_VERSION);
  EQ(decode_with(0, 8, 2, 1), RAFT_E_VERSION);
  encode_sample(0, &b);
  b.data[8] = 2; /* and no checksum to it */
  EQ(decode(&b, &m), RAFT_E_CORRUPT);
}

static void unknown_kinds_are_refused_unless_optional(void) {
  for (unsigned kind = 0; kind < 256; kind++) {
    int got = decode_with(4, 9, kind, 1);
    if (kind == RAFT_MSG_HELLO || kind == RAFT_MSG_REFUSE)
      EQ(got, RAFT_E_USAGE);
    else if (kind == RAFT_MSG_TIMEOUT_NOW)
      EQ(got, RAFT_OK);
    else
      EQ(got, kind >= 0x80 ? RAFT_E_UNSUPPORTED : RAFT_E_CORRUPT);
  }
}

/* ---- what no node of ours would send ------------------------------------- */

static void truth_values_are_0_or_1(void) {
  EQ(decode_with(0, 24 + 33, 1, 1), RAFT_OK); /* vote: transfer */
  EQ(decode_with(0, 24 + 33, 2, 1), RAFT_E_CORRUPT);
  EQ(decode_with(0, 24 + 32, 3, 1), RAFT_E_CORRUPT); /* pre */
  EQ(decode_with(1, 24 + 16, 0xff, 1), RAFT_E_CORRUPT);
  EQ(decode_with(1, 24 + 17, 0x80, 1), RAFT_E_CORRUPT);
  EQ(decode_with(3, 24 + 40, 1, 1), RAFT_OK); /* append reply: accepted */
  EQ(decode_with(3, 24 + 40, 2, 1), RAFT_E_CORRUPT);
}

static void terms_and_indexes_cannot_wrap(void) {
  const uint64_t over = (uint64_t)1 << 63;
  for (int i = 0; i < SAMPLES; i++)
    EQ(decode_with(i, 16, over, 8), RAFT_E_CORRUPT); /* the sender's term */
  EQ(decode_with(0, 24 + 8, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(1, 24, over + 1, 8), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24, over - 1, 8), RAFT_E_CORRUPT); /* and two entries */
  EQ(decode_with(2, 24, over - 3, 8), RAFT_OK);
  EQ(decode_with(2, 24 + 16, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(3, 24, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(3, 24 + 8, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(3, 24 + 16, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(6, 24 + 8, over, 8), RAFT_E_CORRUPT);
  EQ(decode_with(8, 24 + 8, over, 8), RAFT_E_CORRUPT);
}

static void unknown_flags_are_refused(void) {
  for (unsigned flags = 0; flags < 256; flags++)
    EQ(decode_with(3, 24 + 41, flags, 1), flags < 8 ? RAFT_OK : RAFT_E_CORRUPT);
}

static void a_wish_is_one_command(void) {
  EQ(decode_with(5, 24 + 16, RAFT_PROPOSE_CHANGE, 1), RAFT_E_CORRUPT);
  EQ(decode_with(5, 24 + 16, RAFT_PROPOSE_TRANSFER, 1), RAFT_E_CORRUPT);
  EQ(decode_with(5, 24 + 16, RAFT_PROPOSE_SESSIONS + 1, 1), RAFT_E_CORRUPT);
}

/* [Raft 5.2] [Thesis 9.6] */
static void a_vote_is_for_the_term_it_says(void) {
  EQ(decode_with(0, 24, 5, 8), RAFT_E_CORRUPT); /* pre: one ahead */
  EQ(decode_with(0, 24, 7, 8), RAFT_E_CORRUPT);
  EQ(decode_with(0, 24 + 32, 0, 1), RAFT_E_CORRUPT); /* real: its own */
  EQ(decode_with(1, 24, 0, 8), RAFT_E_CORRUPT);      /* an answer for none */
}

/* [Raft 5.4.1] no log is ahead of its node; at 0 lies term 0, and only there */
static void a_place_in_the_log_makes_sense(void) {
  EQ(decode_with(0, 24 + 16, 6, 8), RAFT_E_CORRUPT);
  EQ(decode_with(0, 24 + 16, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(0, 24 + 8, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24 + 8, 6, 8), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24 + 8, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24, 0, 8), RAFT_E_CORRUPT);
}

static void nobody_leads_in_term_0(void) {
  EQ(decode_with(2, 16, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(4, 16, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(5, 16, 0, 8), RAFT_E_CORRUPT);
  EQ(decode_with(3, 16, 0, 8), RAFT_OK); /* a mere answer */
}

static void an_append_has_room_for_its_entries(void) {
  EQ(decode_with(2, 24 + 32, 1, 4), RAFT_OK); /* one long entry, it may be */
  EQ(decode_with(2, 24 + 32, 0, 4), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24 + 32, 3, 4), RAFT_E_CORRUPT);
  EQ(decode_with(2, 24 + 32, 0xffffffffu, 4), RAFT_E_CORRUPT);
}

static void only_append_and_propose_have_tails(void) {
  struct buffer b;
  struct raft_message m;
  for (int i = 0; i < SAMPLES; i++) {
    encode_sample(i, &b);
    bool has_tail = b.size > b.head;
    if (has_tail || verdict(i) != RAFT_OK) continue;
    b.size++;
    mend(&b);
    EQ(decode(&b, &m), RAFT_E_CORRUPT);
  }
}

static void a_heartbeat_is_an_append_of_nothing(void) {
  struct raft_message m = message(2);
  struct raft_message got;
  struct buffer b;
  m.append.count = 0;
  m.tail = (struct raft_slice){NULL, 0};
  encode(&m, &b);
  EQ(decode(&b, &got), RAFT_OK);
  EQ(got.append.count, 0);
  EQ(got.tail.size, 0);
}

static void an_answer_says_where_or_why_not(void) {
  EQ(decode_with(6, 24 + 16, 0, 4), RAFT_OK);
  EQ(decode_with(6, 24 + 16, 5, 4), RAFT_E_CORRUPT); /* a positive error */
  struct buffer b;
  struct raft_message m;
  encode_sample(6, &b);
  put(&b, 24 + 8, 0, 8);
  mend(&b);
  EQ(decode(&b, &m), RAFT_OK); /* busy, and nowhere */
  put(&b, 24 + 16, 0, 4);
  mend(&b);
  EQ(decode(&b, &m), RAFT_E_CORRUPT); /* appended, and nowhere */
}

/* ---- commands ------------------------------------------------------------ */

static void commands_come_one_by_one(void) {
  struct raft_slice tail = {commands, sizeof commands};
  struct raft_slice command;
  EQ(raft_wire_command_next(&tail, &command), RAFT_OK);
  EQ(command.size, 1);
  EQ(command.data[0], 'a');
  EQ(raft_wire_command_next(&tail, &command), RAFT_OK);
  EQ(command.size, 0);
  EQ(raft_wire_command_next(&tail, &command), RAFT_OK);
  EQ(command.size, 3);
  EQ_BYTES(command.data, "bcd", 3);
  EQ(raft_wire_command_next(&tail, &command), RAFT_E_MORE);
}

static void a_command_ends_within_its_tail(void) {
  for (size_t size = 1; size < 5; size++) {
    struct raft_slice tail = {commands, size};
    struct raft_slice command;
    EQ(raft_wire_command_next(&tail, &command), RAFT_E_CORRUPT);
    EQ(tail.size, size); /* and nothing was taken */
  }
  static const uint8_t giant[5] = {0xff, 0xff, 0xff, 0xff, 'a'};
  struct raft_slice tail = {giant, sizeof giant};
  struct raft_slice command;
  EQ(raft_wire_command_next(&tail, &command), RAFT_E_CORRUPT);
}

/* A tail whose checksum fits, with `count` commands said to be in it. */
static int decode_commands(const uint8_t *tail, size_t size, uint32_t count) {
  struct raft_message m = message(5);
  struct raft_message got;
  struct buffer b;
  m.tail = (struct raft_slice){tail, size};
  m.propose.crc = raft_crc32c(0, tail, size);
  encode(&m, &b);
  put(&b, 24 + 8, count, 4);
  mend(&b);
  return decode(&b, &got);
}

static void the_tail_holds_just_the_commands_it_says(void) {
  EQ(decode_commands(commands, sizeof commands, 3), RAFT_OK);
  EQ(decode_commands(commands, sizeof commands, 0), RAFT_E_CORRUPT);
  EQ(decode_commands(commands, sizeof commands, 2), RAFT_E_CORRUPT);
  EQ(decode_commands(commands, sizeof commands, 4), RAFT_E_CORRUPT);
  EQ(decode_commands(commands, sizeof commands - 1, 3), RAFT_E_CORRUPT);
  EQ(decode_commands(commands, sizeof commands, 0xffffffffu), RAFT_E_CORRUPT);
}

/* ---- noise --------------------------------------------------------------- */

/* Whatever decode lets in, encode writes again. */
static void check_again(const struct buffer *b) {
  struct raft_message m;
  struct buffer again;
  if (decode(b, &m) != RAFT_OK) return;
  encode(&m, &again);
  struct raft_message twice;
  EQ(decode(&again, &twice), RAFT_OK);
  twice.tail = m.tail;
  EQ_BYTES(&twice, &m, sizeof m);
}

static void noise_is_refused_or_makes_sense(void) {
  uint64_t state = test_seed();
  struct buffer b;
  for (int round = 0; round < 50000; round++) {
    encode_sample((int)(test_random(&state) % SAMPLES), &b);
    for (uint64_t n = test_random(&state) % 5; n > 0; n--)
      b.data[8 + test_random(&state) % (b.size - 8)] =
          (uint8_t)test_random(&state);
    if (test_random(&state) % 2 == 0) mend(&b);
    if (test_random(&state) % 4 == 0) b.size = test_random(&state) % b.size;
    check_again(&b);
  }
}

/* ---- greetings ----------------------------------------------------------- */

static const struct raft_hello hello = {
    .version_min = 1,
    .version_max = 3,
    .purpose = RAFT_HELLO_PEER,
    .formed = true,
    .identity = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,
                 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf},
    .group = 2,
    .plan = 0x1111111111111111u,
    .incarnation = 0x2222222222222222u,
    .starts = 3,
    .nonce = 0x4444444444444444u,
    .known = 0xfedcba9876543210u,
    .config_index = 0x0807060504030201u,
    .cluster = "default",
    .id = "n1",
    .to = "n2",
    .address = "127.0.0.1:7101",
};

static const struct raft_refusal refusal = {
    .code = "cluster_mismatch",
    .text = "this is cluster \"a\", you are of cluster \"b\"",
};

static void encode_hello(const struct raft_hello *h, struct buffer *b) {
  memset(b, 0xee, sizeof *b);
  b->head = b->size = raft_hello_encode(h, b->data);
  CHECK(b->size <= RAFT_HELLO_BYTES_MAX);
}

static int decode_hello(const struct buffer *b, struct raft_hello *h) {
  return raft_hello_decode(b->data, b->size, h);
}

static void encode_refusal(struct buffer *b) {
  memset(b, 0xee, sizeof *b);
  b->head = b->size = raft_refusal_encode(&refusal, b->data);
}

static int decode_refusal(const struct buffer *b, struct raft_refusal *f) {
  return raft_refusal_decode(b->data, b->size, f);
}

static void greetings_never_change(void) {
  struct buffer b;
  struct raft_hello h;
  struct raft_refusal f;
  encode_hello(&hello, &b);
  GOLDEN("hello", b.data, b.size);
  b.size = golden_read("hello", b.data, ROOM);
  EQ(decode_hello(&b, &h), RAFT_OK);
  EQ_BYTES(&h, &hello, sizeof h);
  encode_refusal(&b);
  GOLDEN("refusal", b.data, b.size);
  b.size = golden_read("refusal", b.data, ROOM);
  EQ(decode_refusal(&b, &f), RAFT_OK);
  EQ_BYTES(&f, &refusal, sizeof f);
}

static void the_longest_hello_fits(void) {
  struct raft_hello h = hello;
  struct raft_hello got;
  struct buffer b;
  memset(h.cluster, 'c', RAFT_NAME_BYTES);
  memset(h.id, 'i', RAFT_NAME_BYTES);
  memset(h.to, 't', RAFT_NAME_BYTES);
  memset(h.address, 'a', RAFT_ADDRESS_BYTES);
  encode_hello(&h, &b);
  EQ(decode_hello(&b, &got), RAFT_OK);
  EQ_BYTES(&got, &h, sizeof h);
}

static void a_hello_is_checked_field_by_field(void) {
  struct raft_hello h = hello;
  EQ_TEXT(raft_hello_check(&h), NULL);
  h.version_min = 0;
  EQ_TEXT(raft_hello_check(&h), "version_min");
  h.version_min = h.version_max;
  EQ_TEXT(raft_hello_check(&h), NULL);
  h.version_min++;
  EQ_TEXT(raft_hello_check(&h), "version_max");
  h = hello;
  h.purpose = 0;
  EQ_TEXT(raft_hello_check(&h), "purpose");
  h.purpose = RAFT_HELLO_SNAPSHOT;
  EQ_TEXT(raft_hello_check(&h), NULL);
  h.purpose = RAFT_HELLO_JOIN + 1;
  EQ_TEXT(raft_hello_check(&h), "purpose");
  h = hello;
  h.formed = false; /* then it is promised */
  EQ_TEXT(raft_hello_check(&h), NULL);
  h.formed = true;
  memset(h.identity, 0, sizeof h.identity);
  EQ_TEXT(raft_hello_check(&h), "identity");
  h = hello;
  h.cluster[0] = '\0';
  EQ_TEXT(raft_hello_check(&h), "cluster");
  h = hello;
  h.id[1] = '/';
  EQ_TEXT(raft_hello_check(&h), "id");
  h = hello;
  h.address[3] = ' ';
  EQ_TEXT(raft_hello_check(&h), "address");
  h.address[0] = '\0'; /* it does not listen */
  EQ_TEXT(raft_hello_check(&h), NULL);
}

static void only_a_client_may_greet_whom_it_does_not_know(void) {
  struct raft_hello h = hello;
  h.to[0] = '\0';
  EQ_TEXT(raft_hello_check(&h), "to");
  h.purpose = RAFT_HELLO_CLIENT;
  EQ_TEXT(raft_hello_check(&h), NULL);
  h.to[0] = '*';
  EQ_TEXT(raft_hello_check(&h), "to");
}

static void every_damage_to_a_greeting_is_found(void) {
  struct buffer b;
  struct raft_hello h;
  struct raft_refusal f;
  for (int kind = 0; kind < 2; kind++) {
    if (kind == 0)
      encode_hello(&hello, &b);
    else
      encode_refusal(&b);
    size_t whole = b.size;
    for (size_t bit = 0; bit < 8 * whole; bit++) {
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      EQ(kind ? decode_refusal(&b, &f) : decode_hello(&b, &h), RAFT_E_CORRUPT);
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (b.size = 0; b.size < whole; b.size++)
      EQ(kind ? decode_refusal(&b, &f) : decode_hello(&b, &h), RAFT_E_CORRUPT);
  }
}

/* The same with sizes and checksum mended: the texts end too early. */
static void every_shorter_greeting_is_refused(void) {
  struct buffer b;
  struct raft_hello h;
  struct raft_refusal f;
  encode_hello(&hello, &b);
  for (size_t size = b.size - 1; size >= 24; size--) {
    b.head = b.size = size;
    mend(&b);
    EQ(decode_hello(&b, &h), RAFT_E_CORRUPT);
  }
  encode_refusal(&b);
  for (size_t size = b.size - 1; size >= 24; size--) {
    b.head = b.size = size;
    mend(&b);
    EQ(decode_refusal(&b, &f), RAFT_E_CORRUPT);
  }
}

static void greetings_may_grow_up_to_their_bound(void) {
  struct buffer b;
  struct raft_hello h;
  encode_hello(&hello, &b);
  b.head = b.size = RAFT_HELLO_BYTES_MAX;
  mend(&b);
  EQ(decode_hello(&b, &h), RAFT_OK);
  EQ_BYTES(&h, &hello, sizeof h);
  b.head--;
  mend(&b);
  EQ(decode_hello(&b, &h), RAFT_E_CORRUPT); /* a tail */
  uint8_t longer[RAFT_HELLO_BYTES_MAX + 1] = {0};
  EQ(raft_hello_decode(longer, sizeof longer, &h), RAFT_E_CORRUPT);
}

/* A hello with one mended change. */
static int hello_with(size_t at, uint64_t value, size_t count) {
  struct buffer b;
  struct raft_hello h;
  encode_hello(&hello, &b);
  put(&b, at, value, count);
  mend(&b);
  return decode_hello(&b, &h);
}

static void lengths_of_texts_are_bounded(void) {
  enum { CLUSTER = 24 + 68, ADDRESS = CLUSTER + 8 + 3 + 3 };
  EQ(hello_with(CLUSTER, 7, 1), RAFT_OK);
  EQ(hello_with(CLUSTER, 0, 1), RAFT_E_CORRUPT);
  EQ(hello_with(CLUSTER, RAFT_NAME_BYTES + 1, 1), RAFT_E_CORRUPT);
  EQ(hello_with(CLUSTER, 255, 1), RAFT_E_CORRUPT);
  EQ(hello_with(CLUSTER + 1, 0, 1), RAFT_E_CORRUPT); /* a zero in it */
  EQ(hello_with(CLUSTER + 1, '\n', 1), RAFT_E_CORRUPT);
  EQ(hello_with(ADDRESS, 14, 2), RAFT_OK);
  EQ(hello_with(ADDRESS, 0, 2), RAFT_OK);
  EQ(hello_with(ADDRESS, 15, 2), RAFT_E_CORRUPT);
  EQ(hello_with(ADDRESS, 0xffff, 2), RAFT_E_CORRUPT);
}

static void a_hello_of_no_sense_is_refused(void) {
  EQ(hello_with(8, 2, 1), RAFT_E_VERSION);
  EQ(hello_with(9, RAFT_MSG_REFUSE, 1), RAFT_E_CORRUPT);
  EQ(hello_with(9, RAFT_MSG_PING, 1), RAFT_E_CORRUPT);
  EQ(hello_with(24, 0, 1), RAFT_E_CORRUPT); /* the oldest version */
  EQ(hello_with(24, 4, 1), RAFT_E_CORRUPT); /* above the newest */
  EQ(hello_with(26, 9, 1), RAFT_E_CORRUPT); /* the purpose */
  EQ(hello_with(27, 2, 1), RAFT_E_CORRUPT); /* formed */
  EQ(hello_with(27, 0, 1), RAFT_OK);        /* not, but promised */
}

static int refusal_with(size_t at, uint64_t value, size_t count) {
  struct buffer b;
  struct raft_refusal f;
  encode_refusal(&b);
  put(&b, at, value, count);
  mend(&b);
  return decode_refusal(&b, &f);
}

static void a_refusal_is_fit_to_be_shown(void) {
  enum { CODE = 24, TEXT = CODE + 1 + 16 };
  EQ(refusal_with(CODE, 0, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(CODE + 1, 'C', 1), RAFT_E_CORRUPT);
  EQ(refusal_with(CODE + 1, ' ', 1), RAFT_E_CORRUPT);
  EQ(refusal_with(CODE + 2, 'a', 1), RAFT_OK);
  EQ(refusal_with(CODE + 2, 'z', 1), RAFT_OK);
  EQ(refusal_with(CODE + 2, 'a' - 1, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(CODE + 2, 'z' + 1, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT, 0, 2), RAFT_OK);
  EQ(refusal_with(TEXT, 256, 2), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT + 2, '\n', 1), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT + 2, 0x1b, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT + 3, 0x1b, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT + 2, 0x7f, 1), RAFT_E_CORRUPT);
  EQ(refusal_with(TEXT + 2, ' ', 1), RAFT_OK);
  EQ(refusal_with(TEXT + 2, 0, 1), RAFT_E_CORRUPT);
}

static void a_kind_is_told_from_the_header(void) {
  struct buffer b;
  encode_hello(&hello, &b);
  EQ(raft_wire_kind(b.data), RAFT_MSG_HELLO);
  encode_sample(9, &b);
  EQ(raft_wire_kind(b.data), RAFT_MSG_PING);
}

static void run_messages(void) {
  CASE(never_changes);
  CASE(old_frames_are_understood);
  CASE(the_tail_stays_where_it_is);
  CASE(flags_are_told_apart);
  CASE(codes_come_back_whatever_they_are);
  CASE(a_size_is_told_from_four_bytes);
  CASE(a_size_is_bounded_before_it_is_believed);
  CASE(every_truncation_is_refused);
  CASE(every_flipped_bit_in_a_head_is_found);
  CASE(every_flipped_bit_in_commands_is_found);
  CASE(fields_may_grow_at_their_end);
  CASE(a_shorter_head_is_refused);
  CASE(the_longest_frame_is_read_and_a_longer_one_is_not);
  CASE(a_head_beyond_the_frame_is_refused);
  CASE(other_versions_are_told_from_noise);
  CASE(unknown_kinds_are_refused_unless_optional);
  CASE(truth_values_are_0_or_1);
  CASE(unknown_flags_are_refused);
  CASE(a_wish_is_one_command);
  CASE(terms_and_indexes_cannot_wrap);
  CASE(a_vote_is_for_the_term_it_says);
  CASE(a_place_in_the_log_makes_sense);
  CASE(nobody_leads_in_term_0);
  CASE(an_append_has_room_for_its_entries);
  CASE(only_append_and_propose_have_tails);
  CASE(a_heartbeat_is_an_append_of_nothing);
  CASE(an_answer_says_where_or_why_not);
  CASE(commands_come_one_by_one);
  CASE(a_command_ends_within_its_tail);
  CASE(the_tail_holds_just_the_commands_it_says);
  CASE(noise_is_refused_or_makes_sense);
}

static void run_greetings(void) {
  CASE(greetings_never_change);
  CASE(the_longest_hello_fits);
  CASE(a_hello_is_checked_field_by_field);
  CASE(only_a_client_may_greet_whom_it_does_not_know);
  CASE(every_damage_to_a_greeting_is_found);
  CASE(every_shorter_greeting_is_refused);
  CASE(greetings_may_grow_up_to_their_bound);
  CASE(lengths_of_texts_are_bounded);
  CASE(a_hello_of_no_sense_is_refused);
  CASE(a_refusal_is_fit_to_be_shown);
  CASE(a_kind_is_told_from_the_header);
}

int main(void) {
  run_messages();
  run_greetings();
  return test_end();
}
