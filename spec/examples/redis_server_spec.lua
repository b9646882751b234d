-- The server of examples/04_redis over real sockets, with a stand-in for the
-- node: what clients see of order, errors, limits and ends.
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local redis = require "spec.support.redis"

local request = redis.request

describe("examples/04_redis, the server", function()
  local server, node

  before_each(function()
    server = redis.server()
    node = server.node
  end)
  after_each(function() server:close() end)

  local function connect()
    return assert(redis.connect(server.port))
  end

  -- The node waits, at each call, until `open.go` is true.
  local function hold()
    local gate = { waiting = {} }
    function node.before()
      if gate.go then return end
      gate.waiting[#gate.waiting + 1] = coroutine.running()
      coroutine.yield()
    end
    function gate.open()
      gate.go = true
      for _, co in ipairs(gate.waiting) do assert(coroutine.resume(co)) end
    end
    return gate
  end

  describe("with a pipeline", function()
    it("answers in order, whoever answers", function()
      local client <close> = connect()
      local replies = client:ask("PING\r\n" .. request("SET", "a", "1")
        .. request("GET", "a") .. "PING\r\n" .. request("HUH")
        .. request("INCR", "a") .. request("KEYS", "*") .. request("GET", "a")
        .. request("GET"), 9)
      assert.same({ "+PONG\r\n", "+OK\r\n", "$1\r\n1\r\n", "+PONG\r\n",
        "-ERR unknown command 'HUH', with args beginning with: \r\n",
        ":2\r\n", "*1\r\n$1\r\na\r\n", "$1\r\n2\r\n",
        "-ERR wrong number of arguments for 'get' command\r\n" }, replies)
    end)

    it("makes one entry of many writes", function()
      local client <close> = connect()
      client:ask(request("INCR", "a"):rep(500), 500)
      assert.equal(1, #node.proposed)
    end)

    it("makes one query of many reads", function()
      local client <close> = connect()
      client:ask((request("GET", "a") .. request("KEYS", "*")):rep(250), 500)
      assert.equal(1, node.queried)
      assert.equal(0, #node.proposed)
    end)

    it("sends reads behind a write along with it", function()
      local client <close> = connect()
      client:ask(request("GET", "a") .. request("INCR", "a")
        .. request("GET", "a"):rep(3) .. request("INCR", "a"), 6)
      assert.equal(1, #node.proposed)
      assert.equal(1, node.queried)
    end)

    it("makes one entry of what several connections send", function()
      local clients = {}
      for i = 1, 5 do clients[i] = connect() end
      local gate = hold()
      for _, client in ipairs(clients) do client:send(request("INCR", "a")) end
      helper.wait_until(function() return #gate.waiting > 0 end)
      gate.open()
      local seen = {}
      for _, client in ipairs(clients) do
        seen[client:wait(1)[1]] = true
        client:close()
      end
      for i = 1, 5 do assert.is_true(seen[(":%d\r\n"):format(i)]) end
      assert.is_true(#node.proposed <= 5)
    end)

    it("has one part of a connection under way at a time", function()
      local client <close> = connect()
      local gate = hold()
      client:send(request("INCR", "a"))
      helper.wait_until(function() return #gate.waiting == 1 end)
      client:send(request("INCR", "a"):rep(10))
      local other <close> = connect()
      other:ask("PING\r\n")  -- by now the server has read the ten, too
      assert.equal(1, #node.proposed)
      gate.open()
      assert.equal(":11\r\n", client:wait(11)[11])
      assert.equal(2, #node.proposed)
    end)

    it("goes on where a part had too many replies", function()
      local client <close> = connect()
      local value = ("v"):rep(100000)
      local replies = client:ask(request("SET", "a", value)
        .. request("GET", "a"):rep(50), 51)
      assert.equal(51, #replies)
      for i = 2, 51 do assert.equal("$100000\r\n" .. value .. "\r\n",
        replies[i]) end
    end)
  end)

  describe("asked about a key whose time is over", function()
    it("has an entry bring the time first", function()
      local client <close> = connect()
      client:ask(request("SET", "a", "1", "PX", "1"))
      local reply
      repeat  -- until that ms is over
        reply = client:ask(request("GET", "a"))[1]
      until reply == "$-1\r\n"
      assert.equal("", node.proposed[#node.proposed])
    end)

    it("does so for TTL, and not for a GET of what lives", function()
      local client <close> = connect()
      client:ask(request("SET", "a", "1", "EX", "100"))
      client:ask(request("GET", "a"))
      assert.equal(1, #node.proposed)
      assert.equal(":100\r\n", client:ask(request("TTL", "a"))[1])
      assert.equal(2, #node.proposed)
    end)
  end)

  describe("when raft says no", function()
    local function reply_to(err, ...)
      node.err = err
      local client <close> = connect()
      return client:ask(request(...))[1]
    end

    it("says TRYAGAIN where nothing was done", function()
      for _, code in ipairs { "busy", "lost", "not_leader" } do
        assert.equal("-TRYAGAIN words; nothing was done\r\n",
          reply_to(errors.new(code, "words"), "SET", "a", "1"))
      end
    end)

    it("says CLUSTERDOWN where a write may have been done", function()
      for _, code in ipairs { "timeout", "unknown" } do
        assert.equal("-CLUSTERDOWN words; it may have been done\r\n",
          reply_to(errors.new(code, "words"), "SET", "a", "1"))
        assert.equal("-CLUSTERDOWN words; nothing was done\r\n",
          reply_to(errors.new(code, "words"), "GET", "a"))
      end
    end)

    it("says what else it is", function()
      assert.equal("-MISCONF words; nothing was done\r\n",
        reply_to(errors.new("no_space", "words"), "SET", "a", "1"))
      assert.equal("-ERR words; nothing was done\r\n",
        reply_to(errors.new("closed", "words"), "SET", "a", "1"))
      assert.equal("-ERR words; nothing was done\r\n", reply_to(errors.new(
        "not_leader", "words", { retry = false }), "SET", "a", "1"))
      node.state.state = "restoring"
      assert.equal("-LOADING words; nothing was done\r\n",
        reply_to(errors.new("timeout", "words"), "GET", "a"))
      assert.equal("-CLUSTERDOWN words; it may have been done\r\n",
        reply_to(errors.new("timeout", "words"), "SET", "a", "1"))
    end)

    it("says so once for each command, and goes on", function()
      local client <close> = connect()
      node.err = errors.new("timeout", "words")
      local replies = client:ask(request("SET", "a", "1"):rep(3)
        .. "PING\r\n", 4)
      assert.equal(replies[1], replies[3])
      assert.equal("+PONG\r\n", replies[4])
      node.err = false
      assert.equal("$-1\r\n", client:ask(request("GET", "a"))[1])
    end)
  end)

  describe("at the end of a connection", function()
    it("answers what came before, and no more after QUIT", function()
      local client <close> = connect()
      assert.equal("+OK\r\n:1\r\n+OK\r\n", client:exhaust(
        request("SET", "a", "0") .. request("INCR", "a") .. "QUIT\r\nPING\r\n"))
    end)

    it("answers all of it where the other end only listens now", function()
      local client <close> = connect()
      local gate = hold()
      client:send(request("SET", "a", "1") .. request("GET", "a"))
      client.socket:shutdown()
      helper.wait_until(function() return #gate.waiting == 1 end)
      gate.open()
      helper.wait_until(function() return client.has_ended end)
      assert.equal("+OK\r\n$1\r\n1\r\n", client.bytes)
      helper.wait_until(function() return server.client_count == 0 end)
    end)

    it("does what is under way and forgets the rest", function()
      local client <close> = connect()
      local gate = hold()
      client:send(request("SET", "a", "1"))
      helper.wait_until(function() return #gate.waiting == 1 end)
      client:close()
      helper.wait_until(function() return server.client_count == 0
        or next(server.clients).is_ending end)
      gate.open()
      helper.wait_until(function() return server.client_count == 0 end)
      local other <close> = connect()
      assert.equal("$1\r\n1\r\n", other:ask(request("GET", "a"))[1])
    end)

    it("answers what was good before it hangs up over what is not", function()
      local client <close> = connect()
      assert.equal("+OK\r\n-ERR Protocol error: invalid bulk length\r\n",
        client:exhaust(request("SET", "a", "1") .. "*1\r\n$x\r\n"))
    end)
  end)

  describe("bounds what it holds", function()
    it("of a client that does not fetch its replies", function()
      local client <close> = connect()
      client:ask(request("SET", "a", ("v"):rep(1 << 20)))
      client.socket:read_stop()
      local gets <const> = 100
      client:send(request("GET", "a"):rep(gets))
      local connection = next(server.clients)
      helper.wait_until(function() return connection.is_full end)
      assert.is_true(connection.socket:get_write_queue_size() < 4 << 20)
      assert.is_true(node.queried < gets)
      local bytes = 0
      client.socket:read_start(function(_, chunk) bytes = bytes + #chunk end)
      helper.wait_until(function()
        return bytes == gets * ((1 << 20) + 12)
      end)
    end)

    it("of a client that sends without waiting", function()
      local client <close> = connect()
      local gate = hold()
      local value, count = ("v"):rep(60000), 100
      client:send(request("SET", "a", value):rep(count))
      local connection
      helper.wait_until(function()
        connection = next(server.clients)
        return connection and connection.is_waiting
          and not connection.is_reading
      end)
      assert.is_true(connection.requests.bytes < 1 << 20)
      gate.open()
      assert.equal(count, #client:wait(count))
      assert.is_true(connection.is_reading)
    end)

    it("of replies that need nobody else, and of time for them", function()
      local client <close> = connect()
      local count <const> = 3000
      client:send("COMMAND\r\n")
      local size = #client:wait(1)[1]
      client.socket:read_stop()
      client:send(("COMMAND\r\n"):rep(count))
      local connection = next(server.clients)
      helper.wait_until(function()
        return connection.is_full and not connection.requests:is_empty()
      end)
      local other <close> = connect()
      assert.equal("+PONG\r\n", other:ask("PING\r\n")[1])
      assert.is_true(connection.requests.last - connection.requests.first
        > count // 2)
      assert.is_true(connection.socket:get_write_queue_size() < 2 << 20)
      local bytes = 0
      client.socket:read_start(function(_, chunk) bytes = bytes + #chunk end)
      helper.wait_until(function() return bytes == count * size end, 15000)
    end)

    it("of clients", function()
      server.clients_max = 2
      local first <close> = connect()
      local second <close> = connect()
      helper.wait_until(function() return server.client_count == 2 end)
      local third <close> = connect()
      assert.equal("-ERR max number of clients reached\r\n", third:exhaust(""))
      assert.equal("+PONG\r\n", first:ask("PING\r\n")[1])
      assert.equal("+PONG\r\n", second:ask("PING\r\n")[1])
    end)
  end)

  describe("tells of itself", function()
    it("as a leader", function()
      local client <close> = connect()
      local text = client:ask(request("INFO"))[1]
      for _, line in ipairs { "# Server", "redis_version:7.0.15",
        "tcp_port:" .. server.port, "# Clients", "connected_clients:1",
        "# Replication", "role:master", "connected_slaves:1",
        "slave0:ip=127.0.0.1,port=7132,state=replicate,offset=1,lag=0",
        "raft_role:leader", "raft_leader:n1", "# Keyspace" } do
        assert.is_truthy(text:find(line .. "\r\n", 1, true), line)
      end
    end)

    it("as a follower, and where nobody leads", function()
      local client <close> = connect()
      node.state.role, node.state.peers = "follower", nil
      local text = client:ask(request("INFO", "replication"))[1]
      assert.is_truthy(text:find("role:slave\r\nmaster_host:127.0.0.1\r\n"
        .. "master_port:7131\r\nmaster_link_status:up\r\n", 1, true))
      function node.leader() end
      text = client:ask(request("INFO", "Replication", "huh"))[1]
      assert.is_truthy(text:find("master_link_status:down\r\n", 1, true))
      assert.is_nil(text:find("# Server", 1, true))
    end)

    it("with its keys", function()
      local client <close> = connect()
      client:ask(request("SET", "a", "1", "EX", "100") .. request("SET", "b",
        "1"), 2)
      assert.equal("$44\r\n# Keyspace\r\n"
        .. "db0:keys=2,expires=1,avg_ttl=0\r\n\r\n",
        client:ask(request("INFO", "keyspace"))[1])
    end)

    it("with its clients", function()
      local first <close> = connect()
      local second <close> = connect()
      first:ask(request("CLIENT", "SETNAME", "me"))
      second:ask("PING\r\n")
      local own = first:ask(request("CLIENT", "INFO"))[1]
      assert.matches("id=1 addr=127.0.0.1:%d+ laddr=127.0.0.1:%d+ name=me db=0",
        own)
      local all = second:ask(request("CLIENT", "LIST"))[1]
      assert.matches("id=1 .-\nid=2 .-\n", all)
    end)

    it("to HELLO", function()
      local client <close> = connect()
      local text = client:ask(request("HELLO", "2"))[1]
      assert.matches("^%*14\r\n%$6\r\nserver\r\n%$5\r\nredis\r\n", text)
      assert.equal("-NOPROTO unsupported protocol version\r\n",
        client:ask(request("HELLO", "3"))[1])
    end)

    it("with all its commands", function()
      local client <close> = connect()
      local count = tonumber(client:ask(request("COMMAND", "COUNT"))[1]:match(
        "%d+"))
      local text = client:ask(request("COMMAND"))[1]
      assert.equal(count, tonumber(text:match("^%*(%d+)")))
      assert.is_truthy(text:find("$3\r\nget\r\n:2\r\n", 1, true))
    end)
  end)

  it("brings the time for keys that nobody asks for, while it leads", function()
    local client <close> = connect()
    client:ask(request("SET", "a", "1", "PX", "1"))
    helper.wait_until(function() return server.store:counts() == 0 end)
    assert.equal("", node.proposed[#node.proposed])
  end)
end)

describe("examples/04_redis, Redis' own tools #house", function()
  local server
  before_each(function() server = redis.server() end)
  after_each(function() server:close() end)

  -- Runs one of them; text and exit status, or nil and why not.
  local function run(name, arguments, input)
    local path, why = redis.tool(name)
    if not path then return nil, why end
    arguments = { "-p", tostring(server.port), table.unpack(arguments) }
    local process <close> = redis.start(path, arguments, input)
    local text, status = process:wait(15000)
    assert.equal("", process.errors)
    return text, status
  end

  it("redis-cli runs a session", function()
    local text, status = run("redis-cli", {}, "set a 1\nincr a\n"
      .. "get nothing\nmget a nothing\nset a 1 nx\nhuh 1\nexpire a 100\nttl a\n"
      .. "client setname me\nselect 0\nselect 1\ndbsize\n")
    if not text then return pending(status) end
    assert.equal("OK\n2\n\n2\n\n\nERR unknown command 'huh', with args "
      .. "beginning with: '1' \n\n1\n100\nOK\nOK\n"
      .. "ERR DB index is out of range\n\n1\n", text)
    assert.equal(0, status)
  end)

  it("redis-cli sends what a file has, in one stream", function()
    local pieces = {}
    for i = 1, 5000 do pieces[i] = request("SET", "k" .. i, "v" .. i) end
    local text, status = run("redis-cli", { "--pipe" }, table.concat(pieces))
    if not text then return pending(status) end
    assert.matches("errors: 0, replies: 5000", text)
    assert.equal(5000, (server.store:counts()))
  end)

  it("redis-benchmark finds nothing to complain of", function()
    local text, status = run("redis-benchmark", { "-q", "-n", "2000", "-c",
      "10", "-P", "16", "-r", "100", "-t", "ping,set,get,incr,mset" })
    if not text then return pending(status) end
    assert.equal(0, status)
    for _, name in ipairs { "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR",
      "MSET %(10 keys%)" } do
      assert.matches(name .. ": [%d.]+ requests per second", text)
    end
    assert.is_nil(text:find("WARN", 1, true))
    assert.is_nil(text:find("rror", 1, true))
  end)
end)
