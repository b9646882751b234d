--- The house: who may know whom, as docs/ARCHITECTURE.md draws it.
-- Two tables say it all: `rooms` for C, `floors` for Lua. To add a file, put
-- its name into the group it belongs to; to add an arrow, name the group.
-- tools/arrows.lua holds the tree against them.
local M = {}

--------------------------------------------------------------------- the C --

-- Room -> the files in it, and the rooms whose headers they may include.
-- "log" is log.c, log.h and what was split from them: log_block.c and so on.
-- A room always knows itself. What stands in no room is an error: somebody
-- has to decide where a new file belongs.
M.rooms = {
  { name = "contract", files = { "raft.h" }, knows = {} },

  -- Leaves know no roles: each is a noun of its own, tested on its own.
  { name = "leaves", knows = { "contract" }, files = { "bytes.h", "error.c",
    "crc32c", "digest", "entry", "config", "identity", "frame", "wire",
    "greeting", "ship", "snapfile", "wal", "quorum", "change", "progress",
    "log", "effects" } },

  -- The private struct and the verbs the role files share.
  { name = "replica", files = { "replica.h" },
    knows = { "contract", "leaves" } },

  -- One file per concern of the paper.
  { name = "roles", files = { "raft.c", "election", "replication",
    "forward", "membership", "reconfig", "witness", "repair", "snapshot",
    "read", "lease", "status", "transfer", "results" },
    knows = { "contract", "leaves", "replica" } },

  -- Reads everything, and is read by nobody in the core.
  { name = "check", files = { "check" },
    knows = { "contract", "leaves", "replica", "roles" } },

  -- POSIX services for the driver: lock, wall clock, files past the cache.
  { name = "host", files = { "host" }, knows = {} },

  -- The binding. The only code in the project that knows Lua's C API.
  { name = "binding", files = { "lua_core.c", "lua_*", "lua_raft.h" },
    knows = { "contract", "leaves", "check" }, system = "any", lua = true },
  { name = "host binding", files = { "lua_host.c", "lua_host_fork.c",
    "lua_host_aio.c" },
    knows = { "host", "binding" }, system = "any", lua = true },

  -- Tests may look at anything but Lua.
  { name = "C tests", files = { "spec/c/*" }, system = "any",
    knows = { "contract", "leaves", "replica", "roles", "check", "host" } },
  -- But for one: only from C can the allocations of a Lua state be refused.
  { name = "C test of the binding", files = { "spec/c/lua_alloc_test.c" },
    knows = { "C tests" }, system = "any", lua = true },
  -- Some of what is fuzzed is written in Lua.
  { name = "fuzz targets", files = { "spec/fuzz/*" }, system = "any",
    knows = { "contract", "leaves", "check", "C tests" } },
  { name = "fuzz targets in Lua", files = { "spec/fuzz/lua_state.c",
    "spec/fuzz/lua_state.h", "spec/fuzz/codec.c", "spec/fuzz/binding.c" },
    knows = { "fuzz targets" }, system = "any", lua = true },
}

-- The core needs a freestanding compiler and little more.
M.core_headers = { ["assert.h"] = true, ["stdbool.h"] = true,
  ["stddef.h"] = true, ["stdint.h"] = true, ["string.h"] = true }

-- Files that may include system headers beyond these, and why.
M.system_guests = {
  ["crc32c.c"] = "processor intrinsics",
  ["raft.c"] = "stdlib.h, for the allocator of those who bring none",
  ["host.c"] = "POSIX",
  ["host_fork.c"] = "POSIX",
  ["host_aio.c"] = "the system calls of Linux",
  ["host.h"] = "POSIX",
}

M.lua_headers = { ["lua.h"] = true, ["lauxlib.h"] = true,
  ["lualib.h"] = true, ["luaconf.h"] = true }

-------------------------------------------------------------------- the Lua --

-- Module patterns of a floor -> patterns of what they may require; the first
-- floor that fits counts. `uv`: may use the event loop; all other files get
-- what they need from those that may.
M.base = "raft.*"  -- anything of ours but what `never` keeps back
M.floors = {
  { "raft", may = { M.base, "raft.node*" } },
  -- The simulation stands in for the world, so it may know all of it.
  { "raft.sim*", may = { M.base, "raft", "raft.node*", "raft.sim*",
    "raft.storage*", "raft.transport*", "raft.clock", "raft.link*", "luv" },
    uv = true },
  { "raft.testing*", may = { M.base, "raft", "raft.node*", "raft.testing*",
    "luv" }, uv = true },
  -- Only node touches storage, transport and clock, all three.
  { "raft.node*", may = { M.base, "raft.node*", "raft.storage*",
    "raft.transport*", "raft.link*", "raft.clock" } },
  -- A client has connections of its own, and the greeting of the nodes.
  { "raft.client*", may = { M.base, "raft.transport*" } },
  { "raft.storage*", may = { M.base, "raft.storage*" }, uv = true },
  { "raft.transport*", "raft.link*", uv = true,
    may = { M.base, "raft.transport*", "raft.link*" } },
  { "raft.clock", may = { M.base }, uv = true },
  -- Open a directory, offline.
  { "raft.recover", "raft.verify", may = { M.base, "raft.storage.offline",
    "luv" } },
  -- Reads a file through luv, offline.
  { "raft.replay*", may = { M.base, "raft.storage.files", "luv" } },
  -- Runs coroutines on the loop; looks luv up when none was handed to it.
  { "raft.task", "raft.scheduler", may = { M.base, "luv" }, uv = true },
  -- Batteries are services like those of users: nobody here needs them.
  { "raft.services.*", may = { M.base, "raft.services.*" } },
  { "raft.*", may = { M.base } },
  { "examples.*", may = { "raft", "raft.services.*", "raft.testing",
    "raft.sim", "luv", "examples.*" }, uv = true },
}

-- What `raft.*` does not cover: these are named by those who may know them.
M.never = { "raft.services.*", "raft.sim*", "raft.testing*", "raft.node*",
  "raft.storage*", "raft.transport*", "raft.link*", "raft.clock" }

return M
