--- A raft.client in a process of its own, with the load inside it.
--
--   lua5.4 bench/compare/client.lua <members>
--
-- Kinds of load: propose, linearizable, lease, stale.
package.path = "./?.lua;" .. package.path
local load = require "bench.compare.load"
local raft = require "raft"
local uv = require "luv"

local members = {}
for name, address in arg[1]:gmatch("([^=,]+)=([^,]+)") do
  members[name] = address
end

local client = raft.client { members = members, log = "error" }

local function start(kind, bytes)
  if kind == "propose" then
    local command, opts = ("x"):rep(bytes), { timeout = false }
    return function(done) client:propose(command, opts, done) end
  end
  local opts = { timeout = false, consistency = kind }
  return function(done) client:query("newest", opts, done) end
end

client:ready({ timeout = false }, function(err)
  assert(not err, err and tostring(err))
  load.say "ready"
end)
load.serve(start, function() os.exit(0) end)
uv.run()
