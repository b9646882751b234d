/* site.h - one replica with all that surrounds it on its machine: its disk, the
 * effects that wait, its clock. Explorer and walk both run on it.
 *
 * A site does what raft.h asks of a driver: it takes after every event, writes
 * in order, lets a SEND go once what it waits for is durable, applies in order
 * of birth. The disk finishes a write only when it is told to. A crash keeps
 * what was reported durable and so many of the writes under way, whole; the
 * restart is a real recovery.
 *
 * What must hold of one site is checked here: the invariants of check.h, and
 * that nothing leaves before it is durable.
 */
#ifndef RAFT_SITE_H
#define RAFT_SITE_H

#include "blob.h"
#include "raft.h"

#define SITE_MAX  5    /* sites of a cluster */
#define SITE_HELD 4096 /* effects that wait: more is a fault */

struct site_rules { /* the same for all sites of a cluster */
  uint32_t count;
  uint32_t strangers; /* the last so many are no members at first, and empty */
  raft_id ids[SITE_MAX]; /* by place */
  char names[SITE_MAX][4];
  uint32_t election_min_ms, election_max_ms, heartbeat_ms;
  struct blob *first; /* entry 1, which all have */
};

struct site_batch { /* one write */
  raft_seq seq;
  raft_term term;
  raft_id vote;
  raft_index commit;
  struct blob *entries; /* encoded, one behind the other */
};

struct site_disk {
  raft_term term; /* durable from here on */
  raft_id vote;
  raft_index commit;
  raft_index last;
  struct blob **log; /* by index, log[0] is not used */
  uint32_t room;
  struct site_batch under_way[RAFT_STORES_MAX];
  uint32_t count;
};

struct site_held {
  struct raft_effect fx;
  struct blob *bytes; /* of its parts; NULL: none */
};

/* Where frames go; it owns the blob then. */
struct site_net {
  void (*send)(struct site_net *net, uint32_t from, uint32_t to,
               struct blob *frame);
};

struct site {
  const struct site_rules *rules;
  uint32_t place;
  struct raft *raft;
  raft_ms now; /* its own clock; the caller moves it */
  raft_ms deadline;
  struct site_disk disk;
  struct site_held *held; /* in order of birth */
  uint32_t held_count, held_room;
  raft_seq reported;    /* newest batch the replica heard of */
  raft_index performed; /* newest entry applied */
  bool is_thorough;     /* check all entries after every event */
  const char *broken;   /* the first thing that was wrong; NULL */
};

/* n nodes; all but the strangers are voters whose cluster has formed. Times in
 * ms. */
void site_rules_init(struct site_rules *rules, uint32_t count,
                     uint32_t strangers, uint32_t election_min_ms,
                     uint32_t election_max_ms, uint32_t heartbeat_ms);
void site_rules_free(struct site_rules *rules);
uint32_t site_place_of(const struct site_rules *rules, raft_id id);

/* A site that has just started, with entry 1 on its disk. */
void site_init(struct site *s, const struct site_rules *rules, uint32_t place,
               uint64_t seed);
void site_free(struct site *s);
void site_copy(const struct site *from, struct site *to);

/* ---- events; each is followed by a take and the checks ------------------- */

void site_tick(struct site *s, struct site_net *net);
void site_hear(struct site *s, uint32_t from, struct blob *frame,
               struct site_net *net);
int64_t site_propose(struct site *s, const char *command, size_t size,
                     struct site_net *net);
/* Adds the node at that place as a voter, or removes it. */
int64_t site_change(struct site *s, uint32_t place, struct site_net *net);
/* Completes and reports `count` of the writes under way. */
void site_store(struct site *s, uint32_t count, struct site_net *net);
/* Keeps `keep` of the writes under way and starts again. */
void site_crash(struct site *s, uint32_t keep, uint64_t seed,
                struct site_net *net);

void site_note(struct site *s, const char *broken); /* NULL is nothing */

#endif
