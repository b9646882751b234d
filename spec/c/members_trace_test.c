/* members_trace_test.c - stories of changes: who comes, who leaves, and what
 * happens on the way. [Raft 6] Compared with spec/traces (see
 * support/story.h). */
#include "story.h"

#include "config.h"

enum { VOTER = RAFT_ROLE_VOTER, NONE = RAFT_ROLE_NONE };

/* n1 leads; the last `strangers` of the nodes are no members. */
static struct cluster *led(uint32_t nodes, uint32_t strangers) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = nodes, .strangers = strangers, .seed = 1, .heartbeat_ms = 60});
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  return c;
}

static int64_t ask(struct cluster *c, struct raft_config *target, uint32_t who,
                   uint8_t goal) {
  cluster_want(c, target, who, goal);
  return cluster_change(c, N1, target, false);
}

static void add_voter(void) {
  struct cluster *c = led(3, 1);
  struct raft_config target = cluster_target(c, N1);
  CHECK(ask(c, &target, N3, VOTER) > 0);
  cluster_work(c);
  cluster_run(c, 60);
  CHECK(cluster_status(c, N3).is_settled);
  story_tell(
      c, "add_voter",
      "A third voter comes. [Raft 6] [Thesis 4.2.1]\n"
      "\n"
      "Watch for: three entries. With 3/t2 n3 receives the log and counts\n"
      "nowhere; what it shall be is said in it, so that another leader\n"
      "would go on. With 4/t2 both halves must agree: both of n1, n2, and\n"
      "two of all three. It comes when n3 has caught up, and the last one\n"
      "when it is committed itself.");
}

static void replace_voter(void) {
  struct cluster *c = led(4, 1);
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, N4, VOTER);
  CHECK(ask(c, &target, N3, NONE) > 0);
  cluster_work(c);
  cluster_run(c, 60);
  CHECK(cluster_status(c, N4).is_settled);
  story_tell(c, "replace_voter",
             "One voter takes another's place, in one change. [Raft 6]\n"
             "\n"
             "Watch for: there are never four voters that count alike. n3\n"
             "counts in the old half until the joint configuration is\n"
             "committed, n4 from the joint one on in the new half. n3 is sent\n"
             "the last entry too, and is none any more.");
}

static void remove_leader(void) {
  struct cluster *c = led(3, 0);
  struct raft_config target = cluster_target(c, N1);
  CHECK(ask(c, &target, N1, NONE) > 0);
  cluster_work(c);
  EQ(cluster_leader(c), N3);
  story_tell(
      c, "remove_leader",
      "The leader is removed. [Thesis 4.2.2]\n"
      "\n"
      "Watch for: n1 leads to the end of it. In the joint\n"
      "configuration it counts in the old half only, so it needs both\n"
      "n2 and n3; in the last one not at all. Once that is committed it\n"
      "tells n3 to campaign.");
}

static void crash_in_the_joint(void) {
  struct cluster *c = led(3, 0);
  struct raft_config target = cluster_target(c, N1);
  CHECK(ask(c, &target, N3, NONE) > 0);
  story_work(c, N1);
  story_carry(c, N1, N2);
  cluster_drop_all(c);
  cluster_crash(c, N1, 0);
  cluster_say(c, "(n2 has the joint configuration, n3 has not)");
  CHECK(!cluster_elect(c, N2));
  cluster_say(c, "(n1 comes back, and the two of the new half are complete)");
  EQ(cluster_restart(c, N1), RAFT_OK);
  (void)cluster_elect(c, N2);
  EQ(cluster_leader(c), N2);
  cluster_run(c, 60);
  CHECK(cluster_status(c, N2).is_settled);
  story_tell(
      c, "crash_in_the_joint",
      "A leader crashes in the middle of a change. [Thesis 4.3]\n"
      "\n"
      "Watch for: n3 is to leave. n2 found the joint configuration in its\n"
      "log, so it needs two votes of the old half and both of the new one,\n"
      "n1 and n2. Without n1 nobody can be elected; nothing is decided by\n"
      "one half alone. When n1 is back, n2 brings the change to its end.");
}

static void refused_change(void) {
  struct cluster *c = led(4, 0);
  cluster_isolate(c, N3, true);
  cluster_run(c, 300);
  cluster_listen(c);
  struct raft_config target = cluster_target(c, N2);
  cluster_want(c, &target, N1, NONE);
  cluster_want(c, &target, N4, NONE);
  EQ(cluster_change(c, N2, &target, false), 0);
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_E_NO_QUORUM);
  story_tell(c, "refused_change",
             "A change that would leave nobody to decide. [Raft 6]\n"
             "\n"
             "Watch for: n2 and n3 are to be left, and n3 has not been heard\n"
             "for longer than an election time-out. n1, the leader, refuses;\n"
             "nothing has happened.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(add_voter);
  CASE(replace_voter);
  CASE(remove_leader);
  CASE(crash_in_the_joint);
  CASE(refused_change);
  return test_end();
}
