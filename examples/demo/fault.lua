--- What the demo cannot help: a file that is missing, a port that is taken.
-- It is raised as a value, so that it is told in a line, without a traceback.
local M = {}

local Fault = { __name = "demo.fault" }

function Fault:__tostring()
  return self.text
end

--- Raises a fault; the arguments are those of string.format.
function M.raise(...)
  error(setmetatable({ text = string.format(...) }, Fault), 0)
end

return M
