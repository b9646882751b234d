/* walk_main.c - the random walk from the command line.
 *
 *   SEED=7 build/fast/walk 1e6      a million virtual seconds
 *   CLUSTER=n build/fast/walk       again the cluster that was broken
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test.h"
#include "walk.h"

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 1e6;
  clock_t start = clock();
  const char *again = getenv("CLUSTER");
  struct walk_result r = again != NULL ? walk_again(strtoull(again, NULL, 10))
                                       : walk_run(test_seed(), seconds);
  double real = (double)(clock() - start) / CLOCKS_PER_SEC;
  printf("%.0f virtual seconds, %" PRIu64 " events, %" PRIu64
         " looks at everything, in %.1f s of processor time: %.0f virtual "
         "seconds a second\n",
         r.seconds, r.events, r.full_checks, real, r.seconds / real);
  unsigned passed = r.broken == NULL;
  unsigned failed = r.broken != NULL;
  if (r.broken != NULL)
    printf("%s, %.3f s into the cluster; again with CLUSTER=%" PRIu64 "\n",
           r.broken, r.at, r.seed);
#define X(name, text)                                                          \
  printf("%10" PRIu64 "  %s%s\n", r.marks.name, text,                          \
         r.marks.name == 0 ? ": NEVER" : "");                                  \
  passed += r.marks.name > 0;                                                  \
  failed += r.marks.name == 0;
  WALK_MARKS(X)
#undef X
  printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
