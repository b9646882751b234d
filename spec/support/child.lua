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
--   take               -> took <index> <bytes> | took 0 <code>
--   progress <peer>    -> progress <sent> <bytes>    of a snapshot; or - -
--   silence <peer>     -> silence <ms>               since a leader heard it
--   memory             -> memory <MiB>               the most it ever had
--   fill <count> <KiB> -> filled                     so many large commands
--   doom <yes or no>                                 children die in mid-write
--   kill <nth> <point>, kill_later <point>           see kill_points.lua
--                      -> armed                      (later: of newer changes)
--   stop               (ends)
--
-- By itself it says: started, role <role> <term>, failed <code> <text>,
-- warning <code> <reason>, after (raft.run has returned). The command "fail"
-- makes apply run out of memory; "busy.<id>.<ms>..." keeps that of <id> busy.
--
-- With RAFT_STATE_MIB=n it takes snapshots, of the list and so much beside it,
-- as RAFT_SNAPSHOT_MODE says. With RAFT_KILL it can end at points.
local kill_points = os.getenv "RAFT_KILL" and require "spec.support.kill_points"
if kill_points then kill_points.begin() end
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

-- A snapshot: the list in the first piece, and then what nobody needs.
local STATE_MIB <const> = math.tointeger(os.getenv "RAFT_STATE_MIB") or 0
local is_doomed = false  -- is the next child to be killed in mid-write?

local function save(write)
  write(raft.codec.encode(applied))
  local filling = ("what nobody needs "):rep((1 << 20) // 18)
  for _ = 1, STATE_MIB do
    write(filling)
    if is_doomed then uv.kill(uv.os_getpid(), "sigkill") end
  end
end

local function load_state(read)
  local pieces, size = {}, 0
  for piece in read do  -- of any size: the list may be in several
    if size < 1 << 20 then pieces[#pieces + 1] = piece end
    size = size + #piece
  end
  local bytes = table.concat(pieces)
  local from = bytes:find("what nobody needs", 1, true) or #bytes + 1
  applied = assert(raft.codec.decode(bytes:sub(1, from - 1)))
  say("loaded", #applied, size)
end

local low, high, more = times:match("^(%d+),(%d+),?(%a*)$")

-- Computes for so long.
local function compute(ms)
  local from = uv.hrtime()
  while uv.hrtime() - from < ms * 1e6 do end
end
local node = raft.node {
  save = STATE_MIB > 0 and save or nil,
  load = STATE_MIB > 0 and load_state or nil,
  snapshot_mode = STATE_MIB > 0 and (os.getenv "RAFT_SNAPSHOT_MODE" or "fork")
    or nil,
  snapshot_bytes = STATE_MIB > 0 and 4 << 10 or nil,
  id = id, dir = dir, log = "error", members = not joins_at and members or nil,
  join = joins_at ~= nil, listen = joins_at,
  election_timeout = { tonumber(low), tonumber(high) },
  apply = function(command)
    if command == "fail" then error("not enough memory", 0) end
    local who, ms = command:match("^busy%.(%w+)%.(%d+)")
    if who == id then compute(tonumber(ms)) end
    applied[#applied + 1] = command:match("^%S+")  -- what fills is left out
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

local filled = 0  -- commands proposed by fill

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
  take = function()
    node:take_snapshot({ timeout = false }, function(err, info)
      if err then return say("took", 0, err.code) end
      say("took", info.index, info.size)
    end)
  end,
  progress = function(peer)
    local seen = node:status().peers[peer]
    local snapshot = seen and seen.snapshot or { sent = "-", bytes = "-" }
    say("progress", snapshot.sent, snapshot.bytes)
  end,
  silence = function(peer)
    local seen = node:status().peers[peer]
    say("silence", seen and math.tointeger(seen.silent_ms) or "-")
  end,
  memory = function()
    local file = assert(io.open("/proc/self/status"))
    local kib = file:read("a"):match("VmHWM:%s*(%d+)")
    file:close()
    say("memory", tonumber(kib) // 1024)
  end,
  fill = function(words)
    local count, kib = words:match("(%d+) (%d+)")
    local left = tonumber(count)
    for _ = 1, left do
      filled = filled + 1
      local name = ("fill.%d.%d"):format(uv.os_getpid(), filled)
      raft.spawn(function()  -- which waits for room, and for a leader
        assert(node:propose(name .. " " .. ("x"):rep(tonumber(kib) << 10),
          { timeout = false }))
        left = left - 1
        if left == 0 then say "filled" end
      end)
    end
  end,
  doom = function(word) is_doomed = word == "yes" end,
  kill = function(words)
    local nth, point = words:match("^(%d+) (.+)$")
    kill_points.arm(point, tonumber(nth))
    say "armed"
  end,
  kill_later = function(point)
    kill_points.arm(point, 1, kill_points.config_index(node))
    say "armed"
  end,
  stop = function() node:stop() end,
}
if kill_points then kill_points.watch(node) end

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
