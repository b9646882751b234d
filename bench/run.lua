--- Runs benchmarks by name, or all: lua5.4 bench/run.lua [throughput failover
-- footprint members snapshot]. `make bench` sets the module path.
package.path = "./?.lua;" .. package.path
local uv = require "luv"

local NAMES <const> = { "throughput", "footprint", "failover", "members",
  "snapshot" }

local function main()
  for _, name in ipairs(#arg > 0 and arg or NAMES) do
    require("bench." .. name)()
  end
end

local co = coroutine.create(main)
local function go()
  local ok, err = coroutine.resume(co)
  if not ok then error(debug.traceback(co, err)) end
end
go()
uv.run()
if coroutine.status(co) ~= "dead" then error("the benchmark hangs") end
