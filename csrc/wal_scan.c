/* wal_scan.c - what the files of a log mean after a crash.
 *
 * Owns the judgement between a torn end and rot; see wal_scan.h. What must
 * hold: no batch that was durable is ever cut, but for one residue: damage in
 * the head of the very last batch when no mark follows it, or in its body when
 * nothing at all does, looks like the torn write it could have been. No hard
 * state is handed out that a later batch, readable or not, may have changed.
 */
#include "wal_scan.h"

#include "bytes.h"

#include <assert.h>

void raft_wal_scan_init(struct raft_wal_scan *scan,
                        const struct raft_wal_options *options) {
  assert(scan != NULL);
  assert(options->first >= 1);
  *scan = (struct raft_wal_scan){
      .phase = RAFT_WAL_BETWEEN,
      .options = *options,
  };
  raft_wal_state_init(&scan->state, options->memory_bytes, options->alloc,
                      options->alloc_ud);
  raft_wal_map_init(&scan->map, options->alloc, options->alloc_ud);
}

void raft_wal_scan_free(struct raft_wal_scan *scan) {
  assert(scan->options.alloc != NULL);
  raft_wal_state_free(&scan->state);
  raft_wal_map_free(&scan->map);
}

static int broken(struct raft_wal_scan *scan, const char *why, uint64_t segment,
                  uint64_t offset) {
  assert(why != NULL);
  assert(scan->phase != RAFT_WAL_BROKEN);
  scan->phase = RAFT_WAL_BROKEN;
  scan->want_size = 0;
  scan->fault = (struct raft_wal_fault){why, segment, offset, 0};
  return RAFT_E_CORRUPT;
}

static int broken_here(struct raft_wal_scan *scan, const char *why,
                       uint64_t offset) {
  assert(offset <= scan->segment.size);
  return broken(scan, why, scan->segment.number, offset);
}

static void want(struct raft_wal_scan *scan, uint64_t offset, uint64_t size) {
  assert(offset <= scan->segment.size);
  uint64_t left = scan->segment.size - offset;
  scan->want_offset = offset;
  scan->want_size = size < left ? size : left;
  assert(scan->want_size % RAFT_WAL_SECTOR == 0);
}

static const char DAMAGED[] = "a batch is damaged that later ones build on";
static const char MISSING[] =
    "batches are damaged that a later segment builds on";

/* The segment is read. At the very end a vote may have been in the damage. */
static int finish(struct raft_wal_scan *scan) {
  assert(scan->phase != RAFT_WAL_BROKEN);
  if (scan->is_last && scan->is_headless)
    return broken(scan, scan->hole.why, scan->hole.segment, scan->hole.offset);
  scan->phase = RAFT_WAL_BETWEEN;
  scan->want_size = 0;
  return RAFT_OK;
}

/* Damage from `end` on, and the log goes on behind it. */
static void step_over(struct raft_wal_scan *scan, const char *why) {
  assert(scan->segment.number >= 1);
  raft_wal_state_break(&scan->state);
  raft_wal_map_break(&scan->map);
  if (!scan->is_headless) /* else it is one with the damage before it */
    scan->hole =
        (struct raft_wal_fault){why, scan->segment.number, scan->end, 0};
  scan->is_headless = true;
  if (scan->damage.why == NULL) scan->damage = scan->hole;
}

/* What of the log is true was not known, and is now. */
static void trim_map(struct raft_wal_scan *scan) {
  assert(!scan->state.is_unsure);
  raft_wal_map_truncate(&scan->map, scan->state.last);
  assert(scan->map.last == scan->state.last);
}

/* ---- the head of a segment ----------------------------------------------- */

/* The oldest segment that is left: the log begins where it was opened. */
static int begin_at(struct raft_wal_scan *scan,
                    const struct raft_wal_segment *s) {
  assert(scan->number == 0);
  assert(scan->state.last == 0);
  bool is_first = s->batch == 0; /* those before it were left empty */
  bool is_sound = (s->next_index == 1) == (s->last_term == 0);
  if (is_first && (s->next_index != 1 || s->chain != 0)) is_sound = false;
  if (!is_sound)
    return broken(scan, "the head of the segment contradicts itself", s->number,
                  0);
  raft_wal_state_reset(&scan->state, s->next_index - 1, s->last_term);
  raft_wal_map_reset(&scan->map, s->next_index - 1);
  scan->number = s->batch;
  scan->chain = s->chain;
  return RAFT_OK;
}

