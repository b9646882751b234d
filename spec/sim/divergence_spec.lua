-- Nodes whose results differ find out by themselves, and who of them is wrong
-- serves nobody. The simulation draws order, time and numbers per node, so that
-- what is not deterministic differs here as it does between processes.
local codec = require "raft.codec"
local helper = require "spec.support.helper"
local results = require "raft.results"
local sim = require "raft.sim"

local EVERY <const> = 16

-- What a command of this name returns; of all others the number of commands.
local WRONG <const> = {}

function WRONG.pairs(state)
  local keys = {}
  for key in pairs(state.keys) do keys[#keys + 1] = key end
  return table.concat(keys)
end

function WRONG.time() return os.time() end
function WRONG.random() return math.random(1 << 30) end

-- A service; `wrong` are the ids of those that answer otherwise to "wrong".
local function service(wrong, more)
  return function(id)
    local state = { count = 0, keys = { a = 1, b = 1, c = 1, d = 1, e = 1,
      f = 1, g = 1, h = 1 } }
    local options = {
      compare_every = EVERY,
      election_timeout = { 150, 300 },
      apply = function(command)
        state.count = state.count + 1
        if WRONG[command] then return WRONG[command](state) end
        if command == "wrong" and wrong[id] then return wrong[id] end
        if command == "fails" then error("as " .. id .. " has it") end
        if command == "refuses" then return nil, "as " .. id .. " has it" end
        return state.count
      end,
      query = function() return state.count end,
      snapshot = function() return codec.encode(state) end,
      restore = function(bytes) state = codec.decode(bytes) end,
    }
    for name, value in pairs(more or {}) do options[name] = value end
    return options
  end
end

-- story(s, told): told are { id=, info= } of all `diverged` events, in order.
local function on_cluster(options, story)
  local told = {}
  local node = options.node or service(options.wrong or {}, options.more)
  options.seed = helper.seed() % 1000
  options.may_diverge = true
  options.wrong, options.more = nil, nil
  options.node = function(id, ctx)
    local made = node(id, ctx)
    made.on = { diverged = function(info)
      told[#told + 1] = { id = id, info = info }
    end }
    return made
  end
  local s <close> = sim.new(options)
  s:run(function()
    assert(s:wait(function() return s:is_formed() and s:leader() end, 30000))
    story(s, told)
  end)
  assert(s:check())
end

-- Who is found to be wrong meanwhile does not say what has become of it.
local function propose(s, count, command)
  local client <close> = s:client()
  for _ = 1, count do
    local _, err = client:propose(command or "x")
    assert(not err or err.code == "diverged", err)
  end
end

-- Two multiples of EVERY further, and heard of by everybody.
local function pass(s)
  propose(s, 2 * EVERY)
  s:sleep(1000)
end

-- Where this command came to stand: the first compared index from there on.
local function compared_after(index)
  return (index + EVERY - 1) // EVERY * EVERY
end

-- One command of this name, and the index that shows it first.
local function one(s, command)
  propose(s, 1, command)
  local applied = 0
  for _, id in ipairs(s.ids) do
    if s.members[id]:is_up() then
      applied = math.max(applied, s:node(id):status().applied)
    end
  end
  return compared_after(applied)
end

local function events_of(told, id)
  local list = {}
  for _, one_of in ipairs(told) do
    if one_of.id == id then list[#list + 1] = one_of.info end
  end
  return list
end

local function refused(result, err)
  assert.is_nil(result)
  assert.equal("diverged", err.code)
  assert.equal("none", err.outcome)
  return err
end

local function serves(s, id)
  assert(s:node(id):read())
  assert(s:node(id):query("count"))
  assert(s:node(id):propose("x"))
end

local function follower(s)
  for _, id in ipairs(s.ids) do
    if id ~= s:leader() then return id end
  end
end

-- Wrong is who does not lead now; the others are right.
local function with_wrong_follower(nodes, story, more)
  local wrong = {}
  on_cluster({ nodes = nodes, wrong = wrong, more = more }, function(s, told)
    local id = follower(s)
    wrong[id] = "another"
    pass(s)
    assert.equal(0, #told)
    story(s, told, id, one(s, "wrong"), wrong)
  end)
end

describe("results that differ", function()
  for _, nodes in ipairs { 3, 5 } do
    for _, what in ipairs { "pairs", "time", "random" } do
      it(("are found from %s on %d nodes, where all differ, and nobody stops")
        :format(what, nodes), function()
        -- Clocks apart, so that the second is another on each.
        on_cluster({ nodes = nodes, clock = { offset_ms = 1 << 30 } },
          function(s, told)
            propose(s, 3)
            local index = one(s, what)
            pass(s)
            assert.equal(nodes, #told)
            for _, id in ipairs(s.ids) do
              local info = events_of(told, id)[1]
              assert.equal(index, info.index)
              assert.equal(index - EVERY, info.agreed)
              assert.is_nil(info.id)
              assert.is_nil(info.majority)
              assert.matches("^%x+$", info.digests[id])
              assert.is_nil(s:node(id):status().diverged)
              serves(s, id)
            end
          end)
      end)
    end

    it(("name one of %d nodes, and its first index"):format(nodes), function()
      with_wrong_follower(nodes, function(s, told, id, index)
        pass(s)
        local info = events_of(told, id)[1]
        assert.equal(1, #events_of(told, id))
        assert.equal(index, info.index)
        assert.equal(index - EVERY, info.agreed)
        assert.equal(id, info.id)
        assert.not_equal(info.majority, info.digests[id])
        local known = events_of(told, s:leader())[1]
        assert.equal(id, known.id)
        assert.equal(index, known.index)
        assert.equal(info.majority, known.majority)
        assert.equal(info.majority, known.digests[s:leader()])
        assert.equal(2, #told)  -- the others go on, and need not know
      end)
    end)

    it(("hand a wrong leader's place over, of %d"):format(nodes), function()
      local wrong = {}
      on_cluster({ nodes = nodes, wrong = wrong }, function(s, told)
        local old, before = s:leader(), s:node(s:leader()):status().term
        wrong[old] = "another"
        propose(s, 3)
        local index = one(s, "wrong")
        propose(s, 2 * EVERY)
        assert(s:wait(function()
          return s:leader() ~= old and s:leader()
        end, 5000), "it leads on")
        assert.equal(before + 1, s:node(s:leader()):status().term)
        assert.equal(old, events_of(told, old)[1].id)
        assert.equal(index, events_of(told, old)[1].index)
        refused(s:node(old):propose("x"))
        s:sleep(5000)
        assert.not_equal(old, s:leader())
        local _, err = s:node(s:leader()):transfer(old)
        assert.equal("refused", err.code)
        serves(s, s:leader())
      end)
    end)
  end

  it("stop who is wrong: it serves nobody, and says so", function()
    with_wrong_follower(3, function(s, _, id, index)
      pass(s)
      local node = s:node(id)
      local err = refused(node:propose("x"))
      assert.equal(index, err.index)
      assert.matches(id .. ".*entry " .. index, tostring(err))
      refused(node:read())
      refused(node:query("count"))
      refused(node:query("count", { consistency = "stale" }))
      refused(node:query("count", { consistency = "lease" }))
      refused(node:take_snapshot())
      local status = node:status()
      assert.equal("running", status.state)
      assert.equal(index, status.diverged.index)
      assert.not_equal(status.diverged.own, status.diverged.majority)
    end)
  end)

  it("answer those who wait for one that is found to be wrong", function()
    with_wrong_follower(3, function(s, _, id)
      local answers = {}
      for i = 1, 3 * EVERY do
        s:spawn(function()
          local _, err = s:node(id):propose("x")
          answers[i] = err and err.code or "ok"
          if err then assert.equal("diverged", err.code) end
        end)
        s:sleep(10)
      end
      s:sleep(1000)
      assert.equal(3 * EVERY, #answers)
      assert.equal("ok", answers[1])
      assert.equal("diverged", answers[3 * EVERY])
    end)
  end)

  it("leave who is wrong a voter that stores the log", function()
    with_wrong_follower(3, function(s, _, id)
      pass(s)
      local leader = s:leader()
      for _, other in ipairs(s.ids) do
        if other ~= id and other ~= leader then s:crash(other) end
      end
      propose(s, 5)  -- two of three, and one of them is that one
      s:sleep(500)
      local status = s:node(id):status()
      assert.equal(s:node(leader):status().last, status.last)
      assert.equal(status.last, status.applied)
      assert.equal(leader, status.leader)
    end)
  end)

  it("of failed commands show that they failed, and no text", function()
    on_cluster({ nodes = 3 }, function(s, told)
      for _ = 1, EVERY do
        local _, err = s:node(s:leader()):propose("fails")
        assert.equal("apply_error", err.code)
        _, err = s:node(s:leader()):propose("refuses")
        assert.equal("refused", err.code)
      end
      pass(s)
      assert.equal(0, #told)
    end)
  end)

  it("show a command that failed on one node only", function()
    on_cluster({ nodes = 3, node = function(id, ctx)
      local made = service({})(id, ctx)
      local apply = made.apply
      made.apply = function(command, entry)
        if command == "odd" and id == "n2" then error("only here") end
        return apply(command, entry)
      end
      return made
    end }, function(s, told)
      s:node("n1"):propose("odd")
      pass(s)
      assert.equal("n2", events_of(told, "n2")[1].id)
    end)
  end)

  it("are mended by a restart where only the process was wrong", function()
    with_wrong_follower(3, function(s, told, id, _, wrong)
      pass(s)
      refused(s:node(id):query("count"))
      wrong[id] = nil
      s:restart(id)
      assert(s:wait(function()
        return s:node(id):status().applied
          == s:node(s:leader()):status().applied
      end, 20000))
      pass(s)
      assert.equal(1, #events_of(told, id))
      serves(s, id)
    end)
  end)

  it("are in snapshots: a wrong state is known from its first report",
    function()
      local wrong = {}
      on_cluster({ nodes = 3, wrong = wrong }, function(s, told)
        local id = follower(s)
        wrong[id] = "another"
        propose(s, 3)
        local index = one(s, "wrong")
        s:sleep(100)
        assert(s:node(id):take_snapshot())  -- before anybody has compared
        pass(s)
        assert.equal(index, events_of(told, id)[1].index)
        wrong[id] = nil  -- replayed it would be right
        s:restart(id)
        assert(s:wait(function() return #events_of(told, id) == 2 end, 10000))
        refused(s:node(id):query("count"))
      end)
    end)

  it("are no more once the node was wiped, and added again",
    function()
      with_wrong_follower(3, function(s, told, id, _, wrong)
        pass(s)
        assert.equal(1, #events_of(told, id))
        wrong[id] = nil
        local leader, address = s:leader(), s:address_of(id)
        s:wipe(id)
        assert(s:node(leader):remove(id))
        s:restart(id)
        assert(s:node(leader):add(id, address, { timeout = 60000 }))
        pass(s)
        assert.equal(1, #events_of(told, id))
        serves(s, id)
      end)
    end)

  it("are no alarm for who was brought up by a snapshot", function()
    on_cluster({ nodes = 3, more = { snapshot_bytes = 2000 } },
      function(s, told)
        local id = follower(s)
        s:crash(id)
        for _ = 1, 20 do propose(s, EVERY + 3, ("x"):rep(100)) end
        s:restart(id)
        assert(s:wait(function()
          return s:node(id):status().snapshot > 0
        end, 20000))
        pass(s)
        assert.equal(0, #told)
        assert.is_true(s:node(id):status().applied > 20 * EVERY)
      end)
  end)

  it("are compared at every 1,024th entry", function()
    local wrong = {}
    assert.equal(1024, results.EVERY)
    on_cluster({ nodes = 3, wrong = wrong, more = { compare_every = 1024 } },
      function(s, told)
        local id = follower(s)
        wrong[id] = "another"
        local first = one(s, "wrong")
        assert.equal(EVERY, first)  -- which is not where they are compared
        local left = 40
        for _ = 1, 40 do
          s:spawn(function()
            propose(s, 26)
            left = left - 1
          end)
        end
        assert(s:wait(function() return left == 0 end, 60000))
        s:sleep(1000)
        assert.equal(1024, events_of(told, id)[1].index)
        assert.equal(0, events_of(told, id)[1].agreed)
      end)
  end)
end)
