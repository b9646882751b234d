/* progress_test.c - one follower as its leader sees it: stories, then chaos. */
#include "progress.h"

#include <string.h>

#include "test.h"

#define BYTES_MAX 1000

static uint64_t dice;

static uint64_t draw(uint64_t below) {
  return test_random(&dice) % below;
}

static struct raft_progress probing(raft_index last) {
  struct raft_progress p;
  memset(&p, 0xa5, sizeof p); /* reset must not rely on zeroes */
  p.id = 42;
  raft_progress_reset(&p, last);
  return p;
}

static struct raft_progress replicating(raft_index match) {
  struct raft_progress p = probing(match);
  CHECK(raft_progress_accept(&p, match));
  return p;
}

static void sound(const struct raft_progress *p, raft_index last) {
  EQ_TEXT(raft_progress_check(p, last), NULL);
}

static void starts_by_probing_after_last(void) {
  struct raft_progress p = probing(10);
  EQ(p.id, 42);
  EQ(p.state, RAFT_PROBE);
  EQ(p.match, 0);
  EQ(p.next, 11);
  EQ(p.heard, 0);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  sound(&p, 10);
}

static void probes_with_one_append_at_a_time(void) {
  struct raft_progress p = probing(10);
  raft_progress_sent(&p, 14, 100);
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
  EQ(p.next, 11); /* nothing is assumed */
  sound(&p, 14);
  raft_progress_probe(&p); /* it was lost: may send again, same guess */
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  EQ(p.next, 11);
  raft_progress_sent(&p, 10, 0); /* without entries it waits as well */
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
}

static void goes_ahead_once_a_probe_is_accepted(void) {
  struct raft_progress p = probing(10);
  raft_progress_sent(&p, 14, 100);
  CHECK(raft_progress_accept(&p, 14));
  EQ(p.state, RAFT_REPLICATE);
  EQ(p.next, 15);
  raft_progress_sent(&p, 15, 10);
  EQ(p.next, 16);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  sound(&p, 15);
}

static void goes_ahead_though_the_probe_was_empty(void) {
  struct raft_progress p = probing(10);
  p.match = 10;
  raft_progress_sent(&p, 10, 0);
  CHECK(raft_progress_accept(&p, 10)); /* match did not grow */
  EQ(p.state, RAFT_REPLICATE);
  EQ(p.next, 11);
}

static void bounds_messages_under_way(void) {
  struct raft_progress p = replicating(0);
  for (raft_index i = 1; i <= RAFT_INFLIGHT_MAX; i++) {
    CHECK(raft_progress_can_send(&p, BYTES_MAX));
    raft_progress_sent(&p, i, 1);
  }
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
  EQ(p.bytes, RAFT_INFLIGHT_MAX);
  raft_progress_sent(&p, RAFT_INFLIGHT_MAX, 0); /* a heartbeat passes */
  EQ(p.count, RAFT_INFLIGHT_MAX);
  CHECK(raft_progress_accept(&p, 1));
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  sound(&p, RAFT_INFLIGHT_MAX);
}

static void bounds_bytes_but_lets_one_message_pass(void) {
  struct raft_progress p = replicating(0);
  CHECK(raft_progress_can_send(&p, 0));
  raft_progress_sent(&p, 1, 5000);
  CHECK(!raft_progress_can_send(&p, 5000));
  CHECK(raft_progress_can_send(&p, 5001));
  CHECK(raft_progress_accept(&p, 1));
  EQ(p.bytes, 0);
  CHECK(raft_progress_can_send(&p, 0));
}

/* A full window whose answers were all lost: the next answer frees all. */
static void recovers_when_acks_are_lost(void) {
  struct raft_progress p = replicating(0);
  for (raft_index i = 1; i <= RAFT_INFLIGHT_MAX; i++)
    raft_progress_sent(&p, i, 10);
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
  raft_progress_sent(&p, RAFT_INFLIGHT_MAX, 0); /* heartbeat, answered */
  CHECK(raft_progress_accept(&p, RAFT_INFLIGHT_MAX));
  EQ(p.count, 0);
  EQ(p.bytes, 0);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
}

