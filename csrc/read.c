/* read.c - ReadIndex: linearizable reads without the log. [Thesis 6.4]
 *
 * A read joins a round. The leader puts the round on its appends; when a commit
 * quorum has answered them, it was still the leader after the read came, so its
 * commit index of then covers all that was acknowledged before. A round that
 * was sent is joined no more: older answers prove nothing about newer reads.
 *
 * A follower asks the leader under a context that is unique over restarts; an
 * answer to a context serves it and all older ones.
 */
#include <assert.h>
#include <string.h>

#include "quorum.h"
#include "replica.h"

static bool is_full(const struct raft *r) {
  assert(r->read_count <= RAFT_READS_MAX);
  return r->read_count == RAFT_READS_MAX;
}

static void push(struct raft *r, const struct raft_read *read) {
  assert(!is_full(r));
  assert(r->read_count == 0 ||
         r->reads[r->read_count - 1].round <= read->round);
  r->reads[r->read_count++] = *read;
}

static void drop_oldest(struct raft *r, uint32_t count) {
  assert(r->read_count <= RAFT_READS_MAX);
  assert(count <= r->read_count);
  r->read_count -= count;
  memmove(r->reads, r->reads + count, r->read_count * sizeof *r->reads);
}

/* Makes sure that the newest round is one that a read of now may join. */
void raft_open_round(struct raft *r) {
  assert(r->state == RAFT_LEADER);
  if (r->round_is_sent || r->read_round == 0) {
    r->read_round++;
    r->round_is_sent = false;
  }
  assert(r->read_round > 0);
}

/* Before our no-op is committed we do not know what is; the read then waits
 * for it. [Thesis 6.4] */
static raft_index read_index(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  assert(r->term_start > 0);
  return r->commit >= r->term_start ? r->commit : r->term_start;
}

static void register_read(struct raft *r, uint64_t token, raft_id from) {
  assert(from != 0);
  assert(r->state == RAFT_LEADER);
  raft_open_round(r);
  push(r, &(struct raft_read){
              .token = token,
              .from = from,
              .round = r->read_round,
              .index = read_index(r),
          });
}

int64_t raft_on_read(struct raft *r, uint64_t token) {
  assert(r->is_started);
  /* it applies nothing, or did not */
  if (raft_is_witness(r) || r->is_bare) return RAFT_E_UNSUPPORTED;
  if (is_full(r)) return RAFT_E_BUSY;
  if (r->state == RAFT_LEADER) {
    register_read(r, token, r->options.self);
    return RAFT_OK;
  }
  if (r->leader == 0) return RAFT_E_NO_LEADER;
  push(r, &(struct raft_read){
              .token = token,
              .from = r->options.self,
              .round = ++r->read_context,
          });
  r->is_read_due = true;
  return RAFT_OK;
}

/* Nobody is asked: what is committed now is all that anybody was told of. */
static void register_leased(struct raft *r, uint64_t token) {
  assert(raft_has_lease(r));
  assert(!is_full(r));
  uint32_t at = 0;
  while (at < r->read_count && r->reads[at].round == 0)
    at++;
  memmove(r->reads + at + 1, r->reads + at,
          (r->read_count - at) * sizeof *r->reads);
  r->reads[at] = (struct raft_read){
      .token = token,
      .from = r->options.self,
      .index = read_index(r),
  };
  r->read_count++;
}

int64_t raft_on_read_lease(struct raft *r, uint64_t token) {
  assert(r->is_started);
  assert(r->read_count <= RAFT_READS_MAX);
  if (is_full(r) || !raft_has_lease(r)) return raft_on_read(r, token);
  register_leased(r, token);
  return RAFT_OK;
}

void raft_on_read_request(struct raft *r, raft_id from,
                          const struct raft_message *m) {
  assert(from != r->options.self);
  assert(m->kind == RAFT_MSG_READ);
  if (r->state == RAFT_LEADER && m->term == r->term) {
    if (!is_full(r)) register_read(r, m->read.context, from); /* asks again */
    return;
  }
  struct raft_message no = {.kind = RAFT_MSG_READ_REPLY, .term = r->term};
  no.read.context = m->read.context;
  raft_send(r, from, raft_hard_after(r), &no);
}

/* Does a read wait under this very context? One of a life before this may be
 * the larger number, and is older than all that waits. */
static bool is_asked(const struct raft *r, uint64_t context) {
  assert(r->read_count <= RAFT_READS_MAX);
  for (uint32_t i = r->read_count; i > 0; i--)
    if (r->reads[i - 1].round == context) return true;
  return false;
}

