--- The node processes: starts them, talks to them, does them harm.
--
-- Nothing but these children is ever signalled, and when the cluster is
-- closed, in whatever way, none of them is left. A child whose demo is gone
-- ends by itself.
local channel = require "examples.demo.channel"
local fault = require "examples.demo.fault"
local raft = require "raft"
local uv = require "luv"

local M = {}

local WAIT_MS <const> = 30000   -- no wait is longer
local LOOK_MS <const> = 5       -- between two looks of a wait
local SILENT_MS <const> = 300   -- a node not heard of for this long is not
                                -- asked, and does not count as the leader
local LOG_MODE <const> = tonumber("644", 8)

local Cluster = { __name = "demo.cluster" }
Cluster.__index = Cluster

local function now_ms()
  return uv.hrtime() // 1000000
end

--- @param home gives dir and members
-- @param script the path of node.lua
function M.new(home, script)
  local self = setmetatable({
    dir = home.dir,
    script = script,
    members = {},    -- array, and by id
    turn = 0,        -- of the member that was asked last
    number = 0,      -- of the last request
    is_ending = false,
  }, Cluster)
  for i, entry in ipairs(home.members) do
    local member = {
      id = entry.id,
      address = entry.address,
      state = "down",  -- running, paused, killed, down
      process = false, -- luv's handle, while it runs
      channel = false,
      status = false,  -- what it reported last, while it runs
      heard_ms = 0,    -- when that was
      waiting = {},    -- request number -> function(err, result)
      ending = false,  -- how its process ended, in words
      failed = false,  -- why it could not start: { code=, text= }
    }
    self.members[i], self.members[entry.id] = member, member
  end
  return self
end

---------------------------------------------------------------- processes --

-- The Lua that runs this script.
local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

-- Nothing more will come from this process: who waits for it must ask others.
local function forget_requests(member)
  local waiting = member.waiting
  member.waiting = {}
  for _, done in pairs(waiting) do done(member.id .. " is gone") end
end

local function received(member, message)
  member.heard_ms = now_ms()
  if message.status then
    member.status = message.status
  elseif message.failed then
    member.failed = message.failed
  else
    local done = member.waiting[message.answers]
    member.waiting[message.answers] = nil
    if done then done(message.err, message.result) end
  end
end

