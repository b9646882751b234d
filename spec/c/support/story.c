#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 100

static bool is_writing;

void story_begin(int argc, char **argv) {
  is_writing = argc > 1 && strcmp(argv[1], "--write") == 0;
}

/* ---- files --------------------------------------------------------------- */

static const char *path_of(const char *name) {
  static char path[1024];
  const char *root = getenv("RAFT_ROOT");
  snprintf(path, sizeof path, "%s/spec/traces/%s.txt",
           root != NULL ? root : ".", name);
  return path;
}

/* Copies the next line into `line`; behind it. */
static const char *next_line(const char *text, char *line, size_t room) {
  size_t size = strcspn(text, "\n");
  if (text[size] == '\n') size++;
  snprintf(line, room, "%.*s", (int)size, text);
  return text + size;
}

/* The head as a comment, then what happened. The caller frees it. */
static char *whole_of(const char *head, const char *story) {
  size_t room = 3 * strlen(head) + strlen(story) + 16;
  char *out = malloc(room);
  if (out == NULL) exit(2);
  size_t size = 0;
  char line[512];
  while (*head != '\0') {
    head = next_line(head, line, sizeof line);
    const char *mark = line[0] == '\n' ? "#" : "# ";
    size += (size_t)snprintf(out + size, room - size, "%s%s", mark, line);
  }
  snprintf(out + size, room - size, "\n\n%s", story);
  return out;
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
  printf("%s.txt:%d\n  told:    %s  written: %s", name, line, got, want);
  CHECK(strcmp(got, want) == 0); /* review, then make traces */
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

static void check_widths(const char *story) {
  char line[512];
  while (*story != '\0') {
    story = next_line(story, line, sizeof line);
    size_t columns = strcspn(line, "\n");
    if (columns > COLUMNS_MAX) printf("too wide: %s", line);
    CHECK(columns <= COLUMNS_MAX);
  }
}

void story_tell(struct cluster *c, const char *name, const char *head) {
  char *whole = whole_of(head, c->story);
  check_widths(whole);
  if (is_writing)
    write_story(name, whole);
  else
    compare_story(name, whole);
  free(whole);
  alone_end(c);
}

/* ---- pieces -------------------------------------------------------------- */

struct cluster *story_cluster(uint32_t nodes) {
  return cluster_new(&(struct cluster_options){.nodes = nodes, .seed = 1});
}

void story_work(struct cluster *c, uint32_t node) {
  for (int i = 0; i < 4; i++) {
    (void)cluster_flush(c, node); /* nothing to do is fine */
    if (!c->nodes[node].is_disk_held) cluster_disk(c, node, RAFT_STORES_MAX);
  }
}

void story_carry(struct cluster *c, uint32_t from, uint32_t to) {
  for (uint32_t i = 0; i < c->packet_count;) {
    bool is_it = c->packets[i].from == from && c->packets[i].to == to;
    if (is_it)
      cluster_deliver(c, i);
    else
      i++;
  }
  story_work(c, to);
}

void story_exchange(struct cluster *c, uint32_t from, uint32_t to) {
  story_carry(c, from, to);
  story_carry(c, to, from);
}

void story_boot(struct cluster *c, uint32_t node, raft_term term,
                const raft_term *terms, uint32_t count) {
  cluster_crash(c, node, 0);
  cluster_write_log(c, node, term, terms, count);
  EQ(cluster_restart(c, node), RAFT_OK);
}

void story_cut(struct cluster *c, uint32_t mask, bool is_cut) {
  for (uint32_t i = 0; i < c->count; i++)
    for (uint32_t k = 0; k < c->count; k++)
      if ((mask >> i & 1u) != (mask >> k & 1u)) c->cut[i][k] = is_cut;
}

/* Runs of one term are told as one: "1/t1 2-51/t3". */
void story_log(struct cluster *c, uint32_t node) {
  char text[80] = "";
  size_t size = 0;
  struct raft_status s = cluster_status(c, node);
  if (s.first > 1)
    size =
        (size_t)snprintf(text, sizeof text, " all up to %" PRIu64, s.first - 1);
  for (raft_index i = s.first; i <= s.last && size < sizeof text;) {
    raft_term term = raft_term_at(c->nodes[node].raft, i);
    raft_index first = i;
    while (i <= s.last && raft_term_at(c->nodes[node].raft, i) == term)
      i++;
    size +=
        (size_t)snprintf(text + size, sizeof text - size, " %" PRIu64, first);
    if (i - 1 > first && size < sizeof text)
      size +=
          (size_t)snprintf(text + size, sizeof text - size, "-%" PRIu64, i - 1);
    if (size < sizeof text)
      size +=
          (size_t)snprintf(text + size, sizeof text - size, "/t%" PRIu64, term);
  }
  cluster_say(c, "(%s holds%s; committed up to %" PRIu64 ")",
              c->nodes[node].name, text, s.commit);
}
