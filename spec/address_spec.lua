local address = require "raft.address"

local function parts(text)
  local found, why = address.parse(text)
  return found and { found.host, found.port, found.family } or why
end

describe("address", function()
  it("parses numbers and names", function()
    assert.same({ "127.0.0.1", 7101, "inet" }, parts("127.0.0.1:7101"))
    assert.same({ "::1", 7101, "inet6" }, parts("[::1]:7101"))
    assert.same({ "localhost", 0, false }, parts("localhost:0"))
    assert.same({ "a-b.example_1.org", 65535, false },
      parts("A-b.Example_1.org:65535"))
  end)

  it("knows every form of IPv6", function()
    for _, host in ipairs { "::", "1::", "::1", "1:2:3:4:5:6:7:8",
      "1:2::7:8", "fe80::1%eth0", "::ffff:10.0.0.1", "1:2:3:4:5:6:10.0.0.1",
      "1:2:3:4:5:6:7::" } do
      local found = address.parse("[" .. host .. "]:1")
      assert.truthy(found, host)
      assert.equal("inet6", found.family, host)
    end
  end)

  it("refuses what is no IPv6 address", function()
    for _, host in ipairs { "", ":", ":1", "1:", "1:2", "1::2::3", "12345::",
      "g::", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", ":::", "10.0.0.1",
      "::10.0.0.256", "10.0.0.1::", "::1%", "localhost" } do
      assert.is_nil(address.parse("[" .. host .. "]:1"), host)
    end
  end)

  it("refuses hosts that cannot exist", function()
    for _, host in ipairs { "", " ", "a b", "a..b", ".a", "1.2.3", "256.1.1.1",
      "1.2.3.4.5", "01.2.3.4", "a/b", ("x"):rep(64), ("x."):rep(127) .. "x",
      "h\n" } do
      assert.equal("no such host can exist", parts(host .. ":1"), host)
    end
  end)

  it("refuses ports that are none", function()
    for _, port in ipairs { "65536", "99999", "100000", ("9"):rep(30) } do
      assert.equal("a port is a number from 0 to 65535", parts("h:" .. port))
    end
    for _, text in ipairs { "h", "h:", "h:-1", "h:1x", "h:0x10", ":", "h: 1",
      "h:1 ", "" } do
      assert.is_nil(address.parse(text), text)
    end
  end)

  it("says that an IPv6 address stands in brackets", function()
    assert.equal("an IPv6 address stands in brackets: [::1]:7101",
      parts("::1:7101"))
  end)

  it("refuses what is no string", function()
    assert.equal("not a string", parts(nil))
    assert.equal("not a string", parts(7101))
  end)

  it("formats what it parsed", function()
    for _, text in ipairs { "127.0.0.1:7101", "[::1]:0", "a.b:1" } do
      local found = address.parse(text)
      assert.equal(text, address.format(found.host, found.port))
    end
  end)
end)
