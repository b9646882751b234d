/* replica.c - one replica among liars: everything that arrives is made up, with
 * the right checksums, and so is what the disk hands back. Only its own driver
 * is honest, for that is the contract of raft.h.
 *
 *   input   members u8, flags u8, entries u8 and a term for each; then steps:
 *           what u8 and details
 *
 * What others say may be wrong; that must never end us, nor break an invariant
 * of ours: what was committed stays, one vote in a term, indexes in order.
 */
#include "raft.h"

#include "bytes.h"
#include "check.h"
#include "cluster.h"
#include "config.h"
#include "entry.h"
#include "fields.h"
#include "frame_repair.h"
#include "fuzz.h"
#include "test.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 200, ENTRIES_MAX = 24, PENDING_MAX = 64 };
enum { UNFORMED = 1, SMALL_MEMORY = 2, SHORT_TAIL = 4, LEASES = 8, MUTE = 16 };

struct life {
  struct raft *r;
  struct raft_in *in;
  struct test_memory memory;
  struct raft_config config;
  raft_ms now;
  raft_seq stores[RAFT_STORES_MAX * 2]; /* under way */
  uint32_t store_count;
  raft_seq reported;
  struct raft_effect applies[PENDING_MAX]; /* and installs; in order of birth */
  uint32_t apply_count;
  struct raft_effect loads[PENDING_MAX];
  uint32_t load_count;
  struct raft_effect ship; /* the newest */
  raft_index compact;      /* may go */
};

static const char *const names[] = {"n1", "n2", "n3", "n4", "zz"};

/* ---- made-up things ------------------------------------------------------ */

static struct raft_config make_config(struct raft_in *in, uint8_t flags) {
  struct raft_config c = {.election_min_ms = 100, .count = 1 + flags % 4};
  c.leases = raft_in_u8(in) % 2 == 1;
  c.rule[0].kind = c.rule[1].kind = RAFT_RULE_MAJORITY;
  for (uint32_t i = 0; i < c.count; i++) {
    struct raft_member *m = &c.members[i];
    uint8_t role =
        i == 0 || raft_in_u8(in) % 4 != 0 ? RAFT_ROLE_VOTER : RAFT_ROLE_LEARNER;
    strcpy(m->name, names[i]);
    strcpy(m->address, "h:1");
    m->id = raft_id_of(m->name);
    m->incarnation = 100 + i;
    m->role[0] = m->role[1] = m->goal = role;
  }
  raft_config_sort(&c);
  return c;
}

/* Entries from `first` on: of near terms, of all kinds, some of them broken. */
static size_t make_entries(struct life *l, raft_index first, uint32_t count,
                           raft_term base, uint8_t *out) {
  size_t size = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t payload[RAFT_CONFIG_BYTES_MAX] = "some command";
    uint8_t how = raft_in_u8(l->in);
    struct raft_entry e = {.index = first + i, .term = base, .size = how % 13u};
    e.kind = RAFT_ENTRY_COMMAND;
    e.time = how >= 240 ? fuzz_number(l->in) : l->now;
    e.payload = payload;
    if (how % 16 == 3) e.kind = RAFT_ENTRY_NOOP;
    if (how % 16 == 5) {
      struct raft_config c = make_config(l->in, how / 16);
      e.kind = RAFT_ENTRY_CONFIG;
      e.size = (uint32_t)raft_config_encode(&c, payload);
    }
    if (how % 16 == 6) e.kind = RAFT_ENTRY_CONFIG; /* of text */
    if (how % 16 == 7 && base > 1) e.term = base - 1;
    if (how % 16 == 9) e.index++;
    if (how % 16 == 11 && base < INT64_MAX) base = ++e.term;
    size += raft_entry_encode(&e, out + size);
  }
  return size;
}

/* ---- steps, and what must hold after each -------------------------------- */

/* An error means that nothing has happened: only damage is counted. */
static void check_refusal(const struct life *l, const uint64_t before[2]) {
  uint64_t after[2];
  raft_digest(l->r, after);
  DEMAND(before[0] == after[0]);
  DEMAND(before[1] == after[1]);
}

