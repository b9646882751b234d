--- What a leader has against a change, as the error that its asker gets. What
-- passes by itself is no answer: then it is asked again.
local change = require "raft.change"
local configuration = require "raft.configuration"
local errors = require "raft.errors"

local M = {}

local PATIENCE <const> = 2  -- of the longest election time-out

local REFUSALS <const> = {}  -- code -> function(driver, waiter, missing)

function REFUSALS.bad_config(_, waiter)
  local _, where, words = configuration.check(waiter.target)
  return errors.new("bad_membership", where and where .. ": " .. words
    or "the leader knows a rule that this change breaks")
end

function REFUSALS.no_quorum(_, waiter, missing)
  local ids = change.ids_at(missing or 0, waiter.target)
  return errors.new("no_quorum", change.no_quorum(waiter.target, ids),
    { missing = ids, outcome = "none" })
end

function REFUSALS.no_space()
  return errors.new("no_space", "the disk of the leader is full")
end

local function busy(words)
  return errors.new("busy", "another change is under way: " .. words)
end

-- Another change, or what was asked for itself, or a step of either, or a new
-- leader? All but the first pass.
function REFUSALS.busy(driver, waiter)
  waiter.busy_since = waiter.busy_since or driver:now()
  local patience = PATIENCE * driver.options.election_timeout.max
  local is_committed = driver.core:status().commit >= driver.config_index
  if change.is_begun(driver.config, waiter.asked) then
    return nil
  elseif is_committed and not configuration.is_settled(driver.config) then
    return busy(change.under_way(driver.config))
  elseif driver:now() - waiter.busy_since >= patience then
    return busy("the leader is busy with it")
  end
end

--- @param code what the core has said: "busy", "no_quorum", ...
-- @param missing the members that the leader does not hear, as a mask
-- @return an error value; nil: ask again in a while
function M.of(driver, waiter, code, missing)
  local make = REFUSALS[code]
  return make and make(driver, waiter, missing)
end

return M
