-- Which effect is performed when: the rule of `after`, with a core that hands
-- out what the spec says.
local effects = require "raft.node.effects"

-- Those who look again when the role is another.
local function add_askers(driver, note)
  driver.transfers = { ask_again = function() end }
  driver.snapshots = { storing = function() end }
  driver.membership = { changes = {
    ask_again = function() note("ask changes again") end,
    forwarded = function() return false end,
  } }
  driver.snapshots = { storing = function() end }
  driver.shipping = {
    look_at_role = function() note("look at role") end,
    ship = function(_, peer, index) note("ship", peer, index) end,
  }
end

-- A driver that notes what is performed: "store 1", "send n2 x", "apply 5".
local function new_driver()
  local driver = { stored = 0, is_closed = false, batch = {}, done = {},
    applied = 0, is_up = true, apply_last = 0,
    role = "follower", term = 1, leader = false }
  local function note(...)
    driver.done[#driver.done + 1] = table.concat({ ... }, " ")
    if driver.closes_at == driver.done[#driver.done] then
      driver.is_closed = true
    end
  end
  driver.note = note
  driver.core = {
    effects = function()
      local i = 0
      return function()
        i = i + 1
        if driver.batch[i] then return table.unpack(driver.batch[i]) end
      end
    end,
    unreachable = function(_, _, peer) note("unreachable", peer) end,
  }
  driver.storage = { store = function(_, seq) note("store", seq) end }
  driver.transport = { send = function(_, peer, bytes)
    if driver.is_up then note("send", peer, bytes) end
    return driver.is_up
  end }
  driver.reads = {
    serve = function(_, token) note("read", token) end,
    ask_again = function() note("ask again") end,
  }
  add_askers(driver, note)
  driver.peers = { cut = function(_, peer) note("cut", peer) end }
  driver.logger = { info = function() end }
  function driver.may_apply(self, last) self.apply_last = last end
  function driver.now() return 0 end
  function driver:may_apply(last) self.apply_last = last end
  function driver.step() end
  function driver.wants_flush() note("flush") end
  function driver.emit(_, name, value) note("event", name, value or "none") end
  function driver.address_of() return nil end
  driver.held, driver.patient = effects.new(), {}
  return driver
end

local function take(driver, batch)
  driver.batch = batch
  effects.take(driver, driver.held)
  local done = driver.done
  driver.done = {}
  return table.concat(done, ", ")
end

local function stored(driver, seq)
  driver.stored = seq
  effects.release(driver, driver.held)
  local done = driver.done
  driver.done = {}
  return table.concat(done, ", ")
end

describe("effects", function()
  it("wait until what they need is durable; sends overtake", function()
    local driver = new_driver()
    assert.equal("store 1, send n2 a, store 2, send n3 c", take(driver, {
      { "store", 0, 1, "bytes" }, { "send", 0, "n2", "a" },
      { "send", 1, "n2", "b" }, { "store", 0, 2, "bytes" },
      { "send", 0, "n3", "c" },
    }))
    assert.equal("send n2 b", stored(driver, 1))
    assert.equal("", stored(driver, 2))
  end)

  it("send what is patient with what follows, or at the end of a turn",
    function()
    local driver = new_driver()
    assert.equal("send n3 bcd", take(driver, { { "send", 0, "n2", "a", true },
      { "send", 0, "n3", "b", true }, { "send", 0, "n3", "c", true },
      { "send", 0, "n3", "d", false } }))
    take(driver, { { "send", 0, "n4", "e", true },
      { "send", 0, "n3", "f", true } })
    effects.send_patient(driver)
    assert.equal("send n2 a, send n3 f, send n4 e",
      table.concat(driver.done, ", "))
    driver.done = {}
    effects.send_patient(driver)
    assert.same({}, driver.done)
  end)

  it("leave out what is patient where what follows says the same", function()
    local driver = new_driver()
    assert.equal("send n2 b", take(driver, { { "send", 0, "n2", "a", true },
      { "send", 0, "n2", "b", false, true } }))
    driver.done = {}
    effects.send_patient(driver)
    assert.same({}, driver.done)
  end)

  it("keep the order of stores, applies and reads", function()
    local driver = new_driver()
    take(driver, { { "apply", 1, 1, 5 }, { "read", 0, 7, 5 },
      { "store", 0, 2, "bytes" } })
    assert.equal(0, driver.apply_last)
    -- In a later turn, too.
    assert.equal("", take(driver, { { "read", 0, 8, 5 } }))
    assert.equal("read 7, store 2, read 8", stored(driver, 1))
    assert.equal(5, driver.apply_last)
  end)

  it("stop where one has to wait for more", function()
    local driver = new_driver()
    take(driver, { { "read", 1, 1, 0 }, { "read", 3, 3, 0 },
      { "read", 2, 2, 0 }, { "send", 2, "n2", "x" } })
    assert.equal("read 1", stored(driver, 1))
    assert.equal("send n2 x", stored(driver, 2))
    assert.equal("read 3, read 2", stored(driver, 3))
  end)

  it("are not performed after the end, held or not", function()
    local driver = new_driver()
    driver.closes_at = "send n2 a"
    assert.equal("send n2 a", take(driver, { { "send", 1, "n3", "held" },
      { "send", 0, "n2", "a" }, { "send", 0, "n2", "b" } }))
    assert.equal("", stored(driver, 1))
  end)

  it("end in the middle of a release, too", function()
    local driver = new_driver()
    take(driver, { { "send", 1, "n2", "a" }, { "send", 1, "n2", "b" },
      { "read", 1, 1, 0 } })
    driver.closes_at = "send n2 a"
    assert.equal("send n2 a", stored(driver, 1))
  end)

  it("cut a link that has lost a string, and tell the core", function()
    local driver = new_driver()
    driver.is_up = false
    assert.equal("cut n2, unreachable n2",
      take(driver, { { "send", 0, "n2", "a" } }))
  end)

  it("ship a snapshot whatever else waits", function()
    local driver = new_driver()
    assert.equal("store 1, ship n2 9", take(driver, { { "store", 0, 1, "" },
      { "apply", 1, 1, 5 }, { "ship", 0, "n2", 9 } }))
  end)

  it("tell of a new role, and have the flush look again", function()
    local driver = new_driver()
    assert.equal("ask again, ask changes again, look at role, flush, "
      .. "event role candidate",
      take(driver, { { "role", 0, "candidate", 2, false } }))
    assert.equal("ask again, ask changes again, look at role, flush, "
      .. "event role leader, event leader n1",
      take(driver, { { "role", 0, "leader", 2, "n1" } }))
    assert.equal("ask again, ask changes again, look at role, flush",
      take(driver, { { "role", 0, "leader", 2, "n1" } }))
    assert.equal("ask again, ask changes again, look at role, flush, "
      .. "event leader n1",
      take(driver, { { "role", 0, "leader", 3, "n1" } }))
    assert.equal("ask again, ask changes again, look at role, flush, "
      .. "event role follower, event leader none",
      take(driver, { { "role", 0, "follower", 4, false } }))
  end)
end)
