/* bounds.h - bounds as words: the command line, and spec/c/explorer/counts.txt
 */
#ifndef RAFT_BOUNDS_H
#define RAFT_BOUNDS_H

#include "search.h"

/* Three nodes and nothing else that could go wrong. */
struct world_bounds bounds_default(void);

/* Takes the option at words[0]. Returns how many words it took; 0: it is none,
 * or its value is no number within its limits. */
int bounds_take(struct world_bounds *b, struct search_limits *l, int count,
                char **words);

/* NULL, or why these bounds cannot be explored. */
const char *bounds_check(const struct world_bounds *b);

/* All options with their meaning, one a line. */
void bounds_help(FILE *out);

#endif
