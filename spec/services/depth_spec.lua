-- Tables in a value that a battery keeps: what can be asked for must fit into
-- the state, which is deeper, and into every answer.
local codec = require "raft.codec"
local config = require "raft.services.config"
local cron = require "raft.services.cron"
local map = require "raft.services.map"
local one_service = require "spec.support.one_service"
local queue = require "raft.services.queue"

local DEPTH_MAX <const> = 90

local function nested(depth)
  local value = 1
  for _ = 1, depth do value = { value } end
  return value
end

-- Module, command, its arguments in front, and how deep in the next one the
-- value stands.
local CASES <const> = {
  { map, "map.put", { "k" } },
  { queue, "queue.push", {} },
  { config, "config.set", { "k" } },
  { config, "config.update", {}, "k" },
  { cron, "cron.set", { "k" }, "payload" },
}

-- What the command says to a value that is so deep; and the log.
local function answer(case, depth)
  local log = one_service.new(case[1]())
  local value = nested(depth)
  if case[4] then value = { every = 1000, [case[4]] = value } end
  if case[1] == config and case[4] then value.every = nil end
  local arguments = table.move(case[3], 1, #case[3], 1, {})
  arguments[#arguments + 1] = value
  local result, why = log:run(case[2]:match("%.(%w+)$"),
    table.unpack(arguments))
  return log, result, why
end

describe("a value in a battery", function()
  for _, case in ipairs(CASES) do
    it("may be " .. DEPTH_MAX .. " tables deep: " .. case[2], function()
      local log, result, why = answer(case, DEPTH_MAX)
      assert.is_truthy(result, why)
      assert.is_string(log:bytes())
      for query in pairs(case[1]().queries) do
        if query == "list" or query == "all" or query == "history"
          or query == "jobs" or query == "peek" then
          codec.copy(log:ask(query))
        end
      end
    end)

    it("may be no deeper: " .. case[2], function()
      local log, result, why = answer(case, DEPTH_MAX + 1)
      assert.is_nil(result)
      assert.matches("at most 90 tables deep", why, 1, true)
      assert.is_string(log:bytes())
    end)
  end
end)
