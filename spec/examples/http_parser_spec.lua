-- The HTTP parser of examples/05_http_kv: what it takes, what it refuses, and
-- that it does not matter where the bytes were cut.
local example = require "spec.support.example"
local helper = require "spec.support.helper"

local http_parser = example.loader("05_http_kv") "http_parser"

local LIMITS <const> = { head_bytes_max = 200, body_bytes_max = 40 }
local FUZZED <const> = 3000

-- What a parser makes of these pieces, as text: one line for each request, and
-- one for the problem at the end.
local function told(pieces, limits)
  local parser, lines = http_parser.new(limits), {}
  local function take()
    local request, problem = parser:next()
    while request do
      local names = {}
      for name, value in pairs(request.headers) do
        names[#names + 1] = name .. "=" .. value
      end
      table.sort(names)
      lines[#lines + 1] = ("%s %s ?%s %s keep=%s {%s} %q"):format(
        request.method, request.path, request.query, request.version,
        request.keep_alive, table.concat(names, "|"), request.body)
      request, problem = parser:next()
    end
    return problem
  end
  for _, piece in ipairs(pieces) do
    parser:push(piece)
    local problem = take()
    if problem then
      lines[#lines + 1] = ("%d %s"):format(problem.status, problem.text)
      assert.equal(problem, take())  -- and that is the end
      return table.concat(lines, "\n")
    end
  end
  if parser:is_amid() then lines[#lines + 1] = "more" end
  return table.concat(lines, "\n")
end

local function whole(bytes, limits) return told({ bytes }, limits) end

local function bytewise(bytes, limits)
  local pieces = {}
  for i = 1, #bytes do pieces[i] = bytes:sub(i, i) end
  return told(pieces, limits)
end

local GOOD <const> = {
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "\r\n\r\nGET /a?b=c&d HTTP/1.1\r\nHost:a \t \r\nX-A:  1 2 \r\nx-a: 3\r\n\r\n",
  "GET http://host:80/a/b?c HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET HTTP://host?c HTTP/1.1\r\nHost: x\r\n\r\n",
  "PUT /k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1"
    .. "\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
  "PUT /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
    .. "3;name=value\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\n"
    .. "HEAD /k HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "PUT / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\nExpect: 100-Continue\r\n"
    .. "\r\n",
  "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n" .. ("\r\n"):rep(20),
}

-- Bytes, and the status that they are refused with.
local HEAD <const> = "PUT / HTTP/1.1\r\nHost: a\r\n"
local CHUNKED <const> = HEAD .. "Transfer-Encoding: chunked\r\n\r\n"
local BAD <const> = {
  { "GET / HTTP/1.1\n", 400 },
  { "GET / HTTP/1.1\r\nHost: a\n\n", 400 },
  { "GET / HTTP/1.1\r\nHost: ab\nX: y\r\n\r\n", 400 },
  { "\n", 400 },
  { "GET  / HTTP/1.1\r\n", 400 },
  { " GET / HTTP/1.1\r\n", 400 },
  { "GET /\r\n", 400 },
  { "GET / a HTTP/1.1\r\n", 400 },
  { "GET /\t HTTP/1.1\r\n", 400 },
  { "GET /\xc3\xa4 HTTP/1.1\r\n", 400 },
  { "G@T / HTTP/1.1\r\n", 400 },
  { "GET a HTTP/1.1\r\n", 400 },
  { "OPTIONS * HTTP/1.1\r\n", 400 },
  { "GET / http/1.1\r\n", 400 },
  { "GET / HTTP/1.1 \r\n", 400 },
  { "GET / HTTP/1.\r\n", 400 },
  { "PRI * HTTP/2.0\r\n", 505 },
  { "GET / HTTP/1.2\r\n", 505 },
  { "\22\3\1\2\0\1\0\1\r\n", 400 },
  { "GET / HTTP/1.1\r\n\r\n", 400 },  -- no host
  { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400 },
  { "GET / HTTP/1.1\r\nHost : a\r\n", 400 },
  { "GET / HTTP/1.1\r\n Host: a\r\n", 400 },
  { "GET / HTTP/1.1\r\nHost: a\r\n b\r\n", 400 },  -- folded
  { "GET / HTTP/1.1\r\nHost: a\0\r\n", 400 },
  { "GET / HTTP/1.1\r\nHost: a\rb\r\n", 400 },
  { "GET / HTTP/1.1\r\n: a\r\n", 400 },
  { "GET / HTTP/1.1\r\nnothing\r\n", 400 },
  { HEAD .. "Content-Length: 5\r\nContent-Length: 5\r\n", 400 },
  { HEAD .. "Content-Length: 5, 5\r\n\r\n", 400 },
  { HEAD .. "Content-Length: +5\r\n\r\n", 400 },
  { HEAD .. "Content-Length: 0x5\r\n\r\n", 400 },
  { HEAD .. "Content-Length: -1\r\n\r\n", 400 },
  { HEAD .. "Content-Length:\r\n\r\n", 400 },
  { HEAD .. "Content-Length: 41\r\n\r\n", 413 },
  { HEAD .. "Content-Length: 99999999999999999999\r\n\r\n", 413 },
  { HEAD .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
  { "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
  { HEAD .. "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
  { HEAD .. "Transfer-Encoding: chunked, chunked\r\n\r\n", 501 },
  { HEAD .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    501 },
  { HEAD .. "Transfer-Encoding: identity\r\n\r\n", 501 },
  { HEAD .. "Expect: a miracle\r\n\r\n", 417 },
  { CHUNKED .. "\r\n", 400 },
  { CHUNKED .. "5 \r\n", 400 },
  { CHUNKED .. " 5\r\n", 400 },
  { CHUNKED .. "-5\r\n", 400 },
  { CHUNKED .. "0x5\r\n", 400 },
  { CHUNKED .. "000000005\r\n", 400 },
  { CHUNKED .. "5;a\rb\r\n", 400 },
  { CHUNKED .. "5\nhello\r\n", 400 },
  { CHUNKED .. "5;a\nhello\r\n", 400 },
  { CHUNKED .. "5;" .. ("a"):rep(300), 400 },
  { CHUNKED .. "2\r\nabcde", 400 },
  { CHUNKED .. "2\r\nab\n", 400 },
  { CHUNKED .. "29\r\n", 413 },
  { CHUNKED .. "14\r\n" .. ("x"):rep(20) .. "\r\n15\r\n", 413 },
  { CHUNKED .. "0\r\nno trailer\r\n", 400 },
  { CHUNKED .. "0\r\nA: " .. ("x"):rep(200), 431 },
  { ("x"):rep(201), 414 },
  { "GET /" .. ("x"):rep(200) .. " HTTP/1.1\r\n", 414 },
  { "GET / HTTP/1.1\r\nHost: " .. ("x"):rep(200) .. "\r\n", 431 },
  { "GET / HTTP/1.1\r\nHost: a\r\n" .. ("A: b\r\n"):rep(40), 431 },
}

describe("the HTTP parser of an example", function()
  it("reads requests", function()
    assert.equal(table.concat({
      'GET / ? 1.1 keep=true {host=a} ""',
      'GET /a ?b=c&d 1.1 keep=true {host=a|x-a=1 2, 3} ""',
      'GET /a/b ?c 1.1 keep=true {host=x} ""',
      'GET / ?c 1.1 keep=true {host=x} ""',
      'PUT /k ? 1.1 keep=true {content-length=5|host=a} "hello"',
      'GET / ? 1.1 keep=false {connection=x, Close|host=a} ""',
      'PUT /k ? 1.1 keep=true {host=a|transfer-encoding=Chunked} '
        .. '"abc0123456789"',
      'HEAD /k ? 1.1 keep=true {host=a} ""',
      'GET / ? 1.0 keep=false {} ""',
      'GET / ? 1.0 keep=true {connection=keep-alive} ""',
    }, "\n"), whole(table.concat(GOOD, "", 1, 7)))
  end)

  it("refuses what is ambiguous, too large, or nonsense", function()
    for _, case in ipairs(BAD) do
      local bytes, status = case[1], case[2]
      assert.equal(tostring(status), whole(bytes, LIMITS):match("^%d+"), bytes)
    end
  end)

  it("has limits that are exact", function()
    local head = "GET / HTTP/1.1\r\nHost: "
    local room = LIMITS.head_bytes_max - #head - 4
    assert.matches("^GET", whole(head .. ("x"):rep(room) .. "\r\n\r\n", LIMITS))
    assert.matches("^431", whole(head .. ("x"):rep(room + 1) .. "\r\n\r\n",
      LIMITS))
    local many = "GET / HTTP/1.1\r\nHost: a\r\n" .. ("A: b\r\n"):rep(99)
    assert.matches("^GET", whole(many .. "\r\n"))
    assert.matches("^431", whole(many .. "A: b\r\n"))
  end)

  it("says when the client waits to be told to go on, once", function()
    local parser = http_parser.new()
    parser:push(HEAD .. "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert.is_nil(parser:next())
    assert.is_true(parser:take_expectation())
    assert.is_false(parser:take_expectation())
    parser:push("ok")
    assert.equal("ok", parser:next().body)
    -- Who has sent the body already does not wait.
    parser:push(HEAD .. "Expect: 100-continue\r\nContent-Length: 2\r\n\r\no")
    assert.is_nil(parser:next())
    assert.is_false(parser:take_expectation())
  end)

  it("tells the same wherever the bytes were cut", function()
    local messages = { table.concat(GOOD) }
    for _, bytes in ipairs(GOOD) do messages[#messages + 1] = bytes end
    for _, case in ipairs(BAD) do
      messages[#messages + 1] = case[1]
      messages[#messages + 1] = GOOD[5]:sub(1, -10) .. "x\r\n\r\n" .. case[1]
    end
    for _, bytes in ipairs(messages) do
      local expected = whole(bytes, LIMITS)
      assert.equal(expected, bytewise(bytes, LIMITS), bytes)
      for at = 1, #bytes - 1 do
        assert.equal(expected, told({ bytes:sub(1, at), bytes:sub(at + 1) },
          LIMITS), bytes)
      end
    end
  end)

  it("needs no more than a trim of blanks takes", function()
    local blanks = (" "):rep(15000)
    local from = os.clock()
    for _ = 1, 20 do
      whole("GET / HTTP/1.1\r\nHost: a" .. blanks .. "b\r\n\r\n")
    end
    assert.is_true(os.clock() - from < 5)  -- quadratic would be minutes
  end)
end)

--------------------------------------------------------------------- fuzzing --

local WORDS <const> = { "\r\n", "\r\n\r\n", "\n", "\r", " ", ":", "Host: a\r\n",
  "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n",
  "3\r\nabc\r\n", "GET / HTTP/1.1\r\n", "\0", "\xff", "99999999999999999999",
  "Expect: 100-continue\r\n", "Connection: close\r\n" }

-- A message with some bytes changed, words put in, pieces taken out.
local function mangled(bytes)
  for _ = 1, math.random(4) do
    local at, kind = math.random(#bytes), math.random(3)
    if kind == 1 then
      bytes = bytes:sub(1, at - 1) .. string.char(math.random(0, 255))
        .. bytes:sub(at + 1)
    elseif kind == 2 then
      bytes = bytes:sub(1, at) .. WORDS[math.random(#WORDS)]
        .. bytes:sub(at + 1)
    elseif #bytes > 10 then
      bytes = bytes:sub(1, at - 1) .. bytes:sub(at + math.random(10))
    end
    if bytes == "" then bytes = "\r\n" end
  end
  return bytes
end

local function cut(bytes)
  local pieces, at = {}, 1
  while at <= #bytes do
    local size = math.random(20)
    pieces[#pieces + 1] = bytes:sub(at, at + size - 1)
    at = at + size
  end
  return pieces
end

-- A request that is valid, and the line that `told` has for it.
local function random_request()
  local size = math.random(0, 40)
  local body = {}
  for i = 1, size do body[i] = string.char(math.random(0, 255)) end
  body = table.concat(body)
  local head = "PUT /k HTTP/1.1\r\nHost: a\r\n"
  local shown = "{host=a|transfer-encoding=chunked}"
  if math.random(2) == 1 then
    shown = ("{content-length=%d|host=a}"):format(size)
    head = ("%sContent-Length: %d\r\n\r\n%s"):format(head, size, body)
  else
    local pieces, at = {}, 1
    while at <= size do
      local piece = body:sub(at, at + math.random(10) - 1)
      pieces[#pieces + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
      at = at + #piece
    end
    head = head .. "Transfer-Encoding: chunked\r\n\r\n" .. table.concat(pieces)
      .. "0\r\n\r\n"
  end
  return head, ("PUT /k ? 1.1 keep=true %s %q"):format(shown, body)
end

describe("the HTTP parser of an example, fuzzed,", function()
  it("reads every body as it was sent, in whatever pieces", function()
    helper.seed()
    for _ = 1, FUZZED // 10 do
      local bytes, expected = {}, {}
      for i = 1, math.random(4) do
        bytes[i], expected[i] = random_request()
      end
      assert.equal(table.concat(expected, "\n"),
        told(cut(table.concat(bytes)), LIMITS))
    end
  end)

  it("refuses or reads, alike however it was cut, and holds little", function()
    helper.seed()
    local refused, read = 0, 0
    for i = 1, FUZZED do
      local bytes = mangled(GOOD[i % #GOOD + 1])
      local expected = whole(bytes, LIMITS)
      assert.equal(expected, bytewise(bytes, LIMITS), bytes)
      assert.equal(expected, told(cut(bytes), LIMITS), bytes)
      if expected:find("%f[^\n\0]%d%d%d ") then refused = refused + 1
      else read = read + 1 end
    end
    assert.is_true(refused > FUZZED // 10 and read > FUZZED // 20,
      refused .. " " .. read)
    for _ = 1, 20 do  -- bytes without end
      local parser = http_parser.new(LIMITS)
      for _ = 1, 1000 do
        parser:push(mangled(GOOD[math.random(#GOOD)]))
        while parser:next() do end
        if select(2, parser:next()) then break end
        local most = LIMITS.head_bytes_max + LIMITS.body_bytes_max + 256
        assert.is_true(#parser.held <= most, #parser.held)
      end
    end
  end)
end)
