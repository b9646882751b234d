/* results_test.c - who is said to have come to other results, from which index
 * on, and by whom; and who is not. */
#include "alone.h"

#include "bytes.h"
#include "config.h"
#include "crc32c.h"
#include "replica.h"

static struct cluster *cluster_of(const struct cluster_options *more) {
  struct cluster_options o = *more;
  o.seed = 1;
  o.results_every = 2;
  return cluster_new(&o);
}

static struct cluster *voters(uint32_t nodes) {
  const struct cluster_options o = {.nodes = nodes};
  return cluster_of(&o);
}

/* One leads from the beginning. */
static struct cluster *led(uint32_t nodes) {
  struct cluster *c = voters(nodes);
  CHECK(cluster_elect(c, N1));
  return c;
}

static void commands(struct cluster *c, uint32_t leader, int count) {
  for (int i = 0; i < count; i++) {
    CHECK(cluster_propose(c, leader, "x") > 0);
    cluster_work(c);
  }
  cluster_run(c, 50); /* two heartbeats: a report, and the verdict */
}

static raft_index agreed(const struct cluster *c, uint32_t node) {
  return cluster_status(c, node).agreed;
}

static void heard(const struct cluster *c, uint32_t node, uint32_t who,
                  raft_index index) {
  const struct cluster_node *n = &c->nodes[node];
  EQ(n->diverged_count, 1);
  EQ(n->diverged[0].id, c->nodes[who].id);
  EQ(n->diverged[0].index, index);
  EQ(n->diverged[0].agreed, index - 2);
}

/* The newest it heard; zeros when it heard nothing. */
static struct cluster_diverged newest(const struct cluster *c, uint32_t node) {
  const struct cluster_node *n = &c->nodes[node];
  if (n->diverged_count == 0) return (struct cluster_diverged){0};
  return n->diverged[n->diverged_count - 1];
}

static void heard_nothing(const struct cluster *c, uint32_t node) {
  EQ(c->nodes[node].diverged_count, 0);
}

/* ---- all is well --------------------------------------------------------- */

static void all_agree_on_the_newest(void) {
  for (uint32_t nodes = 1; nodes <= 5; nodes++) {
    struct cluster *c = led(nodes);
    commands(c, N1, 9);
    for (uint32_t i = 0; i < nodes; i++) {
      EQ(agreed(c, i), 10);
      heard_nothing(c, i);
    }
    alone_end(c);
  }
}

/* Not to have come so far is no difference. */
static void who_is_behind_does_not_differ(void) {
  struct cluster *c = led(3);
  cluster_isolate(c, N3, true);
  commands(c, N1, 30);
  EQ(agreed(c, N1), 32);
  cluster_isolate(c, N3, false);
  cluster_run(c, 1000);
  CHECK(agreed(c, N1) >= 32);
  EQ(agreed(c, N3), agreed(c, N1));
  for (uint32_t i = 0; i < 3; i++)
    heard_nothing(c, i);
  alone_end(c);
}

/* Nor is it to have no results at all. */
static void nobody_is_asked_where_nobody_reports(void) {
  const struct cluster_options o = {.nodes = 3, .seed = 1};
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  commands(c, N1, 9);
  EQ(agreed(c, N1), 0);
  alone_end(c);
}

