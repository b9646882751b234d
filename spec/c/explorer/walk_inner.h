/* walk_inner.h - what the files of the walk share. */
#ifndef RAFT_WALK_INNER_H
#define RAFT_WALK_INNER_H

#include "walk.h"

struct walk_packet { /* on its way; ordered by time, then number */
  raft_ms at;
  uint64_t number;
  uint8_t from, to;
  struct blob *frame;
};

struct walk_weather {       /* how bad it is, for a while */
  uint32_t loss, doubles;   /* of 1000 frames */
  uint32_t delay_ms;        /* at most */
  uint32_t late;            /* of 1000 frames, late by up to an election */
  uint32_t disk_ms;         /* at most */
  uint32_t crashes;         /* of 1000 seconds and nodes */
  uint32_t commands_per_ks; /* commands in 1000 seconds */
  bool cut[SITE_MAX][SITE_MAX];
};

struct walk {
  struct site_net net; /* first: what sites send to */
  struct site_rules rules;
  struct site sites[SITE_MAX];
  raft_ms disk_due[SITE_MAX]; /* the oldest write ends; 0: none under way */
  raft_ms now, weather_until, next_second;
  uint64_t random, numbers;
  struct walk_weather weather;
  struct walk_packet *packets; /* a heap */
  uint32_t packet_count, packet_room;
  uint64_t delivered; /* the newest number, of all */

  uint8_t leaders[WALK_TERMS];         /* place + 1 */
  uint8_t candidates[WALK_TERMS];      /* masks of places */
  uint8_t votes[SITE_MAX][WALK_TERMS]; /* place + 1 */
  raft_index commit;                   /* newest */
  raft_term committed[WALK_LOG + 64];  /* terms */
  raft_term since[WALK_LOG + 64];      /* the term they were committed in */
  uint64_t digests[WALK_LOG + 64];     /* of committed entries */
  struct walk_result *result;
  const char *broken;
};

struct walk_before { /* of a site, before an event */
  uint8_t state;
  raft_term term;
  raft_index last, commit;
  raft_term last_term;
};

void walk_note(struct walk *w, const char *broken);

/* walk_check.c: after an event of this site; what it has just sent. */
struct walk_before walk_before(const struct site *s);
void walk_check(struct walk *w, uint32_t place,
                const struct walk_before *before);
void walk_check_sent(struct walk *w, uint32_t from, uint32_t to,
                     const struct blob *frame);
void walk_check_all(struct walk *w); /* logs, entry by entry */

#endif
