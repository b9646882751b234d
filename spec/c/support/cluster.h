/* cluster.h - a virtual cluster: replicas, their disks, a network, one clock.
 *
 * Nothing happens by itself. A test delivers, drops or doubles each frame,
 * completes each write, moves the time; or lets cluster_work and cluster_run do
 * all of it in order. After every single step the invariants of check.h are
 * checked, and those that hold between nodes: one leader in a term, equal logs,
 * leader completeness, equal commands applied, committed means durable on a
 * quorum, reads that miss nothing. The first one that breaks is kept.
 *
 * Disks keep batches as bytes: a crash keeps what was reported durable and as
 * much of what was under way as the test says; a restart is a real recovery.
 * Effects are performed as raft.h has it: STORE, APPLY and READ in order of
 * birth, each not before its `after`; only SEND may overtake.
 */
#ifndef RAFT_CLUSTER_H
#define RAFT_CLUSTER_H

#include "config.h"
#include "entry.h"
#include "raft.h"
#include "test.h"
#include "wire.h"

#define CLUSTER_NODES 7
#define CLUSTER_LOG   1200 /* entries, at most */
#define CLUSTER_TERMS 2400
#define CLUSTER_FILES 8 /* snapshots whose mark is under way */

struct cluster_options {
  uint32_t nodes;     /* all of them voters, unless roles say otherwise */
  uint32_t unformed;  /* 1: nobody has a configuration yet */
  uint32_t strangers; /* so many of the last nodes are no members, and empty */
  uint8_t roles[CLUSTER_NODES]; /* 0: a voter */
  uint64_t seed;
  uint32_t election_min_ms, election_max_ms, heartbeat_ms; /* 0: 100 200 20 */
  size_t pending_bytes_max;                                /* 0: 64 KiB */
  size_t message_bytes_max;                                /* 0: 256 */
  size_t memory_bytes_max;                                 /* 0: 1 MiB */
  uint32_t tail_max; /* entries that a recovery hands over; 0: all */
  bool leases;
  uint32_t results_every; /* results are reported at these indexes; 0: none */
  bool is_poor;     /* clones try each step and each turn with every allocation
                   failing that it makes (cluster_poor.c) */
  uint64_t fail_in; /* the allocation that fails; 0: none */
};

struct cluster_snapshot { /* a file: what it says of itself is all there is */
  raft_index index;       /* 0: none */
  raft_term term;
  raft_ms time;
  raft_index config_index;
  uint8_t config[RAFT_CONFIG_BYTES_MAX];
  size_t config_size;
  bool is_bare; /* it has no state */
};

struct cluster_transfer { /* a snapshot on its way */
  uint32_t from, to;
  raft_index asked; /* as the effect had it */
  struct cluster_snapshot file;
};

struct cluster_batch { /* one write */
  raft_seq seq;
  raft_term term;
  raft_id vote;
  raft_index commit;
  raft_index first, last;
  raft_index mark_index;
  raft_term mark_term;
  bool is_reset;
  uint8_t *bytes;
  size_t size;
};

struct cluster_record { /* one entry on a disk */
  raft_term term;
  uint8_t kind;
  uint8_t *bytes;
  size_t size;
};

struct cluster_disk {
  raft_term term; /* durable from here on */
  raft_id vote;
  raft_index commit;
  raft_index base, last; /* entries (base, last] are there */
  raft_term base_term;
  struct cluster_snapshot newest; /* a file whose mark is durable */
  struct cluster_snapshot others[CLUSTER_FILES]; /* durable ones without */
  uint32_t other_count;
  struct cluster_record log[CLUSTER_LOG + 1]; /* by index */
  raft_index lost_last; /* the newest entry that damage took, until the log is
                           as new again; 0: none */
  raft_term lost_term;
  raft_term lost[CLUSTER_LOG + 1]; /* terms of the entries that it took */
  struct cluster_batch under_way[RAFT_STORES_MAX];
  uint32_t count; /* batches under way */
};

struct cluster_held { /* an effect and its bytes */
  struct raft_effect fx;
  uint8_t *bytes;
  size_t size;
};

struct cluster_read {
  uint64_t token;
  raft_index floor; /* what it must not miss */
};

struct cluster_diverged { /* a DIVERGED effect */
  raft_index index;
  raft_id id;
  raft_index agreed;
  uint64_t majority, own;
};

