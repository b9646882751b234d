/* status_test.c - what a replica says of itself; and its digest, which must see
 * every field that can change what happens next, and no other. */
#include "alone.h"

#include <string.h>

#include "replica.h"

static struct raft *leader; /* with all that a replica may have under way */

static bool is_same_digest(const struct raft *a, const struct raft *b) {
  uint64_t x[2];
  uint64_t y[2];
  raft_digest(a, x);
  raft_digest(b, y);
  return memcmp(x, y, sizeof x) == 0;
}

/* A copy of the leader, changed in one place. */
#define CHANGED(same, ...)                                                     \
  do {                                                                         \
    struct raft *r = raft_clone(leader);                                       \
    CHECK(is_same_digest(r, leader));                                          \
    __VA_ARGS__;                                                               \
    test_check(is_same_digest(r, leader) == (same), #__VA_ARGS__, __FILE__,    \
               __LINE__);                                                      \
    raft_free(r);                                                              \
  } while (0)
#define DIFFERS(...) CHANGED(false, __VA_ARGS__)
#define EQUALS(...)  CHANGED(true, __VA_ARGS__)

static void it_sees_times_and_numbers(void) {
  DIFFERS(r->options.self++);
  DIFFERS(r->is_started = false);
  DIFFERS(r->now++);
  DIFFERS(r->wall++);
  DIFFERS(r->started++);
  DIFFERS(r->random++);
  DIFFERS(r->life++);
  DIFFERS(r->is_out_of_space = true);
  DIFFERS(r->is_avoiding = true);
  DIFFERS(r->is_lease_void = true);
  DIFFERS(r->heir++);
  DIFFERS(r->heir_due--);
  DIFFERS(r->is_heir_told = true);
  DIFFERS(r->peers[0].is_avoiding = true);
  DIFFERS(r->mark_count++);
  DIFFERS(r->mark_count = 1, r->marks[0].round++);
  DIFFERS(r->mark_count = 1, r->marks[0].sent++);
  DIFFERS(r->last_time++);
  DIFFERS(r->election_due++);
  DIFFERS(r->heartbeat_due++);
  DIFFERS(r->leader_heard++);
  DIFFERS(r->voter_walls[RAFT_MEMBERS_MAX - 1]++);
}

static void it_sees_terms_and_roles(void) {
  DIFFERS(r->term++);
  DIFFERS(r->vote++);
  DIFFERS(r->hard_changed = !r->hard_changed);
  DIFFERS(r->hard_seq++);
  DIFFERS(r->state = RAFT_FOLLOWER);
  DIFFERS(r->leader++);
  DIFFERS(r->ballot.round++);
  DIFFERS(r->ballot.granted ^= 1);
  DIFFERS(r->ballot.refused ^= 1);
  DIFFERS(r->ballot.own_vote++);
  DIFFERS(r->ballot.is_transfer = true);
  DIFFERS(r->ack.to++);
  DIFFERS(r->ack.index++);
  DIFFERS(r->ack.round++);
  DIFFERS(r->ack.is_prompt = true);
  DIFFERS(r->told_state = RAFT_FOLLOWER);
  DIFFERS(r->told_term++);
  DIFFERS(r->told_leader++);
  DIFFERS(r->told_config++);
}

static void it_sees_the_log(void) {
  DIFFERS(r->commit--);
  DIFFERS(r->apply_handed--);
  DIFFERS(r->applied--);
  DIFFERS(r->is_apply_loading = true);
  DIFFERS(r->log.base_index++);
  DIFFERS(r->log.base_term++);
  DIFFERS(r->log.last--);
  DIFFERS(r->log.stored--);
  DIFFERS(r->log.handed--);
  DIFFERS(r->log.seq_handed++);
  DIFFERS(r->log.seq_stored++);
  DIFFERS(r->log.memory_first++);
  DIFFERS(r->log.store_count--);
  for (uint32_t i = 0; i < leader->log.run_count; i++) {
    DIFFERS(r->log.runs[i].first++);
    DIFFERS(r->log.runs[i].term++);
  }
}

#define STORE(i) r->log.stores[(r->log.store_head + (i)) % RAFT_STORES_MAX]

