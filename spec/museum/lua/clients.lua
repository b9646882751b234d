--- Old bugs between a cluster and those who ask it from outside: retries that
-- are second commands, answers that are forgotten, sessions that end at another
-- time on each node. They run on raft.client and on nodes that forward.
local answers = require "raft.answers"
local pieces = require "spec.museum.lua.pieces"
local sessions = require "raft.sessions"

local on_cluster, same = pieces.on_cluster, pieces.same

local SILENT_MS <const> = 12000  -- until a client has asked elsewhere, for sure
local AN_HOUR_MS <const> = 3600000
local PATIENT <const> = { timeout = 60000 }

-- A counter with snapshots; "bad" counts too, and raises.
local function counter()
  local total = 0
  return {
    apply = function(command)
      total = total + 1
      if command == "bad" then error("bad command", 0) end
      return total
    end,
    query = function() return total end,
    snapshot = function() return tostring(total) end,
    restore = function(bytes) total = math.tointeger(tonumber(bytes)) end,
  }
end

-- Story(s, c, hear): what c sends is applied, and hear() has to be called
-- before it hears of that. Its session is open.
local function with_a_deaf_client(options, story)
  options.node = counter
  on_cluster(options, function(s)
    local c <close> = s:client()
    assert(c:propose("first"))
    for _, id in ipairs(s.ids) do
      s.network:cut(s.members[id].ip, c.ip)
    end
    story(s, c, function() s:heal() end)
  end)
end

-- Proposes in a task, and waits until that is applied: the task, which gives
-- the result and the error in a table.
local function send(s, c, command)
  local task = s:spawn(function()
    local result, err = c:propose(command, PATIENT)
    return { result = result, err = err }
  end)
  pieces.must(s, "command applied", 5000, function()
    return s:node(s:leader()):query("total", { consistency = "stale" }) == 2
  end)
  return task
end

local function total_of(s)
  return assert(s:node(pieces.must(s, "leader", 20000, function()
    return s:leader()
  end)):query("total", PATIENT))
end

local function ask_again_after(what)
  return function(s, c, hear)
    local task = send(s, c, "second")
    what(s)
    hear()
    local got = task:wait(PATIENT)
    assert(not got.err, tostring(got.err))
    same("the result", 2, got.result)
    same("applied", 2, total_of(s))
  end
end

local function wait_for_silence(s) s:sleep(SILENT_MS) end

local function restart_all_from_snapshots(s)
  for _, id in ipairs(s.ids) do assert(s:node(id):take_snapshot()) end
  for _, id in ipairs(s.ids) do s:crash(id) end
  for _, id in ipairs(s.ids) do s:restart(id) end
end

local function kill_the_leader(s)
  s:sleep(500)  -- the others have applied it
  s:crash(s:leader())
end

-- The hour goes by in the log: whoever leads has a wall clock that jumps.
local function let_an_hour_pass(s)
  for _, id in ipairs(s.ids) do s:jump(id, AN_HOUR_MS) end
  assert(s:node(s:leader()):propose("third"))
end

-- A node's command whose answer cannot come back, in a session that is open.
local function ask_through_a_follower(s, timeout)
  local leader = s:leader()
  local follower = pieces.others(s, leader)[1]
  assert(s:node(follower):propose("first"))
  s:cut(leader, follower, false)
  local task = s:spawn(function()
    local result, err = s:node(follower):propose("second",
      { timeout = timeout })
    return { result = result, err = err }
  end)
  s:sleep(100)  -- it has left
  return task, follower
end

-- Each try is another command.
local function forget_the_sequence(place)
  return function(self, waiter)
    waiter.session = false
    return place(self, waiter)
  end
end

local function say_none(new)
  return function(code, message, details)
    local all = {}
    for name, value in pairs(details or {}) do all[name] = value end
    if code == "timeout" then all.outcome = "none" end
    return new(code, message, all)
  end
end

