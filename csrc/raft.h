/* raft.h - the public contract of the core: one replica of one Raft group.
 *
 * A replica is a pure state machine. It owns its term, vote, log and view of
 * the cluster; it owns no clock, socket, file or thread. Facts about the world
 * go in as events, work comes out as effects:
 *
 *     raft_step(r, &event)    as often as you like; each is one fact
 *     raft_take(r, &batch)    once per loop turn: the work those facts caused
 *
 * What must hold. An effect may be performed once every store batch numbered
 * <= effect.after was reported by RAFT_EV_STORED (0: at once). STORE, APPLY,
 * READ and INSTALL are performed in order of birth; what they wait for is
 * always born before them. All others keep no order with these, and a SEND that
 * waits holds nothing up.
 * A failed write ends the replica: report nothing more and free it.
 *
 * Ownership. What an event points at is yours and is copied if kept. What a
 * batch points at is the core's and valid until the next raft_take.
 *
 * Errors are negative and mean that nothing has changed.
 */
#ifndef RAFT_H
#define RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef uint64_t raft_term; /* election number; 0 before the first */
#define RAFT_TERM_LAST (INT64_MAX - 1u) /* nobody campaigns beyond */
typedef uint64_t raft_index; /* position in the log, from 1; 0 is none */
typedef uint64_t raft_id;    /* a node: the hash of its name; 0 is nobody */
typedef uint64_t raft_seq;   /* number of a store batch, from 1; 0 is none */
typedef uint64_t raft_ms;    /* milliseconds, monotonic or wall by its name */

/* ---- limits -------------------------------------------------------------- */

#ifdef RAFT_TINY /* test builds: small, so that the rare becomes common */
#define RAFT_MEMBERS_MAX   9
#define RAFT_NAME_BYTES    12
#define RAFT_ADDRESS_BYTES 24
#define RAFT_SETS_MAX      4
#define RAFT_INFLIGHT_MAX  2   /* append messages under way to one peer */
#define RAFT_STORES_MAX    4   /* store batches under way */
#define RAFT_READS_MAX     4   /* reads that wait for one quorum round */
#define RAFT_SUMS_MAX      3   /* digests of results, the newest ones */
#define RAFT_BLOCK_BYTES   512 /* one block of the log in memory */
#else
#define RAFT_MEMBERS_MAX   32 /* masks of members are 32 bits wide */
#define RAFT_NAME_BYTES    64
#define RAFT_ADDRESS_BYTES 262 /* a DNS name of 253, ':' and a port */
#define RAFT_SETS_MAX      16  /* quorum sets for one purpose */
#define RAFT_INFLIGHT_MAX  64
#define RAFT_STORES_MAX    64
#define RAFT_READS_MAX     4096
#define RAFT_SUMS_MAX      64
#define RAFT_BLOCK_BYTES   262144
#endif
#define RAFT_IDENTITY_BYTES     16
#define RAFT_COMMAND_BYTES_MAX  (64u << 20) /* the largest command */
#define RAFT_SESSION_HEAD_BYTES 25u /* what a client's has in front: at most */
#define RAFT_PAYLOAD_BYTES_MAX                                                 \
  (RAFT_COMMAND_BYTES_MAX + RAFT_SESSION_HEAD_BYTES) /* of any entry */

/* ---- errors -------------------------------------------------------------- */

#define RAFT_ERRORS(X)                                                         \
  X(NOMEM, -1, "no memory")                                                    \
  X(USAGE, -2, "the caller broke the contract")                                \
  X(NOT_LEADER, -3, "not the leader")                                          \
  X(BUSY, -4, "too much is pending")                                           \
  X(TOO_LARGE, -5, "command too large")                                        \
  X(CORRUPT, -6, "bytes are damaged")                                          \
  X(MORE, -7, "bytes end too early")                                           \
  X(VERSION, -8, "format version not supported")                               \
  X(BAD_CONFIG, -9, "configuration breaks a rule")                             \
  X(DIVERGED, -10, "another entry where one is committed")                     \
  X(NO_LEADER, -11, "no leader is known")                                      \
  X(UNSUPPORTED, -12, "not supported")                                         \
  X(NO_SPACE, -13, "the disk is full")                                         \
  X(NO_QUORUM, -14, "no quorum of the new members can be reached")             \
  X(CHANGED, -15, "the configuration has changed meanwhile")

