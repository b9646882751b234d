/* wal_scan_test.c - what the files of a log mean after a crash: a torn end is
 * cut, rot is stepped over or refused, and no damage loses an acknowledged
 * batch in silence, but for the residue that is counted here by name. */
#include "wal_scan.h"

#include "bytes.h"
#include "crc32c.h"
#include "test.h"
#include "wal_files.h"

#include <stdlib.h>
#include <string.h>

static struct wal_files files; /* large, so not on the stack */

enum outcome { RECOVERED = 1, TORN, STEPPED, CORRUPT, VERSION };

struct judged {
  enum outcome outcome;
  raft_index last;
  raft_term term;
  raft_id vote;
  raft_index lost;  /* newest entry that there was; 0: all are there */
  uint64_t segment; /* of the damage */
  uint64_t offset;
};

static struct judged judge(void) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  int error = wal_files_scan(&files, &scan, &options);
  struct judged j = {
      .outcome = scan.torn_end != 0 ? TORN : RECOVERED,
      .last = scan.state.last,
      .term = scan.state.term,
      .vote = scan.state.vote,
      .segment = scan.fault.segment,
      .offset = scan.fault.offset,
  };
  if (error == RAFT_OK && scan.damage.why != NULL) {
    struct raft_recovery r;
    raft_wal_state_result(&scan.state, &r);
    EQ(r.last, scan.map.last);
    j.outcome = STEPPED;
    j.lost = r.lost_last;
    j.segment = scan.damage.segment;
    j.offset = scan.damage.offset;
  }
  if (error == RAFT_E_CORRUPT) j.outcome = CORRUPT;
  if (error == RAFT_E_VERSION) j.outcome = VERSION;
  if (error != RAFT_OK) CHECK(scan.fault.why != NULL);
  if (error == RAFT_E_CORRUPT) EQ(scan.fault.version, 0);
  raft_wal_scan_free(&scan);
  return j;
}

static void judged_as(enum outcome outcome, raft_index last) {
  struct judged j = judge();
  EQ(j.outcome, outcome);
  if (outcome <= TORN) EQ(j.last, last);
}

static void damaged_at(uint64_t segment, uint64_t offset) {
  struct judged j = judge();
  EQ(j.outcome, CORRUPT);
  EQ(j.segment, segment);
  EQ(j.offset, offset);
}

/* Damage there was stepped over: this is left of what went up to `lost`. */
static void stepped_over_at(uint64_t segment, uint64_t offset, raft_index last,
                            raft_index lost) {
  struct judged j = judge();
  EQ(j.outcome, STEPPED);
  EQ(j.segment, segment);
  EQ(j.offset, offset);
  EQ(j.last, last);
  EQ(j.lost, lost);
}

/* Two segments: entries 1..3 in the first, 4..7 and a vote in the second. */
static void write_two_segments(bool is_marked) {
  wal_files_init(&files);
  files.vote = 5;
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 2, 1);
  wal_files_add(&files, 3, 3, 1);
  wal_files_segment(&files, 8);
  wal_files_add(&files, 4, 5, 2);
  files.vote = 9;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  wal_files_add(&files, 6, 7, 2);
  if (is_marked) wal_files_put(&files, RAFT_WAL_MARK, NULL, 0);
  wal_files_free(&files);
}

/* ---- plain recovery ------------------------------------------------------ */

static void nothing_is_recovered_from_nothing(void) {
  wal_files_init(&files);
  judged_as(RECOVERED, 0);
  wal_files_segment(&files, 3);
  judged_as(RECOVERED, 0);
  wal_files_free(&files);
}

static void everything_written_is_recovered(void) {
  write_two_segments(false);
  struct judged j = judge();
  EQ(j.outcome, RECOVERED);
  EQ(j.last, 7);
  EQ(j.term, 2);
  EQ(j.vote, 9);
}

static void a_full_segment_needs_no_zeros_behind_it(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 2);
  wal_files_add(&files, 1, 1, 1);
  judged_as(RECOVERED, 1);
  wal_files_segment(&files, 2);
  judged_as(RECOVERED, 1);
  wal_files_free(&files);
}

/* ---- damage -------------------------------------------------------------- */

