local session_entry = require "raft.session_entry"

local function request(changes)
  local all = { op = "command", session = 7, sequence = 3, floor = 2,
    command = "x" }
  for name, value in pairs(changes) do all[name] = value end
  return all
end

describe("the bytes of a session entry", function()
  it("say what was asked for", function()
    for _, one in ipairs { request {}, request { command = "" },
      request { op = "open", session = 0, sequence = 60000, floor = 0 },
      request { op = "keep", sequence = 0 },
      request { op = "close", sequence = 0 } } do
      assert.same(one, session_entry.decode(session_entry.encode(one)))
    end
  end)

  it("are refused with what is wrong", function()
    local good = session_entry.encode(request {})
    for size = 0, session_entry.HEADER_BYTES - 1 do
      local _, why = session_entry.decode(good:sub(1, size))
      assert.equal("the end comes too early", why)
    end
    for words, bad in pairs {
      ["an unknown operation"] = "\0" .. good:sub(2),
      ["a number too large"] = session_entry.encode(request { session = -1 }),
      ["no session, or one too many"] =
        session_entry.encode(request { session = 0 }),
      ["no sequence, or one too many"] =
        session_entry.encode(request { op = "keep" }),
      ["it waits for nothing up to itself"] =
        session_entry.encode(request { floor = 4 }),
    } do
      local _, why = session_entry.decode(bad)
      assert.equal(words, why)
    end
  end)
end)
