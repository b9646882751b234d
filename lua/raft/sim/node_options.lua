--- The options that a simulated process gives its node: the user's own, wrapped
-- so that they run as the code of that node, and the simulation's.
local Code = require "raft.sim.code"
local errors = require "raft.errors"

local M = {}

-- What of the options is run as the node's own code.
local CODE <const> = { "apply", "query", "snapshot", "restore", "save", "load" }

-- What the simulation gives, and a user may not.
local OURS <const> = { "id", "members", "dir", "uv", "host", "volatile" }

-- What ctx.random is: a stream, and like math.random when called.
local function callable(random)
  local meta = getmetatable(random)
  return setmetatable({ state = random:bits(), seed = random.seed }, {
    __index = meta.__index,
    __call = function(self, low, high)
      if not low then return self:real() end
      if not high then low, high = 1, low end
      return self:between(low, high)
    end,
  })
end

local function check_options(id, options)
  if type(options) ~= "table" then
    error(("raft.sim: node(%q): expected a table of options, got %s"):format(id,
      type(options)), 0)
  end
  for _, name in ipairs(OURS) do
    if options[name] ~= nil then
      error(("raft.sim: node(%q): %s is given by the simulation"):format(id,
        name), 0)
    end
  end
end

-- Apply, with what it did told to the invariants.
local function observed(self, loop, apply)
  local invariants = self.sim.invariants
  local current = setmetatable({ index = 0, command = "" }, {
    __close = function(now, err)
      if err == nil or loop.is_dead then return end
      -- What raft.machine has made of it says whether it is a result.
      if type(err) == "table" and err.is_local then return end
      invariants:applied(self, now.index, now.command, false)
    end,
  })
  return function(command, entry)
    current.index, current.command = entry.index, command
    local _ <close> = current
    local value, extra = apply(command, entry)
    if not loop.is_dead then
      invariants:applied(self, entry.index, command, true, value, extra)
    end
    return value, extra
  end
end

-- A query of services, which must not change the state, nor find anything in it
-- that no snapshot could hold.
local function unchanging(self, machine, query)
  return function(request)
    local before = machine:snapshot()
    local value, why = query(request)
    if machine:snapshot() ~= before then
      self.sim.invariants:fail(self, "queries: %s has changed the state",
        machine.where)
    end
    return value, why
  end
end

--- The services of a node that was made with these options: what runs them is
-- the code of that node, like an apply of its own.
function M.observe(self, driver)
  if not driver.services then return end
  self.services = driver.services:descriptions()
  local code, run = self.code, driver.machine
  run.apply_fn = observed(self, self.loop, code:wrap(run.apply_fn))
  for _, name in ipairs { "query_fn", "snapshot_fn", "restore_fn",
    "configure_fn" } do
    run[name] = code:wrap(run[name])
  end
  run.query_fn = unchanging(self, driver.services.machine, run.query_fn)
end

-- How snapshots are taken, where the simulation says so and the user does not.
local function add_snapshots(options, drawn)
  if not drawn then return end
  options.snapshot_mode = options.snapshot_mode or drawn.mode
  options.snapshot_bytes = options.snapshot_bytes or drawn.bytes
end

--- The options of raft.node for this start of a member.
function M.of(self)
  local code = Code.new(self.random:derive("code " .. self.boot), self.host,
    self.loop)
  self.code = code
  local ctx = { uv = self.loop.uv, id = self.id, boot = self.boot,
    random = callable(self.random:derive("user " .. self.boot)) }
  local given = code:wrap(self.sim.options.node)(self.id, ctx)
  check_options(self.id, given)
  local options = { log = false }
  for name, value in pairs(given) do options[name] = value end
  for _, name in ipairs(CODE) do
    if options[name] then options[name] = code:wrap(options[name]) end
  end
  if options.apply then
    options.apply = observed(self, self.loop, options.apply)
  end
  add_snapshots(options, self.sim.options.snapshots)
  options.on = {
    error = function(err) self:note("error", errors.text(err)) end,
  }
  for name, fn in pairs(given.on or {}) do options.on[name] = fn end
  options.id, options.members = self.id, self.sim:addresses()
  options.listen = self.listens
  if not options.members[self.id] then  -- it comes later
    options.members, options.join = nil, true
  end
  options.dir, options.uv, options.host = "/data", self.loop.uv, self.host
  return options
end

return M
