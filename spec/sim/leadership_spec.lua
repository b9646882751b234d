-- Where leadership goes by itself, in the simulator: away from a disk that
-- hangs, a loop that is blocked, who is about to block; to who is preferred.
local helper = require "spec.support.helper"
local inside = require "raft.node.inside"
local sim = require "raft.sim"

local ELECTION <const> = { 500, 1000 }

-- A service whose apply takes s.busy[id] ms, if that is set.
local function with_busy(busy)
  return function(id, ctx)
    return {
      election_timeout = ELECTION,
      apply = function(command)
        local ms = busy[id]
        if ms then busy.loops[id]:spend(ms * 1000000) end
        return #command, ctx.boot
      end,
      query = function() return 1 end,
    }
  end
end

-- story(s, leader, others) on a cluster that has formed and leads.
local function on_cluster(options, story)
  local busy = { loops = {} }
  options.seed = helper.seed() % 1000
  options.node = options.node or with_busy(busy)
  local s <close> = sim.new(options)
  s:run(function()
    assert(s:wait(function() return s:is_formed() and s:leader() end, 30000))
    s:sleep(500)
    for _, id in ipairs(s.ids) do busy.loops[id] = s.members[id].loop end
    local leader, others = s:leader(), {}
    for _, id in ipairs(s.ids) do
      if id ~= leader then others[#others + 1] = id end
    end
    story(s, leader, others, busy)
  end)
  assert(s:check())
end

-- Writes one command after the other, until told to end.
local function keep_writing(s)
  local work = { done = 0, failed = 0, is_over = false }
  s:spawn(function()
    local client <close> = s:client()
    while not work.is_over do
      local _, err = client:propose("x", { timeout = 20000 })
      local name = err and "failed" or "done"
      work[name] = work[name] + 1
      s:sleep(20)
    end
  end)
  return work
end

local function term(s, id) return s:node(id):status().term end

describe("leadership", function()
  it("leaves a node whose disk hangs, without an election time-out", function()
    on_cluster({}, function(s, leader)
      local warned
      s:node(leader):on("warning", function(err) warned = err end)
      local before = term(s, leader)
      local work = keep_writing(s)
      s:stall(leader, 5000)
      local from = s:now()
      assert(s:wait(function()
        return s:leader() and s:leader() ~= leader
          and s:node(leader):leader() ~= leader
      end, 2000), "it leads on")
      assert.is_true(s:now() - from >= ELECTION[1])
      assert.equal(before + 1, term(s, s:leader()))
      assert.equal("disk", warned.reason)
      assert.is_true(s:node(leader):status().disk_ms >= ELECTION[1])
      -- Meanwhile it is no heir; when its disk is well again, it is.
      local _, err = s:node(s:leader()):transfer(leader)
      assert.equal("refused", err.code)
      assert(s:wait(function()
        return s:now() - from > 6000
      end))
      assert.equal(leader, (s:node(s:leader()):transfer(leader)))
      work.is_over = true
      assert.equal(0, work.failed)
      assert.is_true(work.done > 20, work.done .. " writes done")
    end)
  end)

  it("stays where the disk is only slow", function()
    on_cluster({ disk = { sync = { 200, 300 } } }, function(s, leader)
      local work = keep_writing(s)
      s:sleep(5000)
      work.is_over = true
      assert.equal(leader, s:leader())
      assert.is_true(work.done > 3)
    end)
  end)

  it("leaves a node whose loop is blocked, again and again", function()
    -- The others would wait for seconds before they campaign by themselves.
    on_cluster({ priority = { n2 = 9, n3 = 9 } }, function(s, leader, _, busy)
      local reason
      if leader ~= "n1" then assert(s:node(leader):transfer("n1")) end
      assert(s:wait(function() return s:leader() == "n1" end, 1000))
      local before = term(s, "n1")
      s:node("n1"):on("warning", function(err) reason = err.reason end)
      local work = keep_writing(s)
      busy.n1 = ELECTION[1] + 150
      assert(s:wait(function()
        return s:leader() and s:leader() ~= "n1"
      end, 30000), "it leads on")
      assert.equal(before + 1, term(s, s:leader()))
      assert.equal("loop", reason)
      s:sleep(2000)
      assert.is_true(s:leader() ~= "n1")
      assert.is_true(s:node("n1"):status().loop_lag_ms > 0)
      busy.n1 = nil
      work.is_over = true
    end)
  end)

  it("leaves before a node blocks, and is back to be had after", function()
    on_cluster({}, function(s, leader)
      local before = term(s, leader)
      local driver = inside.of(s.members[leader].node)
      local loop = s.members[leader].loop
      local function may_block(ms)
        return loop:enter(driver.about_to_block, driver, ms)
      end
      assert.is_true(may_block(100), "nobody notices so little")
      assert.is_false(may_block(3000))
      assert(s:wait(function() return may_block(3000) end, 1000))
      assert(s:wait(function() return s:leader() end, 1000), "nobody leads")
      assert.is_true(s:leader() ~= leader)
      -- The third one may hear of it later.
      assert.equal(before + 1, term(s, s:leader()))
      local _, err = s:node(s:leader()):transfer(leader)
      assert.equal("refused", err.code)
      loop:enter(driver.has_blocked, driver)
      s:sleep(200)
      assert.equal(leader, (s:node(s:leader()):transfer(leader)))
    end)
  end)

  it("does not go to a node that stops, and that is known at once", function()
    on_cluster({}, function(s, leader, others)
      assert(s:node(leader):propose("x"))
      s:stall(others[1], 3000)  -- which its last write has to wait for
      s:spawn(function() s:node(others[1]):stop() end)
      s:sleep(20)
      assert.equal("stopping", s:node(others[1]):status().state)
      local _, err = s:node(leader):transfer(others[1])
      assert.equal("refused", err and err.code)
      assert.equal("none", err.outcome)  -- it was not even asked
      assert.equal(others[2], (s:node(leader):transfer()))
    end)
  end)

  it("does not leave where nobody else can lead, and blocks all the same",
    function()
      on_cluster({}, function(s, leader, others)
        for _, id in ipairs(others) do s:crash(id) end
        s:sleep(600)
        local driver = inside.of(s.members[leader].node)
        assert.is_true(s.members[leader].loop:enter(driver.about_to_block,
          driver, 3000))
      end)
    end)

  it("is wanted again once a block that was told of is long over", function()
    on_cluster({}, function(s, leader, others)
      local member = s.members[others[1]]
      local driver = inside.of(member.node)
      assert.is_true(member.loop:enter(driver.about_to_block, driver, 600))
      s:sleep(200)
      local _, err = s:node(leader):transfer(others[1])
      assert.equal("refused", err.code)
      s:sleep(3000)
      assert.equal(others[1], (s:node(leader):transfer(others[1])))
    end)
  end)

  it("goes mostly to who is preferred", function()
    local wins <const>, rounds <const> = {}, 12
    on_cluster({ nodes = 5, priority = { n1 = 2, n2 = 2, n4 = 2, n5 = 2 } },
      function(s)
        for round = 1, rounds do
          local leader = s:leader()
          if leader == "n3" then
            leader = assert(s:node("n3"):transfer("n" .. 1 + round % 2))
          end
          s:crash(leader)
          assert(s:wait(function() return s:leader() end, 20000))
          if s:leader() == "n3" then wins[#wins + 1] = round end
          s:restart(leader)
          s:sleep(1000)
        end
      end)
    assert.is_true(#wins > rounds // 2, #wins .. " of " .. rounds)
  end)
end)
