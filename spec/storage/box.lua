--- A storage in a temporary directory, as specs want it: opened with small
-- segments, stores that wait for their report, a uv whose calls can be bent.
local core = require "raft.core"
local helper = require "spec.support.helper"
local made = require "spec.storage.entries"
local Storage = require "raft.storage"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local M = {}

local Box = { __name = "spec.storage.box" }
Box.__index = Box

M.crc32c, M.entry, M.entries = made.crc32c, made.entry, made.entries

--- What changes the options of all boxes, for specs that run a second time.
M.adapt = false

-------------------------------------------------------------------- the box --

--- @param options of Storage.open; `dir` shares another box's directory
function M.new(options)
  local self = setmetatable({
    tmp = not (options and options.dir) and tmpdir.new() or false,
    options = { uv = uv, host = core.host, id = "n1", cluster = "c",
      segment_bytes = 1 << 16, mark_ms = 60000 },
    storage = false,
    seq = 0,        -- of the newest store
    stored = 0,     -- newest report
    reports = 0,    -- how many
    failures = {},  -- error values
    space = {},     -- { is_there, err }
  }, Box)
  self.options.dir = self.tmp and self.tmp:join("data") or nil
  for name, value in pairs(options or {}) do self.options[name] = value end
  self.dir = self.options.dir
  if M.adapt then M.adapt(self.options) end
  return self
end

--- Opens it: the storage, or nil and the error.
function Box:open()
  local storage, err = Storage.open(self.options)
  self.storage = storage or false
  self.seq, self.stored = 0, 0
  if storage then
    storage:handlers {
      stored = function(seq)
        assert(seq > self.stored, "reported twice or out of order")
        self.stored, self.reports = seq, self.reports + 1
      end,
      failed = function(e) self.failures[#self.failures + 1] = e end,
      space = function(is_there, e)
        self.space[#self.space + 1] = { is_there, e }
      end,
    }
  end
  return storage, err
end

--- Opens it, which must succeed.
function Box:must_open()
  return assert(self:open())
end

--- Queues entries [first, last] of a term, and says their seq.
function Box:queue(first, last, term, size, vote, commit)
  self.seq = self.seq + 1
  self.storage:store(self.seq, M.entries(first, last, term, size), term,
    vote or 0, commit or 0)
  return self.seq
end

--- Waits until everything queued is reported.
function Box:settle()
  helper.wait_until(function() return self.stored == self.seq end, 5000,
    "stores to be reported")
end

--- Stores entries and waits.
function Box:put(...)
  self:queue(...)
  self:settle()
end

--- Reads back: err, bytes.
function Box:read(first, last, bytes_max)
  local is_done, err, bytes = false, nil, nil
  self.storage:read(first, last, bytes_max or 1 << 30, function(e, b)
    is_done, err, bytes = true, e, b
  end)
  assert(not is_done, "answered inside the call")
  helper.wait_until(function() return is_done end, 5000, "a read")
  return err, bytes
end

local function wait_closed(self, how)
  if not self.storage then return end
  local is_done = false
  self.storage[how](self.storage, function() is_done = true end)
  helper.wait_until(function() return is_done end, 5000, "closing")
  self.storage = false
end

function Box:close() wait_closed(self, "close") end
function Box:abort() wait_closed(self, "abort") end

--- Closes it and opens it again.
function Box:reopen()
  self:close()
  return self:must_open()
end

--- What the newest open found, without what the core alone cares for.
function Box:found()
  return self.storage.recovered:fields()
end

function Box:path(name) return self.dir .. "/" .. name end

function Box:segment(number)
  return self:path(("wal-%016x.log"):format(number))
end

--- Changes bytes of a file.
function Box.poke(_, path, offset, bytes)
  local file <close> = assert(io.open(path, "r+b"))
  assert(file:seek("set", offset))
  assert(file:write(bytes))
end

function Box.peek(_, path, offset, size)
  local file <close> = assert(io.open(path, "rb"))
  assert(file:seek("set", offset))
  return file:read(size)
end

--- Flips one bit of a file.
function Box:flip(path, offset)
  local byte = self:peek(path, offset, 1):byte()
  self:poke(path, offset, string.char(byte ~ 1))
end

Box.__close = function(self)
  self:abort()
  if self.tmp then self.tmp:remove() end
end

----------------------------------------------------------------- a bent luv --

--- A luv with some functions replaced: replace(real) -> functions.
function M.bent_uv(replace)
  return setmetatable(replace(uv), { __index = uv })
end

--- Calls fn from the loop with an error, as luv would.
function M.refuse(text, callback)
  if not callback then return nil, text, text:match("^%u+") end
  local timer = assert(uv.new_timer())
  timer:start(0, 0, function()
    timer:close()
    callback(text)
  end)
  return timer
end

return M
