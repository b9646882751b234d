/* snapshot.c - snapshots made, received and shipped, and what may go then.
 * [Raft 7] [Thesis 5]
 *
 * The core decides, the driver ships. What is shipped is committed, so no term
 * stands on it and no vote depends on it.
 *
 * What must hold: the log goes only as far as a snapshot whose mark is durable;
 * what is received replaces nothing that is committed, and all that is not, if
 * it is another log; a follower is told "I have it" by us only, never by the
 * one who carried the file.
 */
#include <assert.h>
#include <string.h>

#include "config.h"
#include "replica.h"

/* ---- what a snapshot says of itself -------------------------------------- */

static bool is_sound(const struct raft_snapshot *s, struct raft_config *out) {
  assert(out != NULL);
  if (s == NULL || s->index == 0 || s->term == 0) return false;
  if (s->index >= INT64_MAX || s->term >= INT64_MAX) return false;
  if (s->config_index == 0 || s->config_index > s->index) return false;
  return raft_config_decode(s->config.data, s->config.size, out) == RAFT_OK;
}

int raft_snapshot_meta(const struct raft *r, uint8_t *config,
                       struct raft_snapshot *out) {
  assert(r != NULL);
  assert(config != NULL);
  /* At most one is uncommitted, and then the one before it is not. [Raft 6] */
  bool is_newest = r->config_index <= r->commit;
  raft_index index = is_newest ? r->config_index : r->config_before_index;
  if (index == 0 || index > r->applied) return RAFT_E_BUSY;
  if (r->snapshots.installing != 0) return RAFT_E_BUSY;
  size_t size =
      raft_config_encode(is_newest ? &r->config : &r->config_before, config);
  *out = (struct raft_snapshot){
      .index = r->applied,
      .term = raft_log_term(&r->log, r->applied),
      .time = r->applied_time,
      .config_index = index,
      .config = {config, size},
      .is_bare = r->is_bare,
  };
  assert(out->term > 0);
  return RAFT_OK;
}

/* ---- recovery ------------------------------------------------------------ */

static bool is_same_config(const struct raft_recovered_config *c,
                           const struct raft_snapshot *s) {
  assert(c->index == s->config_index);
  assert(c->payload.data != NULL || c->payload.size == 0);
  if (c->payload.size != s->config.size) return false;
  return c->payload.size == 0 ||
         memcmp(c->payload.data, s->config.data, c->payload.size) == 0;
}

/* The log may have newer configurations than the snapshot, which then is the
 * one before. Up to its own index it knows all of them. [Raft 7] */
static int merge_configs(struct raft_recovery *rec) {
  const struct raft_snapshot *s = &rec->snapshot;
  const struct raft_recovered_config own = {s->config_index, s->config};
  assert(s->config_index <= s->index);
  raft_index newest = rec->config.index;
  if (newest > s->index) {
    if (rec->config_before.index <= s->index) rec->config_before = own;
    return RAFT_OK;
  }
  if (newest > s->config_index) return RAFT_E_CORRUPT;
  bool has_it = s->config_index > rec->base_index;
  if (has_it && newest != s->config_index) return RAFT_E_CORRUPT;
  if (newest == s->config_index && !is_same_config(&rec->config, s))
    return RAFT_E_CORRUPT;
  if (newest < s->config_index)
    rec->config_before = (struct raft_recovered_config){0};
  rec->config = own;
  return RAFT_OK;
}

int raft_snapshot_merge(struct raft_recovery *rec) {
  assert(rec != NULL);
  struct raft_snapshot *s = &rec->snapshot;
  struct raft_config config;
  if (s->index == 0) return rec->base_index == 0 ? RAFT_OK : RAFT_E_CORRUPT;
  if (!is_sound(s, &config)) return RAFT_E_CORRUPT;
  if (s->index < rec->base_index || s->index > rec->last) return RAFT_E_CORRUPT;
  if (s->term > rec->term) return RAFT_E_CORRUPT;
  if (s->time > rec->last_time) rec->last_time = s->time;
  assert(s->config_index <= rec->last);
  return merge_configs(rec);
}