struct census {      /* what became of the flipped bits */
  unsigned harmless; /* in bytes that mean nothing */
  unsigned refused;
  unsigned stepped; /* over: nothing but entries was lost, and it is said */
  unsigned kept;    /* cut as torn, and nothing was lost */
  unsigned residue; /* the last batch, when no mark follows it, was cut */
};

static void flip(struct wal_file *file, size_t bit, struct census *census) {
  file->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  struct judged j = judge();
  file->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  if (j.outcome == CORRUPT) {
    census->refused++;
  } else if (j.outcome == STEPPED) {
    EQ(j.vote, 9);
    EQ(j.last < 7 ? j.lost : 7, 7);
    CHECK(j.last < 7 || j.lost == 0);
    census->stepped++;
  } else if (j.outcome == RECOVERED) {
    EQ(j.last, 7);
    EQ(j.vote, 9);
    census->harmless++;
  } else if (j.last == 7) {
    EQ(j.vote, 9);
    census->kept++;
  } else {
    EQ(j.last, 5); /* only the last batch */
    EQ(j.vote, 9); /* and no vote with it */
    census->residue++;
  }
}

/* Flips every bit that means something and one bit of every other byte. */
static struct census flip_file(struct wal_file *file) {
  struct census census = {0};
  for (size_t byte = 0; byte < file->size; byte++) {
    bool means = byte % RAFT_WAL_SECTOR < 200;
    for (size_t bit = 0; bit < 8; bit++)
      if (means || bit == byte % 8) flip(file, byte * 8 + bit, &census);
  }
  return census;
}

/* Bits flipped in a sector whose first `used` bytes mean something. */
static unsigned flips_used(unsigned used) {
  return used * 8; /* used <= 200 */
}

static void no_flipped_bit_of_an_older_segment_goes_unseen(void) {
  write_two_segments(false);
  struct census c = flip_file(&files.files[0]);
  unsigned head = 200 * 8 + RAFT_WAL_SECTOR - 200;
  unsigned batches = flips_used(88 + 8 + 2 * 50) + flips_used(88 + 8 + 50);
  EQ(c.refused, head);
  EQ(c.stepped, batches);
  EQ(c.kept, 0);
  EQ(c.residue, 0);
}

static void only_the_unmarked_last_batch_can_be_lost(void) {
  write_two_segments(false);
  struct census c = flip_file(&files.files[1]);
  unsigned head = 200 * 8 + RAFT_WAL_SECTOR - 200;
  unsigned last = flips_used(88 + 8 + 2 * 50);
  EQ(c.refused, head);
  EQ(c.stepped, last + flips_used(88)); /* 4..5, and the vote */
  EQ(c.residue, last);                  /* 6..7 */
  CHECK(c.kept > 0);                    /* in the zeros behind */
}

static void a_mark_leaves_no_residue(void) {
  write_two_segments(true);
  struct census c = flip_file(&files.files[1]);
  unsigned head = 200 * 8 + RAFT_WAL_SECTOR - 200;
  unsigned batches = 2 * flips_used(88 + 8 + 2 * 50) + flips_used(88);
  EQ(c.refused, head);
  EQ(c.stepped, batches);
  EQ(c.residue, 0);
}

static void a_shortened_segment_is_refused_at_every_length(void) {
  write_two_segments(false);
  for (size_t i = 0; i < 2; i++) {
    size_t size = files.files[i].size;
    for (size_t cut = 1; cut < size; cut++) {
      files.files[i].size = cut;
      EQ(judge().outcome, CORRUPT);
    }
    files.files[i].size = size;
  }
  judged_as(RECOVERED, 7);
}

static void a_lengthened_segment_is_refused(void) {
  write_two_segments(false);
  files.files[1].size++;
  damaged_at(2, 8 * RAFT_WAL_SECTOR);
}

/* What a crash leaves of a batch from `offset` on: the sectors in `landed`. */
static void tear(struct wal_file *file, uint64_t offset, unsigned sectors,
                 unsigned landed) {
  for (unsigned i = 0; i < sectors; i++)
    if (!(landed >> i & 1))
      memset(file->bytes + offset + (size_t)i * RAFT_WAL_SECTOR, 0,
             RAFT_WAL_SECTOR);
}

