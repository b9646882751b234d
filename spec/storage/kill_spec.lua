local box = require "spec.storage.box"
local core = require "raft.core"
local helper = require "spec.support.helper"
local uv = require "luv"

local ROUNDS <const> = 25

-- A process that writes to the directory: { last=, pid=, kill(), ... }.
local function start(dir)
  local out = assert(uv.new_pipe(false))
  local victim = { is_open = false, last = 0, has_ended = false }
  local handle, pid
  handle, pid = uv.spawn(arg[-1] or "lua5.4", {
    args = { "spec/storage/victim.lua", dir },
    stdio = { nil, out, 2 },
  }, function()
    handle:close()
    victim.has_ended = true
  end)
  assert(handle, pid)
  local text = ""
  out:read_start(function(_, chunk)
    if not chunk then return out:close() end
    text = text .. chunk
    victim.is_open = victim.is_open or text:find("open\n", 1, true) ~= nil
    local whole = text:match("^(.*\n)") or ""
    victim.last = tonumber(whole:match("(%d+)\n$")) or victim.last
  end)
  victim.pid = pid
  function victim.kill()
    uv.kill(pid, "sigkill")
    helper.wait_until(function()
      return victim.has_ended and out:is_closing()
    end)
  end
  return victim
end

describe("storage, killed", function()
  it("keeps what it acknowledged, however often", function()
    local seed = helper.seed()
    math.randomseed(seed)
    local b <close> = box.new()
    b:must_open()
    b:close()
    local acknowledged = 0
    for _ = 1, ROUNDS do
      local victim = start(b.dir)
      local enough = acknowledged + math.random(40)
      helper.wait_until(function()
        return victim.is_open and victim.last >= enough
      end, 10000, "the victim to write")
      victim.kill()
      acknowledged = victim.last
      b:must_open()
      local found = b:found()
      assert.is_true(found.last >= acknowledged, ("%d of %d left, seed %d")
        :format(found.last, acknowledged, seed))
      local err, bytes = b:read(1, found.last)
      assert.is_nil(err)
      assert.same({ 1, found.last }, { core.wal_span(bytes) })
      acknowledged = found.last
      b:abort()
    end
  end)

  it("leaves no lock, and holds it while alive", function()
    local b <close> = box.new()
    b:must_open()
    b:close()
    local victim = start(b.dir)
    helper.wait_until(function() return victim.is_open end, 10000)
    local storage, err = b:open()
    assert.is_nil(storage)
    assert.equal("dir_locked", err.code)
    assert.equal(victim.pid, err.pid)
    assert.truthy(err.message:find(tostring(victim.pid), 1, true))
    victim.kill()
    b:must_open()
  end)
end)
