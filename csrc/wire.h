/* wire.h - messages between nodes and their frames. A leaf: knows no roles.
 *
 * A connection carries frames; the first is a hello. Little endian:
 *
 *    0      4      8     9      10     12      16       24
 *   +------+------+-----+------+------+-------+--------+-- ... --+-- ... --+
 *   | size | crc  | ver | kind | head | group |  term  |  fixed  |  tail   |
 *   | u32  | u32  | u8  |  u8  | u16  |  u32  |  u64   |  fields | entries |
 *   +------+------+-----+------+------+-------+--------+-- ... --+-- ... --+
 *   size: the whole frame. head: bytes up to the tail.
 *   crc: of the bytes [0, 4) and [8, head), so all of the head but itself.
 *
 * The tail (entries, commands) carries its own checksums and is not covered
 * twice. A kind with bit 0x80 is optional: a node that does not know it drops
 * the frame and keeps the connection. Fixed fields may grow at their end, and
 * the last ones may be left out: `head` tells where the tail begins. The header
 * up to `head` is the same in all versions to come, so that a newer node can be
 * told apart from noise.
 *
 * Terms and indexes are below 2^63: their sums cannot wrap.
 */
#ifndef RAFT_WIRE_H
#define RAFT_WIRE_H

#include "raft.h"

#pragma GCC visibility push(hidden)

#define RAFT_WIRE_VERSION       1
#define RAFT_FRAME_HEADER_BYTES 24
#define RAFT_FRAME_FIXED_MAX    512 /* any head but a greeting's */
#define RAFT_WIRE_HEAD_MAX      96  /* any that encode writes, so far */
#define RAFT_FRAME_BYTES_MAX                                                   \
  (RAFT_COMMAND_BYTES_MAX + (1u << 20)) /* no frame is longer */

#define RAFT_MESSAGES(X)                                                       \
  X(HELLO, 1)                                                                  \
  X(REFUSE, 2)                                                                 \
  X(VOTE, 3)                                                                   \
  X(VOTE_REPLY, 4)                                                             \
  X(APPEND, 5)                                                                 \
  X(APPEND_REPLY, 6)                                                           \
  X(TIMEOUT_NOW, 7)                                                            \
  X(PROPOSE, 8)                                                                \
  X(PROPOSE_REPLY, 9)                                                          \
  X(READ, 10)                                                                  \
  X(READ_REPLY, 11)                                                            \
  X(PING, 0x81)

/* PING is a bare header: bytes on an idle link, so that a dead one is noticed.
 * Optional and dropped by the core, like any optional kind it does not know. */
enum raft_message_kind {
  RAFT_MSG_NONE = 0,
#define X(name, value) RAFT_MSG_##name = (value),
  RAFT_MESSAGES(X)
#undef X
};

enum raft_propose_kind {
  RAFT_PROPOSE_COMMANDS = 0,
  RAFT_PROPOSE_CHANGE = 1,   /* a configuration to become */
  RAFT_PROPOSE_TRANSFER = 2, /* one command: u64, who shall lead; 0 anybody */
  RAFT_PROPOSE_SESSIONS = 3, /* commands of clients, with their sessions */
};

enum raft_reply_flags {
  RAFT_REPLY_AVOID = 1,     /* leadership shall not come here */
  RAFT_REPLY_REPAIRING = 2, /* its log lacks what damage took */
  RAFT_REPLY_HOLES = 4, /* its log lacks commands: it is, or was, a witness */
};

/* What a leader says of results, and of which index. */
enum raft_verdict {
  RAFT_VERDICT_NONE = 0,
  RAFT_VERDICT_ASKED = 1,    /* some differ: what are yours? */
  RAFT_VERDICT_SPLIT = 2,    /* the same, and no majority was found in time */
  RAFT_VERDICT_MAJORITY = 3, /* a majority has this digest */
};

struct raft_message {
  uint8_t kind;   /* enum raft_message_kind */
  uint32_t group; /* 0 until groups share a transport */
  raft_term term; /* the sender's term, always */
  union {
    struct {
      raft_term for_term; /* the term it would lead: term, or term + 1 (pre) */
      raft_index last_index;
      raft_term last_term;
      uint64_t round; /* echoed, so that old answers are not counted */
      bool pre;       /* [Thesis 9.6] */
      bool transfer;  /* asked by the leader to campaign: not disruptive */
    } vote;
    struct {
      raft_term for_term;
      uint64_t round;
      bool pre;
      bool granted;
      raft_ms wall; /* the voter's wall clock */
    } vote_reply;
    struct {
      raft_index prev_index;
      raft_term prev_term;
      raft_index commit;
      uint64_t round;      /* read round to confirm; 0 none */
      uint32_t count;      /* entries in the tail */
      uint8_t verdict;     /* enum raft_verdict. NONE: the two below are 0, and
                              none of the three is written */
      struct raft_sum sum; /* what it is about; digest 0 without a majority */
    } append;
    struct {
      bool accepted;
      uint8_t flags;         /* enum raft_reply_flags */
      raft_index index;      /* accepted: durable and equal up to here;
                           refused: the prev_index that did not fit */
      raft_index hint_index; /* refused: newest index that may agree */
      raft_term hint_term;   /* refused: our term there */
      uint64_t round;        /* echo of the newest read round seen; 0 none */
      raft_ms wall;          /* our wall clock */
      struct raft_sum sum; /* of our results; index 0: none, and not written */
    } append_reply;
    struct {
      uint64_t token;
      uint32_t count; /* commands in the tail: u32 size and bytes, each */
      uint32_t crc;   /* of the tail */
      uint8_t kind;   /* enum raft_propose_kind */
    } propose;        /* accepted only in the very term it was sent in */
    struct {
      uint64_t token;
      int32_t code;     /* RAFT_OK or why it is in no log */
      raft_index index; /* of the first command */
      uint32_t missing; /* NO_QUORUM: as in FORWARDED */
    } propose_reply;
    struct {
      uint64_t context; /* unique over restarts; answers echo it */
      raft_index index; /* READ_REPLY: serve when this is applied; 0 refused */
    } read;
  };
  struct raft_slice tail; /* within the frame when decoded */
};

