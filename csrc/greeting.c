/* greeting.c - hello and refuse: the first frames of a connection.
 *
 * Owns their fields, drawn in docs/FORMATS.md. What must hold: every text is
 * bounded, ended and fit to be shown, whoever sent it. It refuses what
 * raft_hello_check refuses. Who may come in is not decided here.
 */
#include "wire.h"

#include "bytes.h"
#include "config.h"
#include "frame.h"

#include <assert.h>
#include <string.h>

_Static_assert(RAFT_HELLO_BYTES_MAX >= RAFT_FRAME_HEADER_BYTES + 72 +
                                           3 * (1 + RAFT_NAME_BYTES) + 2 +
                                           RAFT_ADDRESS_BYTES,
               "the longest hello fits");

/* A text of a greeting: its size in one byte, or two, then its bytes. */
static void put_name(struct raft_out *out, const char *name) {
  assert(name != NULL);
  size_t size = strlen(name);
  assert(size <= UINT8_MAX);
  raft_out_u8(out, (uint8_t)size);
  raft_out_bytes(out, name, size);
}

static void put_text(struct raft_out *out, const char *text) {
  assert(text != NULL);
  size_t size = strlen(text);
  assert(size <= UINT16_MAX);
  raft_out_u16(out, (uint16_t)size);
  raft_out_bytes(out, text, size);
}

const char *raft_hello_check(const struct raft_hello *h) {
  assert(h != NULL);
  if (h->version_min == 0) return "version_min";
  if (h->version_max < h->version_min) return "version_max";
  if (h->purpose < RAFT_HELLO_PEER || h->purpose > RAFT_HELLO_JOIN)
    return "purpose";
  if (h->formed && raft_bytes_are_zero(h->identity, sizeof h->identity))
    return "identity";
  if (!raft_name_is_valid(h->cluster, sizeof h->cluster)) return "cluster";
  if (!raft_name_is_valid(h->id, sizeof h->id)) return "id";
  bool may_omit_to = h->purpose != RAFT_HELLO_PEER && h->to[0] == '\0';
  if (!may_omit_to && !raft_name_is_valid(h->to, sizeof h->to)) return "to";
  if (h->address[0] != '\0' &&
      !raft_address_is_valid(h->address, sizeof h->address))
    return "address";
  return NULL;
}

size_t raft_hello_encode(const struct raft_hello *h, uint8_t *out) {
  assert(h != NULL);
  assert(raft_hello_check(h) == NULL);
  struct raft_out fields = raft_frame_begin(out, RAFT_HELLO_BYTES_MAX);
  raft_out_u8(&fields, h->version_min);
  raft_out_u8(&fields, h->version_max);
  raft_out_u8(&fields, h->purpose);
  raft_out_u8(&fields, h->formed);
  raft_out_bytes(&fields, h->identity, RAFT_IDENTITY_BYTES);
  raft_out_u64(&fields, h->plan);
  raft_out_u64(&fields, h->incarnation);
  raft_out_u64(&fields, h->starts);
  raft_out_u64(&fields, h->nonce);
  raft_out_u64(&fields, h->known);
  raft_out_u64(&fields, h->config_index);
  put_name(&fields, h->cluster);
  put_name(&fields, h->id);
  put_name(&fields, h->to);
  put_text(&fields, h->address);
  struct raft_frame f = {.kind = RAFT_MSG_HELLO, .group = h->group};
  return raft_frame_end(&fields, out, &f);
}

static void get_hello(struct raft_in *in, struct raft_hello *h) {
  assert(raft_in_is_good(in));
  assert(h != NULL);
  h->version_min = raft_in_u8(in);
  h->version_max = raft_in_u8(in);
  h->purpose = raft_in_u8(in);
  h->formed = raft_in_bool(in);
  const uint8_t *identity = raft_in_bytes(in, RAFT_IDENTITY_BYTES);
  if (identity != NULL) memcpy(h->identity, identity, RAFT_IDENTITY_BYTES);
  h->plan = raft_in_u64(in);
  h->incarnation = raft_in_u64(in);
  h->starts = raft_in_u64(in);
  h->nonce = raft_in_u64(in);
  h->known = raft_in_u64(in);
  h->config_index = raft_in_u64(in);
  raft_in_text(in, raft_in_u8(in), h->cluster, sizeof h->cluster);
  raft_in_text(in, raft_in_u8(in), h->id, sizeof h->id);
  raft_in_text(in, raft_in_u8(in), h->to, sizeof h->to);
  raft_in_text(in, raft_in_u16(in), h->address, sizeof h->address);
}

/* Opens a greeting of this kind: bounded, and with nothing behind its head. */
static int open_greeting(const uint8_t *data, size_t size,
                         enum raft_message_kind kind, struct raft_frame *f) {
  assert(kind == RAFT_MSG_HELLO || kind == RAFT_MSG_REFUSE);
  assert(f != NULL);
  if (size > RAFT_HELLO_BYTES_MAX) return RAFT_E_CORRUPT;
  int error = raft_frame_open(data, size, f);
  if (error != RAFT_OK) return error;
  if (f->kind != kind || f->tail.size != 0) return RAFT_E_CORRUPT;
  return RAFT_OK;
}

int raft_hello_decode(const uint8_t *frame, size_t size, struct raft_hello *h) {
  assert(h != NULL);
  struct raft_frame f;
  memset(h, 0, sizeof *h);
  int error = open_greeting(frame, size, RAFT_MSG_HELLO, &f);
  if (error != RAFT_OK) return error;
  h->group = f.group;
  get_hello(&f.fields, h);
  if (!raft_in_is_good(&f.fields)) return RAFT_E_CORRUPT;
  return raft_hello_check(h) == NULL ? RAFT_OK : RAFT_E_CORRUPT;
}

static bool is_code(const char *code) {
  assert(code != NULL);
  for (const char *p = code; *p != '\0'; p++)
    if (*p != '_' && (*p < 'a' || *p > 'z')) return false;
  return code[0] != '\0';
}

static bool is_plain_text(const char *text) { /* fit for a log line */
  assert(text != NULL);
  for (const char *p = text; *p != '\0'; p++)
    if ((uint8_t)*p < ' ' || *p == 0x7f) return false;
  return true;
}

size_t raft_refusal_encode(const struct raft_refusal *r, uint8_t *out) {
  assert(is_code(r->code));
  assert(is_plain_text(r->text));
  struct raft_out fields = raft_frame_begin(out, RAFT_HELLO_BYTES_MAX);
  put_name(&fields, r->code);
  put_text(&fields, r->text);
  struct raft_frame f = {.kind = RAFT_MSG_REFUSE};
  return raft_frame_end(&fields, out, &f);
}

int raft_refusal_decode(const uint8_t *frame, size_t size,
                        struct raft_refusal *r) {
  assert(r != NULL);
  struct raft_frame f;
  memset(r, 0, sizeof *r);
  int error = open_greeting(frame, size, RAFT_MSG_REFUSE, &f);
  if (error != RAFT_OK) return error;
  raft_in_text(&f.fields, raft_in_u8(&f.fields), r->code, sizeof r->code);
  raft_in_text(&f.fields, raft_in_u16(&f.fields), r->text, sizeof r->text);
  if (!raft_in_is_good(&f.fields)) return RAFT_E_CORRUPT;
  if (!is_code(r->code) || !is_plain_text(r->text)) return RAFT_E_CORRUPT;
  return RAFT_OK;
}
