--- Messages between the demo and its nodes: plain Lua values over a pair of
-- pipes, each as its size and the bytes of raft.codec.
local codec = require("raft").codec

local M = {}

local SIZE <const> = "<I4"
local SIZE_BYTES <const> = 4
local MESSAGE <const> = "<s4"  -- its size, then its bytes

local Channel = { __name = "demo.channel" }
Channel.__index = Channel

-- Hands on the messages that are complete.
local function take(self)
  local buffer, at = self.buffer, 1
  while at + SIZE_BYTES - 1 <= #buffer do
    local last = at + SIZE_BYTES - 1 + SIZE:unpack(buffer, at)
    if last > #buffer then break end
    self.received(codec.decode(MESSAGE:unpack(buffer, at)))
    at = last + 1
  end
  self.buffer = buffer:sub(at)
end

--- @param from the pipe to read, `to` the pipe to write
-- @param received function(message)
-- @param ended function(): the other end is gone
function M.new(from, to, received, ended)
  local self = setmetatable({
    from = from, to = to, received = received,
    buffer = "",  -- the beginning of a message
  }, Channel)
  assert(from:read_start(function(_, chunk)
    if chunk then
      self.buffer = self.buffer .. chunk
      take(self)
    else
      self:close()
      ended()
    end
  end))
  return self
end

--- Sends a message; it is lost if the other end is gone.
function Channel:send(message)
  if self.to:is_closing() then return end
  self.to:write(MESSAGE:pack(codec.encode(message)))
end

--- Closes both pipes, by which the other end sees that we are gone.
function Channel:close()
  for _, pipe in ipairs { self.from, self.to } do
    if not pipe:is_closing() then pipe:close() end
  end
end

return M
