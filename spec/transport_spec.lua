local Proxy = require "spec.support.proxy"
local core = require "raft.core"
local links = require "spec.support.links"
local support = require "spec.support.helper"
local uv = require "luv"

local wait_until = support.wait_until

describe("transport", function()
  describe("a pair", function()
    it("carries bytes both ways, in order", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      local expected = {}
      for i = 1, 50 do
        expected[i] = "<" .. i .. ">"
        assert.is_true(a.transport:send("n2", expected[i]))
      end
      links.pass(b, a, "hello")
      wait_until(function() return b:got("n1") == table.concat(expected) end)
      assert.equal("hello", a:got("n2"))
      links.close(a, b)
    end)

    it("knows the peer's hello on each link", function()
      local told
      local a = links.node { id = "n1", on = {
        open = function(link) told = link end } }
      local b = links.node { id = "n2", hello = { starts = 7 } }
      links.introduce(a, b)
      links.wait_linked(a, b)
      assert.equal("n2", told.id)
      assert.equal(7, told.hello.starts)
      assert.equal(b:address(), told.hello.address)
      assert.is_false(told.reader)
      assert.equal(7, a.transport:living("n2").hello.starts)
      links.close(a, b)
    end)

    it("is dialed by the lower id when both may", function()
      local patience = { patience_ms = 1000 }
      local a = links.node { id = "n1", limits = patience }
      local b = links.node { id = "n2", limits = patience }
      links.introduce(a, b)
      links.wait_linked(a, b)
      assert.is_true(a.transport:living("n2").is_dialed)
      assert.equal(0, a:status().duplicates + b:status().duplicates)
      links.close(a, b)
    end)

    it("is dialed by the higher id when the lower one cannot", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      b.transport:peers({ n1 = a:address() })
      links.wait_linked(a, b)
      assert.is_false(a.transport:living("n2").is_dialed)
      links.pass(a, b, "to a stranger")
      links.close(a, b)
    end)

    it("keeps one link when both dial at once", function()
      for _ = 1, 60 do
        local limits = { patience_ms = 1 }
        local a = links.node { id = "n1", limits = limits }
        local b = links.node { id = "n2", limits = limits }
        links.introduce(b, a)
        links.wait_linked(a, b)
        links.pass(a, b, "ping")
        links.pass(b, a, "pong")
        assert.equal(1, #a.transport:links())
        links.close(a, b)
      end
    end)
  end)

  it("links three nodes, each with each", function()
    local nodes = { links.node { id = "n1" }, links.node { id = "n2" },
      links.node { id = "n3" } }
    links.introduce(table.unpack(nodes))
    for i = 1, 3 do
      local a, b = nodes[i], nodes[i % 3 + 1]
      links.wait_linked(a, b)
      links.pass(a, b, "from " .. a.id)
      links.pass(b, a, "from " .. b.id)
    end
    links.close(table.unpack(nodes))
  end)

  describe("two links of one pair", function()
    -- Both dials are under way for so long that neither end can know.
    local function crossing(to_a_ms, to_b_ms)
      local limits = { patience_ms = 1, dial_min_ms = 500, dial_max_ms = 500 }
      local a = links.node { id = "n1", limits = limits }
      local b = links.node { id = "n2", limits = limits }
      local to_a, to_b = Proxy.new(uv, a:address()), Proxy.new(uv, b:address())
      to_a:delay(to_a_ms)
      to_b:delay(to_b_ms)
      a.transport:peers({ n2 = to_b:address() })
      b.transport:peers({ n1 = to_a:address() })
      wait_until(function()
        return to_a.connections > 0 and to_b.connections > 0
      end, nil, "two dials")
      return a, b, to_a, to_b
    end

    for _, ms in ipairs({ { 20, 10 }, { 10, 20 }, { 15, 15 } }) do
      it(("leave the lower id's, %d ms against %d ms"):format(ms[2], ms[1]),
        function()
          local a, b, to_a, to_b = crossing(ms[1], ms[2])
          links.wait_linked(a, b)
          wait_until(function() return to_a:count() == 0 end, nil,
            "the end of the other one")
          assert.is_true(a.transport:living("n2").is_dialed)
          assert.is_false(b.transport:living("n1").is_dialed)
          assert.equal(1, to_b:count())
          assert.is_true(a:status().duplicates + b:status().duplicates > 0)
          links.pass(a, b, "still here")
          to_a:close()
          to_b:close()
          links.close(a, b)
        end)
    end

    -- A bare socket plays the part of n2's own dial.
    local function dial_as(b, a)
      local raw = links.raw(a:address()):read()
      raw:send(core.hello_encode({ id = b.id, to = a.id, cluster = "shop",
        nonce = b.hello.nonce }))
      return raw
    end

    it("end before an answer where the right one is up", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      a.transport:peers({ n2 = b:address() })
      links.wait_linked(a, b)
      local raw = dial_as(b, a)
      raw:wait_ended()
      assert.equal("", raw.got)
      assert.same({ "open n2" }, a.events)
      raw:close()
      links.close(a, b)
    end)

    it("end before opening when the right one was quicker", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      local raw = dial_as(b, a)
      wait_until(function() return #raw.got > 0 end)
      a.transport:peers({ n2 = b:address() })
      wait_until(function() return b.transport:has("n1") end)
      raw:send(core.ping())
      raw:wait_ended()
      assert.same({ "open n2" }, a.events)
      links.pass(a, b, "on the right one")
      raw:close()
      links.close(a, b)
    end)

    it("are told as closed before open", function()
      local a, b, to_a, to_b = crossing(10, 20)
      links.wait_linked(a, b)
      wait_until(function() return to_a:count() == 0 end)
      for _, node in ipairs({ a, b }) do
        local is_up = false
        for _, event in ipairs(node.events) do
          assert.equal(not is_up, event:find("open", 1, true) ~= nil,
            table.concat(node.events, ", "))
          is_up = not is_up
        end
        assert.is_true(is_up)
      end
      to_a:close()
      to_b:close()
      links.close(a, b)
    end)
  end)

  it("lets the second link of a peer replace its first", function()
    local a = links.node { id = "n1" }
    local hello = { id = "n2", to = "n1", cluster = "shop", nonce = 9 }
    local first = links.raw(a:address()):read():greet(hello, a)
    local second = links.raw(a:address()):read()
    second:send(core.hello_encode(hello))
    wait_until(function() return #second.got > 0 end)
    second:send(core.ping())
    first:wait_ended()
    assert.same({ "open n2", "closed n2", "open n2" }, a.events)
    assert.is_false(second.is_ended)
    first:close()
    second:close()
    a:close()
  end)

  it("does not dial while a link is up", function()
    local limits = { ping_ms = 20, alive_ms = 60, patience_ms = 40 }
    local a = links.node { id = "n1", limits = limits }
    local b = links.node { id = "n2", limits = limits }
    local to_a, to_b = Proxy.new(uv, a:address()), Proxy.new(uv, b:address())
    a.transport:peers({ n2 = b:address() })
    b.transport:peers({ n1 = to_a:address() })
    links.wait_linked(a, b)
    a.transport:peers({ n2 = to_b:address() })  -- for the next time
    wait_until(function() return b.transport:living("n1").age_ms > 200 end)
    assert.equal(0, to_a.connections + to_b.connections)
    to_a:close()
    to_b:close()
    links.close(a, b)
  end)

  describe("peers", function()
    it("stops dialing who is gone, and keeps the open link", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      a.transport:peers({ n2 = b:address() })
      links.wait_linked(a, b)
      a.transport:peers({})
      links.pass(a, b, "farewell")
      local port = b:address()
      b:close()
      wait_until(function() return a:count("closed n2") == 1 end)
      local again = links.node { id = "n2", listen = port }
      local witness = links.node { id = "n3" }
      a.transport:peers({ n3 = witness:address() })
      links.wait_linked(a, witness)
      assert.is_false(a.transport:has("n2"))
      assert.equal(0, again:status().pending)
      links.close(a, again, witness)
    end)

    it("gives up a greeting with who is no peer any more", function()
      local raws = uv.new_tcp()
      assert(raws:bind("127.0.0.1", 0))
      local stream, got, is_ended = false, 0, false
      assert(raws:listen(1, function()
        stream = uv.new_tcp()
        raws:accept(stream)
        stream:read_start(function(_, chunk)
          if chunk then got = got + #chunk else is_ended = true end
        end)
      end))
      local a = links.node { id = "n1" }
      local port = raws:getsockname().port // 1 | 0
      a.transport:peers({ n2 = "127.0.0.1:" .. port })
      wait_until(function() return got > 0 end, nil, "a greeting")
      a.transport:peers({})
      wait_until(function() return is_ended end, 1000, "its end")
      a:close()
      raws:close()
      stream:close()
    end)

    it("dials a changed address", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      local nobody = links.node { id = "n9" }
      local nowhere = nobody:address()
      nobody:close()
      a.transport:peers({ n2 = nowhere })
      wait_until(function() return a:status().dial_failed > 0 end)
      a.transport:peers({ n2 = b:address() })
      links.wait_linked(a, b)
      links.close(a, b)
    end)

    it("leaves links alone when called again", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      links.introduce(a, b)
      links.pass(a, b, "same link")
      assert.equal(1, a:count("open n2"))
      assert.equal(0, a:count("closed n2"))
      links.close(a, b)
    end)

    it("does not dial itself", function()
      local a = links.node { id = "n1" }
      a.transport:peers({ n1 = a:address() })
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      assert.equal(1, a:status().links)
      assert.equal(0, a:status().misdirected)
      links.close(a, b)
    end)
  end)

  describe("send", function()
    it("is false without a link, and counts it", function()
      local a = links.node { id = "n1" }
      assert.is_false(a.transport:send("n2", "x"))
      assert.equal(1, a:status().dropped)
      a:close()
    end)

    it("drops whole strings once too much waits", function()
      local limit <const> = 256 * 1024
      local a = links.node { id = "n1", limits = { queue_bytes = limit } }
      local raw = links.raw(a:address()):read():greet({ id = "n2", to = "n1",
        cluster = "shop" }, a)
      raw.stream:read_stop()
      local before, sent = #raw.got, 0
      local piece = ("0123456789abcdef"):rep(4096)
      local function is_taken() return a.transport:send("n2", piece) end
      for _ = 1, 10000 do
        if not is_taken() then break end
        sent = sent + 1
      end
      assert.is_false(is_taken(), "the queue has no bound")
      assert.is_true(a.transport:living("n2").queued_bytes <= limit)
      assert.is_true(a:status().dropped >= 2)
      raw:read()
      wait_until(function() return #raw.got - before >= sent * #piece end)
      assert.equal(sent * #piece, #raw.got - before)
      assert.equal(piece:rep(sent), raw.got:sub(before + 1))
      wait_until(is_taken, nil, "room")
      raw:close()
      a:close()
    end)

    it("takes one string of any size when nothing waits", function()
      local a = links.node { id = "n1", limits = { queue_bytes = 1000 } }
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      links.pass(a, b, ("x"):rep(1 << 20))
      links.close(a, b)
    end)
  end)

  describe("regreet", function()
    it("greets anew where our hello has changed", function()
      local heard = {}
      local a, b = links.node { id = "n1" }, links.node { id = "n2",
        judge = function(hello)
          heard[#heard + 1] = hello.formed
          return true
        end }
      links.introduce(a, b)
      links.wait_linked(a, b)
      a.hello.identity = ("I"):rep(16)
      a.transport:regreet()
      assert.is_false(a.transport:has("n2"))
      assert.equal(0, a:count("closed n2"))  -- it is told from the loop
      wait_until(function() return a:count("open n2") == 2 end)
      links.wait_linked(a, b)
      assert.same({ "open n2", "closed n2", "open n2" }, a.events)
      assert.is_true(heard[#heard])
      links.close(a, b)
    end)

    it("leaves links on which our hello still holds", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      a.transport:regreet()
      links.pass(a, b, "same link")
      assert.same({ "open n2" }, a.events)
      links.close(a, b)
    end)

    it("costs no waiting, however often", function()
      local a = links.node { id = "n1", limits = { dial_max_ms = 100000,
        settle_ms = 100000 } }
      local b = links.node { id = "n2" }
      a.transport:peers({ n2 = b:address() })
      for starts = 1, 15 do  -- doubled each time, the wait would be minutes
        links.wait_linked(a, b)
        a.hello.starts = starts
        a.transport:regreet()
        wait_until(function() return a:count("open n2") == starts end)
      end
      links.close(a, b)
    end)

    it("reaches links that are still greeting", function()
      local a, b
      b = links.node { id = "n2", judge = function(hello)
        if not hello.formed then  -- the news comes while b judges
          a.hello.identity = ("I"):rep(16)
          a.transport:regreet()
        end
        return true
      end }
      a = links.node { id = "n1" }
      a.transport:peers({ n2 = b:address() })
      links.wait_linked(a, b)
      assert.is_true(b.transport:living("n1").hello.formed)
      links.close(a, b)
    end)
  end)

  describe("status", function()
    it("names links by id, and where it listens", function()
      local a, b, c = links.node { id = "n1" }, links.node { id = "n2" },
        links.node { id = "n3" }
      links.introduce(a, b, c)
      links.wait_linked(a, b)
      links.wait_linked(a, c)
      local list = a.transport:links()
      assert.same({ "n2", "n3" }, { list[1].id, list[2].id })
      assert.equal(a:address(), a:status().listen)
      assert.equal(2, a:status().links)
      links.close(a, b, c)
    end)
  end)

  describe("listen", function()
    it("fails with address and reason when the port is taken", function()
      local a = links.node { id = "n1" }
      local ok, err = pcall(links.node, { id = "n2", listen = a:address() })
      assert.is_false(ok)
      assert.equal("listen_failed", err.code)
      assert.equal(a:address(), err.address)
      assert.truthy(tostring(err):find("EADDRINUSE", 1, true))
      a:close()
    end)

    it("resolves a host name", function()
      local a = links.node { id = "n1", listen = "localhost:0" }
      assert.truthy(a:address():find(":%d+$"))
      a:close()
    end)
  end)

  describe("close", function()
    it("may be called in any state, and leaves no handle", function()
      support.seed()
      for _ = 1, 40 do
        local a, b = links.node { id = "n1" }, links.node { id = "n2" }
        links.introduce(a, b)
        local turns = math.random(0, 12)
        wait_until(function()
          turns = turns - 1
          return turns < 0
        end)
        links.close(a, b)
      end
    end)

    it("calls back when all handles are closed", function()
      local made, closed, closed_then = 0, 0, false
      local function counting(new)
        return function()
          made = made + 1
          return new()
        end
      end
      local a = links.node { id = "n1", uv = setmetatable({
        new_tcp = counting(uv.new_tcp), new_timer = counting(uv.new_timer),
        close = function(handle, done)
          uv.close(handle, function()
            closed = closed + 1
            done()
          end)
        end }, { __index = uv }) }
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      a.transport:close(function() closed_then = closed end)
      wait_until(function() return closed_then end)
      assert.is_true(made >= 4)
      assert.equal(made, closed_then)
      b:close()
    end)

    it("answers each caller", function()
      local a, calls = links.node { id = "n1" }, 0
      local function count() calls = calls + 1 end
      a.transport:close(count)
      a.transport:close(count)
      assert.equal(0, calls)
      wait_until(function() return calls == 2 end)
    end)

    it("works twice, and after close_now", function()
      local a = links.node { id = "n1" }
      a.transport:close_now()
      a.transport:close_now()
      a:close()
      a:close()
    end)

    it("tells nothing more, and sends nothing", function()
      local a, b = links.node { id = "n1" }, links.node { id = "n2" }
      links.introduce(a, b)
      links.wait_linked(a, b)
      a:close()
      assert.is_false(a.transport:send("n2", "x"))
      assert.same({ "open n2" }, a.events)
      wait_until(function() return b:count("closed n1") == 1 end)
      b:close()
    end)

    it("may be called from a handler", function()
      local a, is_closed
      local function close()
        a.transport:close(function() is_closed = true end)
      end
      a = links.node { id = "n1", on = { open = close } }
      local b = links.node { id = "n2" }
      links.introduce(a, b)
      wait_until(function() return is_closed end)
      b:close()
    end)
  end)
end)
