/* hello.c - the first frame of a connection: hello, or a refusal. */
#include "bytes.h"
#include "frame_repair.h"
#include "fuzz.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

/* Fields may grow at their end: what we know of them is what we write. */
static void check_bytes(const uint8_t *data, size_t size, const uint8_t *again,
                        size_t again_size) {
  DEMAND(again_size <= size);
  DEMAND(memcmp(data + 24, again + 24, again_size - 24) == 0);
}

static void check_hello(const uint8_t *data, size_t size) {
  struct raft_hello h;
  struct raft_hello g;
  uint8_t out[RAFT_HELLO_BYTES_MAX];
  if (raft_hello_decode(data, size, &h) != RAFT_OK) return;
  DEMAND(raft_hello_check(&h) == NULL);
  size_t again = raft_hello_encode(&h, out);
  check_bytes(data, size, out, again);
  DEMAND(raft_hello_decode(out, again, &g) == RAFT_OK);
  DEMAND(memcmp(&h, &g, sizeof g) == 0);
}

static void check_refusal(const uint8_t *data, size_t size) {
  struct raft_refusal f;
  struct raft_refusal g;
  uint8_t out[RAFT_HELLO_BYTES_MAX];
  if (raft_refusal_decode(data, size, &f) != RAFT_OK) return;
  size_t again = raft_refusal_encode(&f, out);
  check_bytes(data, size, out, again);
  DEMAND(raft_refusal_decode(out, again, &g) == RAFT_OK);
  DEMAND(memcmp(&f, &g, sizeof g) == 0);
}

void fuzz_hello(const uint8_t *data, size_t size) {
  uint8_t *copy = fuzz_copy(data, size);
  frame_repair(copy, size);
  check_hello(data, size);
  check_hello(copy, size);
  check_refusal(data, size);
  check_refusal(copy, size);
  free(copy);
}
