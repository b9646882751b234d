--- The state of a directory that nobody runs: what its newest snapshot says,
-- and what its log makes of a fresh state machine, entry by entry.
local Machine = require "raft.machine"
local errors = require "raft.errors"
local functions = require "raft.verify.functions"
local replica_state = require "raft.replica_state"

local M = {}

local Run = { __name = "raft.verify.run" }
Run.__index = Run

--- @param offline raft.storage.offline
-- @param log raft.verify.log of it
function M.new(offline, log)
  return setmetatable({
    id = offline.id,
    dir = offline.storage.dir,
    snapshots = offline.storage.snapshots,
    snapshot = offline.storage.snapshots.newest,  -- what it says; or false
    log = log,
    kept = replica_state.new(),
    machine = false,  -- made by begin
    index = 0,        -- all up to here is applied
    result = nil,     -- of the newest entry, in words
  }, Run)
end

local function refuse(self, code, words, details)
  details = details or {}
  details.dir = self.dir
  error(errors.new(code, ("%s: %s"):format(self.dir, words), details), 0)
end

-- Hands the snapshot's state to take(read), behind what we keep beside it.
local function read_snapshot(self, take)
  local info = self.snapshot
  if info.is_bare then
    refuse(self, "unsupported", "its snapshot has no state: it is, or was, a "
      .. "witness's")
  end
  local reader = self.snapshots:reader(info)
  local ok, err = pcall(function()
    take(self.kept:load(function() return reader:read() end))
  end)
  reader:close()
  if not ok then error(err, 0) end
  self.index = info.index
end

--- What the snapshot says of results; without one those of an empty state.
function Run:head()
  if self.snapshot then read_snapshot(self, function() end) end
  return self.kept.results
end

--- Begins to apply, with a machine of these options of raft.node.
function Run:begin(options)
  self.machine = Machine.new(functions.of(options, self.id))
  self.kept = replica_state.new()
  if not self.snapshot then
    if self.log.first == 1 then return end
    refuse(self, "corrupt", ("its log begins at entry %d, and there is no "
      .. "snapshot before it"):format(self.log.first))
  elseif not self.machine:has_snapshots() then
    refuse(self, "unsupported", ("its log begins behind a snapshot of entry "
      .. "%d: opts.node must give restore(bytes) or load(read), too")
      :format(self.snapshot.index))
  end
  read_snapshot(self, function(read)
    local ok, err = self.machine:load(read)
    if not ok then error(err, 0) end
  end)
end

-- A result for people.
local function shown(ok, value, why)
  if not ok then return "it failed: " .. errors.text(value) end
  if value == nil and why ~= nil then return "refused: " .. errors.text(why) end
  if type(value) == "string" then return ("%q"):format(value:sub(1, 60)) end
  return tostring(value)
end

local RUN <const> = {}  -- kind of entry -> ok, result, why

function RUN.command(self, index, term, time, command)
  return self.machine:apply(index, term, time, command)
end

function RUN.session(self, index, term, time, request)
  return self.kept:apply(index, time, request, function(command)
    return self.machine:apply(index, term, time, command)
  end)
end

function RUN.config(self, index, term, time, config)
  return self.machine:configure(index, term, time, config)
end

--- Applies the next entry. Raises error values, also of an error in apply that
-- only this process had.
function Run:step()
  local index = self.index + 1
  local kind, term, time, payload = self.log:entry(index)
  if kind == "stripped" then
    refuse(self, "unsupported", ("entry %d has no command: it is, or was, a "
      .. "witness's directory"):format(index))
  end
  local run = RUN[kind]
  if run then
    local ok, value, why = run(self, index, term, time, payload)
    if not ok and value.is_local then error(value, 0) end
    if kind ~= "config" then self.kept.results:add(ok, value, why) end
    self.result = { ok, value, why }
  else
    self.result = { true }
  end
  self.index = index
end

--- The digest of all results so far.
function Run:digest()
  return self.kept.results.digest
end

--- What the newest entry has come to, in words.
function Run:shown()
  return shown(table.unpack(self.result, 1, 3))
end

return M
