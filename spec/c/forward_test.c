/* forward_test.c - commands on their way into the log: what is taken, what is
 * refused, and that whoever is refused may rely on it. */
#include "alone.h"

#include <stdlib.h>
#include <string.h>

#include "crc32c.h"

static struct cluster *leader_of(uint32_t nodes) {
  struct cluster *c = alone_new(nodes, NULL);
  CHECK(cluster_elect(c, N1));
  return c;
}

static void a_leader_takes_many_or_none(void) {
  struct cluster *c = leader_of(3);
  static const uint8_t big[700];
  struct raft_slice commands[] = {{big, 3}, {big, 0}, {big, 600}, {big, 601}};
  struct raft_event ev = {.kind = RAFT_EV_PROPOSE};
  ev.propose.commands = commands;
  ev.propose.count = 4;
  EQ(cluster_step(c, N1, &ev), RAFT_E_TOO_LARGE);
  EQ(alone_status(c).last, 2);
  ev.propose.count = 3;
  EQ(cluster_step(c, N1, &ev), 3);
  EQ(alone_status(c).last, 5);
  ev.propose.count = 0;
  EQ(cluster_step(c, N1, &ev), RAFT_E_USAGE);
  alone_end(c);
}

static void only_a_leader_proposes_and_only_others_forward(void) {
  struct cluster *c = leader_of(3);
  EQ(cluster_propose(c, N2, "x"), RAFT_E_NOT_LEADER);
  EQ(cluster_forward(c, N1, "x"), RAFT_E_USAGE);
  alone_end(c);
}

static void without_a_leader_nothing_is_forwarded(void) {
  struct cluster *c = alone_new(3, NULL);
  EQ(cluster_forward(c, N1, "x"), RAFT_E_NO_LEADER);
  alone_end(c);
}

static void a_forward_is_answered_with_its_place(void) {
  struct cluster *c = leader_of(3);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  cluster_work(c);
  EQ(c->forwarded.token, c->next_token);
  EQ(c->forwarded.code, RAFT_OK);
  EQ(c->forwarded.index, 3);
  EQ(c->forwarded.term, alone_status(c).term);
  EQ(cluster_status(c, N2).commit, 3);
  alone_end(c);
}

/* It was sent in an older term: taken now, it could come after commands that
 * were given later. */
static void a_forward_of_an_older_term_is_refused(void) {
  struct cluster *c = leader_of(3);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  (void)cluster_flush(c, N2);
  struct cluster_packet late = c->packets[0];
  c->packet_count = 0;
  CHECK(cluster_elect(c, N3));
  CHECK(cluster_elect(c, N1));
  raft_index last = alone_status(c).last;
  c->packets[c->packet_count++] = late;
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_E_NOT_LEADER);
  EQ(alone_status(c).last, last);
  alone_end(c);
}

/* Tokens start anew with each life; answers to a former one must match none. */
static void an_answer_to_a_former_life_matches_no_token(void) {
  struct cluster *c = leader_of(3);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  uint64_t token = c->next_token;
  (void)cluster_flush(c, N2);
  cluster_crash(c, N2, 0);
  cluster_deliver(c, 0);
  EQ(cluster_restart(c, N2), RAFT_OK);
  cluster_work(c);
  EQ(c->seen_counts.accepted_forwards, 1); /* the answer came */
  CHECK(c->forwarded.token != token);
  alone_end(c);
}

static void a_forward_brings_all_its_commands_unharmed(void) {
  struct cluster *c = leader_of(3);
  static const char *const text[] = {"first", "", "third"};
  struct raft_slice commands[3];
  for (int i = 0; i < 3; i++)
    commands[i] =
        (struct raft_slice){(const uint8_t *)text[i], strlen(text[i])};
  struct raft_event ev = {.kind = RAFT_EV_FORWARD};
  ev.propose.commands = commands;
  ev.propose.count = 3;
  EQ(cluster_step(c, N2, &ev), RAFT_OK);
  cluster_work(c);
  EQ(c->forwarded.index, 3);
  EQ(alone_status(c).last, 5);
  for (int i = 0; i < 3; i++) {
    struct raft_entry e;
    CHECK(raft_entry_at(c->nodes[N3].raft, (raft_index)(3 + i), &e));
    EQ(e.size, strlen(text[i]));
    EQ_BYTES(e.payload, text[i], e.size);
  }
  alone_end(c);
}

