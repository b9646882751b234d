--- Tests of a replicated service on the real thing: a cluster in this process,
-- with sockets and files, made and thrown away by one test.
--
--   local testing = require "raft.testing"
--   testing.run(function()
--     local cluster <close> = testing.cluster { nodes = 3, node = node }
--     assert(cluster:ready())
--     cluster:kill(cluster:leader())
--     assert(cluster:ready())
--     ...
--   end)
--
-- raft.sim does the same in virtual time with every fault there is; this one is
-- for what a simulation cannot have: other sockets, files, programs beside it.
local cluster = require "raft.testing.cluster"
local runner = require "raft.testing.runner"

return { cluster = cluster.new, run = runner.run }
