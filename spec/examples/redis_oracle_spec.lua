-- examples/04_redis beside the real redis-server: the same requests, the same
-- bytes in reply, for good requests and for bad ones.
local helper = require "spec.support.helper"
local redis = require "spec.support.redis"

local ROUNDS <const> = 60
local REQUESTS_MAX <const> = 120  -- of one round
local TOLERANCE <const> = { ttl = 5, pttl = 5000, expiretime = 5,
  pexpiretime = 5000 }

local FAR_AT <const> = { "33000000000", "33000000001", "1" }
local TEXTS <const> = { "", "x", "0", "1", "-1", "10", "007", "+1", " 1",
  "9223372036854775807", "-9223372036854775808", "9223372036854775808",
  "1.5", "a b", "\r\n", "\0\255", ("v"):rep(300) }

local function one_of(list) return list[math.random(#list)] end
local function key() return "k" .. math.random(5) end
local function text() return one_of(TEXTS) end
local function number()
  return math.random(4) == 1 and text() or tostring(math.random(-20, 20))
end

-- A time far away, in s, never twice the same in a round: GT and LT compare it
-- with one that the other server was given some ms earlier, or later.
local far_count = 0
local function far()
  far_count = far_count + 1
  return tostring(100000 + far_count * 7919 % 1000 * 1000)
end

-- Mostly a time far away; now and then what is no time, or over.
local function seconds()
  return math.random(4) == 1 and one_of { "0", "-1", "x", "9223372036854775807",
    "-9223372036854775808", "9223372036854776", "-9223372036854776", "" }
    or far()
end
local function ms()
  return math.random(4) == 1 and seconds() or far() .. "000"
end
local function at()
  return math.random(5) == 1 and seconds() or one_of(FAR_AT)
end
local function at_ms()
  return math.random(5) == 1 and seconds() or one_of(FAR_AT) .. "000"
end

local option = { NX = false, xx = false, GET = false, KeepTTL = false,
  ex = seconds, PX = ms, exat = at, pxat = at_ms, persist = false }
local OPTIONS <const> = { "NX", "xx", "GET", "KeepTTL", "ex", "PX", "exat",
  "pxat", "persist", "huh" }

-- Adds some options, most of them good.
local function with_options(request)
  while math.random(2) == 1 do
    local word = one_of(OPTIONS)
    request[#request + 1] = word
    if option[word] then request[#request + 1] = option[word]() end
  end
  return request
end

local function with_conditions(request)
  while math.random(3) == 1 do
    request[#request + 1] = one_of { "nx", "XX", "GT", "lt", "huh" }
  end
  return request
end

local function many(request, make)
  repeat make(request) until math.random(3) == 1
  return request
end
local function add_key(request) request[#request + 1] = key() end
local function add_pair(request)
  add_key(request)
  request[#request + 1] = text()
end

-- Each makes a request.
local makers <const> = {
  function() return { "GET", key() } end,
  function() return with_options { "SET", key(), text() } end,
  function() return { "set", key(), number() } end,
  function() return { "SETNX", key(), text() } end,
  function() return { "SETEX", key(), seconds(), text() } end,
  function() return { "PSETEX", key(), ms(), text() } end,
  function() return { "GETSET", key(), text() } end,
  function() return { "GETDEL", key() } end,
  function() return with_options { "GETEX", key() } end,
  function() return many({ "MSET" }, add_pair) end,
  function() return many({ "MSETNX" }, add_pair) end,
  function() return many({ "MGET" }, add_key) end,
  function() return many({ "DEL" }, add_key) end,
  function() return many({ "UNLINK" }, add_key) end,
  function() return many({ "EXISTS" }, add_key) end,
  function() return many({ "TOUCH" }, add_key) end,
  function() return { "INCR", key() } end,
  function() return { "DECR", key() } end,
  function() return { "INCRBY", key(), number() } end,
  function() return { "DECRBY", key(), number() } end,
  function() return { "APPEND", key(), text() } end,
  function() return { "STRLEN", key() } end,
  function() return { "GETRANGE", key(), number(), number() } end,
  function() return { "TYPE", key() } end,
  function() return with_conditions { "EXPIRE", key(), seconds() } end,
  function() return with_conditions { "PEXPIRE", key(), ms() } end,
  function() return with_conditions { "EXPIREAT", key(), at() } end,
  function() return with_conditions { "PEXPIREAT", key(), at_ms() } end,
  function() return { one_of { "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME" },
    key() } end,
  function() return { "PERSIST", key() } end,
  function() return { "RENAME", key(), key() } end,
  function() return { "RENAMENX", key(), key() } end,
  function() return { "KEYS", one_of { "*", "k?", "k[1-3]", "k[^1]", "" } } end,
  function() return { "SCAN", one_of { "0", "0", "0", "x", "" } } end,
  function() return { "SCAN", "0", "MATCH", one_of { "*", "k[1-3]" } } end,
  function() return { "SCAN", "0", "count", one_of { "100", "0", "x" } } end,
  function() return { "SCAN", "0", "TYPE", one_of { "string", "list" } } end,
  function() return { "PING" } end,
  function() return { "ECHO", text() } end,
  function() return { "SELECT", one_of { "0", "1", "-1", "x", "", "0x0",
    "2147483648", "-2147483648", "-2147483649" } } end,
  function() return { one_of { "FLUSHALL", "FLUSHDB" },
    one_of { "ASYNC", "sync", "huh" } } end,
  function() return { one_of { "huh", "HUH\r\nHUH", ("h"):rep(200), "" },
    text(), text(), text() } end,
}

-- Sometimes it has a word too few, or too many.
local function request()
  local made = one_of(makers)()
  local luck = math.random(25)
  if luck == 1 and #made > 1 then made[#made] = nil end
  if luck == 2 then made[#made + 1] = text() end
  return made
end

-- The order of KEYS is not Redis' promise.
local function sorted(reply)
  local items = {}
  for item in reply:gmatch("%$%d+\r\n([^\r]*)\r\n") do
    items[#items + 1] = item
  end
  table.sort(items)
  return table.concat(items, " ")
end

-- Are these replies to the request the same, but for what may differ?
local function agree(made, expected, found)
  if expected == found then return true end
  local name = made[1]:lower()
  local near = TOLERANCE[name]
  local a, b = expected:match("^:(%d+)"), found:match("^:(%d+)")
  if near and a and b then return math.abs(a - b) <= near end
  local has_no_order = name == "keys" or name == "scan"
  return has_no_order and sorted(expected) == sorted(found)
end

local function shown(made)
  local words = {}
  for i, word in ipairs(made) do words[i] = ("%q"):format(word) end
  return table.concat(words, " ")
end

describe("examples/04_redis beside redis-server #house", function()
  local oracle, why, server

  setup(function() oracle, why = redis.oracle() end)
  teardown(function() if oracle then oracle:close() end end)
  before_each(function() server = redis.server() end)
  after_each(function() server:close() end)

  -- Sends the same to both: their replies.
  local function ask_both(bytes, count)
    local theirs <close> = assert(redis.connect(oracle.address))
    local ours <close> = assert(redis.connect(server.port))
    return theirs:ask(bytes, count), ours:ask(bytes, count)
  end

  local function compare(requests)
    local pieces = {}
    for i, made in ipairs(requests) do
      pieces[i] = redis.request(table.unpack(made))
    end
    local theirs, ours = ask_both(table.concat(pieces), #requests)
    for i, made in ipairs(requests) do
      if not agree(made, theirs[i], ours[i]) then
        local before = {}
        for k = math.max(1, i - 15), i do
          before[#before + 1] = shown(requests[k])
        end
        error(("after\n%s\nredis says %q, we say %q"):format(
          table.concat(before, "\n"), theirs[i], ours[i]), 0)
      end
    end
    assert.equal(#requests, #ours)
  end

  it("replies the same to random requests", function()
    if not oracle then return pending(why) end
    helper.seed()
    for _ = 1, ROUNDS do
      local requests = { { "FLUSHALL" } }
      for i = 2, math.random(REQUESTS_MAX) do requests[i] = request() end
      -- Redis counts keys that have ended until somebody touches them.
      requests[#requests + 1] = { "EXISTS", "k1", "k2", "k3", "k4", "k5" }
      requests[#requests + 1] = { "DBSIZE" }
      compare(requests)
    end
  end)

  local LIVES <const> = { expire = true, pexpire = true, setex = true,
    psetex = true }

  it("replies the same to each command with too few and many words", function()
    if not oracle then return pending(why) end
    local commands = redis.load "commands"
    local requests = { { "FLUSHALL" } }
    for _, command in ipairs(commands.all()) do
      for count = 0, 6 do
        local made = { command.name }
        for i = 1, count do made[i + 1] = "1" end
        if command.name == "scan" and count > 0 then made[2] = "0" end
        -- A millisecond may be over here and not there.
        if LIVES[command.name] and count > 1 then made[3] = "100000" end
        requests[#requests + 1] = made
      end
    end
    for _, made in ipairs { { "ping", "a" }, { "ping", "a", "b" }, { "echo" },
      { "echo", "a", "b" }, { "select" }, { "select", "0", "0" }, { "reset",
      "x" }, { "client" }, { "client", "huh" }, { "client", "getname", "x" },
      { "client", "getname" }, { "client", "setname", "a b" }, { "client",
      "setname", "me" }, { "client", "getname" }, { "client", "setname" },
      { "config" }, { "config", "huh" }, { "config", "get" }, { "config",
      "get", "save" }, { "config", "get", "nothing" }, { "config", "set",
      "huh", "1" }, { "config", "set", "databases", "1" }, { "config",
      "resetstat" }, { "config", "rewrite" }, { "config", "get", "databases",
      "databases" }, { "command", "huh" }, { "command", "count", "x" },
      { "hello", "x" }, { "hello", "4" }, { "hello", "1" }, { "hello", "2",
      "huh" }, { "auth" }, { "auth", "x" }, { "auth", "a", "b", "c" },
      { "info", "huh" }, { "time", "x" }, { "reset" } } do
      requests[#requests + 1] = made
    end
    compare(requests)
  end)

  it("replies the same in corners", function()
    if not oracle then return pending(why) end
    local requests = { { "FLUSHALL" } }
    for line in ([[
      SET a 9223372036854775807 | INCR a | INCRBY a -1 | INCRBY a 1
      SET a -9223372036854775808 | DECR a | DECRBY a -1 | DECRBY a 1
      DECRBY a -9223372036854775808 | INCRBY a -9223372036854775808
      SET a x | INCR a | APPEND b x | APPEND b y | STRLEN b
      SET c 1 EX 9223372036854775 | SET c 1 EX 9223372036854776
      SET c 1 PX 9223372036854775807 | SET c 1 EX 0 | SET c 1 PX -1
      SET c 1 PXAT 9223372036854775807 | PEXPIRETIME c
      SET c 1 EX 100 EX 1000 | SET c 1 EX 1 PX 1 | SET c 1 EX | SET c 1 NX XX
      SET c 1 NX NX | SET c 2 XX XX GET GET | SET c 3 KEEPTTL EX 1
      SET c 1 PERSIST | SET d 1 XX | SET d 1 XX GET | SET d 2 NX GET
      SET d 3 NX GET | GET d | GETEX d EX 0 | GETEX d EX x | GETEX nothing EX x
      EXPIRE d 9223372036854775807 | EXPIRE d -9223372036854775808
      PEXPIRE d -9223372036854775808 | EXISTS d | SET e 1 | PEXPIRE e 0
      EXISTS e | SET e 1 | EXPIRE e 100 GT | EXPIRE e 100000 LT | EXPIRE e 1 GT
      EXPIRE e 1000000 XX GT | EXPIRE e 10 XX NX | EXPIRE e 10 GT LT
      EXPIRE e 10 GT HUH | PERSIST e | PERSIST e | TTL e | TTL nothing
      SET f 0123456789 | GETRANGE f 0 -1 | GETRANGE f -3 -1 | GETRANGE f -1 -3
      GETRANGE f 5 100 | GETRANGE f 100 200 | GETRANGE f -100 -90
      GETRANGE f -9223372036854775808 9223372036854775807 | GETRANGE f 3 1
      RENAME f f | RENAMENX f f | RENAME nothing f | RENAMENX f g
      MSETNX g 1 h 1 | MSETNX h 1 h 2 | GET h | DEL h h h
      GETDEL h | TYPE g | TYPE h
    ]]):gmatch("%s*([^|\n]+)") do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      if #words > 0 then requests[#requests + 1] = words end
    end
    assert.equal(78, #requests)
    compare(requests)
  end)

  it("reads the same requests out of the same bytes", function()
    if not oracle then return pending(why) end
    for _, bytes in ipairs {
      "PING\r\n", "PING\n", "  PING  \r\n", "\r\n\r\nPING\r\n",
      'ECHO "a b"\r\n', "ECHO 'a b'\r\n", 'ECHO "\\x41\\n\\t\\"\\\\\\q"\r\n',
      "ECHO 'it\\'s \\n'\r\n", 'ECHO ""\r\n', 'ECHO a"b"\r\n',
      "*0\r\nPING\r\n", "*-1\r\nPING\r\n", "*-10\r\nPING\r\n",
      "*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
      "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "*1\r\n$0\r\n\r\n",
      "*1\rx$4\r\nPING\r\n",
    } do
      local count = bytes:find("xx*1", 1, true) and 2 or 1
      local theirs, ours = ask_both(bytes, count)
      assert.same(theirs, ours, ("%q"):format(bytes))
    end
  end)

  it("ends a connection with the same words", function()
    if not oracle then return pending(why) end
    for _, bytes in ipairs {
      "*x\r\n", "*3x\r\n", "*03\r\n", "*\r\n", "*99999999999\r\n",
      "*1\r\nPING\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n", "*1\r\n$04\r\n",
      "*1\r\n$9000000\r\n", "*1\r\n$\r\n", "*2\r\n$4\r\nECHO\r\n:1\r\n",
      'ECHO "a\r\n', "ECHO 'a\r\n", 'ECHO "a"b\r\n', "ECHO 'a'b\r\n",
      "PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n", "QUIT\r\nPING\r\n",
      "POST / HTTP/1.1\r\nPING\r\n", "Host: me\r\nPING\r\n",
      ("x"):rep(70000), "*" .. ("1"):rep(70000),
      "*1\r\n$" .. ("1"):rep(70000),
    } do
      local theirs <close> = assert(redis.connect(oracle.address))
      local ours <close> = assert(redis.connect(server.port))
      assert.equal(theirs:exhaust(bytes), ours:exhaust(bytes),
        ("%q"):format(bytes:sub(1, 60)))
    end
  end)
end)
