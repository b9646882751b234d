--- The demo: three processes count the words of a text while one of them is
-- killed and another is stopped. At the end every word must count the same as
-- without Raft.
--
--   lua5.4 examples/demo/demo.lua [FILE]
--
-- FILE is the text, by default the longest licence on this machine. DEMO_DIR
-- is the directory that is kept between runs (data/demo), DEMO_SECONDS how
-- long the lines are spread (8).
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local Cluster = require "examples.demo.cluster"
local Home = require "examples.demo.home"
local Load = require "examples.demo.load"
local View = require "examples.demo.view"
local chaos = require "examples.demo.chaos"
local fault = require "examples.demo.fault"
local raft = require "raft"
local report = require "examples.demo.report"
local text_file = require "examples.demo.text"
local uv = require "luv"

local DIR <const> = os.getenv("DEMO_DIR") or "data/demo"
local SECONDS <const> = tonumber(os.getenv("DEMO_SECONDS")) or 8
local TURN_MS <const> = 5
local GIVE_UP_MS <const> = 15000  -- without an acknowledgement

local EXIT_BAD <const>, EXIT_INTERRUPTED <const> = 1, 130

-- Starts all nodes and waits until they have a leader.
local function start(cluster, view)
  for _, member in ipairs(cluster.members) do cluster:start(member.id) end
  for _, member in ipairs(cluster.members) do
    cluster:wait(function() return member.status end, member.id .. " to start")
    cluster:call(member.id, { kind = "ready" })
  end
  local leader = cluster:wait_leader()
  view:say("%s leads, in term %d", leader.id, leader.status.term)
end

-- Looks whether a node has all that earlier runs had acknowledged.
-- @param sizes what it has: run -> { lines=, words= }
local function check_recovered(member, sizes, acknowledged)
  for run, before in pairs(acknowledged) do
    local now = sizes[run] or { lines = 0, words = 0 }
    if now.lines < before.lines or now.words < before.words then
      fault.raise("%s has %d lines of run %d, and %d had been acknowledged",
        member.id, now.lines, run, before.lines)
    end
  end
end

-- Says what is there from earlier runs, which of course must be the same on
-- each node. Returns how many runs there were.
local function recover(cluster, view, home)
  local acknowledged = home:acknowledged()
  local sizes
  for _, member in ipairs(cluster.members) do
    sizes = cluster:call(member.id, { kind = "query", query = "sizes" })
    check_recovered(member, sizes, acknowledged)
  end
  if home.is_new then return 0 end
  local lines, words = 0, 0
  for _, size in ipairs(sizes) do
    lines, words = lines + size.lines, words + size.words
  end
  view:say("recovered from %s: %d lines, %d words; earlier runs: %d", home.dir,
    lines, words, #sizes)
  view:say("all that was acknowledged then is there, on each node")
  return #sizes
end

-- Bugs get a traceback, faults speak for themselves.
local function traced(err)
  return type(err) == "string" and debug.traceback(err, 2) or err
end

-- Does the harm in a coroutine of its own: a table that says how it ended.
local function start_chaos(cluster, view)
  local harm = { is_over = false, err = nil }
  raft.spawn(function()
    local ok, err = xpcall(chaos.run, traced, cluster, view, SECONDS)
    harm.is_over, harm.err = true, not ok and err or nil
  end)
  return harm
end

-- Counts the text while the harm is done.
local function count(cluster, view, load)
  local harm = start_chaos(cluster, view)
  while not (harm.is_over and load:is_done()) do
    load:turn()
    view:progress(cluster, load)
    cluster:check()
    if harm.err then error(harm.err, 0) end
    if not load:is_done() and load:gap_ms() > GIVE_UP_MS then
      fault.raise("no line was acknowledged for %d s; the nodes' logs are in "
        .. "%s", GIVE_UP_MS // 1000, cluster.dir)
    end
    raft.sleep(TURN_MS)
  end
  if harm.err then error(harm.err, 0) end
end

-- Asks every node what it has counted and lays it beside the text's counts.
local function compare(cluster, view, text, load)
  local nodes = {}
  for i, member in ipairs(cluster.members) do
    nodes[i] = { id = member.id, counted = cluster:call(member.id,
      { kind = "query", query = load.run }) }
  end
  local table_text, is_good = report.make(text, nodes)
  view:finish(("\n%s\n  %d lines acknowledged in %.1f s, %d sent again; never "
    .. "longer than %d ms\n  without an acknowledgement. Nodes skip what they "
    .. "have counted already.\n  %s\n"):format(
    table_text, load.acknowledged, (load.ended_ms - load.began_ms) / 1000,
    load.sent_again, load.longest_gap_ms // 1, is_good
    and "Every word counts the same on all nodes and without raft."
    or "THE COUNTS DIFFER."))
  return is_good
end

local function on_signal(name, fn)
  local signal = uv.new_signal()
  signal:start(name, fn)
  signal:unref()
end

-- raft.run sees to SIGINT and SIGTERM. A closed terminal means the same, and a
-- pipe to a node that was just killed is to fail, not to end the demo.
local function heed_signals()
  on_signal("sighup", function() uv.kill(uv.os_getpid(), "sigterm") end)
  on_signal("sigpipe", function() end)
end

-- The whole story: true if every word counts the same.
local function run(text, home, view)
  local cluster <close> = Cluster.new(home, here .. "node.lua")
  view:say("%s: three processes, in %s", home.is_new and "a new cluster"
    or "the cluster of an earlier run", home.dir)
  start(cluster, view)
  local number = recover(cluster, view, home) + 1
  view:say("run %d counts the words of %s: %d lines", number, text.name,
    #text.lines)
  local load = Load.new(cluster, number, text.lines, SECONDS)
  local _ <close> = home:noting(number, load)
  count(cluster, view, load)
  local is_good = compare(cluster, view, text, load)
  cluster:stop()
  return is_good
end

local function main(path)
  if not path or path == "" then
    path = text_file.longest_license(here .. "../../README.md")
  end
  local text = text_file.read(path)
  local home = Home.open(DIR)
  local view = View.new()
  heed_signals()
  return raft.run(function() return run(text, home, view) end)
end

local ok, what = xpcall(main, traced, arg[1])
if ok then os.exit(what and 0 or EXIT_BAD) end
what = tostring(what)
local signal = what:match("interrupted by (%u+)")
io.stderr:write("demo: ", signal and "ended by " .. signal or what, "\n")
os.exit(signal and EXIT_INTERRUPTED or EXIT_BAD)
