--- Uses of raft.core, one call each, for lua_alloc_test.c: which runs them
-- again and again, each time with the next allocation failing.
--
-- A use has `make`, which builds a world with memory to spare; `act`, one call
-- of the binding; `look`, which tells of the world what a failed call must not
-- change; and `finish`, all that is to come of it. What `act` answers and what
-- `finish` tells must be the same whether memory lacked on the way or not.
-- Where one has to do something else after a failure there is `again`.
-- Returns a function that puts values into words, and the list of uses.
local raft = require "raft.core"

local HELLO <const> = { id = "n1", cluster = "c1", to = "n2", address = "h:1",
  purpose = "peer", identity = ("i"):rep(16) }
local IDENTITY <const> = { sequence = 1, incarnation = 2, starts = 3,
  first_segment = 1, last_segment = 1, node = "n1", cluster = "c1" }
local OPTIONS <const> = { id = "n1", incarnation = 100, seed = 1,
  election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
  command_bytes_max = 600, pending_bytes_max = 4000, message_bytes_max = 256,
  inflight_bytes_max = 1024, memory_bytes_max = 4096 }

local function config(count)
  local members = {}
  for i = 1, count do
    members["n" .. i] = { address = "h:" .. i, incarnation = 99 + i }
  end
  return { election_min_ms = 100, members = members }
end

local JOINT <const> = { election_min_ms = 100, joint = true, leases = true,
  identity = ("i"):rep(16), quorum = { election = 2, commit = 2 },
  next_quorum = { election = { { "n1", "n2" } }, commit = { { "n1" } } },
  members = { n1 = { address = "h:1" }, n2 = { address = "h:2" },
    n3 = { address = "h:3", next_role = false } } }

------------------------------------------------------------------- worlds --

local function other_options(id)
  local options = {}
  for key, value in pairs(OPTIONS) do options[key] = value end
  options.id = id
  return options
end

