local virtual = require "spec.support.virtual"

local MODE <const> = tonumber("600", 8)

-- A computer that runs, with a file open; and its descriptor.
local function opened(options, flags)
  local c = virtual.new(1, options)
  c:boot()
  c:write("/f", ("a"):rep(8192), true)
  c:sync_dir("/")
  return c, assert(c.uv.fs_open("/f", flags or "r+", MODE))
end

-- Calls uv.fs_<name>(...) in the background: its callback's arguments.
local function later(c, name, ...)
  local heard
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = function(...) heard = table.pack(...) end
  c.uv["fs_" .. name](table.unpack(arguments, 1, arguments.n + 1))
  c:run_until(function() return heard end)
  return table.unpack(heard, 1, heard.n)
end

describe("a virtual disk", function()
  it("fails at the call that was planned, once", function()
    local c, fd = opened()
    c.disk:fail(2, "EIO")
    assert.equal(1, c.uv.fs_write(fd, "x", 0))
    assert.same({ nil, "EIO: i/o error", "EIO" },
      { c.uv.fs_read(fd, 1, 0) })
    assert.equal("x", c.uv.fs_read(fd, 1, 0))
    assert.equal(1, c.disk.counts.errors)
  end)

  it("fails for good, and lets what is open be closed", function()
    local c, fd = opened()
    c.disk:fail(1, "EIO", true)
    for _ = 1, 2 do
      assert.is_nil(c.uv.fs_open("/f", "r", MODE))
      assert.equal("EIO: i/o error: /f", (later(c, "open", "/f", "r", MODE)))
    end
    assert.is_true(c.uv.fs_close(fd))
    c.disk:mend()
    assert.truthy(c.uv.fs_open("/f", "r", MODE))
  end)

  it("fails at the next call of a name, in the background too", function()
    local c, fd = opened()
    c.disk:fail_next("write")
    assert.equal("a", c.uv.fs_read(fd, 1, 0))
    assert.equal("EIO: i/o error", (later(c, "write", fd, "x", 0)))
    assert.same({ nil, 1 }, { later(c, "write", fd, "x", 0) })
  end)

  it("is full only where room is taken", function()
    local c, fd = opened()
    c.disk:fail(1, "ENOSPC", true)
    assert.equal("a", c.uv.fs_read(fd, 1, 0))
    assert.is_true(c.uv.fs_fsync(fd))
    assert.truthy(c.uv.fs_open("/f", "r", MODE))
    local _, _, name = c.uv.fs_open("/g", "w", MODE)
    assert.equal("ENOSPC", name)
    _, _, name = c.uv.fs_write(fd, "x", 0)
    assert.equal("ENOSPC", name)
  end)

  it("writes a part when it is told to", function()
    local c, fd = opened()
    c.disk:fail(1, "short")
    assert.equal(50, c.uv.fs_write(fd, ("b"):rep(100), 0))
    assert.equal(("b"):rep(50) .. "a", c.uv.fs_read(fd, 51, 0))
  end)

  it("has an end: a part fits, then none, then some when room is made",
    function()
      local c, fd = opened { capacity = 5 * 4096 }
      assert.equal(3 * 4096, c.uv.fs_write(fd, ("b"):rep(20000), 8192))
      local _, text, name = c.uv.fs_write(fd, "x", 5 * 4096)
      assert.equal("ENOSPC", name)
      assert.equal("ENOSPC: no space left on device", text)
      assert.equal(1, c.uv.fs_write(fd, "x", 0))
      assert.is_true(c.uv.fs_ftruncate(fd, 4096))
      c:write("/g", ("c"):rep(4 * 4096))
      assert.is_nil(c.uv.fs_write(fd, "x", 4096))
      local open = assert(c.uv.fs_open("/g", "r", MODE))
      assert.is_true(c.uv.fs_unlink("/g"))
      assert.is_nil(c.uv.fs_write(fd, "x", 4096))  -- it is open still
      assert.is_true(c.uv.fs_close(open))
      assert.equal(1, c.uv.fs_write(fd, "x", 4096))
      assert.equal(2 * 4096, c.disk.used * 4096)
    end)

  it("counts room the same after a crash", function()
    local c, fd = opened { capacity = 1 << 20 }
    assert(c.uv.fs_write(fd, ("b"):rep(20000), 0))
    assert(c.uv.fs_fsync(fd))
    local used = c.disk.used
    c:crash()
    assert.equal(used, c.disk.used)
  end)

  it("forgets what a failed sync left in the cache only", function()
    local told, held = 0, 0
    for seed = 1, 100 do
      local c = virtual.new(seed)
      c:boot()
      c:write("/f", ("a"):rep(512), true)
      local fd = assert(c.uv.fs_open("/f", "r+", MODE))
      assert(c.uv.fs_write(fd, ("b"):rep(512), 0))
      c.disk:fail_next("fsync")
      local _, text, name = c.uv.fs_fsync(fd)
      assert.equal("EIO", name)
      assert.equal("EIO: i/o error", text)
      local before = c.uv.fs_read(fd, 1, 0)
      assert.is_true(c.uv.fs_fsync(fd))  -- clean, so this one succeeds
      assert.is_true(c.host.forget(fd))
      local after = c.uv.fs_read(fd, 1, 0)
      if before == "b" then told = told + 1 end
      if after == "b" then held = held + 1 end
      assert.truthy(before == after or before == "b")
      c.disk:detach(c.loop)
      c:boot()
      c:crash()
    end
    assert.is_true(held > 20 and held < 80)
    assert.is_true(told > held)
  end)

  it("forgets nothing that was written since", function()
    local c, fd = opened()
    assert(c.uv.fs_write(fd, ("b"):rep(512), 512))
    assert.is_true(c.host.forget(fd))
    assert.equal("ab", c.uv.fs_read(fd, 2, 511))
  end)

  it("lies: a sync that has lost what it should have kept", function()
    local c, fd = opened()
    c.disk:set { lost_write = 1 }
    assert(c.uv.fs_write(fd, "bbb", 0))
    assert.is_true(c.uv.fs_fsync(fd))
    assert.equal("bbb", c.uv.fs_read(fd, 3, 0))
    c.host.forget(fd)
    assert.equal("aaa", c.uv.fs_read(fd, 3, 0))
    assert.is_true(c.disk.counts.lost > 0)
  end)

  it("puts a page where it does not belong", function()
    local c, fd = opened()
    c.disk:set { misdirected_write = 1 }
    assert(c.uv.fs_write(fd, ("b"):rep(4096), 0))
    assert.is_true(c.uv.fs_fsync(fd))
    c.host.forget(fd)
    assert.equal(("a"):rep(4096) .. ("b"):rep(4096), c.uv.fs_read(fd, 9000, 0))
    assert.equal(1, c.disk.counts.misdirected)
  end)

  it("rots: a read finds one bit flipped, and so does the next", function()
    local c, fd = opened()
    c.disk:set { rot = 1 }
    local bytes = c.uv.fs_read(fd, 8192, 0)
    c.disk:set { rot = 0 }
    assert.equal(bytes, c.uv.fs_read(fd, 8192, 0))
    local bits = 0
    for i = 1, #bytes do
      local x = bytes:byte(i) ~ 97
      while x > 0 do bits, x = bits + 1, x & (x - 1) end
    end
    assert.equal(1, bits)
  end)

  it("hangs: a call that waits blocks, others come later", function()
    local c, fd = opened()
    c.disk:stall(500)
    local from = c.loop:time()
    assert.equal("a", c.uv.fs_read(fd, 1, 0))
    assert.is_true(c.loop:time() - from > 400 * 1000000)
    c:run_for(1)
    c.disk:stall(500)
    from = c.world.now
    later(c, "write", fd, "x", 0)
    assert.is_true(c.world.now - from >= 500 * 1000000)
  end)

  it("works on four calls at a time", function()
    local c, fd = opened { read = { 10, 10 } }
    local done = 0
    local from = c.loop:time()
    for _ = 1, 9 do
      c.uv.fs_read(fd, 1, 0, function() done = done + 1 end)
    end
    c:run_until(function() return done == 4 end)
    assert.is_true(c.world.now - from < 15 * 1000000)
    c:run_until(function() return done == 9 end)
    local ms = (c.world.now - from) // 1000000
    assert.is_true(ms >= 30 and ms < 35)
  end)

  it("answers in an order that is drawn, where threads race", function()
    local orders = {}
    for seed = 1, 50 do
      local c = virtual.new(seed)
      c:boot()
      local order = {}
      for i = 1, 3 do
        c.uv.fs_mkdir("/" .. i, MODE, function() order[#order + 1] = i end)
      end
      c:run_until(function() return #order == 3 end)
      orders[table.concat(order)] = true
    end
    local count = 0
    for _ in pairs(orders) do count = count + 1 end
    assert.is_true(count > 3)
  end)

  it("is well again after calm", function()
    local c, fd = opened()
    c.disk:set { write_error = 1, capacity = 8192 }
    c.disk:fail(1, "EIO", true)
    c.disk:stall(1000000)
    assert.is_nil(c.uv.fs_write(fd, "x", 0))
    c.disk:calm()
    assert.equal(20000, c.uv.fs_write(fd, ("x"):rep(20000), 0))
  end)

  it("can be an image, a copy, cut, flipped and emptied", function()
    local c, fd = opened()
    local image = c.disk:image()
    assert(c.uv.fs_write(fd, "bbb", 0))
    local other = virtual.new(2)
    c.disk:copy_to(other.disk)
    assert.equal("bbba", other:read("/f"):sub(1, 4))
    c.disk:detach(c.loop)
    c.disk:restore(image)
    assert.equal("aaaa", c:read("/f"):sub(1, 4))
    c.disk:flip("/f", 1, 1)
    assert.equal("acaa", c:read("/f"):sub(1, 4))
    c.disk:truncate("/f", 2)
    assert.same({ { path = "/f", size = 2 } }, c.disk:list())
    c.disk:remove("/f")
    assert.same({}, c.disk:list())
    assert.equal(0, c.disk.used)
    c.disk:restore(image)
    assert.equal(8192, #c:read("/f"))
    c.disk:wipe()
    assert.same({}, c.disk:list())
  end)

  it("keeps large files of zeros in little memory", function()
    local c, fd = opened()
    local zeros = ("\0"):rep(1 << 19)
    collectgarbage()
    local before = collectgarbage("count")
    for i = 0, 127 do assert(c.uv.fs_write(fd, zeros, i << 19)) end
    assert(c.uv.fs_fsync(fd))
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 64)
    assert.equal(64 << 20, c.uv.fs_fstat(fd).size)
  end)

  it("tells of each operation before it comes, and of none by the dead",
    function()
      local c = virtual.new(1)
      c:boot()
      local told, noted = {}, {}
      c.disk.on_operation = function(number, name, path)
        told[#told + 1] = ("%d %s %s"):format(number, name, path)
        if #told == 5 then c:crash("process") end
      end
      c.disk.note = function(name) noted[#noted + 1] = name end
      c:write("/f", "abc", true)
      assert.same({ "1 fs_open /f", "2 fs_write /f", "3 fs_fsync /f",
        "4 fs_fsync_sync /f", "5 fs_close /f" }, told)
      assert.same({ "fs_open", "fs_write", "fs_fsync", "fs_fsync_sync",
        "crash" }, noted)
    end)

  it("refuses options that it does not know", function()
    local c = virtual.new(1)
    assert.has_error(function() c.disk:set { sink = 1 } end,
      "raft.sim.disk: there is no option sink")
  end)

  it("goes the same way from the same seed", function()
    local function trace(seed)
      local c = virtual.new(seed, { torn = true, write_error = 0.2 })
      local list = {}
      c.disk.note = function(...)
        list[#list + 1] = table.concat({ c.world.now, ... }, " ")
      end
      for round = 1, 5 do
        c:boot()
        local done = 0
        for i = 1, 10 do
          c.uv.fs_open("/" .. i, "w+", MODE, function(_, fd)
            done = done + 1
            if fd then c.uv.fs_write(fd, ("x"):rep(5000 * round), 0) end
          end)
        end
        c:run_until(function() return done == 10 end)
        c:crash(round % 2 == 0 and "process" or "power")
      end
      for _, file in ipairs(c.disk:list()) do
        list[#list + 1] = file.path .. " " .. c.disk:read(file.path)
      end
      return table.concat(list, "\n")
    end
    assert.equal(trace(7), trace(7))
    assert.not_equal(trace(7), trace(8))
  end)
end)