struct cluster_node {
  struct raft *raft; /* NULL: it is down */
  raft_id id;
  char name[8];
  uint64_t incarnation;
  bool is_disk_held;  /* writes wait for cluster_disk */
  bool is_apply_held; /* applies are not reported */
  bool is_load_held;  /* loads are not answered */
  bool is_ship_held;  /* what it ships does not arrive by itself */
  bool keeps_log;     /* COMPACT is not followed */
  raft_index compact; /* newest COMPACT effect */
  int64_t wall_ahead; /* its wall clock against the others' */
  struct cluster_disk disk;
  struct cluster_held *held;
  uint32_t held_count, held_room;
  raft_seq reported;    /* newest batch it heard of */
  raft_index performed; /* newest entry its machine has applied */
  bool is_bare;         /* and commands lack in what it has applied */
  raft_index told;      /* newest APPLIED */
  raft_ms deadline;
  struct cluster_read reads[64];
  uint32_t read_count;
  raft_index strays_at; /* its results are others from there on; 0: never */
  uint64_t strays_to;   /* which ones: who has the same here has the same */
  bool has_strayed;     /* was it ever so? */
  struct cluster_diverged diverged[8]; /* what it was told, the first ones */
  uint32_t diverged_count;
  bool has_void_reads;          /* did it lose its state while some waited? */
  raft_id votes[CLUSTER_TERMS]; /* whom it promised, by term */
};

struct cluster_packet {
  uint32_t from, to; /* positions */
  uint8_t *bytes;
  size_t size;
};

struct cluster_seen {     /* an entry that some log has had */
  raft_term term, before; /* its term, and that of the entry before it */
  uint64_t digest;        /* of what all copies have */
  uint64_t payload;       /* 0: nobody has shown it yet */
};

struct cluster_counts { /* what a run has met */
  uint64_t steps, elections, split_votes, truncations, step_downs;
  uint64_t lost_touch, refused_votes, refused_appends, loads, crashes;
  uint64_t torn_stores, accepted_forwards, refused_forwards, commits;
  uint64_t leader_reads, follower_reads, void_reads, full_windows;
  uint64_t busy, failed_allocations, full_disks, rots, repairs;
  uint64_t snapshots, ships, installs, compactions, resets;
  uint64_t leases;    /* asked for a read, and one may serve it */
  uint64_t transfers; /* taken */
  uint64_t changes, refused_changes; /* by leaders */
  uint64_t joints, settled; /* configurations that came into force somewhere */
  uint64_t bare_installs, holes; /* snapshots and commands of witnesses */
  uint64_t sums, agreed;         /* reported; shared with a majority */
};

struct cluster {
  struct cluster_options options;
  struct test_memory memory;
  raft_ms now;
  uint64_t random;
  uint32_t count;
  struct cluster_node nodes[CLUSTER_NODES];
  struct raft_config config; /* the one entry 1 has */
  uint8_t first_entry[512];  /* entry 1, encoded */
  size_t first_size;
  struct cluster_packet *packets; /* in order of sending */
  uint32_t packet_count, packet_room;
  bool cut[CLUSTER_NODES][CLUSTER_NODES]; /* from, to */
  struct cluster_transfer *transfers;     /* in order of their beginning */
  uint32_t transfer_count, transfer_room;

  uint32_t leaders[CLUSTER_TERMS]; /* position + 1 of a term's leader */
  uint8_t campaigns[CLUSTER_TERMS];
  struct cluster_seen seen[CLUSTER_LOG + 1][8]; /* by index */
  uint32_t seen_count[CLUSTER_LOG + 1];
  raft_term committed[CLUSTER_LOG + 1]; /* terms, up to commit */
  raft_index commit;
  bool is_made_up; /* a leader that none of us is has sent something */
  uint64_t next_token;
  struct { /* the newest answer to a forward */
    uint64_t token;
    int code;
    raft_index index;
    raft_term term;
    uint32_t missing;
  } forwarded;
  struct cluster_counts seen_counts;
  const char *broken; /* the first invariant that broke; NULL */
  uint32_t broken_at; /* position of the node */
  char *story;        /* NULL, or what happens in words */
  size_t story_size, story_room;
};

struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *c);

/* Checks that nothing was broken, and says what was. */
bool cluster_is_sound(const struct cluster *c);

/* ---- single events; each is followed by all checks ----------------------- */

/* raft_step with the time of now. A failed allocation must change nothing and
 * is tried again. */
int64_t cluster_step(struct cluster *c, uint32_t node, struct raft_event *ev);
void cluster_tick(struct cluster *c, uint32_t node);
int64_t cluster_propose(struct cluster *c, uint32_t node, const char *command);
int64_t cluster_forward(struct cluster *c, uint32_t node, const char *command);
int64_t cluster_read(struct cluster *c, uint32_t node); /* the token */
int64_t cluster_read_lease(struct cluster *c, uint32_t node);

/* Asks this node, wherever the target came from, for a change based on the
 * configuration that it has in force. */
int64_t cluster_change(struct cluster *c, uint32_t node,
                       const struct raft_config *target, bool is_forced);

/* The configuration that this node has in force, as a target to be edited. */
struct raft_config cluster_target(const struct cluster *c, uint32_t node);

/* Edits a target: the goal of a node, which is added if it is none of it. */
void cluster_want(const struct cluster *c, struct raft_config *target,
                  uint32_t node, uint8_t goal);