/* The bound is what may be pending: one byte more is too much. */
static void what_fits_exactly_is_taken(void) {
  for (size_t less = 0; less < 2; less++) {
    struct cluster *c = cluster_new(&(struct cluster_options){
        .nodes = 3,
        .seed = 1,
        .pending_bytes_max = 3 * (RAFT_ENTRY_HEADER_BYTES + 1) - less});
    CHECK(cluster_elect(c, N1));
    EQ(cluster_propose(c, N1, "x"), 3);
    EQ(cluster_forward(c, N2, "x"), RAFT_OK);
    (void)cluster_flush(c, N2);
    cluster_deliver(c, c->packet_count - 1);
    EQ(alone_status(c).last, 4);
    EQ(cluster_propose(c, N1, "x"), less == 0 ? 5 : RAFT_E_BUSY);
    alone_end(c);
  }
}

static void what_fits_exactly_is_taken_from_others(void) {
  for (size_t less = 0; less < 2; less++) {
    struct cluster *c = cluster_new(&(struct cluster_options){
        .nodes = 3,
        .seed = 1,
        .pending_bytes_max = 2 * (RAFT_ENTRY_HEADER_BYTES + 1) - less});
    CHECK(cluster_elect(c, N1));
    EQ(cluster_propose(c, N1, "x"), 3);
    EQ(cluster_forward(c, N2, "x"), RAFT_OK);
    (void)cluster_flush(c, N2);
    cluster_deliver(c, c->packet_count - 1);
    EQ(alone_status(c).last, less == 0 ? 4 : 3);
    alone_end(c);
  }
}

/* A forward of `count` times the same command of 600 bytes. */
static int64_t forward_many(struct cluster *c, uint32_t count) {
  static const uint8_t big[600];
  struct raft_slice *commands = malloc(count * sizeof *commands);
  CHECK(commands != NULL);
  if (commands == NULL) return RAFT_E_NOMEM;
  for (uint32_t i = 0; i < count; i++)
    commands[i] = (struct raft_slice){big, sizeof big};
  struct raft_event ev = {.kind = RAFT_EV_FORWARD};
  ev.propose.commands = commands;
  ev.propose.count = count;
  int64_t rc = cluster_step(c, N2, &ev);
  free(commands);
  return rc;
}

static void a_forward_is_one_frame_or_refused(void) {
  struct cluster *c = leader_of(3);
  EQ(forward_many(c, RAFT_FRAME_BYTES_MAX / 604 + 1), RAFT_E_TOO_LARGE);
  EQ(forward_many(c, 200), RAFT_OK);
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_OK);
  EQ(alone_status(c).last, 202);
  alone_end(c);
}

/* n2's own limit may be larger than ours. */
static void a_command_too_large_for_the_leader_is_refused(void) {
  struct cluster *c = leader_of(3);
  uint8_t tail[4 + 601] = {0};
  for (uint32_t size = 600; size <= 601; size++) {
    struct raft_message m = {.kind = RAFT_MSG_PROPOSE,
                             .term = alone_status(c).term};
    tail[0] = (uint8_t)size;
    tail[1] = (uint8_t)(size >> 8);
    m.propose.count = 1;
    m.propose.crc = raft_crc32c(0, tail, 4 + size);
    m.tail = (struct raft_slice){tail, 4 + size};
    EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
    m = alone_must_answer(c, N2, RAFT_MSG_PROPOSE_REPLY);
    EQ((uint64_t)m.propose_reply.code,
       (uint64_t)(size == 600 ? RAFT_OK : RAFT_E_TOO_LARGE));
    EQ(alone_status(c).last, 3);
  }
  alone_end(c);
}

/* Or it could never be taken at all. */
static void what_is_alone_is_taken_whatever_its_size(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .pending_bytes_max = 1, .memory_bytes_max = 1});
  CHECK(cluster_elect(c, N1));
  EQ(cluster_propose(c, N1, "x"), 3);
  EQ(cluster_propose(c, N1, "x"), RAFT_E_BUSY);
  cluster_work(c);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  cluster_work(c);
  EQ(c->forwarded.code, RAFT_OK);
  EQ(alone_status(c).last, 4);
  alone_end(c);
}

