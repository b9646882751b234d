/* walk.c - virtual time, weather, healing. */
#include "walk_inner.h"

#include <stdlib.h>
#include <string.h>

#include "replica.h"
#include "test.h"

#define FULL_CHECK_EVENTS 4096 /* one event of so many looks at everything */

static uint32_t draw(struct walk *w, uint32_t below) {
  return (uint32_t)(test_random(&w->random) % below);
}

static bool comes(struct walk *w, uint32_t of_1000) {
  return draw(w, 1000) < of_1000;
}

/* ---- the network --------------------------------------------------------- */

static bool is_before(const struct walk_packet *x,
                      const struct walk_packet *y) {
  return x->at != y->at ? x->at < y->at : x->number < y->number;
}

static void push(struct walk *w, struct walk_packet p) {
  if (w->packet_count == w->packet_room) {
    w->packet_room = 2 * w->packet_room + 64;
    w->packets = blob_need(realloc(w->packets, w->packet_room * sizeof p));
  }
  uint32_t i = w->packet_count++;
  for (; i > 0 && is_before(&p, &w->packets[(i - 1) / 2]); i = (i - 1) / 2)
    w->packets[i] = w->packets[(i - 1) / 2];
  w->packets[i] = p;
}

static struct walk_packet pop(struct walk *w) {
  struct walk_packet first = w->packets[0];
  struct walk_packet last = w->packets[--w->packet_count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= w->packet_count) break;
    if (child + 1 < w->packet_count &&
        is_before(&w->packets[child + 1], &w->packets[child]))
      child++;
    if (!is_before(&w->packets[child], &last)) break;
    w->packets[i] = w->packets[child];
    i = child;
  }
  w->packets[i] = last;
  return first;
}

static void post(struct walk *w, uint32_t from, uint32_t to,
                 struct blob *frame) {
  struct walk_packet p = {.number = ++w->numbers, .frame = frame};
  p.from = (uint8_t)from;
  p.to = (uint8_t)to;
  p.at = w->now + 1 + draw(w, w->weather.delay_ms);
  if (comes(w, w->weather.late)) p.at += draw(w, WALK_ELECTION_MAX_MS);
  push(w, p);
}

static void send(struct site_net *net, uint32_t from, uint32_t to,
                 struct blob *frame) {
  struct walk *w = (struct walk *)net;
  walk_check_sent(w, from, to, frame);
  if (w->weather.cut[from][to] || comes(w, w->weather.loss)) {
    w->result->marks.lost++;
    blob_drop(frame);
    return;
  }
  if (comes(w, w->weather.doubles)) {
    w->result->marks.doubled++;
    post(w, from, to, blob_share(frame));
  }
  post(w, from, to, frame);
}

/* ---- events -------------------------------------------------------------- */

enum event { TICK, HEAR, STORE, PROPOSE, CRASH };

static void do_event(struct walk *w, struct site *s, enum event event,
                     const struct walk_packet *p) {
  uint32_t keep = s->disk.count;
  char command[4];
  switch (event) {
  case TICK: site_tick(s, &w->net); break;
  case HEAR: site_hear(s, p->from, p->frame, &w->net); break;
  case STORE: site_store(s, 1 + draw(w, keep), &w->net); break;
  case PROPOSE:
    memcpy(command, &w->numbers, sizeof command);
    (void)site_propose(s, command, sizeof command, &w->net); /* may be full */
    break;
  case CRASH:
    keep = draw(w, keep + 1);
    w->result->marks.crashes++;
    w->result->marks.torn += keep < s->disk.count;
    site_crash(s, keep, test_random(&w->random), &w->net);
    w->disk_due[s->place] = 0;
    break;
  }
}

static void run_event(struct walk *w, uint32_t place, enum event event,
                      const struct walk_packet *p) {
  struct site *s = &w->sites[place];
  struct walk_before before = walk_before(s);
  uint64_t number = ++w->result->events;
  s->now = w->now;
  do_event(w, s, event, p);
  walk_check(w, place, &before);
  if (number % FULL_CHECK_EVENTS == 0) walk_check_all(w);
  if (s->disk.count == 0)
    w->disk_due[place] = 0;
  else if (w->disk_due[place] <= w->now)
    w->disk_due[place] = w->now + 1 + draw(w, w->weather.disk_ms);
}

static void deliver(struct walk *w) {
  struct walk_packet p = pop(w);
  w->now = p.at;
  w->result->marks.overtaken += p.number < w->delivered;
  if (p.number > w->delivered) w->delivered = p.number;
  run_event(w, p.to, HEAR, &p);
  blob_drop(p.frame);
}

