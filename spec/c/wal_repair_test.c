/* wal_repair_test.c - a log with damage in its middle: what of it is still
 * true, what it has lost, and that starts in the midst of the repair know as
 * much.
 *
 * The random lives are those of one member of a cluster: leaders of rising
 * terms, each with a log that has all that is committed, send it pieces of
 * theirs, as Raft has it [Raft 5.3]. After any damage that a start accepts, its
 * log is the beginning of what it was, and it votes by what it was.
 *
 *   SEED=7 N=2000 build/unit/wal_repair_test
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "test.h"
#include "wal_files.h"

enum { SECTOR = RAFT_WAL_SECTOR, LOG = 64, TERMS = 64, BATCHES = 128 };

static struct wal_files files; /* large, so not on the stack */

/* ---- one damage ---------------------------------------------------------- */

struct outcome {
  int error;
  raft_index last, lost, commit;
  raft_term lost_term;
};

static struct outcome start(void) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_recovery r = {0};
  struct outcome o = {.error = wal_files_scan(&files, &scan, &options)};
  if (o.error == RAFT_OK) raft_wal_state_result(&scan.state, &r);
  o.last = r.last;
  o.commit = r.commit;
  o.lost = r.lost_last;
  o.lost_term = r.lost_term;
  raft_wal_scan_free(&scan);
  return o;
}

static void begin(void) {
  wal_files_init(&files);
  (void)wal_files_segment(&files, 12);
}

static void damage(uint64_t offset) {
  files.files[files.count - 1].bytes[offset + 20] ^= 1;
}

static void left(raft_index last, raft_index lost, raft_term lost_term) {
  struct outcome o = start();
  EQ(o.error, RAFT_OK);
  EQ(o.last, last);
  EQ(o.lost, lost);
  EQ(o.lost_term, lost_term);
  wal_files_free(&files);
}

static uint64_t put_state(void) {
  return wal_files_put(&files, RAFT_WAL_DATA, NULL, 0);
}

/* [Raft 5.3] entries of one term: the leader had both, and what is between. */
static void all_before_is_kept_where_the_term_goes_on(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 4, 2));
  wal_files_add(&files, 5, 6, 2);
  left(3, 6, 2);
}

/* Nobody knows where the entries of term 3 began. */
static void only_what_was_committed_is_kept_where_it_does_not(void) {
  begin();
  files.commit = 2;
  wal_files_add(&files, 1, 4, 2);
  damage(wal_files_add(&files, 3, 4, 3));
  wal_files_add(&files, 5, 5, 3);
  left(2, 5, 3);
}

/* A hint that comes behind the damage is about what lay in it. */
static void what_is_told_later_to_be_committed_proves_nothing(void) {
  begin();
  files.commit = 1;
  wal_files_add(&files, 1, 4, 2);
  damage(wal_files_add(&files, 2, 4, 3));
  files.commit = 4;
  wal_files_add(&files, 5, 5, 3);
  EQ(start().commit, 1);
  left(1, 5, 3);
}

/* Overwritten by entries of a term that ours has too, but fewer. */
static void no_more_of_a_term_is_kept_than_there_was(void) {
  begin();
  wal_files_add(&files, 1, 1, 1);
  wal_files_add(&files, 2, 5, 2);
  uint8_t bytes[400];
  files.term = 4; /* a leader that has 2 of term 2, then its own */
  size_t size = wal_entries(3, 3, 4, 10, bytes);
  damage(wal_files_put(&files, RAFT_WAL_DATA, bytes, size));
  files.term = 5; /* and one that has 3 of term 2 */
  size = wal_entries(3, 3, 2, 10, bytes);
  damage(wal_files_put(&files, RAFT_WAL_DATA, bytes, size));
  (void)put_state();
  left(3, 0, 0); /* nothing is lost: all is known again */
}

static void a_lost_vote_is_no_loss_where_a_later_head_knows(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  files.term = 5;
  damage(put_state());
  files.vote = 9;
  (void)put_state();
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  EQ(wal_files_scan(&files, &scan, &options), RAFT_OK);
  EQ(scan.state.term, 5);
  EQ(scan.state.vote, 9);
  CHECK(scan.damage.why != NULL);
  raft_wal_scan_free(&scan);
  left(3, 0, 0);
}

