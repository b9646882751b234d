--- What is asked of services, as bytes and as tables.
--
--   command       { service, command, arguments, how many, version }
--   query         { service, query, arguments, how many }
--   announcement  { "", member, announcement }
--
-- A service's name is never empty. The version is that of the definition which
-- the caller has, nil where it has none.
local codec = require "raft.codec"

local M = {}

local NOBODY <const> = ""

--- A command or a query.
-- @param arguments of table.pack
function M.of(service, name, arguments, version)
  local list = table.move(arguments, 1, arguments.n, 1, {})
  return { service, name, list, arguments.n, version }
end

--- What a member can run, as bytes.
function M.announcement(id, services)
  return codec.encode { NOBODY, id, services }
end

local function is_request(t)
  return type(t) == "table" and type(t[1]) == "string"
    and type(t[2]) == "string" and type(t[3]) == "table"
end

local function is_call(t)
  return math.type(t[4]) == "integer" and t[4] >= 0 and t[4] <= 250
    and (t[5] == nil or math.type(t[5]) == "integer")
end

local function is_list_of_strings(t)
  if type(t) ~= "table" then return false end
  for _, word in pairs(t) do
    if type(word) ~= "string" then return false end
  end
  return true
end

-- Can a member be taken to run this service?
local function is_announced(item)
  if type(item) ~= "table" or math.type(item.version) ~= "integer"
    or type(item.commands) ~= "table" or type(item.first) ~= "string" then
    return false
  end
  for _, names in pairs(item.commands) do
    if not is_list_of_strings(names) then return false end
  end
  return item.commands[item.version] ~= nil
    and type(codec.decode(item.first)) == "table"
end

local function is_announcement(t)
  for name, item in pairs(t[3]) do
    if type(name) ~= "string" or not is_announced(item) then return false end
  end
  return true
end

--- What was asked: "call" or "announcement", and the request; nil: nothing that
-- we know.
function M.kind(t)
  if not is_request(t) then return nil end
  if t[1] == NOBODY then return is_announcement(t) and "announcement" or nil end
  return is_call(t) and "call" or nil
end

return M
