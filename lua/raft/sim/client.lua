--- A client of a simulated cluster: raft.client itself, on a machine of its
-- own. What it is asked and answers stands in the history.
local Loop = require "raft.sim.loop"
local client = require "raft.client"
local handle = require "raft.sim.handle"
local services = require "raft.sim.services"
local token = require "raft.token"
local waiting = require "raft.waiting"

local M = {}

local Client = { __name = "raft.sim.client" }
Client.__index = Client

local NOT_GIVEN <const> = {}

local function as_it_is(value) return value end

-- Calls the method in the client's process; the answer comes in the script's.
local function call(self, name, done, ...)
  local script = self.sim.script.loop
  local args = table.pack(...)
  args[args.n + 1] = function(err, result) script:ready(done, err, result) end
  self.loop:ready(function()
    self.client[name](self.client, table.unpack(args, 1, args.n + 1))
  end)
end

-- What the library promises of an answer.
local function told(self)
  self.sim.invariants:told_client(token.index(self:token()))
end

-- The options that were given, and a time-out in any case.
local function given(opts)
  local all = {}
  for name, value in pairs(opts) do
    if value ~= NOT_GIVEN then all[name] = value end
  end
  return all
end

-- @param kind what it is in the history, or nil
local function start_of(name, args, kind)
  return function(self, opts, answer, a, b)
    if name == "propose" then handle.check_command("client:propose", a) end
    local history = kind and self.sim.operations
    local operation = history and history:begin(self.name, kind, a)
    local function done(err, result)
      if operation then
        history:finish(operation, err, result)
        if operation.outcome == "unknown" then
          self.sim.marks:see("unknown")
        end
        if name == "propose" and not err then told(self) end
      end
      answer(err, result)
    end
    opts = given(opts)
    if args == 0 or args == 1 and a == nil and name ~= "query" then
      return call(self, name, done, opts)
    elseif args == 1 then
      return call(self, name, done, a, opts)
    end
    call(self, name, done, a, b, opts)
  end
end

local function method(name, args, options, extra)
  local fields = {}
  for i, option in ipairs(options) do
    fields[i] = { option, as_it_is, default = NOT_GIVEN }
  end
  extra = extra or {}
  Client[name] = waiting.method {
    name = "client:" .. name, args = args, is_optional = extra.is_optional,
    timeout = extra.timeout, options = fields,
    start = start_of(name, args, extra.kind),
  }
end

local READ <const> = { "consistency", "at_least" }
local OPTIONAL <const> = { is_optional = true }
local FOR_EVER <const> = { timeout = false }

method("propose", 1, {}, { kind = "propose" })
method("query", 1, READ, { kind = "query" })
Client.query = handle.optional(Client.query)
method("read", 0, READ, { kind = "read" })
method("ready", 0, {})
method("status", 1, {}, OPTIONAL)
method("members", 0, {})
method("take_snapshot", 1, {}, OPTIONAL)
method("transfer", 1, {}, OPTIONAL)
method("add", 2, { "role", "priority", "force" }, FOR_EVER)
method("remove", 1, { "force" }, FOR_EVER)
method("change", 1, { "force", "quorum", "leases", "election_timeout_min" },
  FOR_EVER)

--- The proxy of a service.
function Client:service(name, opts)
  local proxy = services.of_client(self, name, opts)
  return proxy
end

--- A string that covers everything acknowledged to this client.
function Client:token()
  return self.loop:enter(self.client.token, self.client)
end

function Client:defer(fn) self.sim.script.scheduler:defer(fn) end
function Client:report(err) self.sim.script.scheduler:report(err) end

--- Ends it; what is under way is answered `closed`.
function Client:close()
  if self.sim.is_closed then return end
  self.sim.clients:remove(self)
  self.loop:enter(self.client.close, self.client)
end

Client.__close = Client.close

-- Where its user looks for the cluster: those that form it, or have changed it,
-- at the addresses that they have by now.
local function addresses_of(sim)
  local config, list = sim.operator:config(), {}
  for i, id in ipairs(sim.ids) do
    local is_member = i <= sim.options.initial
    if config then is_member = config.members[id] ~= nil end
    if is_member then list[#list + 1] = sim:address_of(id) end
  end
  return list
end

--- A client of this simulation.
-- @param number of its machine
-- @param options of raft.client, beside those that the simulation gives
function M.new(sim, name, number, options)
  local random = sim.world:random("client " .. number)
  local loop = Loop.new(sim.world, { name = "client " .. number,
    start_ns = random:between(1, 1 << 50),
    order = random:pick { "1.44", "later" } })
  local ip = ("10.0.%d.%d"):format(1 + number // 250, 1 + number % 250)
  sim.network:join(loop, ip)
  local self = setmetatable({ sim = sim, name = name, loop = loop, ip = ip,
    client = false }, Client)
  loop:enter(function()
    local all = { uv = loop.uv, log = false, members = addresses_of(sim) }
    for option, value in pairs(options or {}) do all[option] = value end
    self.client = client.new(all)
  end)
  return self
end

return M
