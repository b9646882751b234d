/* votes.c - museum rows 1 to 12 and 58: one vote in a term, durable before it
 * is told, given to a log that is up to date, counted once. */
#include "museum.h"

static const struct alone_vote in_term_2 = {
    .term = 2, .last = 1, .last_term = 1};

/* n1 votes for n2, loses power with so many of its writes done, and is asked
 * by n3 for the same term. */
static void ask_over_a_crash(struct cluster *c, uint32_t writes) {
  alone_vote(c, N2, &in_term_2);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, writes);
  bool was_told = cluster_find(c, N1, N2, RAFT_MSG_VOTE_REPLY) >= 0;
  cluster_crash(c, N1, 0);
  EQ(cluster_restart(c, N1), RAFT_OK);
  c->nodes[N1].is_disk_held = false;
  alone_vote(c, N3, &in_term_2);
  bool is_second =
      alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted;
  CHECK(!(was_told && is_second));
}

static void power_is_lost_after_each_write_of_a_vote(void) {
  for (uint32_t writes = 0; writes < 3; writes++) {
    struct cluster *c = alone_new(3, NULL);
    c->nodes[N1].is_disk_held = true;
    ask_over_a_crash(c, writes);
    alone_end(c);
  }
}

static void a_candidate_asks_before_its_term_is_written(void) {
  struct cluster *c = museum_asking(3);
  cluster_drop_all(c);
  cluster_time_out(c, N1);
  c->nodes[N1].is_disk_held = true;
  struct raft_message asked;
  cluster_look(c, (uint32_t)cluster_find(c, N1, N2, RAFT_MSG_VOTE), &asked);
  struct raft_message m = museum_vote(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  cluster_drop_all(c);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 0); /* it asks nobody yet */
  alone_end(c);
}

/* The write never ends well: the voter is silent for good. */
static void a_failed_write_of_a_vote_is_ignored(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  c->nodes[N1].is_disk_held = true;
  alone_vote(c, N2, &in_term_2);
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE_REPLY, &m));
  alone_vote(c, N2, &in_term_2);
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE_REPLY, &m));
  alone_end(c);
}

static void a_vote_is_never_written(void) {
  struct cluster *c = alone_new(3, NULL);
  ask_over_a_crash(c, RAFT_STORES_MAX);
  alone_end(c);
}

/* It is in no configuration yet, and votes all the same: that binds it. */
static void the_vote_of_a_node_without_a_log_is_not_written(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .unformed = 1});
  ask_over_a_crash(c, RAFT_STORES_MAX);
  alone_end(c);
}

/* A candidate hears who has won its term, and a third one asks late. */
static void a_former_candidate_votes_twice(void) {
  struct cluster *c = museum_candidate(3);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  c->now += 500; /* the winner falls silent */
  CHECK(!museum_grants(c, N3, &in_term_2));
  alone_end(c);
}

/* It voted for n2, gives n2 up, loses a pre-vote, and is asked by n3: with two
 * votes there would be two leaders. */
static void a_lost_pre_vote_makes_two_leaders(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(museum_grants(c, N2, &in_term_2));
  cluster_time_out(c, N1);
  alone_reply(c, N2, false);
  alone_reply(c, N3, false);
  CHECK(!museum_grants(c, N3, &in_term_2));
  alone_end(c);
}

static void a_heartbeat_clears_the_vote(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(museum_grants(c, N2, &in_term_2));
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).vote, c->nodes[N2].id);
  alone_end(c);
}

static void a_doubled_answer_counts_as_two_votes(void) {
  struct cluster *c = museum_candidate(5);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = museum_vote(&asked, true);
  for (int i = 0; i < 3; i++)
    EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE); /* two of five */
  alone_end(c);
}

/* The first answer was lost. */
static void who_asks_again_is_refused_its_vote(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(museum_grants(c, N2, &in_term_2));
  bool is_granted_again = museum_grants(c, N2, &in_term_2);
  CHECK(is_granted_again);
  alone_end(c);
}

