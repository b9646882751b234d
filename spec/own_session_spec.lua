-- The session of a node, with waiters that are only fields.
local OwnSession = require "raft.own_session"
local session_entry = require "raft.session_entry"

local function waiter(command)
  return { command = command, answer = print, session = false,
    sequence = false, sends = 1 }
end

local function request(session, one)
  local all = assert(session_entry.decode(session:request(one)))
  return all.sequence, all.floor, all.command
end

describe("a node's own session", function()
  local session

  before_each(function()
    session = OwnSession.new(60000)
    assert.equal("open", session_entry.decode(session:opening()).op)
    session:opened(7)
  end)

  it("gives sequences in call order, and the same again", function()
    local a, b = waiter "a", waiter "b"
    assert.same({ 1, 1, "a" }, { request(session, a) })
    assert.same({ 2, 1, "b" }, { request(session, b) })
    assert.same({ 1, 1, "a" }, { request(session, a) })
    assert.equal(7, session_entry.decode(session:request(b)).session)
  end)

  it("says what is waited for", function()
    local a, b, c = waiter "a", waiter "b", waiter "c"
    for _, one in ipairs { a, b } do session:request(one) end
    b.answer = false
    assert.same({ 3, 1, "c" }, { request(session, c) })
    a.answer = false
    assert.same({ 3, 3, "c" }, { request(session, c) })
    c.answer = false
    assert.same({ 4, 4, "d" }, { request(session, waiter "d") })
  end)

  it("says whether anybody waits", function()
    local a = waiter "a"
    assert.is_true(session:is_drained())
    session:request(a)
    assert.is_false(session:is_drained())
    a.answer = false
    assert.is_true(session:is_drained())
  end)

  it("that is gone tells what may have happened", function()
    local a, b, c = waiter "a", waiter "b", waiter "c"
    for _, one in ipairs { a, b, c } do session:request(one) end
    b.sends = 2
    assert.is_true(session:expired(a))
    assert.is_false(session.id)
    assert.is_false(session:is_stranded(a))
    assert.is_false(session:expired(b))
    assert.is_true(session:is_stranded(b))
    assert.is_true(session:is_stranded(c))
    session:opening()
    session:opened(9)
    assert.is_true(session:is_stranded(c))
    assert.same({ 1, 1, "a" }, { request(session, a) })
    assert.is_true(session:expired(c))
    assert.equal(9, session.id)
    assert.same({ 2, 1, "c" }, { request(session, c) })
  end)
end)
