/* election_trace_test.c - stories of terms, votes and leaders that lose touch,
 * compared with spec/traces (see support/story.h).
 */
#include "story.h"

static void first_election(void) {
  struct cluster *c = story_cluster(3);
  cluster_listen(c);
  CHECK(cluster_elect(c, N1));
  EQ(cluster_propose(c, N1, "x"), 3);
  cluster_work(c);
  story_tell(
      c, "first_election",
      "A first leader, and a first command. [Raft 5.2] [Raft 5.3]\n"
      "\n"
      "\"7/t3\" is the entry with index 7, made by the leader of term 3.\n"
      "\n"
      "Watch for: n1 asks twice, first whether it could win, then for\n"
      "the votes. A voter writes its vote down before it gives it. The\n"
      "new leader begins with an entry of its own, 2/t2. An entry is\n"
      "committed once two of the three have it on disk.");
}

/* Four voters: two candidates win two votes each, and nobody three. */
static void split_vote(void) {
  struct cluster *c = story_cluster(4);
  cluster_listen(c);
  cluster_time_out(c, N1);
  story_carry(c, N1, N3);
  story_carry(c, N1, N4);
  cluster_time_out(c, N2);
  story_carry(c, N2, N3);
  story_carry(c, N2, N4);
  for (uint32_t i = N3; i <= N4; i++) {
    story_carry(c, i, N1);
    story_carry(c, i, N2);
  }
  cluster_say(c, "(both are candidates; n3 hears n1 first, n4 hears n2 first)");
  story_carry(c, N1, N3);
  story_carry(c, N2, N4);
  cluster_work(c);
  EQ(cluster_leader(c), -1);
  cluster_say(c, "(nobody has won term 2: two votes each, three are needed)");
  CHECK(cluster_elect(c, N2));
  story_tell(
      c, "split_vote",
      "Two candidates at once: a term without a leader. [Raft 5.2]\n"
      "\n"
      "Watch for: n3 and n4 would have voted for both, and vote for the\n"
      "one they hear first. Nobody gets three of four. Time-outs are\n"
      "random, so the next time n2 is alone, and wins term 3.");
}

/* [Thesis 9.6] a node comes back from where nobody heard it. */
static void rejoin(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .heartbeat_ms = 60});
  CHECK(cluster_elect(c, N1));
  raft_term term = cluster_status(c, N1).term;
  cluster_isolate(c, N3, true);
  cluster_run(c, 1000);
  cluster_listen(c);
  cluster_say(c, "(n3 heard nobody for a second; it asked and asked, in vain)");
  EQ(cluster_status(c, N3).state, RAFT_PRE_CANDIDATE);
  EQ(cluster_status(c, N3).term, term);
  EQ(c->nodes[N3].disk.term, term);
  cluster_isolate(c, N3, false);
  cluster_tick(c, N3);
  c->now = c->nodes[N3].deadline;
  cluster_tick(c, N3);
  cluster_work(c);
  cluster_run(c, 60);
  EQ(cluster_leader(c), N1);
  EQ(cluster_status(c, N1).term, term);
  EQ(cluster_status(c, N3).term, term);
  EQ(c->seen_counts.step_downs, 0);
  cluster_say(c, "(still term 2, still led by n1: nothing has changed)");
  story_tell(c, "rejoin",
             "Pre-vote: who comes back disturbs nobody. [Thesis 9.6]\n"
             "\n"
             "Watch for: n3 was alone, and its term has not grown: it only\n"
             "asks whether it could win. Those who hear a leader say no.\n"
             "Without pre-vote n3 would come back with a higher term, and n1\n"
             "would have to give way, for nothing.");
}