/* What a liar can bring about, without any harm to us: an entry replaced, and
 * behind it the double of one we had, by index and term [Raft 5.3]; a second
 * configuration before the first one is known to be committed [Raft 6], and
 * where both are taken back, none in force though an older one is there; a
 * snapshot that knows of others than our log; a second leader of our term. */
static bool is_work_of_liars(const char *broken) {
  static const char *const all[] = {
      "a configuration was forgotten",
      "two uncommitted configurations",
      "the configuration in force is no configuration",
      "a leader's term starts earlier than it says",
      "a durable entry is not",
      "a newer configuration than the one in force"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(broken, all[i]) == 0) return true;
  return false;
}

static void demand_sound(const struct raft_facts *before,
                         const struct raft *r) {
  const char *broken = raft_check(r);
  if (broken == NULL || is_work_of_liars(broken))
    broken = raft_check_step(before, r);
  if (broken == NULL || is_work_of_liars(broken)) return;
  fuzz_broken(broken, __FILE__, __LINE__);
}

static int64_t step(struct life *l, struct raft_event *ev) {
  struct raft_facts before = raft_facts_of(l->r);
  uint64_t digest[2];
  ev->now = l->now;
  ev->wall = 1000000 + l->now;
  raft_digest(l->r, digest);
  bool may_lack = l->memory.fail_in > 0;
  int64_t rc = raft_step(l->r, ev);
  if (rc == RAFT_E_NOMEM) {
    DEMAND(may_lack);
    check_refusal(l, digest);
    rc = raft_step(l->r, ev);
  }
  demand_sound(&before, l->r);
  if (rc < 0) check_refusal(l, digest);
  return rc;
}

/* ---- what the driver does ------------------------------------------------ */

static void keep(struct life *l, const struct raft_effect *fx) {
  switch (fx->kind) {
  case RAFT_FX_STORE:
    DEMAND(l->store_count < RAFT_STORES_MAX);
    l->stores[l->store_count++] = fx->store.seq;
    break;
  case RAFT_FX_APPLY:
    DEMAND(fx->apply.first <= fx->apply.last);
    if (l->apply_count < PENDING_MAX) l->applies[l->apply_count++] = *fx;
    break;
  case RAFT_FX_LOAD:
    DEMAND(fx->load.first <= fx->load.last);
    if (l->load_count < PENDING_MAX) l->loads[l->load_count++] = *fx;
    break;
  case RAFT_FX_SEND: {
    struct raft_message m;
    uint8_t frame[4096];
    size_t size = 0;
    for (uint32_t i = 0; i < fx->part_count; i++) {
      DEMAND(size + fx->parts[i].size <= sizeof frame);
      memcpy(frame + size, fx->parts[i].data, fx->parts[i].size);
      size += fx->parts[i].size;
    }
    DEMAND(raft_wire_decode(frame, size, &m) == RAFT_OK);
    break;
  }
  case RAFT_FX_READ:
  case RAFT_FX_ROLE:
  case RAFT_FX_CONFIG:
  case RAFT_FX_DIVERGED:
  case RAFT_FX_FORWARDED: break;
  case RAFT_FX_INSTALL:
    if (l->apply_count < PENDING_MAX) l->applies[l->apply_count++] = *fx;
    break;
  case RAFT_FX_SHIP: l->ship = *fx; break;
  case RAFT_FX_COMPACT:
    DEMAND(fx->compact > l->compact);
    l->compact = fx->compact;
    break;
  case RAFT_FX_NONE: DEMAND(false); break;
  }
}

static void flush(struct life *l) {
  struct raft_batch batch;
  struct raft_facts before = raft_facts_of(l->r);
  raft_take(l->r, &batch);
  demand_sound(&before, l->r);
  for (uint32_t i = 0; i < batch.count; i++)
    keep(l, &batch.effects[i]);
}

