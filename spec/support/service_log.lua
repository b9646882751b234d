--- What the specs of batteries look at beside what they answer: what the log
-- held, and whether annotations and page name all that is there.
-- luacheck: read globals entry
local raft = require "raft"

local M = {}

--- The same service, whose commands write down what became of them: `seen`, by
-- index of the entry, { index=, time=, command=, arguments=, result=, why= }.
-- So a model can go through the log as the nodes did. (A service proper must
-- not write into an upvalue; here every node writes the same.)
function M.watched(service, seen)
  local commands = {}
  for name, command in pairs(service.commands) do
    commands[name] = function(s, ...)
      local result, why = command(s, ...)
      seen[entry.index] = { index = entry.index, time = entry.time,
        command = name, arguments = table.pack(...), result = result,
        why = why }
      return result, why
    end
  end
  return raft.service { name = service.name, init = service.init,
    commands = commands, queries = service.queries }
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- The functions of this class that a file of annotations has, as a set.
local function annotated(text, class)
  local names = {}
  for name in text:gmatch("\nfunction " .. class .. "%.([%w_]+)%(") do
    names[name] = true
  end
  return names
end

local function same_names(expected, found)
  for name in pairs(expected) do assert(found[name], "not said: " .. name) end
  for name in pairs(found) do assert(expected[name], "not there: " .. name) end
end

--- Raises unless the annotations of a battery have the functions of its module,
-- and the commands and queries of the service, and no others.
function M.check_annotations(name, module, service)
  local text = read(("lua/raft/annotations/%s.lua"):format(name))
  assert(type(assert(load(text))()) == "table")
  same_names(module, annotated(text, name))
  local calls = {}
  for _, group in ipairs { service.commands, service.queries } do
    for call in pairs(group) do calls[call] = true end
  end
  same_names(calls, annotated(text, "Proxy"))
end

--- Raises unless the Lua of a battery's page compiles, its links lead to files,
-- and it names every command, query and function.
function M.check_page(name, module, service)
  local text = read(("docs/services/%s.md"):format(name))
  for block in text:gmatch("```lua\n(.-)```") do assert(load(block)) end
  for target in text:gmatch("%]%(([%w_./-]+)[#%w_-]*%)") do
    assert(os.rename("docs/services/" .. target, "docs/services/" .. target),
      target)
  end
  for _, names in ipairs { module, service.commands, service.queries } do
    for word in pairs(names) do
      assert(text:find("`[%l.]-%f[%w]" .. word .. "%("), "not said: " .. word)
    end
  end
end

--- What `seen` holds, in the order of the log.
function M.in_order(seen)
  local list = {}
  for _, item in pairs(seen) do list[#list + 1] = item end
  table.sort(list, function(a, b) return a.index < b.index end)
  return list
end

return M
