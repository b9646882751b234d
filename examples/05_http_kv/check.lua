#!/usr/bin/env lua5.4
--- Runs the store as its README says: three nodes, and curl. Then under load,
-- with the leader killed meanwhile, and without a majority.
--
--   lua5.4 examples/05_http_kv/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }
local FILES <const> = { "cluster.lua", "conditions.lua", "http.lua",
  "http_parser.lua", "json.lua", "kv.lua", "README.md", "routes.lua",
  "store.lua" }
local WRITES <const> = 600       -- of one curl
local WRITES_BEFORE <const> = 40 -- the leader is killed
local LOAD_MS <const> = 60000

local nodes = {}  -- id -> its process
local curl_path   -- where curl is

local function start(t, id)
  nodes[id] = t:start("kv.lua", id)
  t:check(nodes[id]:line(), "%s says where it listens", id)
end

-- Where a node listens for clients, in this trial.
local function url(t, id, path)
  local address = t:read("cluster.lua"):match(id .. ' = .-http = "([^"]+)"')
  return "http://" .. address .. path
end

-- What curl prints for these arguments, without carriage returns.
local function curl(t, ...)
  local process = t:start_program(curl_path, "-s", "--max-time", "20", ...)
  process:wait()
  return (process.text:gsub("\r", ""))
end

-- The status, and all of the response.
local function ask(t, method, id, path, ...)
  local text = curl(t, "-i", "-X", method, url(t, id, path), ...)
  return tonumber(text:match("^HTTP/1.1 (%d+)")), text
end

---------------------------------------------------------------- the README --

