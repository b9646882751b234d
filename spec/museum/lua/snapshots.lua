--- Old bugs of snapshots: files that are lost while another one is made, and
-- transfers that never come to their end.
local Life = require "spec.storage.life"
local errors = require "raft.errors"
local made = require "spec.storage.entries"
local pieces = require "spec.museum.lua.pieces"

local SEEDS <const> = 8      -- a power cut leaves one of many states: try some
local STEPS_MAX <const> = 60 -- disk operations of one snapshot, at most
local ENTRY_BYTES <const> = 8000
local STATE <const> = ("state "):rep(1 << 20) -- takes a second to ship
local FILLER <const> = ("x"):rep(2000)
local SNAPSHOT_BYTES <const> = 20000
local TRANSFER_MS <const> = 20000

local on_cluster = pieces.on_cluster

----------------------------------------------------------------- on a disk --

local function append(life, count)
  for _ = 1, count do
    local index = #life.states[life.asked].log + 1
    life:store(index, { made.entries(index, index, 1, ENTRY_BYTES) }, 1, 0)
    life:settle()
  end
end

-- A life that needs its snapshot: the log begins behind it.
local function needy(seed)
  local life = Life.new(seed)
  assert(life:open())
  append(life, 12)
  life:let_go()
  append(life, 3)
  return life
end

local function must_open(life)
  local ok, err = life:open()
  if not ok then error("no start: " .. err.message, 0) end
  assert(life.storage.recovered:fields().base_index > 0, "a log from 1 on")
end

local function cut_power(life)
  life.computer:crash("power")
  life:ended()
end

-- Another snapshot, and the power fails at the n-th operation; false when it
-- was made before that.
local function cut_at(life, n)
  life:kill_at(n, "power")
  life:publish(life.states[life.asked].commit, 1)
  local was_cut = life.is_killed
  life:ended("power")
  return was_cut
end

local function cut_everywhere()
  for seed = 1, SEEDS do
    for n = 1, STEPS_MAX do
      local life = needy(seed)
      local was_cut = cut_at(life, n)
      must_open(life)
      if not was_cut then break end
      assert(n < STEPS_MAX, "it never ends")
    end
  end
end

-- The first sync of a snapshot fails. What comes of it is let go of at once.
local function fail_one_sync()
  for seed = 1, SEEDS do
    local life = needy(seed)
    local publish, has_failed = life.publish, false
    function life:publish(...)
      if not has_failed then self.disk:fail_next("fsync") end
      has_failed = true
      return publish(self, ...)
    end
    life:let_go()
    cut_power(life)
    must_open(life)
  end
end

------------------------------------------------------------ over a network --

-- A service with a state that takes a second and more to ship.
local function heavy()
  local count = 0
  return {
    apply = function(command)
      if command ~= "filler" then count = count + 1 end
      return count
    end,
    snapshot = function() return count .. " " .. STATE end,
    restore = function(bytes) count = math.tointeger(bytes:match("^%d+")) end,
    snapshot_bytes = SNAPSHOT_BYTES, snapshot_mode = "inline",
  }
end

-- Somebody is away until the others' logs begin behind what it has; then runs
-- story(s, client, id of the leader, that of who was away).
local function behind_a_snapshot(story)
  local network = { delay = { 50, 50 } }
  on_cluster({ node = heavy, network = network }, function(s, client)
    local leader = s:leader()
    local away = pieces.others(s, leader)[1]
    s:crash(away)
    for _ = 1, 30 do assert(client:propose(FILLER)) end
    assert(s:node(leader):take_snapshot())
    pieces.must(s, "shorter log", 5000, function()
      return s:node(leader):status().first > 20
    end)
    s:restart(away)
    story(s, client, leader, away)
  end)
end

local function sent_to(s, leader, id)
  local peer = s:node(leader):status().peers[id]
  return peer and peer.snapshot and peer.snapshot.sent or 0
end

local function must_catch_up(s, leader, away)
  pieces.must(s, "end of the transfer", TRANSFER_MS, function()
    return s:node(away):status().applied >= s:node(leader):status().snapshot
  end)
end

-- The connection breaks when a part is there.
local function broken_transfer()
  behind_a_snapshot(function(s, _, leader, away)
    pieces.must(s, "part of the file", TRANSFER_MS, function()
      return sent_to(s, leader, away) > #STATE // 4
    end)
    s:cut(leader, away)
    s:sleep(6000)
    s:heal()
    must_catch_up(s, leader, away)
  end)
end

-- While one is on its way, others are taken.
local function transfer_beside_snapshots()
  behind_a_snapshot(function(s, client, leader, away)
    local is_over = false
    local task = s:spawn(function()
      while not is_over do
        client:propose(FILLER)
        s:node(leader):take_snapshot()
        s:sleep(200)
      end
    end)
    must_catch_up(s, leader, away)
    is_over = true
    task:wait()
  end)
end

return {
  { number = 73, name = "a_snapshot_is_written_over_the_one_before",
    reason = "no start: ",
    bug = { "raft.storage.snapshots", "unfinished_path", function(path_of)
      return function(snapshots, meta)
        return snapshots.newest and snapshots.newest.path
          or path_of(snapshots, meta)
      end
    end },
    run = cut_everywhere },

  { number = 73, name = "the_one_before_goes_too_early",
    reason = "no start: no snapshot in /data/n1 fits the log",
    bug = { "raft.storage.snapshots", "publish", function(publish)
      return function(snapshots, meta, done)
        snapshots:settled(meta)
        publish(snapshots, meta, done)
      end
    end },
    run = cut_everywhere },

  -- The failed sync alone would be noticed when the file is read back.
  { number = 76, name = "a_snapshot_that_failed_is_called_a_success",
    reason = "no start: no snapshot in /data/n1 fits the log",
    bug = { "raft.storage.snapshots", "publish", function(publish)
      return function(snapshots, meta, done)
        publish(snapshots, meta, function(err, info)
          done(nil, err and meta or info)
        end)
      end
    end },
    run = fail_one_sync },

  -- The receiver knows the file, and says nothing.
  { number = 78, name = "the_offer_of_a_known_file_is_not_answered",
    reason = "no end of the transfer within",
    bug = { "raft.node.receiving", "go_on", function()
      return function() end
    end },
    run = broken_transfer },

  { number = 108, name = "a_transfer_gives_way_to_each_newer_file",
    reason = "no end of the transfer within",
    bug = { "raft.node.shipping", "may_stay_pinned", function()
      return function(shipping, shipment)
        local newest = shipping.driver.storage.snapshots.newest
        if newest.index == shipment.source.info.index then return true end
        shipment:give_up(errors.new("too_large", "a newer one is there"))
        return false
      end
    end },
    run = transfer_beside_snapshots },
}
