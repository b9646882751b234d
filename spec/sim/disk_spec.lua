local helper = require "spec.support.helper"
local virtual = require "spec.support.virtual"

local SEEDS <const> = 300
local SECTOR <const> = 512
local MODE <const> = tonumber("600", 8)

-- Runs fn(computer, seed) on many disks, from one seed on; on more of them
-- where something is seldom seen.
local function on_many(options, fn, seeds)
  local first = helper.seed()
  for seed = first, first + (seeds or SEEDS) - 1 do
    local computer = virtual.new(seed, options)
    computer:boot()
    local ok, err = pcall(fn, computer, seed)
    if not ok then error(("seed %d: %s"):format(seed, tostring(err)), 0) end
  end
end

-- A file with a durable content and name; its path.
local function durable_file(c, bytes)
  c:write("/f", bytes, true)
  c:sync_dir("/")
  return "/f"
end

-- Which letters its sectors consist of; "?" where they are mixed.
local function letters(bytes)
  local out = {}
  for at = 1, #bytes, SECTOR do
    local sector = bytes:sub(at, at + SECTOR - 1)
    local letter = sector:sub(1, 1)
    out[#out + 1] = sector == letter:rep(#sector) and letter or "?"
  end
  return table.concat(out)
end

-- How often each of these came up: all must.
local function all_seen(seen, names)
  for _, name in ipairs(names) do
    assert.is_true((seen[name] or 0) > 0, name .. " was never seen")
  end
end

local function count(seen, name) seen[name] = (seen[name] or 0) + 1 end

describe("a virtual disk, when the power is cut:", function()
  it("what was synced is there", function()
    on_many({ torn = true }, function(c)
      local path = durable_file(c, ("a"):rep(10000))
      c:crash()
      assert.equal(("a"):rep(10000), c:read(path))
    end)
  end)

  it("each sector that was not synced is old or new", function()
    local seen = {}
    on_many(nil, function(c)
      local path = durable_file(c, ("a"):rep(4 * SECTOR))
      local fd = assert(c.uv.fs_open(path, "r+", MODE))
      assert(c.uv.fs_write(fd, ("b"):rep(2 * SECTOR), SECTOR))
      c:crash()
      count(seen, letters(c:read(path)))
    end)
    all_seen(seen, { "aaaa", "abaa", "aaba", "abba" })
    local kinds = 0
    for _ in pairs(seen) do kinds = kinds + 1 end
    assert.equal(4, kinds)
  end)

  it("torn, one is garbage now and then, and only one that was written",
    function()
      local torn = 0
      on_many({ torn = true, garbage = 0.2 }, function(c)
        local path = durable_file(c, ("a"):rep(4 * SECTOR))
        local fd = assert(c.uv.fs_open(path, "r+", MODE))
        assert(c.uv.fs_write(fd, ("b"):rep(2 * SECTOR), SECTOR))
        c:crash()
        local found = letters(c:read(path))
        assert.truthy(found:find("^a[ab?][ab?]a$"))
        if found:find("?", 1, true) then torn = torn + 1 end
      end)
      assert.is_true(torn > 0)
      assert.is_true(torn < SEEDS)
    end)

  it("a durable write is all there once it has returned", function()
    on_many({ torn = true, garbage = 0.2 }, function(c)
      local path = durable_file(c, ("a"):rep(4 * SECTOR))
      local fd = assert(c.uv.fs_open(path, c.uv.constants.O_RDWR
        | c.uv.constants.O_DSYNC, MODE))
      assert(c.uv.fs_write(fd, ("b"):rep(2 * SECTOR), SECTOR))
      c:crash()
      assert.equal("abba", letters(c:read(path)))
    end)
  end)

  it("one that is under way is old, new or torn", function()
    local seen = {}
    on_many({ torn = true, garbage = 0.2 }, function(c)
      local path = durable_file(c, ("a"):rep(2 * SECTOR))
      local fd = assert(c.uv.fs_open(path, c.uv.constants.O_RDWR
        | c.uv.constants.O_DSYNC, MODE))
      local is_told = false
      c.disk.on_operation = function(_, name)
        if name == "fs_write_sync" then c:crash() end
      end
      c.uv.fs_write(fd, ("b"):rep(2 * SECTOR), 0, function()
        is_told = true
      end)
      c:run_until(function() return false end)
      c:run_for(100)
      assert.is_false(is_told)
      for letter in letters(c:read(path)):gmatch(".") do count(seen, letter) end
    end)
    all_seen(seen, { "a", "b", "?" })
  end)

  it("a size that was not synced is old or new", function()
    local seen = {}
    on_many(nil, function(c)
      local path = durable_file(c, ("a"):rep(100))
      local fd = assert(c.uv.fs_open(path, "r+", MODE))
      assert(c.uv.fs_write(fd, ("b"):rep(SECTOR), SECTOR))
      c:crash()
      local bytes = c:read(path)
      count(seen, #bytes == 100 and "old"
        or letters(bytes):sub(2) == "b" and "new" or "longer, and zero")
      assert.equal(("a"):rep(100), bytes:sub(1, 100))
    end)
    all_seen(seen, { "old", "new", "longer, and zero" })
  end)

  it("a file that was cut may be long again, as it was", function()
    local seen = {}
    on_many(nil, function(c)
      local path = durable_file(c, ("a"):rep(9000))
      c:write(path, "", false)
      c:crash()
      local bytes = c:read(path)
      assert.truthy(bytes == "" or bytes == ("a"):rep(9000))
      count(seen, #bytes == 0 and "new" or "old")
    end)
    all_seen(seen, { "old", "new" })
  end)

  it("a new name is there or not, until its directory is synced", function()
    local seen = {}
    on_many(nil, function(c)
      c:write("/new", "abc", true)
      local is_synced = c.world:random("spec"):chance(0.3)
      if is_synced then c:sync_dir("/") end
      c:crash()
      local bytes = c:read("/new")
      if is_synced then assert.equal("abc", bytes) end
      if bytes then assert.equal("abc", bytes) end
      count(seen, bytes and "there" or "lost")
    end)
    all_seen(seen, { "there", "lost" })
  end)

  it("a rename is atomic", function()
    local seen = {}
    on_many(nil, function(c)
      c:write("/a", "old", true)
      c:sync_dir("/")
      c:write("/b", "new", true)
      c:sync_dir("/")
      assert(c.uv.fs_rename("/b", "/a"))
      c:crash()
      local a, b = c:read("/a"), c:read("/b")
      count(seen, a)
      if a == "new" then assert.is_nil(b) else assert.equal("new", b) end
    end)
    all_seen(seen, { "old", "new" })
  end)

  it("between two directories as well, whichever is synced", function()
    on_many(nil, function(c, seed)
      assert(c.uv.fs_mkdir("/x", MODE))
      assert(c.uv.fs_mkdir("/y", MODE))
      c:sync_dir("/")
      c:write("/x/f", "1", true)
      assert(c.uv.fs_rename("/x/f", "/y/g"))
      c:sync_dir(seed % 2 == 0 and "/x" or "/y")
      c:crash()
      assert.is_nil(c:read("/x/f"))
      assert.equal("1", c:read("/y/g"))
    end)
  end)

  it("changes of one name keep their order, others need not", function()
    local seen = {}
    on_many(nil, function(c)
      c:write("/a", "1", true)
      assert(c.uv.fs_rename("/a", "/b"))
      c:write("/z", "2", true)
      assert(c.uv.fs_rename("/b", "/c"))
      c:crash()
      local found = {}
      for _, file in ipairs(c.disk:list()) do
        found[#found + 1] = file.path:sub(2)
      end
      count(seen, table.concat(found))
    end, 10 * SEEDS)  -- "c" alone: one in a hundred
    all_seen(seen, { "", "a", "b", "c", "z", "cz", "az", "bz" })
    assert.is_nil(seen.ab)
    assert.is_nil(seen.bc)
  end)

  it("an unlinked file may be there again", function()
    local seen = {}
    on_many(nil, function(c)
      local path = durable_file(c, "abc")
      assert(c.uv.fs_unlink(path))
      c:crash()
      count(seen, c:read(path) or "gone")
    end)
    all_seen(seen, { "abc", "gone" })
  end)

  it("what was dirty before a sync that is under way counts, no more",
    function()
      local c = virtual.new(1, { sync = { 10, 10 } })
      c:boot()
      local path = durable_file(c, ("a"):rep(3 * SECTOR))
      local fd = assert(c.uv.fs_open(path, "r+", MODE))
      assert(c.uv.fs_write(fd, ("b"):rep(SECTOR), 0))
      local is_synced = false
      c.uv.fs_fsync(fd, function() is_synced = true end)
      c:run_for(5)
      assert(c.uv.fs_write(fd, ("c"):rep(SECTOR), SECTOR))
      c:run_until(function() return is_synced end)
      assert.equal("baa", letters(c.disk.tree:find(path).durable[0]
        :sub(1, 3 * SECTOR)))
    end)
end)

describe("a virtual disk, when a process is killed:", function()
  it("what it wrote is there, and only a power cut takes it", function()
    local lost = 0
    on_many(nil, function(c)
      local path = durable_file(c, ("a"):rep(SECTOR))
      c:write(path, ("b"):rep(SECTOR), false)
      c:write("/g", "x", false)
      c:crash("process")
      c:boot()
      assert.equal("b", letters(c:read(path)))
      assert.equal("x", c:read("/g"))
      c:crash()
      if not c:read("/g") then lost = lost + 1 end
    end)
    assert.is_true(lost > 0)
  end)

  it("a write that is under way has come part of the way", function()
    local seen = {}
    on_many(nil, function(c)
      local path = durable_file(c, ("a"):rep(3 * 4096))
      local fd = assert(c.uv.fs_open(path, "r+", MODE))
      c.uv.fs_write(fd, ("b"):rep(3 * 4096), 0, error)
      c:run_for(0.05)
      c:crash("process")
      local found = letters(c:read(path)):gsub("(%a)%1%1%1%1%1%1%1", "%1")
      assert.truthy(found:find("^b*a*$"))
      count(seen, found)
    end)
    all_seen(seen, { "aaa", "baa", "bba", "bbb" })
  end)

  it("nothing that it calls later has an effect", function()
    local c = virtual.new(1)
    local uv = c:boot()
    local fd = assert(uv.fs_open("/f", "w+", MODE))
    c.disk.on_operation = function() c:crash("process") end
    assert.equal(3, uv.fs_write(fd, "abc", 0))
    c.disk.on_operation = false
    assert.equal("", uv.fs_read(fd, 3, 0))
    assert.equal(0, uv.fs_fstat(fd).size)
    assert.equal("number", type(uv.fs_open("/g", "w", MODE)))
    assert.is_true(uv.fs_mkdir("/d", MODE))
    assert.is_true(uv.fs_rename("/f", "/h"))
    assert.is_true(uv.fs_fsync(fd))
    assert.is_nil(uv.fs_scandir_next(uv.fs_scandir("/")))
    assert.truthy(uv.fs_unlink("/f", error))
    assert.truthy(c.host.lock("/lock"))
    assert.is_false(c.host.forget(fd))
    c:run_for(100)
    assert.same({ { path = "/f", size = 0 } }, c.disk:list())
  end)
end)
