/* lives.c - museum rows 4, 63, 88, 97, 101, 102: starts, directories that are
 * not what they were, commands that come late. */
#include "museum.h"

/* The log has entries of term 2; term and vote are gone. */
static void a_lost_term_is_read_as_an_early_one(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_crash(c, N1, 0);
  cluster_write_log(c, N1, 1, TERMS(2), 1);
  EQ(cluster_restart(c, N1), RAFT_E_CORRUPT);
  EQ_TEXT(c->broken, "a recovery failed"); /* the driver refuses to start */
  c->broken = NULL;
  alone_end(c);
}

/* n1 and n2 have committed an entry; n2's directory is wiped, n1 is away; n3,
 * which lacks the entry, must not win with the help of what calls itself n2. */
static void an_emptied_directory_votes(void) {
  struct cluster *c = museum_led(3);
  cluster_isolate(c, N3, true);
  museum_command(c, N1);
  EQ(alone_status(c).commit, 3);
  cluster_isolate(c, N1, true);
  museum_wipe(c, N2);
  c->cut[N2][N3] = c->cut[N3][N2] = false;
  cluster_run(c, 2000);
  CHECK(cluster_is_sound(c));
  EQ(cluster_leader(c), -1); /* better none than a wrong one */
  alone_end(c);
}

/* n1 leads, no more, and again: a command of the first reign comes now, behind
 * commands that were given later. */
static void a_forward_of_an_older_term_is_taken(void) {
  struct cluster *c = museum_led(3);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  (void)cluster_flush(c, N2);
  struct cluster_packet late = c->packets[0];
  c->packet_count = 0;
  CHECK(cluster_elect(c, N3));
  CHECK(cluster_elect(c, N1));
  raft_index last = alone_status(c).last;
  c->packets[c->packet_count++] = late;
  cluster_work(c);
  EQ(alone_status(c).last, last);
  EQ(c->forwarded.code, RAFT_E_NOT_LEADER);
  alone_end(c);
}

/* A follower that is given another's command keeps it to itself. */
static void a_forward_goes_round_in_a_circle(void) {
  struct cluster *c = museum_led(3);
  CHECK(cluster_elect(c, N2)); /* n1 and n3 follow n2 */
  EQ(cluster_forward(c, N3, "x"), RAFT_OK);
  (void)cluster_flush(c, N3);
  EQ(c->packet_count, 1);
  c->packets[0].to = N1; /* sent to where the leader once was */
  cluster_deliver(c, 0);
  (void)cluster_flush(c, N1);
  EQ(c->packet_count, 1); /* the answer: no */
  EQ(cluster_find(c, N1, N3, RAFT_MSG_PROPOSE_REPLY), 0);
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_E_NOT_LEADER);
  EQ(cluster_status(c, N2).last, 3);
  alone_end(c);
}

static void a_first_time_out_is_far_too_long(void) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    struct cluster *c =
        cluster_new(&(struct cluster_options){.nodes = 3, .seed = seed});
    cluster_crash(c, N1, 0);
    EQ(cluster_restart(c, N1), RAFT_OK);
    raft_ms wait = c->nodes[N1].deadline - c->now;
    CHECK(wait >= 100);
    CHECK(wait <= 200);
    alone_end(c);
  }
}

/* n2 was reset: what it says of its log is not said by the member n2. */
static void a_reset_log_is_counted(void) {
  struct cluster *c = museum_led(3);
  cluster_isolate(c, N3, true);
  museum_command(c, N1);
  museum_wipe(c, N2);
  EQ(cluster_propose(c, N1, "y"), 4);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  cluster_drop_all(c);
  struct raft_message m = museum_accepted(alone_status(c).term, 4);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).commit, 3);
  alone_end(c);
}

/* Whatever the disk says is committed, of whatever it has. */
static struct cluster *start_alone(raft_index commit, uint32_t entries) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 1, .seed = 1});
  cluster_crash(c, N1, 0);
  cluster_write_log(c, N1, 2, TERMS(2, 2, 2), entries);
  c->nodes[N1].disk.commit = commit;
  for (raft_index i = 2; i <= commit && i <= entries + 1; i++) {
    c->committed[i] = 2;
    c->commit = i;
  }
  EQ(cluster_restart(c, N1), RAFT_OK);
  return c;
}

static void a_commit_past_the_log_is_believed(void) {
  for (uint32_t entries = 0; entries <= 3; entries++)
    for (raft_index commit = 1; commit <= 6; commit++) {
      struct cluster *c = start_alone(commit, entries);
      CHECK(alone_status(c).commit <= entries + 1);
      CHECK(cluster_elect(c, N1));
      EQ(c->nodes[N1].performed, entries + 2);
      alone_end(c);
    }
}

static void what_was_committed_is_not_applied_again(void) {
  struct cluster *c = start_alone(3, 3);
  CHECK(cluster_elect(c, N1));
  CHECK(cluster_is_sound(c));
  EQ(c->nodes[N1].performed, 5);
  alone_end(c);
}

const struct museum_scenario museum_lives[] = {
    RED("4", a_lost_term_is_read_as_an_early_one,
        "cluster_restart(c, N1): got 0, want -6"),
    RED("63", an_emptied_directory_votes, "a leader lacks a committed entry"),
    RED("88", a_forward_of_an_older_term_is_taken,
        "alone_status(c).last: got 5, want 4"),
    HELD("88", a_forward_goes_round_in_a_circle),
    RED("97", a_first_time_out_is_far_too_long, "wait <= 200"),
    RED("101", a_reset_log_is_counted, "alone_status(c).commit: got 4, want 3"),
    RED("102", a_commit_past_the_log_is_believed, "r->commit <= r->log.last"),
    RED("102b", what_was_committed_is_not_applied_again,
        "applied out of order"),
    LAST,
};
