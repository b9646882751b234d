-- The session of a node, with waiters that are only fields.
local OwnSession = require "raft.node.own_session"
local session_entry = require "raft.session_entry"

local function waiter(command)
  return { command = command, answer = print, sequence = false }
end

local function request(session, one)
  local all = assert(session_entry.decode(session:request(one)))
  return all.sequence, all.floor, all.command
end

describe("a node's own session", function()
  local session

  before_each(function()
    session = OwnSession.new("n1")
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

  it("that is gone tells what may have happened", function()
    local a, b, c = waiter "a", waiter "b", waiter "c"
    for _, one in ipairs { a, b, c, b } do session:request(one) end
    c.answer = false
    local fresh, others = session:gone()
    assert.same({ a }, fresh)
    assert.same({ b }, others)
    assert.is_false(session.id)
    session:opening()
    session:opened(9)
    assert.same({ 1, 1, "a" }, { request(session, a) })
  end)
end)
