--- Ends of a snapshot's transfer for specs: the real transport, shipping and
-- receiving, on a virtual network, with a core and files that only pretend.
--
--   local disk = Shipper.disk()            survives a process
--   local node = Shipper.new(site, "10.0.0.1", "n1", { disk = disk })
--   node:introduce(other)  node:lead(term)  node:follow(term)
--   disk:add { index = 9, size = 1 << 20 }
--
-- With `drive = a raft.sim.disk` the files are those of raft.storage.snapshots.
--
-- A file's bytes follow from its checksum, so no file is kept anywhere.
local Files = require "raft.storage.files"
local Host = require "raft.sim.host"
local Logger = require "raft.logger"
local Receiving = require "raft.node.receiving"
local Shipping = require "raft.node.shipping"
local Snapshotter = require "raft.storage.snapshots"
local Transport = require "raft.transport"
local core = require "raft.core"
local errors = require "raft.errors"
local scheduler = require "raft.scheduler"

local M = {}

local PORT <const> = 7100
local PERIOD <const> = 4093  -- prime: no offset looks like another one soon

----------------------------------------------------------------------- files --

local letters = {}
for i = 1, PERIOD do letters[i] = string.char(i * i % 251) end
local ENDLESS <const> = table.concat(letters):rep(70)  -- longer than a chunk

--- The bytes of the file with this checksum.
function M.content(checksum, offset, size)
  local at = (offset + checksum * 7) % PERIOD
  return ENDLESS:sub(at + 1, at + size)
end

local CONFIG <const> = core.config_encode { election_min_ms = 100,
  members = { n1 = { address = "h:1" } } }

local Disk = { __name = "spec.disk" }
Disk.__index = Disk

--- A disk on which snapshots lie.
function M.disk()
  return setmetatable({
    files = {},        -- infos, oldest first
    pins = 0,
    kept = false,      -- what is coming in: { meta, offset, is_bad }
    written = {},      -- "offset+size" of each write
    read_ms = 1,
    write_ms = 1,
    full_at = false,   -- bytes after which there is no room
    rot_at = false,    -- where a byte is read wrong
    cut_at = false,    -- where a file ends that should be longer
    read_error = false,
    refuse = false,    -- why nothing may come in
    verify_ms = 1,
    dropped = 0,       -- incoming files thrown away
    finished = {},     -- infos of files that came whole
  }, Disk)
end

