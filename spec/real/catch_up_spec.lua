-- A log larger than the memory it may take: what has left memory is read back
-- from the segments, for a follower that was away and for a node that starts.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"

local COMMAND_BYTES <const> = 1 << 20
local COMMANDS <const> = 40  -- MiB; a node keeps 32 in memory

-- Each command is told apart by its head; all heads are kept.
local function machine_of(heads)
  return function(command)
    heads[#heads + 1] = command:sub(1, 4)
    return #command
  end
end

local function fill(node)
  local tail = ("x"):rep(COMMAND_BYTES - 4)
  for i = 1, COMMANDS do
    assert(node:propose(("%04d"):format(i) .. tail))
  end
end

describe("a log larger than memory", function()
  it("reaches a follower that was away, and a node that starts", function()
    local heads = {}
    local cluster <close> = Cluster.new { nodes = 3,
      election = { 200, 400 },
      node = function(id)
        heads[id] = {}
        return { apply = machine_of(heads[id]) }
      end }
    cluster:start()
    local leader = cluster:leader()
    local away = cluster:followers()[1].id
    cluster:close_node(away)
    fill(leader)
    local memory = leader:status().memory_bytes
    assert.is_true(memory < COMMANDS * COMMAND_BYTES, tostring(memory))

    cluster:start(away)
    helper.wait_until(function() return #heads[away] == COMMANDS end, 15000)
    assert.same(heads[leader.id], heads[away])

    local again = cluster:restart(away)
    assert(again:ready { timeout = 10000 })
    assert.same(heads[leader.id], heads[away])
  end)
end)
