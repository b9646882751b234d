--- What clients may ask a node beside proposing: its own methods, by name.
local answers = require "raft.answers"
local core = require "raft.core"
local errors = require "raft.errors"
local inside = require "raft.node.inside"
local token = require "raft.token"

local M = {}

-- What a client wants to know of the cluster, as bytes of @{raft.answers}.
local function head_of(driver)
  local min = driver.options.election_timeout.min
  local head = { id = driver.id, members = driver:members(),
    term = driver.term, ping_ms = min,
    max_command_bytes = driver.options.max_command_bytes }
  if driver.leader then
    head.leader, head.address = driver.leader, driver:address_of(driver.leader)
  end
  return answers.encode(true, head)
end

--- A function that gives the head, made anew when it is another one.
function M.new_head(driver)
  local leader, term, config, bytes
  return function()
    local is_same = bytes and driver.leader == leader and driver.term == term
      and driver.config == config
    if is_same then return bytes end
    leader, term, config = driver.leader, driver.term, driver.config
    bytes = head_of(driver)
    return bytes
  end
end

-- Who asks without a time-out asks again after this one. Whoever has gone
-- meanwhile does not, and would be waited for here for ever.
local QUESTION_MS <const> = 60000

local function in_time(opts)
  if type(opts) ~= "table" or opts.timeout ~= false then return opts end
  local all = {}
  for name, value in pairs(opts) do all[name] = value end
  all.timeout = QUESTION_MS
  return all
end

-- Name of a call -> the method, with up to two arguments, options, callback.
local CALLS <const> = {}

function CALLS.status(node, _, done) done(nil, node:status()) end
function CALLS.members(node, _, done) done(nil, node:members()) end
function CALLS.ready(node, said, done) node:ready(in_time(said.opts), done) end
function CALLS.read(node, said, done) node:read(in_time(said.opts), done) end
function CALLS.add(node, said, done)
  node:add(said.a, said.b, said.opts, done)
end
function CALLS.remove(node, said, done) node:remove(said.a, said.opts, done) end
function CALLS.change(node, said, done) node:change(said.a, said.opts, done) end
function CALLS.transfer(node, said, done)
  if said.a == nil then return node:transfer(said.opts, done) end
  node:transfer(said.a, said.opts, done)
end
function CALLS.take_snapshot(node, said, done)
  node:take_snapshot(said.opts, done)
end

function CALLS.service(node, said, done)
  local services = inside.of(node).services
  local all = services and services:descriptions() or {}
  local found = all[said.a]
  if found then return done(nil, found) end
  local names = {}
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  done(errors.new("unsupported", ("there is no service %s: there is %s"):format(
    errors.text(said.a), #names > 0 and table.concat(names, ", ") or "none")))
end

-- Calls a method as a user would. What that raises is what the client gets.
local function try(done, fn, ...)
  local ok, why = pcall(fn, ...)
  if ok then return end
  done(errors.new("bad_value", errors.text(why), { outcome = "none" }))
end

--- @param said { name =, a =, b =, opts = }
-- @param done function(err, result)
function M.call(node, said, done)
  local call = CALLS[said.name]
  if not call then
    return done(errors.new("unsupported", ("this node knows no call %s")
      :format(errors.text(said.name))))
  end
  try(done, call, node, said, done)
end

local CONSISTENCIES <const> = { linearizable = true, lease = true,
  stale = true }
local TIMEOUT_MS <const> = 5000  -- of a query that does not say
local TIMEOUT_MS_MAX <const> = 1 << 53

-- How long a query may take; nil: that is none of our values.
local function ms_of(timeout)
  if timeout == nil then return TIMEOUT_MS end
  if timeout == false then return QUESTION_MS end
  local is_usual = math.type(timeout) == "integer" and timeout >= 0
    and timeout <= TIMEOUT_MS_MAX
  return is_usual and timeout or nil
end

-- What has to be applied here, where only that counts; nil: that is no token.
local function index_of(consistency, at_least)
  if type(at_least) == "string" then return token.index(at_least) end
  if at_least ~= nil then return nil end
  return consistency == "stale" and 0 or false
end

--- The waiter for @{raft.node.reads} of a query that says nothing unusual, with
-- its request; nil: M.query is to look at it, and finds the words.
function M.read(body, now)
  local is_query, at_least, consistency, timeout, request =
    core.query_decode(body)
  if not is_query then return nil end
  consistency = consistency or "linearizable"
  local ms, index = ms_of(timeout), index_of(consistency, at_least)
  if not ms or index == nil or not CONSISTENCIES[consistency] then
    return nil
  end
  return { request = request, deadline = now + ms, index = index,
    is_leased = consistency == "lease", is_ready = false, answer = false,
    id = 0, size = 0 }
end

--- @param said { request =, opts = }
function M.query(node, said, done)
  try(done, node.query, node, said.request, in_time(said.opts), done)
end

return M
