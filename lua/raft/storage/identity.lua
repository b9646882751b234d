--- The identity file: whose directory this is, and how often it was opened.
--
-- Two copies, a sector each, written one after the other: a crash spoils one
-- at most. It is made once, at its full size, so that a full disk never stands
-- in the way of a start, of a new segment, or of adopting a cluster.
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

local NAME <const> = "identity"
local SUPPORTED <const> = 1  -- format version

local Identity = { __name = "raft.storage.identity" }
Identity.__index = Identity

--- 64 random bits that are not 0.
function M.random(uv)
  local drawn
  repeat
    drawn = string.unpack("<i8", assert(uv.random(8)))
  until drawn ~= 0
  return drawn
end

local function new_fields(uv, id, cluster)
  return {
    sequence = 1,        -- of this content
    incarnation = M.random(uv),
    starts = 0,          -- how often the directory was opened
    first_segment = 1,   -- oldest of the log
    last_segment = 0,    -- newest that may hold batches
    node = id,
    cluster = cluster,
    identity = false,    -- of the cluster, once it has formed
  }
end

local function create(files, dir, path, fields)
  local bytes = core.identity_encode(fields)
  local fd = files:open(path .. ".tmp", "create")
  files:write(fd, bytes .. bytes, 0)
  files:sync(fd)
  files:close(fd)
  files:rename(path .. ".tmp", path)
  files:sync_dir(dir)
end

local function check_owner(fields, dir, id, cluster)
  local function refuse(what, expected, found)
    error(errors.new("wrong_dir", ("%s belongs to %s %s, not to %s"):format(dir,
      what, found, expected), { dir = dir, expected = expected,
      found = found }), 0)
  end
  if fields.cluster ~= cluster then
    refuse("cluster", cluster, fields.cluster)
  end
  if fields.node ~= id then refuse("node", id, fields.node) end
end

local function read(files, fd, path)
  files:settle(fd)
  local bytes = files:read(fd, 2 * core.WAL_SECTOR, 0)
  local fields, code, version = core.identity_decode(bytes)
  if fields then return fields end
  if code == "format_version" then
    error(errors.new(code, ("%s is of format %d, this version reads %d"):format(
      path, version, SUPPORTED), { file = path, found = version,
      supported = SUPPORTED }), 0)
  end
  error(errors.new("corrupt", path .. ": both copies are damaged",
    { file = path, offset = 0 }), 0)
end

--- Opens the directory's identity, or makes it. Raises error values.
-- @param has_past are there segments already, or a snapshot?
function M.open(files, dir, id, cluster, has_past)
  local path = dir .. "/" .. NAME
  local is_new = files:size_of(path) == nil
  if is_new and has_past then
    error(errors.new("corrupt", path
      .. " is missing, and a log or a snapshot is there",
      { file = path, offset = 0 }), 0)
  end
  if is_new then
    create(files, dir, path, new_fields(files.uv, id, cluster))
  end
  local fd = files:open(path, "durable")
  local fields = read(files, fd, path)
  check_owner(fields, dir, id, cluster)
  return setmetatable({
    files = files,
    fd = fd,
    fields = fields,
    is_new = is_new,    -- was there none before?
    is_saving = false,  -- is a save_later under way?
    is_stale = false,   -- has it been overtaken by another change?
    waiting = {},       -- to be called when it is done
  }, Identity)
end

local function encoded(self)
  self.fields.sequence = self.fields.sequence + 1
  return core.identity_encode(self.fields)
end

--- Writes both copies and waits. Raises error values.
function Identity:save()
  local bytes = encoded(self)
  for copy = 0, 1 do
    self.files:write(self.fd, bytes, copy * #bytes)
    if self.files.dsync == 0 then self.files:sync(self.fd) end
  end
  self.is_stale = true  -- a save under way may write older bytes over these
end

--- Writes both copies in the background: done(err).
function Identity:save_later(done)
  self.waiting[#self.waiting + 1] = done
  self.is_stale = true
  if not self.is_saving then self:save_copies() end
end

-- A save that waits may come between, and a write under way may then put older
-- bytes over one of its copies: that one is written anew, while the other is
-- left alone until it is durable.
function Identity:save_copies(first)
  first = first or 0
  self.is_saving, self.is_stale = true, false
  local bytes = encoded(self)
  self.files:write_later(self.fd, bytes, first * #bytes, function(err)
    if err then return self:saved(err) end
    if self.is_stale then return self:save_copies(first) end
    local second = 1 - first
    self.files:write_later(self.fd, bytes, second * #bytes, function(again)
      if not again and self.is_stale then return self:save_copies(second) end
      self:saved(again)
    end)
  end)
end

function Identity:saved(err)
  local waiting = self.waiting
  self.is_saving, self.waiting = false, {}
  for _, done in ipairs(waiting) do done(err) end
end

return M
