--- Addresses and host names of a simulation: uv.getaddrinfo.
local answers = require "raft.sim.answers"

local M = {}

local LOOKUP_NS <const> = 1000000  -- of one that does not block

--- "inet", "inet6", or nil for what is no address.
function M.family(ip)
  local a, b, c, d = ip:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if a then
    for _, part in ipairs { a, b, c, d } do
      if #part > 3 or tonumber(part) > 255 then return nil end
    end
    return "inet"
  end
  if ip:find(":", 1, true) and not ip:find("[^%x:.]") then return "inet6" end
  return nil
end

local function addresses(network, host)
  if M.family(host) then return { host } end
  if host == "localhost" then return { "127.0.0.1" } end
  return network.names[host]
end

-- What comes for a name: a list, or nil and the error.
local function find(network, host, service, hints)
  if host == nil and service == nil then return nil, "EINVAL" end
  local is_name = host and not M.family(host)
  local ips = addresses(network, host or "127.0.0.1")
  if not ips or is_name and hints and hints.numerichost then
    return nil, "EAI_NONAME"
  end
  local list = {}
  for i, ip in ipairs(ips) do
    list[i] = { addr = ip, family = M.family(ip), socktype = "stream",
      protocol = "tcp", port = tonumber(service) }
  end
  return list
end

-- The request under way: done after a while.
local function find_later(loop, network, question, callback)
  loop.requests = loop.requests + 1
  local function answer()
    loop.requests = loop.requests - 1
    local list, err = find(network, question[1], question[2], question[3])
    if list then return loop:call(callback, nil, list) end
    loop:call(callback, err)
  end
  loop.world:at(loop:time() + LOOKUP_NS, loop.ready, loop, answer)
  return setmetatable({}, { __name = "uv_getaddrinfo_t",
    __tostring = function() return "uv_getaddrinfo_t: 1" end })
end

--- Puts getaddrinfo into a uv. Only streams are answered for.
function M.install(loop, network)
  function loop.uv.getaddrinfo(host, service, hints, callback)
    if hints ~= nil then answers.check("getaddrinfo", 3, "table", hints) end
    if callback then
      local question = { host, service, hints }
      return find_later(loop, network, question, callback)
    end
    local list, err = find(network, host, service, hints)
    if list then return list end
    return answers.answer(err)
  end
end

return M
