--- What each path and method does, and which status says what came of it.
local conditions = require "conditions"
local json = require "json"
local store = require "store"

local M = {}

local STATUS_FIELDS <const> = { "id", "cluster", "state", "role", "term",
  "leader", "commit", "applied", "last", "pending", "version" }

------------------------------------------------------------------- responses --

local function say(status, fields, ...)
  return { status = status, body = json.encode(fields) .. "\n",
    headers = { "Content-Type: application/json", ... } }
end

local function refuse(status, words, ...)
  return say(status, { error = words }, ...)
end

local function no_leader()
  return refuse(503, "no leader is known", "Retry-After: 1")
end

-- What Raft says, as HTTP says it. What has certainly not happened may be tried
-- again (503); what may have happened is for the client to find out (504): a
-- condition on the version makes a second try safe.
local function failed(err, is_write)
  local fields = { error = err.code, outcome = err.outcome,
    message = err.message }
  if err.code == "too_large" then return say(413, fields) end
  if err.code == "apply_error" then return say(500, fields) end
  if is_write and err.outcome == "unknown" then return say(504, fields) end
  return say(503, fields, "Retry-After: 1")
end

------------------------------------------------------------------------ keys --

local methods = {}  -- of /kv/<key>: name -> function(node, request, key)

-- What must hold, and what must not, of the version that is there; nil and a
-- response when a header is no list of entity tags.
local function conditions_of(request)
  local headers = request.headers
  local must = conditions.versions(headers["if-match"], false)
  local must_not = conditions.versions(headers["if-none-match"], true)
  if must == nil or must_not == nil then
    return nil, refuse(400, "this is no list of entity tags")
  end
  return { if_match = must or nil, if_none_match = must_not or nil }
end

local WRITTEN <const> = { created = 201, replaced = 204, deleted = 204,
  missing = 404, conflict = 412 }

-- Proposes, and says what became of it.
local function write(node, command)
  if not node:leader() then return no_leader() end
  local result, err = node:propose(store.command(command))
  if err then return failed(err, true) end
  local tag = result.version and "ETag: " .. conditions.tag(result.version)
  local status = WRITTEN[result.status]
  if status == 204 then return { status = status, headers = { tag } } end
  return say(status, { status = result.status, version = result.version }, tag)
end

function methods.PUT(node, request, key)
  local command, response = conditions_of(request)
  if not command then return response end
  command.name, command.key, command.value = "put", key, request.body
  return write(node, command)
end

function methods.DELETE(node, request, key)
  local command, response = conditions_of(request)
  if not command then return response end
  command.name, command.key = "delete", key
  return write(node, command)
end

local CONSISTENCIES <const> = { linearizable = true, lease = true,
  stale = true }

-- Asks the store: its result, or nil and a response.
local function ask(node, request, parameters)
  local consistency = parameters.consistency or "linearizable"
  if not CONSISTENCIES[consistency] then
    return nil, refuse(400, "consistency: linearizable, lease or stale")
  end
  local result, err = node:query(request, { consistency = consistency })
  if err then return nil, failed(err, false) end
  return result or false
end

function methods.GET(node, request, key, parameters)
  local unless, response = conditions_of(request)
  if not unless then return response end
  local found
  found, response = ask(node, { name = "get", key = key }, parameters)
  if response then return response end
  if not found then return refuse(404, "no such key") end
  local tag = "ETag: " .. conditions.tag(found.version)
  local not_those = unless.if_none_match
  local is_known = not_those == "*"
  for _, version in ipairs(not_those ~= "*" and not_those or {}) do
    is_known = is_known or version == found.version
  end
  if is_known then return { status = 304, headers = { tag } } end
  return { status = 200, body = found.value,
    headers = { "Content-Type: application/octet-stream", tag } }
end

methods.HEAD = methods.GET

----------------------------------------------------------------- other paths --

local function list(node, _, _, parameters)
  local result, response = ask(node, { name = "list",
    prefix = parameters.prefix or "", after = parameters.after or "" },
    parameters)
  if response then return response end
  return say(200, { more = result.more,
    keys = result.keys[1] and result.keys or json.EMPTY })
end

local function status(node)
  local all, said = node:status(), {}
  for _, name in ipairs(STATUS_FIELDS) do said[name] = all[name] end
  return say(200, said)
end

-- For a load balancer: can this node serve?
local function health(node)
  local leader = node:leader()
  if not leader then return no_leader() end
  return say(200, { leader = leader })
end

-- Path -> methods; those of a key are above.
local paths <const> = {
  ["/kv"] = { GET = list, HEAD = list },
  ["/status"] = { GET = status, HEAD = status },
  ["/health"] = { GET = health, HEAD = health },
}

-- The methods of a path and, in /kv/<key>, the key.
local function find(path)
  local key = path:match("^/kv/(.+)$")
  if not key then return paths[path] end
  key = conditions.decode(key)
  return methods, key and utf8.len(key) and key or false
end

local function allowed(found)
  local names = {}
  for name in pairs(found) do names[#names + 1] = name end
  table.sort(names)
  return "Allow: " .. table.concat(names, ", ")
end

--- The function that answers requests with what this node says.
function M.new(node)
  return function(request)
    local found, key = find(request.path)
    if not found then return refuse(404, "no such path") end
    local method = found[request.method]
    if not method then
      return refuse(405, "not this method", allowed(found))
    elseif key == false then
      return refuse(400, "a key is UTF-8, with % as %25")
    end
    local parameters = conditions.parameters(request.query)
    if not parameters then return refuse(400, "what are these parameters?") end
    return method(node, request, key, parameters)
  end
end

return M
