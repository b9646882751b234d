/* damage.c - museum row 81: damage in the middle of a log. What is left of it
 * is known to be short; so what the node promised with the lost part still
 * holds, and the rest comes back. More about each rule in spec/c/repair_test.c
 * and wal_repair_test.c. */
#include "museum.h"

#include "wal_files.h"

/* Damage takes all above `keep` from n2; then it starts again. */
static void rot(struct cluster *c, raft_index keep) {
  cluster_crash(c, N2, 0);
  cluster_rot(c, N2, keep);
  EQ(cluster_restart(c, N2), RAFT_OK);
}

/* n1 and n2 have committed up to 4, n3 has not heard of it; n2 has lost it
 * again, n1 is gone. */
static struct cluster *committed_with_help(void) {
  struct cluster *c = museum_led(3);
  cluster_isolate(c, N3, true);
  museum_command(c, N1);
  museum_command(c, N1);
  EQ(alone_status(c).commit, 4);
  cluster_crash(c, N1, 0);
  rot(c, 2);
  cluster_isolate(c, N3, false);
  return c;
}

/* n3 lacks what n2 acknowledged. */
static void a_short_log_elects_who_has_no_more(void) {
  struct cluster *c = committed_with_help();
  cluster_run(c, 3000);
  EQ(cluster_leader(c), -1);
  EQ(cluster_restart(c, N1), RAFT_OK);
  cluster_run(c, 3000);
  EQ(cluster_leader(c), N1);
  EQ(cluster_status(c, N2).commit, cluster_status(c, N1).last);
  alone_end(c);
}

static void a_short_log_campaigns(void) {
  struct cluster *c = committed_with_help();
  EQ(c->nodes[N2].deadline, UINT64_MAX);
  cluster_run(c, 3000);
  EQ(cluster_status(c, N2).state, RAFT_FOLLOWER);
  alone_end(c);
}

/* 3 is on two of five disks; then damage takes it from one of them. */
static void what_damage_took_is_still_counted(void) {
  struct cluster *c = museum_led(5);
  for (uint32_t i = N3; i <= N5; i++)
    cluster_isolate(c, i, true);
  museum_command(c, N1);
  EQ(alone_status(c).commit, 2);
  rot(c, 1);
  c->nodes[N2].is_disk_held = true;
  cluster_unreachable(c, N1, N2);
  cluster_run(c, 60);
  cluster_isolate(c, N3, false);
  cluster_run(c, 60);
  EQ(cluster_status(c, N3).last, 3);
  EQ(alone_status(c).commit, 2);
  alone_end(c);
}

static void who_is_short_does_not_say_so(void) {
  struct cluster *c = museum_led(3);
  for (int i = 0; i < 4; i++)
    museum_command(c, N1);
  rot(c, 2);
  cluster_unreachable(c, N1, N2);
  cluster_run(c, 300);
  EQ(cluster_status(c, N2).last, 6);
  alone_end(c);
}

struct start { /* what one finds */
  raft_index last;
  raft_index lost; /* newest that damage took; 0: none */
};

/* Six entries on disk. The batch that overwrote 3 and 4 is damaged. */
static struct wal_files *log_of_six(raft_term before, raft_term after) {
  static struct wal_files files; /* large */
  wal_files_init(&files);
  (void)wal_files_segment(&files, 12);
  files.commit = 2;
  wal_files_add(&files, 1, 4, before);
  uint64_t offset = wal_files_add(&files, 3, 5, after);
  files.files[0].bytes[offset + 20] ^= 1;
  wal_files_add(&files, 6, 6, after);
  return &files;
}

/* What a start finds; and the log goes on with that. */
static struct start start(struct wal_files *files, uint64_t starts) {
  struct raft_wal_options options = wal_files_options();
  struct raft_wal_scan scan;
  struct raft_recovery r = {0};
  options.starts = starts;
  EQ(wal_files_scan(files, &scan, &options), RAFT_OK);
  raft_wal_state_result(&scan.state, &r);
  raft_wal_writer_init(&files->now.writer, &scan);
  raft_wal_map_free(&files->now.map);
  files->now.map = scan.map;
  raft_wal_map_init(&scan.map, scan.map.alloc, scan.map.alloc_ud);
  raft_wal_scan_free(&scan);
  return (struct start){r.last, r.lost_last};
}

/* Of 3 and 4 nobody knows: they were of term 2, then overwritten. */
static void all_before_the_damage_is_believed(void) {
  struct wal_files *files = log_of_six(2, 3);
  EQ(start(files, WAL_STARTS).last, 2);
  wal_files_free(files);
}

/* In the middle of the repair it starts once more. */
static void the_next_start_knows_of_no_loss(void) {
  struct wal_files *files = log_of_six(2, 3);
  EQ(start(files, WAL_STARTS).lost, 6);
  files->term = 4;
  wal_files_add(files, 3, 3, 3);
  EQ(start(files, WAL_STARTS + 1).lost, 6);
  wal_files_free(files);
}

const struct museum_scenario museum_damage[] = {
    RED("81", a_short_log_elects_who_has_no_more,
        "cluster_leader(c): got 2, want -1"),
    RED("81b", a_short_log_campaigns, "deadline: got"),
    RED("81c", what_damage_took_is_still_counted,
        "alone_status(c).commit: got 3, want 2"),
    RED("81d", who_is_short_does_not_say_so,
        "cluster_status(c, N2).last: got 2, want 6"),
    RED("81e", all_before_the_damage_is_believed, "last: got 4, want 2"),
    RED("81f", the_next_start_knows_of_no_loss, "lost: got 0, want 6"),
    LAST,
};
