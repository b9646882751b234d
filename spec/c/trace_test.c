/* trace_test.c - stories in words, compared with spec/traces: what the cluster
 * does, line by line, in situations that are known by name.
 *
 *   build/unit/trace_test            compares
 *   build/unit/trace_test --write    writes them anew; review the difference
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alone.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

static bool is_writing;

/* ---- files --------------------------------------------------------------- */

static const char *path_of(const char *name) {
  static char path[1024];
  const char *root = getenv("RAFT_ROOT");
  snprintf(path, sizeof path, "%s/spec/traces/%s.txt",
           root != NULL ? root : ".", name);
  return path;
}

static void write_story(const char *name, const char *story) {
  FILE *f = fopen(path_of(name), "wb");
  CHECK(f != NULL);
  if (f == NULL) return;
  CHECK(fputs(story, f) >= 0);
  CHECK(fclose(f) == 0);
}

static void compare_line(const char *name, int line, const char *got,
                         const char *want) {
  if (strcmp(got, want) == 0) return;
  printf("%s.txt:%d\n  told:   %s  written: %s", name, line, got, want);
  CHECK(strcmp(got, want) == 0); /* review, then make traces */
}

/* Copies the next line into `line`; behind it. */
static const char *next_line(const char *story, char *line, size_t room) {
  size_t size = strcspn(story, "\n");
  if (story[size] == '\n') size++;
  snprintf(line, room, "%.*s", (int)size, story);
  return story + size;
}

static void compare_story(const char *name, const char *story) {
  FILE *f = fopen(path_of(name), "rb");
  if (f == NULL) printf("%s: no such story\n", path_of(name));
  CHECK(f != NULL);
  if (f == NULL) return;
  for (int line = 1;; line++) {
    char got[512];
    char want[512] = "";
    bool is_over = fgets(want, sizeof want, f) == NULL;
    if (is_over && *story == '\0') break;
    story = next_line(story, got, sizeof got);
    compare_line(name, line, got, is_over ? "(its end)\n" : want);
    if (is_over || strcmp(got, want) != 0) break;
  }
  fclose(f);
}

/* The end of every story: told, compared, and nothing broken. */
static void tell(struct cluster *c, const char *name) {
  if (is_writing)
    write_story(name, c->story);
  else
    compare_story(name, c->story);
  alone_end(c);
}

/* ---- pieces -------------------------------------------------------------- */

/* A node does what it can, its disk too. */
static void work(struct cluster *c, uint32_t node) {
  for (int i = 0; i < 4; i++) {
    (void)cluster_flush(c, node); /* nothing to do is fine */
    cluster_disk(c, node, RAFT_STORES_MAX);
  }
}

/* Everything from one to the other arrives, and is worked on. */
static void carry(struct cluster *c, uint32_t from, uint32_t to) {
  for (uint32_t i = 0; i < c->packet_count;) {
    bool is_it = c->packets[i].from == from && c->packets[i].to == to;
    if (is_it)
      cluster_deliver(c, i);
    else
      i++;
  }
  work(c, to);
}

static void boot(struct cluster *c, uint32_t node, raft_term term,
                 const raft_term *terms, uint32_t count) {
  cluster_crash(c, node, 0);
  cluster_write_log(c, node, term, terms, count);
  EQ(cluster_restart(c, node), RAFT_OK);
}

static void say_log(struct cluster *c, uint32_t node) {
  char text[200] = "";
  size_t size = 0;
  struct raft_status s = cluster_status(c, node);
  for (raft_index i = 1; i <= s.last && size < 180; i++)
    size += (size_t)snprintf(text + size, sizeof text - size, " %u",
                             (unsigned)raft_term_at(c->nodes[node].raft, i));
  cluster_say(c, "(%s holds entries of terms%s, commit %u)",
              c->nodes[node].name, text, (unsigned)s.commit);
}

/* ---- stories ------------------------------------------------------------- */

static void first_election(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  cluster_listen(c);
  CHECK(cluster_elect(c, N1));
  EQ(cluster_propose(c, N1, "x"), 3);
  cluster_work(c);
  tell(c, "first_election");
}

/* Four voters: two candidates win two votes each, and nobody three. */
static void split_vote(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 4, .seed = 1});
  cluster_listen(c);
  cluster_time_out(c, N1);
  carry(c, N1, N3);
  carry(c, N1, N4);
  cluster_time_out(c, N2);
  carry(c, N2, N3);
  carry(c, N2, N4);
  for (uint32_t i = N3; i <= N4; i++) {
    carry(c, i, N1);
    carry(c, i, N2);
  }
  cluster_say(c, "(both are candidates, and n3 hears n1, n4 hears n2 first)");
  carry(c, N1, N3);
  carry(c, N2, N4);
  cluster_work(c);
  EQ(cluster_leader(c), -1);
  cluster_say(c, "(nobody has won)");
  CHECK(cluster_elect(c, N2));
  tell(c, "split_vote");
}

/* [Raft Figure 7] a leader of term 8, and a follower of each shape. */
static void figure_7(const char *name, const raft_term *terms, uint32_t count) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  boot(c, N1, 7, TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6), 9);
  boot(c, N2, 7, terms, count);
  boot(c, N3, 7, TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6), 9);
  cluster_isolate(c, N2, true);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  say_log(c, N1);
  say_log(c, N2);
  cluster_isolate(c, N3, true);
  cluster_isolate(c, N2, false);
  c->cut[N2][N3] = c->cut[N3][N2] = true;
  cluster_run(c, 20);
  say_log(c, N2);
  EQ(cluster_status(c, N2).last, 11);
  EQ(cluster_status(c, N2).commit, 11);
  tell(c, name);
}

