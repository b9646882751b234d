/* log_broken_test.c - every invariant of the log, broken by hand, is seen. */
#include "log_inner.h"

#include "test.h"

#include <string.h>

static struct test_memory memory;
static struct raft_log whole; /* two terms, several blocks, two batches */

static void append(struct raft_log *log, raft_term term, int count) {
  for (int i = 0; i < count; i++) {
    struct raft_entry e = {.term = term, .kind = RAFT_ENTRY_COMMAND};
    e.size = 100;
    e.payload = (const uint8_t *)"a command of a hundred bytes, of which most "
                                 "say nothing at all, but that they are many "
                                 "and fill a block so";
    EQ(raft_log_reserve(log, raft_entry_bytes(&e), 1), RAFT_OK);
    raft_log_append(log, &e);
  }
}

static void begin(void) {
  memset(&memory, 0, sizeof memory);
  raft_log_init(&whole, test_alloc, &memory);
  append(&whole, 1, 3);
  EQ(raft_log_hand(&whole), 1);
  append(&whole, 2, 5);
  EQ(raft_log_hand(&whole), 2);
  EQ_TEXT(raft_log_check(&whole), NULL);
  CHECK(whole.block_count >= 3);
}

static void end(void) {
  EQ_TEXT(raft_log_check(&whole), NULL); /* put right again */
  raft_log_free(&whole);
  EQ(memory.live, 0);
}

/* Sets a field for the time of one look. */
#define BROKEN(text, field, value)                                             \
  do {                                                                         \
    size_t size_ = sizeof(field);                                              \
    uint8_t kept_[64];                                                         \
    CHECK(size_ <= sizeof kept_);                                              \
    memcpy(kept_, &(field), size_);                                            \
    (field) = (value);                                                         \
    EQ_TEXT(raft_log_check(&whole), text);                                     \
    memcpy(&(field), kept_, size_);                                            \
  } while (0)

static void marks(void) {
  begin();
  BROKEN("a base without a term, or a term without one", whole.base_term, 1);
  BROKEN("stored lies past handed", whole.stored, 9);
  BROKEN("handed lies past last", whole.handed, 9);
  BROKEN("memory holds what is compacted", whole.memory_first, 0);
  BROKEN("memory starts past the log", whole.memory_first, 10);
  whole.base_term = 1;
  BROKEN("stored lies below base", whole.base_index, 1);
  whole.base_term = 0;
  end();
}

static void runs(void) {
  begin();
  EQ(whole.run_count, 2);
  BROKEN("more runs than room", whole.run_capacity, 1);
  BROKEN("runs without entries, or entries without runs", whole.run_count, 0);
  BROKEN("runs do not ascend", whole.runs[1].first, 1);
  BROKEN("terms of runs fall", whole.runs[1].term, 0);
  BROKEN("two runs of one term", whole.runs[1].term, 1);
  BROKEN("runs do not start after base", whole.runs[0].first, 2);
  BROKEN("a run starts past the log", whole.runs[1].first, 9);
  BROKEN("an entry's term is not the one of its run", whole.runs[1].first, 5);
  end();
}

static void stores(void) {
  begin();
  EQ(whole.store_head, 0);
  BROKEN("too many stores under way", whole.store_count, RAFT_STORES_MAX + 1);
  BROKEN("stores start out of bounds", whole.store_head, RAFT_STORES_MAX);
  BROKEN("a store batch is lost, or counted twice", whole.store_count, 1);
  BROKEN("store batches are not consecutive", whole.stores[0].seq, 2);
  BROKEN("a store batch goes back", whole.stores[1].last, 2);
  BROKEN("a store batch promises what was dropped", whole.handed, 7);
  BROKEN("entries were handed out that no batch makes durable",
         whole.stores[1].last, 7);
  end();
}

