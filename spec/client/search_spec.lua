-- What a client makes of heads, with a connection that is only a record.
local Search = require "raft.client.search"

local function new_search()
  return Search.new({ changed = function() end }, { "10.0.0.1:7100" })
end

-- Why a connection is closed on which this came as the head; or nil.
local function reason_of(head)
  local reason
  local connection = { head = false, expect_pings = function() end,
    close = function(_, why) reason = why end }
  new_search():heard(connection, head)
  return reason
end

describe("a client's search", function()
  it("leaves who answers with what is no head", function()
    for _, head in ipairs { 5, "x", {}, { id = "n1" },
      { id = "n1", ping_ms = 100, members = 7 },
      { id = "n1", ping_ms = 0, members = {} },
      { id = "n1", ping_ms = 100, members = { n1 = 5 } },
      { id = "n1", ping_ms = 100, members = { n1 = { address = 5 } } },
      { id = "n1", ping_ms = 100, members = {}, leader = 5 },
      { id = "n1", ping_ms = 100, members = {}, max_command_bytes = "x" },
      { id = "n1", ping_ms = 100, members = {}, leader = "n2",
        address = {} } } do
      assert.equal("bad frame", reason_of(head))
    end
  end)
end)
