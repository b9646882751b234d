-- What clients may send to a node that no client of ours sends: it costs them
-- their connection, or is answered, and the node lives on.
local Dice = require "spec.support.dice"
local codec = require "raft.codec"
local core = require "raft.core"
local frames = require "raft.client.frames"
local hostile = require "spec.support.hostile"
local limits = require "raft.client.limits"
local session_entry = require "raft.session_entry"
local sim = require "raft.sim"
local support = require "spec.support.helper"

local COMMAND_BYTES <const> = 1000
local ROUNDS <const> = 150        -- of random bytes
local FRAMES <const> = 8          -- in one of them, at most
local TIMES <const> = { timeout = 100 }  -- of calls

local function node()
  local total = 0
  return { max_command_bytes = COMMAND_BYTES,
    apply = function()
      total = total + 1
      return total
    end,
    query = function(request) return request end }
end

-- Story(s, connect): connect(id) is another connection with that node, or with
-- the leader. In the end nothing is left of them, and a client is served.
local function on_cluster(story, seed)
  local s <close> = sim.new { seed = seed or 1, nodes = 3, node = node }
  local count = 0
  s:run(function()
    assert(s:wait(function() return s:is_formed() and s:leader() end))
    story(s, function(id)
      count = count + 1
      return hostile.connect(s, id or s:leader(), count)
    end)
    s:heal()
    local c <close> = s:client()
    assert(c:propose("still", { timeout = 20000 }))
    assert.equal("here", c:query("here"))
  end)
  assert(s:check())
  for _, id in ipairs(s.ids) do
    assert.equal("running", s:node(id):status().state)
  end
end

local function visitors(s, id)
  return #s.members[id].driver.gateway.visitors
end

local function call(id, name, a)
  return frames.encode("call", id, 0, codec.encode { name = name, a = a,
    opts = TIMES })
end

local function command(session, sequence, text)
  return session_entry.encode { op = "command", session = session,
    sequence = sequence, floor = sequence, command = text }
end

local function session(id, body)
  return frames.encode("session", id, 0, body)
end

local OPEN <const> = session_entry.encode { op = "open", session = 0,
  sequence = 60000, floor = 0, command = "" }

