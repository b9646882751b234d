/* election_test.c - votes and time-outs beyond the letter of the paper: what
 * arrives twice, late, or from a node that has seen more terms than we. */
#include "alone.h"

#include "check.h"
#include "config.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

static struct raft_message reply_to(const struct raft_message *asked,
                                    bool granted) {
  struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = asked->term};
  m.vote_reply.for_term = asked->vote.for_term;
  m.vote_reply.round = asked->vote.round;
  m.vote_reply.pre = asked->vote.pre;
  m.vote_reply.granted = granted;
  return m;
}

static void a_vote_counts_once(void) {
  struct cluster *c = alone_new(5, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = reply_to(&asked, true);
  for (int i = 0; i < 4; i++)
    EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE); /* 2 of 5 */
  alone_end(c);
}

static void answers_of_an_older_round_do_not_count(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  cluster_time_out(c, N1);
  struct raft_message m = reply_to(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

static void votes_of_two_rounds_do_not_add_up(void) {
  struct cluster *c = alone_new(5, NULL);
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  cluster_time_out(c, N1);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

static void a_late_pre_vote_does_not_unseat_a_leader(void) {
  struct cluster *c = alone_new(5, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N5, RAFT_MSG_VOTE);
  alone_reply(c, N2, true);
  alone_reply(c, N3, true);
  alone_reply(c, N2, true);
  alone_reply(c, N3, true);
  EQ(alone_status(c).state, RAFT_LEADER);
  struct raft_message m = reply_to(&asked, true);
  EQ(cluster_receive(c, N1, N5, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_LEADER);
  EQ(alone_status(c).term, 2);
  alone_end(c);
}

/* Two leaders in a term: a vote forgotten when the candidate steps down. */
static void stepping_down_in_a_term_keeps_the_vote(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  alone_reply(c, N2, true);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  c->now += 500; /* the leader falls silent */
  alone_vote(c, N3, &(struct alone_vote){.term = 2, .last = 1, .last_term = 1});
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  EQ(alone_status(c).vote, c->nodes[N1].id);
  alone_end(c);
}

/* The term in a refusal is taken, and no vote with it. */
static void a_higher_term_in_a_refusal_is_no_vote(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = reply_to(&asked, false);
  m.term = 7;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).term, 7);
  EQ(alone_status(c).vote, 0);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* The one with the better log is behind in terms: it learns and wins. */
/* A damaged clock of terms ends elections, and no node. */
static void nobody_campaigns_beyond_the_last_term(void) {
  for (raft_term term = RAFT_TERM_LAST - 1; term <= INT64_MAX; term++) {
    struct cluster *c = alone_new(3, NULL);
    struct raft_message m = {.kind = RAFT_MSG_VOTE_REPLY, .term = term};
    m.vote_reply.for_term = term;
    EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
    EQ(alone_status(c).term, term);
    cluster_time_out(c, N1);
    EQ(alone_status(c).state,
       (unsigned)(term < RAFT_TERM_LAST ? RAFT_PRE_CANDIDATE : RAFT_FOLLOWER));
    alone_end(c);
  }
}

static void the_better_log_wins_from_a_lower_term(void) {
  struct cluster *c =
      cluster_new(&(struct cluster_options){.nodes = 3, .seed = 5});
  cluster_crash(c, N1, 0);
  cluster_crash(c, N2, 0);
  cluster_crash(c, N3, 0);
  cluster_write_log(c, N1, 2, TERMS(2, 2), 2);
  cluster_write_log(c, N2, 9, NULL, 0);
  (void)cluster_restart(c, N1); /* what fails is noted */
  (void)cluster_restart(c, N2);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N1);
  alone_end(c);
}

static void a_lost_election_is_tried_again(void) {
  struct cluster *c = alone_new(3, NULL);
  for (int i = 0; i < 5; i++) {
    cluster_time_out(c, N1);
    alone_reply(c, N2, true);
    EQ(alone_status(c).state, RAFT_CANDIDATE);
    alone_reply(c, N2, false);
    alone_reply(c, N3, i == 4);
    EQ(alone_status(c).state, i == 4 ? RAFT_LEADER : RAFT_FOLLOWER);
    cluster_drop_all(c);
  }
  EQ(alone_status(c).term, 6);
  alone_end(c);
}

/* Neither our vote nor the question leaves before the disk has the term; nor
 * does the next time-out start. */
static void a_candidate_waits_for_its_disk(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  cluster_drop_all(c);
  c->nodes[N1].is_disk_held = true;
  m = reply_to(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  CHECK(!alone_answer(c, N2, RAFT_MSG_VOTE, &m));
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N2, RAFT_MSG_VOTE, &m));
  CHECK(c->nodes[N1].deadline != UINT64_MAX);
  alone_end(c);
}

/* It votes by a log that its disk does not have yet: then the vote waits. */
static void a_vote_waits_for_the_log_it_was_judged_by(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_message m;
  struct alone_append a = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)alone_must_answer(c, N2, RAFT_MSG_APPEND_REPLY); /* has the term */
  c->nodes[N1].is_disk_held = true;
  a = (struct alone_append){2, 1, 1, 1, 0, TERMS(2), 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  (void)cluster_flush(c, N1); /* batch 1 */
  c->now += 500;
  struct alone_vote v = {.term = 3, .last = 2, .last_term = 2, .pre = true};
  alone_vote(c, N3, &v); /* needs no hard state of its own */
  CHECK(!alone_answer(c, N3, RAFT_MSG_VOTE_REPLY, &m));
  cluster_disk(c, N1, 1);
  CHECK(alone_answer(c, N3, RAFT_MSG_VOTE_REPLY, &m));
  alone_end(c);
}

static void a_learner_never_campaigns(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {RAFT_ROLE_LEARNER}});
  EQ(c->nodes[N1].deadline, UINT64_MAX);
  cluster_run(c, 1000);
  CHECK(cluster_leader(c) > N1);
  EQ(cluster_status(c, N1).commit, 2); /* and still gets everything */
  alone_end(c);
}

