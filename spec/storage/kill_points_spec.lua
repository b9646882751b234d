local Life = require "spec.storage.life"
local helper = require "spec.support.helper"
local states = require "spec.storage.states"
local virtual = require "spec.support.virtual"

-- A life that was killed right after an operation of this name, on a path that
-- ends so.
local function killed_after(name, ending)
  local life = Life.new(1)
  local is_next = false
  life.disk.on_operation = function(_, op, path)
    if is_next then
      life.is_killed = true
      life.computer:crash("process")
    end
    is_next = op == name and path:sub(-#ending) == ending
  end
  local count = 0
  while not life.is_killed do
    count = count + 1
    assert(count < 100, "it never came to that")
    life:step()
  end
  life:ended()
  return life
end

-- It starts again, stores something, and then the power fails.
local function goes_on(life)
  life:must_open()
  life:append()
  life.computer:crash_keeping_nothing()
  life:ended()
  life:must_open()
end

describe("storage that was killed and then lost power keeps all,",
  function()
    for what, cause in pairs {
      ["its directory"] = { "fs_mkdir", "/data/n1" },
      ["the directory above"] = { "fs_mkdir", "/data" },
      ["the identity file"] = { "fs_rename", "/identity" },
      ["the first segment"] = { "fs_rename", "1.log" },
      ["another segment"] = { "fs_rename", "2.log" },
    } do
      it("killed before the name of " .. what .. " was durable", function()
        goes_on(killed_after(table.unpack(cause)))
      end)
    end

    it("killed anywhere", function()
      local seed = helper.seed()
      assert.is_true(states.kills(seed, 3) > 50)
    end)
  end)

it("storage starts where it may not read the directory above", function()
  local c = virtual.new(1)
  c:boot()
  assert(c.uv.fs_mkdir("/data", tonumber("733", 8)))
  assert(c.uv.fs_mkdir(Life.DIR, tonumber("700", 8)))
  local real = c.uv.fs_open
  c.disk:detach(c.loop)
  local boot = c.boot
  function c:boot()
    local uv = boot(self)
    real = uv.fs_open
    function uv.fs_open(path, ...)
      if path ~= "/data" then return real(path, ...) end
      return nil, "EACCES: permission denied: /data", "EACCES"
    end
    return uv
  end
  assert(Life.open(c))
end)
