-- Several frames by one call: they are what they are one by one.
local answers = require "raft.answers"
local dice = require "spec.support.dice"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local helper = require "spec.support.helper"
local session_entry = require "raft.session_entry"

local KINDS <const> = frames.KINDS
local MAX <const> = 2000
local ROUNDS <const> = 400

local BODIES <const> = {
  function(d) return answers.encode(true, d:integer(0, 1 << 40)) end,
  function(d) return answers.encode(true, ("v"):rep(d:integer(0, 900))) end,
  function() return answers.encode(true, nil, "why") end,
  function() return answers.encode(true) end,
  function() return answers.encode(true, { 1, a = { "b" } }, false) end,
  function() return answers.encode(false, errors.new("apply_error", "x")) end,
  function() return "broken" end,
  function(d) return ("x"):rep(d:once_in(20) and MAX + 1 or 5) end,
}

-- A stream, most of which are results or requests one behind the other.
local function some_bytes(d, kind)
  local pieces, id = {}, d:integer(1, 5)
  for i = 1, d:integer(1, 25) do
    id = id + (d:once_in(6) and d:integer(-1, 3) or 1)
    local which = d:once_in(10) and "head" or kind
    local body = d:once_in(8) and d:pick(BODIES)(d)
      or BODIES[d:integer(1, 3)](d)
    local number = d:once_in(3) and d:integer(0, 1) or 1
    pieces[i] = frames.encode(which, id, number, body)
  end
  local all = table.concat(pieces)
  if not d:once_in(6) then return all end
  local at = d:integer(1, #all)
  return all:sub(1, at - 1) .. string.char(d:integer(0, 255))
    .. all:sub(at + d:integer(0, 2))
end

local function row_of_answers(reader, list)
  local count, first, number, values, whys = reader:next_answers()
  if not count then return false end
  assert(count >= 1)
  for i = 1, count do
    list[#list + 1] = { KINDS.result, first + i - 1, true, values[i], whys[i],
      n = 5 }
  end
  list.number = math.max(list.number, number)
  return true
end

local function row_of_requests(reader, list)
  local count, first, number, bodies = reader:next_requests()
  if not count then return false end
  assert.equal(count, #bodies)
  for i = 1, count do
    list[#list + 1] = { KINDS.session, first + i - 1, number, bodies[i], n = 4 }
  end
  return true
end

local function one_answer(reader, list)
  local kind, id, number, ok, value, why = reader:next_answer()
  if kind then
    list[#list + 1] = { kind, id, ok, value, why, n = 5 }
    if kind == KINDS.result and ok == true then
      list.number = math.max(list.number, number)
    end
  end
  return kind, id
end

local function one_request(reader, list)
  local kind, id, number, body = reader:next()
  if kind then list[#list + 1] = { kind, id, number, body, n = 4 } end
  return kind, id
end

-- All that is read of these bytes in chunks of `size`; and how many rows.
local function read(bytes, size, one, row)
  local reader, list, rows = frames.reader(MAX), { number = 0 }, 0
  for at = 1, #bytes, size do
    reader:feed(bytes:sub(at, at + size - 1))
    local kind, why
    repeat
      if row(reader, list) then
        rows, kind = rows + 1, 0
      else
        kind, why = one(reader, list)
      end
    until not kind
    if kind == false then
      list.fault = why
      break
    end
  end
  return list, rows
end

local function no_row() return false end

describe("frames in rows", function()
  for kind, how in pairs { result = { one_answer, row_of_answers },
    session = { one_request, row_of_requests } } do
    it("are read as by themselves: " .. kind, function()
      local d, rows = dice.new(helper.seed(), 1), 0
      for _ = 1, ROUNDS do
        local bytes = some_bytes(d, kind)
        local size = d:pick { 60, 500, #bytes }
        local expected = read(bytes, size, how[1], no_row)
        local got, count = read(bytes, size, how[1], how[2])
        assert.same(expected, got)
        rows = rows + count
      end
      assert.is_true(rows > ROUNDS / 2, rows .. " rows")
    end)
  end

  it("of requests are of one number", function()
    local reader = frames.reader(MAX)
    local bytes = ""
    for i = 1, 5 do
      bytes = bytes .. frames.encode("session", i, i // 4, "b" .. i)
    end
    reader:feed(bytes)
    assert.same({ 3, 1, 0, { "b1", "b2", "b3" } }, { reader:next_requests() })
    assert.same({ 2, 4, 1, { "b4", "b5" } }, { reader:next_requests() })
    assert.equal(0, select("#", reader:next_requests()))
    assert.equal(0, select("#", reader:next_answers()))
  end)

  it("carry commands that follow one another", function()
    local one, many = frames.writer(), frames.writer()
    local commands = {}
    for i = 1, 30 do
      commands[i] = ("c"):rep(i * i)
      one:command(6 + i, 1, 11, 21 + i, 20, commands[i])
    end
    many:commands(7, 1, 11, 22, 20, commands, 30)
    assert.equal(one:take(), many:take())
    many:commands(7, 1, 11, 22, 20, commands, 0)
    assert.is_nil(many:take())
    commands[3] = 3
    assert.has_error(function()
      many:commands(7, 1, 11, 22, 20, commands, 30)
    end)
    assert.is_nil(many:take())  -- all or nothing
    many:commands(7, 0, 11, 22, 20, { "x" }, 1)
    local reader = frames.reader(MAX)
    reader:feed(many:take())
    assert.same({ op = "command", session = 11, sequence = 22, floor = 20,
      command = "x" }, session_entry.decode((select(4, reader:next()))))
  end)

  it("carry answers, up to one that is not plain or too large", function()
    local one, many = frames.writer(), frames.writer()
    local values = { "-", 5, ("v"):rep(600), nil, false, { 1 }, print,
      ("x"):rep(700), 8 }
    local whys = { [4] = "why" }
    for i = 2, 6 do
      one:frame(KINDS.result, 10 + i, 99, answers.encode(true, values[i],
        whys[i]))
    end
    assert.equal(5, many:answers(12, 99, values, whys, 2, 9, 650))
    assert.equal(one:take(), many:take())
    assert.equal(0, many:answers(1, 99, values, whys, 7, 9, 650))
    assert.equal(0, many:answers(1, 99, values, whys, 8, 9, 650))
    assert.equal(2, many:answers(1, 99, values, whys, 8, 9, 720))
    assert.equal(0, many:answers(1, 99, values, whys, 5, 4, 720))
  end)
end)
