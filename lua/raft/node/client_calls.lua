--- What clients may ask a node beside proposing: its own methods, by name.
local answers = require "raft.answers"
local errors = require "raft.errors"
local inside = require "raft.node.inside"

local M = {}

--- What a client wants to know of the cluster, as bytes of @{raft.answers}.
function M.head(driver)
  local min = driver.options.election_timeout.min
  local head = { id = driver.id, members = driver:members(),
    term = driver.term, ping_ms = min,
    max_command_bytes = driver.options.max_command_bytes }
  if driver.leader then
    head.leader, head.address = driver.leader, driver:address_of(driver.leader)
  end
  return answers.encode(true, head)
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

--- @param said { request =, opts = }
function M.query(node, said, done)
  try(done, node.query, node, said.request, in_time(said.opts), done)
end

return M
