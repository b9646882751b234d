/* log_model_test.c - the log against a model: random operations, and after each
 * one everything that can be asked is asked of both.
 *
 * The model is an array of entries, each with a number of its own that never
 * comes again, and a list of facts: which number every store batch put where.
 * So it knows what "durable" means without any clipping, and two entries of
 * equal index and term can be told apart.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "test.h"

#define INDEX_MAX 4000
#define LENT_MAX  64 /* slices lent out in one turn */
#ifdef RAFT_TINY
#define ROUNDS 150
#define STEPS  300
#else
#define ROUNDS 12
#define STEPS  150
#endif

struct fact {   /* one entry */
  uint64_t uid; /* 0: none */
  raft_term term;
  uint32_t size; /* of its payload */
};

struct store { /* one batch under way: what it puts on disk */
  raft_index first, last;
  uint64_t uids[INDEX_MAX];
};

struct loan { /* bytes that must not change before the next take */
  const uint8_t *data;
  uint8_t *copy;
  size_t size;
};

struct model {
  raft_index base, last, window_first, window_last; /* window_last 0: none */
  raft_term base_term, term;
  uint64_t uid; /* newest given */
  struct fact entries[INDEX_MAX];
  uint64_t disk[INDEX_MAX]; /* uid of what is durable there */
  raft_index handed;
  raft_seq seq_handed, seq_stored;
  struct store stores[RAFT_STORES_MAX]; /* by seq % RAFT_STORES_MAX */
  struct loan loans[LENT_MAX];
  uint32_t loan_count;
};

static uint64_t dice;
static struct test_memory memory;
static struct model m;
static struct raft_log log_;

static uint64_t draw(uint64_t below) {
  return test_random(&dice) % below;
}

static raft_index draw_between(raft_index low, raft_index high) {
  return low + draw(high - low + 1);
}

/* ---- entries ------------------------------------------------------------- */

static struct fact new_fact(void) {
  uint32_t size = (uint32_t)draw(60);
  if (draw(30) == 0) size = (uint32_t)draw(2 * RAFT_BLOCK_BYTES);
  return (struct fact){.uid = ++m.uid, .term = m.term, .size = size};
}

/* The payload is made from the uid, so it need not be kept. */
static void make_payload(const struct fact *f, uint8_t *out) {
  uint64_t state = f->uid;
  for (uint32_t i = 0; i < f->size; i++)
    out[i] = (uint8_t)(i % 8 == 0 ? test_random(&state) : state >> i % 8 * 8);
}

static struct raft_entry make_entry(const struct fact *f, raft_index index,
                                    uint8_t *payload) {
  make_payload(f, payload);
  return (struct raft_entry){.index = index,
                             .term = f->term,
                             .time = f->uid, /* tells equal payloads apart */
                             .kind = RAFT_ENTRY_COMMAND,
                             .size = f->size,
                             .payload = payload};
}

static size_t bytes_of(const struct fact *facts, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++)
    bytes += RAFT_ENTRY_HEADER_BYTES + facts[i].size;
  return bytes;
}

/* Encoded bytes of facts from `index` on; the caller frees them. */
static uint8_t *encode(const struct fact *facts, raft_index index,
                       size_t count) {
  uint8_t *out = malloc(bytes_of(facts, count) + 1);
  uint8_t *at = out;
  for (size_t i = 0; i < count; i++) {
    uint8_t *payload = malloc(facts[i].size + 1u);
    struct raft_entry e = make_entry(&facts[i], index + i, payload);
    at += raft_entry_encode(&e, at);
    free(payload);
  }
  return out;
}

/* ---- what the model says ------------------------------------------------- */

static raft_term model_term(raft_index index) {
  if (index == m.base) return m.base_term;
  if (index < m.base || index > m.last) return 0;
  return m.entries[index].term;
}

static raft_index model_agree(raft_index index, raft_term term) {
  if (index > m.last) index = m.last;
  for (; index >= m.base; index--) {
    if (model_term(index) <= term) return index;
    if (index == 0) break;
  }
  return 0;
}

/* The newest index up to which all entries are on the disk as they are. */
static raft_index model_stored(void) {
  raft_index index = m.base;
  while (index < m.last && m.disk[index + 1] == m.entries[index + 1].uid)
    index++;
  return index < m.handed ? index : m.handed;
}