static void report_stored(struct life *l) {
  uint8_t how = raft_in_u8(l->in);
  struct raft_event ev = {.kind = RAFT_EV_STORED};
  if (how >= 240) { /* of a batch that is not there, or long done */
    ev.stored = l->reported + l->store_count + 1 + how % 2;
    DEMAND(step(l, &ev) < 0);
    return;
  }
  if (l->store_count == 0) return;
  uint32_t count = 1 + how % l->store_count;
  ev.stored = l->reported = l->stores[count - 1];
  l->store_count -= count;
  memmove(l->stores, l->stores + count, l->store_count * sizeof *l->stores);
  DEMAND(step(l, &ev) == RAFT_OK);
}

/* One of three results, so that others agree at times. */
static void report_results(struct life *l, raft_index index) {
  struct raft_event ev = {.kind = RAFT_EV_RESULTS};
  ev.results.index = index;
  ev.results.digest = index % 3;
  DEMAND(step(l, &ev) == RAFT_OK);
}

/* Applies what is handed out and durable, and reports it. */
static void report_applied(struct life *l) {
  struct raft_event ev = {.kind = RAFT_EV_APPLIED};
  if (l->apply_count == 0 || l->applies[0].after > l->reported) return;
  const struct raft_effect *fx = &l->applies[0];
  bool installs = fx->kind == RAFT_FX_INSTALL;
  ev.applied = installs ? fx->install.index : fx->apply.last;
  for (raft_index i = fx->apply.first; !installs && i <= ev.applied; i++) {
    struct raft_entry e;
    bool is_there = raft_entry_at(l->r, i, &e);
    DEMAND(is_there);
    DEMAND(e.index == i);
  }
  memmove(l->applies, l->applies + 1, --l->apply_count * sizeof *l->applies);
  DEMAND(step(l, &ev) == RAFT_OK);
  report_results(l, ev.applied);
}

/* Hands entries back that look right, or do not. */
static void answer_load(struct life *l) {
  uint8_t bytes[4096];
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  if (l->load_count == 0) return;
  struct raft_effect fx = l->loads[0];
  memmove(l->loads, l->loads + 1, --l->load_count * sizeof *l->loads);
  ev.loaded.peer = fx.load.peer;
  ev.loaded.first = fx.load.first;
  uint32_t count = raft_in_u8(l->in) % 4;
  if (count > fx.load.last - fx.load.first + 1) count = 0;
  raft_term term = raft_term_at(l->r, fx.load.first);
  size_t size =
      term > 0 ? make_entries(l, fx.load.first, count, term, bytes) : 0;
  uint8_t *exact = fuzz_copy(bytes, size);
  ev.loaded.entries = (struct raft_slice){exact, size};
  (void)step(l, &ev); /* damage is refused */
  free(exact);
}

static void load_unasked(struct life *l) {
  uint8_t bytes[4096];
  struct raft_event ev = {.kind = RAFT_EV_LOADED};
  struct raft_status s;
  raft_status(l->r, &s);
  if (raft_in_u8(l->in) % 2 == 1)
    ev.loaded.peer = raft_id_of(names[1 + raft_in_u8(l->in) % 4]);
  ev.loaded.first = 1 + fuzz_near(l->in, s.applied) % (INT64_MAX - 8u);
  raft_term term = raft_term_at(l->r, ev.loaded.first);
  size_t size = make_entries(l, ev.loaded.first, raft_in_u8(l->in) % 3,
                             term > 0 ? term : 1, bytes);
  ev.loaded.entries = (struct raft_slice){bytes, size};
  (void)step(l, &ev); /* nobody asked: dropped, or refused */
}

/* ---- snapshots ----------------------------------------------------------- */

static void make_snapshot(struct life *l) {
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft_snapshot s;
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_MADE, .snapshot = &s};
  if (raft_snapshot_meta(l->r, config, &s) != RAFT_OK) return; /* busy */
  DEMAND(step(l, &ev) == RAFT_OK);
}

