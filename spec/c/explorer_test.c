/* explorer_test.c - is the explorer's idea of "the same state" sound?
 *
 * The explorer lets the first state of a canonical form stand for all others.
 * So what comes of two states of one form must be of one form again, whatever
 * happens; and a cluster that nobody interns, renames or normalizes, with other
 * random numbers and clocks that run on, must stay of the same form as the
 * explorer's. If a form left out what matters, they would part.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "replica.h"
#include "test.h"

static uint32_t draw(uint64_t *random, uint32_t below) {
  return (uint32_t)(test_random(random) % below);
}

static bool is_same(struct canon_hash x, struct canon_hash y) {
  return x.a == y.a && x.b == y.b;
}

/* ---- equal forms --------------------------------------------------------- */

struct deed { /* what a node made of an event */
  struct site_net net;
  const struct canon_names *names;
  struct canon_hash site, sent; /* forms: of the node, of all that it sent */
  struct blob *frames[64];
  uint32_t to[64];
  uint32_t count;
};

static void note_sent(struct site_net *net, uint32_t from, uint32_t to,
                      struct blob *frame) {
  struct deed *d = (struct deed *)net;
  (void)from; /* one node only */
  d->to[d->count] = to;
  d->frames[d->count++] = frame;
}

static void do_deed(const struct atlas *a, const struct site *from,
                    enum atlas_event event, uint32_t arg, struct deed *d) {
  struct canon_names names = {.rules = &a->rules, .place = {0, 1, 2, 3, 4}};
  const struct atlas_frame *f = &a->frames[arg];
  bool hears = event == ATLAS_DELIVER || event == ATLAS_DELIVER_LATE;
  struct site s;
  *d = (struct deed){.net.send = note_sent};
  for (uint32_t i = 0; i < SITE_MAX; i++)
    names.rounds[i] = ATLAS_OPEN;
  site_copy(from, &s);
  atlas_run(&s, event, arg, hears ? f->bytes : NULL, hears ? f->from : 0,
            &d->net);
  names.rounds[s.place] = canon_open_round(&s);
  for (uint32_t i = 0; i < d->count; i++) {
    struct canon_hash h;
    canon_frame(s.place, d->to[i], d->frames[i], &names, &h);
    d->sent.a += h.a;
    d->sent.b += h.b;
    blob_drop(d->frames[i]);
  }
  atlas_normalize(&s, names.rounds, a->is_soup);
  names.rounds[s.place] = ATLAS_OPEN;
  canon_site(&s, &names, &d->site);
  site_free(&s);
}

static struct { /* of on_known, which has no place for it */
  uint64_t pairs, events, differ;
} seen;

static void compare(const struct atlas *a, uint32_t known,
                    const struct site *other, enum atlas_event event,
                    uint32_t arg) {
  struct deed x;
  struct deed y;
  do_deed(a, &a->sites[known].site, event, arg, &x);
  do_deed(a, other, event, arg, &y);
  seen.events++;
  if (is_same(x.site, y.site) && is_same(x.sent, y.sent)) return;
  if (seen.differ++ == 0)
    printf("equal forms, and event %d of %" PRIu32 " tells them apart\n",
           (int)event, arg);
}

/* Whatever may happen to the one happens to the other as well. */
static void compare_all(const struct atlas *a, uint32_t known,
                        struct site *other) {
  const struct atlas_view *v = &a->sites[known].view;
  seen.pairs++;
  for (uint32_t i = 0; i < a->frame_count; i++) {
    if (a->frames[i].to != other->place) continue;
    compare(a, known, other, ATLAS_DELIVER, i);
    if (v->has_leader && a->frames[i].m.kind == RAFT_MSG_VOTE)
      compare(a, known, other, ATLAS_DELIVER_LATE, i);
  }
  for (uint32_t i = 0; i <= v->batches; i++) {
    compare(a, known, other, ATLAS_CRASH, i);
    if (i > 0) compare(a, known, other, ATLAS_STORE, i);
  }
  if (v->can_time_out) compare(a, known, other, ATLAS_TIME_OUT, 0);
  if (v->state != RAFT_LEADER) return;
  compare(a, known, other, ATLAS_HEARTBEAT, 0);
  compare(a, known, other, ATLAS_LOSE_TOUCH, 0);
  if (!v->has_heir) compare(a, known, other, ATLAS_PROPOSE, 0);
  for (uint32_t i = 0; v->may_change && i < a->rules.count; i++)
    if (v->members != 1u << i) compare(a, known, other, ATLAS_CHANGE, i);
}