/* Entry 1, then a batch of four sectors with entry 2; k alone may be torn. */
static uint64_t write_large_last(void) {
  static uint8_t entry[4 * RAFT_WAL_SECTOR];
  wal_files_init(&files);
  wal_files_segment(&files, 10);
  wal_files_add(&files, 1, 1, 1);
  size_t size = wal_entries(2, 2, 1, 3 * RAFT_WAL_SECTOR, entry);
  uint64_t offset = wal_files_put(&files, RAFT_WAL_DATA, entry, size);
  wal_files_free(&files);
  return offset;
}

static void any_sectors_of_the_last_batch_may_be_missing(void) {
  for (unsigned landed = 0; landed < 16; landed++) {
    uint64_t offset = write_large_last();
    tear(&files.files[0], offset, 4, landed);
    if (landed == 15)
      judged_as(RECOVERED, 2);
    else
      judged_as(landed != 0 ? TORN : RECOVERED, 1);
  }
}

/* Batch k is damaged in one place, and batch k + 1 half written. All of it: its
 * head has the hard state. Without its body that is torn off, and then nobody
 * would know any more that k was durable. */
static enum outcome rot_and_tear(size_t damage, unsigned landed) {
  uint64_t offset = write_large_last();
  struct wal_file *file = &files.files[0];
  tear(file, offset, 4, landed);
  file->bytes[RAFT_WAL_SECTOR + damage] ^= 1;
  return judge().outcome;
}

static void rot_is_seen_by_any_trace_of_a_later_batch(void) {
  for (unsigned landed = 0; landed < 16; landed++) {
    bool has_head = (landed & 1) != 0;
    enum outcome seen = landed == 15 ? STEPPED : CORRUPT;
    /* The head of k is damaged: only another head tells that more came. */
    EQ(rot_and_tear(20, landed), has_head ? seen : TORN);
    /* Its body is: the head tells where it ends, so any byte behind does. */
    EQ(rot_and_tear(100, landed), landed != 0 ? seen : TORN);
  }
}

static void bytes_behind_a_batch_that_names_its_end_are_a_trace(void) {
  write_large_last();
  struct wal_file *file = &files.files[0];
  tear(file, 2 * RAFT_WAL_SECTOR, 4, 0);
  file->bytes[RAFT_WAL_SECTOR + 100] ^= 1; /* in the body of entry 1 */
  judged_as(TORN, 0);
  file->bytes[4 * RAFT_WAL_SECTOR] = 1; /* a headless piece of the next */
  damaged_at(1, RAFT_WAL_SECTOR);
  file->bytes[4 * RAFT_WAL_SECTOR] = 0;
  file->bytes[4 * RAFT_WAL_SECTOR + 9] = 1; /* that begins with a zero */
  damaged_at(1, RAFT_WAL_SECTOR);
  file->bytes[4 * RAFT_WAL_SECTOR + 9] = 0;
  file->bytes[5 * RAFT_WAL_SECTOR - 1] = 1;
  damaged_at(1, RAFT_WAL_SECTOR);
}

/* The head of a batch stands behind the end of the log, at offset 3. */
static enum outcome with_a_head_behind(uint64_t salt, uint64_t number) {
  wal_files_init(&files);
  wal_files_segment(&files, 6);
  wal_files_add(&files, 1, 1, 1);
  uint64_t offset = wal_files_add(&files, 2, 2, 1);
  uint8_t *bytes = files.files[0].bytes + offset;
  struct raft_wal_batch b;
  EQ(raft_wal_batch_decode(bytes, RAFT_WAL_SECTOR, &b), RAFT_OK);
  b.salt += salt;
  b.number += number;
  b.offset = offset + RAFT_WAL_SECTOR;
  b.kind = RAFT_WAL_DATA;
  raft_wal_batch_encode(&b, NULL, 0, bytes + RAFT_WAL_SECTOR);
  memset(bytes, 0, RAFT_WAL_SECTOR);
  wal_files_free(&files);
  return judge().outcome;
}

/* A file may have been of another segment once; its batches are no trace, nor
 * are copies of what the log has. */
static void only_later_batches_of_this_segment_are_a_trace(void) {
  EQ(with_a_head_behind(0, 0), STEPPED);
  EQ(with_a_head_behind(0, 1), STEPPED);
  EQ(with_a_head_behind(1, 1), TORN);
  EQ(with_a_head_behind(0, UINT64_MAX), TORN); /* the one before: a copy */
  EQ(with_a_head_behind(1, UINT64_MAX), TORN);
}

