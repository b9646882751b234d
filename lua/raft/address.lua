--- Addresses: "host:port" and "[::1]:7101", to parts and back.
-- A host is a name, or a number: numeric hosts need no resolver. Letters come
-- out in lower case. Nothing here asks the network.

local M = {}

local PORT_MAX <const> = 65535
local NAME_BYTES_MAX <const> = 253   -- of a DNS name
local LABEL_BYTES_MAX <const> = 63
local GROUPS <const> = 8             -- of 16 bits in an IPv6 address

-- Four numbers of 0..255 without leading zeros (which some read as octal).
local function is_v4(host)
  local parts = { host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  if #parts ~= 4 then return false end
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 or part:find("^0%d") then
      return false
    end
  end
  return true
end

-- How many 16-bit groups stand on one side of a "::", or nil when malformed.
local function count_groups(side)
  if side == "" then return 0 end
  local count = 0
  for group in (side .. ":"):gmatch("([^:]*):") do
    if not group:find("^%x%x?%x?%x?$") then return nil end
    count = count + 1
  end
  return count
end

-- The last two groups may be written as an IPv4 address: ::ffff:10.0.0.1
local function without_v4_tail(host)
  local tail = host:match(":([%d.]+%.%d+)$")
  if not tail or not is_v4(tail) then return host end
  return host:sub(1, -#tail - 1) .. "0:0"
end

local function is_v6(host)
  host = host:gsub("%%[%w_.-]+$", "")  -- the zone of a link-local address
  host = without_v4_tail(host)
  local from, to = host:find("::", 1, true)
  if not from then return count_groups(host) == GROUPS end
  local left = count_groups(host:sub(1, from - 1))
  local right = count_groups(host:sub(to + 1))
  return left ~= nil and right ~= nil and left + right < GROUPS
end

local function is_name(host)
  if #host > NAME_BYTES_MAX or host == "" then return false end
  for label in (host .. "."):gmatch("([^.]*)%.") do
    if #label > LABEL_BYTES_MAX or not label:find("^[%w_-]+$") then
      return false
    end
  end
  return not host:find("^[%d.]+$")  -- a broken number is not a name
end

local function host_kind(host, in_brackets)
  if in_brackets then return is_v6(host) and "inet6" end
  if is_v4(host) then return "inet" end
  return is_name(host) and "name"
end

--- The parts of an address.
-- @return { host=, port=, family= } with family "inet", "inet6", or false for
--   a name that has to be resolved; or nil and what is wrong with it
function M.parse(text)
  if type(text) ~= "string" then return nil, "not a string" end
  if text:find("://", 1, true) then return nil, "without a scheme" end
  local host, digits = text:match("^%[(.*)%]:(%d+)$")
  local in_brackets = host ~= nil
  if not host then host, digits = text:match("^([^%[%]]*):(%d+)$") end
  if not host then return nil, "no host and port" end
  if not in_brackets and host:find(":", 1, true) then
    return nil, "an IPv6 address stands in brackets: [::1]:7101"
  end
  local kind = host_kind(host, in_brackets)
  if not kind then return nil, "no such host can exist" end
  local port = #digits <= 5 and math.tointeger(tonumber(digits))
  if not port or port > PORT_MAX then
    return nil, "a port is a number from 0 to 65535"
  end
  return { host = host:lower(), port = port, family = kind ~= "name" and kind }
end

--- The address made of these parts; an IPv6 host gets its brackets.
function M.format(host, port)
  assert(type(host) == "string" and math.type(port) == "integer",
    "an address is a host and a port")
  local shape = host:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  return shape:format(host, port)
end

return M