return {
  { number = 88, name = "a_client_that_asks_again_is_obeyed_again",
    reason = "the result: 3, not 2",
    bug = { "raft.own_session", "place", forget_the_sequence },
    run = function()
      with_a_deaf_client({}, ask_again_after(wait_for_silence))
    end },

  { number = 88, name = "a_node_that_asks_again_is_obeyed_again",
    reason = "applied: 3, not 2",
    bug = { "raft.own_session", "place", forget_the_sequence },
    run = function()
      on_cluster({ node = counter }, function(s)
        local task = ask_through_a_follower(s, 60000)
        s:sleep(SILENT_MS)
        s:heal()
        task:wait(PATIENT)
        same("applied", 2, total_of(s))
      end)
    end },

  { number = 88, name = "who_is_in_the_log_is_not_looked_up",
    reason = "exactly once: request 2 of session",
    bug = { "raft.sessions", "admit", function(admit)
      return function(self, index, time, id, sequence, floor)
        local session = self.by_id[id]
        if session and sequence <= session.last then
          session.answers:drop()  -- or it would not take it
          return "new", session
        end
        return admit(self, index, time, id, sequence, floor)
      end
    end },
    run = function()
      with_a_deaf_client({}, ask_again_after(wait_for_silence))
    end },

  { number = 88, name = "a_snapshot_forgets_who_was_answered",
    reason = "session_expired",
    bug = { "raft.sessions", "encode", function(encode)
      return function() return encode(sessions.new()) end
    end },
    run = function()
      with_a_deaf_client({}, ask_again_after(restart_all_from_snapshots))
    end },

  { number = 89, name = "a_session_ends_by_the_local_clock",
    reason = "results are said to differ",
    bug = { "raft.node.applying", "session", function(session)
      return function(driver, index, term, _, request)
        return session(driver, index, term, driver.clock:wall(), request)
      end
    end },
    run = function()
      local function comparing()
        local made = counter()
        made.compare_every = 8
        return made
      end
      on_cluster({ node = comparing }, function(s)
        local c <close> = s:client()
        assert(c:propose("first"))
        s:jump(pieces.others(s, s:leader())[1], AN_HOUR_MS)
        for _ = 1, 20 do assert(c:propose("again")) end
        s:sleep(1000)
      end)
    end },

  { number = 89, name = "what_was_sent_twice_goes_into_another_session",
    reason = "applied: 4, not 3",
    bug = { "raft.own_session", "expired", function(expired)
      return function(self, waiter)
        waiter.sends = 1
        return expired(self, waiter)
      end
    end },
    run = function()
      with_a_deaf_client({}, function(s, c, hear)
        local task = send(s, c, "second")
        let_an_hour_pass(s)
        s:sleep(SILENT_MS)
        hear()
        local got = task:wait(PATIENT)
        same("applied", 3, total_of(s))
        same("the answer", "session_expired", got.err and got.err.code)
        same("the outcome", "unknown", got.err.outcome)
        assert(c:propose("fourth"))
      end)
    end },

  { number = 90, name = "followers_keep_no_sessions",
    reason = "session_expired",
    bug = { "raft.replica_state", "apply", function(apply)
      return function(self, index, time, bytes, run)
        local ok, value, why = apply(self, index, time, bytes, run)
        self.sessions.by_id = setmetatable({}, { __newindex = function() end })
        return ok, value, why
      end
    end },
    run = function()
      with_a_deaf_client({}, ask_again_after(kill_the_leader))
    end },

  { number = 91, name = "a_failure_is_not_kept_and_comes_again",
    reason = "exactly once: request 2 of session",
    bug = { "raft.sessions", "answered", function(answered)
      return function(self, session, sequence, bytes)
        answered(self, session, sequence, bytes)
        if answers.decode(bytes) then return end
        session.last = session.last - 1
        session.answers:drop()
      end
    end },
    run = function()
      with_a_deaf_client({}, function(s, c, hear)
        local task = send(s, c, "bad")
        s:sleep(SILENT_MS)
        hear()
        local got = task:wait(PATIENT)
        same("the answer", "apply_error", got.err and got.err.code)
        same("applied", 2, total_of(s))
      end)
    end },

  { number = 93, name = "a_time_out_is_called_not_done",
    reason = "the outcome: none, not unknown",
    bug = { "raft.errors", "new", say_none },
    run = function()
      on_cluster({ node = counter }, function(s)
        local task = ask_through_a_follower(s, 200)
        local err = task:wait(PATIENT).err
        same("the outcome", "unknown", err and err.outcome)
        assert(not err.retry, "it says that another try is safe")
        s:heal()
        same("what had happened", 2, total_of(s))
      end)
    end },

  { number = 93, name = "a_client_calls_what_it_sent_not_done",
    reason = "the outcome: none, not unknown",
    bug = { "raft.client.sending", "send", function(original)
      return function(self, connection, request, size)
        original(self, connection, request, size)
        request.sends = 0
      end
    end },
    run = function()
      with_a_deaf_client({}, function(s, c)
        local task = send(s, c, "second")
        c:close()
        local err = task:wait(PATIENT).err
        same("the answer", "closed", err and err.code)
        same("the outcome", "unknown", err.outcome)
        same("what had happened", 2, total_of(s))
      end)
    end },

  -- Then it is seen all the same: an aborted read.
  { number = 96, name = "a_command_that_left_is_called_not_done",
    reason = "the outcome: none, not unknown",
    bug = { "raft.node.outbox", "each", function(each)
      return function(self, fn)
        return each(self, function(waiter) fn(waiter, false) end)
      end
    end },
    run = function()
      on_cluster({ node = counter }, function(s)
        local task, follower = ask_through_a_follower(s, 60000)
        s:node(follower):close()
        local err = task:wait(PATIENT).err
        same("the answer", "closed", err and err.code)
        same("the outcome", "unknown", err.outcome)
        same("what had happened", 2, total_of(s))
      end)
    end },
}
