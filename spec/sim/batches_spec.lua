-- Clients that ask for many commands in one turn, with callbacks: they go in
-- batches, through slices, and come back in rows, while nodes die, links are
-- cut and clients stand still. Each is done once at most, in call order.
local dice = require "spec.support.dice"
local sim = require "raft.sim"
local support = require "spec.support.helper"

local SEEDS <const> = 4
local BURSTS <const> = 60
local OPTIONS <const> = { timeout = 60000 }
local SILENT_MS <const> = 12000  -- until a client has asked elsewhere, for sure
local COMPARE_EVERY <const> = 16

-- A list of all that was applied. What a command comes to is said by its
-- number: now and then it raises, is refused, or gives the list itself.
local function keeper()
  local list = {}
  return {
    compare_every = COMPARE_EVERY,
    apply = function(command)
      list[#list + 1] = command
      local number = math.tointeger(tonumber(command:match("%d+$")))
      if number % 11 == 0 then error("bad", 0) end
      if number % 13 == 0 then return nil, "refused" end
      if number % 17 == 0 then return list end
      if number % 19 == 0 then return ("long"):rep(number) end
      return number
    end,
    query = function() return table.concat(list, " ") end,
    snapshot = function() return table.concat(list, " ") end,
    restore = function(bytes)
      list = {}
      for word in bytes:gmatch("%S+") do list[#list + 1] = word end
    end,
  }
end

-- What this one must have come to, where it was answered.
local function check_answer(number, err, result)
  if err and err.code ~= "apply_error" and err.code ~= "refused" then return end
  if number % 11 == 0 then
    assert.equal("apply_error", err.code)
  elseif number % 13 == 0 then
    assert.equal("refused", err.code)
    assert.equal("refused", err.value)
  elseif number % 17 == 0 then
    assert.matches(" %a" .. number .. "$", " " .. result[#result])
  elseif number % 19 == 0 then
    assert.equal(4 * number, #result)
  else
    assert.equal(number, result)
  end
end

local function new_caller(s, name)
  return { name = name, client = s:client(name), asked = 0, answered = 0,
    none = {}, done = {}, faults = {} }
end

-- So many commands, all in one turn of the client's loop.
local function burst(caller, count)
  caller.client.loop:enter(function()
    for _ = 1, count do
      caller.asked = caller.asked + 1
      local number = caller.asked
      local command, is_told = caller.name .. number, false
      caller.client.client:propose(command, OPTIONS, function(err, result)
        assert(not is_told, "answered twice")
        is_told, caller.answered = true, caller.answered + 1
        if err and err.outcome == "none" then caller.none[command] = true end
        if not err or err.code == "apply_error" or err.code == "refused" then
          caller.done[#caller.done + 1] = command
        end
        local ok, why = pcall(check_answer, number, err, result)
        if not ok then caller.faults[#caller.faults + 1] = tostring(why) end
      end)
    end
  end)
end

local FAULTS <const> = {}

function FAULTS.crash(s, d)
  local id = d:once_in(2) and s:leader() or d:pick(s.ids)
  if not s.members[id or ""] or s.is_down then return end
  s:crash(id)
  s.is_down = id
end

function FAULTS.restart(s)
  if not s.is_down then return end
  s:restart(s.is_down)
  s.is_down = false
end

function FAULTS.cut(s, d, caller)
  for _, id in ipairs(s.ids) do
    if d:once_in(2) then s:cut(caller.name, id, d:once_in(2)) end
  end
end

-- What was asked is done, and asked again.
function FAULTS.deafen(s, _, caller)
  for _, id in ipairs(s.ids) do s:cut(id, caller.name, false) end
  burst(caller, 20)
  s:sleep(SILENT_MS)
  s:heal()
end

function FAULTS.heal(s) s:heal() end

function FAULTS.snapshot(s, d)
  local node = s:node(d:pick(s.ids))
  -- It may be refused, and the node may die meanwhile.
  if node then node:take_snapshot({ timeout = 1000 }, function() end) end
end

local WHICH <const> = { "crash", "restart", "restart", "cut", "heal", "heal",
  "snapshot", "deafen" }

-- Each is there once at most, none of what was said not to be, all of what was
-- said to be, and of each caller in call order.
local function check_list(list, callers)
  local seen, last = {}, {}
  for command in list:gmatch("%S+") do
    assert.is_nil(seen[command], command)
    seen[command] = true
    local name, number = command:match("^(%a)(%d+)$")
    number = math.tointeger(tonumber(number))
    assert.is_true(number > (last[name] or 0), command)
    last[name] = number
  end
  for _, caller in ipairs(callers) do
    assert.same({}, caller.faults)
    assert.equal(caller.asked, caller.answered)
    for command in pairs(caller.none) do assert.is_nil(seen[command]) end
    for _, command in ipairs(caller.done) do
      assert.is_true(seen[command], command)
    end
  end
end

local function run(seed)
  local d = dice.new(seed, 1)
  local s <close> = sim.new { seed = seed, nodes = 3, node = keeper }
  local done = 0
  s:run(function()
    assert(s:wait(function() return s:is_formed() and s:leader() end))
    local callers = { new_caller(s, "a"), new_caller(s, "b") }
    s.is_down = false
    for _ = 1, BURSTS do
      local caller = d:pick(callers)
      burst(caller, d:integer(1, 40))
      if d:once_in(4) then FAULTS[d:pick(WHICH)](s, d, caller) end
      s:sleep(d:pick { 1, 3, 30, d:integer(1, 400) })
    end
    FAULTS.restart(s)
    s:heal()
    assert(s:wait(function()
      return callers[1].answered == callers[1].asked
        and callers[2].answered == callers[2].asked
    end, 90000))
    assert(s:wait(function() return s:is_settled() end, 60000))
    for _, id in ipairs(s.ids) do
      check_list(s:node(id):query("", { consistency = "stale" }), callers)
    end
    done = #callers[1].done + #callers[2].done
    for _, caller in ipairs(callers) do caller.client:close() end
  end)
  assert(s:check())
  return done
end

describe("commands of a turn", function()
  for i = 1, SEEDS do
    it("are done once, in call order, whatever happens: " .. i, function()
      assert.is_true(run(support.seed() + i) > BURSTS)
    end)
  end
end)