/* [Thesis 6.2] */
static void lost_touch(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .heartbeat_ms = 90});
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  cluster_isolate(c, N1, true);
  EQ(cluster_propose(c, N1, "x"), 3);
  story_work(c, N1);
  for (int i = 0; i < 4 && cluster_status(c, N1).state == RAFT_LEADER; i++) {
    c->now += 90;
    cluster_tick(c, N1);
    story_work(c, N1);
  }
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
  EQ(cluster_status(c, N1).commit, 2);
  EQ(cluster_propose(c, N1, "y"), RAFT_E_NOT_LEADER);
  cluster_say(c, "(it takes no more commands: %s)",
              raft_error_text(RAFT_E_NOT_LEADER));
  story_tell(c, "lost_touch",
             "Check-quorum: a leader that nobody answers. [Thesis 6.2]\n"
             "\n"
             "Watch for: n1 takes a command and can not commit it. After more\n"
             "than 200 ms without an answer of a majority it steps down, in\n"
             "the same term, so that its clients look elsewhere.");
}

/* The first such message arrives, and its disk is not waited for. */
static void deliver(struct cluster *c, uint32_t from, uint32_t to,
                    enum raft_message_kind kind) {
  int i = cluster_find(c, from, to, kind);
  CHECK(i >= 0);
  if (i >= 0) cluster_deliver(c, (uint32_t)i);
  (void)cluster_flush(c, to); /* nothing to do is fine */
}

/* n1 asks n3, which crashes before its vote is durable. A copy of the question
 * stays on the way. */
static void lose_a_vote(struct cluster *c) {
  cluster_time_out(c, N1);
  story_exchange(c, N1, N3);
  EQ(cluster_status(c, N1).state, RAFT_CANDIDATE);
  c->nodes[N3].is_disk_held = true;
  int asked = cluster_find(c, N1, N3, RAFT_MSG_VOTE);
  CHECK(asked >= 0);
  if (asked >= 0) cluster_double(c, (uint32_t)asked);
  deliver(c, N1, N3, RAFT_MSG_VOTE);
  EQ(cluster_find(c, N3, N1, RAFT_MSG_VOTE_REPLY), -1);
  cluster_say(c, "(n3 does not answer before its disk has the vote)");
  cluster_crash(c, N3, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  EQ(cluster_status(c, N3).term, 1);
  EQ(cluster_status(c, N3).vote, 0);
  cluster_say(c, "(n3 knows of no vote, and nobody was told of one)");
}

/* [Raft 5.1] what was not written was not promised; what was, is for good. */
static void vote_and_crash(void) {
  struct cluster *c = story_cluster(3);
  cluster_listen(c);
  lose_a_vote(c);
  cluster_time_out(c, N2);
  story_exchange(c, N2, N3);
  EQ(cluster_status(c, N2).state, RAFT_CANDIDATE);
  deliver(c, N2, N3, RAFT_MSG_VOTE);
  cluster_disk(c, N3, 1);
  story_carry(c, N3, N2);
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  cluster_crash(c, N3, 0);
  EQ(cluster_restart(c, N3), RAFT_OK);
  EQ(cluster_status(c, N3).vote, c->nodes[N2].id);
  c->nodes[N3].is_disk_held = false;
  cluster_say(c, "(only now the copy of n1's question arrives)");
  deliver(c, N1, N3, RAFT_MSG_VOTE);
  cluster_work(c);
  EQ(cluster_leader(c), N2);
  EQ(cluster_status(c, N1).leader, c->nodes[N2].id);
  story_tell(
      c, "vote_and_crash",
      "One vote in a term, whatever crashes. [Raft 5.1] [Raft 5.2]\n"
      "\n"
      "Watch for: n3 crashes while it writes its vote for n1. It has\n"
      "not answered yet, so it may vote for n2 in the same term. Then\n"
      "it crashes again, but that vote was on disk: to the late copy of\n"
      "n1's question, of the same term, it says no.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(first_election);
  CASE(split_vote);
  CASE(rejoin);
  CASE(lost_touch);
  CASE(vote_and_crash);
  return test_end();
}
