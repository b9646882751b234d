--- The server of examples/04_redis under redis-benchmark, beside a redis-server
-- without replicas that syncs every write: three processes of ours and one of
-- theirs, on loopback. They take turns.
--
--   make bench ARGS=redis
--
-- Needs redis-server, redis-benchmark and redis-cli (make bench-deps). Data
-- goes to build/bench/redis.json.
local cluster = require "bench.cluster"
local figures = require "bench.compare.redis_figures"
local json = require "bench.compare.json"
local machines = require "bench.compare.machine"
local tables = require "bench.tables"
local uv = require "luv"

local IDS <const> = { "n1", "n2", "n3" }
local JSON <const> = "build/bench/redis.json"
local ROUNDS <const> = 5
local KEYS <const> = 10000
local LOADS <const> = {
  { clients = 1, pipeline = 1, requests = 3000 },
  { clients = 50, pipeline = 1, requests = 40000 },
  { clients = 50, pipeline = 16, requests = 200000 },
}
local QUICK_SHARE <const> = 10  -- of the requests
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

-- All are gone afterwards, and write no more files.
local function kill_all(processes)
  for _, process in ipairs(processes) do
    kill(process)
    for _ = 1, 1000 do
      if process.has_ended then break end
      cluster.pause(5)
    end
  end
end

-- Runs a program to its end: what it wrote.
local function run(path, arguments)
  local co = coroutine.running()
  local timer = uv.new_timer()
  local process = start(path, arguments, nil, "\0", function()
    timer:close()
    assert(coroutine.resume(co))
  end)
  timer:start(SECONDS_MAX * 1000, 0, function() kill(process) end)
  coroutine.yield()
  return process.text
end

-- Starts a server and waits until it says this.
local function serve(path, arguments, dir, text)
  local co = coroutine.running()
  local timer = uv.new_timer()
  local process = start(path, arguments, dir, text, function(is_ready)
    timer:close()
    assert(coroutine.resume(co, is_ready))
  end)
  timer:start(SECONDS_MAX * 1000, 0, function() kill(process) end)
  assert(coroutine.yield(), path .. " did not start")
  return process
end

local function free_ports(n)
  local ports = cluster.free_addresses(n)
  for i, address in ipairs(ports) do
    ports[i] = math.tointeger(address:match("%d+$"))
  end
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

-- Three nodes, added to the processes: the ports of leader and a follower.
local function start_nodes(dir, processes)
  local ports = free_ports(2 * #IDS)
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
  return assert(leader, "nobody leads"), follower
end

-- Where Debian has no redis-server, as its package would start one, it has
-- redis-tools: a file of these is the server, if it is called by that name.
local function find_redis(dir)
  local link = dir .. "/redis-server"
  for path in os.getenv("PATH"):gmatch("[^:]+") do
    local server = path .. "/redis-server"
    if uv.fs_access(server, "X") then return server end
    local other = path .. "/redis-check-rdb"
    if uv.fs_access(other, "X") then
      assert(uv.fs_symlink(other, link))
      return link
    end
  end
  error("there is no redis-server: make bench-deps", 0)
end

local function start_redis(dir)
  local port = tostring(free_ports(1)[1])
  return serve(find_redis(dir), { "--port", port, "--bind", "127.0.0.1",
    "--appendonly", "yes", "--appendfsync", "always", "--save", "" }, dir,
    "Ready to accept"), port
end

------------------------------------------------------------------ measuring --

-- One run: see figures.parse.
local function measure(port, load)
  return figures.parse(run("redis-benchmark", { "-p", port, "-t", "set,get",
    "-c", tostring(load.clients), "-P", tostring(load.pipeline), "-n",
    tostring(load.requests), "-r", tostring(KEYS), "--csv" }))
end

-- The summary of each load. The subjects take turns, so that a machine that is
-- busy for a while is so for all of them.
local function measure_all(subjects, is_quick)
  local found = {}
  for i, load in ipairs(LOADS) do
    local shorter = { clients = load.clients, pipeline = load.pipeline,
      requests = load.requests // (is_quick and QUICK_SHARE or 1) }
    local results = {}
    for round = 1, is_quick and 1 or ROUNDS do
      for _, subject in ipairs(subjects) do
        io.stderr:write(("redis: %s, %d clients, pipeline %d\n"):format(
          subject[1], load.clients, load.pipeline))
        results[subject[1]] = results[subject[1]] or {}
        results[subject[1]][round] = measure(subject[2], shorter)
      end
    end
    found[i] = figures.summary(load, results)
  end
  return found
end

local function show(found, rounds)
  local rows = {}
  for _, load in ipairs(found) do
    local more = figures.rows(load)
    table.move(more, 1, #more, #rows + 1, rows)
  end
  tables.print(("redis-benchmark, %d keys; medians of %d rounds"):format(KEYS,
    rounds), figures.head, rows)
end

local function save(found, machine)
  assert(os.execute("mkdir -p " .. JSON:match("^(.*)/")))
  local file <close> = assert(io.open(JSON, "wb"))
  assert(file:write(json.encode { machine = machine, loads = found }, "\n"))
  print("data: " .. JSON)
end

local function run_all(processes, dir)
  local is_quick, machine = os.getenv "QUICK" == "1", machines.describe()
  local leader, follower = start_nodes(dir, processes)
  local redis, port = start_redis(dir)
  processes[#processes + 1] = redis
  local found = measure_all({ { "leader", leader }, { "follower", follower },
    { "redis-server", port } }, is_quick)
  show(found, is_quick and 1 or ROUNDS)
  save(found, machine)
end

return function()
  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp")
    .. "/raft-bench-XXXXXX"))
  assert(uv.fs_chmod(dir, DIR_MODE))
  local processes = {}
  local ok, err = xpcall(run_all, debug.traceback, processes, dir)
  kill_all(processes)
  assert(os.execute(("rm -rf '%s'"):format(dir)))
  if not ok then error(err, 0) end
end
