/* reads.c - museum rows 44 to 54, 104, 114: reads that must not be stale nor
 * lost, and leadership that changes hands. */
#include "museum.h"

#include "replica.h"

/* Takes the newest packet of that kind off the network, to come late. */
static struct cluster_packet hold_back(struct cluster *c, uint32_t from,
                                       uint32_t to,
                                       enum raft_message_kind kind) {
  int i = cluster_find(c, from, to, kind);
  CHECK(i >= 0);
  if (i < 0) return (struct cluster_packet){.bytes = NULL};
  struct cluster_packet p = c->packets[i];
  c->packets[i] = c->packets[--c->packet_count];
  return p;
}

static void release(struct cluster *c, struct cluster_packet p) {
  if (p.bytes == NULL) return;
  c->packets[c->packet_count++] = p; /* in the room of the one held back */
  cluster_deliver(c, c->packet_count - 1);
}

/* The others have elected n2 and committed something; n1 leads on in its old
 * term, as it has not heard of it. */
static void depose_n1(struct cluster *c) {
  cluster_isolate(c, N1, true);
  CHECK(cluster_elect(c, N2));
  museum_command(c, N2);
  EQ(alone_status(c).state, RAFT_LEADER);
}

/* ---- reads --------------------------------------------------------------- */

/* Entry 3 was committed by n1; n2, who leads now, has it and does not know
 * that it is. */
static void a_new_leader_reads_before_its_first_commit(void) {
  struct cluster *c = museum_led(3);
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, 9);
  museum_carry(c, N1, N2);
  museum_carry(c, N2, N1);
  EQ(alone_status(c).commit, 3);
  cluster_isolate(c, N1, true);
  cluster_drop_all(c);
  cluster_time_out(c, N2);
  for (int round = 0; round < 2; round++) {
    museum_carry(c, N2, N3);
    museum_carry(c, N3, N2);
  }
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  EQ(cluster_status(c, N2).commit, 2);
  CHECK(cluster_read(c, N2) > 0);
  cluster_run(c, 100);
  CHECK(cluster_is_sound(c));
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* n2 answered a round before it went on to lead; the answer comes late, and a
 * read that came after it must not be served by it. */
static void an_answer_older_than_the_read_confirms_it(void) {
  struct cluster *c = museum_led(3);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  museum_carry(c, N1, N2);
  struct cluster_packet late = hold_back(c, N2, N1, RAFT_MSG_APPEND_REPLY);
  depose_n1(c);
  cluster_isolate(c, N1, false);
  CHECK(cluster_read(c, N1) > 0);
  release(c, late);
  (void)cluster_flush(c, N1);
  CHECK(cluster_is_sound(c));
  EQ(c->seen_counts.leader_reads, 1); /* the first one alone */
  alone_end(c);
}

/* n2 asked, lost power, and asks anew: the answer to its former life may bear
 * any number. */
static void an_answer_to_a_former_life_serves_a_read(void) {
  struct cluster *c = museum_led(3);
  CHECK(cluster_read(c, N2) > 0);
  (void)cluster_flush(c, N2);
  cluster_drop_all(c);
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY,
                           .term = cluster_status(c, N2).term};
  m.read.context = UINT64_MAX;
  m.read.index = 1; /* as it stood then */
  EQ(cluster_receive(c, N2, N1, &m), RAFT_OK);
  (void)cluster_flush(c, N2);
  EQ(c->seen_counts.follower_reads, 0);
  alone_end(c);
}

static void a_deposed_leader_serves_a_read(void) {
  struct cluster *c = museum_led(3);
  depose_n1(c);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  cluster_run(c, 500);
  CHECK(cluster_is_sound(c));
  EQ(c->seen_counts.leader_reads, 0);
  alone_end(c);
}

/* In a silent cluster nothing else would make it commit. */
static void an_early_read_is_dropped_in_silence(void) {
  struct cluster *c = museum_candidate(3);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  cluster_run(c, 100);
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* n2 answered n1, which reads by that; then n2 hears of a later term by an
 * answer to an old question, and of the candidate itself. */
static void a_promise_ends_with_the_term(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .leases = true});
  c->now += 100;
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  cluster_run(c, 250); /* n3 has given n1 up and asks, in vain */
  CHECK(alone_status(c).has_lease);
  cluster_isolate(c, N1, true);
  cluster_isolate(c, N3, false);
  c->cut[N1][N3] = c->cut[N3][N1] = true;
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY};
  m.term = m.vote_reply.for_term = cluster_status(c, N1).term + 1;
  EQ(cluster_receive(c, N2, N3, &m), RAFT_OK);
  EQ(cluster_receive(c, N3, N2, &m), RAFT_OK);
  c->nodes[N3].raft->election_due = c->now;
  cluster_tick(c, N3);
  cluster_work(c);
  if (cluster_status(c, N3).state == RAFT_LEADER) museum_command(c, N3);
  CHECK(cluster_read_lease(c, N1) > 0);
  (void)cluster_flush(c, N1);
  CHECK(cluster_is_sound(c));
  EQ(c->seen_counts.leader_reads, 1);
  alone_end(c);
}