/* Who knows whom the last vote was for? */
static void damage_that_no_head_follows_is_refused(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  uint64_t offset = wal_files_add(&files, 4, 4, 2);
  (void)wal_files_segment(&files, 4); /* it says that there was one */
  files.files[0].bytes[offset + 20] ^= 1;
  EQ(start().error, RAFT_E_CORRUPT);
  wal_files_add(&files, 5, 5, 2);
  left(3, 5, 2);
}

static void entries_that_overwrite_close_the_gap(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 4, 2));
  wal_files_add(&files, 5, 6, 2);
  wal_files_add(&files, 4, 4, 3);
  wal_files_add(&files, 5, 5, 3);
  left(5, 0, 0);
}

static void two_places(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 4, 2));
  wal_files_add(&files, 5, 5, 2);
  damage(wal_files_add(&files, 6, 6, 2) + 100); /* its body */
  damage(wal_files_add(&files, 7, 7, 2));
  wal_files_add(&files, 8, 8, 2);
  left(3, 8, 2);
}

/* The head of the first tells of itself, and not of what came behind it. */
static void a_head_between_two_damages_is_not_the_last_word(void) {
  begin();
  wal_files_add(&files, 1, 2, 2);
  damage(wal_files_add(&files, 3, 3, 2) + 90); /* its body */
  damage(wal_files_add(&files, 2, 4, 3));
  wal_files_add(&files, 5, 5, 3);
  left(0, 5, 3);
}

static void put_mark(raft_index index, raft_term term, bool is_reset,
                     raft_index last) {
  uint8_t bytes[400];
  size_t size = 0;
  if (last > 0) size = wal_entries(last, last, files.term, 10, bytes);
  struct raft_wal_mark mark = {index, term, is_reset};
  (void)wal_files_mark(&files, &mark, bytes, size);
}

/* What lies in the gap is in the snapshot. */
static void a_snapshot_of_what_is_lost_is_a_new_begin(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 6, 2));
  put_mark(6, 2, false, 7);
  wal_files_add(&files, 8, 8, 2);
  left(8, 0, 0);
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 6, 2));
  put_mark(3, 2, false, 7); /* this one is of what is left */
  left(3, 7, 2);
}

static void a_log_that_starts_anew_has_no_gap(void) {
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 6, 2));
  wal_files_add(&files, 7, 7, 2);
  put_mark(20, 2, true, 21);
  left(21, 0, 0);
}

/* Some of the entries of its batch are in the snapshot, others follow it. */
static void a_batch_around_its_mark(void) {
  uint8_t bytes[600];
  begin();
  wal_files_add(&files, 1, 3, 2);
  damage(wal_files_add(&files, 4, 6, 2));
  size_t size = wal_entries(7, 9, 2, 10, bytes);
  struct raft_wal_mark mark = {8, 2, false};
  (void)wal_files_mark(&files, &mark, bytes, size);
  left(9, 0, 0);
}

/* ---- lives --------------------------------------------------------------- */

struct log { /* terms by index */
  raft_index last;
  raft_term term[LOG + 1];
};

struct place {
  raft_term term;
  raft_index index;
};

struct moment { /* what was so when a batch was written */
  uint64_t number;
  size_t file;
  uint64_t offset;
  raft_term term;
  raft_id vote;
  raft_index commit;
  struct log log;
  struct place lost; /* under repair: what it had; 0: nothing is missing */
};

struct life {
  uint64_t random;
  struct log leaders[TERMS]; /* by term; last 0: there was none */
  raft_index commit;         /* of the cluster */
  struct log truth;          /* what is committed */
  struct moment now;
  struct moment past[BATCHES];
  size_t count;
  uint64_t starts;
};

static struct { /* of all lives */
  uint64_t starts, refused, whole, short_ones, healed, deep, marked, based;
} seen;

static uint64_t draw(struct life *l, uint64_t below) {
  return test_random(&l->random) % below;
}

static bool is_newer(struct place a, struct place b) {
  return a.term != b.term ? a.term > b.term : a.index > b.index;
}

static struct place end_of(const struct log *log) {
  return (struct place){log->term[log->last], log->last};
}

