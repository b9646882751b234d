/* museum.c - runs the scenarios: each with its fix out, and with it.
 *
 *   build/museum/museum_test [ROW ...]
 *
 * A line each: "passed ROW name: reason" or "failed ROW name: why".
 */
#include "museum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 20 /* one run of a scenario */

struct outcome {
  bool is_green;       /* it ended well, without a complaint */
  char complaint[500]; /* the first line that it wrote */
};

static void run_child(const struct museum_scenario *s, const char *bug,
                      int out) {
  (void)alarm(SECONDS_MAX);         /* there is none to give back */
  setvbuf(stdout, NULL, _IONBF, 0); /* an abort loses what is not written */
  if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) _exit(2);
  raft_bug = raft_bug_of(bug);
  test_case(s->name, s->body);
  _exit(test_end());
}

/* Reads all there is, so that the child never waits; keeps the first line. */
static void read_complaint(int in, struct outcome *o) {
  char bytes[4096];
  size_t size = 0;
  bool is_over = false;
  ssize_t n;
  while ((n = read(in, bytes, sizeof bytes)) > 0) {
    for (ssize_t i = 0; i < n && !is_over; i++) {
      is_over = bytes[i] == '\n' || size + 1 == sizeof o->complaint;
      if (!is_over) o->complaint[size++] = bytes[i];
    }
  }
  o->complaint[size] = '\0';
}

static struct outcome run(const struct museum_scenario *s, const char *bug) {
  struct outcome o = {.is_green = false};
  int ends[2];
  if (pipe(ends) != 0) exit(2);
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) exit(2);
  if (child == 0) run_child(s, bug, ends[1]);
  close(ends[1]);
  read_complaint(ends[0], &o);
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child) exit(2);
  o.is_green = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return o;
}

static bool say(const struct museum_scenario *s, bool is_good, const char *how,
                const char *complaint) {
  printf("%s %d %s %s: %s%s\n", is_good ? "passed" : "failed",
         raft_bug_of(s->row) % 1000, s->bug != NULL ? s->bug : "-", s->name,
         how, complaint);
  return is_good;
}

static bool show(const struct museum_scenario *s) {
  struct outcome with = run(s, NULL);
  if (!with.is_green)
    return say(s, false, "red with the fix: ", with.complaint);
  if (s->bug == NULL) return say(s, true, "cannot occur", "");
  struct outcome without = run(s, s->bug);
  if (without.is_green) return say(s, false, "green without the fix", "");
  if (strstr(without.complaint, s->reason) == NULL)
    return say(s, false, "red for another reason: ", without.complaint);
  return say(s, true, "without the fix ", without.complaint);
}

static bool is_wanted(const struct museum_scenario *s, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (raft_bug_of(argv[i]) % 1000 == raft_bug_of(s->row) % 1000) return true;
  return argc < 2;
}

int main(int argc, char **argv) {
  const struct museum_scenario *const chapters[] = {
      museum_votes,     museum_terms,   museum_appends,
      museum_commits,   museum_reads,   museum_lives,
      museum_snapshots, museum_members, museum_damage,
  };
  unsigned passed = 0;
  unsigned failed = 0;
  for (size_t i = 0; i < sizeof chapters / sizeof *chapters; i++)
    for (const struct museum_scenario *s = chapters[i]; s->row != NULL; s++) {
      if (!is_wanted(s, argc, argv)) continue;
      bool is_good = show(s);
      passed += is_good;
      failed += !is_good;
    }
  printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