local function arguments(self, member)
  local args = { self.script, member.id, self.dir .. "/" .. member.id }
  for _, other in ipairs(self.members) do
    args[#args + 1] = other.id .. "=" .. other.address
  end
  return args
end

-- Where a node's own log goes, and what it says when it fails.
local function open_log(self, member)
  local path = ("%s/%s.log"):format(self.dir, member.id)
  local fd, why = uv.fs_open(path, "a", LOG_MODE)
  if not fd then fault.raise("cannot write: %s", why) end
  return fd
end

--- Starts a node's process.
function Cluster:start(id)
  local member = self.members[id]
  assert(not member.process, "it runs")
  local to, from = uv.new_pipe(false), uv.new_pipe(false)
  local log = open_log(self, member)
  member.state, member.failed = "running", false
  local process, why = uv.spawn(interpreter(), {
    args = arguments(self, member), stdio = { to, from, log },
  }, function(status, signal)
    member.ending = ("status %d, signal %d"):format(status, signal)
    member.process:close()
    member.process, member.status = false, false
    if member.state ~= "killed" then member.state = "down" end
  end)
  uv.fs_close(log)
  if not process then fault.raise("cannot start a process: %s", why) end
  member.process = process
  member.channel = channel.new(from, to,
    function(message) received(member, message) end,
    function() forget_requests(member) end)
end

--- kill -9. The process is gone when this returns.
function Cluster:kill(id)
  local member = self.members[id]
  member.state, member.status = "killed", false
  member.process:kill("sigkill")
  self:wait(function() return not member.process end, id .. " to be gone")
end

--- Stops a process where it stands; it does not notice.
function Cluster:pause(id)
  local member = self.members[id]
  member.state, member.status = "paused", false
  member.process:kill("sigstop")
end

--- Lets it go on.
function Cluster:resume(id)
  local member = self.members[id]
  member.state, member.status = "running", false
  member.process:kill("sigcont")
end

--- Lets all of them stop in order; waits for their end.
function Cluster:stop()
  self.is_ending = true
  for _, member in ipairs(self.members) do member.channel:close() end
  self:wait(function()
    for _, member in ipairs(self.members) do
      if member.process then return false end
    end
    return true
  end, "the nodes to stop")
end

--- Kills what is left.
function Cluster:close()
  self.is_ending = true
  for _, member in ipairs(self.members) do
    if member.process then member.process:kill("sigkill") end
  end
end

Cluster.__close = Cluster.close

------------------------------------------------------------------ requests --

--- Asks a node: done(err, result), once, if the node lives long enough.
function Cluster:ask(id, request, done)
  local member = self.members[id]
  self.number = self.number + 1
  request.number = self.number
  member.waiting[self.number] = done
  member.channel:send(request)
end

--- Asks a node and waits for the result.
function Cluster:call(id, request)
  local answer
  self:ask(id, request, function(err, result)
    answer = { err = err, result = result }
  end)
  self:wait(function() return answer end, id .. " to answer")
  if answer.err then fault.raise("%s: %s", id, answer.err) end
  return answer.result
end

-------------------------------------------------------------------- waiting --

-- What a person can do about it, by the code of the node's error.
local hints <const> = {
  dir_locked = "Either another demo runs in this directory, or one that was "
    .. "killed has left\nthat process behind.",
  listen_failed = "The port was free in the first run, and since then it stands"
    .. " in the cluster's log.\nFree it, or remove %s to begin anew.",
}

-- A node has ended by itself, or could not even start.
local function raise_end(self, member)
  local failed = member.failed
  local hint = failed and hints[failed.code] or "Its log is in %s."
  fault.raise("%s has ended: %s\n" .. hint, member.id,
    failed and failed.text or member.ending, self.dir)
end

--- Raises the fault of a node that has ended by itself.
function Cluster:check()
  if self.is_ending then return end
  for _, member in ipairs(self.members) do
    if member.state == "down" then raise_end(self, member) end
  end
end

--- Waits until predicate() is true, and returns what it returned.
-- @param what in words: it is a fault when that does not come
function Cluster:wait(predicate, what)
  local until_ms = now_ms() + WAIT_MS
  while true do
    local value = predicate()
    if value then return value end
    self:check()
    if now_ms() > until_ms then
      fault.raise("waited %d s in vain for %s; the nodes' logs are in %s",
        WAIT_MS // 1000, what, self.dir)
    end
    raft.sleep(LOOK_MS)
  end
end

--- The member that leads, as far as can be known, or nil.
function Cluster:leader()
  local best
  for _, member in ipairs(self.members) do
    local leads = self:is_heard(member) and member.status.role == "leader"
    if leads and (not best or member.status.term > best.status.term) then
      best = member
    end
  end
  return best
end

--- Waits for a leader.
function Cluster:wait_leader()
  return self:wait(function() return self:leader() end, "a leader")
end

--- Waits until a node has applied all that the cluster has committed now.
function Cluster:wait_caught_up(id)
  local member, commit = self.members[id], 0
  for _, other in ipairs(self.members) do
    if other.status then commit = math.max(commit, other.status.commit) end
  end
  self:wait(function()
    return member.status and member.status.applied >= commit
  end, id .. " to catch up")
end

--- Has it been heard of lately?
function Cluster:is_heard(member)
  return member.status and now_ms() - member.heard_ms < SILENT_MS
end

--- The id of a node that may be asked, another each time; nil: there is none.
function Cluster:next_id()
  for _ = 1, #self.members do
    self.turn = self.turn % #self.members + 1
    local member = self.members[self.turn]
    if self:is_heard(member) then return member.id end
  end
end

return M