/* One that may say anything; what it covers is void then. */
static void receive_snapshot(struct life *l) {
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  struct raft_status now;
  raft_status(l->r, &now);
  struct raft_config c = make_config(l->in, raft_in_u8(l->in));
  struct raft_snapshot s = {
      .index = fuzz_near(l->in, raft_in_u8(l->in) % 2 ? now.last : now.commit),
      .term = fuzz_near(l->in, now.term),
      .time = l->now,
      .config = {config, raft_config_encode(&c, config)},
      .is_bare = c.leases,
  };
  if (raft_in_u8(l->in) % 2 == 0) s.term = raft_term_at(l->r, s.index);
  s.config_index = raft_in_u8(l->in) % 2 ? now.config_index : s.index / 2;
  struct raft_event ev = {.kind = RAFT_EV_SNAPSHOT_RECEIVED, .snapshot = &s};
  if (step(l, &ev) > 0) l->apply_count = 0;
}

static void let_go(struct life *l) {
  struct raft_event ev = {.kind = RAFT_EV_COMPACTED};
  uint8_t how = raft_in_u8(l->in);
  ev.compacted = l->compact / (1 + how % 4);
  if (how >= 240) ev.compacted = fuzz_near(l->in, l->compact);
  DEMAND(step(l, &ev) == RAFT_OK || how >= 240);
}

static void end_transfer(struct life *l) {
  struct raft_event ev = {.kind = RAFT_EV_SHIPPED};
  ev.shipped.peer = l->ship.ship.to; /* or there was none yet */
  ev.shipped.index = l->ship.ship.index + (raft_in_u8(l->in) % 8 == 7);
  ev.shipped.is_done = raft_in_u8(l->in) % 2 == 0;
  DEMAND(step(l, &ev) == RAFT_OK);
}

/* ---- users, time --------------------------------------------------------- */

static void pass_time(struct life *l) {
  struct raft_event ev = {.kind = RAFT_EV_TICK};
  l->now += raft_in_u8(l->in);
  DEMAND(step(l, &ev) == RAFT_OK);
}

static void propose(struct life *l) {
  uint8_t how = raft_in_u8(l->in);
  struct raft_slice commands[4];
  static const uint8_t text[700];
  for (uint32_t i = 0; i < 4; i++)
    commands[i] = (struct raft_slice){text, how / 4 * (i % 2 ? 1u : 10u)};
  struct raft_event ev = {.kind =
                              how % 2 == 1 ? RAFT_EV_FORWARD : RAFT_EV_PROPOSE};
  ev.propose.commands = commands;
  ev.propose.count = 1 + how % 4;
  ev.propose.token = how;
  (void)step(l, &ev); /* many answers are right */
}

static void ask(struct life *l) {
  uint8_t how = raft_in_u8(l->in);
  struct raft_event ev = {.kind = RAFT_EV_READ, .read = how};
  if (how % 8 == 1) {
    ev = (struct raft_event){.kind = RAFT_EV_SPACE};
    ev.has_space = how >= 128;
  } else if (how % 8 == 2) {
    ev = (struct raft_event){.kind = RAFT_EV_UNREACHABLE};
    ev.unreachable = raft_id_of(names[how / 8 % 5]);
  } else if (how % 8 == 3) {
    ev = (struct raft_event){.kind = RAFT_EV_TRANSFER};
    ev.transfer.to = how >= 128 ? raft_id_of(names[how / 8 % 5]) : 0;
  } else if (how % 8 == 4) {
    struct raft_config c = make_config(l->in, how / 8);
    ev = (struct raft_event){.kind = RAFT_EV_FORM, .form = &c};
    (void)step(l, &ev); /* formed already: usage */
    return;
  }
  (void)step(l, &ev); /* many answers are right */
}

static void swap(struct life *l) {
  uint64_t before[2];
  uint64_t after[2];
  struct raft *copy = raft_clone(l->r);
  if (copy == NULL) return; /* no memory */
  raft_digest(l->r, before);
  raft_digest(copy, after);
  DEMAND(before[0] == after[0]);
  raft_free(l->r);
  l->r = copy;
}

static void lack_memory(struct life *l) {
  l->memory.fail_in = 1 + raft_in_u8(l->in) % 8;
}

/* ---- messages ------------------------------------------------------------ */

