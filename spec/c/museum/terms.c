/* terms.c - museum rows 13 to 20, 98, 103, 113: time-outs, pre-votes, and what
 * is learned from answers. */
#include "museum.h"

/* A dead leader's friend goes on sending its old heartbeats. */
static void an_old_heartbeat_puts_the_time_out_off(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){5, NULL, 0});
  struct alone_append beat = {4, 1, 1, 1, 0, NULL, 0};
  for (int i = 0; i < 8; i++) {
    EQ(alone_append(c, N2, &beat), RAFT_OK);
    c->now += 50;
    cluster_tick(c, N1);
  }
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

/* The disk takes longer than a time-out: whoever campaigns must get its turn
 * before the next one starts. */
static void a_time_out_runs_while_the_vote_is_written(void) {
  struct cluster *c = museum_asking(3);
  c->nodes[N1].is_disk_held = true;
  alone_reply(c, N2, true);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  cluster_disk(c, N1, 1);
  CHECK(c->nodes[N1].deadline > c->now);
  alone_end(c);
}

static void a_pre_vote_of_an_older_round_counts(void) {
  struct cluster *c = museum_asking(3);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  cluster_time_out(c, N1);
  struct raft_message m = museum_vote(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

static void pre_votes_of_two_rounds_add_up(void) {
  struct cluster *c = museum_asking(5);
  alone_reply(c, N2, true);
  cluster_time_out(c, N1);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

/* Its leader lives, and somebody asks and asks. */
static void pre_votes_make_a_follower_forget_its_leader(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY);
  raft_ms due = c->nodes[N1].deadline;
  struct alone_vote v = {.term = 3, .last = 9, .last_term = 2, .pre = true};
  for (int i = 0; i < 5; i++) {
    bool is_refused = !museum_grants(c, N3, &v);
    CHECK(is_refused);
  }
  EQ(alone_status(c).leader, c->nodes[N2].id);
  EQ(c->nodes[N1].deadline, due);
  alone_end(c);
}

static void a_pre_vote_takes_its_term_with_it(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_vote v = {.term = 9, .last = 9, .last_term = 8, .pre = true};
  CHECK(museum_grants(c, N2, &v));
  EQ(alone_status(c).term, 1);
  alone_end(c);
}

/* n1 has the better log, n2 the higher term: asked by n1, n2 must say so. */
static struct cluster *behind_in_terms(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 5});
  cluster_crash(c, N3, 0);
  museum_boot(c, N1, 2, TERMS(2, 2), 2);
  museum_boot(c, N2, 9, NULL, 0);
  cluster_run(c, 3000);
  return c;
}

static void a_lower_term_is_not_answered(void) {
  struct cluster *c = behind_in_terms();
  EQ(cluster_leader(c), N1);
  alone_end(c);
}

/* A node that just started asks the leader itself. */
static void a_leader_grants_a_pre_vote_against_itself(void) {
  struct cluster *c = museum_led(3);
  raft_term term = alone_status(c).term;
  c->now += 150; /* its followers have answered all the while */
  struct raft_message m = museum_accepted(term, 2);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  struct alone_vote v = {
      .term = term + 1, .last = 2, .last_term = term, .pre = true};
  bool is_refused = !museum_grants(c, N3, &v);
  CHECK(is_refused);
  EQ(alone_status(c).term, term);
  alone_end(c);
}

/* The leader is dead: who waits longest for it must not hold up the others. */
static void a_dead_leader_is_still_believed_in(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  c->now += 100; /* the shortest time-out: n3's */
  struct alone_vote v = {.term = 3, .last = 1, .last_term = 1, .pre = true};
  bool is_granted = museum_grants(c, N3, &v);
  CHECK(is_granted);
  alone_end(c);
}

/* n1 leads; n1 and n2 do not see each other, n3 sees both. */
static void half_a_partition_makes_terms_climb(void) {
  struct cluster *c = museum_led(3);
  raft_term term = alone_status(c).term;
  c->cut[N1][N2] = c->cut[N2][N1] = true;
  for (int i = 0; i < 20; i++) {
    cluster_run(c, 200);
    raft_term now = alone_status(c).term;
    EQ(now, term);
    if (now != term) break;
  }
  EQ(cluster_leader(c), N1);
  alone_end(c);
}

/* n2 refuses and names a higher term; then n2 itself, whose log is shorter,
 * must not find itself voted for in that term. */
static void a_term_seen_in_a_refusal_is_taken_for_a_vote(void) {
  struct cluster *c = museum_asking(3);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = museum_vote(&asked, false);
  m.term = 7;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).term, 7);
  EQ(alone_status(c).vote, 0);
  struct alone_vote v = {.term = 7, .last = 1, .last_term = 1};
  CHECK(museum_grants(c, N3, &v)); /* the vote is free */
  alone_end(c);
}

static void a_late_pre_vote_starts_an_election_under_a_leader(void) {
  struct cluster *c = museum_asking(5);
  struct raft_message asked = alone_must_answer(c, N5, RAFT_MSG_VOTE);
  for (int round = 0; round < 2; round++) {
    alone_reply(c, N2, true);
    alone_reply(c, N3, true);
  }
  EQ(alone_status(c).state, RAFT_LEADER);
  struct raft_message m = museum_vote(&asked, true);
  EQ(cluster_receive(c, N1, N5, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(alone_status(c).term, 2);
  alone_end(c);
}

static void the_term_in_a_refused_pre_vote_is_not_taken(void) {
  struct cluster *c = behind_in_terms();
  EQ(cluster_leader(c), N1);
  alone_end(c);
}

/* n2 refuses once, then n3's answer is lost; the next ballot starts anew. */
static void a_refusal_outlives_its_ballot(void) {
  struct cluster *c = museum_asking(3);
  alone_reply(c, N2, false);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  cluster_drop_all(c); /* n3 never heard of it */
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

const struct museum_scenario museum_terms[] = {
    RED("13", an_old_heartbeat_puts_the_time_out_off,
        "alone_status(c).state: got 1, want 2"),
    RED("14", a_time_out_runs_while_the_vote_is_written,
        "c->nodes[N1].deadline: got 1"),
    RED("15", a_pre_vote_of_an_older_round_counts,
        "alone_status(c).state: got 3, want 2"),
    RED("16", pre_votes_of_two_rounds_add_up,
        "alone_status(c).state: got 3, want 2"),
    RED("17", pre_votes_make_a_follower_forget_its_leader, "is_refused"),
    RED("17b", a_pre_vote_takes_its_term_with_it,
        "alone_status(c).term: got 8, want 1"),
    RED("18", a_lower_term_is_not_answered,
        "cluster_leader(c): got -1, want 0"),
    RED("19", a_leader_grants_a_pre_vote_against_itself, "is_refused"),
    RED("19b", a_dead_leader_is_still_believed_in, "is_granted"),
    RED("20", half_a_partition_makes_terms_climb, "now: got 3, want 2"),
    RED("98", a_term_seen_in_a_refusal_is_taken_for_a_vote,
        "alone_status(c).vote"),
    RED("103", a_late_pre_vote_starts_an_election_under_a_leader,
        "r->state == RAFT_CANDIDATE || r->state == RAFT_PRE_CANDIDATE"),
    RED("103b", the_term_in_a_refused_pre_vote_is_not_taken,
        "cluster_leader(c): got -1, want 0"),
    RED("113", a_refusal_outlives_its_ballot,
        "alone_status(c).state: got 2, want 3"),
    LAST,
};
