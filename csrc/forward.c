/* forward.c - commands on their way into the log.
 *
 * Only a leader appends. A follower's commands travel to the leader of the term
 * it knows and are accepted in that very term only: so a proposal that was
 * given up can not slip in behind a later one. Nothing is ever sent twice.
 */
#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "config.h"
#include "crc32c.h"
#include "replica.h"

/* All commands of one forward travel in one frame. */
#define FORWARD_BYTES_MAX (RAFT_FRAME_BYTES_MAX - RAFT_FRAME_FIXED_MAX)

#define HEIR_BYTES   8 /* the id in a wish for a transfer */
#define CHANGE_BYTES 9 /* before the target in a wish for a change */

/* Is too much not committed yet, or, behind a disk or a state machine that
 * does not keep up, too much to be kept in memory? The first bounds what may be
 * lost, the second what the others have committed without us. */
static bool is_too_much(const struct raft *r, size_t bytes) {
  assert(r->state == RAFT_LEADER || r->pending_bytes == 0);
  size_t pending = r->pending_bytes;
  if (pending == 0 && r->log.stored == r->log.last) return false;
  if (pending > 0 && pending + bytes > r->options.pending_bytes_max)
    return true;
  size_t kept_max = r->options.memory_bytes_max + r->options.pending_bytes_max;
  assert(kept_max >= r->options.memory_bytes_max);
  return r->log.memory_bytes > kept_max;
}

/* Does somebody else lead soon, who needs all that we have? */
static bool is_going(const struct raft *r) {
  assert(r->state == RAFT_LEADER || r->heir == 0);
  return r->state == RAFT_LEADER && (r->heir != 0 || raft_is_leaving(r));
}

/* The largest payload that is taken. */
static size_t payload_max(const struct raft *r, bool is_session) {
  assert(r->options.command_bytes_max <= RAFT_COMMAND_BYTES_MAX);
  return r->options.command_bytes_max +
         (is_session ? RAFT_SESSION_HEAD_BYTES : 0u);
}

/* May these be appended now? RAFT_OK or why not. */
static int judge(const struct raft *r, const struct raft_event *ev,
                 size_t *bytes) {
  assert(r->state == RAFT_LEADER);
  assert(ev->kind == RAFT_EV_PROPOSE);
  const struct raft_slice *commands = ev->propose.commands;
  size_t max = payload_max(r, ev->propose.is_session);
  *bytes = 0;
  if (is_going(r)) return RAFT_E_BUSY;
  if (r->is_out_of_space) return RAFT_E_NO_SPACE;
  for (uint32_t i = 0; i < ev->propose.count; i++) {
    if (commands[i].size > max) return RAFT_E_TOO_LARGE;
    *bytes += RAFT_ENTRY_HEADER_BYTES + commands[i].size;
  }
  return is_too_much(r, *bytes) ? RAFT_E_BUSY : RAFT_OK;
}

/* Appends commands; room was reserved. */
static void append(struct raft *r, const struct raft_slice *commands,
                   uint32_t count, bool is_session, raft_ms time) {
  assert(time >= r->last_time);
  assert(r->state == RAFT_LEADER);
  struct raft_entry e = {
      .term = r->term,
      .time = time,
      .kind = is_session ? RAFT_ENTRY_SESSION : RAFT_ENTRY_COMMAND,
  };
  raft_log_append_alike(&r->log, &e, commands, count);
  r->last_time = time;
  assert(r->log.last == e.index);
}

int64_t raft_on_propose(struct raft *r, const struct raft_event *ev) {
  assert(r->is_started);
  assert(ev->kind == RAFT_EV_PROPOSE);
  const struct raft_slice *commands = ev->propose.commands;
  uint32_t count = ev->propose.count;
  if (count == 0) return RAFT_E_USAGE;
  if (r->state != RAFT_LEADER) return RAFT_E_NOT_LEADER;
  size_t bytes = 0;
  int rc = judge(r, ev, &bytes);
  if (rc == RAFT_OK) rc = raft_log_reserve(&r->log, bytes, count);
  if (rc != RAFT_OK) return rc;
  raft_index first = r->log.last + 1;
  append(r, commands, count, ev->propose.is_session, raft_stamp(r));
  r->pending_bytes += bytes;
  return (int64_t)first;
}

