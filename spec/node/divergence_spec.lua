-- Results that differ, on real sockets and files. What all of it means, and
-- when, is in spec/sim/divergence_spec.lua.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"

local EVERY <const> = 8

-- A cluster that applies; the results of `wrong.id` are its own.
local function new_cluster(wrong, told, more)
  local cluster = Cluster.new { nodes = 3, is_calm = true, node = function(id)
    local count = 0
    local options = {
      compare_every = EVERY,
      apply = function()
        count = count + 1
        return id == wrong.id and -count or count
      end,
      query = function() return count end,
      snapshot = function() return tostring(count) end,
      restore = function(bytes) count = math.tointeger(tonumber(bytes)) end,
      on = { diverged = function(info) told[#told + 1] = { id, info } end },
    }
    for name, value in pairs(more and more(id) or {}) do
      options[name] = value
    end
    return options
  end }
  return cluster:up()
end

local function propose(node, count)
  for _ = 1, count do assert(node:propose("x")) end
end

local function is_told(told, id)
  for _, one in ipairs(told) do
    if one[1] == id then return one[2] end
  end
end

describe("a node that differs", function()
  it("is found, and serves nobody, by callback and in a coroutine", function()
    local wrong, told = {}, {}
    local cluster <close> = new_cluster(wrong, told)
    local leader, leader_id = cluster:leader()
    local _, ids = cluster:followers()
    propose(leader, EVERY)
    wrong.id = ids[1]
    propose(leader, 2 * EVERY)
    helper.wait_until(function()
      return is_told(told, wrong.id) and is_told(told, leader_id)
    end)
    local info = is_told(told, wrong.id)
    assert.equal(0, info.index % EVERY)
    assert.equal(info.index - EVERY, info.agreed)
    assert.equal(wrong.id, info.id)
    assert.equal(wrong.id, is_told(told, leader_id).id)
    local node = cluster.nodes[wrong.id]
    local _, err = node:propose("x")
    assert.equal("diverged", err.code)
    local answered
    node:query("count", {}, function(why) answered = why end)
    helper.wait_until(function() return answered end)
    assert.equal("diverged", answered.code)
    assert.equal(info.index, node:status().diverged.index)
    assert.is_nil(leader:status().diverged)
    assert.is_nil(is_told(told, ids[2]))
    propose(leader, 3)
  end)

  it("is known again after a restart from its own snapshot", function()
    local wrong, told = {}, {}
    local cluster <close> = new_cluster(wrong, told)
    local _, ids = cluster:followers()
    wrong.id = ids[1]
    propose(cluster:leader(), 3)
    helper.wait_until(function()
      return cluster.nodes[wrong.id]:status().applied >= 5
    end)
    assert(cluster.nodes[wrong.id]:take_snapshot())  -- before it is known
    propose(cluster:leader(), EVERY)
    helper.wait_until(function() return is_told(told, wrong.id) end)
    local id = wrong.id
    wrong.id = false  -- it would be right now, but for its snapshot
    cluster:restart(id)
    helper.wait_until(function() return cluster.nodes[id]:status().diverged end)
  end)

  it("is in a recording, which runs again to the same", function()
    local wrong, told, lines = {}, {}, {}
    local tmp <close> = tmpdir.new()
    local cluster <close> = new_cluster(wrong, told, function(id)
      return { record = tmp:join(id) }
    end)
    local leader, leader_id = cluster:leader()
    local _, ids = cluster:followers()
    wrong.id = ids[1]
    propose(leader, 2 * EVERY)
    helper.wait_until(function() return is_told(told, leader_id) end)
    for _, id in ipairs(cluster.ids) do cluster.nodes[id]:stop() end
    local result, err = raft.replay(tmp:join(leader_id), {
      trace = function(line) lines[#lines + 1] = line end })
    assert(result, err)
    assert.is_true(result.has_ended)
    local text = table.concat(lines, "\n")
    assert.matches("hears that results differ at %d+, not before %d+: those of "
      .. wrong.id, text)
    assert.matches(leader_id .. " has come to %x+ at " .. EVERY, text)
    assert.matches(", results at " .. EVERY .. " are %x+", text)
  end)
end)
