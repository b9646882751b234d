--- What a request says beside its path: percent signs, parameters, entity tags.
-- Each returns nil for what cannot be understood.
local M = {}

--- The text behind percent signs, "a%20b"; nil where one means nothing.
function M.decode(text)
  local rest = text:gsub("%%%x%x", "")
  if rest:find("%", 1, true) then return nil end
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

--- Name -> value of "a=1&b=2". Of a name that stands there twice: nil.
function M.parameters(query)
  local found = {}
  for part in query:gmatch("[^&]+") do
    local name, value = part:gsub("%+", " "):match("^([^=]*)=?(.*)$")
    name, value = M.decode(name), M.decode(value)
    if not name or not value or found[name] then return nil end
    found[name] = value
  end
  return found
end

--- An entity tag for a version.
function M.tag(version)
  return ('"%d"'):format(version)
end

--- The versions in If-Match or If-None-Match: "*", or a list. Tags that we have
-- never given match nothing. false: there is no such header.
-- @param is_weak may a weak tag, W/"7", match? [RFC 9110 8.8.3.2]
function M.versions(header, is_weak)
  if not header then return false end
  if header == "*" then return "*" end
  local versions, at = {}, 1
  repeat
    local weak, opaque, next_at =
      header:match('^[ \t]*(W?/?)"([\33\35-\126\128-\255]*)"[ \t]*()', at)
    if not opaque or weak ~= "" and weak ~= "W/" then return nil end
    local version = opaque:find("^%d+$") and math.tointeger(tonumber(opaque))
    if version and (weak == "" or is_weak) then
      versions[#versions + 1] = version
    end
    local mark = header:sub(next_at, next_at)
    if mark ~= "" and mark ~= "," then return nil end
    at = next_at + 1
  until mark == ""
  return versions
end

return M
