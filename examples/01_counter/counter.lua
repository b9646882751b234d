local raft, id = require "raft", arg[1]
local total = 0
local node = raft.node {
  id = id, dir = "data/" .. id, members = {
    n1 = "127.0.0.1:7101", n2 = "127.0.0.1:7102", n3 = "127.0.0.1:7103" },
  apply = function(command) total = total + tonumber(command) return total end,
  snapshot = function() return tostring(total) end,
  restore = function(bytes) total = tonumber(bytes) end,
}
raft.run(function()
  assert(node:start())
  assert(node:ready { timeout = false })
  print(node:propose("5"))
end)
