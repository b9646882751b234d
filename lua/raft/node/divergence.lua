--- Nodes whose results differ: what the user is told, and what a node does that
-- is one of them.
--
-- Who differs from a majority serves nobody from then on: its state is another
-- one, and nobody knows since when. It goes on storing the log and voting, for
-- its log is what the others have, hands over if it leads, and takes no more
-- snapshots. Nothing brings it back but a start from another state: see
-- docs/OPERATIONS.md.
local errors = require "raft.errors"
local view = require "raft.node.view"

local M = {}

local function hex(digest)
  return digest ~= 0 and ("%016x"):format(digest)
end

-- What a leader knows of the others' results at this index.
local function digests_of(driver, index, own)
  local digests = { [driver.id] = hex(own) or nil }
  for id, peer in pairs(driver.core:status().peers) do
    if peer.digest_index == index then digests[id] = hex(peer.digest) end
  end
  return digests
end

local function place_words(info)
  return ("between entry %d and entry %d"):format(info.agreed + 1, info.index)
end

local WORDS <const> = {
  own = "%s has come to other results than a majority, %s: it serves nobody "
    .. "any more. Something in its state machine is not deterministic",
  other = "%s has come to other results than a majority, %s: it serves nobody "
    .. "any more",
  none = "results differ%s, %s, and no majority has the same: all go on "
    .. "serving, and who asks them may hear different answers",
}

-- From now on nobody is served here.
local function stop_serving(driver, info)
  driver.diverged = { index = info.index, agreed = info.agreed,
    majority = info.majority, own = info.digests[driver.id] }
  driver.health:set("diverged", true)
  local function refusal(is_sent)
    return view.diverged_error(driver, is_sent)
  end
  driver.reads:refuse_state(refusal)
  driver.proposals:finish(refusal)
  driver.snapshots:finish(refusal)
end

--- What node:status() tells of a node that differs: a copy; or nil.
function M.status(driver)
  local told = driver.diverged
  return told and { index = told.index, agreed = told.agreed,
    majority = told.majority, own = told.own } or nil
end

--- A DIVERGED effect of the core: the results at `index`, and none up to
-- `agreed`, of the node `id` are others than those of the majority; false:
-- there is no majority.
function M.heard(driver, index, id, agreed, majority, own)
  if view.is_stateless(driver) then return end
  local kind = not id and "none" or id == driver.id and "own" or "other"
  local info = {
    index = index,          -- the first one compared that differs
    agreed = agreed,        -- the newest one compared that does not; 0: none
    id = id or nil,         -- who differs from the majority
    majority = hex(majority) or nil,
    digests = digests_of(driver, index, own),  -- id -> digest, as known here
  }
  if kind == "own" then stop_serving(driver, info) end
  driver:warn(errors.new("diverged", WORDS[kind]:format(id or "",
    place_words(info)), { index = index, agreed = agreed, id = id or nil }))
  driver:emit("diverged", info)
end

return M
