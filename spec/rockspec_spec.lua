-- What a user gets: the rock is built and installed into a tree of its own,
-- then loaded by a Lua that knows no other path. No network is needed.
local rockspec = require "tools.rockspec"

local LUA <const> = os.getenv("LUA") or "lua5.4"

-- luarocks is told that the distribution's luv is there already.
local CONFIG <const> = [[
lua_version = "5.4"
lua_interpreter = %q
rocks_provided = { luv = "1.44.2-1" }
rocks_servers = {}
]]

local root  -- of everything this file makes

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- Runs a command; its output and whether it succeeded.
local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} </dev/null 2>&1"))
  local text = pipe:read("a")
  return text, (pipe:close()) == true
end

-- A Lua whose only ways are those of the installed tree, and of luv.
local function run_installed(code)
  local share = root .. "/tree/share/lua/5.4/"
  local lib = root .. "/tree/lib/lua/5.4/?.so"
  local luv = package.searchpath("luv", package.cpath) or ""
  write(root .. "/main.lua", ("package.path = %q\npackage.cpath = %q\n")
    :format(share .. "?.lua;" .. share .. "?/init.lua",
      lib .. ";" .. luv:gsub("luv%.so$", "?.so")) .. code)
  return run("cd " .. root .. " && env -u LUA_PATH -u LUA_CPATH "
    .. "-u LUA_PATH_5_4 -u LUA_CPATH_5_4 " .. LUA .. " main.lua")
end

describe("rockspec #house", function()
  lazy_setup(function()
    root = os.tmpname()
    os.remove(root)
    -- A copy, because luarocks builds in the folder it stands in.
    assert(run("mkdir -p " .. root .. "/source && cp -R csrc lua rockspec "
      .. root .. "/source"))
    write(root .. "/config.lua", CONFIG:format(LUA))
  end)

  lazy_teardown(function()
    os.execute("rm -rf '" .. root .. "'")
  end)

  it("lists exactly the modules of the tree", function()
    assert.are.same({}, rockspec.check("."))
  end)

  it("notices a module that is not listed", function()
    local path = root .. "/source/lua/raft/novel.lua"
    write(path, "return {}\n")
    assert.matches("its modules are not those of the tree",
      rockspec.check(root .. "/source")[1])
    os.remove(path)
  end)

  it("installs a raft that loads from its tree alone", function()
    local text, ok = run("cd " .. root .. "/source && LUAROCKS_CONFIG="
      .. root .. "/config.lua luarocks --lua-version=5.4 make --tree=" .. root
      .. "/tree rockspec/raft-scm-1.rockspec")
    assert(ok, text)

    text, ok = run_installed [[
      local raft = require "raft"
      io.write(package.searchpath("raft", package.path), "\n",
        package.searchpath("raft.core", package.cpath), "\n",
        raft._VERSION, "\n")]]
    assert(ok, text)
    local lua_file, c_file, version = text:match("^(.-)\n(.-)\n(.-)\n$")
    assert.are.equal(root .. "/tree/share/lua/5.4/raft/init.lua", lua_file)
    assert.are.equal(root .. "/tree/lib/lua/5.4/raft/core.so", c_file)
    assert.matches("^%d+%.%d+%.%d+", version)
    assert.are.equal(require("raft")._VERSION, version)
  end)
end)
