/* alone.h - one replica, n1, and the messages of others as the test makes them
 * up. The others run but hear nothing. */
#ifndef RAFT_ALONE_H
#define RAFT_ALONE_H

#include "cluster.h"

enum { N1, N2, N3, N4, N5 }; /* positions in a cluster */

/* A cluster of that many voters; n1 has entries [2, ..] of these terms and
 * hard state `term`. */
struct alone_log {
  raft_term term;
  const raft_term *terms;
  uint32_t count;
};
struct cluster *alone_new(uint32_t nodes, const struct alone_log *log);

struct alone_vote { /* what a candidate asks */
  raft_term term;   /* the term it would lead */
  raft_index last;
  raft_term last_term;
  uint64_t round;
  bool pre, transfer;
};
void alone_vote(struct cluster *c, uint32_t from, const struct alone_vote *v);

struct alone_append { /* what a leader sends */
  raft_term term;
  raft_index prev;
  raft_term prev_term;
  raft_index commit;
  uint64_t round;
  const raft_term *terms; /* of the entries after prev */
  uint32_t count;
};
int64_t alone_append(struct cluster *c, uint32_t from,
                     const struct alone_append *a);

/* The first frame of that kind that n1 sent to `to`, taken off the network,
 * after all that n1 can do now was done. False: there is none. */
bool alone_answer(struct cluster *c, uint32_t to, enum raft_message_kind kind,
                  struct raft_message *m);

/* The same, for what must be there. */
struct raft_message alone_must_answer(struct cluster *c, uint32_t to,
                                      enum raft_message_kind kind);

/* Answers n1's newest request for a vote. */
void alone_reply(struct cluster *c, uint32_t from, bool granted);

/* n1's term, role and so on. */
struct raft_status alone_status(const struct cluster *c);

/* Ends a test: nothing was broken, nothing leaks. */
void alone_end(struct cluster *c);

#endif
