--- The source tree as the tools see it: which files there are, what they say.
-- Needs nothing but `find`, so that it runs before anything is installed.
local M = {}

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

--- Files below root/dir whose name matches pattern, as sorted paths that
-- start at root. A folder that is not there holds no files.
function M.list(root, dir, pattern)
  local found = {}
  local command = "cd " .. quote(root) .. " && [ -d " .. quote(dir)
    .. " ] && find " .. quote(dir) .. " -type f -print"
  local pipe = assert(io.popen(command))
  for path in pipe:lines() do
    if path:find(pattern) then found[#found + 1] = path end
  end
  pipe:close()
  table.sort(found)
  return found
end

--- The whole text of root/path.
function M.read(root, path)
  local file = assert(io.open(root .. "/" .. path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

--- The lines of a text, without their ends.
function M.lines(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n?") do lines[#lines + 1] = line end
  return lines
end

--- True when tools/<name>.lua is the script that Lua was started with.
function M.is_main(name)
  return arg ~= nil and arg[0] ~= nil
    and arg[0]:find("tools/" .. name .. "%.lua$") ~= nil
end

--- Prints what a checker found and ends the process accordingly.
function M.finish(name, complaints)
  for _, line in ipairs(complaints) do io.stderr:write(line, "\n") end
  if #complaints > 0 then
    io.stderr:write(("%s: %d to mend\n"):format(name, #complaints))
    os.exit(1)
  end
end

return M
