/* transfer_trace_test.c - stories of leadership that is handed over, and of
 * reads by a lease, compared with spec/traces (see support/story.h).
 */
#include "story.h"

/* n1 is asked to hand over to this one. */
static void transfer(struct cluster *c, uint32_t to) {
  cluster_say(c, "(n1 is asked to hand over to %s)", c->nodes[to].name);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = c->nodes[to].id;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
}

/* n1 leads, and n3 lacks 3/t2. */
static struct cluster *one_lags(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  EQ(cluster_propose(c, N1, "x"), 3);
  cluster_work(c);
  cluster_isolate(c, N3, false);
  cluster_listen(c);
  cluster_say(c, "(n3 did not hear of entry 3)");
  return c;
}

/* [Thesis 3.10] */
static void hand_over(void) {
  struct cluster *c = one_lags();
  transfer(c, N3);
  EQ(cluster_propose(c, N1, "y"), RAFT_E_BUSY);
  cluster_say(c, "(n1 takes no commands now)");
  c->now += 20;
  cluster_tick(c, N1);
  cluster_work(c);
  EQ(cluster_status(c, N3).state, RAFT_LEADER);
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
  story_tell(
      c, "hand_over",
      "A leader hands its place to a member that lags. [Thesis 3.10]\n"
      "\n"
      "Watch for: n3 is not told before it has everything. Then it\n"
      "campaigns at once, without pre-votes, and says that the leader asked\n"
      "it to: n2 votes for it though it has just heard n1.");
}

static void heir_gone(void) {
  struct cluster *c = one_lags();
  transfer(c, N2);
  (void)cluster_flush(c, N1);
  cluster_say(c, "(n2 dies before it hears of that)");
  cluster_crash(c, N2, 0);
  cluster_drop_all(c);
  EQ(cluster_propose(c, N1, "y"), RAFT_E_BUSY);
  for (int i = 0; i < 10; i++) {
    c->now += 20;
    cluster_tick(c, N1);
    (void)cluster_flush(c, N1);
    story_exchange(c, N1, N3);
  }
  EQ(cluster_status(c, N1).heir, 0);
  cluster_say(c, "(one election time-out is over: n1 takes commands again)");
  EQ(cluster_propose(c, N1, "y"), 4);
  cluster_work(c);
  EQ(cluster_status(c, N1).commit, 4);
  story_tell(c, "heir_gone",
             "An heir that does not come. [Thesis 3.10]\n"
             "\n"
             "Watch for: nothing has to be undone. n1 led all the time; it\n"
             "only took no commands, for one election time-out.");
}

/* [Thesis 6.4.1] */
static void lease(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .leases = true});
  c->now += 100;
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  c->now += 20;
  cluster_tick(c, N1);
  cluster_work(c);
  CHECK(cluster_read_lease(c, N1) > 0);
  story_work(c, N1);
  EQ(c->seen_counts.leader_reads, 1);
  cluster_say(c, "(nobody was asked: a majority answered read round 2)");
  c->now += 89;
  cluster_say(c, "(89 ms later it is over; others may elect from 100 ms on)");
  CHECK(cluster_read_lease(c, N1) > 0);
  cluster_work(c);
  EQ(c->seen_counts.leader_reads, 2);
  story_tell(
      c, "lease",
      "A read without asking anybody. [Thesis 6.4.1]\n"
      "\n"
      "Watch for: with leases on, every heartbeat has a read round. Who\n"
      "answers it helps nobody else to lead for 100 ms. The leader reckons\n"
      "with 89 of them, from when it sent the round. After that it asks.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(hand_over);
  CASE(heir_gone);
  CASE(lease);
  return test_end();
}
