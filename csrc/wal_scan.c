/* wal_scan.c - what the files of a log mean after a crash.
 *
 * Owns the judgement between a torn end and rot; see wal_scan.h. What must
 * hold: no batch that was durable is ever cut, but for one residue: damage in
 * the head of the very last batch when no mark follows it, or in its body when
 * nothing at all does, looks like the torn write it could have been.
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

static void finish(struct raft_wal_scan *scan) {
  assert(scan->phase != RAFT_WAL_BROKEN);
  scan->phase = RAFT_WAL_BETWEEN;
  scan->want_size = 0;
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
  bool fits = s->batch == scan->number && s->chain == scan->chain;
  assert(s->number >= 1);
  if (before == 0 && s->number > 1) return begin_at(scan, s);
  if (fits && s->next_index == scan->state.last + 1 &&
      s->last_term == scan->state.last_term)
    return RAFT_OK;
  if (before != 0 && s->batch > scan->number)
    return broken(scan, "batches are damaged that a later segment builds on",
                  before, scan->end);
  return broken(scan, "the segment does not follow the one before it",
                s->number, 0);
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
  if (b->chain != scan->chain) return "batches are missing before this one";
  if (!raft_wal_follows(b->number, scan->number))
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

static int accept(struct raft_wal_scan *scan, const struct found *f) {
  assert(f->verdict == GOOD);
  const char *why = NULL;
  int error = raft_wal_state_add(&scan->state, &f->batch, &f->body, &why);
  if (error == RAFT_E_CORRUPT) return broken_here(scan, why, scan->end);
  if (error != RAFT_OK) return error;
  if (f->body.mark.is_reset) raft_wal_map_reset(&scan->map, f->body.mark.index);
  error = raft_wal_map_add(&scan->map, scan->segment.number,
                           scan->end + f->body.entries_at, f->body.entries);
  if (error != RAFT_OK) return error;
  assert(scan->map.last == scan->state.last);
  scan->end += f->size;
  scan->number = f->batch.number;
  scan->chain = f->batch.crc;
  scan->kind = f->batch.kind;
  assert(scan->end <= scan->segment.size);
  return RAFT_OK;
}

/* The log of this segment ends here. If it is the last, what lies behind must
 * be looked at; if not, the next segment's head says whether all was here. */
static void reach_end(struct raft_wal_scan *scan, const struct found *f) {
  assert(scan->end <= scan->segment.size);
  if (!scan->is_last || scan->end == scan->segment.size) {
    finish(scan);
    return;
  }
  scan->phase = RAFT_WAL_BEHIND;
  scan->torn_extent = f->size ? scan->end + f->size : 0;
  want(scan, scan->end, RAFT_WAL_CHUNK);
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
  reach_end(scan, &f);
  return RAFT_OK;
}

/* ---- behind the end ------------------------------------------------------ */

/* Is that the head of a batch written after the one that should be at `end`?
 * Inside the extent of a torn batch, whose head we can read, are its own
 * bytes, whatever they look like. */
static bool is_trace(const struct raft_wal_scan *scan, const uint8_t *sector,
                     uint64_t offset) {
  struct raft_wal_batch b;
  assert(offset > scan->end);
  if (offset < scan->torn_extent) return false;
  if (scan->torn_extent != 0) return true; /* what else came behind it? */
  if (raft_wal_batch_decode(sector, RAFT_WAL_SECTOR, &b) != RAFT_OK)
    return false;
  /* At another place than its own it is a write that went astray: rot too. */
  return b.salt == scan->segment.salt && b.number > scan->number;
}

static int feed_behind(struct raft_wal_scan *scan, struct raft_slice data) {
  uint64_t offset = scan->want_offset;
  assert(scan->is_last); /* of older segments the next one tells */
  assert(offset >= scan->end);
  for (size_t at = 0;
       at + RAFT_WAL_SECTOR <= data.size && offset < scan->segment.size;
       at += RAFT_WAL_SECTOR, offset += RAFT_WAL_SECTOR) {
    const uint8_t *sector = data.data + at;
    if (raft_bytes_are_zero(sector, RAFT_WAL_SECTOR)) continue;
    if (offset > scan->end && is_trace(scan, sector, offset))
      return broken_here(scan, "a batch is damaged that later ones build on",
                         scan->end);
    scan->torn_end = offset + RAFT_WAL_SECTOR;
  }
  want(scan, offset, RAFT_WAL_CHUNK);
  if (scan->want_size == 0) finish(scan);
  return RAFT_OK;
}

int raft_wal_scan_feed(struct raft_wal_scan *scan, struct raft_slice data) {
  assert(scan->want_size > 0);
  assert(scan->want_size % RAFT_WAL_SECTOR == 0);
  if (data.size < scan->want_size) /* the file has shrunk under our hands? */
    return broken_here(scan, "the end of the segment is missing",
                       scan->want_offset);
  if (scan->phase == RAFT_WAL_BEHIND) return feed_behind(scan, data);
  assert(scan->phase == RAFT_WAL_BATCHES);
  int error = feed_batches(scan, data);
  if (error == RAFT_E_NOMEM) { /* half of a batch was taken in */
    scan->phase = RAFT_WAL_BROKEN;
    scan->want_size = 0;
  }
  return error;
}