static void it_sees_what_the_disk_is_at(void) {
  CHECK(leader->log.store_count == 2);
  for (uint32_t i = 0; i < 2; i++) {
    DIFFERS(STORE(i).seq++);
    DIFFERS(STORE(i).last++);
  }
  EQUALS(STORE(2).seq++); /* it was done long ago */
}

/* The encoded bytes of an entry of r, to be changed. */
static uint8_t *bytes_of(struct raft *r, raft_index index) {
  struct raft_entry e;
  CHECK(raft_log_get(&r->log, index, &e));
  size_t at = (size_t)(e.payload - r->log.blocks[0]->data);
  return r->log.blocks[0]->data + at - RAFT_ENTRY_HEADER_BYTES;
}

static void it_sees_entries(void) {
  CHECK(leader->log.block_count == 1);
  DIFFERS(bytes_of(r, 3)[24]++);                      /* the time */
  DIFFERS(bytes_of(r, 3)[36] = RAFT_ENTRY_SESSION);   /* the kind */
  DIFFERS(bytes_of(r, 4)[RAFT_ENTRY_HEADER_BYTES]++); /* the command */
  DIFFERS(bytes_of(r, 5)[RAFT_ENTRY_HEADER_BYTES]++);
}

/* Loads entries [4, last] as if they were to be applied from the disk. */
static void load(struct raft *r, raft_index last) {
  struct raft_entry e;
  CHECK(raft_log_get(&r->log, last, &e));
  uint8_t *first = bytes_of(r, 4);
  size_t size = (size_t)(e.payload + e.size - first);
  EQ(raft_log_window(&r->log, 4, first, size, &last), RAFT_OK);
}

/* It decides whether to apply at once or to ask the disk first. */
static void it_sees_what_is_loaded(void) {
  DIFFERS(load(r, 4));
  struct raft *four = raft_clone(leader);
  struct raft *five = raft_clone(leader);
  load(four, 4);
  load(five, 5);
  CHECK(!is_same_digest(four, five));
  raft_free(four);
  raft_free(five);
}

static void it_sees_configurations(void) {
  DIFFERS(r->config_index++);
  DIFFERS(r->config.election_min_ms++);
  DIFFERS(r->config_before = r->config, r->config_before_index = 1);
}

static void it_sees_peers(void) {
  CHECK(leader->peers[1].count > 0);
  DIFFERS(r->peer_count--);
  for (uint32_t i = 0; i < 2; i++) {
    DIFFERS(r->peers[i].id++);
    DIFFERS(r->peers[i].state = RAFT_SNAPSHOT);
    DIFFERS(r->peers[i].match--);
    DIFFERS(r->peers[i].next++);
    DIFFERS(r->peers[i].is_probing = true);
    DIFFERS(r->peers[i].is_loading = true);
    DIFFERS(r->peers[i].snapshot_index++);
    DIFFERS(r->peers[i].commit_sent++);
    DIFFERS(r->peers[i].round_acked++);
    DIFFERS(r->peers[i].round_sent++);
    DIFFERS(r->peers[i].heard++);
    DIFFERS(r->peers[i].wall++);
    DIFFERS(r->peers[i].bytes++);
  }
}

#define FLIGHT(i)                                                              \
  r->peers[1].flights[(r->peers[1].head + (i)) % RAFT_INFLIGHT_MAX]

static void it_sees_what_is_under_way(void) {
  CHECK(leader->peers[1].count == 1);
  DIFFERS(FLIGHT(0).last++);
  DIFFERS(FLIGHT(0).bytes++);
  EQUALS(FLIGHT(1).last++); /* it has landed */
  EQUALS(FLIGHT(1).bytes++);
}

static void it_sees_all_that_is_under_way(void) {
  struct raft *one = raft_clone(leader);
  struct raft *other = raft_clone(leader);
  one->peers[1].count = other->peers[1].count = 2;
  CHECK(is_same_digest(one, other));
  uint32_t second = (other->peers[1].head + 1) % RAFT_INFLIGHT_MAX;
  other->peers[1].flights[second].last++;
  CHECK(!is_same_digest(one, other));
  raft_free(one);
  raft_free(other);
}