static bool has_room(const struct life *l, uint64_t size) {
  return files.count > 0 && l->count < BATCHES &&
         raft_wal_writer_fits(&files.now.writer, size, 0);
}

static void write_batch(struct life *l, enum raft_wal_kind kind,
                        const uint8_t *entries, size_t size) {
  size_t mark = files.mark.index > 0 ? RAFT_WAL_MARK_BYTES : 0;
  if (!has_room(l, size + mark)) {
    if (files.count < WAL_FILES_MAX) (void)wal_files_segment(&files, 10);
    if (!has_room(l, size + mark)) return;
  }
  files.term = l->now.term;
  files.vote = l->now.vote;
  files.commit = l->now.commit;
  l->now.file = files.count - 1;
  l->now.offset = wal_files_put(&files, kind, entries, size);
  l->now.number = files.now.writer.number;
  l->past[l->count++] = l->now;
}

/* The newest term that has a leader. */
static raft_term reigning(const struct life *l) {
  raft_term t = TERMS - 1;
  while (t > 0 && l->leaders[t].last == 0)
    t--;
  return t;
}

/* Some log that was, cut where it still has all that is committed. */
static struct log some_log(struct life *l) {
  for (;;) {
    struct log log = l->leaders[1 + draw(l, reigning(l))];
    if (log.last < l->commit || log.last == 0) continue;
    if (memcmp(log.term, l->truth.term, (l->commit + 1) * sizeof *log.term) !=
        0)
      continue;
    log.last = l->commit + draw(l, log.last - l->commit + 1);
    return log;
  }
}

static void grow(struct log *log, raft_term term, uint64_t count) {
  for (; count > 0 && log->last < LOG; count--)
    log->term[++log->last] = term;
}

static void new_leader(struct life *l) {
  raft_term term = reigning(l) + 1 + draw(l, 2);
  if (term >= TERMS) return;
  l->leaders[term] = some_log(l);
  grow(&l->leaders[term], term, 1 + draw(l, 3));
}

static void commit_some(struct life *l) {
  raft_term term = reigning(l);
  const struct log *log = &l->leaders[term];
  raft_index index = 1 + draw(l, log->last);
  if (index <= l->commit || log->term[index] != term) return;
  l->commit = index;
  l->truth = *log;
}

static void new_term(struct life *l) {
  raft_term term = reigning(l);
  if (l->now.term >= term) return;
  l->now.term = term;
  l->now.vote = draw(l, 2) ? 7 : 0;
  write_batch(l, RAFT_WAL_DATA, NULL, 0);
}

/* A piece of the leader's log, merged as a follower does. [Raft 5.3] */
static void hear(struct life *l) {
  static uint8_t bytes[LOG * 64];
  raft_term term = reigning(l);
  const struct log *from = &l->leaders[term];
  struct log *log = &l->now.log;
  raft_index prev = draw(l, from->last + 1);
  if (prev > log->last || log->term[prev] != from->term[prev]) return;
  raft_index last = prev + draw(l, from->last - prev + 1);
  if (l->now.term < term) {
    l->now.term = term;
    l->now.vote = 0;
  }
  raft_index first = prev + 1;
  while (first <= last && first <= log->last &&
         log->term[first] == from->term[first])
    first++;
  size_t size = 0;
  for (raft_index i = first; i <= last; i++) {
    size += wal_entries(i, i, from->term[i], 5, bytes + size);
    log->term[i] = from->term[i];
    log->last = i;
    if (!is_newer(l->now.lost, end_of(log))) l->now.lost = (struct place){0};
  }
  raft_index commit = last < l->commit ? last : l->commit;
  if (commit > l->now.commit) l->now.commit = commit;
  write_batch(l, RAFT_WAL_DATA, bytes, size);
}

/* A snapshot of what is committed here, or of more, from a leader. */
static void mark(struct life *l) {
  raft_index index = draw(l, l->commit + 1);
  struct log *log = &l->now.log;
  raft_term term = l->truth.term[index];
  bool has_it = index <= log->last && log->term[index] == term;
  bool is_news = index > l->now.commit && term <= l->now.term;
  if (index == 0 || (!has_it && !is_news)) return;
  if (!has_room(l, RAFT_WAL_MARK_BYTES)) return;
  if (index > l->now.commit) l->now.commit = index;
  if (!has_it) {
    *log = l->truth;
    log->last = index;
    if (!is_newer(l->now.lost, end_of(log))) l->now.lost = (struct place){0};
  }
  files.mark = (struct raft_wal_mark){index, term, !has_it};
  write_batch(l, RAFT_WAL_DATA, NULL, 0);
  files.mark = (struct raft_wal_mark){0};
  seen.marked++;
}

