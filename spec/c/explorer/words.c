/* words.c - actions and worlds as people say them. */
#include "search.h"

#include <stdarg.h>
#include <string.h>

#include "cluster.h"

struct text {
  char *out;
  size_t room, at;
};

static void say(struct text *t, const char *format, ...) {
  va_list list;
  if (t->at >= t->room) return;
  va_start(list, format);
  int size = vsnprintf(t->out + t->at, t->room - t->at, format, list);
  va_end(list);
  if (size > 0) t->at += (size_t)size;
}

/* The words that the golden traces use, for a frame. */
static void say_frame(struct text *t, const struct atlas *a,
                      const struct atlas_frame *f) {
  static struct cluster names; /* all that cluster_words looks at */
  char words[300];
  for (uint32_t i = 0; i < a->rules.count; i++)
    memcpy(names.nodes[i].name, a->rules.names[i], sizeof a->rules.names[i]);
  struct cluster_packet packet = {.from = f->from,
                                  .to = f->to,
                                  .bytes = f->bytes->bytes,
                                  .size = f->bytes->size};
  cluster_words(&names, &packet, words, sizeof words);
  say(t, "%s", words);
}

static void say_crash(struct text *t, const char *name, uint32_t kept,
                      uint32_t all) {
  say(t, "%s crashes and starts again", name);
  if (all > 0)
    say(t, "; of %u writes under way %u are kept", (unsigned)all,
        (unsigned)kept);
}

void words_of_action(const struct world_space *space, const struct world *w,
                     const struct world_action *action, char *out,
                     size_t room) {
  struct text t = {out, room, 0};
  const struct atlas *a = space->atlas;
  const char *name = a->rules.names[action->place];
  uint32_t batches = a->sites[w->site[action->place]].view.batches;
  switch (action->event) {
  case ATLAS_DELIVER:
  case ATLAS_DELIVER_LATE:
    say(&t, "%s hears%s: ", name,
        action->event == ATLAS_DELIVER ? "" : ", long after its leader");
    say_frame(&t, a, &a->frames[action->arg]);
    break;
  case ATLAS_TIME_OUT: say(&t, "%s times out", name); break;
  case ATLAS_HEARTBEAT: say(&t, "%s sends heartbeats", name); break;
  case ATLAS_LOSE_TOUCH: say(&t, "%s heard too few for too long", name); break;
  case ATLAS_STORE:
    say(&t, "the disk of %s finishes %u of %u writes", name,
        (unsigned)action->arg, (unsigned)batches);
    break;
  case ATLAS_CRASH: say_crash(&t, name, action->arg, batches); break;
  case ATLAS_PROPOSE:
    say(&t, "%s is given command %c", name, 'a' + action->arg);
    break;
  case ATLAS_CHANGE: {
    uint32_t members = a->sites[w->site[action->place]].view.members;
    say(&t, "%s is asked to %s %s", name,
        (members >> action->arg & 1u) != 0 ? "remove" : "add",
        a->rules.names[action->arg]);
    break;
  }
  case ATLAS_AGE: say(&t, "?"); break; /* nobody does that */
  }
}

static void say_log(struct text *t, const uint8_t *terms, uint32_t last) {
  for (uint32_t i = 1; i <= last && i < ATLAS_INDEXES; i++)
    say(t, "%s%u", i == 1 ? "" : " ", (unsigned)terms[i]);
}

void words_of_world(const struct world_space *space, const struct world *w,
                    char *out, size_t room) {
  static const char *const states[] = {"?", "follower", "asks", "candidate",
                                       "LEADER"};
  struct text t = {out, room, 0};
  for (uint32_t i = 0; i < space->bounds.nodes; i++) {
    const struct atlas_view *v = &space->atlas->sites[w->site[i]].view;
    say(&t, "%s%s %s t%u log[", i == 0 ? "" : "  | ",
        space->atlas->rules.names[i], states[v->state], (unsigned)v->term);
    say_log(&t, v->terms, v->last);
    say(&t, "] disk t%u [", (unsigned)v->disk_term);
    say_log(&t, v->disk_terms, v->disk_last);
    say(&t, "] commit %u", (unsigned)v->commit);
  }
}
