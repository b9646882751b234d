/* results.c - do all nodes come to the same results?
 *
 * The driver digests what applying returns and tells us the digest at fixed
 * indexes. Every answer to an append carries one; the leader compares, and says
 * in its appends what a majority has.
 *
 * What must hold. A digest covers everything before it: who agrees at an index
 * agrees below it, and who differs goes on differing until a snapshot takes the
 * place of its state. A verdict needs a strict majority of the voters that have
 * a state, of each half; not the quorum of the rule, for two of those need not
 * meet. Not to have come so far is no difference. Which index is compared next
 * follows from what is agreed, so a message that is lost is said again.
 */
#include <assert.h>
#include <string.h>

#include "config.h"
#include "quorum.h"
#include "replica.h"

/* Our digest at `index`, or NULL: not there yet, or not any more. */
static const struct raft_sum *own_at(const struct raft *r, raft_index index) {
  const struct raft_results *s = &r->results;
  assert(s->count <= RAFT_SUMS_MAX);
  if (index == 0) return NULL;
  uint32_t i = s->count; /* they ascend, and mostly the newest are asked for */
  while (i > 0 && s->own[i - 1].index > index)
    i--;
  return i > 0 && s->own[i - 1].index == index ? &s->own[i - 1] : NULL;
}

static raft_index newest_own(const struct raft *r) {
  const struct raft_results *s = &r->results;
  assert(s->count <= RAFT_SUMS_MAX);
  return s->count > 0 ? s->own[s->count - 1].index : 0;
}

/* The state becomes another one: nothing that was said of it counts. */
void raft_results_reset(struct raft *r) {
  assert(r->state != RAFT_LEADER);
  assert(r->results.count <= RAFT_SUMS_MAX);
  memset(&r->results, 0, sizeof r->results);
  assert(newest_own(r) == 0);
}

int raft_on_results(struct raft *r, const struct raft_sum *sum) {
  struct raft_results *s = &r->results;
  assert(r->is_started);
  if (sum->index == 0 || sum->index > r->apply_handed) return RAFT_E_USAGE;
  if (sum->index <= newest_own(r)) return RAFT_E_USAGE;
  if (s->count == RAFT_SUMS_MAX) {
    memmove(s->own, s->own + 1, (RAFT_SUMS_MAX - 1) * sizeof *s->own);
    s->count--;
  }
  s->own[s->count++] = *sum;
  raft_compare_results(r);
  assert(newest_own(r) == sum->index);
  return RAFT_OK;
}

/* ---- the follower -------------------------------------------------------- */

/* What the leader shall hear: what it asked for, else the oldest that is not
 * known to agree, so that the first one that differs is found. */
struct raft_sum raft_results_report(const struct raft *r) {
  const struct raft_results *s = &r->results;
  assert(s->count <= RAFT_SUMS_MAX);
  const struct raft_sum *asked = own_at(r, s->asked);
  if (asked != NULL) return *asked;
  if (s->count == 0) return (struct raft_sum){0};
  uint32_t i = s->count - 1;
  while (i > 0 && s->own[i - 1].index > s->agreed)
    i--;
  return s->own[i];
}

static void take_majority(struct raft *r, const struct raft_sum *majority) {
  struct raft_results *s = &r->results;
  const struct raft_sum *own = own_at(r, majority->index);
  assert(majority->index > 0);
  if (s->verdict.index != 0) return; /* our state stays what it is */
  if (own == NULL) return; /* it will be said again of what we report */
  if (own->digest != majority->digest) {
    s->verdict = *majority;
    if (s->agreed >= majority->index) s->agreed = 0; /* of another majority */
    return;
  }
  if (own->index > s->agreed) s->agreed = own->index;
  if (s->split <= s->agreed) s->split = 0;
}