/* The first batch after which the very entry at `index` is durable. */
static raft_seq model_after(raft_index index) {
  if (index <= model_stored()) return 0;
  for (raft_seq seq = m.seq_stored + 1; seq <= m.seq_handed; seq++) {
    const struct store *s = &m.stores[seq % RAFT_STORES_MAX];
    if (index >= s->first && index <= s->last &&
        s->uids[index] == m.entries[index].uid)
      return seq;
  }
  return m.seq_handed + 1;
}

/* ---- comparing ----------------------------------------------------------- */

static void same_entry(raft_index index) {
  struct raft_entry e;
  const struct fact *f = &m.entries[index];
  bool is_here = index > m.base && index <= m.last &&
                 (index >= log_.memory_first ||
                  (index >= m.window_first && index <= m.window_last));
  EQ(raft_log_get(&log_, index, &e), is_here);
  if (!is_here) return;
  EQ(e.index, index);
  EQ(e.time, f->uid);
  EQ(e.term, f->term);
  EQ(e.size, f->size);
  if (e.size > 64 && draw(20) != 0) return; /* large ones now and then */
  uint8_t *payload = malloc(f->size + 1u);
  make_payload(f, payload);
  EQ_BYTES(e.payload, payload, f->size);
  free(payload);
}

static void same_loans(void) {
  for (uint32_t i = 0; i < m.loan_count; i++)
    EQ_BYTES(m.loans[i].data, m.loans[i].copy, m.loans[i].size);
}

static void same(void) {
  EQ_TEXT(raft_log_check(&log_), NULL);
  EQ(log_.base_index, m.base);
  EQ(log_.last, m.last);
  EQ(log_.handed, m.handed);
  EQ(log_.seq_handed, m.seq_handed);
  EQ(log_.seq_stored, m.seq_stored);
  EQ(log_.stored, model_stored());
  raft_index from = m.base > 2 ? m.base - 2 : 0;
  for (raft_index i = from; i <= m.last + 2; i++) {
    EQ(raft_log_term(&log_, i), model_term(i));
    same_entry(i);
    if (i >= m.base && i <= m.last)
      EQ(raft_log_after(&log_, i), model_after(i));
  }
  raft_index index = draw_between(from, m.last + 2);
  raft_term term = draw(m.term + 2);
  EQ(raft_log_agree(&log_, index, term), model_agree(index, term));
  raft_index low = draw_between(log_.memory_first - 1, m.last);
  EQ(raft_log_bytes(&log_, low, m.last),
     bytes_of(&m.entries[low + 1], m.last - low));
  same_loans();
}

/* ---- operations ---------------------------------------------------------- */

static void model_truncate(raft_index from) {
  if (from > m.last) return;
  m.last = from - 1;
  if (m.handed > m.last) m.handed = m.last;
  if (m.window_last >= from)
    m.window_last = m.window_first < from && m.base + 1 < from ? from - 1 : 0;
}

/* A leader's append, or a follower's: reserve, drop a conflict, append. */
static void do_append(void) {
  struct fact facts[6];
  uint32_t count = 1 + (uint32_t)draw(6);
  if (m.last + count + 10 > INDEX_MAX) return;
  bool is_raw = draw(2) == 0;
  raft_index from = m.last + 1;
  if (is_raw && draw(4) == 0) from = draw_between(m.base + 1, m.last + 1);
  for (uint32_t i = 0; i < count; i++) {
    if (draw(6) == 0) m.term++;
    facts[i] = new_fact();
  }
  if (raft_log_reserve(&log_, bytes_of(facts, count), count) != RAFT_OK) return;
  uint64_t fail_in = memory.fail_in;
  memory.fail_in = 1; /* what follows must not allocate */
  raft_log_truncate(&log_, from);
  model_truncate(from);
  if (draw(9) == 0) same_loans();
  uint8_t *data = encode(facts, from, count);
  if (is_raw) raft_log_append_raw(&log_, data, bytes_of(facts, count), count);
  for (uint32_t i = 0; !is_raw && i < count; i++) {
    uint8_t *payload = malloc(facts[i].size + 1u);
    struct raft_entry e = make_entry(&facts[i], 0, payload);
    raft_log_append(&log_, &e);
    EQ(e.index, from + i);
    free(payload);
  }
  free(data);
  memcpy(&m.entries[from], facts, count * sizeof *facts);
  m.last = from + count - 1;
  EQ(memory.fail_in, 1); /* and it did not */
  memory.fail_in = fail_in;
}

static void do_truncate(void) {
  if (m.last == m.base) return;
  raft_index from = draw_between(m.base + 1, m.last + 1);
  raft_log_truncate(&log_, from);
  model_truncate(from);
}

