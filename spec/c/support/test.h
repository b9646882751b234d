/* test.h - the smallest harness: named cases, checks that say what they saw.
 *
 *   static void finds_the_middle(void) { EQ(raft_quorum_value(...), 3); }
 *   int main(void) { CASE(finds_the_middle); return test_end(); }
 */
#ifndef RAFT_TEST_H
#define RAFT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE(name)  test_case(#name, name)
#define CHECK(cond) test_check((cond), #cond, __FILE__, __LINE__)
#define EQ(got, want)                                                          \
  test_equal((uint64_t)(got), (uint64_t)(want), #got, __FILE__, __LINE__)
#define EQ_TEXT(got, want) test_text((got), (want), #got, __FILE__, __LINE__)
#define EQ_BYTES(got, want, size)                                              \
  test_bytes((got), (want), (size), #got, __FILE__, __LINE__)

void test_case(const char *name, void (*body)(void));
void test_check(bool ok, const char *what, const char *file, int line);
void test_equal(uint64_t got, uint64_t want, const char *what, const char *file,
                int line);
void test_text(const char *got, const char *want, const char *what,
               const char *file, int line);
void test_bytes(const void *got, const void *want, size_t size,
                const char *what, const char *file, int line);

/* Did any check fail so far? For programs that have no cases. */
bool test_has_failed(void);

/* Prints "N passed, N failed"; the exit status of main. */
int test_end(void);

/* The seed of random cases: SEED= of the environment, else from the clock;
 * printed once. Then numbers from it. */
uint64_t test_seed(void);
uint64_t test_random(uint64_t *state);

/* An allocator of raft_alloc's shape that fails the n-th call from now (1 is
 * the next, 0 none) and counts what is live. */
struct test_memory {
  uint64_t fail_in;    /* 0: never */
  uint64_t calls;      /* so far */
  uint64_t live;       /* bytes allocated and not freed */
  bool fails_for_good; /* every call from fail_in on fails */
};
void *test_alloc(void *ud, void *ptr, size_t old_size, size_t new_size);

#endif
