/* witness.c - entries without their commands, for who keeps none.
 *
 * A witness is sent configurations and no-ops in full, of commands the header
 * alone: index, term, stamp and kind, flag STRIPPED, size 0, and checksums of
 * its own. It stores and acknowledges them like any other.
 *
 * What must hold: nobody is sent such a copy before a committed configuration
 * says that it is a witness, or is to be one; none of these can be taken back.
 * Every commit quorum has a full member (quorum.c), and a log with holes never
 * leads: so a leader has every committed command.
 */
#include <assert.h>
#include <string.h>

#include "change.h"
#include "config.h"
#include "replica.h"

/* The newest configuration that cannot be truncated. The one before is
 * committed, known or not: it was when the one in force was appended. */
static const struct raft_config *committed_config(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  if (r->config_index <= r->commit) return &r->config;
  assert(r->config_before_index < r->config_index);
  return &r->config_before;
}

bool raft_is_stripped(const struct raft *r, raft_id peer) {
  assert(peer != r->options.self);
  if (!r->standing.has_witnesses) return false;
  const struct raft_config *c = committed_config(r);
  int at = raft_config_find(c, peer);
  return at >= 0 && raft_change_is_stripped(&c->members[at]);
}

static bool has_command(const struct raft_entry *e) {
  assert(e->kind != 0);
  return e->kind == RAFT_ENTRY_COMMAND || e->kind == RAFT_ENTRY_SESSION;
}

static size_t stripped_bytes(const struct raft_entry *e) {
  assert(e->index > 0);
  return has_command(e) ? RAFT_ENTRY_HEADER_BYTES : raft_entry_bytes(e);
}

static size_t strip(const struct raft_entry *e, uint8_t *out) {
  assert(e->term > 0);
  struct raft_entry copy = *e;
  if (has_command(e)) {
    copy.flags = RAFT_ENTRY_STRIPPED;
    copy.size = 0;
    copy.payload = NULL;
  }
  size_t bytes = raft_entry_encode(&copy, out);
  assert(bytes == stripped_bytes(e));
  return bytes;
}

/* Where do copies from `first` on end that fit one message? At least one does.
 */
static raft_index last_of(const struct raft *r, raft_index first,
                          raft_index upto, size_t *bytes) {
  assert(first >= r->log.memory_first);
  assert(first <= upto);
  struct raft_entry e;
  raft_index last = first - 1;
  *bytes = 0;
  while (last < upto && raft_log_get(&r->log, last + 1, &e)) {
    size_t more = stripped_bytes(&e);
    if (*bytes > 0 && *bytes + more > r->options.message_bytes_max) break;
    *bytes += more;
    last++;
  }
  return last;
}

/* Copies of [first, upto], which are in memory, as many as fit one message. The
 * last one; 0: there is no room now. */
raft_index raft_strip_log(struct raft *r, raft_index first, raft_index upto,
                          struct raft_slice *out) {
  assert(r->state == RAFT_LEADER);
  size_t bytes = 0;
  raft_index last = last_of(r, first, upto, &bytes);
  assert(last >= first);
  if (raft_outbox_reserve(&r->out, 0, bytes + RAFT_OUTBOX_ALIGN) != RAFT_OK)
    return 0;
  uint8_t *copies = raft_outbox_bytes(&r->out, bytes);
  struct raft_entry e;
  size_t at = 0;
  for (raft_index i = first; i <= last; i++)
    if (raft_log_get(&r->log, i, &e)) at += strip(&e, copies + at);
  assert(at == bytes);
  *out = (struct raft_slice){copies, bytes};
  return last;
}

/* Replaces loaded entries, which were verified, by their copies. */
int raft_strip_loaded(struct raft *r, struct raft_slice *tail) {
  assert(tail->size > 0);
  int rc = raft_outbox_reserve(&r->out, 0, tail->size + RAFT_OUTBOX_ALIGN);
  if (rc != RAFT_OK) return rc;
  uint8_t *copies = raft_outbox_bytes(&r->out, tail->size);
  struct raft_entry e;
  size_t at = 0;
  for (size_t done = 0; done < tail->size; done += raft_entry_bytes(&e)) {
    raft_entry_view(tail->data + done, &e);
    at += strip(&e, copies + at);
  }
  assert(at <= tail->size);
  *tail = (struct raft_slice){copies, at};
  return RAFT_OK;
}

/* ---- our own log --------------------------------------------------------- */

/* Reads that wait would be served from half a state; who asks again is told. A
 * ballot of ours, which a snapshot came into, must not be won. */
static void set_bare(struct raft *r, bool is_bare) {
  assert(r->state != RAFT_LEADER);
  r->is_bare = is_bare;
  if (!is_bare) return;
  raft_drop_reads(r);
  if (r->state != RAFT_FOLLOWER) raft_become_follower(r, r->term, 0);
}

/* The newest entry in memory that lacks its command; 0: none does. */
static raft_index newest_hole_in_memory(const struct raft *r) {
  assert(r->log.memory_first > r->log.base_index);
  for (raft_index i = r->log.last; i >= r->log.memory_first; i--) {
    struct raft_entry e;
    bool is_there = raft_log_get(&r->log, i, &e);
    assert(is_there);
    if ((e.flags & RAFT_ENTRY_STRIPPED) != 0) return i;
  }
  return 0;
}

/* Entries have come into our log, `newest` of them without its command; 0: all
 * have theirs. */
void raft_holes_grown(struct raft *r, raft_index newest) {
  assert(newest <= r->log.last);
  if (newest > r->newest_hole) r->newest_hole = newest;
  if (r->newest_hole > r->snapshots.index) set_bare(r, true);
}

void raft_holes_cut(struct raft *r, raft_index from) {
  assert(from > 0);
  if (r->newest_hole >= from) r->newest_hole = from - 1; /* or less */
  assert(r->newest_hole < from);
}

/* The state is that of this snapshot from now on; the log may have holes yet,
 * and others need it. */
void raft_holes_filled(struct raft *r, const struct raft_snapshot *s) {
  assert(s->index > 0);
  assert(s->index <= r->log.last);
  set_bare(r, s->is_bare || r->newest_hole > s->index);
}

/* Once the log is known: what the disk says of it, and what its tail shows. */
void raft_holes_recover(struct raft *r, const struct raft_recovery *rec) {
  assert(r->newest_hole == 0);
  raft_index last = r->log.last;
  r->newest_hole = rec->newest_hole < last ? rec->newest_hole : last;
  raft_holes_grown(r, newest_hole_in_memory(r));
  r->is_bare = r->newest_hole > 0;
  if (rec->snapshot.index > 0) raft_holes_filled(r, &rec->snapshot);
  assert(r->newest_hole <= last);
}

/* Do we keep no commands? Then there is nothing that could be read. */
bool raft_is_witness(const struct raft *r) {
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  int self = raft_config_find(&r->config, r->options.self);
  if (self < 0) return false;
  const struct raft_member *m = &r->config.members[self];
  return m->role[RAFT_OLD] == RAFT_ROLE_WITNESS &&
         m->role[RAFT_NEW] != RAFT_ROLE_VOTER;
}
