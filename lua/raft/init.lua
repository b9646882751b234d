--- raft: turns a Lua script into a replicated, fault-tolerant service.
-- Requiring defines; nothing is opened or started before it is asked for.
local Machine = require "raft.machine"
local client = require "raft.client"
local codec = require "raft.codec"
local errors = require "raft.errors"
local node = require "raft.node"
local recover = require "raft.recover"
local replay = require "raft.replay"
local run = require "raft.run"
local service = require "raft.service"
local task = require "raft.task"
local verify = require "raft.verify"
local version = require "raft.version"

-- Inside apply and query only what computes is allowed: the codec.
local function outside(name, fn)
  return function(...)
    Machine.check_outside("raft." .. name)
    return fn(...)  -- a tail call: whoever fn blames is still our caller
  end
end

return {
  _VERSION = version,
  node = outside("node", node.new),
  client = outside("client", client.new),
  service = outside("service", service.new),
  run = outside("run", run.run),
  spawn = outside("spawn", task.spawn),
  sleep = outside("sleep", task.sleep),
  recover = outside("recover", recover.run),
  replay = outside("replay", replay.run),
  verify = outside("verify", verify.run),
  is_error = errors.is_error,
  codec = { encode = codec.encode, decode = codec.decode },
}
