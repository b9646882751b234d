-- A client, and who listens where it looks for a node, but is none.
local core = require "raft.core"
local fake_node = require "spec.support.fake_node"
local raft = require "raft"
local uv = require "luv"

-- Story(client, node): with one that listens, and says that.
local function with(says, story)
  local node <close> = fake_node.new(says)
  local client <close> = raft.client { members = { node.where }, log = false }
  story(client, node)
end

local function refuse(visit, code)
  visit:write(core.refusal_encode(code, "go away"))
end

-- What a node does that serves one client: the session is 9, commands are
-- answered by themselves.
local function serving()
  return {
    hello = function(visit) fake_node.greet(visit) end,
    head = fake_node.lead,
    open = function(visit, id) visit:answer(id, true, 9) end,
    command = function(visit, id, entry)
      visit:answer(id, true, entry.command)
    end,
  }
end

describe("a client whose node", function()
  it("serves it, is answered", function()
    with(serving(), function(client)
      assert.equal("a", client:propose("a"))
    end)
  end)

  it("says nothing at all, ends its calls in time", function()
    with({ hello = function() end }, function(client)
      local _, err = client:propose("a", { timeout = 50 })
      assert.equal("timeout", err.code)
      assert.matches("never sent", err.message)
    end)
  end)

  it("never says who leads, goes on to another", function()
    local mute <close> = fake_node.new { hello = fake_node.greet,
      other = function(visit) visit:write(core.ping()) end }
    local node <close> = fake_node.new(serving())
    local client <close> = raft.client { members = { mute.where, node.where },
      log = false }
    assert.equal("a", client:propose("a"))
    assert.equal(1, mute.count)
  end)

  it("refuses it with a code of a later version, is told so", function()
    with({ hello = function(visit) refuse(visit, "of_later") end },
      function(client)
        local _, err = client:propose("a", { timeout = 2000 })
        assert.equal("unsupported none", err.code .. " " .. err.outcome)
        assert.matches("of_later: go away", err.message)
      end)
  end)

  it("is another one after what was sent, does not know of that", function()
    local says = serving()
    function says.hello(visit)
      if visit.number > 1 then return refuse(visit, "cluster_mismatch") end
      fake_node.greet(visit)
    end
    function says.command(visit) visit:close() end
    with(says, function(client)
      local _, err = client:propose("a", { timeout = 2000 })
      assert.equal("cluster_mismatch unknown", err.code .. " " .. err.outcome)
      _, err = client:propose("b", { timeout = 2000 })
      assert.equal("cluster_mismatch none", err.code .. " " .. err.outcome)
    end)
  end)

  it("is of another cluster of that name, opens a session there", function()
    local says, visit = serving(), nil
    function says.hello(one)
      visit = one
      fake_node.greet(one, (one.number > 2 and "z" or "y"):rep(16))
    end
    with(says, function(client, node)
      assert.equal("a", client:propose("a"))
      visit:close()
      assert.equal("b", client:propose("b"))
      assert.same({ "head", "open", "command", "head", "command" }, node.heard)
      node.heard, says.command = {}, function() visit:close() end  -- to z
      local _, err = client:propose("c")
      assert.equal("session_expired unknown", err.code .. " " .. err.outcome)
      says.command = serving().command
      assert.equal("d", client:propose("d"))
      assert.same({ "command", "head", "open", "command" }, node.heard)
    end)
  end)

  it("stops in the middle of an answer, ends its calls in time", function()
    local says = serving()
    function says.command(visit) visit:write("\200\0\0\0half") end
    with(says, function(client)
      assert.is_true(client:ready({ timeout = 1 }) == nil)
      local from = uv.hrtime()
      local _, err = client:propose("a", { timeout = 50 })
      assert.equal("timeout unknown", err.code .. " " .. err.outcome)
      assert.is_true(uv.hrtime() - from < 2e9)
    end)
  end)
end)
