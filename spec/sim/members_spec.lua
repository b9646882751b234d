-- Changes of a cluster in the simulator: with crashes, partitions, lost packets
-- and wiped disks in the middle of them. [Raft 6]
local helper = require "spec.support.helper"
local sim = require "raft.sim"

local ELECTION <const> = { 150, 300 }
local WAIT <const> = { timeout = 10000 }  -- without, a wait may be for ever

local function counter()
  local total = 0
  return {
    election_timeout = ELECTION,
    apply = function(command)
      total = total + tonumber(command)
      return total
    end,
    query = function() return total end,
  }
end

local function formed(s)
  assert(s:wait(function() return s:is_formed() and s:leader() end))
end

-- story(s) on a cluster that has formed; everything holds at its end.
local function on_cluster(options, story)
  options.seed = options.seed or helper.seed() % 100000
  options.node = counter
  local s <close> = sim.new(options)
  s:run(function()
    formed(s)
    story(s)
  end)
  assert(s:check())
end

local function address_of(s, id)
  return s.members[id].address
end

-- Adds, and asks again whoever leads until it is done.
local function persist(s, fn)
  local err
  for _ = 1, 100 do
    local id = s:leader()
    if id and s.members[id]:is_up() then
      local ok
      ok, err = fn(s:node(id))
      if ok then return end
    end
    s:sleep(100)
  end
  error(tostring(err))
end

