/* The frames of a snapshot's connection: their bytes for ever, all damage
 * found, lengths bounded before they are believed. */
#include "ship.h"

#include "crc32c.h"
#include "frame.h"
#include "golden.h"
#include "test.h"
#include "wire.h"

#include <string.h>

#define SAMPLES 4

struct buffer {
  uint8_t data[RAFT_SHIP_FRAME_BYTES_MAX + 64];
  size_t head; /* bytes up to the tail */
  size_t size;
};

/* ---- samples ------------------------------------------------------------- */

static uint8_t config[RAFT_CONFIG_BYTES_MAX];
static size_t config_size;

static void make_config(void) {
  struct raft_config c = {.election_min_ms = 500, .count = 1};
  c.rule[RAFT_OLD].kind = c.rule[RAFT_NEW].kind = RAFT_RULE_MAJORITY;
  c.members[0] =
      (struct raft_member){.id = raft_id_of("n1"),
                           .role = {RAFT_ROLE_VOTER, RAFT_ROLE_VOTER},
                           .goal = RAFT_ROLE_VOTER,
                           .name = "n1",
                           .address = "h:7101"};
  config_size = raft_config_encode(&c, config);
}

static const char *const goldens[SAMPLES] = {"ship_offer", "ship_taken",
                                             "ship_chunk", "ship_verdict"};

static struct raft_ship message(int i) {
  struct raft_ship m = {.term = 9};
  switch (i) {
  case 0:
    m.kind = RAFT_SHIP_OFFER;
    m.group = 0x0a0b0c0d;
    m.offer.index = 0x0102030405060708u;
    m.offer.term = 7;
    m.offer.time = 1700000000123u;
    m.offer.config_index = 3;
    m.offer.size = 0x1112131415161718u;
    m.offer.checksum = 0xf1f2f3f4f5f6f7f8u;
    m.tail = (struct raft_slice){config, config_size};
    break;
  case 1:
    m.kind = RAFT_SHIP_TAKEN;
    m.taken.offset = 0x2122232425262728u;
    break;
  case 2:
    m.kind = RAFT_SHIP_CHUNK;
    m.chunk.offset = 0x3132333435363738u;
    m.tail = (struct raft_slice){(const uint8_t *)"some bytes", 10};
    break;
  default:
    m.kind = RAFT_SHIP_VERDICT;
    m.verdict.code = RAFT_SHIP_NO_SPACE;
    m.tail = (struct raft_slice){(const uint8_t *)"the disk is full", 16};
  }
  return m;
}

static void encode(const struct raft_ship *m, struct buffer *b) {
  memset(b, 0xee, sizeof *b);
  b->head = raft_ship_encode(m, b->data);
  CHECK(b->head <= RAFT_SHIP_HEAD_MAX);
  if (m->tail.size > 0) memcpy(b->data + b->head, m->tail.data, m->tail.size);
  b->size = b->head + m->tail.size;
}

static void put(struct buffer *b, size_t at, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; i++)
    b->data[at + i] = (uint8_t)(value >> 8 * i);
}

/* Writes lengths and checksums anew, as the sender of this would. */
static void mend(struct buffer *b) {
  put(b, 0, b->size, 4);
  put(b, 10, b->head, 2);
  put(b, 24, raft_crc32c(0, b->data + b->head, b->size - b->head), 4);
  uint32_t crc = raft_crc32c(0, b->data, 4);
  put(b, 4, raft_crc32c(crc, b->data + 8, b->head - 8), 4);
}

static int decode(const struct buffer *b, struct raft_ship *m) {
  return raft_ship_decode(b->data, b->size, m);
}

static void same(struct raft_ship got, struct raft_ship want) {
  EQ(got.tail.size, want.tail.size);
  if (want.tail.size > 0 && got.tail.size == want.tail.size)
    EQ_BYTES(got.tail.data, want.tail.data, want.tail.size);
  got.tail = want.tail;
  EQ_BYTES(&got, &want, sizeof got);
}

