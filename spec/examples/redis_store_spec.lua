-- The state machine of examples/04_redis alone, in virtual time.
local redis = require "spec.support.redis"

local Store, batch = redis.load "store", redis.load "batch"
local glob, numbers = redis.load "glob", redis.load "numbers"

describe("examples/04_redis, the store", function()
  local store, now

  before_each(function()
    store, now = Store.new(), 1000000
  end)

  -- "SET a 1" -> one command; words in "" are empty.
  local function command(line)
    local words = {}
    for word in line:gmatch("%S+") do
      words[#words + 1] = word == '""' and "" or word
    end
    words[1] = words[1]:lower()
    return batch.command(words)
  end

  local function segment(lines)
    local pieces = {}
    for i, line in ipairs(lines) do pieces[i] = command(line) end
    return table.concat(pieces)
  end

  -- The replies to lines that go through the log, as one text.
  local function run(...)
    local bytes = batch.pack { segment { ... } }
    return store:apply(bytes, { time = now })[1]
  end

  -- The same for what is only read; false: not before time was moved on.
  local function ask(line, wall)
    local results = store:query { bytes = batch.pack { segment { line } },
      wall = wall or false }
    return results and results[1]
  end

  it("keeps what it is given", function()
    assert.equal("+OK\r\n", run("SET a 1"))
    assert.equal("$1\r\n1\r\n", ask("GET a"))
    assert.equal("$-1\r\n", ask("GET b"))
    assert.equal(":1\r\n", run("DEL a b"))
    assert.equal("$-1\r\n", ask("GET a"))
  end)

  it("runs the commands of a segment in order", function()
    assert.equal("+OK\r\n:2\r\n:3\r\n$1\r\n3\r\n:1\r\n$-1\r\n",
      run("SET a 1", "INCR a", "INCR a", "GET a", "DEL a", "GET a"))
  end)

  it("answers each segment of a batch by itself", function()
    local bytes = batch.pack { segment { "SET a 1" }, segment { "GET a",
      "GET a" } }
    assert.same({ "+OK\r\n", 1, "$1\r\n1\r\n$1\r\n1\r\n", 2 },
      store:apply(bytes, { time = now }))
  end)

  it("moves time with an empty batch", function()
    run("SET a 1 PX 100")
    now = now + 101
    assert.same({}, store:apply("", { time = now }))
    assert.equal("$-1\r\n", ask("GET a"))
  end)

  it("answers what it does not know as an error, and goes on", function()
    assert.equal("-ERR unknown command 'later'\r\n+OK\r\n",
      run("LATER a", "SET a 1"))
  end)

  it("stops a segment whose replies become many", function()
    local long = ("x"):rep(300000)
    local lines = { "SET a " .. long }
    for _ = 1, 100 do lines[#lines + 1] = "GET a" end
    local results = store:apply(batch.pack { segment(lines) }, { time = now })
    assert.equal(5, results[2])  -- four long ones are over a MiB
    assert.equal(5 + 4 * (#long + 11), #results[1])
  end)

  describe("lets keys end", function()
    it("at the time of an entry, after their last ms", function()
      run("SET a 1 PX 100")
      now = now + 100
      assert.equal("$1\r\n1\r\n", run("GET a"))
      now = now + 1
      assert.equal("$-1\r\n", run("GET a"))
    end)

    it("never because of a reader's clock", function()
      run("SET a 1 PX 100", "SET b 2")
      assert.equal("$1\r\n1\r\n", ask("GET a", now + 100))
      assert.is_false(ask("GET a", now + 101))
      assert.equal("$1\r\n2\r\n", ask("GET b", now + 101))
      assert.is_false(ask("KEYS *", now + 101))
      assert.is_false(ask("DBSIZE", now + 101))
      assert.is_false(ask("MGET b a", now + 101))
      assert.equal("$1\r\n1\r\n", ask("GET a"))  -- by the state's own time
      store:apply("", { time = now + 50 })       -- the leader's is behind
      assert.equal("$1\r\n1\r\n", ask("GET a"))
    end)

    it("and tells how long they live by the log's time only", function()
      run("SET a 1 EX 10")
      assert.is_false(ask("TTL a", now))
      assert.is_false(ask("PTTL a", now))
      now = now + 2600
      assert.equal(":7\r\n:7400\r\n", run("TTL a", "PTTL a"))
      assert.equal(":-2\r\n:-1\r\n", run("TTL b", "SET b 1", "TTL b")
        :gsub("+OK\r\n", ""))
      assert.equal(":-1\r\n", ask("TTL b", now))
    end)

    it("whose deadline was put off, at the later one", function()
      run("SET a 1 PX 100", "PEXPIRE a 200")
      now = now + 150
      assert.equal("$1\r\n1\r\n", run("GET a"))
      now = now + 51
      assert.equal("$-1\r\n", run("GET a"))
    end)

    it("not where the deadline was taken back", function()
      run("SET a 1 PX 100", "PERSIST a", "SET b 1 PX 100", "SET b 2",
        "SET c 1 PX 100", "GETEX c PERSIST")
      now = now + 1000
      assert.equal("$1\r\n1\r\n$1\r\n2\r\n$1\r\n1\r\n",
        run("GET a", "GET b", "GET c"))
    end)

    it("which INCR, APPEND and SET KEEPTTL leave as it was", function()
      run("SET a 1 PX 100", "INCR a", "APPEND a 0", "SET a 7 KEEPTTL")
      assert.equal("$1\r\n7\r\n:100\r\n", run("GET a", "PTTL a"))
      now = now + 101
      assert.equal("$-1\r\n", run("GET a"))
    end)

    it("which RENAME takes along", function()
      run("SET a 1 PX 100", "SET b 2", "RENAME a b")
      assert.equal(":100\r\n", run("PTTL b"))
      now = now + 101
      assert.equal(":0\r\n", run("DBSIZE"))
    end)

    it("at once where the deadline is over", function()
      assert.equal("+OK\r\n$-1\r\n", run("SET a 1 PXAT 5", "GET a"))
      assert.equal("+OK\r\n:1\r\n:0\r\n", run("SET a 1", "EXPIRE a -1",
        "EXISTS a"))
    end)

    it("and time never goes back", function()
      run("SET a 1 PX 100")
      store:apply("", { time = now + 200 })
      store:apply("", { time = now })
      assert.equal("$-1\r\n", ask("GET a"))
    end)

    it("in any number, in the order of their time", function()
      local count = 500
      for i = 1, count do
        run(("SET k%d 1 PX %d"):format(i, i * 7919 % count + 1))
      end
      for ms = 1, count do
        store:apply("", { time = now + ms + 1 })
        assert.equal((":%d\r\n"):format(count - ms), ask("DBSIZE"))
      end
      assert.is_false(store:is_overdue(now + 1e9))
    end)

    it("without a growing list of deadlines that mean nothing", function()
      for _ = 1, 10000 do run("SET a 1 EX 100") end
      assert.is_true(store.keys.queue.count < 100)
    end)
  end)

  describe("orders", function()
    it("KEYS by their bytes", function()
      run("MSET b 1 a 1 \255 1 B 1 aa 1")
      assert.equal("*5\r\n$1\r\nB\r\n$1\r\na\r\n$2\r\naa\r\n$1\r\nb\r\n"
        .. "$1\r\n\255\r\n", ask("KEYS *"))
    end)
  end)

  describe("as a snapshot", function()
    local function pieces_of(source)
      local pieces = {}
      source.keys:save(function(piece) pieces[#pieces + 1] = piece end)
      return table.concat(pieces)
    end

    local function restored(bytes, size)
      local copy, at = Store.new(), 1
      copy.keys:load(function()
        if at > #bytes then return nil end
        at = at + size
        return bytes:sub(at - size, at - 1)
      end)
      return copy
    end

    local function contents(of)
      return { of.keys.values, of.keys.ends, of.keys.now, of.keys.count,
        of.keys.ending_count }
    end

    it("comes back, however it was cut", function()
      run("SET a 1", "SET b 2 EX 100", 'SET "" ""')
      for i = 1, 30 do run(("SET k%d %s"):format(i, ("v"):rep(i))) end
      local bytes = pieces_of(store)
      for _, size in ipairs { 1, 2, 3, 7, 64, #bytes } do
        assert.same(contents(store), contents(restored(bytes, size)))
      end
    end)

    it("ends its keys as the original does", function()
      run("SET a 1 PX 100", "SET b 1 PX 50")
      store = restored(pieces_of(store), 64)
      now = now + 51
      assert.equal("$1\r\n1\r\n$-1\r\n", run("GET a", "GET b"))
      now = now + 50
      assert.equal(":0\r\n", run("DBSIZE"))
    end)

    it("takes the place of what was there", function()
      local empty = pieces_of(store)
      run("SET a 1 EX 10")
      local at = 0
      store.keys:load(function()
        at = at + 1
        return at == 1 and empty or nil
      end)
      assert.equal(":0\r\n", ask("DBSIZE"))
      assert.is_false(store:is_overdue(1 << 60))
    end)

    it("writes large states in pieces", function()
      for i = 1, 100 do run(("SET k%d %s"):format(i, ("v"):rep(4000))) end
      local longest, count = 0, 0
      store.keys:save(function(piece)
        longest, count = math.max(longest, #piece), count + 1
      end)
      assert.is_true(count > 4 and longest < 80000)
    end)

    it("raises where it was cut short, or is of another format", function()
      run("SET a 1")
      local bytes = pieces_of(store)
      for size = 0, #bytes - 1 do
        if size ~= 12 then  -- the head alone: no keys
          assert.has_error(function() restored(bytes:sub(1, size), 64) end,
            "a snapshot of keys ends in the middle of one")
        end
      end
      assert.has_error(function()
        restored(("<I4i8"):pack(2, 0), 64)
      end, "a snapshot of keys has format 2, not 1")
    end)
  end)

  it("ends as the same on three, one of which came in later", function()
    local helper = require "spec.support.helper"
    helper.seed()
    local stores = { Store.new(), Store.new() }
    for i = 1, 2000 do
      local key, ms = "k" .. math.random(20), math.random(50)
      local line = ({ "SET %s 1 PX %d", "INCRBY %s %d", "PEXPIRE %s %d",
        "APPEND %s %d" })[math.random(4)]:format(key, ms)
      local bytes = batch.pack { segment { line } }
      now = now + math.random(0, 5)
      local results = {}
      for n, each in ipairs(stores) do
        results[n] = each:apply(bytes, { time = now })
        assert.same(results[1], results[n])
      end
      if i == 1000 then
        local pieces, at, third = {}, 0, Store.new()
        stores[1].keys:save(function(piece) pieces[#pieces + 1] = piece end)
        third.keys:load(function() at = at + 1 return pieces[at] end)
        stores[3] = third
      end
    end
    for _, each in ipairs(stores) do
      assert.same(stores[1].keys.values, each.keys.values)
      assert.same(stores[1].keys.ends, each.keys.ends)
    end
  end)
end)

describe("examples/04_redis, patterns", function()
  -- pattern, what fits, what does not
  local cases <const> = {
    { "*", { "", "a", "abc" }, {} },
    { "", { "" }, { "a" } },
    { "a*", { "a", "ab" }, { "", "ba" } },
    { "*a", { "a", "ba", "aa" }, { "ab" } },
    { "a*b*c", { "abc", "aXbXc", "abbc" }, { "ab", "acb" } },
    { "h?llo", { "hello", "hallo" }, { "hllo", "heello" } },
    { "h[ae]llo", { "hello", "hallo" }, { "hillo" } },
    { "h[^e]llo", { "hallo" }, { "hello" } },
    { "[a-c]", { "a", "b", "c" }, { "d", "-" } },
    { "[c-a]", { "a", "b", "c" }, { "d" } },
    { "[a\\]b]", { "a", "]", "b" }, { "\\" } },
    { "[ab", { "a", "b" }, { "[" } },
    { "[]", {}, { "", "[", "]", "a" } },
    { "a\\*", { "a*" }, { "ab", "a\\*" } },
    { "a\\", { "a\\" }, { "a" } },
    { "%a.+", { "%a.+" }, { "abc" } },
    { "\0*", { "\0", "\0a" }, { "a" } },
  }

  for _, case in ipairs(cases) do
    it(("%q"):format(case[1]), function()
      local fits = glob.matcher(case[1])
      for _, text in ipairs(case[2]) do assert.is_true(fits(text), text) end
      for _, text in ipairs(case[3]) do assert.is_false(fits(text), text) end
    end)
  end

  it("do not take for ever", function()
    local fits = glob.matcher(("a*"):rep(50) .. "b")
    assert.is_false(fits(("a"):rep(2000)))
  end)
end)

describe("examples/04_redis, numbers", function()
  it("are decimal 64-bit integers without any decoration", function()
    for _, text in ipairs { "0", "-1", "9223372036854775807",
      "-9223372036854775808" } do
      assert.equal(math.tointeger(tonumber(text)), numbers.integer(text))
    end
    for _, text in ipairs { "", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0",
      "0x10", "1e3", "9223372036854775808", "-9223372036854775809",
      "99999999999999999999", "nan" } do
      assert.is_nil(numbers.integer(text), text)
    end
  end)
end)
