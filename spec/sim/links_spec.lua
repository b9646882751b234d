-- raft.transport, unchanged, on virtual loops.
local Site = require "spec.sim.scripts.site"
local links = require "spec.support.links"
local support = require "spec.support.helper"

local A <const>, B <const> = "10.0.0.1", "10.0.0.2"

-- Two transports that know of each other.
local function two(options, order, seed, on)
  local site = Site.new(seed or support.seed(), options)
  local nodes = {}
  for i, ip in ipairs { A, B } do
    site:process(ip, { order = order })
    nodes[i] = site:on(ip, function(uv)
      return links.node { id = "n" .. i, uv = uv, listen = ip .. ":7100",
        hello = { nonce = i }, limits = { patience_ms = 100 }, on = on }
    end)
  end
  local addresses = { n1 = A .. ":7100", n2 = B .. ":7100" }
  for i, ip in ipairs { A, B } do
    site:on(ip, function() nodes[i].transport:peers(addresses) end)
  end
  return site, nodes[1], nodes[2]
end

local function wait_linked(site, a, b)
  return site:wait(function()
    local at_a, at_b = a.transport:living("n2"), b.transport:living("n1")
    return at_a and at_b and at_a.is_dialed ~= at_b.is_dialed
  end)
end

local function pass(site, ip, from, to, bytes)
  local before = to:got(from.id)
  site:on(ip, function() assert(from.transport:send(to.id, bytes)) end)
  site:wait(function() return to:got(from.id) == before .. bytes end)
end

describe("transports on the virtual network", function()
  for _, order in ipairs { "1.44", "later" } do
    it("greet and exchange strings, timers as in " .. order, function()
      local site, a, b = two({ delay = { 1, 10 } }, order)
      wait_linked(site, a, b)
      for i = 1, 20 do
        pass(site, A, a, b, "<" .. i .. ">")
        pass(site, B, b, a, ("x"):rep(i * 10000))
      end
      assert.same({ "open n2" }, a.events)
      assert.same({ "open n1" }, b.events)
    end)
  end

  it("stay linked for as long as the wire holds", function()
    local site, a, b = two()
    wait_linked(site, a, b)
    site:sleep(60000)
    pass(site, A, a, b, "still here")
    assert.same({ "open n2" }, a.events)
  end)

  it("give up a silent link, and find each other again", function()
    local site, a, b = two()
    wait_linked(site, a, b)
    site.network:cut(A, B)
    site.network:cut(B, A)
    local ms = site:wait(function()
      return a:count("closed n2") == 1 and b:count("closed n1") == 1
    end)
    assert.is_true(ms > 5000 and ms < 8000, ms)
    site.network:heal()
    wait_linked(site, a, b)
    pass(site, B, b, a, "back")
  end)

  it("hear of a peer that died, and of its next life", function()
    local site, a, b = two()
    wait_linked(site, a, b)
    site.loops[B]:die()
    site.network:leave(site.loops[B], "reset")
    assert.is_true(site:wait(function()
      return a:count("closed n2") == 1
    end) < 100)
    site:process(B)
    local next_b = site:on(B, function(uv)
      return links.node { id = "n2", uv = uv, listen = B .. ":7100" }
    end)
    site:wait(function() return next_b.transport:has("n1") end)
    assert.equal(2, a:count("open n2"))
  end)

  it("greet in spite of an adversary", function()
    local site, a, b = two { loss = 0.5, duplicate = 0.5, reorder = 0.5,
      reorder_ms = 100, refuse = 0.3 }
    wait_linked(site, a, b)
    site:sleep(30000)
    assert.equal(1, a:count("open n2"))
  end)

  it("open channels beside their link, and end them with a cut", function()
    local told = {}
    local function taken(name)
      return {
        open = function(channel) told[name] = channel end,
        bytes = function(_, chunk) told.got = (told.got or "") .. chunk end,
        closed = function(_, reason) told[name .. " closed"] = reason end,
      }
    end
    local site, a, b = two({ delay = { 1, 10 } }, nil, nil,
      { channel = function() return taken "there" end })
    wait_linked(site, a, b)
    site:on(A, function()
      assert(a.transport:open_channel("n2", taken "here"))
    end)
    site:wait(function() return told.here and told.there end)
    local big = ("x"):rep(1 << 20)
    site:on(A, function() assert(told.here:write(big)) end)
    site:wait(function() return told.got == big end)
    assert.same({ "open n2" }, a.events)
    site:sleep(60000)  -- it is idle, and stays
    assert.is_nil(told["here closed"])
    site.network:cut(A, B)
    site:wait(function()
      return told["here closed"] and told["there closed"]
    end)
    assert.equal("link is silent", told["there closed"])
  end)

  it("leave no handle behind", function()
    local site, a, b = two()
    wait_linked(site, a, b)
    local closed = 0
    for ip, node in pairs { [A] = a, [B] = b } do
      site:on(ip, function()
        node.transport:close(function() closed = closed + 1 end)
      end)
    end
    site:wait(function() return closed == 2 end)
    for _, ip in ipairs { A, B } do
      assert.is_false(site.loops[ip]:is_alive())
      assert.same({}, site.network:host(ip).sockets)
    end
  end)

  it("go the same way twice", function()
    local seed, runs = support.seed(), {}
    for i = 1, 2 do
      local site, a, b = two({ delay = { 1, 50 }, loss = 0.1 }, nil, seed)
      wait_linked(site, a, b)
      pass(site, A, a, b, "x")
      site:sleep(10000)
      runs[i] = ("%d %d %d"):format(site.world.births,
        site.network.counts.segments, site.network.counts.bytes)
    end
    assert.equal(runs[1], runs[2])
  end)
end)