/* Once log and configurations are known; all of it is applied. */
int raft_snapshot_recover(struct raft *r, const struct raft_recovery *rec) {
  const struct raft_snapshot *s = &rec->snapshot;
  assert(!r->is_started);
  assert(s->index <= r->log.last);
  if (s->index > 0 && raft_log_term(&r->log, s->index) != s->term)
    return RAFT_E_CORRUPT;
  r->snapshots = (struct raft_snapshots){
      .index = s->index,
      .term = s->term,
      .time = s->time,
      .marked = s->index, /* the log fits it, which is as good */
  };
  r->applied = r->apply_handed = r->commit = s->index;
  r->applied_time = s->time;
  return RAFT_OK;
}

/* ---- marks in the log ---------------------------------------------------- */

void raft_mark_handed(struct raft *r, raft_seq seq) {
  struct raft_snapshots *own = &r->snapshots;
  assert(raft_mark_due(r) != NULL);
  assert(seq == r->log.seq_handed);
  own->mark_seq = seq;
  if (own->reset.index != 0) {
    own->reset_seq = seq;
    own->reset = (struct raft_place){0};
  } else {
    own->mark = (struct raft_place){0};
  }
}

raft_seq raft_reset_after(const struct raft *r) {
  const struct raft_snapshots *own = &r->snapshots;
  assert(own->reset_seq <= r->log.seq_handed);
  assert(own->reset_seq <= own->mark_seq);
  if (own->reset.index != 0) return r->log.seq_handed + 1;
  return own->reset_seq > r->log.seq_stored ? own->reset_seq : 0;
}

void raft_snapshot_stored(struct raft *r) {
  struct raft_snapshots *own = &r->snapshots;
  assert(own->marked <= own->index);
  if (raft_mark_due(r) != NULL) return; /* the newest one's is to come */
  if (own->mark_seq > r->log.seq_stored) return;
  own->marked = own->index;
  assert(own->told <= own->marked);
}

/* ---- made ---------------------------------------------------------------- */

int raft_on_snapshot_made(struct raft *r, const struct raft_snapshot *s) {
  assert(r->is_started);
  struct raft_snapshots *own = &r->snapshots;
  struct raft_config config;
  if (!is_sound(s, &config)) return RAFT_E_USAGE;
  if (s->index <= own->index) return RAFT_OK; /* overtaken by one received */
  if (s->index > r->applied) return RAFT_E_USAGE;
  if (raft_log_term(&r->log, s->index) != s->term) return RAFT_E_USAGE;
  own->index = s->index;
  own->term = s->term;
  own->time = s->time;
  own->mark = (struct raft_place){.index = s->index, .term = s->term};
  assert(own->index > own->marked);
  return RAFT_OK;
}

/* ---- received ------------------------------------------------------------ */

/* All up to `index` is there, and that our leader has it too. */
static void owe_ack(struct raft *r, raft_index index) {
  assert(index <= r->log.last);
  if (r->state != RAFT_FOLLOWER || r->leader == 0) return;
  if (r->ack.to != r->leader) r->ack = (struct raft_ack){.to = r->leader};
  if (r->ack.index > r->log.last) r->ack.index = r->log.last;
  if (r->ack.index < index) r->ack.index = index;
  assert(r->ack.index <= r->log.last);
}

/* A configuration that nobody committed goes with the log it was in, however
 * high its index is. Votes are counted by place, so a ballot goes too. */
