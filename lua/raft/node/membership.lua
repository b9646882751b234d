--- Which configuration is in force, and what follows from it for a node: whom
-- to keep links with, and whether it still belongs to the cluster.
local Changes = require "raft.node.changes"
local configuration = require "raft.configuration"
local errors = require "raft.errors"
local quorum = require "raft.quorum"
local view = require "raft.node.view"

local M = {}

local PATIENCE <const> = 2  -- of the longest election time-out

local Membership = { __name = "raft.membership" }
Membership.__index = Membership

--- @param driver with what @{raft.node.changes} asks for, and peers, transport,
--   proposals, reads, emit(event, ...), warn(err)
function M.new(driver)
  return setmetatable({
    driver = driver,
    changes = Changes.new(driver),
    left_at = false,   -- now() when a configuration without us came in force
    is_removed = false,  -- has it counted for long enough to be sure?
    declined = false,  -- { id=, message= }: who asked last to be added, in vain
  }, Membership)
end

-------------------------------------------------------------------- in force --

local function addresses_of(members)
  local addresses = {}
  for id, member in pairs(members) do addresses[id] = member.address end
  return addresses
end

--- Keeps links with the members of the configuration in force. One that is up
-- with somebody else stays.
function Membership:connect()
  local driver = self.driver
  local config = driver.config or driver.options
  driver.transport:peers(addresses_of(config.members))
end

local function is_member(driver)
  return driver.config and driver.config.members[driver.id] ~= nil
end

-- Another configuration, or the first one.
local function take_over(self)
  local driver = self.driver
  local config, index = driver.core:config()
  driver.config, driver.config_index = config or false, index or 0
end

--- Another configuration is in force.
function Membership:in_force(index)
  local driver = self.driver
  local was_member = is_member(driver)
  take_over(self)
  if is_member(driver) then
    self.left_at, self.is_removed = false, false
  elseif was_member then
    self.left_at = driver:now()
  end
  self:connect()
  if view.is_witness(driver) then
    driver.reads:refuse_state(function() return view.has_no_state(driver) end)
  end
  driver:emit("membership", driver:members(), index)
  driver:wants_flush()
end

local function is_as_in(options, config)
  for id, member in pairs(options.members) do
    local known = config.members[id]
    local is_same = known and known.address == member.address
      and configuration.goal(known) == member.role
      and known.priority == member.priority
    if not is_same then return false end
  end
  for id in pairs(config.members) do
    if not options.members[id] then return false end
  end
  return true
end

-- Option -> is what was given in force? What was not given agrees.
local AGREES <const> = {
  { "members", is_as_in },
  { "quorum", function(options, config)
    local rule = config.quorum
    if config.next_quorum ~= nil then rule = config.next_quorum end
    return not options.given.quorum or quorum.same(options.quorum, rule)
  end },
  { "leases", function(options, config)
    return not options.given.leases or options.leases == config.leases
  end },
  { "election_timeout", function(options, config)
    return not options.given.election_timeout
      or options.election_timeout.min == config.election_min_ms
  end },
}

--- Says so when the options differ from what the log knows.
function Membership:compare_options()
  local driver = self.driver
  if not driver.config or driver.options.join then return end
  local names = {}
  for _, option in ipairs(AGREES) do
    if not option[2](driver.options, driver.config) then
      names[#names + 1] = option[1]
    end
  end
  if #names == 0 then return end
  driver:warn(errors.new("bad_membership", ("the option %s differs from the "
    .. "configuration in the log, which counts: change it with node:change")
    :format(table.concat(names, ", ")), { options = names }))
end

--- The core has started: what does its log say?
function Membership:recover()
  take_over(self)
  local driver = self.driver
  local has_left = driver.config and not is_member(driver)
    and not driver.options.join
  self.left_at = has_left and driver:now()
end

--------------------------------------------------------------------- removed --

-- A member that was removed may never hear that this is committed. But it was
-- decided before: an entry without us comes only once the one before it, which
-- has both halves, is committed. What is committed is applied first: somebody
-- waits for the answers.
local function is_sure(self)
  local driver = self.driver
  if driver.applied >= driver.config_index then return true end
  return driver:now() >= self.left_at
    + PATIENCE * driver.options.election_timeout.max
end

local function removed(self)
  local driver = self.driver
  self.is_removed = true
  driver:warn(errors.new("bad_membership", ("%s was removed from cluster %s, "
    .. "and takes no part in it any more: stop it. To bring it back, empty its "
    .. "directory, and add it"):format(driver.id, driver.options.cluster),
    { index = driver.config_index }))
  local function make_error(is_sent)
    return view.removed_error(driver, is_sent)
  end
  driver.proposals:finish(make_error)
  driver.reads:finish(make_error)
  driver.transfers:finish(make_error)
  self.changes:finish(make_error)
end

--------------------------------------------------------------- what is asked --

--- A new node asks to be added: a voter, once it has caught up.
function Membership:invite(id, where)
  if self.changes:is_asked_of(id) then return end
  local driver = self.driver
  driver.logger:info("asks to be added", { peer = id, address = where })
  self.changes:submit {
    asked = { members = { [id] = { address = where, role = false,
      priority = false } } }, call = "add", id = id,
    is_forced = false, deadline = false,
    answer = function(err)
      self.declined = err and { id = id, message = err.message } or false
      if err then driver:warn(err) end
    end,
  }
  driver:wants_flush()
end

--- Why a node that asks to be added was not: words, or nil.
function Membership:why_declined(id)
  return self.declined and self.declined.id == id and self.declined.message
    or nil
end

--- Goes on with whatever can be done.
function Membership:dispatch()
  self.changes:dispatch()
  if not self.left_at or self.is_removed then return end
  if is_sure(self) then removed(self) end
end

--- When there is something to do, in now(); false: no time is known.
function Membership:next_time()
  local soonest = self.changes.soonest
  if not self.left_at or self.is_removed then return soonest end
  local sure_at = self.left_at
    + PATIENCE * self.driver.options.election_timeout.max
  return soonest and math.min(soonest, sure_at) or sure_at
end

--- Answers requests whose time is over.
function Membership:sweep(now)
  self.changes:sweep(now)
  if self.left_at and not self.is_removed then self.driver:wants_flush() end
end

return M
