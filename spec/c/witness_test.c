/* witness_test.c - who votes and acknowledges without commands: what it is
 * sent, what it must not do, and that no commit rests on witnesses alone.
 * [Thesis 11.7.2] */
#include "alone.h"

#include <string.h>

#include "config.h"
#include "entry.h"
#include "replica.h"

enum { VOTER = RAFT_ROLE_VOTER, LEARNER = RAFT_ROLE_LEARNER };
enum { NONE = RAFT_ROLE_NONE, WITNESS = RAFT_ROLE_WITNESS };

/* n3 is a witness; n1 leads. */
static struct cluster *with_witness(uint32_t nodes, uint32_t strangers) {
  struct cluster_options o = {
      .nodes = nodes, .strangers = strangers, .seed = 1};
  o.roles[N3] = WITNESS;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  return c;
}

static void propose(struct cluster *c, const char *command) {
  CHECK(cluster_propose(c, N1, command) > 0);
  cluster_work(c);
}

static struct raft_entry entry_at(struct cluster *c, uint32_t node,
                                  raft_index i) {
  struct raft_entry e = {.kind = 0};
  CHECK(raft_entry_at(c->nodes[node].raft, i, &e));
  return e;
}

static bool is_stripped(struct cluster *c, uint32_t node, raft_index i) {
  return (entry_at(c, node, i).flags & RAFT_ENTRY_STRIPPED) != 0;
}

static int64_t ask(struct cluster *c, uint32_t who, uint8_t goal) {
  struct raft_config target = cluster_target(c, N1);
  cluster_want(c, &target, who, goal);
  return cluster_change(c, N1, &target, false);
}

/* ---- what it has --------------------------------------------------------- */

static void it_keeps_the_place_of_commands(void) {
  struct cluster *c = with_witness(3, 0);
  propose(c, "some bytes");
  raft_index i = cluster_status(c, N1).last;
  struct raft_entry full = entry_at(c, N1, i);
  struct raft_entry bare = entry_at(c, N3, i);
  CHECK(!is_stripped(c, N2, i));
  CHECK(is_stripped(c, N3, i));
  EQ(full.size, 10);
  EQ(bare.size, 0);
  EQ(bare.term, full.term);
  EQ(bare.time, full.time);
  EQ(bare.kind, RAFT_ENTRY_COMMAND);
  EQ(entry_at(c, N3, i - 1).kind, RAFT_ENTRY_NOOP);
  CHECK(!is_stripped(c, N3, i - 1));
  alone_end(c);
}

/* Its acknowledgement counts, and its vote. */
static void it_counts(void) {
  struct cluster *c = with_witness(3, 0);
  cluster_isolate(c, N2, true);
  propose(c, "x");
  EQ(cluster_status(c, N1).commit, cluster_status(c, N1).last);
  cluster_isolate(c, N2, false);
  cluster_run(c, 100);
  cluster_isolate(c, N1, true);
  cluster_run(c, 1000);
  EQ(cluster_leader(c), N2);
  alone_end(c);
}

/* n2 lacks what n1 and n3 committed: n3 keeps it from leading. */
static void it_guards_what_it_acknowledged(void) {
  struct cluster *c = with_witness(3, 0);
  cluster_isolate(c, N2, true);
  propose(c, "x");
  cluster_isolate(c, N1, true);
  cluster_isolate(c, N2, false);
  c->cut[N1][N2] = c->cut[N2][N1] = true;
  cluster_run(c, 3000);
  CHECK(cluster_status(c, N2).state != RAFT_LEADER);
  CHECK(cluster_status(c, N3).state == RAFT_FOLLOWER);
  cluster_isolate(c, N1, false);
  cluster_run(c, 1000);
  EQ(cluster_leader(c), N1);
  alone_end(c);
}