void cluster_unreachable(struct cluster *c, uint32_t node, uint32_t peer);
int64_t cluster_form(struct cluster *c, uint32_t node);

/* Gives a crafted message to a node, as if `from` had sent it. */
int64_t cluster_receive(struct cluster *c, uint32_t node, uint32_t from,
                        const struct raft_message *m);

/* raft_take, and what may be performed at once. True when it did anything. */
bool cluster_flush(struct cluster *c, uint32_t node);

/* Completes and reports `count` writes of those under way. */
void cluster_disk(struct cluster *c, uint32_t node, uint32_t count);

/* From this index on its results are others: those named so. */
void cluster_stray(struct cluster *c, uint32_t node, raft_index from,
                   uint64_t to);

/* The digest of the results that this node has come to at `index`. */
uint64_t cluster_sum(const struct cluster *c, uint32_t node, raft_index index);

/* Reports what was applied, where that is held. */
void cluster_applied(struct cluster *c, uint32_t node);

/* ---- life and death ------------------------------------------------------ */

/* Keeps `keep` of the writes under way, whole. */
void cluster_crash(struct cluster *c, uint32_t node, uint32_t keep);
int cluster_restart(struct cluster *c, uint32_t node);

/* Damage takes the entries above `keep` from the disk of a node that is down;
 * what the log had is on record there. */
void cluster_rot(struct cluster *c, uint32_t node, raft_index keep);

/* Keeps the first thing that broke; NULL is nothing. */
void cluster_note(struct cluster *c, uint32_t node, const char *broken);

/* Replaces the replica by its clone: nobody may notice. */
void cluster_swap(struct cluster *c, uint32_t node);

/* Before a start: the log [2, ..] of these terms, entry 1 being there. */
void cluster_write_log(struct cluster *c, uint32_t node, raft_term term,
                       const raft_term *terms, uint32_t count);

/* ---- snapshots (cluster_snap.c) ------------------------------------------ */

/* One of the state as applied now, durable at once; the core hears of it.
 * RAFT_E_BUSY, or what the core answers. */
int64_t cluster_snapshot(struct cluster *c, uint32_t node);

/* Such a file is durable there; its core has heard of it. */
void cluster_keep_file(struct cluster *c, uint32_t node,
                       const struct raft_snapshot *s);

/* COMPACTED, and the entries leave the disk. */
int64_t cluster_compact(struct cluster *c, uint32_t node, raft_index index);

/* A transfer has arrived whole: its receiver hears of it, then its sender. */
void cluster_arrive(struct cluster *c, uint32_t transfer);

/* It has arrived, and only the receiver hears of it; the file is kept. */
int64_t cluster_receive_snapshot(struct cluster *c, uint32_t transfer);

/* It ends so for its sender, and is over. */
void cluster_shipped(struct cluster *c, uint32_t transfer, bool is_done);

/* ---- the network --------------------------------------------------------- */

void cluster_deliver(struct cluster *c, uint32_t packet);
void cluster_drop(struct cluster *c, uint32_t packet);
void cluster_double(struct cluster *c, uint32_t packet);
void cluster_drop_all(struct cluster *c);
void cluster_isolate(struct cluster *c, uint32_t node, bool is_cut);

/* Decodes packet `packet`. */
void cluster_look(const struct cluster *c, uint32_t packet,
                  struct raft_message *m);

/* The first packet of that kind from one to the other; -1: there is none. */
int cluster_find(const struct cluster *c, uint32_t from, uint32_t to,
                 enum raft_message_kind kind);

/* ---- many events --------------------------------------------------------- */

/* All work and all frames in order, until there are none; no time passes. */
void cluster_work(struct cluster *c);

/* Lets time pass, ticks at deadlines. */
void cluster_run(struct cluster *c, raft_ms ms);

/* Time passes until this node's time-out alone has come; it ticks. */
void cluster_time_out(struct cluster *c, uint32_t node);

/* time_out and work; true when it leads now. */
bool cluster_elect(struct cluster *c, uint32_t node);

/* Position of the leader of the newest term, or -1. */
int cluster_leader(const struct cluster *c);

struct raft_status cluster_status(const struct cluster *c, uint32_t node);

/* Encodes entries from `first` of these terms into out; the bytes. A command
 * of entry i in term t is "i/t". */
size_t cluster_entries(raft_index first, const raft_term *terms, uint32_t count,
                       uint8_t *out);

/* ---- stories ------------------------------------------------------------- */

/* From now on what happens is written down; what has been is forgotten. */
void cluster_listen(struct cluster *c);
void cluster_say(struct cluster *c, const char *format, ...);

/* What a frame says (cluster_words.c). Looks at nothing of the cluster but the
 * names of its nodes. */
void cluster_words(const struct cluster *c, const struct cluster_packet *p,
                   char *out, size_t room);

#endif
