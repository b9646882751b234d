-- How a cluster comes to be, seen from one node.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local uv = require "luv"

-- A luv whose durable writes wait until release() is called.
local function luv_with_a_slow_disk()
  local held, is_slow = {}, true
  local slow = setmetatable({
    fs_write = function(fd, bytes, offset, done)
      if not done or not is_slow then
        return uv.fs_write(fd, bytes, offset, done)
      end
      held[#held + 1] = function() uv.fs_write(fd, bytes, offset, done) end
      return true
    end,
  }, { __index = uv })
  local function release()
    is_slow = false
    for _, write in ipairs(held) do write() end
    held = {}
  end
  return slow, release, function() return #held end
end

-- Two nodes with the id n1, of different directories, and one n2 and n3.
local function four_with_two_alike(cluster)
  local other = Cluster.free_address()
  local nodes = { cluster:new_node("n1"), cluster:new_node("n1", {
    dir = cluster.dir:join("other"), listen = other }),
    cluster:new_node("n2"), cluster:new_node("n3") }
  nodes[2]:start()
  nodes[3]:start()
  nodes[4]:start()
  nodes[1]:start()
  return nodes
end

local WAIT_MS <const> = 700  -- some elections; most of the time it is in vain

describe("forming", function()
  it("makes one cluster at most, also where an id runs twice", function()
    for _ = 1, 5 do
      local cluster <close> = Cluster.new { nodes = 3 }
      local nodes = four_with_two_alike(cluster)
      local acknowledged = {}
      for i = 3, 4 do
        local name = nodes[i].id
        acknowledged[name] = nodes[i]:propose(name, { timeout = WAIT_MS })
      end
      if acknowledged.n2 and acknowledged.n3 then
        assert(nodes[3]:read())
        assert(nodes[4]:read())
        assert.same(cluster.applied.n2, cluster.applied.n3)
      end
    end
  end)

  it("is not said before entry 1 is durable", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local slow, release, held = luv_with_a_slow_disk()
    local node = cluster:new_node("n1", { uv = slow })
    assert(node:start())
    helper.wait_until(function() return held() > 0 end)
    assert.is_false(node:status().formed)
    release()
    helper.wait_until(function() return node:status().formed end)
    assert(node:ready())
  end)
end)