static void do_hand(void) {
  raft_seq seq = raft_log_hand(&log_);
  bool is_full = m.seq_handed - m.seq_stored == RAFT_STORES_MAX;
  EQ(seq, is_full ? 0 : m.seq_handed + 1);
  if (is_full) return;
  m.seq_handed++;
  struct store *s = &m.stores[m.seq_handed % RAFT_STORES_MAX];
  s->first = m.handed + 1;
  s->last = m.last;
  for (raft_index i = s->first; i <= s->last; i++)
    s->uids[i] = m.entries[i].uid;
  m.handed = m.last;
}

static void do_stored(void) {
  raft_seq seq = draw_between(m.seq_stored, m.seq_handed);
  raft_log_stored(&log_, seq);
  if (draw(3) == 0) raft_log_stored(&log_, draw(seq + 1)); /* an older one */
  for (; m.seq_stored < seq; m.seq_stored++) {
    const struct store *s = &m.stores[(m.seq_stored + 1) % RAFT_STORES_MAX];
    for (raft_index i = s->first; i <= s->last; i++)
      m.disk[i] = s->uids[i];
  }
}

static void end_loans(void) {
  for (uint32_t i = 0; i < m.loan_count; i++)
    free(m.loans[i].copy);
  m.loan_count = 0;
}

static void check_slices(const struct raft_slice *slices, uint32_t count,
                         raft_index first, raft_index last, size_t bytes) {
  uint8_t *want = encode(&m.entries[first], first, last - first + 1);
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    EQ_BYTES(slices[i].data, want + at, slices[i].size);
    at += slices[i].size;
  }
  EQ(at, bytes);
  EQ(at, bytes_of(&m.entries[first], last - first + 1));
  free(want);
}

static void lend(const struct raft_slice *slices, uint32_t count) {
  for (uint32_t i = 0; i < count && m.loan_count < LENT_MAX; i++) {
    struct loan *loan = &m.loans[m.loan_count++];
    *loan = (struct loan){.data = slices[i].data, .size = slices[i].size};
    loan->copy = malloc(loan->size);
    memcpy(loan->copy, loan->data, loan->size);
  }
}

static void do_slices(void) {
  struct raft_slice slices[8];
  raft_index first = draw_between(log_.memory_first, m.last + 1);
  if (first > m.last) return;
  raft_index want = draw_between(first, m.last);
  raft_index last = want;
  uint32_t room = 1 + (uint32_t)draw(8);
  size_t bytes_max = draw(3) == 0 ? SIZE_MAX : draw(3 * RAFT_BLOCK_BYTES);
  size_t bytes;
  uint32_t n =
      raft_log_slices(&log_, first, &last, bytes_max, slices, room, &bytes);
  CHECK(n >= 1);
  CHECK(n <= room);
  CHECK(last >= first);
  CHECK(last <= want);
  CHECK(bytes <= bytes_max || last == first);
  if (last < want && n < room) /* bytes stopped it, and with reason */
    CHECK(bytes + bytes_of(&m.entries[last + 1], 1) > bytes_max);
  check_slices(slices, n, first, last, bytes);
  lend(slices, n);
}

/* What a take does: the loans of the last one end, the whole tail is lent. */
static void do_take(void) {
  struct raft_slice *slices;
  raft_index last = m.last;
  size_t bytes;
  same_loans();
  end_loans();
  raft_log_settle(&log_);
  if (log_.memory_first > m.last) return;
  uint32_t max = raft_log_slices_max(&log_, log_.memory_first);
  slices = malloc(max * sizeof *slices);
  uint32_t n = raft_log_slices(&log_, log_.memory_first, &last, SIZE_MAX,
                               slices, max, &bytes);
  EQ(last, m.last);                           /* slices_max is enough */
  CHECK(max <= n + log_.blocks[0]->gaps + 1); /* and hardly more */
  check_slices(slices, n, log_.memory_first, last, bytes);
  lend(slices, n);
  free(slices);
}

static void do_evict(void) {
  size_t bytes_max = draw(6) * RAFT_BLOCK_BYTES;
  raft_index upto = draw_between(m.base, m.last);
  raft_index before = log_.memory_first;
  raft_log_evict(&log_, bytes_max, upto);
  if (upto > log_.stored) upto = log_.stored;
  CHECK(log_.memory_first == before || log_.memory_first <= upto + 1);
  bool is_done = log_.memory_bytes <= bytes_max || log_.block_count == 1 ||
                 raft_block_until(log_.blocks[0]) > upto + 1;
  if (log_.block_count > 0) CHECK(is_done);
}