void raft_on_read_reply(struct raft *r, raft_id from,
                        const struct raft_message *m) {
  assert(m->term == r->term);
  assert(m->kind == RAFT_MSG_READ_REPLY);
  if (r->state != RAFT_FOLLOWER || r->leader != from) return;
  if (m->read.index == 0) return; /* refused; we ask again in time */
  if (!is_asked(r, m->read.context)) return;
  for (uint32_t i = 0; i < r->read_count; i++)
    if (r->reads[i].round <= m->read.context && r->reads[i].index == 0)
      r->reads[i].index = m->read.index;
}

/* The driver asks again when it hears of ROLE, so it must hear of it even when
 * the same leader is back within one turn. */
void raft_drop_reads(struct raft *r) {
  assert(r->read_count <= RAFT_READS_MAX);
  if (r->read_count > 0) r->told_term = UINT64_MAX;
  r->read_count = 0;
  r->is_read_due = false;
  r->read_resend = RAFT_NEVER;
}

void raft_read_tick(struct raft *r) {
  assert(r->is_started);
  if (r->now < r->read_resend) return;
  r->is_read_due = r->state == RAFT_FOLLOWER && r->read_count > 0;
  r->read_resend = RAFT_NEVER;
}

bool raft_read_waits_for(const struct raft *r, const struct raft_progress *p) {
  assert(p->round_acked <= p->round_sent);
  assert(p->round_sent <= r->read_round);
  assert(r->state == RAFT_LEADER);
  if (r->read_count == 0) return false;
  return r->reads[r->read_count - 1].round > p->round_sent;
}

/* ---- at take ------------------------------------------------------------- */

static void serve(struct raft *r, const struct raft_read *read) {
  assert(r->state == RAFT_LEADER || read->from == r->options.self);
  assert(read->index > 0);
  if (read->from == r->options.self) {
    struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_READ, 0);
    fx->read.token = read->token;
    fx->read.index = read->index;
    return;
  }
  struct raft_message m = {.kind = RAFT_MSG_READ_REPLY, .term = r->term};
  m.read.context = read->token;
  m.read.index = read->index;
  raft_send(r, read->from, 0, &m);
}

/* The newest round that a commit quorum has answered. */
static uint64_t confirmed_round(const struct raft *r) {
  assert(r->state == RAFT_LEADER);
  assert(r->config.count <= RAFT_MEMBERS_MAX);
  uint64_t acked[RAFT_MEMBERS_MAX] = {0};
  for (uint32_t i = 0; i < r->config.count; i++) {
    const struct raft_progress *p = raft_peer_at(r, i);
    acked[i] = p != NULL ? p->round_acked : r->read_round;
  }
  return raft_quorum_value(&r->config, acked);
}

static bool is_ready(const struct raft *r, const struct raft_read *read,
                     uint64_t confirmed) {
  assert(read->from != 0);
  assert(r->apply_handed <= r->commit);
  bool is_confirmed = r->state == RAFT_LEADER
                          ? read->round <= confirmed && r->commit >= read->index
                          : read->index != 0;
  /* A READ is born after the APPLY or INSTALL that it waits for. */
  bool is_ours = read->from == r->options.self;
  bool is_handed =
      r->apply_handed >= read->index && !r->snapshots.is_install_due;
  return is_confirmed && (!is_ours || is_handed);
}

static void ask_leader(struct raft *r) {
  assert(r->read_count > 0);
  if (!r->is_read_due || r->state != RAFT_FOLLOWER || r->leader == 0) return;
  if (raft_reserve_send(r, 0) != RAFT_OK) return;
  struct raft_message m = {.kind = RAFT_MSG_READ, .term = r->term};
  m.read.context = r->read_context;
  raft_send(r, r->leader, raft_hard_after(r), &m);
  r->is_read_due = false;
  r->read_resend = r->now + raft_heartbeat(r);
}

void raft_emit_reads(struct raft *r) {
  assert(r->read_count == 0 || r->leader != 0);
  if (r->read_count == 0) return;
  ask_leader(r);
  bool is_leader = r->state == RAFT_LEADER;
  uint64_t confirmed = is_leader ? confirmed_round(r) : 0;
  uint32_t served = 0;
  for (; served < r->read_count; served++) {
    if (!is_ready(r, &r->reads[served], confirmed)) break;
    if (raft_reserve_send(r, 0) != RAFT_OK) break;
    serve(r, &r->reads[served]);
  }
  drop_oldest(r, served);
}
