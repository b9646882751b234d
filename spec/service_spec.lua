-- What raft.service takes, and what it refuses.
local raft = require "raft"

local function init() return {} end

local function given(changes)
  local def = { name = "s", init = init,
    commands = { add = function(s) return s end } }
  for name, value in pairs(changes or {}) do def[name] = value end
  return def
end

-- The words with which a definition is refused, without the place.
local function refusal(def)
  local ok, why = pcall(function()
    local service = raft.service(def)
    return service
  end)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*service_spec.lua:%d+: raft.service: ", "")
  assert.equal(1, count, why)
  return text
end

describe("raft.service", function()
  it("takes a definition, and says which it is", function()
    local service = raft.service(given { version = 3,
      queries = { total = function(s) return s.n end } })
    assert.equal("raft.service s (version 3)", tostring(service))
    assert.equal(1, raft.service(given()).version)
  end)

  it("takes no fields afterwards", function()
    local service = raft.service(given())
    local ok, why = pcall(function() service.commnds = {} end)
    assert.is_false(ok)
    assert.truthy(why:find("a service takes no fields", 1, true))
  end)

  it("blames the line that called it", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() raft.service {} end)
    assert.is_false(ok)
    assert.truthy(why:find("service_spec.lua:" .. line .. ": ", 1, true), why)
  end)

  local NAME <const> = "a name of letters, digits and _ . - of up to 64 bytes"

  for _, case in ipairs {
    { { name = "a b" }, 'name: expected ' .. NAME .. ', got "a b"' },
    { { name = ("x"):rep(65) }, "name: expected " .. NAME .. ', got "'
      .. ("x"):rep(60) .. '..."' },
    { { name = "propose" }, 'name: "propose" is a method or a field of every '
      .. "node, and node.propose would be the service" },
    { { init = 5 }, "init: expected a function, got 5" },
    { { commands = 5 }, "commands: expected a table, got 5" },
    { { commands = { add = 5 } }, "commands.add: expected a function, got 5" },
    { { commands = { ["a b"] = init } }, 'commands["a b"]: expected ' .. NAME
      .. ', got "a b"' },
    { { commands = { init } }, "commands[1]: expected " .. NAME .. ", got 1" },
    { { queries = { on = init } },
      "queries.on: this name is a method of every proxy" },
    { { queries = { add = init } }, "queries.add: is a command, too: a name "
      .. "can be one of the two" },
    { { version = 0 },
      "version: expected an integer from 1 to 9007199254740992, got 0" },
    { { upgrade = {} }, "upgrade: expected a function, got a table" },
    { { version = 2, older = raft.service(given()) }, "older: expected a list "
      .. "of services of raft.service, got a table" },
    { { version = 2, older = { v1 = raft.service(given()) } }, "older.v1: "
      .. "expected a list: its keys are 1, 2, 3" },
    { { version = 2, older = { 5 } },
      "older[1]: expected a service of raft.service, got 5" },
    { { atomic = 1 }, "atomic: expected true or false, got 1" },
    { { comands = {} }, "comands: unknown option, did you mean commands?" },
  } do
    it("refuses: " .. case[2], function()
      assert.equal(case[2], refusal(given(case[1])))
    end)
  end

  it("asks for a name and a first state", function()
    assert.equal("name: expected a name, got nil", refusal { init = init })
    assert.equal("init: expected a function that returns the first state, got "
      .. "nil", refusal { name = "s" })
    assert.equal("expected a table of options, got nil", refusal(nil))
  end)

  it("knows every name that a node has", function()
    local node = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:0" }, apply = init }
    local fields = getmetatable(node).__index
    local taken = {}
    for _, name in ipairs(require("raft.service").TAKEN) do
      taken[name] = true
    end
    for name in pairs(fields) do assert.is_true(taken[name], name) end
    for name in pairs(getmetatable(fields).__index) do
      assert.is_true(taken[name], name)
    end
    node:close()
  end)
end)
