local planning = require "bench.compare.plan"

-- The cells of a plan as words.
local function cells_of(plan)
  local list = {}
  for _, group in ipairs(plan.groups) do
    for _, cell in ipairs(group.cells) do
      list[#list + 1] = ("%s %s %d/%d/%d"):format(group.part.name, cell.name,
        cell.nodes, cell.bytes, cell.outstanding)
    end
  end
  return list
end

local function refuses(words, text)
  assert.error_matches(function() planning.parse({ words }, false) end, text)
end

describe("the plan of a comparison #house", function()
  it("is everything, in five rounds, without words", function()
    local plan = planning.parse({}, false)
    assert.equal(5, plan.rounds)
    assert.is_true(plan.is_whole)
    local text = table.concat(cells_of(plan), "\n")
    for _, part in ipairs(planning.parts) do
      assert.matches(part.name .. " ", text, 1, true)
    end
    assert.matches("embedded propose 3/128/1024\n", text, 1, true)
    assert.matches("nodes propose 5/128/64\n", text, 1, true)
  end)

  it("is short when it shall be quick, and then no whole one", function()
    local plan = planning.parse({}, true)
    assert.equal(1, plan.rounds)
    assert.is_false(plan.is_whole)
  end)

  it("takes parts and lists", function()
    local plan = planning.parse({ "embedded", "outstanding=2,8", "nodes=1,3",
      "rounds=2", "ms=50", "subjects=ours" }, false)
    assert.same({ "embedded propose 1/128/2", "embedded propose 1/128/8",
      "embedded propose 3/128/2", "embedded propose 3/128/8" }, cells_of(plan))
    assert.equal(2, plan.rounds)
    assert.equal(50, plan.ms)
    assert.same({ ours = true }, plan.subjects)
    assert.is_false(plan.is_whole)
  end)

  it("takes parts that are no loads", function()
    local plan = planning.parse({ "core" }, true)
    assert.same({}, plan.groups)
    assert.same({ core = true, costs = false, processes = false,
      recovery = false }, plan.others)
    assert.same({ core = true, costs = true, processes = true,
      recovery = true }, planning.parse({}, true).others)
    assert.is_true(planning.parse({ "recovery" }, true).others.recovery)
  end)

  it("has fewer large commands under way", function()
    assert.same({ "sizes propose 3/262144/16" }, cells_of(planning.parse(
      { "sizes", "bytes=262144" }, false)))
  end)

  it("sends the reads of a follower to one", function()
    local plan = planning.parse({ "reads", "outstanding=1" }, false)
    local last = plan.groups[1].cells[4]
    assert.equal("follower", last.name)
    assert.equal("linearizable", last.kind)
    assert.equal("follower", last.at)
  end)

  it("knows who cannot do what", function()
    assert.is_false(planning.can("etcd", { kind = "lease" }))
    assert.is_false(planning.can("ceiling", { kind = "stale" }))
    assert.is_true(planning.can("etcd", { kind = "linearizable" }))
    assert.is_true(planning.can("ours", { kind = "lease" }))
  end)

  it("refuses what it does not know, by name", function()
    refuses("everything", "no such part: everything")
    refuses("speed=9", "no such option: speed")
    refuses("rounds=0", 'rounds: expected whole numbers above 0, got "0"')
    refuses("rounds=1,2", "rounds: expected one number")
    refuses("bytes=many", 'bytes: expected whole numbers above 0, got "many"')
    refuses("subjects=ours,theirs", "subjects: no such subject: theirs")
  end)
end)
