-- The guard of the house must bark. Each case is a small tree with one bad
-- arrow in it, drawn in a folder of its own.
local arrows = require "tools.arrows"

local root

local function write(path, text)
  local full = root .. "/" .. path
  os.execute("mkdir -p '" .. full:match("^(.*)/") .. "'")
  local file = assert(io.open(full, "wb"))
  file:write(text)
  file:close()
end

local function complaints()
  return table.concat(arrows.check(root), "\n")
end

describe("tools.arrows #house", function()
  before_each(function()
    root = os.tmpname()
    os.remove(root)
    write("csrc/raft.h", "#include <stdint.h>\n")
    write("csrc/replica.h", '#include "log.h"\n#include "raft.h"\n')
    write("csrc/log.h", '#include "raft.h"\n')
    write("csrc/log.c", '#include "log.h"\n#include <string.h>\n')
    write("csrc/election.c", '#include "replica.h"\n#include "log.h"\n')
    write("csrc/check.h", '#include "raft.h"\n')
    write("csrc/check.c", '#include "check.h"\n#include "replica.h"\n')
    write("csrc/host.h", "#include <stddef.h>\n")
    write("csrc/host.c", '#include "host.h"\n#include <fcntl.h>\n')
    write("csrc/lua_host.c", '#include "host.h"\n#include <lua.h>\n')
    write("csrc/lua_core.c", '#include "raft.h"\n#include <lauxlib.h>\n')
    write("spec/c/log_test.c", '#include "log.h"\n#include <stdio.h>\n')
    write("lua/raft/init.lua", 'return { node = require "raft.node" }\n')
    write("lua/raft/errors.lua", "return {}\n")
    write("lua/raft/node.lua",
      'local c = require("raft.clock")\nreturn c.new(options.uv)\n')
    write("lua/raft/clock.lua", 'return require "raft.errors", uv.now()\n')
    write("examples/01_counter/counter.lua", 'local r = require "raft"\n')
  end)

  after_each(function()
    os.execute("rm -rf '" .. root .. "'")
  end)

  it("is content with a tree as the page draws it", function()
    assert.are.equal("", complaints())
  end)

  local cases = {
    { "a leaf that knows a role", "csrc/log.c", '#include "replica.h"',
      "csrc/log.c:1: includes replica.h: leaves does not know replica" },
    { "Lua in the core", "csrc/election.c", "#include <lua.h>",
      "only csrc/lua_%*.c knows Lua" },
    { "Lua in a test", "spec/c/log_test.c", '#include "lauxlib.h"',
      "only csrc/lua_%*.c knows Lua" },
    { "check.h read by the core", "csrc/election.c", '#include "check.h"',
      "roles does not know check" },
    { "replica.h in the binding", "csrc/lua_core.c", '#include "replica.h"',
      "binding does not know replica" },
    { "host.h outside its binding", "csrc/lua_core.c", '#include "host.h"',
      "binding does not know host" },
    { "a clock in the core", "csrc/election.c", "#include <time.h>",
      "no system header but" },
    { "a header that is not there", "csrc/log.c", '#include "gone.h"',
      "no such header" },
    { "a C file nobody placed", "csrc/novel.c", "int x;",
      "csrc/novel.c:1: stands in no room" },
    { "uv outside the files that may", "lua/raft/node.lua",
      "local t = uv.new_timer()", "lua/raft/node.lua:1: uses uv" },
    { "luv required by the node", "lua/raft/node.lua", 'require "luv"',
      "raft.node may not require luv" },
    { "a simulation seen by the library", "lua/raft/clock.lua",
      "local s = require('raft.sim.disk')",
      "raft.clock may not require raft.sim.disk" },
    { "storage that knows the transport", "lua/raft/storage.lua",
      'require "raft.transport"', "may not require raft.transport" },
    { "a base module that knows the node", "lua/raft/errors.lua",
      'require "raft.node"', "raft.errors may not require raft.node" },
    { "a dependency nobody declared", "lua/raft/errors.lua",
      'require "lfs"', "may not require lfs" },
    { "an example that reaches inside", "examples/01_counter/counter.lua",
      'require "raft.storage"', "may not require raft.storage" },
  }
  for _, case in ipairs(cases) do
    local name, path, line, complaint = table.unpack(case)
    it("complains of " .. name, function()
      write(path, line .. "\n")
      assert.matches(complaint, complaints())
    end)
  end

  it("complains of modules that require each other", function()
    write("lua/raft/errors.lua", 'require "raft.codec"\n')
    write("lua/raft/codec.lua", 'require "raft.errors"\n')
    assert.matches("requires it in turn", complaints())
  end)

  it("places a part where the whole stands", function()
    write("csrc/log_block.c", '#include "log.h"\n')
    assert.are.equal("", complaints())
    write("csrc/log_block.c", '#include "replica.h"\n')
    assert.matches("leaves does not know replica", complaints())
  end)

  it("keeps the inner header of a noun among its files", function()
    write("csrc/log_inner.h", '#include "log.h"\n')
    write("csrc/log_runs.c", '#include "log_inner.h"\n')
    assert.are.equal("", complaints())
    write("csrc/wal.c", '#include "log_inner.h"\n')
    assert.matches("only the files of log do", complaints())
  end)

  it("takes no arrow from a comment or a string", function()
    write("csrc/log.c", '/*\n#include "replica.h"\n*/\n// #include <lua.h>\n')
    write("lua/raft/node.lua",
      '-- uv.now() and require "luv"\nlocal s = "uv.now()"\n')
    assert.are.equal("", complaints())
  end)

  it("lets an example require its own files", function()
    write("examples/02_kv/store.lua", "return {}\n")
    write("examples/02_kv/main.lua", 'require "store"\n')
    assert.are.equal("", complaints())
  end)
end)
