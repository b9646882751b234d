-- What the page promises of raft.recover, and of mistakes with it.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"

local WAIT <const> = { timeout = 5000 }

local function nothing() end

-- A cluster of one with three commands: story(cluster, its directory).
local function survivor(story, options)
  local cluster <close> = Cluster.new { nodes = 1, node = function()
    return options
  end }
  cluster:up()
  for i = 1, 3 do assert(cluster:node("n1"):propose("c" .. i)) end
  story(cluster, cluster.dir:join("n1"))
end

local function refusal(account, err)
  assert.is_nil(account)
  assert.is_true(raft.is_error(err))
  assert.equal("none", err.outcome)
  return err.code, err.message
end

describe("raft.recover", function()
  it("refuses the directory of a running node, and harms nothing", function()
    survivor(function(cluster, dir)
      local code, words = refusal(raft.recover(dir))
      assert.equal("dir_locked", code)
      assert.is_truthy(words:find("is in use by process %d+$"), words)
      assert.equal(4, (assert(cluster:node("n1"):propose("c4"))))
    end)
  end)

  it("gives an account that reads well, and keeps everything", function()
    survivor(function(cluster, dir)
      cluster:node("n1"):stop()
      local account = assert(raft.recover(dir))
      for _, name in ipairs { "id", "cluster", "identity", "identity_before",
        "members", "members_before", "first", "last", "last_term", "last_time",
        "commit", "uncertain", "index", "truncated_bytes" } do
        assert.is_not_nil(account[name], name)
      end
      assert.not_equal(account.identity, account.identity_before)
      assert.is_truthy(tostring(account):find("n1 is now the start of a new "
        .. "cluster default with n1", 1, true))
      local again = cluster:start("n1")
      assert(again:ready(WAIT))
      assert.equal(4, (assert(again:propose("c4"))))
    end)
  end)

  it("may be done twice: each time it is another cluster", function()
    survivor(function(cluster, dir)
      cluster:node("n1"):stop()
      local first = assert(raft.recover(dir))
      local second = assert(raft.recover(dir))
      assert.equal(first.identity, second.identity_before)
      assert.not_equal(first.identity, second.identity)
      assert.equal(first.last + 1, second.last)
      local again = cluster:start("n1")
      assert(again:ready(WAIT))
      assert.equal(4, (assert(again:propose("c4"))))
    end)
  end)

  it("keeps the snapshot that the log begins with", function()
    local state
    local options = {
      apply = function(command) state = (state or "") .. command return state
      end,
      snapshot = function() return state end,
      restore = function(bytes) state = bytes end, snapshot_bytes = 1,
    }
    survivor(function(cluster, dir)
      local node = cluster:node("n1")
      local info = assert(node:take_snapshot())
      assert.equal("c1c2c3c4", (assert(node:propose("c4"))))
      node:stop()
      local account = assert(raft.recover(dir))
      assert.is_true(account.last > info.index)
      state = nil
      local again = cluster:start("n1")
      assert(again:ready(WAIT))
      assert.equal("c1c2c3c4c5", (assert(again:propose("c5"))))
    end, options)
  end)

  it("takes the others in, named at once, with empty directories", function()
    local cluster <close> = Cluster.new { nodes = 3 }
    cluster:up()
    for i = 1, 3 do assert(cluster:node("n1"):propose("c" .. i)) end
    cluster:settle(3)
    for _, id in ipairs(cluster.ids) do cluster:node(id):stop() end
    local members = { n1 = cluster.members.n1, n2 = cluster.members.n2,
      n3 = { address = cluster.members.n3, role = "learner" } }
    assert(raft.recover(cluster.dir:join("n1"), { members = members }))
    for _, id in ipairs(cluster.ids) do
      cluster:start(id, id ~= "n1" and { dir = cluster.dir:join(id .. "new") })
      assert(cluster:node(id):ready { timeout = 10000 })
    end
    helper.wait_until(function()
      local now = cluster:node("n1"):members()
      return now.n2.role == "voter" and now.n2.goal == nil
    end, 10000, "n2 to be a voter")
    assert.equal("learner", cluster:node("n1"):members().n3.role)
    assert.equal(4, (assert(cluster:node("n2"):propose("c4", WAIT))))
    cluster:settle(4)
  end)

  it("says what is wrong with the directory", function()
    local empty <close> = tmpdir.new()
    for _, dir in ipairs { empty.path, empty:join("nope") } do
      local code, words = refusal(raft.recover(dir))
      assert.equal("wrong_dir", code)
      assert.equal(dir .. " is no directory of a node", words)
    end
    survivor(function(cluster, dir)
      cluster:node("n1"):stop()
      assert.equal("wrong_dir", (refusal(raft.recover(dir, { id = "n7" }))))
      assert.equal("wrong_dir",
        (refusal(raft.recover(dir, { cluster = "other" }))))
      local code, words = refusal(raft.recover(dir,
        { members = { n5 = "127.0.0.1:7105" } }))
      assert.equal("bad_membership", code)
      assert.is_truthy(words:find("members must have n1, whose state it is, as "
        .. "a voter", 1, true))
    end)
  end)

  it("raises for wrong arguments, blaming its caller", function()
    for _, case in ipairs {
      { { nil }, "expected a directory, got nil" },
      { { 5 }, "expected a directory, got 5" },
      { { "d", { member = {} } }, "member: unknown option, did you mean" },
      { { "d", { members = {} } }, "members: expected 1 to 32 members" },
    } do
      local ok, why = pcall(function()
        local account = raft.recover(table.unpack(case[1], 1, 2))
        return account
      end)
      assert.is_false(ok)
      assert.is_truthy(why:find("recover_spec.lua:%d+: raft.recover: "), why)
      assert.is_truthy(why:find(case[2], 1, true), why)
    end
  end)

  it("inside apply raises reentrant", function()
    local raised
    survivor(function()
      assert.equal("reentrant", raised.code)
    end, { apply = function()
      local ok, why = pcall(raft.recover, "x")
      raised = not ok and why
      return true
    end, query = nothing })
  end)
end)
