--- Node object -> the driver inside it. For the parts of the library that look
-- inside a node, the simulation among them; users have the node's methods.
local M = {}

local drivers = setmetatable({}, { __mode = "k" })

--- The same as a table, for where a call would be too much.
M.drivers = drivers

--- The driver of a node; nil for what is none.
function M.of(node)
  return drivers[node]
end

--- Notes the driver of a new node.
function M.put(node, driver)
  drivers[node] = driver
end

return M