static void model_base(raft_index index, raft_term term) {
  m.base = index;
  m.base_term = term;
  if (m.handed < index) m.handed = index;
}

static void do_compact(void) {
  raft_index index = draw_between(m.base, m.last);
  raft_term term = model_term(index);
  raft_log_compact(&log_, index);
  model_base(index, term);
  if (m.window_last <= index) m.window_last = 0;
}

static void do_reset(void) {
  raft_index index = draw_between(m.base + 1, m.last + 5);
  if (index + 20 > INDEX_MAX) return;
  raft_log_reset(&log_, index, m.term);
  model_base(index, m.term);
  m.last = m.handed = index;
  m.window_last = 0;
}

static void do_window(void) {
  if (m.last == m.base) return;
  raft_index first = draw_between(m.base + 1, m.last);
  raft_index end = draw_between(first, m.last);
  if (end > first + 8) end = first + 8;
  size_t size = bytes_of(&m.entries[first], end - first + 1);
  uint8_t *data = encode(&m.entries[first], first, end - first + 1);
  raft_index last = 0;
  if (raft_log_window(&log_, first, data, size, &last) == RAFT_OK) {
    EQ(last, end);
    m.window_first = first;
    m.window_last = end;
  }
  free(data);
}

/* The copy takes the place of the original, whose loans end with it. */
static void do_clone(void) {
  struct raft_log copy;
  if (raft_log_clone(&log_, &copy) != RAFT_OK) {
    EQ(copy.last, 0);
    return;
  }
  end_loans();
  EQ(copy.memory_bytes, log_.memory_bytes);
  EQ(copy.memory_first, log_.memory_first);
  raft_log_free(&log_);
  log_ = copy;
}

static size_t model_runs(struct raft_run *runs) {
  size_t n = 0;
  for (raft_index i = m.base + 1; i <= m.last; i++)
    if (n == 0 || runs[n - 1].term != m.entries[i].term)
      runs[n++] = (struct raft_run){i, m.entries[i].term};
  return n;
}

/* A crash: what is durable comes back, the rest never was. */
static void do_crash(void) {
  static struct raft_run runs[INDEX_MAX];
  m.last = model_stored();
  raft_index tail = draw_between(m.base + 1, m.last + 1);
  struct raft_recovery rec = {.base_index = m.base,
                              .base_term = m.base_term,
                              .last = m.last,
                              .runs = runs,
                              .run_count = model_runs(runs),
                              .tail_first = tail};
  uint8_t *data = encode(&m.entries[tail], tail, m.last + 1 - tail);
  rec.tail =
      (struct raft_slice){data, bytes_of(&m.entries[tail], m.last + 1 - tail)};
  end_loans();
  raft_log_free(&log_);
  int rc = raft_log_recover(&log_, &rec);
  if (rc != RAFT_OK) {
    EQ(rc, RAFT_E_NOMEM);
    memory.fail_in = 0;
    EQ(raft_log_recover(&log_, &rec), RAFT_OK);
  }
  free(data);
  m.handed = m.last;
  m.seq_handed = m.seq_stored = 0;
  m.window_last = 0;
}

/* ---- the rounds ---------------------------------------------------------- */

static void step(void) {
  static const struct {
    void (*run)(void);
    unsigned weight;
  } moves[] = {
      {do_append, 40}, {do_truncate, 6}, {do_hand, 16},  {do_stored, 16},
      {do_take, 14},   {do_slices, 10},  {do_evict, 10}, {do_compact, 3},
      {do_reset, 1},   {do_window, 4},   {do_clone, 2},  {do_crash, 1},
  };
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
    sum += moves[i].weight;
  uint64_t pick = draw(sum);
  for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
    if (pick < moves[i].weight) {
      moves[i].run();
      return;
    }
    pick -= moves[i].weight;
  }
}

static void round_of_steps(void) {
  memset(&m, 0, sizeof m);
  memset(&memory, 0, sizeof memory);
  m.term = 1;
  raft_log_init(&log_, test_alloc, &memory);
  for (int i = 0; i < STEPS; i++) {
    if (draw(3) == 0) memory.fail_in = 1 + draw(3);
    step();
    memory.fail_in = 0;
    same();
  }
  end_loans();
  raft_log_free(&log_);
  EQ(memory.live, 0);
}

static void agrees_with_the_model(void) {
  for (int round = 0; round < ROUNDS; round++)
    round_of_steps();
}

int main(void) {
  dice = test_seed();
  CASE(agrees_with_the_model);
  return test_end();
}
