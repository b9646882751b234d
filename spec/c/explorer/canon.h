/* canon.h - the canonical form of a site and of a frame: all that can change
 * what happens next, and nothing else, as 128 bits.
 *
 * What is left out, and why it may be, is said in docs/EXPLORER.md. In short:
 * clocks, but not whether a leader was heard just now; the generator; batch
 * numbers, but how far ahead of the disk they are; ballot rounds, but whether
 * one is still open. Ids are places under a renaming, so that states that
 * differ only by names of nodes have one form.
 */
#ifndef RAFT_CANON_H
#define RAFT_CANON_H

#include "site.h"
#include "wire.h"

struct canon_names { /* what things are called in the form */
  const struct site_rules *rules;
  uint8_t place[SITE_MAX];   /* old place -> new place */
  uint64_t rounds[SITE_MAX]; /* the open ballot of each place, by old place;
                                0: none is open */
};

struct canon_hash {
  uint64_t a, b;
};

void canon_site(const struct site *s, const struct canon_names *names,
                struct canon_hash *out);
void canon_frame(uint32_t from, uint32_t to, const struct blob *frame,
                 const struct canon_names *names, struct canon_hash *out);

/* Does the frame tell its receiver, whose open ballot is `open`, nothing but a
 * term? An answer to a ballot that is closed, or one that this answer closes.
 * Who sent it does not matter then. */
bool canon_is_term_only(const struct raft_message *m, uint64_t open);

/* The round of its ballot while answers to it count, else 0. */
uint64_t canon_open_round(const struct site *s);

#endif