-- Long texts by their size and a sum that no two of them share by chance.
local function shown(bytes)
  if #bytes < 40 then return ("%q"):format(bytes) end
  local sum = 0
  for i = 1, #bytes do sum = sum * 31 + bytes:byte(i) end
  return ("%d bytes %x"):format(#bytes, sum)
end

-- Values in words: tables by their fields in order, objects by their kind.
local text

local function words(value)
  local kind = type(value)
  if kind == "string" then return shown(value) end
  if kind == "userdata" or kind == "function" then return kind end
  if kind ~= "table" then return tostring(value) end
  local list = {}
  for key, inner in pairs(value) do
    list[#list + 1] = tostring(key) .. "=" .. text(inner)
  end
  table.sort(list)
  return "{" .. table.concat(list, " ") .. "}"
end

function text(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = words(list[i]) end
  return table.concat(list, " ", 1, list.n)
end

-- All effects that are due, in words; those for the disk are reported at once.
local function drain(world, keep)
  local lines, core = {}, world.core
  for _ = 1, 20 do
    local before, seq = #lines, nil
    for kind, after, a, b, c, d, e in core:effects() do
      lines[#lines + 1] = text(kind, after, a, b, c, d, e)
      if kind == "store" then seq = a end
      if kind == "send" and keep then keep[#keep + 1] = b end
      if kind == "apply" then world.apply = b end
    end
    if seq then core:stored(world.now, seq) end
    if world.apply then
      core:applied(world.now, world.apply)
      world.apply = nil
    end
    if #lines == before then break end
  end
  return table.concat(lines, "\n")
end

local function fresh()
  local world = { core = raft.new(OPTIONS), now = 1000 }
  return world
end

local function started()
  local world = fresh()
  assert(world.core:start(1000))
  return world
end

-- What each has to say to the other arrives, until both are silent.
local function talk(world, peer)
  repeat
    local mine, theirs = {}, {}
    drain(world, mine)
    for i = 1, #mine do
      assert(peer.core:receive(peer.now, peer.reader, mine[i]))
    end
    drain(peer, theirs)
    for i = 1, #theirs do
      assert(world.core:receive(world.now, world.reader, theirs[i]))
    end
  until #mine + #theirs == 0
end

-- n2, as it hears of n1.
local function peer_of(world, count)
  local peer = { core = raft.new(other_options "n2"), now = 2000 }
  assert(peer.core:start(1000) and peer.core:form(1000, config(count)))
  peer.reader = peer.core:reader("n1", 100)
  world.reader = world.core:reader("n2", 101)
  world.peer = peer
  return peer
end

-- The leader of a cluster of so many; of three n2 votes for it, n3 is silent.
local function leader(count)
  local world = started()
  assert(world.core:form(1000, config(count)))
  local peer = count > 1 and peer_of(world, count)
  world.now = 2000
  assert(world.core:tick(2000))
  if peer then talk(world, peer) else drain(world) end
  assert(world.core:status().role == "leader", world.core:status().role)
  return world
end

-- n2, and a frame for it from n1, its leader.
local function follower()
  local world = leader(3)
  local peer = world.peer
  assert(world.core:propose(world.now, ("x"):rep(450)))
  local sent = {}
  drain(world, sent)
  for i = 1, #sent do peer.chunk = peer.chunk or #sent[i] > 99 and sent[i] end
  assert(peer.chunk)
  assert(peer.core:status().leader == "n1")
  return peer
end

-- A log of one segment with three entries, written by the binding.
local function written()
  local core = leader(1)
  core.core:propose(core.now, "one", "two")
  local world = { wal = raft.wal_new(1, 0, 4096), entries = {} }
  for kind, _, _, bytes in core.core:effects() do
    if kind == "store" then world.entries[1] = bytes end
  end
  -- Entries begin at 3 here; those before came earlier.
  assert(#world.entries == 1)
  world.wal:recovery()
  return world
end

local function segment()
  local world = written()
  world.head = world.wal:segment(7, 4096 * 8)
  return world
end

-- Entries 1 and 2, the configuration and the first no-op, then two commands.
local function log()
  local core, list = started(), {}
  core.core:form(1000, config(1))
  local function take()
    for kind, _, seq, bytes in core.core:effects() do
      if kind == "store" then
        list[#list + 1] = bytes
        core.core:stored(core.now, seq)
      end
    end
  end
  take()
  core.now = 2000
  for _ = 1, 4 do
    core.core:tick(2000)
    take()
  end
  core.core:propose(2000, "one", "two")
  take()
  local world = { wal = raft.wal_new(1, 0, 4096), lists = {} }
  world.wal:recovery()
  world.head = world.wal:segment(7, 4096 * 8)
  for _, bytes in ipairs(list) do
    if bytes ~= "" then world.lists[#world.lists + 1] = { bytes } end
  end
  return world
end

local function stored_log()
  local world = log()
  world.file = world.head
  for _, list in ipairs(world.lists) do
    local bytes = world.wal:batch("data", 2, 1, 1, list)
    assert(world.wal:stored(bytes))
    world.file = world.file .. bytes
  end
  world.file = world.file .. ("\0"):rep(4096 * 8 - #world.file)
  return world
end

local function found()
  local world = stored_log()
  world.wal = raft.wal_new(1, 1, 64)
  return world
end

local function opened()
  local world = found()
  assert(world.wal:open(1, #world.file, true, world.file:sub(1, 4096)))
  return world
end

local function feed(world)
  while world.wal:want() do
    local from, size = world.wal:want()
    assert(world.wal:feed(world.file:sub(from + 1, from + size)))
  end
end

local function fed()
  local world = opened()
  feed(world)
  return world
end

----------------------------------------------------------------- the look --

local function of_core(world)
  return world.core:digest()
end

local function of_writer(world)
  return text(world.wal:position())
end

local function nothing() return "" end

local function all_to_come(world)
  local told = drain(world)
  return told .. world.core:digest() .. text(world.core:check())
end

------------------------------------------------------------------ the uses --

local uses = {}

local function use(name, make, act, look, finish)
  uses[#uses + 1] = { name = name, make = make or function() return {} end,
    act = act, look = look or nothing, finish = finish or nothing, again = act }
end

-- A call of a replica; `again` where the same call is not what to do next.
local function use_core(name, make, act, again)
  use(name, make, act, of_core, all_to_come)
  uses[#uses].again = again or act
end

-- An error is a reader's last word: the next connection sends it all again.
local function hear_anew(world)
  world.core:receive(world.now, world.reader, "more") -- it does not end us
  world.reader = world.core:reader("n1", 100)
  return world.core:receive(world.now, world.reader, world.chunk)
end

use("new", nil, function() return raft.new(OPTIONS) end)
use_core("start", fresh, function(w) return w.core:start(w.now) end)
use_core("start with a log", function()
  local world, core = fed(), fresh()
  core.recovery = world.wal:recovery()
  return core
end, function(w) return w.core:start(w.now, w.recovery) end)
use_core("form", started, function(w) return w.core:form(w.now, config(3)) end)
use_core("tick", function()
  local world = started()
  world.core:form(1000, config(3))
  drain(world)
  return world
end, function(w) return w.core:tick(3000) end)
use_core("propose", function() return leader(1) end,
  function(w) return w.core:propose(w.now, "a command") end)
use_core("propose many", function() return leader(3) end, function(w)
  return w.core:propose(w.now, "1", "2", "3", "4", "5", "6", "7", "8", "9",
    ("x"):rep(500))
end)
use_core("forward", follower,
  function(w) return w.core:forward(w.now, 7, ("x"):rep(500)) end)
use_core("read", function() return leader(3) end,
  function(w) return w.core:read(w.now, 7) end)
use_core("receive", follower,
  function(w) return w.core:receive(w.now, w.reader, w.chunk) end, hear_anew)
use_core("half a frame", follower,
  function(w) return w.core:receive(w.now, w.reader, w.chunk:sub(1, 30)) end,
  function(w)
    w.reader = w.core:reader("n1", 100)
    return w.core:receive(w.now, w.reader, w.chunk:sub(1, 30))
  end)
use_core("stored", function()
  local world = leader(1)
  world.core:propose(world.now, "a command")
  for kind, _, seq in world.core:effects() do
    if kind == "store" then world.seq = seq end
  end
  return world
end, function(w) return w.core:stored(w.now, w.seq) end)
use_core("reader", started, function(w) return w.core:reader("n3", 102) end)
use_core("unreachable", function() return leader(3) end,
  function(w) return w.core:unreachable(w.now, "n2") end)
use_core("space", started, function(w) return w.core:space(w.now, false) end)
use_core("transfer", function() return leader(3) end,
  function(w) return w.core:transfer(w.now) end)
use_core("wall", started, function(w) return w.core:wall(5) end)
use_core("entry", function() return leader(1) end,
  function(w) return w.core:entry(2) end)
use_core("term_at", started, function(w) return w.core:term_at(1) end)
use_core("config", function() return leader(3) end,
  function(w) return w.core:config() end)
use_core("status", function() return leader(3) end,
  function(w) return w.core:status() end)
use_core("digest", started, function(w) return w.core:digest() end)
use_core("check", started, function(w) return w.core:check() end)
use_core("deadline", started, function(w) return w.core:deadline() end)
use_core("effects", function()
  local world = leader(3)
  world.core:propose(world.now, "1", ("x"):rep(500), ("y"):rep(500))
  return world
end, function(w) return w.core:effects() end)

-- Memory lacks when an effect is handed out: it stays for the next call.
for k = 1, 5 do
  use("effect " .. k, function()
    local world = leader(3)
    world.core:propose(world.now, "1", ("x"):rep(500), ("y"):rep(500))
    world.core:tick(world.now + 30)
    world.next, world.state = world.core:effects()
    for _ = 2, k do world.next(world.state) end
    return world
  end, function(w) return w.next(w.state) end, of_core, all_to_come)
end

-- A frame in two chunks.
use_core("the other half", function()
  local world = follower()
  assert(world.core:receive(world.now, world.reader, world.chunk:sub(1, 30)))
  return world
end, function(w)
  return w.core:receive(w.now, w.reader, w.chunk:sub(31))
end, hear_anew)

use("hello_encode", nil, function() return raft.hello_encode(HELLO) end)
use("hello_decode", function() return { raft.hello_encode(HELLO) } end,
  function(w) return raft.hello_decode(w[1]) end)
use("refusal_encode", nil,
  function() return raft.refusal_encode("cluster_mismatch", "words") end)
use("refusal_decode",
  function() return { raft.refusal_encode("code", "x") } end,
  function(w) return raft.refusal_decode(w[1]) end)
use("ping", nil, raft.ping)
use("frame_kind", function() return { raft.ping() } end,
  function(w) return raft.frame_kind(w[1]) end)
use("frame_size", function() return { raft.ping() } end,
  function(w) return raft.frame_size(w[1]) end)
use("codec_encode", nil, function()
  return raft.codec_encode { "kv", "set", { "key", 1.5, true }, { a = 2 } }
end)
use("codec_encode of much", function()
  local t = {}
  for i = 1, 300 do t["key " .. i] = { ("x"):rep(i), i } end
  return t
end, raft.codec_encode)
use("codec_decode", function()
  return { raft.codec_encode { 1, { a = { 0.5 }, b = ("x"):rep(200) } } }
end, function(w) return raft.codec_decode(w[1]) end)
use("answer_encode", nil, function()
  return raft.answer_encode({ ("x"):rep(900) }, { "why" })
end)
use("answer_decode", function()
  return { raft.answer_encode({ ("x"):rep(90) }, "why") }
end, function(w) return raft.answer_decode(w[1]) end)
use("query_encode", function() return { raft.codec_encode { timeout = 5 } } end,
  function(w) return raft.query_encode(w[1], { ("x"):rep(900) }) end)
use("query_decode", function()
  return { raft.query_encode(raft.codec_encode { timeout = 5 }, { "x" }) }
end, function(w) return raft.query_decode(w[1]) end)
local function frame(size)
  return raft.client_frame(36, 7, 8, raft.answer_encode(("x"):rep(size)))
end
-- A reader that has half a frame, and has got the rest.
local function frame_reader()
  local bytes, made = frame(900) .. frame(90), raft.client_reader(1 << 20)
  made:feed(bytes:sub(1, 99))
  assert(made:next() == nil)
  made:feed(bytes:sub(100))
  return { made }
end
local function rest_of(w)
  return text(w[1]:next()) .. text(w[1]:next())
end
use("client_frame", nil, function() return frame(90) end)
use("client_reader", nil, function() return raft.client_reader(99) end)
use("client reader next", frame_reader, function(w) return w[1]:next() end,
  nothing, rest_of)
use("client reader next_answer", frame_reader,
  function(w) return w[1]:next_answer() end, nothing, rest_of)
use("client reader keeps", function()
  local made = raft.client_reader(1 << 20)
  made:feed(frame(9000):sub(1, 8000))
  return { made }
end, function(w) return w[1]:next() end)
use("client_writer", nil, raft.client_writer)
local function frame_writer()
  local made = raft.client_writer()
  made:frame(36, 7, 8, ("x"):rep(4000))
  return { made }
end
local function all_of(w) return shown(w[1]:take() or "") end
use("client writer frame", frame_writer,
  function(w) w[1]:frame(36, 7, 8, ("y"):rep(900)) end, nothing, all_of)
use("client writer command", frame_writer,
  function(w) w[1]:command(7, 0, 1, 2, 3, ("y"):rep(900)) end, nothing, all_of)
use("client writer take", frame_writer,
  function(w) return shown(w[1]:take()) end, nothing, all_of)
use("client writer commands", frame_writer, function(w)
  w[1]:commands(7, 0, 1, 2, 3, { ("y"):rep(900), ("z"):rep(9000) }, 2)
end, nothing, all_of)
use("client writer answers", frame_writer, function(w)
  return w[1]:answers(7, 9, { 1, ("y"):rep(900), { ("z"):rep(9000) } }, {}, 1,
    3, 1 << 20)
end, nothing, all_of)
local function rows_reader(kind)
  return function()
    local made, bytes = raft.client_reader(1 << 20), ""
    for id = 1, 5 do
      bytes = bytes .. raft.client_frame(kind, id, 8,
        raft.answer_encode(("x"):rep(99 * id), id > 3 and "why" or nil))
    end
    made:feed(bytes)
    return { made }
  end
end
use("client reader next_answers", rows_reader(36),
  function(w) return w[1]:next_answers() end, nothing, rest_of)
use("client reader next_requests", rows_reader(33),
  function(w) return w[1]:next_requests() end, nothing, rest_of)
local function some_kept()
  local made = raft.answers_kept()
  made:add(7, ("x"):rep(900))
  return { made }
end
local function kept_of(w) return shown(raft.codec_encode(w[1]:all())) end
use("answers_kept", nil, raft.answers_kept)
use("answers kept add", some_kept,
  function(w) return w[1]:add(8, ("y"):rep(9000)) end, kept_of, kept_of)
use("answers kept add_many", some_kept, function(w)
  return w[1]:add_many(8, { 1, ("y"):rep(900), { ("z"):rep(9000) } }, {}, 1, 3)
end, kept_of, kept_of)
use("answers kept get", some_kept, function(w) return w[1]:get(7) end)
use("answers kept all", some_kept, function(w) return w[1]:all() end)
use("session_decode", function()
  return { ("<BI8I8I8"):pack(2, 1, 2, 3) .. ("x"):rep(90) }
end, function(w) return raft.session_decode(w[1]) end)
use("ship_offer", function()
  return { index = 9, term = 1, time = 5, config_index = 2, size = 70,
    checksum = -1, config = raft.config_encode(JOINT) }
end, function(w) return raft.ship_offer(3, w) end)
use("ship_taken", nil, function() return raft.ship_taken(3, 99) end)
use("ship_chunk", nil,
  function() return raft.ship_chunk(3, 99, ("x"):rep(500)) end)
use("ship_verdict", nil,
  function() return raft.ship_verdict(3, "damaged", "words") end)
use("ship_size", function() return { raft.ship_taken(3, 99) } end,
  function(w) return raft.ship_size(w[1]) end)
use("ship_decode", function()
  return { raft.ship_offer(3, { index = 9, term = 1, time = 5, size = 70,
    config_index = 2, checksum = -1, config = raft.config_encode(JOINT) }) }
end, function(w) return raft.ship_decode(w[1]) end)
use("ship_decode of a chunk", function()
  return { raft.ship_chunk(3, 99, ("x"):rep(500)) }
end, function(w) return raft.ship_decode(w[1]) end)
local SNAPSHOT <const> = { index = 9, term = 1, time = 5, config_index = 2,
  config = raft.config_encode(JOINT) }
local function snapfile()
  local writer = raft.snapfile_writer(SNAPSHOT)
  return writer:begin() .. writer:state(("x"):rep(900)) .. writer:finish()
end
use("snapfile_writer", nil, function()
  return raft.snapfile_writer(SNAPSHOT)
end)
use("snapfile begin", function() return { raft.snapfile_writer(SNAPSHOT) } end,
  function(w) return w[1]:begin() end)
use("snapfile sums", function() return { raft.snapfile_writer(SNAPSHOT) } end,
  function(w) return w[1]:sums() end)
use("snapfile_scan", nil, raft.snapfile_scan)
use("snapfile feed", function() return { snapfile() } end, function(w)
  return raft.snapfile_scan():feed(w[1], true)
end)
use("snapfile info", function()
  local scan = raft.snapfile_scan()
  scan:feed(snapfile())
  return { scan }
end, function(w) return w[1]:info() end)
use("snapfile damage", function()
  local scan = raft.snapfile_scan()
  scan:feed(snapfile())
  return { scan }
end, function(w) return w[1]:feed("x") end)
use("config_encode", nil, function() return raft.config_encode(JOINT) end)
use("config_decode", function() return { raft.config_encode(JOINT) } end,
  function(w) return raft.config_decode(w[1]) end)
use("config_check", nil, function() return raft.config_check(JOINT) end)
use("config_plan", nil, function() return raft.config_plan(JOINT) end)
use("config_identity", nil,
  function() return raft.config_identity(JOINT, "c1") end)
use("identity_encode", nil,
  function() return raft.identity_encode(IDENTITY) end)
use("identity_decode", function() return { raft.identity_encode(IDENTITY) } end,
  function(w) return raft.identity_decode(w[1]) end)

use("wal_new", nil, function() return raft.wal_new(1, 0, 99) end)
use("wal:segment", written,
  function(w) return w.wal:segment(7, 4096 * 8) end, of_writer, of_writer)
use("wal:batch", log, function(w)
  return w.wal:batch("data", 2, 1, 1, w.lists[1])
end, of_writer, of_writer)
use("wal:batch of a mark", segment,
  function(w) return w.wal:batch("mark", 2, 1, 1, {}) end, of_writer, of_writer)
use("wal:stored", function()
  local world = log()
  world.bytes = world.wal:batch("data", 2, 1, 1, world.lists[1])
  return world
end, function(w) return w.wal:stored(w.bytes) end, of_writer, of_writer)
use("wal:find", stored_log, function(w) return w.wal:find(2) end)
use("wal_cut", stored_log, function(w)
  return raft.wal_cut(w.file:sub(4097), 1, 4096, 0, 1, 2, 9999)
end)
use("wal_entry", log, function(w) return raft.wal_entry(w.lists[1][1], 1) end)
use("wal_span", log, function(w) return raft.wal_span(w.lists[1][1]) end)
use("wal:open", found, function(w)
  return w.wal:open(1, #w.file, true, w.file:sub(1, 4096))
end, nothing, function(w)
  feed(w)
  return text(w.wal:recovery())
end)
-- After an error a scan is good for nothing; it says so, and can be freed.
local function feed_first(w)
  local from, size = w.wal:want()
  w.from, w.size = from or w.from, size or w.size
  return w.wal:feed(w.file:sub(w.from + 1, w.from + w.size))
end
use("wal:feed", opened, feed_first)
uses[#uses].again = function(w)
  pcall(feed_first, w) -- whatever it says, it does not end us
  w.wal = opened().wal
  return feed_first(w)
end
use("wal:recovery", fed, function(w) return w.wal:recovery() end, nothing,
  of_writer)
use("recovery:fields", function()
  local world = fed()
  world.recovery = world.wal:recovery()
  return world
end, function(w) return w.recovery:fields() end)

use("recovery", function()
  local world = fed()
  world.fields = world.wal:recovery():fields()
  return world
end, function(w) return raft.recovery(w.fields) end)
use("crc32c", nil, function() return raft.crc32c("some bytes") end)

use("host.lock", function() return { path = os.tmpname(), lock = false } end,
  function(w) w.lock = raft.host.lock(w.path) return w.lock end, nothing,
  function(w)
    w.lock:unlock()
    return tostring(os.remove(w.path))
  end)

return text, uses
