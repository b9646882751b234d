-- What a client has asked for, with a connection and a search made for it.
local Requests = require "raft.client.requests"
local answers = require "raft.answers"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local session_entry = require "raft.session_entry"

-- A client that is connected with the leader. `sent` are the requests that left
-- it, as { id, what }: the command, "open", or the body.
local function new_client(options)
  local client = { time = 0, wakes = {}, sent = {}, misled = 0,
    session_ms = 600000,
    max_pending_bytes = options and options.max_pending_bytes or 1 << 20 }
  function client.now() return client.time end
  function client.wake(_, at) client.wakes[#client.wakes + 1] = at end
  local connection = { head = { id = "n1", leader = "n1" } }
  local function sent(kind, id, number, body)
    local entry = kind == frames.KINDS.session and session_entry.decode(body)
    local what = entry and (entry.op == "command" and entry.command or entry.op)
    client.sent[#client.sent + 1] = { id = id, what = what or body,
      number = number, entry = entry }
  end
  connection.writer = frames.writer()
  local reader = frames.reader(1 << 20)
  function connection.flush()
    reader:feed(connection.writer:take() or "")
    for kind, id, number, body in reader.next, reader do
      sent(assert(kind, id), id, number, body)
    end
  end
  client.connection = connection
  client.search = { trouble = "why" }
  function client.search.usable() return client.connection or nil end
  function client.search.any() return nil end
  function client.search.begin() end
  function client.search.misled() client.misled = client.misled + 1 end
  client.requests = Requests.new(client)
  return client
end

local function ask(client, kind, what, told, more)
  local request = { kind = kind, deadline = false, can_wait = false,
    answer = function(err, result)
      assert(told[what] == nil, "answered twice")
      told[what] = err and err.code .. " " .. err.outcome or result
    end }
  request[kind == "command" and "command" or "body"] = what
  for name, value in pairs(more or {}) do request[name] = value end
  client.requests:add(request, request.can_wait)
  client.requests:dispatch()
end

local function words(client)
  local list = {}
  for i, one in ipairs(client.sent) do list[i] = one.what end
  return table.concat(list, " ")
end

-- The answer to what was sent as number `i`.
local function answer(client, i, ok, value, index)
  client.requests:result(client.sent[i].id, index or 0,
    answers.decode(answers.encode(ok, value)))
  client.requests:dispatch()
end

local function failure(code, details)
  return errors.new(code, "x", details)
end

-- The link is lost, and another one is there at once.
local function lose(client)
  client.requests:lost()
  client.requests:dispatch()
end

describe("requests of a client", function()
  local client, told

  before_each(function() client, told = new_client(), {} end)

  -- A session is open: what is sent from now on counts from 1.
  local function open()
    ask(client, "command", "first", told)
    answer(client, 1, true, 9)
    answer(client, 2, true, "done")
    client.sent = {}
  end

  it("open a session before the first command, and only one", function()
    ask(client, "command", "a", told)
    ask(client, "command", "b", told)
    assert.equal("open", words(client))
    answer(client, 1, true, 9)
    assert.equal("open a b", words(client))
    assert.equal(9, client.sent[2].entry.session)
    answer(client, 3, true, "rb", 12)
    answer(client, 2, true, "ra", 11)
    assert.same({ a = "ra", b = "rb" }, told)
    assert.equal(12, client.requests.acknowledged)
    assert.equal(0, client.requests.bytes)
  end)

  it("of commands go again, in order, under their sequence", function()
    open()
    for _, what in ipairs { "a", "b", "c" } do
      ask(client, "command", what, told)
    end
    answer(client, 2, true, "rb")
    lose(client)
    assert.equal("a b c a c", words(client))
    assert.equal(client.sent[1].entry.sequence, client.sent[4].entry.sequence)
    assert.equal(client.sent[3].entry.sequence, client.sent[5].entry.sequence)
    answer(client, 1, true, "late")  -- of the connection that is gone
    assert.is_nil(told.a)
    answer(client, 4, true, "ra")
    assert.equal("ra", told.a)
  end)

  it("that only read go again; what is neither does not", function()
    ask(client, "query", "q", told)
    ask(client, "call", "c", told)
    ask(client, "question", "r", told)
    lose(client)
    assert.equal("q c r q r", words(client))
    assert.same({ c = "unknown unknown" }, told)
  end)

  it("go on elsewhere when a node cannot", function()
    open()
    for i, code in ipairs { "not_leader", "closed", "failed", "busy", "lost",
      "unknown", "diverged", "unsupported" } do
      local what = "w" .. i
      ask(client, "command", what, told)
      answer(client, #client.sent, false, failure(code,
        { reason = code == "unsupported" and "stateless" or nil }))
      assert.is_nil(told[what])
      client.time = client.time + 1000
      client.requests:dispatch()
      assert.equal(what, client.sent[#client.sent].what)
      answer(client, #client.sent, true, true)
      assert.is_true(told[what])
    end
    assert.equal(5, client.misled)
  end)

  it("wait a little before they go again", function()
    open()
    ask(client, "command", "a", told)
    answer(client, 1, false, failure("busy", { reason = "gap" }))
    assert.equal("a", words(client))
    assert.same({ 20 }, client.wakes)
    client.time = 20
    client.requests:dispatch()
    assert.equal("a a", words(client))
  end)

  it("are answered what the state machine said", function()
    open()
    for _, code in ipairs { "apply_error", "refused", "bad_value",
      "unsupported" } do
      ask(client, "command", code, told)
      answer(client, #client.sent, false, failure(code))
    end
    assert.same({ first = "done", apply_error = "apply_error unknown",
      refused = "refused unknown", bad_value = "bad_value none",
      unsupported = "unsupported none" }, told)
  end)

  it("that act may have happened where the answer cannot be read", function()
    ask(client, "call", "c", told)
    client.requests:result(client.sent[1].id, 0, answers.decode "damaged")
    ask(client, "query", "q", told)
    client.requests:result(client.sent[2].id, 0, answers.decode "damaged")
    assert.same({ c = "corrupt unknown" }, told)  -- the other is asked again
  end)

  it("sent once into a session that is gone go into another", function()
    open()
    ask(client, "command", "a", told)
    answer(client, 1, false, failure("session_expired",
      { reason = "expired" }))
    client.time = 1000
    client.requests:dispatch()
    assert.equal("a open", words(client))
    answer(client, 2, true, 33)
    assert.equal(33, client.sent[3].entry.session)
    answer(client, 3, true, "ra")
    assert.equal("ra", told.a)
  end)

  it("sent twice into one that is gone are answered so", function()
    open()
    ask(client, "command", "a", told)
    ask(client, "command", "b", told)
    lose(client)
    answer(client, 3, false, failure("session_expired",
      { reason = "expired" }))
    assert.equal("session_expired unknown", told.a)
    answer(client, 4, false, failure("session_expired",
      { reason = "expired" }))
    assert.equal("session_expired unknown", told.b)
  end)

  it("sent once, and twice by who passed them on, are answered so", function()
    open()
    ask(client, "command", "a", told)
    ask(client, "command", "b", told)
    answer(client, 1, false, failure("session_expired",
      { reason = "expired", resent = true }))
    answer(client, 2, false, failure("session_expired",
      { reason = "expired" }))
    assert.same({ first = "done", a = "session_expired unknown" }, told)
    client.time = 1000
    client.requests:dispatch()
    assert.equal("a b open", words(client))
  end)

  it("are bounded, but for those that can wait", function()
    client = new_client { max_pending_bytes = 500 }
    local big = ("x"):rep(300)
    ask(client, "command", big .. 1, told)
    ask(client, "command", big .. 2, told)
    ask(client, "command", big .. 3, told, { can_wait = true })
    assert.same({ [big .. 2] = "busy none" }, told)
  end)

  it("are not all sent at once", function()
    open()
    for i = 1, 1500 do ask(client, "command", "w" .. i, told) end
    assert.equal(1024, #client.sent)
    answer(client, 1, true, true)
    assert.equal(1025, #client.sent)
  end)

  it("are not all sent to a node without a leader, either", function()
    local any = client.connection
    client.connection = false
    function client.search.any() return any end
    for i = 1, 1500 do
      ask(client, "query", "q" .. i, told, { is_anywhere = true })
    end
    assert.equal(1024, #client.sent)
    answer(client, 1, true, true)
    assert.equal(1025, #client.sent)
  end)

  it("that keep the session do not pile up where nobody answers", function()
    open()
    for i = 1, 20 do
      client.time = i * client.session_ms
      client.requests:keep_session()
    end
    assert.equal(1, client.requests.queue.count)
    client.requests:dispatch()
    answer(client, 1, true, true)
    client.time = client.time + client.session_ms
    client.requests:keep_session()
    client.requests:dispatch()
    assert.equal("keep keep", words(client))
  end)

  it("wait a little where nobody leads, too", function()
    local any = client.connection
    client.connection = false
    function client.search.any() return any end
    ask(client, "query", "q", told, { is_anywhere = true })
    answer(client, 1, false, failure("closed"))
    assert.equal("q", words(client))
    client.time = 20
    client.requests:dispatch()
    assert.equal("q q", words(client))
  end)

  it("are covered by the token when they have failed", function()
    open()
    ask(client, "command", "a", told)
    answer(client, 1, false, failure("apply_error"), 33)
    assert.equal(33, client.requests.acknowledged)
  end)

  it("end with their time", function()
    open()
    ask(client, "command", "a", told, { deadline = 50 })
    client.connection = false
    ask(client, "command", "b", told, { deadline = 60 })
    assert.equal(50, client.requests:sweep(49))
    assert.equal(60, client.requests:sweep(50))
    assert.is_nil(client.requests:sweep(60))
    assert.equal("timeout unknown", told.a)
    assert.equal("timeout unknown", told.b)
    answer(client, 1, true, "late")
    assert.equal("timeout unknown", told.a)
  end)

  it("that were not handed to the system yet were not sent", function()
    open()
    local function add(kind, what)
      local request = { kind = kind, deadline = false,
        answer = function(err) told[what] = err.message end }
      request[kind == "command" and "command" or "body"] = what
      client.requests:add(request)
    end
    add("command", "a")
    add("query", "b")
    assert.equal("", words(client))
    client.connection.writer:take()  -- ends with its connection
    client.requests:lost()
    add("command", "c")
    client.requests:dispatch()
    assert.equal("a b c", words(client))
    lose(client)
    add("command", "d")
    client.requests:finish(function(is_sent)
      return errors.new("closed", is_sent and "sent" or "never")
    end)
    assert.same({ first = "done", a = "sent", b = "sent", c = "sent",
      d = "never" }, told)
  end)

  it("all end when it is over", function()
    open()
    ask(client, "command", "a", told)
    client.connection = false
    ask(client, "command", "b", told)
    client.requests:finish(function(is_sent)
      return failure("closed", { outcome = is_sent and "unknown" or "none" })
    end)
    assert.equal("closed unknown", told.a)
    assert.equal("closed none", told.b)
  end)

  it("may be passed on by who does not lead", function()
    client.connection.head.leader = "n2"
    ask(client, "query", "q", told)
    assert.equal(1, client.sent[1].number)
    client.connection.head.leader = "n1"
    ask(client, "query", "r", told)
    assert.equal(0, client.sent[2].number)
  end)
end)
