--- The snapshots of a volatile node: the methods of raft.storage.snapshots, and
-- the bytes of the files in memory. They are verified as files are.
local Incoming = require "raft.storage.incoming"
local Source = require "raft.storage.snapshot_source"
local core = require "raft.core"
local errors = require "raft.errors"
local snapfile = require "raft.storage.snapfile"
local snapshots = require "raft.storage.snapshots"

local M = {}

local Memory = { __name = "raft.storage.memory_snapshots" }
Memory.__index = Memory

--- @param soon calls a function from the loop; never after the end
function M.new(soon)
  return setmetatable({
    soon = soon,
    known = {},        -- { info=, pieces= }, by index
    newest = false,    -- info of the last of them
    settled_index = 0,
    pins = {},         -- info -> how often it is pinned
    written = false,   -- pieces of what is not yet published
    incoming = false,  -- the one that is received
  }, Memory)
end

local function path_of(meta)
  return ("memory of snapshot %d"):format(meta.index)
end

-- What the pieces say of themselves, or nil and an error value.
local function verify(pieces, meta)
  local scan, path = core.snapfile_scan(), path_of(meta)
  local offset, ok, code, why = 0, true, nil, nil
  for _, piece in ipairs(pieces) do
    ok, code, why = scan:feed(piece)
    if not ok then break end
    offset = offset + #piece
  end
  if ok then ok, code, why = scan:finish() end
  if not ok then return nil, snapfile.damage(path, offset, code, why, 0) end
  local info = scan:info()
  info.path = path
  return info
end

function Memory:add(info, pieces)
  for i = #self.known, 1, -1 do
    if self.known[i].info.index == info.index then
      table.remove(self.known, i)
    end
  end
  self.known[#self.known + 1] = { info = info, pieces = pieces }
  table.sort(self.known, function(a, b) return a.info.index < b.info.index end)
  self.newest = self.known[#self.known].info
end

------------------------------------------------------------------ making --

--- See raft.storage.snapshots.
function Memory:write(meta, save)
  local pieces = {}
  local ok, err = pcall(snapfile.encode, meta, save, function(bytes)
    pieces[#pieces + 1] = bytes
  end)
  if ok then
    self.written = pieces
    return true
  end
  if not errors.is_error(err) then error(err, 0) end
  return nil, err
end

--- There is no file for a child to write.
function Memory.can_fork() return false end

function Memory:publish(meta, done)
  local pieces = self.written
  self.written = false
  self.soon(function()
    local info, err = verify(pieces, meta)
    if not info then return done(err) end
    self:add(info, pieces)
    done(nil, info)
  end)
end

------------------------------------------------------------------- using --

local function entry_of(self, info)
  for _, entry in ipairs(self.known) do
    if entry.info == info then return entry end
  end
end

local Reader = { __name = "raft.storage.memory_snapshot_reader" }
Reader.__index = Reader

function Memory:reader(info)
  local entry = assert(entry_of(self, info), "no such snapshot")
  return setmetatable({ pieces = entry.pieces, at = 0,
    scan = core.snapfile_scan() }, Reader)
end

function Reader:read()
  while self.pieces[self.at + 1] do
    self.at = self.at + 1
    local ok, state = self.scan:feed(self.pieces[self.at], true)
    assert(ok, "what is kept in memory is damaged")
    if state ~= "" then return state end
  end
  return nil
end

function Reader.close() end

--- See raft.storage.snapshots.
function Memory:find(index, term)
  for _, entry in ipairs(self.known) do
    if entry.info.index == index and entry.info.term == term then
      return entry.info
    end
  end
end

function Memory:pin(index, is_bare)
  local info = self.newest
  if not info or info.index < index then return nil end
  if is_bare then
    local bare, bytes = snapshots.bare_of(info)
    return Source.of_bytes(self.soon, bare, bytes, function() end)
  end
  self.pins[info] = (self.pins[info] or 0) + 1
  return Source.of_bytes(self.soon, info,
    table.concat(entry_of(self, info).pieces), function()
      self.pins[info] = self.pins[info] > 1 and self.pins[info] - 1 or nil
      self:sweep()
    end)
end

function Memory:settled(info)
  self.settled_index = math.max(self.settled_index, info.index)
  self:sweep()
end

function Memory:sweep()
  local kept = {}
  for _, entry in ipairs(self.known) do
    if entry.info.index >= self.settled_index or self.pins[entry.info] then
      kept[#kept + 1] = entry
    end
  end
  self.known = kept
end

--------------------------------------------------------------- receiving --

local Receiver = { __name = "raft.storage.memory_incoming" }
Receiver.__index = Receiver

--- See raft.storage.snapshots.
function Memory:receive(meta)
  local old = self.incoming
  if old and Incoming.is_same(old.meta, meta) then return old end
  self.incoming = setmetatable({ owner = self, meta = meta, pieces = {},
    offset = 0 }, Receiver)
  return self.incoming
end

function Receiver:write_later(offset, bytes, done)
  assert(offset == self.offset, "a hole in the file")
  self.pieces[#self.pieces + 1], self.offset = bytes, offset + #bytes
  self.owner.soon(function() done() end)
end

function Receiver:finish_later(done)
  self.owner.soon(function()
    local info, err = verify(self.pieces, self.meta)
    if info and not Incoming.is_same(info, self.meta) then
      err = snapfile.damage(path_of(self.meta), 0, "corrupt",
        "not what was offered")
    end
    if err then return done(err) end
    self.owner:add(info, self.pieces)
    self:drop()
    done(nil, info)
  end)
end

function Receiver:drop()
  if self.owner.incoming == self then self.owner.incoming = false end
end

return M
