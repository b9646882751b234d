local program = require "spec.museum.lua"
local replace = require "spec.museum.replace"

-- What a scenario's run says: with the fix, and without.
local function judged(with, without)
  return program.judge({ reason = "stale", bug = "1" }, function(_, is_broken)
    local words = with
    if is_broken then words = without end
    return words == nil, words or ""
  end)
end

describe("spec.museum.lua #house", function()
  it("passes what is red without the fix for its reason", function()
    local ok, words = judged(nil, "a stale read")
    assert.is_true(ok)
    assert.equal("without the fix a stale read", words)
  end)

  it("fails what is red with the fix", function()
    local ok, words = judged("oh", "a stale read")
    assert.is_false(ok)
    assert.equal("red with the fix: oh", words)
  end)

  it("fails what is green without the fix", function()
    local ok, words = judged(nil, nil)
    assert.is_false(ok)
    assert.equal("green without the fix", words)
  end)

  it("fails what is red for another reason", function()
    local ok, words = judged(nil, "no such file")
    assert.is_false(ok)
    assert.equal("red for another reason: no such file", words)
  end)

  it("has a row, a name of its own, a bug and a reason for all", function()
    local seen = {}
    for _, s in ipairs(program.scenarios()) do
      assert.is_nil(seen[s.name], s.name)
      seen[s.name] = true
      assert.matches("^[%w_]+$", s.name)
      assert.is_true(math.type(s.number) == "integer")
      assert.is_true(#s.reason > 0)
      assert.is_true(type(s.bug) == "string" or #s.bug == 3, s.name)
    end
  end)
end)

describe("spec.museum.replace #house", function()
  local MODULE <const> = "spec.museum.samples"
  local samples

  before_each(function()
    package.loaded[MODULE] = nil
    samples = require(MODULE)
  end)
  after_each(function() package.loaded[MODULE] = nil end)

  local function one_more(original)
    return function(...) return original(...) + 1 end
  end

  it("replaces a function of the module", function()
    replace.put(MODULE, "public", one_more)
    assert.equal(2, samples.public())
  end)

  it("replaces a method of its class", function()
    local before = samples.new()
    replace.put(MODULE, "method", one_more)
    assert.equal(3, before:method())
    assert.equal(3, samples.new():method())
  end)

  it("replaces a local function, for all that call it", function()
    replace.put(MODULE, "hidden", one_more)
    assert.equal(4, samples.new():calls_hidden())
    assert.equal(4, samples.calls_hidden())
  end)

  it("replaces a handler in a table, and what handlers call", function()
    replace.put(MODULE, "handle", one_more)
    replace.put(MODULE, "deep", one_more)
    assert.equal(5, samples.calls_handler "handle")
    assert.equal(6, samples.calls_handler "calls_deep")
  end)

  it("refuses a name that is not there, and one that is there twice", function()
    assert.error_matches(function()
      replace.put(MODULE, "absent", one_more)
    end, "samples has no function absent")
    assert.error_matches(function()
      replace.put(MODULE, "twice", one_more)
    end, "samples has several functions twice")
  end)
end)
