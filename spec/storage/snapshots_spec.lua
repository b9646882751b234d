-- Files of snapshots: made, published, chosen, pinned, removed, received.
local Snapshots = require "raft.storage.snapshots"
local box = require "spec.storage.box"
local core = require "raft.core"
local errors = require "raft.errors"
local samples = require "spec.storage.snapshot_meta"
local helper = require "spec.support.helper"
local memory_snapshots = require "raft.storage.memory_snapshots"
local at_start = require "raft.storage.snapshot_start"
local uv = require "luv"

local meta = samples.meta

-- Waits for done(err, result).
local function answer(start)
  local result
  start(function(...) result = table.pack(...) end)
  assert(not result, "answered inside the call")
  helper.wait_until(function() return result end, 5000, "an answer")
  return table.unpack(result, 1, result.n)
end

local function saving(...)
  local pieces = { ... }
  return function(add)
    for _, piece in ipairs(pieces) do add(piece) end
  end
end

-- Makes the snapshot at this index with this state.
local function make(snapshots, index, ...)
  local at = meta(index)
  assert(snapshots:write(at, saving(...)))
  local err, info = answer(function(done) snapshots:publish(at, done) end)
  return info, err
end

local function state_of(snapshots, info)
  local reader, pieces = snapshots:reader(info), {}
  for piece in function() return reader:read() end do
    pieces[#pieces + 1] = piece
  end
  reader:close()
  return table.concat(pieces)
end

local function names(dir)
  local found = {}
  for name in uv.fs_scandir_next, uv.fs_scandir(dir) do
    if name:find "snap" or name:find "incoming" then
      found[#found + 1] = name
    end
  end
  table.sort(found)
  return found
end

local function name_of(index)
  return ("snap-%016x-%016x.snap"):format(index, 1)
end

-- All bytes of a file, by way of a source.
local function bytes_of(source, step)
  local pieces, offset = {}, 0
  while offset < source.info.size do
    local err, bytes = answer(function(done)
      source:read_later(offset, step, done)
    end)
    assert(not err, tostring(err))
    pieces[#pieces + 1], offset = bytes, offset + #bytes
  end
  return table.concat(pieces)
end

-- Sends a file from one to the other: err, info.
local function receive(snapshots, offer, bytes, step)
  local incoming = assert(snapshots:receive(offer))
  while incoming.offset < offer.size do
    local part = bytes:sub(incoming.offset + 1, incoming.offset + step)
    local err = answer(function(done)
      incoming:write_later(incoming.offset, part, done)
    end)
    if err then return err end
  end
  return answer(function(done) incoming:finish_later(done) end)
end

-- With ten entries of term 1 on the disk: those that the log has to know.
local function opened(options)
  local b = box.new(options)
  b:must_open()
  b:put(1, 10, 1, 50, 0, 10)
  return b
end

local function in_memory()
  return memory_snapshots.new(function(fn)
    local timer = assert(uv.new_timer())
    timer:start(0, 0, function()
      timer:close()
      fn()
    end)
  end)
end

local function both(fn)
  do
    local b <close> = opened()
    fn(b.storage.snapshots)
  end
  fn(in_memory())
end

describe("snapshots", function()
  it("are read as they were written, however the pieces were cut", function()
    local large = ("0123456789abcdef"):rep(1 << 17)
    both(function(snapshots)
      for i, pieces in ipairs { { "a" }, { "a", "", "b" }, { large },
        { "x", large, "y", large }, {} } do
        local info = assert(make(snapshots, i, table.unpack(pieces)))
        assert.equal(i, info.index)
        assert.equal(info, snapshots.newest)
        local whole = table.concat(pieces)
        assert.equal(#whole, info.state_bytes)
        assert.is_true(state_of(snapshots, info) == whole)
      end
    end)
  end)

  it("say of themselves what they were told, and what they are", function()
    both(function(snapshots)
      local info = assert(make(snapshots, 7, "state"))
      for name, value in pairs(meta(7)) do assert.same(value, info[name]) end
      assert.equal(info, snapshots:find(7, 1))
      assert.is_nil(snapshots:find(7, 2))
      local source = snapshots:pin(7)
      assert.equal(info.size, #bytes_of(source, 10))
      source:unpin()
    end)
  end)

  it("stay until the log knows of a newer one", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 3, "old")
    local info = make(snapshots, 5, "new")
    assert.same({ name_of(3), name_of(5) }, names(b.dir))
    snapshots:settled(info)
    helper.wait_until(function() return #names(b.dir) == 1 end, 5000, "removal")
    assert.same({ name_of(5) }, names(b.dir))
    assert.equal("new", state_of(snapshots, info))
  end)

  it("stay while they are pinned", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    local old = make(snapshots, 3, "old")
    local source, other = snapshots:pin(2), snapshots:pin(3)
    assert.is_nil(snapshots:pin(4))
    snapshots:settled(make(snapshots, 5, "new"))
    source:unpin()
    assert.equal(old.size, #bytes_of(other, 1 << 20))
    assert.same({ name_of(3), name_of(5) }, names(b.dir))
    assert.has_error(function() source:unpin() end)
    other:unpin()
    helper.wait_until(function() return #names(b.dir) == 1 end, 5000, "removal")
  end)

  it("are given without a state to a witness", function()
    both(function(snapshots)
      local info = make(snapshots, 5, "a state")
      local source = snapshots:pin(5, true)
      local bytes = bytes_of(source, 1 << 20)
      source:unpin()
      local scan = core.snapfile_scan()
      assert(scan:feed(bytes))
      assert(scan:finish())
      local bare = scan:info()
      assert.equal(0, bare.state_bytes)
      assert.equal(source.info.checksum, bare.checksum)
      assert.equal(source.info.size, bare.size)
      assert.equal(info.config, bare.config)
      assert.not_equal(info.checksum, bare.checksum)
    end)
  end)

  it("are not made of what raises", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    local old = make(snapshots, 3, "old")
    local why = errors.new("failed", "no")
    local ok, err = snapshots:write(meta(5), function(add)
      add("half")
      error(why, 0)
    end)
    assert.is_nil(ok)
    assert.equal(why, err)
    assert.same({ name_of(3) }, names(b.dir))
    assert.equal(old, snapshots.newest)
  end)

  it("are received, in steps, and go on where they were", function()
    both(function(snapshots)
      local info = make(snapshots, 5, "a state that is sent", ("x"):rep(5000))
      local source = snapshots:pin(5)
      local bytes = bytes_of(source, 1000)
      source:unpin()
      local b <close> = opened()
      local there = b.storage.snapshots
      local incoming = assert(there:receive(info))
      assert.equal(0, incoming.offset)
      answer(function(done)
        incoming:write_later(0, bytes:sub(1, 77), done)
      end)
      assert.equal(incoming, there:receive(info))
      assert.equal(77, incoming.offset)
      b:reopen()
      there = b.storage.snapshots
      assert.equal(77, there:receive(info).offset)
      local err, got = receive(there, info, bytes, 500)
      assert.is_nil(err)
      assert.equal(info.checksum, got.checksum)
      assert.equal("a state that is sent" .. ("x"):rep(5000),
        state_of(there, got))
      assert.equal(got, there.newest)
      assert.same({ name_of(5) }, names(b.dir))
    end)
  end)

  it("give way to another offer", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    local offer = meta(20)
    offer.size, offer.checksum = 1000, 1
    local first = assert(snapshots:receive(offer))
    answer(function(done) first:write_later(0, "xyz", done) end)
    local other = meta(21)
    other.size, other.checksum = 1000, 1
    assert.equal(0, assert(snapshots:receive(other)).offset)
    helper.wait_until(function() return #names(b.dir) == 1 end, 5000, "removal")
    assert.truthy(names(b.dir)[1]:find "incoming%-0000000000000015")
    first:drop()  -- again: nothing
  end)

  -- A part that a life before had received.
  local function with_a_part(fn)
    local b <close> = opened()
    local offer = meta(6)
    offer.size, offer.checksum = 1000, 1
    local first = assert(b.storage.snapshots:receive(offer))
    answer(function(done) first:write_later(0, "xyz", done) end)
    b:reopen()
    assert.equal(1, #names(b.dir))
    fn(b, b.storage.snapshots, offer)
    helper.wait_until(function() return #names(b.dir) == 1 end, 5000, "removal")
    b:reopen()  -- nothing is written behind our back
    return names(b.dir)[1]
  end

  it("do not outlive their use as a part of an earlier life", function()
    local function of(index)
      return ("incoming%%-%016x"):format(index)
    end
    assert.truthy(with_a_part(function(_, snapshots, offer)
      offer.index = 7
      assert.equal(0, assert(snapshots:receive(offer)).offset)
    end):find(of(7)), "another offer")
    assert.equal(name_of(8), with_a_part(function(_, snapshots)
      snapshots:settled(make(snapshots, 8, "newer"))
    end))
    assert.truthy(with_a_part(function(_, snapshots, offer)
      assert.equal(3, assert(snapshots:receive(offer)).offset)
      snapshots:settled(make(snapshots, 8, "newer"))
      snapshots.incoming:drop()
      snapshots:settled(snapshots.newest)
    end):find(name_of(8), 1, true))
  end)

  it("are not taken while they are written", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    local offer = meta(20)
    offer.size, offer.checksum = 1000, 1
    local incoming = assert(snapshots:receive(offer))
    local is_written = false
    incoming:write_later(0, "xyz", function() is_written = true end)
    local other = meta(21)
    other.size, other.checksum = 1000, 1
    local none, err = snapshots:receive(other)
    assert.is_nil(none)
    assert.equal("busy", err.code)
    helper.wait_until(function() return is_written end, 5000, "a write")
    assert(snapshots:receive(other))
  end)

  it("are refused when they are damaged or not what was offered", function()
    both(function(snapshots)
      local info = make(snapshots, 5, "a state")
      local source = snapshots:pin(5)
      local bytes = bytes_of(source, 1000)
      source:unpin()
      local b <close> = opened()
      for at = 1, #bytes, 7 do
        local broken = bytes:sub(1, at - 1)
          .. string.char(bytes:byte(at) ~ 4) .. bytes:sub(at + 1)
        local err = receive(b.storage.snapshots, info, broken, 1 << 20)
        assert.equal("corrupt", err.code)
        b.storage.snapshots.incoming:drop()
      end
      local other = setmetatable({ index = 6 }, { __index = info })
      local err = receive(b.storage.snapshots, other, bytes, 1 << 20)
      assert.equal("corrupt", err.code)
      b.storage.snapshots.incoming:drop()
      assert.is_false(b.storage.snapshots.newest)
      assert.is_nil((receive(b.storage.snapshots, info, bytes, 1 << 20)))
    end)
  end)
end)

describe("snapshots, when the n-th call of the disk fails,", function()
  local CALLS <const> = { "open", "write", "read", "fsync", "fdatasync",
    "rename", "close", "unlink" }

  -- A box whose n-th call from fault.left = n on fails with fault.text.
  local function faulty()
    local fault = { left = 0, text = "" }
    local bent = box.bent_uv(function(real)
      local calls = {}
      for _, name in ipairs(CALLS) do
        local full = "fs_" .. name
        calls[full] = function(...)
          local callback = select(select("#", ...), ...)
          fault.left = fault.left - 1
          if fault.left ~= 0 then return real[full](...) end
          local is_later = type(callback) == "function"
          if name == "close" then
            real.fs_close((...))  -- it is closed, whatever is said
          end
          return box.refuse(fault.text, is_later and callback)
        end
      end
      return calls
    end)
    return opened { uv = bent }, fault
  end

  local ERRORS <const> = { EIO = "io_error", ENOSPC = "no_space" }

  -- Runs act(snapshots) with each call failing once, until none is left.
  -- act: nil when it was done, or the error.
  local function each_failure(act, check)
    for errno, code in pairs(ERRORS) do
      local b <close>, fault = faulty()
      local n, has_struck = 0
      make(b.storage.snapshots, 3, "three")
      repeat
        n = n + 1
        fault.left, fault.text = n, errno .. ": as the spec says"
        local err = act(b.storage.snapshots)
        has_struck = fault.left <= 0
        fault.left = 0
        assert.equal(has_struck, err ~= nil, "call " .. n)
        if err then
          assert.equal(code, err.code)
          assert.truthy(err.file)
        end
        check(b, err)
        helper.wait_until(function()
          return b.storage.files.busy == 0
        end, 5000, "what follows an error")
      until not has_struck or n == 100
      assert.is_true(n > 5 and n < 100, n .. " calls")
      assert.same({}, b.failures)
      b:put(11, 11, 1)  -- the log goes on
    end
  end

  it("writing one leaves what was, and works the next time", function()
    each_failure(function(snapshots)
      local at = meta(5)
      local ok, err = snapshots:write(at, saving("five", ("x"):rep(1 << 20)))
      if not ok then return err end
      local why
      answer(function(done)
        snapshots:publish(at, function(e) why = e; done(e) end)
      end)
      return why
    end, function(b, err)
      local snapshots = b.storage.snapshots
      if not err then
        assert.equal(5, snapshots.newest.index)
        assert.equal(4 + (1 << 20), #state_of(snapshots, snapshots.newest))
      end
      assert.equal("three", state_of(snapshots, snapshots:find(3, 1)))
    end)
  end)

  it("receiving one leaves what was, and works the next time", function()
    local giver = in_memory()
    local info = make(giver, 9, "nine", ("y"):rep(100000))
    local source = giver:pin(9)
    local bytes = bytes_of(source, 1 << 20)
    source:unpin()
    each_failure(function(snapshots)
      local incoming, err = snapshots:receive(info)
      if not incoming then return err end
      err = receive(snapshots, info, bytes, 30000)
      if err then snapshots.incoming:drop() end
      return err
    end, function(b, err)
      local snapshots = b.storage.snapshots
      assert.equal("three", state_of(snapshots, snapshots:find(3, 1)))
      if err then return end
      assert.equal(9, snapshots.newest.index)
      assert.equal(100004, #state_of(snapshots, snapshots.newest))
    end)
  end)
end)

describe("snapshots at a start:", function()
  it("the newest that the log fits counts, others go", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 3, "three")
    make(snapshots, 9, "nine")
    make(snapshots, 11, "the log ends before")
    b:reopen()
    snapshots = b.storage.snapshots
    assert.equal(9, snapshots.newest.index)
    assert.equal("nine", state_of(snapshots, snapshots.newest))
    assert.same({ name_of(9) }, names(b.dir))
  end)

  it("one of another term does not count", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 3, "three")
    local other = meta(9)
    other.term = 2
    assert(snapshots:write(other, saving "other"))
    assert.is_nil((answer(function(done) snapshots:publish(other, done) end)))
    b:reopen()
    assert.equal(3, b.storage.snapshots.newest.index)
    assert.same({ name_of(3) }, names(b.dir))
  end)

  it("a damaged one gives way to the one before", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 3, "three")
    local info = make(snapshots, 9, "nine")
    for _, offset in ipairs { 20, info.size - 70, info.size - 1 } do
      make(b.storage.snapshots, 9, "nine")
      b:flip(info.path, offset)
      b:reopen()
      assert.equal(3, b.storage.snapshots.newest.index)
      assert.same({ name_of(3) }, names(b.dir))
    end
  end)

  -- A log that damage has cut: entries up to `last` are left of it.
  local function cut_log(base, last, lost)
    return {
      bounds = function() return base, last, lost end,
      term_at = function(_, index)
        return index >= base and index <= last and 1 or nil
      end,
    }
  end

  -- The mark of the newest lies in the damage. Nothing that was acknowledged is
  -- lost with the file: the log asks for what it lacks. But it stays, too.
  it("none goes while damage keeps the log from reaching it", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 3, "three")
    make(snapshots, 9, "nine")
    local log = cut_log(0, 5, 12)
    assert.equal(3, at_start.recover(snapshots.files, b.dir, log, false).index)
    assert.same({ name_of(3), name_of(9) }, names(b.dir))
  end)

  it("without one that fits what is left of a log, it is refused", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    make(snapshots, 9, "nine")
    local ok, err = pcall(at_start.recover, snapshots.files, b.dir,
      cut_log(4, 5, 12), false)
    assert.is_false(ok)
    assert.equal("corrupt", err.code)
    assert.truthy(err.message:find("fits the log; entries up to 4", 1, true))
    assert.same({ name_of(9) }, names(b.dir))
  end)

  it("what was being written or is no more wanted goes", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    assert(snapshots:write(meta(4), saving "half"))
    for index = 3, 6 do
      local offer = meta(index)
      offer.size, offer.checksum = 1000, 1
      local file <close> = assert(io.open(("%s/incoming-%016x-%016x-%x-%016x"
        .. ".snap"):format(b.dir, index, 1, 1000, 1), "w"))
      file:write("x")
    end
    make(snapshots, 5, "five")
    b:reopen()
    assert.equal(2, #names(b.dir))
    assert.truthy(names(b.dir)[1]:find "incoming%-0000000000000006")
    make(b.storage.snapshots, 6, "six")
    b:reopen()
    assert.same({ name_of(6) }, names(b.dir))
  end)

  it("one of a later format is refused, and stays", function()
    local b <close> = opened()
    local info = make(b.storage.snapshots, 9, "nine")
    b:close()
    local head = b:peek(info.path, 0, 56)
    head = head:sub(1, 12) .. "\2\0\0\0" .. head:sub(17)
    local crc = string.pack("<I4", box.crc32c(head:sub(13)))
    b:poke(info.path, 0, head:sub(1, 8) .. crc .. head:sub(13))
    local storage, err = b:open()
    assert.is_nil(storage)
    assert.equal("format_version", err.code)
    assert.equal(2, err.found)
    assert.same({ name_of(9) }, names(b.dir))
  end)

  it("a name that is not ours stays", function()
    local b <close> = opened()
    b:close()
    local path = b:path "snap-12-1.snap"
    io.open(path, "w"):close()
    b:must_open()
    assert.same({ "snap-12-1.snap" }, names(b.dir))
  end)
end)

describe("a snapshot's reader", function()
  it("raises where the file is not any more what was verified", function()
    local b <close> = opened()
    local snapshots = b.storage.snapshots
    local info = make(snapshots, 5, ("x"):rep(3000))
    b:flip(info.path, info.size - 100)
    local reader = snapshots:reader(info)
    local ok, err = pcall(function()
      while reader:read() do end -- luacheck: ignore
    end)
    reader:close()
    reader:close()
    assert.is_false(ok)
    assert.equal("corrupt", err.code)
    assert.equal(info.path, err.file)
  end)
end)

describe("Snapshots.bare_of", function()
  it("depends on nothing but the place", function()
    local _, one = Snapshots.bare_of(meta(5))
    local _, two = Snapshots.bare_of(meta(5))
    assert.equal(one, two)
  end)
end)
