--- What is answered without Raft: greetings, questions about the server, and
-- requests that are no commands. `client` is a connection.
local commands = require "commands"
local config = require "config"
local info = require "info"
local numbers = require "numbers"
local resp = require "resp"

local M = {}

local INT_MAX <const> = 0x7fffffff
local INT_MIN <const> = -INT_MAX - 1
local SHOWN_BYTES <const> = 128  -- of what a client sent, in an error

local here = {}  -- name -> { words, function(client, arguments) -> reply }

------------------------------------------------------------------- greetings --

here.ping = { -1, function(_, arguments)
  if #arguments > 2 then return resp.wrong_count("ping") end
  return arguments[2] and resp.bulk(arguments[2]) or resp.simple("PONG")
end }

here.echo = { 2, function(_, arguments) return resp.bulk(arguments[2]) end }

here.quit = { -1, function(client)
  client:finish()
  return resp.OK
end }

here.reset = { 1, function(client)
  client.name = ""
  return resp.simple("RESET")
end }

here.select = { 2, function(_, arguments)
  local number = numbers.integer(arguments[2])
  if not number then return numbers.NOT_INTEGER end
  if number > INT_MAX or number < INT_MIN then
    return resp.error(("ERR value is out of range, value must between %d and "
      .. "%d"):format(INT_MIN, INT_MAX))
  elseif number ~= 0 then
    return resp.error("ERR DB index is out of range")
  end
  return resp.OK
end }

here.auth = { -2, function(_, arguments)
  if #arguments > 3 then return resp.error("ERR syntax error") end
  return resp.error("ERR AUTH <password> called without any password "
    .. "configured for the default user. Are you sure your configuration is "
    .. "correct?")
end }

-- What HELLO says after its version: it is RESP 2 that is spoken here.
local function greeting(client)
  local role = client.server.node:is_leader() and "master" or "replica"
  return resp.array { resp.bulk("server"), resp.bulk("redis"),
    resp.bulk("version"), resp.bulk(info.REDIS_VERSION), resp.bulk("proto"),
    resp.integer(2), resp.bulk("id"), resp.integer(client.id),
    resp.bulk("mode"), resp.bulk("standalone"), resp.bulk("role"),
    resp.bulk(role), resp.bulk("modules"), resp.array {} }
end

here.hello = { -1, function(client, arguments)
  local version = arguments[2]
  if version and not version:find("^%d+$") then
    return resp.error("ERR Protocol version is not an integer or out of range")
  elseif version and tonumber(version) ~= 2 then
    return resp.error("NOPROTO unsupported protocol version")
  elseif #arguments > 2 then
    return resp.error(("ERR Syntax error in HELLO option '%s'")
      :format(arguments[3]))
  end
  return greeting(client)
end }

here.time = { 1, function(client)
  local ms = client.server.wall()
  return resp.bulks { tostring(ms // 1000), tostring(ms % 1000 * 1000) }
end }

------------------------------------------------------- commands in two words --

-- Makes a command of commands: name -> { words, function }, the first word
-- counted too.
local function group(name, inner)
  return { -2, function(client, arguments)
    local word = arguments[2]:lower()
    local found = inner[word]
    if not found then
      return resp.error(("ERR unknown subcommand '%s'. Try %s HELP.")
        :format(resp.shown(arguments[2], SHOWN_BYTES), name:upper()))
    elseif not commands.has_words(found[1], arguments) then
      return resp.wrong_count(name .. "|" .. word)
    end
    return found[2](client, arguments)
  end }
end

-- A line of CLIENT LIST.
local function line_of(client)
  local peer = client.socket:getpeername() or { ip = "?", port = 0 }
  return ("id=%d addr=%s:%d laddr=%s:%d name=%s db=0 resp=2\n"):format(
    client.id, peer.ip, peer.port, client.server.host, client.server.port,
    client.name)
end

local function list_of(server)
  local clients, lines = {}, {}
  for client in pairs(server.clients) do clients[#clients + 1] = client end
  table.sort(clients, function(a, b) return a.id < b.id end)
  for i, client in ipairs(clients) do lines[i] = line_of(client) end
  return table.concat(lines)
end

here.client = group("client", {
  info = { 2, function(client) return resp.bulk(line_of(client)) end },
  list = { 2, function(client) return resp.bulk(list_of(client.server)) end },
  id = { 2, function(client) return resp.integer(client.id) end },
  getname = { 2, function(client)
    return resp.bulk(client.name ~= "" and client.name or nil)
  end },
  setname = { 3, function(client, arguments)
    if arguments[3]:find("[^!-~]") then
      return resp.error("ERR Client names cannot contain spaces, newlines or "
        .. "special characters.")
    end
    client.name = arguments[3]
    return resp.OK
  end },
  setinfo = { 4, function() return resp.OK end },
})

here.config = group("config", {
  get = { -3, function(client, arguments)
    return resp.bulks(config.get(client.server, arguments))
  end },
  set = { -4, function(_, arguments)
    return resp.error(config.refusal(arguments[3]))
  end },
  resetstat = { 2, function() return resp.OK end },
  rewrite = { 2, function()
    return resp.error("ERR The server is running without a config file")
  end },
})

-- One command as COMMAND describes it: its name, its words, flags, and where
-- its keys are: first, last, step.
local function description(name, words, is_write)
  local flags = { resp.simple(is_write and "write" or "readonly") }
  return resp.array { resp.bulk(name), resp.integer(words), resp.array(flags),
    resp.integer(0), resp.integer(0), resp.integer(0) }
end

local function descriptions()
  local items = {}
  for _, command in ipairs(commands.all()) do
    items[#items + 1] = description(command.name, command.words,
      command.kind == "write")
  end
  local names = {}
  for name in pairs(here) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    items[#items + 1] = description(name, here[name][1], false)
  end
  return items
end

local inner_command = group("command", {
  count = { 2, function() return resp.integer(#descriptions()) end },
})

here.command = { -1, function(client, arguments)
  if #arguments == 1 then return resp.array(descriptions()) end
  return inner_command[2](client, arguments)
end }

here.info = { -1, function(client, arguments)
  return resp.bulk(info.text(client.server, arguments))
end }

-------------------------------------------------------------- no command --

-- A page in a browser can send such lines to anybody, us too, and behind them
-- what looks like commands: as in Redis, nobody reads it.
local HTTP <const> = { post = true, ["host:"] = true }

-- In Redis' words, with the beginning of what was sent.
local function unknown(arguments)
  local words, bytes = {}, 0
  for i = 2, #arguments do
    if bytes >= SHOWN_BYTES then break end
    local word = ("'%s' "):format(resp.shown(arguments[i], SHOWN_BYTES - bytes))
    words[#words + 1], bytes = word, bytes + #word
  end
  return resp.error(("ERR unknown command '%s', with args beginning with: %s")
    :format(resp.shown(arguments[1], SHOWN_BYTES), table.concat(words)))
end

--- The reply to a request that is no command on keys, or has not its words.
function M.answer(client, arguments)
  local name = arguments[1]:lower()
  if commands.find(name) then return resp.wrong_count(name) end
  local command = here[name]
  if HTTP[name] then
    client:finish()
    return ""
  end
  if not command then return unknown(arguments) end
  if not commands.has_words(command[1], arguments) then
    return resp.wrong_count(name)
  end
  return command[2](client, arguments)
end

return M
