-- The battery cron: ticks once for each time that is due, runs and claims.
local cron = require "raft.services.cron"
local helper = require "spec.support.helper"
local one_service = require "spec.support.one_service"
local service_log = require "spec.support.service_log"

local function new(opts)
  local log = one_service.new(cron(opts))
  log.time = 1
  return log
end

-- Asks for ticks at this time: what was told of them.
local function ticks_at(log, ms)
  log.time = ms
  log:run("tick")
  local list = {}
  for _, item in ipairs(log:told()) do
    if item[1] == "tick" then list[#list + 1] = item[2] .. " " .. item[3] end
  end
  return list
end

local function dropped(log)
  local list = {}
  for _, item in ipairs(log:told()) do
    if item[1] == "dropped" then list[#list + 1] = item end
  end
  return list
end

describe("cron: set", function()
  it("answers when the job is due, and the same again changes nothing",
    function()
      local log = new()
      log.time = 1500
      assert.equal(2000, log:run("set", "a", { every = 1000 }))
      log.time = 2500
      assert.equal(2000, log:run("set", "a", { every = 1000, retry = true }))
      log:run("tick")
      assert.equal(10000, log:run("set", "a", { every = 10000 }))
      assert.equal(60000, log:run("set", "b", { at = "* * * * *" }))
      assert.same({ now_ms = 2500, due_ms = 10000, free_ms = 0 },
        log:ask("look", { "a" }))
    end)

  it("keeps runs that wait when a job changes, remove drops them", function()
    local log = new()
    log:run("set", "a", { every = 1000 })
    ticks_at(log, 1000)
    log:run("set", "a", { every = 5000 })
    assert.equal(1, log:ask("jobs").a.runs)
    assert.is_true(log:run("remove", "a"))
    assert.same({ now_ms = 1000 }, log:ask("look", { "a" }))
    assert.same({ nil, "cron.remove: no job a" }, { log:run("remove", "a") })
  end)

  it("first gives the ticks of the old job that are due", function()
    local log = new()
    log:run("set", "a", { every = 1000, payload = "old" })
    log.time = 2500  -- nobody has asked yet
    assert.equal(3000, log:run("set", "a", { every = 1000,
      payload = "new" }))
    assert.same({ { "tick", "a", 2000, "old" } }, log:told())
    assert.equal(1, log:ask("jobs").a.runs)
    assert.same({}, ticks_at(log, 2600))
  end)

  it("takes so many jobs", function()
    local log = new { max_jobs = 2 }
    log:run("set", "a", { every = 1000 })
    log:run("set", "b", { every = 1000 })
    local _, why = log:run("set", "c", { every = 1000 })
    assert.equal("cron.set: there are 2 jobs, and can be no more", why)
    assert.equal(3000, log:run("set", "b", { every = 3000 }))
    log:run("remove", "a")
    assert.equal(1000, log:run("set", "c", { every = 1000 }))
  end)

  for words, spec in pairs {
    ["set: job: expected a table, got 5"] = 5,
    ["set: every: expected an integer from 10 to 1099511627776, got nil"] = {},
    ["set: every: expected an integer from 10 to 1099511627776, got 9"] =
      { every = 9 },
    ["set: every: there is an at already: give one of the two"] =
      { every = 10, at = "* * * * *" },
    ["set: at: expected a line of cron: five fields, minute hour day month "
      .. "weekday, not 1"] = { at = "*" },
    ['set: missed: expected "skip" or "once" or "all", got "x"'] =
      { every = 10, missed = "x" },
    ["set: retry: expected true or false, got 1"] = { every = 10, retry = 1 },
    ["set: max_runs: expected an integer from 1 to 100, got 101"] =
      { every = 10, max_runs = 101 },
    ['set: job: unknown field "evry"; known are every, at, missed, late_ms, '
      .. "retry, attempts, max_runs, payload"] = { evry = 5 },
    ["set: payload: larger than 65536 bytes"] =
      { every = 10, payload = ("x"):rep(70000) },
  } do
    it("refuses " .. words:sub(1, 70), function()
      local log = new()
      log:run("set", "a", { every = 1000 })
      local result, why = log:run("set", "a", spec)
      assert.is_nil(result)
      assert.equal("cron." .. words, why)
      assert.equal(1000, log:ask("jobs").a.every)
    end)
  end
end)

describe("cron: tick", function()
  it("fires once for each time, however often it is asked for", function()
    local log = new()
    log:run("set", "a", { every = 1000, payload = { to = "x" } })
    log.time = 999
    log:run("tick")
    assert.same({}, log:told())
    log.time = 1000
    assert.same({ now_ms = 1000, due_ms = 2000 }, log:run("tick"))
    assert.same({ { "tick", "a", 1000, { to = "x" } } }, log:told())
    assert.same({}, ticks_at(log, 1000))
    log:restart()
    assert.same({}, ticks_at(log, 1999))
    assert.same({ "a 2000" }, ticks_at(log, 2003))
    assert.same({ now_ms = 2003, due_ms = 3000 }, log:run("tick"))
  end)

  it("of what was missed once, all, or none", function()
    local log = new()
    log:run("set", "all", { every = 1000, missed = "all" })
    log:run("set", "once", { every = 1000, missed = "once" })
    log:run("set", "skip", { every = 1000, missed = "skip", late_ms = 400 })
    assert.same({ "all 1000", "once 1000", "skip 1000" }, ticks_at(log, 1400))
    assert.same({ "all 2000", "all 3000", "all 4000", "once 4000" },
      ticks_at(log, 4401))
    assert.same({ "all 5000", "once 5000", "skip 5000" }, ticks_at(log, 5000))
  end)

  it("gives no more than the newest hundred of one job", function()
    local log = new()
    log:run("set", "a", { every = 1000, missed = "all", max_runs = 100 })
    local list = ticks_at(log, 5000000)
    assert.equal(100, #list)
    assert.equal("a 4901000", list[1])
    assert.equal("a 5000000", list[100])
    assert.equal(100, log:ask("jobs").a.runs)
    assert.same({}, ticks_at(log, 5000001))
  end)

  it("gives the rest to the next command where there are many", function()
    local log = new()
    for i = 1, 300 do
      log:run("set", ("j%03d"):format(i), { every = 1000 })
    end
    local first = ticks_at(log, 1000)
    assert.equal(256, #first)
    local second = ticks_at(log, 1000)
    assert.equal(44, #second)
    assert.equal("j257 1000", second[1])
    assert.same({}, ticks_at(log, 1000))
  end)
end)

describe("cron: runs", function()
  it("are claimed by one at a time, the oldest first", function()
    local log = new()
    log:run("set", "a", { every = 1000, missed = "all", payload = 7 })
    ticks_at(log, 2000)
    assert.same({ name = "a", due_ms = 1000, token = 1, attempt = 1,
      payload = 7, until_ms = 2500 }, log:run("claim", "n1", { "a" }, 500))
    assert.is_nil(log:run("claim", "n2", { "a" }, 500))
    assert.equal(2500, log:ask("look", { "a", "b" }).free_ms)
    assert.is_true(log:run("finish", "a", 1))
    assert.equal(0, log:ask("look", { "a" }).free_ms)
    assert.equal(2000, log:run("claim", "n2", { "a" }, 500).due_ms)
    assert.is_true(log:run("finish", "a", 2))
    assert.is_nil(log:run("claim", "n2", { "a" }, 500))
    assert.is_nil(log:ask("look", { "a" }).free_ms)
  end)

  it("of several jobs: what was due first", function()
    local log = new()
    log:run("set", "late", { every = 3000 })
    log:run("set", "soon", { every = 2000 })
    ticks_at(log, 2000)
    ticks_at(log, 3000)
    local names = { "late", "soon", "none" }
    assert.equal("soon", log:run("claim", "n1", names, 500).name)
    assert.equal("late", log:run("claim", "n1", names, 500).name)
    assert.is_nil(log:run("claim", "n1", names, 500))
  end)

  it("are done again when the claim is over, by a greater token", function()
    local log = new()
    log:run("set", "a", { every = 1000 })
    ticks_at(log, 1000)
    log:run("claim", "n1", { "a" }, 500)
    log.time = 1400
    assert.equal(1900, log:run("extend", "a", 1, 500))
    log.time = 1899
    assert.is_nil(log:run("claim", "n2", { "a" }, 500))
    log.time = 1900
    local run = log:run("claim", "n2", { "a" }, 500)
    assert.same({ 2, 2, 1000 }, { run.token, run.attempt, run.due_ms })
    for _, command in ipairs { "finish", "extend" } do
      local _, why = log:run(command, "a", 1, 500)
      assert.equal("cron." .. command .. ": the run of a with token 1 is not "
        .. "yours any more: it was claimed again, finished or dropped", why)
    end
    assert.is_true(log:run("finish", "a", 2))
  end)

  it("that are late may be finished while nobody else has claimed them",
    function()
      local log = new()
      log:run("set", "a", { every = 1000 })
      ticks_at(log, 1000)
      log:run("claim", "n1", { "a" }, 500)
      log.time = 1700
      assert.is_true(log:run("finish", "a", 1))
      assert.is_nil(log:run("claim", "n2", { "a" }, 500))
    end)

  it("without retry are never done twice", function()
    local log = new()
    log:run("set", "a", { every = 1000, retry = false })
    ticks_at(log, 1000)
    log:run("claim", "n1", { "a" }, 500)
    log.time = 1500
    log:told()
    assert.is_nil(log:run("claim", "n2", { "a" }, 500))
    assert.same({ { "dropped", "a", 1000, "its claim is over" } },
      dropped(log))
  end)

  it("are tried so many times", function()
    local log = new()
    log:run("set", "a", { every = 1000, attempts = 2 })
    ticks_at(log, 1000)
    for _ = 1, 2 do
      assert.is_table(log:run("claim", "n1", { "a" }, 100))
      log.time = log.time + 100
    end
    assert.is_nil(log:run("claim", "n1", { "a" }, 100))
    assert.same({ { "dropped", "a", 1000, "its last attempt is over" } },
      dropped(log))
  end)

  it("that are too many go, but not the one that somebody does", function()
    local log = new()
    log:run("set", "a", { every = 1000, max_runs = 2 })
    ticks_at(log, 1000)
    local run = log:run("claim", "n1", { "a" }, 60000)
    ticks_at(log, 2000)
    log.time = 3000
    log:run("tick")
    assert.same({ { "dropped", "a", 2000, "too many wait" } }, dropped(log))
    assert.is_true(log:run("finish", "a", run.token))
    assert.equal(3000, log:run("claim", "n1", { "a" }, 500).due_ms)
  end)

  for words, call in pairs {
    ['claim: owner: expected a string of 1 to 256 bytes, got ""'] =
      { "claim", "", { "a" }, 500 },
    ["claim: names: expected a list of 1 to 1000 jobs"] =
      { "claim", "n1", {}, 500 },
    ["claim: names[2]: expected a string of 1 to 256 bytes, got 5"] =
      { "claim", "n1", { "a", 5 }, 500 },
    ["claim: claim_ms: expected an integer from 1 to 86400000, got 0"] =
      { "claim", "n1", { "a" }, 0 },
    ["finish: token: expected an integer from 1 to 9223372036854775807, got "
      .. "nil"] = { "finish", "a" },
    ["remove: name: expected a string of 1 to 256 bytes, got nil"] =
      { "remove" },
  } do
    it("refuse: " .. words:sub(1, 70), function()
      local log = new()
      log:run("set", "a", { every = 1000 })
      ticks_at(log, 1000)
      local result, why = log:run(table.unpack(call))
      assert.is_nil(result)
      assert.equal("cron." .. words, why)
      assert.equal(1, log:run("claim", "n1", { "a" }, 500).token)
    end)
  end

  it("look refuses what are no names", function()
    local _, why = new():ask("look", 5)
    assert.equal("cron.look: names: expected a list of 1 to 1000 jobs", why)
  end)
end)

---------------------------------------------------------------- at random --

-- What of a job with missed = "all" must tick up to `now`: all, or the newest
-- hundred of them.
local function expected_ticks(job, now)
  local list = {}
  while job.due_ms <= now do
    list[#list + 1] = job.due_ms
    job.due_ms = job.due_ms + job.every
  end
  return table.move(list, math.max(1, #list - 99), #list, 1, {})
end

describe("cron: random times", function()
  it("tick as the model does, over snapshots", function()
    helper.seed()
    local log, model, count = new(), {}, 0
    for _, name in ipairs { "a", "b" } do
      local every = math.random(10, 400)
      log:run("set", name, { every = every, missed = "all" })
      model[name] = { every = every, due_ms = every }
    end
    for i = 1, 1500 do
      log.time = log.time + math.random(0, 300)
      log:run("tick")
      local told, expected = { a = {}, b = {} }, {}
      for _, item in ipairs(log:told()) do
        if item[1] == "tick" then table.insert(told[item[2]], item[3]) end
      end
      for name, job in pairs(model) do
        expected[name] = expected_ticks(job, log.time)
        count = count + #expected[name]
      end
      assert.same(expected, told)
      if i % 53 == 0 then log:restart() end
    end
    assert.is_true(count > 500)
  end)
end)

describe("cron: options", function()
  it("that are wrong raise, and name the path", function()
    local ok, why = pcall(function()
      local service = cron { max_jbs = 5 }
      return service
    end)
    assert.is_false(ok)
    assert.truthy(why:find("raft.services.cron: max_jbs: unknown option, did "
      .. "you mean max_jobs?", 1, true), why)
    assert.equal("cron", cron().name)
    assert.equal("times", cron { name = "times" }.name)
  end)
end)

describe("cron: annotations and page #house", function()
  it("the page is about what there is", function()
    service_log.check_page("cron", cron, cron())
  end)

  it("have every command, query and function", function()
    service_log.check_annotations("cron", cron, cron())
  end)
end)