/* Does the segment go on where the log ended? What it says of the batch before
 * it is worth more than what we found: it was written once that was durable. */
static int check_link(struct raft_wal_scan *scan,
                      const struct raft_wal_segment *s) {
  uint64_t before = scan->segment.number;
  assert(s->number >= 1);
  assert(s->next_index >= 1);
  if (before == 0 && s->number > 1) return begin_at(scan, s);
  if (before != 0 && s->batch > scan->number) {
    step_over(scan, MISSING);
    scan->number = s->batch;
    scan->chain = s->chain;
    scan->is_stepping = false;
  }
  bool fits = s->batch == scan->number && s->chain == scan->chain;
  if (!fits ||
      !raft_wal_state_link(&scan->state, s->next_index - 1, s->last_term))
    return broken(scan, "the segment does not follow the one before it",
                  s->number, 0);
  trim_map(scan);
  return RAFT_OK;
}

static int check_head(struct raft_wal_scan *scan,
                      const struct raft_wal_file *file,
                      const struct raft_wal_segment *s) {
  assert(file->number >= 1);
  if (s->number != file->number)
    return broken(scan, "the segment has the name of another", file->number, 0);
  if (file->size < s->size)
    return broken(scan, "the end of the segment is missing", file->number,
                  file->size);
  if (file->size > s->size)
    return broken(scan, "the segment is longer than it was made", file->number,
                  s->size);
  return check_link(scan, s);
}

int raft_wal_scan_open(struct raft_wal_scan *scan,
                       const struct raft_wal_file *file,
                       struct raft_slice head) {
  struct raft_wal_segment s;
  uint32_t version = 0;
  assert(scan->phase == RAFT_WAL_BETWEEN);
  uint64_t expected =
      scan->segment.number ? scan->segment.number + 1 : scan->options.first;
  if (file->number != expected)
    return broken(scan, "the segment is missing", expected, 0);
  int error = raft_wal_segment_decode(head.data, head.size, &s, &version);
  if (error != RAFT_OK) {
    (void)broken(scan, "the head of the segment is damaged", expected, 0);
    scan->fault.version = error == RAFT_E_VERSION ? version : 0;
    return error == RAFT_E_VERSION ? error : RAFT_E_CORRUPT;
  }
  error = check_head(scan, file, &s);
  if (error == RAFT_OK)
    error = raft_wal_map_open(&scan->map, s.number, s.next_index);
  if (error != RAFT_OK) return error;
  scan->segment = s;
  scan->is_last = file->is_last;
  scan->phase = RAFT_WAL_BATCHES;
  scan->end = RAFT_WAL_SECTOR;
  want(scan, scan->end, RAFT_WAL_CHUNK);
  return RAFT_OK;
}

/* ---- batches ------------------------------------------------------------- */

/* What stands where the next batch would be? */
enum verdict {
  GOOD = 1, /* an intact batch */
  SHORT,    /* one, but more bytes are needed to judge it */
  ABSENT,   /* none, or one that is damaged */
  ALIEN,    /* an intact head that has no business here */
};

struct found {
  enum verdict verdict;
  const char *why; /* ALIEN: what is wrong with it */
  struct raft_wal_batch batch;
  uint64_t size; /* bytes in the file; 0: the head is not intact */
  struct raft_wal_body body;
};

/* Why an intact head cannot be the next batch, or NULL. */
static const char *head_fault(const struct raft_wal_scan *scan,
                              const struct raft_wal_batch *b) {
  assert(scan->segment.number >= 1);
  if (b->salt != scan->segment.salt) return "a batch of another segment";
  if (b->offset != scan->end) return "a batch of another place";
  if (!scan->is_stepping && b->chain != scan->chain)
    return "batches are missing before this one";
  if (!scan->is_stepping && !raft_wal_follows(b->number, scan->number))
    return "the numbers of batches have a gap";
  if (b->number >> RAFT_WAL_COUNT_BITS > scan->options.starts)
    return "the identity file is older than the log";
  if (b->size > scan->segment.size - scan->end - RAFT_WAL_BATCH_BYTES)
    return "a batch that reaches beyond its segment";
  return NULL;
}

