/* atlas.h - every site state and every frame that was ever met, once.
 *
 * What one replica does depends on its own state and the event alone. So each
 * (state, event) is run on the real core one time, on a clone, and remembered;
 * states of the whole cluster are then a few numbers. Two states of one
 * canonical form are one: the first that came stands for all.
 *
 * Ballot rounds are random numbers that nobody compares but for equality with
 * the open ballot of their owner. Here they are renamed: ATLAS_OPEN for a
 * ballot that is open, ATLAS_CLOSED for one that never counts any more. When a
 * ballot closes, frames that carry it are renamed too ("aged").
 */
#ifndef RAFT_ATLAS_H
#define RAFT_ATLAS_H

#include "canon.h"
#include "site.h"
#include "wire.h"

#define ATLAS_OPEN    0x0badcafe1u
#define ATLAS_CLOSED  0x0deadbea7u
#define ATLAS_INDEXES 16  /* log positions, at most */
#define ATLAS_SHAPES  120 /* renamings of SITE_MAX nodes */

struct atlas_frame {
  uint32_t key; /* of from, to, kind and term: for a quick look */
  uint8_t from, to;
  uint16_t aged;  /* what it is once the ballot closed; itself if the same */
  uint16_t spent; /* an append whose entries and commit have done their work */
  uint8_t terms[ATLAS_INDEXES]; /* of the entries it has, by index */
  struct blob *bytes;
  struct raft_message m;     /* its tail points into bytes */
  struct canon_hash *shapes; /* its form under each renaming */
};

struct atlas_view { /* what others need to know of a site state */
  uint8_t state;    /* enum raft_state */
  uint8_t term, last, commit, performed;
  uint8_t disk_term, disk_last, disk_commit;
  uint8_t vote, disk_vote; /* place + 1; 0 nobody */
  uint8_t batches;         /* writes under way */
  uint8_t match[SITE_MAX]; /* what a leader knows of others, by place */
  uint8_t members;         /* masks of places: of the configuration in force, */
  uint8_t voters[2];       /* who votes in each half; equal when not joint */
  bool may_change;         /* a leader that would take a change now */
  bool has_heir;           /* it takes no commands then */
  bool can_time_out;
  bool has_leader; /* a follower that was told who leads */
  uint8_t terms[ATLAS_INDEXES], disk_terms[ATLAS_INDEXES]; /* by index */
  uint64_t prefix[ATLAS_INDEXES]; /* digest of the log up to here */
  uint64_t disk_prefix[ATLAS_INDEXES];
};

struct atlas_site {
  struct site site;
  struct atlas_view view;
  struct canon_hash *shapes;
};

enum atlas_event {
  ATLAS_DELIVER = 1,  /* arg: the frame */
  ATLAS_DELIVER_LATE, /* the same, long after its leader was heard */
  ATLAS_TIME_OUT,     /* the election time-out of a follower or candidate */
  ATLAS_HEARTBEAT,    /* due on a leader */
  ATLAS_LOSE_TOUCH,   /* a leader that heard nobody for too long */
  ATLAS_STORE,        /* arg: how many writes finish */
  ATLAS_CRASH,        /* arg: how many writes under way are kept */
  ATLAS_PROPOSE,      /* arg: the number of the command */
  ATLAS_CHANGE,       /* arg: the place of whom a leader adds or removes */
  ATLAS_AGE,          /* arg: the place whose ballot has closed */
};

struct atlas_result {
  uint32_t site;       /* the state after */
  uint32_t sent_first; /* frames: atlas.sent[sent_first ..] */
  uint16_t sent_count;
  bool has_closed;    /* its ballot, so that others age */
  const char *broken; /* NULL */
};

struct atlas {
  struct site_rules rules;
  bool is_soup; /* frames stay for ever, so equal ones need not wait twice */
  uint32_t shape_count;
  uint8_t shapes[ATLAS_SHAPES][SITE_MAX]; /* renamings; the first is none */
  struct atlas_site *sites;
  uint32_t site_count, site_room;
  struct atlas_frame *frames; /* from 1 */
  uint32_t frame_count, frame_room;
  struct atlas_result *results;
  uint64_t *keys; /* of results */
  uint32_t result_count, result_room;
  uint16_t *sent;
  uint32_t sent_count, sent_room;
  uint32_t *by_site, *by_frame, *by_key; /* tables: number + 1, 0 empty */
  uint32_t by_site_room, by_frame_room, by_key_room;
  uint64_t core_steps; /* events run on the real core */
  /* NULL, or a look at a site that is taken for a known one, before it goes. */
  void (*on_known)(const struct atlas *a, uint32_t known, struct site *other);
};

struct atlas *atlas_new(uint32_t nodes, uint32_t strangers, bool is_soup);
void atlas_free(struct atlas *a);

/* The state of a node that has just started. */
uint32_t atlas_first(struct atlas *a, uint32_t place);

/* What the core makes of the event. Valid until the next call. */
const struct atlas_result *atlas_step(struct atlas *a, uint32_t site,
                                      enum atlas_event event, uint32_t arg);

/* The frame, once the ballot of `owner` has closed. */
uint16_t atlas_age(struct atlas *a, uint16_t frame, uint32_t owner);

/* Will the core ignore this frame for ever in this state and all that may
 * follow? See docs/EXPLORER.md. */
bool atlas_is_dead(const struct atlas *a, uint16_t frame, uint32_t site);

/* Can this append do nothing to the log of this site any more, and will it be
 * so for ever? `crashes`: it may still lose what only its memory knows. */
bool atlas_is_spent(const struct atlas *a, uint16_t frame, uint32_t site,
                    bool crashes);
/* What is left of it: an append without entries that commits nothing. */
uint16_t atlas_spend(struct atlas *a, uint16_t frame);

/* Gives a site the names of rounds that are used here, given the open ballots
 * of all places, and drops held frames that nobody needs. */
void atlas_normalize(struct site *s, const uint64_t *rounds, bool is_soup);

/* One event, on a site of one's own: what atlas_step does to its clone. */
void atlas_run(struct site *s, enum atlas_event event, uint32_t arg,
               struct blob *frame, uint32_t from, struct site_net *net);

#endif
