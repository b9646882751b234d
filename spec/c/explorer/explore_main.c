/* explore_main.c - the explorer from the command line; docs/EXPLORER.md.
 *
 *   build/fast/explore BOUNDS...            explores, tells what it found
 *   build/fast/explore --set NAME [--write] compares with the counts that are
 *                                           checked in, or rewrites them
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"

#define COUNTS_FILE "spec/c/explorer/counts.txt"
#define LINES_MAX   64
#define WORDS_MAX   40

static void print_result(const struct search_result *r) {
  printf("%s: %" PRIu64 " worlds, %" PRIu64 " transitions (%" PRIu64
         " led outside the bounds, %" PRIu64 " changed nothing), depth %" PRIu32
         ", widest frontier %" PRIu64 "\n",
         r->is_done ? "the frontier is empty" : "not finished", r->states,
         r->transitions, r->cut, r->in_vain, r->depth, r->frontier_max);
  printf("%" PRIu32 " states of one node, %" PRIu32 " frames, %" PRIu64
         " events run on the core\n",
         r->sites, r->frames, r->core_steps);
  printf("%.1f s of processor time, %.0f transitions a second\n", r->seconds,
         (double)r->transitions / (r->seconds > 0 ? r->seconds : 1));
}

/* ---- one search ---------------------------------------------------------- */

static int explore(int count, char **words) {
  struct world_bounds b = bounds_default();
  struct search_limits l = {.states_max = 50000000};
  for (int i = 0; i < count;) {
    int took = bounds_take(&b, &l, count - i, words + i);
    if (took == 0) {
      fprintf(stderr, "what is %s? Options:\n", words[i]);
      bounds_help(stderr);
      return 2;
    }
    i += took;
  }
  const char *fault = bounds_check(&b);
  if (fault != NULL) {
    fprintf(stderr, "%s\n", fault);
    return 2;
  }
  struct search_result r = search_run(&b, &l, stdout, stdout);
  print_result(&r);
  return r.broken == NULL ? 0 : 1;
}

/* ---- sets of searches with known counts ---------------------------------- */

struct line { /* set  worlds transitions depth : bounds */
  char text[200];
  char set[20];
  uint64_t states, transitions;
  uint32_t depth;
  char bounds[160];
};

static bool read_line(struct line *line) {
  const char *at = strchr(line->text, ':');
  if (line->text[0] == '#' || at == NULL) return false;
  snprintf(line->bounds, sizeof line->bounds, "%s", at + 1);
  return sscanf(line->text, "%19s %" SCNu64 " %" SCNu64 " %" SCNu32, line->set,
                &line->states, &line->transitions, &line->depth) == 4;
}

static struct search_result run_line(const struct line *line) {
  struct world_bounds b = bounds_default();
  struct search_limits l = {.states_max = 50000000};
  char text[160];
  char *words[WORDS_MAX];
  int count = 0;
  snprintf(text, sizeof text, "%s", line->bounds);
  for (char *w = strtok(text, " \n"); w && count < WORDS_MAX;
       w = strtok(NULL, " \n"))
    words[count++] = w;
  for (int i = 0; i < count;) {
    int took = bounds_take(&b, &l, count - i, words + i);
    if (took == 0 || bounds_check(&b) != NULL)
      return (struct search_result){.broken = "such bounds do not exist"};
    i += took;
  }
  return search_run(&b, &l, NULL, stdout);
}

static bool judge(const struct line *line, const struct search_result *r) {
  printf("%s%8" PRIu64 " worlds, %9" PRIu64 " transitions, depth %3" PRIu32
         ", %5.1f s:%s",
         r->is_done ? "" : "NOT FINISHED ", r->states, r->transitions, r->depth,
         r->seconds, line->bounds);
  if (r->broken != NULL) printf("broken: %s\n", r->broken);
  if (r->broken != NULL || !r->is_done) return false;
  if (r->states == line->states && r->transitions == line->transitions &&
      r->depth == line->depth)
    return true;
  printf("the counts were %" PRIu64 ", %" PRIu64 ", %" PRIu32
         ": say why, then `make explore-counts`\n",
         line->states, line->transitions, line->depth);
  return false;
}

static void take_over(struct line *line, const struct search_result *r) {
  snprintf(line->text, sizeof line->text,
           "%-6s %8" PRIu64 " %9" PRIu64 " %4" PRIu32 " :%s", line->set,
           r->states, r->transitions, r->depth, line->bounds);
}

static size_t read_lines(struct line *lines) {
  FILE *file = fopen(COUNTS_FILE, "r");
  size_t count = 0;
  if (file == NULL) return 0;
  while (count < LINES_MAX &&
         fgets(lines[count].text, sizeof lines->text, file) != NULL)
    count++;
  fclose(file);
  return count;
}

static bool write_lines(const struct line *lines, size_t count) {
  FILE *file = fopen(COUNTS_FILE, "w");
  if (file == NULL) return false;
  for (size_t i = 0; i < count; i++)
    fputs(lines[i].text, file);
  return fclose(file) == 0;
}

static int run_set(const char *set, bool writes) {
  static struct line lines[LINES_MAX];
  size_t count = read_lines(lines);
  unsigned passed = 0;
  unsigned failed = 0;
  for (size_t i = 0; i < count; i++) {
    struct line *line = &lines[i];
    if (!read_line(line)) continue;
    if (strcmp(set, "all") != 0 && strcmp(set, line->set) != 0) continue;
    struct search_result r = run_line(line);
    bool is_good = judge(line, &r);
    bool may_write = writes && r.broken == NULL && r.is_done;
    if (may_write) take_over(line, &r);
    passed += is_good || may_write;
    failed += !is_good && !may_write;
    fflush(stdout);
  }
  if (writes && !write_lines(lines, count)) failed++;
  printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc >= 3 && strcmp(argv[1], "--set") == 0)
    return run_set(argv[2], argc > 3 && strcmp(argv[3], "--write") == 0);
  return explore(argc - 1, argv + 1);
}
