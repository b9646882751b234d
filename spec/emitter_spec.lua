local emitter = require "raft.emitter"

local function new(on)
  local errs = {}
  local e = emitter.new({ "role", "leader" },
    function(err) errs[#errs + 1] = err end, "node", on)
  return e, errs
end

describe("emitter", function()
  it("delivers in order, from drain and not before", function()
    local e, heard = new(), {}
    e:on("role", function(...) heard[#heard + 1] = { "role", ... } end)
    e:on("leader", function(...) heard[#heard + 1] = { "leader", ... } end)
    e:queue("role", "leader", 7)
    e:queue("leader", nil, "h:1", 7)
    assert.same({}, heard)
    assert.is_true(e:is_pending())
    assert.is_false(e:drain())
    assert.same({ { "role", "leader", 7 }, { "leader", nil, "h:1", 7 } }, heard)
    assert.is_false(e:is_pending())
  end)

  it("calls the handlers of an event in the order in which they came",
  function()
    local e, heard = new { role = function() return "first" end }, {}
    for i = 1, 3 do e:on("role", function() heard[#heard + 1] = i end) end
    e:queue("role")
    e:drain()
    assert.same({ 1, 2, 3 }, heard)
  end)

  it("takes the handlers of the option `on`", function()
    local heard
    local e = new { role = function(role) heard = role end }
    assert.is_true(e:has("role"))
    assert.is_false(e:has("leader"))
    e:queue("role", "follower")
    e:drain()
    assert.equal("follower", heard)
  end)

  it("returns the handler, for off", function()
    local e, count = new(), 0
    local fn = e:on("role", function() count = count + 1 end)
    assert.is_true(e:off("role", fn))
    assert.is_false(e:off("role", fn))
    e:queue("role")
    e:drain()
    assert.equal(0, count)
  end)

  it("is silent to a handler taken off after the event was queued",
  function()
    local e, count = new(), 0
    local fn = e:on("role", function() count = count + 1 end)
    e:queue("role")
    e:off("role", fn)
    e:drain()
    assert.equal(0, count)
  end)

  it("lets one handler take off the next one", function()
    local e, heard, second = new(), {}, nil
    e:on("role", function() e:off("role", second) end)
    second = e:on("role", function() heard[#heard + 1] = "second" end)
    e:on("role", function() heard[#heard + 1] = "third" end)
    e:queue("role")
    e:drain()
    assert.same({ "third" }, heard)
  end)

  it("takes off one of two equal handlers", function()
    local e, count = new(), 0
    local function fn() count = count + 1 end
    e:on("role", fn)
    e:on("role", fn)
    e:off("role", fn)
    e:queue("role")
    e:drain()
    assert.equal(1, count)
  end)

  it("keeps for the next drain what handlers queue", function()
    local e, count = new(), 0
    e:on("role", function()
      count = count + 1
      e:queue("role")
    end)
    e:queue("role")
    assert.is_true(e:drain())
    assert.equal(1, count)
    assert.is_true(e:drain())
    assert.equal(2, count)
  end)

  it("does not deliver inside a delivery", function()
    local e, depth, deepest = new(), 0, 0
    e:on("role", function()
      depth = depth + 1
      deepest = math.max(deepest, depth)
      if depth < 9 then e:queue("role") end
      e:drain()
      depth = depth - 1
    end)
    e:queue("role")
    e:queue("role")
    e:drain()
    assert.equal(1, deepest)
  end)

  it("reports what a handler raises, and goes on", function()
    local e, errs = new()
    local heard = 0
    e:on("role", function() error("boom", 0) end)
    e:on("role", function() heard = heard + 1 end)
    e:queue("role")
    e:queue("role")
    e:drain()
    assert.equal(2, heard)
    assert.equal(2, #errs)
    assert.equal("apply_error: handler of role: boom", tostring(errs[1]))
  end)

  it("reports a handler that yields", function()
    local e, errs = new()
    e:on("role", function() coroutine.yield() end)
    e:queue("role")
    e:drain()
    assert.equal(1, #errs)
  end)

  it("refuses unknown names, blames the caller and lists the names",
  function()
    local e = new()
    local expected = "emitter_spec.lua:%d+: node:on: there is no event "
      .. '"roles", only role, leader'
    local ok, why = pcall(function() e:on("roles", print) end)
    assert.is_false(ok)
    assert.truthy(why:find(expected), why)
    assert.has_error(function() e:off("roles", print) end)
    assert.has_error(function() e:on(nil, print) end)
    assert.has_error(function() e:queue("roles") end)
  end)

  it("refuses a handler that is no function", function()
    local e = new()
    local ok, why = pcall(function() e:on("role", "x") end)
    assert.is_false(ok)
    assert.truthy(why:find("node:on: expected a function as handler, got "
      .. "string", 1, true), why)
  end)
end)
