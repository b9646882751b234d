--- Faults that other nodes need not have had: memory or the stack ran out, or
-- this node cannot do what the others can. They are no result of a command; the
-- node ends of them, and a restart begins again before them.
local M = {}

-- Deeper than any code that raises on purpose; the C stack ends at 200 calls.
local DEEP <const> = 150

local Fault = { __name = "raft.fault" }

function Fault:__tostring()
  return tostring(self.value)
end

--- A fault to raise: whoever catches it on the way hands it on.
-- @param value an error value, or what was raised
function M.new(value)
  return setmetatable({ value = value }, Fault)
end

--- What is in a fault of M.new; nil for anything else.
function M.value_of(value)
  return getmetatable(value) == Fault and value.value or nil
end

--- Is this one? To be asked where it was raised: in the handler of xpcall. An
-- error of the user that only says so comes with a place, or from no depth.
function M.is_local(value)
  if value == "not enough memory" or M.value_of(value) ~= nil then
    return true
  end
  return type(value) == "string" and debug.getinfo(DEEP, "l") ~= nil
    and value:find("stack overflow", 1, true) ~= nil
end

-- What was raised, as it goes on.
local function kept(value)
  if M.value_of(value) == nil and M.is_local(value) then return M.new(value) end
  return value
end

local function passed_on(ok, ...)
  if not ok and M.value_of((...)) ~= nil then error((...), 0) end
  return ok, ...
end

--- pcall, which hands a fault on.
function M.pcall(fn, ...)
  return passed_on(xpcall(fn, kept, ...))
end

--- xpcall, which hands a fault on.
function M.xpcall(fn, handler, ...)
  return passed_on(xpcall(fn, function(value)
    value = kept(value)
    if M.value_of(value) ~= nil then return value end
    return handler(value)
  end, ...))
end

return M