enum raft_error {
  RAFT_OK = 0,
#define X(name, value, text) RAFT_E_##name = (value),
  RAFT_ERRORS(X)
#undef X
};

/* The meaning of an error, for people. Never NULL. */
const char *raft_error_text(int code);

/* ---- memory -------------------------------------------------------------- */

/* The shape of lua_Alloc: new_size 0 frees, a NULL answer refuses. */
typedef void *(*raft_alloc)(void *ud, void *ptr, size_t old_size,
                            size_t new_size);

struct raft_slice { /* bytes that somebody else owns */
  const uint8_t *data;
  size_t size;
};

/* ---- the cluster configuration ------------------------------------------- */

/* It is an entry of the log and takes effect when appended. [Raft 6] */

enum raft_role {
  RAFT_ROLE_NONE = 0,    /* no member in this half */
  RAFT_ROLE_VOTER = 1,   /* full member */
  RAFT_ROLE_LEARNER = 2, /* receives the log, counts nowhere */
  RAFT_ROLE_WITNESS = 3, /* votes and acknowledges, keeps no commands */
};

enum raft_half { RAFT_OLD = 0, RAFT_NEW = 1 }; /* the two halves of a joint */

enum raft_purpose { RAFT_ELECTION = 0, RAFT_COMMIT = 1 };

enum raft_rule_kind {
  RAFT_RULE_MAJORITY = 1,
  RAFT_RULE_SIZES = 2, /* any `size` voters */
  RAFT_RULE_SETS = 3,  /* any superset of one of the sets */
};

struct raft_rule {
  uint8_t kind;                    /* enum raft_rule_kind */
  uint8_t size[2];                 /* by purpose; for SIZES */
  uint8_t set_count[2];            /* by purpose; for SETS */
  uint32_t sets[2][RAFT_SETS_MAX]; /* masks of member positions */
};

struct raft_member {
  raft_id id;           /* raft_id_of(name) */
  uint64_t incarnation; /* the directory that counts as this member; 0 unset */
  uint8_t role[2];      /* enum raft_role by half; equal when not joint */
  uint8_t goal;         /* the role it is to reach, NONE: it is to leave. Of a
                           joint one: role[RAFT_NEW] */
  uint8_t priority;     /* 0 highest: scales election time-outs up */
  char name[RAFT_NAME_BYTES + 1];
  char address[RAFT_ADDRESS_BYTES + 1]; /* "host:port" */
};

struct raft_config {
  uint8_t identity[RAFT_IDENTITY_BYTES]; /* of the cluster, drawn at forming */
  uint32_t election_min_ms; /* no vote is granted sooner after a leader spoke */
  bool leases;              /* may leases serve reads? */
  bool joint;               /* do the halves differ? */
  struct raft_rule rule[2]; /* by half; not joint: the one in force, and the
                               one to reach */
  uint32_t count;           /* Invariant: 0 <= count <= RAFT_MEMBERS_MAX */
  struct raft_member members[RAFT_MEMBERS_MAX]; /* Invariant: ids ascend */
};

/* The id of a name: its 64-bit FNV-1a hash, 1 where that is 0. */
raft_id raft_id_of(const char *name);

/* ---- recovery ------------------------------------------------------------ */

struct raft_run { /* from `first` on entries are of `term`, to the next run */
  raft_index first;
  raft_term term;
};

struct raft_recovered_config {
  raft_index index; /* of its entry; 0: there is none */
  struct raft_slice payload;
};

/* What a snapshot says of the log it stands for. [Raft 7] */
struct raft_snapshot {
  raft_index index; /* of the last entry that it covers; 0: no snapshot */
  raft_term term;   /* of that entry */
  raft_ms time;     /* its stamp */
  raft_index config_index;  /* of the committed configuration in force there */
  struct raft_slice config; /* encoded */
  bool is_bare; /* its file has no state: who made it, or is to have it, lacks
                   commands. Nothing is restored from it */
};

