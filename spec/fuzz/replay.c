/* replay.c - every kept input through its target, once.
 *
 *   build/unit/fuzz_replay [TARGET] [FILE.hex ...]
 *
 * Reads spec/fuzz/corpus/TARGET/ and spec/fuzz/regressions/TARGET/, and also
 * gives every beginning of each input: what is cut short is refused, too. */
#define _POSIX_C_SOURCE 200809L

#include "fuzz.h"

#include "golden.h"
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const rooms[] = {"corpus", "regressions"};

struct counts {
  unsigned files;
  fuzz_target target;
};

static void give(const uint8_t *data, size_t size, fuzz_target target) {
  uint8_t *exact = fuzz_copy(data, size);
  target(exact, size);
  free(exact);
}

/* A broken demand ends the program: the name of the file stands before it. */
static void replay(const char *path, struct counts *n) {
  uint8_t bytes[FUZZ_INPUT_MAX];
  size_t size = golden_read_file(path, bytes, sizeof bytes);
  printf("%s\n", path);
  fflush(stdout);
  for (size_t part = 0; part < size; part += 1 + size / 8)
    give(bytes, part, n->target);
  give(bytes, size, n->target);
  n->files++;
}

static int is_hex(const struct dirent *entry) {
  const char *end = strrchr(entry->d_name, '.');
  return end != NULL && strcmp(end, ".hex") == 0;
}

static void replay_room(const char *room, const char *target,
                        struct counts *n) {
  char path[512];
  struct dirent **list = NULL;
  snprintf(path, sizeof path, "spec/fuzz/%s/%s", room, target);
  int count = scandir(path, &list, is_hex, alphasort);
  for (int i = 0; i < count; i++) { /* -1: there is no such room */
    snprintf(path, sizeof path, "spec/fuzz/%s/%s/%.200s", room, target,
             list[i]->d_name);
    replay(path, n);
    free(list[i]);
  }
  free(list);
}

static const char *current; /* the target being replayed */

static void survives_what_is_kept(void) {
  struct counts n = {.target = fuzz_find(current)};
  for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
    replay_room(rooms[i], current, &n);
  CHECK(n.files > 0); /* an empty corpus proves nothing */
}

static void replay_target(const char *name) {
  current = name;
  test_case(name, survives_what_is_kept);
}

int main(int argc, char **argv) {
  struct counts n = {.target = argc > 1 ? fuzz_find(argv[1]) : NULL};
  if (argc > 1 && n.target == NULL) {
    printf("there is no target %s\n", argv[1]);
    return 2;
  }
  if (argc == 2) replay_target(argv[1]);
  for (int i = 2; i < argc; i++)
    replay(argv[i], &n);
  if (argc > 2) return 0;
#define X(name)                                                                \
  if (argc == 1) replay_target(#name);
  FUZZ_TARGETS(X)
#undef X
  return test_end();
}