/* A full window that was lost itself: the heartbeat is refused. */
static void recovers_when_appends_are_lost(void) {
  struct raft_progress p = replicating(5);
  for (raft_index i = 1; i <= RAFT_INFLIGHT_MAX; i++)
    raft_progress_sent(&p, 5 + i, 10);
  raft_progress_sent(&p, p.next - 1, 0);
  CHECK(raft_progress_reject(&p, p.next - 1, 5));
  EQ(p.state, RAFT_PROBE);
  EQ(p.next, 6);
  EQ(p.count, 0);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  sound(&p, 5 + RAFT_INFLIGHT_MAX);
}

static void probe_empties_the_window(void) {
  struct raft_progress p = replicating(5);
  p.commit_sent = 7;
  raft_progress_sent(&p, 6, 10);
  raft_progress_sent(&p, 9, 30);
  raft_progress_probe(&p);
  EQ(p.state, RAFT_PROBE);
  EQ(p.next, 6);
  EQ(p.count, 0);
  EQ(p.bytes, 0);
  EQ(p.commit_sent, 5); /* what it was told beyond match is lost too */
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
}

/* Damage took what it had told us of. */
static void takes_back_what_was_lost(void) {
  struct raft_progress p = replicating(9);
  p.commit_sent = 8;
  raft_progress_sent(&p, 12, 30);
  raft_progress_retract(&p, 0, 4);
  EQ(p.match, 0);
  EQ(p.state, RAFT_PROBE);
  EQ(p.next, 5);
  EQ(p.count, 0);
  EQ(p.bytes, 0);
  EQ(p.commit_sent, 0);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  sound(&p, 12);
  CHECK(raft_progress_accept(&p, 6)); /* counts again */
  EQ(p.match, 6);
  EQ(p.state, RAFT_REPLICATE);
}

static void takes_back_and_waits_for_its_snapshot(void) {
  struct raft_progress p = replicating(9);
  raft_progress_snapshot(&p, 20);
  raft_progress_retract(&p, 3, 3);
  EQ(p.match, 3);
  EQ(p.state, RAFT_SNAPSHOT);
  EQ(p.next, 21);
  sound(&p, 30);
}

/* [Raft 5.3] back off to where the logs may agree, never below match. */
static void backs_off_by_the_hint(void) {
  struct raft_progress p = probing(100);
  raft_progress_sent(&p, 100, 0);
  CHECK(raft_progress_reject(&p, 100, 40));
  EQ(p.next, 41);
  CHECK(raft_progress_can_send(&p, BYTES_MAX));
  raft_progress_sent(&p, 60, 10);
  CHECK(raft_progress_reject(&p, 40, 99)); /* a hint that is no help */
  EQ(p.next, 40);
  CHECK(raft_progress_reject(&p, 39, UINT64_MAX));
  EQ(p.next, 39);
  p.match = 30;
  CHECK(raft_progress_reject(&p, 38, 2));
  EQ(p.next, 31);
  sound(&p, 100);
}

/* A refusal that was overtaken by an acceptance must not move next to match
 * or below. */
/* What it was told with lost messages it must be told again. */
static void forgets_what_was_told_in_vain(void) {
  struct raft_progress p = replicating(5);
  raft_progress_sent(&p, 9, 10);
  p.commit_sent = 8;
  CHECK(raft_progress_reject(&p, 9, 6));
  EQ(p.commit_sent, 5);
  p = replicating(5);
  p.commit_sent = 4;
  raft_progress_probe(&p);
  EQ(p.commit_sent, 4);
  p.commit_sent = 8;
  raft_progress_probe(&p);
  EQ(p.commit_sent, 5);
}

static void drops_late_rejects(void) {
  struct raft_progress p = probing(10);
  raft_progress_sent(&p, 10, 0);
  CHECK(raft_progress_accept(&p, 10));
  CHECK(!raft_progress_reject(&p, 10, 3));
  CHECK(!raft_progress_reject(&p, 4, 3));
  EQ(p.state, RAFT_REPLICATE);
  EQ(p.next, 11);
  CHECK(!raft_progress_reject(&p, 11, 3)); /* nothing was sent after 11 */
  raft_progress_probe(&p);
  raft_progress_sent(&p, 10, 0);
  CHECK(!raft_progress_reject(&p, 10, 3));
  CHECK(!raft_progress_can_send(&p, BYTES_MAX)); /* still waits */
  EQ(p.next, 11);
}

