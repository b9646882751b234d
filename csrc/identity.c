/* identity.c - who a data directory belongs to, to bytes and back. */
#include "identity.h"

#include "bytes.h"
#include "crc32c.h"

#include <assert.h>
#include <string.h>

static const uint8_t MAGIC[8] = {'r', 'a', 'f', 't', 'i', 'd', 'n', 't'};

enum { /* magic, crc and version stay where they are in every version */
       AT_MAGIC = 0,
       AT_CRC = 8, /* of everything behind it in the sector */
       AT_VERSION = 12,
       AT_FIELDS = 16,
};

static uint32_t sector_crc(const uint8_t *sector) {
  assert(sector != NULL);
  return raft_crc32c(0, sector + AT_VERSION, RAFT_IDENTITY_SECTOR - AT_VERSION);
}

static void put_name(struct raft_out *out, const char *name) {
  size_t size = strlen(name);
  assert(size >= 1);
  assert(size <= RAFT_IDENTITY_NAME_BYTES);
  raft_out_u8(out, (uint8_t)size);
  raft_out_bytes(out, name, size);
}

void raft_identity_encode(const struct raft_identity *identity, uint8_t *out) {
  assert(out != NULL);
  assert(identity->first_segment <= identity->last_segment + 1);
  struct raft_out to = {out + AT_FIELDS, out + RAFT_IDENTITY_SECTOR};
  memset(out, 0, RAFT_IDENTITY_SECTOR);
  memcpy(out + AT_MAGIC, MAGIC, sizeof(MAGIC));
  raft_put_u32(out + AT_VERSION, RAFT_IDENTITY_VERSION);
  raft_out_u64(&to, identity->sequence);
  raft_out_u64(&to, identity->incarnation);
  raft_out_u64(&to, identity->starts);
  raft_out_u64(&to, identity->first_segment);
  raft_out_u64(&to, identity->last_segment);
  raft_out_u8(&to, identity->is_formed ? 1 : 0);
  raft_out_bytes(&to, identity->cluster_identity, RAFT_IDENTITY_BYTES);
  put_name(&to, identity->node);
  put_name(&to, identity->cluster);
  raft_put_u32(out + AT_CRC, sector_crc(out)); /* last: it covers the rest */
}

static int get_fields(struct raft_in *in, struct raft_identity *out) {
  *out = (struct raft_identity){
      .sequence = raft_in_u64(in),
      .incarnation = raft_in_u64(in),
      .starts = raft_in_u64(in),
      .first_segment = raft_in_u64(in),
      .last_segment = raft_in_u64(in),
      .is_formed = raft_in_bool(in),
  };
  const uint8_t *bytes = raft_in_bytes(in, RAFT_IDENTITY_BYTES);
  /* unreachable: so far into it no sector ends */
  if (bytes != NULL) memcpy(out->cluster_identity, bytes, RAFT_IDENTITY_BYTES);
  raft_in_text(in, raft_in_u8(in), out->node, sizeof(out->node));
  raft_in_text(in, raft_in_u8(in), out->cluster, sizeof(out->cluster));
  if (!raft_in_is_good(in)) return RAFT_E_CORRUPT;
  if (!raft_bytes_are_zero(in->at, raft_in_left(in))) return RAFT_E_CORRUPT;
  if (out->node[0] == '\0' || out->cluster[0] == '\0') return RAFT_E_CORRUPT;
  if (out->first_segment > out->last_segment + 1) return RAFT_E_CORRUPT;
  assert(bytes != NULL);
  return RAFT_OK;
}

static int decode_copy(const uint8_t *sector, struct raft_identity *out,
                       uint32_t *version) {
  assert(sector != NULL);
  if (memcmp(sector, MAGIC, sizeof(MAGIC)) != 0) return RAFT_E_CORRUPT;
  if (raft_get_u32(sector + AT_CRC) != sector_crc(sector))
    return RAFT_E_CORRUPT;
  uint32_t found = raft_get_u32(sector + AT_VERSION);
  if (found > RAFT_IDENTITY_VERSION) {
    *version = found;
    return RAFT_E_VERSION;
  }
  if (found != RAFT_IDENTITY_VERSION) return RAFT_E_CORRUPT;
  struct raft_in in = {.at = sector + AT_FIELDS,
                       .end = sector + RAFT_IDENTITY_SECTOR};
  assert(in.at < in.end);
  return get_fields(&in, out);
}

int raft_identity_decode(const uint8_t *data, size_t size,
                         struct raft_identity *out, uint32_t *version) {
  assert(data != NULL || size == 0);
  assert(out != NULL);
  assert(version != NULL);
  int result = RAFT_E_CORRUPT;
  for (size_t at = 0; at < 2 * RAFT_IDENTITY_SECTOR;
       at += RAFT_IDENTITY_SECTOR) {
    struct raft_identity copy;
    if (size < at + RAFT_IDENTITY_SECTOR) break;
    int error = decode_copy(data + at, &copy, version);
    if (error == RAFT_E_VERSION) return error;
    if (error != RAFT_OK) continue;
    if (result == RAFT_OK && copy.sequence <= out->sequence) continue;
    *out = copy;
    result = RAFT_OK;
  }
  return result;
}
