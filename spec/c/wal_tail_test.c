/* wal_tail_test.c - the newest entries that a recovery keeps in memory, fed
 * batch by batch: more than there is room for, overwritten, contradicting. */
#include "wal_state.h"

#include <string.h>

#include "test.h"
#include "wal_files.h"

#define TEXT 1000 /* bytes of a command */
#define LAST 400  /* entries: several times what is kept */
#define KEPT 40000
#define MOST (KEPT / (TEXT + RAFT_ENTRY_HEADER_BYTES)) /* entries kept */

static struct test_memory memory;
static struct raft_wal_state state;
static raft_term terms[LAST + 2]; /* of each entry as it is now */
static uint32_t parted;           /* how often the tail was in two pieces */

static void open_state(size_t memory_bytes) {
  memory = (struct test_memory){0};
  raft_wal_state_init(&state, memory_bytes, test_alloc, &memory);
}

static void close_state(void) {
  raft_wal_state_free(&state);
  EQ(memory.live, 0);
}

static int add_bytes(raft_term term, struct raft_slice entries,
                     const char **why) {
  struct raft_wal_batch b = {.number = 1, .term = term};
  struct raft_wal_body body = {.entries = entries};
  struct raft_entry e = {0};
  (void)raft_entry_decode_header(entries.data, entries.size, &e); /* of one */
  b.last = e.index;
  b.last_term = e.term;
  return raft_wal_state_add(&state, &b, &body, why);
}

/* A batch of one entry. */
static int add(raft_index index, raft_term term, const char **why) {
  uint8_t bytes[TEXT + 100];
  size_t size = wal_entries(index, index, term, TEXT, bytes);
  terms[index] = term;
  return add_bytes(term, (struct raft_slice){bytes, size}, why);
}

/* The tail is the newest entries, whole, and as many as fit. */
static void check_tail(raft_index last) {
  struct raft_recovery r;
  uint8_t want[TEXT + 100];
  raft_wal_state_result(&state, &r);
  EQ(r.last, last);
  CHECK(r.tail.size + r.tail_rest.size <= KEPT);
  struct raft_slice piece = r.tail;
  for (raft_index i = r.tail_first; i <= last; i++) {
    size_t size = wal_entries(i, i, terms[i], TEXT, want);
    if (piece.size == 0 && i > r.tail_first) {
      piece = r.tail_rest;
      parted++;
    }
    CHECK(piece.size >= size);
    if (piece.size < size) return;
    EQ_BYTES(piece.data, want, size);
    piece = (struct raft_slice){piece.data + size, piece.size - size};
  }
  EQ(piece.size, 0);
}

static raft_index tail_first(void) {
  struct raft_recovery r;
  raft_wal_state_result(&state, &r);
  return r.tail_first;
}

static void the_newest_entries_are_kept(void) {
  const char *why = NULL;
  open_state(KEPT);
  for (raft_index i = 1; i <= LAST; i++) {
    EQ(add(i, 1, &why), RAFT_OK);
    check_tail(i);
    EQ(tail_first(), i < MOST ? 1 : i - MOST + 1); /* no fewer than fit */
  }
  CHECK(state.tail.first > 1);
  CHECK(parted > 0);
  CHECK(memory.live < 4 * KEPT + 65536); /* it was given back on the way */
  close_state();
}

/* Overwritten within the tail, at its start, and before all of it. */
static void what_is_overwritten_leaves_the_tail(void) {
  static const raft_index from[] = {400, 395, 310, 370, 200, 190, 1};
  const char *why = NULL;
  open_state(KEPT);
  for (raft_index i = 1; i <= LAST; i++)
    EQ(add(i, 1, &why), RAFT_OK);
  for (size_t k = 0; k < sizeof from / sizeof *from; k++)
    for (raft_index i = 0; i < 100 && from[k] + i <= LAST; i++) {
      EQ(add(from[k] + i, 2 + k, &why), RAFT_OK);
      check_tail(from[k] + i);
    }
  close_state();
}

/* An entry is overwritten: of those before it no fewer are kept than fit, and
 * than were there. */
static void what_stands_before_it_stays(void) {
  for (raft_index from = LAST; from > LAST - 90; from--) {
    const char *why = NULL;
    open_state(KEPT);
    for (raft_index i = 1; i <= LAST; i++)
      EQ(add(i, 1, &why), RAFT_OK);
    raft_index oldest = state.tail.first;
    EQ(add(from, 2, &why), RAFT_OK);
    raft_index want = from - MOST + 1 > oldest ? from - MOST + 1 : oldest;
    if (from < oldest) want = from; /* none of those before it was there */
    EQ(tail_first(), want);
    check_tail(from);
    close_state();
  }
}

static void the_first_entry_may_be_overwritten(void) {
  const char *why = NULL;
  open_state(KEPT);
  for (int i = 0; i < 3; i++) {
    struct raft_recovery r;
    EQ(add(1, 1, &why), RAFT_OK);
    raft_wal_state_result(&state, &r);
    EQ(r.run_count, 1);
    EQ(r.runs[0].first, 1);
    EQ(r.runs[0].term, 1);
    check_tail(1);
  }
  close_state();
}

static void a_gap_is_named(void) {
  for (raft_index index = 4; index <= 6; index++) {
    const char *why = NULL;
    open_state(KEPT);
    EQ(add(1, 1, &why), RAFT_OK);
    EQ(add(2, 1, &why), RAFT_OK);
    EQ(add(index, 1, &why), RAFT_E_CORRUPT);
    EQ_TEXT(why, "entries are missing before this one");
    close_state();
  }
}

static void damage_is_named(void) {
  uint8_t bytes[200];
  const char *why = NULL;
  size_t size = wal_entries(1, 2, 1, 10, bytes);
  for (size_t cut = 1; cut < size; cut++) {
    if (cut == size / 2) continue; /* one whole entry */
    open_state(KEPT);
    EQ(add_bytes(1, (struct raft_slice){bytes, cut}, &why), RAFT_E_CORRUPT);
    EQ_TEXT(why, "an entry is damaged");
    close_state();
  }
  bytes[size - 1] ^= 1;
  open_state(KEPT);
  EQ(add_bytes(1, (struct raft_slice){bytes, size}, &why), RAFT_E_CORRUPT);
  EQ_TEXT(why, "an entry is damaged");
  close_state();
}

static void memory_may_run_out_at_any_time(void) {
  bool is_whole = false;
  uint64_t n = 1;
  for (; !is_whole && n < 200; n++) {
    const char *why = NULL;
    int rc = RAFT_OK;
    open_state(KEPT);
    memory.fail_in = n;
    for (raft_index i = 1; i <= 150 && rc == RAFT_OK; i++)
      rc = add(i, i, &why);
    is_whole = rc == RAFT_OK;
    if (!is_whole) EQ(rc, RAFT_E_NOMEM);
    memory.fail_in = 0;
    close_state();
  }
  CHECK(is_whole);
  CHECK(n > 5);
}

int main(void) {
  CASE(the_newest_entries_are_kept);
  CASE(what_is_overwritten_leaves_the_tail);
  CASE(what_stands_before_it_stays);
  CASE(the_first_entry_may_be_overwritten);
  CASE(a_gap_is_named);
  CASE(damage_is_named);
  CASE(memory_may_run_out_at_any_time);
  return test_end();
}