static void drops_rejects_of_another_probe(void) {
  struct raft_progress p = probing(100);
  raft_progress_sent(&p, 100, 0);
  CHECK(raft_progress_reject(&p, 100, 50));
  raft_progress_sent(&p, 60, 10);
  CHECK(!raft_progress_reject(&p, 100, 50)); /* doubled on the way */
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
  EQ(p.next, 51);
}

static void drops_late_accepts(void) {
  struct raft_progress p = replicating(10);
  raft_progress_sent(&p, 12, 10);
  CHECK(!raft_progress_accept(&p, 4));
  CHECK(!raft_progress_accept(&p, 10)); /* nothing new */
  EQ(p.match, 10);
  EQ(p.next, 13);
  raft_progress_probe(&p);
  CHECK(!raft_progress_accept(&p, 9));
  EQ(p.state, RAFT_PROBE);
}

static void sends_nothing_during_a_snapshot(void) {
  struct raft_progress p = probing(10);
  raft_progress_snapshot(&p, 8);
  CHECK(!raft_progress_can_send(&p, BYTES_MAX));
  CHECK(!raft_progress_reject(&p, 8, 2));
  raft_progress_sent(&p, 8, 0); /* a heartbeat */
  sound(&p, 10);
  CHECK(raft_progress_accept(&p, 5)); /* grew, does not cover it yet */
  EQ(p.state, RAFT_SNAPSHOT);
  CHECK(raft_progress_accept(&p, 8));
  EQ(p.state, RAFT_REPLICATE);
  EQ(p.next, 9);
  EQ(p.snapshot_index, 0);
}

static void probes_after_a_failed_snapshot(void) {
  struct raft_progress p = probing(10);
  CHECK(raft_progress_accept(&p, 3));
  raft_progress_snapshot(&p, 8);
  raft_progress_probe(&p);
  EQ(p.state, RAFT_PROBE);
  EQ(p.next, 4);
  sound(&p, 10);
}

/* ---- each broken invariant has its word --------------------------------- */

static void names_what_is_broken(void) {
  struct raft_progress p = replicating(5);
  raft_progress_sent(&p, 9, 10);
  struct raft_progress bad = p;
  bad.match = 10;
  EQ_TEXT(raft_progress_check(&bad, 20), "match is not below next");
  EQ_TEXT(raft_progress_check(&p, 8), "next lies past the log");
  bad = p;
  bad.bytes = 11;
  EQ_TEXT(raft_progress_check(&bad, 9), "bytes are not the sum of the flights");
  bad = p;
  bad.flights[bad.head].last = 5;
  EQ_TEXT(raft_progress_check(&bad, 9), "flights do not ascend from match");
  bad = p;
  bad.next = 8;
  EQ_TEXT(raft_progress_check(&bad, 9),
          "the newest flight does not end before next");
  bad = p;
  bad.is_probing = true;
  EQ_TEXT(raft_progress_check(&bad, 9), "a probe outside of PROBE");
  bad = p;
  bad.state = RAFT_PROBE;
  EQ_TEXT(raft_progress_check(&bad, 9), "flights outside of REPLICATE");
  bad.state = 0;
  EQ_TEXT(raft_progress_check(&bad, 9), "no such state of progress");
  bad.state = RAFT_SNAPSHOT + 1;
  EQ_TEXT(raft_progress_check(&bad, 9), "no such state of progress");
  bad = p;
  bad.head = RAFT_INFLIGHT_MAX;
  EQ_TEXT(raft_progress_check(&bad, 9), "the ring of flights is out of bounds");
  bad = p;
  bad.count = RAFT_INFLIGHT_MAX + 1;
  EQ_TEXT(raft_progress_check(&bad, 9), "the ring of flights is out of bounds");
  bad = p;
  bad.snapshot_index = 7;
  EQ_TEXT(raft_progress_check(&bad, 9),
          "a snapshot index outside of SNAPSHOT, or none in it");
}

/* ---- chaos: a leader, a follower, and a network that does anything ------- */

struct answer {
  bool accepted;
  raft_index index;
  raft_index hint;
};

struct world {
  struct raft_progress p;
  raft_index last;       /* the leader's log */
  raft_index has;        /* equal to the leader's up to here, durably */
  struct answer kept[8]; /* answers under way; any may come at any time */
  uint32_t count;
};

static void answer(struct world *w, struct answer a) {
  if (w->count < 8) w->kept[w->count++] = a; /* else it is lost */
}

