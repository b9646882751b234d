--- Clusters of processes for specs: one node each, killed and stopped at will.
--
--   local cluster <close> = Processes.new()
--   cluster:start()
--   local leader = cluster:leader()
--   leader:propose("x1")      its outcome: cluster.outcomes.x1
--   leader:kill("sigkill")    cluster:start(leader.id)
local Cluster = require "spec.support.cluster"
local core = require "raft.core"
local helper = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local M = {}

local ELECTION <const> = "60,120"

local Process = { __name = "spec.process" }
Process.__index = Process

local Cluster_ = { __name = "spec.processes" }
Cluster_.__index = Cluster_

------------------------------------------------------------- one process --

local hear = {}  -- first word of a line -> function(process, words, line)

function hear.ok(process, words)
  process.outcomes[words[2]] = "ok"
  process.results[words[2]] = words[3]
  process.open[words[2]] = nil
end

function hear.no(process, words)
  process.outcomes[words[2]] = words[4]
  process.results[words[2]] = words[3]
  process.open[words[2]] = nil
end

local function take_line(process, line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  process.last[words[1]] = words
  process.lines[#process.lines + 1] = line
  if hear[words[1]] then hear[words[1]](process, words) end
end

-- Not by gsub: on a long line that has no end yet that takes for ever.
local function take_lines(bytes, take)
  local from = 1
  local at = bytes:find("\n", from, true)
  while at do
    take(bytes:sub(from, at - 1))
    from = at + 1
    at = bytes:find("\n", from, true)
  end
  return bytes:sub(from)
end

local function read_lines(pipe, take)
  local rest = ""
  assert(pipe:read_start(function(_, chunk)
    if not chunk then return pipe:close() end
    rest = take_lines(rest .. chunk, take)
  end))
end

-- What was sent and not answered may have happened.
local function note_end(process, code, signal)
  process.status, process.signal = code // 1 | 0, signal // 1 | 0
  process.handle:close()
  if not process.stdin:is_closing() then process.stdin:close() end
end

local function spawn(cluster, id)
  local process = setmetatable({
    id = id,
    stdin = assert(uv.new_pipe(false)),
    stdout = assert(uv.new_pipe(false)),
    stderr = assert(uv.new_pipe(false)),
    handle = false,
    lines = {},     -- of its output
    errors = {},    -- lines of its stderr
    last = {},      -- first word -> words of the newest such line
    open = {},      -- command -> true: not answered
    outcomes = cluster.outcomes,
    results = cluster.results,
    status = false, -- of its end; false while it runs
    signal = 0,
  }, Process)
  local args = { "spec/support/child.lua", id, cluster.dir:join(id),
    cluster.election }
  if cluster.joined[id] then
    args[#args + 1] = "join=" .. cluster.members[id]
  else
    for _, name in ipairs(cluster.initial) do
      args[#args + 1] = ("%s=%s@%d"):format(name, cluster.members[name],
        cluster.priority[name] or 0)
    end
  end
  process.handle = assert(uv.spawn(arg[-1] or "lua5.4", {
    args = args, stdio = { process.stdin, process.stdout, process.stderr },
    env = { "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "PATH=" .. os.getenv("PATH"),
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""),
      "LSAN_OPTIONS=" .. (os.getenv("LSAN_OPTIONS") or ""),
      "RAFT_STATE_MIB=" .. cluster.state_mib,
      "RAFT_SNAPSHOT_MODE=" .. cluster.snapshot_mode,
      cluster.has_kills and "RAFT_KILL=" .. (cluster.kills[id] or "-") },
  }, function(code, signal) note_end(process, code, signal) end))
  read_lines(process.stdout, function(line)
    take_line(process, line)
  end)
  read_lines(process.stderr, function(line)
    process.errors[#process.errors + 1] = line
  end)
  return process
end

function Process:send(line)
  if self.status or self.stdin:is_closing() then return end
  self.stdin:write(line .. "\n")
end

--- Proposes; the outcome will be in the cluster's outcomes under the command.
-- @param order "write": in a coroutine, which waits for room
function Process:propose(command, order)
  self.open[command] = true
  self.outcomes[command] = "unknown"  -- unless something better is heard
  self:send((order or "propose") .. " " .. command)
end

--- Sends an order and waits for the line that begins with this word.
-- @param ms at most; 10 s
function Process:ask(order, word, ms)
  self.last[word or order] = nil
  self:send(order)
  helper.wait_until(function()
    assert(not self:is_over(), table.concat(self.errors, "\n"))
    return self.last[word or order]
  end, ms or 10000, self.id .. " to answer " .. order)
  return self.last[word or order]
end

--- What it has applied.
function Process:list()
  return table.move(self:ask("list"), 2, #self.last.list, 1, {})
end

--- How many proposals it has not answered.
function Process:open_count()
  local count = 0
  for _ in pairs(self.open) do count = count + 1 end
  return count
end

--- Waits until it has ended at this point.
function Process:wait_killed(point)
  helper.wait_until(function() return self:is_over() end, 10000,
    self.id .. " to be killed at " .. point)
  local last = self.lines[#self.lines]
  assert(self.signal == 9 and last == "killed " .. point,
    ("%s ended otherwise: %s %s"):format(self.id, last,
      table.concat(self.errors, "\n")))
end

--- Sends a signal.
function Process:signal_it(name)
  if not self.status then self.handle:kill(name) end
end

--- Has all of it ended, its pipes too?
function Process:is_over()
  return self.status and self.stdout:is_closing() and self.stderr:is_closing()
end

function Process:wait_end()
  helper.wait_until(function() return self:is_over() end, 10000,
    self.id .. " to end")
end

--- Ends it at once.
function Process:kill()
  self:signal_it("sigkill")
  self:wait_end()
end

function Process:is_leader()
  local role = self.last.role
  return not self.status and role ~= nil and role[2] == "leader"
end

function Process:term()
  return self.last.role and tonumber(self.last.role[3]) or 0
end

---------------------------------------------------------------- all of them --

--- @param options nodes = how many (3); election = "min,max" or
--   "min,max,leases"; priority = id -> number (0); state_mib: what their
--   snapshots hold (0: they take none); snapshot_mode (fork); has_kills: may
--   they end at the points of kill_points.lua?
function M.new(options)
  options = options or {}
  core.host.ignore_sigpipe()  -- we write to processes that were just killed
  local self = setmetatable({
    dir = tmpdir.new(),
    ids = {},        -- of all that run or may run again
    initial = {},    -- of those that form the cluster
    joined = {},     -- id -> true: has come later
    members = {},    -- id -> address
    election = options.election or ELECTION,
    priority = options.priority or {},
    state_mib = options.state_mib or 0,
    snapshot_mode = options.snapshot_mode or "fork",
    has_kills = options.has_kills or false,
    kills = {},      -- id -> "<nth> <point>", of its next life
    processes = {},  -- id -> the newest process
    outcomes = {},   -- command -> ok, none, unknown
    results = {},    -- command -> result or code
  }, Cluster_)
  for i = 1, options.nodes or 3 do
    self.ids[i] = "n" .. i
    self.initial[i] = "n" .. i
    self.members["n" .. i] = Cluster.free_address()
  end
  return self
end

--- Starts one, or all, and waits until they have started.
function Cluster_:start(id)
  local ids = id and { id } or self.ids
  for _, each in ipairs(ids) do self.processes[each] = spawn(self, each) end
  for _, each in ipairs(ids) do
    local process = self.processes[each]
    helper.wait_until(function()
      return process.last.started or process:is_over()
    end, 10000, each .. " to start")
    assert(process.last.started, table.concat(process.errors, "\n"))
  end
  return self.processes[id]
end

--- Starts one that waits to be added.
function Cluster_:join(id)
  self.ids[#self.ids + 1] = id
  self.joined[id], self.members[id] = true, Cluster.free_address()
  return self:start(id)
end

--- Ends one for good: it counts nowhere any more.
function Cluster_:retire(id)
  self.processes[id]:kill()
  for i, each in ipairs(self.ids) do
    if each == id then table.remove(self.ids, i) end
  end
end

--- Has a process ask for a change: id -> address, or false to remove.
-- @return a function: is it done? It raises when it has failed
function Cluster_:change(process, spec)
  local words, names = {}, {}
  for name in pairs(spec) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    words[#words + 1] = name .. "=" .. (spec[name] or "-")
  end
  process.last.changed = nil
  process:send("change " .. table.concat(words, " "))
  return function()
    local answer = process.last.changed
    if not answer then return false end
    assert(answer[2] == "ok", table.concat(answer, " "))
    return true
  end
end

function Cluster_:process(id) return self.processes[id] end

--- Waits until a process leads in the newest term that anybody has heard of.
-- @param apart a process that does not count
function Cluster_:leader(apart)
  local found
  helper.wait_until(function()
    found = nil
    local newest = 0
    for _, id in ipairs(self.ids) do
      local process = self.processes[id]
      if process ~= apart and process:is_leader()
        and process:term() > newest then
        found, newest = process, process:term()
      end
    end
    return found
  end, 10000, "a leader")
  return found
end

--- All but this one, in order of id.
function Cluster_:others(process)
  local list = {}
  for _, id in ipairs(self.ids) do
    if self.processes[id] ~= process then
      list[#list + 1] = self.processes[id]
    end
  end
  return list
end

--- Waits until all have answered everything.
function Cluster_:settle()
  helper.wait_until(function()
    for _, id in ipairs(self.ids) do
      local process = self.processes[id]
      if not process.status and process:open_count() > 0 then return false end
    end
    return true
  end, 10000, "all answers")
end

--- Reads through each, so that all have everything, and compares: the list.
function Cluster_:same_list()
  local first
  for i, id in ipairs(self.ids) do
    local process, name = self.processes[id], "read" .. i
    repeat
      self.outcomes[name] = nil
      process:send("query " .. name)
      helper.wait_until(function() return self.outcomes[name] end, 10000)
    until self.outcomes[name] == "ok"
    local list = process:list()
    first = first or list
    assert(table.concat(first, " ") == table.concat(list, " "),
      id .. " has applied something else than " .. self.ids[1])
  end
  return first
end

--- What was acknowledged is there once, what was refused is not: how many
-- were acknowledged.
function Cluster_:check()
  local count, seen = 0, {}
  for _, command in ipairs(self:same_list()) do
    assert(not seen[command], command .. " was applied twice")
    seen[command] = true
  end
  for command, outcome in pairs(self.outcomes) do
    local is_read = command:find("^read") ~= nil
    if outcome == "ok" and not is_read then
      assert(seen[command], command .. " was acknowledged and is lost")
      count = count + 1
    elseif outcome == "none" then
      assert(not seen[command], command .. " was refused and is there")
    end
  end
  return count
end

--- Ends all and removes what they wrote.
function Cluster_:close()
  for _, id in ipairs(self.ids) do
    if self.processes[id] then self.processes[id]:kill() end
  end
  self.dir:remove()
end

Cluster_.__close = Cluster_.close

return M
