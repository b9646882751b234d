-- What is applied where commands lack: with parts that are counted, not real.
local applying = require "raft.node.applying"
local results = require "raft.results"

-- A driver whose log is a list of { kind, command }.
local function new_driver(log)
  local driver = { applied = 0, apply_last = #log, void_upto = 0,
    is_closed = false, lacks_commands = false, ran = {}, answers = {},
    state = "running", id = "n1", options = { compare_every = 1024 } }
  driver.core = {
    run = function(_, index)
      return 1, log[index][1], 1, 100 + index, { log[index][2] }
    end,
    requests = function() end,
    applied = function() return true end,
  }
  driver.machine = {
    apply_many = function(_, index, _, _, _, _, count)
      driver.ran[#driver.ran + 1] = index
      return { count = count, values = {}, whys = {}, errors = {} }
    end,
    has_snapshots = function() return true end,
    load = function(_, read) read() return true end,
  }
  driver.kept = { load = function(_, read) return read end }
  driver.proposals = {
    are_waiting = function() return true end,
    group_at = function() end,
    applied = function(_, index, _, ok, value)
      driver.answers[index] = ok and "ok" or value and value.code or "none"
    end,
    covered = function() end,
  }
  driver.reads = { applied = function() end, refused = 0 }
  function driver.reads:refuse_state(make_error)
    self.refused = self.refused + 1
    self.code = make_error().code
  end
  driver.kept = { results = results.new(),
    load = function(_, read) return read end }
  driver.snapshots = { installed = function() end }
  driver.logger = { info = function() end }
  driver.storage = { snapshots = {} }
  function driver.now() return 0 end
  function driver.step() return true end
  function driver.emit() end
  return driver
end

describe("applying", function()
  -- Found by the swarm: a witness that was to leave was sent whole entries.
  it("applies no command to a state that lacks one before it", function()
    local driver = new_driver { { "command", "a" }, { "stripped" },
      { "command", "c" }, { "noop" } }
    applying.apply_some(driver, true)
    assert.same({ 1 }, driver.ran)
    assert.equal(4, driver.applied)
    assert.same({ "ok", "unknown", "unknown", "ok" }, driver.answers)
    assert.equal(1, driver.reads.refused)  -- who waited to read was told
    assert.equal("unsupported", driver.reads.code)
  end)

  it("goes on once a whole state came in, and stops at a bare one", function()
    local log = { { "stripped" }, { "command", "b" }, { "command", "c" },
      { "command", "d" } }
    local driver = new_driver(log)
    driver.apply_last = 2
    applying.apply_some(driver, true)
    local info = { index = 3, is_bare = false, path = "snap" }
    driver.storage.snapshots.find = function() return info end
    driver.storage.snapshots.reader = function()
      return { read = function() end, close = function() end }
    end
    applying.install(driver, 3, 1)
    driver.apply_last = 4
    applying.apply_some(driver, true)
    assert.same({ 4 }, driver.ran)
    info.is_bare, driver.apply_last = true, 3
    applying.install(driver, 3, 1)
    driver.apply_last = 4
    applying.apply_some(driver, true)
    assert.same({ 4 }, driver.ran)
  end)
end)