/* What the disk held. All zero for an empty directory. */
struct raft_recovery {
  raft_term term;              /* hard state */
  raft_id vote;                /* whom we voted for in `term`, 0 nobody */
  raft_index commit;           /* a lower bound, may lie past `last`: clipped */
  raft_index base_index;       /* the entry before the oldest one of the log:
                                  a snapshot covers it; 0 from the beginning */
  raft_term base_term;         /* its term */
  raft_index last;             /* newest entry; base_index when there is none */
  const struct raft_run *runs; /* terms of (base_index, last], ascending */
  size_t run_count;
  raft_index tail_first;       /* oldest entry in `tail`; last + 1 when empty */
  struct raft_slice tail;      /* encoded entries [tail_first, last] ... */
  struct raft_slice tail_rest; /* ... the newer of them are here, if any */
  raft_ms last_time;           /* stamp of the newest entry, 0 unknown */
  raft_index newest_hole; /* no entry of the log above it lacks its command,
                             whether in `tail` or not; 0: none does */
  /* The newest configuration and the one before it (which is committed). */
  struct raft_recovered_config config;
  struct raft_recovered_config config_before;
  /* The newest snapshot: base_index <= index <= last, or there is none. It is
   * applied: the driver has restored it, or will before the first APPLY. */
  struct raft_snapshot snapshot;
  /* Damage took entries from the middle: the log ends before it, and this is
   * the newest entry it had. Votes are judged by it until the log has grown as
   * new again; meanwhile nobody campaigns. 0: the log is whole. */
  raft_index lost_last;
  raft_term lost_term;
};

/* What applying has come to, up to an entry: a function of the log alone, so it
 * is the same on every node, or one of them has another state. */
struct raft_sum {
  raft_index index; /* 0: there is none */
  uint64_t digest;  /* of the results of all entries up to here */
};

/* ---- birth --------------------------------------------------------------- */

struct raft_options {
  raft_id self;
  uint64_t incarnation;     /* of our directory */
  uint64_t seed;            /* of the generator; also makes contexts unique */
  uint32_t election_min_ms; /* until a configuration says otherwise */
  uint32_t election_max_ms; /* > election_min_ms */
  uint32_t heartbeat_ms; /* < election_min_ms; a fifth of what a configuration
                                 says instead, where it is not below that */
  uint32_t command_bytes_max; /* one command, without the head of a session */
  size_t pending_bytes_max;   /* appended and not yet committed; also how much
                                 more than memory_bytes_max a leader keeps in
                                 memory before it takes no more */
  size_t message_bytes_max;   /* entries in one append; one entry always fits */
  size_t inflight_bytes_max;  /* entries under way to one peer */
  size_t memory_bytes_max;    /* log kept in memory beyond what must be */
  raft_alloc alloc;           /* NULL: malloc and free */
  void *alloc_ud;
};

struct raft;

/* A new replica, or NULL when options break a rule or memory is out. It does
 * nothing until RAFT_EV_START. */
struct raft *raft_new(const struct raft_options *options);
void raft_free(struct raft *r);

/* A deep copy that behaves the same from here on; NULL without memory. */
struct raft *raft_clone(const struct raft *r);

/* A digest of the whole state: equal for equal replicas (for replay). */
void raft_digest(const struct raft *r, uint64_t out[2]);

/* ---- events -------------------------------------------------------------- */

#define RAFT_EVENTS(X)                                                         \
  X(START)                                                                     \
  X(TICK)                                                                      \
  X(RECEIVE)                                                                   \
  X(STORED)                                                                    \
  X(APPLIED)                                                                   \
  X(LOADED)                                                                    \
  X(PROPOSE)                                                                   \
  X(FORWARD)                                                                   \
  X(READ)                                                                      \
  X(FORM)                                                                      \
  X(UNREACHABLE)                                                               \
  X(CHANGE)                                                                    \
  X(TRANSFER)                                                                  \
  X(COMPACTED)                                                                 \
  X(SNAPSHOT_MADE)                                                             \
  X(SNAPSHOT_RECEIVED)                                                         \
  X(SPACE)                                                                     \
  X(SHIPPED)                                                                   \
  X(READ_LEASE)                                                                \
  X(AVOID)                                                                     \
  X(RESULTS)

