--- The `members` option: id = "host:port" or a table that says more.
local address = require "raft.address"
local plain = require "raft.plain"
local schema = require "raft.schema"

local M = {}

local MEMBERS_MAX <const> = 32    -- the core's limit
local PRIORITY_MAX <const> = 255  -- it is one byte there

--- The rule for one address; it comes out in the form that is compared.
function M.address(value, path)
  local parts, why = address.parse(value)
  if parts then return address.format(parts.host, parts.port) end
  local words = '"host:port"'
  if type(value) == "string" then words = ("%s (%s)"):format(words, why) end
  schema.refuse(path, words, value)
end

--- Is it the address of a host that others could dial, and not all of them?
function M.has_host(where)
  local host = address.parse(where).host
  return host ~= "0.0.0.0" and host ~= "::"
end

local member_fields = schema.fields {
  { "address", M.address, required = '"host:port"' },
  { "role", schema.one_of { "voter", "learner", "witness" },
    default = "voter" },
  { "priority", schema.integer(0, PRIORITY_MAX), default = 0 },
}

local function member(value, path)
  if type(value) ~= "table" then
    return { address = M.address(value, path), role = "voter", priority = 0 }
  end
  return member_fields(value, path)
end

local function check_addresses(ids, members, path)
  local owners = {}
  for _, id in ipairs(ids) do
    local text, at = members[id].address, schema.join(path, id)
    if owners[text] then
      schema.complain(at, ("%s is the address of %s too"):format(
        schema.show(text), owners[text]))
    end
    if #ids > 1 and text:find(":0$") then
      schema.complain(at, "port 0 is for a node alone: the others could not "
        .. "dial " .. schema.show(text))
    end
    owners[text] = id
  end
end

-- What node:change asks of a member: what is not named stays as it is.
local change_fields = schema.fields {
  { "address", M.address },
  { "role", schema.one_of { "voter", "learner", "witness" } },
  { "priority", schema.integer(0, PRIORITY_MAX) },
}

--- The rule for the fields that a change may have; those left out are false.
function M.change(value, path)
  if value == false then return false end
  if type(value) == "table" then return change_fields(value, path) end
  return change_fields({ address = M.address(value, path) }, path)
end

--- The rule for a whole change: id = "host:port", a table, or false to remove.
function M.changes(value, path)
  if type(value) ~= "table" then
    schema.refuse(path, 'a table: id = "host:port", or false to remove', value)
  end
  local result = {}
  for id, wanted in pairs(value) do
    local at = schema.join(path, id)
    schema.name(id, at)
    result[id] = M.change(wanted, at)
  end
  return result
end

--- The ids of such a table, sorted by their bytes.
function M.ids(map)
  local ids = {}
  for id in pairs(map) do ids[#ids + 1] = id end
  return plain.sort_keys(ids, true)
end

local function check_names(value, path)
  for id in pairs(value) do schema.name(id, schema.join(path, id)) end
end

--- The rule: id -> { address=, role=, priority= }.
function M.rule(value, path)
  if type(value) ~= "table" then
    schema.refuse(path, 'a table: id = "host:port"', value)
  end
  if #value > 0 then
    schema.complain(path, 'expected names as keys: n1 = "host:port"')
  end
  check_names(value, path)
  local ids, result = M.ids(value), {}
  if #ids == 0 or #ids > MEMBERS_MAX then
    schema.complain(path, ("expected 1 to %d members, got %d"):format(
      MEMBERS_MAX, #ids))
  end
  for _, id in ipairs(ids) do
    result[id] = member(value[id], schema.join(path, id))
  end
  check_addresses(ids, result, path)
  return result
end

return M
