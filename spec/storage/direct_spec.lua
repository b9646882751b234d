local bent_aio = require "spec.storage.bent_aio"
local box = require "spec.storage.box"
local core = require "raft.core"
local helper = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local SECTOR <const> = core.WAL_SECTOR

local why = bent_aio.obstacle()
if why then
  describe("writes past the page cache", function()
    it("are there", function() pending(why) end)
  end)
  return
end

-- The flags of an open file, as the kernel says.
local function flags_of(fd)
  local file <close> = assert(io.open("/proc/self/fdinfo/" .. fd))
  return tonumber(file:read("a"):match "flags:%s*(%d+)", 8)
end

-- O_DIRECT, which differs from machine to machine.
local function direct_flag()
  local aio <close> = assert(core.host.aio())
  local fd = assert(uv.fs_open("Makefile", uv.constants.O_RDONLY, 0))
  local plain = flags_of(fd)
  assert(aio:direct(fd, true))
  local flag = plain ~ flags_of(fd)
  assert(uv.fs_close(fd))
  return flag
end

-- Are writes to the file whose name ends so past the cache now?
local function is_direct(name)
  local count, found = 0, false
  for fd in uv.fs_scandir_next, assert(uv.fs_scandir "/proc/self/fd") do
    local path = uv.fs_readlink("/proc/self/fd/" .. fd)
    if path and path:sub(-#name) == name then
      count, found = count + 1, flags_of(fd) & direct_flag() ~= 0
    end
  end
  assert(count == 1, "one descriptor of it")
  return found
end

local function wait_spare(b)
  helper.wait_until(function()
    return b.storage.writer.spare.state == "ready"
  end)
end

-- Bends the callback of writes of the log: bend(bytes) -> text, n; nil: as is.
local function bent_ends(bend)
  return box.bent_uv(function(real)
    return { fs_write = function(fd, bytes, offset, callback)
      local text, n = nil, nil
      if callback and #bytes % SECTOR == 0 then
        text, n = bend(bytes, offset)
      end
      if not text and not n then
        return real.fs_write(fd, bytes, offset, callback)
      end
      if text then return box.refuse(text, callback) end
      if n == 0 then
        return real.fs_write(fd, "", offset, function() callback(nil, 0) end)
      end
      return real.fs_write(fd, bytes:sub(1, n), offset, callback)
    end }
  end)
end

local function is_batch(bytes) return bytes:sub(1, 4) == "rbat" end

-- A box whose aio can be bent, and that aio once it is open.
local function bent_box(bend, through)
  through = through or uv
  local host = bent_aio.host(through, bend)
  return box.new { uv = through, host = host, is_direct = true }, host.made
end

local function wait_failed(b)
  helper.wait_until(function() return #b.failures > 0 end)
  return b.failures[1]
end

describe("an aio", function()
  local function write_all(aio, fd, list)
    for i, bytes in ipairs(list) do
      assert(aio:write(fd, bytes, (i - 1) * SECTOR))
    end
    local ended = {}
    helper.wait_until(function()
      aio:wake()
      local token, bytes, text = aio:reap()
      if token then ended[#ended + 1] = bytes or text end
      return #ended == #list
    end)
    return ended
  end

  local function with_file(fn)
    local tmp <close> = setmetatable({ dir = tmpdir.new() },
      { __close = function(self) self.dir:remove() end })
    local fd = assert(uv.fs_open(tmp.dir:join "file",
      uv.constants.O_RDWR | uv.constants.O_CREAT, 384))
    local aio <close> = assert(core.host.aio())
    fn(aio, fd, tmp.dir:join "file")
    assert(uv.fs_close(fd))
  end

  it("writes what it was given, and zeros", function()
    with_file(function(aio, fd)
      assert.is_true(aio:allocate(fd, 4 * SECTOR))
      assert.equal(4 * SECTOR, uv.fs_fstat(fd).size)
      local a, b = ("a"):rep(SECTOR), ("b"):rep(SECTOR)
      assert.same({ SECTOR, SECTOR }, write_all(aio, fd, { a, b }))
      assert(aio:zeros(fd, SECTOR, 0))
      helper.wait_until(function() return aio:reap() end)
      assert.equal(("\0"):rep(SECTOR) .. b, uv.fs_read(fd, 2 * SECTOR, 0))
    end)
  end)

  it("has a bound, and says so", function()
    with_file(function(aio, fd)
      local token, text, count = 0, nil, -1
      while token do
        count = count + 1
        token, text = aio:write(fd, ("x"):rep(SECTOR), count * SECTOR)
      end
      assert.equal(8, count)
      assert.equal("EAGAIN", text:match "^%u+")
    end)  -- and closing waits for them
  end)

  it("names what is not aligned, and a descriptor that is none", function()
    with_file(function(aio, fd)
      assert.error(function() aio:write(fd, "x", 0) end)
      assert.error(function() aio:write(fd, ("x"):rep(SECTOR), 512) end)
      assert.error(function() aio:zeros(fd, 0, 0) end)
      assert.equal("EBADF", select(2, aio:zeros(9999, SECTOR, 0)):match "^%u+")
      assert.is_false(aio:direct(9999, true))
      assert.equal("EBADF", select(2, aio:allocate(9999, 1)):match "^%u+")
    end)
  end)

  it("is no use once closed", function()
    local aio = assert(core.host.aio())
    aio:close()
    aio:close()
    assert.error(function() aio:reap() end)
  end)
end)

describe("the log past the page cache", function()
  it("is written with O_DIRECT", function()
    local b <close> = box.new { is_direct = true }
    b:must_open()
    assert.is_true(is_direct "0001.log")
    wait_spare(b)
    for i = 1, 10 do b:put(i, i, 1, 9000) end
    assert.is_true(b.storage:status().segment > 1)
    local newest = ("%04x.log"):format(b.storage:status().segment)
    assert.is_true(is_direct(newest))
    b:reopen()
    assert.equal(box.entries(1, 10, 1, 9000), b:found().tail)
  end)

  it("is not, where nobody asked", function()
    local b <close> = box.new()
    b:must_open()
    assert.is_false(is_direct "0001.log")
  end)

  it("is read at once through the cache, also what was read before",
    function()
      local b <close> = box.new { is_direct = true, segment_bytes = 1 << 20 }
      b:must_open()
      for i = 1, 40 do
        b:put(i, i, 1, 1000 + i)
        local err, bytes = b:read(math.max(1, i - 3), i)
        assert.is_nil(err)
        local from = math.max(1, i - 3)
        local expected = {}
        for j = from, i do
          expected[#expected + 1] = box.entries(j, j, 1, 1000 + j)
        end
        assert.equal(table.concat(expected), bytes)
      end
    end)

  it("takes nothing of a wake that came after its write was reaped", function()
    local b <close> = box.new { is_direct = true }
    b:must_open()
    b:put(1, 1, 1)
    wait_spare(b)
    local direct, wakes = b.storage.files.direct, 0
    local reap = direct.reap
    function direct.reap(self)
      wakes = wakes + 1
      reap(self)
    end
    assert(uv.fs_write(direct.aio:event(), string.pack("=I8", 1)))
    helper.wait_until(function() return wakes > 0 end)
    local bytes, _, name = uv.fs_read(direct.aio:event(), 8)
    assert.is_nil(bytes)
    assert.equal("EAGAIN", name)
  end)

  it("lets the loop end when nothing is under way, and not before", function()
    local b <close> = box.new { is_direct = true }
    b:must_open()
    b:put(1, 1, 1)
    wait_spare(b)
    local direct = b.storage.files.direct
    assert.is_false(uv.has_ref(direct.poll))
    b:queue(2, 2, 1)
    assert.is_true(uv.has_ref(direct.poll))
    b:settle()
    assert.is_false(uv.has_ref(direct.poll))
    b:close()
    assert.is_true(uv.is_closing(direct.poll))
  end)

  it("closes what it opened when the directory cannot be opened", function()
    local b <close> = box.new { is_direct = true }
    b:must_open()
    local other, made = bent_box()
    other.options.dir = b.dir
    assert.equal("dir_locked", select(2, other:open()).code)
    helper.wait_until(function() return made[1].is_closed end)
    other.tmp:remove()
  end)

  it("aborted with writes under way, waits for them", function()
    local b, made = bent_box()
    local box_of_it <close> = b
    b:must_open()  -- the spare is being filled
    b:queue(1, 1, 1)
    assert.is_false(made[1].is_closed)
    b:abort()
    helper.wait_until(function() return made[1].is_closed end)
    assert.equal(0, b.stored)
    assert.equal(0, #made[1].ended)
    assert.equal(box_of_it, b)
  end)
end)

describe("a direct write", function()
  it("that is short goes on", function()
    for _, cut in ipairs { SECTOR, 512, 1000 } do
      local cuts = 0
      local b, made = bent_box(nil, bent_ends(function(bytes)
        if not is_batch(bytes) or #bytes == SECTOR then return end
        cuts = cuts + 1
        return nil, cut
      end))
      local closed <close> = b
      b:must_open()
      for i = 1, 4 do b:put(i, i, 1, 6000) end
      assert.is_true(cuts > 0)
      assert.is_true(made[1].submitted > 0)
      closed:reopen()
      assert.equal(box.entries(1, 4, 1, 6000), b:found().tail)
    end
  end)

  it("that fails is final, and names file and byte", function()
    for _, bad in ipairs { { "EIO: i/o error" }, { nil, 0 } } do
      local b <close> = bent_box(nil, bent_ends(function(bytes, offset)
        if is_batch(bytes) and offset > SECTOR then
          return table.unpack(bad, 1, 2)
        end
      end))
      b:must_open()
      b:put(1, 1, 1)
      b:queue(2, 2, 1)
      local err = wait_failed(b)
      assert.equal("io_error", err.code)
      assert.equal("EIO", err.errno)
      assert.equal("write", err.op)
      assert.equal(b:segment(1), err.file)
      assert.equal(2 * SECTOR, err.offset)
      b:close()
      assert.equal(1, b.stored)
      assert.equal(1, #b.failures)
    end
  end)

  for _, name in ipairs { "EINVAL", "EAGAIN", "EOPNOTSUPP" } do
    it("that ends in " .. name .. " is done by the pool", function()
      local ends = 0
      local b, made = bent_box(nil, bent_ends(function(bytes)
        if not is_batch(bytes) or ends > 0 then return end
        ends = ends + 1
        return name .. ": it cannot"
      end))
      local closed <close> = b
      b:must_open()
      for i = 1, 3 do b:put(i, i, 1) end
      assert.equal(1, ends)
      assert.equal(1, made[1].submitted)  -- no more of them for this file
      assert.is_nil(made[1].fds[b.storage.writer.fd])
      closed:reopen()
      assert.equal(3, b:found().last)
    end)

    it("that cannot begin for " .. name .. " is done by the pool", function()
      local b <close> = bent_box { submit = function(bytes)
        return is_batch(bytes) and name .. ": it cannot"
      end }
      b:must_open()
      for i = 1, 9 do b:put(i, i, 1, 9000) end
      b:reopen()
      assert.equal(9, b:found().last)
    end)
  end

  it("of a file that cannot is done by the pool", function()
    local b, made = bent_box { direct = function() return false end }
    local closed <close> = b
    b:must_open()
    for i = 1, 9 do b:put(i, i, 1, 9000) end
    assert.equal(0, made[1].submitted + made[1].zeroed)
    closed:reopen()
    assert.equal(9, b:found().last)
  end)

  it("that is not aligned goes through the pool, with the cache", function()
    local b, made = bent_box()
    local closed <close> = b
    b:must_open()
    wait_spare(b)
    local files, is_done = b.storage.files, false
    files:write_later(b.storage.writer.fd, "odd", SECTOR, function(err)
      assert(not err)
      is_done = true
    end)
    helper.wait_until(function() return is_done end)
    assert.equal(0, made[1].submitted)
    assert.is_nil(next(made[1].fds))
    assert.equal("odd", closed:peek(b:segment(1), SECTOR, 3))
  end)

  it("that raises when it ends keeps no other from ending", function()
    local b, made = bent_box()
    local closed <close> = b
    local storage = b:must_open()
    wait_spare(b)
    local files, ended = storage.files, 0
    for i = 1, 2 do
      files:write_later(storage.writer.fd, ("\0"):rep(SECTOR), i * SECTOR,
        function()
          ended = ended + 1
          if ended == 1 then error "a bug" end
        end)
    end
    -- both are there when the loop hears of the first
    local aio = made[1]
    local finish, held = aio.finish, {}
    function aio.finish(self, ...)
      held[#held + 1] = table.pack(...)
      if #held < 2 then return end
      for _, one in ipairs(held) do finish(self, one[1], one[2], one[3]) end
    end
    helper.wait_until(function() return ended == 2 end)
    closed:close()
    assert.equal("failed", b.failures[1].code)
  end)
end)

describe("a spare past the page cache", function()
  local SIZE <const> = 1 << 21

  -- Opens a box with such a spare, and waits for it, full of zeros.
  local function fills(bend, through)
    local b, made = bent_box(bend, through)
    b.options.segment_bytes = SIZE
    b:must_open()
    wait_spare(b)
    local path = b:path "spare"
    assert.equal(b.storage.writer.spare.size, uv.fs_stat(path).size)
    assert.equal(("\0"):rep(SIZE), b:peek(path, 0, SIZE))
    assert.equal(0, #b.failures)
    return b, made[1]
  end

  it("is filled with zeros", function()
    local b <close>, aio = fills()
    assert.equal(SIZE // (1 << 19), aio.zeroed)
    assert.equal(0, #b.space)
  end)

  it("is filled on where a write was short, aligned or not", function()
    for _, cut in ipairs { SECTOR, SECTOR + 512, 512 } do
      local cuts = 0
      local b <close> = fills(nil, bent_ends(function(bytes)
        if is_batch(bytes) or cuts == 2 or #bytes <= 2 * SECTOR then return end
        cuts = cuts + 1
        return nil, cut
      end))
      assert.is_true(cuts > 0)
      assert.is_table(b)
    end
  end)

  for _, name in ipairs { "EINVAL", "EAGAIN", "EOPNOTSUPP" } do
    it("is left to the pool after " .. name, function()
      for nth = 1, 2 do
        local count = 0
        local function refuse(bytes)
          if is_batch(bytes) or #bytes <= SECTOR then return end
          count = count + 1
          return count == nth and name .. ": it cannot" or nil
        end
        local a <close>, aio = fills(nil, bent_ends(refuse))
        assert.equal(nth, aio.zeroed)
        count = 0
        local b <close>, other = fills { submit = refuse }
        assert.equal(nth, other.zeroed)
        assert.not_equal(a, b)
      end
    end)
  end

  it("finds no room, says so, and waits for it", function()
    local is_full = true
    local function full() return is_full and "ENOSPC: no room" or nil end
    local b, made = bent_box({ allocate = full }, bent_ends(function(bytes)
      return #bytes > SECTOR and not is_batch(bytes) and full() or nil
    end))
    local closed <close> = b
    b:must_open()
    helper.wait_until(function() return #b.space == 1 end)
    assert.equal("no_space", b.space[1][2].code)
    assert.equal(0, made[1].zeroed)
    is_full = false
    helper.wait_until(function() return #b.space == 2 end)
    wait_spare(closed)
    assert.equal(0, #b.failures)
  end)

  it("that no room was left for, after all, waits too", function()
    local is_full = true
    local b <close> = bent_box(nil, bent_ends(function(bytes)
      return is_full and #bytes > SECTOR and not is_batch(bytes)
        and "ENOSPC: no room" or nil
    end))
    b:must_open()
    helper.wait_until(function() return #b.space == 1 end)
    is_full = false
    wait_spare(b)
    assert.equal(0, #b.failures)
  end)

  it("that fails is a failure, with the byte", function()
    local b <close> = bent_box(nil, bent_ends(function(bytes, offset)
      return offset > 0 and not is_batch(bytes) and "EIO: i/o error" or nil
    end))
    b.options.segment_bytes = SIZE
    b:must_open()
    local err = wait_failed(b)
    assert.equal("EIO", err.errno)
    assert.equal(1 << 19, err.offset)
    assert.equal(b:path "spare.tmp", err.file)
  end)
end)

-- What holds of the log holds past the cache.
describe("past the page cache:", function()
  setup(function()
    box.adapt = function(options)
      options.is_direct = true
      options.host = bent_aio.host(options.uv)
    end
  end)
  teardown(function() box.adapt = false end)
  for _, path in ipairs { "spec/storage_spec.lua",
    "spec/storage/failure_spec.lua", "spec/storage/removal_spec.lua" } do
    assert(loadfile(path, "t", _ENV))()
  end
end)
