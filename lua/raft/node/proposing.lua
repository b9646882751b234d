--- node:propose: what is asked of the user, and the two ways it goes.
--
-- Calls with a callback on a leader form a group (raft.node.group); all others
-- are waiters of their own (raft.node.proposals).
local Machine = require "raft.machine"
local errors = require "raft.errors"
local inside = require "raft.node.inside"
local schema = require "raft.schema"
local user_code = require "raft.user_code"
local view = require "raft.node.view"
local waiting = require "raft.waiting"

local M = {}

local drivers <const>, now <const> = inside.drivers, user_code.now

-- nil, or why this node cannot take it.
local function refusal(driver, command)
  local err = view.not_running(driver) or view.has_no_state(driver)
  local max = driver.options.max_command_bytes
  if err or #command <= max then return err end
  return errors.new("too_large", ("a command of %d bytes is over "
    .. "max_command_bytes = %d"):format(#command, max),
    { size = #command, max = max })
end

-- By itself.
local function start(self, opts, answer, command, _, can_wait)
  local driver = inside.of(self)
  if type(command) ~= "string" then
    error("node:propose: expected the command as a string, got "
      .. type(command) .. " (raft.codec.encode makes one of any plain value)",
      3)
  end
  local err = refusal(driver, command)
  if err then return answer(err) end
  driver:tell_wall(true)
  driver.proposals:submit {
    command = command, can_forward = opts.forward, can_wait = can_wait,
    deadline = opts.timeout and driver:now() + opts.timeout, answer = answer,
  }
end

-- As the first of a group.
local function join(self, opts, given, callback, command)
  local driver = inside.of(self)
  return type(command) == "string" and not refusal(driver, command)
    and driver.proposals:begin_group(command, opts, given, callback)
end

local propose_any <const> = waiting.method {
  name = "node:propose",
  args = 1,
  options = { { "forward", schema.boolean, default = true } },
  check = function() Machine.check_outside("node:propose") end,
  join = join,
  start = start,
}

--- Proposes a command: see docs/API.md. Most calls are like the one before, in
-- the same turn: they cost no more than to join its group.
function M.propose(self, command, opts, callback, extra)
  local driver = drivers[self]
  local group = driver and driver.proposals.group
  if group and not now.runs and extra == nil then
    if callback == nil and type(opts) ~= "table" then
      if group:add(command, nil, opts) then return end
    elseif group:add(command, opts, callback) then
      return
    end
  end
  -- Calls at the end: errors blame whoever called us.
  if extra ~= nil then
    return propose_any(self, command, opts, callback, extra)
  elseif callback ~= nil then
    return propose_any(self, command, opts, callback)
  elseif opts ~= nil then
    return propose_any(self, command, opts)
  end
  return propose_any(self, command)
end

return M
