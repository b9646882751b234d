--- Replaces one named function of a module, wherever the module keeps it: in
-- the table that it returns, in a class, in a table of handlers, or in a local
-- that others call.
local M = {}

local function source_of(fn)
  return debug.getinfo(fn, "S").source
end

-- A class, or a table of functions of this source: of handlers by kind, say.
local function is_worth_it(item, source)
  if type(item) ~= "table" then return false end
  if rawget(item, "__index") then return true end
  for _, fn in next, item do
    if type(fn) == "function" and source_of(fn) == source then return true end
  end
  return false
end

-- Every place in `value`, and in what its functions hold on to, where a
-- function of this name of this source stands: put(replacement) changes it.
local function search(value, name, source, seen, found)
  if seen[value] then return end
  seen[value] = true
  if type(value) == "table" then
    local own = rawget(value, name)
    if type(own) == "function" and source_of(own) == source then
      found[#found + 1] = { own, function(new) rawset(value, name, new) end }
    end
    for _, item in next, value do
      if type(item) == "function" or is_worth_it(item, source) then
        search(item, name, source, seen, found)
      end
    end
    return
  end
  if source_of(value) ~= source then return end
  for i = 1, 255 do
    local label, item = debug.getupvalue(value, i)
    if not label then break end
    local kind = type(item)
    if kind == "function" and label == name and source_of(item) == source then
      found[#found + 1] = { item, function(new)
        debug.setupvalue(value, i, new)
      end }
    end
    if kind == "function" or is_worth_it(item, source) then
      search(item, name, source, seen, found)
    end
  end
end

--- @param module as require takes it
-- @param name of the function; there must be one of that name, and only one
-- @param make function(original) -> what stands there from now on
function M.put(module, name, make)
  local loaded, found = require(module), {}
  local path = assert(package.searchpath(module, package.path))
  search(loaded, name, "@" .. path, {}, found)
  local original = found[1] and found[1][1]
  if not original then
    error(("%s has no function %s"):format(module, name), 2)
  end
  local replacement = make(original)
  for _, place in ipairs(found) do
    if place[1] ~= original then
      error(("%s has several functions %s"):format(module, name), 2)
    end
    place[2](replacement)
  end
end

return M