/* ---- whole frames -------------------------------------------------------- */

static void never_changes(void) {
  static struct buffer b;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    struct raft_ship got;
    encode(&m, &b);
    GOLDEN(goldens[i], b.data, b.size);
    b.size = golden_read(goldens[i], b.data, sizeof b.data);
    EQ(decode(&b, &got), RAFT_OK);
    same(got, m);
  }
}

static void the_tail_stays_where_it_is(void) {
  static struct buffer b;
  struct raft_ship m = message(2);
  struct raft_ship got;
  encode(&m, &b);
  EQ(decode(&b, &got), RAFT_OK);
  CHECK(got.tail.data == b.data + b.head);
}

static void every_flipped_bit_is_found(void) {
  static struct buffer b;
  struct raft_ship got;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    encode(&m, &b);
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      EQ(decode(&b, &got), RAFT_E_CORRUPT);
      b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

static void every_other_length_is_refused(void) {
  static struct buffer b;
  struct raft_ship got;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    encode(&m, &b);
    for (size_t size = 0; size <= b.size + 2; size++)
      if (size != b.size)
        EQ(raft_ship_decode(b.data, size, &got), RAFT_E_CORRUPT);
  }
}

/* A newer node of the same version may have more to say. */
static void heads_may_grow_at_their_end(void) {
  static struct buffer b;
  struct raft_ship got;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    encode(&m, &b);
    memmove(b.data + b.head + 13, b.data + b.head, b.size - b.head);
    b.head += 13;
    b.size += 13;
    mend(&b);
    EQ(decode(&b, &got), RAFT_OK);
    same(got, m);
  }
}

static void a_shorter_head_is_refused(void) {
  static struct buffer b;
  struct raft_ship got;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    encode(&m, &b);
    size_t whole = b.head;
    for (b.head = 28; b.head < whole; b.head++) {
      mend(&b);
      EQ(decode(&b, &got), RAFT_E_CORRUPT);
    }
  }
}

/* ---- sizes --------------------------------------------------------------- */

static int64_t size_of(uint32_t size) {
  uint8_t data[4];
  for (int i = 0; i < 4; i++)
    data[i] = (uint8_t)(size >> 8 * i);
  return raft_ship_size(data, 4);
}

static void a_size_is_bounded_before_it_is_believed(void) {
  EQ(raft_ship_size((const uint8_t *)"abc", 3), 0);
  EQ(size_of(RAFT_FRAME_HEADER_BYTES - 1), RAFT_E_CORRUPT);
  EQ(size_of(RAFT_FRAME_HEADER_BYTES), RAFT_FRAME_HEADER_BYTES);
  EQ(size_of(RAFT_SHIP_FRAME_BYTES_MAX), RAFT_SHIP_FRAME_BYTES_MAX);
  EQ(size_of(RAFT_SHIP_FRAME_BYTES_MAX + 1u), RAFT_E_TOO_LARGE);
  EQ(size_of(0xffffffffu), RAFT_E_TOO_LARGE);
}

static void the_longest_chunk_fits_and_a_longer_one_does_not(void) {
  static struct buffer b;
  static uint8_t bytes[RAFT_SHIP_CHUNK_BYTES];
  struct raft_ship m = message(2);
  struct raft_ship got;
  m.tail = (struct raft_slice){bytes, sizeof bytes};
  encode(&m, &b);
  EQ(raft_ship_size(b.data, 4), b.size);
  EQ(decode(&b, &got), RAFT_OK);
  b.size++;
  mend(&b);
  EQ(decode(&b, &got), RAFT_E_CORRUPT);
}

static void a_frame_longer_than_any_is_refused(void) {
  static struct buffer b;
  struct raft_ship m = message(1);
  struct raft_ship got;
  encode(&m, &b);
  b.head = b.size = RAFT_SHIP_FRAME_BYTES_MAX + 1;
  mend(&b);
  EQ(decode(&b, &got), RAFT_E_CORRUPT);
}

