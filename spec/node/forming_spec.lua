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

describe("forming", function()
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
