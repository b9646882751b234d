/* One node of canonical raft (Debian's libraft) for the benchmarks: the same
 * orders on stdin and answers on stdout as bench/compare/node.lua.
 *
 *   canonical <number> <directory> <address>...
 *
 *   load propose <outstanding> <bytes> <ms>
 *       -> load <count> <seconds> <p50 ms> <p99 ms> <worst ms>
 *   "role leader" when it begins to lead
 *
 * Everything is as the library has it by default, but for the time-outs, which
 * are those of the other columns, and for snapshots, which are rarer, so that
 * they are not what is measured. Its state machine keeps the newest commands,
 * as theirs do. What fails ends the process: there is no figure then. */
#include <raft.h>
#include <raft/uv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
  ELECTION_MS = 500,
  HEARTBEAT_MS = 100,
  SNAPSHOT_ENTRIES = 65536, /* the default of 1,024 would mean 30 a second */
  TRAILING_ENTRIES = 8192,
  ROLE_MS = 10, /* how often we look whether we lead */
  KEPT = 10000, /* commands that the state holds */
  BUCKET_NS = 10000,
  BUCKETS = 100000, /* of latencies: 10 us each, the last for all above 1 s */
  LINE_MAX_BYTES = 256
};

struct kept {
  char *base;
  size_t size;
};

struct load {
  unsigned outstanding;
  size_t size;       /* of a command */
  uint64_t began;    /* ns */
  uint64_t deadline; /* ns */
  uint64_t count;    /* answered */
  uint64_t worst;    /* ns */
  unsigned under_way;
  uint32_t buckets[BUCKETS];
};

struct proposal {
  struct raft_apply request; /* first: the library hands out this */
  uint64_t at;               /* ns */
};

static struct raft node;
static struct load load;
static struct kept kept[KEPT];
static uint64_t applied;
static int last_role;
static char line[LINE_MAX_BYTES];
static size_t line_size;

static void give_up(const char *what, const char *why) {
  fprintf(stderr, "canonical: %s: %s\n", what, why);
  exit(1);
}

static void check(int status, const char *what) {
  if (status != 0) give_up(what, raft_strerror(status));
}

static void check_uv(int status, const char *what) {
  if (status != 0) give_up(what, uv_strerror(status));
}

/* --------------------------------------------------------------- the state */

static int apply(struct raft_fsm *fsm, const struct raft_buffer *buf,
                 void **result) {
  struct kept *slot = &kept[applied++ % KEPT];
  (void)fsm;
  if (slot->size < buf->len) {
    char *base = realloc(slot->base, buf->len);
    if (base == NULL) return RAFT_NOMEM;
    *slot = (struct kept){.base = base, .size = buf->len};
  }
  memcpy(slot->base, buf->base, buf->len);
  *result = NULL;
  return 0;
}

/* A snapshot costs next to nothing: no more than the others' do. */
static int snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[],
                    unsigned *n_bufs) {
  (void)fsm;
  *bufs = raft_malloc(sizeof **bufs);
  if (*bufs == NULL) return RAFT_NOMEM;
  (*bufs)[0] = (struct raft_buffer){.base = raft_calloc(1, 8), .len = 8};
  *n_bufs = 1;
  return (*bufs)[0].base == NULL ? RAFT_NOMEM : 0;
}

static int restore(struct raft_fsm *fsm, struct raft_buffer *buf) {
  (void)fsm;
  raft_free(buf->base);
  return 0;
}

/* ---------------------------------------------------------------- the load */

static double at_share(double share) {
  uint64_t seen = 0;
  for (int i = 0; i < BUCKETS; i++) {
    seen += load.buckets[i];
    if ((double)seen >= (double)load.count * share)
      return (double)(i + 1) * BUCKET_NS / 1e6;
  }
  return (double)load.worst / 1e6;
}

static void report(uint64_t now) {
  double seconds = (double)(now - load.began) / 1e9;
  printf("load %llu %.6f %.3f %.3f %.3f\n", (unsigned long long)load.count,
         seconds, at_share(0.5), at_share(0.99), (double)load.worst / 1e6);
  fflush(stdout);
}

static void propose(void);

static void count_one(uint64_t took) {
  uint64_t bucket = took / BUCKET_NS;
  if (bucket >= BUCKETS) bucket = BUCKETS - 1;
  load.buckets[bucket]++;
  load.count++;
  if (took > load.worst) load.worst = took;
}

