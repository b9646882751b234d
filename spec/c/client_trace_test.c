/* client_trace_test.c - stories of what clients ask for: commands to a follower
 * and reads, compared with spec/traces (see support/story.h).
 */
#include "story.h"

/* n1 committed 3/t2 and told its client, n2 and n3 have not heard of that. n2
 * takes over. */
static struct cluster *fresh_leader(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  EQ(cluster_propose(c, N1, "x"), 3);
  story_work(c, N1);
  story_exchange(c, N1, N2);
  EQ(cluster_status(c, N1).commit, 3);
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  cluster_say(c, "(n1 was the only one to know that 3/t2 is committed)");
  return c;
}

/* [Thesis 6.4] */
static void early_read(void) {
  struct cluster *c = fresh_leader();
  cluster_time_out(c, N2);
  story_exchange(c, N2, N3); /* pre-vote */
  story_exchange(c, N2, N3); /* vote */
  EQ(cluster_status(c, N2).state, RAFT_LEADER);
  EQ(cluster_status(c, N2).commit, 2);
  CHECK(cluster_read(c, N2) > 0);
  story_work(c, N2);
  EQ(cluster_status(c, N2).read_count, 1);
  cluster_say(c, "(n2 leads, and knows only of entry 2 that it is committed: "
                 "the read waits)");
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, 1);
  EQ(cluster_status(c, N2).applied, 4);
  story_tell(
      c, "early_read",
      "A read at a leader that is new. [Thesis 6.4] [Raft 8]\n"
      "\n"
      "Watch for: a client was told that \"x\" is done. n2 has the entry\n"
      "and does not know that it is committed. A read at once would miss\n"
      "it. So the read waits for two things: an entry of term 3 must be\n"
      "committed, and a majority must say that n2 still leads.");
}

/* [Thesis 6.4] a follower asks its leader. */
static void follower_read(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  CHECK(cluster_read(c, N2) > 0);
  cluster_work(c);
  EQ(c->seen_counts.follower_reads, 1);
  story_tell(
      c, "follower_read",
      "A read at a follower, without an entry. [Thesis 6.4]\n"
      "\n"
      "Watch for: n2 asks n1. n1 asks all whether it still leads, with a\n"
      "number, the read round; one answer to that round makes two of\n"
      "three. Then n2 may answer, once it has applied so far. Nothing is\n"
      "written for it.");
}

/* n3 wins term 3 with the vote of n2, and n1 hears of it. */
static void change_leader(struct cluster *c) {
  cluster_time_out(c, N3);
  story_exchange(c, N3, N2); /* pre-vote */
  story_exchange(c, N3, N2); /* vote */
  EQ(cluster_status(c, N3).state, RAFT_LEADER);
  story_carry(c, N3, N1);
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
}

/* [Raft 8] and in one term only, see forward.c */
static void forwarded(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_OK);
  EQ(cluster_status(c, N2).applied, 3);
  EQ(cluster_forward(c, N2, "y"), RAFT_OK);
  (void)cluster_flush(c, N2); /* it is on its way */
  cluster_say(c, "(this command takes long; meanwhile n3 becomes the leader)");
  change_leader(c);
  cluster_say(c, "(now the command arrives at n1)");
  story_exchange(c, N2, N1);
  EQ(c->forwarded.code, RAFT_E_NOT_LEADER);
  cluster_work(c);
  for (uint32_t i = N1; i <= N3; i++)
    EQ(cluster_status(c, i).last, 4); /* of which none is "y" */
  story_tell(
      c, "forwarded",
      "A command given to a follower. [Raft 8]\n"
      "\n"
      "Watch for: n2 sends it on to the leader of its term, and answers\n"
      "its client when it has applied the entry itself. The second one\n"
      "meets a leader that is none any more. It names a term that is\n"
      "over, so it is refused, and is in no log: to ask again is safe.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(early_read);
  CASE(follower_read);
  CASE(forwarded);
  return test_end();
}
