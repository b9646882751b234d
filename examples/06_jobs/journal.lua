--- The journal that all write to: a file of lines. It stands for whatever the
-- jobs do in the world: mails, bills, backups.
local M = {}

local PATH <const> = "journal.txt"

--- Does a line begin with this name?
function M.has(name)
  local file <close> = io.open(PATH, "r")
  if not file then return false end  -- nobody has written yet
  for line in file:lines() do
    if line:sub(1, #name + 1) == name .. " " then return true end
  end
  return false
end

--- Adds a line, in one write.
function M.add(line)
  local file <close> = assert(io.open(PATH, "a"))
  assert(file:write(line .. "\n"))
end

return M
