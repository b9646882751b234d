/* fuzz.c - what the targets share, and the door that libFuzzer knocks at. */
#include "fuzz.h"

#include "bytes.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fuzz_broken(const char *what, const char *file, int line) {
  fflush(stdout); /* where the test support says more */
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  abort();
}

void fuzz_demand_support(void) {
  DEMAND(!test_has_failed());
}

uint8_t *fuzz_copy(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  DEMAND(copy != NULL);
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

uint32_t fuzz_below(struct raft_in *in, uint32_t end) {
  return raft_in_u16(in) % end;
}

uint64_t fuzz_number(struct raft_in *in) {
  static const uint64_t edges[] = {
      0,         UINT64_MAX, INT64_MAX,  (uint64_t)INT64_MAX + 1,
      INT32_MAX, UINT32_MAX, 1ull << 32, UINT64_MAX - 1,
      INT8_MAX,  UINT8_MAX,  1ull << 16, INT64_MAX - 1,
      4096,      1ull << 40, 1ull << 61, 1ull << 62,
  };
  uint8_t first = raft_in_u8(in);
  if (first < 224) return first % 32;
  if (first < 240) return edges[first - 224];
  if (first < 248) return raft_in_u16(in);
  return raft_in_u64(in);
}

static const struct {
  const char *name;
  fuzz_target target;
} targets[] = {
#define X(name) {#name, fuzz_##name},
    FUZZ_TARGETS(X)
#undef X
};

fuzz_target fuzz_find(const char *name) {
  for (size_t i = 0; name != NULL && i < sizeof targets / sizeof *targets; i++)
    if (strcmp(targets[i].name, name) == 0) return targets[i].target;
  return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fuzz_target target;
  if (target == NULL) target = fuzz_find(getenv("FUZZ_TARGET"));
  DEMAND(target != NULL); /* FUZZ_TARGET names one of FUZZ_TARGETS */
  if (size <= FUZZ_INPUT_MAX) target(data, size);
  return 0;
}
