--- A directory of a node that does not run, for tools: read, and added to.
-- All of it waits for the disk, and raises error values.
local Files = require "raft.storage.files"
local Storage = require "raft.storage"
local errors = require "raft.errors"
local identity = require "raft.storage.identity"
local raft_core = require "raft.core"
local segments = require "raft.storage.segments"

local M = {}

local Offline = { __name = "raft.storage.offline" }
Offline.__index = Offline

-- Whose directory it is, before anything is opened: nothing is made in it.
local function owner_of(uv, host, dir)
  local files = Files.new(uv, host)
  local path = dir .. "/identity"
  if not files:size_of(dir) or not files:size_of(path) then
    error(errors.new("wrong_dir", dir .. " is no directory of a node",
      { dir = dir }), 0)
  end
  local fd = files:open(path, "read")
  local fields = raft_core.identity_decode(files:read(fd,
    2 * raft_core.WAL_SECTOR, 0))
  files:close(fd)
  return fields or { node = "?", cluster = "?" }  -- opening it says what is
end

--- Opens it; nobody else can until close.
-- @param options uv, host, dir; id and cluster where it must be that node's
function M.open(options)
  local owner = owner_of(options.uv, options.host, options.dir)
  local storage, err = Storage.open {
    uv = options.uv, host = options.host, dir = options.dir,
    id = options.id or owner.node, cluster = options.cluster or owner.cluster,
    memory_bytes = 0,
  }
  if not storage then error(err, 0) end
  return setmetatable({
    storage = storage,
    id = owner.node,
    cluster = owner.cluster,
    found = storage.recovered:fields(),
    truncated_bytes = storage.report.truncated_bytes,
  }, Offline)
end

local function new_segment(self, bytes)
  local storage = self.storage
  local writer, files = storage.writer, storage.files
  local _, _, size = writer.wal:position()
  files:close(writer.fd)
  writer.fd = segments.make(files, writer.wal, storage.dir,
    segments.next_size(size, writer.segment_bytes, bytes))
  storage.owner.fields.last_segment = writer.wal:position()
  storage.owner:save()
end

local function put(self, kind, hard, list)
  local writer, files = self.storage.writer, self.storage.files
  local bytes, offset = writer.wal:batch(kind, hard.term, hard.vote,
    hard.commit, list)
  files:write(writer.fd, bytes, offset)
  files:sync(writer.fd)
  assert(writer.wal:stored(bytes))
end

--- Writes entries behind the last one, durably, with this hard state:
-- { term=, vote=, commit= }.
function Offline:append(entries, hard)
  local wal = self.storage.writer.wal
  if not wal:fits(#entries, 0) then new_segment(self, #entries) end
  put(self, "data", hard, { entries })
  if wal:fits(0, 0) then put(self, "mark", hard, {}) end
end

--- Another incarnation for the directory, which counts in no cluster yet.
function Offline:new_incarnation()
  local drawn = identity.random(self.storage.files.uv)
  self.storage.owner.fields.incarnation = drawn
  return drawn
end

--- From now on the directory belongs to the cluster of this identity.
function Offline:belong_to(bytes)
  self.storage.owner.fields.identity = bytes
  self.storage.owner:save()
end

--- Gives the directory back.
function Offline:close()
  self.storage:abort()
end

Offline.__close = Offline.close

return M