static void a_restart_begins_with_what_is_applied_again(void) {
  struct cluster *c = led(3);
  commands(c, N1, 9);
  cluster_crash(c, N3, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  EQ(agreed(c, N3), 0);
  cluster_run(c, 300);
  EQ(agreed(c, N3), 10);
  alone_end(c);
}

/* ---- one differs --------------------------------------------------------- */

static void a_follower_that_differs_hears_of_it_and_so_does_its_leader(void) {
  for (uint32_t nodes = 3; nodes <= 5; nodes++) {
    struct cluster *c = led(nodes);
    cluster_stray(c, N3, 7, 1);
    commands(c, N1, 19);
    heard(c, N1, N3, 8);
    heard(c, N3, N3, 8);
    EQ(c->nodes[N1].diverged[0].majority, cluster_sum(c, N1, 8));
    EQ(c->nodes[N3].diverged[0].majority, cluster_sum(c, N1, 8));
    EQ(c->nodes[N3].diverged[0].own, cluster_sum(c, N3, 8));
    heard_nothing(c, N2);
    EQ(agreed(c, N1), 20);
    EQ(agreed(c, N3), 6);
    alone_end(c);
  }
}

static void a_leader_that_differs_hears_of_it(void) {
  struct cluster *c = led(3);
  cluster_stray(c, N1, 7, 1);
  commands(c, N1, 19);
  heard(c, N1, N1, 8);
  EQ(c->nodes[N1].diverged[0].majority, cluster_sum(c, N2, 8));
  heard_nothing(c, N2);
  heard_nothing(c, N3);
  EQ(agreed(c, N2), 8); /* it compares no more */
  alone_end(c);
}

/* The next one goes on from there, and tells of it again. */
static void a_new_leader_knows_who_differs(void) {
  struct cluster *c = led(3);
  cluster_stray(c, N1, 7, 1);
  commands(c, N1, 9);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = c->nodes[N2].id;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  cluster_run(c, 100);
  EQ(cluster_leader(c), N2);
  commands(c, N2, 9);
  EQ(c->nodes[N2].diverged_count, 1);
  EQ(c->nodes[N2].diverged[0].id, c->nodes[N1].id);
  EQ(c->nodes[N1].diverged_count, 1); /* it knew */
  EQ(agreed(c, N2), 20);
  EQ(agreed(c, N3), 20);
  alone_end(c);
}

/* The third of them comes late, and has by then told of something newer. */
static void three_against_a_leader_are_asked_for_the_same(void) {
  struct cluster *c = led(5);
  cluster_stray(c, N3, 3, 1);
  cluster_stray(c, N4, 3, 1);
  cluster_stray(c, N5, 3, 1);
  cluster_isolate(c, N5, true);
  commands(c, N1, 5);
  CHECK(c->nodes[N1].diverged_count == 0 ||
        c->nodes[N1].diverged[0].id == 0); /* two against two */
  cluster_isolate(c, N5, false);
  cluster_run(c, 300);
  EQ(newest(c, N1).id, c->nodes[N1].id);
  EQ(newest(c, N1).index, 4);
  EQ(newest(c, N2).id, c->nodes[N2].id);
  alone_end(c);
}

static void a_learner_that_differs_hears_of_it_and_decides_nothing(void) {
  const struct cluster_options o = {
      .nodes = 5,
      .roles = {0, 0, RAFT_ROLE_LEARNER, RAFT_ROLE_LEARNER, RAFT_ROLE_LEARNER}};
  struct cluster *c = cluster_of(&o);
  CHECK(cluster_elect(c, N1));
  for (uint32_t i = N3; i <= N5; i++)
    cluster_stray(c, i, 3, 1);
  commands(c, N1, 9);
  EQ(c->nodes[N1].diverged_count, 3);
  heard_nothing(c, N2);
  for (uint32_t i = N3; i <= N5; i++)
    heard(c, i, i, 4);
  alone_end(c);
}

/* A witness has no state: of two with one, both make a majority. */
static void a_witness_makes_no_majority(void) {
  const struct cluster_options o = {.nodes = 3,
                                    .roles = {0, 0, RAFT_ROLE_WITNESS}};
  struct cluster *c = cluster_of(&o);
  CHECK(cluster_elect(c, N1));
  cluster_stray(c, N2, 3, 1);
  commands(c, N1, 9);
  cluster_run(c, 300);
  for (uint32_t i = N1; i <= N2; i++) {
    EQ(c->nodes[i].diverged_count, 1);
    EQ(c->nodes[i].diverged[0].id, 0);
  }
  alone_end(c);
}

/* ---- no majority --------------------------------------------------------- */

static void without_a_majority_all_hear_of_it_and_none_is_named(void) {
  for (uint32_t nodes = 2; nodes <= 5; nodes++) {
    struct cluster *c = led(nodes);
    for (uint32_t i = 1; i < nodes; i++)
      cluster_stray(c, i, 7, i);
    commands(c, N1, 19);
    cluster_run(c, 300);
    for (uint32_t i = 0; i < nodes; i++) {
      const struct cluster_node *n = &c->nodes[i];
      EQ(n->diverged_count, 1);
      EQ(n->diverged[0].id, 0);
      EQ(n->diverged[0].index, 8);
      EQ(n->diverged[0].agreed, 6);
      EQ(n->diverged[0].majority, 0);
    }
    alone_end(c);
  }
}

/* N3 comes late, and has let go of what the others are asked for. */
static void the_first_index_is_asked_for(void) {
  struct cluster *c = led(5);
  cluster_stray(c, N2, 3, 1);
  cluster_stray(c, N3, 3, 2);
  cluster_isolate(c, N3, true);
  cluster_isolate(c, N5, true);
  commands(c, N1, 9);
  EQ(c->nodes[N1].raft->results.asked, 4);
  cluster_isolate(c, N3, false);
  cluster_run(c, 100);
  EQ(raft_find_peer(c->nodes[N1].raft, c->nodes[N2].id)->differs, 4);
  EQ(raft_find_peer(c->nodes[N1].raft, c->nodes[N3].id)->differs, 6);
  EQ(c->nodes[N1].raft->results.asked, 4);
  alone_end(c);
}

/* Who would make the majority is away: first nobody knows, then all do. */
static void a_majority_that_comes_late_counts(void) {
  struct cluster *c = led(3);
  cluster_stray(c, N3, 5, 1);
  cluster_isolate(c, N2, true);
  commands(c, N1, 9);
  cluster_run(c, 300);
  EQ(c->nodes[N1].diverged[0].id, 0);
  EQ(c->nodes[N3].diverged[0].id, 0);
  cluster_isolate(c, N2, false);
  cluster_run(c, 500);
  EQ(newest(c, N3).id, c->nodes[N3].id);
  EQ(newest(c, N3).index, 6);
  for (uint32_t i = 0; i < c->nodes[N2].diverged_count; i++)
    EQ(c->nodes[N2].diverged[i].id, 0); /* it came back to a question */
  alone_end(c);
}

/* ---- another state ------------------------------------------------------- */

/* Its old results are those of a state that is no more. */
static void what_an_installed_snapshot_brings_is_no_difference(void) {
  struct cluster *c = led(3);
  cluster_stray(c, N3, 3, 1);
  commands(c, N1, 9);
  heard(c, N3, N3, 4);
  cluster_isolate(c, N3, true);
  commands(c, N1, 9);
  CHECK(cluster_snapshot(c, N1) >= 0);
  cluster_work(c);
  CHECK(c->nodes[N1].compact > 0);
  cluster_isolate(c, N3, false);
  cluster_run(c, 1000);
  CHECK(c->seen_counts.installs > 0);
  int leader = cluster_leader(c);
  CHECK(leader >= 0);
  commands(c, (uint32_t)leader, 4);
  EQ(agreed(c, N3), cluster_status(c, N3).applied / 2 * 2);
  alone_end(c);
}

/* ---- what the driver says ------------------------------------------------ */

static int64_t report(struct cluster *c, raft_index index) {
  struct raft_event ev = {.kind = RAFT_EV_RESULTS};
  ev.results.index = index;
  ev.results.digest = 1;
  return cluster_step(c, N1, &ev);
}

static void only_what_is_applied_has_results(void) {
  const struct cluster_options o = {.nodes = 1, .seed = 1};
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  EQ(alone_status(c).applied, 2);
  EQ(report(c, 0), RAFT_E_USAGE);
  EQ(report(c, 3), RAFT_E_USAGE);
  EQ(report(c, 2), RAFT_OK);
  EQ(report(c, 2), RAFT_E_USAGE); /* once */
  EQ(agreed(c, N1), 2);
  alone_end(c);
}

/* ---- what is said on the wire -------------------------------------------- */

/* n1 follows n2, has applied `last` entries and reports what is asked for. */
static struct raft_sum answer_to(const struct raft_message *verdict) {
  struct cluster *c = voters(3);
  const raft_term terms[] = {1, 1, 1, 1, 1, 1, 1};
  struct alone_append a = {
      .term = 1, .prev = 1, .prev_term = 1, .commit = 8, .terms = terms};
  a.count = 7;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  struct raft_message m = *verdict;
  m.kind = RAFT_MSG_APPEND;
  m.term = 1;
  m.append.prev_index = 8;
  m.append.prev_term = 1;
  m.append.commit = 8;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  struct raft_message reply = alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  cluster_free(c);
  return reply.append_reply.sum;
}

/* The first one that is not known to agree; tiny builds keep three. */
static void a_follower_tells_what_helps(void) {
  struct raft_message m = {0};
  EQ(answer_to(&m).index, 4); /* the oldest it has: 4, 6, 8 */
  m.append.verdict = RAFT_VERDICT_ASKED;
  m.append.sum.index = 6;
  EQ(answer_to(&m).index, 6);
  m.append.verdict = RAFT_VERDICT_SPLIT;
  EQ(answer_to(&m).index, 6);
  m.append.sum.index = 10;
  EQ(answer_to(&m).index, 4); /* not there yet */
  m.append.verdict = RAFT_VERDICT_MAJORITY;
  m.append.sum.index = 6;
  m.append.sum.digest = 6 * UINT64_C(0x9e3779b97f4a7c15);
  EQ(answer_to(&m).index, 8);
}

/* ---- frames -------------------------------------------------------------- */

enum { VERDICT = 24 + 36, SUM = 24 + 42 }; /* where these fields begin */

/* Decodes the first `head` bytes of a frame, with one field changed. */
static int decode_with(const struct raft_message *m, size_t head, size_t at,
                       uint64_t value, struct raft_message *got) {
  uint8_t frame[RAFT_FRAME_FIXED_MAX];
  size_t whole = raft_wire_encode(m, frame);
  if (head == 0) head = whole;
  if (at == VERDICT) frame[at] = (uint8_t)value;
  if (at > VERDICT) raft_put_u64(frame + at, value);
  raft_put_u32(frame, (uint32_t)head);
  raft_put_u16(frame + 10, (uint16_t)head);
  uint32_t crc = raft_crc32c(0, frame, 4);
  raft_put_u32(frame + 4, raft_crc32c(crc, frame + 8, head - 8));
  return raft_wire_decode(frame, head, got);
}

static const struct raft_message verdict = {
    .kind = RAFT_MSG_APPEND,
    .term = 5,
    .append = {.verdict = RAFT_VERDICT_MAJORITY, .sum = {4, 9}}};

static const struct raft_message told = {
    .kind = RAFT_MSG_APPEND_REPLY, .term = 5, .append_reply = {.sum = {6, 9}}};

/* All of it, or nothing. */
static void what_is_said_of_results_is_whole(void) {
  struct raft_message m;
  for (size_t head = VERDICT; head <= VERDICT + 17; head++) {
    bool is_whole = head == VERDICT || head == VERDICT + 17;
    EQ(decode_with(&verdict, head, 0, 0, &m),
       is_whole ? RAFT_OK : RAFT_E_CORRUPT);
    if (is_whole) EQ(m.append.sum.index, head == VERDICT ? 0 : 4);
  }
  for (size_t head = SUM; head <= SUM + 16; head++) {
    bool is_whole = head == SUM || head == SUM + 16;
    EQ(decode_with(&told, head, 0, 0, &m), is_whole ? RAFT_OK : RAFT_E_CORRUPT);
    if (is_whole) EQ(m.append_reply.sum.index, head == SUM ? 0 : 6);
  }
}

static void what_is_said_of_results_makes_sense(void) {
  const uint64_t over = UINT64_C(1) << 63;
  struct raft_message m;
  EQ(decode_with(&verdict, 0, VERDICT, 0, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&verdict, 0, VERDICT, 4, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&verdict, 0, VERDICT + 1, 0, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&verdict, 0, VERDICT + 1, over, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&verdict, 0, VERDICT + 9, 0, &m), RAFT_OK);
  EQ(decode_with(&told, 0, SUM, 0, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&told, 0, SUM, over, &m), RAFT_E_CORRUPT);
  EQ(decode_with(&told, 0, SUM + 8, 0, &m), RAFT_OK);
  EQ(m.append_reply.sum.digest, 0);
}

/* A question has no digest. */
static void only_a_majority_has_a_digest(void) {
  struct raft_message m;
  for (uint8_t kind = RAFT_VERDICT_ASKED; kind <= RAFT_VERDICT_SPLIT; kind++) {
    struct raft_message question = verdict;
    EQ(decode_with(&verdict, 0, VERDICT, kind, &m), RAFT_E_CORRUPT);
    question.append.verdict = kind;
    question.append.sum.digest = 0;
    EQ(decode_with(&question, 0, 0, 0, &m), RAFT_OK);
    EQ(m.append.verdict, kind);
  }
}

int main(void) {
  CASE(all_agree_on_the_newest);
  CASE(who_is_behind_does_not_differ);
  CASE(nobody_is_asked_where_nobody_reports);
  CASE(a_restart_begins_with_what_is_applied_again);
  CASE(a_follower_that_differs_hears_of_it_and_so_does_its_leader);
  CASE(a_leader_that_differs_hears_of_it);
  CASE(a_new_leader_knows_who_differs);
  CASE(three_against_a_leader_are_asked_for_the_same);
  CASE(a_learner_that_differs_hears_of_it_and_decides_nothing);
  CASE(a_witness_makes_no_majority);
  CASE(without_a_majority_all_hear_of_it_and_none_is_named);
  CASE(the_first_index_is_asked_for);
  CASE(a_majority_that_comes_late_counts);
  CASE(what_an_installed_snapshot_brings_is_no_difference);
  CASE(only_what_is_applied_has_results);
  CASE(a_follower_tells_what_helps);
  CASE(what_is_said_of_results_is_whole);
  CASE(what_is_said_of_results_makes_sense);
  CASE(only_a_majority_has_a_digest);
  return test_end();
}