static void it_sees_reads(void) {
  CHECK(leader->read_count == 2);
  DIFFERS(r->read_count--);
  DIFFERS(r->read_round++);
  DIFFERS(r->round_is_sent = !r->round_is_sent);
  DIFFERS(r->read_context++);
  DIFFERS(r->is_read_due = true);
  DIFFERS(r->read_resend--);
  DIFFERS(r->term_start++);
  DIFFERS(r->pending_bytes++);
  for (uint32_t i = 0; i < 2; i++) {
    DIFFERS(r->reads[i].token++);
    DIFFERS(r->reads[i].from++);
    DIFFERS(r->reads[i].round++);
    DIFFERS(r->reads[i].index++);
  }
  EQUALS(r->reads[2].token++);
}

static void it_sees_the_outbox(void) {
  CHECK(leader->out.count == 2);
  CHECK(leader->out.effects[0].kind == RAFT_FX_SEND);
  CHECK(leader->out.effects[1].kind == RAFT_FX_FORWARDED);
  DIFFERS(r->out.count--);
  DIFFERS(r->out.effects[0].kind = RAFT_FX_FORWARDED);
  DIFFERS(r->out.effects[0].after++);
  DIFFERS(r->out.effects[0].to++);
  DIFFERS(r->out.effects[0].part_count = 0);
  DIFFERS(r->out.effects[1].forwarded.token++);
  DIFFERS(r->out.effects[1].forwarded.code++);
  DIFFERS(r->out.effects[1].forwarded.index++);
  DIFFERS(r->out.effects[1].forwarded.term++);
}

static void a_follower_knows_of_no_peers(void) {
  struct cluster *c = alone_new(3, NULL);
  EQ(alone_status(c).peer_count, 0);
  EQ(alone_status(c).first, 1);
  EQ(alone_status(c).last, 1);
  CHECK(cluster_elect(c, N1));
  EQ(alone_status(c).peer_count, 2);
  EQ(cluster_status(c, N2).peer_count, 0);
  alone_end(c);
}

/* A leader of term 3 with two batches on their way to the disk, an append to
 * each peer, reads, and in its outbox a frame and an answer. */
static struct cluster *busy_leader(void) {
  struct cluster *c = alone_new(3, NULL);
  CHECK(cluster_elect(c, N2));
  CHECK(cluster_elect(c, N1));
  c->nodes[N1].is_disk_held = true;
  EQ(cluster_propose(c, N1, "abc"), 4);
  (void)cluster_flush(c, N1);
  EQ(cluster_propose(c, N1, "def"), 5);
  CHECK(cluster_read(c, N1) > 0);
  CHECK(cluster_read(c, N1) > 0);
  for (uint32_t i = 0; i < c->packet_count; i++)
    if (c->packets[i].to == N3) cluster_drop(c, i);
  cluster_deliver(c, 0);
  (void)cluster_flush(c, N2);
  cluster_disk(c, N2, 1);
  cluster_deliver(c, c->packet_count - 1);
  (void)cluster_flush(c, N1);
  struct alone_vote v = {.term = 4, .last = 9, .last_term = 3, .pre = true};
  alone_vote(c, N2, &v);
  struct raft_message m = {.kind = RAFT_MSG_PROPOSE_REPLY, .term = 3};
  m.propose_reply.token = 7;
  m.propose_reply.index = 2;
  EQ(cluster_receive(c, N1, N2, &m), RAFT_OK);
  return c;
}

int main(void) {
  struct cluster *c = busy_leader();
  leader = c->nodes[N1].raft;
  CASE(it_sees_times_and_numbers);
  CASE(it_sees_terms_and_roles);
  CASE(it_sees_the_log);
  CASE(it_sees_what_the_disk_is_at);
  CASE(it_sees_entries);
  CASE(it_sees_what_is_loaded);
  CASE(it_sees_configurations);
  CASE(it_sees_peers);
  CASE(it_sees_what_is_under_way);
  CASE(it_sees_all_that_is_under_way);
  CASE(it_sees_reads);
  CASE(it_sees_the_outbox);
  alone_end(c);
  CASE(a_follower_knows_of_no_peers);
  return test_end();
}
