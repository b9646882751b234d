-- Services through raft.client, which has no definitions.
local raft = require "raft"
local testing = require "raft.testing"

local function counter()
  return raft.service { name = "counter",
    init = function() return { n = 0 } end,
    commands = {
      add = function(s, k)
        s.n = s.n + k
        return s.n
      end,
      fail = function() return nil, "no" end,
    },
    queries = { total = function(s, what) return { s.n, what } end } }
end

describe("client:service", function()
  local cluster, client

  -- Anew for each: nodes that have just formed a cluster go on connecting with
  -- each other for a while after a leader serves.
  before_each(function()
    cluster = testing.cluster { nodes = 3, node = function()
      return { service = counter(), election_timeout = { 50, 100 },
        on = { error = function() end } }
    end }
    assert(cluster:ready())
    client = cluster:client()
  end)
  after_each(function()
    client:close()
    cluster:close()
  end)

  it("asks a node what there is, and keeps the order of calls", function()
    local p = client:service "counter"
    local before = assert(p.total())[1]
    local other, results = client:service "counter", {}
    for i = 1, 50 do
      other.add(1, function(err, n)
        results[i] = not err and n
      end)
    end
    assert.equal(before + 51, assert(other:add(1)))
    for i = 1, 50 do assert.equal(before + i, results[i]) end
    assert.same({ before + 51, "x" }, p.total("x"))
    assert.same({ before + 51, "y" }, p:total("y"))
  end)

  it("answers as the node's proxy does", function()
    local p = client:service("counter", { timeout = 4000,
      consistency = "stale" })
    local _, err = p.fail()
    assert.equal("refused", err.code)
    assert.equal("no", err.value)
    _, err = p.add("x")
    assert.equal("apply_error", err.code)
    _, err = p.nonsense()
    assert.equal("unsupported", err.code)
    assert.matches("commands add, fail; queries total", err.message)
    _, err = client:service("other").add(1)
    assert.equal("unsupported", err.code)
    assert.matches("there is no service other: there is counter", err.message)
  end)

  it("says what it cannot do", function()
    local p = client:service "counter"
    assert.has_error(function() p.on("x", print) end,
      "counter.on: events are heard at a node")
    assert.has_error(function() p.field = 1 end)
    assert.has_error(function() client:service "no spaces" end)
    local ok, why = pcall(client.service, client, "counter", { tiemout = 1 })
    assert.is_false(ok)
    assert.matches("tiemout: unknown", why)
  end)
end)
