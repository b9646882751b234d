--- raft: turns a Lua script into a replicated, fault-tolerant service.
-- Requiring defines; nothing is opened or started before it is asked for.

-- Before anything else is loaded: older ones cannot even read the rest, and
-- would name a line of ours.
if tonumber(_VERSION:match("%d+%.%d+")) < 5.4 then
  error("raft needs Lua 5.4, and this is " .. _VERSION .. ": start the script "
    .. "with lua5.4", 0)
end

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

local M

-- Inside apply and query only what computes is allowed: the codec.
local function outside(name, fn)
  return function(...)
    Machine.check_outside("raft." .. name)
    if rawequal((...), M) then
      error(("raft.%s: call it with a dot, raft.%s(...)"):format(name, name), 2)
    end
    return fn(...)  -- a tail call: whoever fn blames is still our caller
  end
end

M = {
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

return M
