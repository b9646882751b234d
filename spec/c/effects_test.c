/* effects_test.c - the outbox: what was handed out never moves, what is not
 * reserved is not there, memory comes back. */
#include "effects.h"

#include <string.h>

#include "test.h"

static struct test_memory memory;
static struct raft_outbox box;

static void open_box(void) {
  memory = (struct test_memory){0};
  raft_outbox_init(&box, test_alloc, &memory);
}

static void close_box(void) {
  raft_outbox_free(&box);
  EQ(memory.live, 0);
}

static void bytes_never_move(void) {
  open_box();
  uint8_t *first = NULL;
  for (int i = 0; i < 100; i++) {
    EQ(raft_outbox_reserve(&box, 1, 1000), RAFT_OK);
    uint8_t *bytes = raft_outbox_bytes(&box, 1000);
    memset(bytes, i, 1000);
    EQ((uintptr_t)bytes % _Alignof(struct raft_slice), 0);
    if (i == 0) first = bytes;
    (void)raft_outbox_add(&box, RAFT_FX_SEND, (raft_seq)i);
  }
  EQ(first[999], 0);
  EQ(box.count, 100);
  EQ(box.effects[99].after, 99);
  close_box();
}

static void a_failing_reservation_changes_nothing(void) {
  open_box();
  EQ(raft_outbox_reserve(&box, 1, 10), RAFT_OK);
  (void)raft_outbox_add(&box, RAFT_FX_SEND, 7);
  for (uint64_t n = 1; n <= 2; n++) {
    memory.fail_in = n;
    EQ(raft_outbox_reserve(&box, 100, 100000), RAFT_E_NOMEM);
    EQ(box.count, 1);
    EQ(box.effects[0].after, 7);
  }
  memory.fail_in = 0;
  EQ(raft_outbox_reserve(&box, 100, 100000), RAFT_OK);
  close_box();
}

/* A busy turn's memory goes back; an idle turn allocates nothing. */
static void clearing_keeps_one_chunk(void) {
  open_box();
  EQ(raft_outbox_reserve(&box, 1, 10), RAFT_OK);
  uint64_t little = memory.live;
  EQ(raft_outbox_reserve(&box, 1, 1000000), RAFT_OK);
  CHECK(memory.live > 1000000);
  raft_outbox_clear(&box);
  EQ(box.count, 0);
  CHECK(memory.live <= little);
  uint64_t calls = memory.calls;
  EQ(raft_outbox_reserve(&box, 1, 1000), RAFT_OK);
  EQ(memory.calls, calls);
  close_box();
}

static void fill(void) {
  static const uint8_t text[] = "abc";
  EQ(raft_outbox_reserve(&box, 2, 100), RAFT_OK);
  struct raft_effect *fx = raft_outbox_add(&box, RAFT_FX_SEND, 3);
  struct raft_slice *parts = raft_outbox_bytes(&box, 2 * sizeof *parts);
  parts[0] = (struct raft_slice){text, 1};
  parts[1] = (struct raft_slice){text + 1, 2};
  fx->to = 9;
  fx->parts = parts;
  fx->part_count = 2;
  (void)raft_outbox_add(&box, RAFT_FX_ROLE, 0);
}

static void a_clone_owns_its_bytes(void) {
  open_box();
  fill();
  struct raft_outbox copy;
  EQ(raft_outbox_clone(&box, &copy), RAFT_OK);
  raft_outbox_free(&box);
  EQ(copy.count, 2);
  EQ(copy.effects[0].to, 9);
  EQ(copy.effects[0].part_count, 2);
  EQ_BYTES(copy.effects[0].parts[1].data, "bc", 2);
  EQ(copy.effects[1].kind, RAFT_FX_ROLE);
  raft_outbox_free(&copy);
  EQ(memory.live, 0);
}

/* Also when it came first, and there is no other. */
static void clearing_keeps_no_large_chunk(void) {
  open_box();
  EQ(raft_outbox_reserve(&box, 1, 1000000), RAFT_OK);
  CHECK(memory.live > 1000000);
  raft_outbox_clear(&box);
  CHECK(memory.live < 100000);
  EQ(raft_outbox_reserve(&box, 1, 100), RAFT_OK);
  close_box();
}

/* Two parts, each of which alone is more than a chunk holds. */
static void a_clone_has_room_for_the_largest(void) {
  static uint8_t bytes[2][50000];
  open_box();
  memset(bytes[0], 1, sizeof bytes[0]);
  memset(bytes[1], 2, sizeof bytes[1]);
  EQ(raft_outbox_reserve(&box, 1, 100), RAFT_OK);
  struct raft_effect *fx = raft_outbox_add(&box, RAFT_FX_STORE, 0);
  struct raft_slice *parts = raft_outbox_bytes(&box, 2 * sizeof *parts);
  for (int i = 0; i < 2; i++)
    parts[i] = (struct raft_slice){bytes[i], sizeof bytes[i]};
  fx->parts = parts;
  fx->part_count = 2;
  struct raft_outbox copy;
  EQ(raft_outbox_clone(&box, &copy), RAFT_OK);
  for (int i = 0; i < 2; i++)
    EQ_BYTES(copy.effects[0].parts[i].data, bytes[i], sizeof bytes[i]);
  raft_outbox_free(&copy);
  close_box();
}

static void a_clone_that_fails_leaves_nothing(void) {
  open_box();
  fill();
  uint64_t live = memory.live;
  struct raft_outbox copy;
  for (uint64_t n = 1; n <= 2; n++) {
    memory.fail_in = n;
    EQ(raft_outbox_clone(&box, &copy), RAFT_E_NOMEM);
    EQ(copy.count, 0);
    EQ(memory.live, live);
  }
  close_box();
}

int main(void) {
  CASE(bytes_never_move);
  CASE(a_failing_reservation_changes_nothing);
  CASE(clearing_keeps_one_chunk);
  CASE(clearing_keeps_no_large_chunk);
  CASE(a_clone_owns_its_bytes);
  CASE(a_clone_has_room_for_the_largest);
  CASE(a_clone_that_fails_leaves_nothing);
  return test_end();
}
