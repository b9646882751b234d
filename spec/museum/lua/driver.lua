--- Old bugs between a core and its users: applying, answering, being let in.
local errors = require "raft.errors"
local pieces = require "spec.museum.lua.pieces"

local on_cluster, same = pieces.on_cluster, pieces.same

-- A service whose apply raises at "bad", after it has done something.
local function touchy()
  local runs = 0
  return {
    apply = function(command)
      runs = runs + 1
      if command == "bad" then error("bad command", 0) end
      return runs
    end,
    query = function() return runs end,
  }
end

local function send_a_bad_one(s, client)
  local _, err = client:propose("bad")
  same("the answer", "apply_error", err and err.code)
  assert(client:propose("good"))
  same("runs of apply", 2, assert(client:query("runs")))
  pieces.must(s, "equal machines", 5000, function() return s:is_settled() end)
end

-- A command on its way from a follower, whose answer cannot come back.
local function ask_without_answer(s, timeout, then_do)
  local leader = s:leader()
  local follower = pieces.others(s, leader)[1]
  s:cut(leader, follower, false)
  local task = s:spawn(function()
    local _, err = s:node(follower):propose("1", { timeout = timeout })
    return err
  end)
  s:sleep(6000)  -- it is given up
  s:heal()
  local err = task:wait { timeout = 60000 }
  same("the outcome", "unknown", err and err.outcome)
  then_do(err)
end

return {
  { number = 90, name = "followers_never_apply",
    reason = "after the leader died: %d, not 3",
    bug = { "raft.node.applying", "apply_one", function(apply_one)
      return function(driver, index)
        local machine = driver.machine
        if driver.role ~= "leader" then
          driver.machine = { apply = function() return true, 0 end }
        end
        apply_one(driver, index)
        driver.machine = machine
      end
    end },
    run = function()
      on_cluster({}, function(s, client)
        for _ = 1, 3 do assert(s:node(s:leader()):propose("1")) end
        s:sleep(500)
        local old = s:leader()
        s:crash(old)
        pieces.new_leader(s, old)
        same("after the leader died", 3, assert(client:query("total")))
      end)
    end },

  { number = 91, name = "an_apply_that_raises_ends_the_nodes",
    reason = "the node failed",
    bug = { "raft.machine", "apply", function(apply)
      return function(...)
        local ok, value, extra = apply(...)
        if not ok then error(value.message, 0) end
        return ok, value, extra
      end
    end },
    run = function() on_cluster({ node = touchy }, send_a_bad_one) end },

  { number = 91, name = "a_command_whose_apply_raises_is_applied_again",
    reason = "runs of apply: 3, not 2",
    bug = { "raft.machine", "apply", function(apply)
      return function(...)
        local ok, value, extra = apply(...)
        if not ok then return apply(...) end
        return ok, value, extra
      end
    end },
    run = function() on_cluster({ node = touchy }, send_a_bad_one) end },

  { number = 93, name = "a_command_on_a_broken_link_is_sent_again",
    reason = "applied: 2, not 1",
    bug = { "raft.node.outbox", "give_up", function()
      return function(outbox, waiters) outbox:put_back(waiters) end
    end },
    run = function()
      on_cluster({}, function(s, client)
        local leader = s:leader()
        local follower = pieces.others(s, leader)[1]
        s:cut(leader, follower, false)
        s:spawn(function()
          s:node(follower):propose("1", { timeout = 60000 })
        end)
        s:sleep(6000)  -- it is given up
        s:heal()
        s:sleep(4000)
        same("applied", 1, assert(client:query("total")))
      end)
    end },

  { number = 93, name = "a_time_out_is_called_not_done",
    reason = "the outcome: none, not unknown",
    bug = { "raft.errors", "new", function(new)
      return function(code, message, details)
        local all = {}
        for name, value in pairs(details or {}) do all[name] = value end
        if code == "timeout" then all.outcome = "none" end
        return new(code, message, all)
      end
    end },
    run = function()
      on_cluster({}, function(s, client)
        ask_without_answer(s, 200, function(err)
          assert(not err.retry, "it says that another try is safe")
          same("what had happened", 1, assert(client:query("total")))
        end)
      end)
    end },

  -- Then it is seen all the same: an aborted read.
  { number = 96, name = "a_command_that_left_is_called_not_done",
    reason = "the outcome: none, not unknown",
    bug = { "raft.node.outbox", "give_up", function()
      return function(outbox, waiters)
        for _, waiter in ipairs(waiters) do
          outbox.proposals:answer(waiter, errors.new("not_leader", "gone"))
        end
      end
    end },
    run = function()
      on_cluster({}, function(s, client)
        ask_without_answer(s, false, function(err)
          same("the answer", "unknown", err.code)
          same("what had happened", 1, assert(client:query("total")))
        end)
      end)
    end },

  { number = 63, name = "an_emptied_directory_is_let_in",
    reason = "no refusal within",
    bug = { "raft.greeting", "judge", function(judge)
      return function(greeting, hello, ...)
        local verdict = judge(greeting, hello, ...)
        if verdict.accept then return verdict end
        return { accept = true,
          adopt = not greeting.identity and hello.identity or false }
      end
    end },
    run = function()
      on_cluster({ may_fail = true }, function(s, client)
        assert(client:propose("1"))
        local victim = pieces.others(s, s:leader())[1]
        s:wipe(victim)
        s:sleep(10000)  -- until nobody takes it for alive
        s:restart(victim)
        local member = s.members[victim]
        pieces.must(s, "refusal", 10000, function() return member.failure end)
        same("the refusal", "rolled_back", member.failure.code)
        assert(errors.text(member.failure):find("remove " .. victim))
        assert(client:propose("1"))
      end)
    end },
}
