/* log_trace_test.c - stories of logs that differ and are made equal, compared
 * with spec/traces (see support/story.h).
 */
#include "story.h"

/* ---- figure 7: the shapes a follower's log may have ---------------------- */

/* [Raft Figure 7] a leader of term 8, and a follower of each shape. */
static struct cluster *figure_7(const raft_term *terms, uint32_t count) {
  struct cluster *c = story_cluster(3);
  story_boot(c, N1, 7, TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6), 9);
  story_boot(c, N2, 7, terms, count);
  story_boot(c, N3, 7, TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6), 9);
  cluster_isolate(c, N2, true);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  story_log(c, N1);
  story_log(c, N2);
  cluster_isolate(c, N3, true); /* it has all, and would only talk */
  cluster_isolate(c, N2, false);
  c->cut[N2][N3] = c->cut[N3][N2] = true;
  cluster_run(c, 20);
  story_log(c, N2);
  EQ(cluster_status(c, N2).last, 11);
  EQ(cluster_status(c, N2).commit, 11);
  return c;
}

static void figure_7a(void) {
  story_tell(
      figure_7(TERMS(1, 1, 4, 4, 5, 5, 6, 6), 8), "figure_7a",
      "Catching up: one entry is missing. [Raft Figure 7 a]\n"
      "\n"
      "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
      "are one higher than in the paper's figure: entry 1 of our logs\n"
      "is the configuration of the cluster.\n"
      "\n"
      "Watch for: the first guess of the leader is wrong, and the refusal\n"
      "says where to go on. n2 takes no part in any vote for this.");
}

static void figure_7b(void) {
  story_tell(figure_7(TERMS(1, 1, 4), 3), "figure_7b",
             "Catching up: many entries are missing. [Raft Figure 7 b]\n"
             "\n"
             "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
             "are one higher than in the paper's figure: entry 1 of our logs\n"
             "is the configuration of the cluster.\n"
             "\n"
             "Watch for: one refusal is enough, however much is missing.\n"
             "The entries come in as many messages as they need.");
}

static void figure_7c(void) {
  story_tell(figure_7(TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6, 6), 10), "figure_7c",
             "Catching up: one entry too many. [Raft Figure 7 c]\n"
             "\n"
             "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
             "are one higher than in the paper's figure: entry 1 of our logs\n"
             "is the configuration of the cluster.\n"
             "\n"
             "Watch for: n2's 11/t6 was never committed, so it may go: 11/t8\n"
             "takes its place. A leader never deletes, a follower may.");
}

static void figure_7d(void) {
  story_tell(
      figure_7(TERMS(1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7), 11), "figure_7d",
      "Catching up: two too many, of an unknown term. [Raft Figure 7 d]\n"
      "\n"
      "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
      "are one higher than in the paper's figure: entry 1 of our logs\n"
      "is the configuration of the cluster.\n"
      "\n"
      "Watch for: n2 has entries of term 7, and would not vote for n1.\n"
      "It still has to follow: n1 has the votes of a majority.");
}

static void figure_7e(void) {
  story_tell(figure_7(TERMS(1, 1, 4, 4, 4, 4), 6), "figure_7e",
             "Catching up: some missing, some too many. [Raft Figure 7 e]\n"
             "\n"
             "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
             "are one higher than in the paper's figure: entry 1 of our logs\n"
             "is the configuration of the cluster.\n"
             "\n"
             "Watch for: n2's 6/t4 and 7/t4 conflict with 6/t5 and 7/t5. The\n"
             "logs meet at 5/t4, which one refusal finds.");
}

static void figure_7f(void) {
  story_tell(figure_7(TERMS(1, 1, 2, 2, 2, 3, 3, 3, 3, 3), 10), "figure_7f",
             "Catching up: whole terms nobody else has. [Raft Figure 7 f]\n"
             "\n"
             "n1 leads term 8 and meets n2 again, which was away. All indexes\n"
             "are one higher than in the paper's figure: entry 1 of our logs\n"
             "is the configuration of the cluster.\n"
             "\n"
             "Watch for: all of terms 2 and 3 has to go. It was never on a\n"
             "majority, so no client was ever told that it was done.");
}

/* ---- figure 8: why counting is not enough -------------------------------- */