static void it_never_campaigns_and_serves_nothing(void) {
  struct cluster *c = with_witness(3, 0);
  propose(c, "x");
  EQ(c->nodes[N3].deadline, UINT64_MAX);
  EQ(cluster_read(c, N3), RAFT_E_UNSUPPORTED);
  EQ(cluster_read_lease(c, N3), RAFT_E_UNSUPPORTED);
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = c->nodes[N3].id;
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED);
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW,
                           .term = cluster_status(c, N1).term};
  EQ(cluster_receive(c, N3, N1, &m), RAFT_OK);
  EQ(cluster_status(c, N3).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* Whatever its place among the members. */
static void it_knows_what_it_is(void) {
  for (uint32_t which = N1; which <= N3; which++) {
    struct cluster_options o = {.nodes = 3, .seed = 1};
    o.roles[which] = WITNESS;
    struct cluster *c = cluster_new(&o);
    for (uint32_t i = N1; i <= N3; i++)
      EQ(raft_is_witness(c->nodes[i].raft), i == which);
    cluster_free(c);
  }
}

/* From the disk it is sent the same as from memory. */
static void what_is_loaded_is_stripped_too(void) {
  struct cluster_options o = {.nodes = 3, .seed = 1, .memory_bytes_max = 1};
  o.roles[N3] = WITNESS;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  cluster_isolate(c, N3, true);
  for (int i = 0; i < 30; i++)
    propose(c, "bytes that do not stay in memory, for they are too many here");
  CHECK(cluster_status(c, N1).memory_first > 5);
  cluster_isolate(c, N3, false);
  cluster_run(c, 300);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
  CHECK(c->seen_counts.loads > 0);
  for (raft_index i = 3; i <= c->nodes[N3].disk.last; i++)
    EQ(c->nodes[N3].disk.log[i].size, RAFT_ENTRY_HEADER_BYTES);
  alone_end(c);
}

/* Copies need room of their own. Each turn is tried with none. */
static void without_memory_it_is_sent_nothing_wrong(void) {
  struct cluster_options o = {.nodes = 3, .seed = 1, .is_poor = true};
  o.roles[N3] = WITNESS;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  uint64_t before = c->seen_counts.failed_allocations;
  propose(c, "some bytes");
  CHECK(c->seen_counts.failed_allocations > before);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
  alone_end(c);
}

/* As many copies as fit go in one message. */
static void its_copies_travel_together(void) {
  struct cluster *c = with_witness(3, 0);
  for (int i = 0; i < 4; i++)
    propose(c, "some bytes");
  struct raft *r = raft_clone(c->nodes[N1].raft);
  struct raft_slice copies;
  EQ(raft_strip_log(r, 3, r->log.last, &copies), 6);
  EQ(copies.size, 4 * RAFT_ENTRY_HEADER_BYTES);
  r->options.message_bytes_max = 2 * RAFT_ENTRY_HEADER_BYTES;
  EQ(raft_strip_log(r, 3, r->log.last, &copies), 4);
  raft_free(r);
  alone_end(c);
}

/* What was loaded must not go as it is. */
static void without_memory_what_is_loaded_waits(void) {
  static uint8_t bytes[1 << 17]; /* more than any outbox has */
  struct cluster *c = with_witness(3, 0);
  struct raft *r = raft_clone(c->nodes[N1].raft);
  struct raft_entry e = {.index = 3,
                         .term = 2,
                         .kind = RAFT_ENTRY_COMMAND,
                         .payload = bytes + (1 << 16),
                         .size = 60000};
  struct raft_slice tail = {bytes, raft_entry_encode(&e, bytes)};
  c->memory.calls = 0;
  c->memory.fail_in = 1;
  EQ(raft_strip_loaded(r, &tail), RAFT_E_NOMEM);
  CHECK(tail.data == bytes);
  EQ(raft_strip_loaded(r, &tail), RAFT_OK);
  EQ(tail.size, RAFT_ENTRY_HEADER_BYTES);
  raft_free(r);
  alone_end(c);
}

/* The newest entry without its command is the first that is overwritten. */
static void a_hole_goes_with_its_entry(void) {
  struct cluster_options o = {.nodes = 5, .seed = 1};
  o.roles[N3] = WITNESS;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  for (uint32_t i = N2; i <= N5; i++)
    cluster_isolate(c, i, i != N3);
  propose(c, "x");
  EQ(cluster_status(c, N3).last, 3);
  CHECK(raft_has_holes(c->nodes[N3].raft));
  for (uint32_t i = N2; i <= N5; i++)
    cluster_isolate(c, i, false);
  cluster_isolate(c, N1, true);
  cluster_run(c, 2000);
  CHECK(cluster_leader(c) > N1);
  EQ(entry_at(c, N3, 3).kind, RAFT_ENTRY_NOOP);
  CHECK(c->nodes[N3].raft->newest_hole < 3);
  alone_end(c);
}

static void its_log_survives_a_restart(void) {
  struct cluster *c = with_witness(3, 0);
  propose(c, "x");
  cluster_crash(c, N3, 9);
  EQ(cluster_restart(c, N3), RAFT_OK);
  CHECK(raft_has_holes(c->nodes[N3].raft));
  propose(c, "y");
  cluster_run(c, 100);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
  CHECK(is_stripped(c, N3, cluster_status(c, N3).last));
  alone_end(c);
}

/* ---- becoming one -------------------------------------------------------- */

static void a_new_one_catches_up_without_commands(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 4, .strangers = 1, .seed = 1});
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  raft_index i = cluster_status(c, N1).last;
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N4, WITNESS) > 0);
  cluster_work(c); /* it is committed that it is to be one */
  cluster_isolate(c, N4, false);
  cluster_run(c, 300);
  CHECK(cluster_status(c, N4).is_settled);
  CHECK(is_stripped(c, N4, i));
  EQ(c->nodes[N4].deadline, UINT64_MAX);
  alone_end(c);
}