static void look_at(const struct raft_wal_scan *scan, const uint8_t *data,
                    size_t size, struct found *f) {
  assert(size >= RAFT_WAL_SECTOR);
  *f = (struct found){.verdict = ABSENT};
  if (raft_wal_batch_decode(data, size, &f->batch) != RAFT_OK) return;
  f->size = raft_wal_align((uint64_t)RAFT_WAL_BATCH_BYTES + f->batch.size);
  f->why = head_fault(scan, &f->batch);
  if (f->why != NULL) {
    f->verdict = ALIEN;
    return;
  }
  f->verdict = SHORT;
  if (f->size > size) return;
  int error = raft_wal_batch_body(&f->batch, data, size, &f->body);
  assert(error != RAFT_E_MORE);
  f->verdict = error == RAFT_OK ? GOOD : ABSENT;
}

/* This head is the newest one now; the next batch lies at `end`. */
static void pass(struct raft_wal_scan *scan, const struct raft_wal_batch *b,
                 uint64_t end) {
  assert(end > scan->end);
  scan->end = end;
  scan->number = b->number;
  scan->chain = b->crc;
  scan->kind = b->kind;
  scan->is_stepping = scan->is_headless = false;
  assert(scan->end <= scan->segment.size);
}

static int accept(struct raft_wal_scan *scan, const struct found *f) {
  assert(f->verdict == GOOD);
  const char *why = NULL;
  struct raft_wal_body body = f->body;
  raft_index base = scan->state.base_index;
  int error = raft_wal_state_add(&scan->state, &f->batch, &body, &why);
  if (error == RAFT_E_CORRUPT) return broken_here(scan, why, scan->end);
  if (error != RAFT_OK) return error;
  if (body.mark.is_reset || scan->state.base_index != base)
    raft_wal_map_reset(&scan->map, scan->state.base_index);
  error = raft_wal_map_add(&scan->map, scan->segment.number,
                           scan->end + body.entries_at, body.entries);
  if (error != RAFT_OK) return error;
  trim_map(scan);
  pass(scan, &f->batch, scan->end + f->size);
  return RAFT_OK;
}

/* No batch is here: the log of this segment ends, or is damaged. What lies
 * behind tells, and of an older segment the head of the next one too. */
static int reach_end(struct raft_wal_scan *scan, const struct found *f) {
  assert(scan->end <= scan->segment.size);
  if (scan->end == scan->segment.size) return finish(scan);
  scan->phase = RAFT_WAL_BEHIND;
  scan->torn = f->size > 0 ? f->batch : (struct raft_wal_batch){0};
  scan->torn_extent = f->size > 0 ? scan->end + f->size : 0;
  scan->has_trace = false;
  want(scan, scan->end, RAFT_WAL_CHUNK);
  return RAFT_OK;
}

static int feed_batches(struct raft_wal_scan *scan, struct raft_slice data) {
  struct found f = {0};
  size_t at = 0;
  assert(scan->want_offset == scan->end);
  while (scan->end < scan->segment.size) {
    size_t left = data.size - at;
    if (left < RAFT_WAL_SECTOR) {
      want(scan, scan->end, RAFT_WAL_CHUNK);
      return RAFT_OK;
    }
    look_at(scan, data.data + at, left, &f);
    if (f.verdict == ALIEN) return broken_here(scan, f.why, scan->end);
    if (f.verdict == SHORT) {
      want(scan, scan->end, f.size > RAFT_WAL_CHUNK ? f.size : RAFT_WAL_CHUNK);
      return RAFT_OK;
    }
    if (f.verdict == ABSENT) break;
    int error = accept(scan, &f);
    if (error != RAFT_OK) return error;
    at += (size_t)f.size;
  }
  assert(f.verdict == ABSENT || scan->end == scan->segment.size);
  return reach_end(scan, &f);
}

/* ---- behind the end ------------------------------------------------------ */