/* A state that was met again came another way: with other clocks, batch
 * numbers, rounds. All that can happen to it must lead to the same forms as
 * from the state that stands for it. */
static void compare_within(const struct world_bounds *b) {
  struct search_limits l = {.states_max = 8000};
  struct world_space space;
  memset(&seen, 0, sizeof seen);
  world_space_init(&space, b);
  space.atlas->on_known = compare_all;
  struct search_result r = search_in(&space, &l);
  CHECK(r.broken == NULL);
  printf("%" PRIu64 " pairs of states, %" PRIu64 " events\n", seen.pairs,
         seen.events);
  CHECK(seen.pairs > 500);
  EQ(seen.differ, 0);
  world_space_free(&space);
}

static void equal_forms_do_equal_things(void) {
  struct world_bounds b = bounds_default();
  b.terms = 2;
  b.entries = 1;
  b.crashes = 1;
  b.frames = 1;
  b.is_fifo = true;
  compare_within(&b);
}

static void also_while_members_change(void) {
  struct world_bounds b = bounds_default();
  b.changes = 2;
  b.strangers = 1;
  b.duplicates = WORLD_ANY;
  b.is_newest = b.is_paced = true;
  compare_within(&b);
}

/* ---- a twin -------------------------------------------------------------- */

#define TWIN_FRAMES 4000

struct twin {
  struct site_net net;
  struct site_rules rules;
  struct site sites[SITE_MAX];
  struct { /* all that were ever sent */
    uint32_t from, to;
    struct blob *bytes;
  } frames[TWIN_FRAMES];
  uint32_t count;
};

static void keep(struct site_net *net, uint32_t from, uint32_t to,
                 struct blob *frame) {
  struct twin *t = (struct twin *)net;
  if (t->count == TWIN_FRAMES) {
    blob_drop(frame);
    return;
  }
  t->frames[t->count].from = from;
  t->frames[t->count].to = to;
  t->frames[t->count++].bytes = frame;
}

static struct twin *twin_new(const struct world_space *space, uint64_t seed) {
  struct twin *t = blob_need(calloc(1, sizeof *t));
  const struct site_rules *r = &space->atlas->rules;
  t->net.send = keep;
  site_rules_init(&t->rules, r->count, r->strangers, r->election_min_ms,
                  r->election_max_ms, r->heartbeat_ms);
  for (uint32_t i = 0; i < r->count; i++)
    site_init(&t->sites[i], &t->rules, i, seed + i);
  return t;
}

static void twin_free(struct twin *t) {
  for (uint32_t i = 0; i < t->rules.count; i++)
    site_free(&t->sites[i]);
  for (uint32_t i = 0; i < t->count; i++)
    blob_drop(t->frames[i].bytes);
  site_rules_free(&t->rules);
  free(t);
}

static struct canon_names twin_names(const struct twin *t) {
  struct canon_names names = {.rules = &t->rules};
  for (uint32_t i = 0; i < t->rules.count; i++) {
    names.place[i] = (uint8_t)i;
    names.rounds[i] = canon_open_round(&t->sites[i]);
  }
  return names;
}

static struct canon_hash twin_form(const struct twin *t, uint32_t place) {
  struct canon_names names = twin_names(t);
  struct canon_hash h;
  struct site copy;
  site_copy(&t->sites[place], &copy);
  atlas_normalize(&copy, names.rounds, false);
  for (uint32_t i = 0; i < SITE_MAX; i++)
    names.rounds[i] = ATLAS_OPEN;
  canon_site(&copy, &names, &h);
  site_free(&copy);
  return h;
}

static struct canon_hash frame_form(const struct twin *t, uint32_t i) {
  struct canon_names names = twin_names(t);
  struct canon_hash h;
  canon_frame(t->frames[i].from, t->frames[i].to, t->frames[i].bytes, &names,
              &h);
  return h;
}

/* The number of a frame of this form, or `count`. */
static uint32_t twin_find(const struct twin *t, struct canon_hash form) {
  uint32_t i = t->count;
  while (i > 0 && !is_same(frame_form(t, i - 1), form))
    i--;
  return i > 0 ? i - 1 : t->count;
}

