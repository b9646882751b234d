local linearizable = require "raft.sim.linearizable"
local models = require "raft.sim.models"
local support = require "spec.support.helper"

local RANDOM_HISTORIES <const> = 12000
local OPS_MAX <const> = 6

------------------------------------------------------------------ notation --

-- op("c1", 1, 4, { op = "read" }, 3): asked at 1, answered 3 at 4. Without
-- `back` nobody was answered.
local function op(client, call, back, input, output, outcome)
  return { client = client, call = call, back = back, input = input,
    output = output, outcome = outcome or (back and "ok" or "unknown") }
end

local function w(client, call, back, value, outcome)
  return op(client, call, back, { op = "write", value = value }, nil, outcome)
end

local function r(client, call, back, value)
  return op(client, call, back, { op = "read" }, value)
end

local function cas(client, call, back, from, to, output)
  return op(client, call, back, { op = "cas", from = from, to = to }, output)
end

local function add(client, call, back, output, outcome)
  return op(client, call, back, { op = "add" }, output, outcome)
end

local function get(client, call, back, output)
  return op(client, call, back, { op = "get" }, output)
end

local function verdict(history, model)
  return (linearizable.check(history, model or models.register()))
end

---------------------------------------------------------------- brute force --

-- The checker again, in another way: every order of every choice of unknown
-- operations is written down, then looked at. For histories of a few.

