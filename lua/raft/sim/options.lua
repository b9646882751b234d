--- The options of raft.sim.new, checked and complete.
local schema = require "raft.schema"

local M = {}

local NODES_MAX <const> = 32

local function number(low, high, unit)
  return function(value, path)
    if type(value) ~= "number" or value < low or value > high then
      schema.refuse(path, ("%s from %g to %g"):format(unit, low, high), value)
    end
    return value
  end
end

local share = number(0, 1, "a share")
local ms = number(0, 3600000, "ms")

-- {min, max} in ms, or one number for both.
local function range(value, path)
  if type(value) == "number" then
    ms(value, path)
    return { value, value }
  end
  schema.any_table(value, path)
  ms(value[1], path .. "[1]")
  ms(value[2], path .. "[2]")
  if value[1] > value[2] then
    schema.complain(path, ("the minimum is above the maximum: {%g, %g}")
      :format(value[1], value[2]))
  end
  return { value[1], value[2] }
end

local function sink(value, path)
  if value ~= false and type(value) ~= "function" then
    schema.refuse(path, "a function(line), or false", value)
  end
  return value
end

local function either(value, path)
  if type(value) == "table" then return value end
  return schema.integer(1, NODES_MAX, "nodes")(value, path)
end

local priority = schema.integer(0, 255)

-- Id -> a number; who is not named has 0.
local function priorities(value, path)
  schema.any_table(value, path)
  local result = {}
  for id, number_of in pairs(value) do
    result[id] = priority(number_of, schema.join(path, id))
  end
  return result
end

local network = schema.fields {
  { "delay", range, default = { 0.1, 1 } },
  { "loss", share, default = 0 },
  { "duplicate", share, default = 0 },
  { "reorder_ms", ms, default = 0 },
}

local disk = schema.fields {
  { "sync", range, default = { 0.1, 0.5 } },
  { "torn", schema.boolean, default = true },
  { "capacity", schema.integer(1, 1 << 50, "bytes") },
  { "write_error", share, default = 0 },
  { "sync_error", share, default = 0 },
  { "read_error", share, default = 0 },
}

local clock = schema.fields {
  { "rate_ppm", schema.integer(0, 9000000, "ppm"), default = 0 },
  { "offset_ms", schema.integer(0, 1 << 40, "ms"), default = 0 },
}

-- How snapshots are taken by nodes that can, and do not say so themselves.
local snapshots = schema.fields {
  { "mode", schema.one_of { "inline", "fork", "auto" }, default = "auto" },
  { "bytes", schema.integer(1, 1 << 50, "bytes"), default = 64 << 20 },
}

local fields = schema.fields {
  { "seed", schema.integer(math.mininteger, math.maxinteger, "seed"),
    default = 1 },
  { "nodes", either, default = 3 },
  { "initial", schema.integer(1, NODES_MAX, "nodes") },
  { "node", schema.callable, required = "a function(id, ctx) that returns "
    .. "the options of a node" },
  { "network", network },
  { "disk", disk },
  { "clock", clock },
  { "snapshots", snapshots },
  { "crash", schema.one_of { "power", "process" }, default = "power" },
  { "may_fail", schema.boolean, default = false },
  { "may_diverge", schema.boolean, default = false },
  { "priority", priorities, default = {} },
  { "trace", sink, default = false },
}

local function ids_of(nodes)
  if type(nodes) == "table" then return nodes end
  local ids = {}
  for i = 1, nodes do ids[i] = "n" .. i end
  return ids
end

local function rule(options)
  local checked = fields(options, "")
  checked.ids = ids_of(checked.nodes)
  checked.initial = checked.initial or #checked.ids
  if checked.initial > #checked.ids then
    schema.complain("initial", ("there are %d nodes"):format(#checked.ids))
  end
  checked.network = checked.network or network({}, "network")
  checked.disk = checked.disk or disk({}, "disk")
  checked.clock = checked.clock or clock({}, "clock")
  return checked
end

--- The options, as a new table with every one set.
-- @raise blaming the caller of the function that calls this one
function M.check(options)
  return schema.check("raft.sim.new", 4, rule, options)
end

return M
