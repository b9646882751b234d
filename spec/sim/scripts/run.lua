--- Runs scripts on luv and prints what they said: lua5.4 run.lua FILE. Each
-- line is preceded by its script's name.
io.stdout:setvbuf("line")
local scripts = dofile(arg[1])
local lines = require "spec.sim.scripts.lines"
local uv = require "luv"

require("raft.core").host.ignore_sigpipe()  -- scripts write to closed streams

for _, name in ipairs(lines.names(scripts)) do
  for _, line in ipairs(lines.of(uv, scripts[name])) do
    print(name .. "\t" .. line)
  end
end