/* While it could still be truncated that it is to be one, it is sent all. */
static void nothing_is_stripped_before_it_is_committed(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 4, .strangers = 1, .seed = 1});
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  CHECK(ask(c, N4, WITNESS) > 0);
  CHECK(!raft_is_stripped(c->nodes[N1].raft, c->nodes[N4].id));
  cluster_run(c, 20);
  CHECK(raft_is_stripped(c->nodes[N1].raft, c->nodes[N4].id));
  alone_end(c);
}

/* A voter keeps what it has, and gets no more commands. */
static void a_voter_becomes_one(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  raft_index i = cluster_status(c, N1).last;
  CHECK(ask(c, N3, WITNESS) > 0);
  cluster_run(c, 100);
  CHECK(cluster_status(c, N1).is_settled);
  propose(c, "y");
  CHECK(!is_stripped(c, N3, i));
  CHECK(is_stripped(c, N3, cluster_status(c, N3).last));
  alone_end(c);
}

static void the_leader_becomes_one(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  CHECK(cluster_elect(c, N1));
  CHECK(ask(c, N1, WITNESS) > 0);
  cluster_run(c, 500);
  CHECK(cluster_leader(c) > N1);
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  CHECK(cluster_propose(c, (uint32_t)cluster_leader(c), "x") > 0);
  cluster_run(c, 100);
  CHECK(is_stripped(c, N1, cluster_status(c, N1).last));
  alone_end(c);
}

static void it_becomes_nothing_else(void) {
  struct cluster *c = with_witness(3, 0);
  EQ(ask(c, N3, VOTER), RAFT_E_BAD_CONFIG);
  EQ(ask(c, N3, LEARNER), RAFT_E_BAD_CONFIG);
  EQ(ask(c, N2, WITNESS), RAFT_E_BAD_CONFIG); /* two alone would commit */
  CHECK(ask(c, N3, NONE) > 0);
  cluster_run(c, 100);
  CHECK(cluster_status(c, N1).is_settled);
  alone_end(c);
}

/* Removed and added as a voter, in the same directory: it lacks commands, says
 * so, and is never promoted. */
static void who_was_one_is_no_voter(void) {
  struct cluster *c = with_witness(4, 0);
  propose(c, "x");
  CHECK(ask(c, N3, NONE) > 0);
  cluster_run(c, 100);
  CHECK(cluster_status(c, N1).is_settled);
  CHECK(ask(c, N3, VOTER) > 0);
  cluster_run(c, 3000);
  CHECK(!cluster_status(c, N1).is_settled);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
  EQ(c->nodes[N3].deadline, UINT64_MAX);
  CHECK(ask(c, N3, NONE) > 0); /* and it is taken back */
  cluster_run(c, 100);
  CHECK(cluster_status(c, N1).is_settled);
  alone_end(c);
}