/* ---- sense --------------------------------------------------------------- */

static const char *of(struct raft_ship m) {
  return raft_ship_check(&m);
}

/* What check says of an offer with one field changed; decode says the same. */
#define OFFER(field, value)                                                    \
  do {                                                                         \
    m = message(0);                                                            \
    m.field = (value);                                                         \
  } while (0)

static void an_offer_makes_sense(void) {
  struct raft_ship m;
  EQ_TEXT(of(message(0)), NULL);
  OFFER(offer.index, 0);
  EQ_TEXT(of(m), "index");
  OFFER(offer.index, (uint64_t)INT64_MAX + 1);
  EQ_TEXT(of(m), "index");
  OFFER(offer.term, 0);
  EQ_TEXT(of(m), "term");
  OFFER(offer.term, 10); /* [Raft 7] of a later term than its leader's? */
  EQ_TEXT(of(m), "term");
  OFFER(offer.term, 9);
  EQ_TEXT(of(m), NULL);
  OFFER(term, (uint64_t)INT64_MAX + 1);
  EQ_TEXT(of(m), "term");
  OFFER(offer.config_index, 0);
  EQ_TEXT(of(m), "config_index");
  OFFER(offer.config_index, m.offer.index + 1);
  EQ_TEXT(of(m), "config_index");
  OFFER(offer.config_index, m.offer.index);
  EQ_TEXT(of(m), NULL);
  OFFER(offer.size, 0);
  EQ_TEXT(of(m), "size");
  OFFER(offer.size, RAFT_SHIP_FILE_BYTES_MAX);
  EQ_TEXT(of(m), NULL);
  OFFER(offer.size, RAFT_SHIP_FILE_BYTES_MAX + 1);
  EQ_TEXT(of(m), "size");
}

static void an_offer_has_a_configuration(void) {
  static uint8_t long_one[RAFT_CONFIG_BYTES_MAX + 1];
  struct raft_ship m;
  OFFER(tail.size, 0);
  EQ_TEXT(of(m), "config");
  OFFER(tail.size, config_size - 1);
  EQ_TEXT(of(m), "config");
  m = message(0);
  m.tail = (struct raft_slice){long_one, sizeof long_one};
  EQ_TEXT(of(m), "config");
}

static void a_chunk_has_bytes_and_a_place(void) {
  struct raft_ship m = message(2);
  m.tail.size = 0;
  EQ_TEXT(of(m), "bytes");
  m = message(2);
  m.term = 0; /* nobody leads in term 0 */
  EQ_TEXT(of(m), "term");
  m = message(2);
  m.chunk.offset = RAFT_SHIP_FILE_BYTES_MAX;
  EQ_TEXT(of(m), NULL);
  m.chunk.offset++;
  EQ_TEXT(of(m), "offset");
}

static void an_answer_makes_sense(void) {
  static const uint8_t text[RAFT_SHIP_TEXT_BYTES + 1] = {'x'};
  struct raft_ship m = message(1);
  m.term = 0; /* it may have heard of no term yet */
  EQ_TEXT(of(m), NULL);
  m.taken.offset = RAFT_SHIP_FILE_BYTES_MAX + 1;
  EQ_TEXT(of(m), "offset");
  m = message(1);
  m.tail = (struct raft_slice){text, 1};
  EQ_TEXT(of(m), "tail");
  m = message(3);
  m.verdict.code = 0;
  EQ_TEXT(of(m), "code");
  m.verdict.code = 200; /* of a later version */
  EQ_TEXT(of(m), NULL);
  m.tail.size = 0;
  EQ_TEXT(of(m), NULL);
  m.tail = (struct raft_slice){text, 2}; /* a zero byte in it */
  EQ_TEXT(of(m), "text");
  m.tail = (struct raft_slice){(const uint8_t *)"a\x7f", 2};
  EQ_TEXT(of(m), "text");
  m.tail = (struct raft_slice){text, sizeof text};
  EQ_TEXT(of(m), "text");
}

