--- A worker: it waits for the lock, writes its lines to the storage, each with
-- the token that the lock gave, and releases it. It is a node, too.
--
--   lua5.4 worker.lua n1
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local lock = require "raft.services.lock"
local raft = require "raft"
local uv = require "luv"

local TTL_MS <const> = 2000
local LINES <const> = 5     -- that a holder writes
local LINE_MS <const> = 200 -- one of them is work for so long

local id = arg[1]
if not cluster.members[id] then
  io.stderr:write("usage: lua5.4 worker.lua ID (one of cluster.lua)\n")
  os.exit(2)
end

local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "lock", members = cluster.members,
  service = lock { name = "locks" },
}

-- An owner is one holder in one life: after a restart it is somebody else.
local owner = ("%s-%d"):format(id, uv.os_getpid())

-- Sends a line to the storage, on a connection of its own: what it answers, or
-- "no answer: ...".
local function write(token, text)
  local co, socket, reply = coroutine.running(), uv.new_tcp(), ""
  local host, port = cluster.storage:match("^(.*):(%d+)$")
  local function done(words)
    if socket:is_closing() then return end
    socket:close()
    assert(coroutine.resume(co, words))
  end
  socket:connect(host, tonumber(port), function(err)
    if err then return done("no answer: " .. err) end
    socket:write(("%d %s\n"):format(token, text))
    socket:read_start(function(read_err, chunk)
      if not chunk then return done("no answer: " .. (read_err or "EOF")) end
      reply = reply .. chunk
      local line = reply:match("^([^\n]*)\n")
      if line then done(line) end
    end)
  end)
  return coroutine.yield()
end

-- Writes all lines; false as soon as one is refused. It does not look whether
-- it still holds the lock: that would help only until the next moment.
local function work(token)
  for i = 1, LINES do
    raft.sleep(LINE_MS)
    local answer = write(token, ("%s line %d"):format(id, i))
    if answer ~= "ok" then
      print(("%s, with token %d: %s"):format(id, token, answer))
      return false
    end
  end
  return true
end

io.stdout:setvbuf("line")
raft.run(function()
  assert(node:start())
  assert(node:ready { timeout = false })
  while node:status().state == "running" do
    local token, err = lock.wait(node.locks, "report", { owner = owner,
      ttl_ms = TTL_MS, timeout = false })
    if err then break end  -- the node was stopped
    print(("%s holds the lock, token %d"):format(id, token))
    if work(token) then node.locks.release("report", token) end
    raft.sleep(LINE_MS)  -- let others have it
  end
end)
