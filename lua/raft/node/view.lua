--- What a node knows of its cluster, in data and in words.
local configuration = require "raft.configuration"
local errors = require "raft.errors"

local M = {}

local function members_of(driver)
  return driver.config and driver.config.members or driver.options.members
end

--- The address of a member, or nil.
function M.address_of(driver, id)
  local member = id and members_of(driver)[id]
  return member and member.address or nil
end

--- The members as the option `members` has them: a new table.
function M.members(driver)
  return configuration.members(driver.config or driver.options)
end

--- Who is enough: "majority", or a rule of the shape of the option `quorum`.
function M.quorum(driver)
  return (driver.config or driver.options).quorum or "majority"
end

--- Is there a link with this node?
function M.reaches(driver, id)
  return driver.transport:has(id)
end

--- The error for who asked us to lead when another does.
function M.leader_error(driver)
  return errors.new("not_leader", ("the leader is %s"):format(driver.leader), {
    leader = driver.leader,
    address = M.address_of(driver, driver.leader),
  })
end

local function what_is_missing(driver)
  if not driver.formed and driver.options.join then
    return driver.id .. " waits to be added to a cluster"
  elseif not driver.formed then
    return "the cluster has not formed: " .. driver.peers:missing()
  elseif not driver.leader then
    return "no leader is known"
  elseif driver.role ~= "leader" and not driver:reaches(driver.leader) then
    return ("the leader %s cannot be reached"):format(driver.leader)
  end
  return ("the leader %s has not answered"):format(driver.leader)
end

--- Why nothing moves, in words.
function M.why_no_leader(driver)
  local refusal = driver.peers:newest_refusal()
  return what_is_missing(driver) .. (refusal and "; " .. refusal or "")
end

--- The error for a call on a node that is no member any more.
-- @param is_sent is it in a log, or on its way to one?
function M.removed_error(driver, is_sent)
  return errors.new("not_leader", ("%s was removed from cluster %s: ask a "
    .. "member"):format(driver.id, driver.options.cluster),
    { outcome = is_sent and "unknown" or "none", retry = false })
end

--- Does this node keep no commands, and so no state?
function M.is_witness(driver)
  local own = driver.config and driver.config.members[driver.id]
  return own and own.role == "witness" and own.next_role ~= "voter"
    or false
end

--- Is there no state here that could answer, of a witness or in the directory
-- of one that was?
function M.is_stateless(driver)
  return M.is_witness(driver) or driver.lacks_commands
end

--- The error for who asks a node whose results are not the majority's.
-- @param is_sent is it in a log, or on its way to one?
function M.diverged_error(driver, is_sent)
  local info = driver.diverged
  return errors.new("diverged", ("%s has come to other results than a majority "
    .. "at entry %d: ask another member"):format(driver.id, info.index),
    { index = info.index, outcome = is_sent and "unknown" or "none" })
end

--- nil, or the error for who asks for what only a state can answer that is
-- none, or not the others'.
function M.has_no_state(driver)
  if driver.diverged then return M.diverged_error(driver, false) end
  if not M.is_stateless(driver) then return nil end
  local why = M.is_witness(driver) and "is a witness and has no state"
    or "was a witness in this directory, which lacks commands"
  return errors.new("unsupported", ("%s %s: ask another member"):format(
    driver.id, why), { reason = "stateless" })
end

local STATE_WORDS <const> = { new = "has not been started",
  starting = "is starting", stopping = "is stopping" }

--- The error for a call on a node that has ended, or is about to.
-- @param is_sent is it in a log, or on its way to one?
function M.ended_error(driver, is_sent)
  local outcome = is_sent and "unknown" or "none"
  if driver.failure then
    return errors.new("failed", ("node %s has failed: %s"):format(driver.id,
      errors.text(driver.failure)),
      { outcome = outcome, cause = driver.failure, retry = false })
  end
  local words = STATE_WORDS[driver.state] or "is closed"
  return errors.new("closed", ("node %s %s"):format(driver.id, words),
    { outcome = outcome })
end

--- nil, or the error for a call on a node that does not run.
function M.not_running(driver)
  if driver.state ~= "running" then return M.ended_error(driver, false) end
  if driver.membership.is_removed then
    return M.removed_error(driver, false)
  end
end

return M
