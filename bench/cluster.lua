--- Node processes for the benchmarks: starts them, talks to them, ends them.
-- All waiting calls suspend the running coroutine; see run.lua.
local uv = require "luv"

local M = {
  environment = nil,  -- of the processes to come; nil: ours
}

local KILLED <const> = 9  -- the number of SIGKILL

local Child = {}
Child.__index = Child

-- Hands a line to who waits for its first word, or keeps it.
local function take_line(self, line)
  local word = line:match("%S+")
  self.last[word] = line
  local waiter = self.waiters[word]
  if not waiter then return end
  self.waiters[word] = nil
  waiter(line)
end

local function read_lines(self)
  local rest = ""
  self.stdout:read_start(function(_, chunk)
    if not chunk then return end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      take_line(self, line)
      return ""
    end)
  end)
end

--- Starts any program that takes orders in lines and answers in lines.
function M.launch(id, path, args)
  local self = setmetatable({
    id = id,
    stdin = uv.new_pipe(false),
    stdout = uv.new_pipe(false),
    waiters = {},   -- first word of a line -> function
    last = {},      -- first word -> the newest line
    process = false,
    on_exit = false,
    has_ended = false,
  }, Child)
  self.process = assert(uv.spawn(path, { args = args,
    stdio = { self.stdin, self.stdout, 2 }, env = M.environment,
  }, function(code, signal)
    self.has_ended = true
    self.process:close()
    if signal ~= KILLED then
      io.stderr:write(("%s ended by itself, status %d, signal %d\n"):format(id,
        code, signal))
    end
    if self.on_exit then self.on_exit() end
    local waiters = self.waiters
    self.waiters = {}
    for _, waiter in pairs(waiters) do waiter(nil, "has ended") end
  end))
  read_lines(self)
  return self
end

--- Starts a Lua script of ours.
function M.script(id, path, ...)
  return M.launch(id, os.getenv "LUA" or "lua5.4", { path, ... })
end

--- Starts the process of one node.
function M.spawn(id, dir, members, election)
  return M.script(id, "bench/child.lua", id, dir, members,
    tostring(election[1]), tostring(election[2]))
end

function Child:send(...)
  self.stdin:write(table.concat({ ... }, " ") .. "\n")
end

--- Waits for the next line that begins with this word, for ms at most; raises
-- when the process ends before, or is late.
function Child:await(word, ms)
  if self.has_ended then error(self.id .. " has ended") end
  local co, timer = coroutine.running(), ms and uv.new_timer()
  local function answer(line, why)
    if timer then timer:close() end
    assert(coroutine.resume(co, line, why))
  end
  self.waiters[word] = answer
  if timer then
    timer:start(ms, 0, function()
      self.waiters[word] = nil
      answer(nil, "is late")
    end)
  end
  local line, why = coroutine.yield()
  return line or error(("%s %s: no '%s'"):format(self.id, why, word))
end

--- Sends an order and waits for its answer, which begins with the same word
-- unless another is given; see await.
function Child:ask(order, answer, ms)
  self:send(order)
  return self:await(answer or order:match("%S+"), ms)
end

--- Ends it with a signal and waits until it is gone.
function Child:kill(signal)
  if not self.has_ended then
    local co = coroutine.running()
    self.on_exit = function() assert(coroutine.resume(co)) end
    self.process:kill(signal)
    coroutine.yield()
  end
  if not self.stdin:is_closing() then self.stdin:close() end
  if not self.stdout:is_closing() then self.stdout:close() end
end

-- Addresses that were free a moment ago: bound at once, so that all differ.
local function free_addresses(n)
  local sockets, addresses = {}, {}
  for i = 1, n do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    addresses[i] = ("127.0.0.1:%d"):format(sockets[i]:getsockname().port)
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return addresses
end

local Cluster = {}
Cluster.__index = Cluster

--- Starts a cluster of n processes in a fresh directory, each by `spawn`, or
-- as nodes of ours.
function M.new(n, election, spawn)
  local self = setmetatable({
    root = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp")
      .. "/raft-bench-XXXXXX")),
    election = election,
    spawn = spawn or M.spawn,
    ids = {},
    children = {},
    members = false,
  }, Cluster)
  local list = free_addresses(n)
  for i = 1, n do
    self.ids[i] = "n" .. i
    list[i] = self.ids[i] .. "=" .. list[i]
  end
  self.members = table.concat(list, ",")
  for _, id in ipairs(self.ids) do self:start(id) end
  return self
end

function Cluster:start(id)
  self.children[id] = self.spawn(id, self.root .. "/" .. id, self.members,
    self.election)
  return self.children[id]
end

--- Starts one more, which waits to be added; its address.
function Cluster:join(id)
  local where = free_addresses(1)[1]
  self.ids[#self.ids + 1] = id
  self.children[id] = self.spawn(id, self.root .. "/" .. id, "join=" .. where,
    self.election)
  return where
end

--- Ends one that is no member any more.
function Cluster:retire(id)
  self.children[id]:kill("sigkill")
  for i, each in ipairs(self.ids) do
    if each == id then table.remove(self.ids, i) end
  end
end

local function pause(ms)
  local co, timer = coroutine.running(), uv.new_timer()
  timer:start(ms, 0, function()
    timer:close()
    assert(coroutine.resume(co))
  end)
  coroutine.yield()
end

--- Waits until exactly one process leads: it.
function Cluster:leader()
  for _ = 1, 1000 do
    for _, id in ipairs(self.ids) do
      local child = self.children[id]
      if not child.has_ended and child.last.role == "role leader" then
        return child
      end
    end
    pause(10)
  end
  error("no leader within 10 s")
end

--- All but this one.
function Cluster:others(child)
  local others = {}
  for _, id in ipairs(self.ids) do
    if id ~= child.id then others[#others + 1] = self.children[id] end
  end
  return others
end

local function remove_tree(path)
  local scan = uv.fs_scandir(path)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then break end
    local inner = path .. "/" .. name
    if kind == "directory" then remove_tree(inner) else uv.fs_unlink(inner) end
  end
  uv.fs_rmdir(path)
end

--- Ends all and removes what they wrote.
function Cluster:close()
  for _, id in ipairs(self.ids) do self.children[id]:kill("sigkill") end
  remove_tree(self.root)
end

M.pause = pause
M.free_addresses = free_addresses
M.remove_tree = remove_tree

return M