/* Writes the head of the frame: everything but the tail, of which only the size
 * counts here (its data may be NULL, or lie in pieces). What decode would
 * refuse is asserted. Not for HELLO and REFUSE. `out` has RAFT_WIRE_HEAD_MAX.
 * Returns the bytes written; the frame is these and m->tail.size more. */
size_t raft_wire_encode(const struct raft_message *m, uint8_t *out);

/* How long is the frame at `data`? > 0 its size; 0: not enough bytes to tell;
 * RAFT_E_CORRUPT or RAFT_E_TOO_LARGE: close the connection. */
int64_t raft_wire_size(const uint8_t *data, size_t size);

/* The kind that a frame of at least RAFT_FRAME_HEADER_BYTES says it is. Nothing
 * is verified. */
uint8_t raft_wire_kind(const uint8_t *data);

/* Reads one whole frame: RAFT_OK, RAFT_E_CORRUPT, RAFT_E_VERSION, or
 * RAFT_E_UNSUPPORTED (an optional kind, PING too: drop the frame, go on). Not
 * for HELLO and REFUSE (RAFT_E_USAGE). Commands in the tail are verified and
 * whole; entries are not looked at, but there is room for `count` of them. An
 * error leaves nothing of use in *m. */
int raft_wire_decode(const uint8_t *data, size_t size, struct raft_message *m);

/* ---- greeting ------------------------------------------------------------ */

enum raft_hello_purpose {
  RAFT_HELLO_PEER = 1,
  RAFT_HELLO_CLIENT = 2,
  RAFT_HELLO_SNAPSHOT = 3,
  RAFT_HELLO_JOIN = 4, /* add me; answered by REFUSE, whatever comes of it */
};

struct raft_hello {
  uint8_t version_min, version_max; /* of the wire format spoken */
  uint8_t purpose;                  /* enum raft_hello_purpose */
  bool formed;                      /* does the cluster exist for the sender?
                                       Else `identity` is what it has promised
                                       to form, zeros when it has not */
  uint8_t identity[RAFT_IDENTITY_BYTES];
  uint32_t group;
  uint64_t plan;         /* raft_config_plan of the initial configuration */
  uint64_t incarnation;  /* of the sender's directory */
  uint64_t starts;       /* durable start counter */
  uint64_t nonce;        /* drawn at this start */
  uint64_t known;        /* incarnation of the receiver in the sender's
                           configuration in force; 0: no member, unformed */
  uint64_t config_index; /* of that configuration; 0: none */
  char cluster[RAFT_NAME_BYTES + 1];
  char id[RAFT_NAME_BYTES + 1];
  char to[RAFT_NAME_BYTES + 1];         /* whom the sender means to greet */
  char address[RAFT_ADDRESS_BYTES + 1]; /* where the sender listens */
};

struct raft_refusal {
  char code[32];  /* an error code of the public API: "cluster_mismatch" ... */
  char text[256]; /* the reason, for people */
};

/* NULL, or the field of the hello that decode would refuse, by its name. The id
 * and the cluster are names; so is `to`, which only a PEER must give; the
 * address may be empty (it does not listen); who is formed has an identity;
 * 1 <= version_min <= version_max. */
const char *raft_hello_check(const struct raft_hello *h);

/* Frames of kind HELLO and REFUSE. `out` has RAFT_HELLO_BYTES_MAX. What decode
 * would refuse is asserted: a broken raft_hello_check, a code that is not of
 * a to z and _, control bytes in a text. Decode: RAFT_OK, RAFT_E_CORRUPT,
 * RAFT_E_VERSION; then nothing of use is in *h. A greeting is written in
 * version 1 for ever: it is where versions are agreed on. */
#define RAFT_HELLO_BYTES_MAX 1024
size_t raft_hello_encode(const struct raft_hello *h, uint8_t *out);
int raft_hello_decode(const uint8_t *frame, size_t size, struct raft_hello *h);
size_t raft_refusal_encode(const struct raft_refusal *f, uint8_t *out);
int raft_refusal_decode(const uint8_t *frame, size_t size,
                        struct raft_refusal *f);

/* ---- commands in the tail of PROPOSE ------------------------------------- */

/* Takes the next command off *tail: RAFT_OK, RAFT_E_MORE at its end,
 * RAFT_E_CORRUPT. */
int raft_wire_command_next(struct raft_slice *tail, struct raft_slice *command);

#pragma GCC visibility pop
#endif