static void a_forward_without_memory_is_not_lost(void) {
  for (uint64_t n = 1; n <= 3; n++) {
    struct cluster *c = leader_of(3);
    c->memory.fail_in = n;
    EQ(forward_many(c, 200), RAFT_OK); /* tried again */
    c->memory.fail_in = 0;
    (void)cluster_flush(c, N2);
    CHECK(cluster_find(c, N2, N1, RAFT_MSG_PROPOSE) >= 0);
    alone_end(c);
  }
}

static void too_much_that_is_pending_is_busy(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .pending_bytes_max = 100});
  CHECK(cluster_elect(c, N1));
  EQ(cluster_propose(c, N1, "x"), 3); /* one is always taken */
  EQ(cluster_propose(c, N1, "x"), 4);
  EQ(cluster_propose(c, N1, "x"), RAFT_E_BUSY);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  (void)cluster_flush(c, N2);
  cluster_deliver(c, c->packet_count - 1);
  (void)cluster_flush(c, N1);
  struct raft_message m;
  int i = cluster_find(c, N1, N2, RAFT_MSG_PROPOSE_REPLY);
  CHECK(i >= 0);
  if (i >= 0) cluster_look(c, (uint32_t)i, &m);
  EQ(m.propose_reply.code, RAFT_E_BUSY);
  cluster_work(c);
  EQ(alone_status(c).pending_bytes, 0);
  EQ(cluster_propose(c, N1, "x"), 5);
  alone_end(c);
}

/* Everything that N1 has sent reaches the others, and their answers N1, whose
 * own disk hangs. */
static void others_work(struct cluster *c) {
  (void)cluster_flush(c, N1);
  while (c->packet_count > 0) {
    cluster_deliver(c, 0);
    for (uint32_t i = N2; i <= N3; i++) {
      (void)cluster_flush(c, i); /* only one of them has heard anything */
      cluster_disk(c, i, 9);
    }
    (void)cluster_flush(c, N1);
  }
}

/* The others commit: so nothing is pending. But what our disk has not written
 * must stay in memory, and that has an end too. */
static void too_much_behind_a_hanging_disk_is_busy(void) {
  static const char command[] = "a command of some length, as commands are";
  struct cluster_options o = {.nodes = 3, .seed = 1};
  o.pending_bytes_max = 3000;
  o.memory_bytes_max = 500;
  struct cluster *c = cluster_new(&o);
  CHECK(cluster_elect(c, N1));
  for (int round = 0; round < 8; round++) {
    for (int i = 0; i < 50; i++)
      (void)cluster_propose(c, N1, command); /* busy in the end */
    others_work(c);
  }
  EQ(cluster_propose(c, N1, command), RAFT_E_BUSY);
  CHECK(alone_status(c).memory_bytes <= 500 + 3000 + 2 * RAFT_BLOCK_BYTES);
  cluster_work(c); /* the disk works again */
  CHECK(cluster_propose(c, N1, command) > 0);
  alone_end(c);
}

static void a_damaged_forward_is_dropped(void) {
  struct cluster *c = leader_of(3);
  EQ(cluster_forward(c, N2, "commands"), RAFT_OK);
  (void)cluster_flush(c, N2);
  struct cluster_packet *p = &c->packets[c->packet_count - 1];
  p->bytes[p->size - 1] ^= 1;
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = c->nodes[N2].id;
  ev.receive.frame = (struct raft_slice){p->bytes, p->size};
  EQ(cluster_step(c, N1, &ev), RAFT_E_CORRUPT);
  EQ(alone_status(c).bad_frames, 1);
  EQ(alone_status(c).last, 2);
  alone_end(c);
}

/* Stamps: the leader's clock, but no further ahead than a quorum's clocks. */
/* Or its first entries would be of the year 1970: votes carry clocks, too. */
static void a_new_leader_knows_the_clocks_of_its_voters(void) {
  struct cluster *c = leader_of(3);
  struct raft_entry e;
  CHECK(raft_entry_at(c->nodes[N1].raft, 2, &e));
  EQ(e.kind, RAFT_ENTRY_NOOP);
  CHECK(e.time >= 1000000);
  CHECK(e.time <= c->now + 1000000);
  alone_end(c);
}