/* ---- a follower sends ---------------------------------------------------- */

static uint8_t *put_command(uint8_t *out, struct raft_slice command) {
  assert(out != NULL);
  assert(command.size <= UINT32_MAX);
  uint32_t size = (uint32_t)command.size;
  for (int i = 0; i < 4; i++)
    *out++ = (uint8_t)(size >> (8 * i));
  if (command.size > 0) memcpy(out, command.data, command.size);
  return out + command.size;
}

/* Sends the commands, of so many bytes with their sizes, to the leader. */
static int send_propose(struct raft *r, const struct raft_message *head,
                        const struct raft_slice *commands, size_t bytes) {
  assert(r->leader != 0);
  assert(r->state != RAFT_LEADER);
  int rc = raft_outbox_reserve(&r->out, 0, bytes + RAFT_OUTBOX_ALIGN);
  if (rc != RAFT_OK) return rc;
  uint8_t *tail = raft_outbox_bytes(&r->out, bytes);
  rc = raft_reserve_send(r, bytes);
  if (rc != RAFT_OK) return rc;
  uint8_t *end = tail;
  for (uint32_t i = 0; i < head->propose.count; i++)
    end = put_command(end, commands[i]);
  assert((size_t)(end - tail) == bytes);
  struct raft_message m = *head;
  m.kind = RAFT_MSG_PROPOSE;
  m.term = r->term;
  m.propose.token ^= r->life;
  m.propose.crc = raft_crc32c(0, tail, bytes);
  m.tail = (struct raft_slice){tail, bytes};
  raft_send(r, r->leader, raft_hard_after(r), &m);
  return RAFT_OK;
}

int64_t raft_on_forward(struct raft *r, const struct raft_event *ev) {
  assert(r->is_started);
  assert(ev->kind == RAFT_EV_FORWARD);
  if (ev->propose.count == 0) return RAFT_E_USAGE;
  if (r->state == RAFT_LEADER) return RAFT_E_USAGE; /* propose instead */
  if (r->leader == 0) return RAFT_E_NO_LEADER;
  size_t bytes = 0;
  for (uint32_t i = 0; i < ev->propose.count; i++) {
    size_t size = ev->propose.commands[i].size;
    if (size > payload_max(r, ev->propose.is_session)) return RAFT_E_TOO_LARGE;
    bytes += 4 + size;
    if (bytes > FORWARD_BYTES_MAX) return RAFT_E_TOO_LARGE;
  }
  struct raft_message head = {.kind = RAFT_MSG_PROPOSE};
  head.propose.token = ev->propose.token;
  head.propose.count = ev->propose.count;
  head.propose.kind =
      ev->propose.is_session ? RAFT_PROPOSE_SESSIONS : RAFT_PROPOSE_COMMANDS;
  return send_propose(r, &head, ev->propose.commands, bytes);
}

/* One command: based_on, forced, the target. */
int raft_forward_change(struct raft *r, const struct raft_event *ev) {
  assert(ev->kind == RAFT_EV_CHANGE);
  assert(r->state != RAFT_LEADER);
  uint8_t bytes[CHANGE_BYTES + RAFT_CONFIG_BYTES_MAX];
  raft_put_u64(bytes, ev->change.based_on);
  bytes[8] = ev->change.is_forced;
  size_t size = CHANGE_BYTES +
                raft_config_encode(ev->change.target, bytes + CHANGE_BYTES);
  struct raft_message head = {.kind = RAFT_MSG_PROPOSE};
  head.propose.token = ev->change.token;
  head.propose.count = 1;
  head.propose.kind = RAFT_PROPOSE_CHANGE;
  struct raft_slice command = {bytes, size};
  return send_propose(r, &head, &command, 4 + size);
}

