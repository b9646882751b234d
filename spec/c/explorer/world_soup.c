/* world_soup.c - a network in which every frame stays for ever and may arrive
 * any number of times, or never: loss, doubles and any order in one.
 *
 * There a world with more frames can do all that one with less can. So what
 * changes no node and only sends is done at once, and worlds that lack it need
 * not be looked at.
 */
#include "world_inner.h"

/* ---- at once ------------------------------------------------------------- */

static bool try_free(struct world_space *space, struct world *w, uint32_t place,
                     enum atlas_event event, uint32_t arg) {
  struct atlas_result result =
      *atlas_step(space->atlas, w->site[place], event, arg);
  if (result.site != w->site[place] || result.sent_count == 0) return true;
  if (result.broken != NULL) return true; /* it is met as an action */
  if (!world_send(space, w, &result)) return false;
  space->broken = world_check(space, w, place, w->site[place], &result);
  return space->broken == NULL;
}

static bool free_heartbeats(struct world_space *space, struct world *w) {
  for (uint32_t i = 0; i < space->bounds.nodes; i++) {
    if (world_view(space, w, i)->state != RAFT_LEADER) continue;
    if (world_is_busy(space, w, i)) continue;
    if (!try_free(space, w, i, ATLAS_HEARTBEAT, 0)) return false;
  }
  return true;
}

static bool free_deliveries(struct world_space *space, struct world *w) {
  for (uint32_t i = 0; i < w->frame_count; i++) {
    uint16_t frame = w->frames[i];
    const struct atlas_frame *f = &space->atlas->frames[frame];
    uint32_t to = f->to;
    bool is_vote = f->m.kind == RAFT_MSG_VOTE; /* *f may move */
    if (world_is_busy(space, w, to)) continue;
    if (!try_free(space, w, to, ATLAS_DELIVER, frame)) return false;
    if (!is_vote || !world_view(space, w, to)->has_leader) continue;
    if (!try_free(space, w, to, ATLAS_DELIVER_LATE, frame)) return false;
  }
  return true;
}

/* ---- what is left of appends --------------------------------------------- */

/* May a refusal of its append of `term` still tell this node anything? Not
 * when it is in the last term already, and does not lead it. */
static bool is_curious(const struct world_space *space, const struct world *w,
                       uint32_t place) {
  const struct atlas_view *v = world_view(space, w, place);
  if (v->disk_term <= space->bounds.terms) return true;
  return v->disk_vote == place + 1;
}

/* Entries that are on the disk and commit indexes that are known can do no
 * more, and the core, asked, does nothing; what is left is where the append
 * joins. */
static void spend(const struct world_space *space, struct world *w) {
  struct atlas *a = space->atlas;
  bool may_crash = w->crashes < space->bounds.crashes;
  uint32_t count = w->frame_count;
  w->frame_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t f = w->frames[i];
    uint32_t from = a->frames[f].from;
    uint32_t to = a->frames[f].to;
    if (atlas_is_spent(a, f, w->site[to], may_crash) &&
        world_is_ignored(space, w, f)) {
      bool is_past = a->frames[f].m.term < world_view(space, w, to)->disk_term;
      if (is_past && !is_curious(space, w, from)) continue;
      f = atlas_spend(a, f);
    }
    if (!world_has_frame(w, f)) w->frames[w->frame_count++] = f;
  }
}

/* ---- is_newest ----------------------------------------------------------- */

/* Does y say all that x does, and as much or more? */
static bool is_superseded(const struct atlas *a, uint16_t f, uint16_t g) {
  if (f == g || a->frames[f].key != a->frames[g].key) return false;
  const struct raft_message *x = &a->frames[f].m;
  const struct raft_message *y = &a->frames[g].m;
  if (x->kind == RAFT_MSG_APPEND)
    return x->append.prev_index == y->append.prev_index &&
           x->append.prev_term == y->append.prev_term &&
           x->append.count <= y->append.count &&
           x->append.commit <= y->append.commit;
  return x->kind == RAFT_MSG_APPEND_REPLY && x->append_reply.accepted &&
         y->append_reply.accepted &&
         x->append_reply.index <= y->append_reply.index;
}

static void lose_superseded(const struct world_space *space, struct world *w) {
  uint16_t all[WORLD_FRAMES];
  uint32_t count = w->frame_count;
  w->frame_count = 0;
  for (uint32_t i = 0; i < count; i++)
    all[i] = w->frames[i];
  for (uint32_t i = 0; i < count; i++) {
    bool is_lost = false;
    for (uint32_t k = 0; k < count && !is_lost; k++)
      is_lost = is_superseded(space->atlas, all[i], all[k]);
    if (!is_lost) w->frames[w->frame_count++] = all[i];
  }
}

bool world_settle(struct world_space *space, struct world *w) {
  uint32_t before;
  if (!world_is_soup(space)) return true;
  do {
    before = w->frame_count;
    if (!free_heartbeats(space, w)) return false;
    if (!free_deliveries(space, w)) return false;
  } while (w->frame_count != before);
  spend(space, w);
  if (space->bounds.is_newest) lose_superseded(space, w);
  return true;
}