void raft_on_verdict(struct raft *r, const struct raft_message *m) {
  struct raft_results *s = &r->results;
  assert(m->kind == RAFT_MSG_APPEND);
  assert(r->state == RAFT_FOLLOWER);
  const struct raft_sum *sum = &m->append.sum;
  s->asked = 0;
  s->asked_at = 0;
  if (m->append.verdict == RAFT_VERDICT_NONE) return;
  if (m->append.verdict == RAFT_VERDICT_MAJORITY) {
    take_majority(r, sum);
    return;
  }
  s->asked = sum->index;
  bool is_split = m->append.verdict == RAFT_VERDICT_SPLIT;
  bool is_news = s->split == 0 && s->count > 0 && sum->index > s->agreed;
  if (is_split && is_news) s->split = sum->index;
}

/* ---- the leader ---------------------------------------------------------- */

void raft_results_lead(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  assert(r->results.count <= RAFT_SUMS_MAX);
  r->results.asked = 0; /* by the leader before us */
  r->results.asked_at = 0;
}

static void compare_peer(const struct raft *r, struct raft_progress *p) {
  assert(p->id != r->options.self);
  const struct raft_sum *own = own_at(r, p->sum.index);
  if (own == NULL) return;
  raft_index index = own->index;
  if (own->digest == p->sum.digest) {
    if (p->differs > index) return; /* that is known to lie behind it */
    p->differs = 0;
    p->is_diverged_told = false;
    if (index > p->agreed) p->agreed = index;
    return;
  }
  if (p->agreed >= index) p->agreed = 0; /* it has another state by now */
  if (p->differs == 0 || p->differs > index) p->differs = index;
  assert(p->differs > p->agreed);
}

/* Up to where does a majority agree with us? */
static raft_index shared(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  uint64_t reached[RAFT_MEMBERS_MAX] = {0};
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    reached[i] = p != NULL ? p->agreed : newest_own(r);
  }
  return raft_quorum_majority(&r->config, reached);
}

/* Has a majority told us of the very same? */
static bool is_shared(const struct raft *r, const struct raft_sum *sum) {
  assert(r->state == RAFT_LEADER);
  assert(sum->index > 0);
  uint64_t has[RAFT_MEMBERS_MAX] = {0};
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    const struct raft_sum *other = p != NULL ? &p->sum : own_at(r, sum->index);
    has[i] = other != NULL && other->index == sum->index &&
             other->digest == sum->digest;
  }
  return raft_quorum_majority(&r->config, has) == 1;
}

/* Does it differ where no majority is known to agree? */
static bool is_open(const struct raft *r, const struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  return p->leaving_index == 0 && p->differs > r->results.agreed;
}

/* The first index where somebody differs, and nobody knows who is right. */
static void ask(struct raft *r) {
  struct raft_results *s = &r->results;
  assert(r->state == RAFT_LEADER);
  raft_index first = 0;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    if (is_open(r, p) && (first == 0 || p->differs < first)) first = p->differs;
  }
  if (s->asked == 0) s->asked_at = r->now;
  if (first == 0) s->asked_at = 0;
  s->asked = first;
}

/* One who differs from the majority compares no more: what others have in
 * common is not ours. */
void raft_compare_results(struct raft *r) {
  struct raft_results *s = &r->results;
  if (r->state != RAFT_LEADER || s->verdict.index != 0) return;
  for (uint32_t i = 0; i < r->peer_count; i++)
    compare_peer(r, &r->peers[i]);
  raft_index index = shared(r);
  if (index > s->agreed) s->agreed = index;
  if (s->split <= s->agreed) s->split = 0;
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    if (!is_open(r, p) || p->sum.index < p->differs) continue;
    if (is_shared(r, &p->sum)) s->verdict = p->sum;
  }
  if (s->verdict.index != 0)
    raft_results_lead(r); /* no more questions */
  else
    ask(r);
  assert(s->agreed <= newest_own(r));
}

