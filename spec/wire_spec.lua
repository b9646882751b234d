-- The first frames of a connection, as raft.core gives them to Lua.
local core = require "raft.core"

local IDENTITY <const> = "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7"
  .. "\xa8\xa9\xaa\xab\xac\xad\xae\xaf"

-- The bytes kept in spec/golden for ever.
local function golden(name)
  local file = assert(io.open("spec/golden/" .. name .. ".hex"))
  local text = file:read("a"):gsub("#[^\n]*", ""):gsub("%s", "")
  file:close()
  return (text:gsub("..", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The hello of spec/golden/hello.hex, with what is to be different.
local function hello_of(changes)
  local hello = { version_min = 1, version_max = 3, purpose = "peer",
    formed = true, identity = IDENTITY, group = 2,
    plan = 0x1111111111111111, incarnation = 0x2222222222222222, starts = 3,
    nonce = 0x4444444444444444, known = 0xfedcba9876543210 | 0,
    config_index = 0x0807060504030201,
    cluster = "default", id = "n1", to = "n2", address = "127.0.0.1:7101" }
  for key, value in pairs(changes or {}) do hello[key] = value end
  return hello
end

local function flip(bytes, bit)
  local at = bit // 8 + 1
  local byte = string.char(bytes:byte(at) ~ 1 << bit % 8)
  return bytes:sub(1, at - 1) .. byte .. bytes:sub(at + 1)
end

describe("raft.core: hello", function()
  it("is written in the bytes of the format", function()
    assert.equal(golden("hello"), core.hello_encode(hello_of()))
  end)

  it("comes back with every field", function()
    assert.same(hello_of(), core.hello_decode(golden("hello")))
  end)

  it("carries 64 bits in each direction", function()
    local h = hello_of { nonce = math.mininteger, plan = -1 }
    local got = core.hello_decode(core.hello_encode(h))
    assert.equal(math.mininteger, got.nonce)
    assert.equal(-1, got.plan)
  end)

  it("has no identity before the cluster is formed", function()
    local h = hello_of { formed = false, known = 0 }
    h.identity = nil
    assert.same(h, core.hello_decode(core.hello_encode(h)))
  end)

  it("has the identity it has promised, before", function()
    local h = hello_of { formed = false, known = 0 }
    assert.same(h, core.hello_decode(core.hello_encode(h)))
  end)

  it("takes false for no identity", function()
    local bytes = core.hello_encode(hello_of { formed = false,
      identity = false })
    assert.is_nil(core.hello_decode(bytes).identity)
    assert.is_false(core.hello_decode(bytes).formed)
  end)

  it("assumes this version, a peer, and zeros", function()
    local got = core.hello_decode(core.hello_encode { cluster = "c",
      id = "n1", to = "n2" })
    assert.same({ version_min = 1, version_max = 1, purpose = "peer",
      formed = false, group = 0, plan = 0, incarnation = 0, starts = 0,
      nonce = 0, known = 0, config_index = 0, cluster = "c", id = "n1",
      to = "n2",
      address = "" }, got)
  end)

  it("knows clients, which may greet whom they do not know", function()
    local got = core.hello_decode(core.hello_encode {
      purpose = "client", cluster = "c", id = "x" })
    assert.equal("client", got.purpose)
    assert.equal("", got.to)
  end)

  it("raises with the field that is wrong", function()
    local cases = {
      { { id = 7 }, "hello.id: expected a string, got number" },
      { { id = "a b" }, "hello.id: not valid" },
      { { id = "" }, "hello.id: not valid" },
      { { id = "a\0b" }, "hello.id: holds a zero byte" },
      { { to = "" }, "hello.to: not valid" },
      { { cluster = ("x"):rep(65) }, "hello.cluster: at most %d+ bytes" },
      { { address = "a b" }, "hello.address: not valid" },
      { { starts = "1" }, "hello.starts: expected an integer, got string" },
      { { starts = 1.5 }, "hello.starts: expected an integer, got number" },
      { { group = -1 }, "hello.group: expected 0%.%.4294967295, got %-1" },
      { { version_max = 256 }, "hello.version_max: expected 0%.%.255" },
      { { version_min = 0 }, "hello.version_min: not valid" },
      { { purpose = "friend" }, "hello.purpose: expected peer, client, snap" },
      { { identity = "short" }, "hello.identity: expected 16 bytes" },
      { { identity = 5 }, "hello.identity: expected a string or nil" },
      { { identity = false }, "hello.formed: who is formed has an identity" },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(core.hello_encode, hello_of(case[1]))
      assert.is_false(ok, case[2])
      assert.matches(case[2], err)
    end
    assert.has_error(function() core.hello_encode("n1") end)
  end)

  it("is refused after any damage", function()
    local bytes = golden("hello")
    for bit = 0, 8 * #bytes - 1 do
      local got, code = core.hello_decode(flip(bytes, bit))
      assert.is_nil(got)
      assert.equal("corrupt", code)
    end
    for size = 0, #bytes - 1 do
      assert.is_nil((core.hello_decode(bytes:sub(1, size))))
    end
  end)
end)

describe("raft.core: refusal", function()
  it("is written in the bytes of the format", function()
    assert.equal(golden("refusal"), core.refusal_encode("cluster_mismatch",
      'this is cluster "a", you are of cluster "b"'))
  end)

  it("comes back as code and text", function()
    local code, text = core.refusal_decode(golden("refusal"))
    assert.equal("cluster_mismatch", code)
    assert.equal('this is cluster "a", you are of cluster "b"', text)
  end)

  it("cuts a long text, but no character", function()
    local long = ("é"):rep(200)  -- two bytes each; 255 is odd
    local _, text = core.refusal_decode(core.refusal_encode("busy", long))
    assert.equal(("é"):rep(127), text)
  end)

  it("makes one line of a text", function()
    local _, text = core.refusal_decode(core.refusal_encode("busy",
      "a\nb\0c\27"))
    assert.equal("a b c ", text)
  end)

  it("raises for what is no code", function()
    for _, code in ipairs { "", "Busy", "a b", ("x"):rep(32), "a\0" } do
      assert.has_error(function() core.refusal_encode(code, "") end)
    end
  end)

  it("is told from a hello", function()
    local code, why = core.refusal_decode(golden("hello"))
    assert.is_nil(code)
    assert.equal("corrupt", why)
    assert.is_nil((core.hello_decode(golden("refusal"))))
  end)
end)

describe("raft.core: frames", function()
  it("tell their size from four bytes", function()
    local bytes = golden("hello")
    for size = 0, 3 do
      assert.equal(0, core.frame_size(bytes:sub(1, size)))
    end
    assert.equal(#bytes, core.frame_size(bytes:sub(1, 4)))
    assert.equal(#bytes, core.frame_size(bytes .. bytes))
  end)

  it("are bounded", function()
    local size, code = core.frame_size("\xff\xff\xff\xff")
    assert.is_nil(size)
    assert.equal("too_large", code)
    size, code = core.frame_size("\0\0\0\0")
    assert.is_nil(size)
    assert.equal("corrupt", code)
  end)

  it("say of which kind they are", function()
    local kinds = { hello = "hello", refuse = "refusal", vote = "frame_vote",
      append_reply = "frame_append_reply", ping = "frame_ping" }
    for kind, name in pairs(kinds) do
      assert.equal(kind, core.frame_kind(golden(name)))
    end
    local bytes = golden("frame_ping")
    assert.equal("unknown",
      core.frame_kind(bytes:sub(1, 9) .. "\x7e" .. bytes:sub(11)))
    assert.is_nil((core.frame_kind(bytes:sub(1, 23))))
  end)

  it("include the ping", function()
    assert.equal(golden("frame_ping"), core.ping())
  end)
end)
