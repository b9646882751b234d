#include "raft_bug.h"

#include <stdlib.h>

int raft_bug;

int raft_bug_of(const char *name) {
  if (name == NULL) return 0;
  char *end = NULL;
  int row = (int)strtol(name, &end, 10);
  return row + (*end > 'a' ? 1000 * (*end - 'a') : 0);
}

/* The programs that are linked with a planted core need know nothing of it. */
__attribute__((constructor)) static void read_environment(void) {
  raft_bug = raft_bug_of(getenv("RAFT_BUG"));
}
