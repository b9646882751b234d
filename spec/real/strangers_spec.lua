-- What anybody may do to a peer port: the cluster goes on.
local Cluster = require "spec.support.cluster"
local core = require "raft.core"
local helper = require "spec.support.helper"
local links = require "spec.support.links"

local SILENT <const> = 150  -- connections that say nothing
local NOISY <const> = 30    -- connections that say something wrong

local ELECTION <const> = { 2000, 4000 }  -- nobody times out here

local cluster, leader, done, is_over

local function up()
  cluster = Cluster.new { election = ELECTION }
  cluster:up()
  leader = cluster:leader()
end

local function down() cluster:close() end

-- Proposes all the time, through every node.
local function start_proposing()
  done, is_over = 0, false
  for _, id in ipairs(cluster.ids) do
    local function again()
      if is_over then return end
      cluster:node(id):propose("x", function(err)
        assert(not err, err)
        done = done + 1
        again()
      end)
    end
    again()
  end
end

-- Until all that was proposed has its answer.
local function stop_proposing()
  is_over = true
  helper.wait_until(function()
    for _, id in ipairs(cluster.ids) do
      if cluster:node(id):status().pending > 0 then return false end
    end
    return true
  end)
end

-- Still the same leader of the same term, and proposals go through.
local function check_goes_on(term)
  local before = done
  helper.wait_until(function() return done >= before + 30 end)
  assert.equal(term, leader:status().term)
  for _, id in ipairs(cluster.ids) do
    local status = cluster:node(id):status()
    assert.equal("running", status.state)
    assert.equal(leader.id, status.leader)
  end
  assert.same({}, cluster.errors.n1)
end

describe("strangers on the peer port", function()
  setup(up)
  before_each(start_proposing)
  after_each(stop_proposing)
  teardown(down)

  local function knock_with(make_bytes, counter)
    local term = leader:status().term
    local address = leader:status().listen
    local before = leader:status().transport[counter]
    local raws = {}
    for i = 1, NOISY do
      raws[i] = links.raw(address):read()
      raws[i]:send(make_bytes(i))
    end
    for _, raw in ipairs(raws) do
      raw:wait_ended()
      raw:close()
    end
    assert.truthy(leader:status().transport[counter] >= before + NOISY)
    check_goes_on(term)
  end

  it("may send garbage", function()
    helper.seed()
    knock_with(function(i)
      local bytes = {}
      for k = 1, 50 * i do bytes[k] = string.char(math.random(0, 255)) end
      return table.concat(bytes)
    end, "bad_frame")
  end)

  it("may promise giant frames", function()
    local ping = core.ping()
    knock_with(function(i)
      -- The length stands in the header; which bytes is not our business:
      -- each of them is made large in its turn.
      local at = i % #ping
      return ping:sub(1, at) .. "\xff\xff\xff\xff" .. ping:sub(at + 5)
    end, "bad_frame")
  end)

  it("may send frames that are no greeting", function()
    knock_with(function() return core.ping() end, "bad_frame")
  end)

  -- The identity of the cluster: of its first configuration.
  local function identity_of()
    local members = {}
    for id, address in pairs(cluster.members) do
      local file = core.identity_decode(cluster.dir:read(id .. "/identity"))
      members[id] = { address = address, role = "voter", priority = 0,
        incarnation = file.incarnation }
    end
    return core.config_identity({ members = members, leases = false,
      election_min_ms = ELECTION[1] }, "default")
  end

  -- The hello of an n9 that has this identity, or of a new one.
  local function hello_of_n9(identity)
    return core.hello_encode {
      version_min = 1, version_max = 1, purpose = "peer",
      formed = identity ~= nil, identity = identity, group = 0, plan = 0,
      incarnation = 77, starts = 1, nonce = 5, known = 0,
      cluster = "default", id = "n9", address = "127.0.0.1:1", to = leader.id,
    }
  end

  it("may greet as a new node, and are told how to come in", function()
    local term = leader:status().term
    local raw = links.raw(leader:status().listen):read()
    raw:send(hello_of_n9())
    raw:wait_ended()
    local frame = raw.got:sub(1, core.frame_size(raw.got))
    assert.equal("refuse", core.frame_kind(frame))
    local code, text = core.refusal_decode(frame)
    assert.equal("cluster_mismatch", code)
    assert.truthy(text:find("not a member: add it", 1, true), text)
    raw:close()
    check_goes_on(term)
  end)

  it("may know the cluster's identity, and then talk nonsense", function()
    helper.seed()
    local term = leader:status().term
    local identity = identity_of()
    for n = 1, 10 do
      local raw = links.raw(leader:status().listen):read()
      raw:send(hello_of_n9(identity))
      helper.wait_until(function() return #raw.got > 0 end)
      assert.equal("hello", core.frame_kind(raw.got))
      raw:send(core.ping())
      local bytes = {}
      for i = 1, 296 do bytes[i] = string.char(math.random(0, 255)) end
      -- All of a frame, or too large: else it would be waited for.
      raw:send(string.pack("<I4", n % 2 == 0 and 300 or math.random(1 << 31,
        (1 << 32) - 1)) .. table.concat(bytes))
      raw:wait_ended()
      raw:close()
    end
    check_goes_on(term)
  end)
end)

describe("strangers who are silent", function()
  before_each(function()
    up()
    start_proposing()
  end)
  after_each(function()
    stop_proposing()
    down()
  end)

  it("may be more than are let wait", function()
    local term = leader:status().term
    local address = leader:status().listen
    local raws = {}
    for i = 1, SILENT do raws[i] = links.raw(address):read() end
    check_goes_on(term)
    -- A restarted node finds its way in between them.
    local victim = cluster:followers()[1].id
    stop_proposing()
    assert.is_true(cluster:restart(victim):ready { timeout = 10000 })
    for _, raw in ipairs(raws) do raw:close() end
  end)
end)
