--- Runs benchmarks: lua5.4 bench/run.lua [name... | words of compare]. Without
-- a name, the comparison with the peers (bench/compare.lua) is run, which takes
-- the words. `make bench` sets the module path.
package.path = "./?.lua;" .. package.path
local uv = require "luv"

local known <const> = { throughput = true, footprint = true, failover = true,
  members = true, snapshot = true, shipping = true, replace = true,
  long_log = true, redis = true, codec = true, flame = true }

local function main()
  if not known[arg[1]] then
    return require "bench.compare"(table.move(arg, 1, #arg, 1, {}))
  end
  for _, name in ipairs(arg) do
    if not known[name] then error("no such benchmark: " .. name) end
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