static void take_config(struct raft *r, const struct raft_snapshot *s,
                        const struct raft_config *config) {
  assert(r->log.last == s->index);
  assert(r->state != RAFT_LEADER);
  bool is_same = r->config_index == s->config_index &&
                 memcmp(&r->config, config, sizeof *config) == 0;
  r->config = *config;
  r->config_index = s->config_index;
  memset(&r->config_before, 0, sizeof r->config_before);
  r->config_before_index = 0;
  raft_config_changed(r);
  if (is_same) return;
  r->told_config = 0; /* also when the index is the same */
  if (r->state != RAFT_FOLLOWER) raft_become_follower(r, r->term, 0);
  raft_set_election_timer(r);
}

/* What follows an entry that we have stays; any other log is void. */
static void take_log(struct raft *r, const struct raft_snapshot *s,
                     const struct raft_config *config) {
  struct raft_snapshots *own = &r->snapshots;
  const struct raft_place mark = {.index = s->index, .term = s->term};
  assert(s->index > r->commit);
  assert(s->index > own->index);
  if (raft_log_term(&r->log, s->index) == s->term) {
    own->mark = mark;
    if (r->config_index <= s->index || r->config_before_index > s->index)
      return;
    r->config_before = *config;
    r->config_before_index = s->config_index;
    raft_config_changed(r);
    return;
  }
  raft_log_reset(&r->log, s->index, s->term);
  r->newest_hole = 0;
  own->reset = mark;
  own->mark = (struct raft_place){0};
  r->last_time = s->time;
  take_config(r, s, config);
}

/* Does it contradict what we know to be committed, or, as a leader, what must
 * be in our log? [Raft 5.4.3] */
static bool is_other_history(const struct raft *r,
                             const struct raft_snapshot *s) {
  assert(r->log.base_index <= r->commit);
  if (s->index < r->log.base_index) return false; /* nobody knows any more */
  bool is_decided =
      s->index <= r->commit || (r->state == RAFT_LEADER && s->term <= r->term);
  return is_decided && raft_log_term(&r->log, s->index) != s->term;
}

/* Do we have the very entry, and yet other configurations before it? */
static bool is_other_config(const struct raft *r,
                            const struct raft_snapshot *s) {
  assert(s->config_index <= s->index);
  if (s->index <= r->commit) return false; /* it changes nothing */
  if (raft_log_term(&r->log, s->index) != s->term) return false;
  return r->config_index <= s->index && r->config_index != s->config_index;
}

int64_t raft_on_snapshot_received(struct raft *r,
                                  const struct raft_snapshot *s) {
  assert(r->is_started);
  struct raft_snapshots *own = &r->snapshots;
  struct raft_config config;
  if (!is_sound(s, &config)) return RAFT_E_CORRUPT;
  if (is_other_history(r, s)) return RAFT_E_DIVERGED;
  if (is_other_config(r, s)) return RAFT_E_CORRUPT;
  if (s->term > r->term) raft_become_follower(r, s->term, 0);
  /* A leader has all of it, and needs no other's word that it is committed. */
  if (s->index <= r->commit || r->state == RAFT_LEADER) {
    owe_ack(r, r->commit);
    return RAFT_OK;
  }
  take_log(r, s, &config);
  raft_holes_filled(r, s);
  raft_results_reset(r);
  own->index = own->installing = s->index;
  own->term = s->term;
  own->time = s->time;
  own->is_install_due = true;
  r->commit = r->apply_handed = s->index;
  raft_repair_grown(r);
  raft_wait_or_not(r);
  owe_ack(r, s->index);
  assert(r->commit <= r->log.last);
  return (int64_t)s->index;
}

/* ---- installing ---------------------------------------------------------- */

void raft_snapshot_applied(struct raft *r, raft_index index) {
  struct raft_snapshots *own = &r->snapshots;
  assert(index <= r->apply_handed);
  if (own->installing != 0 && index >= own->installing) {
    r->applied_time = own->time;
    own->installing = 0;
    own->is_install_due = false;
  }
  const uint8_t *entry = raft_log_at(&r->log, index);
  if (entry != NULL) r->applied_time = raft_entry_time(entry);
}

