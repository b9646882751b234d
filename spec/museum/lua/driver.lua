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

return {
  { number = 90, name = "followers_never_apply",
    reason = "after the leader died: %d, not 3",
    bug = { "raft.node.applying", "apply_slice", function(apply_slice)
      return function(driver)
        local machine = driver.machine
        if driver.role ~= "leader" then
          local function nothing() return true, 0 end
          local function none(_, _, _, _, _, _, count)
            return { count = count, values = {}, whys = {}, errors = {} }
          end
          driver.machine = { apply = nothing, configure = nothing,
            apply_many = none }
        end
        apply_slice(driver)
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