/* Bytes that check would refuse, with the right checksums. */
static void what_makes_no_sense_is_not_decoded(void) {
  static struct buffer b;
  static const struct {
    int sample;
    size_t at;
    uint64_t value;
  } broken[] = {
      {0, 28, 0},          /* index */
      {0, 36, 10},         /* term */
      {0, 52, 0},          /* config_index */
      {0, 60, 0},          /* size */
      {1, 28, UINT64_MAX}, /* offset */
      {2, 28, UINT64_MAX}, /* offset */
      {3, 28, 0},          /* code; and some of the text */
  };
  struct raft_ship got;
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    struct raft_ship m = message(broken[i].sample);
    encode(&m, &b);
    mend(&b);
    EQ(decode(&b, &got), RAFT_OK);
    put(&b, broken[i].at, broken[i].value, 8);
    mend(&b);
    EQ(decode(&b, &got), RAFT_E_CORRUPT);
  }
}

static void other_kinds_are_refused_unless_optional(void) {
  static struct buffer b;
  struct raft_ship m = message(1);
  struct raft_ship got;
  encode(&m, &b);
  for (uint32_t kind = 0; kind < 256; kind++) {
    if (kind >= RAFT_SHIP_OFFER && kind <= RAFT_SHIP_VERDICT) continue;
    put(&b, 9, kind, 1);
    mend(&b);
    EQ(decode(&b, &got), kind >= 0x80 ? RAFT_E_UNSUPPORTED : RAFT_E_CORRUPT);
  }
  put(&b, 9, RAFT_SHIP_TAKEN, 1);
  put(&b, 8, 2, 1);
  mend(&b);
  EQ(decode(&b, &got), RAFT_E_VERSION);
}

/* They are of no other connection: a link that carries one is closed. */
static void links_do_not_know_them(void) {
  static struct buffer b;
  struct raft_message got;
  for (int i = 0; i < SAMPLES; i++) {
    struct raft_ship m = message(i);
    encode(&m, &b);
    EQ(raft_wire_decode(b.data, b.size, &got), RAFT_E_CORRUPT);
  }
}

static void noise_is_refused_or_makes_sense(void) {
  static struct buffer b;
  static struct buffer again;
  uint64_t state = test_seed();
  for (int round = 0; round < 20000; round++) {
    struct raft_ship m = message((int)(test_random(&state) % SAMPLES));
    struct raft_ship got;
    encode(&m, &b);
    for (uint64_t n = test_random(&state) % 5; n > 0; n--)
      b.data[8 + test_random(&state) % (b.size - 8)] =
          (uint8_t)test_random(&state);
    if (test_random(&state) % 2 == 0) mend(&b);
    if (decode(&b, &got) != RAFT_OK) continue;
    CHECK(raft_ship_check(&got) == NULL);
    encode(&got, &again);
    EQ(decode(&again, &m), RAFT_OK);
    same(m, got);
  }
}

int main(void) {
  make_config();
  CASE(never_changes);
  CASE(the_tail_stays_where_it_is);
  CASE(every_flipped_bit_is_found);
  CASE(every_other_length_is_refused);
  CASE(heads_may_grow_at_their_end);
  CASE(a_shorter_head_is_refused);
  CASE(a_size_is_bounded_before_it_is_believed);
  CASE(the_longest_chunk_fits_and_a_longer_one_does_not);
  CASE(a_frame_longer_than_any_is_refused);
  CASE(an_offer_makes_sense);
  CASE(an_offer_has_a_configuration);
  CASE(a_chunk_has_bytes_and_a_place);
  CASE(an_answer_makes_sense);
  CASE(what_makes_no_sense_is_not_decoded);
  CASE(other_kinds_are_refused_unless_optional);
  CASE(links_do_not_know_them);
  CASE(noise_is_refused_or_makes_sense);
  return test_end();
}
