local limits = require "raft.transport.limits"

describe("transport limits", function()
  it("takes what is wanted, and defaults for the rest", function()
    local all = limits.with { ping_ms = 500 }
    assert.equal(500, all.ping_ms)
    assert.equal(2500, all.alive_ms)
  end)

  it("wakes an idle node twice in the time of a ping, no more", function()
    local all = limits.with { ping_ms = 500, alive_ms = 1000,
      silence_ms = 2000 }
    assert.equal(250, all.round_ms)
  end)

  it("has rounds within the shortest time that is counted in them", function()
    assert.equal(30, limits.with({ ping_ms = 80, alive_ms = 60 }).round_ms)
    assert.equal(5, limits.with({ ping_ms = 1 }).round_ms)
  end)

  it("refuses a limit that is none", function()
    assert.has_error(function() limits.with { patience = 1 } end)
    assert.has_error(function() limits.with { ping_ms = 0 } end)
    assert.has_error(function() limits.with { ping_ms = 1.5 } end)
  end)
end)
