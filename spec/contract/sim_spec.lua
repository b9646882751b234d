-- What the page promises of raft.sim, of the calls that came with snapshots and
-- changes of the members.
local raft = require "raft"
local sim = require "raft.sim"

-- Keeps the commands, and takes snapshots of them.
local function list_node()
  local list = {}
  return {
    apply = function(command)
      list[#list + 1] = command
      return #list
    end,
    query = function() return #list end,
    snapshot = function() return raft.codec.encode(list) end,
    restore = function(bytes) list = assert(raft.codec.decode(bytes)) end,
  }
end

describe("s:node(id)", function()
  it("has every call of raft.node but start", function()
    local s <close> = sim.new { seed = 1, nodes = 1, node = list_node }
    for _, name in ipairs { "ready", "propose", "read", "query", "token",
      "status", "leader", "is_leader", "members", "add", "remove", "change",
      "transfer", "take_snapshot", "on", "off", "stop", "close" } do
      assert.is_function(s:node("n1")[name], name)
    end
  end)

  it("takes snapshots, of which a restart begins", function()
    local s <close> = sim.new { seed = 3, nodes = 3, node = list_node }
    s:run(function()
      local client = s:client()
      for i = 1, 20 do assert(client:propose("c" .. i)) end
      local info = assert(s:node(s:leader()):take_snapshot())
      assert.is_true(info.index > 20)
      local id = s:leader()
      assert.equal(info.index, s:node(id):status().snapshot)
      s:crash(id)
      s:restart(id)
      assert(s:node(id):ready { timeout = 20000 })
      assert.equal(20, (assert(s:node(id):query())))
    end)
  end)
end)

describe("a command that is no string", function()
  -- It ended the run as an uncaught error of a node's process.
  it("raises where it was proposed, and the run goes on", function()
    local s <close> = sim.new { seed = 1, nodes = 1, node = list_node }
    s:run(function()
      local client = s:client()
      for _, object in ipairs { client, s:node("n1") } do
        local ok, why = pcall(function()
          local result = object:propose(5)
          return result
        end)
        assert.is_false(ok)
        assert.is_truthy(why:find("sim_spec.lua:%d+: %a+:propose: expected the "
          .. "command as a string, got number"), why)
      end
      assert.equal(1, (assert(client:propose("x"))))
    end)
  end)
end)

describe("s:client()", function()
  it("has the calls of a client", function()
    local s <close> = sim.new { seed = 1, nodes = 1, node = list_node }
    s:run(function()
      local client <close> = s:client()
      for _, name in ipairs { "propose", "query", "token", "ready", "status",
        "members", "add", "remove", "change", "transfer", "take_snapshot",
        "close" } do
        assert.is_function(client[name], name)
      end
    end)
  end)

  it("hands on what a person asks of a cluster", function()
    local s <close> = sim.new { seed = 5, nodes = 4, initial = 3,
      node = list_node }
    s:run(function()
      local client = s:client()
      assert(client:propose("x"))
      assert.is_true(client:add("n4", s.members.n4.address))
      assert.equal("voter", client:members().n4.role)
      assert.equal("n4", (assert(client:transfer("n4"))))
      assert.equal("n4", s:leader())
      assert.is_true(client:remove("n1"))
      assert.is_nil(client:members().n1)
      assert.is_true(client:change { n2 = { priority = 4 } })
      assert.equal(4, client:members().n2.priority)
      assert.is_true(assert(client:take_snapshot("n2")).index > 0)
    end)
  end)

  it("has a token for reads elsewhere", function()
    local s <close> = sim.new { seed = 6, nodes = 3, node = list_node }
    s:run(function()
      local client = s:client()
      for i = 1, 5 do assert(client:propose("c" .. i)) end
      for _, id in ipairs { "n1", "n2", "n3" } do
        assert.equal(5, (assert(s:node(id):query(nil,
          { at_least = client:token() }))))
      end
    end)
  end)
end)
