--- Somebody on the simulated network who speaks to a node as a client does, up
-- to the point where it does not: bytes of any kind on a greeted connection.
local Cutter = require "raft.cutter"
local Loop = require "raft.sim.loop"
local answers = require "raft.answers"
local client_frames = require "spec.support.client_frames"
local core = require "raft.core"
local frames = require "raft.client.frames"

local M = {}

local PORT <const> = 7100
local CRC_AT <const>, KIND_AT <const>, REST_AT <const> = 5, 10, 9
local ANSWER_BYTES_MAX <const> = 1 << 24

local Hostile = { __name = "spec.hostile" }
Hostile.__index = Hostile

local HELLO <const> = core.hello_encode { version_min = 1, version_max = 1,
  purpose = "client", formed = false, cluster = "default", id = "hostile",
  to = "" }

--- A frame whose header says something else at this byte, and whose checksum
-- is right all the same.
function M.resealed(frame, at, byte)
  local changed = frame:sub(1, at - 1) .. string.char(byte) .. frame:sub(at + 1)
  local crc = core.crc32c(changed:sub(1, CRC_AT - 1)
    .. changed:sub(REST_AT, frames.HEAD_BYTES))
  return changed:sub(1, CRC_AT - 1) .. ("<I4"):pack(crc)
    .. changed:sub(REST_AT)
end

--- A frame of another kind.
function M.of_kind(number, id, body)
  return M.resealed(frames.encode("call", id, 0, body), KIND_AT, number)
end

-- The greeting of the node, then frames.
local function received(self, chunk)
  if not self.is_open then
    self.buffer = self.buffer .. chunk
    local size = core.frame_size(self.buffer)
    if not size or size == 0 or size > #self.buffer then return end
    chunk, self.is_open = self.buffer:sub(size + 1), true
    self.stream:write(core.ping())
  end
  assert(self.cutter:feed(chunk, function(frame)
    local kind, id, _, body = client_frames.decode(frame)
    assert(kind == "result" or kind == "other", "the node sends no answer")
    if kind == "result" then self.results[id] = { answers.decode(body) } end
    return true
  end))
end

--- Connects to a node, and waits until it has been greeted.
-- @param number of its machine: another one, another machine
function M.connect(s, id, number)
  local member = s.members[id]
  local loop = Loop.new(s.world, { name = "hostile " .. number })
  s.network:join(loop, ("10.1.%d.%d"):format(number // 200, number % 200 + 1))
  local self = setmetatable({ s = s, loop = loop, stream = false, buffer = "",
    is_open = false, is_closed = false, results = {},
    cutter = Cutter.new(client_frames.sizes(ANSWER_BYTES_MAX)) }, Hostile)
  loop:ready(function()
    self.stream = loop.uv.new_tcp()
    self.stream:connect(member.ip, PORT, function(why)
      assert(not why, why)
      self.stream:read_start(function(_, bytes)
        if bytes then return received(self, bytes) end
        self.is_closed = true
      end)
      self.stream:write(HELLO)
    end)
  end)
  assert(s:wait(function() return self.is_open end, 5000))
  return self
end

--- Writes bytes.
function Hostile:send(bytes)
  self.loop:ready(function()
    if not self.is_closed then self.stream:write(bytes) end
  end)
end

--- Waits until the node has ended the connection: was it so?
function Hostile:was_cut_off()
  return self.s:wait(function() return self.is_closed end, 5000) == true
end

--- Waits for the answer to this request: ok, value, as raft.answers has them.
-- Nothing when there is none.
function Hostile:answer(id)
  self.s:wait(function() return self.results[id] or self.is_closed end, 10000)
  return table.unpack(self.results[id] or {}, 1, 2)
end

--- Its process is gone.
function Hostile:die()
  self.loop:die()
  self.s.network:leave(self.loop, "reset")
end

return M