/* [Raft Figure 8] c: s1 leads again, in term 4, and brings its entry of term 2
 * to a third server, a majority. It must not be committed by that. */
static struct cluster *figure_8c(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 5, .seed = 1, .message_bytes_max = 1});
  story_boot(c, N1, 3, TERMS(2), 1);
  story_boot(c, N2, 3, TERMS(2), 1);
  story_boot(c, N3, 3, NULL, 0);
  story_boot(c, N4, 3, NULL, 0);
  story_boot(c, N5, 3, TERMS(3), 1);
  cluster_listen(c);
  for (uint32_t i = 0; i < 5; i++)
    story_log(c, i);
  cluster_crash(c, N5, 0);
  cluster_crash(c, N4, 0);
  cluster_time_out(c, N1);
  for (int round = 0; round < 2; round++) /* pre-votes, votes */
    for (uint32_t i = N2; i <= N3; i++)
      story_exchange(c, N1, i);
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  story_exchange(c, N1, N3); /* does not fit */
  story_exchange(c, N1, N3); /* entry 2, of term 2 */
  story_log(c, N3);
  EQ(raft_term_at(c->nodes[N3].raft, 2), 2);
  EQ(cluster_status(c, N1).commit, 1);
  cluster_say(c,
              "(2/t2 is on three of five, and n1 does not call it committed)");
  return c;
}

static void bring_back_4_and_5(struct cluster *c) {
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  EQ(cluster_restart(c, N4), RAFT_OK);
  EQ(cluster_restart(c, N5), RAFT_OK);
}

static void figure_8d(void) { /* so it may still be overwritten */
  struct cluster *c = figure_8c();
  bring_back_4_and_5(c);
  CHECK(cluster_elect(c, N5) || cluster_elect(c, N5)); /* learns the term */
  for (uint32_t i = N2; i <= N5; i++)
    story_log(c, i);
  EQ(raft_term_at(c->nodes[N3].raft, 2), 3);
  story_tell(
      c, "figure_8d",
      "Old entries are not committed by counting. [Raft 5.4.2]\n"
      "\n"
      "The paper's figure 8, c and d. n1 led term 2, n5 led term 3, and\n"
      "n1 leads again, in term 4.\n"
      "\n"
      "Watch for: 2/t2 reaches a majority, and n1 still does not count\n"
      "it: it is not of its own term. That is right. n1 crashes, n5\n"
      "wins with its 2/t3, and 2/t2 is gone from all of them.");
}

static void figure_8e(void) { /* with an entry of its own term it can not */
  struct cluster *c = figure_8c();
  story_carry(c, N1, N3); /* entry 3, of term 4 */
  story_carry(c, N1, N2);
  story_carry(c, N3, N1);
  story_carry(c, N2, N1);
  EQ(cluster_status(c, N1).commit, 3);
  cluster_say(c,
              "(3/t4 is on three of five: it is committed, and 2/t2 with it)");
  bring_back_4_and_5(c);
  CHECK(!cluster_elect(c, N5));
  CHECK(!cluster_elect(c, N5));
  CHECK(cluster_elect(c, N2));
  for (uint32_t i = N2; i <= N5; i++)
    story_log(c, i);
  EQ(raft_term_at(c->nodes[N5].raft, 2), 2);
  story_tell(
      c, "figure_8e",
      "One entry of the leader's own term decides. [Raft 5.4.2]\n"
      "\n"
      "The paper's figure 8, c and e: up to the crash of n1 all is as in\n"
      "figure_8d.txt, but 3/t4 gets to a majority as well.\n"
      "\n"
      "Watch for: with 3/t4 all before it is committed. n5 can not win\n"
      "any more: its log ends with an older term than that of most.");
}

/* ---- a leader that did not finish ---------------------------------------- */

/* n1 dies with an entry that n2 has and n3 has not. */
static void leave_unfinished(struct cluster *c) {
  EQ(cluster_propose(c, N1, "x"), 3);
  story_work(c, N1);
  story_carry(c, N1, N2);
  cluster_crash(c, N1, 0);
  cluster_drop_all(c);
  cluster_say(c,
              "(n1 heard of no second copy, so its client was told nothing)");
}

