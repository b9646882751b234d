--- Networks that break, peers that vanish, a system that refuses.
local Greeting = require "raft.greeting"
local Proxy = require "spec.support.proxy"
local links = require "spec.support.links"
local support = require "spec.support.helper"
local uv = require "luv"

local wait_until = support.wait_until

-- Quick to notice silence.
local WATCHFUL <const> = { ping_ms = 20, alive_ms = 60, silence_ms = 120 }

-- luv with some functions replaced.
local function altered(changes)
  return setmetatable(changes, { __index = uv })
end

-- n1 that dials n2 through a proxy; n2 does not dial.
local function through_proxy(limits)
  local a = links.node { id = "n1", limits = limits }
  local b = links.node { id = "n2", limits = limits }
  local proxy = Proxy.new(uv, b:address())
  a.transport:peers({ n2 = proxy:address() })
  links.wait_linked(a, b)
  return a, b, proxy
end

describe("transport, when things break,", function()
  describe("liveness", function()
    it("keeps an idle link up with pings", function()
      local a, b, proxy = through_proxy(WATCHFUL)
      wait_until(function()
        local living = a.transport:living("n2")
        return living and living.age_ms > 4 * WATCHFUL.silence_ms
      end)
      assert.equal(0, a:count("closed n2") + b:count("closed n1"))
      links.pass(a, b, "still here")
      proxy:close()
      links.close(a, b)
    end)

    it("sends no ping on a busy link", function()
      local a, b, proxy = through_proxy(WATCHFUL)
      wait_until(function()
        assert(a.transport:send("n2", "work."))
        return b.transport:living("n1").age_ms > 4 * WATCHFUL.ping_ms
      end)
      wait_until(function() return #b:got("n1") > 0 end)
      assert.equal(#b.received.n1, #b:got("n1"))
      proxy:close()
      links.close(a, b)
    end)

    it("replaces a half-open link", function()
      local a, b, proxy = through_proxy(WATCHFUL)
      proxy:half_open()
      wait_until(function() return b:count("closed n1") == 1 end)
      wait_until(function() return a:count("closed n2") == 1 end)
      assert.equal(1, a:status().peer_timeout)
      links.wait_linked(a, b)
      links.pass(a, b, "anew")
      proxy:close()
      links.close(a, b)
    end)

    for _, way in ipairs({ "both ways", "up", "down" }) do
      it("notices a cut " .. way .. ", and heals after it", function()
        local a, b, proxy = through_proxy(WATCHFUL)
        proxy:cut(way ~= "both ways" and way or nil)
        wait_until(function()
          return not a.transport:has("n2") and not b.transport:has("n1")
        end)
        proxy:pass()
        links.wait_linked(a, b)
        links.pass(a, b, "healed")
        links.pass(b, a, "healed")
        proxy:close()
        links.close(a, b)
      end)
    end

    it("survives a slow network", function()
      local a, b, proxy = through_proxy(WATCHFUL)
      proxy:delay(15)
      links.pass(a, b, ("slow "):rep(20000))
      assert.equal(0, a:count("closed n2"))
      proxy:close()
      links.close(a, b)
    end)

    it("does not blame its peers for its own long pause", function()
      local a, b, proxy = through_proxy(WATCHFUL)
      local until_ns = uv.hrtime() + 3e6 * WATCHFUL.silence_ms
      while uv.hrtime() < until_ns do end  -- a callback that takes so long
      local living = a.transport:living("n2")
      wait_until(function()
        local now = a.transport:living("n2")
        return now and now.age_ms > living.age_ms + 2 * WATCHFUL.silence_ms
      end)
      assert.equal(0, a:count("closed n2") + b:count("closed n1"))
      proxy:close()
      links.close(a, b)
    end)

    it("replaces a link at once when the other end resets it", function()
      local a, b, proxy = through_proxy()
      proxy:reset()
      wait_until(function() return a:count("open n2") == 2 end)
      links.wait_linked(a, b)
      proxy:close()
      links.close(a, b)
    end)
  end)

  describe("a restart", function()
    it("of one end gives a new link with the new process", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      local where = b:address()
      for starts = 2, 6 do
        b:close()
        b = links.node { id = "n2", listen = where, hello = {
          starts = starts } }
        links.introduce(a, b)
        links.wait_linked(a, b)
        wait_until(function()
          return a.transport:living("n2").hello.starts == starts
        end)
        links.pass(a, b, "start " .. starts)
      end
      -- On a slow machine both ends dial, and one link replaces the other.
      assert.is_true(a:count("open n2") >= 6)
      assert.equal(a:count("open n2") - 1, a:count("closed n2"))
      links.close(a, b)
    end)

    it("takes the place of a link with the old process at once", function()
      local a, b, proxy = through_proxy({ alive_ms = 100000,
        silence_ms = 100000 })
      proxy:half_open()
      b:close()
      local again = links.node { id = "n2" }
      again.transport:peers({ n1 = a:address() })
      links.wait_linked(a, again)
      links.pass(a, again, "to the new one")
      assert.same({ "open n2", "closed n2", "open n2" }, a.events)
      proxy:close()
      links.close(a, again)
    end)

    it("takes the place of a link that nobody has heard on", function()
      local limits = { ping_ms = 20, alive_ms = 60, silence_ms = 100000 }
      local a, b, proxy = through_proxy(limits)
      proxy:half_open()  -- the same process dials, as its end has closed
      b.transport:peers({ n1 = a:address() })
      wait_until(function() return a:count("open n2") == 2 end)
      links.wait_linked(a, b)
      links.pass(a, b, "on the new one")
      assert.same({ "open n2", "closed n2", "open n2" }, a.events)
      assert.equal(0, a:status().peer_timeout)
      proxy:close()
      links.close(a, b)
    end)
  end)

  describe("dialing", function()
    it("backs off from who hangs up", function()
      local server, dials, first_ns = assert(uv.new_tcp()), 0, false
      assert(server:bind("127.0.0.1", 0))
      assert(server:listen(16, function()
        local stream = uv.new_tcp()
        server:accept(stream)
        stream:close()
        dials, first_ns = dials + 1, first_ns or uv.hrtime()
      end))
      local a = links.node { id = "n1" }
      local port = server:getsockname().port // 1 | 0
      a.transport:peers({ n2 = "127.0.0.1:" .. port })
      wait_until(function() return dials >= 8 end)
      -- The shortest waits: 2, 5, 10, and then half of 40 ms each time.
      local elapsed_ms = (uv.hrtime() - first_ns) / 1e6
      assert.is_true(elapsed_ms >= 2 + 5 + 10 + 4 * 20 - 2 * 7,
        ("8 dials in %.1f ms"):format(elapsed_ms))
      a:close()
      server:close()
    end)

    it("backs off from a link that never lives long", function()
      local a, b
      local limits = { settle_ms = 100000, dial_min_ms = 4,
        dial_max_ms = 64 }
      b = links.node { id = "n2", on = {
        open = function(link) link:close("at once") end } }
      a = links.node { id = "n1", limits = limits }
      local from_ns = uv.hrtime()
      a.transport:peers({ n2 = b:address() })
      wait_until(function() return a:count("closed n2") >= 6 end)
      local elapsed_ms = (uv.hrtime() - from_ns) / 1e6
      assert.is_true(elapsed_ms >= 2 + 4 + 8 + 16 + 32 - 5,
        ("6 links in %.1f ms"):format(elapsed_ms))
      links.close(a, b)
    end)

    it("looks names up for each dial, numbers never", function()
      local lookups = {}
      local b, c = links.node { id = "n2" }, links.node { id = "n3" }
      local a = links.node { id = "n1", uv = altered {
        getaddrinfo = function(host, _, _, done)
          lookups[#lookups + 1] = host
          if #lookups == 1 then return nil, "ENOSYS: no", "ENOSYS" end
          local answer = #lookups > 2 and { { addr = "127.0.0.1" } }
          return uv.getaddrinfo("127.0.0.1", nil, nil, function()
            if answer then done(nil, answer) else done("EAI_AGAIN") end
          end)
        end } }
      a.transport:peers({ n3 = c:address(),
        n2 = b:address():gsub("127.0.0.1", "db.example") })
      links.wait_linked(a, b)
      links.wait_linked(a, c)
      assert.same({ "db.example", "db.example", "db.example" }, lookups)
      assert.equal(2, a:status().dial_failed)
      links.close(a, b, c)
    end)

    it("gives up a connection that does not come about", function()
      local is_blocked = true
      local a = links.node { id = "n1", limits = { connect_ms = 20 },
        uv = altered { tcp_connect = function(stream, ip, port, done)
          if is_blocked then return true end
          return uv.tcp_connect(stream, ip, port, done)
        end } }
      local b = links.node { id = "n2" }
      a.transport:peers({ n2 = b:address() })
      wait_until(function() return a:status().dial_failed >= 2 end)
      is_blocked = false
      links.wait_linked(a, b)
      links.close(a, b)
    end)

    it("goes on after an address that luv cannot read", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      a.transport:peers({ n2 = "127.0.0.1" })
      wait_until(function() return a:status().dial_failed >= 2 end)
      a.transport:peers({ n2 = b:address() })
      links.wait_linked(a, b)
      links.close(a, b)
    end)
  end)

  describe("accepting", function()
    it("pauses when no descriptor is left, and comes back", function()
      local failures, server = 3, false
      local a = links.node { id = "n1", uv = altered {
        listen = function(stream, backlog, on_connection)
          server = stream
          return uv.listen(stream, backlog, function(why)
            if failures == 0 then return on_connection(why) end
            failures = failures - 1
            on_connection("EMFILE")
          end)
        end } }
      local where = a:address()
      local b = links.node { id = "n2" }
      b.transport:peers({ n1 = where })
      wait_until(function() return a:status().accept_failed == 1 end)
      assert.is_true(server:is_closing())
      links.wait_linked(a, b)
      assert.equal(3, a:status().accept_failed)
      assert.equal(where, a:address())
      assert.equal(1, #a:said("accept failed"))
      links.close(a, b)
    end)

    it("keeps trying when it cannot come back yet", function()
      local binds, is_full = 0, true
      local a = links.node { id = "n1", uv = altered {
        tcp_bind = function(...)
          binds = binds + 1
          if binds == 2 or binds == 3 then
            return nil, "EADDRINUSE: taken", "EADDRINUSE"
          end
          return uv.tcp_bind(...)
        end,
        listen = function(stream, backlog, on_connection)
          return uv.listen(stream, backlog, function(why)
            on_connection(is_full and "EMFILE" or why)
            is_full = false
          end)
        end } }
      local b = links.node { id = "n2" }
      b.transport:peers({ n1 = a:address() })
      links.wait_linked(a, b)
      assert.equal(4, binds)
      links.close(a, b)
    end)

    it("can be closed while it pauses", function()
      local a = links.node { id = "n1", uv = altered {
        listen = function(stream, backlog, on_connection)
          return uv.listen(stream, backlog, function()
            on_connection("EMFILE")
          end)
        end } }
      local raw = links.raw(a:address())
      wait_until(function() return a:status().accept_failed == 1 end)
      a:close()
      raw:close()
    end)
  end)

  describe("a handler that raises", function()
    it("is the guard's affair, and the link goes on", function()
      local a = links.node { id = "n1", on = {
        open = function() error("oops") end } }
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      assert.equal("error", a:said("transport raised")[1].level)
      links.pass(b, a, "on it goes")
      links.close(a, b)
    end)

    it("reaches the guard that the owner gave", function()
      local caught
      local a = links.node { id = "n1",
        guard = function(fn)
          return function(...)
            local ok, what = pcall(fn, ...)
            if not ok then caught = what end
          end
        end,
        on = { open = function() error("oops") end } }
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      wait_until(function() return caught end)
      assert.truthy(caught:find("oops", 1, true))
      links.close(a, b)
    end)
  end)
end)

describe("transport and greeting", function()
  -- A node whose greeting is the real one.
  local function greeter(id, incarnation, starts)
    local node, greeting
    greeting = Greeting.new { id = id, cluster = "shop", starts = starts,
      config_index = function() return 1 end,
      incarnation = incarnation, nonce = incarnation * 1000 + starts,
      plan = 7, voters = { "n1", "n2" }, expected = function() end }
    node = links.node { id = id, limits = WATCHFUL,
      judge = function(hello)
        local living = node.transport:living(hello.id)
        local verdict = greeting:judge(hello, living)
        return verdict.accept, verdict
      end }
    node.hello_now = function()
      return greeting:hello("n1", node:address())
    end
    node.greeting = greeting
    return node
  end

  it("know when all have met", function()
    local a, b = greeter("n1", 1, 1), greeter("n2", 2, 1)
    assert.is_nil((a.greeting:formation()))
    links.introduce(a, b)
    links.wait_linked(a, b)
    assert.same({ n1 = 1, n2 = 2 }, a.greeting:formation())
    assert.same({ n1 = 1, n2 = 2 }, b.greeting:formation())
    links.close(a, b)
  end)

  it("find out a copied directory while both run", function()
    local a, b = greeter("n1", 1, 1), greeter("n2", 2, 1)
    links.introduce(a, b)
    links.wait_linked(a, b)
    local copy = greeter("n2", 2, 2)
    copy.transport:peers({ n1 = a:address() })
    wait_until(function()
      local last = copy.refusals[#copy.refusals]
      return last and last.code == "duplicate_id"
    end)
    assert.equal("busy", copy.refusals[1].code)
    assert.equal(0, a:count("closed n2"))
    links.pass(a, b, "undisturbed")
    links.close(a, b, copy)
  end)

  it("let a process that was killed come back at once", function()
    local a, b = greeter("n1", 1, 1), greeter("n2", 2, 1)
    links.introduce(a, b)
    links.wait_linked(a, b)
    b:close()
    b = greeter("n2", 2, 2)
    links.introduce(a, b)
    links.wait_linked(a, b)
    for _, refusal in ipairs(b.refusals) do
      assert.equal("busy", refusal.code)
    end
    links.close(a, b)
  end)

  it("refuse an old copy of a directory", function()
    local a, b = greeter("n1", 1, 1), greeter("n2", 2, 5)
    links.introduce(a, b)
    links.wait_linked(a, b)
    b:close()
    local old = greeter("n2", 2, 4)
    old.transport:peers({ n1 = a:address() })
    wait_until(function() return #old.refusals > 0 end)
    assert.equal("rolled_back", old.refusals[1].code)
    links.close(a, old)
  end)
end)
