-- What the page promises of snapshots, and what a user gets who makes a mistake
-- with them: an error that names it, and nothing is lost.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"

local WAIT <const> = { timeout = 5000 }

local function nothing() end

-- One node with these options, five commands in its log, and the warnings that
-- it had: story(node, warnings, cluster).
local function alone(options, story)
  local warnings = {}
  local cluster <close> = Cluster.new { nodes = 1, node = function()
    local given = { on = { warning = function(err)
      if err.code ~= "busy" then warnings[#warnings + 1] = err end
    end } }
    for name, value in pairs(options) do given[name] = value end
    return given
  end }
  cluster:up()
  local node = cluster:node("n1")
  for i = 1, 5 do assert(node:propose("c" .. i)) end
  story(node, warnings, cluster)
end

local function raised(options)
  options.id, options.volatile = "n1", true
  options.members, options.apply = { n1 = "127.0.0.1:7101" }, nothing
  local ok, why = pcall(raft.node, options)
  assert.is_false(ok)
  return (tostring(why):gsub("^.-raft.node: ", ""))
end

describe("the options for snapshots", function()
  it("come in one pair: the missing half is named", function()
    local f = nothing
    assert.equal("restore: expected a function beside snapshot, got nil",
      raised { snapshot = f })
    assert.equal("snapshot: expected a function beside restore, got nil",
      raised { restore = f })
    assert.equal("load: expected a function beside save, got nil",
      raised { save = f })
    assert.equal("save: expected a function beside load, got nil",
      raised { load = f })
    assert.equal("restore: expected a function beside snapshot, got nil",
      raised { snapshot = f, load = f })
    assert.equal("save: snapshot and restore are there already: give one pair",
      raised { snapshot = f, restore = f, save = f, load = f })
  end)

  it("are of the right type", function()
    assert.equal('snapshot: expected a function, got "x"',
      raised { snapshot = "x", restore = nothing })
    assert.equal('snapshot_mode: expected "inline", "fork" or "auto", got '
      .. '"forked"', raised { snapshot_mode = "forked" })
    for _, value in ipairs { 0, -1, 1.5, "64" } do
      assert.is_truthy(raised { snapshot_bytes = value }:find(
        "^snapshot_bytes: expected an integer from 1 to "))
    end
  end)
end)

describe("node:take_snapshot", function()
  it("says what it made, and the event says the same", function()
    local heard
    alone({ snapshot = function() return "state" end, restore = nothing,
      snapshot_mode = "inline" }, function(node)
      node:on("snapshot", function(info) heard = info end)
      local info = assert(node:take_snapshot())
      assert.is_true(info.index >= 6)
      assert.is_true(info.term > 0 and info.size > 0 and info.time > 0)
      assert.equal("string", type(info.path))
      assert.equal("inline", info.mode)
      assert.is_true(info.blocked_ms >= 0)
      assert.equal(info.index, node:status().snapshot)
      helper.wait_until(function() return heard end, 5000, "the event")
      assert.same(info, heard)
    end)
  end)

  it("answers what there is when nothing has happened since", function()
    alone({ snapshot = function() return "state" end, restore = nothing },
      function(node)
        local first = assert(node:take_snapshot())
        local second = assert(node:take_snapshot())
        assert.equal(first.index, second.index)
        assert.equal(first.path, second.path)
      end)
  end)

  it("works by callback, and for several at once", function()
    alone({ snapshot = function() return "state" end, restore = nothing },
      function(node)
        local answers = {}
        for i = 1, 3 do
          node:take_snapshot(function(err, info) answers[i] = info or err end)
        end
        assert.same({}, answers)
        helper.wait_until(function() return #answers == 3 end, 5000, "three")
        for i = 1, 3 do assert.is_true(answers[i].index >= 6) end
      end)
  end)

  it("is unsupported without a pair, and raises for unknown options",
    function()
      alone({}, function(node, warnings)
        local info, err = node:take_snapshot(WAIT)
        assert.is_nil(info)
        assert.equal("unsupported none", err.code .. " " .. err.outcome)
        assert.is_truthy(err.message:find("give raft.node snapshot and restore",
          1, true))
        assert.same({}, warnings)
        local ok, why = pcall(node.take_snapshot, node, { mode = "fork" })
        assert.is_false(ok)
        assert.is_truthy(tostring(why):find("mode: unknown option", 1, true))
      end)
    end)

  it("on a node that is not open answers closed", function()
    local node = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:7101" }, apply = nothing }
    local _, err = node:take_snapshot(WAIT)
    assert.equal("closed none", err.code .. " " .. err.outcome)
    assert.equal("node n1 has not been started", err.message)
    node:close()
    _, err = node:take_snapshot(WAIT)
    assert.equal("closed: node n1 is closed", tostring(err))
  end)
end)

-- options, code, words at the end
local MISTAKES <const> = {
  ["a number"] = { { snapshot = function() return 5 end },
    "bad_value", "snapshot: expected a string, got number" },
  ["nothing"] = { { snapshot = nothing },
    "bad_value", "snapshot: expected a string, got nil" },
  ["nil, why"] = { { snapshot = function() return nil, "not now" end },
    "refused", "snapshot: not now" },
  ["an error"] = { { snapshot = function() error("boom", 0) end },
    "apply_error", "snapshot: boom" },
  ["a yield"] = { { snapshot = function() coroutine.yield() end },
    "apply_error", "snapshot: snapshot cannot yield" },
  ["a call that waits"] = { { snapshot = function() raft.sleep(1) end },
    "apply_error", "raft.sleep was called inside snapshot" },
  ["save that yields"] = { { save = function(write)
    write("a")
    coroutine.yield()
  end }, "apply_error", "save: save cannot yield" },
  ["save that writes a number"] = { { save = function(write) write(5) end },
    "bad_value", "save: write expects a string, got number" },
  ["save that hides it"] = { { save = function(write)
    pcall(write, 5)
    write("b")
  end }, "bad_value", "save: write expects a string, got number" },
  ["save that returns nil, why"] = { { save = function(write)
    write("a")
    return nil, "torn"
  end }, "refused", "save: torn" },
}

describe("a snapshot that cannot be taken", function()
  for _, mode in ipairs { "inline", "fork" } do
    for name, case in pairs(MISTAKES) do
      it(mode .. ": " .. name .. " is told, and the node goes on", function()
        local options = { snapshot_mode = mode }
        for option, fn in pairs(case[1]) do options[option] = fn end
        options.restore = options.snapshot and nothing
        options.load = options.save and nothing
        alone(options, function(node, warnings)
          local info, err = node:take_snapshot(WAIT)
          assert.is_nil(info)
          assert.equal(case[2] .. " none", err.code .. " " .. err.outcome)
          assert.is_truthy(err.message:find(case[3], 1, true), err.message)
          helper.wait_until(function() return warnings[1] end, 5000, "warning")
          assert.equal(err.message, warnings[1].message)
          assert.equal(0, node:status().snapshot)
          assert.equal(6, (assert(node:propose("c6"))))
        end)
      end)
    end
  end

  it("write raises once save has returned", function()
    local kept
    alone({ load = nothing, save = function(write)
      kept = write
      write("a")
    end }, function(node)
      assert(node:take_snapshot())
      local ok, why = pcall(kept, "b")
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find("save: write was called after save "
        .. "had returned", 1, true))
    end)
  end)
end)

local function restarted(options)
  local failures, result = {}, {}
  local cluster <close> = Cluster.new { nodes = 1 }
  local function good()
    return { snapshot = function() return "the state" end, restore = nothing }
  end
  cluster.options.node = good
  cluster:up()
  assert(cluster:node("n1"):propose("x"))
  assert(cluster:node("n1"):take_snapshot())
  cluster:node("n1"):stop()
  cluster.options.node = nil
  options.on = {
    warning = function(err)
      if err.code ~= "busy" then result.warning = err end
    end,
    failed = function(err) failures[#failures + 1] = err end,
  }
  local node = cluster:new_node("n1", options)
  result.ok, result.err = node:start()
  result.state = node:status().state
  if result.ok then assert(node:ready(WAIT)) end
  node:stop()
  -- Nothing is lost: who can, goes on from there.
  local again = cluster:new_node("n1", good())
  assert(again:start())
  assert(again:ready(WAIT))
  assert.equal(1, (assert(again:propose("y"))))  -- a new list
  again:stop()
  result.failures = failures
  return result
end

describe("a state that cannot be taken over", function()
  for name, case in pairs {
    ["restore that raises"] = { "restore", function() error("boom", 0) end,
      "apply_error: restore: boom" },
    ["restore that yields"] = { "restore", function() coroutine.yield() end,
      "apply_error: restore: restore cannot yield" },
    ["restore that returns nil, why"] = { "restore", function()
      return nil, "what is this?"
    end, "refused: restore: what is this?" },
    ["load that raises"] = { "load", function() error("boom", 0) end,
      "apply_error: load: boom" },
    ["load that returns false, why"] = { "load", function(read)
      return read() == "other", "bad bytes"
    end, "refused: load: bad bytes" },
  } do
    it("fails the node, naming the file: " .. name, function()
      local pair = { restore = "snapshot", load = "save" }
      local result = restarted {
        [case[1]] = case[2], [pair[case[1]]] = nothing }
      assert.is_nil(result.ok)
      assert.equal(case[3], tostring(result.err))
      assert.is_truthy(result.err.file:find("%.snap$"))
      assert.equal("failed", result.state)
      assert.equal(1, #result.failures)
    end)
  end

  it("without functions is refused before anything", function()
    local result = restarted {}
    assert.is_nil(result.ok)
    assert.equal("unsupported", result.err.code)
    assert.equal("new", result.state)
    assert.equal(0, #result.failures)
  end)

  it("of which load read only a part is a warning", function()
    local result = restarted { save = nothing,
      load = function() return 42 end }
    assert.is_true(result.ok)
    assert.equal("apply_error: load returned before read() had returned nil: a "
      .. "part of the snapshot was not read", tostring(result.warning))
    assert.is_truthy(result.warning.file:find("%.snap$"))
  end)
end)
