-- Requests of clients that come and are answered in rows: groups of them.
local errors = require "raft.errors"
local proposing = require "spec.support.proposing"
local session_entry = require "raft.session_entry"

local function request(word)
  return session_entry.encode { op = "command", session = 9, sequence = 1,
    floor = 1, command = word }
end

-- Requests whose commands are these letters.
local function requests(letters)
  local list, bytes = {}, 0
  for letter in letters:gmatch "." do
    list[#list + 1] = request(letter)
    bytes = bytes + #list[#list]
  end
  return list, #list, bytes
end

-- What applying came to: "r1", "r2" ...; numbers in `failed` have failed.
local function slice(count, failed)
  local all = { count = count, values = {}, whys = {}, errors = {} }
  for i = 1, count do
    if failed == i then
      all.errors[i] = errors.new("apply_error", "no")
    else
      all.values[i] = "r" .. i
    end
  end
  return all
end

describe("a group of requests", function()
  local driver, proposals, told

  before_each(function()
    driver, told = proposing.driver(), {}
    driver.role, driver.leader = "leader", "n1"
    driver.options.max_pending_bytes = 1 << 20
    proposals = driver.proposals
  end)

  -- A client, which notes how it is answered.
  local function client(name)
    return {
      answer = function(err, _, waiter, id)
        told[#told + 1] = ("%s one %d %s"):format(name, waiter and waiter.id
          or id, err and err.code or "ok")
      end,
      row = function(all, from, last, id, list, at)
        assert(#list >= at + last - from)
        local words = {}
        for i = from, last do
          words[#words + 1] = all.values[i] or all.errors[i].code
        end
        told[#told + 1] = ("%s row %d %s"):format(name, id,
          table.concat(words, " "))
      end,
    }
  end

  local function ask(who, id, letters, can_forward)
    local list, count, bytes = requests(letters)
    return proposals:join_requests(list, count, bytes, can_forward ~= false,
      who.answer, who.row, id)
  end

  local function dispatch() driver.outbox:dispatch() end

  it("is answered in rows, each to who has asked", function()
    local a, b = client "a", client "b"
    assert.is_true(ask(a, 5, "abc"))
    assert.is_true(ask(b, 5, "de"))
    assert.is_true(ask(b, 9, "f"))
    assert.is_true(ask(a, 8, "gh"))
    assert.equal(8, proposals:count_open())
    dispatch()
    assert.equal("a b c d e f g h", table.concat(driver.core.log, " "))
    local group = proposals:group_at(1)
    proposals:applied_group(group, slice(2))
    assert.equal(2, driver.acknowledged)
    proposals:applied_group(group, slice(5, 3))
    proposals:applied_group(group, slice(1))
    assert.same({ "a row 5 r1 r2", "a row 7 r1", "b row 5 r2 apply_error",
      "b row 9 r4", "a row 8 r5", "a row 9 r1" }, told)
    assert.equal(0, proposals:count_open())
    assert.is_false(proposals:are_waiting())
  end)

  it("takes single ones, too", function()
    local a, b = client "a", client "b"
    assert.is_true(proposals:join_request(request "x", true, b.answer, 3))
    assert.is_true(proposals:join_request(request "a", true, a.answer, 4))
    assert.is_true(ask(a, 5, "bc"))
    dispatch()
    proposals:applied_group(proposals:group_at(1), slice(4))
    assert.same({ "b one 3 ok", "a row 4 r2 r3 r4" }, told)
  end)

  it("begins anew for who may be passed on and who may not", function()
    local a = client "a"
    assert.is_true(ask(a, 5, "abc", true))
    assert.is_true(ask(a, 8, "de", false))
    assert.same({ "a", "b", "c" }, driver.core.log)
    dispatch()
    assert.equal(5, #driver.core.log)
    assert.equal(2, proposals:group_at(1).count
      - proposals:group_at(1).next)
  end)

  it("takes all of a row or none, and leaves none that is empty", function()
    local a = client "a"
    driver.options.max_pending_bytes = 300
    assert.is_false(ask(a, 5, "abcdefgh"))
    assert.equal(0, proposals:count_open())
    dispatch()
    assert.same({}, driver.core.log)
    assert.is_true(ask(a, 5, "abc"))
    assert.is_false(ask(a, 8, "defgh"))
    dispatch()
    assert.same({ "a", "b", "c" }, driver.core.log)
  end)

  it("is none where others wait", function()
    driver.core.refuses = "busy"
    local a = client "a"
    assert.is_true(ask(a, 5, "ab"))
    dispatch()
    assert.is_false(ask(a, 7, "cd"))
    driver.core.refuses = false
    dispatch()
    assert.same({ "a", "b" }, driver.core.log)
    proposing.apply(driver, 1, 5, "x")
    proposing.apply(driver, 2, 5, "y")
    assert.same({ "a one 5 ok", "a one 6 ok" }, told)
  end)

  it("is answered one by one where it was taken apart", function()
    local a = client "a"
    ask(a, 5, "abc")
    dispatch()
    proposals:applied_group(proposals:group_at(1), slice(1))
    proposals:finish(function() return errors.new("closed", "the end") end)
    assert.same({ "a row 5 r1", "a one 6 closed", "a one 7 closed" }, told)
  end)
end)