/* What does this sector behind the end tell? Inside the extent of a torn batch,
 * whose head we can read, are its own bytes, whatever they look like. */
enum trace {
  NOTHING = 1, /* it may be of the torn write */
  LATER,       /* something came after that, but we cannot go on from here */
  HEAD,        /* the head of a later batch, in its place */
};

/* A head in its place cannot be what a user wrote: of the bytes at this place
 * nobody had a copy before they were written. */
static enum trace trace_of(const struct raft_wal_scan *scan,
                           const uint8_t *sector, uint64_t offset) {
  struct raft_wal_batch b;
  assert(offset > scan->end);
  if (offset < scan->torn_extent) return NOTHING;
  bool is_named = scan->torn_extent != 0; /* is the torn head intact? */
  enum trace trace = is_named ? LATER : NOTHING;
  uint64_t newest = is_named ? scan->torn.number : scan->number;
  if (raft_wal_batch_decode(sector, RAFT_WAL_SECTOR, &b) != RAFT_OK)
    return trace;
  if (b.salt != scan->segment.salt || b.number <= newest) return trace;
  return b.offset == offset ? HEAD : LATER; /* a write that went astray? */
}

/* Damage in [end, offset), and a batch at `offset`. */
static int resume(struct raft_wal_scan *scan, uint64_t offset) {
  const char *why = NULL;
  assert(offset > scan->end);
  step_over(scan, DAMAGED);
  if (scan->torn_extent != 0) {
    int error = raft_wal_state_skip(&scan->state, &scan->torn, &why);
    if (error != RAFT_OK) return broken_here(scan, why, scan->end);
    trim_map(scan);
    scan->number = scan->torn.number;
    if (offset > scan->torn_extent) /* and what lay between? */
      raft_wal_state_break(&scan->state);
  }
  scan->end = offset;
  scan->is_stepping = true;
  scan->torn_end = 0;
  scan->phase = RAFT_WAL_BATCHES;
  want(scan, offset, RAFT_WAL_CHUNK);
  return RAFT_OK;
}

/* All is read to the end of the segment. In an older one the next says whether
 * anything is missing; here a trace does. */
static int reach_bottom(struct raft_wal_scan *scan) {
  assert(scan->want_size == 0);
  if (!scan->is_last) scan->torn_end = 0;
  if (scan->is_last && scan->has_trace)
    return broken_here(scan, DAMAGED, scan->end);
  return finish(scan);
}

static int feed_behind(struct raft_wal_scan *scan, struct raft_slice data) {
  uint64_t offset = scan->want_offset;
  assert(offset >= scan->end);
  for (size_t at = 0;
       at + RAFT_WAL_SECTOR <= data.size && offset < scan->segment.size;
       at += RAFT_WAL_SECTOR, offset += RAFT_WAL_SECTOR) {
    const uint8_t *sector = data.data + at;
    if (raft_bytes_are_zero(sector, RAFT_WAL_SECTOR)) continue;
    enum trace trace =
        offset > scan->end ? trace_of(scan, sector, offset) : NOTHING;
    if (trace == HEAD) return resume(scan, offset);
    if (trace == LATER) scan->has_trace = true;
    scan->torn_end = offset + RAFT_WAL_SECTOR;
  }
  want(scan, offset, RAFT_WAL_CHUNK);
  return scan->want_size > 0 ? RAFT_OK : reach_bottom(scan);
}

int raft_wal_scan_feed(struct raft_wal_scan *scan, struct raft_slice data) {
  assert(scan->want_size > 0);
  assert(scan->want_size % RAFT_WAL_SECTOR == 0);
  if (data.size < scan->want_size) /* the file has shrunk under our hands? */
    return broken_here(scan, "the end of the segment is missing",
                       scan->want_offset);
  assert(scan->phase == RAFT_WAL_BATCHES || scan->phase == RAFT_WAL_BEHIND);
  int error = scan->phase == RAFT_WAL_BEHIND ? feed_behind(scan, data)
                                             : feed_batches(scan, data);
  if (error == RAFT_E_NOMEM) { /* half of a batch was taken in */
    scan->phase = RAFT_WAL_BROKEN;
    scan->want_size = 0;
  }
  return error;
}
