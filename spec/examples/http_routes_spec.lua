-- What examples/05_http_kv makes of requests, and of what Raft says; its node
-- is a stand-in here.
local errors = require "raft.errors"
local example = require "spec.support.example"

local load = example.loader("05_http_kv")
local conditions, json = load "conditions", load "json"
local routes, store = load "routes", load "store"

-- A node that runs commands at once, or fails with what it is told.
local function new_node(failure)
  local node = { index = 10, failure = failure, asked = {} }
  function node.leader() return "n1" end
  function node.status() return { id = "n1", role = "leader", term = 2 } end
  function node:propose(command)
    if self.failure then return nil, self.failure end
    self.index = self.index + 1
    return store.apply(command, { index = self.index })
  end
  function node:query(request, opts)
    self.asked[#self.asked + 1] = opts.consistency
    if self.failure then return nil, self.failure end
    return store.query(request)
  end
  return node
end

local function asker(node)
  local handle = routes.new(node)
  return function(method, target, headers, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local response = handle { method = method, path = path, query = query,
      headers = headers or {}, body = body or "" }
    local said = table.concat(response.headers or {}, "; ")
    return response.status, response.body, said
  end
end

describe("the routes of the HTTP example", function()
  it("give what Raft says the status that says the same", function()
    local cases = {
      { "timeout", 504, 503 }, { "unknown", 504, 503 }, { "busy", 503, 503 },
      { "lost", 503, 503 }, { "not_leader", 503, 503 }, { "closed", 503, 503 },
      { "no_space", 503, 503 }, { "too_large", 413, 413 },
      { "apply_error", 500, 500 },
    }
    for _, case in ipairs(cases) do
      local ask = asker(new_node(errors.new(case[1], "why")))
      local status, body, headers = ask("PUT", "/kv/a", nil, "x")
      assert.equal(case[2], status, case[1])
      local may_retry = headers:find("Retry-After: 1", 1, true) ~= nil
      assert.equal(status == 503, may_retry)
      assert.truthy(body:find('"error":"' .. case[1] .. '"', 1, true))
      assert.equal(case[3], (ask("GET", "/kv/a")), case[1])
    end
  end)

  it("write nothing where nobody leads", function()
    local node = new_node()
    function node.leader() return nil end
    function node.propose() error("it was proposed") end
    local ask = asker(node)
    assert.equal(503, (ask("PUT", "/kv/a", nil, "x")))
    assert.equal(503, (ask("DELETE", "/kv/a")))
    assert.equal(503, (ask("GET", "/health")))
    assert.equal(200, (ask("GET", "/status")))
  end)

  it("write under conditions, each on what is there", function()
    local ask = asker(new_node())
    local function expect(status, tag, ...)
      local found, _, headers = ask(...)
      assert.equal(status, found)
      assert.equal(tag, headers:match('ETag: "(%d+)"'))
    end
    expect(412, nil, "PUT", "/kv/k", { ["if-match"] = "*" }, "a")
    expect(201, "12", "PUT", "/kv/k", { ["if-none-match"] = "*" }, "a")
    expect(412, "12", "PUT", "/kv/k", { ["if-none-match"] = "*" }, "b")
    expect(412, "12", "PUT", "/kv/k", { ["if-match"] = '"11"' }, "b")
    expect(412, "12", "PUT", "/kv/k", { ["if-match"] = 'W/"12"' }, "b")
    expect(204, "16", "PUT", "/kv/k", { ["if-match"] = '"1", "12"' }, "c")
    expect(412, "16", "PUT", "/kv/k", { ["if-none-match"] = 'W/"16"' }, "d")
    expect(412, "16", "PUT", "/kv/k", { ["if-match"] = '"16"',
      ["if-none-match"] = "*" }, "d")
    expect(200, "16", "GET", "/kv/k")
    expect(304, "16", "GET", "/kv/k", { ["if-none-match"] = 'W/"16"' })
    expect(304, "16", "GET", "/kv/k", { ["if-none-match"] = "*" })
    expect(200, "16", "GET", "/kv/k", { ["if-none-match"] = '"12"' })
    expect(412, "16", "DELETE", "/kv/k", { ["if-match"] = '"12"' })
    expect(204, nil, "DELETE", "/kv/k", { ["if-match"] = '"16"' })
    expect(404, nil, "GET", "/kv/k")
    expect(201, "21", "PUT", "/kv/k", nil, "again")
    expect(204, nil, "DELETE", "/kv/k")
  end)

  it("list keys by prefix, a thousand at a time", function()
    local ask = asker(new_node())
    for i = 1, 1002 do ask("PUT", ("/kv/p%04d"):format(i)) end
    ask("PUT", "/kv/%22%E2%82%AC")
    local _, first = ask("GET", "/kv?prefix=p")
    assert.equal(1000, select(2, first:gsub('"key"', "")))
    assert.truthy(first:find('"more":true', 1, true))
    local _, rest = ask("GET", "/kv?prefix=p&after=p1000")
    assert.matches('^{"keys":%[{"key":"p1001","version":%d+},'
      .. '{"key":"p1002","version":%d+}%],"more":false}\n$', rest)
    assert.equal('{"keys":[],"more":false}\n', select(2, ask("GET",
      "/kv?prefix=q")))
    assert.truthy(select(2, ask("GET", "/kv?prefix=%22")):find('"\\"€"', 1,
      true))
  end)

  it("ask as consistently as they are asked to", function()
    local node = new_node()
    local ask = asker(node)
    ask("GET", "/kv/a")
    ask("GET", "/kv/a?consistency=stale")
    ask("GET", "/kv?consistency=lease")
    assert.same({ "linearizable", "stale", "lease" }, node.asked)
    assert.equal(400, (ask("GET", "/kv/a?consistency=perhaps")))
  end)
end)

describe("what an HTTP request says", function()
  it("may stand behind percent signs", function()
    assert.equal("a b/%\0", conditions.decode("a%20b/%25%00"))
    for _, text in ipairs { "%", "a%2", "%zz", "%%41" } do
      assert.is_nil(conditions.decode(text))
    end
    assert.same({ a = "1 2", b = "", c = "+" },
      conditions.parameters("a=1+2&b=&c=%2B"))
    assert.same({}, conditions.parameters(""))
    for _, query in ipairs { "a=1&a=2", "a=%", "%=1" } do
      assert.is_nil(conditions.parameters(query))
    end
  end)

  it("may be a list of entity tags", function()
    assert.is_false(conditions.versions(nil))
    assert.equal("*", conditions.versions("*"))
    assert.same({ 7, 12 }, conditions.versions('"7",  "other" ,"12"'))
    assert.same({ 12 }, conditions.versions('W/"7", "12"', false))
    assert.same({ 7, 12 }, conditions.versions('W/"7", "12"', true))
    assert.same({}, conditions.versions('"99999999999999999999"'))
    for _, header in ipairs { "7", '"7', '"7" "8"', '"7",', "*, *", "", 'w/"7"',
      'W"7"', '/"7"' } do
      assert.is_nil(conditions.versions(header), header)
    end
  end)

  it("is answered in JSON", function()
    assert.equal('{"a":[1,"\\"\\\\\\n\\u0001",{}],"b":false,"n":[]}',
      json.encode { a = { 1, '"\\\n\1', {} }, b = false, n = json.EMPTY })
    assert.equal("null", json.encode(nil))
  end)
end)
