/* story.h - stories: what a virtual cluster does, line by line, compared with
 * spec/traces/NAME.txt, and the pieces that stories are made of.
 *
 *   build/unit/log_trace_test            compares
 *   build/unit/log_trace_test --write    writes them anew; review what differs
 *
 * A line of a story has at most 100 characters.
 */
#ifndef RAFT_STORY_H
#define RAFT_STORY_H

#include "alone.h"

#define TERMS(...)                                                             \
  (const raft_term[]) {                                                        \
    __VA_ARGS__                                                                \
  }

/* At the start of main: compare or write? */
void story_begin(int argc, char **argv);

/* A cluster of so many voters, all else as by default. */
struct cluster *story_cluster(uint32_t nodes);

/* The end of every story: told, compared, and nothing broken. `head` says what
 * to watch for, in lines; it opens the file as a comment. */
void story_tell(struct cluster *c, const char *name, const char *head);

/* A node does what it can, its disk too, unless that is held. */
void story_work(struct cluster *c, uint32_t node);

/* Everything from one to the other arrives, and is worked on. */
void story_carry(struct cluster *c, uint32_t from, uint32_t to);

/* Both ways: what from sent, then the answers. */
void story_exchange(struct cluster *c, uint32_t from, uint32_t to);

/* A node starts anew, in `term`, with the entries [2, ..] of these terms. */
void story_boot(struct cluster *c, uint32_t node, raft_term term,
                const raft_term *terms, uint32_t count);

/* Cuts or joins the nodes of a mask (bit 0 is n1) and all others. */
void story_cut(struct cluster *c, uint32_t mask, bool is_cut);

/* Says which entries a node holds. */
void story_log(struct cluster *c, uint32_t node);

#endif
