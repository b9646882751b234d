local core = require "raft.core"
local tmpdir = require "spec.support.tmpdir"
local virtual = require "spec.support.virtual"

local MS <const> = 1000000

describe("the virtual host", function()
  it("has what the real one has", function()
    local c = virtual.new(1)
    c:boot()
    -- There are no signals; and a child is made by `fork`, as spec/storage/
    -- child_spec.lua has it of both.
    local others = { ignore_sigpipe = true, fork_writer = true }
    assert.equal("function", type(c.host.fork))
    for name in pairs(core.host) do
      if not others[name] then
        assert.equal("function", type(c.host[name]), name)
      end
    end
  end)

  describe("lock", function()
    it("answers as the real one does", function()
      local dir <close> = tmpdir.new()
      local c = virtual.new(1)
      c:boot()
      assert(c.uv.fs_mkdir("/d", 0))
      c:write("/file", "")
      dir:write("file", "")
      for _, path in ipairs { "/none/lock", "/file/lock", "" } do
        local real = { core.host.lock(dir.path .. path) }
        if path == "" then path = "/d" end
        assert.same(real, { c.host.lock(path) })
      end
    end)

    it("is held by one at a time, also in one process", function()
      local c = virtual.new(1)
      c:boot()
      local lock = assert(c.host.lock("/lock"))
      assert.same({ nil, "dir_locked", 101 }, { c.host.lock("/lock") })
      assert.equal("101\n", c:read("/lock"))
      lock:unlock()
      lock:unlock()
      do
        local second <close> = assert(c.host.lock("/lock"))
        lock:unlock()
        assert.equal("dir_locked", select(2, c.host.lock("/lock")))
        assert.truthy(second)
      end
      assert.truthy(c.host.lock("/lock"))
    end)

    it("goes with the process that held it", function()
      local c = virtual.new(1)
      c:boot()
      assert(c.host.lock("/lock"))
      local old = c.loop
      c:boot()
      assert.same({ nil, "dir_locked", 101 }, { c.host.lock("/lock") })
      old:die()
      assert.truthy(c.host.lock("/lock"))
      c:crash("process")
      c:boot()
      assert.truthy(c.host.lock("/lock"))
    end)

    it("fails where the disk does", function()
      local c = virtual.new(1)
      c:boot()
      c.disk:fail(1, "EIO")
      assert.same({ nil, "io_error", "Input/output error" },
        { c.host.lock("/lock") })
    end)
  end)

  it("tells the time of a wall clock that can be set", function()
    local c = virtual.new(1)
    c:boot { wall_ms = 5000, rate_ppm = 100000 }
    assert.equal(5000, c.host.wall())
    c:run_for(1000)
    assert.equal(6100, c.host.wall())
    c.host.jump(-3000)
    assert.equal(3100, c.host.wall())
    assert.equal("integer", math.type(c.host.wall()))
  end)

  describe("fork", function()
    local function forked(options)
      local c = virtual.new(1)
      c:boot(options)
      local heard
      local state = "before"
      c.host.fork("/snap", function(write)
        write(state)
        write(("x"):rep(1 << 20))
      end, function(...) heard = table.pack(...) end)
      state = "after"
      return c, function() return heard end
    end

    it("writes what was there when it was called, in time", function()
      local c, heard = forked { fork_rate = 1 << 20 }
      assert.is_nil(heard())
      assert.is_true(c.uv.loop_alive())
      c:run_for(500)
      local half = #c:read("/snap")
      assert.is_true(half > 400000 and half < 600000)
      c:run_until(heard)
      assert.is_true(c.world.now >= 1000 * MS)
      assert.same({ n = 2, nil, 6 + (1 << 20) }, heard())
      assert.equal("beforex", c:read("/snap"):sub(1, 7))
      assert.is_false(c.uv.loop_alive())
      c:sync_dir("/")
      c:crash()
      assert.equal(6 + (1 << 20), #c:read("/snap"))
    end)

    it("ends with its parent", function()
      local c, heard = forked { fork_rate = 1 << 20 }
      c:run_for(500)
      c:crash("process")
      local size = #c:read("/snap")
      c:run_for(2000)
      assert.is_nil(heard())
      assert.equal(size, #c:read("/snap"))
    end)

    it("tells of errors and of its death", function()
      local c, heard = forked { fork_error = 1 }
      c:run_until(heard)
      assert.equal("EIO: i/o error", heard()[1])
      c, heard = forked { fork_death = 1 }
      c:run_until(heard)
      assert.equal("the child was killed", heard()[1])
      c, heard = forked()
      c.disk:set { capacity = 1 << 19 }
      c:run_until(heard)
      assert.equal("ENOSPC: no space left on device", heard()[1])
    end)
  end)
end)
