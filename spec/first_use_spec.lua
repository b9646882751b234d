-- The mistakes of a first day. Each is made here as a newcomer makes it; what
-- the library says must name what was wrong, and what to do.
local helper = require "spec.support.helper"
local raft = require "raft"
local sim = require "raft.sim"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local HERE <const> = "first_use_spec.lua"

-------------------------------------------------------------- what they do --

local function echo(command) return command end

-- A node as the first example makes it, but for what is changed: name -> value,
-- or NONE.
local NONE <const> = {}
local function options(changes)
  local all = { id = "n1", volatile = true, log = false, apply = echo,
    members = { n1 = "127.0.0.1:0" }, election_timeout = { 10, 20 } }
  for name, value in pairs(changes or {}) do
    if value == NONE then value = nil end
    all[name] = value
  end
  return all
end

-- What fn raises, as text.
local function raised(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "nothing was raised")
  return tostring(why)
end

local function wrong_options(changes)
  local all = options(changes)
  local text = raised(function() raft.node(all) end)
  -- The place is the newcomer's, not one in the library.
  assert.is_truthy(text:find(HERE .. ":%d+: raft%.node: "), text)
  return text
end

-- Runs fn(node) on a node that has started; what fn returns. Errors of nobody
-- go to `heard`.
local function on_node(changes, fn)
  local all, heard = options(changes), {}
  all.on = { error = function(err) heard[#heard + 1] = err end }
  local node <close> = raft.node(all)
  assert(node:start())
  assert(node:ready())
  return fn(node, heard)
end

-- The error that proposing comes to.
local function proposed(changes, command)
  return on_node(changes, function(node)
    local result, err = node:propose(command or "5")
    assert.is_nil(result)
    return tostring(err)
  end)
end

-- Runs a script in a process of its own: what it says on stderr.
local function script(text)
  local dir <close> = tmpdir.new()
  local path = dir:write("script.lua", text)
  local err, words, is_over = assert(uv.new_pipe(false)), {}, false
  local handle = assert(uv.spawn(os.getenv("LUA") or "lua5.4", {
    args = { path, dir.path }, stdio = { nil, nil, err } },
    function() is_over = true end))
  assert(err:read_start(function(_, chunk)
    if chunk then words[#words + 1] = chunk else err:close() end
  end))
  helper.wait_until(function() return is_over and err:is_closing() end, 10000,
    "the script to end")
  handle:close()
  return table.concat(words)
end

-- Three simulated nodes; the log lines of n1 go into a list.
local function three(log)
  return sim.new { seed = 1, nodes = 3, node = function(id)
    return { apply = echo, log = id == "n1" and function(level, text)
      log[#log + 1] = level .. " " .. text
    end or false }
  end }
end

local function counter(changes)
  local definition = { name = "counter",
    init = function() return { n = 0 } end,
    commands = { add = function(s, k) s.n = s.n + k return s.n end } }
  for name, value in pairs(changes or {}) do definition[name] = value end
  return raft.service(definition)
end

------------------------------------------------------------- the mistakes --

-- What was done; what comes of it, as text; and words that must stand in it:
-- what was wrong, and the way out.
local MISTAKES <const> = {}

local function mistake(what, make, ...)
  MISTAKES[#MISTAKES + 1] = { what = what, make = make, words = { ... } }
end

mistake("no id: the script was started without its argument", function()
  return wrong_options { id = NONE }
end, "id: expected this node's name", "id = arg[1]", "script.lua n1")

mistake("members without this node", function()
  return wrong_options { members = { n2 = "127.0.0.1:7102" } }
end, "members: expected this node", '"n1"', "got n2")

mistake("members as a list", function()
  return wrong_options { members = { "127.0.0.1:7101" } }
end, "members: expected names as keys", 'n1 = "host:port"')

mistake("an address without a port", function()
  return wrong_options { members = { n1 = "127.0.0.1" } }
end, 'members.n1: expected "host:port"', "no host and port")

mistake("an address that is a URL", function()
  return wrong_options { members = { n1 = "http://127.0.0.1:80" } }
end, 'members.n1: expected "host:port"', "without a scheme")

mistake("a typo in an option", function()
  return wrong_options { aply = echo }
end, "aply: unknown option", "did you mean apply?")

mistake("no directory", function()
  return wrong_options { volatile = NONE }
end, "dir: expected a directory", "volatile = true")

mistake("snapshot without restore", function()
  return wrong_options { snapshot = function() return "" end }
end, "restore: expected a function beside snapshot")

mistake("apply beside a service", function()
  return wrong_options { service = counter() }
end, "apply: the state of a node with services is theirs")

mistake("a dot in the place of a colon", function()
  local node = raft.node(options())
  return raised(node.propose, "5")
end, "node:propose: call it with a colon")

mistake("a colon in the place of a dot", function()
  return raised(raft.node, raft, options())
end, "raft.node: call it with a dot")

mistake("propose outside of a coroutine, without a callback", function()
  local node <close> = raft.node(options())
  assert(node:start())
  return helper.outside_loop(function()
    return raised(function() node:propose("5") end)
  end)
end, HERE, "node:propose: nothing can wait here", "give a callback", "raft.run")

mistake("a table as a command", function()
  return on_node({}, function(node)
    return raised(function() node:propose { add = 5 } end)
  end)
end, HERE, "the command as a string, got table", "raft.codec.encode")

mistake("a call before start", function()
  return tostring(select(2, raft.node(options()):propose("5")))
end, "closed", "node n1 has not been started")

mistake("raft.run was forgotten", function()
  return script [[
    local raft = require "raft"
    local node = raft.node { id = "n1", dir = arg[1] .. "/data",
      members = { n1 = "127.0.0.1:0" }, apply = function(c) return c end }
    assert(node:start())
  ]]
end, "node=n1", "the loop never ran", "raft.run(function()")

mistake("raft.run inside raft.run", function()
  return raised(raft.run, echo)
end, "raft.run: the loop is running already", "raft.spawn")

mistake("apply that waits", function()
  return proposed { apply = function() coroutine.yield() end }
end, "apply_error", "apply and query cannot yield")

mistake("apply that sleeps", function()
  return proposed { apply = function() raft.sleep(1) end }
end, "raft.sleep was called inside apply", "runs on every node",
  "from a callback")

mistake("apply that proposes", function()
  local node
  return on_node({ apply = function() return node:propose("6") end },
    function(started)
      node = started
      return tostring(select(2, node:propose("5")))
    end)
end, "node:propose was called inside apply", "from a callback")

mistake("an error in apply", function()
  local total = 0
  return proposed({ apply = function(c)
    total = total + tonumber(c)
    return total
  end }, "five")
end, "apply_error: apply: ", HERE .. ":", "arithmetic on a nil value")

mistake("apply that returns a function", function()
  return proposed { apply = function() return echo end }
end, "bad_value: apply returned what cannot be copied",
  "a function cannot be carried")

mistake("a command that was refused, its results printed", function()
  local said = on_node({ apply = function() return nil, "no money" end },
    function(node)
      local result, err = node:propose("5")
      return tostring(result) .. "\t" .. tostring(err)  -- as print does
    end)
  return said
end, "nil\trefused: no money")

mistake("query without a function for it", function()
  return on_node({}, function(node)
    return tostring(select(2, node:query("total")))
  end)
end, "this node has no query function", "give raft.node a query(request)")

mistake("a service that asks for the time of its machine", function()
  local now = os.time
  return raised(counter, { commands = { at = function() return now() end } })
end, "commands.at: upvalue now", "os.time")

mistake("a name that a service does not have", function()
  return on_node({ apply = NONE, service = counter() }, function(node)
    return tostring(select(2, node.counter.ad(5)))
  end)
end, "service counter has no command or query ad", "commands add")

mistake("apply that is not deterministic", function()
  local s <close> = sim.new { seed = 3, nodes = 3, node = function()
    return { apply = function() return math.random(1 << 30) end }
  end }
  return raised(s.run, s, function()
    assert(s:client():propose("5"))
    s:sleep(1000)
  end)
end, "divergence: apply gave another result than on another node",
  'command "5"', "seed 3")

mistake("two nodes, one directory", function()
  local dir <close> = tmpdir.new()
  local path = dir:join("data")
  local function start(id)
    local node = raft.node(options { id = id, volatile = NONE, dir = path,
      members = { [id] = "127.0.0.1:0" } })
    return node, select(2, node:start())
  end
  local one <close> = start "n1"
  local _ <close>, locked = start "n2"
  one:stop()
  local _ <close>, wrong = start "n2"
  return tostring(locked) .. "; " .. tostring(wrong)
end, "dir_locked", "is in use by process", "wrong_dir",
  "belongs to node n1, not to n2")

mistake("a snapshot there, and no function that takes it", function()
  local dir <close> = tmpdir.new()
  local function new(changes)
    changes.dir, changes.volatile = dir:join("data"), NONE
    return options(changes)
  end
  local full = new { snapshot = function() return "s" end, restore = echo }
  do
    local node <close> = raft.node(full)
    assert(node:start())
    assert(node:propose("5"))
    assert(node:take_snapshot())
    node:stop()
  end
  local node <close> = raft.node(new {})
  return tostring(select(2, node:start()))
end, "holds the state up to entry", "give raft.node a restore(bytes)")

mistake("the port is in use", function()
  return on_node({}, function(node)
    local other <close> = raft.node(options {
      members = { n1 = node:status().listen } })
    return tostring(select(2, other:start()))
  end)
end, "listen_failed: cannot listen on 127.0.0.1:", "does this node run already")

mistake("one of three was started: the cluster has not formed", function()
  local log = {}
  local s <close> = three(log)
  s:crash "n2"
  s:crash "n3"
  s:run(3500)
  return table.concat(log, "\n")
end, "warn still waiting", "not met yet: n2, n3", "once all of its members run")

mistake("one of three was started, of a cluster that was there", function()
  local log = {}
  local s <close> = three(log)
  s:run(5000)
  s:crash "n2"
  s:crash "n3"
  s:run(6000)
  return table.concat(log, "\n")
end, "warn still waiting: no leader is known", "cannot reach n2, n3",
  "a majority must run")

mistake("another members table on one node", function()
  local log = {}
  local one <close> = raft.node(options { listen = "127.0.0.1:0", log = false,
    members = { n1 = "127.0.0.1:7101", n2 = "127.0.0.1:7102" } })
  assert(one:start())
  local two <close> = raft.node(options { id = "n2", listen = "127.0.0.1:0",
    members = { n1 = one:status().listen, n2 = "127.0.0.1:7102",
      n3 = "127.0.0.1:7103" },
    log = function(_, _, fields) log[#log + 1] = fields.reason end })
  assert(two:start())
  local function said() return table.concat(log, "\n") end
  helper.wait_until(function() return said():find("n1", 1, true) end)
  return said()
end, "the members tables of n2 and n1 differ",
  "all nodes of a new cluster start with the same one")

mistake("a client of another cluster", function()
  return on_node({}, function(node)
    local client <close> = raft.client { cluster = "shop", log = false,
      members = { node:status().listen } }
    return tostring(select(2, client:propose("5")))
  end)
end, "cluster_mismatch", "belongs to cluster shop", "n1 to cluster default")

mistake("a client, and nobody there", function()
  local client <close> = raft.client { log = false,
    members = { "127.0.0.1:1" }, timeout = 50 }
  return tostring(select(2, client:propose("5")))
end, "it was never sent: 127.0.0.1:1: ECONNREFUSED")

mistake("an older Lua", function()
  local path = assert(package.searchpath("raft", package.path))
  local chunk = assert(loadfile(path, "t", setmetatable(
    { _VERSION = "Lua 5.1" }, { __index = _G })))
  return raised(chunk)
end, "raft needs Lua 5.4, and this is Lua 5.1", "lua5.4")

----------------------------------------------------------------- the specs --

describe("a first use", function()
  for _, one in ipairs(MISTAKES) do
    it("is told what to do: " .. one.what, function()
      local text = one.make()
      for _, words in ipairs(one.words) do
        assert.is_truthy(text:find(words, 1, true),
          ("%q is not said in: %s"):format(words, text))
      end
    end)
  end

  it("knows more than twenty", function()
    assert.is_true(#MISTAKES > 20)
  end)

  it("reads no old state once it is ready", function()
    local dir <close> = tmpdir.new()
    local function start()
      local total = 0
      local node = raft.node(options { volatile = NONE, dir = dir:join("data"),
        apply = function(c) total = total + tonumber(c) return total end,
        query = function() return total end })
      assert(node:start())
      assert(node:ready())
      return node
    end
    local first <close> = start()
    assert(first:propose("5"))
    assert(first:stop())
    local node <close> = start()
    assert.equal(5, node:query("total", { consistency = "stale" }))
  end)
end)
