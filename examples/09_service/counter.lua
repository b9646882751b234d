local raft, id = require "raft", arg[1]
local counter = raft.service {
  name = "counter",
  init = function() return { n = 0, by = {} } end,
  commands = {
    add = function(s, who, k)
      s.n, s.by[who] = s.n + k, (s.by[who] or 0) + k
      emit("added", who, s.n)
      return s.n
    end,
  },
  queries = { by = function(s) return s.by end },
}
local node = raft.node {
  id = id, dir = "data/" .. id, service = counter, members = {
    n1 = "127.0.0.1:7101", n2 = "127.0.0.1:7102", n3 = "127.0.0.1:7103" },
}
raft.run(function()
  assert(node:start())
  assert(node:ready { timeout = false })
  node.counter.on("added", function(who, n) print(who, n) end)
  print(node.counter.add(id, 5))
end)
