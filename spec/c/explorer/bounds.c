#include "bounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, FLAG, COUNT, SECONDS };

static const struct option {
  const char *name;
  enum kind kind;
  size_t at;    /* of the field */
  uint32_t max; /* the largest number; "any" is taken where it is WORLD_ANY */
  const char *text;
} options[] = {
#define BOUND(field) offsetof(struct world_bounds, field)
#define LIMIT(field) offsetof(struct search_limits, field)
    {"--nodes", NUMBER, BOUND(nodes), SITE_MAX, "voters, 1 to 5"},
    {"--terms", NUMBER, BOUND(terms), WORLD_TERMS - 3, "beyond term 1"},
    {"--entries", NUMBER, BOUND(entries), 8, "commands, all in all"},
    {"--strangers", NUMBER, BOUND(strangers), SITE_MAX - 1,
     "of the nodes: no members at first, and empty"},
    {"--changes", NUMBER, BOUND(changes), 8,
     "of the members, one added or removed, all in all"},
    {"--crashes", NUMBER, BOUND(crashes), 8, "all in all"},
    {"--timeouts", NUMBER, BOUND(timeouts), WORLD_ANY, "all in all, or any"},
    {"--duplicates", NUMBER, BOUND(duplicates), WORLD_ANY,
     "all in all, or any: every frame stays for ever"},
    {"--frames", NUMBER, BOUND(frames), WORLD_FRAMES,
     "on one link, older ones are lost"},
    {"--fifo", FLAG, BOUND(is_fifo), 0, "links keep order"},
    {"--newest", FLAG, BOUND(is_newest), 0,
     "newer appends and answers replace what they cover"},
    {"--paced", FLAG, BOUND(is_paced), 0,
     "a node whose disk is busy does nothing else"},
    {"--states", COUNT, LIMIT(states_max), 4000000000u,
     "so many at most: 24 to 32 bytes each"},
    {"--depth", COUNT, LIMIT(depth_max), 100000, "so deep at most"},
    {"--seconds", SECONDS, LIMIT(seconds_max), 1000000, "so long at most"},
#undef BOUND
#undef LIMIT
};
#define OPTIONS (sizeof options / sizeof *options)

struct world_bounds bounds_default(void) {
  return (struct world_bounds){
      .nodes = 3, .terms = 1, .timeouts = WORLD_ANY, .frames = WORLD_FRAMES};
}

static bool read_number(const struct option *o, const char *word,
                        uint64_t *out) {
  char *end;
  if (o->max == WORLD_ANY && strcmp(word, "any") == 0) {
    *out = WORLD_ANY;
    return true;
  }
  errno = 0;
  *out = strtoull(word, &end, 10);
  return errno == 0 && end != word && *end == '\0' && *out <= o->max;
}

static void put(const struct option *o, struct world_bounds *b,
                struct search_limits *l, uint64_t value) {
  uint32_t small = (uint32_t)value;
  bool is_set = true;
  double seconds = (double)value;
  switch (o->kind) {
  case NUMBER: memcpy((char *)b + o->at, &small, sizeof small); break;
  case FLAG: memcpy((char *)b + o->at, &is_set, sizeof is_set); break;
  case COUNT: memcpy((char *)l + o->at, &value, sizeof value); break;
  case SECONDS: memcpy((char *)l + o->at, &seconds, sizeof seconds); break;
  }
}

int bounds_take(struct world_bounds *b, struct search_limits *l, int count,
                char **words) {
  for (size_t i = 0; i < OPTIONS; i++) {
    const struct option *o = &options[i];
    uint64_t value = 0;
    if (strcmp(words[0], o->name) != 0) continue;
    if (o->kind != FLAG && (count < 2 || !read_number(o, words[1], &value)))
      return 0;
    put(o, b, l, value);
    return o->kind == FLAG ? 1 : 2;
  }
  return 0;
}

const char *bounds_check(const struct world_bounds *b) {
  bool is_soup = b->duplicates == WORLD_ANY;
  if (b->nodes == 0) return "there must be a node";
  if (b->frames == 0) return "a link must hold one frame";
  if (b->strangers >= b->nodes) return "there must be a member";
  if (b->terms + b->entries + 3 * b->changes + 2 >= ATLAS_INDEXES)
    return "logs get too long";
  if (is_soup && (b->is_fifo || b->frames < WORLD_FRAMES))
    return "frames that stay for ever keep no order and leave no room";
  if (b->is_newest && !is_soup) return "--newest is for --duplicates any";
  return NULL;
}

void bounds_help(FILE *out) {
  for (size_t i = 0; i < OPTIONS; i++)
    fprintf(out, "  %-13s %s %s\n", options[i].name,
            options[i].kind == FLAG ? " " : "N", options[i].text);
}