int raft_forward_transfer(struct raft *r, raft_id to, uint64_t token) {
  assert(r->is_started);
  assert(r->state != RAFT_LEADER);
  if (r->leader == 0) return RAFT_E_NO_LEADER;
  uint8_t id[HEIR_BYTES];
  for (int i = 0; i < HEIR_BYTES; i++)
    id[i] = (uint8_t)(to >> (8 * i));
  struct raft_message head = {.kind = RAFT_MSG_PROPOSE};
  head.propose.token = token;
  head.propose.count = 1;
  head.propose.kind = RAFT_PROPOSE_TRANSFER;
  struct raft_slice command = {id, sizeof id};
  return send_propose(r, &head, &command, 4 + sizeof id);
}

void raft_on_propose_reply(struct raft *r, const struct raft_message *m) {
  assert(r->is_started);
  assert(m->kind == RAFT_MSG_PROPOSE_REPLY);
  struct raft_effect *fx = raft_outbox_add(&r->out, RAFT_FX_FORWARDED, 0);
  fx->forwarded.token = m->propose_reply.token ^ r->life;
  fx->forwarded.code = m->propose_reply.code;
  fx->forwarded.index = m->propose_reply.index;
  fx->forwarded.term = m->term;
  fx->forwarded.missing = m->propose_reply.missing;
}

/* ---- a leader receives --------------------------------------------------- */

/* Whom a wish for a transfer names. */
static bool read_heir(const struct raft_message *m, raft_id *to) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  assert(m->propose.kind == RAFT_PROPOSE_TRANSFER);
  if (m->tail.size != 4 + HEIR_BYTES) return false;
  *to = 0;
  for (int i = 0; i < HEIR_BYTES; i++)
    *to |= (raft_id)m->tail.data[4 + i] << (8 * i);
  return true;
}

struct wish { /* for a change */
  raft_index based_on;
  bool is_forced;
  struct raft_config target;
};

/* RAFT_OK, RAFT_E_CORRUPT, or the verdict: BAD_CONFIG. */
static int read_change(const struct raft_message *m, struct wish *out) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  assert(m->propose.kind == RAFT_PROPOSE_CHANGE);
  struct raft_slice rest = m->tail;
  struct raft_slice command;
  if (m->propose.count != 1) return RAFT_E_CORRUPT;
  /* unreachable: wire.c has read it */
  if (raft_wire_command_next(&rest, &command) != RAFT_OK) return RAFT_E_CORRUPT;
  if (command.size < CHANGE_BYTES || command.data[8] > 1) return RAFT_E_CORRUPT;
  out->based_on = raft_get_u64(command.data);
  out->is_forced = command.data[8] != 0;
  int rc = raft_config_decode(command.data + CHANGE_BYTES,
                              command.size - CHANGE_BYTES, &out->target);
  if (rc == RAFT_OK || rc == RAFT_E_BAD_CONFIG) return rc;
  return RAFT_E_CORRUPT;
}

/* Judges the commands, whose checksum wire.c has verified, and makes room.
 * RAFT_E_CORRUPT: a broken frame; any other code is the verdict that the sender
 * is told. */
int raft_propose_prepare(struct raft *r, const struct raft_message *m) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  assert(r->is_started);
  raft_id heir;
  if (m->propose.kind == RAFT_PROPOSE_TRANSFER)
    return read_heir(m, &heir) ? RAFT_OK : RAFT_E_CORRUPT;
  if (m->propose.kind == RAFT_PROPOSE_CHANGE) {
    struct wish wish;
    return read_change(m, &wish);
  }
  /* unreachable: wire.c knows no others */
  if (m->propose.kind != RAFT_PROPOSE_COMMANDS &&
      m->propose.kind != RAFT_PROPOSE_SESSIONS)
    return RAFT_E_UNSUPPORTED;
  bool is_session = m->propose.kind == RAFT_PROPOSE_SESSIONS;
  struct raft_slice rest = m->tail;
  struct raft_slice command;
  size_t bytes = 0;
  int verdict = RAFT_OK;
  for (uint32_t i = 0; i < m->propose.count; i++) {
    /* unreachable: wire.c has read them */
    if (raft_wire_command_next(&rest, &command) != RAFT_OK)
      return RAFT_E_CORRUPT;
    if (command.size > payload_max(r, is_session)) verdict = RAFT_E_TOO_LARGE;
    bytes += RAFT_ENTRY_HEADER_BYTES + command.size;
  }
  /* unreachable: as above */
  if (rest.size != 0 || m->propose.count == 0) return RAFT_E_CORRUPT;
  if (verdict != RAFT_OK) return verdict;
  if (is_going(r)) return RAFT_E_BUSY;
  if (r->is_out_of_space) return RAFT_E_NO_SPACE;
  if (is_too_much(r, bytes)) return RAFT_E_BUSY;
  bool has_room = raft_log_reserve(&r->log, bytes, m->propose.count) == RAFT_OK;
  return has_room ? RAFT_OK : RAFT_E_BUSY;
}

