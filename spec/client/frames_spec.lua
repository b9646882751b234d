-- Frames of clients: the reader and the writer in C, and what the drawing says
-- (spec/support/client_frames.lua).
local Cutter = require "raft.cutter"
local client_frames = require "spec.support.client_frames"
local core = require "raft.core"
local dice = require "spec.support.dice"
local frames = require "raft.client.frames"
local session_entry = require "raft.session_entry"

local KINDS <const> = { "head", "session", "query", "call", "result" }
local MAX <const> = 1000
local SEED <const> = 1

local NAMES <const> = {}
for name, number in pairs(frames.KINDS) do NAMES[number] = name end

-- Calls fn(chunk) for these bytes, cut into chunks of `size`, while it is true.
local function each_chunk(bytes, size, fn)
  for at = 1, #bytes, size do
    if not fn(bytes:sub(at, at + size - 1)) then return end
  end
end

-- What is read from these bytes: the frames, and what was wrong at last.
local function read(bytes, size)
  local reader, all, why = frames.reader(MAX), {}, nil
  each_chunk(bytes, size, function(chunk)
    reader:feed(chunk)
    for kind, id, number, body in reader.next, reader do
      if not kind then why = id break end
      all[#all + 1] = { NAMES[kind], id, number, body }
    end
    return not why
  end)
  return all, why
end

-- The same, by the drawing.
local function read_drawn(bytes, size)
  local cutter, all = Cutter.new(client_frames.sizes(MAX)), {}
  local why
  each_chunk(bytes, size, function(chunk)
    local ok, code = cutter:feed(chunk, function(frame)
      local kind, id, number, body = client_frames.decode(frame)
      if not kind then why = id end
      if kind and kind ~= "other" then
        all[#all + 1] = { kind, id, number, body }
      end
      return kind ~= nil
    end)
    why = why or not ok and code or nil
    return not why
  end)
  return all, why
end

-- One of each kind, a ping among them.
local function some_frames()
  local sent, bytes = {}, {}
  for i, kind in ipairs(KINDS) do
    sent[i] = { kind, i << 40, i << 50, ("b"):rep(i - 1) }
    bytes[i] = frames.encode(table.unpack(sent[i]))
  end
  table.insert(bytes, 3, core.ping())
  return sent, table.concat(bytes)
end

-- Bytes with some of them changed, or missing, or too many.
local function damaged(bytes, draw)
  for _ = 1, draw:integer(0, 2) do
    local at = draw:integer(1, #bytes)
    bytes = bytes:sub(1, at - 1) .. string.char(draw:integer(0, 255))
      .. bytes:sub(at + draw:integer(0, 2))
  end
  return bytes
end

describe("frames of clients", function()
  it("are what was sent, however they arrive", function()
    local sent, all = some_frames()
    for size = 1, #all do assert.same({ sent }, { read(all, size) }) end
  end)

  it("are read as they are drawn, damaged or not", function()
    local draw = dice.new(SEED, 0)
    local _, good = some_frames()
    for _ = 1, 2000 do
      local bytes, size = damaged(good, draw), draw:integer(1, #good)
      assert.same({ read_drawn(bytes, size) }, { read(bytes, size) })
    end
  end)

  it("have the header of all frames", function()
    local frame = frames.encode("query", 7, 8, "body")
    assert.equal(#frame, core.frame_size(frame))
    assert.equal("unknown", core.frame_kind(frame))
  end)

  it("are refused when one bit is another", function()
    local good = frames.encode("query", 7, 8, "body")
    for bit = 0, 8 * #good - 1 do
      local at = bit // 8 + 1
      local byte = good:byte(at) ~ 1 << bit % 8
      local bad = good:sub(1, at - 1) .. string.char(byte) .. good:sub(at + 1)
      assert.same({}, (read(bad, #bad)))  -- or it was one to be dropped
    end
  end)

  it("are refused when they are of no size", function()
    local long = frames.encode("query", 7, 8, ("x"):rep(MAX + 1))
    assert.same({ {}, "too_large" }, { read(long, 8) })
    assert.same({ {}, "corrupt" }, { read(("\0"):rep(8), 8) })
    assert.same({ {}, "it is too short" }, { read("\10\0\0\0" .. "\0\0\0\0\1"
      .. "\32", 64) })
  end)

  it("are refused for good", function()
    local reader = frames.reader(MAX)
    reader:feed(("\0"):rep(8) .. frames.encode("query", 7, 8, "body"))
    assert.same({ false, "corrupt" }, { reader:next() })
    assert.same({ false, "corrupt" }, { reader:next() })
  end)

  it("are forgotten by who drops them", function()
    local reader, writer = frames.reader(MAX), frames.writer()
    local frame = frames.encode("query", 7, 8, "body")
    reader:feed(frame .. frame)
    assert.equal(7, select(2, reader:next()))
    reader:drop()
    assert.same({ false, "dropped" }, { reader:next() })
    writer:frame(34, 7, 8, "body")
    writer:drop()
    assert.is_nil(writer:take())
    writer:frame(34, 7, 8, "body")
    assert.equal(frame, writer:take())
  end)

  it("are all taken before more is heard", function()
    local reader = frames.reader(MAX)
    reader:feed(frames.encode("query", 7, 8, "body"))
    assert.has_error(function() reader:feed("x") end, "frames are left")
  end)

  it("are the same bytes from a writer", function()
    local writer, sent = frames.writer(), {}
    assert.is_nil(writer:take())
    for i, kind in ipairs(KINDS) do
      local body = ("b"):rep(3000 * i)
      sent[i] = frames.encode(kind, i, 2 * i, body)
      writer:frame(frames.KINDS[kind], i, 2 * i, body)
    end
    assert.equal(table.concat(sent), writer:take())
    assert.is_nil(writer:take())
  end)

  it("that carry a command have the entry in them", function()
    local writer = frames.writer()
    writer:command(7, 1, 11, 22, 21, "command")
    assert.equal(frames.encode("session", 7, 1, session_entry.encode {
      op = "command", session = 11, sequence = 22, floor = 21,
      command = "command" }), writer:take())
  end)

  it("are not written where they would be none", function()
    local writer = frames.writer()
    for _, kind in ipairs { 0, 31, 37, -1, 1 << 40 } do
      assert.has_error(function() writer:frame(kind, 1, 1, "") end)
      assert.has_error(function() core.client_frame(kind, 1, 1, "") end)
    end
    assert.is_nil(writer:take())
  end)
end)
