/* identity.c - the identity file: two copies, of which the newer counts.
 *
 *   input   flags u8: 1, 2 put the checksum of a copy right; 4, 8 give it the
 *           magic and version; 16: the file lacks its end
 *           split u16: so many bytes of the rest begin copy 1, the rest copy 2
 */
#include "identity.h"

#include "bytes.h"
#include "crc32c.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = RAFT_IDENTITY_SECTOR, CRC = 8, VERSION = 12 };

/* A copy: these bytes, then zeros. */
static void fill(uint8_t *sector, const uint8_t *data, size_t size,
                 uint8_t flags) {
  if (size > 0) memcpy(sector, data, size < SECTOR ? size : SECTOR);
  if ((flags & 4) != 0) {
    memcpy(sector, "raftidnt", 8);
    raft_put_u32(sector + VERSION, RAFT_IDENTITY_VERSION);
  }
  if ((flags & 1) != 0)
    raft_put_u32(sector + CRC,
                 raft_crc32c(0, sector + VERSION, SECTOR - VERSION));
}

/* One of the copies is exactly what we would have written. */
static void check_good(const uint8_t *file, size_t size,
                       const struct raft_identity *found) {
  uint8_t sector[SECTOR];
  struct raft_identity again;
  uint32_t version = 0;
  raft_identity_encode(found, sector);
  bool is_first = memcmp(sector, file, SECTOR) == 0;
  DEMAND(is_first || size == 2 * SECTOR);
  if (!is_first) DEMAND(memcmp(sector, file + SECTOR, SECTOR) == 0);
  int error = raft_identity_decode(sector, SECTOR, &again, &version);
  DEMAND(error == RAFT_OK);
  DEMAND(again.sequence == found->sequence);
  DEMAND(again.is_formed == found->is_formed);
  DEMAND(strcmp(again.node, found->node) == 0);
}

static void check(const uint8_t *file, size_t size) {
  struct raft_identity found;
  struct raft_identity alone;
  uint32_t version = 0;
  int error = raft_identity_decode(file, size, &found, &version);
  if (error == RAFT_E_VERSION) DEMAND(version > RAFT_IDENTITY_VERSION);
  if (error == RAFT_OK) check_good(file, size, &found);
  for (size_t at = 0; error == RAFT_OK && at + SECTOR <= size; at += SECTOR) {
    if (raft_identity_decode(file + at, SECTOR, &alone, &version) == RAFT_OK)
      DEMAND(alone.sequence <= found.sequence); /* the newer one counts */
  }
}

void fuzz_identity(const uint8_t *data, size_t size) {
  struct raft_in in = {.at = data, .end = data + size};
  uint8_t flags = raft_in_u8(&in);
  size_t split = fuzz_below(&in, FUZZ_INPUT_MAX);
  size_t left = raft_in_left(&in);
  if (split > left) split = left;
  uint8_t file[2 * SECTOR] = {0};
  fill(file, in.at, split, flags & 5);
  fill(file + SECTOR, in.at + split, left - split, flags >> 1 & 5);
  size_t file_size = (flags & 16) != 0 ? SECTOR - 8 + split : sizeof file;
  uint8_t *copy = fuzz_copy(file, file_size);
  check(copy, file_size);
  free(copy);
}
