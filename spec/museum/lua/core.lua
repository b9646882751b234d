--- Bugs of the planted core, as a whole cluster shows them.
local pieces = require "spec.museum.lua.pieces"

local on_cluster, same = pieces.on_cluster, pieces.same

-- A leader that has just won is asked at once.
local function ask_a_new_leader()
  on_cluster({}, function(s, client)
    assert(client:propose("1"))
    local old = s:leader()
    s:disturb { network = { delay = { 50, 50 } }, disk = {} }
    s:crash(old)
    local new = pieces.new_leader(s, old)
    local total, err = s:node(new):query("total", { timeout = 1500 })
    if not total then error("no answer: " .. err.code, 0) end
    same("the answer", 1, total)
  end)
end

local function term_of(s)
  local term = 0
  for _, id in ipairs(s.ids) do
    term = math.max(term, s:node(id):status().term)
  end
  return term
end

return {
  -- A write takes nearly as long as the shortest election.
  { number = 14, name = "disks_nearly_as_slow_as_elections", bug = "14",
    reason = "a time%-out runs before our vote is durable",
    run = function()
      for seed = 1, 5 do
        on_cluster({ seed = seed }, function(s)
          s:disturb { network = {}, disk = { sync = { 440, 480 } } }
          local old = s:leader()
          s:crash(old)
          pieces.new_leader(s, old, 5000)
        end)
      end
    end },

  { number = 20, name = "two_of_three_cannot_hear_each_other", bug = "20",
    reason = "terms in half a minute: ",
    run = function()
      on_cluster({}, function(s, client)
        local before = term_of(s)
        s:cut(s:leader(), pieces.others(s, s:leader())[1])
        s:sleep(30000)
        assert(client:propose("1"))
        same("terms in half a minute", 0, term_of(s) - before)
      end)
    end },

  -- Each of two has results of its own, and neither is a majority.
  { number = 92, name = "half_of_the_voters_say_who_is_right", bug = "92",
    reason = "was stopped, and nobody knows who is right",
    run = function()
      local function node(id)
        return { compare_every = 8, apply = function() return id end,
          query = function() return id end }
      end
      on_cluster({ nodes = 2, node = node, may_diverge = true },
        function(s, client)
          for _ = 1, 20 do client:propose("1") end
          s:sleep(3000)
          for _, id in ipairs(s.ids) do
            if not s:node(id):query("who") then
              error(id .. " was stopped, and nobody knows who is right", 0)
            end
          end
        end)
    end },

  { number = 43, name = "a_disk_hangs_and_its_leader_goes_on", bug = "43",
    reason = "no write: timeout",
    run = function()
      on_cluster({}, function(s)
        local leader = s:leader()
        s:stall(leader, 20000)
        local other = s:node(pieces.others(s, leader)[1])
        for _ = 1, 10 do
          local _, err = other:propose("1", { timeout = 2000 })
          if err then error("no write: " .. err.code, 0) end
        end
      end)
    end },

  { number = 44, name = "a_new_leader_is_asked_at_once", bug = "44",
    reason = "a read before the leader's own term", run = ask_a_new_leader },

  { number = 97, name = "all_start_and_none_leads", bug = "97",
    reason = "no leader within 5000 ms",
    run = function()
      on_cluster({}, function(s)
        for _, id in ipairs(s.ids) do s:crash(id, "process") end
        for _, id in ipairs(s.ids) do s:restart(id) end
        pieces.must(s, "leader", 5000, function() return s:leader() end)
      end)
    end },

  { number = 114, name = "a_new_leader_gives_no_answer", bug = "114",
    reason = "no answer: timeout", run = ask_a_new_leader },
}