/* No majority within an election time-out: then somebody should know. */
void raft_results_tick(struct raft *r) {
  struct raft_results *s = &r->results;
  if (r->state != RAFT_LEADER) return;
  raft_compare_results(r); /* the members may have changed */
  bool is_late = r->now - s->asked_at >= r->options.election_max_ms;
  if (s->asked != 0 && s->split == 0 && is_late) s->split = s->asked;
  assert(s->split == 0 || s->split > s->agreed);
}

void raft_on_sum(struct raft *r, struct raft_progress *p,
                 const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  assert(r->state == RAFT_LEADER);
  const struct raft_sum *sum = &m->append_reply.sum;
  bool is_news = sum->index != p->sum.index || sum->digest != p->sum.digest;
  if (sum->index == 0 || !is_news) return;
  p->sum = *sum;
  raft_compare_results(r);
}

/* Ours of an index that helps this member: where it differs, where it is, or
 * the newest that a majority shares. NULL: there is none. */
static const struct raft_sum *answer(const struct raft *r,
                                     const struct raft_progress *p) {
  const struct raft_results *s = &r->results;
  assert(p->id != r->options.self);
  const raft_index places[] = {p->differs, p->sum.index, s->agreed};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const struct raft_sum *own = own_at(r, places[i]);
    if (own != NULL && own->index <= s->agreed) return own;
  }
  return NULL;
}

void raft_put_verdict(const struct raft *r, const struct raft_progress *p,
                      struct raft_message *m) {
  const struct raft_results *s = &r->results;
  assert(m->kind == RAFT_MSG_APPEND);
  assert(r->state == RAFT_LEADER);
  bool is_judged = p->differs != 0 && p->differs <= s->agreed;
  const struct raft_sum *sum = s->verdict.index != 0 ? &s->verdict : NULL;
  if (sum == NULL && s->asked != 0 && !is_judged) {
    m->append.verdict = s->split != 0 ? RAFT_VERDICT_SPLIT : RAFT_VERDICT_ASKED;
    m->append.sum.index = s->asked;
    return;
  }
  if (sum == NULL && s->count > 0) sum = answer(r, p);
  if (sum == NULL) return;
  m->append.verdict = RAFT_VERDICT_MAJORITY;
  m->append.sum = *sum;
}

/* ---- telling ------------------------------------------------------------- */

/* False: there is no room to say it now. */
static bool tell(struct raft *r, raft_id id, const struct raft_sum *majority,
                 raft_index agreed) {
  assert(majority->index > agreed);
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return false;
  const struct raft_sum *own = own_at(r, majority->index);
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_DIVERGED, 0);
  fx->diverged.index = majority->index;
  fx->diverged.id = id;
  fx->diverged.agreed = agreed;
  fx->diverged.majority = majority->digest;
  fx->diverged.own = own != NULL ? own->digest : 0;
  return true;
}

static void tell_of_peers(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  for (uint32_t i = 0; i < r->peer_count; i++) {
    struct raft_progress *p = &r->peers[i];
    bool is_judged = p->differs != 0 && p->differs <= r->results.agreed;
    if (!is_judged || p->is_diverged_told) continue;
    const struct raft_sum *own = own_at(r, p->differs);
    const struct raft_sum here = {p->differs, own != NULL ? own->digest : 0};
    p->is_diverged_told = tell(r, p->id, &here, p->agreed);
  }
}

void raft_emit_diverged(struct raft *r) {
  struct raft_results *s = &r->results;
  assert(s->count <= RAFT_SUMS_MAX);
  if (r->state == RAFT_LEADER && s->agreed > 0) tell_of_peers(r);
  if (s->split != s->split_told) {
    const struct raft_sum here = {s->split, 0};
    if (s->split == 0 || tell(r, 0, &here, s->agreed)) s->split_told = s->split;
  }
  if (s->verdict.index != 0 && !s->is_verdict_told)
    s->is_verdict_told = tell(r, r->options.self, &s->verdict, s->agreed);
}