/* n1 has a long log of term 2 that nobody else got; n2 and n3 have committed
 * in term 3. */
static void a_long_log_beats_a_later_one(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  museum_boot(c, N1, 2, TERMS(2, 2, 2, 2, 2), 5);
  museum_boot(c, N2, 2, NULL, 0);
  cluster_isolate(c, N1, true);
  CHECK(cluster_elect(c, N2));
  museum_command(c, N2);
  cluster_isolate(c, N1, false);
  cluster_isolate(c, N2, true);
  cluster_time_out(c, N1);
  cluster_run(c, 1000);
  alone_end(c);
}

static void a_vote_rests_on_entries_not_yet_written(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY); /* has the term */
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {2, 1, 1, 1, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1);
  c->now += 500;
  struct alone_vote v = {.term = 3, .last = 2, .last_term = 2, .pre = true};
  alone_vote(c, N3, &v);
  CHECK(!alone_answer(c, N3, RAFT_MSG_VOTE_REPLY, &m));
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N3, RAFT_MSG_VOTE_REPLY, &m));
  alone_end(c);
}

/* Entries are under way to the disk when it gives its leader up and wins the
 * pre-vote: its vote is in the next batch, and counts with that. */
static void a_time_out_comes_while_the_disk_writes(void) {
  struct cluster *c = alone_new(3, NULL);
  c->nodes[N1].is_disk_held = true;
  struct alone_append a = {1, 1, 1, 1, 0, TERMS(1), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1);
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  cluster_drop_all(c);
  cluster_disk(c, N1, 1); /* the entries; not the vote */
  EQ(cluster_find(c, N1, N2, RAFT_MSG_VOTE), -1);
  cluster_disk(c, N1, 1);
  CHECK(cluster_find(c, N1, N2, RAFT_MSG_VOTE) >= 0);
  alone_end(c);
}

/* Who asks knows that n1 was promoted; n1 does not. */
static void a_learner_refuses_its_vote(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {RAFT_ROLE_LEARNER}});
  bool is_granted = museum_grants(c, N2, &in_term_2);
  CHECK(is_granted);
  alone_end(c);
}

const struct museum_scenario museum_votes[] = {
    RED("1", power_is_lost_after_each_write_of_a_vote,
        "a vote left before it was durable"),
    RED("2", a_candidate_asks_before_its_term_is_written,
        "c->packet_count: got 2, want 0"),
    RED("3", a_failed_write_of_a_vote_is_ignored,
        "!alone_answer(c, N2, RAFT_MSG_VOTE_REPLY, &m)"),
    RED("5", a_vote_is_never_written, "!(was_told && is_second)"),
    RED("6", the_vote_of_a_node_without_a_log_is_not_written,
        "!(was_told && is_second)"),
    RED("7", a_former_candidate_votes_twice, "alone_status(c).vote"),
    RED_BY("7", "7", a_lost_pre_vote_makes_two_leaders,
           "!museum_grants(c, N3, &in_term_2)"),
    RED("7b", a_heartbeat_clears_the_vote, "alone_status(c).vote"),
    RED("8", a_doubled_answer_counts_as_two_votes,
        "alone_status(c).state: got 4, want 3"),
    RED("9", who_asks_again_is_refused_its_vote, "is_granted_again"),
    RED("10", a_long_log_beats_a_later_one, "a leader lacks a committed entry"),
    RED("11", a_vote_rests_on_entries_not_yet_written,
        "!alone_answer(c, N3, RAFT_MSG_VOTE_REPLY, &m)"),
    RED("12", a_time_out_comes_while_the_disk_writes,
        "cluster_find(c, N1, N2, RAFT_MSG_VOTE): got 2, want -1"),
    RED("58", a_learner_refuses_its_vote, "is_granted"),
    LAST,
};