/* The follower takes an append after `prev` up to `last`. */
static void deliver(struct world *w, raft_index prev, raft_index last) {
  if (prev > w->has) {
    answer(w, (struct answer){false, prev, draw(w->has + 1)});
    return;
  }
  if (last > w->has) w->has = last;
  answer(w, (struct answer){true, last, 0});
}

static void send(struct world *w, bool is_lost) {
  raft_index prev = w->p.next - 1;
  raft_index last = prev;
  if (raft_progress_can_send(&w->p, 100)) last += draw(w->last - prev + 1);
  raft_progress_sent(&w->p, last, last > prev ? 1 + draw(60) : 0);
  if (!is_lost) deliver(w, prev, last);
}

static void take_answer(struct world *w, bool is_doubled) {
  if (w->count == 0) return;
  uint32_t i = (uint32_t)draw(w->count);
  struct answer a = w->kept[i];
  raft_index next = w->p.next;
  if (!is_doubled) w->kept[i] = w->kept[--w->count];
  if (a.accepted) {
    raft_progress_accept(&w->p, a.index);
    CHECK(w->p.match >= a.index);
  } else if (raft_progress_reject(&w->p, a.index, a.hint)) {
    CHECK(w->p.next < next);
  } else {
    EQ(w->p.next, next);
  }
  CHECK(w->p.match <= w->has); /* only what is durable there */
}

static void survives_any_network(void) {
  for (int round = 0; round < 300; round++) {
    struct world w = {.p = probing(draw(30))};
    w.last = w.p.next - 1;
    for (int i = 0; i < 200; i++) {
      uint64_t move = draw(10);
      if (move < 2) w.last += draw(3);
      if (move >= 2 && move < 5) send(&w, draw(4) == 0);
      if (move >= 5 && move < 9) take_answer(&w, draw(5) == 0);
      if (move == 9 && draw(4) == 0) raft_progress_probe(&w.p);
      sound(&w.p, w.last);
    }
    /* The network heals: heartbeats and their answers bring it up to date. */
    for (int i = 0; i < 600 && w.p.match < w.last; i++) {
      send(&w, false);
      while (w.count > 0)
        take_answer(&w, false);
    }
    EQ(w.p.match, w.last);
  }
}

static void names_what_is_out_of_bounds(void) {
  struct raft_progress p = replicating(5);
  struct raft_progress bad = p;
  bad.state = 0;
  EQ_TEXT(raft_progress_check(&bad, 9), "no such state of progress");
  bad.state = RAFT_SNAPSHOT + 1;
  EQ_TEXT(raft_progress_check(&bad, 9), "no such state of progress");
  bad = p;
  bad.head = RAFT_INFLIGHT_MAX;
  EQ_TEXT(raft_progress_check(&bad, 9), "the ring of flights is out of bounds");
  bad = p;
  bad.count = RAFT_INFLIGHT_MAX + 1;
  EQ_TEXT(raft_progress_check(&bad, 9), "the ring of flights is out of bounds");
  bad = p;
  bad.snapshot_index = 3;
  EQ_TEXT(raft_progress_check(&bad, 9),
          "a snapshot index outside of SNAPSHOT, or none in it");
}

int main(void) {
  dice = test_seed();
  CASE(starts_by_probing_after_last);
  CASE(probes_with_one_append_at_a_time);
  CASE(goes_ahead_once_a_probe_is_accepted);
  CASE(goes_ahead_though_the_probe_was_empty);
  CASE(bounds_messages_under_way);
  CASE(bounds_bytes_but_lets_one_message_pass);
  CASE(recovers_when_acks_are_lost);
  CASE(recovers_when_appends_are_lost);
  CASE(probe_empties_the_window);
  CASE(takes_back_what_was_lost);
  CASE(takes_back_and_waits_for_its_snapshot);
  CASE(backs_off_by_the_hint);
  CASE(forgets_what_was_told_in_vain);
  CASE(drops_late_rejects);
  CASE(drops_rejects_of_another_probe);
  CASE(drops_late_accepts);
  CASE(sends_nothing_during_a_snapshot);
  CASE(probes_after_a_failed_snapshot);
  CASE(names_what_is_broken);
  CASE(survives_any_network);
  CASE(names_what_is_out_of_bounds);
  return test_end();
}