-- The commands of the README and what it shows of their answers.
local function session_of(text)
  local commands = {}
  local block = text:match("```\n(%$ curl.-)```") .. "\n$ "
  for words, shown in block:gmatch("%$ (curl[^\n]*)\n(.-)%f[$\0]") do
    commands[#commands + 1] = { words = words, shown = shown }
  end
  return commands
end

-- Versions are places in the log: what else stands there (who leads, sessions)
-- differs from run to run. `known`: version in the README -> version here.
local VERSIONS <const> = { '(%f["]")(%d+)(")', '("version":)(%d+)(%f[%D])' }

-- The text with the versions of this run; what is not known stays.
local function as_here(text, known)
  for _, pattern in ipairs(VERSIONS) do
    text = text:gsub(pattern, function(before, version, after)
      return before .. (known[version] or version) .. after
    end)
  end
  return text
end

-- Learns the version that a line shows, if it is a new one.
local function learn(line, text, known)
  for _, pattern in ipairs(VERSIONS) do
    local from, to, _, version = line:find(pattern)
    local before = from and line:sub(1, from - 1):gsub("%p", "%%%0")
    if from and not known[version] then
      local shape = before .. line:sub(from, to):gsub("%p", "%%%0")
        :gsub(version, "(%%d+)")
      known[version] = text:match(shape)
    end
  end
end

-- Later versions are larger ones, there as here.
local function check_order(t, known)
  local versions = {}
  for version in pairs(known) do versions[#versions + 1] = tonumber(version) end
  table.sort(versions)
  t:check(#versions >= 3, "%d versions in the README", #versions)
  for i = 2, #versions do
    local one, next_one = tostring(versions[i - 1]), tostring(versions[i])
    t:check(tonumber(known[one]) < tonumber(known[next_one]),
      "version %s is %s here, version %s is %s", one, known[one], next_one,
      known[next_one])
  end
end

local function check_readme(t)
  local session, known = session_of(t:read("README.md")), {}
  t:equal(6, #session, "commands in the README")
  for _, command in ipairs(session) do
    local words = as_here(command.words, known)
    local process = t:start_program("sh", "-c", words)
    process:wait()
    local text = process.text:gsub("\r", "") .. "\n"
    for line in command.shown:gmatch("[^\n]+") do
      learn(line, text, known)
      t:check(text:find(as_here(line, known) .. "\n", 1, true),
        "%s: no line %s in\n%s", words, as_here(line, known), text)
    end
  end
  check_order(t, known)
end

---------------------------------------------------------------- what else --

local function check_answers(t)
  local function expect(status, ...)
    local found, text = ask(t, ...)
    t:equal(status, found, table.concat({ ... }, " "))
    return text
  end
  expect(404, "GET", "n1", "/kv/nothing")
  expect(404, "DELETE", "n1", "/kv/nothing")
  expect(404, "GET", "n1", "/")
  expect(405, "POST", "n1", "/kv/a")
  expect(400, "PUT", "n1", "/kv/%ff")
  expect(400, "GET", "n1", "/kv?prefix=%2")
  expect(400, "GET", "n1", "/kv/a?consistency=none")
  expect(400, "PUT", "n1", "/kv/a", "-H", "If-Match: 3")
  expect(412, "PUT", "n1", "/kv/a", "-H", 'If-Match: "3"')
  expect(201, "PUT", "n1", "/kv/a%20b/c", "-d", "")
  local text = expect(200, "GET", "n2", "/kv/a%20b/c")
  local tag = text:match('ETag: ("%d+")')
  expect(304, "GET", "n3", "/kv/a%20b/c", "-H", "If-None-Match: " .. tag)
  expect(412, "PUT", "n3", "/kv/a%20b/c", "-H", "If-None-Match: *")
  expect(204, "PUT", "n3", "/kv/a%20b/c", "-H", "If-Match: *", "-d", "new")
  text = curl(t, "-I", url(t, "n1", "/kv/a%20b/c"))
  t:check(text:find("Content-Length: 3\n", 1, true), "HEAD: %s", text)
  expect(412, "DELETE", "n1", "/kv/a%20b/c", "-H", "If-Match: " .. tag)
  expect(204, "DELETE", "n1", "/kv/a%20b/c")
  text = expect(200, "GET", "n1", "/health")
  t:check(text:find('{"leader":"n%d"}'), "health: %s", text)
  text = expect(200, "GET", "n1", "/status")
  t:check(text:find('"id":"n1"', 1, true), "status: %s", text)
end

-- A body in chunks, and bodies that are too large for HTTP and for the log.
local function check_bodies(t)
  t:write("half", ("x"):rep(600000))
  t:write("full", ("x"):rep(1 << 20))
  t:write("more", ("x"):rep((1 << 20) + 1))
  local target = url(t, "n1", "/kv/big")
  local chunked = curl(t, "-i", "-T", "half", "-H",
    "Transfer-Encoding: chunked", target)
  t:check(chunked:find("HTTP/1.1 201", 1, true), "chunks: %s", chunked)
  t:equal(600000, #curl(t, target), "bytes that came in chunks")
  for _, name in ipairs { "full", "more" } do
    local text = curl(t, "-i", "-T", name, target)
    t:check(text:find("HTTP/1.1 413", 1, true), "%s: %s", name, text)
  end
  t:equal(600000, #curl(t, target), "bytes that were there before")
end

------------------------------------------------------------------- the load --

-- One curl that writes keys to a node, one after the other. Before it asks
-- again, curl truncates the file it writes to: that may not be /dev/null.
local function load_of(t, id)
  return t:start_program(curl_path, "-s", "--max-time", "30", "--retry", "8",
    "-o", "answers-" .. id, "-w", "%{http_code} %{url_effective}\n", "-X",
    "PUT", "-d", "x", url(t, id, ("/kv/load-%s-[1-%d]"):format(id, WRITES)))
end

-- The keys that this curl was told are written, and how many.
local function acknowledged(process)
  local keys, count = {}, 0
  for _, line in ipairs(process:lines()) do
    local key = line:match("^20[14] .*/kv/(%S+)$")
    if key then keys[key], count = true, count + 1 end
  end
  return keys, count
end

-- All keys with this prefix, as a node lists them.
local function keys_of(t, id, prefix)
  local keys, after = {}, ""
  repeat
    local text = curl(t, url(t, id, ("/kv?prefix=%s&after=%s"):format(prefix,
      after)))
    for key in text:gmatch('"key":"([^"]*)"') do
      keys[key], after = true, key
    end
  until not text:find('"more":true', 1, true)
  return keys
end

local function leader(t, id)
  return select(2, ask(t, "GET", id, "/health")):match('"leader":"(n%d)"')
end

local function check_kept(t, id, written)
  local found, lost = keys_of(t, id, "load-"), 0
  for key in pairs(written) do
    if not found[key] then lost = lost + 1 end
  end
  t:equal(0, lost, "acknowledged writes that " .. id .. " has lost")
end

-- The leader dies while all three are written to: returns who that was.
local function check_load(t)
  local loads, written = {}, {}
  for _, id in ipairs(IDS) do loads[id] = load_of(t, id) end
  local is_busy = trial.wait(function()
    for _, id in ipairs(IDS) do
      if #loads[id]:lines() < WRITES_BEFORE then return false end
    end
    return true
  end)
  t:check(is_busy, "all three are written to")
  local victim = leader(t, "n1")
  nodes[victim]:kill("sigkill")
  t:check(nodes[victim]:wait(), "the leader ends when it is killed")
  for _, id in ipairs(IDS) do
    t:check(loads[id]:wait(LOAD_MS), "the writes to %s come to an end", id)
    local keys, count = acknowledged(loads[id])
    for key in pairs(keys) do written[key] = true end
    local is_right = id == victim and count < WRITES
      or id ~= victim and count == WRITES
    t:check(is_right, "%s acknowledged %d of %d", id, count, WRITES)
  end
  for _, id in ipairs(IDS) do
    if id ~= victim then check_kept(t, id, written) end
  end
  start(t, victim)
  check_kept(t, victim, written)
end

-- One alone says that it can do nothing but tell what it has.
local function check_alone(t)
  nodes.n2:kill("sigkill")
  nodes.n3:kill("sigkill")
  local text
  t:check(trial.wait(function()
    local status
    status, text = ask(t, "GET", "n1", "/health")
    return status == 503
  end), "one of three is not healthy")
  t:check(text:find("Retry-After: 1\n", 1, true), "when to ask again: %s", text)
  t:equal(503, ask(t, "PUT", "n1", "/kv/a", "-d", "x"), "a write to one alone")
  t:equal(200, ask(t, "GET", "n1", "/kv/colour?consistency=stale"),
    "a stale read of one alone")
  t:equal(503, ask(t, "GET", "n1", "/kv/colour"), "a read of one alone")
  start(t, "n2")
  start(t, "n3")
  t:check(trial.wait(function() return leader(t, "n1") end), "all are back")
  t:equal("green", curl(t, url(t, "n3", "/kv/colour")), "the colour")
end

trial.run(function(t)
  curl_path = t:has "curl"
  if not curl_path then return t:skip("there is no curl to ask with") end
  t:copy(table.unpack(FILES))
  for _, id in ipairs(IDS) do start(t, id) end
  t:check(trial.wait(function() return leader(t, "n1") end), "somebody leads")
  check_readme(t)
  check_answers(t)
  check_bodies(t)
  check_load(t)
  check_alone(t)
  for _, id in ipairs(IDS) do nodes[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, nodes[id]:wait(), id .. " ends in order on Ctrl-C")
  end
end)
