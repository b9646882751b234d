/* blob.h - bytes that several owners share: frames and entries. They never
 * change, so copies of a replica's surroundings cost next to nothing. */
#ifndef RAFT_BLOB_H
#define RAFT_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob {
  uint32_t owners; /* the last one frees it */
  uint32_t size;
  uint64_t digest; /* of the bytes, 0 until somebody asked */
  uint8_t bytes[];
};

/* Memory, or the end of the program. */
void *blob_need(void *p);

struct blob *blob_new(size_t size); /* one owner; bytes not set */
struct blob *blob_of(const void *bytes, size_t size);
struct blob *blob_share(struct blob *b); /* NULL stays NULL */
void blob_drop(struct blob *b);

/* A fingerprint of its bytes, remembered. */
uint64_t blob_digest(struct blob *b);

#endif
