-- Leadership that changes hands between real processes.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"

local BUSY_MAX <const> = 20  -- commands that keep a leader's apply busy

local function cluster_of(election, priority)
  local cluster = Processes.new { election = election, priority = priority }
  cluster:start()
  cluster:leader()
  return cluster
end

-- Waits until all agree on this leader.
local function wait_led_by(cluster, id)
  helper.wait_until(function()
    for _, each in ipairs(cluster.ids) do
      local process = cluster:process(each)
      if process:ask("status")[6] ~= id then return false end
    end
    return true
  end, 10000, "all to follow " .. id)
end

describe("leadership of processes", function()
  local cluster
  after_each(function() cluster:close() end)

  it("goes to whom it is given, under load; nothing is lost or done twice",
    function()
      cluster = cluster_of("500,1000")
      local made, term = 0, cluster:leader():term()
      for round = 1, 6 do
        local to = cluster.ids[round % 3 + 1]
        for _, id in ipairs(cluster.ids) do
          for _ = 1, 20 do
            made = made + 1
            cluster:process(id):propose("t" .. made)
          end
        end
        local asked = cluster:process(cluster.ids[(round + 1) % 3 + 1])
        local words = asked:ask("transfer " .. to, "transferred")
        assert.equal(to, words[2])
        wait_led_by(cluster, to)
      end
      cluster:settle()
      -- Who did not wait may have been told `busy`, and nothing else.
      for command, outcome in pairs(cluster.outcomes) do
        if outcome ~= "ok" and command:find("^t") then
          assert.equal("busy", cluster.results[command])
        end
      end
      assert.is_true(cluster:check() >= 60)
      assert.is_true(cluster:leader():term() <= term + 6)
    end)

  it("leaves a loop that apply blocks again and again", function()
    -- The others would wait for seconds before they campaign by themselves.
    cluster = cluster_of("300,600", { n2 = 9, n3 = 9 })
    local old = cluster:process("n1")
    assert.equal("n1", cluster:leader():ask("transfer n1", "transferred")[2])
    wait_led_by(cluster, "n1")
    local term, from = old:term(), cluster:others(old)[1]
    -- One at a time: all at once would be one long block, after which it has
    -- lost touch with the others.
    local made = 0
    while old.last.role[2] == "leader" and made < BUSY_MAX do
      made = made + 1
      from:propose("busy.n1.450." .. made)
      cluster:settle()
      old:ask("status")  -- it has come through
    end
    assert.same({ "warning", "busy", "loop" }, old.last.warning)
    helper.wait_until(function() return cluster:leader() ~= old end)
    assert.equal(term + 1, cluster:leader():term())
    cluster:settle()
    -- The last one may have been told `busy`: who does not wait is.
    assert.is_true(cluster:check() >= made - 1)
  end)

  -- Asks or proposes under a new name until it is well: what came of it.
  local function until_ok(process, order, name)
    local count = 0
    while true do
      count = count + 1
      local each = ("%s.%d"):format(name, count)
      cluster.outcomes[each] = nil
      process:send(order .. " " .. each)
      helper.wait_until(function() return cluster.outcomes[each] end, 10000)
      if cluster.outcomes[each] == "ok" then
        return tonumber(cluster.results[each])
      end
    end
  end

  it("takes its lease along: who was stopped reads nothing old", function()
    cluster = cluster_of("300,600,leases")
    for round = 1, 5 do
      local old = cluster:leader()
      until_ok(old, "lease", "warm" .. round)
      old:signal_it("sigstop")
      local new = cluster:leader(old)
      helper.wait_until(function() return new:term() > old:term() end, 5000)
      local written = until_ok(new, "propose", "after" .. round)
      local name = "stale" .. round
      cluster.outcomes[name] = nil
      old:send("lease " .. name)  -- it will find this when it wakes
      old:signal_it("sigcont")
      helper.wait_until(function() return cluster.outcomes[name] end, 10000)
      if cluster.outcomes[name] == "ok" then
        assert.is_true(tonumber(cluster.results[name]) >= written)
      end
      wait_led_by(cluster, cluster:leader().id)
    end
  end)
end)
