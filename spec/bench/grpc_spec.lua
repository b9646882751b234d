-- The client of etcd beside a server that is played by hand.
local grpc = require "bench.compare.grpc"
local proto = require "bench.compare.proto"
local support = require "spec.support.helper"
local uv = require "luv"

local DATA <const>, HEADERS <const>, WINDOW_UPDATE <const> = 0, 1, 8
local PREFACE_BYTES <const> = 24

-- A server that collects frames; `answer(server, kind, stream, payload)`.
local function serve(answer)
  local server = { frames = {}, listener = uv.new_tcp(), socket = false }
  server.listener:bind("127.0.0.1", 0)
  server.listener:listen(1, function()
    server.socket = uv.new_tcp()
    server.listener:accept(server.socket)
    local rest, is_first = "", true
    server.socket:read_start(function(_, chunk)
      if not chunk then return end
      rest = rest .. chunk
      if is_first and #rest < PREFACE_BYTES then return end
      if is_first then rest, is_first = rest:sub(PREFACE_BYTES + 1), false end
      rest = grpc.each_frame(rest, function(kind, _, stream, payload)
        server.frames[#server.frames + 1] = { kind, stream, payload }
        if answer then answer(server, kind, stream, payload) end
      end)
    end)
  end)
  function server:close()
    self.listener:close()
    if self.socket then self.socket:close() end
  end
  return server
end

local function connect(server)
  local connection
  grpc.connect("127.0.0.1", server.listener:getsockname().port,
    function(err, it)
      assert(not err, err)
      connection = it
    end)
  support.wait_until(function() return connection end)
  return connection
end

local function count(server, kind)
  local n = 0
  for _, each in ipairs(server.frames) do
    if each[1] == kind then n = n + 1 end
  end
  return n
end

local HEAD <const> = grpc.headers("localhost", "/x/Y")

describe("gRPC of the benchmarks #house", function()
  it("matches answers with calls, in any order", function()
    local streams = {}
    local server = serve(function(server, kind, stream, payload)
      if kind ~= DATA then return end
      table.insert(streams, 1, { stream, payload:sub(6) })
      if #streams < 2 then return end
      for _, each in ipairs(streams) do
        server.socket:write(grpc.frame(DATA, 0, each[1],
          "\0" .. (">s4"):pack("re " .. each[2]))
          .. grpc.frame(HEADERS, 5, each[1], ""))
      end
    end)
    local connection, got = connect(server), {}
    for _, name in ipairs { "a", "b" } do
      connection:call(HEAD, name, function(err, message)
        got[#got + 1] = name .. ": " .. (err or message)
      end)
    end
    support.wait_until(function() return #got == 2 end)
    connection:close()
    server:close()
    assert.same({ "b: re b", "a: re a" }, got)
  end)

  it("takes an answer without a message for a failure", function()
    local server = serve(function(server, kind, stream)
      if kind ~= DATA then return end
      server.socket:write(grpc.frame(HEADERS, 5, stream, "\x88"))
    end)
    local connection, failure = connect(server), nil
    connection:call(HEAD, "a", function(err) failure = err end)
    support.wait_until(function() return failure end)
    connection:close()
    server:close()
    assert.equal("the server refused", failure)
  end)

  it("sends no more than the server has room for", function()
    local server = serve()
    local connection = connect(server)
    for _ = 1, 10 do
      connection:call(HEAD, ("x"):rep(10000), function() end)
    end
    -- 65,535 bytes of room at first: six messages of 10,005.
    support.wait_until(function() return count(server, DATA) == 6 end)
    server.socket:write(grpc.frame(WINDOW_UPDATE, 0, 0, (">I4"):pack(30000)))
    support.wait_until(function() return count(server, DATA) == 9 end)
    connection:close()
    server:close()
  end)

  it("keeps a frame that is not whole", function()
    local whole, seen = grpc.frame(DATA, 1, 7, "abc"), {}
    local rest = grpc.each_frame(whole .. whole:sub(1, 10), function(...)
      seen[#seen + 1] = { ... }
    end)
    assert.same({ { DATA, 1, 7, "abc" } }, seen)
    assert.equal(whole:sub(1, 10), rest)
  end)
end)

describe("Protocol Buffers of the benchmarks #house", function()
  it("reads what it writes", function()
    assert.same({ [1] = "key", [2] = ("v"):rep(300), [7] = 1 << 40 },
      proto.fields(proto.bytes(1, "key") .. proto.bytes(2, ("v"):rep(300))
        .. proto.integer(7, 1 << 40)))
  end)

  it("refuses a message that is cut", function()
    assert.error_matches(function() proto.fields "\x08\xff" end,
      "ends within a number")
  end)
end)