/* ---- a compaction, and what is known of holes behind it ------------------ */

/* n3 has a snapshot of all that it has, and nothing else. */
static void compact_all(struct cluster *c, uint32_t node) {
  EQ(cluster_snapshot(c, node), RAFT_OK);
  cluster_work(c);
  EQ(cluster_status(c, node).first, cluster_status(c, node).last + 1);
}

/* n3, a witness once, comes back as `goal` in its old directory. */
static void come_back(struct cluster *c, uint8_t goal) {
  CHECK(ask(c, N3, NONE) > 0);
  cluster_run(c, 100);
  CHECK(cluster_status(c, N1).is_settled);
  CHECK(ask(c, N3, goal) > 0);
  cluster_run(c, 3000);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
}

/* A snapshot that a witness makes has no state, and says so. */
static void its_snapshot_is_bare(void) {
  struct cluster *c = with_witness(3, 0);
  propose(c, "x");
  compact_all(c, N3);
  CHECK(c->nodes[N3].disk.newest.is_bare);
  compact_all(c, N2);
  CHECK(!c->nodes[N2].disk.newest.is_bare);
  cluster_crash(c, N3, 9);
  EQ(cluster_restart(c, N3), RAFT_OK);
  CHECK(raft_has_holes(c->nodes[N3].raft));
  alone_end(c);
}

/* Its holes are compacted, also over a restart: what its state lacks it lacks
 * for ever. */
static void who_was_one_and_compacted_is_no_voter(bool restarts) {
  struct cluster *c = with_witness(4, 0);
  propose(c, "x");
  compact_all(c, N3);
  if (restarts) {
    cluster_crash(c, N3, 9);
    EQ(cluster_restart(c, N3), RAFT_OK);
  }
  come_back(c, VOTER);
  CHECK(!cluster_status(c, N1).is_settled);
  EQ(c->nodes[N3].deadline, UINT64_MAX);
  alone_end(c);
}

static void compacted_holes_are_known(void) {
  who_was_one_and_compacted_is_no_voter(false);
  who_was_one_and_compacted_is_no_voter(true);
}

/* Its holes are older than the entries that a start hands over. */
static void old_holes_are_known(void) {
  struct cluster_options o = {.nodes = 4, .seed = 1, .tail_max = 2};
  o.roles[N3] = WITNESS;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  come_back(c, LEARNER);
  cluster_crash(c, N3, 9);
  EQ(cluster_restart(c, N3), RAFT_OK);
  CHECK(raft_has_holes(c->nodes[N3].raft));
  CHECK(ask(c, N3, VOTER) > 0);
  cluster_run(c, 3000);
  CHECK(!cluster_status(c, N1).is_settled);
  EQ(c->nodes[N3].deadline, UINT64_MAX);
  alone_end(c);
}

/* What it has applied is half a state: nothing is read there. */
static void nothing_is_read_where_commands_lack(void) {
  struct cluster *c = with_witness(4, 0);
  propose(c, "x");
  come_back(c, LEARNER);
  CHECK(cluster_status(c, N1).is_settled);
  EQ(cluster_read(c, N3), RAFT_E_UNSUPPORTED);
  alone_end(c);
}

/* A voter asked to read, and is a witness before the answer comes: it has to
 * apply commands that it was not sent. Found by random schedules. */
static void a_read_that_waits_is_void_where_commands_lack(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 1});
  CHECK(cluster_elect(c, N1));
  cluster_run(c, 100);
  cluster_isolate(c, N3, true);
  CHECK(cluster_read(c, N3) > 0);
  CHECK(ask(c, N3, WITNESS) > 0);
  cluster_work(c);
  CHECK(cluster_status(c, N1).is_settled);
  propose(c, "x");
  cluster_isolate(c, N3, false);
  cluster_run(c, 90); /* nobody times out meanwhile */
  EQ(cluster_status(c, N3).commit, cluster_status(c, N1).commit);
  CHECK(c->nodes[N3].is_bare);
  EQ(c->nodes[N3].read_count, 0);
  EQ(c->seen_counts.follower_reads, 0);
  alone_end(c);
}

