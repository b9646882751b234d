-- Commands of a turn in one batch: what becomes of them is what becomes of
-- requests that were made one by one.
local Requests = require "raft.client.requests"
local answers = require "raft.answers"
local dice = require "spec.support.dice"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local helper = require "spec.support.helper"
local session_entry = require "raft.session_entry"

local SESSION <const> = 9
local ROUNDS <const> = 300
local TIMEOUTS <const> = { false, false, 50, 500 }
local GIVEN <const> = {}  -- the options, as of who calls in a loop
for _, timeout in ipairs(TIMEOUTS) do GIVEN[timeout] = { timeout = timeout } end

-- A client whose connection is a list of what was sent on it.
local function new_client(is_batched, max_pending_bytes)
  local client = { time = 0, sent = {}, told = {}, turn = {}, news = {},
    count = 0,
    session_ms = 600000, max_pending_bytes = max_pending_bytes or 1 << 20 }
  function client.now() return client.time end
  function client.wake() end
  function client.changed() end
  function client.defer(_, fn) client.turn[#client.turn + 1] = fn end
  function client.report(_, err)
    client.news[#client.news + 1] = errors.text(err):match("[^\n]*")
  end
  local reader = frames.reader(1 << 20)
  local connection = { writer = frames.writer(),
    head = { id = "n1", leader = "n1", max_command_bytes = 300 } }
  function connection.flush()
    reader:feed(connection.writer:take() or "")
    for kind, id, number, body in reader.next, reader do
      assert(kind, id)
      local entry = session_entry.decode(body)
      client.sent[#client.sent + 1] = { id = id, number = number,
        op = entry.op, session = entry.session, sequence = entry.sequence,
        command = entry.command, floor = entry.floor }
    end
  end
  client.connection = connection
  client.search = { trouble = "why", begin = function() end,
    misled = function() end, any = function() end }
  function client.search.usable() return client.connection or nil end
  client.requests = Requests.new(client)
  client.is_batched = is_batched
  return client
end

-- What is deferred is done at the end of the turn.
local function end_turn(client)
  local turn = client.turn
  client.turn = {}
  for _, fn in ipairs(turn) do fn() end
end

local function tell(client, what)
  return function(err, result)
    assert(client.told[what] == nil, "answered twice: " .. what)
    client.told[what] = err and ("%s %s"):format(err.code,
      tostring(err.outcome)) or "ok " .. tostring(result)
    client.count = client.count + 1
    client.news[#client.news + 1] = what .. ": " .. client.told[what]
    if what:find("!", 1, true) then error("raised for " .. what, 0) end
  end
end

-- As client:propose does it.
local function propose(client, command, timeout)
  local requests, told = client.requests, tell(client, command)
  if client.is_batched then
    local batch, given = requests.batch, GIVEN[timeout]
    if batch and batch:add(command, given, told)
      or requests:begin_batch(timeout, given, command, told) then
      return
    end
  end
  requests:add({ kind = "command", command = command, order = false, sends = 0,
    session = false, sequence = false,
    deadline = timeout and client.time + timeout, answer = function(err, result)
      client:defer(function()
        local ok, why = pcall(told, err, result)
        if ok then return end
        client:report(errors.caught("callback of client:propose", why))
      end)
    end }, false)
end

-- Answers those with these ids, in rows where they follow one another.
local function answer_all(client, ids, what)
  local i = 1
  while i <= #ids do
    local first, values, whys = i, {}, {}
    repeat
      values[#values + 1], whys[i - first + 1] = what(ids[i])
      i = i + 1
    until i > #ids or ids[i] ~= ids[i - 1] + 1
    client.requests:results(ids[first], i - first, ids[first], values, whys)
  end
end

local function refuse(client, id, err)
  client.requests:result(id, 0, answers.decode(answers.encode(false, err)))
end

----------------------------------------------------------------------- moves --

local MOVES <const> = {}  -- function(d, world) -> function(client)

function MOVES.propose(d, world)
  local list = {}
  for i = 1, d:integer(1, 12) do
    world.count = world.count + 1
    local size = d:once_in(30) and 400 or d:integer(0, 20)
    list[i] = { ("c%d%s%s"):format(world.count, d:once_in(40) and "!" or "",
      ("x"):rep(size)), d:once_in(5) and d:pick(TIMEOUTS) or false }
  end
  return function(client)
    for _, one in ipairs(list) do propose(client, one[1], one[2]) end
  end
end

-- Those that were sent and not answered, oldest first; ids rise.
local function open_ids(world)
  local ids = {}
  for _, one in ipairs(world.model.sent) do
    if one.id > world.forgotten and not world.answered[one.id] then
      ids[#ids + 1] = one.id
    end
  end
  return ids
end

function MOVES.answer(d, world)
  local ids = open_ids(world)
  local count = d:integer(0, #ids)
  local picked = {}
  for i = 1, count do
    if not d:once_in(12) then picked[#picked + 1] = ids[i] end
  end
  for _, id in ipairs(picked) do world.answered[id] = true end
  return function(client)
    answer_all(client, picked, function(id)
      if id % 7 == 0 then return nil, "why " .. id end
      return "r" .. id
    end)
  end
end

local REFUSALS <const> = {
  function()
    return errors.new("apply_error", "no", { outcome = "unknown" })
  end,
  function() return errors.new("busy", "x", { outcome = "none",
    reason = "gap" }) end,
  function() return errors.new("session_expired", "x",
    { reason = "expired" }) end,
}

function MOVES.refuse(d, world)
  local ids = open_ids(world)
  if #ids == 0 then return function() end end
  local id, make = d:pick(ids), d:pick(REFUSALS)
  world.answered[id] = true
  return function(client) refuse(client, id, make()) end
end

function MOVES.pass(d)
  local ms = d:pick { 1, 21, 60 }
  return function(client)
    client.time = client.time + ms
    client.requests:sweep(client.time)
  end
end

function MOVES.lose(d, world)
  if not d:once_in(3) then return function() end end
  local is_back = d:once_in(2)
  world.forgets = true
  return function(client)
    client.requests:lost()
    client.away = not is_back and client.connection or nil
    client.connection = is_back and client.connection
  end
end

local FIRST <const> = { "answer", "answer", "refuse", "pass", "lose" }

-- What happens in a turn. Commands come last: what was lost before it was sent
-- had its id already, if it was by itself.
local function moves_of(d, world)
  local moves = {}
  for _ = 1, d:integer(0, 2) do
    moves[#moves + 1] = MOVES[d:pick(FIRST)](d, world)
  end
  for _ = 1, d:integer(0, 2) do
    moves[#moves + 1] = MOVES.propose(d, world)
  end
  return moves
end

local function end_of_turn(client)
  client.requests:dispatch()
  end_turn(client)
  end_turn(client)
  if client.away then client.connection, client.away = client.away, nil end
end

-- Whoever asked for a session gets it.
local function open_sessions(world, clients)
  for _, one in ipairs(world.model.sent) do
    if one.op == "open" and not world.answered[one.id] then
      world.answered[one.id] = true
      if one.id > world.forgotten then
        world.session = world.session + 1
        for _, client in ipairs(clients) do
          client.requests:result(one.id, 0, true, world.session)
          client.requests:dispatch()
        end
      end
    end
  end
end

-- What was sent since the last time, in words.
local function new_words(client, from)
  local words = {}
  for i = from, #client.sent do
    local sent = client.sent[i]
    words[#words + 1] = ("%d %d %s %d %d %s"):format(sent.id, sent.number,
      sent.op, sent.session, sent.sequence, sent.command)
  end
  return table.concat(words, "\n")
end

-- What callers and we were told since the last time.
local function take_news(client)
  local news = table.concat(client.news, "\n")
  client.news = {}
  return news
end

-- Floors may be lower where they are told for many at once.
local function compare(one, many, from)
  assert.equal(new_words(one, from), new_words(many, from))
  for i = from, #one.sent do
    assert.is_true(many.sent[i].floor <= one.sent[i].floor
      or one.sent[i].op ~= "command")
  end
  assert.equal(take_news(one), take_news(many))
  for _, field in ipairs { "bytes", "flying_count", "flying_bytes",
    "last_id", "last_order", "acknowledged" } do
    assert.equal(one.requests[field], many.requests[field], field)
  end
end

local function run(seed, max_pending_bytes)
  local d = dice.new(seed, 1)
  local one = new_client(false, max_pending_bytes)
  local many = new_client(true, max_pending_bytes)
  local clients = { one, many }
  local world = { model = one, count = 0, answered = {}, forgotten = 0,
    session = SESSION, rows = 0 }
  local from = 1
  for _ = 1, ROUNDS do
    local moves = moves_of(d, world)
    for _, client in ipairs(clients) do
      for _, move in ipairs(moves) do move(client) end
      end_of_turn(client)
    end
    if world.forgets then
      world.forgets, world.forgotten = false, one.requests.last_id
    end
    open_sessions(world, clients)
    world.rows = math.max(world.rows, many.requests.batches.count)
    compare(one, many, from)
    from = #one.sent + 1
  end
  for _, client in ipairs(clients) do
    client.requests:finish(function(is_sent)
      return errors.new("closed", "x",
        { outcome = is_sent and "unknown" or "none" })
    end)
    end_turn(client)
  end
  compare(one, many, from)
  assert.equal(0, many.requests.bytes)
  assert.equal(world.count, many.count)
  return world
end

-- A client with a session.
local function with_session()
  local client = new_client(true)
  propose(client, "first", false)
  end_of_turn(client)
  client.requests:result(client.sent[1].id, 0, true, SESSION)
  end_of_turn(client)
  client.requests:results(client.sent[2].id, 1, 7, { "r" }, {})
  end_of_turn(client)
  client.sent = {}
  return client
end

describe("a batch of commands", function()
  it("that was not sent when the connection ended waits for another one",
    function()
      local client = with_session()
      propose(client, "a", 50)
      propose(client, "b", 50)
      client.requests:lost()
      local connection = client.connection
      client.connection = false
      end_of_turn(client)
      assert.equal(0, #client.sent)
      client.connection = connection
      end_of_turn(client)
      assert.equal("a b", client.sent[1].command .. " "
        .. client.sent[2].command)
      assert.equal(50, client.requests.soonest)
      client.time = 50
      client.requests:sweep(client.time)
      end_turn(client)
      assert.equal("timeout unknown", client.told.a)
      assert.equal("timeout unknown", client.told.b)
    end)

  it("that was not sent at the end has not happened", function()
    local client = with_session()
    propose(client, "a", 50)
    propose(client, "b", 50)
    end_of_turn(client)
    propose(client, "c", 50)
    propose(client, "d", 50)
    client.requests:finish(function(is_sent)
      return errors.new("closed", "x",
        { outcome = is_sent and "unknown" or "none" })
    end)
    end_turn(client)
    assert.equal("closed unknown", client.told.a)
    assert.equal("closed unknown", client.told.b)
    assert.equal("closed none", client.told.c)
    assert.equal("closed none", client.told.d)
    assert.equal(0, client.requests.bytes)
  end)

  it("goes the way of single ones", function()
    local seed, rows = helper.seed(), 0
    for i = 1, 12 do
      local world = run(seed + i, i % 3 == 0 and 2000 or nil)
      rows = math.max(rows, world.rows)
    end
    assert.is_true(rows > 1, rows .. " batches at once")
  end)
end)
