-- What a witness answers, and a learner: both are asked by users who do not
-- know what they are.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"

local WAIT <const> = { timeout = 5000 }

-- A call's error code, or what it returned.
local function code_of(result, err)
  return err and err.code .. " " .. err.outcome or result
end

describe("a witness", function()
  local cluster, witness

  setup(function()
    cluster = Cluster.new { ids = { "n1", "n2", "w" },
      election = { 500, 1000 } }
    cluster.members.w = { address = cluster.members.w, role = "witness" }
    cluster:up()
    witness = cluster:node("w")
    assert(cluster:node("n1"):propose("x"))
  end)
  teardown(function() cluster:close() end)

  -- It has no state, so it had answered nil where apply returned 2.
  it("takes no proposal, whose result it could not know", function()
    assert.equal("unsupported none", code_of(witness:propose("y", WAIT)))
    local _, err = witness:propose("y", WAIT)
    assert.equal("unsupported: w is a witness and has no state: ask another "
      .. "member", tostring(err))
    assert.equal(1, #cluster.applied.n1)
  end)

  it("answers no read of any kind", function()
    for _, consistency in ipairs { "linearizable", "lease", "stale" } do
      local opts = { consistency = consistency, timeout = 5000 }
      assert.equal("unsupported none", code_of(witness:read(opts)))
      assert.equal("unsupported none", code_of(witness:query(nil, opts)))
    end
    local token = cluster:node("n1"):token()
    assert.equal("unsupported none",
      code_of(witness:read { at_least = token, timeout = 5000 }))
  end)

  it("is ready when a leader is known", function()
    assert.is_true(witness:ready(WAIT))
    assert.is_false(witness:is_leader())
  end)

  it("is ready also when it was asked before it knew that it is one",
    function()
      local late <close> = Cluster.new { ids = { "n1", "n2", "w" } }
      late.members.w = { address = late.members.w, role = "witness" }
      local answers = {}
      late:start("w"):ready(function(err) answers[1] = err or "ready" end)
      late:start("n1")
      late:start("n2")
      helper.wait_until(function() return answers[1] end, 10000, "an answer")
      assert.equal("ready", answers[1])
    end)

  it("is no heir, and says so", function()
    local _, err = (cluster:leader()):transfer("w", WAIT)
    assert.equal("refused none", err.code .. " " .. err.outcome)
    assert.equal("w is a witness", err.value)
  end)

  it("can be asked for changes, and for another leader", function()
    local _, before = cluster:leader()
    local new = helper.wait_until(function()  -- an heir must have been heard
      return (witness:transfer(WAIT))
    end, 15000, "an heir")
    assert.not_equal(before, new)
    assert.is_true(witness:change({ n2 = { priority = 7 } }, WAIT))
    assert.equal(7, witness:members().n2.priority)
  end)
end)

describe("a voter that is made a witness", function()
  it("answers who waits: it has no state any more", function()
    local cluster <close> = Cluster.new { nodes = 4 }
    cluster:up()
    local leader = cluster:leader()
    local follower, ids = cluster:followers()
    follower, ids = follower[1], ids[1]
    assert.equal(1, follower:propose("x", WAIT))
    assert.is_true(leader:change({ [ids] = { role = "witness" } }, WAIT))
    helper.wait_until(function()
      return follower:members()[ids].role == "witness"
    end, 5000, "the follower to know it")
    assert.equal("unsupported none", code_of(follower:propose("y", WAIT)))
    assert.equal("unsupported none", code_of(follower:query(nil, WAIT)))
  end)
end)
