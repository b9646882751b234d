/* bytes.h - little-endian integers in bytes, and a cursor for each direction.
 * Every encoding of the house is written with these and nothing else.
 *
 * Out: the caller has reserved the room, so running out of it is our bug.
 * In:  the bytes are the world's. A read past the end or of a value that the
 *      encoder never writes gives 0 and is remembered, so that a decoder reads
 *      all its fields in a row and asks once.
 */
#ifndef RAFT_BYTES_H
#define RAFT_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma GCC visibility push(hidden)

/* ---- integers at an address ---------------------------------------------- */

static inline void raft_put_u16(uint8_t *p, uint16_t v) {
  assert(p != NULL);
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
}

static inline void raft_put_u32(uint8_t *p, uint32_t v) {
  assert(p != NULL);
  raft_put_u16(p, (uint16_t)v);
  raft_put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void raft_put_u64(uint8_t *p, uint64_t v) {
  assert(p != NULL);
  raft_put_u32(p, (uint32_t)v);
  raft_put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t raft_get_u16(const uint8_t *p) {
  assert(p != NULL);
  return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t raft_get_u32(const uint8_t *p) {
  assert(p != NULL);
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static inline uint64_t raft_get_u64(const uint8_t *p) {
  assert(p != NULL);
  return raft_get_u32(p) | (uint64_t)raft_get_u32(p + 4) << 32;
}

/* ---- out ----------------------------------------------------------------- */

struct raft_out {
  uint8_t *at;        /* where the next byte goes. Invariant: at <= end */
  const uint8_t *end; /* behind the room */
};

/* Takes `size` bytes of the room. */
static inline uint8_t *raft_out_room(struct raft_out *out, size_t size) {
  assert(out->at != NULL);
  assert((size_t)(out->end - out->at) >= size);
  uint8_t *p = out->at;
  out->at += size;
  assert(out->at <= out->end);
  return p;
}

static inline void raft_out_u8(struct raft_out *out, uint8_t v) {
  *raft_out_room(out, 1) = v;
}

static inline void raft_out_u16(struct raft_out *out, uint16_t v) {
  raft_put_u16(raft_out_room(out, 2), v);
}

static inline void raft_out_u32(struct raft_out *out, uint32_t v) {
  raft_put_u32(raft_out_room(out, 4), v);
}

static inline void raft_out_u64(struct raft_out *out, uint64_t v) {
  raft_put_u64(raft_out_room(out, 8), v);
}

static inline void raft_out_bytes(struct raft_out *out, const void *data,
                                  size_t size) {
  assert(data != NULL);
  memcpy(raft_out_room(out, size), data, size);
}

/* Zeroes a struct, whose size the compiler knows, in two halves: each becomes a
 * few stores. Of a hundred bytes at once it makes a `rep stos`, which takes
 * longer to begin than all of them. */
static inline void raft_zero(void *data, size_t size) {
  assert(data != NULL);
  memset(data, 0, size / 2);
  memset((uint8_t *)data + size / 2, 0, size - size / 2);
}

/* Are they zero, all of them? */
static inline bool raft_bytes_are_zero(const uint8_t *data, size_t size) {
  assert(data != NULL);
  assert(size > 0);
  return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* ---- in ------------------------------------------------------------------ */

struct raft_in {
  const uint8_t *at;  /* the next byte. Invariant: at <= end */
  const uint8_t *end; /* behind the last one */
  bool is_short;      /* did a read pass the end? */
  bool is_bad;        /* was there a value that no encoder writes? Of the two
                         the first to happen counts, the other stays false. */
};

static inline bool raft_in_is_good(const struct raft_in *in) {
  assert(in->at <= in->end);
  assert(!(in->is_short && in->is_bad)); /* the first counts */
  return !in->is_short && !in->is_bad;
}

/* The value just read is one that no encoder writes. */
static inline void raft_in_refuse(struct raft_in *in) {
  assert(in->at <= in->end);
  if (!in->is_short) in->is_bad = true;
}

static inline size_t raft_in_left(const struct raft_in *in) {
  assert(in->at <= in->end);
  return (size_t)(in->end - in->at);
}

/* The next `size` bytes, or NULL: then nothing is left. */
static inline const uint8_t *raft_in_bytes(struct raft_in *in, size_t size) {
  assert(in->at <= in->end);
  const uint8_t *p = in->at;
  if (raft_in_left(in) < size) {
    if (!in->is_bad) in->is_short = true;
    in->at = in->end;
    return NULL;
  }
  in->at += size;
  assert(in->at <= in->end);
  return p;
}

static inline uint8_t raft_in_u8(struct raft_in *in) {
  const uint8_t *p = raft_in_bytes(in, 1);
  return p != NULL ? *p : 0;
}

static inline uint16_t raft_in_u16(struct raft_in *in) {
  const uint8_t *p = raft_in_bytes(in, 2);
  return p != NULL ? raft_get_u16(p) : 0;
}

static inline uint32_t raft_in_u32(struct raft_in *in) {
  const uint8_t *p = raft_in_bytes(in, 4);
  return p != NULL ? raft_get_u32(p) : 0;
}

static inline uint64_t raft_in_u64(struct raft_in *in) {
  const uint8_t *p = raft_in_bytes(in, 8);
  return p != NULL ? raft_get_u64(p) : 0;
}

static inline bool raft_in_bool(struct raft_in *in) {
  assert(in != NULL);
  uint8_t v = raft_in_u8(in);
  if (v > 1) raft_in_refuse(in);
  return v == 1;
}

/* Copies `size` bytes into `text` of room bytes and ends them with a zero.
 * Too long for the room, or a zero among them: bad, and text is empty. */
static inline void raft_in_text(struct raft_in *in, size_t size, char *text,
                                size_t room) {
  assert(text != NULL);
  assert(room > 0);
  text[0] = '\0';
  const uint8_t *p = raft_in_bytes(in, size);
  if (p == NULL) return;
  if (size >= room || memchr(p, 0, size) != NULL) {
    raft_in_refuse(in);
    return;
  }
  memcpy(text, p, size);
  text[size] = '\0';
  assert(strlen(text) == size);
}

#pragma GCC visibility pop
#endif