static void answer(struct raft *r, raft_id to, const struct raft_message *m,
                   int code, raft_index index) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  assert((code == RAFT_OK) == (index > 0));
  struct raft_message reply = {.kind = RAFT_MSG_PROPOSE_REPLY, .term = r->term};
  reply.propose_reply.token = m->propose.token;
  reply.propose_reply.code = code;
  reply.propose_reply.index = index;
  raft_send(r, to, raft_hard_after(r), &reply);
}

static void answer_change(struct raft *r, raft_id to,
                          const struct raft_message *m) {
  assert(r->state == RAFT_LEADER);
  struct wish wish;
  int verdict = read_change(m, &wish);
  assert(verdict == RAFT_OK); /* it was read once */
  int64_t rc = verdict;
  if (rc == RAFT_OK)
    rc = raft_change(r, &wish.target, wish.based_on, wish.is_forced);
  if (rc == RAFT_E_NOMEM) rc = RAFT_E_BUSY;
  struct raft_message reply = {.kind = RAFT_MSG_PROPOSE_REPLY, .term = r->term};
  reply.propose_reply.token = m->propose.token;
  reply.propose_reply.code = rc < 0 ? (int32_t)rc : RAFT_OK;
  reply.propose_reply.index = rc < 0 ? 0 : (raft_index)rc;
  if (rc == RAFT_E_NO_QUORUM)
    reply.propose_reply.missing = raft_change_missing(r, &wish.target);
  raft_send(r, to, raft_hard_after(r), &reply);
}

void raft_refuse_propose(struct raft *r, raft_id to,
                         const struct raft_message *m, int code) {
  assert(code != RAFT_OK);
  answer(r, to, m, code, 0);
}

void raft_on_propose_request(struct raft *r, raft_id from,
                             const struct raft_message *m, int verdict) {
  assert(m->kind == RAFT_MSG_PROPOSE);
  if (r->state != RAFT_LEADER || m->term != r->term)
    verdict = RAFT_E_NOT_LEADER;
  if (verdict != RAFT_OK) {
    raft_refuse_propose(r, from, m, verdict);
    return;
  }
  if (m->propose.kind == RAFT_PROPOSE_TRANSFER) {
    raft_id heir = 0;
    (void)read_heir(m, &heir); /* it was read once */
    verdict = raft_on_transfer(r, heir);
    answer(r, from, m, verdict, verdict == RAFT_OK ? r->log.last : 0);
    return;
  }
  if (m->propose.kind == RAFT_PROPOSE_CHANGE) {
    answer_change(r, from, m);
    return;
  }
  raft_index first = r->log.last + 1;
  bool is_session = m->propose.kind == RAFT_PROPOSE_SESSIONS;
  raft_ms time = raft_stamp(r);
  struct raft_slice rest = m->tail;
  struct raft_slice command;
  while (raft_wire_command_next(&rest, &command) == RAFT_OK) {
    append(r, &command, 1, is_session, time);
    r->pending_bytes += RAFT_ENTRY_HEADER_BYTES + command.size;
  }
  assert(r->log.last - first + 1 == m->propose.count);
  answer(r, from, m, RAFT_OK, first);
}
