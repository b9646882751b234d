local box = require "spec.storage.box"
local core = require "raft.core"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local memory = require "raft.storage.memory"
local uv = require "luv"

describe("storage", function()
  describe("open", function()
    it("makes the directory and its parents", function()
      local b <close> = box.new()
      b.options.dir = b.tmp:join("a", "b", "c")
      local storage = b:must_open()
      assert.is_true(storage.is_new)
      assert.equal(1, storage.starts)
      assert.is_false(storage.identity)
      assert.equal(0, b:found().last)
    end)

    it("counts starts and keeps the incarnation", function()
      local b <close> = box.new()
      local first = b:must_open().incarnation
      assert.not_equal(0, first)
      local storage = b:reopen()
      assert.is_false(storage.is_new)
      assert.equal(2, storage.starts)
      assert.equal(first, storage.incarnation)
      local other <close> = box.new()
      assert.not_equal(first, other:must_open().incarnation)
    end)

    it("finds entries and hard state again", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 3, 4, 10, -7, 2)
      b:reopen()
      local found = b:found()
      assert.equal(3, found.last)
      assert.equal(4, found.term)
      assert.equal(-7, found.vote)
      assert.equal(2, found.commit)
      assert.equal(1003, found.last_time)
      assert.equal(1, found.tail_first)
      assert.equal(box.entries(1, 3, 4, 10), found.tail)
    end)

    it("finds a log after an abort without a mark", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 3, 4)
      b:abort()
      b:must_open()
      assert.equal(3, b:found().last)
      assert.equal(0, b.storage.report.truncated_bytes)
    end)

    it("hands the core no more than memory_bytes of entries", function()
      local b <close> = box.new { memory_bytes = 500 }
      b:must_open()
      b:put(1, 20, 1, 60)
      b:reopen()
      local found = b:found()
      assert.is_true(#found.tail <= 500)
      assert.equal(box.entries(found.tail_first, 20, 1, 60), found.tail)
      assert.equal(20, found.last)
    end)

    it("finds what overwrote", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 9, 1)
      b:put(4, 5, 3)
      b:reopen()
      assert.equal(box.entries(1, 3, 1) .. box.entries(4, 5, 3),
        b:found().tail)
      assert.equal(2, b:found().runs)
    end)

    it("finds a log that spans many segments", function()
      local b <close> = box.new()
      b:must_open()
      for i = 1, 60 do b:put(2 * i - 1, 2 * i, 1, 3000) end
      assert.is_true(b.storage:status().segment > 4)
      b:reopen()
      assert.equal(120, b:found().last)
      b:put(121, 121, 1)
      b:reopen()
      assert.equal(121, b:found().last)
    end)
  end)

  describe("store", function()
    it("reports from the loop, never inside the call", function()
      local b <close> = box.new()
      b:must_open()
      b:queue(1, 1, 1)
      assert.equal(0, b.stored)
      b:settle()
      assert.equal(1, b.stored)
    end)

    it("joins what waits into one write", function()
      local writes = 0
      local b <close> = box.new { uv = box.bent_uv(function(real)
        return { fs_write = function(fd, bytes, offset, callback)
          if callback and bytes:sub(1, 4) == "rbat" then writes = writes + 1 end
          return real.fs_write(fd, bytes, offset, callback)
        end }
      end) }
      b:must_open()
      for i = 1, 20 do b:queue(i, i, 1) end
      b:settle()
      assert.equal(2, writes)
      assert.equal(2, b.reports)
      b:reopen()
      assert.equal(box.entries(1, 20, 1), b:found().tail)
    end)

    it("joins stores of which one overwrites another", function()
      local b <close> = box.new()
      b:must_open()
      b:queue(1, 1, 1)
      b:queue(2, 6, 1)
      b:queue(3, 4, 2)
      b:settle()
      local expected = box.entries(1, 2, 1) .. box.entries(3, 4, 2)
      local _, bytes = b:read(1, 4)
      assert.equal(expected, bytes)
      b:reopen()
      assert.equal(expected, b:found().tail)
    end)

    it("gives a batch larger than a segment one of its own", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 1, 1, 300000)
      b:put(2, 2, 1)
      b:reopen()
      assert.equal(2, b:found().last)
      local _, bytes = b:read(1, 1)
      assert.equal(box.entries(1, 1, 1, 300000), bytes)
    end)

    it("goes on from the report of an earlier store", function()
      local b <close> = box.new()
      local storage = b:must_open()
      local from_handler = false
      storage:handlers { stored = function(seq)
        b.stored = seq
        if seq == 1 then b:queue(2, 2, 1) from_handler = true end
      end }
      b:queue(1, 1, 1)
      helper.wait_until(function() return b.stored == 2 end)
      assert.is_true(from_handler)
    end)
  end)

  describe("read_now", function()
    -- Bytes of [first, last], in as many answers as it takes; and their number.
    local function read_all(b, first, last)
      local pieces = {}
      while first <= last do
        local bytes = assert(b.storage:read_now(first, last, 1 << 30))
        assert.is_true(#bytes > 0)
        pieces[#pieces + 1] = bytes
        first = select(2, core.wal_span(bytes)) + 1
      end
      return table.concat(pieces), #pieces
    end

    it("answers with what one read yields, and goes on behind it", function()
      local b <close> = box.new()
      b:must_open()
      for i = 1, 100 do b:put(i, i, 1, 3000) end
      local bytes, answers = read_all(b, 1, 100)
      assert.equal(box.entries(1, 100, 1, 3000), bytes)
      assert.is_true(answers > 2 and answers < 20, answers .. " answers")
      assert.equal(box.entries(38, 53, 1, 3000), (read_all(b, 38, 53)))
    end)

    it("gives no more than is asked for, and one entry at least", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 20, 1, 100)
      assert.equal(box.entries(4, 6, 1, 100), b.storage:read_now(4, 6, 1 << 20))
      assert.equal(box.entries(4, 4, 1, 100), b.storage:read_now(4, 6, 1))
      assert.equal("", b.storage:read_now(21, 21, 1))
    end)
  end)

  describe("marks", function()
    local function kind_of_last(b)
      local status = b.storage:status()
      return b:peek(b:segment(status.segment),
        status.segment_offset - core.WAL_SECTOR + 84, 1):byte()
    end

    it("follow the last batch when nothing is written for a while", function()
      local b <close> = box.new { mark_ms = 10 }
      b:must_open()
      b:put(1, 1, 1)
      local before = b.storage:status().segment_offset
      helper.wait_until(function()
        return b.storage:status().segment_offset > before
          and kind_of_last(b) == 2
      end)
    end)

    it("are written once, and by close", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 1, 1, 0, 5)
      b:reopen()
      assert.equal(2, kind_of_last(b))
      local before = b.storage:status().segment_offset
      b:reopen()
      assert.equal(before, b.storage:status().segment_offset)
      assert.equal(5, b:found().vote)
    end)
  end)

  describe("read", function()
    it("gives entries across segments and overwrites", function()
      local b <close> = box.new()
      b:must_open()
      local log = {}
      for round = 1, 30 do
        local first = math.max(1, #log - round % 4)
        for i = first, first + 6 do log[i] = box.entries(i, i, round, 900) end
        b:put(first, first + 6, round, 900)
      end
      assert.is_true(b.storage:status().segment > 2)
      for _ = 1, 2 do  -- as it was written, and as it is found again
        for first = 1, #log, 7 do
          local err, bytes = b:read(first, #log)
          assert.is_nil(err)
          assert.equal(table.concat(log, "", first), bytes)
        end
        b:reopen()
      end
    end)

    it("gives one entry at least, and no more than asked for", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 9, 1, 100)
      local one = #box.entries(1, 1, 1, 100)
      assert.equal(box.entries(3, 3, 1, 100), select(2, b:read(3, 9, 1)))
      assert.equal(box.entries(3, 4, 1, 100),
        select(2, b:read(3, 9, 2 * one + 5)))
      assert.equal(box.entries(3, 5, 1, 100), select(2, b:read(3, 5)))
    end)

    it("gives nothing of what is not there", function()
      local b <close> = box.new()
      b:must_open()
      assert.equal("", select(2, b:read(1, 1)))
      b:put(1, 2, 1)
      assert.equal("", select(2, b:read(3, 9)))
      assert.equal(box.entries(2, 2, 1), select(2, b:read(2, 9)))
    end)

    it("answers in order while stores go on", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 50, 1, 500)
      local order = {}
      for i = 1, 10 do
        b.storage:read(i, i, 1, function(err, bytes)
          assert.is_nil(err)
          assert.equal(box.entries(i, i, 1, 500), bytes)
          order[#order + 1] = i
        end)
        b:queue(50 + i, 50 + i, 1)
      end
      helper.wait_until(function() return #order == 10 end)
      b:settle()
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, order)
    end)

    it("sees damage", function()
      local b <close> = box.new()
      b:must_open()
      b:put(1, 2, 1)
      b:flip(b:segment(1), core.WAL_SECTOR + 88 + 8 + 41)
      local err, bytes = b:read(1, 2)
      assert.equal("corrupt", err.code)
      assert.equal(b:segment(1), err.file)
      assert.is_nil(bytes)
    end)
  end)

  describe("adopt", function()
    it("is durable, also while a segment is being changed", function()
      local identity = string.rep("i", 16)
      local b <close> = box.new()
      b:must_open()
      assert.is_true(b.storage:adopt(identity))
      assert.equal(identity, b.storage.identity)
      for i = 1, 40 do b:queue(i, i, 1, 8000) end
      b:settle()
      assert.is_true(b.storage:adopt(string.rep("j", 16)))
      b:reopen()
      assert.equal(string.rep("j", 16), b.storage.identity)
      assert.equal(40, b:found().last)
    end)
  end)

  it("an older change of identity never overtakes a newer one", function()
    local held = false  -- the first write of a change in the background
    local b <close> = box.new { uv = box.bent_uv(function(real)
      return { fs_write = function(fd, bytes, offset, callback)
        if callback and bytes:sub(1, 8) == "raftidnt" and not held then
          held = function() real.fs_write(fd, bytes, offset, callback) end
          return true
        end
        return real.fs_write(fd, bytes, offset, callback)
      end }
    end) }
    b:must_open()
    for i = 1, 5 do b:queue(i, i, 1, 9000) end  -- needs a new segment
    helper.wait_until(function() return held end)
    assert.is_true(b.storage:adopt(string.rep("k", 16)))
    held()
    b:settle()
    b:reopen()
    assert.equal(string.rep("k", 16), b.storage.identity)
    assert.equal(5, b:found().last)
  end)

  describe("the lock", function()
    it("refuses a second opener in this process", function()
      local b <close> = box.new()
      b:must_open()
      local other <close> = box.new { dir = b.dir }
      local storage, err = other:open()
      assert.is_nil(storage)
      assert.equal("dir_locked", err.code)
      assert.equal(uv.os_getpid(), err.pid)
      b:close()
      assert.truthy(other:open())
    end)

    it("is given back when opening fails", function()
      local b <close> = box.new()
      b:must_open()
      b:close()
      b.options.id = "n2"
      for _ = 1, 2 do
        local _, err = b:open()
        assert.equal("wrong_dir", err.code)
      end
      b.options.id = "n1"
      b:must_open()
    end)
  end)

  describe("close", function()
    it("finishes what was stored before", function()
      local b <close> = box.new()
      b:must_open()
      for i = 1, 10 do b:queue(i, i, 1) end
      b:close()
      assert.equal(10, b.stored)
      b:must_open()
      assert.equal(10, b:found().last)
    end)

    it("answers each caller, also after the end", function()
      local b <close> = box.new()
      local storage = b:must_open()
      local answers = 0
      local function count() answers = answers + 1 end
      storage:close(count)
      storage:close(count)
      storage:abort(count)
      assert.equal(0, answers)
      helper.wait_until(function() return answers == 3 end)
      storage:close(count)
      helper.wait_until(function() return answers == 4 end)
      b.storage = false
    end)
  end)

  describe("in memory", function()
    local function new()
      return memory.open { uv = uv }
    end

    it("behaves as the one on disk", function()
      local m = new()
      local stored = 0
      m:handlers { stored = function(seq) stored = seq end }
      assert.equal(0, m.recovered:fields().last)
      m:store(1, box.entries(1, 5, 1), 1, 0, 0)
      m:store(2, box.entries(3, 4, 2), 2, 0, 0)
      m:store(3, "", 3, 1, 0)
      assert.equal(0, stored)
      helper.wait_until(function() return stored == 3 end)
      local got
      m:read(1, 9, 1 << 20, function(_, bytes) got = bytes end)
      helper.wait_until(function() return got end)
      assert.equal(box.entries(1, 2, 1) .. box.entries(3, 4, 2), got)
      assert.is_true(m:adopt(string.rep("i", 16)))
      local is_closed = false
      m:close(function() is_closed = true end)
      helper.wait_until(function() return is_closed end)
    end)

    it("bounds what it reads as the one on disk does", function()
      local m = new()
      for i = 1, 5 do m:store(i, box.entries(i, i, 1), 1, 0, 0) end
      local one, none
      m:read(2, 5, 1, function(_, bytes) one = bytes end)
      m:read(6, 9, 1, function(_, bytes) none = bytes end)
      helper.wait_until(function() return none end)
      assert.equal(box.entries(2, 2, 1), one)
      assert.equal("", none)
      m:close()
    end)
  end)

  it("raises no error of its own kind for misuse", function()
    local b <close> = box.new()
    b:must_open()
    local ok, err = pcall(b.storage.store, b.storage, 1, "rubbish", 1, 0, 0)
    assert.is_false(ok)
    assert.is_false(errors.is_error(err))
  end)
end)
