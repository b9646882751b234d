-- What docs/FORMATS.md says of bytes that are made in Lua, and what is kept
-- in spec/golden for ever. (Those made in C: spec/c, spec/wire_spec.lua.)
local answers = require "raft.answers"
local codec = require "raft.codec"
local client_frames = require "spec.support.client_frames"
local core = require "raft.core"
local frames = require "raft.client.frames"
local replica_state = require "raft.replica_state"
local session_entry = require "raft.session_entry"
local tree = require "tools.tree"

local PAGE <const> = tree.read("docs", "FORMATS.md")
local ID <const> = 0x0102030405060708

local function golden(name)
  local text = tree.read("spec/golden", name .. ".hex")
  local digits = text:gsub("#[^\n]*", ""):gsub("%s", "")
  return (digits:gsub("..", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The text between this heading and the next one.
local function section(heading)
  local _, from = PAGE:find("\n#+ " .. heading .. "\n")
  assert(from, heading)
  return PAGE:sub(from, (PAGE:find("\n##", from, true)))
end

-- Rows of the tables in it: lists of cells.
local function rows(text)
  local all = {}
  for line in text:gmatch("[^\n]+") do
    local cells = {}
    for cell in line:gmatch("| ([^|]*) ") do cells[#cells + 1] = cell end
    if #cells > 0 then all[#all + 1] = cells end
  end
  return all
end

describe("bytes of clients #house", function()
  local SENT <const> = { { "head", 0, "" }, { "session", 1, "b" },
    { "query", 0, "bo" }, { "call", 0, "bod" },
    { "result", 0x1112131415161718, "body" } }

  it("are those of spec/golden, frame by frame", function()
    local bytes, rest = {}, golden "client_frames"
    for i, frame in ipairs(SENT) do
      bytes[i] = frames.encode(frame[1], ID, frame[2], frame[3])
    end
    assert.equal(rest, table.concat(bytes))
    for _, frame in ipairs(SENT) do
      local size = core.frame_size(rest)
      assert.same({ frame[1], ID, frame[2], frame[3] },
        { client_frames.decode(rest:sub(1, size)) })
      rest = rest:sub(size + 1)
    end
    assert.equal("", rest)
  end)

  it("lie where the page draws them", function()
    local page = section "Frames of clients"
    assert.is_truthy(page:find(("The head is %d bytes"):format(
      frames.HEAD_BYTES), 1, true))
    local frame = frames.encode("result", ID, 5, "body")
    assert.equal(frames.HEAD_BYTES, (string.unpack("<I2", frame, 11)))
    assert.equal(ID, (string.unpack("<I8", frame, 24 + 1)))
    assert.equal(5, (string.unpack("<I8", frame, 32 + 1)))
    assert.equal(core.crc32c "body", (string.unpack("<I4", frame, 40 + 1)))
    assert.is_truthy(page:find(
      "\n 24      32       40         44\n", 1, true))
  end)

  it("have the kinds that the page lists", function()
    local seen = 0
    for _, cells in ipairs(rows(section "Frames of clients")) do
      local name, number = cells[1]:match("^(%u+) (%d+)$")
      if name then
        local frame = frames.encode(name:lower(), 1, 0, "")
        assert.equal(tonumber(number), frame:byte(10), name)
        seen = seen + 1
      end
    end
    assert.equal(#SENT, seen)
  end)
end)

describe("bytes of a session entry #house", function()
  local REQUEST <const> = { op = "command", session = ID,
    sequence = 0x1112131415161718, floor = 0x1112131415161717,
    command = "set x" }

  it("are those of spec/golden", function()
    assert.equal(golden "session_entry", session_entry.encode(REQUEST))
    assert.same(REQUEST, session_entry.decode(golden "session_entry"))
  end)

  it("lie where the page draws them", function()
    local bytes = session_entry.encode(REQUEST)
    assert.equal(2, bytes:byte(1))
    for at, field in pairs { [1] = "session", [9] = "sequence",
      [17] = "floor" } do
      assert.equal(REQUEST[field], (string.unpack("<I8", bytes, at + 1)))
    end
    assert.equal(25, session_entry.HEADER_BYTES)
    assert.is_truthy(PAGE:find("\n  0    1          9           17       25\n",
      1, true))
  end)

  it("follow the rules of the page", function()
    local ops = { ["1"] = "open", ["2"] = "command", ["3"] = "keep",
      ["4"] = "close" }
    local seen = 0
    for _, cells in ipairs(rows(section "What a SESSION entry holds")) do
      local op = ops[cells[1]]
      if op then
        seen = seen + 1
        local function request(session, sequence)
          return session_entry.decode(session_entry.encode { op = op,
            session = session, sequence = sequence, floor = 0, command = "" })
        end
        local session = cells[3] == "0" and 0 or 7
        local sequence = cells[4] == "0" and 0 or 9
        assert.equal(op, request(session, sequence).op)
        assert.is_nil((request(7 - session, sequence)))
        assert.is_nil((request(session, 9 - sequence)))
      end
    end
    assert.equal(4, seen)
  end)
end)

describe("what stands in front of a state #house", function()
  -- One session, with one answer.
  local function state()
    local one = replica_state.new()
    one:apply(7, 1000, session_entry.encode { op = "open", session = 0,
      sequence = 60000, floor = 0, command = "" }, error)
    one:apply(8, 2000, session_entry.encode { op = "command", session = 7,
      sequence = 1, floor = 1, command = "5" }, function() return true, 5 end)
    return one
  end

  local function saved(one)
    local pieces = {}
    one:save(function(piece) pieces[#pieces + 1] = piece end)
    return table.concat(pieces)
  end

  it("is what spec/golden has, there and back", function()
    local bytes = golden "replica_state"
    assert.equal(bytes, saved(state()))
    local again, given = replica_state.new(), false
    local rest = again:load(function()
      if given then return nil end
      given = true
      return bytes .. "the user's"
    end)
    assert.equal("the user's", rest())
    assert.equal(bytes, saved(again))
  end)

  it("has the fields that the page lists", function()
    local bytes = golden "replica_state"
    assert.equal(0x6a09e667f3bcc909, (string.unpack("<i8", bytes)))
    assert.equal(#bytes - 28, (string.unpack("<I4", bytes, 25)))
    local list = assert(codec.decode(bytes:sub(29)))
    local names = PAGE:match("\n  {( id, ttl.-)answers")
    local count = 0
    for name in names:gmatch("[%w_]+") do
      assert.is_not_nil(list[1][name], name)
      count = count + 1
    end
    for _ in pairs(list[1]) do count = count - 1 end
    assert.equal(-1, count)  -- the answers
    assert.same({ true, 5 }, { answers.decode(list[1].answers[1]) })
  end)
end)

describe("docs/FORMATS.md #house", function()
  it("names every file of spec/golden", function()
    for _, path in ipairs(tree.list("spec", "golden", "%.hex$")) do
      local name = path:match("([^/]+)$")
      local family = name:gsub("_.*", "_*.hex")
      local is_named = PAGE:find("`" .. name .. "`", 1, true)
        or PAGE:find("`" .. family .. "`", 1, true)
      assert.is_truthy(is_named, name)
    end
  end)
end)
