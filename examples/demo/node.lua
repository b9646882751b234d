--- One node of the demo, a process of its own: a replicated word count.
-- The demo starts it and talks to it over stdin and stdout; it ends when the
-- demo does, in whatever way.
--
--   lua5.4 node.lua ID DIR ID=HOST:PORT ...
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local channel = require "examples.demo.channel"
local raft = require "raft"
local uv = require "luv"
local words = require "examples.demo.words"

local STATUS_MS <const> = 50    -- between two reports of how the node is
local ANSWER_MS <const> = 1000  -- after it, the demo asks another node

local members = {}
for i = 3, #arg do
  local id, address = arg[i]:match("^(.-)=(.*)$")
  members[id] = address
end

local counted = words.new()
local node = raft.node {
  id = arg[1], dir = arg[2], cluster = "demo", members = members,
  apply = function(command) return counted:apply(command) end,
  query = function(request) return counted:query(request) end,
  snapshot = function() return counted:snapshot() end,
  restore = function(bytes) counted:restore(bytes) end,
  election_timeout = { 150, 300 },  -- short, as apply never takes long
  log = "info",
}

------------------------------------------------------------- with the demo --

local demo  -- the channel to it

-- A callback that sends what came out.
local function answer_to(request)
  return function(err, result)
    demo:send { answers = request.number, result = result,
      err = err and tostring(err) }
  end
end

local requests = {}

function requests.count(request)
  node:propose(request.command, { timeout = ANSWER_MS }, answer_to(request))
end

function requests.query(request)
  node:query(request.query, answer_to(request))
end

function requests.ready(request)
  node:ready({ timeout = false }, answer_to(request))
end

-- What the demo shows of a node.
local function report()
  local s = node:status()
  demo:send { status = { role = s.role, term = s.term, leader = s.leader,
    commit = s.commit, applied = s.applied } }
end

-------------------------------------------------------------------- the run --

local function ignore(signal)
  uv.new_signal():start(signal, function() end)
end

ignore("sigint")   -- Ctrl-C reaches all of a terminal; the demo decides
ignore("sigpipe")  -- that the demo is gone is seen at its pipe

raft.run(function()
  local from, to = uv.new_pipe(false), uv.new_pipe(false)
  assert(from:open(0))
  assert(to:open(1))
  local is_over = false
  demo = channel.new(from, to,
    function(request) requests[request.kind](request) end,
    function() is_over = true end)
  local ok, err = node:start()
  if not ok then
    demo:send { failed = { code = err.code, text = tostring(err) } }
    error(err)
  end
  while not is_over and node:status().state == "running" do
    report()
    raft.sleep(STATUS_MS)
  end
  node:stop()
end, { signals = false })