/* What was there when the directory was listed can not be read any more. */
static void a_file_that_shrinks_under_the_scan_is_refused(void) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, 1);
  struct raft_wal_file file = {1, files.files[0].size, true};
  const uint8_t *bytes = files.files[0].bytes;
  raft_wal_scan_init(&scan, &options);
  EQ(raft_wal_scan_open(&scan, &file,
                        (struct raft_slice){bytes, RAFT_WAL_SECTOR}),
     RAFT_OK);
  EQ(scan.want_offset, RAFT_WAL_SECTOR);
  struct raft_slice less = {bytes + RAFT_WAL_SECTOR,
                            (size_t)scan.want_size - 1};
  EQ(raft_wal_scan_feed(&scan, less), RAFT_E_CORRUPT);
  EQ_TEXT(scan.fault.why, "the end of the segment is missing");
  raft_wal_scan_free(&scan);
  wal_files_free(&files);
}

/* The disk put a batch one sector further than it was told. */
static void a_write_that_went_astray_is_refused(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 6);
  wal_files_add(&files, 1, 1, 1);
  uint64_t offset = wal_files_add(&files, 2, 2, 1);
  uint8_t *bytes = files.files[0].bytes + offset;
  memcpy(bytes + RAFT_WAL_SECTOR, bytes, RAFT_WAL_SECTOR);
  memset(bytes, 0, RAFT_WAL_SECTOR);
  damaged_at(1, offset);
  wal_files_free(&files);
}

static void a_batch_at_the_place_of_another_is_refused(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 6);
  wal_files_add(&files, 1, 1, 1);
  files.now.writer.offset += RAFT_WAL_SECTOR;
  uint64_t offset = wal_files_add(&files, 2, 2, 1);
  uint8_t *bytes = files.files[0].bytes + offset;
  memcpy(bytes - RAFT_WAL_SECTOR, bytes, RAFT_WAL_SECTOR);
  memset(bytes, 0, RAFT_WAL_SECTOR);
  damaged_at(1, offset - RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

static void a_lost_write_is_stepped_over(void) {
  write_two_segments(false);
  memset(files.files[1].bytes + RAFT_WAL_SECTOR, 0, RAFT_WAL_SECTOR);
  stepped_over_at(2, RAFT_WAL_SECTOR, 0, 7); /* no commit was told of */
}

static void an_older_sector_in_place_of_a_newer_is_refused(void) {
  write_two_segments(false);
  uint8_t *bytes = files.files[1].bytes;
  memcpy(bytes + 3 * RAFT_WAL_SECTOR, bytes + RAFT_WAL_SECTOR, RAFT_WAL_SECTOR);
  damaged_at(2, 3 * RAFT_WAL_SECTOR);
}

/* ---- files --------------------------------------------------------------- */

static void write_three_segments(void) {
  wal_files_init(&files);
  for (raft_index i = 1; i <= 3; i++) {
    wal_files_segment(&files, 3);
    wal_files_add(&files, i, i, 1);
  }
  wal_files_free(&files);
}

static void a_damaged_head_is_named_by_its_segment(void) {
  for (uint64_t i = 0; i < 3; i++) {
    write_three_segments();
    files.files[i].bytes[30] ^= 1;
    damaged_at(i + 1, 0);
  }
}

static void a_missing_segment_is_named(void) {
  write_three_segments();
  files.files[0].size = 0;
  damaged_at(1, 0);
  write_three_segments();
  files.files[1].size = 0;
  damaged_at(2, 0);
}

static void swapped_segments_are_refused(void) {
  write_three_segments();
  struct wal_file *f = files.files;
  static uint8_t other[WAL_FILE_BYTES];
  memcpy(other, f[1].bytes, sizeof other);
  memcpy(f[1].bytes, f[2].bytes, sizeof other);
  memcpy(f[2].bytes, other, sizeof other);
  damaged_at(2, 0);
}

/* The head alone must tell: there is no batch in it that could. */
static void an_empty_segment_of_another_log_is_refused(void) {
  static uint8_t other[WAL_FILE_BYTES];
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, 1);
  wal_files_segment(&files, 4);
  memcpy(other, files.files[1].bytes, sizeof other);
  wal_files_free(&files);
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, 1);
  wal_files_add(&files, 2, 2, 1); /* one batch more than that one knew */
  wal_files_segment(&files, 4);
  judged_as(RECOVERED, 2);
  memcpy(files.files[1].bytes, other, sizeof other);
  damaged_at(2, 0);
  wal_files_free(&files);
}

