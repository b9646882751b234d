-- raft.codec in C (csrc/lua_codec.c) and in Lua (raft.codec.reference): the
-- same bytes, the same values, the same refusals.
local codec = require "raft.codec"
local core = require "raft.core"
local reference = require "raft.codec.reference"
local support = require "spec.support.helper"

local function hex(bytes)
  return (bytes:gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end))
end

-- Hex of what is long costs more than all the rest: only of what differs.
local function assert_same(expected, bytes)
  if expected == bytes then return end
  assert.equal(hex(expected), hex(bytes or "refused"))
end

local function chance(n)
  return math.random(n) == 1
end

local function pick(list)
  return list[math.random(#list)]
end

------------------------------------------------------------------ compare --

-- What an encode came to: bytes; or false, the error's code, text and path.
local function outcome(encode, ...)
  local ok, value = pcall(encode, ...)
  if ok then return value end
  assert(type(value) == "table", value)
  return false, value.code, value.message, value.path
end

-- Both write it, as the same bytes, or both refuse it; true when written.
local function same_encode(value)
  local expected, code, message, path = outcome(reference.encode, value, "v")
  local bytes, why = core.codec_encode(value)
  if expected then
    assert_same(expected, bytes)
    assert_same(expected, codec.encode(value, "v"))
    return true
  end
  assert.is_nil(bytes, message)
  assert.equal("bad_value", why)
  local ok, its_code, its_message, its_path = outcome(codec.encode, value, "v")
  assert.is_false(ok)
  assert.same({ code, message, path }, { its_code, its_message, its_path })
  return false
end

-- Both read the same value, or both refuse; true when read. The reference
-- tells values apart to the last bit, by what it writes.
local function same_decode(bytes)
  local expected, err = reference.decode(bytes)
  local ok, value = core.codec_decode(bytes)
  if not err then
    if not ok then error("refused: " .. hex(bytes)) end
    assert_same(bytes, reference.encode(value))
    assert_same(bytes, reference.encode(expected))
    assert_same(bytes, core.codec_encode(value))
    return true
  end
  if ok ~= nil then error("read: " .. hex(bytes)) end
  assert(value == "corrupt")
  local none, its_err = codec.decode(bytes)
  assert(none == nil and its_err.message == err.message
    and its_err.offset == err.offset, its_err)
  return false
end

------------------------------------------------------------- plain values --

local NUMBERS <const> = { 0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192,
  math.maxinteger, math.mininteger, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0 ^ 53,
  2.0 ^ 62, 2.0 ^ 63, -2.0 ^ 63, 1e308, 5e-324, math.huge, -math.huge, 0 / 0 }

local scalars = {
  function() return pick(NUMBERS) end,
  function() return math.random(-10, 10) end,
  function() return math.random(0) end,
  function() return math.random(0) >> math.random(0, 63) end,
  function() return string.unpack("<d", string.pack("<i8", math.random(0))) end,
  function() return chance(2) end,
  function() return pick { "", "\0", "a", "a\0", "a\0b", "\xff", "\x7f" } end,
  -- Most beginnings are the same, so that the order is found far behind.
  function() return ("k"):rep(math.random(0, 12)) .. math.random(0, 30) end,
  function() return ("\xe4\0"):rep(math.random(0, pick { 5, 150 })) end,
}

local function random_scalar()
  return pick(scalars)()
end

local function random_key()
  local key
  repeat key = random_scalar() until key == key
  return key
end

local function random_table(depth, fill)
  local t = {}
  for i = 1, math.random(0, 8) do
    if not chance(20) then t[i] = fill(depth - 1) end  -- else a hole
  end
  for _ = 1, math.random(0, pick { 0, 3, 20 }) do
    t[random_key()] = fill(depth - 1)
  end
  return t
end

local function random_value(depth)
  if depth == 0 or chance(2) then return random_scalar() end
  return random_table(depth, random_value)
end

---------------------------------------------------------- what is no value --

local function nested(n, inner)
  local t = inner
  for _ = 1, n do
    t = chance(2) and { t } or { k = t }
  end
  return t
end

local odd = {
  function() return print end,
  function() return function() end end,
  function() return coroutine.create(print) end,
  function() return io.stdout end,
  function() return setmetatable({ 1 }, {}) end,
  function() return setmetatable({}, { __metatable = false }) end,
  function() return setmetatable({}, { __metatable = "locked" }) end,
  function() return { [{}] = 1 } end,
  function() return { 1, 2, [print] = 1, a = print } end,
  function() return nested(math.random(90, 110), 1) end,
  function()
    local t = {}
    t[pick { 1, "again", 0.5, true }] = nested(math.random(0, 3), t)
    return t
  end,
  function()  -- the same table twice is no cycle
    local t = { 1 }
    return { t, t, { t } }
  end,
}

-- A value in which, here and there, something odd stands.
local function spoilt_value(depth)
  if chance(6) then return pick(odd)() end
  if depth == 0 or chance(3) then return random_scalar() end
  return random_table(depth, spoilt_value)
end

-------------------------------------------------------------------- bytes --

local EXAMPLES <const> = {
  reference.encode(nil),
  reference.encode(-300),
  reference.encode { math.maxinteger, math.mininteger },
  reference.encode(0 / 0),
  reference.encode(("x"):rep(130)),
  reference.encode { 1, "two", 3.5, { a = { true } }, [9] = -9 },
  reference.encode { "kv", "set", { "key", "value" }, 2 },
  reference.encode { [false] = 1, [true] = 2, [-7] = 3, [5] = 4, [0.5] = 5,
    [2.5] = 6, [""] = 7, a = 8, ["a\0"] = 9, ab = { 10, { [3] = 0.25 } } },
}

-- What has a meaning somewhere, so that damage gets beyond the first look.
local TELLING <const> = { "\0", "\1", "\2", "\3", "\4", "\5", "\6", "\7",
  "\x7f", "\x80", "\xff", "\6\0\0", "\6\1", "\x80\1", "\xff\xff\xff\xff\x0f",
  "\4\0\0\0\0\0\0\xf8\x7f", "\4\0\0\0\0\0\0\xf0\x3f", "\5\1a", "\3\2" }

local function mutated(bytes)
  for _ = 1, math.random(3) do
    local from = math.random(2, #bytes + 1)
    local to = math.min(#bytes, from + math.random(0, 9) - 1)
    local piece = pick {
      pick(TELLING),
      string.char(math.random(0, 255)),
      bytes:sub(from, to):rep(math.random(0, 2)),
      bytes:sub(math.random(#bytes), math.random(#bytes)),
    }
    bytes = bytes:sub(1, from - 1) .. piece .. bytes:sub(to + 1)
  end
  return bytes
end

----------------------------------------------------------------- the specs --

describe("codec in C and in Lua", function()
  describe("encode", function()
    it("writes the same bytes of every random value", function()
      support.seed()
      for _ = 1, 1000 do
        local value = random_table(3, random_value)
        assert.is_true(same_encode(value))
        assert.is_true(same_decode(reference.encode(value)))
      end
    end)

    it("refuses the same, in the same words", function()
      support.seed()
      local count = { [true] = 0, [false] = 0 }
      for _ = 1, 1000 do
        local is_written = same_encode(spoilt_value(4))
        count[is_written] = count[is_written] + 1
      end
      assert.truthy(count[true] > 100 and count[false] > 100)
    end)

    it("goes to the same depth", function()
      for depth = 95, 105 do
        assert.equal(depth <= 100, same_encode(nested(depth, 1)))
        assert.equal(depth <= 99, same_encode(nested(depth, {})))
      end
    end)

    it("writes strings and tables of any size", function()
      for size = 0, 1200, 7 do
        same_encode(("x"):rep(size))
        same_encode({ ("x"):rep(size), 1 })
      end
      local t = {}
      for i = 1, 300 do
        t["k" .. i * 7919 % 1009] = i
        if i < 40 or i % 20 == 0 then assert.is_true(same_encode(t)) end
      end
      same_encode(("x"):rep(1 << 20))
    end)

    it("orders strings by bytes, whatever the locale", function()
      local t = { a = 1, B = 2, ["\xc3\xa4"] = 3, ["a\0b"] = 4, ab = 5,
        [""] = 6 }
      local expected = reference.encode(t)
      local before = os.setlocale(nil, "collate")
      local other = os.setlocale("C.UTF-8", "collate")
        or os.setlocale("en_US.UTF-8", "collate")
      local bytes = core.codec_encode(t)
      os.setlocale(before, "collate")
      assert.truthy(other, "no other locale to try this with")
      assert.equal(hex(expected), hex(bytes))
    end)

    it("does not ask the globals of the program", function()
      local raw_next, raw_pairs = next, pairs
      local function refuse() error("the program's own") end
      _G.next, _G.pairs = refuse, refuse
      local ok, bytes = pcall(codec.encode, { 1, a = { b = 2 } })
      _G.next, _G.pairs = raw_next, raw_pairs
      assert.is_true(ok, bytes)
      assert.equal(hex(reference.encode { 1, a = { b = 2 } }), hex(bytes))
    end)

    -- With so many arguments there is no room on the stack for the keys.
    it("leaves to the reference what has no place on the stack", function()
      local t = {}
      for i = 1, 20000 do t["k" .. i] = i end
      local expected = reference.encode(t)
      local function on_a_full_stack(...)
        local from_core, bytes = core.codec_encode(t), codec.encode(t)
        return from_core, bytes, (...)
      end
      local from_core, bytes = on_a_full_stack(table.unpack({}, 1, 990000))
      assert.is_nil(from_core)
      assert.is_true(expected == bytes)
    end)

    -- First come the values whose writing asks for memory, so that a whole
    -- round of the collector fits in; then keys that are gone by then.
    it("survives a finalizer that takes keys out meanwhile", function()
      local ROUNDS <const> = 2  -- each lets the collector turn for long
      local kept, emptied = {}, 0
      for i = 1, 20 do kept["key " .. i] = i end
      local function gone(i)
        return ("z: a long key that nobody else holds, number %d"):format(i)
      end
      local function table_with_finalizer()
        local t = {}
        for i = 1, 5000 do t[i + 0.5] = kept end
        for i = 1, 200 do t[gone(i)] = true end
        setmetatable({}, { __gc = function()
          emptied = emptied + 1
          for i = 1, 200 do t[gone(i)] = nil end
        end })
        return t
      end
      collectgarbage("incremental", 100, 1000)
      for _ = 1, ROUNDS do
        local bytes = core.codec_encode(table_with_finalizer())
        assert.truthy(#bytes > 5000 * 20)
      end
      collectgarbage("incremental", 200, 100)
      collectgarbage()
      assert.equal(ROUNDS, emptied)
    end)
  end)

  describe("decode", function()
    it("refuses every beginning", function()
      for _, bytes in ipairs(EXAMPLES) do
        assert.is_true(same_decode(bytes))
        for size = 0, #bytes - 1 do
          assert.is_false(same_decode(bytes:sub(1, size)))
        end
      end
    end)

    it("says the same of every other byte", function()
      for _, bytes in ipairs(EXAMPLES) do
        for at = 1, #bytes do
          for byte = 0, 255 do
            same_decode(bytes:sub(1, at - 1) .. string.char(byte)
              .. bytes:sub(at + 1))
          end
        end
      end
    end)

    it("says the same of every three bytes behind a version", function()
      for a = 0, 8 do
        for b = 0, 255, 5 do
          for c = 0, 255, 3 do
            same_decode("\1" .. string.char(a, b, c))
          end
        end
      end
    end)

    it("says the same of every number as a key", function()
      for _, number in ipairs(NUMBERS) do
        for _, before in ipairs { "\0\1", "\1\2\1", "\0\2\3\x80\1\2" } do
          local key = reference.encode(number):sub(2)
          same_decode("\1\6" .. before .. key .. "\2")
        end
      end
    end)

    it("says the same of what was damaged", function()
      support.seed()
      local count = { [true] = 0, [false] = 0 }
      for _ = 1, 2000 do
        local bytes = chance(2) and pick(EXAMPLES)
          or reference.encode(random_value(2))
        local is_read = same_decode(mutated(bytes))
        count[is_read] = count[is_read] + 1
      end
      assert.truthy(count[true] > 100 and count[false] > 100)
    end)

    it("says the same of tables in tables", function()
      for depth = 95, 105 do
        local arrays = "\1" .. ("\6\1"):rep(depth) .. "\0" .. ("\0"):rep(depth)
        local lists = "\1" .. ("\6\1"):rep(depth - 1) .. "\6\0\0"
          .. ("\0"):rep(depth - 1)
        local maps = "\1" .. ("\6\0\1\2"):rep(depth) .. "\2"
        assert.is_false(same_decode(arrays))  -- nil in the innermost
        assert.equal(depth <= 100, same_decode(lists))
        assert.equal(depth <= 100, same_decode(maps))
        same_decode("\1" .. ("\6\0\1"):rep(depth))  -- tables as keys
      end
    end)

    it("takes no memory that the bytes do not bear out", function()
      local claims = "\1" .. ("\6\x80\x80\x10"):rep(99) .. ("\2"):rep(1 << 19)
      collectgarbage()
      collectgarbage("stop")
      local before = collectgarbage("count")
      same_decode(claims)
      local kib = collectgarbage("count") - before
      collectgarbage("restart")
      assert.truthy(kib < 64 << 10, kib .. " KiB")
    end)
  end)
end)