/* [Thesis 6.4.1] a lease promised before a restart is kept after it. */
static void with_leases_a_young_node_votes_for_nobody(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .leases = true});
  struct alone_vote v = {.term = 2, .last = 1, .last_term = 1};
  c->now += 99;
  alone_vote(c, N2, &v);
  CHECK(!alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  c->now += 1;
  alone_vote(c, N2, &v);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

/* It leads this term though we never voted: a vote could make a second one. */
static void no_vote_in_a_term_that_has_a_leader(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  EQ(alone_status(c).vote, 0);
  c->now += 500; /* the leader falls silent */
  struct alone_vote v = {.term = 2, .last = 1, .last_term = 1};
  alone_vote(c, N3, &v);
  CHECK(!alone_must_answer(c, N3, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  alone_end(c);
}

static void who_votes_for_another_gives_up_and_follows_nobody(void) {
  struct cluster *c = alone_new(3, &(struct alone_log){.term = 2});
  cluster_time_out(c, N1);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  struct alone_vote v = {.term = 2, .last = 1, .last_term = 1};
  alone_vote(c, N2, &v);
  CHECK(alone_must_answer(c, N2, RAFT_MSG_VOTE_REPLY).vote_reply.granted);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  EQ(alone_status(c).leader, 0);
  alone_end(c);
}

static void learners_are_not_asked(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {0, RAFT_ROLE_LEARNER}});
  cluster_time_out(c, N1);
  CHECK(cluster_find(c, N1, N3, RAFT_MSG_VOTE) >= 0);
  EQ(cluster_find(c, N1, N2, RAFT_MSG_VOTE), -1);
  alone_end(c);
}

/* The answer owed to a leader is void once we campaign against it. */
static void a_pre_candidate_owes_no_answer(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, (const raft_term[]){2}, 1};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  c->now += 500;
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  struct raft_message m;
  CHECK(!alone_answer(c, N2, RAFT_MSG_APPEND_REPLY, &m));
  alone_end(c);
}

static void take_over(struct cluster *c, uint32_t from) {
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = 2};
  EQ(cluster_receive(c, N1, from, &m), RAFT_OK);
}

