-- The HTTP server of examples/05_http_kv on real sockets: order, limits, and
-- clients that are slow, greedy or gone.
local example = require "spec.support.example"
local helper = require "spec.support.helper"
local raft = require "raft"
local stderr_of = require "spec.support.stderr"
local uv = require "luv"

local http = example.loader("05_http_kv") "http"

local LONG <const> = 8 << 20  -- more than sockets and the server keep

-- What a server says when it is asked for a path.
local function handle(request)
  if request.path == "/slow" then raft.sleep(20) end
  if request.path == "/broken" then error("what a pity") end
  if request.path == "/long" then
    return { status = 200, body = ("x"):rep(LONG) }
  end
  return { status = 200, headers = { "X-Method: " .. request.method },
    body = request.path .. " " .. request.body }
end

local Server = { __close = function(self) self.it:close() end }

local function listen(options)
  options = options or {}
  options.address, options.handle = "127.0.0.1:0", options.handle or handle
  return setmetatable({ it = assert(http.listen(options)) }, Server)
end

local Client = {}
Client.__index = Client
function Client:__close()
  if not self.socket:is_closing() then self.socket:close() end
end

-- A connection; client.text is what came, client.has_ended that all has.
local function connect(server, is_silent)
  local port = tonumber(server.it:address():match(":(%d+)$"))
  local client = setmetatable({ socket = uv.new_tcp(), text = "",
    has_ended = false, err = false }, Client)
  local is_there = false
  client.socket:connect("127.0.0.1", port, function(err)
    assert(not err, err)
    is_there = true
    if not is_silent then client:read() end
  end)
  helper.wait_until(function() return is_there end)
  return client
end

function Client:read()
  self.socket:read_start(function(err, chunk)
    self.err = err or self.err
    self.has_ended = self.has_ended or not chunk
    self.text = self.text .. (chunk or "")
  end)
end

function Client:send(bytes) self.socket:write(bytes) end

function Client:wait_end()
  helper.wait_until(function() return self.has_ended end, 10000, "the end")
  assert.is_false(self.err)
  return self.text:gsub("Date: [^\r]*\r\n", "")
end

function Client:wait_for(text)
  helper.wait_until(function() return self.text:find(text, 1, true) end, 5000,
    text)
end

-- All that comes for these bytes, without dates; the client ends first.
local function ask(server, bytes)
  local client <close> = connect(server)
  client:send(bytes)
  client.socket:shutdown()
  return (client:wait_end())
end

