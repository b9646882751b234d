/* log_check_test.c - every invariant of the log, broken by hand, is seen. */
#include "log_block.h"
#include "log_inner.h"

#include <string.h>

#include "test.h"

static struct test_memory memory;
static struct raft_log l;

/* One thing broken, and what is said of it; mended afterwards. */
#define BROKEN(text, field, value)                                             \
  do {                                                                         \
    EQ_TEXT(raft_log_check(&l), NULL);                                         \
    uint64_t was = (field);                                                    \
    (field) = (value);                                                         \
    EQ_TEXT(raft_log_check(&l), text);                                         \
    (field) = was;                                                             \
  } while (0)

static void append(raft_term term) {
  struct raft_entry e = {.term = term,
                         .kind = RAFT_ENTRY_COMMAND,
                         .size = 3,
                         .payload = (const uint8_t *)"abc"};
  EQ(raft_log_reserve(&l, raft_entry_bytes(&e), 1), RAFT_OK);
  raft_log_append(&l, &e);
}

/* Entries 1 to 3 are compacted, 4 and 5 of term 1 are durable, 6 and 7 of term
 * 2 are on their way, 8 is not handed out. */
static void open_log(void) {
  memory = (struct test_memory){0};
  raft_log_init(&l, test_alloc, &memory);
  for (raft_index i = 1; i <= 8; i++) {
    append(i < 6 ? 1 : 2);
    if (i == 5) raft_log_stored(&l, raft_log_hand(&l));
    if (i == 6 || i == 7) (void)raft_log_hand(&l); /* batches 2 and 3 */
  }
  raft_log_compact(&l, 3);
  EQ(l.base_index, 3);
  EQ(l.stored, 5);
  EQ(l.handed, 7);
}

static void close_log(void) {
  EQ_TEXT(raft_log_check(&l), NULL);
  raft_log_free(&l);
  EQ(memory.live, 0);
}

static void marks(void) {
  open_log();
  BROKEN("a base without a term, or a term without one", l.base_term, 0);
  BROKEN("stored lies below base", l.stored, 2);
  BROKEN("stored lies past handed", l.stored, 8);
  BROKEN("handed lies past last", l.handed, 9);
  BROKEN("memory holds what is compacted", l.memory_first, 3);
  BROKEN("memory starts past the log", l.memory_first, 10);
  close_log();
}

static void runs(void) {
  open_log();
  EQ(l.run_count, 2);
  BROKEN("runs do not ascend", l.runs[0].first, 3);
  BROKEN("runs do not ascend", l.runs[1].first, 4);
  BROKEN("terms of runs fall", l.runs[0].term, 0);
  BROKEN("terms of runs fall", l.runs[0].term, 3);
  BROKEN("two runs of one term", l.runs[1].term, 1);
  BROKEN("runs do not start after base", l.runs[0].first, 5);
  BROKEN("a run starts past the log", l.runs[1].first, 9);
  BROKEN("an entry's term is not the one of its run", l.runs[1].term, 3);
  uint32_t count = l.run_count;
  l.run_count = 0;
  EQ_TEXT(raft_log_check(&l), "runs without entries, or entries without runs");
  l.run_count = l.run_capacity + 1;
  EQ_TEXT(raft_log_check(&l), "more runs than room");
  l.run_count = count;
  close_log();
}

#define STORE(i) l.stores[(l.store_head + (i)) % RAFT_STORES_MAX]

static void stores(void) {
  open_log();
  EQ(l.store_count, 2);
  BROKEN("a store batch is lost, or counted twice", l.seq_handed, 2);
  BROKEN("store batches are not consecutive", STORE(1).seq, 2);
  BROKEN("a store batch goes back", STORE(0).last, 9);
  BROKEN("a store batch promises what was dropped", STORE(1).last, 8);
  BROKEN("entries were handed out that no batch makes durable", l.handed, 8);
  uint32_t head = l.store_head;
  uint32_t count = l.store_count;
  l.store_head = RAFT_STORES_MAX;
  EQ_TEXT(raft_log_check(&l), "stores start out of bounds");
  l.store_head = head;
  l.store_count = RAFT_STORES_MAX + 1;
  EQ_TEXT(raft_log_check(&l), "too many stores under way");
  l.store_count = count;
  close_log();
}