static void a_wild_clock_is_held_back(void) {
  struct cluster *c = leader_of(3);
  CHECK(cluster_propose(c, N1, "x") == 3);
  cluster_work(c);
  struct raft_entry e;
  CHECK(raft_entry_at(c->nodes[N1].raft, 3, &e));
  EQ(e.time, c->now + 1000000);
  c->nodes[N1].wall_ahead = 1000 * 3600;
  CHECK(cluster_propose(c, N1, "x") == 4);
  cluster_work(c);
  CHECK(raft_entry_at(c->nodes[N1].raft, 4, &e));
  EQ(e.time, c->now + 1000000 + 1000);
  c->nodes[N1].wall_ahead = -1000 * 3600; /* and never back */
  CHECK(cluster_propose(c, N1, "x") == 5);
  CHECK(raft_entry_at(c->nodes[N1].raft, 5, &e));
  EQ(e.time, c->now + 1000000 + 1000);
  alone_end(c);
}

static void say_space(struct cluster *c, uint32_t node, bool has_space) {
  struct raft_event ev = {.kind = RAFT_EV_SPACE, .has_space = has_space};
  EQ(cluster_step(c, node, &ev), RAFT_OK);
}

static void a_full_disk_takes_no_entries_and_still_votes(void) {
  struct cluster *c = leader_of(3);
  say_space(c, N1, false);
  EQ(cluster_propose(c, N1, "x"), RAFT_E_NO_SPACE);
  EQ(cluster_forward(c, N2, "x"), RAFT_OK);
  cluster_work(c);
  EQ((uint64_t)c->forwarded.code, (uint64_t)RAFT_E_NO_SPACE);
  EQ(alone_status(c).last, 2);
  CHECK(cluster_elect(c, N2)); /* N1 may follow, vote, and hear of it */
  say_space(c, N1, true);
  cluster_work(c);
  CHECK(cluster_propose(c, N2, "y") > 0);
  cluster_work(c);
  EQ(alone_status(c).last, cluster_status(c, N2).last);
  alone_end(c);
}

static void a_follower_without_space_acknowledges_what_it_has(void) {
  struct cluster *c = leader_of(3);
  cluster_work(c);
  raft_index before = cluster_status(c, N3).last;
  say_space(c, N3, false);
  CHECK(cluster_propose(c, N1, "x") > 0);
  cluster_work(c);
  EQ(cluster_status(c, N3).last, before);
  EQ(alone_status(c).commit, before + 1); /* the other two have it */
  EQ(cluster_status(c, N3).commit, before);
  say_space(c, N3, true);
  cluster_run(c, 500); /* heartbeats find out and send it again */
  EQ(cluster_status(c, N3).last, before + 1);
  EQ(cluster_status(c, N3).commit, before + 1);
  alone_end(c);
}

/* A follower whose disk is full lacks more than one message holds. It must not
 * be sent all of it again and again, as fast as it can say so. */
static void a_follower_without_space_is_left_in_peace(void) {
  struct cluster *c = leader_of(3);
  cluster_work(c);
  raft_index before = cluster_status(c, N3).last;
  say_space(c, N3, false);
  for (int i = 0; i < 20; i++)
    CHECK(cluster_propose(c, N1, "of these a message holds a few") > 0);
  uint64_t steps = c->seen_counts.steps;
  cluster_work(c);
  CHECK(c->seen_counts.steps - steps < 200);
  CHECK(cluster_is_sound(c)); /* the work ends */
  cluster_run(c, 500);        /* nor do heartbeats begin it again */
  CHECK(c->seen_counts.steps - steps < 1000);
  EQ(cluster_status(c, N3).last, before);
  EQ(alone_status(c).commit, before + 20);
  CHECK(cluster_elect(c, N2)); /* a new leader, which has to find out */
  cluster_run(c, 500);
  EQ(cluster_status(c, N3).last, before);
  say_space(c, N3, true);
  cluster_run(c, 500);
  EQ(cluster_status(c, N3).commit, cluster_status(c, N2).commit);
  EQ(cluster_status(c, N3).commit, before + 21);
  alone_end(c);
}

static int64_t forward_from(struct cluster *c, uint32_t node,
                            const struct raft_slice *commands, uint32_t count) {
  struct raft_event ev = {.kind = RAFT_EV_FORWARD};
  ev.propose.commands = commands;
  ev.propose.count = count;
  return cluster_step(c, node, &ev);
}

