-- tools/deps on machines that do not exist: a folder of stand-ins is all its
-- PATH has, and an apt-get in it that only takes notes, and "installs".
local root

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  os.execute("chmod +x '" .. path .. "'")
end

-- The real tools that the script itself needs.
local ORDINARY <const> = { "sh", "env", "mktemp", "rm", "sed", "cat", "touch",
  "chmod" }

local function give(name, body)
  write(root .. "/bin/" .. name, "#!/bin/sh\n" .. (body or "exit 0") .. "\n")
end

-- Everything that a full machine has, but for the named ones.
local function machine(missing)
  local lacks = {}
  for _, name in ipairs(missing) do lacks[name] = true end
  for _, name in ipairs { "lua5.4", "luarocks", "cc", "gcc", "make",
    "luacheck", "clang", "clang-format", "curl" } do
    if not lacks[name] then give(name) end
  end
  give("id", "echo 0")
end

-- An apt-get that notes what it was asked, and puts a command in place.
local function apt_get(body)
  give("apt-get", ([[
for last; do :; done
echo "$*" >>%s/asked
%s]]):format(root, body or ([[
case $* in *install*)
  printf '#!/bin/sh\nexit 0\n' >%s/bin/$last
  chmod +x %s/bin/$last ;;
esac]]):format(root, root)))
end

local function deps(set)
  local pipe = assert(io.popen(("cd %s && PATH=%s/bin LUA=lua5.4 CC=cc "
    .. "LUA_INCDIR=%s/include %s/bin/sh %s/deps %s </dev/null 2>&1"):format(
    root, root, root, root, root, set)))
  local text = pipe:read("a")
  local ok, _, code = pipe:close()
  return text, ok and 0 or code
end

local function asked()
  local file = io.open(root .. "/asked")
  return file and file:read("a") or ""
end

describe("tools/deps #house", function()
  before_each(function()
    root = os.tmpname()
    os.remove(root)
    os.execute(("mkdir -p %s/bin %s/include && touch %s/include/lua.h "
      .. "&& cp tools/deps %s/deps"):format(root, root, root, root))
    for _, name in ipairs(ORDINARY) do
      os.execute(("ln -s \"$(command -v %s)\" %s/bin/%s"):format(name, root,
        name))
    end
  end)

  after_each(function()
    os.execute("rm -rf '" .. root .. "'")
  end)

  it("does and says nothing where all is there", function()
    machine {}
    apt_get()
    for _, set in ipairs { "run", "test", "lint", "all", "" } do
      local text, code = deps(set)
      assert.are.equal("", text)
      assert.are.equal(0, code)
    end
    assert.are.equal("", asked())
  end)

  it("installs only what is missing, one line each", function()
    machine { "luarocks" }
    apt_get()
    local text, code = deps("test")
    assert.are.equal("deps: installing luarocks "
      .. "(luarocks, for the test that installs)\n", text)
    assert.are.equal(0, code)
    assert.matches("^[^\n]*install[^\n]* luarocks\n$", asked())
  end)

  it("asks for less where less is wanted", function()
    machine { "luarocks", "clang", "luacheck" }
    apt_get()
    assert.are.equal("", (deps("run")))
    assert.are.equal("", asked())
  end)

  -- Installs after an update only, and never what `refused` matches.
  local function stale_apt_get(refused)
    apt_get(([[
case $* in
*update*) touch %s/updated ;;
%s) exit 100 ;;
*) [ -e %s/updated ] || exit 100
   printf '#!/bin/sh\n' >%s/bin/$last; chmod +x %s/bin/$last ;;
esac]]):format(root, refused, root, root, root))
  end

  it("refreshes the package lists when an install fails", function()
    machine { "clang", "clang-format" }
    stale_apt_get("nothing")
    local text, code = deps("lint")
    assert.are.equal(0, code)
    assert.matches("refreshing the package lists", text)
    assert.are.equal(1, select(2, asked():gsub("update", "")))
  end)

  it("refreshes them only once", function()
    machine { "clang", "clang-format" }
    stale_apt_get("*clang-format*")
    local text, code = deps("lint")
    assert.are.equal(1, code)
    assert.matches("could not install clang%-format", text)
    assert.are.equal(1, select(2, asked():gsub("update", "")))
  end)

  it("says what is missing where there is no apt-get", function()
    machine { "make" }
    local text, code = deps("run")
    assert.are.equal(1, code)
    assert.matches("no apt%-get here, so nothing was installed", text)
    assert.matches("missing: make", text)
  end)

  it("says so when it has not the right to install", function()
    machine { "make" }
    apt_get()
    give("id", "echo 1000")
    local text, code = deps("run")
    assert.are.equal(1, code)
    assert.matches("not root and no sudo", text)
    assert.are.equal("", asked())
  end)

  it("does not wait for a password that nobody will type", function()
    machine { "make" }
    apt_get()
    give("id", "echo 1000")
    give("sudo", "exit 1")
    local text, code = deps("run")
    assert.are.equal(1, code)
    assert.matches("wants a password", text)
  end)

  it("shows what apt-get said when it failed", function()
    machine { "make" }
    apt_get("echo E: no such thing; exit 100")
    local text, code = deps("run")
    assert.are.equal(1, code)
    assert.matches("E: no such thing", text)
    assert.matches("could not install make", text)
  end)

  it("is not content with an install that brought nothing", function()
    machine { "make" }
    apt_get("exit 0")
    local text, code = deps("run")
    assert.are.equal(1, code)
    assert.matches("cannot find it", text)
  end)

  it("takes it in good part when what proofs wish for is not to be had",
    function()
      machine {}
      local text, code = deps("proof")
      assert.are.equal(0, code)
      assert.matches("missing: strace", text)
      apt_get("exit 100")
      text, code = deps("proof")
      assert.are.equal(0, code)
      assert.matches("could not install strace", text)
    end)

  it("installs no redis-server, which would run", function()
    machine {}
    apt_get([[
case $* in *install*)
  for name in redis-cli redis-benchmark; do
    printf '#!/bin/sh\n' >]] .. root .. [[/bin/$name
    chmod +x ]] .. root .. [[/bin/$name
  done ;;
esac]])
    local text, code = deps("examples")
    assert.are.equal(0, code)
    assert.matches("installing redis%-tools", text)
    assert.is_nil(asked():find("redis-server", 1, true))
    assert.are.equal("", (deps("examples")))
  end)

  it("unpacks etcd, which would run, and goes on where one peer is not there",
    function()
      machine {}
      apt_get([[
case $* in
*download*etcd-server*) : >etcd.deb ;;
*redis-tools*) echo E: no such thing; exit 100 ;;
esac]])
      give("dpkg-deb", "mkdir -p usr/bin && : >usr/bin/etcd && "
        .. "chmod +x usr/bin/etcd")
      os.execute(("ln -s \"$(command -v mkdir)\" %s/bin/mkdir"):format(root))
      local text, code = deps("bench")
      assert.are.equal(0, code)
      assert.is_nil(asked():find("install[^\n]*etcd"))
      assert.matches("could not install redis%-tools: its columns", text)
      assert.matches("installing etcd%-server", text)
      assert.is_nil((deps("bench")):find("etcd", 1, true))
    end)

  it("refuses a word it does not know", function()
    machine {}
    local text, code = deps("everything")
    assert.are.equal(2, code)
    assert.matches("run, test, lint, fuzz, all, proof, examples or bench", text)
  end)
end)
