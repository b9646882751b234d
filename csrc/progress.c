/* progress.c - the arithmetic of one follower's progress: what fits, what to
 * send next, what is under way.
 *
 * What must hold: next never passes match + 1 downwards, whatever arrives late
 * or twice; every way for messages to be lost leads out of a full window.
 */
#include "progress.h"

#include <assert.h>

static struct raft_inflight *flight_at(struct raft_progress *p, uint32_t i) {
  assert(i < RAFT_INFLIGHT_MAX);
  assert(p->head < RAFT_INFLIGHT_MAX);
  return &p->flights[(p->head + i) % RAFT_INFLIGHT_MAX];
}

static void forget_flights(struct raft_progress *p) {
  p->head = 0;
  p->count = 0;
  p->bytes = 0;
}

static void add_flight(struct raft_progress *p, raft_index last, size_t bytes) {
  assert(p->count < RAFT_INFLIGHT_MAX);
  assert(last >= p->next);
  assert(bytes <= UINT32_MAX);
  *flight_at(p, p->count) =
      (struct raft_inflight){.last = last, .bytes = (uint32_t)bytes};
  p->count++;
  p->bytes += bytes; /* can_send bounds the sum, so it cannot wrap */
}

/* One answer frees all it covers: answers may be lost, later ones tell. */
static void land_flights(struct raft_progress *p, raft_index match) {
  while (p->count > 0 && flight_at(p, 0)->last <= match) {
    assert(p->bytes >= flight_at(p, 0)->bytes);
    p->bytes -= flight_at(p, 0)->bytes;
    p->head = (p->head + 1) % RAFT_INFLIGHT_MAX;
    p->count--;
  }
  assert(p->count > 0 || p->bytes == 0);
}

static void enter(struct raft_progress *p, enum raft_progress_state state,
                  raft_index next) {
  assert(next > p->match);
  p->state = state;
  p->next = next;
  p->is_probing = false;
  p->snapshot_index = 0;
  p->is_shipped = false;
  if (state != RAFT_REPLICATE) forget_flights(p);
  assert(p->count == 0 || state == RAFT_REPLICATE);
}

/* What it was told beyond match went with the lost messages. */
static void forget_told(struct raft_progress *p) {
  if (p->commit_sent > p->match) p->commit_sent = p->match;
  assert(p->commit_sent <= p->match);
}

/* Is a refusal of an append after `rejected` news? */
static bool is_stale(const struct raft_progress *p, raft_index rejected) {
  assert(p->match < p->next);
  if (rejected <= p->match) return true; /* it has taken more since */
  /* unreachable: there is no other state */
  switch (p->state) {
  case RAFT_PROBE: return rejected != p->next - 1; /* the one that is out? */
  case RAFT_REPLICATE: return rejected >= p->next; /* we went back since */
  case RAFT_SNAPSHOT: return true;                 /* nothing is out */
  }
  return true;
}

void raft_progress_reset(struct raft_progress *p, raft_index last) {
  assert(last < UINT64_MAX);
  *p = (struct raft_progress){
      .id = p->id, .state = RAFT_PROBE, .next = last + 1};
  assert(p->match < p->next);
}

bool raft_progress_can_send(const struct raft_progress *p, size_t bytes_max) {
  assert(p->count <= RAFT_INFLIGHT_MAX);
  assert(p->match < p->next);
  /* unreachable: there is no other state */
  switch (p->state) {
  case RAFT_PROBE: return !p->is_probing;
  case RAFT_REPLICATE:
    if (p->count == 0) return true; /* else a big entry never leaves */
    return p->count < RAFT_INFLIGHT_MAX && p->bytes < bytes_max;
  case RAFT_SNAPSHOT: return false;
  }
  return false;
}

void raft_progress_sent(struct raft_progress *p, raft_index last,
                        size_t bytes) {
  assert(p->match < p->next);
  assert(last >= p->next - 1);
  if (p->state == RAFT_PROBE) {
    p->is_probing = true; /* next stays: is it right? */
    return;
  }
  if (last < p->next) return; /* no entries: nothing is under way */
  assert(p->state == RAFT_REPLICATE);
  add_flight(p, last, bytes);
  p->next = last + 1;
  assert(p->match < p->next);
}

