rockspec_format = "3.0"
package = "raft"
version = "scm-1"
source = {
  -- `luarocks make` builds the tree it stands in. A release says here where
  -- its tag is to be had.
  url = ".",
}
description = {
  summary = "Turns a Lua script into a replicated service",
  detailed = [[
Raft consensus as a library: a deterministic core in C, a driver on luv, no
daemon. One Lua process is one node; commands it has acknowledged survive the
loss of any minority of the nodes.]],
  license = "MIT",
}
supported_platforms = { "linux", "macosx" }
dependencies = {
  "lua >= 5.4",
  "luv >= 1.43",
}
build = {
  type = "builtin",
  modules = {
    -- tools/rockspec.lua --write: from here
    ["raft.core"] = {
      sources = {
        "csrc/config.c",
        "csrc/crc32c.c",
        "csrc/digest.c",
        "csrc/effects.c",
        "csrc/election.c",
        "csrc/entry.c",
        "csrc/error.c",
        "csrc/forward.c",
        "csrc/frame.c",
        "csrc/greeting.c",
        "csrc/host.c",
        "csrc/identity.c",
        "csrc/log.c",
        "csrc/log_block.c",
        "csrc/log_load.c",
        "csrc/log_memory.c",
        "csrc/log_runs.c",
        "csrc/log_store.c",
        "csrc/lua_config.c",
        "csrc/lua_core.c",
        "csrc/lua_effects.c",
        "csrc/lua_host.c",
        "csrc/lua_reader.c",
        "csrc/lua_wal.c",
        "csrc/lua_wire.c",
        "csrc/membership.c",
        "csrc/progress.c",
        "csrc/quorum.c",
        "csrc/raft.c",
        "csrc/read.c",
        "csrc/replication.c",
        "csrc/status.c",
        "csrc/wal.c",
        "csrc/wal_map.c",
        "csrc/wal_scan.c",
        "csrc/wal_state.c",
        "csrc/wal_writer.c",
        "csrc/wire.c",
      },
    },
    ["raft.address"] = "lua/raft/address.lua",
    ["raft.codec"] = "lua/raft/codec.lua",
    ["raft.emitter"] = "lua/raft/emitter.lua",
    ["raft.errors"] = "lua/raft/errors.lua",
    ["raft.guard"] = "lua/raft/guard.lua",
    ["raft.logger"] = "lua/raft/logger.lua",
    ["raft.members"] = "lua/raft/members.lua",
    ["raft.options"] = "lua/raft/options.lua",
    ["raft.plain"] = "lua/raft/plain.lua",
    ["raft.registry"] = "lua/raft/registry.lua",
    ["raft.run"] = "lua/raft/run.lua",
    ["raft.scheduler"] = "lua/raft/scheduler.lua",
    ["raft.schema"] = "lua/raft/schema.lua",
    ["raft.task"] = "lua/raft/task.lua",
    ["raft.transport"] = "lua/raft/transport.lua",
    ["raft.transport.backoff"] = "lua/raft/transport/backoff.lua",
    ["raft.transport.connections"] = "lua/raft/transport/connections.lua",
    ["raft.transport.dialer"] = "lua/raft/transport/dialer.lua",
    ["raft.transport.handshake"] = "lua/raft/transport/handshake.lua",
    ["raft.transport.limits"] = "lua/raft/transport/limits.lua",
    ["raft.transport.link"] = "lua/raft/transport/link.lua",
    ["raft.transport.listener"] = "lua/raft/transport/listener.lua",
    ["raft.transport.report"] = "lua/raft/transport/report.lua",
    ["raft.transport.sockets"] = "lua/raft/transport/sockets.lua",
    ["raft.transport.throttle"] = "lua/raft/transport/throttle.lua",
    ["raft.transport.watch"] = "lua/raft/transport/watch.lua",
    ["raft.waiting"] = "lua/raft/waiting.lua",
    -- tools/rockspec.lua --write: to here
  },
}
test = {
  type = "command",
  command = "make test",
}
