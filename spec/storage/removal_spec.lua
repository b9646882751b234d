local box = require "spec.storage.box"
local helper = require "spec.support.helper"
local memory = require "raft.storage.memory"
local samples = require "spec.storage.snapshot_meta"
local uv = require "luv"

-- The file of a snapshot: its info.
local function publish(b, index, term)
  local snapshots, meta = b.storage.snapshots, samples.meta(index)
  local is_done, info = false, nil
  meta.term = term
  assert(snapshots:write(meta, function(add) add "state" end))
  snapshots:publish(meta, function(err, made)
    assert(not err, tostring(err))
    is_done, info = true, made
  end)
  helper.wait_until(function() return is_done end, 5000, "a snapshot")
  return info
end

-- Such a file, a store with its mark, and its report.
local function mark(b, index, term, is_reset, entries)
  local info = publish(b, index, term)
  b.seq = b.seq + 1
  b.storage:store(b.seq, entries or "", term, 0, index, index, term, is_reset)
  b:settle()
  b.storage.snapshots:settled(info)
end

-- Entries 1 to `last`, in as many segments as that takes.
local function fill(b, last)
  for i = 1, last do b:put(i, i, 1, 3000, 0, i) end
end

local function remove(b, index)
  local is_done, err = false, nil
  b.storage:remove_before(index, function(e) is_done, err = true, e end)
  assert(not is_done, "answered inside the call")
  helper.wait_until(function() return is_done end, 5000, "the removal")
  return err
end

