local damage = require "spec.storage.damage"
local helper = require "spec.support.helper"

local SECTOR <const> = 4096
local FIELDS_BYTES <const> = 90  -- of an identity, that mean something
local IDENTITY <const> = "/data/n1/identity"

describe("storage, damaged anywhere,", function()
  it("makes one copy of the identity good by the other, for every bit",
    function()
      local all = damage.new(helper.seed())
      for bit = 0, 8 * FIELDS_BYTES - 1 do
        for copy = 0, 1 do
          assert.equal("recovered",
            (all:flip(IDENTITY, copy * SECTOR + bit // 8, bit % 8)))
        end
      end
    end)

  it("refuses an identity of which both copies are damaged, at any bits",
    function()
      local all = damage.new(helper.seed())
      for bit = 0, 8 * FIELDS_BYTES - 1, 3 do
        local other = bit * 7919 % (8 * SECTOR)
        assert.equal("refused", (all:try("two bits flipped", function(disk)
          disk:flip(IDENTITY, bit // 8, bit % 8)
          disk:flip(IDENTITY, SECTOR + other // 8, other % 8)
        end)))
      end
    end)

  it("loses nothing in silence when a bit has flipped", function()
    local all = damage.new(helper.seed())
    all:flip_all(499)  -- as it has no divisor with 8, all bits come
    assert.is_true(all.recovered > 100)
    assert.is_true(all.repairing > 10)  -- how many, hangs on the seed
    assert.is_true(all.refused > 10)  -- the heads of segments
  end)

  it("nor when a file was cut", function()
    local all = damage.new(helper.seed())
    all:truncate_all(337)
    assert.is_true(all.recovered > 0)  -- the lock, the spare
    assert.is_true(all.refused > 100)
  end)

  it("needs every file but the lock and the spare, and says so", function()
    local outcomes = damage.new(helper.seed()):remove_all()
    local count = 0
    for name, outcome in pairs(outcomes) do
      count = count + 1
      local is_needed = name:find("identity", 1, true)
        or name:find("wal", 1, true)
      assert.equal(is_needed and "refused" or "recovered", outcome, name)
    end
    assert.equal(6 + 15, count)
  end)

  it("needs the snapshot, too, where the log begins later", function()
    local all = damage.new(helper.seed(), 4, true)
    for name, outcome in pairs(all:remove_all()) do
      local is_needed = name:find("identity", 1, true)
        or name:find("wal", 1, true) or name:find("snap-", 1, true)
      assert.equal(is_needed and "refused" or "recovered", outcome, name)
    end
    all:flip_all(4999)
    all:truncate_all(1499)
    assert.is_true(all.recovered > 10)
  end)

  it("takes a spare in which a bit has flipped, and finds all again",
    function()
      local all = damage.new(helper.seed())
      for i = 1, 40 do
        local bit = i * 65537 % (8 << 15)
        local _, life = all:try("a bit of the spare flipped", function(disk)
          disk:flip("/data/n1/spare", bit // 8, bit % 8)
        end)
        repeat
          life:append()
        until life.storage:status().segment == 5
        life.computer:crash("power")
        life:ended()
        life:must_open()
      end
    end)
end)
