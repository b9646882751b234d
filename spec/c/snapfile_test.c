/* The file of a snapshot: its bytes for ever, all damage found, whatever the
 * chunks in which it is read. */
#include "snapfile.h"

#include "bytes.h"
#include "crc32c.h"
#include "golden.h"
#include "test.h"

#include <string.h>

enum { FIXED = RAFT_SNAPFILE_FIXED_BYTES, RECORD = RAFT_SNAPFILE_RECORD_BYTES };

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

static struct raft_snapshot snapshot(void) {
  return (struct raft_snapshot){.index = 0x0102030405060708u,
                                .term = 7,
                                .time = 1700000000123u,
                                .config_index = 3,
                                .config = {config, config_size}};
}

struct file {
  uint8_t data[2048];
  size_t size;
  size_t head; /* bytes of it */
  uint64_t checksum;
  struct raft_snapfile_writer writer;
};

static void add(struct file *f, const void *data, size_t size) {
  CHECK(size <= sizeof f->data - f->size);
  memcpy(f->data + f->size, data, size);
  f->size += size;
}

static void begin(struct file *f) {
  struct raft_snapshot s = snapshot();
  *f = (struct file){0};
  f->size = f->head = raft_snapfile_begin(&f->writer, &s, f->data);
}

static void state(struct file *f, const char *text) {
  uint8_t head[RECORD];
  struct raft_slice bytes = {(const uint8_t *)text, strlen(text)};
  raft_snapfile_record(&f->writer, bytes, head);
  add(f, head, sizeof head);
  add(f, bytes.data, bytes.size);
}

static void end(struct file *f) {
  uint8_t bytes[RAFT_SNAPFILE_END_BYTES];
  f->checksum = raft_snapfile_end(&f->writer, bytes);
  add(f, bytes, sizeof bytes);
  EQ(f->writer.size, f->size);
}

/* A file of two records. */
static void make(struct file *f) {
  begin(f);
  state(f, "some state");
  state(f, ", and more");
  end(f);
}

/* Reads it in chunks of `step`: what it came to, and the state. */
static int scan_of(const uint8_t *data, size_t size, size_t step,
                   struct raft_snapfile_scan *scan, char *out) {
  size_t used = 0;
  raft_snapfile_scan_begin(scan);
  for (size_t at = 0; at < size; at += step) {
    const uint8_t *next = data + at;
    size_t left = size - at < step ? size - at : step;
    while (left > 0) {
      struct raft_slice piece;
      if (raft_snapfile_scan_feed(scan, &next, &left, &piece) != RAFT_OK)
        return scan->error;
      if (piece.size > 0) memcpy(out + used, piece.data, piece.size);
      used += piece.size;
    }
  }
  out[used] = '\0';
  return raft_snapfile_scan_end(scan);
}

static int scan_all(const struct file *f, struct raft_snapfile_scan *scan) {
  char out[2048];
  return scan_of(f->data, f->size, sizeof f->data, scan, out);
}

/* Writes the checksum of the fixed part of the head anew. */
static void mend_head(struct file *f) {
  raft_put_u32(f->data + 8, raft_crc32c(0, f->data + 12, FIXED - 12));
}

static void mend_record(struct file *f, size_t at) {
  size_t size = raft_get_u32(f->data + at + 8);
  if (size <= f->size - at - RECORD)
    raft_put_u32(f->data + at + 12,
                 raft_crc32c(0, f->data + at + RECORD, size));
  raft_put_u32(f->data + at, raft_crc32c(0, f->data + at + 4, RECORD - 4));
}

/* ---- cases --------------------------------------------------------------- */

static void never_changes(void) {
  static struct file f;
  make(&f);
  GOLDEN("snapfile", f.data, f.size);
}

