/* walk_check.c - what must hold between the nodes of a walk [Raft Figure 3]:
 * cheap after every event, everything now and then. */
#include "walk_inner.h"

#include "check.h"
#include "entry.h"
#include "replica.h"
#include "wire.h"

void walk_note(struct walk *w, const char *broken) {
  if (w->broken == NULL) w->broken = broken;
}

struct walk_before walk_before(const struct site *s) {
  const struct raft *r = s->raft;
  return (struct walk_before){
      .state = (uint8_t)r->state,
      .term = r->term,
      .last = r->log.last,
      .commit = r->commit,
      .last_term = raft_log_last_term(&r->log),
  };
}

/* ---- elections ----------------------------------------------------------- */

/* [Raft 5.4] a leader has what was committed in earlier terms. */
static bool is_complete(const struct walk *w, const struct raft *r) {
  for (raft_index i = 1; i <= w->commit; i++)
    if (w->since[i] < r->term && raft_log_term(&r->log, i) != w->committed[i])
      return false;
  return true;
}

static void check_role(struct walk *w, uint32_t place, const struct raft *r) {
  struct walk_marks *marks = &w->result->marks;
  if (r->term >= WALK_TERMS) return; /* the cluster ends here */
  if (r->state == RAFT_CANDIDATE) {
    uint8_t bit = (uint8_t)(1u << place);
    uint8_t *all = &w->candidates[r->term];
    bool is_second = *all != 0 && (*all & (*all - 1)) == 0 && (*all & bit) == 0;
    marks->split_votes += is_second;
    *all |= bit;
  }
  if (r->state != RAFT_LEADER) return;
  uint8_t *leader = &w->leaders[r->term];
  if (*leader == place + 1) return;
  if (*leader != 0) walk_note(w, "two leaders in one term");
  *leader = (uint8_t)(place + 1);
  marks->elections++;
  if (!is_complete(w, r))
    walk_note(w, "a leader lacks what was committed before its term");
}

static void check_vote(struct walk *w, uint32_t from, raft_term term,
                       uint32_t to) {
  if (term >= WALK_TERMS) return;
  uint8_t *vote = &w->votes[from][term];
  if (*vote != 0 && *vote != to + 1) walk_note(w, "two votes in one term");
  *vote = (uint8_t)(to + 1);
}

void walk_check_sent(struct walk *w, uint32_t from, uint32_t to,
                     const struct blob *frame) {
  struct walk_marks *marks = &w->result->marks;
  struct raft_message m;
  uint8_t kind = raft_wire_kind(frame->bytes);
  if (kind == RAFT_MSG_APPEND) return; /* the most, and nothing to see */
  if (raft_wire_decode(frame->bytes, frame->size, &m) != RAFT_OK) return;
  if (kind == RAFT_MSG_VOTE && !m.vote.pre)
    check_vote(w, from, m.vote.for_term, from);
  if (kind == RAFT_MSG_VOTE_REPLY && m.vote_reply.pre)
    marks->refused_pre_votes += !m.vote_reply.granted;
  if (kind == RAFT_MSG_VOTE_REPLY && !m.vote_reply.pre) {
    marks->refused_votes += !m.vote_reply.granted;
    if (m.vote_reply.granted) check_vote(w, from, m.vote_reply.for_term, to);
  }
  if (kind == RAFT_MSG_APPEND_REPLY)
    marks->refused_appends += !m.append_reply.accepted;
}

/* ---- entries ------------------------------------------------------------- */

static bool is_on_quorum(const struct walk *w, raft_index i, raft_term term) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < w->rules.count; k++) {
    const struct site_disk *d = &w->sites[k].disk;
    struct raft_entry e;
    if (d->last < i) continue;
    raft_entry_view(d->log[i]->bytes, &e);
    count += e.term == term;
  }
  return 2 * count > w->rules.count;
}

static uint64_t digest_of(const struct raft_entry *e) {
  uint64_t h = e->term * 0x9e3779b97f4a7c15u ^ e->kind;
  for (uint32_t i = 0; i < e->size; i++)
    h = (h ^ e->payload[i]) * 0x100000001b3u;
  return h;
}

/* [Raft 5.4.3] equal entries everywhere, on a quorum of disks. */
static void check_commit(struct walk *w, const struct raft *r,
                         const struct walk_before *before) {
  /* After a crash the commit index may be older. Entry 1 all were given. */
  raft_index first = r->commit < before->commit ? 2 : before->commit + 1;
  for (raft_index i = first; i <= r->commit; i++) {
    struct raft_entry e = {.term = 0};
    if (i >= WALK_LOG + 64 || !raft_entry_at(r, i, &e)) {
      walk_note(w, "a committed entry is not there");
      return;
    }
    if (i > w->commit) {
      if (!is_on_quorum(w, i, e.term))
        walk_note(w, "committed, and not on a quorum");
      w->commit = i;
      w->committed[i] = e.term;
      w->since[i] = r->term;
      w->digests[i] = digest_of(&e);
      w->result->marks.commits++;
    }
    if (w->digests[i] != digest_of(&e))
      walk_note(w, "two entries committed at one index");
  }
}

void walk_check(struct walk *w, uint32_t place,
                const struct walk_before *before) {
  struct site *s = &w->sites[place];
  const struct raft *r = s->raft;
  struct walk_marks *marks = &w->result->marks;
  bool led = before->state == RAFT_LEADER;
  bool is_cut = r->log.last < before->last ||
                raft_log_term(&r->log, before->last) != before->last_term;
  marks->truncations += is_cut;
  marks->step_downs += led && r->state != RAFT_LEADER;
  marks->lost_touch +=
      led && r->state != RAFT_LEADER && r->term == before->term;
  marks->full_stores += s->disk.count == RAFT_STORES_MAX;
  walk_note(w, s->broken);
  check_role(w, place, r);
  check_commit(w, r, before);
}

/* [Raft 5.3] log matching: from the newest index where the terms are equal all
 * entries are. */
static void check_matching(struct walk *w, const struct raft *x,
                           const struct raft *y) {
  raft_index i = x->log.last < y->log.last ? x->log.last : y->log.last;
  while (i > 0 && raft_log_term(&x->log, i) != raft_log_term(&y->log, i))
    i--;
  for (; i > 0; i--) {
    struct raft_entry a;
    struct raft_entry b;
    if (!raft_entry_at(x, i, &a) || !raft_entry_at(y, i, &b)) return;
    if (a.term != b.term || digest_of(&a) != digest_of(&b))
      walk_note(w, "equal entries follow others");
  }
}

void walk_check_all(struct walk *w) {
  w->result->full_checks++;
  for (uint32_t i = 0; i < w->rules.count; i++) {
    walk_note(w, raft_check(w->sites[i].raft));
    for (uint32_t k = 0; k < i; k++)
      check_matching(w, w->sites[i].raft, w->sites[k].raft);
  }
  for (raft_index i = 1; i <= w->commit; i++)
    if (!is_on_quorum(w, i, w->committed[i]))
      walk_note(w, "committed, and not on a quorum any more");
}
