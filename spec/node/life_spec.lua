local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local registry = require "raft.registry"
local stderr_of = require "spec.support.stderr"
local uv = require "luv"

local function alone(options)
  options = options or {}
  options.nodes = 1
  return Cluster.new(options)
end

describe("a new node", function()
  it("opens nothing, and can be collected", function()
    local cluster <close> = alone()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local node = raft.node(cluster:options_of("n1"))
      assert.equal("raft.node n1 (new)", tostring(node))
      assert.equal("new", node:status().state)
      assert.is_nil(node:leader())
      assert.is_false(node:is_leader())
      assert.equal("r1:0", node:token())
      weak[1] = node
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    assert.is_nil(uv.fs_stat(cluster.dir:join("n1")))
  end)

  it("answers closed until it is started", function()
    local cluster <close> = alone()
    local node = cluster:new_node("n1")
    for _, call in ipairs { "propose", "query", "read", "ready" } do
      local result, err
      if call == "propose" or call == "query" then
        result, err = node[call](node, "x")
      else
        result, err = node[call](node)
      end
      assert.is_nil(result)
      assert.equal("closed", err.code)
      assert.equal("none", err.outcome)
      assert.truthy(err.message:find("has not been started", 1, true))
    end
  end)

  it("reports to on.error what nobody waits for", function()
    local cluster <close> = alone()
    local node = cluster:new_node("n1")
    node:propose("x", false)
    assert.same({}, cluster.errors.n1)  -- not inside the call
    helper.wait_until(function() return cluster.errors.n1[1] end)
    assert.equal("closed", cluster.errors.n1[1].code)
  end)

  it("can be stopped and closed; then it cannot be started", function()
    for _, call in ipairs { "stop", "close" } do
      local cluster <close> = alone()
      local node = cluster:new_node("n1")
      node[call](node)
      assert.equal("closed", node:status().state)
      local ok, err = node:start()
      assert.is_nil(ok)
      assert.equal("closed", err.code)
      assert.truthy(err.message:find("is closed", 1, true))
    end
  end)
end)

