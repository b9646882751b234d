--- Rules for options that nodes and clients have alike: see @{raft.schema}.
local schema = require "raft.schema"

local M = {}

local LEVELS <const> = { debug = true, info = true, warn = true, error = true }

--- What is told to whom: a level for stderr, a function, or false.
function M.log(value, path)
  if type(value) == "function" then return value end
  if value ~= false and not LEVELS[value] then
    schema.refuse(path,
      '"debug", "info", "warn", "error", false or a function', value)
  end
  return value
end

--- Checks what is written, then says that it cannot be had yet.
function M.not_yet(rule)
  return function(value, path)
    if rule(value, path) then schema.complain(path, "not supported yet") end
    return false
  end
end

return M
