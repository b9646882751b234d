#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
  unsigned passed;
  unsigned failed;
  bool case_failed;
  uint64_t seed;
} test;

void test_case(const char *name, void (*body)(void)) {
  test.case_failed = false;
  body();
  if (!test.case_failed) {
    test.passed++;
    return;
  }
  test.failed++;
  printf("FAILED: %s\n", name);
}

static void fail(const char *what, const char *file, int line) {
  test.case_failed = true;
  printf("%s:%d: %s", file, line, what);
}

void test_check(bool ok, const char *what, const char *file, int line) {
  if (ok) return;
  fail(what, file, line);
  printf(": does not hold\n");
}

void test_equal(uint64_t got, uint64_t want, const char *what, const char *file,
                int line) {
  if (got == want) return;
  fail(what, file, line);
  printf(": got %" PRId64 ", want %" PRId64 "\n", (int64_t)got, (int64_t)want);
}

void test_text(const char *got, const char *want, const char *what,
               const char *file, int line) {
  if (got == want) return;
  if (got != NULL && want != NULL && strcmp(got, want) == 0) return;
  fail(what, file, line);
  printf(": got \"%s\", want \"%s\"\n", got ? got : "(null)",
         want ? want : "(null)");
}

void test_bytes(const void *got, const void *want, size_t size,
                const char *what, const char *file, int line) {
  const uint8_t *a = got;
  const uint8_t *b = want;
  for (size_t i = 0; i < size; i++) {
    if (a[i] == b[i]) continue;
    fail(what, file, line);
    printf(": byte %zu is %02x, want %02x\n", i, a[i], b[i]);
    return;
  }
}

bool test_has_failed(void) {
  return test.case_failed || test.failed > 0;
}

int test_end(void) {
  printf("%u passed, %u failed\n", test.passed, test.failed);
  return test.failed == 0 ? 0 : 1;
}

uint64_t test_seed(void) {
  if (test.seed != 0) return test.seed;
  const char *given = getenv("SEED");
  test.seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
  if (test.seed == 0) test.seed = 1;
  printf("SEED=%" PRIu64 "\n", test.seed);
  return test.seed;
}

uint64_t test_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static bool must_fail(struct test_memory *m) {
  m->calls++;
  if (m->fail_in == 0) return false;
  if (m->fail_in > 1) {
    m->fail_in--;
    return false;
  }
  if (!m->fails_for_good) m->fail_in = 0;
  return true;
}

void *test_alloc(void *ud, void *ptr, size_t old_size, size_t new_size) {
  struct test_memory *m = ud;
  if (new_size == 0) {
    m->live -= ptr ? old_size : 0;
    free(ptr);
    return NULL;
  }
  if (must_fail(m)) return NULL;
  void *out = realloc(ptr, new_size);
  if (out == NULL) return NULL;
  m->live += new_size - (ptr ? old_size : 0);
  return out;
}
