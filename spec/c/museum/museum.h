/* museum.h - old bugs of real systems, each as a scenario that is red with its
 * fix taken out, green with it, and red for the reason that it states.
 *
 *   static void figure_8(void) { ... }       green as the core stands
 *   RED("21", figure_8, "a leader committed an old entry by counting")
 *
 * Each scenario runs twice, in a process of its own: with raft_bug set, where
 * the first complaint must hold the reason (the text of a check, an invariant
 * or an assert), and with raft_bug 0, where there is none. HELD is for what
 * cannot occur as the core is built: there is no fix to take out, and the
 * scenario must be green.
 */
#ifndef RAFT_MUSEUM_H
#define RAFT_MUSEUM_H

#include "alone.h"
#include "raft_bug.h"

struct museum_scenario {
  const char *row;    /* of docs/MUSEUM.md */
  const char *bug;    /* of spec/museum/plants.lua; NULL: none, green only */
  const char *name;   /* of the scenario */
  const char *reason; /* in the first complaint with the fix taken out */
  void (*body)(void);
};

/* The row is what the bug's name starts with. */
#define RED(bug, body, reason)                                                 \
  { bug, bug, #body, reason, body }
#define RED_BY(row, bug, body, reason)                                         \
  { row, bug, #body, reason, body }
#define HELD(row, body)                                                        \
  { row, NULL, #body, NULL, body }
#define LAST                                                                   \
  { NULL, NULL, NULL, NULL, NULL }

/* The chapters, each ended by LAST. */
extern const struct museum_scenario museum_votes[];
extern const struct museum_scenario museum_terms[];
extern const struct museum_scenario museum_appends[];
extern const struct museum_scenario museum_commits[];
extern const struct museum_scenario museum_reads[];
extern const struct museum_scenario museum_lives[];
extern const struct museum_scenario museum_snapshots[];
extern const struct museum_scenario museum_members[];
extern const struct museum_scenario museum_damage[];

/* ---- pieces of scenarios (pieces.c) -------------------------------------- */

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

/* A cluster of so many voters that n1 leads in term 2, all quiet. */
struct cluster *museum_led(uint32_t nodes);

/* n1 is a pre-candidate or candidate of a cluster of so many voters. */
struct cluster *museum_asking(uint32_t nodes);
struct cluster *museum_candidate(uint32_t nodes);

/* n1 is asked for its vote (or pre-vote) and grants it? */
bool museum_grants(struct cluster *c, uint32_t from,
                   const struct alone_vote *v);

/* The answer to a request for a vote, and answers to an append. */
struct raft_message museum_vote(const struct raft_message *asked, bool granted);
struct raft_message museum_accepted(raft_term term, raft_index index);
struct raft_message museum_refused(raft_term term, raft_index index,
                                   raft_index hint, raft_term hint_term);

/* Down, another log on its disk, up again. */
void museum_boot(struct cluster *c, uint32_t node, raft_term term,
                 const raft_term *terms, uint32_t count);

/* The directory is lost and made anew: nothing in it, another incarnation. */
void museum_wipe(struct cluster *c, uint32_t node);

/* Everything under way from one to the other arrives, and is worked on. */
void museum_carry(struct cluster *c, uint32_t from, uint32_t to);

/* A command for the leader, and all work done. */
void museum_command(struct cluster *c, uint32_t leader);

#endif