/* n1 lets its log go while n3 is away. */
static void leave_behind(struct cluster *c) {
  cluster_isolate(c, N3, true);
  propose(c, "y");
  compact_all(c, N1);
  cluster_isolate(c, N3, false);
}

/* A whole state makes up for all that lacked; but it may not lead before its
 * log has no holes, which others would get from it. */
static void a_state_fills_the_holes(void) {
  struct cluster *c = with_witness(4, 0);
  propose(c, "x");
  come_back(c, LEARNER);
  leave_behind(c);
  cluster_run(c, 1000);
  CHECK(!c->nodes[N3].is_bare);
  CHECK(!raft_has_holes(c->nodes[N3].raft));
  CHECK(ask(c, N3, VOTER) > 0);
  cluster_run(c, 3000);
  CHECK(cluster_status(c, N1).is_settled);
  alone_end(c);
}

/* A witness that needs a snapshot is told by the core that it gets none with a
 * state; one that is to be a witness, too. */
static void it_is_shipped_no_state(void) {
  struct cluster *c = with_witness(4, 0);
  leave_behind(c);
  cluster_run(c, 1000);
  EQ(cluster_status(c, N3).last, cluster_status(c, N1).last);
  CHECK(c->nodes[N3].is_bare);
  CHECK(raft_has_holes(c->nodes[N3].raft));
  alone_end(c);
}

static void who_is_to_be_one_is_shipped_no_state(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 4, .strangers = 1, .seed = 1});
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N4, WITNESS) > 0);
  cluster_work(c);
  compact_all(c, N1);
  cluster_isolate(c, N4, false);
  cluster_run(c, 1000);
  CHECK(cluster_status(c, N1).is_settled);
  CHECK(c->nodes[N4].is_bare);
  alone_end(c);
}

/* A voter keeps what it has until it is committed that it is none. */
static void who_still_counts_is_shipped_the_state(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 4, .seed = 1});
  CHECK(cluster_elect(c, N1));
  propose(c, "x");
  cluster_isolate(c, N3, true);
  cluster_isolate(c, N4, true);
  CHECK(ask(c, N3, WITNESS) > 0); /* joint, and on no quorum */
  cluster_work(c);
  CHECK(!cluster_status(c, N1).is_settled);
  CHECK(!raft_is_stripped(c->nodes[N1].raft, c->nodes[N3].id));
  alone_end(c);
}

int main(void) {
  CASE(its_snapshot_is_bare);
  CASE(compacted_holes_are_known);
  CASE(old_holes_are_known);
  CASE(nothing_is_read_where_commands_lack);
  CASE(a_read_that_waits_is_void_where_commands_lack);
  CASE(a_state_fills_the_holes);
  CASE(it_is_shipped_no_state);
  CASE(who_is_to_be_one_is_shipped_no_state);
  CASE(who_still_counts_is_shipped_the_state);
  CASE(it_keeps_the_place_of_commands);
  CASE(it_counts);
  CASE(it_guards_what_it_acknowledged);
  CASE(it_never_campaigns_and_serves_nothing);
  CASE(it_knows_what_it_is);
  CASE(what_is_loaded_is_stripped_too);
  CASE(without_memory_it_is_sent_nothing_wrong);
  CASE(its_copies_travel_together);
  CASE(without_memory_what_is_loaded_waits);
  CASE(a_hole_goes_with_its_entry);
  CASE(its_log_survives_a_restart);
  CASE(a_new_one_catches_up_without_commands);
  CASE(nothing_is_stripped_before_it_is_committed);
  CASE(a_voter_becomes_one);
  CASE(the_leader_becomes_one);
  CASE(it_becomes_nothing_else);
  CASE(who_was_one_is_no_voter);
  return test_end();
}
