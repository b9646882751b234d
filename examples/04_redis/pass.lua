--- What comes in one turn of the loop goes on as one, whichever connections it
-- came from: all that is written as one entry of the log, all that is read as
-- one query.
--
-- A connection hands in a segment and waits for its answer before the next. So
-- its commands take effect in order, and how segments are put together, or
-- which pass is done first, matters to nobody.
local batch = require "batch"

local M = {}

local BATCH_BYTES <const> = 256 << 10  -- segments of one entry, about

local Pass = { __name = "redis.pass" }
Pass.__index = Pass

local function new_group()
  return { segments = {}, waiters = {}, bytes = 0 }
end

--- @param options node: has propose and query; uv; wall: function() -> ms
function M.new(options)
  return setmetatable({
    node = options.node,
    wall = options.wall,
    groups = { write = {}, read = {} },  -- what came in this turn
    check = assert(options.uv.new_check()),      -- after the loop's reads
    prepare = assert(options.uv.new_prepare()),  -- before it sleeps
    is_armed = false,     -- does a turn come that sends?
    is_closed = false,
  }, Pass)
end

--------------------------------------------------------------------- sending --

local function answer(group, results, err)
  for i, done in ipairs(group.waiters) do
    if err then done(err) else done(nil, results[2 * i - 1], results[2 * i]) end
  end
end

local send = {}  -- kind -> function(pass, group), in a coroutine: it may wait

function send.write(pass, group)
  answer(group, pass.node:propose(batch.pack(group.segments)))
end

-- Where the state says "not yet", an entry with nothing in it brings the time.
function send.read(pass, group)
  local request = { bytes = batch.pack(group.segments), wall = pass.wall() }
  local results, err = pass.node:query(request)
  if results == false then
    request.wall = false
    results, err = pass.node:propose("")
    if not err then results, err = pass.node:query(request) end
  end
  answer(group, results, err)
end

local function send_all(self, kind)
  local groups = self.groups[kind]
  self.groups[kind] = {}
  for _, group in ipairs(groups) do
    coroutine.wrap(send[kind])(self, group)
  end
end

local function flush(self)
  self.is_armed = false
  self.check:stop()
  self.prepare:stop()
  send_all(self, "write")
  send_all(self, "read")
end

-- Whichever comes first: a check where reads of this turn brought the segment,
-- a prepare where an answer did.
local function arm(self)
  if self.is_armed then return end
  self.is_armed = true
  local function go() flush(self) end
  self.check:start(go)
  self.prepare:start(go)
end

--- Takes a segment.
-- @param kind "write" or "read"
-- @param done function(err, replies, count), never called at once: what the
--   commands replied, and how many of them were run; or the error of raft
function Pass:add(kind, segment, done)
  local groups = self.groups[kind]
  local group = groups[#groups]
  if not group or group.bytes >= BATCH_BYTES then
    group = new_group()
    groups[#groups + 1] = group
  end
  local n = #group.segments + 1
  group.segments[n], group.waiters[n] = segment, done
  group.bytes = group.bytes + #segment
  arm(self)
end

--- Has an entry with nothing in it bring the time; nobody waits for it.
function Pass:move_time()
  coroutine.wrap(function() self.node:propose("") end)()
end

--- What was not sent is not.
function Pass:close()
  if self.is_closed then return end
  self.is_closed = true
  self.check:close()
  self.prepare:close()
end

return M
