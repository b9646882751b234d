-- The judge of kill points and power cuts must be able to say no.
local box = require "spec.storage.box"
local tmpdir = require "spec.support.tmpdir"
local verdict = require "spec.crash.verdict"

-- What a life said, against what there is.
local function complaints(said, found)
  local promises = verdict.promises()
  promises:hear(said)
  return table.concat(promises:judge(found), "; ")
end

local function holding(names)
  local found = { term = 3, vote = 7, last = #names, entries = {} }
  for i, name in ipairs(names) do
    found.entries[i] = { term = 3, payload = name .. ";xxx" }
  end
  return found
end

describe("the verdict on a directory", function()
  local cases = {
    { "all there", "term 3\nok 1.1\nok 1.2\n", { "1.1", "1.2" }, "" },
    { "more there", "ok 1.1\n", { "1.1", "1.2" }, "" },
    { "a line cut short", "ok 1.1\nok 1.", { "1.1" }, "" },
    { "one lost", "ok 1.1\nok 1.2\n", { "1.1" },
      "1.2 was acknowledged and is lost" },
    { "one twice", "ok 1.1\n", { "1.1", "1.1" }, "1.1 is there twice" },
    { "two changed over", "ok 1.1\nok 1.2\n", { "1.2", "1.1" },
      "1.2 has changed its place" },
    { "a vote of a newer term", "stored 0 0 2 9\n", {}, "" },
    { "the same vote", "stored 0 0 3 7\n", {}, "" },
    { "no vote known", "stored 0 0 3 0\n", {}, "" },
    { "another vote", "stored 0 0 3 8\n", {},
      "term 3 and vote 8 were durable, found 3 and 7" },
    { "an older term", "stored 0 0 4 0\n", {},
      "term 4 and vote 0 were durable, found 3 and 7" },
    { "an entry lost", "stored 2 3 3 7\n", { "1.3" },
      "entry 2 of term 3 was durable, found none" },
    { "an entry of a newer term", "stored 1 2 3 7\n", { "1.3" }, "" },
    { "an older entry", "stored 1 4 3 7\n", { "1.3" },
      "entry 1 of term 4 was durable, found term 3" },
    { "another entry", "stored 1 3 3 7\n", { "2.3" },
      "entry 1 holds something else" },
  }
  for _, case in ipairs(cases) do
    it("knows " .. case[1], function()
      assert.equal(case[4], complaints(case[2], holding(case[3])))
    end)
  end

  it("reads what a storage wrote, and gives the directory back", function()
    local b <close> = box.new()
    b:must_open()
    b:put(1, 3, 2, 10, 5)
    b:close()
    for _ = 1, 2 do
      local found = verdict.read(b.dir, "storage")
      assert.same({ 2, 5, 3 }, { found.term, found.vote, found.last })
      assert.equal("", complaints("stored 3 2 2 5\n", found))
      assert.truthy(complaints("stored 4 2 2 5\n", found):find("found none"))
    end
  end)

  it("hands on why a directory cannot be read", function()
    local dir <close> = tmpdir.new()
    dir:write("identity", "not one")
    local found, err = verdict.read(dir.path, "storage")
    assert.is_nil(found)
    assert.equal("corrupt", err.code)
  end)
end)
