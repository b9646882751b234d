-- The annotations for editors name what the library has, and nothing else.
local raft = require "raft"

local FILES <const> = { "lua/raft/annotations.lua",
  "lua/raft/annotations/types.lua", "lua/raft/annotations/client.lua" }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local text = read(FILES[1]) .. read(FILES[2]) .. read(FILES[3])

-- The fields of an annotated class, as a set: the lines behind its own.
local function fields_of(class)
  local _, from = text:find("---@class " .. class .. "\n", 1, true)
  local fields = {}
  for line in text:sub(from + 1):gmatch("([^\n]*)\n") do
    local name = line:match("^%-%-%-@field ([%w_]+)")
    if not name then break end
    fields[name] = true
  end
  return fields
end

local function new_node(options)
  options.id, options.volatile, options.log = "n1", true, false
  options.members = { n1 = "127.0.0.1:0" }
  options.apply = function() return true end
  options.election_timeout = options.election_timeout or { 10, 20 }
  return raft.node(options)
end

describe("annotations #house", function()
  it("are Lua, and define only", function()
    for _, path in ipairs(FILES) do
      local before = {}
      for name in pairs(_G) do before[name] = true end
      assert(loadfile(path))()
      for name in pairs(_G) do assert.is_true(before[name], name) end
    end
  end)

  it("have everything in the module, and nothing else", function()
    local annotated = assert(loadfile(FILES[1]))()
    annotated._VERSION = ""  -- a field of the class
    for name in pairs(raft) do assert.is_not_nil(annotated[name], name) end
    for name in pairs(annotated) do assert.is_not_nil(raft[name], name) end
    for name in pairs(raft.codec) do
      assert.is_function(annotated.codec[name], name)
    end
  end)

  it("have every call of a node, and no other", function()
    local methods = getmetatable(getmetatable(new_node {}).__index).__index
    local ours = { defer = true, report = true, fail = true }  -- inside
    local count = 0
    for name in text:gmatch("\nfunction Node:([%w_]+)%(") do
      assert.is_function(methods[name], "no such call: " .. name)
      count = count + 1
    end
    for name in pairs(methods) do
      if not ours[name] then count = count - 1 end
    end
    assert.equal(0, count)
  end)

  it("have every call of a client, and no other", function()
    local client <close> = raft.client { members = { "127.0.0.1:1" } }
    local methods = getmetatable(client).__index
    local ours = { defer = true, report = true }  -- inside
    local said = {}
    for name in text:gmatch("\nfunction Client:([%w_]+)%(") do
      assert.is_function(methods[name], "no such call: " .. name)
      said[name] = true
    end
    for name in pairs(methods) do
      assert.is_true(said[name] or ours[name], "not said: " .. name)
    end
  end)

  it("have every option of a client, and no other", function()
    local _, why = pcall(raft.client, { xyzzyx = 1 })
    local annotated = fields_of("raft.client_options")
    for name in why:match("known are ([^\n]*)"):gmatch("[%l_]+") do
      assert.is_true(annotated[name] or name == "tls", name)
      annotated[name] = nil
    end
    assert.is_nil(next(annotated))
  end)

  it("have every option, and no other", function()
    local _, why = pcall(new_node, { xyzzyx = 1 })
    local later = { tls = true, http = true, host = true,
      compare_every = true }  -- these two are for tests
    local annotated = fields_of("raft.options")
    for name in why:match("known are ([^\n]*)"):gmatch("[%l_]+") do
      assert.is_true(annotated[name] or later[name], name)
      annotated[name] = nil
    end
    assert.is_nil(next(annotated))
  end)

  it("have every event and every error code", function()
    local events = fields_of("raft.handlers")
    for _, name in ipairs(require("raft.options").EVENTS) do
      assert.is_true(events[name], name)
      events[name] = nil
    end
    assert.is_nil(next(events))
    for _, code in ipairs(require("raft.errors").codes()) do
      assert.is_truthy(text:find('"' .. code .. '"', 1, true), code)
    end
  end)

  it("have every field of the status", function()
    local fields = fields_of("raft.status")
    local node = new_node {}
    assert(node:start())
    assert(node:ready())
    for name in pairs(node:status()) do assert.is_true(fields[name], name) end
    node:stop()
  end)

  it("have everything in raft.testing, and nothing else", function()
    local path <const> = "lua/raft/annotations/testing.lua"
    local testing = require "raft.testing"
    local annotated = assert(loadfile(path))()
    for name in pairs(testing) do assert.is_function(annotated[name], name) end
    for name in pairs(annotated) do assert.is_function(testing[name], name) end

    local cluster <close> = testing.cluster { nodes = 1, node = function()
      return { apply = function() end }
    end }
    local methods, said = getmetatable(cluster).__index, {}
    for name in read(path):gmatch("\nfunction Cluster:([%w_]+)%(") do
      assert.is_function(methods[name], "no such call: " .. name)
      said[name] = true
    end
    local ours = { defer = true, report = true }  -- inside
    for name in pairs(methods) do
      assert.is_true(said[name] or ours[name] or name:find("^__") ~= nil, name)
    end
  end)
end)