/* The fault is in the segment that lacks batches, not in the one that says
 * so. */
static void what_a_later_segment_builds_on_is_named(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, 1);
  uint64_t offset = wal_files_add(&files, 2, 2, 1);
  wal_files_segment(&files, 4);
  files.files[0].bytes[offset] ^= 1;
  damaged_at(1, offset);
  wal_files_free(&files);
}

/* A sealed head that says more than its segment has room for. */
static void a_batch_beyond_its_segment_is_refused(void) {
  for (uint32_t more = 0; more < 2; more++) {
    wal_files_init(&files);
    wal_files_segment(&files, 3);
    wal_files_add(&files, 1, 1, 1);
    uint64_t offset = wal_files_add(&files, 2, 2, 1);
    uint8_t *head = files.files[0].bytes + offset;
    raft_put_u32(head + 80, RAFT_WAL_SECTOR - RAFT_WAL_BATCH_BYTES + more);
    raft_put_u32(head + 4, raft_crc32c(0, head + 8, RAFT_WAL_BATCH_BYTES - 8));
    if (more == 0)
      judged_as(TORN, 1); /* its body is not what it says */
    else
      damaged_at(1, offset);
    wal_files_free(&files);
  }
}

static void a_segment_of_another_log_is_refused(void) {
  static uint8_t other[WAL_FILE_BYTES];
  write_three_segments();
  memcpy(other, files.files[1].bytes, sizeof other);
  wal_files_init(&files);
  wal_files_segment(&files, 3);
  wal_files_add(&files, 1, 1, 1);
  files.vote = 4; /* so this is another history */
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  wal_files_segment(&files, 3);
  memcpy(files.files[1].bytes, other, sizeof other);
  EQ(judge().outcome, CORRUPT);
  wal_files_free(&files);
}

static void a_batch_of_another_segment_is_refused(void) {
  write_three_segments();
  memcpy(files.files[2].bytes + 2 * RAFT_WAL_SECTOR,
         files.files[1].bytes + RAFT_WAL_SECTOR, RAFT_WAL_SECTOR);
  damaged_at(3, 2 * RAFT_WAL_SECTOR);
}

/* Entries 1 and 2 in a batch each, of the term given; segments of the same
 * place and number have the same salt here. */
static void write_pair(raft_term term) {
  wal_files_init(&files);
  wal_files_segment(&files, 4);
  wal_files_add(&files, 1, 1, term);
  wal_files_add(&files, 2, 2, 9);
  wal_files_free(&files);
}

static void a_batch_that_chains_to_another_is_refused(void) {
  static uint8_t second[RAFT_WAL_SECTOR];
  write_pair(1);
  uint8_t *at = files.files[0].bytes + 2 * RAFT_WAL_SECTOR;
  memcpy(second, at, sizeof second);
  write_pair(2);
  judged_as(RECOVERED, 2);
  memcpy(at, second, sizeof second); /* right but for what came before */
  damaged_at(1, 2 * RAFT_WAL_SECTOR);
}

static void a_batch_with_the_salt_of_another_log_is_refused(void) {
  static uint8_t first[RAFT_WAL_SECTOR];
  write_pair(1);
  uint8_t *at = files.files[0].bytes + RAFT_WAL_SECTOR;
  memcpy(first, at, sizeof first);
  wal_files_init(&files);
  files.count = 1; /* so the salt is the next one */
  wal_files_segment(&files, 4);
  files.files[0] = files.files[1];
  files.files[1].size = 0;
  wal_files_free(&files);
  judged_as(RECOVERED, 0);
  memcpy(at, first, sizeof first);
  damaged_at(1, RAFT_WAL_SECTOR);
}

static void a_log_newer_than_the_identity_is_refused(void) {
  write_three_segments();
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  options.starts = WAL_STARTS - 1;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_E_CORRUPT);
  EQ_TEXT(scan.fault.why, "the identity file is older than the log");
  raft_wal_scan_free(&scan);
}

