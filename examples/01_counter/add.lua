-- A client of the counter: lua5.4 add.lua 7
local raft = require "raft"
raft.run(function()
  local client <close> = raft.client { members = {
    "127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103" } }
  print(client:propose(arg[1] or "1"))
end)
