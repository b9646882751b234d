local helper = require "spec.support.helper"
local ring = require "raft.ring"

local function items(queue)
  local list = {}
  queue:each(function(item) list[#list + 1] = item end)
  return list
end

describe("ring", function()
  it("gives back in order what was put in", function()
    local queue = ring.new()
    assert.is_true(queue:is_empty())
    assert.is_nil(queue:peek())
    assert.is_nil(queue:pop())
    for i = 1, 3 do queue:push(i) end
    assert.equal(1, queue:peek())
    assert.equal(3, #queue)
    assert.same({ 1, 2, 3 }, items(queue))
    assert.equal(1, queue:pop())
    assert.equal(2, queue:pop())
    assert.equal(3, queue:pop())
    assert.is_true(queue:is_empty())
  end)

  it("holds false, and refuses nil", function()
    local queue = ring.new()
    queue:push(false)
    assert.equal(1, queue.count)
    assert.is_false(queue:peek())
    assert.is_false(queue:pop())
    assert.has_error(function() queue:push(nil) end, "a queue holds no nil")
  end)

  it("grows while it is wrapped around its end", function()
    local queue = ring.new()
    for i = 1, 12 do queue:push(i) end
    for _ = 1, 10 do queue:pop() end
    for i = 13, 60 do queue:push(i) end
    local want = {}
    for i = 11, 60 do want[#want + 1] = i end
    assert.same(want, items(queue))
    assert.same(want, queue:take_all())
    assert.is_true(queue:is_empty())
  end)

  it("forgets what it gave back", function()
    local queue, weak = ring.new(), setmetatable({}, { __mode = "v" })
    weak[1] = {}
    queue:push(weak[1])
    queue:pop()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("keeps what the filter keeps, in order", function()
    local queue = ring.new()
    for i = 1, 40 do queue:push(i) end
    queue:filter(function(i) return i % 10 == 0 end)
    assert.same({ 10, 20, 30, 40 }, items(queue))
  end)

  it("agrees with a plain list, whatever is done", function()
    local seed = helper.seed()
    local queue, list = ring.new(), {}
    for step = 1, 5000 do
      local dice = math.random(100)
      if dice <= 55 then
        queue:push(step)
        list[#list + 1] = step
      elseif dice <= 97 then
        local want = table.remove(list, 1)
        assert(queue:pop() == want, "seed " .. seed)
      elseif dice == 98 then
        local kept = {}
        for _, item in ipairs(list) do
          if item % 3 > 0 then kept[#kept + 1] = item end
        end
        list = kept
        queue:filter(function(item) return item % 3 > 0 end)
      elseif dice == 99 then
        assert.same(list, items(queue))
      else
        assert.same(list, queue:take_all())
        list = {}
      end
      assert(queue.count == #list, "seed " .. seed)
      assert(queue:peek() == list[1], "seed " .. seed)
    end
  end)
end)