/* ---- leadership handed over ---------------------------------------------- */

static int64_t transfer(struct cluster *c, uint32_t to) {
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = c->nodes[to].id;
  int64_t rc = cluster_step(c, N1, &ev);
  (void)cluster_flush(c, N1);
  return rc;
}

/* n1 has told n2 to take over and hears nothing after that. */
static void who_handed_over_goes_on_reading(void) {
  struct cluster *c = museum_led(3);
  EQ(transfer(c, N2), RAFT_OK);
  c->cut[N2][N1] = c->cut[N3][N1] = true;
  cluster_work(c);
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  museum_command(c, N2);
  CHECK(cluster_read(c, N1) > 0);
  (void)cluster_flush(c, N1);
  CHECK(cluster_is_sound(c));
  EQ(c->seen_counts.leader_reads, 0);
  alone_end(c);
}

static void the_next_heartbeat_ends_a_transfer(void) {
  struct cluster *c = museum_led(3);
  EQ(transfer(c, N2), RAFT_OK);
  cluster_deliver(c, 0); /* take over */
  c->now += 20;
  cluster_tick(c, N1);
  (void)cluster_flush(c, N1);
  cluster_deliver(c, 0); /* a heartbeat */
  cluster_work(c);
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  alone_end(c);
}

/* Its heir dies: in a while the leader is what it was, and takes commands. */
static void a_transfer_to_the_dead_stops_all_writes(void) {
  struct cluster *c = museum_led(3);
  EQ(transfer(c, N2), RAFT_OK);
  cluster_crash(c, N2, 0);
  cluster_drop_all(c);
  EQ(cluster_propose(c, N1, "x"), RAFT_E_BUSY);
  cluster_run(c, 200);
  for (int i = 0; i < 10; i++) {
    museum_command(c, N1);
    cluster_run(c, 100);
  }
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(alone_status(c).commit, 12);
  EQ(transfer(c, N3), RAFT_OK); /* and may try again */
  cluster_work(c);
  EQ(cluster_status(c, N3).state, RAFT_LEADER);
  alone_end(c);
}

static void an_heir_that_lags_is_told_to_take_over(void) {
  struct cluster *c = museum_led(3);
  EQ(cluster_propose(c, N1, "x"), 3);
  (void)cluster_flush(c, N1);
  EQ(transfer(c, N2), RAFT_OK);
  bool is_told = cluster_find(c, N1, N2, RAFT_MSG_TIMEOUT_NOW) >= 0;
  EQ(is_told, false);
  cluster_work(c);
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  alone_end(c);
}

static void an_heir_asks_first_and_is_refused(void) {
  struct cluster *c = museum_led(3);
  EQ(transfer(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  alone_end(c);
}

/* n2 wished it in term 2, and leads again in term 4. */
static void a_late_wish_of_an_older_term_is_followed(void) {
  struct cluster *c = alone_new(3, NULL);
  for (raft_term term = 2; term <= 4; term += 2) {
    struct alone_append beat = {term, 1, 1, 1, 0, NULL, 0};
    EQ(alone_append(c, N2, &beat), RAFT_OK);
  }
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = 2};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

const struct museum_scenario museum_reads[] = {
    RED("44", a_new_leader_reads_before_its_first_commit,
        "a read before the leader's own term"),
    RED("45", an_answer_older_than_the_read_confirms_it, "a stale read"),
    RED("45b", an_answer_to_a_former_life_serves_a_read,
        "c->seen_counts.follower_reads: got 1, want 0"),
    RED("46", a_deposed_leader_serves_a_read, "a stale read"),
    RED_BY("47", "46", who_handed_over_goes_on_reading, "a stale read"),
    RED_BY("51", "54", the_next_heartbeat_ends_a_transfer,
           "cluster_status(c, N2).state: got 1, want 4"),
    RED_BY("49", "49d", a_promise_ends_with_the_term, "a stale read"),
    RED("52", a_transfer_to_the_dead_stops_all_writes,
        "cluster_propose(c, leader, \"x\") > 0: does not hold"),
    RED("53", an_heir_that_lags_is_told_to_take_over, "is_told: got 1, want 0"),
    RED("54", an_heir_asks_first_and_is_refused,
        "cluster_status(c, N2).state: got 1, want 4"),
    RED("104", a_late_wish_of_an_older_term_is_followed,
        "alone_status(c).state: got 3, want 1"),
    RED("114", an_early_read_is_dropped_in_silence,
        "c->seen_counts.leader_reads: got 0, want 1"),
    LAST,
};
