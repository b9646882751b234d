/* cluster_inner.h - what the files of the virtual cluster share. */
#ifndef RAFT_CLUSTER_INNER_H
#define RAFT_CLUSTER_INNER_H

#include "cluster.h"

/* Memory, or the end of the program; a copy of bytes. */
void *cluster_need(void *p);
uint8_t *cluster_copy(const void *data, size_t size);

/* One more at the end of a configuration. */
void cluster_put_member(const struct cluster *c, struct raft_config *config,
                        uint32_t node, uint8_t role);

/* Puts a frame on the network; it owns the bytes now. */
void cluster_post(struct cluster *c, const struct cluster_packet *p);

/* Tells the core what is applied, if it does not know. */
void cluster_report_applied(struct cluster *c, uint32_t node);

/* Effects and the disk, where snapshots are concerned (cluster_snap.c). */
void cluster_begin_ship(struct cluster *c, uint32_t node,
                        const struct raft_effect *fx);
void cluster_lose_state(struct cluster *c, uint32_t node);
void cluster_install(struct cluster *c, uint32_t node,
                     const struct raft_effect *fx);
void cluster_take_mark(struct cluster *c, uint32_t node,
                       const struct cluster_batch *b);
void cluster_void_applies(struct cluster *c, uint32_t node, raft_index index);
void cluster_choose_snapshot(struct cluster *c, uint32_t node);
raft_index cluster_newest_hole(const struct cluster_disk *d);
struct raft_snapshot cluster_view(const struct cluster_snapshot *file);

/* Results: reports those of an entry just applied, notes what is told of them
 * (cluster_results.c). */
void cluster_results(struct cluster *c, uint32_t node, raft_index index);
void cluster_diverged(struct cluster *c, uint32_t node,
                      const struct raft_effect *fx);

/* Steps a frame that has arrived. */
int64_t cluster_hear(struct cluster *c, uint32_t node, uint32_t from,
                     struct raft_slice frame);

/* What a clone makes of it when memory lacks (cluster_poor.c). */
void cluster_poor_step(struct cluster *c, uint32_t node,
                       const struct raft_event *ev);
void cluster_poor_take(struct cluster *c, uint32_t node);

/* The checks of a node after a step, and those between nodes
 * (cluster_check.c). NULL or what is broken. */
struct raft_facts;
const char *cluster_check(struct cluster *c, uint32_t node,
                          const struct raft_facts *before);
/* May this frame leave? A granted vote is a promise for ever. */
const char *cluster_check_send(struct cluster *c, uint32_t node, raft_id to,
                               const struct raft_message *m);

/* Says which configuration a node follows now (cluster_words.c). */
void cluster_say_config(struct cluster *c, uint32_t node, raft_index index);

#endif