/* Sets the offset of entry i of the newest block; what it was. */
static uint32_t set_offset(struct raft_block *b, uint32_t i, uint32_t value) {
  uint8_t *at =
      b->data + b->capacity - (size_t)RAFT_BLOCK_ENTRY_BYTES * (i + 1);
  uint32_t was;
  memcpy(&was, at, sizeof was);
  memcpy(at, &value, sizeof value);
  return was;
}

static void offsets(void) {
  open_log();
  struct raft_block *b = l.blocks[l.block_count - 1];
  CHECK(b->count > 2);
  for (uint32_t i = 1; i < b->count; i++) {
    uint32_t was = set_offset(b, i, 0);
    EQ_TEXT(raft_log_check(&l), "offsets of a block run back");
    (void)set_offset(b, i, b->used);
    EQ_TEXT(raft_log_check(&l), "offsets of a block run back");
    (void)set_offset(b, i, was);
  }
  close_log();
}

static void blocks(void) {
  open_log();
  struct raft_block *b = l.blocks[l.block_count - 1];
  for (uint32_t i = 0; i < b->count; i++) {
    uint8_t *entry = b->data + (raft_block_at(b, i) - b->data);
    entry[10] ^= 1;
    EQ_TEXT(raft_log_check(&l), "an entry in memory is damaged");
    entry[10] ^= 1;
  }
  BROKEN("memory_bytes is not the sum", l.memory_bytes, 1);
  uint32_t was = b->gaps;
  b->gaps = was + 1;
  EQ_TEXT(raft_log_check(&l), "gaps of a block are miscounted");
  b->gaps = was;
  was = b->used;
  b->used = b->capacity;
  EQ_TEXT(raft_log_check(&l), "a block is fuller than its capacity");
  b->used = was - 1;
  EQ_TEXT(raft_log_check(&l), "an entry reaches past its block");
  b->used = was;
  b->first++;
  CHECK(raft_log_check(&l) != NULL);
  b->first--;
  close_log();
}

/* A log of many blocks. The older ones have left, and entry 3 is loaded. */
static void windows(void) {
  memory = (struct test_memory){0};
  raft_log_init(&l, test_alloc, &memory);
  while (l.block_count < 3)
    append(1);
  raft_log_stored(&l, raft_log_hand(&l));
  raft_log_evict(&l, 0, l.last);
  raft_log_settle(&l);
  CHECK(l.memory_first > 5);
  uint8_t bytes[RAFT_ENTRY_HEADER_BYTES];
  struct raft_entry e = {.index = 3, .term = 1, .kind = RAFT_ENTRY_NOOP};
  size_t size = raft_entry_encode(&e, bytes);
  raft_index last = 0;
  EQ(raft_log_window(&l, 3, bytes, size, &last), RAFT_OK);
  EQ_TEXT(raft_log_check(&l), NULL);
  l.window->first = 2;
  EQ_TEXT(raft_log_check(&l), "an entry stands in another's place");
  l.window->first = 3;
  l.base_index = 3; /* as after a compaction that forgot the window */
  l.base_term = 1;
  l.runs[0].first = 4;
  EQ_TEXT(raft_log_check(&l), "the window holds only what is compacted");
  l.base_index = l.base_term = 0;
  l.runs[0].first = 1;
  close_log();
}

/* Nothing of a block that was emptied is in the way of what follows. */
static void an_emptied_block_is_used_from_its_start(void) {
  memory = (struct test_memory){0};
  raft_log_init(&l, test_alloc, &memory);
  append(1);
  append(1);
  raft_log_truncate(&l, 1);
  raft_log_settle(&l);
  EQ(l.block_count, 1);
  EQ(l.blocks[0]->used, 0);
  append(2);
  EQ(raft_block_at(l.blocks[0], 0) - l.blocks[0]->data, 0);
  close_log();
}

int main(void) {
  CASE(marks);
  CASE(runs);
  CASE(stores);
  CASE(offsets);
  CASE(blocks);
  CASE(windows);
  CASE(an_emptied_block_is_used_from_its_start);
  return test_end();
}
