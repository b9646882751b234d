--- raft: turns a Lua script into a replicated, fault-tolerant service.
-- Requiring defines; nothing is opened or started before it is asked for.
local codec = require "raft.codec"
local errors = require "raft.errors"
local node = require "raft.node"
local run = require "raft.run"
local task = require "raft.task"
local version = require "raft.version"

return {
  _VERSION = version,
  node = node.new,
  run = run.run,
  spawn = task.spawn,
  sleep = task.sleep,
  is_error = errors.is_error,
  codec = { encode = codec.encode, decode = codec.decode },
}