enum raft_event_kind {
  RAFT_EV_NONE = 0,
#define X(name) RAFT_EV_##name,
  RAFT_EVENTS(X)
#undef X
};

struct raft_event {
  enum raft_event_kind kind;
  raft_ms now;  /* monotonic, read fresh; never goes back */
  raft_ms wall; /* wall clock: data for entry stamps, compared with nothing */
  union {
    const struct raft_recovery *start; /* first, exactly once; NULL: empty */
    struct {
      raft_id from;            /* the greeted id of the connection */
      uint64_t incarnation;    /* the greeted incarnation */
      struct raft_slice frame; /* exactly one frame */
    } receive;
    raft_seq stored;    /* cumulative: this batch and all before are durable */
    raft_index applied; /* cumulative */
    struct {            /* the answer to a LOAD effect */
      raft_id peer;     /* as the effect had it; 0: for applying */
      raft_index first; /* as the effect had it */
      struct raft_slice entries; /* encoded, from `first`; may be fewer; empty:
                                    not there any more */
    } loaded;
    struct {
      const struct raft_slice *commands; /* one entry each */
      uint32_t count;                    /* all are taken or none */
      uint64_t token;                    /* FORWARD only: names the answer */
      bool is_session; /* they become SESSION entries: of clients */
    } propose;         /* PROPOSE (leader), FORWARD (other) */
    uint64_t read;     /* READ: token of a linearizable read. READ_LEASE: of one
                      that a lease may serve; without a valid one it is READ */
    struct {           /* the cluster shall become this */
      const struct raft_config *target; /* not joint; only goals count of its
                                            members' roles. [Raft 6] */
      raft_index based_on; /* index of the configuration that the asker saw;
                              CHANGED when another is in force */
      bool is_forced;      /* though no quorum of it can be reached? */
      uint64_t token;      /* names the answer where we do not lead */
    } change; /* on a leader the answer is the index of the entry that begins
                 it, or of the one in force where that is the target already;
                 elsewhere 0, and FORWARDED follows. BUSY: another change is
                 under way, or our term has just begun; BAD_CONFIG:
                 raft_config_check says why, or the step in between does not
                 fit; NO_QUORUM: raft_change_missing says who */
    const struct raft_snapshot *snapshot; /* SNAPSHOT_MADE: durable, of entries
                                             applied here, as snapshot_meta
                                             said. SNAPSHOT_RECEIVED: durable,
                                             from a leader; the answer is its
                                             index when an INSTALL follows, 0
                                             when it changes nothing */
    raft_index compacted; /* entries up to here are about to leave the disk: not
                             above a snapshot whose mark is durable */
    struct {              /* SHIP has ended */
      raft_id peer;
      raft_index index; /* as the effect had it */
      bool is_done;     /* the peer has it all; else it shall be tried anew */
    } shipped;
    bool avoid; /* AVOID: true: we are no target of a transfer (we stop, or
                   our disk hangs), false: we are again */
    struct raft_sum results; /* RESULTS: ours at an index that is applied, or
                                about to be reported so; at the same indexes on
                                every node. Who has no state reports none */
    const struct raft_config *form; /* identity and incarnations filled */
    raft_id unreachable;            /* sends to this peer were dropped */
    struct {                        /* TRANSFER: leadership goes to another */
      raft_id to;                   /* who shall lead; 0: the best placed */
      uint64_t token; /* names the answer where we do not lead; 0: no answer is
                         wanted there, NOT_LEADER is said */
    } transfer; /* on a leader: it is on its way, see status.heir, and ends with
                   our term or one election time-out later; meanwhile there are
                   no proposals (BUSY). With a token elsewhere FORWARDED
                   follows. BUSY: another was told to take over already;
                   UNSUPPORTED: nobody may, or that one may not */
    bool has_space; /* SPACE: has the disk room for entries? Without, none are
                       taken; votes go on, they need next to nothing */
  };
};