--- A snapshot, made here: its info.
function Disk:add(fields)
  local info = { index = 100, term = 1, time = 5, config_index = 1,
    config = CONFIG, size = 1000, path = "some.snap" }
  for name, value in pairs(fields) do info[name] = value end
  info.checksum = info.checksum or info.index * 31
  self.files[#self.files + 1] = info
  return info
end

--- The newest of them, or nil.
function Disk:newest()
  local newest
  for _, info in ipairs(self.files) do
    if not newest or info.index >= newest.index then newest = info end
  end
  return newest
end

local Source = {}
Source.__index = Source

function Source:unpin()
  assert(not self.is_over, "unpinned twice")
  self.is_over = true
  self.disk.pins = self.disk.pins - 1
end

function Source:read_later(offset, size, done)
  assert(not self.is_reading, "two buffers at a time")
  self.is_reading = true
  self.snapshots:after(self.disk.read_ms, function()
    self.is_reading = false
    local bytes = M.content(self.info.checksum, offset, size)
    local rot = self.disk.rot_at
    if rot and rot >= offset and rot < offset + size then
      local at = rot - offset + 1
      bytes = bytes:sub(1, at - 1) .. "!" .. bytes:sub(at + 1)
    end
    local cut = self.disk.cut_at
    if cut and offset + size > cut then bytes = bytes:sub(1, cut - offset) end
    if self.disk.read_error then return done(self.disk.read_error) end
    done(nil, bytes)
  end)
end

local Incoming = {}
Incoming.__index = Incoming

function Incoming:write_later(offset, bytes, done)
  local disk, kept = self.disk, self.kept
  assert(not self.is_busy, "two writes at a time")
  assert(offset == kept.offset, "a hole in the file")
  assert(disk.kept == kept, "written to a file that is gone")
  self.is_busy = true
  self.snapshots:after(disk.write_ms, function()
    self.is_busy = false
    disk.written[#disk.written + 1] = ("%d+%d"):format(offset, #bytes)
    if disk.full_at and offset + #bytes > disk.full_at then
      return done(errors.new("no_space", "the disk is full"))
    end
    local want = M.content(kept.meta.checksum, offset, #bytes)
    kept.is_bad = kept.is_bad or bytes ~= want
    kept.offset = offset + #bytes
    done()
  end)
end

function Incoming:finish_later(done)
  local disk, kept = self.disk, self.kept
  assert(kept.offset == kept.meta.size, "it is not whole")
  self.is_busy = true
  self.snapshots:after(disk.verify_ms, function()
    self.is_busy = false
    if kept.is_bad then
      return done(errors.new("corrupt", "the file is damaged"))
    end
    disk.kept = false
    disk.finished[#disk.finished + 1] = kept.meta
    disk.files[#disk.files + 1] = kept.meta
    done(nil, kept.meta)
  end)
end

function Incoming:drop()
  assert(self.disk.kept == self.kept, "dropped twice")
  assert(not self.is_busy, "dropped while the disk was at work on it")
  self.disk.kept = false
  self.disk.dropped = self.disk.dropped + 1
end

local Snapshots = {}
Snapshots.__index = Snapshots

-- What the pool does ends with the process.
function Snapshots:after(ms, fn)
  scheduler.of(self.uv):after(ms, self.guard(fn))
end

function Snapshots:pin(index, is_bare)
  local info = self.disk:newest()
  if not info or info.index < index then return nil end
  if is_bare then
    local bare = { size = 40, checksum = info.checksum + 1 }
    info = setmetatable(bare, { __index = info })
  end
  self.disk.pins = self.disk.pins + 1
  return setmetatable({ info = info, disk = self.disk, snapshots = self },
    Source)
end

function Snapshots:receive(meta)
  local disk, kept = self.disk, self.disk.kept
  if disk.refuse then return nil, disk.refuse end
  local is_same = kept and kept.meta.index == meta.index
    and kept.meta.checksum == meta.checksum and kept.meta.size == meta.size
    and kept.meta.term == meta.term
  if not is_same then
    disk.kept = { meta = meta, offset = 0, is_bad = false }
  end
  return setmetatable({ offset = disk.kept.offset, kept = disk.kept,
    disk = disk, snapshots = self }, Incoming)
end

------------------------------------------------------------------------ node --

local Node = { __name = "spec.shipper" }
Node.__index = Node

-- A core that knows how far it has committed.
local function fake_core(node)
  return {
    status = function() return { commit = node.commit, last = 777 } end,
    shipped = function(_, _, peer, index, is_done)
      node.shipped[#node.shipped + 1] = ("%s %d %s"):format(peer, index,
        is_done)
      return true
    end,
    snapshot_received = function(_, _, info)
      node.received[#node.received + 1] = info.index
      node.commit = math.max(node.commit, info.index)
      return true
    end,
  }
end

local function driver_of(node, uv)
  local driver
  driver = {
    id = node.id, role = "follower", term = 0, loop_lag_ms = 0,
    config = false, options = {}, is_closed = false,
    core = fake_core(node), transport = false,
    -- Where the log had come to when it had so many bytes less than now.
    storage = { index_before = function(_, bytes)
      assert(bytes == 1 << 30)
      return node.log_before
    end },
    logger = Logger.new(function(level, text, fields)
      node.lines[#node.lines + 1] = { level = level, text = text,
        fields = fields }
    end),
    node = { scheduler = scheduler.of(uv) },
    now = function() return uv.hrtime() // 1000000 | 0 end,
    step = function(_, ok, code) return ok, code end,
    snapshot_received = function(self, info)
      return self.core:snapshot_received(self.now(), info)
    end,
    warn = function(_, err) node.warnings[#node.warnings + 1] = err end,
    wants_flush = function() end,
    guard = function(_, fn)
      return function(...)
        if driver.is_closed then return end
        local ok, what = xpcall(fn, debug.traceback, ...)
        if not ok then node.site.world.failure = what end
      end
    end,
  }
  return driver
end

local nonces = 0

--- A process at this address. Begins to listen.
-- @param options disk; limits of the transport; bend(uv) -> uv
function M.new(site, ip, id, options)
  options = options or {}
  nonces = nonces + 1
  local node = setmetatable({ site = site, ip = ip, id = id,
    address = ip .. ":" .. PORT, disk = options.disk or M.disk(),
    log_before = 0,
    shipped = {}, received = {}, warnings = {}, lines = {}, commit = 0,
    nonce = nonces, driver = false, shipping = false, receiving = false },
    Node)
  local loop = site:process(ip)
  if options.drive then options.drive:attach(loop) end
  site:on(ip, function(uv)
    if options.bend then uv = options.bend(uv) end
    node:build(uv, options)
    if options.drive then node:use(options.drive, uv, loop) end
  end)
  return node
end

-- Real files, on this drive.
function Node:use(drive, uv, loop)
  local driver = self.driver
  local files = Files.new(uv, Host.new(self.site.world, loop, drive),
    function(fn) return driver:guard(fn) end)
  files:make_dirs("d")
  driver.storage.snapshots = Snapshotter.new(files, "d", driver.logger)
end

function Node:build(uv, options)
  local driver = driver_of(self, uv)
  self.driver = driver
  local function guard(fn) return driver:guard(fn) end
  driver.storage.snapshots = setmetatable({ uv = uv, disk = self.disk,
    guard = guard }, Snapshots)
  self.shipping, self.receiving = Shipping.new(driver), Receiving.new(driver)
  driver.transport = Transport.new {
    uv = uv, id = self.id, listen = self.address, guard = guard,
    logger = driver.logger, limits = options.limits,
    judge = function() return true end,
    hello = function()
      return { id = self.id, cluster = "shop", nonce = self.nonce }
    end,
    handlers = {
      open = function() end, bytes = function() end, closed = function() end,
      refused = function() end,
      channel = function(channel) return self.receiving:accept(channel) end,
    },
  }
  assert(driver.transport:listen())
end

--- Calls fn in a turn of this process.
function Node:on(fn)
  return self.site:on(self.ip, fn)
end

--- Both know where the other is.
function Node:introduce(...)
  local addresses = {}
  for _, node in ipairs { self, ... } do addresses[node.id] = node.address end
  for _, node in ipairs { self, ... } do
    node:on(function() node.driver.transport:peers(addresses) end)
  end
end

function Node:set_role(role, term)
  self:on(function()
    self.driver.role, self.driver.term = role, term
    self.shipping:look_at_role()
  end)
end

function Node:lead(term) self:set_role("leader", term) end

function Node:follow(term) self:set_role("follower", term) end

function Node:ship(peer, index, is_bare)
  self:on(function() self.shipping:ship(peer, index, is_bare or false) end)
end

--- Bytes of the file that is coming in.
function Node:taken()
  local transfer = self.receiving.transfer
  return transfer and transfer.taken or false
end

--- What was warned of, as codes.
function Node:codes()
  local codes = {}
  for i, err in ipairs(self.warnings) do codes[i] = err.code end
  return codes
end

--- The process ends, at once; its disk stays.
function Node:kill()
  self.driver.is_closed = true
  self.site.loops[self.ip]:die()
  self.site.network:leave(self.site.loops[self.ip], "reset")
end

--- Ends in order.
function Node:close()
  self:on(function()
    self.shipping:close()
    self.receiving:close()
    self.driver.transport:close_now()
    self.driver.is_closed = true
  end)
end

return M
