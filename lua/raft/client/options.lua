--- The options of raft.client: checked, and complete.
local kinds = require "raft.option_kinds"
local members = require "raft.members"
local schema = require "raft.schema"

local M = {}

local BYTES_MAX <const> = 1 << 50
local SESSION_MS_MIN <const> = 1000  -- as sessions.lua has them
local SESSION_MS_MAX <const> = 7 * 24 * 3600 * 1000

-- A list of addresses, or the node's map of members.
local function addresses(value, path)
  if type(value) ~= "table" or next(value) == nil then
    schema.refuse(path, 'a list of "host:port", or a table of members', value)
  end
  local list = {}
  if #value > 0 then
    for i, item in ipairs(value) do
      list[i] = members.address(item, schema.join(path, i))
    end
    return list
  end
  local map = members.rule(value, path)
  for i, id in ipairs(members.ids(map)) do list[i] = map[id].address end
  return list
end

local fields = schema.fields {
  { "cluster", schema.name, default = "default" },
  { "members", addresses,
    required = 'a list of "host:port", or a table of members' },
  { "timeout", schema.or_false(schema.integer(0, BYTES_MAX, "ms")),
    default = 5000 },
  { "max_pending_bytes", schema.integer(1, BYTES_MAX, "bytes"),
    default = 64 << 20 },
  { "log", kinds.log, default = "warn" },
  { "session_ms", schema.integer(SESSION_MS_MIN, SESSION_MS_MAX, "ms"),
    default = 600000 },
  { "uv", schema.any_table },
  { "tls", kinds.not_yet(schema.or_false(schema.any_table)) },
}

local function client_options(t)
  local options = fields(t, "")
  options.addresses = options.members
  return options
end

--- The options of a client, checked and complete. `addresses`: of the members.
-- @param t what the user gave; not changed
function M.client(t)
  local options = schema.check("raft.client", 4, client_options, t)
  return options  -- not in one line: a tail call would take a level away
end

return M
