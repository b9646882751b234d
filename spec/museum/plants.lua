--- How to take each fix out of the core: the museum's bugs, by their rows in
-- docs/MUSEUM.md. tools/plant.lua says what is made of this.
--
-- bug: its name. file: in csrc. right: text that is there exactly once, an
-- expression or whole statements. wrong: what a core without the fix has there.
-- Several plants of one name make one bug together.
local function plant(bug, file, right, wrong)
  return { bug = bug, file = file, right = right, wrong = wrong }
end

local NOTHING <const> = ";"

return {

  ------------------------------------- votes, terms, hard state (rows 1 - 20)

  -- First the term without its vote, and the vote in the next batch.
  plant("1", "raft.c", "fx->store.vote = r->vote;", [[
    bool is_half = r->hard_changed &&
                   (r->hard_seq == 0 || r->hard_seq + 1 != fx->store.seq);
    fx->store.vote = is_half ? 0 : r->vote;]]),
  plant("1", "raft.c", [[
  if (r->hard_changed) r->hard_seq = fx->store.seq;
  r->hard_changed = false;]], [[
    bool is_half = r->hard_changed &&
                   (r->hard_seq == 0 || r->hard_seq + 1 != fx->store.seq);
    if (r->hard_changed) r->hard_seq = fx->store.seq;
    r->hard_changed = is_half;]]),

  plant("2", "election.c", "ask_for_votes(r, false, r->ballot.own_vote);",
    "ask_for_votes(r, false, 0);"),

  plant("3", "election.c", "raft_send(r, to, after, &reply);",
    "raft_send(r, to, 0, &reply);"),

  plant("4", "raft.c", "raft_log_last_term(&r->log) > rec->term", "false"),
  plant("4", "raft.c", "r->term = rec->term;", [[
    bool is_lost = raft_log_last_term(&r->log) > rec->term;
    r->term = is_lost ? raft_log_last_term(&r->log) : rec->term;]]),

  plant("5", "raft.c", "  r->hard_changed = true;", NOTHING),

  plant("6", "raft.c", "  r->hard_changed = true;",
    "r->hard_changed = r->config_index != 0;"),

  plant("7", "election.c",
    "  if (term > r->term) raft_set_hard(r, term, 0);", [[
    if (term == r->term && r->state != RAFT_FOLLOWER) r->vote = 0;
    if (term > r->term) raft_set_hard(r, term, 0);]]),
  plant("7b", "replication.c", "raft_become_follower(r, r->term, from);", [[
    raft_become_follower(r, r->term, from);
    r->vote = 0;]]),

  -- A count of votes instead of a set of voters.
  plant("8", "election.c", "1u << i", [[
    m->vote_reply.granted && (r->ballot.granted >> i & 1u) != 0
              ? ~r->ballot.granted & (r->ballot.granted + 1u)
              : 1u << i]]),

  plant("9", "election.c", "return r->vote == from;", "return false;"),

  plant("10", "election.c", [[
  if (m->vote.last_term != ours.term) return m->vote.last_term > ours.term;
  return m->vote.last_index >= ours.index;]], [[
    if (m->vote.last_index != ours.index)
      return m->vote.last_index > ours.index;
    return m->vote.last_term >= ours.term;]]),

  plant("11", "election.c",
    "  if (granted && log_after > after) after = log_after;",
    "(void)log_after;"),

  -- The vote is taken to be a part of the write that is under way already.
  plant("12", "election.c", [[
  r->ballot = (struct raft_ballot){
      .round = r->ballot.round + 1,
      .own_vote = raft_hard_after(r),
      .is_transfer = is_transfer,
  };]], [[
    r->ballot = (struct raft_ballot){
        .round = r->ballot.round + 1,
        .own_vote = r->log.seq_handed,
        .is_transfer = is_transfer,
    };]]),

  plant("13", "raft.c", "raft_refuse_append(r, from, m);", [[
      raft_refuse_append(r, from, m);
      if (r->state != RAFT_LEADER) raft_set_election_timer(r);]]),

  plant("14", "election.c", [[
  r->election_due = RAFT_NEVER; /* until our vote is durable */
  ask_for_votes(r, false, r->ballot.own_vote);]], [[
    raft_set_election_timer(r);
    ask_for_votes(r, false, r->ballot.own_vote);]]),

  plant("15", "election.c", "m->vote_reply.round != r->ballot.round", "false"),

  plant("16", "election.c",
    "r->ballot = (struct raft_ballot){.round = r->ballot.round + 1};",
    "r->ballot.round++;"),

  plant("17", "election.c", "can_grant(r, from, m)",
    "(m->vote.pre ? r->leader = 0 : 0), can_grant(r, from, m)"),
  plant("17b", "raft.c",
    "if (m->kind == RAFT_MSG_VOTE && m->vote.pre) return;", NOTHING),

  plant("18", "election.c", "answer_vote(r, from, m, granted);", [[
    if (m->term >= r->term) answer_vote(r, from, m, granted);]]),

  plant("19", "election.c", "if (r->state == RAFT_LEADER) return true;",
    NOTHING),
  plant("19b", "election.c",
    "return r->now - r->leader_heard < raft_election_min(r);", "return true;"),

  plant("20", "election.c", "!m->vote.transfer && raft_is_sticky(r)", "false"),
  plant("20", "raft.c",
    "m->kind == RAFT_MSG_VOTE && !m->vote.transfer && raft_is_sticky(r)",
    "false"),

  -------------------------------------- replication and commit (rows 21 - 43)

  plant("21", "replication.c",
    "if (raft_log_term(&r->log, index) != r->term) return;", NOTHING),

  plant("22", "replication.c",
    "m->append.commit < verified ? m->append.commit : verified",
    "m->append.commit"),

  plant("23", "replication.c",
    "if (run.size == 0) return m->append.prev_index + m->append.count;", [[
    if (run.size == 0) {
      raft_index end = m->append.prev_index + m->append.count;
      raft_log_truncate(&r->log, end + 1);
      if (end >= r->commit) raft_config_truncate(r, end + 1);
      return end;
    }]]),

  plant("26", "replication.c", "is_compacted ? 0 : p->next - 1",
    "p->next - 1 < r->log.memory_first ? 0 : p->next - 1"),

  plant("27", "replication.c",
    "if (e.index != p->next + count) return RAFT_E_CORRUPT;",
    NOTHING),

  plant("28", "progress.c", "if (rejected <= p->match) return true;",
    NOTHING),
  plant("28", "progress.c", "if (next <= p->match) next = p->match + 1;",
    NOTHING),

  plant("29", "raft.c", "if (is_current) raft_on_append_reply(r, ev, m);",
    "if (m->term <= r->term) raft_on_append_reply(r, ev, m);"),
  plant("29", "replication.c", [[
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  assert(m->term == r->term);]], NOTHING),

  plant("30", "log.c", "log->stored = lesser(log->stored, log->last);",
    NOTHING),

  plant("31", "log.c", "raft_stores_clip(log, from - 1);", NOTHING),

  plant("32", "raft.c", "raft_log_after(&r->log, last)", "0"),

  plant("33", "replication.c",
    "match[i] = p != NULL ? p->match : r->log.stored;",
    "match[i] = p != NULL ? p->match : r->log.last;"),

  plant("34", "log.c", "raft_memory_cut(log, from);", NOTHING),

  plant("35", "replication.c", "send_empty(r, &r->peers[i]);", [[
    if (raft_progress_can_send(&r->peers[i], r->options.inflight_bytes_max))
      send_empty(r, &r->peers[i]);]]),

  plant("37", "quorum.c", "if (!c->joint) return value;", "return value;"),

  plant("37b", "quorum.c", "value < other ? value : other", "other"),

  -- The final entry follows the joint one at once.
  plant("37c", "reconfig.c",
    "r->commit < r->term_start || r->config_index > r->commit",
    "r->commit < r->term_start"),
  plant("37c", "reconfig.c",
    "assert(r->config_index <= r->commit);", NOTHING),

  plant("38", "quorum.c", "n / 2 + 1", "n / 2"),
  plant("38b", "quorum.c", "n / 2 + 1", "(n + 1) / 2"),

  plant("39", "replication.c",
    "raft_log_agree(&r->log, hint, m->append_reply.hint_term)",
    "m->append_reply.index - 1"),

  plant("40", "replication.c",
    "if (r->ack.is_prompt && after > hard) send_ack(r, stored, hard);",
    "if (r->ack.is_prompt && after > hard) send_ack(r, r->ack.index, hard);"),

  plant("41", "log_block.c", "b->count = count;",
    "b->count = count; raft_block_reclaim(b);"),

  plant("42", "raft.c", "if (m->kind == RAFT_MSG_TIMEOUT_NOW) return;", [[
    if (m->kind == RAFT_MSG_TIMEOUT_NOW) return;
    if (m->kind == RAFT_MSG_APPEND_REPLY) return;]]),
  plant("42", "raft.c", "if (is_current) raft_on_append_reply(r, ev, m);",
    "if (m->term >= r->term) raft_on_append_reply(r, ev, m);"),
  plant("42", "replication.c", [[
  assert(m->kind == RAFT_MSG_APPEND_REPLY);
  assert(m->term == r->term);]], NOTHING),

  -- Entries are sent once they are on the leader's own disk.
  plant("43", "replication.c", "raft_outbox_add(&r->out, RAFT_FX_SEND, 0)",
    "raft_outbox_add(&r->out, RAFT_FX_SEND, raft_log_after(&r->log, last))"),

  ------------------------------------------- reads, transfer (rows 44 - 54)

  plant("44", "read.c",
    "r->commit >= r->term_start ? r->commit : r->term_start", "r->commit"),

  plant("45", "read.c", "r->round_is_sent || r->read_round == 0",
    "r->read_round == 0"),
  plant("45b", "read.c", "if (!is_asked(r, m->read.context)) return;",
    NOTHING),

  plant("46", "read.c", "raft_quorum_value(&r->config, acked)",
    "r->read_round"),

  plant("47", "lease.c", "if (r->is_lease_void) return false;", NOTHING),

  -- By its own heartbeats since: none while the process stood still.
  plant("48", "lease.c", "r->now - mark->sent < length_of(r)", [[
      (raft_ms)(r->mark_count - i) * r->options.heartbeat_ms < length_of(r)]]),

  -- From when the answers came.
  plant("48b", "lease.c", "return is_fresh(r, held_round(r));", [[
    uint64_t heard[RAFT_MEMBERS_MAX] = {0};
    for (uint32_t i = 0; i < r->config.count; i++) {
      const struct raft_progress *p = raft_peer_at(r, i);
      heard[i] = p != NULL ? p->heard : r->now;
    }
    (void)is_fresh(r, held_round(r));
    return r->now - raft_quorum_value(&r->config, heard) < length_of(r);]]),

  plant("49", "election.c", "!m->vote.transfer && raft_is_sticky(r)", "false"),
  plant("49", "raft.c",
    "m->kind == RAFT_MSG_VOTE && !m->vote.transfer && raft_is_sticky(r)",
    "false"),

  -- Any answer will do.
  plant("49b", "lease.c", "return raft_quorum_value(&r->config, acked);", [[
    uint64_t newest = raft_quorum_value(&r->config, acked);
    for (uint32_t i = 0; i < r->config.count; i++)
      if (acked[i] != UINT64_MAX && acked[i] > newest) newest = acked[i];
    return newest;]]),

  plant("49c", "election.c",
    "return r->now - r->started < raft_election_min(r);", "return false;"),

  plant("49d", "election.c", "r->leader == 0 && !r->config.leases",
    "r->leader == 0"),

  plant("50", "lease.c", "(kept_min(r) - 1u) * (raft_ms)9 / 10",
    "kept_min(r) - 1u"),

  plant("52", "transfer.c", "r->now + r->options.election_max_ms",
    "r->now + (1u << 30)"),

  plant("53", "transfer.c", "r->is_heir_told || p->match < r->log.last",
    "r->is_heir_told"),

  plant("54", "election.c", [[
  r->ballot.is_transfer = true;
  start_candidacy(r);]], "start_pre_vote(r);"),

  -------------------------------------- membership, forwards, start (55 - 114)

  plant("58", "election.c", "if (!is_up_to_date(r, m)) return false;", [[
    if (!is_up_to_date(r, m)) return false;
    if (!raft_is_candidate_material(r)) return false;]]),

  plant("63", "membership.c",
    "known == 0 || known == ev->receive.incarnation", "true"),

  plant("64", "membership.c", [[
  r->config = r->config_before;
  r->config_index = r->config_before_index;
  memset(&r->config_before, 0, sizeof r->config_before);
  r->config_before_index = 0;]], NOTHING),

  plant("88", "forward.c", "r->state != RAFT_LEADER || m->term != r->term",
    "r->state != RAFT_LEADER"),

  plant("97", "raft.c", [[
  raft_set_election_timer(r);
  assert(r->commit <= r->log.last);]], [[
    raft_set_election_timer(r);
    r->election_due += 10 * raft_election_min(r);]]),

  plant("98", "raft.c",
    "raft_become_follower(r, m->term, m->kind == RAFT_MSG_APPEND ? from : 0);",
    [[
    raft_become_follower(r, m->term, m->kind == RAFT_MSG_APPEND ? from : 0);
    if (m->kind == RAFT_MSG_VOTE_REPLY) r->vote = from;]]),

  plant("101", "replication.c", "!is_leaving && !raft_counts(r, ev)",
    "false"),
  plant("101", "reconfig.c",
    "p->incarnation != 0 && p->incarnation != incarnation", "false"),

  plant("102", "raft.c", "rec->commit < rec->last ? rec->commit : rec->last",
    "rec->commit"),
  plant("102b", "raft.c", "if (hint > r->commit) r->commit = hint;", [[
    if (hint > r->commit) r->applied = r->apply_handed = r->commit = hint;]]),

  plant("55", "reconfig.c",
    "if (r->commit < r->term_start) return RAFT_E_BUSY;", NOTHING),

  plant("57", "reconfig.c",
    "r->heir != 0 || r->is_out_of_space || !are_all_caught_up(r)", [[
    r->heir != 0 || r->is_out_of_space || !are_all_caught_up(r) ||
                r->config_index < r->term_start]]),

  plant("60", "membership.c", [[
  return c->members[i].role[RAFT_OLD] == RAFT_ROLE_VOTER ||
         c->members[i].role[RAFT_NEW] == RAFT_ROLE_VOTER;]],
    "return c == &r->config && c->members[i].role[RAFT_NEW] == "
    .. "RAFT_ROLE_VOTER;"),

  -- A leader that is no voter in the half to come stops with the joint.
  plant("61", "reconfig.c", "if (r->state != RAFT_LEADER) return;", [[
    if (r->state != RAFT_LEADER) return;
    const struct raft_member *own =
        member_of(&r->config, r->options.self);
    if (own == NULL || own->role[RAFT_NEW] != RAFT_ROLE_VOTER) {
      raft_become_follower(r, r->term, 0);
      r->election_due = RAFT_NEVER;
      return;
    }]]),

  plant("62", "election.c", "if (!granted) raft_tell_removed(r, from);",
    NOTHING),

  plant("63b", "reconfig.c",
    "p->incarnation != 0 && p->incarnation != incarnation", "false"),

  plant("65", "reconfig.c",
    "if (is_member && p->leaving_index != 0) begin_peer(r, p, p->id);",
    "if (is_member) p->leaving_index = 0;"),

  plant("110", "change.c",
    "counts(m->goal) && !counts(m->role[RAFT_OLD])", "false"),

  plant("111", "change.c",
    "memcpy(mine->address, m->address, sizeof mine->address);", [[
    bool is_news = at >= 0 && strcmp(mine->address, m->address) != 0;
    memcpy(mine->address, m->address, sizeof mine->address);
    if (is_news)
      mine->role[RAFT_OLD] = mine->role[RAFT_NEW] = mine->goal =
          RAFT_ROLE_VOTER;]]),

  plant("103", "election.c", "m->vote_reply.round != r->ballot.round",
    "m->vote_reply.round != r->ballot.round && !m->vote_reply.pre"),
  plant("103", "election.c", [[
r->state == RAFT_PRE_CANDIDATE &&
           m->vote_reply.for_term == r->term + 1]], "true"),
  plant("103b", "raft.c", "if (m->kind == RAFT_MSG_TIMEOUT_NOW) return;", [[
    if (m->kind == RAFT_MSG_TIMEOUT_NOW) return;
    if (m->kind == RAFT_MSG_VOTE_REPLY && m->vote_reply.pre) return;]]),

  plant("104", "raft.c", "if (is_current) raft_on_timeout_now(r, from, m);",
    "raft_on_timeout_now(r, from, m);"),
  plant("104", "election.c", [[
  assert(m->kind == RAFT_MSG_TIMEOUT_NOW);
  assert(m->term == r->term);]], NOTHING),

  plant("106", "replication_prepare.c", "is_current && is_decided", "false"),

  plant("109", "quorum.c",
    "role == RAFT_ROLE_VOTER || role == RAFT_ROLE_WITNESS",
    "role != RAFT_ROLE_NONE"),

  plant("112", "election.c", "r->heartbeat_due = RAFT_NEVER;", [[
    if (!was_passive) r->commit = r->apply_handed;
    r->heartbeat_due = RAFT_NEVER;]]),

  plant("113", "election.c",
    "r->ballot = (struct raft_ballot){.round = r->ballot.round + 1};", [[
    r->ballot = (struct raft_ballot){.round = r->ballot.round + 1,
                                     .refused = r->ballot.refused};]]),

  plant("114", "read.c", [[
  if (r->state == RAFT_LEADER) {
    register_read(r, token, r->options.self);
    return RAFT_OK;
  }]], [[
    if (r->state == RAFT_LEADER) {
      bool is_early = r->commit < r->term_start;
      if (!is_early) register_read(r, token, r->options.self);
      return RAFT_OK;
    }]]),

  -- Snapshots.
  plant("24", "replication.c", "index <= r->log.base_index",
    "false"),

  plant("25", "replication.c",
    "if (prev < r->log.base_index) return true;",
    "if (prev < r->log.base_index) return false;"),

  plant("66", "snapshot.c", "  rec->config = own;", "  (void)own;"),

  -- That of a snapshot counts, whatever came after it.
  plant("66b", "snapshot.c", [[
    r->config_before = *config;
    r->config_before_index = s->config_index;
    raft_config_changed(r);]], [[
    r->config = *config;
    r->config_index = s->config_index;
    raft_config_changed(r);]]),

  plant("68", "snapshot.c",
    "raft_log_term(&r->log, s->index) == s->term",
    "raft_log_term(&r->log, s->index) != 0"),

  plant("71", "snapshot.c",
    "s->index <= r->commit || r->state == RAFT_LEADER",
    "r->state == RAFT_LEADER"),

  plant("72", "snapshot.c",
    "s->index < rec->base_index || s->index > rec->last",
    "s->index > rec->last"),
  plant("72", "snapshot.c",
    "s->index > 0 && raft_log_term(&r->log, s->index) != s->term", "false"),

  plant("72b", "snapshot.c",
    "rec->base_index == 0 ? RAFT_OK : RAFT_E_CORRUPT", "RAFT_OK"),

  plant("77", "snapshot.c", "if (p->is_shipped) raft_progress_shipped(p);",
    "p->is_shipped = false;"),

  plant("78", "snapshot.c", "p->is_resting = true;", NOTHING),

  plant("59", "snapshot.c", "  take_config(r, s, config);", "(void)config;"),

  -- A snapshot has the members of before.
  plant("59b", "snapshot.c", "is_newest ? &r->config : &r->config_before",
    "r->config_before_index != 0 ? &r->config_before : &r->config"),

  plant("99", "snapshot.c", "  take_config(r, s, config);",
    "if (r->config_index < s->config_index) take_config(r, s, config);"),

  plant("105", "snapshot.c",
    "if (p->next > r->log.base_index) return false;",
    "{ if (p->next > r->log.base_index) return false;"
    .. " if (r->log.last == r->log.base_index) return false; }"),

  plant("106b", "snapshot.c",
    "is_decided && raft_log_term(&r->log, s->index) != s->term",
    "false && is_decided"),

  plant("107", "snapshot.c",
    "own->mark_seq > r->log.seq_stored ? own->mark_seq : 0", "0"),

  -- What stands on the new log is said before that is on the disk.
  plant("107b", "snapshot.c",
    "if (own->reset.index != 0) return r->log.seq_handed + 1;", NOTHING),
  plant("107b", "snapshot.c",
    "own->reset_seq > r->log.seq_stored ? own->reset_seq : 0", "0"),

  plant("108", "snapshot.c",
    "p->state == RAFT_SNAPSHOT && p->snapshot_index < upto",
    "false && p->snapshot_index < upto"),

  -- Damage in the middle of a log.
  plant("81", "repair.c", "raft_is_repairing(r) ? r->lost : last_place(r)",
    "last_place(r)"),

  plant("81b", "membership.c", "raft_is_repairing(r) || raft_has_holes(r)",
    "raft_has_holes(r)"),

  plant("81c", "replication.c", "is_repairing(m) && agree < p->match",
    "false"),

  plant("81d", "replication.c",
    "raft_is_repairing(r) ? RAFT_REPLY_REPAIRING : 0", "0"),

  plant("81e", "wal_state.c", "if (known < s->last) truncate(s, known + 1);",
    NOTHING),

  plant("81f", "wal_writer.c", "w->lost_last != 0", "false"),

  -- Results that differ.
  plant("92", "quorum.c", "return sorted[n / 2];",
    "return sorted[(n - 1) / 2];"),
}
