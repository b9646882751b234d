local Site = require "spec.sim.scripts.site"
local core = require "raft.core"
local support = require "spec.support.helper"

local A <const>, B <const> = "10.0.0.1", "10.0.0.2"

-- A frame of each kind, from the golden files.
local function golden(name)
  local file = assert(io.open("spec/golden/" .. name .. ".hex"))
  local text = file:read("a"):gsub("#[^\n]*", ""):gsub("%s+", "")
  file:close()
  return (text:gsub("%x%x", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local APPEND <const> = golden("frame_append")
local VOTE <const> = golden("frame_vote")
local PROPOSE <const> = golden("frame_propose")
local PROPOSE_REPLY <const> = golden("frame_propose_reply")
local PING <const> = core.ping()

-- A site, and what B has got when A has written each of these.
local function sent(options, writes, seed)
  local site = Site.new(seed or support.seed(), options)
  site:process(A)
  site:process(B)
  local near, far = site:link(A, B)
  for _, bytes in ipairs(writes) do
    site:write(A, near, bytes)
    site:wait(function() return near.written end)
    near.written = false
  end
  site:sleep(1000)
  return site, far.got, near
end

local function times(bytes, count)
  local list = {}
  for i = 1, count do list[i] = bytes end
  return list
end

local function count(text, frame)
  local found, at = 0, 1
  while true do
    at = text:find(frame, at, true)
    if not at then return found end
    found, at = found + 1, at + #frame
  end
end

describe("frames on the virtual network", function()
  it("are lost at the rate that was asked for", function()
    local site, got = sent({ loss = 0.3 }, times(VOTE, 1000))
    local lost = site.network.counts.lost
    assert.is_true(lost > 240 and lost < 360, lost)
    assert.equal(VOTE:rep(1000 - lost), got)
  end)

  it("are lost, doubled and held back, also of what is written at once",
    function()
    local site = Site.new(support.seed(), { loss = 0.2, duplicate = 0.2,
      reorder = 0.2, reorder_ms = 50 })
    site:process(A)
    site:process(B)
    local near, far = site:link(A, B)
    for _ = 1, 500 do
      site.loops[A]:ready(function()
        assert.equal(#VOTE, near.stream:try_write(VOTE))
      end)
      site:sleep(1)
    end
    site:sleep(1000)
    local counts = site.network.counts
    for _, fate in ipairs { "lost", "doubled", "reordered" } do
      assert.is_true(counts[fate] > 40, fate .. " " .. counts[fate])
    end
    assert.equal(VOTE:rep(500 - counts.lost + counts.doubled), far.got)
  end)

  it("are lost one by one, also out of one write", function()
    local site, got = sent({ loss = 0.5 }, { (VOTE .. APPEND):rep(200) })
    local votes, appends = count(got, VOTE), count(got, APPEND)
    assert.equal(400 - site.network.counts.lost, votes + appends)
    assert.equal(votes * #VOTE + appends * #APPEND, #got)
    assert.is_true(votes > 60 and votes < 140, votes)
    assert.is_true(count(got, VOTE .. APPEND) < votes)  -- one without the other
  end)

  it("are doubled at the rate that was asked for", function()
    local site, got = sent({ duplicate = 0.2 }, times(VOTE, 1000))
    local doubled = site.network.counts.doubled
    assert.is_true(doubled > 140 and doubled < 260, doubled)
    assert.equal(VOTE:rep(1000 + doubled), got)
  end)

  it("come late, so that others overtake them, and whole", function()
    local site, got = sent({ reorder = 0.3, reorder_ms = 50, delay = 1 },
      { (VOTE .. APPEND):rep(100) })
    assert.is_true(site.network.counts.reordered > 30)
    assert.equal(100, count(got, VOTE))
    assert.equal(100, count(got, APPEND))
    assert.equal(100 * #(VOTE .. APPEND), #got)
    assert.not_equal((VOTE .. APPEND):rep(100), got)
  end)

  it("come late by no more than was asked for", function()
    local site = Site.new(support.seed(), { reorder = 1, reorder_ms = 40,
      delay = { 5, 5 } })
    site:process(A)
    site:process(B)
    local near, far = site:link(A, B)
    local from = site:now()
    site:write(A, near, VOTE:rep(200))
    site:wait(function() return #far.got == 200 * #VOTE end)
    local first, last = far.chunks[1].at, far.chunks[#far.chunks].at
    assert.is_true(first >= from + 5 and first < from + 10, first - from)
    assert.is_true(last > from + 35 and last < from + 45.1, last - from)
  end)

  it("are never mixed up with a write that waits for room", function()
    local site = Site.new(support.seed(), { reorder = 0.5, reorder_ms = 20,
      bandwidth = 1000, buffer_bytes = 2000 })
    site:process(A)
    site:process(B)
    local near, far = site:link(A, B)
    site:write(A, near, (VOTE .. APPEND):rep(200))
    site:write(A, near, (APPEND .. VOTE):rep(200))
    site:wait(function() return #far.got == 400 * #(VOTE .. APPEND) end)
    local at = 1
    while at <= #far.got do
      local size = core.frame_size(far.got:sub(at, at + 23))
      local frame = far.got:sub(at, at + size - 1)
      assert.is_true(frame == VOTE or frame == APPEND)
      at = at + size
    end
  end)

  it("of proposals are never doubled, and may be lost", function()
    local site, got = sent({ duplicate = 1 }, { PROPOSE, PROPOSE_REPLY, VOTE })
    assert.equal(PROPOSE .. PROPOSE_REPLY .. VOTE .. VOTE, got)
    assert.equal(1, site.network.counts.doubled)
    site, got = sent({ loss = 1 }, { PROPOSE, PROPOSE_REPLY, VOTE })
    assert.equal("", got)
    assert.equal(3, site.network.counts.lost)
  end)

  it("are judged by a function where there is one", function()
    local site = Site.new(support.seed(), { delay = 1 })
    site:process(A)
    site:process(B)
    local asked = {}
    site.network:judge(function(from, to, kind, size)
      asked[#asked + 1] = ("%s %s %s %d"):format(from, to, kind, size)
      if kind == "vote" then return "lose" end
      if kind == "append" then return 40 end
    end)
    local near, far = site:link(A, B)
    local from = site:now()
    site:write(A, near, VOTE .. APPEND .. PROPOSE .. PING)
    site:wait(function() return #far.got == #(APPEND .. PROPOSE .. PING) end)
    assert.equal(PROPOSE .. PING .. APPEND, far.got)
    local late = far.chunks[#far.chunks].at - from
    assert.is_true(late >= 41 and late < 42, late)
    assert.same({ ("%s %s vote %d"):format(A, B, #VOTE),
      ("%s %s append %d"):format(A, B, #APPEND),
      ("%s %s propose %d"):format(A, B, #PROPOSE) }, asked)
    site.network:judge(false)
    site:write(A, near, VOTE)
    site:wait(function() return far.got:sub(-#VOTE) == VOTE end)
    assert.equal(3, #asked)
  end)

  it("of greetings come through, and pings", function()
    local hello = core.hello_encode { id = "n1", to = "n2", cluster = "shop" }
    local refusal = core.refusal_encode("unsupported", "no")
    local writes = { hello, PING, refusal, hello .. PING }
    local worst = { loss = 1, duplicate = 1, reorder = 1, reorder_ms = 50 }
    local site, got = sent(worst, writes)
    assert.equal(table.concat(writes), got)
    assert.equal(0, site.network.counts.lost)
  end)

  it("are left alone where the bytes are no whole frames", function()
    local writes = { "GET / HTTP/1.0\r\n\r\n", VOTE .. APPEND:sub(1, -2),
      "xyz", "", VOTE .. ("\0"):rep(30) }
    local _, got = sent({ loss = 1, duplicate = 1 }, writes)
    assert.equal(table.concat(writes), got)
  end)

  it("are told to who watches, and counted", function()
    local site = Site.new(support.seed())
    site:process(A)
    site:process(B)
    local told = {}
    site.network:watch(function(from, to, kind, size)
      told[#told + 1] = ("%s %s %s %d"):format(from, to, kind, size)
    end)
    local near, far = site:link(A, B)
    site:write(A, near, VOTE .. APPEND)
    site:write(B, far, PING)
    site:sleep(10)
    assert.same({ ("%s %s vote %d"):format(A, B, #VOTE),
      ("%s %s append %d"):format(A, B, #APPEND),
      ("%s %s ping %d"):format(B, A, #PING) }, told)
    assert.same({ vote = 1, append = 1, ping = 1 }, site.network.counts.frames)
    assert.equal(#VOTE + #APPEND + #PING, site.network.counts.bytes)
    assert.equal(#PING, site.network:pair(B, A).bytes)
  end)

  it("are lost in one direction where that is asked for", function()
    local site = Site.new(support.seed())
    site:process(A)
    site:process(B)
    site.network:set({ loss = 1 }, A, B)
    local near, far = site:link(A, B)
    site:write(A, near, VOTE)
    site:write(B, far, APPEND)
    site:sleep(100)
    assert.equal("", far.got)
    assert.equal(APPEND, near.got)
  end)

  it("meet the same fate where the seed is the same", function()
    local options = { loss = 0.2, duplicate = 0.2, reorder = 0.2,
      reorder_ms = 30, delay = { 1, 20 } }
    local seed = support.seed()
    local writes = times(VOTE .. APPEND, 100)
    local one, got = sent(options, writes, seed)
    local two, again = sent(options, writes, seed)
    local _, other = sent(options, writes, seed + 1)
    assert.equal(got, again)
    assert.same(one.network.counts, two.network.counts)
    assert.equal(one.world.births, two.world.births)
    assert.not_equal(got, other)
  end)
end)
