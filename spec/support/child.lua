--- A node in a process of its own, for specs: orders come in on stdin, answers
-- go out on stdout, one line each. See processes.lua, which starts it.
--
--   lua5.4 spec/support/child.lua <id> <dir> <min>,<max>[,leases]
--     <id=address@priority>... | join=<own address>
--
--   propose <command>  -> ok <command> <result> | no <command> <code> <outcome>
--   write <command>    -> the same, of a coroutine, which waits for room
--   query <name>       -> ok <name> <how many commands> | no <name> ...
--   lease <name>       -> the same, by a lease if it has one
--   transfer <id>      -> transferred <to> | transferred no <code>
--   change <id=address or id=- to remove>...
--                      -> changed ok | changed no <code>
--   list               -> list <command>...          what was applied
--   status             -> status <state> <role> <term> <applied> <leader or ->
--   stop               (ends)
--
-- By itself it says: started, role <role> <term>, failed <code> <text>,
-- warning <code> <reason>, after (raft.run has returned). The command "fail"
-- makes apply run out of memory; "busy.<id>.<ms>..." keeps that of <id> busy.
local raft = require "raft"
local uv = require "luv"

local id, dir, times = arg[1], arg[2], arg[3]
local members, applied, joins_at = {}, {}, arg[4]:match("^join=(.+)$")
for i = 4, joins_at and 0 or #arg do
  local name, address, priority = arg[i]:match("^([^=]+)=(.+)@(%d+)$")
  members[name] = { address = address, priority = tonumber(priority) }
end

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local low, high, more = times:match("^(%d+),(%d+),?(%a*)$")

-- Computes for so long.
local function compute(ms)
  local from = uv.hrtime()
  while uv.hrtime() - from < ms * 1e6 do end
end
local node = raft.node {
  id = id, dir = dir, log = "error", members = not joins_at and members or nil,
  join = joins_at ~= nil, listen = joins_at,
  election_timeout = { tonumber(low), tonumber(high) },
  apply = function(command)
    if command == "fail" then error("not enough memory", 0) end
    local who, ms = command:match("^busy%.(%w+)%.(%d+)")
    if who == id then compute(tonumber(ms)) end
    applied[#applied + 1] = command
    return #applied
  end,
  query = function() return #applied end, leases = more == "leases",
  on = {
    role = function(role, term) say("role", role, term) end,
    failed = function(err) say("failed", err.code, err.message) end,
    warning = function(err) say("warning", err.code, err.reason or "-") end,
  },
}

local function answer(name)
  return function(err, result)
    if err then return say("no", name, err.code, err.outcome) end
    say("ok", name, tostring(result))
  end
end

local orders = {
  propose = function(command) node:propose(command, answer(command)) end,
  write = function(command)
    raft.spawn(function()
      local result, err = node:propose(command)
      answer(command)(err, result)
    end)
  end,
  query = function(name) node:query(nil, answer(name)) end,
  lease = function(name)
    node:query(nil, { consistency = "lease" }, answer(name))
  end,
  transfer = function(to)
    node:transfer(to, function(err, new)
      say("transferred", new or "no", err and err.code or "")
    end)
  end,
  change = function(words)
    local spec = {}
    for name, address in words:gmatch("(%S+)=(%S+)") do
      spec[name] = address ~= "-" and address
    end
    node:change(spec, { timeout = 20000 }, function(err)
      say("changed", err and "no" or "ok", err and tostring(err) or "")
    end)
  end,
  list = function() say("list", table.unpack(applied)) end,
  status = function()
    local s = node:status()
    say("status", s.state, s.role, s.term, s.applied, s.leader or "-")
  end,
  stop = function() node:stop() end,
}

local stdin = uv.new_pipe(false)

local function read_orders()
  local rest = ""
  assert(stdin:open(0))
  assert(stdin:read_start(function(_, chunk)
    if not chunk then return os.exit(3) end  -- the parent is gone
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      local order, rest_of_line = line:match("^(%S+) ?(.*)$")
      orders[order](rest_of_line)
      return ""
    end)
  end))
end

raft.run(function()
  assert(node:start())
  read_orders()
  say("started")
end)
say("after")
