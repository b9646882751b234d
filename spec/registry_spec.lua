local registry = require "raft.registry"

describe("registry", function()
  local uv, nodes

  before_each(function()
    uv = {}
    nodes = registry.of(uv)
  end)

  it("is one per loop", function()
    assert.equal(nodes, registry.of(uv))
    assert.are_not.equal(nodes, registry.of {})
  end)

  it("lists nodes in order of birth, each once", function()
    local a, b, c = { id = "c" }, { id = "b" }, { id = "a" }
    for _, node in ipairs { a, b, a, c, b } do nodes:add(node) end
    assert.same({ "c", "b", "a" }, { nodes:list()[1].id, nodes:list()[2].id,
      nodes:list()[3].id })
    assert.equal(3, nodes:count())
    nodes:remove(b)
    nodes:remove(b)
    assert.equal(2, nodes:count())
    assert.equal(c, nodes:list()[2])
  end)

  it("gives a list that does not change under the reader", function()
    local a, b = {}, {}
    nodes:add(a)
    nodes:add(b)
    local seen = 0
    for _, node in ipairs(nodes:list()) do
      seen = seen + 1
      nodes:remove(node)
    end
    assert.equal(2, seen)
    assert.equal(0, nodes:count())
  end)

  it("keeps an open node from being collected, and no other", function()
    local weak = setmetatable({ {}, {} }, { __mode = "v" })
    nodes:add(weak[1])
    nodes:add(weak[2])
    nodes:remove(weak[2])
    collectgarbage()
    collectgarbage()
    assert.truthy(weak[1])
    assert.is_nil(weak[2])
  end)

  it("lets a loop go together with its nodes", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local other = {}
      weak.node = { uv = other }
      registry.of(other):add(weak.node)
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak.node)
  end)

  it("remembers failures until they are taken", function()
    local a, b = {}, {}
    nodes:add(a)
    nodes:fail(a, "why")
    nodes:fail(b, "never open")
    assert.equal(0, nodes:count())
    assert.same({ { node = a, err = "why" }, { node = b, err = "never open" } },
      nodes:take_failures())
    assert.same({}, nodes:take_failures())
  end)

  it("tells a watcher of each change", function()
    local counts, a = {}, {}
    nodes:watch(function() counts[#counts + 1] = nodes:count() end)
    nodes:add(a)
    nodes:add(a)
    nodes:fail(a, "x")
    nodes:remove(a)
    nodes:watch(false)
    nodes:add(a)
    assert.same({ 1, 0 }, counts)
  end)
end)