static void who_may_not_lead_does_not_take_over(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .leases = true});
  struct alone_append beat = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  take_over(c, N2);
  EQ(alone_status(c).state, RAFT_FOLLOWER); /* too young */
  c->now += 100;
  take_over(c, N3);
  EQ(alone_status(c).state, RAFT_FOLLOWER); /* not its leader */
  take_over(c, N2);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_end(c);
  c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {RAFT_ROLE_LEARNER}});
  EQ(alone_append(c, N2, &beat), RAFT_OK);
  take_over(c, N2);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

static void only_the_incarnation_that_is_meant_counts(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = reply_to(&asked, true);
  c->nodes[N2].incarnation++; /* its directory was wiped */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  alone_end(c);
}

static void one_voter_alone_elects_itself(void) {
  struct cluster *c = alone_new(1, NULL);
  CHECK(cluster_elect(c, N1));
  EQ(alone_status(c).commit, 2);
  alone_end(c);
}

/* Whatever it says later, in this round its first answer counts. */
static void a_voter_that_changes_its_mind_is_not_heard_again(void) {
  struct cluster *c = alone_new(5, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message yes = reply_to(&asked, true);
  struct raft_message no = reply_to(&asked, false);
  EQ(cluster_receive(c, N1, N2, &yes), RAFT_OK);
  EQ(cluster_receive(c, N1, N2, &no), RAFT_OK);
  EQ(cluster_receive(c, N1, N4, &no), RAFT_OK);
  EQ(cluster_receive(c, N1, N4, &yes), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE); /* 2 of 5 */
  EQ(cluster_receive(c, N1, N3, &yes), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_end(c);
}

static void an_answer_for_another_term_does_not_count(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = reply_to(&asked, true);
  m.vote_reply.for_term++;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  m.vote_reply.for_term--;
  m.vote_reply.pre = false; /* nobody was asked for that */
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_PRE_CANDIDATE);
  m = reply_to(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  m = reply_to(&asked, true);
  m.vote_reply.for_term++;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  m.vote_reply.for_term--;
  m.vote_reply.pre = true;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_end(c);
}

/* A vote that comes before our own is durable is kept, and wins then. */
static void an_early_vote_waits_for_our_own(void) {
  struct cluster *c = alone_new(3, NULL);
  cluster_time_out(c, N1);
  c->nodes[N1].is_disk_held = true;
  struct raft_message asked = alone_must_answer(c, N2, RAFT_MSG_VOTE);
  struct raft_message m = reply_to(&asked, true);
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  struct raft_facts now = raft_facts_of(c->nodes[N1].raft);
  EQ(now.state, RAFT_CANDIDATE);
  m.term = m.vote_reply.for_term = now.term;
  m.vote_reply.round = now.ballot_round; /* as if it could know */
  m.vote_reply.pre = false;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  (void)cluster_flush(c, N1);
  cluster_disk(c, N1, RAFT_STORES_MAX);
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

static bool is_granted(struct cluster *c, uint32_t to) {
  struct raft_message m = alone_must_answer(c, to, RAFT_MSG_VOTE_REPLY);
  return m.vote_reply.granted;
}

/* [Thesis 3.10] a transfer gets past a living leader, not past the vote. */
static void a_transfer_breaks_no_promise(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N1));
  struct alone_vote v = {.term = 2, .last = 9, .last_term = 2};
  v.transfer = true;
  alone_vote(c, N2, &v); /* in the leader's own term */
  CHECK(!is_granted(c, N2));
  EQ(alone_status(c).state, RAFT_LEADER);
  alone_end(c);
}

/* Whose term has a leader already, and whose vote is not given: it can only be
 * the leader's. */
static void an_unused_vote_is_the_leaders(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  struct alone_vote v = {.term = 2, .last = 9, .last_term = 2};
  v.transfer = true;
  alone_vote(c, N3, &v);
  CHECK(!is_granted(c, N3));
  alone_vote(c, N2, &v);
  CHECK(is_granted(c, N2));
  alone_vote(c, N2, &v); /* asked again */
  CHECK(is_granted(c, N2));
  alone_end(c);
}

static void time_out_now(struct cluster *c, uint32_t from, raft_term term) {
  struct raft_message m = {.kind = RAFT_MSG_TIMEOUT_NOW, .term = term};
  EQ(cluster_receive(c, N1, from, &m), RAFT_OK);
}

static void only_the_leader_makes_us_campaign(void) {
  struct cluster *c = alone_new(3, NULL);
  struct alone_append a = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  time_out_now(c, N3, 2);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  time_out_now(c, N2, 2);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  raft_term term = alone_status(c).term;
  time_out_now(c, N2, term);
  EQ(alone_status(c).term, term);
  alone_end(c);
}

static void a_learner_is_told_to_campaign_in_vain(void) {
  struct cluster *c = cluster_new(&(struct cluster_options){
      .nodes = 3, .seed = 1, .roles = {RAFT_ROLE_LEARNER}});
  struct alone_append a = {2, 1, 1, 1, 0, NULL, 0};
  EQ(alone_append(c, N2, &a), RAFT_OK);
  time_out_now(c, N2, 2);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  alone_end(c);
}

static void with_leases_a_young_node_does_not_campaign(void) {
  struct cluster *c = cluster_new(
      &(struct cluster_options){.nodes = 3, .seed = 1, .leases = true});
  struct alone_append a = {2, 1, 1, 1, 0, NULL, 0};
  c->now += 50;
  EQ(alone_append(c, N2, &a), RAFT_OK);
  time_out_now(c, N2, 2);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  c->now += 50;
  time_out_now(c, N2, 2);
  EQ(alone_status(c).state, RAFT_CANDIDATE);
  alone_end(c);
}

/* A configuration with longer time-outs makes a node young again. */
static void a_longer_time_out_is_waited_for(void) {
  struct cluster *c = alone_new(3, NULL);
  struct raft_config longer = c->config;
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  uint8_t bytes[RAFT_CONFIG_BYTES_MAX + 64];
  longer.election_min_ms = 5000;
  longer.leases = true;
  struct raft_entry e = {.index = 2, .term = 2, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&longer, payload);
  e.payload = payload;
  struct raft_message m = {.kind = RAFT_MSG_APPEND, .term = 2};
  m.append.prev_index = m.append.prev_term = 1;
  m.append.count = 1;
  m.tail = (struct raft_slice){bytes, raft_entry_encode(&e, bytes)};
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  c->now += 300; /* the time-out was drawn before */
  cluster_tick(c, N1);
  EQ(alone_status(c).state, RAFT_FOLLOWER);
  (void)cluster_flush(c, N1);
  CHECK(c->nodes[N1].deadline >= c->now + 5000);
  alone_end(c);
}

int main(void) {
  CASE(a_vote_counts_once);
  CASE(answers_of_an_older_round_do_not_count);
  CASE(votes_of_two_rounds_do_not_add_up);
  CASE(a_late_pre_vote_does_not_unseat_a_leader);
  CASE(stepping_down_in_a_term_keeps_the_vote);
  CASE(a_higher_term_in_a_refusal_is_no_vote);
  CASE(nobody_campaigns_beyond_the_last_term);
  CASE(the_better_log_wins_from_a_lower_term);
  CASE(a_lost_election_is_tried_again);
  CASE(a_candidate_waits_for_its_disk);
  CASE(a_vote_waits_for_the_log_it_was_judged_by);
  CASE(a_learner_never_campaigns);
  CASE(with_leases_a_young_node_votes_for_nobody);
  CASE(no_vote_in_a_term_that_has_a_leader);
  CASE(who_votes_for_another_gives_up_and_follows_nobody);
  CASE(learners_are_not_asked);
  CASE(a_pre_candidate_owes_no_answer);
  CASE(who_may_not_lead_does_not_take_over);
  CASE(only_the_incarnation_that_is_meant_counts);
  CASE(one_voter_alone_elects_itself);
  CASE(a_voter_that_changes_its_mind_is_not_heard_again);
  CASE(an_answer_for_another_term_does_not_count);
  CASE(an_early_vote_waits_for_our_own);
  CASE(a_transfer_breaks_no_promise);
  CASE(an_unused_vote_is_the_leaders);
  CASE(only_the_leader_makes_us_campaign);
  CASE(a_learner_is_told_to_campaign_in_vain);
  CASE(with_leases_a_young_node_does_not_campaign);
  CASE(a_longer_time_out_is_waited_for);
  return test_end();
}