/* Takes in one fact. PROPOSE answers the index of the first entry, CHANGE and
 * SNAPSHOT_RECEIVED as said above; all others RAFT_OK. Negative: nothing has
 * happened. */
int64_t raft_step(struct raft *r, const struct raft_event *ev);

/* ---- effects ------------------------------------------------------------- */

#define RAFT_EFFECTS(X)                                                        \
  X(STORE)                                                                     \
  X(SEND)                                                                      \
  X(LOAD)                                                                      \
  X(APPLY)                                                                     \
  X(READ)                                                                      \
  X(ROLE)                                                                      \
  X(CONFIG)                                                                    \
  X(FORWARDED)                                                                 \
  X(SHIP)                                                                      \
  X(INSTALL)                                                                   \
  X(COMPACT)                                                                   \
  X(DIVERGED)

enum raft_effect_kind {
  RAFT_FX_NONE = 0,
#define X(name) RAFT_FX_##name,
  RAFT_EFFECTS(X)
#undef X
};

struct raft_effect {
  enum raft_effect_kind kind;
  raft_seq after;  /* perform once all batches <= after are durable */
  bool is_patient; /* SEND: it may be sent at the end of the turn, or along with
                      what else goes to this member until then */
  bool covers;     /* SEND: it says all that patient ones before it say */
  union {
    struct { /* write it, sync it, then report STORED(seq) */
      raft_seq seq;
      raft_term term; /* hard state; as it shall be after this batch */
      raft_id vote;
      bool hard_changed; /* does this batch need to carry it? */
      raft_index commit; /* a hint for the next start */
      raft_index first;  /* entries [first, last]; first > last: none */
      raft_index last;
      raft_index mark_index; /* write that a snapshot of this index and term is
                                durable, before the entries; 0: nothing */
      raft_term mark_term;
      bool is_reset; /* the log has another entry there, or none: all of it is
                        void, and it starts anew behind the mark */
    } store;
    raft_id to;     /* SEND */
    struct {        /* LOAD: hand back entries [first, last] from the disk */
      raft_id peer; /* 0: for applying */
      raft_index first;
      raft_index last;
    } load;
    struct { /* APPLY: in order; then report APPLIED */
      raft_index first;
      raft_index last;
    } apply;
    struct { /* READ: serve once `index` is applied */
      uint64_t token;
      raft_index index;
    } read;
    struct { /* ROLE: who we are and whom we follow has changed. Reads that had
                no READ effect yet are void: ask again */
      raft_term term;
      raft_id leader; /* 0: none known */
      uint8_t role;   /* enum raft_state */
    } role;
    raft_index config; /* CONFIG: index of the configuration now in force */
    struct {           /* FORWARDED: the leader's answer to FORWARD, CHANGE,
                          TRANSFER */
      uint64_t token;
      int code;         /* RAFT_OK: appended at [index, ...] in `term`;
                           else it is in no log and never will be */
      raft_index index; /* of the first command */
      raft_term term;
      uint32_t missing; /* NO_QUORUM: mask of the positions, in the target, of
                           members that the leader does not hear */
    } forwarded;
    struct { /* SHIP: send the newest snapshot, of `index` or later, to this
                member; then report SHIPPED. Heartbeats and its answers take
                their own way meanwhile */
      raft_id to;
      raft_index index;
      bool is_bare; /* it keeps no commands: send it one without a state */
    } ship;
    struct { /* INSTALL: what is applied here becomes that of the snapshot that
                was received; APPLYs not yet performed up to `index` are void
                since that was reported; then report APPLIED(index) */
      raft_index index;
      raft_term term;
    } install;
    raft_index compact;  /* COMPACT: entries up to here are in a snapshot, and
                           no member waits for them. To let them go, report
                           COMPACTED, then remove them */
    struct {             /* DIVERGED: applying has come to different results */
      raft_index index;  /* the first one compared where they differ */
      raft_id id;        /* whose are others than the majority's: ours, or
                            those of a member that we lead; 0: there is no
                            majority, so nobody knows whose are right */
      raft_index agreed; /* up to here they are the majority's; 0 unknown */
      uint64_t majority; /* the digest at index; 0 with id 0 */
      uint64_t own;      /* ours there; 0: too old to know */
    } diverged;
  };
  /* STORE: the encoded entries. SEND: the frame(s). In this order. */
  uint32_t part_count;
  const struct raft_slice *parts;
};