local function get(path, more)
  return ("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(path, more or "")
end

local function bodies(text)
  local found = {}
  for path in text:gmatch("\r\n\r\n(/%w*) ") do found[#found + 1] = path end
  return table.concat(found, " ")
end

describe("the HTTP server of an example", function()
  it("answers, byte for byte", function()
    local server <close> = listen()
    assert.equal("HTTP/1.1 200 OK\r\nX-Method: PUT\r\nContent-Length: 5\r\n"
      .. "Connection: keep-alive\r\n\r\n/a hi",
      ask(server, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"))
    assert.equal("HTTP/1.1 200 OK\r\nX-Method: HEAD\r\nContent-Length: 3\r\n"
      .. "Connection: close\r\n\r\n",
      ask(server, "HEAD /a HTTP/1.0\r\n\r\n"))
  end)

  it("answers what was sent in one go, in its order", function()
    local server <close> = listen()
    local requests = get("/1") .. get("/slow") .. get("/3") .. get("/slow")
      .. get("/5")
    assert.equal("/1 /slow /3 /slow /5", bodies(ask(server, requests)))
    local many = {}
    for i = 1, 2000 do many[i] = get("/" .. i) end
    local _, count = ask(server, table.concat(many)):gsub("200 OK", "")
    assert.equal(2000, count)
  end)

  it("keeps a connection, byte by byte, until told to close it", function()
    local server <close> = listen()
    local client <close> = connect(server)
    client.socket:nodelay(true)
    for byte in get("/1"):gmatch(".") do client:send(byte) end
    client:wait_for("/1 ")
    client:send(get("/2", "Connection: close\r\n") .. get("/3"))
    assert.equal("/1 /2", bodies(client:wait_end()))
  end)

  it("serves others while one waits", function()
    local gate = false
    local server <close> = listen { handle = function(request)
      while request.path == "/wait" and not gate do raft.sleep(1) end
      return { status = 200, body = request.path .. " " }
    end }
    local first <close> = connect(server)
    first:send(get("/wait"))
    assert.equal("/other", bodies(ask(server, get("/other"))))
    assert.equal("", first.text)
    gate = true
    first:wait_for("/wait")
  end)

  it("tells who asks for it to go on with the body", function()
    local server <close> = listen()
    local client <close> = connect(server)
    local head = "PUT /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
      .. "Expect: 100-continue\r\n\r\n"
    client:send(head:format("a"))
    client:wait_for("HTTP/1.1 100 Continue\r\n\r\n")
    client:send("abc" .. get("/b"))
    client:wait_for("/b ")
    assert.truthy(client.text:find("/a abc", 1, true))
    -- Behind a request that is slow it comes in its turn, and once.
    client.text = ""
    client:send(get("/slow") .. head:format("c"))
    client:wait_for("100 Continue")
    assert.truthy(client.text:find("/slow .*100 Continue"))
    client:send("xyz")
    client:wait_for("/c xyz")
    local _, count = client.text:gsub("100 Continue", "")
    assert.equal(1, count)
  end)

  it("says what is wrong, and closes, though more is being sent", function()
    local server <close> = listen { limits = { body_bytes_max = 1000 } }
    local client <close> = connect(server, true)
    client:send(get("/1") .. "PUT / HTTP/1.1\r\nHost: a\r\n"
      .. "Content-Length: 9000000\r\n\r\n")
    helper.wait_until(function()
      local connection = next(server.it.connections)
      return connection and connection.is_ending
    end)
    for _ = 1, 40 do client:send(("x"):rep(100000)) end
    helper.wait_until(function()
      return client.socket:get_write_queue_size() == 0
    end)
    client:read()
    client.socket:shutdown()
    local text = client:wait_end()
    assert.equal("/1", bodies(text))
    assert.truthy(text:find("Connection: close\r\n\r\na body may have 1000",
      1, true))
    for _, nonsense in ipairs { "nonsense\r\n", "\22\3\1\n", get("/ /") } do
      assert.matches("^HTTP/1.1 400 Bad Request", ask(server, nonsense))
    end
    assert.equal("/2", bodies(ask(server, get("/2"))))
  end)

  it("says 500 when the function raises, and goes on", function()
    local server <close> = listen()
    local text
    local said = stderr_of(function()
      text = ask(server, get("/broken") .. get("/2"))
    end)
    assert.matches("^HTTP/1.1 500 Internal Server Error.*/2 $", text)
    assert.is_nil(text:find("pity", 1, true))
    assert.matches("^http: GET /broken: .*what a pity\nstack traceback", said)
  end)
end)

describe("the HTTP server of an example, with slow clients,", function()
  local QUICK <const> = { client_ms = 40 }

  it("ends half a request with 408, and an idle connection", function()
    local server <close> = listen(QUICK)
    local half <close> = connect(server)
    half:send("GET / HTTP/1.1\r\nHo")
    local idle <close> = connect(server)
    local used <close> = connect(server)
    used:send(get("/1"))
    assert.equal("", (idle:wait_end()))
    assert.equal("/1", bodies(used:wait_end()))
    helper.wait_until(function() return half.text:find("408", 1, true) end)
    half.socket:shutdown()
    assert.matches("^HTTP/1.1 408 Request Timeout", half:wait_end())
  end)

  it("does not count the time that an answer takes", function()
    local server <close> = listen { client_ms = 300, handle = function()
      raft.sleep(400)
      return { status = 200, body = "/slow " }
    end }
    assert.equal("/slow", bodies(ask(server, get("/slow"))))
  end)

  it("keeps little for one that does not read, and ends it", function()
    local asked = 0
    local server <close> = listen { client_ms = 200, handle = function()
      asked = asked + 1
      return { status = 200, body = ("x"):rep(LONG) }
    end }
    local client <close> = connect(server, true)
    for _ = 1, 50 do client:send(get("/long")) end
    helper.wait_until(function() return next(server.it.connections) == nil end)
    assert.equal(1, asked)
  end)

  it("reads no more while much is unanswered", function()
    local gate, most = false, 0
    local server <close> = listen { handle = function()
      while not gate do raft.sleep(1) end
      return { status = 200, body = "/x " }
    end }
    local client <close> = connect(server)
    local count = 4000
    for _ = 1, count do client:send(get("/x", ("A: %s\r\n"):format(
      ("b"):rep(1000)))) end
    local from, last = uv.hrtime(), -1
    helper.wait_until(function()  -- until nothing more comes in
      local connection = next(server.it.connections)
      local held = connection and #connection.parser.held or 0
      if held ~= last then from, last = uv.hrtime(), held end
      most = math.max(most, held)
      return held > 0 and uv.hrtime() - from > 50e6
    end)
    assert.is_true(most < 1 << 20, most)
    gate = true
    client.socket:shutdown()
    local _, answered = client:wait_end():gsub("200 OK", "")
    assert.equal(count, answered)
  end)

  it("sends all to one that reads late, though it has ended", function()
    local server <close> = listen()
    local client <close> = connect(server, true)
    client:send(get("/long"))
    client.socket:shutdown()
    helper.wait_until(function()  -- the sockets are full
      local connection = next(server.it.connections)
      return connection and connection.socket:get_write_queue_size() > 0
    end)
    client:read()
    assert.is_true(#client:wait_end() > LONG)
  end)

  it("sends all to one that ends while it is sent the last", function()
    local server <close> = listen()
    local client <close> = connect(server, true)
    client:send(get("/long", "Connection: close\r\n"))
    local connection
    helper.wait_until(function()
      connection = next(server.it.connections)
      return connection and connection.is_ending
    end)
    client.socket:shutdown()
    helper.wait_until(function() return connection.has_ended end)
    client:read()
    assert.is_true(#client:wait_end() > LONG)
  end)

  it("closes everything when it is closed", function()
    local is_asked, gate, is_over = false, false, false
    local server = listen { handle = function()
      is_asked = true
      while not gate do raft.sleep(1) end
      is_over = true
      return { status = 200 }
    end }
    local client <close> = connect(server)
    client:send(get("/"))
    helper.wait_until(function() return is_asked end)
    server.it:close()
    helper.wait_until(function() return client.has_ended end)
    gate = true  -- the answer has nowhere to go
    helper.wait_until(function() return is_over end)
    assert.equal("", client.text)
  end)
end)
