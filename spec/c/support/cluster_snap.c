/* cluster_snap.c - snapshots of the virtual cluster: files that only say what
 * they are of, their way to others, and the disk beneath them.
 *
 * A file counts from its mark on; at a start the newest that the log fits does,
 * as docs/SNAPSHOTS.md has it.
 */
#include "cluster_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct raft_snapshot cluster_view(const struct cluster_snapshot *file) {
  if (file->index == 0) return (struct raft_snapshot){0};
  return (struct raft_snapshot){
      .index = file->index,
      .term = file->term,
      .time = file->time,
      .config_index = file->config_index,
      .config = {file->config, file->config_size},
      .is_bare = file->is_bare,
  };
}

/* ---- the disk ------------------------------------------------------------ */

static bool is_fitting(const struct cluster_disk *d,
                       const struct cluster_snapshot *file) {
  if (file->index < d->base || file->index > d->last) return false;
  if (file->index == d->base) return file->term == d->base_term;
  return file->term == d->log[file->index].term;
}

/* Of all of the log, also of what is not handed over. */
raft_index cluster_newest_hole(const struct cluster_disk *d) {
  struct raft_entry e;
  for (raft_index i = d->last; i > d->base; i--) {
    raft_entry_view(d->log[i].bytes, &e);
    if ((e.flags & RAFT_ENTRY_STRIPPED) != 0) return i;
  }
  return 0;
}

/* At a start: what the log does not know was of a life that is over. */
void cluster_choose_snapshot(struct cluster *c, uint32_t node) {
  struct cluster_disk *d = &c->nodes[node].disk;
  for (uint32_t i = 0; i < d->other_count; i++)
    if (d->others[i].index > d->newest.index && is_fitting(d, &d->others[i]))
      d->newest = d->others[i];
  d->other_count = 0;
  bool is_there = d->newest.index == 0 || is_fitting(d, &d->newest);
  if (!is_there) cluster_note(c, node, "the log has lost its snapshot");
}

static const struct cluster_snapshot *
newest_file(const struct cluster_disk *d) {
  const struct cluster_snapshot *newest = &d->newest;
  for (uint32_t i = 0; i < d->other_count; i++)
    if (d->others[i].index > newest->index) newest = &d->others[i];
  return newest;
}

void cluster_keep_file(struct cluster *c, uint32_t node,
                       const struct raft_snapshot *s) {
  struct cluster_disk *d = &c->nodes[node].disk;
  if (s->index <= newest_file(d)->index) return;
  if (d->other_count == CLUSTER_FILES) {
    cluster_note(c, node, "more snapshots than ever should be");
    return;
  }
  struct cluster_snapshot *file = &d->others[d->other_count++];
  *file = (struct cluster_snapshot){.index = s->index,
                                    .term = s->term,
                                    .time = s->time,
                                    .config_index = s->config_index,
                                    .config_size = s->config.size,
                                    .is_bare = s->is_bare};
  memcpy(file->config, s->config.data, s->config.size);
}

/* The mark of a file is durable: older ones are of no more use. */
static bool mark_file(struct cluster_disk *d, raft_index index) {
  uint32_t kept = 0;
  bool is_found = false;
  for (uint32_t i = 0; i < d->other_count; i++) {
    is_found = is_found || d->others[i].index == index;
    if (d->others[i].index == index) d->newest = d->others[i];
    if (d->others[i].index > index) d->others[kept++] = d->others[i];
  }
  d->other_count = kept;
  return is_found;
}

static void forget_log(struct cluster_disk *d, raft_index upto) {
  for (raft_index i = d->base + 1; i <= upto && i <= d->last; i++) {
    free(d->log[i].bytes);
    d->log[i].bytes = NULL;
  }
}

/* The mark of a batch is durable, and its entries are. */
void cluster_take_mark(struct cluster *c, uint32_t node,
                       const struct cluster_batch *b) {
  struct cluster_disk *d = &c->nodes[node].disk;
  if (b->mark_index == 0) return;
  const struct cluster_snapshot file = {.index = b->mark_index,
                                        .term = b->mark_term};
  bool has_it = is_fitting(d, &file);
  if (has_it == b->is_reset)
    cluster_note(c, node, "a mark that the log on disk does not fit");
  if (b->is_reset) {
    forget_log(d, d->last);
    d->base = d->last = b->mark_index;
    d->base_term = d->log[d->base].term = b->mark_term;
    c->seen_counts.resets++;
  }
  if (!mark_file(d, b->mark_index))
    cluster_note(c, node, "a mark of a snapshot that is not there");
}

int64_t cluster_compact(struct cluster *c, uint32_t node, raft_index index) {
  struct cluster_node *n = &c->nodes[node];
  struct cluster_disk *d = &n->disk;
  struct raft_event ev = {.kind = RAFT_EV_COMPACTED, .compacted = index};
  int64_t rc = cluster_step(c, node, &ev);
  if (rc != RAFT_OK || index <= d->base) return rc;
  if (index > d->newest.index)
    cluster_note(c, node, "compacted what no durable snapshot covers");
  raft_term term = d->log[index].term;
  forget_log(d, index);
  d->base = index;
  d->base_term = term;
  c->seen_counts.compactions++;
  cluster_say(c, "%s lets go of all up to %" PRIu64, n->name, index);
  return rc;
}

/* ---- made ---------------------------------------------------------------- */

