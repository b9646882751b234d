/* snapshot_trace_test.c - stories of snapshots. [Raft 7] Written to
 * spec/traces; see story.h. */
#include "story.h"

/* n1 leads, n3 is away; entries 2 to 6 are committed. */
static struct cluster *without_n3(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_work(c);
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 4; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_run(c, 60);
  return c;
}

static void brought_up_by_a_snapshot(void) {
  struct cluster *c = without_n3();
  cluster_listen(c);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  CHECK(cluster_propose(c, N1, "y") == 7);
  cluster_work(c);
  cluster_isolate(c, N3, false);
  cluster_run(c, 45);
  story_log(c, N1);
  story_log(c, N3);
  EQ(cluster_status(c, N3).applied, 7);
  story_tell(c, "brought_up_by_a_snapshot",
             "A follower whose entries are gone. [Raft 7]\n"
             "\n"
             "n3 was away while n1 made a snapshot of all up to 6 and let its\n"
             "log go.\n"
             "\n"
             "Watch for: the mark is on disk before anything goes. A refusal\n"
             "tells n1 what n3 lacks, and one transfer begins. n3 answers for\n"
             "the snapshot, and installs it, only when its own mark is on\n"
             "disk. 7/t2 follows as an entry.");
}

static void a_conflicting_tail_is_dropped(void) {
  struct cluster *c = story_cluster(3);
  story_boot(c, N3, 2, TERMS(2, 2, 2), 3); /* led term 2, alone */
  story_boot(c, N1, 3, TERMS(3, 3, 3, 3), 4);
  story_boot(c, N2, 3, TERMS(3, 3, 3, 3), 4);
  cluster_isolate(c, N3, true);
  CHECK(cluster_elect(c, N1));
  cluster_run(c, 60);
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  cluster_listen(c);
  story_log(c, N1);
  story_log(c, N3);
  cluster_isolate(c, N3, false);
  cluster_run(c, 45);
  story_log(c, N3);
  EQ(cluster_status(c, N3).first, 7);
  EQ(cluster_status(c, N3).applied, 6);
  story_tell(c, "a_conflicting_tail_is_dropped",
             "A snapshot over another log. [Raft 7]\n"
             "\n"
             "n3 has 2/t2 to 4/t2, which nobody else ever had. n1 has a\n"
             "snapshot of all up to 6/t4, and no entries any more.\n"
             "\n"
             "Watch for: n3 has no 6/t4, so none of its log counts: that its\n"
             "snapshot is all it has goes to its disk in one batch, and then\n"
             "the state is installed.");
}

static void a_crash_before_the_mark(void) {
  struct cluster *c = without_n3();
  EQ(cluster_snapshot(c, N1), RAFT_OK);
  cluster_work(c);
  c->nodes[N1].is_ship_held = true;
  cluster_isolate(c, N3, false);
  cluster_run(c, 45);
  EQ(c->transfer_count, 1);
  c->nodes[N3].is_disk_held = true;
  cluster_listen(c);
  EQ(cluster_receive_snapshot(c, 0), 6);
  (void)cluster_flush(c, N3);
  cluster_crash(c, N3, 0);
  cluster_shipped(c, 0, true);
  c->nodes[N3].is_disk_held = false;
  EQ(cluster_restart(c, N3), RAFT_OK);
  story_log(c, N3);
  c->nodes[N1].is_ship_held = false;
  cluster_run(c, 60);
  story_log(c, N3);
  EQ(cluster_status(c, N3).applied, 6);
  story_tell(
      c, "a_crash_before_the_mark",
      "A snapshot lost between its file and its mark. [Raft 7]\n"
      "\n"
      "n3 has received the file, and crashes while it writes the mark.\n"
      "n1 was told that the file has arrived.\n"
      "\n"
      "Watch for: n3 has told nobody that it has the entries, so n1 may\n"
      "not believe it. Its next answer shows that they are missing, and\n"
      "the transfer begins again.");
}

static void a_crash_before_the_compaction(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  for (int i = 0; i < 4; i++)
    CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_run(c, 60);
  c->nodes[N2].keeps_log = true;
  cluster_listen(c);
  EQ(cluster_snapshot(c, N2), RAFT_OK);
  story_work(c, N2);
  cluster_crash(c, N2, 0);
  c->nodes[N2].keeps_log = false;
  EQ(cluster_restart(c, N2), RAFT_OK);
  story_log(c, N2);
  EQ(cluster_status(c, N2).applied, 6);
  EQ(cluster_status(c, N2).first, 7);
  story_tell(c, "a_crash_before_the_compaction",
             "A crash between a snapshot and what may go then. [Raft 7]\n"
             "\n"
             "n2 makes a snapshot and crashes before it lets its log go.\n"
             "\n"
             "Watch for: it starts from the snapshot, applies nothing twice,\n"
             "and lets go then.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(brought_up_by_a_snapshot);
  CASE(a_conflicting_tail_is_dropped);
  CASE(a_crash_before_the_mark);
  CASE(a_crash_before_the_compaction);
  return test_end();
}