struct raft_batch {
  const struct raft_effect *effects;
  uint32_t count;
  raft_ms deadline; /* deliver a TICK then at the latest; UINT64_MAX: never */
};

/* Hands out the work that is due. Effects that memory has no room for stay
 * for the next call. Never fails. */
void raft_take(struct raft *r, struct raft_batch *batch);

/* ---- questions ----------------------------------------------------------- */

enum raft_state { /* the role within the protocol */
                  RAFT_FOLLOWER = 1,
                  RAFT_PRE_CANDIDATE,
                  RAFT_CANDIDATE,
                  RAFT_LEADER,
};

enum raft_progress_state {
  RAFT_PROBE = 1, /* we do not know where its log fits ours */
  RAFT_REPLICATE, /* it fits: send ahead of the answers */
  RAFT_SNAPSHOT,  /* what it needs is compacted: a snapshot is on its way */
};

struct raft_peer_status {
  raft_id id;
  enum raft_progress_state state;
  raft_index match;    /* known to be durable there and equal to ours */
  raft_index next;     /* the next entry to send */
  raft_ms heard;       /* when it last spoke; 0 never */
  struct raft_sum sum; /* the newest of its results that it told us of */
  bool is_leaving;     /* no member any more: it is being told so */
};

struct raft_status {
  enum raft_state state;
  raft_term term;
  raft_id vote;
  raft_id leader;
  raft_index first, last, stored, commit, applied;
  raft_index memory_first; /* oldest entry in memory */
  raft_index snapshot;     /* the newest snapshot covers up to here; 0 none */
  raft_index config_index; /* of the configuration in force; 0 none */
  bool is_settled;   /* is it committed, and every member what it shall be? */
  bool is_repairing; /* does the log lack what damage took? */
  bool has_lease;    /* could a lease serve a read now? */
  raft_id heir;      /* leadership is on its way to this member; 0 none */
  raft_index agreed; /* our results are the majority's up to here; 0 unknown */
  bool is_leaving;   /* a leader that is to be no voter: proposals are BUSY */
  size_t memory_bytes;  /* of the log in memory, blocks as allocated */
  size_t pending_bytes; /* appended here and not yet committed */
  uint32_t read_count;  /* reads that wait for a quorum */
  uint32_t peer_count;  /* leader only */
  struct raft_peer_status peers[RAFT_MEMBERS_MAX];
  uint64_t bad_frames; /* received and not understood */
};
void raft_status(const struct raft *r, struct raft_status *out);

/* The configuration in force and the index of its entry (0: none). */
const struct raft_config *raft_config_in_force(const struct raft *r,
                                               raft_index *index);

/* What a snapshot of the state as applied now says of its log; the
 * configuration is encoded into `config`, which has RAFT_CONFIG_BYTES_MAX
 * bytes (config.h). RAFT_OK; RAFT_E_BUSY while a configuration that is known to
 * be committed is not applied, a snapshot is being installed, or nothing is
 * applied. */
int raft_snapshot_meta(const struct raft *r, uint8_t *config,
                       struct raft_snapshot *out);

/* Why CHANGE said NO_QUORUM: mask of the places, in the target, of members that
 * are to count and are not heard. 0 where we do not lead. */
uint32_t raft_change_missing(const struct raft *r,
                             const struct raft_config *target);

/* The entry at `index`, of [first handed out .. not yet applied] or in memory.
 * False when it is not there. */
struct raft_entry;
bool raft_entry_at(const struct raft *r, raft_index index,
                   struct raft_entry *out);

/* The term of the entry at `index`; 0 when the log does not reach it. */
raft_term raft_term_at(const struct raft *r, raft_index index);

#pragma GCC visibility pop
#endif