/* Does what the explorer has done, on what is not the explorer's. */
static bool twin_act(struct twin *t, const struct world_space *space,
                     const struct world_action *action, uint64_t *random) {
  struct site *s = &t->sites[action->place];
  struct blob *frame = NULL;
  uint32_t from = 0;
  s->now += draw(random, 100); /* much less than any time-out */
  if (action->event == ATLAS_DELIVER || action->event == ATLAS_DELIVER_LATE) {
    uint32_t i = twin_find(t, space->atlas->frames[action->arg].shapes[0]);
    if (i == t->count) return false;
    frame = t->frames[i].bytes;
    from = t->frames[i].from;
  }
  if (action->event == ATLAS_DELIVER)
    s->raft->leader_heard = s->now; /* its clock stood still */
  atlas_run(s, action->event, action->arg, frame, from, &t->net);
  if (s->broken != NULL) printf("twin: %s\n", s->broken);
  return s->broken == NULL;
}

/* What it has just sent the explorer has, too, or knows to be of no use. */
static bool has_sent_the_same(const struct twin *t, uint32_t first,
                              const struct world_space *space,
                              const struct world *w) {
  const struct atlas *a = space->atlas;
  for (uint32_t i = first; i < t->count; i++) {
    struct canon_hash form = frame_form(t, i);
    bool is_known = false;
    for (uint32_t k = 0; k < a->frame_count && !is_known; k++) {
      if (!is_same(a->frames[k].shapes[0], form)) continue;
      uint32_t to = a->frames[k].to;
      is_known = world_has_frame(w, (uint16_t)k) ||
                 a->frames[k].m.term > space->bounds.terms ||
                 atlas_is_dead(a, (uint16_t)k, w->site[to]);
    }
    struct raft_message m;
    (void)raft_wire_decode(t->frames[i].bytes->bytes, t->frames[i].bytes->size,
                           &m);
    bool is_old =
        m.kind == RAFT_MSG_VOTE && m.vote.pre &&
        m.vote.round != canon_open_round(&t->sites[t->frames[i].from]);
    if (!is_known && !is_old) return false;
  }
  return true;
}

static bool is_twin(const struct twin *t, const struct world_space *space,
                    const struct world *w) {
  for (uint32_t i = 0; i < space->bounds.nodes; i++)
    if (!is_same(twin_form(t, i), space->atlas->sites[w->site[i]].shapes[0]))
      return false;
  return true;
}

/* ---- soundness ----------------------------------------------------------- */

static bool walk_with_twin(struct world_space *space, uint64_t seed,
                           uint32_t steps) {
  uint64_t random = seed;
  struct world w;
  struct world next;
  struct world_action actions[WORLD_ACTIONS];
  struct twin *t = twin_new(space, seed);
  bool is_good = true;
  world_first(space, &w);
  for (uint32_t i = 0; i < steps && is_good; i++) {
    uint32_t count = world_actions(space, &w, actions);
    if (count == 0) break;
    const struct world_action *a = &actions[draw(&random, count)];
    if (world_act(space, &w, a, &next) != WORLD_NEXT) continue;
    uint32_t before = t->count;
    is_good = twin_act(t, space, a, &random) && is_twin(t, space, &next) &&
              has_sent_the_same(t, before, space, &next);
    if (!is_good) {
      char words[400];
      words_of_action(space, &w, a, words, sizeof words);
      printf("parted at step %" PRIu32 ": %s\n", i, words);
    }
    w = next;
  }
  twin_free(t);
  return is_good;
}

static void twins_never_part(void) {
  uint64_t seed = test_seed();
  struct world_bounds b = bounds_default();
  b.terms = 3;
  b.entries = 3;
  b.crashes = 3;
  b.duplicates = 100;
  struct world_space space;
  world_space_init(&space, &b);
  for (uint32_t i = 0; i < 60; i++) {
    bool is_good = walk_with_twin(&space, seed + i, 120);
    CHECK(is_good);
    if (!is_good) printf("again with SEED=%" PRIu64 "\n", seed + i);
    if (!is_good) break;
  }
  CHECK(space.atlas->site_count > 1000); /* it was not dull */
  world_space_free(&space);
}

/* ---- symmetry ------------------------------------------------------------ */

/* The action that is this one with the nodes renamed. */
static struct world_action renamed(const struct world_space *space,
                                   const struct world_action *action,
                                   uint32_t shape) {
  const struct atlas *a = space->atlas;
  struct world_action out = *action;
  out.place = a->shapes[shape][action->place];
  if (action->event != ATLAS_DELIVER && action->event != ATLAS_DELIVER_LATE)
    return out;
  for (uint32_t i = 0; i < a->frame_count; i++)
    if (is_same(a->frames[i].shapes[0], a->frames[action->arg].shapes[shape]))
      out.arg = (uint16_t)i;
  return out;
}

