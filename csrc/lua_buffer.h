/* lua_buffer.h - bytes that are gathered for frames, in memory of our own.
 *
 * Lua does not see how large a buffer is: whoever has one drops it in time.
 */
#ifndef LUA_BUFFER_H
#define LUA_BUFFER_H

#include <assert.h>
#include <stdlib.h>

#include "lua_raft.h"

#pragma GCC visibility push(hidden)

/* Buffers that are larger go with what they were made for. */
#define KEPT_BYTES_MAX (64 << 10)
#define BUFFER_BYTES   4096

struct buffer {
  uint8_t *data;
  size_t size;     /* Invariant: size <= capacity */
  size_t capacity; /* 0: data is NULL */
};

/* Room for `more` bytes behind the others: where, or NULL. */
static inline uint8_t *reserve(struct buffer *b, size_t more) {
  assert(b->size <= b->capacity);
  if (more > SIZE_MAX / 4 - b->size) return NULL;
  if (b->size + more > b->capacity) {
    size_t capacity = b->capacity > 0 ? b->capacity : BUFFER_BYTES;
    while (capacity < b->size + more)
      capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL) return NULL;
    b->data = data;
    b->capacity = capacity;
  }
  return b->data + b->size;
}

static inline uint8_t *reserve_or_raise(lua_State *L, struct buffer *b,
                                        size_t more) {
  uint8_t *to = reserve(b, more);
  if (to == NULL) luaL_error(L, "not enough memory");
  return to;
}

static inline void drop(struct buffer *b) {
  free(b->data);
  *b = (struct buffer){0};
}

static inline void empty(struct buffer *b) {
  b->size = 0;
  if (b->capacity > KEPT_BYTES_MAX) drop(b);
}

#pragma GCC visibility pop
#endif