int64_t cluster_snapshot(struct cluster *c, uint32_t node) {
  struct cluster_node *n = &c->nodes[node];
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft_snapshot s;
  int rc = raft_snapshot_meta(n->raft, config, &s);
  if (rc != RAFT_OK) return rc;
  if (s.index != n->told) cluster_note(c, node, "a snapshot of another state");
  if (s.index > c->commit || s.term != c->committed[s.index])
    cluster_note(c, node, "a snapshot of what is not committed");
  if (n->is_bare && !s.is_bare)
    cluster_note(c, node, "a snapshot of a state that lacks commands");
  cluster_keep_file(c, node, &s);
  cluster_say(c, "%s makes a snapshot of all up to %" PRIu64 "/t%" PRIu64,
              n->name, s.index, s.term);
  c->seen_counts.snapshots++;
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_MADE, .snapshot = &s};
  return cluster_step(c, node, &ev);
}

/* ---- shipped ------------------------------------------------------------- */

static uint32_t place_of(const struct cluster *c, raft_id id) {
  uint32_t i = 0;
  while (i < c->count && c->nodes[i].id != id)
    i++;
  return i;
}

void cluster_begin_ship(struct cluster *c, uint32_t node,
                        const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  const struct cluster_disk *d = &n->disk;
  struct cluster_transfer t = {.from = node, .asked = fx->ship.index};
  t.to = place_of(c, fx->ship.to);
  t.file = *newest_file(d);
  t.file.is_bare = t.file.is_bare || fx->ship.is_bare;
  if (t.file.index < t.asked)
    cluster_note(c, node, "it is to ship a snapshot that it has not");
  c->seen_counts.ships++;
  if (t.to == c->count) return; /* a stranger */
  if (c->transfer_count == c->transfer_room) {
    c->transfer_room = 2 * c->transfer_room + 4;
    c->transfers =
        cluster_need(realloc(c->transfers, c->transfer_room * sizeof t));
  }
  c->transfers[c->transfer_count++] = t;
  cluster_say(c, "%s ships its snapshot of %" PRIu64 "/t%" PRIu64 " to %s",
              n->name, t.file.index, t.file.term, c->nodes[t.to].name);
}

/* What is handed out and covered by it is void from now on. */
void cluster_void_applies(struct cluster *c, uint32_t node, raft_index index) {
  struct cluster_node *n = &c->nodes[node];
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n->held_count; i++) {
    struct raft_effect *fx = &n->held[i].fx;
    if (fx->kind == RAFT_FX_APPLY && fx->apply.first <= index)
      free(n->held[i].bytes);
    else
      n->held[kept++] = n->held[i];
  }
  n->held_count = kept;
}

int64_t cluster_receive_snapshot(struct cluster *c, uint32_t transfer) {
  const struct cluster_transfer *t = &c->transfers[transfer];
  struct cluster_node *n = &c->nodes[t->to];
  struct cluster_snapshot file = t->file;
  struct raft_snapshot s = cluster_view(&file);
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED, .snapshot = &s};
  cluster_say(c, "%s has received the snapshot of %" PRIu64 "/t%" PRIu64,
              n->name, s.index, s.term);
  int64_t rc = cluster_step(c, t->to, &ev);
  if (rc < 0) cluster_note(c, t->to, "a snapshot was refused");
  if (rc <= 0) return rc;
  cluster_keep_file(c, t->to, &s);
  cluster_void_applies(c, t->to, s.index);
  return rc;
}

void cluster_shipped(struct cluster *c, uint32_t transfer, bool is_done) {
  struct cluster_transfer t = c->transfers[transfer];
  memmove(c->transfers + transfer, c->transfers + transfer + 1,
          (--c->transfer_count - transfer) * sizeof t);
  if (c->nodes[t.from].raft == NULL) return;
  struct raft_event ev = {.kind = RAFT_EV_SHIPPED};
  ev.shipped.peer = c->nodes[t.to].id;
  ev.shipped.index = t.asked;
  ev.shipped.is_done = is_done;
  cluster_say(c, "%s %s", c->nodes[t.from].name,
              is_done ? "knows that the snapshot has arrived"
                      : "hears that the transfer has failed");
  if (cluster_step(c, t.from, &ev) != RAFT_OK)
    cluster_note(c, t.from, "a report of shipping was refused");
}

void cluster_arrive(struct cluster *c, uint32_t transfer) {
  const struct cluster_transfer *t = &c->transfers[transfer];
  bool is_up = c->nodes[t->to].raft != NULL && !c->cut[t->from][t->to] &&
               c->nodes[t->from].raft != NULL;
  if (is_up) (void)cluster_receive_snapshot(c, transfer); /* it notes faults */
  cluster_shipped(c, transfer, is_up);
}

/* ---- installed ----------------------------------------------------------- */

void cluster_install(struct cluster *c, uint32_t node,
                     const struct raft_effect *fx) {
  struct cluster_node *n = &c->nodes[node];
  const struct cluster_disk *d = &n->disk;
  raft_index index = fx->install.index;
  if (d->newest.index < index)
    cluster_note(c, node, "installed before its mark was durable");
  if (index <= n->performed) cluster_note(c, node, "installed what is applied");
  if (index > c->commit || fx->install.term != c->committed[index])
    cluster_note(c, node, "installed what is not committed");
  n->performed = index;
  n->strays_at = 0; /* the state is another's; of those only sound ones ship */
  if (d->newest.is_bare)
    cluster_lose_state(c, node);
  else
    n->is_bare = false;
  c->seen_counts.installs++;
  c->seen_counts.bare_installs += n->is_bare;
  cluster_say(c, "%s installs the snapshot of %" PRIu64 "/t%" PRIu64, n->name,
              index, fx->install.term);
  if (!n->is_apply_held) cluster_report_applied(c, node);
}
