/* error.c - what the errors of raft.h mean, in words. */
#include "raft.h"

#include <assert.h>

#define X(name, value, text)                                                   \
  _Static_assert((value) < 0, "negative: nothing has happened");               \
  _Static_assert(sizeof(text) > 1, "an error says what it means");
RAFT_ERRORS(X)
#undef X

static const char *text_of(enum raft_error error) {
  switch (error) {
  case RAFT_OK: return "no error";
#define X(name, value, text)                                                   \
  case RAFT_E_##name: return text;
    RAFT_ERRORS(X)
#undef X
  }
  return "unknown error";
}

const char *raft_error_text(int code) {
  const char *text = text_of((enum raft_error)code);
  assert(text != NULL);
  assert(text[0] != '\0');
  return text;
}
