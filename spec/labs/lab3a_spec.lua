-- Lab 3A of MIT 6.5840: elections. See spec/labs/harness.lua.
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local ELECTION_MS <const> = labs.ELECTION_MS

describe("lab 3A", function()
  lab("InitialElection3A", { servers = 3, is_unformed = true }, function(t)
    local leader = t:check_one_leader()
    t:sleep(50)
    local term = t:check_terms()
    expect(term >= 1, "term %d", term)
    t:sleep(2 * ELECTION_MS)
    expect(t:check_terms() == term, "the term changed without a failure")
    expect(t:check_one_leader() == leader, "the leader changed")
  end)

  lab("ReElection3A", { servers = 3 }, function(t)
    local first = t:check_one_leader()
    t:disconnect(first)
    local second = t:check_one_leader()
    local term = t:check_terms()
    t:connect(first)
    t:sleep(2 * ELECTION_MS)  -- what it was sent meanwhile is sent again
    expect(t:check_one_leader() == second and t:check_terms() == term,
      "the old leader disturbed the new one")
    t:disconnect(second, t:after(second, 1))
    t:sleep(2 * ELECTION_MS)
    t:check_no_leader()
    t:connect(t:after(second, 1))
    t:check_one_leader()
    t:connect(second)
    t:check_one_leader()
  end)

  lab("ManyElections3A", { servers = 7 }, function(t)
    t:check_one_leader()
    for _ = 1, 9 do
      local ids = {}
      for i = 1, 3 do ids[i] = t.random:pick(t.s.ids) end
      t:disconnect(table.unpack(ids))
      t:check_one_leader()
      t:connect(table.unpack(ids))
    end
    t:check_one_leader()
  end)
end)
