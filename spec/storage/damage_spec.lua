local box = require "spec.storage.box"
local core = require "raft.core"
local uv = require "luv"

local SECTOR <const> = core.WAL_SECTOR

-- A new name for a checksum made right again: what a newer version writes.
local function set_version(b, path, version)
  local sector = b:peek(path, 0, SECTOR)
  local rest = string.pack("<I4", version) .. sector:sub(17)
  b:poke(path, 0, sector:sub(1, 8) .. string.pack("<I4", box.crc32c(rest))
    .. rest)
end

-- A log of eight segments, closed: 24 entries.
local function filled()
  local b = box.new()
  b:must_open()
  for i = 1, 24 do b:put(i, i, 1, 9000) end
  assert(b.storage:status().segment == 8)
  b:close()
  return b
end

local function refused(b, code)
  local storage, err = b:open()
  assert.is_nil(storage)
  assert.equal(code, err.code)
  return err
end

describe("storage, damaged:", function()
  it("a torn end is cut, zeroed and reported", function()
    local b <close> = box.new()
    b:must_open()
    b:put(1, 2, 1)
    local from = b.storage:status().segment_offset
    b:put(3, 3, 1, 9000)
    b:abort()
    b:poke(b:segment(1), from + SECTOR, string.rep("\0", SECTOR))
    local storage = b:must_open()
    assert.equal(2, b:found().last)
    assert.same({ truncated_bytes = 3 * SECTOR, offset = from,
      file = b:segment(1), damaged = false, repairing = false },
      storage.report)
    assert.equal(string.rep("\0", 3 * SECTOR),
      b:peek(b:segment(1), from, 3 * SECTOR))
    b:put(3, 3, 2)
    b:reopen()
    assert.equal(0, b.storage.report.truncated_bytes)
    assert.equal(box.entries(1, 2, 1) .. box.entries(3, 3, 2), b:found().tail)
  end)

  -- Is it as long as that, and does it say where it was damaged?
  local function lacks(b, place, last, lost)
    local damage = { file = place.file, offset = place.offset }
    assert.same(damage, b.storage.report.damaged)
    damage.first, damage.last = last + 1, lost
    assert.same(damage, b.storage.report.repairing)
    assert.equal(last, b:found().last)
    assert.equal(lost, b:found().lost_last)
    local err, bytes = b:read(1, last)
    assert.is_nil(err)
    assert.equal(box.entries(1, last, 1), bytes)
  end

  it("behind a flipped bit it lacks entries, and says where and which",
    function()
      local b <close> = box.new()
      b:must_open()
      for i = 1, 4 do b:put(i, i, 1) end
      b:close()
      b:flip(b:segment(1), 3 * SECTOR + 100)
      local place = { file = b:segment(1), offset = 3 * SECTOR }
      b:must_open()
      lacks(b, place, 2, 4)
      b:reopen()  -- that a start has seen it changes nothing
      lacks(b, place, 2, 4)
      b:flip(b:segment(1), 3 * SECTOR + 100)
      assert.is_false(b:reopen().report.repairing)
      assert.equal(4, b:found().last)
    end)

  it("what is fetched is kept from start to start, until all is there",
    function()
      local b <close> = box.new()
      b:must_open()
      for i = 1, 5 do b:put(i, i, 1) end
      b:close()
      b:flip(b:segment(1), 3 * SECTOR + 20)
      local place = { file = b:segment(1), offset = 3 * SECTOR }
      b:must_open()
      lacks(b, place, 2, 5)
      for last = 3, 4 do
        b:put(last, last, 1)
        b:reopen()
        lacks(b, place, last, 5)
      end
      b:put(5, 5, 1)
      assert.is_false(b:reopen().report.repairing)
      assert.same(place, b.storage.report.damaged)
      assert.equal(5, b:found().last)
      local err, bytes = b:read(1, 5)
      assert.is_nil(err)
      assert.equal(box.entries(1, 5, 1), bytes)
    end)

  it("a flipped bit in an older segment costs what is behind it", function()
    local b <close> = filled()
    b:flip(b:segment(2), 2 * SECTOR + 100)
    local storage = b:must_open()
    assert.equal(b:segment(2), storage.report.repairing.file)
    assert.equal(24, storage.report.repairing.last)
  end)

  it("damage to the last batch but a torn one is refused", function()
    local b <close> = box.new()
    b:must_open()
    b:put(1, 1, 1)
    b:put(2, 2, 1)  -- might be a vote: who knows?
    local offset = b.storage.status(b.storage).segment_offset
    b:put(3, 3, 1, 9000)
    b:abort()
    b:flip(b:segment(1), 2 * SECTOR + 20)
    b:poke(b:segment(1), offset + SECTOR, string.rep("\0", SECTOR))
    local err = refused(b, "corrupt")
    assert.equal(b:segment(1), err.file)
    assert.equal(2 * SECTOR, err.offset)
    assert.truthy(err.message:find(b:segment(1), 1, true))
  end)

  for name, number in pairs { first = 1, middle = 3, last = 8 } do
    it("a missing " .. name .. " segment is named", function()
      local b <close> = filled()
      assert(uv.fs_unlink(b:segment(number)))
      local err = refused(b, "corrupt")
      assert.equal(b:segment(number), err.file)
      assert.truthy(err.message:find("missing", 1, true))
    end)
  end

  it("a log of which all segments are missing is refused", function()
    local b <close> = filled()
    for i = 1, 8 do assert(uv.fs_unlink(b:segment(i))) end
    assert.equal(b:segment(1), refused(b, "corrupt").file)
  end)

  it("a shortened segment is refused", function()
    local b <close> = filled()
    local fd = assert(uv.fs_open(b:segment(8), "r+", 0))
    assert(uv.fs_ftruncate(fd, 3 * SECTOR))
    assert(uv.fs_close(fd))
    refused(b, "corrupt")
  end)

  it("a newer segment is refused by its version", function()
    local b <close> = filled()
    set_version(b, b:segment(1), 7)
    local err = refused(b, "format_version")
    assert.equal(7, err.found)
    assert.equal(1, err.supported)
  end)

  it("a newer identity is refused by its version", function()
    local b <close> = filled()
    set_version(b, b:path("identity"), 3)
    local err = refused(b, "format_version")
    assert.equal(3, err.found)
    assert.equal(1, err.supported)
  end)

  it("one bad copy of the identity is made good by the other", function()
    for copy = 0, 1 do
      local b <close> = filled()
      b:flip(b:path("identity"), copy * SECTOR + 30)
      local storage = b:must_open()
      assert.equal(2, storage.starts)
      b:flip(b:path("identity"), (1 - copy) * SECTOR + 30)
      assert.equal(3, b:reopen().starts)
    end
  end)

  it("two bad copies of the identity are refused", function()
    local b <close> = filled()
    b:flip(b:path("identity"), 30)
    b:flip(b:path("identity"), SECTOR + 30)
    assert.equal(b:path("identity"), refused(b, "corrupt").file)
  end)

  it("a log without an identity is refused", function()
    local b <close> = filled()
    assert(uv.fs_unlink(b:path("identity")))
    assert.equal(b:path("identity"), refused(b, "corrupt").file)
  end)

  it("an identity older than the log is refused", function()
    local b <close> = filled()
    local old = b:peek(b:path("identity"), 0, 2 * SECTOR)
    b:must_open()
    b:put(25, 25, 1)
    b:close()
    b:poke(b:path("identity"), 0, old)
    local err = refused(b, "corrupt")
    assert.truthy(err.message:find("older than the log", 1, true))
  end)

  it("another node's directory is refused", function()
    local b <close> = filled()
    b.options.id = "n2"
    local err = refused(b, "wrong_dir")
    assert.equal("n2", err.expected)
    assert.equal("n1", err.found)
  end)

  it("another cluster's directory is refused", function()
    local b <close> = filled()
    b.options.cluster = "d"
    local err = refused(b, "wrong_dir")
    assert.equal("d", err.expected)
    assert.equal("c", err.found)
  end)

  it("a file in place of the directory is refused", function()
    local b <close> = box.new()
    b.tmp:write("data", "I am a file")
    local err = refused(b, "io_error")
    assert.equal("lock", err.op)
  end)

  it("a spare of the wrong size is not used", function()
    local b <close> = filled()
    local file <close> = assert(io.open(b:path("spare"), "wb"))
    file:write("rubbish")
    file:close()
    b:must_open()
    for i = 25, 40 do b:put(i, i, 1, 9000) end
    b:reopen()
    assert.equal(40, b:found().last)
  end)
end)