/* ---- batches that contradict each other ---------------------------------- */

static void begin(void) {
  wal_files_init(&files);
  wal_files_segment(&files, 8);
  wal_files_add(&files, 1, 3, 4);
}

static void a_term_that_goes_back_is_refused(void) {
  begin();
  files.term = 3;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  damaged_at(1, 2 * RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

static void a_second_vote_in_one_term_is_refused(void) {
  begin();
  files.vote = 5;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  judged_as(RECOVERED, 3);
  files.vote = 6;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  damaged_at(1, 3 * RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

static void a_vote_that_is_taken_back_is_refused(void) {
  begin();
  files.vote = 5;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  files.vote = 0;
  wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
  damaged_at(1, 3 * RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

static void terms_of_entries_that_fall_are_refused(void) {
  begin();
  wal_files_add(&files, 4, 4, 3);
  damaged_at(1, 2 * RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

static void an_entry_of_a_future_term_is_refused(void) {
  uint8_t entry[64];
  begin();
  size_t size = wal_entries(4, 4, 9, 0, entry);
  wal_files_put(&files, RAFT_WAL_DATA, entry, size);
  damaged_at(1, 2 * RAFT_WAL_SECTOR);
  wal_files_free(&files);
}

/* ---- memory -------------------------------------------------------------- */

/* Every allocation of a recovery may fail: it says so and leaks nothing. */
static void a_recovery_without_memory_says_so(void) {
  write_two_segments(true);
  bool is_done = false;
  for (uint64_t n = 1; !is_done && n < 100; n++) {
    struct test_memory memory = {.fail_in = n};
    struct raft_wal_options options = wal_files_options();
    struct raft_wal_scan scan;
    options.alloc_ud = &memory;
    int error = wal_files_scan(&files, &scan, &options);
    is_done = memory.fail_in != 0;
    EQ(error, is_done ? RAFT_OK : RAFT_E_NOMEM);
    raft_wal_scan_free(&scan);
    EQ(memory.live, 0);
  }
  CHECK(is_done);
}

int main(void) {
  CASE(nothing_is_recovered_from_nothing);
  CASE(everything_written_is_recovered);
  CASE(a_full_segment_needs_no_zeros_behind_it);
  CASE(no_flipped_bit_of_an_older_segment_goes_unseen);
  CASE(only_the_unmarked_last_batch_can_be_lost);
  CASE(a_mark_leaves_no_residue);
  CASE(a_shortened_segment_is_refused_at_every_length);
  CASE(a_lengthened_segment_is_refused);
  CASE(any_sectors_of_the_last_batch_may_be_missing);
  CASE(rot_is_seen_by_any_trace_of_a_later_batch);
  CASE(bytes_behind_a_batch_that_names_its_end_are_a_trace);
  CASE(only_later_batches_of_this_segment_are_a_trace);
  CASE(a_file_that_shrinks_under_the_scan_is_refused);
  CASE(a_write_that_went_astray_is_refused);
  CASE(a_batch_at_the_place_of_another_is_refused);
  CASE(a_lost_write_is_stepped_over);
  CASE(an_older_sector_in_place_of_a_newer_is_refused);
  CASE(a_damaged_head_is_named_by_its_segment);
  CASE(a_missing_segment_is_named);
  CASE(swapped_segments_are_refused);
  CASE(an_empty_segment_of_another_log_is_refused);
  CASE(what_a_later_segment_builds_on_is_named);
  CASE(a_batch_beyond_its_segment_is_refused);
  CASE(a_segment_of_another_log_is_refused);
  CASE(a_batch_of_another_segment_is_refused);
  CASE(a_batch_that_chains_to_another_is_refused);
  CASE(a_batch_with_the_salt_of_another_log_is_refused);
  CASE(a_log_newer_than_the_identity_is_refused);
  CASE(a_term_that_goes_back_is_refused);
  CASE(a_second_vote_in_one_term_is_refused);
  CASE(a_vote_that_is_taken_back_is_refused);
  CASE(terms_of_entries_that_fall_are_refused);
  CASE(an_entry_of_a_future_term_is_refused);
  CASE(a_recovery_without_memory_says_so);
  return test_end();
}