static void what_cannot_travel_is_refused(void) {
  enum { MANY = 115000 }; /* of 600 bytes each are more than a frame holds */
  static const uint8_t text[601];
  static struct raft_slice commands[MANY];
  struct cluster *c = leader_of(3);
  for (int i = 0; i < MANY; i++)
    commands[i] = (struct raft_slice){text, 600};
  EQ(forward_from(c, N2, commands, 0), RAFT_E_USAGE);
  EQ(forward_from(c, N2, commands, MANY), RAFT_E_TOO_LARGE);
  commands[1].size = 601;
  EQ(forward_from(c, N2, commands, 2), RAFT_E_TOO_LARGE);
  EQ(forward_from(c, N2, commands, 1), RAFT_OK);
  cluster_work(c);
  EQ(alone_status(c).last, 3);
  alone_end(c);
}

/* Its sender takes larger commands than we do. */
static void a_forward_that_is_too_large_is_told_so(void) {
  struct cluster *c = leader_of(3);
  uint8_t tail[4 + 601] = {601 & 255, 601 >> 8};
  struct raft_message m = {.kind = RAFT_MSG_PROPOSE,
                           .term = alone_status(c).term};
  m.propose.token = 7;
  m.propose.count = 1;
  m.propose.crc = raft_crc32c(0, tail, sizeof tail);
  m.tail = (struct raft_slice){tail, sizeof tail};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  m = alone_must_answer(c, N2, RAFT_MSG_PROPOSE_REPLY);
  EQ(m.propose_reply.token, 7);
  EQ(m.propose_reply.code, RAFT_E_TOO_LARGE);
  EQ(alone_status(c).last, 2);
  alone_end(c);
}

static void nobody_but_a_voter_inherits(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {0, RAFT_ROLE_LEARNER}});
  CHECK(cluster_elect(c, N1));
  struct raft_event ev = {.kind = RAFT_EV_TRANSFER};
  ev.transfer.to = c->nodes[N2].id;
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED); /* a learner */
  ev.transfer.to = 7;
  EQ(cluster_step(c, N1, &ev), RAFT_E_UNSUPPORTED); /* a stranger */
  ev.transfer.to = c->nodes[N3].id;
  EQ(cluster_step(c, N1, &ev), RAFT_OK);
  cluster_work(c);
  EQ(cluster_leader(c), N3);
  alone_end(c);
}

/* A question of an older term is answered with no. */
static void a_read_of_an_older_term_is_refused(void) {
  struct cluster *c = leader_of(3);
  struct raft_message m = {.kind = RAFT_MSG_READ, .term = 1};
  m.read.context = 77;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  m = alone_must_answer(c, N2, RAFT_MSG_READ_REPLY);
  EQ(m.read.context, 77);
  EQ(m.read.index, 0);
  alone_end(c);
}

int main(void) {
  CASE(a_leader_takes_many_or_none);
  CASE(only_a_leader_proposes_and_only_others_forward);
  CASE(without_a_leader_nothing_is_forwarded);
  CASE(a_forward_is_answered_with_its_place);
  CASE(a_forward_of_an_older_term_is_refused);
  CASE(an_answer_to_a_former_life_matches_no_token);
  CASE(a_forward_brings_all_its_commands_unharmed);
  CASE(what_fits_exactly_is_taken);
  CASE(what_fits_exactly_is_taken_from_others);
  CASE(a_forward_is_one_frame_or_refused);
  CASE(a_command_too_large_for_the_leader_is_refused);
  CASE(what_is_alone_is_taken_whatever_its_size);
  CASE(a_forward_without_memory_is_not_lost);
  CASE(too_much_that_is_pending_is_busy);
  CASE(too_much_behind_a_hanging_disk_is_busy);
  CASE(a_damaged_forward_is_dropped);
  CASE(a_new_leader_knows_the_clocks_of_its_voters);
  CASE(a_wild_clock_is_held_back);
  CASE(a_full_disk_takes_no_entries_and_still_votes);
  CASE(a_follower_without_space_acknowledges_what_it_has);
  CASE(a_follower_without_space_is_left_in_peace);
  CASE(what_cannot_travel_is_refused);
  CASE(a_forward_that_is_too_large_is_told_so);
  CASE(nobody_but_a_voter_inherits);
  CASE(a_read_of_an_older_term_is_refused);
  return test_end();
}