bool raft_progress_accept(struct raft_progress *p, raft_index match) {
  assert(p->match < p->next);
  bool has_grown = match > p->match;
  if (match < p->match) return false; /* overtaken by a later answer? */
  p->match = match;
  land_flights(p, match);
  if (p->next <= match) p->next = match + 1;
  assert(p->match < p->next);
  if (p->state == RAFT_REPLICATE) return has_grown;
  if (p->state == RAFT_SNAPSHOT && match < p->snapshot_index) return has_grown;
  enter(p, RAFT_REPLICATE, match + 1);
  return true;
}

bool raft_progress_reject(struct raft_progress *p, raft_index rejected,
                          raft_index hint) {
  if (is_stale(p, rejected)) return false;
  raft_index next = hint < rejected ? hint + 1 : rejected;
  if (next <= p->match) next = p->match + 1;
  assert(next < p->next); /* so the search ends */
  enter(p, RAFT_PROBE, next);
  forget_told(p);
  assert(p->match < p->next);
  return true;
}

void raft_progress_retract(struct raft_progress *p, raft_index match,
                           raft_index hint) {
  assert(match < p->match);
  assert(match <= hint);
  assert(hint < p->next);
  p->match = match;
  p->is_caught_up = false;
  if (p->state != RAFT_SNAPSHOT) enter(p, RAFT_PROBE, hint + 1);
  forget_told(p);
  assert(p->match < p->next);
}

void raft_progress_probe(struct raft_progress *p) {
  assert(p->match < p->next);
  /* A guess that nobody has refuted yet is worth more than to start over. */
  raft_index next = p->state == RAFT_PROBE ? p->next : p->match + 1;
  enter(p, RAFT_PROBE, next);
  forget_told(p);
  assert(p->count == 0);
}

void raft_progress_snapshot(struct raft_progress *p, raft_index index) {
  assert(index > p->match);
  enter(p, RAFT_SNAPSHOT, index + 1);
  p->snapshot_index = index;
  assert(p->match < p->next);
}

void raft_progress_shipped(struct raft_progress *p) {
  assert(p->state == RAFT_SNAPSHOT);
  assert(p->snapshot_index > p->match);
  enter(p, RAFT_PROBE, p->snapshot_index + 1);
  forget_told(p);
}

/* ---- invariants ---------------------------------------------------------- */

static const char *check_flights(const struct raft_progress *p) {
  raft_index before = p->match;
  size_t bytes = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    const struct raft_inflight *flight =
        &p->flights[(p->head + i) % RAFT_INFLIGHT_MAX];
    if (flight->last <= before) return "flights do not ascend from match";
    before = flight->last;
    bytes += flight->bytes;
  }
  if (p->count > 0 && before + 1 != p->next)
    return "the newest flight does not end before next";
  if (bytes != p->bytes) return "bytes are not the sum of the flights";
  return NULL;
}

const char *raft_progress_check(const struct raft_progress *p,
                                raft_index last) {
  if (p->state < RAFT_PROBE || p->state > RAFT_SNAPSHOT)
    return "no such state of progress";
  if (p->match >= p->next) return "match is not below next";
  if (p->next > last + 1) return "next lies past the log";
  if (p->head >= RAFT_INFLIGHT_MAX || p->count > RAFT_INFLIGHT_MAX)
    return "the ring of flights is out of bounds";
  if (p->count > 0 && p->state != RAFT_REPLICATE)
    return "flights outside of REPLICATE";
  if (p->is_probing && p->state != RAFT_PROBE)
    return "a probe outside of PROBE";
  if ((p->snapshot_index != 0) != (p->state == RAFT_SNAPSHOT))
    return "a snapshot index outside of SNAPSHOT, or none in it";
  if (p->is_shipped && p->state != RAFT_SNAPSHOT)
    return "shipped outside of SNAPSHOT";
  return check_flights(p);
}
