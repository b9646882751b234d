--- A node: one replica of a replicated service. This is its public face.
--
-- Waiting calls take a callback `(err, result)` last, or suspend the running
-- coroutine and return `result`, or `nil, err`. See docs/API.md.
local Driver = require "raft.node.driver"
local Machine = require "raft.machine"
local changing = require "raft.node.changing"
local codec = require "raft.codec"
local face = require "raft.node.face"
local inside = require "raft.node.inside"
local life = require "raft.node.life"
local option_rules = require "raft.options"
local proposing = require "raft.node.proposing"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local services = require "raft.node.services"
local status = require "raft.node.status"
local taking = require "raft.node.taking"
local token = require "raft.token"
local version = require "raft.version"
local view = require "raft.node.view"
local waiting = require "raft.waiting"

local M = {}

local STOP_MS <const> = 5000

local Node = {}

---------------------------------------------------------------- the inside --

local function driver_of(node, call)
  local driver = inside.of(node)
  if driver then return driver end
  error(call .. ": call it with a colon, on the node", 3)
end

--- Runs fn soon from the loop. (For the waiting calls.)
function Node:defer(fn)
  inside.of(self):defer(fn)
end

--- Takes an error that nobody waits for. (For the waiting calls.)
function Node:report(err)
  inside.of(self):report(err)
end

--- Ends the node because of a fault. (For its driver.)
function Node:fail(err)
  life.fail(inside.of(self), err)
end

local function outside(name)
  return function() Machine.check_outside("node:" .. name) end
end

local function method(name, spec)
  spec.name = "node:" .. name
  spec.check = outside(name)
  Node[name] = waiting.method(spec)
end

local function deadline_of(driver, opts)
  return opts.timeout and driver:now() + opts.timeout
end

-------------------------------------------------------------------- life --

--- Opens the directory, recovers, listens.
-- @return true, or nil and an error; it may then be called again
function Node:start()
  Machine.check_outside("node:start")
  return life.start(driver_of(self, "node:start"))
end

local stop_and_wait = waiting.method {
  name = "node:stop", args = 0, timeout = STOP_MS,
  start = function(self, opts, answer)
    life.stop(inside.of(self), opts.timeout, function() answer(nil, true) end)
  end,
}

--- Ends in order: what is under way reaches the disk, then all is closed.
-- Needs no callback, never raises, works without a quorum. Twice is no harm.
function Node:stop(opts, callback)
  Machine.check_outside("node:stop")
  driver_of(self, "node:stop")
  if type(opts) == "function" then opts, callback = nil, opts end
  if callback == nil and not coroutine.isyieldable() then callback = false end
  return stop_and_wait(self, opts or {}, callback)
end

--- Ends at once: nothing more is sent or written.
function Node:close()
  Machine.check_outside("node:close")
  life.close(driver_of(self, "node:close"))
end

Node.propose = proposing.propose

--------------------------------------------------------------- membership --

-- node:add(id, address), node:remove(id), node:change { id = ... }
for _, name in ipairs { "add", "remove", "change" } do
  method(name, changing[name])
end

------------------------------------------------------------------- reads --

local CONSISTENCIES <const> =
  schema.one_of { "linearizable", "lease", "stale" }

local read_options = {
  { "consistency", CONSISTENCIES, default = "linearizable" },
  { "at_least", schema.text },
}

-- Waits until local state is fresh enough, then answers done().
local function barrier(driver, opts, answer, done)
  local err = view.not_running(driver)
  if err then return answer(err) end
  driver.reads:barrier(opts, deadline_of(driver, opts), answer, done)
  driver:wants_flush()
end

method("read", {
  args = 0,
  options = read_options,
  start = function(self, opts, answer)
    barrier(inside.of(self), opts, answer, function() answer(nil, true) end)
  end,
})

local ask = waiting.method {
  name = "node:query",
  args = 1,
  options = read_options,
  check = outside("query"),
  start = function(self, opts, answer, request)
    local driver = inside.of(self)
    local copy = codec.copy(request)
    barrier(driver, opts, answer, function()
      local result, err = driver.machine:query(copy)
      answer(err, result)
    end)
  end,
}

-- A request may be a table, so a lone table is one, and no options.
function Node:query(...)
  local is_left_out = select("#", ...) == 0 or type((...)) == "function"
  if is_left_out then return ask(self, nil, ...) end
  return ask(self, ...)
end

method("ready", {
  args = 0,
  start = function(self, opts, answer)
    barrier(inside.of(self), opts, answer, function() answer(nil, true) end)
  end,
})

--------------------------------------------------------------- leadership --

method("transfer", {
  args = 1, is_optional = true,
  start = function(self, opts, answer, id)
    if id ~= nil and type(id) ~= "string" then
      error("node:transfer: expected the id of a member, got " .. type(id), 3)
    end
    local driver = inside.of(self)
    local err = view.not_running(driver)
    if err then return answer(err) end
    driver.transfers:submit { id = id or false, answer = answer,
      deadline = deadline_of(driver, opts) }
    driver:wants_flush()
  end,
})

method("take_snapshot", taking)

--- A string that covers everything acknowledged to this node object.
function Node:token()
  Machine.check_outside("node:token")
  return token.make(driver_of(self, "node:token").acknowledged)
end

--------------------------------------------------------------- questions --

--- What the node knows of itself and the cluster: a new table.
function Node:status()
  return status.of(driver_of(self, "node:status"))
end

--- The leader's id and address, as far as this node knows; or nil.
function Node:leader()
  local driver = driver_of(self, "node:leader")
  if not driver.leader then return nil end
  return driver.leader, driver:address_of(driver.leader)
end

--- Does this node lead, as far as it knows?
function Node:is_leader()
  return driver_of(self, "node:is_leader").role == "leader"
end

--- The members, as the option `members` has them: a new table.
function Node:members()
  Machine.check_outside("node:members")
  return driver_of(self, "node:members"):members()
end

--- Hears an event from now on.
-- @return fn, for off
function Node:on(event, fn)
  Machine.check_outside("node:on")
  return driver_of(self, "node:on").emitter:on(event, fn)
end

--- Hears it no more. Returns true if fn was heard before.
function Node:off(event, fn)
  Machine.check_outside("node:off")
  return driver_of(self, "node:off").emitter:off(event, fn)
end

--- The proxy of a service of this node.
-- @param opts timeout, consistency, at_least of its calls
function Node:service(name, opts)
  Machine.check_outside("node:service")
  local proxy = services.of(driver_of(self, "node:service"), name, opts)
  return proxy
end

------------------------------------------------------------- construction --

--- A node; nothing is opened before start.
-- @param options see docs/API.md
-- @raise when an option is wrong, naming it
function M.new(options)
  local checked = option_rules.node(options)
  checked.uv = checked.uv or scheduler.uv()
  local node = {}
  local driver = Driver.new(checked, node)
  inside.put(node, driver)
  setmetatable(node, face.of(driver, Node))
  life.prepare(driver)
  driver.version = version
  return node
end

return M
