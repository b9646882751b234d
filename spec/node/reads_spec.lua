-- Reads between the calls and the core: joined per turn, by a lease or not.
-- What the core does is in spec/c/read_test.c and lease_test.c.
local Cluster = require "spec.support.cluster"
local Reads = require "raft.node.reads"

-- Reads on a core that notes what it is asked; `has_leader` may be turned off.
local function on_paper()
  local asked, answers = {}, {}
  local core = { has_leader = true }
  local function method(name)
    return function(self, _, number)
      if not self.has_leader then return nil, "no_leader" end
      asked[#asked + 1] = name .. " " .. number
      return true
    end
  end
  core.read, core.read_lease = method("read"), method("lease")
  local driver = { core = core, applied = 0, ms = 0,
    now = function(self) return self.ms end,
    acknowledge = function() end, why_no_leader = function() return "" end }
  local reads = Reads.new(driver)
  local function submit(name, is_leased)
    reads:submit { is_leased = is_leased, deadline = false,
      answer = function(err) answers[#answers + 1] = err or name end }
  end
  return reads, submit, asked, answers, core, driver
end

describe("reads", function()
  it("of one turn are one question; of leases another", function()
    local reads, submit, asked, answers = on_paper()
    for i = 1, 50 do
      submit("a" .. i, false)
      submit("b" .. i, true)
    end
    reads:dispatch()
    reads:dispatch()
    assert.same({ "read 1", "lease 2" }, asked)
    reads:serve(2, 0)
    reads:deliver()
    assert.equal(50, #answers)
    assert.equal("b1", answers[1])
    assert.equal("b50", answers[50])
    reads:serve(1, 0)
    reads:deliver()
    assert.equal(100, #answers)
  end)

  it("of users that are slow are answered in several turns", function()
    local reads, submit, _, answers, _, driver = on_paper()
    for i = 1, 100 do submit(i, false) end
    reads:dispatch()
    reads:serve(1, 0)
    function driver.acknowledge() driver.ms = driver.ms + 1 end
    local turns = 0
    while reads:are_ready() do
      reads:deliver()
      turns = turns + 1
      assert.is_true(#answers <= 32 * turns)
    end
    assert.equal(4, turns)
    for i = 1, 100 do assert.equal(i, answers[i]) end
  end)

  it("are asked anew under another leader, by names never used before",
    function()
      local reads, submit, asked, answers, core = on_paper()
      submit("a", false)
      submit("b", true)
      reads:dispatch()
      core.has_leader = false
      reads:ask_again()
      reads:dispatch()
      core.has_leader = true
      submit("c", true)
      reads:dispatch()
      assert.same({ "read 1", "lease 2", "read 3", "lease 4" }, asked)
      reads:serve(1, 0)  -- late, and of a leader of the past
      reads:serve(2, 0)
      reads:deliver()
      assert.same({}, answers)
      reads:serve(3, 0)
      reads:serve(4, 0)
      reads:deliver()
      assert.same({ "a", "b", "c" }, answers)
    end)
end)

describe("a leader that nobody answers", function()
  local cluster

  before_each(function()
    cluster = Cluster.new { nodes = 3, election = { 2000, 4000 },
      proxied = true, node = function() return { leases = true } end }
    cluster:up()
  end)
  after_each(function() cluster:close() end)

  it("reads while its lease lasts, and only by it", function()
    local leader, id = cluster:leader()
    assert(leader:propose("x"))
    assert.is_true(leader:status().has_lease)
    cluster:isolate(id)
    local result = leader:query(nil, { consistency = "lease", timeout = 500 })
    assert.equal(1, result)
    local _, err = leader:query(nil, { timeout = 200 })
    assert.equal("timeout", err.code)
    _, err = leader:query(nil, { consistency = "lease", timeout = 2500 })
    assert.is_nil(err)  -- at once, still
  end)

  it("has none on followers: they ask, and read what is new", function()
    local follower = cluster:followers()[1]
    assert((cluster:leader()):propose("x"))
    assert.equal(1, follower:query(nil, { consistency = "lease" }))
    assert.is_false(follower:status().has_lease)
  end)
end)