static int find_leader(const struct walk *w) {
  int leader = -1;
  raft_term newest = 0;
  for (uint32_t i = 0; i < w->rules.count; i++) {
    const struct raft *r = w->sites[i].raft;
    if (r->state == RAFT_LEADER && r->term > newest) {
      leader = (int)i;
      newest = r->term;
    }
  }
  return leader;
}

/* Once a virtual second: commands and crashes. */
static void run_second(struct walk *w) {
  w->now = w->next_second;
  w->next_second += 1000;
  int leader = find_leader(w);
  if (leader >= 0 && comes(w, w->weather.commands_per_ks))
    run_event(w, (uint32_t)leader, PROPOSE, NULL);
  for (uint32_t i = 0; i < w->rules.count; i++)
    if (comes(w, w->weather.crashes)) run_event(w, i, CRASH, NULL);
}

/* The next thing that happens; the time moves on to it. */
static void run_next(struct walk *w) {
  raft_ms at = w->next_second;
  uint32_t place = SITE_MAX;
  bool is_disk = false;
  for (uint32_t i = 0; i < w->rules.count; i++) {
    if (w->sites[i].deadline < at) {
      at = w->sites[i].deadline;
      place = i;
      is_disk = false;
    }
    if (w->disk_due[i] == 0 || w->disk_due[i] >= at) continue;
    at = w->disk_due[i];
    place = i;
    is_disk = true;
  }
  if (w->packet_count > 0 && w->packets[0].at <= at) {
    deliver(w);
  } else if (place == SITE_MAX) {
    run_second(w);
  } else {
    if (at > w->now) w->now = at;
    run_event(w, place, is_disk ? STORE : TICK, NULL);
  }
}

/* ---- weather ------------------------------------------------------------- */

static const struct walk_weather calm = {
    .delay_ms = 5, .disk_ms = 5, .commands_per_ks = 300};

/* Each kind of trouble comes with one half, and is mild more often than bad. */
static uint32_t trouble(struct walk *w, uint32_t most) {
  if (draw(w, 2) == 0) return 0;
  uint32_t share = 1u << draw(w, 6);
  return most / share;
}

static void cut_some(struct walk *w) {
  uint32_t shape = draw(w, 3);
  uint32_t side = draw(w, 1u << w->rules.count);
  w->result->marks.partitions++;
  for (uint32_t i = 0; i < w->rules.count; i++)
    for (uint32_t k = 0; k < w->rules.count; k++) {
      bool is_across = (side >> i & 1u) != (side >> k & 1u);
      bool is_one_way = (side >> i & 1u) != 0 && is_across;
      if (shape == 0) w->weather.cut[i][k] = is_across;
      if (shape == 1) w->weather.cut[i][k] = is_one_way;
      if (shape == 2) w->weather.cut[i][k] = draw(w, 4) == 0;
    }
}

static void change_weather(struct walk *w) {
  struct walk_weather *now = &w->weather;
  *now = calm;
  now->loss = trouble(w, 500);
  now->doubles = trouble(w, 300);
  now->delay_ms = 2 + trouble(w, WALK_ELECTION_MIN_MS);
  now->late = trouble(w, 300);
  now->disk_ms = 2 + trouble(w, 4 * WALK_ELECTION_MAX_MS);
  now->crashes = trouble(w, 60);
  now->commands_per_ks = 20 + trouble(w, 900);
  w->result->marks.slow_disks += now->disk_ms > WALK_ELECTION_MAX_MS;
  if (draw(w, 3) == 0) cut_some(w);
  w->weather_until = w->now + 5000 + draw(w, 30000);
}

static bool is_at_end(const struct walk *w) {
  for (uint32_t i = 0; i < w->rules.count; i++) {
    const struct raft *r = w->sites[i].raft;
    if (r->log.last >= WALK_LOG || r->term >= WALK_TERMS - 100) return true;
  }
  return false;
}

static void run_until(struct walk *w, raft_ms until) {
  while (w->broken == NULL && w->now < until && !is_at_end(w))
    run_next(w);
}

/* ---- healing ------------------------------------------------------------- */

static bool is_in_charge(const struct walk *w, int leader) {
  if (leader < 0) return false;
  raft_term term = w->sites[leader].raft->term;
  for (uint32_t i = 0; i < w->rules.count; i++)
    if (w->sites[i].raft->term > term) return false;
  return true;
}

