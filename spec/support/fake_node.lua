--- What listens where a client looks for a node, and says what a test wants: on
-- the loop of the tests, on loopback, on a port of the kernel's choice.
local Cutter = require "raft.cutter"
local answers = require "raft.answers"
local client_frames = require "spec.support.client_frames"
local core = require "raft.core"
local frames = require "raft.client.frames"
local session_entry = require "raft.session_entry"
local uv = require "luv"

local M = {}

local BODY_MAX <const> = 1 << 24

local FakeNode = { __name = "spec.fake_node" }
FakeNode.__index = FakeNode

local Visit = {}
Visit.__index = Visit

function Visit:write(bytes)
  if not self.stream:is_closing() then self.stream:write(bytes) end
end

--- Answers a request.
function Visit:answer(id, ok, value)
  self:write(frames.encode("result", id, 0, answers.encode(ok, value)))
end

--- Ends the connection.
function Visit:close()
  if not self.stream:is_closing() then self.stream:close() end
end

-- A frame of a client: its kind, or the op of a session.
local function taken(visit, frame)
  local kind, id, _, body = client_frames.decode(frame)
  local entry = kind == "session" and session_entry.decode(body)
  local what = entry and entry.op or kind
  local node = visit.node
  local is_ping = kind == "other"
  if is_ping and not node.says.other then return true end
  node.heard[#node.heard + 1] = what
  local handler = node.says[what]
  if handler then handler(visit, id, entry or body) end
  return not visit.stream:is_closing()
end

local function received(visit, chunk)
  if not visit.is_greeted then
    visit.buffer = visit.buffer .. chunk
    local size = core.frame_size(visit.buffer)
    if size == 0 or size > #visit.buffer then return end
    visit.is_greeted, chunk = true, visit.buffer:sub(size + 1)
    visit.node.says.hello(visit)
  end
  visit.cutter:feed(chunk, function(frame) return taken(visit, frame) end)
end

local function accept(self)
  local stream = uv.new_tcp()
  self.server:accept(stream)
  self.count = self.count + 1
  local visit = setmetatable({ node = self, stream = stream, buffer = "",
    is_greeted = false, number = self.count,
    cutter = Cutter.new(client_frames.sizes(BODY_MAX)) }, Visit)
  self.visits[#self.visits + 1] = visit
  stream:read_start(function(_, chunk)
    if chunk then return received(visit, chunk) end
    visit:close()
  end)
end

--- Greets as a node does.
-- @param identity of its cluster: 16 bytes
function M.greet(visit, identity)
  visit:write(core.hello_encode { version_min = 1, version_max = 1,
    purpose = "client", formed = true, identity = identity or ("x"):rep(16),
    cluster = "default", id = "n1", to = "client", address = "127.0.0.1:1",
    incarnation = 1, starts = 1, nonce = 1, known = 0, config_index = 0,
    plan = 0, group = 0 })
end

--- Says that it leads.
function M.lead(visit, id)
  visit:answer(id, true, { id = "n1", leader = "n1", address = visit.node.where,
    members = { n1 = visit.node.where }, ping_ms = 100 })
end

--- @param says what it does: hello(visit), and by kind of frame, or op of a
--   session, function(visit, id, body or entry); what is not there is not done.
--   `other` is a ping.
function M.new(says)
  local self = setmetatable({ says = says, server = uv.new_tcp(), visits = {},
    count = 0, heard = {}, where = false }, FakeNode)
  assert(self.server:bind("127.0.0.1", 0))
  assert(self.server:listen(16, function() accept(self) end))
  self.where = "127.0.0.1:" .. self.server:getsockname().port
  return self
end

function FakeNode:close()
  if not self.server:is_closing() then self.server:close() end
  for _, visit in ipairs(self.visits) do visit:close() end
end
FakeNode.__close = FakeNode.close

return M