/* [Raft 5.4.1] [Raft 5.4.2] */
static void unfinished_entry(void) {
  struct cluster *c = story_cluster(3);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  leave_unfinished(c);
  CHECK(!cluster_elect(c, N3)); /* its log is too short */
  CHECK(cluster_elect(c, N2));
  EQ(cluster_status(c, N3).commit, 4);
  EQ(raft_term_at(c->nodes[N3].raft, 3), 2);
  EQ(cluster_restart(c, N1), RAFT_OK);
  cluster_run(c, 30);
  for (uint32_t i = N1; i <= N3; i++) {
    story_log(c, i);
    EQ(cluster_status(c, i).commit, 4);
  }
  story_tell(
      c, "unfinished_entry",
      "A leader dies with an entry half way. [Raft 5.4.1] [Raft 8]\n"
      "\n"
      "Watch for: n3 can not win, its log is shorter than that of n2.\n"
      "n2 leads and has 3/t2, of a term that is over. It does not count\n"
      "copies of it. Its own first entry, 4/t3, is committed, and that\n"
      "commits 3/t2. The command of the dead leader is done after all.");
}

/* Answers of node that refuse an append and are on their way. */
static uint32_t refusals_from(const struct cluster *c, uint32_t node) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < c->packet_count; i++) {
    struct raft_message m;
    if (c->packets[i].from != node) continue;
    cluster_look(c, i, &m);
    count += m.kind == RAFT_MSG_APPEND_REPLY && !m.append_reply.accepted;
  }
  return count;
}

/* Entries [2, 51], half of them of one term, half of another. */
static void boot_long(struct cluster *c, uint32_t node, raft_term first,
                      raft_term second) {
  raft_term terms[50];
  for (int i = 0; i < 50; i++)
    terms[i] = i < 25 ? first : second;
  story_boot(c, node, 6, terms, 50);
}

/* [Raft 5.3] a refusal names where the logs may agree: a round a term. */
static void long_conflict(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .message_bytes_max = 2000});
  boot_long(c, N1, 3, 6);
  boot_long(c, N2, 2, 5);
  boot_long(c, N3, 3, 6);
  cluster_isolate(c, N2, true);
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  story_log(c, N1);
  story_log(c, N2);
  cluster_isolate(c, N3, true);
  c->cut[N1][N2] = c->cut[N2][N1] = false;
  c->now += 20;
  cluster_tick(c, N1);
  story_work(c, N1);
  uint32_t refusals = 0;
  for (int turn = 0; turn < 20; turn++) {
    story_carry(c, N1, N2);
    refusals += refusals_from(c, N2);
    story_carry(c, N2, N1);
  }
  story_log(c, N2);
  EQ(refusals, 2); /* not 50 */
  EQ(cluster_status(c, N2).commit, 52);
  story_tell(
      c, "long_conflict",
      "Fifty wrong entries, two refusals. [Raft 5.3]\n"
      "\n"
      "n1's entries 2 to 51 are of terms 3 and 6, n2's of 2 and 5.\n"
      "\n"
      "Watch for: a refusal names the newest entry that may be the same\n"
      "in both logs, and n1 looks for the newest one of its own that\n"
      "may be. So a whole term is skipped at once. Then the entries\n"
      "travel, and take the place of the wrong ones.");
}

/* ---- two sides ----------------------------------------------------------- */

#define LEFT (1u << N1 | 1u << N2)

/* The old leader finds out that nobody answers, and its follower too. */
static void step_down_left(struct cluster *c) {
  cluster_tick(c, N1);
  cluster_work(c);
  EQ(cluster_status(c, N1).state, RAFT_FOLLOWER);
  EQ(cluster_status(c, N1).commit, 2);
  cluster_say(c, "(n1 knows now that it leads nobody; n3 is the only leader)");
}