static bool walk_mirrored(struct world_space *space, uint64_t seed,
                          uint32_t steps) {
  uint64_t random = seed;
  uint32_t shape = draw(&random, space->atlas->shape_count);
  struct world w[2];
  struct world next[2];
  struct world_action actions[WORLD_ACTIONS];
  world_first(space, &w[0]);
  world_first(space, &w[1]);
  for (uint32_t i = 0; i < steps; i++) {
    uint32_t count = world_actions(space, &w[0], actions);
    if (count == 0) return true;
    struct world_action a = actions[draw(&random, count)];
    if (world_act(space, &w[0], &a, &next[0]) != WORLD_NEXT) continue;
    struct world_action b = renamed(space, &a, shape);
    if (world_act(space, &w[1], &b, &next[1]) != WORLD_NEXT) return false;
    if (!is_same(world_shape(space, &next[0], shape),
                 world_shape(space, &next[1], 0)))
      return false;
    if (!is_same(world_hash(space, &next[0]), world_hash(space, &next[1])))
      return false;
    w[0] = next[0];
    w[1] = next[1];
  }
  return true;
}

static void names_of_nodes_do_not_matter(void) {
  uint64_t seed = test_seed();
  struct world_bounds b = bounds_default();
  b.terms = 2;
  b.entries = 2;
  b.crashes = 2;
  b.duplicates = WORLD_ANY;
  struct world_space space;
  world_space_init(&space, &b);
  EQ(space.atlas->shape_count, 6);
  for (uint32_t i = 0; i < 60; i++)
    CHECK(walk_mirrored(&space, seed + i, 60));
  world_space_free(&space);
}

/* ---- what is left out of the search -------------------------------------- */

/* Random walks in one space; the forms of node states that were met. */
static void roam(struct world_space *space, uint64_t seed, uint32_t walks) {
  struct world_action actions[WORLD_ACTIONS];
  for (uint32_t i = 0; i < walks; i++) {
    uint64_t random = seed + i;
    struct world w;
    struct world next;
    world_first(space, &w);
    for (uint32_t k = 0; k < 60; k++) {
      uint32_t count = world_actions(space, &w, actions);
      if (count == 0) break;
      const struct world_action *a = &actions[draw(&random, count)];
      if (world_act(space, &w, a, &next) == WORLD_NEXT) w = next;
    }
  }
}

/* Is it there, under whatever names of nodes? */
static bool has_site(const struct atlas *a, const struct atlas_site *site) {
  for (uint32_t i = 0; i < a->site_count; i++)
    for (uint32_t k = 0; k < a->shape_count; k++)
      if (is_same(a->sites[i].shapes[0], site->shapes[k])) return true;
  return false;
}

/* Explores all of it; the space keeps what was met. */
static void explore_all(struct world_space *space,
                        const struct world_bounds *b) {
  struct search_limits l = {.states_max = 1000000};
  world_space_init(space, b);
  struct search_result r = search_in(space, &l);
  CHECK(r.is_done);
}

/* Frames that stay for ever are loss, doubles and every order in one: no node
 * gets into a state on a network that forgets which it would not get into. */
static void all_that_a_network_can_do_the_soup_does(void) {
  struct world_bounds b = bounds_default();
  b.entries = 0;
  b.duplicates = WORLD_ANY;
  struct world_space soup;
  explore_all(&soup, &b);
  b.duplicates = 2;
  struct world_space network;
  world_space_init(&network, &b);
  network.atlas->is_soup = true; /* equal frames wait once in both */
  roam(&network, test_seed(), 500);
  uint32_t missing = 0;
  for (uint32_t i = 0; i < network.atlas->site_count; i++)
    missing += !has_site(soup.atlas, &network.atlas->sites[i]);
  EQ(missing, 0);
  CHECK(network.atlas->site_count > 200);
  world_space_free(&network);
  world_space_free(&soup);
}

int main(void) {
  CASE(equal_forms_do_equal_things);
  CASE(also_while_members_change);
  CASE(twins_never_part);
  CASE(names_of_nodes_do_not_matter);
  CASE(all_that_a_network_can_do_the_soup_does);
  return test_end();
}
