--- Old bugs of services, of their users, and of the tests themselves.
local codec = require "raft.codec"
local pieces = require "spec.museum.lua.pieces"
local raft = require "raft"
local replace = require "spec.museum.replace"
local services = require "spec.museum.lua.services"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local on_cluster, same = pieces.on_cluster, pieces.same

local LOCK_MS <const> = 1000

local function scoreboard()
  local votes = {}
  return { apply = function(command)
    if command == "winner" then return services.winner(votes) end
    votes[command] = (votes[command] or 0) + 1
    return votes[command]
  end }
end

-- The same as a service, by who has not thought of the order: it is given one.
local function ballot()
  return { service = raft.service { name = "votes",
    init = function() return {} end,
    commands = {
      give = function(votes, name)
        votes[name] = (votes[name] or 0) + 1
        return votes[name]
      end,
      winner = function(votes)
        local best
        for name, count in pairs(votes) do
          if not best or count > votes[best] then best = name end
        end
        return best
      end,
    } } }
end

-- A lock that expires: its token, or false while another one has it.
local function lock()
  local token, owner, until_ms = 0, false, 0
  return { apply = function(name, entry)
    local now = services.time_of(entry)
    if owner and owner ~= name and now < until_ms then return false end
    if owner ~= name or now >= until_ms then token = token + 1 end
    owner, until_ms = name, now + LOCK_MS
    return token
  end }
end

-- How reads are answered by who asks nobody.
local function at_once(reads, waiter)
  reads.ready:push(waiter)
  reads.driver:wants_flush()
end

-- A cut leader is asked; the others know more.
local function read_behind_a_cut()
  on_cluster({}, function(s, client)
    assert(client:propose("1"))
    local old = s:leader()
    s:partition({ old }, pieces.others(s, old))
    pieces.new_leader(s, old)
    assert(client:propose("1"))
    local total = s:node(old):query("total", { timeout = 1000 })
    assert(not total, "it cannot know")
  end)
end

-- A counter whose results are another node's business, too: answer(id, total)
-- is what apply returns. They are compared at every eighth entry.
local function comparing(answer)
  return function(id)
    local made = pieces.counter()
    local apply = made.apply
    made.compare_every = 8
    made.apply = function(command) return answer(id, apply(command)) end
    return made
  end
end

-- Enough commands that results are compared. Who is found to be wrong
-- meanwhile does not say what became of one.
local function compare(s, client)
  for _ = 1, 20 do
    local _, err = client:propose("1")
    if err and err.code ~= "diverged" and err.code ~= "apply_error" then
      error(err, 0)
    end
  end
  s:sleep(3000)  -- longer than a majority is waited for
end

-- What the simulation says of a run, or nil.
local function complaint_of(story)
  local ok, err = pcall(story)
  return not ok and tostring(err) or nil
end

