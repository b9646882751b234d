-- Settings that are part of the replicated configuration: quorum, leases, the
-- minimum election time-out. The options of a process count when the cluster
-- forms; later a restart with others changes nothing, and says so.
local sim = require "raft.sim"

local WAIT <const> = { timeout = 20000 }

-- Three nodes of these options; then they are started anew with others:
-- story(s, the warnings since).
local function restarted(before, after, story)
  local options, warnings = before, {}
  local s <close> = sim.new { seed = 41, nodes = 3, node = function()
    local count = 0
    local made = { apply = function()
      count = count + 1
      return count
    end, on = { warning = function(err)
      warnings[#warnings + 1] = err
    end } }
    for name, value in pairs(options) do made[name] = value end
    return made
  end }
  s:run(function()
    assert(s:client():propose("x"))
    for i = 1, 3 do assert(s:node("n" .. i):ready(WAIT)) end
    options, warnings = after, {}
    for i = 1, 3 do s:crash("n" .. i) end
    for i = 1, 3 do s:restart("n" .. i) end
    for i = 1, 3 do assert(s:node("n" .. i):ready(WAIT)) end
    story(s, warnings)
  end)
end

describe("a restart with another option", function()
  for name, case in pairs {
    election_timeout = { { election_timeout = { 150, 300 } },
      { election_timeout = { 1000, 2000 } } },
    leases = { {}, { leases = true } },
    quorum = { {}, { quorum = { election = 3, commit = 1 } } },
  } do
    it(name .. " is warned of, naming it and the call", function()
      restarted(case[1], case[2], function(s, warnings)
        assert.equal(3, #warnings)
        for _, err in ipairs(warnings) do
          assert.equal("bad_membership: the option " .. name .. " differs from "
            .. "the configuration in the log, which counts: change it with "
            .. "node:change", tostring(err))
        end
        assert.equal("majority", s:node("n1"):status().quorum)
        assert.is_false(s:node(s:leader()):status().has_lease)
      end)
    end)
  end

  it("that is the same, or is not given, is no matter", function()
    local all = { election_timeout = { 150, 400 }, leases = true,
      quorum = { election = 3, commit = 1 } }
    restarted(all, all, function(_, warnings) assert.same({}, warnings) end)
    restarted(all, {}, function(_, warnings) assert.same({}, warnings) end)
  end)

  -- Heartbeats came as the new option had them: each 200 ms, when everybody's
  -- patience was 150 ms. There was an election every two seconds.
  it("election_timeout costs no elections", function()
    restarted({ election_timeout = { 150, 300 } },
      { election_timeout = { 1000, 2000 } }, function(s)
        local term = s:node("n1"):status().term
        s:sleep(20000)
        assert.equal(term, s:node("n1"):status().term)
      end)
  end)
end)

describe("opts.election_timeout_min of node:change", function()
  it("below the heartbeat costs no elections either", function()
    restarted({}, {}, function(s)
      assert(s:node("n1"):change({}, { election_timeout_min = 50,
        timeout = 5000 }))
      local term = s:node("n1"):status().term
      s:sleep(20000)
      assert.equal(term, s:node("n1"):status().term)
    end)
  end)
end)
