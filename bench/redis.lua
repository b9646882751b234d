--- The server of examples/04_redis under redis-benchmark, beside a redis-server
-- without replicas that syncs every write: three processes on loopback.
--
--   make bench ARGS=redis
--
-- Needs redis-benchmark and redis-cli (tools/deps examples).
local tables = require "bench.tables"
local uv = require "luv"

local IDS <const> = { "n1", "n2", "n3" }
local ROUNDS <const> = 3
local KEYS <const> = 10000
local LOADS <const> = { { 1, 40000 }, { 16, 200000 } }  -- pipeline, requests
local SECONDS_MAX <const> = 60  -- of one run of a program
local DIR_MODE <const> = tonumber("700", 8)

------------------------------------------------------------------- processes --

-- Starts a program. `ready` is called once its output has this text, or with
-- false when it has ended before.
local function start(path, arguments, dir, text, ready)
  local out = assert(uv.new_pipe(false))
  local process = { text = "", handle = false, has_ended = false, out = out }
  local function tell(is_ready)
    if not ready then return end
    local fn = ready
    ready = nil
    fn(is_ready)
  end
  process.handle = assert(uv.spawn(path, { args = arguments, cwd = dir,
    stdio = { nil, out, 2 } }, function()
    process.has_ended = true
    process.handle:close()
  end))
  out:read_start(function(_, chunk)
    if not chunk then
      out:close()
      return tell(false)
    end
    process.text = process.text .. chunk
    if process.text:find(text, 1, true) then tell(true) end
  end)
  return process
end

local function kill(process)
  if not process.has_ended then process.handle:kill("sigkill") end
end

-- Runs a program to its end: what it wrote.
local function run(path, arguments)
  local co = coroutine.running()
  local timer = uv.new_timer()
  local process = start(path, arguments, nil, "\0", function()
    timer:close()
    coroutine.resume(co)
  end)
  timer:start(SECONDS_MAX * 1000, 0, function() kill(process) end)
  coroutine.yield()
  return process.text
end

-- Starts a server and waits until it says this.
local function serve(path, arguments, dir, text)
  local co = coroutine.running()
  local process = start(path, arguments, dir, text, function(is_ready)
    coroutine.resume(co, is_ready)
  end)
  assert(coroutine.yield(), path .. " did not start")
  return process
end

local function free_ports(n)
  local sockets, ports = {}, {}
  for i = 1, n do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    ports[i] = sockets[i]:getsockname().port
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return ports
end

--------------------------------------------------------------------- servers --

-- In the place of the example's cluster.lua.
local function cluster_words(ports)
  local words = {}
  for i, id in ipairs(IDS) do
    words[i] = ("%s = { raft = '127.0.0.1:%d', clients = '127.0.0.1:%d' }")
      :format(id, ports[i], ports[#IDS + i])
  end
  return ("package.preload.cluster = function() return { %s } end"):format(
    table.concat(words, ", "))
end

-- Three nodes: the processes, and the ports of leader and a follower.
local function start_nodes(dir)
  local ports, processes = free_ports(2 * #IDS), {}
  local script = assert(uv.fs_realpath("examples/04_redis/redis.lua"))
  for i, id in ipairs(IDS) do
    processes[i] = serve(os.getenv("LUA") or "lua5.4",
      { "-e", cluster_words(ports), script, id }, dir, "listens")
  end
  -- Answered once somebody leads.
  run("redis-cli", { "-p", tostring(ports[#IDS + 1]), "get", "a" })
  local leader, follower
  for i in ipairs(IDS) do
    local port = tostring(ports[#IDS + i])
    local text = run("redis-cli", { "-p", port, "info", "replication" })
    if text:find("role:master", 1, true) then
      leader = port
    else
      follower = port
    end
  end
  return processes, assert(leader, "nobody leads"), follower
end

-- Debian's redis-server is a link to this file of redis-tools, which looks at
-- the name it was called by.
local function start_redis(dir)
  local port = tostring(free_ports(1)[1])
  local path = dir .. "/redis-server"
  assert(uv.fs_symlink("/usr/bin/redis-check-rdb", path))
  return serve(path, { "--port", port, "--appendonly", "yes", "--appendfsync",
    "always", "--save", "" }, dir, "Ready to accept"), port
end

------------------------------------------------------------------ measuring --

-- One run: name of the test -> { requests per second, p50 ms }.
local function measure(port, pipeline, count)
  local text = run("redis-benchmark", { "-p", port, "-t", "set,get", "-n",
    tostring(count), "-P", tostring(pipeline), "-r", tostring(KEYS), "--csv" })
  local found = {}
  for name, rps, p50 in text:gmatch(
    '"(%u+)","([%d.]+)","[%d.]+","[%d.]+","([%d.]+)"') do
    found[name] = { tonumber(rps), tonumber(p50) }
  end
  assert(found.SET and found.GET, text)
  return found
end

local function median(results, name, i)
  local values = {}
  for n, result in ipairs(results) do values[n] = result[name][i] end
  table.sort(values)
  return values[(#values + 1) // 2]
end

-- A row for each subject and load. The subjects take turns, so that a machine
-- that is busy for a while is so for all of them.
local function measure_all(subjects)
  local rows = {}
  for _, load in ipairs(LOADS) do
    local results = {}
    for _ = 1, ROUNDS do
      for i, subject in ipairs(subjects) do
        results[i] = results[i] or {}
        table.insert(results[i], measure(subject[2], load[1], load[2]))
      end
    end
    for i, subject in ipairs(subjects) do
      local row = { subject[1], load[1] }
      for _, name in ipairs { "SET", "GET" } do
        row[#row + 1] = ("%.0f"):format(median(results[i], name, 1))
        row[#row + 1] = ("%.2f"):format(median(results[i], name, 2))
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

return function()
  local dir = assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/raft-bench-XXXXXX"))
  assert(uv.fs_chmod(dir, DIR_MODE))
  local processes, leader, follower = start_nodes(dir)
  local redis, port = start_redis(dir)
  local rows = measure_all { { "leader", leader }, { "follower", follower },
    { "redis-server", port } }
  for _, process in ipairs(processes) do kill(process) end
  kill(redis)
  os.execute(("rm -rf '%s'"):format(dir))
  tables.print(("redis-benchmark, 50 clients, %d keys; medians of %d"):format(
    KEYS, ROUNDS), { "at", "-P", "SET/s", "p50 ms", "GET/s", "p50 ms" }, rows)
end
