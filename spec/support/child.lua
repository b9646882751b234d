--- A node in a process of its own, for specs: orders come in on stdin, answers
-- go out on stdout, one line each. See processes.lua, which starts it.
--
--   lua5.4 spec/support/child.lua <id> <dir> <min>,<max> <id=address>...
--
--   propose <command>  -> ok <command> <result> | no <command> <code> <outcome>
--   query <name>       -> ok <name> <how many commands> | no <name> ...
--   list               -> list <command>...          what was applied
--   status             -> status <state> <role> <term> <applied> <leader or ->
--   stop               (ends)
--
-- By itself it says: started, role <role> <term>, failed <code> <text>, after
-- (raft.run has returned). The command "fail" makes apply run out of memory.
local raft = require "raft"
local uv = require "luv"

local id, dir, times = arg[1], arg[2], arg[3]
local members, applied = {}, {}
for i = 4, #arg do
  local name, address = arg[i]:match("^([^=]+)=(.+)$")
  members[name] = address
end

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local low, high = times:match("^(%d+),(%d+)$")
local node = raft.node {
  id = id, dir = dir, members = members, log = "error",
  election_timeout = { tonumber(low), tonumber(high) },
  apply = function(command)
    if command == "fail" then error("not enough memory", 0) end
    applied[#applied + 1] = command
    return #applied
  end,
  query = function() return #applied end,
  on = {
    role = function(role, term) say("role", role, term) end,
    failed = function(err) say("failed", err.code, err.message) end,
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
  query = function(name) node:query(nil, answer(name)) end,
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