static void blocks(void) {
  begin();
  struct raft_block *first = whole.blocks[0];
  struct raft_block *last = whole.blocks[whole.block_count - 1];
  BROKEN("a block is fuller than its capacity", first->capacity, 9);
  BROKEN("an entry stands in another's place", first->first, 2);
  BROKEN("gaps of a block are miscounted", first->gaps, 1);
  BROKEN("an entry in memory is damaged", first->data[0],
         (uint8_t)(first->data[0] + 1));
  BROKEN("an entry reaches past its block", first->used, first->used - 1);
  BROKEN("the end of a block's entries is miscounted", first->end,
         first->end - 1);
  struct raft_block kept = *last;
  raft_block_cut(last, last->count - 1);
  EQ_TEXT(raft_log_check(&whole), "blocks do not reach last");
  last->count = kept.count;
  last->end = kept.end;
  BROKEN("memory_bytes is not the sum", whole.memory_bytes, 7);
  BROKEN("blocks are not contiguous", whole.blocks[1], last);
  end();
}

/* Offsets lie at the end of a block, the first entry's last. */
static void offsets(void) {
  begin();
  struct raft_block *b = whole.blocks[0];
  CHECK(b->count >= 2);
  uint8_t *second = b->data + b->capacity - 8;
  BROKEN("offsets of a block run back", *second, 0);
  uint8_t *high = second + 2; /* far behind what is used */
  BROKEN("offsets of a block run back", *high, 1);
  end();
}

static void places(void) {
  begin();
  struct raft_block *first = whole.blocks[0];
  size_t bytes = whole.memory_bytes;
  whole.memory_bytes = 0;
  BROKEN("memory_first has no block", whole.block_count, 0);
  whole.memory_bytes = bytes;
  whole.last = 7; /* and the marks with it, so that the blocks are asked */
  whole.handed = whole.stores[1].last = 7;
  EQ_TEXT(raft_log_check(&whole), "a block passes the log");
  whole.last = whole.handed = whole.stores[1].last = 8;
  whole.spare = first;
  EQ_TEXT(raft_log_check(&whole), "the spare holds entries");
  whole.spare = NULL;
  end();
}

/* An empty block is fine as the newest, where room is kept. */
static void empty_blocks(void) {
  begin();
  struct raft_block *oldest = whole.blocks[0];
  struct raft_block *empty = raft_memory_block(&whole, 64, 1);
  CHECK(empty != NULL);
  whole.blocks[0] = empty;
  EQ_TEXT(raft_log_check(&whole), "an empty block amid others");
  whole.blocks[0] = oldest;
  raft_memory_release(&whole, empty);
  end();
}

/* Entries that were loaded for applying and have been compacted since. */
static void windows(void) {
  begin();
  uint8_t bytes[200];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_NOOP};
  raft_index last;
  size_t size = raft_entry_encode(&e, bytes);
  EQ(raft_log_window(&whole, 1, bytes, size, &last), RAFT_OK);
  EQ_TEXT(raft_log_check(&whole), NULL);
  whole.window->count = 0;
  EQ_TEXT(raft_log_check(&whole), "the window holds only what is compacted");
  whole.window->count = 1;
  raft_log_window_drop(&whole);
  end();
}

/* Sizes that no memory has are refused before they are multiplied. */
static void what_no_memory_can_hold(void) {
  begin();
  EQ(raft_log_reserve(&whole, UINT32_MAX, 1), RAFT_E_NOMEM);
  EQ(raft_memory_reserve(&whole, 1, UINT32_MAX), RAFT_E_NOMEM);
  EQ(raft_runs_reserve(&whole, UINT32_MAX), RAFT_E_NOMEM);
  CHECK(raft_memory_block(&whole, UINT32_MAX, 1) == NULL);
  end();
}

int main(void) {
  CASE(marks);
  CASE(runs);
  CASE(stores);
  CASE(blocks);
  CASE(offsets);
  CASE(places);
  CASE(empty_blocks);
  CASE(windows);
  CASE(what_no_memory_can_hold);
  return test_end();
}
