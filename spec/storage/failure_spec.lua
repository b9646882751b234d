local box = require "spec.storage.box"
local core = require "raft.core"
local helper = require "spec.support.helper"
local uv = require "luv"

local function is_batch(bytes)
  return bytes:sub(1, 4) == "rbat"
end

-- A luv whose writes in the background pass through bend(real, fd, bytes,
-- offset, callback); nil: as usual.
local function bent_writes(bend)
  return box.bent_uv(function(real)
    return { fs_write = function(fd, bytes, offset, callback)
      local request = callback and bend(real, fd, bytes, offset, callback)
      return request or real.fs_write(fd, bytes, offset, callback)
    end }
  end)
end

-- A luv without O_DSYNC, so that a sync follows each write.
local function without_dsync(replace)
  return box.bent_uv(function(real)
    local constants = setmetatable({ O_DSYNC = false },
      { __index = real.constants })
    local out = replace and replace(real) or {}
    out.constants = constants
    return out
  end)
end

local function wait_failed(b)
  helper.wait_until(function() return #b.failures > 0 end)
  assert.equal(1, #b.failures)
  return b.failures[1]
end

describe("storage, when the disk fails:", function()
  it("a short write is continued", function()
    local is_short = true
    local b <close> = box.new { uv = bent_writes(
      function(real, fd, bytes, offset, callback)
        is_short = not is_short and #bytes > 1000
        if is_short then
          return real.fs_write(fd, bytes:sub(1, #bytes // 3), offset, callback)
        end
      end) }
    b:must_open()
    for i = 1, 10 do b:put(i, i, 1, 6000) end
    b:reopen()
    assert.equal(box.entries(1, 10, 1, 6000), b:found().tail)
  end)

  it("a write of nothing is a failure", function()
    local b <close> = box.new { uv = bent_writes(
      function(_, _, bytes, _, callback)
        if is_batch(bytes) then
          local timer = assert(uv.new_timer())
          timer:start(0, 0, function() timer:close() callback(nil, 0) end)
          return timer
        end
      end) }
    b:must_open()
    b:queue(1, 1, 1)
    assert.equal("io_error", wait_failed(b).code)
  end)

  it("a failed write is told once, and is the last", function()
    local writes = 0
    local b <close> = box.new { uv = bent_writes(
      function(_, _, bytes, _, callback)
        if is_batch(bytes) then writes = writes + 1 end
        if writes == 2 then return box.refuse("EIO: i/o error", callback) end
      end) }
    b:must_open()
    b:put(1, 1, 1)
    b:queue(2, 2, 1)
    b:queue(3, 3, 1)
    local err = wait_failed(b)
    assert.equal("io_error", err.code)
    assert.equal("write", err.op)
    assert.equal("EIO", err.errno)
    assert.equal(b:segment(1), err.file)
    assert.equal(2 * core.WAL_SECTOR, err.offset)
    b:queue(4, 4, 1)
    b:close()  -- no mark either
    assert.equal(1, b.stored)
    assert.equal(2, writes)
    assert.equal(1, #b.failures)
  end)

  it("no space inside a segment is a failure too", function()
    local b <close> = box.new { uv = bent_writes(
      function(_, _, bytes, _, callback)
        if is_batch(bytes) then return box.refuse("ENOSPC: full", callback) end
      end) }
    b:must_open()
    b:queue(1, 1, 1)
    assert.equal("ENOSPC", wait_failed(b).errno)
  end)

  it("a refusal before the call began is a failure too", function()
    local b <close> = box.new { uv = box.bent_uv(function(real)
      return { fs_write = function(fd, bytes, offset, callback)
        if callback and is_batch(bytes) then
          return nil, "ENOMEM: not enough memory", "ENOMEM"
        end
        return real.fs_write(fd, bytes, offset, callback)
      end }
    end) }
    b:must_open()
    b:queue(1, 1, 1)
    assert.equal(0, #b.failures)  -- not inside the call
    assert.equal("ENOMEM", wait_failed(b).errno)
  end)

  it("without O_DSYNC each write is synced before it is reported", function()
    local log = {}
    local b <close> = box.new { uv = without_dsync(function(real)
      return {
        fs_write = function(fd, bytes, offset, callback)
          if callback and is_batch(bytes) then log[#log + 1] = "write" end
          return real.fs_write(fd, bytes, offset, callback)
        end,
        fs_fdatasync = function(fd, callback)
          log[#log + 1] = "sync"
          return real.fs_fdatasync(fd, callback)
        end,
      }
    end) }
    b:must_open()
    helper.wait_until(function() return uv.fs_stat(b:path("spare")) end)
    log = {}
    b:put(1, 1, 1)
    assert.same({ "write", "sync" }, log)
  end)

  it("a failed sync is told once, and nothing is synced again", function()
    local syncs, is_broken = 0, false
    local b <close> = box.new { uv = without_dsync(function(real)
      return { fs_fdatasync = function(fd, callback)
        if not is_broken then return real.fs_fdatasync(fd, callback) end
        syncs = syncs + 1
        return box.refuse("EIO: i/o error", callback)
      end }
    end) }
    b:must_open()
    helper.wait_until(function() return uv.fs_stat(b:path("spare")) end)
    is_broken = true
    b:queue(1, 1, 1)
    assert.equal("fdatasync", wait_failed(b).op)
    b:queue(2, 2, 1)
    b:close()
    assert.equal(0, b.stored)
    assert.equal(1, syncs)
  end)

  it("a new segment that cannot be named is a failure", function()
    local b <close> = box.new { uv = box.bent_uv(function(real)
      return { fs_rename = function(from, to, callback)
        if callback and to:find("wal-", 1, true) then
          return box.refuse("EACCES: permission denied", callback)
        end
        return real.fs_rename(from, to, callback)
      end }
    end) }
    b:must_open()
    for i = 1, 5 do b:queue(i, i, 1, 9000) end
    assert.equal("rename", wait_failed(b).op)
  end)

  it("an error of reading at the start is named, and the lock given back",
    function()
      local is_broken = false
      local b <close> = box.new { uv = box.bent_uv(function(real)
        return { fs_read = function(fd, size, offset, callback)
          if is_broken and offset > 0 then
            return nil, "EIO: i/o error", "EIO"
          end
          return real.fs_read(fd, size, offset, callback)
        end }
      end) }
      b:must_open()
      b:put(1, 1, 1)
      b:close()
      is_broken = true
      for _ = 1, 2 do
        local storage, err = b:open()
        assert.is_nil(storage)
        assert.equal("io_error", err.code)
        assert.equal("read", err.op)
        assert.equal(b:segment(1), err.file)
      end
      is_broken = false
      b:must_open()
    end)

  it("an error in a handler is a failure, not the end of the loop", function()
    local b <close> = box.new()
    local storage = b:must_open()
    storage:handlers { stored = function() error("a bug") end }
    b:queue(1, 1, 1)
    local err = wait_failed(b)
    assert.equal("failed", err.code)
    assert.truthy(err.message:find("a bug", 1, true))
  end)

  it("abort keeps the lock until the write under way has ended", function()
    local release
    local b <close> = box.new { uv = bent_writes(
      function(real, fd, bytes, offset, callback)
        if is_batch(bytes) and not release then
          return real.fs_write(fd, bytes, offset, function(...)
            local arguments = table.pack(...)
            release = function() callback(table.unpack(arguments)) end
          end)
        end
      end) }
    local storage = b:must_open()
    b:queue(1, 1, 1)
    local is_closed = false
    storage:abort(function() is_closed = true end)
    helper.wait_until(function() return release end)
    local other <close> = box.new { dir = b.dir }
    assert.equal("dir_locked", select(2, other:open()).code)
    release()
    helper.wait_until(function() return is_closed end)
    b.storage = false
    assert.equal(0, b.stored)
    assert.truthy(other:open())
  end)
end)

describe("storage, when the disk is full:", function()
  -- A luv on which the spare finds no room while `disk.is_full`.
  local function small_disk(disk, errno)
    return bent_writes(function(_, _, bytes, _, callback)
      if disk.is_full and not is_batch(bytes) and #bytes > core.WAL_SECTOR then
        return box.refuse(errno .. ": no room", callback)
      end
    end)
  end

  local function wait_space(b, count)
    helper.wait_until(function() return #b.space == count end)
    return table.unpack(b.space[count])
  end

  it("says so, waits, and goes on when there is room again", function()
    local disk = { is_full = true }
    local b <close> = box.new { uv = small_disk(disk, "ENOSPC") }
    b:must_open()
    local is_there, err = wait_space(b, 1)
    assert.is_false(is_there)
    assert.equal("no_space", err.code)
    assert.is_false(b.storage:status().has_space)
    for i = 1, 3 do b:put(i, i, 1, 9000) end  -- the segment has room still
    b:queue(4, 4, 1, 9000)                    -- and now it has not
    disk.is_full = false
    assert.is_true((wait_space(b, 2)))
    b:settle()
    assert.equal(0, #b.failures)
    b:reopen()
    assert.equal(4, b:found().last)
  end)

  it("votes find room where entries do not", function()
    local disk = { is_full = true }
    local b <close> = box.new { uv = small_disk(disk, "EDQUOT") }
    b:must_open()
    wait_space(b, 1)
    for i = 1, 3 do b:put(i, i, 1, 9000) end
    for term = 2, 4 do
      b.seq = b.seq + 1
      b.storage:store(b.seq, "", term, term, 0)
      b:settle()
    end
    b:queue(4, 4, 5, 9000)
    b:abort()
    b:must_open()
    assert.equal(4, b:found().vote)
    assert.equal(3, b:found().last)
  end)

  it("can be closed while stores wait", function()
    local disk = { is_full = true }
    local b <close> = box.new { uv = small_disk(disk, "ENOSPC") }
    b:must_open()
    for i = 1, 5 do b:queue(i, i, 1, 9000) end
    wait_space(b, 1)
    b:close()
    assert.equal(0, #b.failures)
  end)

  it("too many open files pass as well", function()
    local disk = { is_full = true }
    local b <close> = box.new { uv = small_disk(disk, "EMFILE") }
    b:must_open()
    assert.is_false((wait_space(b, 1)))
    disk.is_full = false
    assert.is_true((wait_space(b, 2)))
  end)

  it("any other error of the spare is a failure", function()
    local b <close> = box.new { uv = small_disk({ is_full = true }, "EIO") }
    b:must_open()
    assert.equal("EIO", wait_failed(b).errno)
    assert.equal(0, #b.space)
  end)
end)
