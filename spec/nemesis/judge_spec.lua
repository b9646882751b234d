-- The parts of the nemesis that judge must be able to say no.
local Dice = require "spec.support.dice"
local judge = require "spec.nemesis.judge"
local menu = require "spec.nemesis.menu"

local clock = 0

-- A history in a row: { input, output }...; an output of false: unknown.
local function history(list)
  local out = {}
  for i, item in ipairs(list) do
    clock = clock + 10
    out[i] = { client = i, key = "k", call = clock, back = clock + 5,
      input = item[1], output = item[2], outcome = "ok" }
    if item[2] == false then
      out[i].outcome, out[i].back = "unknown", false
    end
  end
  return { history = out }
end

local function verdict(list)
  local complaints = {}
  judge.is_linearizable(history(list), complaints)
  return table.concat(complaints)
end

local get, put = { op = "get" }, { op = "put", value = "a" }
local append = { op = "append", value = "b" }
local cas = { op = "cas", old = "a", value = "c" }

describe("the nemesis' judge", function()
  local right = {
    { { get, "-" }, { put, "true" }, { get, "a" } },
    { { append, "true" }, { append, "true" }, { get, "bb" } },
    { { cas, "false" }, { put, "true" }, { cas, "true" }, { get, "c" } },
    { { put, false }, { get, "-" }, { get, "a" } },
    { { put, "true" }, { cas, false }, { get, "a" }, { get, "c" } },
  }
  for i, list in ipairs(right) do
    it("is content with a right history " .. i, function()
      assert.equal("", verdict(list))
    end)
  end

  local wrong = {
    stale = { { put, "true" }, { get, "-" } },
    lost = { { append, "true" }, { append, "true" }, { get, "b" } },
    twice = { { append, "true" }, { get, "bb" } },
    ["compared wrong"] = { { put, "true" }, { cas, "false" } },
    ["gone again"] = { { put, false }, { get, "a" }, { get, "-" } },
  }
  for name, list in pairs(wrong) do
    it("sees what is " .. name, function()
      assert.truthy(verdict(list):find("violation", 1, true))
    end)
  end

  it("sees what was lost, doubled, or refused and done", function()
    local complaints = {}
    judge.keep_promises(
      { ids = { "n1" },
        ask = function() return { "names", "a", "b", "b", "c" } end },
      { writes = { a = "ok", b = "unknown", c = "error", d = "ok",
        e = "error", f = "unknown" } }, complaints)
    assert.same({ "acknowledged and lost: 1, as d", "applied twice: 1, as b",
      "refused and applied: 1, as c" }, complaints)
  end)

  it("calls a run dull that has seen little", function()
    local complaints = {}
    judge.is_not_dull({ seconds = 20, faults = 1, ok = 3,
      tally = { kill_one = 1 },
      cluster = { struck = function() return 0 end, changes = 1,
        snapshots = { made = 0 } } }, complaints)
    assert.equal(5, #complaints)
    complaints = {}
    judge.is_not_dull({ seconds = 20, faults = 30, ok = 1000,
      tally = { a = 5, b = 5, c = 5, d = 5, e = 5, f = 5 },
      cluster = { struck = function() return 1 end, changes = 1,
        snapshots = { made = 1 } } }, complaints)
    assert.same({}, complaints)
  end)

  it("complains of a change that does not end", function()
    local complaints, tended = {}, 0
    local cluster = { changing = { words = "n4=-" },
      tend = function(self)
        tended = tended + 1
        if tended == 3 then self.changing = false end
      end }
    judge.change_ends(cluster, false, complaints)
    assert.same({}, complaints)
    cluster.changing = { words = "n4=-" }
    judge.change_ends(cluster, false, complaints, 1)
    assert.same({ "waited 1 ms in vain for the end of a change after the heal"
      .. ": n4=-" }, complaints)
  end)
end)

describe("dice", function()
  it("draw the same from a seed, and another row for another purpose",
    function()
      local function row(seed, purpose)
        local dice, list = Dice.new(seed, purpose), {}
        for i = 1, 20 do list[i] = dice:integer(1, 6) end
        return table.concat(list)
      end
      assert.equal(row(7, 1), row(7, 1))
      assert.not_equal(row(7, 1), row(7, 2))
      assert.not_equal(row(7, 1), row(8, 1))
    end)

  it("shuffle without loss", function()
    local list = Dice.new(1, 1):shuffled(menu.names)
    table.sort(list)
    assert.same(menu.names, list)
  end)
end)