static void reads_what_was_written_in_any_chunks(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  struct raft_snapshot s;
  char out[2048];
  make(&f);
  for (size_t step = 1; step <= f.size; step++) {
    EQ(scan_of(f.data, f.size, step, &scan, out), RAFT_OK);
    EQ_TEXT(out, "some state, and more");
    EQ(scan.offset, f.size);
    EQ(scan.records, 2);
    EQ(scan.state_bytes, 20);
    EQ(scan.checksum, f.checksum);
  }
  CHECK(raft_snapfile_scan_head(&scan, &s));
  EQ(s.index, 0x0102030405060708u);
  EQ(s.term, 7);
  EQ(s.time, 1700000000123u);
  EQ(s.config_index, 3);
  EQ(s.config.size, config_size);
  EQ_BYTES(s.config.data, config, config_size);
}

static void may_have_an_empty_state(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  begin(&f);
  end(&f);
  EQ(scan_all(&f, &scan), RAFT_OK);
  EQ(scan.state_bytes, 0);
  CHECK(!scan.is_bare);
}

/* That of a witness: it is no empty state, and named otherwise. */
static void may_have_no_state(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  struct raft_snapshot s = snapshot();
  begin(&f);
  end(&f);
  EQ(scan_all(&f, &scan), RAFT_OK);
  uint64_t checksum = scan.checksum;
  s.is_bare = true;
  f.size = raft_snapfile_begin(&f.writer, &s, f.data);
  end(&f);
  EQ(scan_all(&f, &scan), RAFT_OK);
  CHECK(scan.is_bare);
  CHECK(raft_snapfile_scan_head(&scan, &s));
  CHECK(s.is_bare);
  CHECK(scan.checksum != checksum);
}

/* Sound in all its checksums, it says that there is no state behind one. */
static void no_state_behind_a_state_is_refused(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  uint8_t *last = f.data + f.size - RAFT_SNAPFILE_END_BYTES;
  uint8_t *ending = last + RAFT_SNAPFILE_RECORD_BYTES;
  last[4] = RAFT_SNAPFILE_BARE;
  raft_put_u64(ending + 16, raft_get_u64(ending + 16) ^ 1);
  raft_put_u32(last + 12, raft_crc32c(0, ending, 24));
  raft_put_u32(last, raft_crc32c(0, last + 4, RAFT_SNAPFILE_RECORD_BYTES - 4));
  EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
  CHECK(strcmp(scan.why, "a state where none is to be") == 0);
}

static void every_flipped_bit_is_found(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  for (size_t bit = 0; bit < 8 * f.size; bit++) {
    f.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
    CHECK(scan.why != NULL);
    f.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  EQ(scan_all(&f, &scan), RAFT_OK);
}

static void every_other_length_is_refused(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  size_t whole = f.size;
  for (f.size = 0; f.size < whole + 3; f.size++)
    if (f.size != whole) EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
}

/* Records of which each is sound, and not those that were written. */
static void a_record_left_out_or_twice_is_found(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  size_t at = f.head;
  size_t record = RECORD + 10;
  memmove(f.data + at, f.data + at + record, f.size - at - record);
  f.size -= record;
  EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
  EQ_TEXT(scan.why, "the end is of another file");
  make(&f);
  memcpy(f.data + at + record, f.data + at, record);
  EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
  EQ_TEXT(scan.why, "the end is of another file");
}

static void an_error_is_the_last_word(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  struct raft_slice piece;
  make(&f);
  f.data[0] ^= 1;
  EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
  f.data[0] ^= 1;
  const uint8_t *next = f.data;
  size_t left = f.size;
  EQ(raft_snapfile_scan_feed(&scan, &next, &left, &piece), RAFT_E_CORRUPT);
  EQ(piece.size, 0);
  EQ(left, f.size);
}

static void another_version_is_told_from_damage(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  raft_put_u32(f.data + 12, 2);
  mend_head(&f);
  EQ(scan_all(&f, &scan), RAFT_E_VERSION);
  EQ(scan.version, 2);
}

static void a_head_makes_sense(void) {
  static const struct {
    size_t at;
    uint64_t value;
    const char *why;
  } senseless[] = {
      {16, 0, "index"},
      {16, 1ull << 63, "index"},
      {24, 0, "term"},
      {24, 1ull << 63, "term"},
      {32, 1ull << 63, "time"},
      {40, 0, "config_index"},
      {40, 0x0102030405060709u, "config_index"},
  };
  static struct file f;
  struct raft_snapfile_scan scan;
  struct raft_snapshot s;
  for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
    make(&f);
    raft_put_u64(f.data + senseless[i].at, senseless[i].value);
    mend_head(&f);
    EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
    EQ_TEXT(scan.why, senseless[i].why);
    CHECK(!raft_snapfile_scan_head(&scan, &s));
  }
}

