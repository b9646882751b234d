--- Runs a script on a uv and gathers the lines that it says.
local M = {}

-- What differs from run to run, and does not matter: addresses, and ports.
local function plain(value)
  local meta = getmetatable(value)
  if type(value) == "table" and not (meta and meta.__tostring) then
    local keys, out = {}, {}
    for key in pairs(value) do keys[#keys + 1] = tostring(key) end
    table.sort(keys)
    for i, key in ipairs(keys) do
      out[i] = key .. "=" .. plain(value[tonumber(key) or key])
    end
    return "{" .. table.concat(out, ",") .. "}"
  end
  if math.type(value) == "float" then value = value // 1 | 0 end
  return (tostring(value):gsub("uv_(%a+)_t: %w+", "uv_%1_t"))
end

--- The lines of one script; it has to leave the loop empty.
function M.of(uv, script)
  local list = {}
  local function say(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = plain(words[i]) end
    list[#list + 1] = table.concat(words, " ")
  end
  script(uv, say)
  uv.run()
  local left = 0
  uv.walk(function(handle)
    if not handle:is_closing() then left = left + 1 end
  end)
  assert(left == 0, "the script left handles open")
  return list
end

--- The names of some scripts, sorted.
function M.names(scripts)
  local names = {}
  for name in pairs(scripts) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return M
