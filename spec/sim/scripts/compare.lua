--- Runs scripts on luv, in a process of its own, and on a virtual loop.
local Disk = require "raft.sim.disk"
local Loop = require "raft.sim.loop"
local Network = require "raft.sim.network"
local World = require "raft.sim.world"
local assert = require "luassert"
local busted = require "busted"
local lines = require "spec.sim.scripts.lines"
local support = require "spec.support.helper"
local uv = require "luv"

local M = {}

local FOLDER <const> = "spec/sim/scripts/"
local LATER <const> = 1 << 16 | 45 << 8  -- libuv 1.45 changed the timers' order

--- Whose order the luv at hand has: "1.44" or "later".
M.order = uv.version() >= LATER and "later" or "1.44"

-- What the child writes, once it has ended.
local function output_of(arguments)
  local pipe, parts, status = uv.new_pipe(), {}, false
  local child = assert(uv.spawn(os.getenv("LUA") or "lua5.4",
    { args = arguments, stdio = { nil, pipe, 2 } },
    function(code) status = code end))
  local is_ended = false
  pipe:read_start(function(_, chunk)
    if chunk then parts[#parts + 1] = chunk else is_ended = true end
  end)
  local ok, err = pcall(support.wait_until, function()
    return status and is_ended
  end, 15000, "the scripts on luv")
  if not ok then child:kill("sigkill") end
  child:close()
  pipe:close()
  assert(ok, err)
  assert.equal(0, status)
  return table.concat(parts)
end

--- What the scripts of this file say on luv: name -> lines as one string.
function M.real(file)
  local said = {}
  local output = output_of { FOLDER .. "run.lua", FOLDER .. file .. ".lua" }
  for name, line in output:gmatch("([^\t\n]+)\t([^\n]*)\n") do
    said[name] = (said[name] or "") .. line .. "\n"
  end
  return said
end

--- A virtual uv with a network and a disk, for a script.
function M.virtual_uv(order)
  local world = World.new(1)
  local loop = Loop.new(world, { name = "p", order = order })
  Network.new(world):join(loop, "10.0.0.1")
  Disk.new(world, "p"):attach(loop)
  return loop.uv
end

--- What one script says on the virtual loop.
function M.virtual(script, order)
  local said = lines.of(M.virtual_uv(order or M.order), script)
  return #said > 0 and table.concat(said, "\n") .. "\n" or nil
end

--- One test per script of this file: both say the same.
function M.each(file)
  local scripts = dofile(FOLDER .. file .. ".lua")
  local real
  for _, name in ipairs(lines.names(scripts)) do
    busted.it((name:gsub("_", " ")), function()
      real = real or M.real(file)
      assert.is_string(real[name], "it says nothing on luv")
      assert.equal(real[name], M.virtual(scripts[name]))
    end)
  end
end

return M
