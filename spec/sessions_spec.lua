local answers = require "raft.answers"
local codec = require "raft.codec"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local sessions = require "raft.sessions"

-- A log of session entries, and what was run.
local function new_log(limits)
  local log = { all = sessions.new(limits), index = 0, time = 1000, ran = {} }
  function log.step(request)
    log.index = log.index + 1
    request.command = request.command or ""
    request.floor = request.floor or 1
    return log.all:apply(log.index, log.time, request, function(command)
      log.ran[#log.ran + 1] = command
      return "did " .. command
    end)
  end
  function log.open(ttl)
    return select(2, log.step { op = "open", session = 0,
      sequence = ttl or 60000, floor = 0 })
  end
  function log.command(session, sequence, floor)
    return log.step { op = "command", session = session, sequence = sequence,
      floor = floor, command = "c" .. sequence }
  end
  return log
end

describe("sessions", function()
  it("run a command once", function()
    local log = new_log()
    local id = log.open()
    assert.equal(1, id)
    assert.same({ "new", "did c1" }, { log.command(id, 1) })
    assert.same({ "again", "did c1" }, { log.command(id, 1) })
    assert.same({ "new", "did c2" }, { log.command(id, 2) })
    assert.same({ "again", "did c1" }, { log.command(id, 1) })
    assert.same({ "c1", "c2" }, log.ran)
  end)

  it("run the commands of one in order", function()
    local log = new_log()
    local id = log.open()
    assert.equal("gap", log.command(id, 2))
    assert.equal("new", (log.command(id, 1)))
    assert.equal("new", (log.command(id, 2)))
    assert.same({ "c1", "c2" }, log.ran)
  end)

  it("pass over what was given up, and never run it later", function()
    local log = new_log()
    local id = log.open()
    assert.equal("new", (log.command(id, 3, 3)))
    assert.equal("late", log.command(id, 2, 1))
    assert.equal("late", log.command(id, 1, 1))
    assert.same({ "c3" }, log.ran)
  end)

  it("forget the answers that nobody waits for", function()
    local log = new_log { answers_max = 3 }
    local id = log.open()
    for sequence = 1, 3 do log.command(id, sequence) end
    assert.equal("full", log.command(id, 4))
    assert.equal("new", (log.command(id, 4, 3)))
    assert.equal("late", log.command(id, 2, 1))
    assert.same({ "again", "did c3" }, { log.command(id, 3, 1) })
    assert.equal(#"did c3" + #"did c4", log.all.bytes)
  end)

  it("end by the time in the log, counted from their last use", function()
    local log = new_log()
    local short, long = log.open(5000), log.open(50000)
    log.time = log.time + 4999
    assert.equal("kept", log.step { op = "keep", session = short,
      sequence = 0 })
    log.time = log.time + 5000
    assert.equal("expired", log.command(short, 1))
    assert.equal("new", (log.command(long, 1)))
    assert.equal(1, log.all.count)
  end)

  it("that are closed are gone", function()
    local log = new_log()
    local id = log.open()
    log.command(id, 1)
    local function close()
      return log.step { op = "close", session = id, sequence = 0 }
    end
    assert.equal("closed", close())
    assert.equal("expired", close())
    assert.equal("expired", log.command(id, 2))
    assert.equal(0, log.all.bytes)
  end)

  it("give way, the one used longest ago first, when there are too many",
    function()
      local log = new_log { sessions_max = 2 }
      local a, b = log.open(), log.open()
      log.command(a, 1)
      local c = log.open()
      assert.equal("expired", log.command(b, 1))
      assert.equal("new", (log.command(a, 2)))
      assert.equal("new", (log.command(c, 1)))
    end)

  it("give way when answers take too much room; the newest stays", function()
    local log = new_log { bytes_max = 15 }
    local a, b = log.open(), log.open()
    log.command(a, 1)
    log.command(b, 1)
    assert.equal("new", (log.command(b, 2)))  -- 18 bytes
    assert.equal("expired", log.command(a, 2))
    assert.equal("new", (log.command(b, 3)))  -- of the only one, so kept
    assert.equal(18, log.all.bytes)
    assert.equal("full", log.command(b, 4))
    assert.equal("new", (log.command(b, 4, 2)))
  end)

  -- The text of an error names files, which have other paths elsewhere.
  it("give way alike where the text of errors differs", function()
    local left = {}
    for i, path in ipairs { "x.lua", ("/long"):rep(200) .. "/x.lua" } do
      local all = sessions.new { bytes_max = 3000 }
      local function fail()
        return answers.encode(false, errors.new("apply_error", path))
      end
      for index = 1, 5 do
        all:apply(index, 1000, { op = "open", session = 0, sequence = 60000 },
          fail)
        all:apply(index + 10, 1000, { op = "command", session = index,
          sequence = 1, floor = 1, command = "" }, fail)
      end
      all = assert(sessions.decode(all:encode(), { bytes_max = 3000 }))
      left[i] = { all.count, all.bytes }
    end
    assert.same(left[1], left[2])
    assert.is_true(left[1][1] < 5)
  end)

  it("end by the time of an entry in the middle of many, too", function()
    local log = new_log()
    local patient = log.open(60000)
    log.open(1000)
    log.time = log.time + 1000
    -- Until the first of the two it is not the oldest, and nobody looks at it.
    assert(log.all:admit_many(log.index + 1, log.time, patient, 1, 2, 1))
    log.index = log.index + 2
    assert.equal(1, log.all.count)
    local bytes = log.all:encode()
    log = new_log()
    patient = log.open(60000)
    log.open(1000)
    log.time = log.time + 1000
    log.command(patient, 2)  -- twice in use, and nothing kept
    log.command(patient, 3)
    assert.equal(bytes, log.all:encode())
  end)

  it("are corrupt where an answer is missing", function()
    local log = new_log()
    local id = log.open()
    for sequence = 1, 3 do log.command(id, sequence) end
    local list = assert(codec.decode(log.all:encode()))
    list[1].answers[2] = nil
    local _, err = sessions.decode(codec.encode(list))
    assert.equal("corrupt", err.code)
  end)

  it("survive a snapshot, with their order of use", function()
    local log = new_log { sessions_max = 3 }
    local a, b, c = log.open(), log.open(), log.open()
    log.command(b, 1)
    log.command(a, 1)
    local bytes = log.all:encode()
    log.all = assert(sessions.decode(bytes, { sessions_max = 3 }))
    assert.equal(bytes, log.all:encode())
    assert.same({ "again", "did c1" }, { log.command(b, 1) })
    log.open()  -- in the place of c
    assert.equal("expired", log.command(c, 1))
    assert.equal("new", (log.command(a, 2)))
    local _, err = sessions.decode("x")
    assert.equal("corrupt", err.code)
  end)

  it("do what a plain list of all that was ever run says", function()
    helper.seed()
    local log = new_log()
    local id = log.open()
    local sent, ran = 0, {}
    for _ = 1, 3000 do
      local sequence = math.random(math.max(1, sent - 5), sent + 2)
      local floor = math.random(math.max(1, sequence - 4), sequence)
      local what = log.command(id, sequence, floor)
      local last = ran[#ran] or 0
      if what == "new" then
        assert.is_true(sequence > last)
        ran[#ran + 1] = sequence
        sent = math.max(sent, sequence)
      elseif what == "again" then
        assert.is_true(sequence <= last)
      end
    end
    assert.equal(#ran, #log.ran)
    assert.is_true(#ran > 100)
  end)
end)