static void answered(struct raft_apply *request, int status, void *result) {
  struct proposal *proposal = (struct proposal *)request;
  uint64_t now = uv_hrtime();
  (void)result;
  check(status, "apply");
  count_one(now - proposal->at);
  free(proposal);
  load.under_way--;
  if (now < load.deadline) {
    propose();
  } else if (load.under_way == 0) {
    report(now);
  }
}

static void propose(void) {
  struct proposal *proposal = malloc(sizeof *proposal);
  struct raft_buffer buf = {.base = raft_malloc(load.size), .len = load.size};
  if (proposal == NULL || buf.base == NULL) give_up("propose", "no memory");
  memset(buf.base, 'x', buf.len);
  proposal->at = uv_hrtime();
  load.under_way++;
  check(raft_apply(&node, &proposal->request, &buf, 1, answered), "propose");
}

static void obey(const char *order) {
  unsigned outstanding;
  unsigned long size;
  unsigned long ms;
  if (sscanf(order, "load propose %u %lu %lu", &outstanding, &size, &ms) != 3)
    give_up("unknown order", order);
  memset(&load, 0, sizeof load);
  load.outstanding = outstanding;
  load.size = size;
  load.began = uv_hrtime();
  load.deadline = load.began + ms * 1000000;
  for (unsigned i = 0; i < outstanding; i++)
    propose();
}

/* -------------------------------------------------------------- the orders */

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)handle;
  (void)size;
  *buf = uv_buf_init(line + line_size, (unsigned)(sizeof line - 1 - line_size));
}

static void take_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  char *end;
  (void)stream;
  (void)buf;
  if (n < 0) exit(0); /* who started us is gone */
  line_size += (size_t)n;
  line[line_size] = '\0';
  while ((end = strchr(line, '\n')) != NULL) {
    *end = '\0';
    obey(line);
    line_size -= (size_t)(end + 1 - line);
    memmove(line, end + 1, line_size + 1);
  }
}

static void look_at_role(uv_timer_t *timer) {
  int role = raft_state(&node);
  (void)timer;
  if (role == last_role) return;
  last_role = role;
  printf("role %s\n", role == RAFT_LEADER ? "leader" : "follower");
  fflush(stdout);
}

/* --------------------------------------------------------------- the start */

static void bootstrap(int count, char **addresses) {
  struct raft_configuration members;
  raft_configuration_init(&members);
  for (int i = 0; i < count; i++) {
    check(raft_configuration_add(&members, (raft_id)(i + 1), addresses[i],
                                 RAFT_VOTER),
          "members");
  }
  check(raft_bootstrap(&node, &members), "bootstrap");
  raft_configuration_close(&members);
}

int main(int argc, char **argv) {
  static struct raft_uv_transport transport;
  static struct raft_io io;
  static struct raft_fsm fsm = {
      .version = 1, .apply = apply, .snapshot = snapshot, .restore = restore};
  static uv_pipe_t orders;
  static uv_timer_t timer;
  uv_loop_t *loop = uv_default_loop();
  raft_id id;
  signal(SIGPIPE, SIG_IGN); /* peers die, and we write to them */
  if (argc < 4) give_up("usage", "canonical number directory address...");
  id = strtoull(argv[1], NULL, 10);
  if (id < 1 || id > (raft_id)(argc - 3)) give_up("no such number", argv[1]);
  check(raft_uv_tcp_init(&transport, loop), "transport");
  check(raft_uv_init(&io, loop, argv[2], &transport), argv[2]);
  check(raft_init(&node, &io, &fsm, id, argv[2 + id]), "init");
  raft_set_election_timeout(&node, ELECTION_MS);
  raft_set_heartbeat_timeout(&node, HEARTBEAT_MS);
  raft_set_pre_vote(&node, true);
  raft_set_snapshot_threshold(&node, SNAPSHOT_ENTRIES);
  raft_set_snapshot_trailing(&node, TRAILING_ENTRIES);
  bootstrap(argc - 3, argv + 3);
  check(raft_start(&node), "start");
  check_uv(uv_pipe_init(loop, &orders, 0), "stdin");
  check_uv(uv_pipe_open(&orders, 0), "stdin");
  check_uv(uv_read_start((uv_stream_t *)&orders, give_room, take_bytes),
           "stdin");
  check_uv(uv_timer_init(loop, &timer), "timer");
  check_uv(uv_timer_start(&timer, look_at_role, ROLE_MS, ROLE_MS), "timer");
  return uv_run(loop, UV_RUN_DEFAULT);
}