return {
  { number = 92, name = "the_order_of_pairs_decides",
    reason = "divergence: apply gave another result",
    bug = { "spec.museum.lua.services", "winner", function()
      return function(votes)
        local best
        for name, count in pairs(votes) do
          if not best or count > votes[best] then best = name end
        end
        return best
      end
    end },
    run = function()
      on_cluster({ node = scoreboard, nodes = 5 }, function(s, client)
        for _, name in ipairs { "ann", "bob", "cleo", "dan", "eve" } do
          assert(client:propose(name))
          assert(client:propose("winner"))
        end
        s:sleep(1000)
      end)
    end },

  { number = 92, name = "a_service_goes_by_the_order_of_its_table",
    reason = "divergence: apply gave another result",
    bug = { "raft.plain", "sort_keys", function(sort_keys)
      return function(keys, only_strings)
        local by = debug.getinfo(2, "S").source
        if not by:find("service/ordered", 1, true) then
          return sort_keys(keys, only_strings)
        end
        local found = {}
        for _, key in pairs(keys) do found[#found + 1] = key end
        return table.move(found, 1, #found, 1, keys)
      end
    end },
    run = function()
      on_cluster({ node = ballot, nodes = 5 }, function(s)
        local votes = s:client():service "votes"
        for _, name in ipairs { "ann", "bob", "cleo", "dan", "eve" } do
          assert(votes.give(name))
          assert(votes.winner())
        end
        s:sleep(1000)
      end)
    end },

  { number = 92, name = "who_has_parted_serves_on",
    reason = "it serves what no other has",
    bug = { "raft.node.divergence", "stop_serving", function()
      return function() end
    end },
    run = function()
      local wrong = {}
      local node = comparing(function(id, total)
        return wrong[id] and -total or total
      end)
      on_cluster({ node = node, may_diverge = true }, function(s, client)
        local id = pieces.others(s, s:leader())[1]
        wrong[id] = true
        compare(s, client)
        if s:node(id):query("total") then
          error("it serves what no other has", 0)
        end
      end)
    end },

  { number = 92, name = "the_text_of_a_failure_is_a_result",
    reason = "a false alarm: results are said to differ",
    bug = { "raft.results", "add", function(original)
      return function(self, ok, value, why)
        if ok then return original(self, ok, value, why) end
        return original(self, true, value.message)
      end
    end },
    run = function()
      local node = comparing(function(id) error("no room on " .. id) end)
      on_cluster({ node = node }, compare)
    end },

  { number = 89, name = "the_local_clock_says_what_has_expired",
    reason = "divergence: apply gave another result",
    bug = { "spec.museum.lua.services", "time_of", function()
      return function() return os.time() * 1000 end
    end },
    run = function()
      on_cluster({ node = lock, clock = { offset_ms = 60000 } },
        function(s, client)
          assert(client:propose("one"))
          for _ = 1, 10 do
            client:propose("two")
            s:sleep(300)
          end
        end)
    end },

  { number = 94, name = "a_lock_without_a_fence",
    reason = "what the newest holder wrote is gone: one, not two",
    bug = { "spec.museum.lua.services", "guarded_write", function()
      return function(store, token, value)
        store.token, store.value = token, value
        return true
      end
    end },
    run = function()
      local store = { token = 0, value = false }
      on_cluster({ node = lock }, function(s, client)
        local first = assert(client:propose("one"))
        s:sleep(2 * LOCK_MS)  -- it stands still, and does not know
        local second = assert(client:propose("two"))
        services.guarded_write(store, second, "two")
        services.guarded_write(store, first, "one")
        same("what the newest holder wrote is gone", "two", store.value)
      end)
    end },

  { number = 95, name = "a_check_sees_nothing",
    reason = "a stale read, and the simulation says nothing",
    bug = { "raft.sim.invariants", "read_answered", function()
      return function() end
    end },
    run = function()
      replace.put("raft.node.reads", "submit", function() return at_once end)
      local complaint = complaint_of(function()
        on_cluster({}, function(s, client)
          assert(client:propose("1"))
          local old = s:leader()
          s:partition({ old }, pieces.others(s, old))
          pieces.new_leader(s, old)
          assert(client:propose("1"))
          s:node(old):query("total", { timeout = 1000 })
        end)
      end)
      if not complaint then
        error("a stale read, and the simulation says nothing", 0)
      end
      assert(complaint:find("fresh: a read was answered"), complaint)
    end },

  { number = 95, name = "a_check_sees_what_is_not_there",
    reason = "commit: entry %d+ of term %d+ is on 1 of 3 disks",
    bug = { "raft.sim.invariants.logs", "is_stored", function(is_stored)
      return function(member, ...)
        local is_leader = member.driver and member.driver.role == "leader"
        return not is_leader and is_stored(member, ...)
      end
    end },
    run = function()
      on_cluster({}, function(s, client)
        s:crash(pieces.others(s, s:leader())[1])
        for _ = 1, 5 do assert(client:propose("1")) end
      end)
    end },

  { number = 96, name = "reads_ask_nobody",
    reason = "fresh: a read was answered",
    bug = { "raft.node.reads", "submit", function() return at_once end },
    run = function()
      read_behind_a_cut()
      local report, err = sim.explore { seeds = { 1, 2 }, nodes = 3,
        node = swarm.node, workload = swarm.workload(5000),
        check = swarm.check, duration_ms = 5000, shrink = false,
        say = function() end, probe = codec.encode { op = "none" } }
      if not report then error(err.broken, 0) end
    end },
}
