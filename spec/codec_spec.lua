local codec = require "raft.codec"
local errors = require "raft.errors"
local support = require "spec.support.helper"

local INF <const> = math.huge
local NAN_BITS <const> = "\0\0\0\0\0\0\xf8\x7f"

local function hex(bytes)
  return (bytes:gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end))
end

local function unhex(text)
  return (text:gsub("%s", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- Equal in every bit: -0.0 is not 0.0, 1 is not 1.0, NaN is NaN.
local function same_bits(a, b)
  if math.type(a) ~= math.type(b) or type(a) ~= type(b) then return false end
  if math.type(a) == "float" then
    return ("<d"):pack(a) == ("<d"):pack(b) or (a ~= a and b ~= b)
  elseif type(a) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same_bits(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function round_trip(value)
  local bytes = codec.encode(value)
  local back, err = codec.decode(bytes)
  assert.is_nil(err)
  assert.is_true(same_bits(value, back), hex(bytes))
  return bytes
end

------------------------------------------------------------ random values --

local scalars = {
  function() return math.random(0) end,
  function() return math.random(-200, 200) end,
  function() return (math.random() - 0.5) * 10 ^ math.random(-300, 300) end,
  function() return math.random(2) == 1 end,
  function() return string.rep(string.char(math.random(0, 255)),
    math.random(0, 200)) end,
  function() return "k" .. math.random(20) end,
  function()
    local special = { INF, -INF, 0.0, -0.0, 1.0, 2.0 ^ 63, math.mininteger,
      math.maxinteger, "", "\0", "\xff" }
    return special[math.random(#special)]
  end,
}

local function random_scalar()
  return scalars[math.random(#scalars)]()
end

local function random_value(depth)
  if depth == 0 or math.random(3) > 1 then return random_scalar() end
  local t = {}
  for i = 1, math.random(0, 6) do
    t[i + math.random(0, 1)] = random_value(depth - 1)
  end
  for _ = 1, math.random(0, 6) do
    t[random_scalar()] = random_value(depth - 1)
  end
  return t
end

-- The same content, put in backwards, in a table that has known others.
local function refill(value)
  if type(value) ~= "table" then return value end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  local t = {}
  for i = 1, math.random(0, 40) do t[i], t["x" .. i] = i, i end
  for key in pairs(t) do t[key] = nil end
  for i = #keys, 1, -1 do t[keys[i]] = refill(value[keys[i]]) end
  return t
end

----------------------------------------------------------------- the specs --

describe("codec", function()
  it("writes the bytes that it always wrote", function()
    local golden = {
      { nil, "01 00" },
      { false, "01 01" },
      { true, "01 02" },
      { 0, "01 03 00" },
      { -1, "01 03 01" },
      { 1, "01 03 02" },
      { 300, "01 03 d804" },
      { math.maxinteger, "01 03 feffffffffffffffff01" },
      { math.mininteger, "01 03 ffffffffffffffffff01" },
      { 1.5, "01 04 000000000000f83f" },
      { -0.0, "01 04 0000000000000080" },
      { INF, "01 04 000000000000f07f" },
      { 0 / 0, "01 04 000000000000f87f" },
      { -(0 / 0), "01 04 000000000000f87f" },
      { "", "01 05 00" },
      { "raft", "01 05 04 72616674" },
      { {}, "01 06 00 00" },
      { { 1, "a" }, "01 06 02 0302 050161 00" },
      { { a = 1, b = { true } },
        "01 06 00 02 050161 0302 050162 06 01 02 00" },
      { { [true] = 1, [false] = 2, [-1] = 3, [0.5] = 4, x = 5, [3] = 6 },
        "01 06 00 06 01 0304 02 0302 0301 0306 0306 030c"
        .. "04 000000000000e03f 0308 050178 030a" },
    }
    for _, pair in ipairs(golden) do
      local bytes = unhex(pair[2])
      assert.equal(hex(bytes), hex(codec.encode(pair[1])))
      local back, err = codec.decode(bytes)
      assert.is_nil(err)
      assert.is_true(same_bits(pair[1], back), pair[2])
    end
  end)

  it("brings back every random value", function()
    support.seed()
    for _ = 1, 2000 do round_trip(random_value(4)) end
  end)

  it("does not care how a table was filled", function()
    support.seed()
    for _ = 1, 1000 do
      local value = random_value(4)
      assert.equal(hex(codec.encode(value)), hex(codec.encode(refill(value))))
    end
  end)

  it("does not care for holes, nor for what # says of them", function()
    local a, b = { 1, 2, nil, 4 }, {}
    b[4], b[2], b[1] = 4, 2, 1
    assert.equal(hex(codec.encode(a)), hex(codec.encode(b)))
    round_trip(a)
    round_trip { nil, nil, 3 }
  end)

  it("orders strings by bytes, whatever the locale", function()
    local t = { a = 1, B = 2, ["\xc3\xa4"] = 3, ["a\0b"] = 4, ab = 5, [""] = 6,
      [7] = 7 }
    local expected = codec.encode(t)
    local before = os.setlocale(nil, "collate")
    local other = os.setlocale("C.UTF-8", "collate")
      or os.setlocale("en_US.UTF-8", "collate")
    local bytes = codec.encode(t)
    os.setlocale(before, "collate")
    assert.truthy(other, "no other locale to try this with")
    assert.equal(hex(expected), hex(bytes))
    local _, err = codec.decode(bytes)
    assert.is_nil(err)
  end)

  it("keeps an integer apart from an equal float", function()
    assert.are_not.equal(codec.encode(1), codec.encode(1.0))
    round_trip { 1.0, 1, -0.0, 0 }
  end)

  it("goes 100 tables deep and no deeper", function()
    local function nest(n)
      local t = {}
      for _ = 2, n do t = { t } end
      return t
    end
    round_trip(nest(100))
    assert.has_error(function() codec.encode(nest(101)) end)
    assert.has_error(function() codec.copy(nest(101)) end)
    local deep = "\1" .. ("\6\1"):rep(101) .. "\0" .. ("\0"):rep(101)
    local _, err = codec.decode(deep)
    assert.truthy(err.message:find("nested too deep", 1, true))
  end)

  describe("refuses, with the path,", function()
    local function refusal(fn, ...)
      local ok, err = pcall(fn, ...)
      assert.is_false(ok)
      assert.is_true(errors.is_error(err), tostring(err))
      assert.equal("bad_value", err.code)
      return err.message
    end

    local cycle = {}
    cycle.again = { cycle }
    local cases = {
      { print, "value: a function cannot be carried" },
      { { a = { 1, 2, print } },
        "value.a[3]: a function cannot be carried" },
      { { ["a b"] = coroutine.create(print) },
        'value["a b"]: a thread cannot be carried' },
      { { x = { [true] = io.stdout } },
        "value.x[true]: a userdata cannot be carried" },
      { setmetatable({}, {}),
        "value: a table with a metatable cannot be carried" },
      { { m = setmetatable({}, { __metatable = false }) },
        "value.m: a table with a metatable cannot be carried" },
      { { k = { [{}] = 1 } }, "value.k: a table cannot be carried as a key" },
      { cycle, "value.again[1]: a table that contains itself is no value" },
    }
    for _, case in ipairs(cases) do
      it(case[2], function()
        assert.equal(case[2], refusal(codec.encode, case[1]))
        assert.equal(case[2], refusal(codec.copy, case[1]))
      end)
    end

    it("calling the value by the name it is given", function()
      assert.equal("result.f: a function cannot be carried",
        refusal(codec.encode, { f = print }, "result"))
      assert.equal("result: a function cannot be carried",
        refusal(codec.copy, print, "result"))
    end)
  end)

  describe("decode", function()
    local function refused(bytes)
      local value, err = codec.decode(bytes)
      assert.is_nil(value)
      assert.is_true(errors.is_error(err), hex(bytes))
      assert.equal("corrupt", err.code)
      assert.equal("number", type(err.offset))
      return err
    end

    it("raises for what is no string", function()
      local ok, why = pcall(function() codec.decode(nil) end)
      assert.is_false(ok)
      assert.truthy(why:find(
        "codec_spec.lua:%d+: raft.codec.decode: expected a string, got nil"))
    end)

    local hostile = {
      { "", "no bytes" },
      { "00", "version 0" },
      { "02 00", "a later version" },
      { "01", "a version alone" },
      { "01 07", "an unknown tag" },
      { "01 ff", "another one" },
      { "01 00 00", "more bytes than the value has" },
      { "01 03", "an integer without bytes" },
      { "01 03 80", "an integer cut off" },
      { "01 03 8000", "a zero not shortest" },
      { "01 03 ff00", "an integer not shortest" },
      { "01 03 ffffffffffffffffff02", "more than 64 bits" },
      { "01 03 ffffffffffffffffffff01", "more than ten bytes" },
      { "01 04 00000000", "a float cut off" },
      { "01 04 010000000000f87f", "another NaN" },
      { "01 04 000000000000f8ff", "a negative NaN" },
      { "01 05 05 61", "a string beyond the end" },
      { "01 05 ffffffffffffffffff01", "a string of 2^64 - 1 bytes" },
      { "01 05 ffffffffffffffff7f", "a string of 2^63 - 1 bytes" },
      { "01 06", "a table without counts" },
      { "01 06 00", "a table without its second count" },
      { "01 06 ffffff7f 00", "an array beyond the end" },
      { "01 06 00 ffffff7f 00", "pairs beyond the end" },
      { "01 06 ffffffffffffffffff01 00", "an array of 2^64 - 1 values" },
      { "01 06 00 ffffffffffffffffff01", "2^64 - 1 pairs" },
      { "01 06 01 00 00", "nil in an array" },
      { "01 06 00 01 00 02", "nil as a key" },
      { "01 06 00 01 050161 00", "nil as a value" },
      { "01 06 00 01 04000000000000f87f 02", "NaN as a key" },
      { "01 06 00 01 04000000000000f03f 02", "1.0 as a key" },
      { "01 06 00 01 040000000000000080 02", "-0.0 as a key" },
      { "01 06 00 01 060000 02", "a table as a key" },
      { "01 06 00 01 0302 02", "key 1 outside the array" },
      { "01 06 01 02 01 0304 02", "key 2 after an array of 1" },
      { "01 06 01 02 01 0302 02", "key 1 twice" },
      { "01 06 00 02 050161 02 050161 02", "a key twice" },
      { "01 06 00 02 050162 02 050161 02", "keys out of order" },
      { "01 06 00 02 050161 02 0301 02", "kinds out of order" },
    }
    for _, case in ipairs(hostile) do
      it("refuses " .. case[2], function()
        refused(unhex(case[1]))
      end)
    end

    it("refuses every beginning of a value", function()
      local bytes = codec.encode { 1, "two", 3.5, { a = { true } }, [9] = -9 }
      for size = 0, #bytes - 1 do refused(bytes:sub(1, size)) end
    end)

    it("accepts only what encode would write", function()
      support.seed()
      local accepted = 0
      for _ = 1, 3000 do
        local bytes = codec.encode(random_value(3))
        local at = math.random(#bytes)
        local changed = bytes:sub(1, at - 1)
          .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
        local value, err = codec.decode(changed)
        if err == nil then
          accepted = accepted + 1
          assert.equal(hex(changed), hex(codec.encode(value)))
        end
      end
      assert.truthy(accepted > 0)
    end)

    it("survives random bytes", function()
      support.seed()
      for _ = 1, 3000 do
        local bytes = { "\1" }
        for i = 2, math.random(1, 40) do
          bytes[i] = string.char(math.random(0, math.random(2) == 1 and 7
            or 255))
        end
        local text = table.concat(bytes)
        local value, err = codec.decode(text)
        if err == nil then assert.equal(hex(text), hex(codec.encode(value))) end
      end
    end)

    it("knows one NaN", function()
      local value = codec.decode("\1\4" .. NAN_BITS)
      assert.is_true(value ~= value)
    end)
  end)

  describe("copy", function()
    it("is equal and shares no table", function()
      support.seed()
      for _ = 1, 500 do
        local value = random_value(4)
        assert.is_true(same_bits(value, codec.copy(value)))
      end
      local value = { { 1 } }
      local copied = codec.copy(value)
      value[1][1] = 2
      assert.same({ { 1 } }, copied)
    end)

    it("copies a table that occurs twice, twice", function()
      local inner = { 1 }
      local copied = codec.copy { inner, inner }
      assert.are_not.equal(copied[1], copied[2])
    end)
  end)
end)
