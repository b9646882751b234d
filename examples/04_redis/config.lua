--- What CONFIG GET tells: the few settings that Redis' own tools ask for.
local glob = require "glob"
local resp = require "resp"

local M = {}

-- name -> value, or function(server) -> value
local settings <const> = {
  appendfsync = "always",
  appendonly = "yes",
  bind = function(server) return server.host end,
  databases = "1",
  maxclients = function(server) return tostring(server.clients_max) end,
  maxmemory = "0",
  port = function(server) return tostring(server.port) end,
  ["proto-max-bulk-len"] = tostring(resp.BULK_MAX),
  save = "",
  timeout = "0",
}

local names = {}
for name in pairs(settings) do names[#names + 1] = name end
table.sort(names)

local function fits_any(name, matchers)
  for _, fits in ipairs(matchers) do
    if fits(name) then return true end
  end
  return false
end

--- Names and values that fit the patterns, which are arguments 3 and on.
function M.get(server, arguments)
  local matchers, found = {}, {}
  for i = 3, #arguments do
    matchers[#matchers + 1] = glob.matcher(arguments[i]:lower())
  end
  for _, name in ipairs(names) do
    if fits_any(name, matchers) then
      local value = settings[name]
      if type(value) == "function" then value = value(server) end
      found[#found + 1], found[#found + 2] = name, value
    end
  end
  return found
end

--- Why a setting cannot be set.
function M.refusal(name)
  if settings[name:lower()] == nil then
    return ("ERR Unknown option or number of arguments for CONFIG SET - '%s'")
      :format(resp.shown(name, -1))
  end
  return ("ERR CONFIG SET failed (possibly related to argument '%s') - can't "
    .. "set immutable config"):format(name)
end

return M
