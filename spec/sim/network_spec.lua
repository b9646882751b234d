local Site = require "spec.sim.scripts.site"
local support = require "spec.support.helper"

local A <const>, B <const>, C <const> = "10.0.0.1", "10.0.0.2", "10.0.0.3"

-- A site with processes at A and B.
local function two(options)
  local site = Site.new(support.seed(), options)
  site:process(A)
  site:process(B)
  return site
end

-- Times of so many small writes, one after the other, from A to B.
local function travel_times(site, near, far, count)
  local times = {}
  for i = 1, count do
    site:write(A, near, "x")
    times[i] = site:wait(function() return #far.got == i end)
  end
  table.sort(times)
  return times
end

describe("the virtual network", function()
  describe("delays", function()
    it("lie within their bounds, and use them", function()
      local site = two { delay = { 5, 20 } }
      local near, far = site:link(A, B)
      local times = travel_times(site, near, far, 200)
      assert.is_true(times[1] >= 4.9 and times[1] < 7, times[1])
      assert.is_true(times[200] <= 20.1 and times[200] > 18, times[200])
    end)

    it("are drawn from each order of magnitude alike", function()
      local site = two { delay = { 1, 1000 }, spread = "log" }
      local near, far = site:link(A, B)
      local times = travel_times(site, near, far, 300)
      assert.is_true(times[1] >= 0.9 and times[300] <= 1000.1)
      assert.is_true(times[150] > 10 and times[150] < 100, times[150])
    end)

    it("do not change the order of a connection", function()
      local site = two { delay = { 0, 50 } }
      local near, far = site:link(A, B)
      local expected = {}
      for i = 1, 100 do
        expected[i] = i .. ","
        site:write(A, near, expected[i])
        site:sleep(1)  -- the last leaves when the first has long arrived
      end
      site:wait(function() return #far.got == #table.concat(expected) end)
      assert.equal(table.concat(expected), far.got)
      assert.is_true(#far.chunks > 1)
    end)

    it("may differ for one direction", function()
      local site = two { delay = 1 }
      site.network:set({ delay = { 30, 30 } }, B, A)
      local near, far = site:link(A, B)
      site:write(A, near, "x")
      local there = site:wait(function() return far.got == "x" end)
      site:write(B, far, "y")
      local back = site:wait(function() return near.got == "y" end)
      assert.is_true(there < 1.1 and back > 29.9 and back < 30.1)
      site.network:set { delay = 2 }
      site:write(B, far, "z")
      assert.is_true(site:wait(function() return near.got == "yz" end) > 29)
    end)
  end)

  describe("a cut", function()
    it("goes one way", function()
      local site = two()
      local near, far = site:link(A, B)
      site.network:cut(A, B)
      site:write(A, near, "lost?")
      site:write(B, far, "heard")
      site:sleep(3000)
      assert.equal("heard", near.got)
      assert.equal("", far.got)
      assert.is_false(near.why)
    end)

    it("lets the backlog through a while after it is mended", function()
      local site = two { delay = 1 }
      local near, far = site:link(A, B)
      site.network:cut(A, B)
      for i = 1, 3 do site:write(A, near, tostring(i)) end
      site:sleep(1000)  -- sent again after 200, 600 and 1400 ms
      site.network:mend(A, B)
      site:write(A, near, "4")
      local ms = site:wait(function() return far.got == "1234" end)
      assert.is_true(ms > 390 and ms < 410, ms)
      site:write(A, near, "5")
      assert.is_true(site:wait(function() return far.got == "12345" end) < 1.1)
    end)

    it("is seen by an end that has written, after a time-out", function()
      local site = two { timeout_ms = 5000 }
      local near, far = site:link(A, B)
      site.network:cut(A, B)
      site.network:cut(B, A)
      site:write(A, near, "x")
      local ms = site:wait(function() return near.why end)
      assert.equal("ETIMEDOUT", near.why)
      assert.is_true(ms > 4990 and ms < 5010, ms)
      site:sleep(20000)
      assert.is_false(far.why)  -- half-open: it has nothing to say
      site:write(B, far, "y")
      site:wait(function() return far.why end)
      assert.equal("ETIMEDOUT", far.why)
    end)

    it("leaves a half-open connection, which ends by a reset", function()
      local site = two { timeout_ms = 2000 }
      local near, far = site:link(A, B)
      site.network:cut(A, B)
      site:write(A, near, "x")
      site:wait(function() return near.why end)
      site.network:heal()
      site:write(B, far, "y")
      site:wait(function() return far.why end)
      assert.equal("ECONNRESET", far.why)
      assert.equal(1, site.network.counts.resets)
    end)

    it("lets nobody connect, in whichever direction it is", function()
      for _, direction in ipairs { { A, B }, { B, A } } do
        local site = two()
        local accepted = site:listen(B)
        site.network:cut(direction[1], direction[2])
        local near = site:connect(A, B)
        local ms = site:wait(function() return near.why end)
        assert.equal("ETIMEDOUT", near.why)
        assert.is_true(ms > 14900 and ms < 15100, ms)
        assert.equal(0, #accepted)
      end
    end)

    it("is outlived by a connect that asks again", function()
      local site = two()
      local accepted = site:listen(B)
      site.network:cut(A, B)
      local near = site:connect(A, B)
      site:sleep(500)
      site.network:heal()
      local ms = site:wait(function() return near.is_open and accepted[1] end)
      assert.is_true(ms > 490 and ms < 520, ms)
    end)

    it("concerns the two addresses alone", function()
      local site = two()
      site:process(C)
      local near, far = site:link(C, B)
      site.network:cut(A, B)
      site.network:cut(C, A)
      site:write(C, near, "x")
      assert.is_true(site:wait(function() return far.got == "x" end) < 10)
    end)
  end)

  describe("a process that is gone", function()
    local function kill(site, ip, how)
      site.loops[ip]:die()
      site.network:leave(site.loops[ip], how)
    end

    it("resets its peers after a while", function()
      local site = two { delay = { 5, 5 } }
      local near, far = site:link(A, B)
      site:write(A, near, "last words")
      site:sleep(1)
      kill(site, A, "reset")
      local ms = site:wait(function() return far.why end)
      assert.equal("ECONNRESET", far.why)
      assert.equal("last words", far.got)
      assert.is_true(ms > 4.9 and ms < 5.1, ms)
    end)

    it("refuses new connections, and takes them when it is back", function()
      local site = two()
      site:listen(B)
      kill(site, B, "reset")
      local near = site:connect(A, B)
      site:wait(function() return near.why end)
      assert.equal("ECONNREFUSED", near.why)
      site:process(B)
      local accepted = site:listen(B)
      near = site:connect(A, B)
      site:wait(function() return near.is_open and accepted[1] end)
    end)

    it("is not heard of when its machine has lost its power", function()
      local site = two()
      local near = site:link(A, B)
      kill(site, B, "silent")
      site:sleep(60000)
      assert.is_false(near.has_end)
      local other = site:connect(A, B)
      site:write(A, near, "x")
      site:wait(function() return near.why and other.why end)
      assert.equal("ETIMEDOUT", near.why)
      assert.equal("ETIMEDOUT", other.why)
    end)

    it("is found out by a reset when something lives there again", function()
      local site = two()
      local near = site:link(A, B)
      kill(site, B, "silent")
      site:write(A, near, "x")
      site:sleep(2000)
      assert.is_false(near.has_end)
      site:process(B)
      site:wait(function() return near.why end)
      assert.equal("ECONNRESET", near.why)
    end)

    it("does nothing more, whatever it calls", function()
      local site = two()
      local near, far = site:link(A, B)
      local accepted = site:listen(B)
      local loop = site.loops[A]
      loop:ready(function()
        loop:die()
        near.stream:write("from the grave")
        near.stream:try_write("from the grave")
        near.stream:shutdown()
        loop.uv.new_tcp():connect(B, 7000, function() error("connected") end)
        near.stream:close()
      end)
      site:sleep(1000)
      assert.equal("", far.got)
      assert.is_false(far.has_end)
      assert.equal(0, #accepted)
    end)
  end)

  it("does not know who listens after death", function()
    local site = two()
    local loop = site.loops[B]
    loop:ready(function()
      loop:die()
      site.network:leave(loop, "reset")
      local server = loop.uv.new_tcp()
      server:bind(B, 7000)
      server:listen(5, error)
    end)
    site:sleep(1)
    site:process(B)
    local accepted = site:listen(B)
    local near = site:connect(A, B)
    site:wait(function() return near.is_open and accepted[1] end)
  end)

  describe("buffers", function()
    local BYTES <const> = 4 << 20

    it("fill up where nobody reads, and then the queue does", function()
      local site = two { buffer_bytes = 1 << 20 }
      local near, far = site:link(A, B, true)
      for _ = 1, 4 do site:write(A, near, ("x"):rep(BYTES // 4)) end
      site:sleep(1000)
      local queued = near.stream:get_write_queue_size()
      assert.equal(BYTES - (1 << 20), queued)
      site:read(B, far)
      site:wait(function() return #far.got == BYTES end)
      assert.equal(0, near.stream:get_write_queue_size())
    end)

    it("fill up where the wire is cut", function()
      local site = two { buffer_bytes = 1 << 16 }
      local near, far = site:link(A, B)
      site.network:cut(A, B)
      site:write(A, near, ("x"):rep(1 << 18))
      site:sleep(1000)
      assert.equal(3 << 16, near.stream:get_write_queue_size())
      site.network:heal()
      site:wait(function() return #far.got == 1 << 18 end)
      assert.equal(0, near.stream:get_write_queue_size())
    end)

    it("go over a slow wire in their time", function()
      local site = two { delay = 1, bandwidth = 1000, buffer_bytes = 1 << 18 }
      local near, far = site:link(A, B)
      site:write(A, near, ("x"):rep(1000000))
      assert.is_true(near.stream:get_write_queue_size() > 0)
      local ms = site:wait(function() return #far.got == 1000000 end)
      assert.is_true(ms > 995 and ms < 1100, ms)
    end)
  end)

  it("resets who comes too late to a listener", function()
    local site = two { delay = 20 }
    local accepted = site:listen(B)
    local near = site:connect(A, B)
    site:wait(function() return near.is_open end)
    site:on(B, function() accepted.server:close() end)
    site:wait(function() return near.why end)
    assert.equal("ECONNRESET", near.why)
    assert.equal(0, #accepted)
  end)

  it("answers nobody while a backlog is full", function()
    local site = two()
    site:on(B, function(uv)
      local server = uv.new_tcp()
      assert(server:bind(B, 7000))
      assert(server:listen(1, function() end))
    end)
    local opened = 0
    for i = 1, 4 do
      local near = site:connect(A, B)
      site:wait(function() return near.is_open or near.why end)
      if near.is_open then opened = opened + 1 end
      assert.is_true(near.is_open or near.why == "ETIMEDOUT", i)
      site:sleep(10)
    end
    assert.equal(3, opened)  -- one that libuv holds for the process, and 1 + 1
  end)

  it("refuses connects now and then, where it is told to", function()
    local site = two { refuse = 0.5 }
    site:listen(B)
    local refused = 0
    for _ = 1, 100 do
      local near = site:connect(A, B)
      site:wait(function() return near.why or near.is_open end)
      if near.why == "ECONNREFUSED" then refused = refused + 1 end
    end
    assert.is_true(refused > 25 and refused < 75, refused)
  end)

  it("knows names, and looks them up when asked", function()
    local site = two()
    site.network:name("beta", B, C)
    local found, failed
    site:on(A, function(uv)
      assert.equal(B, uv.getaddrinfo("beta")[1].addr)
      assert.equal(C, uv.getaddrinfo("beta")[2].addr)
      local none, _, name = uv.getaddrinfo("gamma")
      assert.is_nil(none)
      assert.equal("EAI_NONAME", name)
      uv.getaddrinfo("beta", nil, nil, function(why, list)
        found = not why and list[1].addr
      end)
      uv.getaddrinfo("gamma", nil, nil, function(why) failed = why end)
    end)
    site:wait(function() return found and failed end)
    assert.equal(B, found)
    assert.equal("EAI_NONAME", failed)
    site.network:name("beta")
    site:on(A, function(uv) assert.is_nil((uv.getaddrinfo("beta"))) end)
  end)

  it("tells a trace what happens", function()
    local site, told = two { timeout_ms = 1000 }, {}
    function site.network.note(kind, from, to)
      told[#told + 1] = ("%s %s %s"):format(kind, from, to)
    end
    local near = site:link(A, B)
    site.network:cut(A, B)
    site:write(A, near, "x")
    site:wait(function() return near.why end)
    site.network:heal()
    assert.same({ "connect 10.0.0.1 10.0.0.2", "cut 10.0.0.1 10.0.0.2",
      "timeout 10.0.0.1 10.0.0.2", "mend 10.0.0.1 10.0.0.2" }, told)
  end)

  it("refuses options that it does not have", function()
    local site = two()
    for options, words in pairs {
      [{ lost = 0.5 }] = "network: lost: no such option",
      [{ loss = 2 }] = "network: loss: expected a number from 0 to 1",
      [{ delay = { 5, 1 } }] = "network: delay: expected { min, max } ms",
      [{ spread = "wide" }] = "network: spread: expected even or log",
    } do
      local ok, err = pcall(site.network.set, site.network, options)
      assert.is_false(ok)
      assert.truthy(err:find(words, 1, true), err)
    end
  end)
end)