describe("start", function()
  it("returns true, and true again", function()
    local cluster <close> = alone()
    local node = cluster:new_node("n1")
    assert.is_true(node:start())
    assert.is_true(node:start())
    assert.equal("running", node:status().state)
    assert.equal(1, registry.of(uv):count())
  end)

  it("works on the main thread, before the loop runs", function()
    local cluster <close> = alone()
    local node = cluster:new_node("n1")
    assert.is_true(helper.outside_loop(function() return node:start() end))
    assert.equal(1, node:propose("x"))
  end)

  it("makes the directory with its parents", function()
    local cluster <close> = alone()
    local dir = cluster.dir:join("a", "b", "c")
    local node = cluster:new_node("n1", { dir = dir })
    assert.is_true(node:start())
    assert.equal("directory", uv.fs_stat(dir).type)
  end)

  it("tells the port that the kernel chose", function()
    local cluster <close> = alone()
    cluster.members.n1 = "127.0.0.1:0"
    local node = cluster:start("n1")
    local port = tonumber(node:status().listen:match(":(%d+)$"))
    assert.truthy(port > 0)
    assert.equal(1, node:propose("x"))
  end)

  it("can be called again, at once, when the port was taken", function()
    local cluster <close> = alone()
    local squatter = assert(uv.new_tcp())
    local port = tonumber(cluster.members.n1:match(":(%d+)$"))
    assert(squatter:bind("127.0.0.1", port))
    assert(squatter:listen(1, function() end))
    local node = cluster:new_node("n1")
    for _ = 1, 2 do
      local ok, err = node:start()
      assert.is_nil(ok)
      assert.equal("listen_failed", err.code)
      assert.truthy(tostring(err):find(cluster.members.n1, 1, true))
      assert.equal("new", node:status().state)
      assert.equal(0, registry.of(uv):count())
    end
    squatter:close()
    assert.is_true(node:start())
    assert.equal(1, node:propose("x"))
  end)

  it("refuses a directory that is open, naming the process", function()
    local cluster <close> = alone()
    cluster:start("n1")
    local other = cluster:new_node("n1")
    local ok, err = other:start()
    assert.is_nil(ok)
    assert.equal("dir_locked", err.code)
    assert.truthy(tostring(err):find(tostring(uv.os_getpid() // 1 | 0), 1,
      true), tostring(err))
    cluster:node("n1"):stop()
    assert.is_true(other:start())  -- it may be tried again
  end)

  it("refuses another node's and another cluster's directory", function()
    local cluster <close> = alone()
    cluster:start("n1")
    cluster:node("n1"):stop()
    local dir = cluster.dir:join("n1")
    local stranger = cluster:new_node("n2", { dir = dir,
      members = { n2 = Cluster.free_address() } })
    local _, err = stranger:start()
    assert.equal("wrong_dir", err.code)
    assert.truthy(tostring(err):find("n1", 1, true))
    local cousin = cluster:new_node("n1", { cluster = "other" })
    _, err = cousin:start()
    assert.equal("wrong_dir", err.code)
    assert.truthy(tostring(err):find("default", 1, true))
  end)

  it("refuses a damaged log in words that name file and place", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    for i = 1, 50 do assert(node:propose(("x"):rep(1000) .. i)) end
    node:stop()
    local path = cluster.dir:join("n1", ("wal-%016x.log"):format(1))
    do
      local file <close> = assert(io.open(path, "r+b"))
      file:seek("set", 9000)
      file:write(("damage"):rep(1000))
    end
    local again = cluster:new_node("n1")
    local ok, err = again:start()
    assert.is_nil(ok)
    assert.equal("corrupt", err.code)
    assert.truthy(tostring(err):find("wal-", 1, true), tostring(err))
  end)

  it("leaves nothing open when the log function closes the node", function()
    local cluster <close> = alone()
    local node
    node = cluster:new_node("n1", { log = function() node:close() end })
    local ok, err = node:start()  -- "started" is logged within
    assert.is_nil(ok)
    assert.equal("closed", err.code)
    assert.equal("closed", node:status().state)
    assert.equal(0, registry.of(uv):count())
  end)

  it("says how long it took to recover, and to apply again", function()
    local cluster <close> = alone()
    local said
    local node = cluster:new_node("n1", { log = function(_, text, fields)
      if text == "started" then said = fields end
    end })
    assert.is_true(node:start())
    for _, name in ipairs { "recovered_ms", "applied_ms" } do
      assert.equal("integer", math.type(said[name]))
      assert.is_true(said[name] >= 0 and said[name] < 60000)
    end
    node:close()
  end)

  it("stops in the middle when the log function stops the node", function()
    local cluster <close> = alone()
    local node
    node = cluster:new_node("n1", { log = function() node:stop() end })
    node:start()
    helper.wait_until(function() return node:status().state == "closed" end)
    assert.is_nil((node:start()))
  end)
end)

describe("a running node", function()
  it("is anchored against collection", function()
    local cluster <close> = alone()
    local weak = setmetatable({}, { __mode = "v" })
    local list = {}
    do
      local node = raft.node(cluster:options_of("n1",
        { apply = Cluster.list_machine(list) }))
      assert(node:start())
      weak[1] = node
    end
    collectgarbage()
    collectgarbage()
    assert.truthy(weak[1])
    assert.equal(1, weak[1]:propose("x"))
    weak[1]:stop()
    helper.wait_until(function()
      collectgarbage()
      return not weak[1]
    end, nil, "the stopped node to be collected")
  end)

  it("is closed by a to-be-closed variable", function()
    local cluster <close> = alone()
    local seen
    do
      local node <close> = cluster:new_node("n1")
      assert(node:start())
      seen = node
    end
    assert.equal("closed", seen:status().state)
  end)

  it("forms a cluster alone, and keeps what it was told", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    assert.is_true(node:ready())
    for i = 1, 5 do assert.equal(i, node:propose("c" .. i)) end
    assert.equal(5, node:query())
    node = cluster:restart("n1")
    assert.is_true(node:ready())
    assert.same({ "c1", "c2", "c3", "c4", "c5" }, cluster.applied.n1)
    assert.equal(6, node:propose("c6"))
  end)

  it("keeps it without a stop, too", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    for i = 1, 5 do node:propose("c" .. i) end
    node:close()
    helper.wait_until(function()  -- a write may be under way
      node = cluster:new_node("n1")
      return node:start()
    end)
    assert.is_true(node:ready())
    assert.same({ "c1", "c2", "c3", "c4", "c5" }, cluster.applied.n1)
  end)
end)

describe("stop", function()
  it("returns true, twice, and from several at once", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    local count = 0
    for _ = 1, 3 do
      node:stop(function(err) count = count + (err and 0 or 1) end)
    end
    assert.is_true(node:stop())
    assert.equal(3, count)
    assert.is_true(node:stop())
    assert.equal("closed", node:status().state)
  end)

  it("needs no callback outside coroutines", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    helper.outside_loop(function() assert.is_nil(node:stop()) end)
    helper.wait_until(function() return node:status().state == "closed" end)
  end)

  it("works without a quorum", function()
    local cluster <close> = Cluster.new()
    cluster:up()
    local leader, id = cluster:leader()
    for _, other in ipairs(cluster.ids) do
      if other ~= id then cluster:close_node(other) end
    end
    local err
    leader:propose("x", { timeout = false }, function(why) err = why end)
    assert.is_true(leader:stop())
    helper.wait_until(function() return err end)
    assert.equal("closed", err.code)
    assert.equal("unknown", err.outcome)
  end)

  it("works before the cluster has formed", function()
    local cluster <close> = Cluster.new()
    local node = cluster:start("n1")
    local err
    node:propose("x", { timeout = false }, function(why) err = why end)
    assert.is_true(node:stop())
    helper.wait_until(function() return err end)
    assert.equal("closed", err.code)
    assert.equal("none", err.outcome)  -- it was never sent
  end)

  it("works in the middle of forming, and the cluster forms later", function()
    local cluster <close> = Cluster.new()
    cluster:start("n1")
    cluster:start("n2")
    cluster:node("n1"):stop()
    cluster:start("n3")
    cluster:start("n1")
    assert.truthy(cluster:leader():propose("x"))
  end)

  it("can be overtaken by close", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    local is_stopped = false
    node:stop(function() is_stopped = true end)
    node:close()
    assert.equal("closed", node:status().state)
    helper.wait_until(function() return is_stopped end, nil, "stop's callback")
  end)

  it("takes nothing more meanwhile", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    node:ready()
    node:stop(function() end)
    local _, err = node:propose("x")
    assert.equal("closed", err.code)
    assert.truthy(err.message:find("is stopping", 1, true))
    assert.equal("none", err.outcome)
  end)

  it("leaves the directory to the next one when it returns", function()
    local cluster <close> = alone()
    for i = 1, 5 do
      local node = cluster:start("n1")
      assert.equal(i, node:propose("x"))
      node:stop()
    end
  end)
end)

describe("close", function()
  it("works twice, and in any state", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    node:close()
    node:close()
    assert.is_true(node:stop())
    local _, err = node:start()
    assert.equal("closed", err.code)
    assert.equal("raft.node n1 (closed)", tostring(node))
  end)

  it("answers everybody exactly once", function()
    local cluster <close> = Cluster.new()
    cluster:up()
    local leader, id = cluster:leader()
    for _, other in ipairs(cluster.ids) do
      if other ~= id then cluster:close_node(other) end
    end
    local answers = {}
    local function note(name)
      return function(err)
        answers[#answers + 1] = name .. " " .. err.code .. " " .. err.outcome
      end
    end
    leader:propose("a", note "propose")
    leader:propose("b", note "propose")
    helper.wait_until(function() return leader:status().pending_bytes > 0 end)
    leader:propose("c", note "propose")
    leader:read(note "read")
    leader:query(nil, note "query")
    assert.equal(3, leader:status().pending)
    leader:close()
    assert.same({}, answers)
    helper.wait_until(function() return #answers == 5 end)
    assert.same({ "propose closed unknown", "propose closed unknown",
      "propose closed none", "read closed none", "query closed none" },
      answers)
    assert.equal(0, leader:status().pending)
  end)

  it("answers a waiting coroutine", function()
    local cluster <close> = Cluster.new()
    local node = cluster:start("n1")
    local t = raft.spawn(function()
      local result, err = node:ready { timeout = false }
      return result or err
    end)
    helper.wait_until(function() return not t:is_done() end)
    node:close()
    assert.equal("closed", t:wait().code)
  end)

  it("from its own callback ends everything in order", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    node:ready()
    local order = {}
    for i = 1, 4 do
      node:propose("c" .. i, function(err, result)
        order[#order + 1] = err and err.code or result
        if i == 2 then node:close() end
      end)
    end
    node:on("closed", function() order[#order + 1] = "closed event" end)
    helper.wait_until(function() return #order == 5 end)
    assert.same({ 1, 2, 3, 4, "closed event" }, order)
  end)

  it("still calls back with what was answered before it", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    node:ready()
    local answer
    node:read({ consistency = "stale" }, function(...)
      answer = table.pack(...)
    end)
    node:close()
    helper.wait_until(function() return answer end, nil, "the callback")
    assert.same({ n = 2, nil, true }, answer)
  end)

  it("keeps errors of late callbacks on on.error", function()
    local cluster <close> = alone()
    local node = cluster:start("n1")
    node:propose("x", function() error("late", 0) end)
    node:close()
    helper.wait_until(function() return cluster.errors.n1[1] end)
    assert.equal("late", cluster.errors.n1[1].value)
  end)

  it("says closed once, and nothing for a node that never ran", function()
    local cluster <close> = alone()
    local count = 0
    local function closed() count = count + 1 end
    local node = cluster:new_node("n1", { on = { closed = closed } })
    node:close()
    local other = cluster:new_node("n1", { on = { closed = closed } })
    other:start()
    other:close()
    other:close()
    other:stop()
    helper.wait_until(function() return count == 1 end)
    assert.equal(1, count)
  end)
end)

describe("without on.error", function()
  it("stderr hears of errors", function()
    local cluster <close> = alone()
    local node = cluster:start("n1", { on = {} })
    node:ready()
    local text = stderr_of(function()
      local is_done
      node:propose("x", function()
        is_done = true
        error("boom in a callback")
      end)
      helper.wait_until(function() return is_done end)
      helper.wait_until(function() return true end)
    end)
    assert.truthy(text:find("boom in a callback", 1, true), text)
    assert.truthy(text:find("life_spec.lua", 1, true), text)
  end)
end)

describe("two clusters in one process", function()
  it("know nothing of each other", function()
    local one <close> = Cluster.new { nodes = 3, cluster = "one" }
    local two <close> = Cluster.new { nodes = 3, cluster = "two" }
    one:start()
    two:up()
    assert.equal(1, one:leader():propose("in one"))
    assert.equal(1, two:leader():propose("in two"))
    one:settle(1)
    two:settle(1)
    assert.same({ "in one" }, one.applied.n1)
    assert.same({ "in two" }, two.applied.n1)
    assert.equal(6, registry.of(uv):count())
  end)
end)

describe("members that differ from the log", function()
  it("are warned of at a restart; the log counts", function()
    local cluster <close> = Cluster.new()
    cluster:up()
    cluster:leader():propose("x")
    cluster:settle(1)
    local address = cluster.members.n2
    local warned = {}
    local opts = { members = { n1 = cluster.members.n1,
      n2 = "127.0.0.1:1", n3 = cluster.members.n3 },
      on = { warning = function(err) warned[#warned + 1] = err end } }
    local node = cluster:restart("n1", opts)
    assert.is_true(node:ready { timeout = 10000 })
    helper.wait_until(function() return warned[1] end)
    assert.equal("bad_membership", warned[1].code)
    assert.truthy(warned[1].message:find("node:change", 1, true))
    assert.equal(address, node:members().n2.address)
    assert.equal(2, node:propose("y"))
  end)

  it("say nothing when they are the same", function()
    local cluster <close> = alone()
    cluster:start("n1"):ready()
    local warned
    cluster:restart("n1", { on = { warning = function(err)
      if err.code ~= "busy" then warned = err end  -- the disk may be slow
    end } }):ready()
    assert.is_nil(warned)
  end)
end)
