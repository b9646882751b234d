--- One connection with another node, from the greeting to its end.
-- Before it is open, whole frames are cut from what arrives, each bounded
-- before it is waited for. Once open, its bytes are not looked at. Its age is
-- counted in rounds: see watch.lua.
local core = require "raft.core"

local Link = { __name = "raft.link" }
Link.__index = Link

local M = {}

-- RAFT_HELLO_BYTES_MAX of csrc/wire.h: no frame of a greeting is longer.
local FRAME_BYTES_MAX <const> = 1024

--- @param owner the transport
-- @param stream a connected handle; the link closes it
-- @param dialer the dialer that made it, false for an accepted connection
function M.new(owner, stream, dialer, address)
  local link = setmetatable({
    owner = owner,
    sockets = owner.sockets,
    stream = stream,
    dialer = dialer,
    is_dialed = dialer and true,
    id = dialer and dialer.id,  -- the peer; false until it has said so
    purpose = "peer",   -- "snapshot" or "join" for that of a channel
    channel = false,    -- the channel it carries
    address = address,  -- "host:port": what we dialed, or where it came from
    hello = false,      -- what the peer said in its hello
    sent = false,       -- the bytes of our hello
    reader = false,     -- the owner's place for what it keeps per connection
    phase = dialer and "answer" or "hello",  -- see handshake.lua
    fate = false,       -- why it shall be closed soon, false to keep it
    buffer = "",        -- received and not yet cut into frames; empty once open
    rounds = 0,         -- since birth, since opening once open
    rounds_heard = 0,   -- since the last byte came
    rounds_sent = 0,    -- since the last byte was handed to the system
    on_written = false, -- luv's callback of every write
  }, Link)
  link.on_written = owner.guard(function(why)
    if why then link:close(why) end
  end)
  return link
end

--- Begins to read.
-- @return true, or nil when the connection is gone already
function Link:start()
  self.sockets:nodelay(self.stream)  -- without it all works, only later
  local ok = self.sockets:read(self.stream, function(why, chunk)
    if self.phase == "closed" then return end
    if not chunk then return self:close(why or "closed by the other end") end
    self.rounds_heard = 0
    self.owner:arrived(self, chunk)
  end)
  return ok and true
end

--- Cuts the next frame of the greeting from what has arrived.
-- @return kind, frame; or nil when more must come; or false and what is wrong
function Link:take_frame()
  local size, why = core.frame_size(self.buffer)
  if not size then return false, why end
  if size > FRAME_BYTES_MAX then return false, "too_large" end
  if size == 0 or size > #self.buffer then return nil end
  local frame = self.buffer:sub(1, size)
  self.buffer = self.buffer:sub(size + 1)
  return core.frame_kind(frame), frame
end

--- Hands bytes to the system; false when the connection is broken.
function Link:write(bytes)
  if self.phase == "closed" then return false end
  if not self.sockets:send(self.stream, bytes, self.on_written) then
    self.owner:condemn(self, "write failed")
    return false
  end
  self.rounds_sent = 0
  return true
end

--- Writes a last frame and closes once it is written.
function Link:finish(frame, reason)
  self.phase, self.buffer = "ending", ""
  local written = self.owner.guard(function() self:close(reason) end)
  if not self.sockets:write(self.stream, frame, written) then
    self:close(reason)
  end
end

--- Bytes that wait for the system to take them.
function Link:queued()
  if self.phase == "closed" then return 0 end
  return self.sockets:queued(self.stream)
end

--- Another round has begun.
function Link:count_round()
  self.rounds = self.rounds + 1
  self.rounds_heard = self.rounds_heard + 1
  self.rounds_sent = self.rounds_sent + 1
end

--- Ends it, once; the owner hears of it before this returns.
function Link:close(reason)
  if self.phase == "closed" then return end
  local was_open = self.phase == "open"
  self.phase, self.buffer = "closed", ""
  self.sockets:close(self.stream)
  self.owner:ended(self, was_open, reason)
end

function Link:__tostring()
  return ("link with %s at %s"):format(self.id or "?", self.address)
end

return M