static void figure_7a(void) { /* one entry is missing */
  figure_7("figure_7a", TERMS(1, 1, 4, 4, 5, 5, 6, 6), 8);
}

static void figure_7b(void) { /* many are */
  figure_7("figure_7b", TERMS(1, 1, 4), 3);
}

static void figure_7c(void) { /* one too many, of a term the leader knows */
  figure_7("figure_7c", TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6, 6), 10);
}

static void figure_7d(void) { /* two too many, of one it does not know */
  figure_7("figure_7d", TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7), 11);
}

static void figure_7e(void) { /* both: too many of term 4, none of 5 and 6 */
  figure_7("figure_7e", TERMS(1, 1, 4, 4, 4, 4), 6);
}

static void figure_7f(void) { /* whole terms that nobody else has */
  figure_7("figure_7f", TERMS(1, 1, 2, 2, 2, 3, 3, 3, 3, 3), 10);
}

/* [Raft Figure 8] c: s1 leads again, in term 4, and brings its entry of term 2
 * to a third server, a majority. It must not be committed by that. */
static struct cluster *figure_8c(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 5, .seed = 1, .message_bytes_max = 1});
  boot(c, N1, 3, TERMS(2), 1);
  boot(c, N2, 3, TERMS(2), 1);
  boot(c, N3, 3, NULL, 0);
  boot(c, N4, 3, NULL, 0);
  boot(c, N5, 3, TERMS(3), 1);
  cluster_listen(c);
  for (uint32_t i = 0; i < 5; i++)
    say_log(c, i);
  cluster_crash(c, N5, 0);
  cluster_crash(c, N4, 0);
  cluster_time_out(c, N1);
  for (int round = 0; round < 2; round++) /* pre-votes, votes */
    for (uint32_t i = N2; i <= N3; i++) {
      carry(c, N1, i);
      carry(c, i, N1);
    }
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  carry(c, N1, N3); /* does not fit */
  carry(c, N3, N1);
  carry(c, N1, N3); /* entry 2, of term 2 */
  carry(c, N3, N1);
  say_log(c, N3);
  EQ(raft_term_at(c->nodes[N3].raft, 2), 2);
  EQ(cluster_status(c, N1).commit, 1);
  cluster_say(c, "(on three of five, and not committed)");
  return c;
}

static void figure_8d(void) { /* so it may still be overwritten */
  struct cluster *c = figure_8c();
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  (void)cluster_restart(c, N4); /* what fails is noted */
  (void)cluster_restart(c, N5);
  CHECK(cluster_elect(c, N5) || cluster_elect(c, N5)); /* learns the term */
  for (uint32_t i = N2; i <= N5; i++)
    say_log(c, i);
  EQ(raft_term_at(c->nodes[N3].raft, 2), 3);
  tell(c, "figure_8d");
}

static void figure_8e(void) { /* with an entry of its own term it can not */
  struct cluster *c = figure_8c();
  carry(c, N1, N3); /* entry 3, of term 4 */
  carry(c, N1, N2);
  carry(c, N3, N1);
  carry(c, N2, N1);
  EQ(cluster_status(c, N1).commit, 3);
  cluster_say(c, "(now both are committed)");
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  (void)cluster_restart(c, N4); /* what fails is noted */
  (void)cluster_restart(c, N5);
  CHECK(!cluster_elect(c, N5));
  CHECK(!cluster_elect(c, N5));
  CHECK(cluster_elect(c, N2));
  for (uint32_t i = N2; i <= N5; i++)
    say_log(c, i);
  EQ(raft_term_at(c->nodes[N5].raft, 2), 2);
  tell(c, "figure_8e");
}

/* [Thesis 9.6] a node comes back from where nobody heard it. */
static void rejoin(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .heartbeat_ms = 60});
  CHECK(cluster_elect(c, N1));
  raft_term term = cluster_status(c, N1).term;
  cluster_isolate(c, N3, true);
  cluster_run(c, 1000);
  cluster_listen(c);
  cluster_isolate(c, N3, false);
  cluster_tick(c, N3);
  c->now = c->nodes[N3].deadline;
  cluster_tick(c, N3);
  cluster_work(c);
  cluster_run(c, 60);
  EQ(cluster_leader(c), N1);
  EQ(cluster_status(c, N1).term, term);
  EQ(cluster_status(c, N3).term, term);
  EQ(c->seen_counts.step_downs, 0);
  tell(c, "rejoin");
}

/* [Thesis 6.2] */
static void lost_touch(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .heartbeat_ms = 90});
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  cluster_isolate(c, N1, true);
  for (int i = 0; i < 4 && cluster_status(c, N1).state == RAFT_LEADER; i++) {
    c->now += 90;
    cluster_tick(c, N1);
    (void)cluster_flush(c, N1);
  }
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
  tell(c, "lost_touch");
}

static void slow_follower(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 12; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    cluster_work(c);
  }
  cluster_listen(c);
  cluster_isolate(c, N3, false);
  cluster_say(c, "(in memory n1 has but entries from %u on)",
              (unsigned)cluster_status(c, N1).memory_first);
  cluster_run(c, 20);
  EQ(cluster_status(c, N3).commit, 14);
  CHECK(c->seen_counts.loads > 0);
  tell(c, "slow_follower");
}

int main(int argc, char **argv) {
  is_writing = argc > 1 && strcmp(argv[1], "--write") == 0;
  CASE(first_election);
  CASE(split_vote);
  CASE(figure_7a);
  CASE(figure_7b);
  CASE(figure_7c);
  CASE(figure_7d);
  CASE(figure_7e);
  CASE(figure_7f);
  CASE(figure_8d);
  CASE(figure_8e);
  CASE(rejoin);
  CASE(lost_touch);
  CASE(slow_follower);
  return test_end();
}