local function ids_of(members)
  local ids = {}
  for id, member in pairs(members) do
    ids[#ids + 1] = member.role == "voter" and member.goal == nil and id
      or id .. " " .. member.role
  end
  table.sort(ids)
  return table.concat(ids, " ")
end

-- Writes until told to end; what was acknowledged is counted.
local function keep_writing(s)
  local work = { acknowledged = 0, asked = 0, is_over = false }
  work.task = s:spawn(function()
    local client <close> = s:client()
    while not work.is_over do
      work.asked = work.asked + 1
      local _, err = client:propose("1", { timeout = 10000 })
      if not err then work.acknowledged = work.acknowledged + 1 end
      s:sleep(10)
    end
  end)
  return work
end

local function total_of(s)
  local client <close> = s:client()
  return assert(client:query("total", { timeout = 20000 }))
end

local function check_writes(s, work)
  work.is_over = true
  work.task:wait()
  local total = total_of(s)
  assert.is_true(total >= work.acknowledged and total <= work.asked,
    ("%d acknowledged, %d asked, %d there"):format(work.acknowledged,
      work.asked, total))
end

describe("members, in the simulator", function()
  it("come and go under load", function()
    on_cluster({ nodes = 5, initial = 3 }, function(s)
      local work = keep_writing(s)
      for _, id in ipairs { "n4", "n5" } do
        persist(s, function(node)
          return node:add(id, address_of(s, id), WAIT)
        end)
      end
      persist(s, function(node) return node:remove("n1", WAIT) end)
      persist(s, function(node) return node:remove("n2", WAIT) end)
      persist(s, function(node)
        return ids_of(node:members()) == "n3 n4 n5"
      end)
      check_writes(s, work)
      assert(s:wait(function() return s:is_settled() end))
    end)
  end)

  it("are all replaced in one step", function()
    on_cluster({ nodes = 6, initial = 3 }, function(s)
      local work = keep_writing(s)
      persist(s, function(node)
        return node:change({ n1 = false, n2 = false, n3 = false,
          n4 = address_of(s, "n4"), n5 = address_of(s, "n5"),
          n6 = address_of(s, "n6") }, { timeout = 20000 })
      end)
      assert(s:wait(function()
        local leader = s:leader()
        return leader and ids_of(s:node(leader):members()) == "n4 n5 n6"
      end))
      check_writes(s, work)
    end)
  end)

  -- Another leader finds the intent, or the joint one, in its log and goes on.
  it("are changed to the end though the leader dies in between", function()
    local base = helper.seed() % 100000
    for i = 1, 12 do
      on_cluster({ nodes = 4, seed = base + i }, function(s)
        s:crash("n4")
        s:sleep(500)
        local leader = s:leader()
        s:node(leader):remove("n4", function() end)
        s:crash_at(leader, i, 700)
        persist(s, function(node)
          return node:remove("n4", { timeout = 3000 })
        end)
        assert.equal("n1 n2 n3", ids_of(s:node(s:leader()):members()))
      end)
    end
  end)

  it("that were wiped come back, once they were removed", function()
    on_cluster({ nodes = 3, may_fail = true }, function(s)
      local work = keep_writing(s)
      s:sleep(200)
      local wiped = s:leader() == "n1" and "n2" or "n1"
      s:wipe(wiped)
      persist(s, function(node) return node:remove(wiped, WAIT) end)
      s:restart(wiped)
      persist(s, function(node)
        return node:add(wiped, address_of(s, wiped), { timeout = 5000 })
      end)
      check_writes(s, work)
      assert.equal("n1 n2 n3", ids_of(s:node(s:leader()):members()))
      assert(s:wait(function() return s:is_settled() end))
    end)
  end)

  -- Found by the swarm: its last client knew only where they had begun.
  it("that all have moved are found by a client that is new", function()
    on_cluster({ nodes = 3 }, function(s)
      for _, id in ipairs(s.ids) do
        local moved = address_of(s, id):gsub(":7100$", ":7200")
        persist(s, function(node)
          return node:change({ [id] = { address = moved } }, WAIT)
        end)
        s:restart(id)
      end
      local late <close> = s:client("late")
      assert.equal(1, late:propose("1", WAIT))
    end)
  end)

  -- Museum 61: who was removed and did not hear of it disturbs nobody.
  it("that were removed while away raise no terms", function()
    on_cluster({ nodes = 4 }, function(s)
      local away = s:leader() == "n4" and "n3" or "n4"
      local rest = {}
      for _, id in ipairs(s.ids) do
        if id ~= away then rest[#rest + 1] = id end
      end
      s:partition(rest, { away })
      s:sleep(2000)
      persist(s, function(node) return node:remove(away, WAIT) end)
      local term = s:node(s:leader()):status().term
      s:heal()
      assert(s:wait(function()
        return s:node(away):members()[away] == nil
      end))
      s:sleep(3000)
      assert.equal(term, s:node(s:leader()):status().term)
      local _, err = s:node(away):propose("1", { timeout = 1000 })
      assert.equal("not_leader", err.code)
    end)
  end)

  it("change under crashes, cuts and loss, and lose nothing", function()
    local base = helper.seed() % 100000
    for i = 1, 6 do
      on_cluster({ nodes = 5, initial = 3, seed = base + i,
        network = { loss = 0.05, delay = { 1, 10 } } }, function(s)
        local work, random = keep_writing(s), s.world:random("faults")
        s:spawn(function()
          while not work.is_over do
            s:sleep(random:between(200, 1500))
            local id = random:pick(s.ids)
            if random:chance(0.5) then
              s:restart(id)
            else
              local other = random:pick(s.ids)
              if other ~= id then s:cut(id, other) end
              s:sleep(400)
              s:heal()
            end
          end
        end)
        for _, step in ipairs {
          { n4 = address_of(s, "n4") },
          { n1 = false, n5 = address_of(s, "n5") },
          { n2 = { role = "learner" } },
          { n2 = { role = "voter" }, n3 = { role = "learner" } },
        } do
          persist(s, function(node)
            return node:change(step, { timeout = 8000 })
          end)
        end
        s:heal()
        check_writes(s, work)
        assert.equal("n2 n3 learner n4 n5",
          ids_of(s:node(s:leader()):members()))
      end)
    end
  end)

  -- Found by the swarm: who has no commands answered nil, as if apply had.
  it("that are witnesses give no results", function()
    on_cluster({ nodes = 4 }, function(s)
      local function propose(id)
        return s:node(id):propose("1", { timeout = 3000 })
      end
      local witness = s:leader() == "n4" and "n3" or "n4"
      local answers = {}
      for _ = 1, 40 do  -- some are under way when the role changes
        s:spawn(function()
          local result, err = propose(witness)
          answers[#answers + 1] = err and err.code or result or "nothing"
        end)
        s:sleep(10)
        if #answers == 5 then
          s:node(s:leader()):change({ [witness] = { role = "witness" } },
            function() end)
        end
      end
      persist(s, function(node)
        return node:members()[witness].role == "witness"
      end)
      s:sleep(3000)
      assert.equal(40, #answers)
      for _, answer in ipairs(answers) do
        assert.not_equal("nothing", answer)
      end
      local _, err = propose(witness)
      assert.equal("unsupported", err.code)
      assert.equal("none", err.outcome)
    end)
  end)
end)
