-- The protocol of examples/04_redis: requests out of bytes, however these come.
local helper = require "spec.support.helper"
local redis = require "spec.support.redis"

local resp, inline = redis.load "resp", redis.load "inline"
local batch = redis.load "batch"

describe("examples/04_redis, a parser", function()
  -- Feeds pieces: the requests, their sizes, and what ended it.
  local function feed(...)
    local parser, requests, sizes = resp.parser(), {}, {}
    for _, piece in ipairs { ... } do
      local ok, why = parser:feed(piece, function(arguments, size)
        requests[#requests + 1] = arguments
        sizes[#sizes + 1] = size
      end)
      if not ok then return requests, why, sizes end
    end
    return requests, nil, sizes
  end

  local STREAM <const> = redis.request("SET", "a", "1") .. "PING\r\n*0\r\n"
    .. redis.request("") .. 'ECHO "a b"\n\r\n*-1\r\n'
    .. redis.request("MSET", "k\r\n", ("v"):rep(40), "\0", "$3\r\n")
    .. redis.request("GET", "a")
  local REQUESTS <const> = { { "SET", "a", "1" }, { "PING" }, { "" },
    { "ECHO", "a b" }, { "MSET", "k\r\n", ("v"):rep(40), "\0", "$3\r\n" },
    { "GET", "a" } }

  it("reads requests", function()
    assert.same(REQUESTS, (feed(STREAM)))
  end)

  it("reads them cut at every byte", function()
    for at = 0, #STREAM do
      assert.same(REQUESTS, (feed(STREAM:sub(1, at), STREAM:sub(at + 1))))
    end
  end)

  it("reads them byte by byte", function()
    local pieces = {}
    for i = 1, #STREAM do pieces[i] = STREAM:sub(i, i) end
    assert.same(REQUESTS, (feed(table.unpack(pieces))))
  end)

  it("says how many bytes each had", function()
    local _, _, sizes = feed("*0\r\n" .. redis.request("GET", "a")
      .. "PING\r\n")
    assert.same({ #redis.request("GET", "a"), 6 }, sizes)
  end)

  it("hands out nothing before the last byte", function()
    local bytes = redis.request("SET", "a", "1")
    for size = 0, #bytes - 1 do assert.same({}, (feed(bytes:sub(1, size)))) end
  end)

  it("hands out what came before an error, and nothing behind it", function()
    local requests, why = feed("PING\r\n*1\r\nPING\r\nPING\r\n")
    assert.same({ { "PING" } }, requests)
    assert.equal("ERR Protocol error: expected '$', got 'P'", why)
  end)

  it("refuses what is too large before it has come", function()
    for bytes, words in pairs {
      ["*1048577\r\n"] = "invalid multibulk length",
      ["*1\r\n$8388609\r\n"] = "invalid bulk length",
      ["*9\r\n" .. ("$1048576\r\n" .. ("x"):rep(1 << 20) .. "\r\n"):rep(7)
        .. "$1048576\r\n"] = "too big request",
      ["*" .. ("9"):rep(70000)] = "too big mbulk count string",
      ["*1\r\n$" .. ("9"):rep(70000)] = "too big bulk count string",
      [("x"):rep(70000)] = "too big inline request",
    } do
      assert.equal("ERR Protocol error: " .. words, select(2, feed(bytes)))
    end
  end)

  it("takes a large request that comes in small pieces in its stride",
    function()
      local value = ("0123456789abcdef"):rep(1 << 18)  -- 4 MiB
      local bytes = redis.request("SET", "a", value)
      local parser, found = resp.parser(), nil
      local from = os.clock()
      for at = 1, #bytes, 1000 do
        parser:feed(bytes:sub(at, at + 999), function(arguments)
          found = arguments
        end)
      end
      assert.is_true(found[3] == value)
      assert.is_true(os.clock() - from < 2)
    end)

  it("takes many arguments that come in small pieces in its stride", function()
    local words = {}
    for i = 1, 50000 do words[i] = "k" end
    local bytes, count = redis.request(table.unpack(words)), 0
    local parser = resp.parser()
    local from = os.clock()
    for at = 1, #bytes, 100 do
      parser:feed(bytes:sub(at, at + 99), function(arguments)
        count = #arguments
      end)
    end
    assert.equal(50000, count)
    assert.is_true(os.clock() - from < 2)
  end)

  -- What anybody may send: random pieces of what looks like requests.
  local FRAGMENTS <const> = { "*", "$", "\r\n", "\r", "\n", "1", "2", "-1",
    "0", "99", "GET", "a", '"', "'", "\\x", " ", "\0", "*1\r\n",
    "$3\r\nGET\r\n" }

  it("reads the same out of any bytes, however they are cut", function()
    helper.seed()
    for _ = 1, 3000 do
      local pieces = {}
      for i = 1, math.random(30) do
        pieces[i] = FRAGMENTS[math.random(#FRAGMENTS)]
      end
      local requests, why = feed(table.concat(pieces))
      local other, other_why = feed(table.unpack(pieces))
      assert.same(requests, other)
      assert.equal(why, other_why)
    end
  end)
end)

describe("examples/04_redis, an inline request", function()
  local cases <const> = {
    { "", {} }, { "   ", {} }, { "a", { "a" } }, { " a  b\tc ", { "a", "b",
      "c" } },
    { '"a b" c', { "a b", "c" } }, { '"\\x41\\x4g\\n\\r\\t\\a\\b\\q\\""',
      { 'Ax4g\n\r\t\a\bq"' } },
    { "'a\\'b\\n'", { "a'b\\n" } }, { '""', { "" } }, { 'a"b c"', { "ab c" } },
    { '"a"b', nil }, { '"a', nil }, { "'a", nil }, { '"a\\', nil },
    { '"a\\"', nil },
  }

  for _, case in ipairs(cases) do
    it(("%q is split as Redis does"):format(case[1]), function()
      assert.same(case[2], inline.split(case[1]))
    end)
  end
end)

describe("examples/04_redis, a reply", function()
  it("is one line where it is an error", function()
    assert.equal("-ERR a  b\r\n", resp.error("ERR a\r\nb\r\n"))
  end)

  it("has the length of what it holds", function()
    assert.equal("$5\r\na\r\n\0b\r\n", resp.bulk("a\r\n\0b"))
    assert.equal("$0\r\n\r\n", resp.bulk(""))
    assert.equal("$-1\r\n", resp.bulk(nil))
    assert.equal("*2\r\n$1\r\na\r\n$1\r\nb\r\n", resp.bulks { "a", "b" })
    assert.equal(":-9223372036854775808\r\n", resp.integer(math.mininteger))
  end)
end)

describe("examples/04_redis, a batch", function()
  it("is read as it was written", function()
    local commands = { { "a" }, { "" }, { "set", "k", "\0v" }, {} }
    for i = 1, 100 do commands[4][i] = "k" .. i end
    local pieces = {}
    for i, command in ipairs(commands) do pieces[i] = batch.command(command) end
    local segment = table.concat(pieces)
    local segments = batch.unpack(batch.pack { segment, "", segment })
    assert.same({ segment, "", segment }, segments)
    local at, found = 1, {}
    while at <= #segment do
      found[#found + 1], at = batch.command_at(segment, at)
    end
    assert.same(commands, found)
    assert.same({}, batch.unpack(batch.pack {}))
  end)
end)