/* [Raft 5.4.3] [Thesis 6.2] */
static void partition(void) {
  struct cluster *c = story_cluster(5);
  CHECK(cluster_elect(c, N1));
  cluster_run(c, 20);
  cluster_listen(c);
  story_cut(c, LEFT, true);
  cluster_say(c, "(n1 and n2 are cut off from n3, n4 and n5)");
  EQ(cluster_propose(c, N1, "left"), 3);
  cluster_work(c);
  EQ(cluster_status(c, N1).commit, 2);
  CHECK(cluster_elect(c, N3));
  EQ(cluster_status(c, N1).state, RAFT_LEADER);
  cluster_say(c,
              "(two leaders: n1 of term 2, n3 of term 3; only n3 can commit)");
  EQ(cluster_propose(c, N3, "right"), 4);
  cluster_work(c);
  EQ(cluster_status(c, N3).commit, 4);
  step_down_left(c);
  story_log(c, N1);
  story_log(c, N3);
  story_cut(c, LEFT, false);
  cluster_say(c, "(all can hear all again)");
  c->now += 20;
  cluster_tick(c, N3);
  cluster_work(c);
  for (uint32_t i = N1; i <= N5; i++) {
    story_log(c, i);
    EQ(cluster_status(c, i).commit, 4);
    EQ(raft_term_at(c->nodes[i].raft, 3), 3);
  }
  story_tell(
      c, "partition",
      "Two against three, writes on both sides. [Raft 5.4.3]\n"
      "\n"
      "Watch for: for a while there are two leaders, of two terms. Both\n"
      "take a command, one of them can commit it. n1 notices that no\n"
      "majority answers and steps down [Thesis 6.2]. When the link is\n"
      "back, n1's uncommitted 3/t2 dies: its client was told nothing.");
}

/* ---- slow links, old messages -------------------------------------------- */

static void slow_follower(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 12; i++) {
    CHECK(cluster_propose(c, N1, "as long as forty characters, or about") > 0);
    cluster_work(c);
  }
  cluster_listen(c);
  cluster_isolate(c, N3, false);
  cluster_say(
      c, "(n1 has applied all, and keeps only entries from %u on in memory)",
      (unsigned)cluster_status(c, N1).memory_first);
  cluster_run(c, 20);
  EQ(cluster_status(c, N3).commit, 14);
  CHECK(c->seen_counts.loads > 0);
  story_tell(c, "slow_follower",
             "A follower needs what the leader has only on disk. [Raft 5.3]\n"
             "\n"
             "Watch for: n1 loads old entries as fast as n3 can take them, a\n"
             "few messages ahead of the answers, and sends the newest from\n"
             "memory. Nothing else waits for this.");
}

/* The newest append to n3 that is on its way arrives first. */
static void deliver_newest(struct cluster *c) {
  for (uint32_t i = c->packet_count; i > 0; i--)
    if (c->packets[i - 1].to == N3) {
      cluster_deliver(c, i - 1);
      break;
    }
  story_work(c, N3);
}

static void double_all_to_n3(struct cluster *c) {
  uint32_t count = c->packet_count;
  for (uint32_t i = 0; i < count; i++)
    if (c->packets[i].to == N3) cluster_double(c, i);
}

/* [Raft 5.3] a log changes only where it differs from the leader's. */
static void late_appends(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .message_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  cluster_listen(c);
  EQ(cluster_propose(c, N1, "x"), 3);
  story_work(c, N1);
  EQ(cluster_propose(c, N1, "y"), 4);
  story_work(c, N1);
  double_all_to_n3(c);
  cluster_say(c, "(each append to n3 is doubled; the newest arrives first)");
  deliver_newest(c);
  EQ(cluster_status(c, N3).last, 2);
  cluster_say(c, "(the other three arrive, in their order: 3/t2, 4/t2, 3/t2)");
  story_carry(c, N1, N3);
  EQ(cluster_status(c, N3).last, 4);
  cluster_work(c);
  EQ(cluster_status(c, N3).commit, 4);
  story_log(c, N3);
  story_tell(c, "late_appends",
             "Appends that come twice and too late. [Raft 5.3]\n"
             "\n"
             "Watch for: what does not fit is refused, and what is there\n"
             "already is not written again, and above all not cut: an old\n"
             "append says nothing about what may follow it. The refusal makes\n"
             "n1 send 3/t2 a third time, which is harmless too.");
}

int main(int argc, char **argv) {
  story_begin(argc, argv);
  CASE(figure_7a);
  CASE(figure_7b);
  CASE(figure_7c);
  CASE(figure_7d);
  CASE(figure_7e);
  CASE(figure_7f);
  CASE(figure_8d);
  CASE(figure_8e);
  CASE(unfinished_entry);
  CASE(long_conflict);
  CASE(partition);
  CASE(slow_follower);
  CASE(late_appends);
  return test_end();
}
