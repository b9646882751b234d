--- What a node object is to its user beside its methods: read-only fields, the
-- services among them.
local inside = require "raft.node.inside"
local life = require "raft.node.life"
local scheduler = require "raft.scheduler"
local services = require "raft.node.services"

local M = {}

local function refuse_write(node, key)
  local is_known = rawget(getmetatable(node).__index, key) ~= nil
  error(("node.%s: %s"):format(tostring(key), is_known and "read-only"
    or "a node takes no fields"), 2)
end

local function to_text(node)
  local driver = inside.of(node)
  return ("raft.node %s (%s)"):format(driver.id, driver.state)
end

--- The metatable of a node. Each has one of its own, with its fields.
function M.of(driver, methods)
  local fields = services.fields(driver)
  fields.id, fields.cluster = driver.id, driver.options.cluster
  fields.scheduler = scheduler.of(driver.uv)
  return {
    __index = setmetatable(fields, { __index = methods }),
    __newindex = refuse_write,
    __name = "raft.node",
    __tostring = to_text,
    __close = function(node) life.close(inside.of(node)) end,
  }
end

return M
