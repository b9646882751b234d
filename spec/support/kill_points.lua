--- Ends its own process, as kill -9 does, at a point with a name.
--
-- Armed by the environment, RAFT_KILL="<nth> <point>", or by arm(). The last
-- line that is said is "killed <point>". Points:
--
--   before|after <call> <file>   open, write, fsync, close, rename, unlink; of
--                                making, snapshot, incoming, segment, identity
--   forked, published, made, mark, compact      a snapshot of its own
--   received, taken, install, installed         one that was sent here
--   pinned, offered, half, arrived              one that is sent
--   learner|joint|final.appended|stored|committed   a change, by the newest
--                                configuration; a new node's own only
local core = require "raft.core"
local direct = require "raft.storage.direct"
local inside = require "raft.node.inside"
local shipment = require "raft.node.shipment"
local uv = require "luv"

local M = {}

local armed = false  -- { point=, left=, after= }

--- @param nth the how many'th time counts
-- @param after configurations up to this index do not
function M.arm(point, nth, after)
  armed = { point = point, left = nth or 1, after = after }
end

local function hit(point)
  if not armed or armed.point ~= point then return end
  armed.left = armed.left - 1
  if armed.left > 0 then return end
  io.stdout:write("killed ", point, "\n")
  io.stdout:flush()
  uv.kill(uv.os_getpid(), "sigkill")
  while true do end  -- it is on its way
end

-- Calls in turn: before, what was there, after.
local function around(object, name, before, after)
  local plain = object[name]
  object[name] = function(...)
    if before then before(...) end
    local results = table.pack(plain(...))
    if after then after(...) end
    return table.unpack(results, 1, results.n)
  end
end

--------------------------------------------------------------------- files --

local KINDS <const> = {
  { "%.snap%.tmp$", "making" }, { "/incoming%-[^/]*$", "incoming" },
  { "%.snap$", "snapshot" }, { "/wal%-%x+%.log$", "segment" },
  { "/identity$", "identity" },
}

local paths = {}  -- fd -> path

local function kind_of_path(path)
  for _, kind in ipairs(KINDS) do
    if tostring(path):find(kind[1]) then return kind[2] end
  end
  return "other"
end

local function kind_of(file) return kind_of_path(paths[file] or file) end

-- The log goes past the page cache, without luv. A write that the pool takes
-- over is met there again.
local function watch_direct()
  local new = direct.new
  function direct.new(files)
    local one = new(files)
    if not one then return one end
    local plain = one.write
    function one.write(self, fd, bytes, offset, done)
      if not self.open[fd] then return false end
      local point = "write " .. kind_of_path(files.open_fds[fd])
      hit("before " .. point)
      return plain(self, fd, bytes, offset, function(err)
        if not err then hit("after " .. point) end
        done(err)
      end)
    end
    return one
  end
end

-- The first argument of the call is a path or a descriptor.
local function watch_call(name)
  local plain = uv["fs_" .. name]
  local function ended(file, result)
    if name == "open" and result then paths[result] = file end
    if result then hit(("after %s %s"):format(name, kind_of(file))) end
    if name == "close" then paths[file] = nil end
  end
  uv["fs_" .. name] = function(file, ...)
    hit(("before %s %s"):format(name, kind_of(file)))
    local list = table.pack(...)
    local done = list[list.n]
    if type(done) == "function" then
      list[list.n] = function(err, result)
        if not err then ended(file, result or true) end
        return done(err, result)
      end
      return plain(file, table.unpack(list, 1, list.n))
    end
    local results = table.pack(plain(file, ...))
    ended(file, results[1])
    return table.unpack(results, 1, results.n)
  end
end

------------------------------------------------------------------- sending --

local function watch_shipments()
  local plain = shipment.new
  shipment.new = function(...)
    local one = plain(...)
    around(one, "begin", nil, function(self)
      if self.source then hit "pinned" end
    end)
    around(one, "opened", nil, function() hit "offered" end)
    around(one, "send_one", nil, function(self)
      if self.source and self.sent >= self.source.info.size // 2 then
        hit "half"
      end
    end)
    around(one, "finish", function(_, is_done)
      if is_done then hit "arrived" end
    end)
    return one
  end
end

------------------------------------------------------------------- changes --

local function form_of(config)
  if config.joint then return "joint" end
  for _, member in pairs(config.members) do
    if member.goal ~= nil and member.goal ~= member.role then
      return "learner"
    end
  end
  return "final"
end

local steps = {}     -- index of a configuration in the log -> its form
local looked_at = 0  -- entries up to this index

-- Is it one of the change that is meant?
local function is_meant(driver, index, config)
  if armed.after then return index > armed.after end
  return config.members[driver.id] ~= nil
end

-- Who is slow gets several at a time, and each is a step.
local function look_at_entries(driver)
  local last = driver.core:status().last
  for index = looked_at + 1, last do
    local kind, _, _, payload = driver.core:entry(index)
    local config = kind == "config" and assert(core.config_decode(payload))
    if config and is_meant(driver, index, config) then
      steps[index] = form_of(config)
      hit(steps[index] .. ".appended")
    end
  end
  looked_at = last
end

-- A step is durable, or committed, also when the next one is there already: on
-- a fast disk that comes before the end of a write.
local function look_at_change(driver)
  if not armed or not driver.core then return end
  look_at_entries(driver)
  local durable, commit = driver.storage:status().last,
    driver.core:status().commit
  for at, form in pairs(steps) do
    local is_of_this = at > (armed.after or 0)
    if is_of_this and durable >= at then hit(form .. ".stored") end
    if is_of_this and commit >= at then hit(form .. ".committed") end
  end
end

local function watch_changes(driver)
  around(driver, "flush", look_at_change, look_at_change)
  around(driver, "on_stored", nil, look_at_change)
end

----------------------------------------------------------------- snapshots --

local function watch_snapshots(driver)
  local snapshots = driver.snapshots
  around(snapshots, "fork", nil, function() hit "forked" end)
  around(snapshots, "published", function() hit "published" end,
    function() hit "made" end)
  around(snapshots, "stored", function(self, seq)
    if self.mark and self.mark.seq <= seq then hit "mark" end
  end)
  around(snapshots, "compact", function() hit "compact" end)
  around(driver, "snapshot_received", function() hit "received" end,
    function() hit "taken" end)
  around(driver, "install", function() hit "install" end,
    function() hit "installed" end)
end

--- Before the library is used: watches the calls of luv.
function M.begin()
  local nth, point = (os.getenv "RAFT_KILL" or ""):match("^(%d+) (.+)$")
  if point then M.arm(point, tonumber(nth)) end
  for _, name in ipairs { "open", "write", "fsync", "close", "rename",
    "unlink" } do
    watch_call(name)
  end
  watch_direct()
  watch_shipments()
end

--- Watches a node that was not started yet.
function M.watch(node)
  local driver = inside.of(node)
  watch_snapshots(driver)
  watch_changes(driver)
end

--- The index of the configuration in force.
function M.config_index(node) return inside.of(node).config_index end

return M
