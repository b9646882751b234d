-- Same seed, same run, byte for byte: in two processes, which have other seeds
-- of their string hashes and other addresses.
local function run(seed)
  local lua = os.getenv "LUA" or "lua5.4"
  local command = "TRACE=1 SEED=%d %s spec/sim/swarm.lua 1 4000 2>&1"
  local pipe = assert(io.popen(command:format(seed, lua)))
  local text = pipe:read "a"
  assert.is_true(pipe:close(), text:sub(-2000))
  return (text:gsub("in [%d.]+ s: %d+ virtual s a second", ""))
end

local function first_difference(a, b)
  local next_b, number = b:gmatch "[^\n]*", 0
  for line in a:gmatch "[^\n]*" do
    number = number + 1
    local other = next_b()
    if line ~= other then
      return ("line %d: %s\n     and: %s"):format(number, line,
        tostring(other))
    end
  end
  return "none"
end

describe("a simulation", function()
  for seed = 1, 3 do
    it("is the same in another process, seed " .. seed, function()
      local one, two = run(seed), run(seed)
      assert.is_true(#one > 10000, "a trace of many events")
      assert.equal("none", first_difference(one, two))
      assert.is_true(one == two)
    end)
  end

  it("is another one with another seed", function()
    assert.is_true(run(1) ~= run(2))
  end)
end)