static void a_configuration_is_one(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  make(&f);
  f.data[FIXED] ^= 2; /* its version */
  raft_put_u32(f.data + 52, raft_crc32c(0, f.data + FIXED, config_size));
  mend_head(&f);
  EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
  EQ_TEXT(scan.why, "config");
  static const uint32_t sizes[] = {0, RAFT_CONFIG_BYTES_MAX + 1, UINT32_MAX};
  for (size_t i = 0; i < 3; i++) {
    make(&f);
    raft_put_u32(f.data + 48, sizes[i]);
    mend_head(&f);
    EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
    EQ_TEXT(scan.why, "the configuration's size");
  }
}

static void a_record_is_bounded_before_it_is_believed(void) {
  static const uint32_t sizes[] = {0, RAFT_SNAPFILE_PIECE_BYTES + 1,
                                   UINT32_MAX};
  static struct file f;
  struct raft_snapfile_scan scan;
  for (size_t i = 0; i < 3; i++) {
    make(&f);
    raft_put_u32(f.data + f.head + 8, sizes[i]);
    mend_record(&f, f.head);
    EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
    EQ_TEXT(scan.why, "a record that no version has");
  }
}

static void kinds_to_come_are_refused(void) {
  static const uint32_t kinds[] = {0, 2, 3, 4, 5, 254, 256 + 1, 1u << 24};
  static struct file f;
  struct raft_snapfile_scan scan;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    make(&f);
    raft_put_u32(f.data + f.head + 4, kinds[i]);
    mend_record(&f, f.head);
    EQ(scan_all(&f, &scan), RAFT_E_CORRUPT);
    EQ_TEXT(scan.why, "a record that no version has");
  }
}

static void equal_states_have_equal_sums_and_others_not(void) {
  static struct file f;
  static struct file g;
  make(&f);
  make(&g);
  EQ(f.checksum, g.checksum);
  CHECK(f.checksum <= INT64_MAX);
  begin(&g);
  state(&g, "some state");
  state(&g, ", and mora");
  end(&g);
  CHECK(f.checksum != g.checksum);
  EQ(f.size, g.size);
}

static void the_longest_piece_fits(void) {
  static struct file f;
  struct raft_snapfile_scan scan;
  char text[RAFT_SNAPFILE_PIECE_BYTES + 1];
  memset(text, 'x', sizeof text);
  text[RAFT_SNAPFILE_PIECE_BYTES] = '\0';
  begin(&f);
  state(&f, text);
  end(&f);
  EQ(scan_all(&f, &scan), RAFT_OK);
  EQ(scan.state_bytes, RAFT_SNAPFILE_PIECE_BYTES);
}

int main(void) {
  make_config();
  CASE(never_changes);
  CASE(reads_what_was_written_in_any_chunks);
  CASE(may_have_an_empty_state);
  CASE(may_have_no_state);
  CASE(no_state_behind_a_state_is_refused);
  CASE(every_flipped_bit_is_found);
  CASE(every_other_length_is_refused);
  CASE(a_record_left_out_or_twice_is_found);
  CASE(an_error_is_the_last_word);
  CASE(another_version_is_told_from_damage);
  CASE(a_head_makes_sense);
  CASE(a_configuration_is_one);
  CASE(a_record_is_bounded_before_it_is_believed);
  CASE(kinds_to_come_are_refused);
  CASE(equal_states_have_equal_sums_and_others_not);
  CASE(the_longest_piece_fits);
  return test_end();
}