describe("a node, asked by what is no client of ours,", function()
  it("answers frames that come in pieces", function()
    on_cluster(function(s, connect)
      local one = connect()
      local bytes = frames.encode("head", 1, 0, "") .. call(2, "members")
        .. session(3, OPEN) .. call(4, "ready")
      for at = 1, #bytes, 7 do
        one:send(bytes:sub(at, at + 6))
        s:sleep(3)
      end
      for id = 1, 4 do assert.is_true((one:answer(id))) end
    end)
  end)

  it("forgets who goes in the middle of a frame", function()
    on_cluster(function(s, connect)
      local leader = s:leader()
      for cut = 1, 60, 7 do
        local one = connect(leader)
        one:send(call(2, "members"):sub(1, cut))
        s:sleep(5)
        one:die()
      end
      s:sleep(1000)
      assert.equal(0, visitors(s, leader))
    end)
  end)

  it("cuts off kinds that it does not know, and answers", function()
    on_cluster(function(_, connect)
      for _, kind in ipairs { 1, 16, 31, 36, 37, 127 } do
        local one = connect()
        one:send(hostile.of_kind(kind, 2, codec.encode { name = "members" }))
        assert.is_true(one:was_cut_off(), "kind " .. kind)
      end
    end)
  end)

  it("cuts off frames that are too large, and no others", function()
    on_cluster(function(_, connect)
      local most = COMMAND_BYTES + limits.REQUEST_HEAD_BYTES
      local one = connect()
      one:send(session(2, command(9, 1, ("x"):rep(most - #command(9, 1, "")))))
      local ok, err = one:answer(2)
      assert.is_false(ok)
      assert.equal("too_large", err.code)
      one:send(frames.encode("query", 3, 0, ("x"):rep(most + 1)):sub(1, 100))
      assert.is_true(one:was_cut_off())
    end)
  end)

  it("refuses to pass on what is too large, and goes on", function()
    on_cluster(function(s, connect)
      local follower = s:leader() == "n1" and "n2" or "n1"
      local one = connect(follower)
      one:send(frames.encode("session", 2, limits.MAY_FORWARD,
        command(9, 1, ("x"):rep(2 * COMMAND_BYTES))))
      local ok, err = one:answer(2)
      assert.is_false(ok)
      assert.equal("too_large", err.code)
      assert(s:node(follower):propose("a"))
    end)
  end)

  it("cuts off who has more requests open than agreed", function()
    on_cluster(function(s, connect)
      local leader = s:leader()
      local one, two = connect(leader), connect(leader)
      local others = {}
      for _, id in ipairs(s.ids) do
        if id ~= leader then others[#others + 1] = id end
      end
      s:partition({ leader }, others)  -- nothing is committed
      local all = {}
      for id = 2, limits.OPEN_MAX + 1 do all[#all + 1] = session(id, OPEN) end
      one:send(table.concat(all))
      two:send(table.concat(all))
      s:sleep(100)
      one:send(call(1 << 20, "status"))
      assert.is_true(one:was_cut_off())
      assert.is_false(two.is_closed)
      assert.equal(1, visitors(s, leader))
    end)
  end)

  it("cuts off who gives the id of an open request", function()
    on_cluster(function(s, connect)
      local one = connect()
      one:send(call(2, "status"))
      assert.is_true((one:answer(2)))
      one.results = {}
      one:send(call(2, "status"))  -- it is free again
      assert.is_true((one:answer(2)))
      one:send(session(3, OPEN) .. session(3, OPEN))
      assert.is_true(one:was_cut_off())
      s:sleep(1000)
    end)
  end)

  it("cuts off who gives it in a row of them", function()
    on_cluster(function(s, connect)
      local one = connect()
      one:send(session(5, OPEN) .. session(7, OPEN) .. session(4, OPEN)
        .. session(5, OPEN) .. session(6, OPEN))
      assert.is_true(one:was_cut_off())
      s:sleep(1000)
    end)
  end)

  it("answers rows of requests, whatever is in them", function()
    on_cluster(function(s, connect)
      local one = connect()
      one:send(session(2, OPEN))
      local _, id = one:answer(2)
      local all = {}
      for i = 1, 40 do
        local body = i == 20 and "garbage" or i == 30 and OPEN
          or command(id, i, "c" .. i)
        all[i] = session(10 + i, body)
      end
      one:send(table.concat(all))
      for i = 1, 40 do
        local ok, value = one:answer(10 + i)
        if i == 20 then
          assert.equal("bad_value", value.code)
        elseif i == 30 then
          assert.equal("integer", math.type(value))
        else
          assert.same({ true, "integer" }, { ok, math.type(value) })
        end
      end
      local visitor = s.members[s:leader()].driver.gateway.visitors[1]
      assert.same({ {}, 0, 0 }, { visitor.open, visitor.open_count,
        visitor.open_bytes })
    end)
  end)

  it("lets no question wait for ever", function()
    on_cluster(function(s, connect)
      local one = connect()
      local others = {}
      for _, id in ipairs(s.ids) do
        if id ~= s:leader() then others[#others + 1] = id end
      end
      s:partition({ s:leader() }, others)
      local opts = { timeout = false }
      one:send(frames.encode("query", 2, 0, codec.encode { opts = opts }))
      for i, name in ipairs { "read", "ready" } do
        one:send(frames.encode("call", 2 + i, 0, codec.encode { name = name,
          opts = opts }))
      end
      for _ = 1, 7 do
        s:sleep(9000)
        one:send(core.ping())
      end
      for id = 2, 4 do
        local ok, err = one:answer(id)
        assert.is_false(ok)
        assert.equal("timeout", err.code)
      end
    end)
  end)

  it("says what is wrong with a session", function()
    on_cluster(function(_, connect)
      local one = connect()
      local function refusal(id, body)
        one:send(session(id, body))
        local ok, err = one:answer(id)
        assert.is_false(ok)
        return err.code, err.reason
      end
      local none = command(123456, 1, "x")
      assert.same({ "session_expired", "expired" }, { refusal(2, none) })
      assert.equal("bad_value", (refusal(3, "")))
      assert.equal("bad_value", (refusal(4, none:sub(1, 24))))
      assert.equal("bad_value", (refusal(5, "\0" .. none:sub(2))))
      assert.equal("bad_value", (refusal(6, "\9" .. none:sub(2))))
      assert.equal("bad_value", (refusal(7, "\2" .. ("\xff"):rep(24))))
    end)
  end)

  it("says what is wrong with a call", function()
    on_cluster(function(_, connect)
      local one = connect()
      local id = 1
      for _, said in ipairs { {}, { name = 7 }, { name = "stop" },
        { name = "add", a = {}, b = 5 }, { name = "change", a = "x" },
        { name = "transfer", a = { 1 } }, { name = "ready", opts = 5 },
        { name = "read", opts = { consistency = "odd" } },
        { name = "service", a = { "x" } },
        { name = "remove", a = "n9", opts = { nobody = true } } } do
        id = id + 1
        one:send(frames.encode("call", id, 0, codec.encode(said)))
        local ok, err = one:answer(id)
        assert.is_false(ok, codec.encode(said))
        assert.truthy(err.code == "bad_value" or err.code == "unsupported",
          err.code)
      end
      one:send(frames.encode("query", 90, 0, codec.encode { opts = "x" }))
      assert.is_false((one:answer(90)))
      one:send(frames.encode("call", 91, 0, codec.encode "no table"))
      assert.is_true(one:was_cut_off())
    end)
  end)
end)

-- Frames drawn at random: bytes, and the id of a request that must be answered
-- unless the connection ends, or false.
local draw = {}

function draw.call(dice, id)
  return call(id, dice:pick { "status", "members", "ready", "read", "boo" }), id
end

function draw.query(dice, id)
  return frames.encode("query", id, 0, codec.encode { opts = TIMES,
    request = dice:integer(-9, 9) }), id
end

function draw.head(_, id) return frames.encode("head", id, 0, ""), id end
function draw.open(_, id) return session(id, OPEN), id end

function draw.command(dice, id)
  return session(id, command(dice:integer(1, 40), dice:integer(1, 5), "x")), id
end

function draw.junk_session(dice, id)
  local bytes = {}
  for i = 1, dice:integer(0, 40) do
    bytes[i] = string.char(dice:integer(0, 255))
  end
  return session(id, table.concat(bytes)), id
end

function draw.junk_body(dice, id)
  local kind = dice:pick { "call", "query" }
  return frames.encode(kind, id, dice:integer(0, 1 << 40),
    string.char(dice:integer(0, 255), dice:integer(0, 255))), id
end

function draw.odd_head(dice, id)
  return hostile.resealed(call(id, "status"),
    dice:integer(9, frames.HEAD_BYTES), dice:integer(0, 255)), false
end

function draw.flipped(dice, id)
  local frame = call(id, "status")
  local at = dice:integer(5, #frame)  -- a larger size is waited for
  local byte = frame:byte(at) ~ 1 << dice:integer(0, 7)
  return frame:sub(1, at - 1) .. string.char(byte) .. frame:sub(at + 1), false
end

function draw.again(_, id) return call(math.max(2, id - 1), "ready"), false end

local KINDS <const> = {}
for kind in pairs(draw) do KINDS[#KINDS + 1] = kind end
table.sort(KINDS)

-- One connection: all that was asked is answered, or it is cut off.
local function one_round(s, connect, dice)
  local id = dice:pick(s.ids)
  local one = connect(id)
  local asked = {}
  for i = 2, 1 + dice:integer(1, FRAMES) do
    local bytes, request = draw[dice:pick(KINDS)](dice, i)
    if request then asked[#asked + 1] = request end
    one:send(bytes)
    if dice:once_in(3) then s:sleep(dice:integer(0, 5)) end
  end
  for _, request in ipairs(asked) do
    one:answer(request)
    assert(one.results[request] or one.is_closed,
      ("request %d of %d: no answer, and not cut off"):format(request, #asked))
  end
  local was_cut = one.is_closed
  one:die()
  return was_cut
end

describe("a node, sent anything,", function()
  it("answers or cuts off, and lives", function()
    local seed = support.seed()
    local dice = Dice.new(seed, 1)
    on_cluster(function(s, connect)
      local cut = 0
      for _ = 1, ROUNDS do
        if one_round(s, connect, dice) then cut = cut + 1 end
      end
      assert.is_true(cut > 0 and cut < ROUNDS)
      s:sleep(2000)
      for _, id in ipairs(s.ids) do assert.equal(0, visitors(s, id)) end
    end, seed)
  end)
end)