/* Its STORE is born before it, all that is applied after it. */
void raft_emit_install(struct raft *r) {
  struct raft_snapshots *own = &r->snapshots;
  assert(own->installing == 0 || own->installing == own->index);
  if (!own->is_install_due || raft_mark_due(r) != NULL) return;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  raft_seq after = own->mark_seq > r->log.seq_stored ? own->mark_seq : 0;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_INSTALL, after);
  fx->install.index = own->index;
  fx->install.term = own->term;
  own->is_install_due = false;
}

/* ---- shipped ------------------------------------------------------------- */

/* Only to who has spoken since the last heartbeat: a file is no probe. */
static bool needs_ship(const struct raft *r, const struct raft_progress *p) {
  assert(r->state == RAFT_LEADER);
  if (p->next > r->log.base_index) return false;
  if (p->state == RAFT_SNAPSHOT || p->is_resting) return false;
  raft_ms beat = raft_heartbeat(r); /* it may have grown since the last one */
  raft_ms last = r->heartbeat_due > beat ? r->heartbeat_due - beat : 0;
  return p->heard >= last;
}

bool raft_emit_ship(struct raft *r, struct raft_progress *p) {
  if (!needs_ship(r, p)) return false;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return false;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_SHIP, 0);
  fx->ship.to = p->id;
  fx->ship.index = r->snapshots.index;
  fx->ship.is_bare = raft_is_stripped(r, p->id);
  assert(r->snapshots.index >= r->log.base_index);
  assert(r->snapshots.index > p->match);
  raft_progress_snapshot(p, r->snapshots.index);
  return true;
}

/* That the file is there is not yet that its owner says so: its own answers
 * end the transfer. Refusals that are still on their way do not count. */
void raft_on_shipped(struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_SHIPPED);
  struct raft_progress *p = raft_find_peer(r, ev->shipped.peer);
  if (p == NULL || p->state != RAFT_SNAPSHOT) return;
  if (p->snapshot_index != ev->shipped.index) return; /* an older one */
  if (ev->shipped.is_done) {
    p->is_shipped = true;
    return;
  }
  raft_progress_probe(p);
  p->is_resting = true;
  assert(p->state == RAFT_PROBE);
}

void raft_ship_tick(struct raft_progress *p) {
  assert(p->match < p->next);
  p->is_resting = false;
  if (p->is_shipped) raft_progress_shipped(p);
  assert(!p->is_shipped);
}

/* ---- compacted ----------------------------------------------------------- */

/* Up to where does nobody wait for the log? */
static raft_index unpinned(const struct raft *r) {
  raft_index upto = r->snapshots.marked;
  assert(upto <= r->commit);
  for (uint32_t i = 0; i < r->peer_count; i++) {
    const struct raft_progress *p = &r->peers[i];
    assert((p->snapshot_index != 0) == (p->state == RAFT_SNAPSHOT));
    if (p->state == RAFT_SNAPSHOT && p->snapshot_index < upto)
      upto = p->snapshot_index;
  }
  return upto;
}

void raft_emit_compact(struct raft *r) {
  assert(r->snapshots.marked > r->snapshots.told); /* rare: who calls asks */
  raft_index upto = unpinned(r);
  assert(upto <= r->snapshots.marked);
  if (upto <= r->snapshots.told) return;
  if (raft_outbox_reserve(&r->out, 1, 0) != RAFT_OK) return;
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_COMPACT, 0);
  fx->compact = r->snapshots.told = upto;
}

int raft_on_compacted(struct raft *r, raft_index index) {
  assert(r->is_started);
  assert(r->snapshots.marked <= r->log.last);
  if (index > r->snapshots.marked) return RAFT_E_USAGE;
  raft_log_compact(&r->log, index);
  assert(r->log.base_index <= r->snapshots.index);
  return RAFT_OK;
}