local function numbers(b)
  local list = {}
  for name in uv.fs_scandir_next, uv.fs_scandir(b.dir) do
    local hex = name:match("^wal%-(%x+)%.log$")
    if hex then list[#list + 1] = tonumber(hex, 16) end
  end
  table.sort(list)
  return list
end

describe("storage: old segments", function()
  it("go when a snapshot covers them, and the log begins later", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    fill(b, 40)
    mark(b, 40, 1, false)
    local before = numbers(b)
    assert.is_true(#before > 3)
    assert.is_nil(remove(b, 30))
    local after = numbers(b)
    assert.equal(before[#before], after[#after])
    assert.is_true(after[1] > 1)
    assert.equal(after[1], b.storage:status().first_segment)
    b:reopen()
    local found = b:found()
    assert.equal(40, found.last)
    assert.is_true(found.base_index > 0 and found.base_index <= 30)
    assert.equal(1, found.base_term)
    local err, bytes = b:read(found.base_index + 1, 40)
    assert.is_nil(err)
    assert.equal(box.entries(found.base_index + 1, 40, 1, 3000), bytes)
  end)

  it("stay while they are needed, and the newest always", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    fill(b, 20)
    mark(b, 20, 1, false)
    local before = numbers(b)
    assert.is_nil(remove(b, 0))
    assert.same(before, numbers(b))
    assert.is_nil(remove(b, 20))
    local after = numbers(b)
    assert.equal(before[#before], after[#after])
    b:reopen()
    assert.equal(20, b:found().last)
    assert.equal(1, b:found().term)
    b:put(21, 22, 1)
    b:reopen()
    assert.equal(22, b:found().last)
  end)

  it("are removed at a start that finds them", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    fill(b, 20)
    mark(b, 20, 1, false)
    local file <close> = assert(io.open(b:segment(1), "rb"))
    local first = file:read("a")
    assert.is_nil(remove(b, 20))
    b:close()
    local again <close> = assert(io.open(b:segment(1), "wb"))
    again:write(first)
    again:flush()
    b:must_open()
    assert.is_true(numbers(b)[1] > 1)
    assert.equal(20, b:found().last)
  end)

  it("are missed when one of the others is gone", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    fill(b, 30)
    mark(b, 30, 1, false)
    assert.is_nil(remove(b, 12))
    b:close()
    local first = numbers(b)[1]
    assert(os.remove(b:segment(first)))
    local _, err = b:open()
    assert.equal("corrupt", err.code)
    assert.truthy(err.message:find("the segment is missing", 1, true))
    assert.equal(first, err.segment)
  end)

  it("answer a read with nothing once they are gone", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    fill(b, 20)
    mark(b, 20, 1, false)
    assert.equal(box.entries(1, 1, 1, 3000), select(2, b:read(1, 1)))
    local answers = {}
    b.storage:remove_before(15, function() answers.removed = true end)
    for i = 1, 20 do  -- some before the removal, some amid it, some after
      b.storage:read(i, i, 1 << 20, function(err, bytes)
        assert(not err, tostring(err))
        assert(bytes == "" or bytes == box.entries(i, i, 1, 3000))
        answers[i] = bytes
      end)
    end
    helper.wait_until(function() return answers.removed and answers[20] end,
      5000, "the removal and reads")
    assert.equal("", select(2, b:read(1, 1)))
    assert.equal(box.entries(20, 20, 1, 3000), select(2, b:read(20, 20)))
  end)

  it("report an identity that cannot be written as a failure", function()
    local failing = false
    local bent = box.bent_uv(function(real)
      return { fs_write = function(fd, bytes, offset, callback)
        if failing and callback and bytes:sub(1, 8) == "raftidnt" then
          return box.refuse("EIO: i/o error", callback)
        end
        return real.fs_write(fd, bytes, offset, callback)
      end }
    end)
    local b <close> = box.new { segment_bytes = 1 << 15, uv = bent }
    b:must_open()
    fill(b, 20)
    mark(b, 20, 1, false)
    local before = numbers(b)
    failing = true
    local err = remove(b, 20)
    assert.equal("io_error", err.code)
    assert.equal(1, #b.failures)
    assert.same(before, numbers(b))
  end)

  it("stay, and the log goes on, when they cannot be unlinked", function()
    local bent = box.bent_uv(function(real)
      return { fs_unlink = function(path, callback)
        if callback and path:find("wal-", 1, true) then
          return box.refuse("EACCES: permission denied", callback)
        end
        return real.fs_unlink(path, callback)
      end }
    end)
    local b <close> = box.new { segment_bytes = 1 << 15, uv = bent }
    b:must_open()
    fill(b, 20)
    mark(b, 20, 1, false)
    assert.equal("io_error", remove(b, 20).code)
    assert.same({}, b.failures)
    b:put(21, 21, 1)
    b:close()
    b.options.uv = uv
    b:must_open()
    assert.equal(21, b:found().last)
    assert.is_true(numbers(b)[1] > 1)
  end)
end)

describe("storage: marks of snapshots", function()
  it("that fit the log leave it as it is", function()
    local b <close> = box.new()
    b:must_open()
    b:put(1, 5, 1, 10, 0, 3)
    mark(b, 3, 1, false, box.entries(6, 7, 1, 10))
    b:reopen()
    assert.equal(0, b:found().base_index)
    assert.equal(box.entries(1, 7, 1, 10), b:found().tail)
  end)

  it("begin the log anew", function()
    local b <close> = box.new()
    b:must_open()
    b:put(1, 5, 1, 10)
    mark(b, 9, 2, true, box.entries(10, 11, 2, 10))
    assert.equal("", select(2, b:read(3, 3)))
    assert.equal(box.entries(10, 11, 2, 10), select(2, b:read(10, 11)))
    b:put(12, 12, 2, 10)
    b:reopen()
    local found = b:found()
    assert.same({ 9, 2, 12, 10 }, { found.base_index, found.base_term,
      found.last, found.tail_first })
    assert.same({ 10, 2 }, found.terms)
    assert.equal(box.entries(10, 12, 2, 10), found.tail)
  end)

  it("begin a batch of their own where stores are joined", function()
    local b <close> = box.new()
    b:must_open()
    b:queue(1, 2, 1, 10)
    b:queue(3, 4, 1, 10)
    local info = publish(b, 7, 2)
    b:queue(5, 6, 1, 10)  -- is written at once, and the others wait
    b:queue(7, 8, 1, 10)
    b.seq = b.seq + 1
    b.storage:store(b.seq, box.entries(8, 8, 2, 10), 2, 0, 7, 7, 2, true)
    b:queue(9, 9, 2, 10)
    b:settle()
    b.storage.snapshots:settled(info)
    b:reopen()
    assert.equal(7, b:found().base_index)
    assert.equal(box.entries(8, 9, 2, 10), b:found().tail)
  end)

  it("find their place when there is none for entries", function()
    local full = false
    local bent = box.bent_uv(function(real)
      return { fs_write = function(fd, bytes, offset, callback)
        if full and callback and bytes:find("^%z+$") then
          return box.refuse("ENOSPC: no space left on device", callback)
        end
        return real.fs_write(fd, bytes, offset, callback)
      end }
    end)
    local b <close> = box.new { segment_bytes = 1 << 15, uv = bent }
    b:must_open()
    full = true
    local last = 0
    repeat
      last = last + 1
      b:queue(last, last, 1, 3000, 0, 1)
      helper.wait_until(function()
        return b.stored == b.seq or b.space[1]
      end, 5000, "a report")
    until b.space[1]
    local seq = b.stored
    b:abort()  -- the store that waits for space is dropped with it
    b:must_open()
    b.seq, b.stored = seq, seq
    mark(b, 1, 1, false)
    assert.is_true(b.stored > seq)
  end)

  it("tell how much lies behind an index", function()
    local b <close> = box.new { segment_bytes = 1 << 15 }
    b:must_open()
    assert.equal(0, b.storage:index_before(1))
    fill(b, 40)
    local index = b.storage:index_before(20000)
    local _, bytes = b:read(index + 1, 40)
    assert.is_true(#bytes >= 20000)
    assert.is_true(index > 10)
    assert.equal(0, b.storage:index_before(1 << 30))
  end)
end)

describe("storage in memory", function()
  it("begins anew, and lets go", function()
    local storage = memory.open { uv = uv }
    local function read(first, last)
      local bytes
      storage:read(first, last, 1 << 30, function(_, found) bytes = found end)
      helper.wait_until(function() return bytes end, 5000, "a read")
      return bytes
    end
    storage:store(1, box.entries(1, 3, 1, 10), 1, 0, 0)
    storage:store(2, box.entries(4, 5, 1, 10), 1, 0, 0)
    assert.equal(3, storage:index_before(10))
    assert.equal(0, storage:index_before(1000))
    local is_done = false
    storage:remove_before(3, function() is_done = true end)
    helper.wait_until(function() return is_done end, 5000, "the removal")
    assert.equal("", read(1, 3))
    assert.equal(box.entries(4, 5, 1, 10), read(4, 5))
    storage:store(3, box.entries(10, 10, 2, 10), 2, 0, 0, 9, 2, true)
    assert.equal("", read(4, 5))
    assert.equal(box.entries(10, 10, 2, 10), read(10, 10))
    local is_closed = false
    storage:close(function() is_closed = true end)
    helper.wait_until(function() return is_closed end, 5000, "closing")
    storage:remove_before(10, error)  -- nothing is called any more
  end)
end)