static void hear(struct life *l, const uint8_t *frame, size_t size) {
  uint8_t who = raft_in_u8(l->in);
  struct raft_event ev = {.kind = RAFT_EV_RECEIVE};
  ev.receive.from = raft_id_of(names[who % 5]);
  ev.receive.incarnation = who < 200 ? 100 + who % 5 : who;
  uint8_t *exact = fuzz_copy(frame, size);
  ev.receive.frame = (struct raft_slice){exact, size};
  (void)step(l, &ev); /* most of it is refused */
  free(exact);
}

/* Gives the frame whose fields end at `fields` and whose tail is of that size
 * behind them. */
static void hear_kind(struct life *l, uint8_t kind, raft_term term,
                      uint8_t *frame, const struct raft_out *fields,
                      size_t tail) {
  size_t head = (size_t)(fields->at - frame);
  frame[9] = kind; /* as drawn in docs/FORMATS.md */
  raft_put_u16(frame + 10, (uint16_t)head);
  raft_put_u64(frame + 16, term);
  frame_repair(frame, head + tail);
  hear(l, frame, head + tail);
}

static void some_message(struct life *l) {
  uint8_t frame[512] = {0};
  struct raft_status s;
  struct raft_out out = {frame + RAFT_FRAME_HEADER_BYTES, frame + sizeof frame};
  raft_status(l->r, &s);
  uint8_t kind = RAFT_MSG_VOTE + raft_in_u8(l->in) % 8;
  raft_term term = fuzz_near(l->in, s.term);
  fuzz_fields(l->in, kind, &s, &out);
  hear_kind(l, kind, term, frame, &out, 0);
}

/* Votes for us, most of them of the election that is on. */
static void answer_vote(struct life *l) {
  uint8_t frame[128] = {0};
  struct raft_out out = {frame + RAFT_FRAME_HEADER_BYTES, frame + sizeof frame};
  struct raft_facts now = raft_facts_of(l->r);
  bool is_pre = now.state == RAFT_PRE_CANDIDATE;
  uint8_t how = raft_in_u8(l->in);
  if (how >= 240) is_pre = !is_pre;
  raft_out_u64(&out, now.term + is_pre);
  raft_out_u64(&out, now.ballot_round - (how % 16 == 15));
  raft_out_u8(&out, is_pre);
  raft_out_u8(&out, how % 8 != 7);
  hear_kind(l, RAFT_MSG_VOTE_REPLY, now.term, frame, &out, 0);
}

static void append(struct life *l) {
  uint8_t frame[6000] = {0};
  struct raft_status s;
  struct raft_out out = {frame + RAFT_FRAME_HEADER_BYTES, frame + sizeof frame};
  raft_status(l->r, &s);
  raft_index prev =
      fuzz_near(l->in, raft_in_u8(l->in) % 2 == 0 ? s.last : s.commit);
  raft_term prev_term = raft_term_at(l->r, prev);
  uint8_t how = raft_in_u8(l->in);
  if (how >= 224) prev_term = fuzz_near(l->in, prev_term);
  raft_term term = how % 8 == 7 ? fuzz_near(l->in, s.term) : s.term;
  if (how % 8 == 6) term = s.term + 1;
  uint32_t count = raft_in_u8(l->in) % 5;
  raft_out_u64(&out, prev);
  raft_out_u64(&out, prev_term);
  raft_out_u64(&out, fuzz_near(l->in, s.commit));
  raft_out_u64(&out, raft_in_u8(l->in));
  raft_out_u32(&out, count);
  if (how % 16 == 13) fuzz_verdict(l->in, how / 16, s.applied, &out);
  size_t tail = 0;
  const uint64_t terms = INT64_MAX - 1u; /* an entry is of 1 to this one */
  if (prev < INT64_MAX - 8u && term - 1 < terms) {
    bool is_old = raft_in_u8(l->in) % 2 != 0 && prev_term - 1 < terms;
    tail = make_entries(l, prev + 1, count, is_old ? prev_term : term, out.at);
  }
  hear_kind(l, RAFT_MSG_APPEND, term, frame, &out, tail);
}

static void raw_frame(struct life *l) {
  size_t size = raft_in_u8(l->in);
  const uint8_t *data = raft_in_bytes(l->in, size);
  if (data == NULL) return;
  uint8_t frame[UINT8_MAX + 1];
  memcpy(frame, data, size);
  frame_repair(frame, size);
  hear(l, frame, size);
}

