/* raft_bug.h - which fix of the core is taken out just now.
 *
 * Only the museum's build knows this: tools/plant.lua makes its copy of the
 * core ask. A bug is named by its row in docs/MUSEUM.md; "7b" is a second way
 * to make the mistake of row 7.
 */
#ifndef RAFT_BUG_H
#define RAFT_BUG_H

/* 0: none. Row, and 1000 more for each letter after a. From RAFT_BUG= of the
 * environment at the start. */
extern int raft_bug;

/* The number of a name such as "21" or "7b"; 0 for NULL. */
int raft_bug_of(const char *name);

#endif
