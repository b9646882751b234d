--- The segment that waits for its turn: filled with zeros in the background.
--
-- A file that grows costs twice the time of a durable write, so none does. And
-- a full disk shows here, while there is still room in the current segment:
-- it is told (space), tried again with a growing pause, and told when over.
local fault = require "raft.storage.fault"
local segments = require "raft.storage.segments"

local M = {}

local Spare = { __name = "raft.storage.spare" }
Spare.__index = Spare

local STEP_BYTES <const> = segments.STEP_BYTES
local RETRY_MS_MIN <const> = 100
local RETRY_MS_MAX <const> = 5000

--- @param events ready(), space(is_there, err), failed(err)
function M.new(files, dir, events)
  return setmetatable({
    files = files,
    path = dir .. "/" .. segments.SPARE,
    events = events,
    state = "none",      -- none, making, pausing, ready, stopped
    size = 0,            -- bytes of the one that is ready
    wanted = 0,          -- bytes of the one to be made
    retry_ms = RETRY_MS_MIN,
    has_space = true,
    timer = assert(files.uv.new_timer()),
  }, Spare)
end

--- A spare left by an earlier start is good if it is of the right size: it
-- has its name only since it is full of zeros.
function Spare:find(size)
  if self.files:size_of(self.path) == size then
    self.state, self.size = "ready", size
  end
end

--- Is there one of at least `size` bytes?
function Spare:is_ready(size)
  return self.state == "ready" and self.size >= size
end

--- Makes one of `size` bytes, unless it is there or under way. One under way
-- that turns out too small is made again.
function Spare:make(size)
  if self.state == "stopped" or self:is_ready(size) then return end
  self.wanted = math.max(size, self.state == "making" and self.wanted or 0)
  if self.state == "none" or self.state == "ready" then self:begin() end
end

function Spare:begin()
  self.state = "making"
  local size = self.wanted
  self.files:open_later(self.path .. ".tmp", "create", function(err, fd)
    if err then return self:refused(err) end
    local function filled(fill_err, reached)
      if fill_err then
        return self.files:close_later(fd, function() self:refused(fill_err) end)
      end
      if reached < size then return self:fill(fd, size, reached, filled) end
      self:finish(fd, size)
    end
    local direct = self.files.direct
    if direct and direct:fill(fd, size, STEP_BYTES, filled) then return end
    self:fill(fd, size, 0, filled)
  end)
end

function Spare:fill(fd, size, offset, done)
  if offset >= size then return done(nil, offset) end
  local step = math.min(STEP_BYTES, size - offset)
  self.files:write_later(fd, segments.zeros(step), offset, function(err)
    if err then return done(err) end
    self:fill(fd, size, offset + step, done)
  end)
end

function Spare:finish(fd, size)
  self.files:close_later(fd, function(close_err)
    if close_err then return self:refused(close_err) end
    self.files:rename_later(self.path .. ".tmp", self.path, function(err)
      if err then return self:refused(err) end
      self:made(size)
    end)
  end)
end

function Spare:made(size)
  self.retry_ms = RETRY_MS_MIN
  if not self.has_space then
    self.has_space = true
    self.events.space(true)
  end
  if size < self.wanted then return self:begin() end  -- more is wanted now
  self.state, self.size = "ready", size
  self.events.ready()
end

function Spare:refused(err)
  if not fault.is_passing(err) then return self.events.failed(err) end
  self.state = "pausing"
  if self.has_space then
    self.has_space = false
    self.events.space(false, err)
  end
  local path = self.path .. ".tmp"  -- gives back what it had taken, if it is
  self.files:later("unlink", path, nil, function() self:pause() end, path)
end

function Spare:pause()
  if self.state ~= "pausing" then return end
  assert(self.timer:start(self.retry_ms, 0, self.files.guard(function()
    if self.state == "pausing" then self:begin() end
  end)))
  self.retry_ms = math.min(2 * self.retry_ms, RETRY_MS_MAX)
end

--- Hands the spare over: its path and size. Another one may be made.
function Spare:take()
  assert(self.state == "ready", "there is no spare")
  self.state, self.wanted = "none", 0
  return self.path, self.size
end

--- Makes no more.
function Spare:stop()
  self.state = "stopped"
  if not self.timer:is_closing() then self.timer:close() end
end

return M