local function each_choice(ops, visit)
  local chosen = {}
  local function choose(i)
    if i > #ops then return visit(chosen) end
    if ops[i].outcome ~= "error" then
      chosen[#chosen + 1] = ops[i]
      if choose(i + 1) then return true end
      chosen[#chosen] = nil
    end
    return ops[i].outcome ~= "ok" and choose(i + 1)
  end
  return choose(1)
end

local function each_order(ops, visit)
  local function swap_from(i)
    if i > #ops then return visit(ops) end
    for k = i, #ops do
      ops[i], ops[k] = ops[k], ops[i]
      local found = swap_from(i + 1)
      ops[i], ops[k] = ops[k], ops[i]
      if found then return true end
    end
    return false
  end
  return swap_from(1)
end

local function keeps_real_time(order)
  for i = 1, #order do
    for k = i + 1, #order do
      local later = order[k]
      if later.outcome == "ok" and later.back < order[i].call then
        return false
      end
    end
  end
  return true
end

local function is_explained(order, model)
  local state = model.init()
  for _, one in ipairs(order) do
    local is_legal, after = model.step(state, one.input, one.output,
      one.outcome == "ok")
    if not is_legal then return false end
    state = after
  end
  return true
end

local function brute_force(history, model)
  local found = each_choice(history, function(chosen)
    return each_order(table.move(chosen, 1, #chosen, 1, {}), function(order)
      return keeps_real_time(order) and is_explained(order, model)
    end)
  end)
  return found and "ok" or "violation"
end

------------------------------------------------------------ random histories --

local inputs = {
  register = function()
    local kind = math.random(4)
    if kind == 1 then
      return { op = "cas", from = math.random(3), to = math.random(3) }
    elseif kind == 2 then
      return { op = "write", value = math.random(3) }
    end
    return { op = "read" }
  end,
  kv = function()
    local kind = math.random(5)
    if kind == 1 then return { op = "put", value = "a" } end
    if kind > 2 then return { op = "get" } end
    return { op = "append", value = math.random(2) == 1 and "b" or "c" }
  end,
  counter = function()
    return math.random(3) == 1 and { op = "get" } or { op = "add" }
  end,
  queue = function()
    if math.random(2) == 1 then return { op = "pop" } end
    return { op = "push", value = math.random(3) }
  end,
  lock = function()
    return { op = math.random(2) == 1 and "acquire" or "release",
      owner = math.random(2) }
  end,
}

-- What a real service would answer, had each taken effect at `moment`; those
-- whose fate is an error or that had no effect change nothing.
local function answer_all(ops, name)
  local model, order = models[name](), table.move(ops, 1, #ops, 1, {})
  table.sort(order, function(a, b) return a.moment < b.moment end)
  local state = model.init()
  for _, one in ipairs(order) do
    if one.has_effect then
      -- The models tell what is legal, so the answer is found by asking.
      for _, answer in ipairs { true, false, 0, 1, 2, 3, 4, 5, 6 } do
        if model.step(state, one.input, answer, true) then
          one.output = answer
          break
        end
      end
      if one.input.op == "get" and type(state) == "string" then
        one.output = state
      end
      state = select(2, model.step(state, one.input, nil, false))
    end
  end
end

local function random_op(name, kinds)
  local call, kind = math.random(12), math.random(kinds)
  local one = op("c" .. math.random(3), call, call + math.random(6) - 1,
    inputs[name]())
  one.moment = call + math.random() * (one.back - call)
  one.has_effect = true
  if kind == 1 then
    one.outcome, one.back = "unknown", math.random(2) == 1 and one.back
    one.has_effect = math.random(2) == 1
    one.moment = call + math.random() * 20
  elseif kind == 2 and math.random(2) == 1 then
    one.outcome, one.has_effect = "error", false
  end
  return one
end

-- A history that is right; `is_spoilt`: or perhaps not any more.
local function random_history(name, is_spoilt)
  local ops, kinds = {}, math.random(2, 6)  -- many or few that are unknown
  for i = 1, math.random(OPS_MAX) do ops[i] = random_op(name, kinds) end
  answer_all(ops, name)
  if not is_spoilt then return ops end
  for _ = 1, 3 do
    local values = { true, false, math.random(3), "ab", "abc" }
    ops[math.random(#ops)].output = values[math.random(6)]
  end
  return ops
end

local function text_of(history)
  local lines = {}
  for i, one in ipairs(history) do
    lines[i] = ("%s %s %s [%s .. %s] %s -> %s"):format(one.outcome, one.client,
      one.input.op, one.call, one.back, tostring(one.input.value
        or one.input.owner or one.input.to), tostring(one.output))
  end
  return table.concat(lines, "\n")
end

--------------------------------------------------------------------- specs --

describe("linearizable: histories that are right", function()
  it("accepts none at all, and those of one client", function()
    assert.equal("ok", verdict {})
    assert.equal("ok", verdict { w("a", 1, 2, 5), r("a", 3, 4, 5) })
  end)

  it("lets operations that overlap come in either order", function()
    assert.equal("ok", verdict { w("a", 1, 9, 5), r("b", 2, 3, nil),
      r("b", 4, 5, 5) })
    assert.equal("ok", verdict { w("a", 1, 4, 1), w("b", 1, 4, 2),
      r("a", 5, 6, 1), r("b", 5, 6, 1) })
  end)

  it("counts a return and a call of the same time as overlapping", function()
    assert.equal("ok", verdict { w("a", 1, 3, 5), r("b", 3, 4, nil) })
    assert.equal("ok", verdict { r("a", 1, 3, 7), w("b", 3, false, 7) })
  end)

  it("applies an unknown operation late, after many others", function()
    assert.equal("ok", verdict { w("a", 1, false, 7), w("b", 2, 3, 1),
      r("b", 4, 5, 1), r("b", 6, 7, 7), r("c", 8, 9, 7) })
  end)

  it("does not need an unknown operation to happen", function()
    assert.equal("ok", verdict { w("a", 1, false, 7), w("b", 2, 3, 1),
      r("b", 4, 5, 1), r("b", 60, 70, 1) })
  end)

  it("tells apart which unknown operations led to a state", function()
    assert.equal("ok", verdict { w("a", 1, false, 2), w("b", 1, false, 1),
      r("c", 2, 3, 1), r("c", 4, 5, 2) })
  end)

  it("takes an unknown one that was answered late for one that may come later",
  function()
    assert.equal("ok", verdict { w("a", 1, 2, 7, "unknown"), r("b", 3, 4, nil),
      r("b", 5, 6, 7) })
  end)

  it("ignores an operation that failed for sure", function()
    assert.equal("ok", verdict { w("a", 1, 2, 7, "error"), r("b", 3, 4, nil) })
  end)

  it("checks each key apart", function()
    local history = { w("a", 1, 2, 7), r("b", 3, 4, nil), r("c", 5, 6, 7) }
    history[1].key, history[2].key, history[3].key = "x", "y", "x"
    local result, info = linearizable.check(history, models.register())
    assert.equal("ok", result)
    assert.equal(2, info.keys)
  end)
end)

describe("linearizable: histories that are wrong", function()
  it("finds a stale read", function()
    assert.equal("violation", verdict { w("a", 1, 2, 1), w("a", 3, 4, 2),
      r("b", 5, 6, 1) })
  end)

  it("finds reads that go back, though the write still runs", function()
    assert.equal("violation", verdict { w("a", 1, 2, 1), w("a", 3, 20, 2),
      r("b", 5, 6, 2), r("c", 7, 8, 1) })
  end)

  it("finds a lost update", function()
    assert.equal("violation", verdict({ add("a", 1, 4, 1), add("b", 2, 5, 1),
      get("a", 6, 7, 1) }, models.counter()))
    assert.equal("violation", verdict { w("a", 1, 2, 0),
      cas("a", 3, 6, 0, 1, true), cas("b", 4, 7, 0, 2, true) })
  end)

  it("finds a value that nobody wrote", function()
    assert.equal("violation", verdict { w("a", 1, 2, 1), r("b", 3, 4, 9) })
  end)

  it("finds a write that takes effect twice", function()
    assert.equal("violation", verdict { w("a", 1, 2, 1), w("b", 3, 4, 2),
      r("c", 5, 6, 2), r("c", 7, 8, 1) })
    assert.equal("violation", verdict({ add("a", 1, false), get("b", 2, 3, 1),
      get("b", 4, 5, 2) }, models.counter()))
  end)

  it("finds an unknown operation that took effect and came undone", function()
    assert.equal("violation", verdict { w("a", 1, false, 7),
      r("b", 2, 3, 7), r("b", 4, 5, nil) })
  end)

  it("finds an unknown operation that took effect before it was asked",
  function()
    assert.equal("violation", verdict { r("b", 1, 2, 7), w("a", 3, false, 7),
      r("b", 4, 5, 7) })
  end)

  it("finds a failed operation that took effect", function()
    assert.equal("violation", verdict { w("a", 1, 2, 7, "error"),
      r("b", 3, 4, 7) })
  end)

  it("finds an order that breaks real time between clients", function()
    assert.equal("violation", verdict({
      op("a", 1, 2, { op = "push", value = 1 }),
      op("b", 3, 4, { op = "push", value = 2 }),
      op("c", 5, 6, { op = "pop" }, 2),
    }, models.queue()))
  end)

  it("finds a lock that two hold", function()
    local function acquire(client, call, back, output)
      return op(client, call, back, { op = "acquire", owner = client }, output)
    end
    local function release(client, call, back, output)
      return op(client, call, back, { op = "release", owner = client }, output)
    end
    local history = { acquire("a", 1, 2, true), acquire("b", 3, 6, true),
      release("a", 4, 7, true) }
    assert.equal("ok", verdict(history, models.lock()))
    history[3].call = 8
    history[3].back = 9
    assert.equal("violation", verdict(history, models.lock()))
  end)

  it("finds the missing part of an appended string", function()
    local function append(client, call, back, value)
      return op(client, call, back, { op = "append", value = value })
    end
    local history = { append("a", 1, 4, "x"), append("b", 2, 5, "y"),
      get("c", 6, 7, "yx") }
    assert.equal("ok", verdict(history, models.kv()))
    history[3].output = "y"
    assert.equal("violation", verdict(history, models.kv()))
  end)
end)

describe("linearizable: what it tells", function()
  it("names the key, the longest order and what does not fit", function()
    local history = { w("a", 1, 2, 1), w("b", 3, 4, 2), r("c", 5, 6, 1),
      w("a", 1, 2, 1) }
    for i = 1, 3 do history[i].key = "x" end
    history[4].key = "y"
    local result, info = linearizable.check(history, models.register())
    assert.equal("violation", result)
    assert.equal("x", info.key)
    assert.same({ history[1], history[2] }, info.prefix)
    assert.same({ history[3] }, info.stuck)
    assert.equal(2, info.state)
    assert.equal(table.concat({
      'key "x": no order of its 3 operations explains what was seen',
      "the longest order found has 2 of them:",
      "  a: write 1 -> done   [1 .. 2]",
      "  b: write 2 -> done   [3 .. 4]",
      "then the state is 2, and one of these must follow:",
      "  c: read -> 1   [5 .. 6]",
    }, "\n"), info.text)
  end)

  it("does not blame what might have come later", function()
    local history = { r("a", 1, 5, 1), r("b", 5, 6, 2), r("c", 6, 7, 3) }
    local _, info = linearizable.check(history, models.register())
    assert.same({ history[1], history[2] }, info.stuck)
  end)

  it("shows inputs and outputs of a model that has no words", function()
    local model = { init = function() return 0 end,
      step = function() return false end }
    local _, info = linearizable.check(
      { op("a", 1, 2, { "get", x = {} }, { 1 }) }, model)
    assert.truthy(info.text:find('a: {"get", x={..}} -> {1}   [1 .. 2]', 1,
      true))
  end)

  it("gives up rather than guess, and a violation elsewhere counts", function()
    local history = {}
    for i = 1, 14 do history[i] = w("c" .. i, 1, false, i) end
    for i = 1, 3 do history[#history + 1] = r("r", 1 + i, 2 + i, 100) end
    local result, info = linearizable.check(history, models.register(),
      { steps_max = 500 })
    assert.equal("gave_up", result)
    assert.equal(500, info.steps)
    assert.truthy(info.text:find("gave up on its 17 operations", 1, true))
    history[#history + 1] = r("r", 1, 2, 5)
    history[#history].key = "other"
    result, info = linearizable.check(history, models.register(),
      { steps_max = 500 })
    assert.equal("violation", result)
    assert.equal("other", info.key)
  end)

  it("raises when the history is none", function()
    local function refused(change, words)
      local one = r("a", 1, 2, 3)
      for name, value in pairs(change) do one[name] = value end
      local ok, why = pcall(linearizable.check, { one }, models.register())
      assert.is_false(ok)
      assert.truthy(why:find(words, 1, true), why)
      assert.truthy(why:find("linearizable_spec.lua", 1, true)
        or why:find("operation 1", 1, true), why)
    end
    refused({ outcome = "perhaps" }, 'outcome: expected "ok"')
    refused({ call = "soon" }, "call: expected a time")
    refused({ back = 0 }, "back: expected a time not before the call")
    refused({ back = false }, "back: expected a time not before the call")
  end)
end)

describe("linearizable: long histories", function()
  -- Operation i takes effect at 10 * i; some seven overlap at a time.
  local function long_history(count)
    local history, value = {}, nil
    for i = 1, count do
      local call = 10 * i - math.random(0, 35)
      local back = 10 * i + math.random(0, 35)
      if math.random(2) == 1 then
        value = i
        history[i] = w("c" .. i, call, back, value)
      else
        history[i] = r("c" .. i, call, back, value)
      end
    end
    return history
  end

  it("are checked in steps that grow with their length", function()
    support.seed()
    local result, info = linearizable.check(long_history(3000),
      models.register())
    assert.equal("ok", result)
    assert.is_true(info.steps < 100000, info.steps)
  end)

  it("visit no point twice", function()
    local history = { r("r", 2, 3, 100) }
    for i = 1, 10 do history[i + 1] = w("c" .. i, 1, 4, i) end
    local result, info = linearizable.check(history, models.register(),
      { steps_max = 200000 })  -- there are ten million orders
    assert.equal("violation", result)
    assert.is_true(info.steps < 60000, info.steps)
  end)

  it("count alike additions whose fate is unknown only once", function()
    local history = {}
    for i = 1, 24 do history[i] = add("c" .. i, 1, false) end
    history[25] = get("r", 2, 3, 24)
    history[26] = get("r", 4, 5, 25)
    local result, info = linearizable.check(history, models.counter())
    assert.equal("violation", result)
    assert.is_true(info.steps < 1000, info.steps)
  end)
end)

describe("linearizable: beside brute force", function()
  for _, name in ipairs { "register", "kv", "counter", "queue", "lock" } do
    it("says the same of small random histories of a " .. name, function()
      support.seed()
      local seen = { ok = 0, violation = 0 }
      for i = 1, RANDOM_HISTORIES // 5 do
        local is_spoilt = i % 2 == 0
        local history = random_history(name, is_spoilt)
        local expected = brute_force(history, models[name]())
        if not is_spoilt then assert.equal("ok", expected, text_of(history)) end
        assert.equal(expected, verdict(history, models[name]()),
          text_of(history))
        seen[expected] = seen[expected] + 1
      end
      assert.is_true(seen.ok > 500 and seen.violation > 300,
        ("too dull: %d right, %d wrong"):format(seen.ok, seen.violation))
    end)
  end
end)
