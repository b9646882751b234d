--- The calls that change the cluster: what node:add, node:remove and
-- node:change take, as raft.waiting wants it.
local inside = require "raft.node.inside"
local members = require "raft.members"
local quorum = require "raft.quorum"
local schema = require "raft.schema"
local view = require "raft.node.view"

local M = {}

local USER <const> = 5  -- whose fault a wrong argument is, for error

local ELECTION_MS_MAX <const> = 3600000

-- @param call "add" or "remove", of the member `id`; nil otherwise
local function submit(self, opts, answer, asked, call, id)
  local driver = inside.of(self)
  local err = view.not_running(driver)
  if err then return answer(err) end
  driver.membership.changes:submit {
    asked = asked, call = call or false, id = id or false,
    is_forced = opts.force, answer = answer,
    deadline = opts.timeout and driver:now() + opts.timeout,
  }
  driver:wants_flush()
end

local function check(name, rule, value)
  local result = schema.check(name, USER, rule, value)
  return result
end

-- One member's change, of its name and what is asked of it.
local function one(name, id, wanted)
  return check(name, function()
    schema.name(id, "id")
    return { members = { [id] = members.change(wanted, "address") } }
  end)
end

M.add = {
  args = 2,
  timeout = false,
  options = {
    { "role", schema.one_of { "voter", "learner", "witness" },
      default = "voter" },
    { "priority", schema.integer(0, 255) },  -- of who is there, stays
    { "force", schema.boolean },
  },
  start = function(self, opts, answer, id, address)
    local asked = one("node:add", id, address == false and 0 or address)
    local wanted = asked.members[id]
    wanted.role, wanted.priority = opts.role, opts.priority
    submit(self, opts, answer, asked, "add", id)
  end,
}

M.remove = {
  args = 1,
  timeout = false,
  options = { { "force", schema.boolean } },
  start = function(self, opts, answer, id)
    local asked = one("node:remove", id, false)
    submit(self, opts, answer, asked, "remove", id)
  end,
}

-- Settings that were not given are not asked for: schema says false for them.
local NOT_GIVEN <const> = {}

local function settings(opts, asked)
  for name, value in pairs { quorum = opts.quorum, leases = opts.leases,
    election_min_ms = opts.election_timeout_min } do
    if value ~= NOT_GIVEN then asked[name] = value end
  end
  return asked
end

M.change = {
  args = 1,
  timeout = false,
  options = {
    { "force", schema.boolean },
    { "quorum", quorum.rule, default = NOT_GIVEN },
    { "leases", schema.boolean, default = NOT_GIVEN },
    { "election_timeout_min", schema.integer(2, ELECTION_MS_MAX, "ms"),
      default = NOT_GIVEN },
  },
  start = function(self, opts, answer, spec)
    local asked = check("node:change", function()
      return { members = members.changes(spec, "") }
    end)
    submit(self, opts, answer, settings(opts, asked))
  end,
}

return M