static void damage_some(struct life *l) {
  uint64_t n = 1 + draw(l, 3);
  for (; n > 0 && l->count > 0; n--) {
    const struct moment *m = &l->past[draw(l, l->count)];
    uint8_t *at = files.files[m->file].bytes + m->offset;
    uint64_t kind = draw(l, 4);
    if (kind == 0)
      memset(at, 0, SECTOR);
    else if (kind == 1)
      at[100] ^= 0x40; /* its body, if it has one */
    else
      at[draw(l, RAFT_WAL_BATCH_BYTES)] ^= 1;
  }
}

static bool begins(const struct log *log, const struct log *part) {
  if (part->last > log->last) return false;
  for (raft_index i = 1; i <= part->last; i++)
    if (log->term[i] != part->term[i]) return false;
  return true;
}

/* Is it the beginning of what was written? A life that was short already may
 * have known less than a later one, by damage to what had told it so; then at
 * least some leader had such a log. */
static bool is_true(const struct life *l, const struct moment *was,
                    const struct log *found) {
  if (begins(&was->log, found)) return true;
  if (was->lost.index == 0) return false;
  for (raft_term t = 1; t < TERMS; t++)
    if (begins(&l->leaders[t], found)) return true;
  return false;
}

static struct log log_of(const struct life *l, const struct raft_recovery *r) {
  struct log log = l->truth; /* what a snapshot covers is committed */
  log.last = r->last;
  CHECK(r->last <= LOG);
  CHECK(r->base_index <= l->commit);
  EQ(r->base_term, l->truth.term[r->base_index]);
  seen.based += r->base_index > 0;
  for (raft_index i = r->base_index + 1, k = 0; i <= r->last && i <= LOG; i++) {
    while (k + 1 < r->run_count && r->runs[k + 1].first <= i)
      k++;
    log.term[i] = r->runs[k].term;
  }
  return log;
}

/* Is what was found true, what is missing known, and the hard state whole? */
static void compare(struct life *l, const struct raft_wal_scan *scan,
                    const struct moment *was) {
  struct raft_recovery r;
  raft_wal_state_result(&scan->state, &r);
  l->now.log = log_of(l, &r);
  EQ(r.term, was->term);
  EQ(r.vote, was->vote);
  CHECK(is_true(l, was, &l->now.log));
  CHECK(r.commit <= l->commit);
  EQ_BYTES(l->now.log.term, l->truth.term, (r.commit + 1) * sizeof(raft_term));
  struct place had = was->lost.index > 0 ? was->lost : end_of(&was->log);
  bool is_short = is_newer(had, end_of(&l->now.log));
  l->now.lost = is_short ? had : (struct place){0};
  EQ(r.lost_last, l->now.lost.index);
  EQ(r.lost_term, l->now.lost.term);
  l->now.commit = r.commit;
  seen.short_ones += is_short;
  seen.whole += !is_short;
  seen.healed += !is_short && scan->damage.why != NULL;
  seen.deep += is_short && was->log.last > r.last + 3;
}

/* Every entry that is left is found on disk. */
static void read_back(const struct raft_wal_scan *scan) {
  static uint8_t out[WAL_FILE_BYTES];
  struct raft_wal_spot spot;
  raft_index last;
  EQ(scan->map.last, scan->state.last);
  for (raft_index i = scan->state.base_index + 1; i <= scan->state.last; i++) {
    CHECK(raft_wal_map_find(&scan->map, i, &spot, &last));
    const struct wal_file *file = &files.files[spot.segment - 1];
    struct raft_slice data = {file->bytes + spot.offset, (size_t)spot.size};
    struct raft_wal_cut cut = {.first = i, .last = last, .size_max = SIZE_MAX};
    EQ(raft_wal_map_cut(&spot, data, &cut, out), RAFT_OK);
    EQ(cut.last, last);
  }
}

