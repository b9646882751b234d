#include "blob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

void *blob_need(void *p) {
  if (p != NULL) return p;
  fprintf(stderr, "out of memory\n");
  exit(2);
}

struct blob *blob_new(size_t size) {
  struct blob *b = blob_need(malloc(sizeof *b + size));
  b->owners = 1;
  b->size = (uint32_t)size;
  b->digest = 0;
  return b;
}

struct blob *blob_of(const void *bytes, size_t size) {
  struct blob *b = blob_new(size);
  if (size > 0) memcpy(b->bytes, bytes, size);
  return b;
}

struct blob *blob_share(struct blob *b) {
  if (b != NULL) b->owners++;
  return b;
}

void blob_drop(struct blob *b) {
  if (b != NULL && --b->owners == 0) free(b);
}

uint64_t blob_digest(struct blob *b) {
  struct raft_digest_state d;
  uint64_t out[2];
  if (b->digest != 0) return b->digest;
  raft_digest_begin(&d);
  raft_digest_add(&d, b->bytes, b->size);
  raft_digest_end(&d, out);
  b->digest = out[0] | 1;
  return b->digest;
}
