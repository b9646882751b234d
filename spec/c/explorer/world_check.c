/* world_check.c - what must hold between nodes [Raft Figure 3], written without
 * a look at the checks of the virtual cluster: a second opinion. */
#include "world.h"

static const struct atlas_view *view_of(const struct world_space *space,
                                        const struct world *w, uint32_t i) {
  return &space->atlas->sites[w->site[i]].view;
}

/* Leader completeness: what was committed in a term, leaders of later terms
 * have. [Raft 5.4] A leader of an earlier term, late in office, need not. */
static const char *check_complete(const struct world *w,
                                  const struct atlas_view *v) {
  for (uint32_t i = 1; i <= w->past.commit; i++) {
    if (w->past.since[i] >= v->term) continue;
    if (v->last < i || v->terms[i] != w->past.terms[i])
      return "a leader lacks what was committed before its term";
  }
  return NULL;
}

/* Election safety. [Raft 5.2] */
static const char *check_leader(struct world *w, uint32_t place,
                                const struct atlas_view *v) {
  if (v->state != RAFT_LEADER) return NULL;
  uint8_t *leader = &w->past.leader[v->term];
  if (*leader != 0 && *leader != place + 1) return "two leaders in one term";
  *leader = (uint8_t)(place + 1);
  return NULL;
}

/* Have more than half of these, counted one by one, this entry on disk? */
static bool is_on_most(const struct world_space *space, const struct world *w,
                       uint32_t index, uint32_t voters) {
  uint32_t count = 0;
  uint32_t all = 0;
  for (uint32_t i = 0; i < space->bounds.nodes; i++) {
    const struct atlas_view *v = view_of(space, w, i);
    if ((voters >> i & 1u) == 0) continue;
    all++;
    count +=
        v->disk_last >= index && v->disk_terms[index] == w->past.terms[index];
  }
  return 2 * count > all;
}

/* By the configuration that was in force where it was counted; both halves.
 * [Raft 6] */
static bool is_on_quorum(const struct world_space *space, const struct world *w,
                         uint32_t index, const struct atlas_view *counted) {
  return is_on_most(space, w, index, counted->voters[0]) &&
         is_on_most(space, w, index, counted->voters[1]);
}

/* State machine safety [Raft 5.4.3]; who commits first leads. It counts before
 * it appends the next configuration, so by the one of the state before. */
static const char *check_commit(const struct world_space *space,
                                struct world *w, const struct atlas_view *v,
                                const struct atlas_view *was) {
  struct world_past *past = &w->past;
  for (uint32_t i = 1; i <= v->commit; i++) {
    if (i > past->commit) {
      if (was->state != RAFT_LEADER) return "committed what no leader has";
      past->commit = (uint8_t)i;
      past->terms[i] = v->terms[i];
      past->since[i] = v->term;
      if (!is_on_quorum(space, w, i, was))
        return "committed, and not on a quorum";
    }
    if (v->terms[i] != past->terms[i]) return "two entries committed at once";
  }
  if (v->performed > v->commit) return "applied what is not committed";
  return NULL;
}

/* What is committed and on a disk stays there. */
static const char *check_disks(const struct world *w,
                               const struct atlas_view *v,
                               const struct atlas_view *was) {
  for (uint32_t i = 1; i <= w->past.commit && i <= was->disk_last; i++) {
    bool was_there = was->disk_terms[i] == w->past.terms[i];
    bool is_there = v->disk_last >= i && v->disk_terms[i] == w->past.terms[i];
    if (was_there && !is_there) return "a disk lost what was committed";
  }
  return NULL;
}

/* Log matching [Raft 5.3]: equal index and term, equal all up to there. */
static bool do_match(const uint8_t *terms, const uint64_t *prefix,
                     uint32_t last, const uint8_t *other_terms,
                     const uint64_t *other_prefix, uint32_t other_last) {
  uint32_t i = last < other_last ? last : other_last;
  while (i > 0 && terms[i] != other_terms[i])
    i--;
  return prefix[i] == other_prefix[i]; /* so all before are equal as well */
}

static bool do_logs_match(const struct atlas_view *x,
                          const struct atlas_view *y) {
  return do_match(x->terms, x->prefix, x->last, y->terms, y->prefix, y->last) &&
         do_match(x->disk_terms, x->disk_prefix, x->disk_last, y->terms,
                  y->prefix, y->last) &&
         do_match(x->terms, x->prefix, x->last, y->disk_terms, y->disk_prefix,
                  y->disk_last) &&
         do_match(x->disk_terms, x->disk_prefix, x->disk_last, y->disk_terms,
                  y->disk_prefix, y->disk_last);
}

/* One vote in a term, for ever. [Raft 5.2] */
static const char *check_vote(struct world *w, uint32_t place,
                              const struct atlas_frame *f) {
  uint8_t vote = 0;
  raft_term term = 0;
  if (f->m.kind == RAFT_MSG_VOTE && !f->m.vote.pre) {
    vote = (uint8_t)(place + 1);
    term = f->m.vote.for_term;
  } else if (f->m.kind == RAFT_MSG_VOTE_REPLY && !f->m.vote_reply.pre &&
             f->m.vote_reply.granted) {
    vote = (uint8_t)(f->to + 1);
    term = f->m.vote_reply.for_term;
  }
  if (vote == 0 || term >= WORLD_TERMS) return NULL;
  uint8_t *before = &w->past.votes[place][term];
  if (*before != 0 && *before != vote) return "two votes in one term";
  *before = vote;
  return NULL;
}

/* An acknowledgement to a leader in office is true: the disk has all that its
 * log has, up to there. [Raft 5.3] */
static const char *check_ack(const struct world_space *space,
                             const struct world *w, uint32_t place,
                             const struct atlas_frame *f) {
  if (f->m.kind != RAFT_MSG_APPEND_REPLY || !f->m.append_reply.accepted)
    return NULL;
  const struct atlas_view *leader = view_of(space, w, f->to);
  const struct atlas_view *v = view_of(space, w, place);
  raft_index i = f->m.append_reply.index;
  if (leader->state != RAFT_LEADER || leader->term != f->m.term) return NULL;
  if (i > leader->last) return "acknowledged what the leader has not";
  if (i > v->disk_last || v->disk_prefix[i] != leader->prefix[i])
    return "acknowledged what the disk has not";
  return NULL;
}

const char *world_check(const struct world_space *space, struct world *w,
                        uint32_t place, uint32_t was,
                        const struct atlas_result *result) {
  const struct atlas *a = space->atlas;
  const struct atlas_view *v = view_of(space, w, place);
  const char *broken = check_leader(w, place, v);
  const struct atlas_view *before = &a->sites[was].view;
  if (broken == NULL) broken = check_commit(space, w, v, before);
  if (broken == NULL) broken = check_disks(w, v, before);
  for (uint32_t i = 0; i < result->sent_count && broken == NULL; i++) {
    const struct atlas_frame *f = &a->frames[a->sent[result->sent_first + i]];
    broken = check_vote(w, place, f);
    if (broken == NULL) broken = check_ack(space, w, place, f);
  }
  for (uint32_t i = 0; i < space->bounds.nodes && broken == NULL; i++) {
    const struct atlas_view *other = view_of(space, w, i);
    if (other->state == RAFT_LEADER) broken = check_complete(w, other);
    if (broken == NULL && i != place && !do_logs_match(v, other))
      broken = "equal entries follow others";
  }
  return broken;
}