/* Goes on with what the scan has found. */
static void go_on(struct life *l, struct raft_wal_scan *scan) {
  struct wal_file *file = &files.files[files.count - 1];
  if (scan->torn_end > 0)
    memset(file->bytes + scan->end, 0, (size_t)(scan->torn_end - scan->end));
  raft_wal_writer_init(&files.now.writer, scan);
  raft_wal_map_free(&files.now.map);
  files.now.map = scan->map;
  raft_wal_map_init(&scan->map, scan->map.alloc, scan->map.alloc_ud);
  l->starts++;
}

static bool restart(struct life *l) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  options.starts = l->starts;
  if (draw(l, 3) > 0) damage_some(l);
  int error = wal_files_scan(&files, &scan, &options);
  seen.starts++;
  seen.refused += error != RAFT_OK;
  if (error == RAFT_OK && scan.number > 0) {
    while (l->past[l->count - 1].number > scan.number)
      l->count--; /* torn */
    struct moment was = l->past[l->count - 1];
    EQ(was.number, scan.number);
    l->now = was;
    compare(l, &scan, &was);
    read_back(&scan);
    go_on(l, &scan);
  }
  bool goes_on = error == RAFT_OK && scan.number > 0;
  raft_wal_scan_free(&scan);
  return goes_on;
}

static bool live(uint64_t seed) {
  static struct life l; /* large */
  memset(&l, 0, sizeof l);
  l.random = seed;
  l.starts = WAL_STARTS;
  grow(&l.leaders[1], 1, 1 + draw(&l, 4));
  l.now.term = 1;
  begin();
  for (int i = 0; i < 90 && !test_has_failed(); i++) {
    uint64_t what = draw(&l, 16);
    if (what < 9) hear(&l);
    if (what == 9) commit_some(&l);
    if (what == 10) grow(&l.leaders[reigning(&l)], reigning(&l), 1);
    if (what == 11 || what == 12) new_leader(&l);
    if (what == 13) new_term(&l);
    if (what == 14 && draw(&l, 2) == 0)
      write_batch(&l, RAFT_WAL_MARK, NULL, 0);
    else if (what == 14)
      mark(&l);
    if (what == 15 && l.count > 0 && !restart(&l)) break;
  }
  wal_files_free(&files);
  if (test_has_failed()) printf("again with SEED=%" PRIu64 " N=1\n", seed);
  return !test_has_failed();
}

static void any_damage_leaves_the_beginning_and_the_knowledge(void) {
  const char *given = getenv("N");
  uint64_t n = given != NULL ? strtoull(given, NULL, 10) : 3000;
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < n; i++)
    if (!live(seed + i)) return;
  printf("starts %" PRIu64 ", refused %" PRIu64 ", whole %" PRIu64
         ", healed %" PRIu64 ", short %" PRIu64 ", by more than three %" PRIu64
         ", marks %" PRIu64 ", behind a snapshot %" PRIu64 "\n",
         seen.starts, seen.refused, seen.whole, seen.healed, seen.short_ones,
         seen.deep, seen.marked, seen.based);
  if (n < 3000) return;
  CHECK(seen.refused > 0), CHECK(seen.healed > 0);
  CHECK(seen.short_ones > 0), CHECK(seen.deep > 0);
  CHECK(seen.based > 0);
}

int main(void) {
  CASE(all_before_is_kept_where_the_term_goes_on);
  CASE(only_what_was_committed_is_kept_where_it_does_not);
  CASE(what_is_told_later_to_be_committed_proves_nothing);
  CASE(no_more_of_a_term_is_kept_than_there_was);
  CASE(a_lost_vote_is_no_loss_where_a_later_head_knows);
  CASE(damage_that_no_head_follows_is_refused);
  CASE(entries_that_overwrite_close_the_gap);
  CASE(two_places);
  CASE(a_head_between_two_damages_is_not_the_last_word);
  CASE(a_snapshot_of_what_is_lost_is_a_new_begin);
  CASE(a_log_that_starts_anew_has_no_gap);
  CASE(a_batch_around_its_mark);
  CASE(any_damage_leaves_the_beginning_and_the_knowledge);
  return test_end();
}