/* All is well again: a leader within 10 election time-outs. */
static int demand_leader(struct walk *w) {
  raft_ms until = w->now + 10 * WALK_ELECTION_MAX_MS;
  while (w->broken == NULL && w->now < until) {
    if (is_in_charge(w, find_leader(w))) return find_leader(w);
    run_next(w);
  }
  walk_note(w, "no leader within 10 election time-outs");
  return -1;
}

/* A write within 20, then the same log everywhere. */
static void demand_write(struct walk *w) {
  raft_ms until = w->now + 20 * WALK_ELECTION_MAX_MS;
  raft_index before = w->commit;
  raft_ms next = w->now;
  while (w->broken == NULL && w->commit == before && w->now < until) {
    int leader = find_leader(w);
    if (leader >= 0 && w->now >= next) {
      run_event(w, (uint32_t)leader, PROPOSE, NULL);
      next = w->now + WALK_ELECTION_MIN_MS;
    }
    run_next(w);
  }
  if (w->commit == before)
    walk_note(w, "no write within 20 election time-outs");
}

static void demand_equal(struct walk *w) {
  w->weather.commands_per_ks = 0;
  raft_ms until = w->now + 5 * WALK_ELECTION_MAX_MS;
  while (w->broken == NULL && w->now < until)
    run_next(w);
  for (uint32_t i = 0; i < w->rules.count; i++) {
    if (w->sites[i].raft->commit != w->commit ||
        w->sites[i].raft->log.last != w->commit)
      walk_note(w, "healed, and logs still differ");
  }
}

static void heal(struct walk *w) {
  w->weather = calm;
  w->weather.commands_per_ks = 0;
  (void)demand_leader(w); /* noted */
  demand_write(w);
  demand_equal(w);
  w->result->marks.heals += w->broken == NULL;
}

/* ---- one cluster --------------------------------------------------------- */

static struct walk *start(struct walk_result *result, uint64_t seed) {
  struct walk *w = blob_need(calloc(1, sizeof *w));
  w->net.send = send;
  w->result = result;
  w->random = seed;
  w->now = 2 * WALK_ELECTION_MIN_MS;
  w->next_second = w->now + 1000;
  w->weather = calm;
  site_rules_init(&w->rules, draw(w, 3) == 0 ? 5 : 3, 0, WALK_ELECTION_MIN_MS,
                  WALK_ELECTION_MAX_MS, WALK_HEARTBEAT_MS);
  w->commit = w->committed[1] = w->since[1] = 1;
  for (uint32_t i = 0; i < w->rules.count; i++) {
    site_init(&w->sites[i], &w->rules, i, test_random(&w->random));
    w->sites[i].is_thorough = false; /* walk_check_all is */
  }
  result->marks.clusters++;
  return w;
}

static void stop(struct walk *w) {
  for (raft_term t = 2; t < WALK_TERMS; t++)
    w->result->marks.no_leader += w->candidates[t] != 0 && w->leaders[t] == 0;
  while (w->packet_count > 0)
    blob_drop(w->packets[--w->packet_count].frame);
  for (uint32_t i = 0; i < w->rules.count; i++)
    site_free(&w->sites[i]);
  site_rules_free(&w->rules);
  free(w->packets);
  free(w);
}

/* Until its log is full, or for so many virtual seconds. */
static double live(struct walk_result *result, uint64_t seed, double seconds) {
  struct walk *w = start(result, seed);
  raft_ms born = w->now;
  raft_ms end = w->now + (raft_ms)(seconds * 1000);
  uint32_t storms = 0;
  while (w->broken == NULL && w->now < end && !is_at_end(w)) {
    change_weather(w);
    run_until(w, w->weather_until);
    if (++storms % 8 == 0) heal(w);
  }
  if (w->broken == NULL) heal(w);
  if (w->broken == NULL) walk_check_all(w);
  result->broken = w->broken;
  double lived = (double)(w->now - born) / 1000;
  stop(w);
  return lived;
}

struct walk_result walk_again(uint64_t seed) {
  struct walk_result result = {.seed = seed};
  result.at = result.seconds = live(&result, seed, 1e9);
  return result;
}

struct walk_result walk_run(uint64_t seed, double seconds) {
  struct walk_result result = {.broken = NULL};
  while (result.broken == NULL && result.seconds < seconds) {
    result.seed = test_random(&seed);
    result.at = live(&result, result.seed, seconds - result.seconds);
    result.seconds += result.at;
  }
  return result;
}