/* ---- one life ------------------------------------------------------------ */

static void (*const steps[])(struct life *l) = {
    flush,         report_stored,    pass_time,      some_message,
    append,        answer_vote,      flush,          report_stored,
    pass_time,     append,           append,         answer_vote,
    ask,           propose,          answer_load,    raw_frame,
    load_unasked,  lack_memory,      report_applied, swap,
    make_snapshot, receive_snapshot, let_go,         end_transfer,
};

/* A log as the disk may have it: entry 1 a configuration, terms that ascend. */
static size_t make_log(struct life *l, struct raft_recovery *rec,
                       struct raft_run *runs, uint8_t *bytes) {
  uint8_t payload[RAFT_CONFIG_BYTES_MAX];
  struct raft_entry e = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONFIG};
  e.size = (uint32_t)raft_config_encode(&l->config, payload);
  e.payload = payload;
  size_t size = raft_entry_encode(&e, bytes);
  rec->config.index = 1;
  rec->config.payload =
      (struct raft_slice){bytes + RAFT_ENTRY_HEADER_BYTES, e.size};
  rec->last = 1 + raft_in_u8(l->in) % ENTRIES_MAX;
  runs[rec->run_count++] = (struct raft_run){.first = 1, .term = 1};
  for (raft_index i = 2; i <= rec->last; i++) {
    raft_term rise = raft_in_u8(l->in) % 4 == 0;
    raft_term term = runs[rec->run_count - 1].term + rise;
    if (rise) runs[rec->run_count++] = (struct raft_run){i, term};
    size += cluster_entries(i, &term, 1, bytes + size);
  }
  rec->term = runs[rec->run_count - 1].term + raft_in_u8(l->in) % 2;
  return size;
}

/* Starts it from what a disk held; the last entries are in memory. */
static void start(struct life *l, uint8_t flags) {
  uint8_t bytes[4096];
  struct raft_run runs[ENTRIES_MAX + 1];
  struct raft_recovery rec = {.runs = runs};
  struct raft_event ev = {.kind = RAFT_EV_START};
  if ((flags & UNFORMED) == 0) {
    size_t size = make_log(l, &rec, runs, bytes);
    size_t from = 0;
    rec.commit = fuzz_near(l->in, rec.last);
    rec.tail_first = 1;
    struct raft_entry e;
    while ((flags & SHORT_TAIL) != 0 && rec.tail_first < rec.last) {
      raft_entry_view(bytes + from, &e);
      from += raft_entry_bytes(&e);
      rec.tail_first++;
    }
    rec.tail = (struct raft_slice){bytes + from, size - from};
    ev.start = &rec;
  }
  DEMAND(step(l, &ev) == RAFT_OK);
}

static struct raft *make(struct life *l, uint8_t flags) {
  const struct raft_options o = {
      .self = raft_id_of(names[0]),
      .incarnation = 100,
      .seed = 1,
      .election_min_ms = 100,
      .election_max_ms = 200,
      .heartbeat_ms = 20,
      .command_bytes_max = 600,
      .pending_bytes_max = 2000,
      .message_bytes_max = 256,
      .inflight_bytes_max = 1024,
      .memory_bytes_max = (flags & SMALL_MEMORY) != 0 ? 600 : 1u << 20,
      .alloc = test_alloc,
      .alloc_ud = &l->memory,
  };
  return raft_new(&o);
}

void fuzz_replica(const uint8_t *data, size_t size) {
  struct raft_in in = {.at = data, .end = data + size};
  struct life l = {.in = &in, .now = 1000};
  uint8_t flags = raft_in_u8(&in);
  l.config = make_config(&in, raft_in_u8(&in));
  l.r = make(&l, flags);
  DEMAND(l.r != NULL);
  start(&l, flags);
  for (int i = 0; i < STEPS_MAX && raft_in_left(&in) > 0; i++) {
    uint8_t what = raft_in_u8(&in);
    steps[what % (sizeof steps / sizeof *steps)](&l);
  }
  raft_free(l.r);
  DEMAND(l.memory.live == 0);
}
