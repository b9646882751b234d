--- Calls of raft.core as the bytes say: see fuzz.h.
-- Each call starts from arguments that fit; the bytes then put others in their
-- place, of any type and size. A call may raise a string, or answer nil and a
-- code, or work; it must not end the process, and no replica may be left with
-- an invariant broken. Returns a function of the bytes.
local raft = require "raft.core"

local STEPS_MAX <const> = 60
local EDGES <const> = { 0, -1, math.maxinteger, math.mininteger, 1 << 31,
  (1 << 31) - 1, 1 << 32, (1 << 32) - 1, 1 << 40, (1 << 40) + 1, 4096, 8192,
  1 << 24, 1 << 30, 65, 0.5, 2.0 ^ 53, -0.0, math.huge, 0 / 0 }
local NAMES <const> = { "n1", "n2", "n3", "", "a name that is too long, by far",
  "n\0x", "n1:1", " " }

local input, at, world  -- of the run that is on

local function byte()
  local b = input:byte(at) or 0
  at = at + 1
  return b
end

local function pick(list)
  return list[byte() % #list + 1]
end

--------------------------------------------------------- things that fit --

local function options()
  return { id = pick(NAMES), incarnation = 100, seed = byte(),
    election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
    command_bytes_max = 600, pending_bytes_max = 2000,
    message_bytes_max = 256, inflight_bytes_max = 1024,
    memory_bytes_max = byte() * 16 }
end

local function config()
  local kind = byte()
  local members = {}
  for i = 1, kind % 3 + 1 do
    members["n" .. i] = { address = "h:" .. i, incarnation = 99 + i }
  end
  local c = { election_min_ms = 100, leases = kind & 4 ~= 0, members = members }
  if kind & 8 ~= 0 then c.quorum = { election = byte() % 4, commit = 2 } end
  if kind & 16 ~= 0 then
    c.quorum = { election = { { "n1", "n2" }, { "n1" } },
      commit = { { "n1" } } }
  end
  if kind & 32 ~= 0 then
    c.joint = true
    members.n1.next_role = pick { "voter", "learner", "witness", false }
  end
  if kind & 64 ~= 0 then c.identity = ("i"):rep(16) end
  return c
end

local function hello()
  local kind = byte()
  return { id = pick(NAMES), cluster = "c1", to = "n2", address = pick(NAMES),
    purpose = pick { "peer", "client", "snapshot" }, plan = byte(),
    incarnation = 100, starts = 1, nonce = byte(), known = 0,
    identity = kind & 1 ~= 0 and ("i"):rep(16) or nil,
    formed = kind & 2 ~= 0 and kind & 1 ~= 0 or nil }
end

local function identity()
  return { sequence = byte(), incarnation = 100, starts = byte(),
    first_segment = 1, last_segment = byte(), node = pick(NAMES),
    cluster = "c1", identity = byte() % 2 == 0 and ("i"):rep(16) or nil }
end

-- Mostly time goes on.
local function now()
  local step = byte()
  world.now = world.now + step % 16
  return step == 255 and world.now - 99 or world.now
end

-- The newest of a kind of thing, or one of those before it.
local function some(kind)
  local list = world[kind]
  local back = byte() % 4
  return list[#list - back] or list[#list]
end

local function keep(kind, value)
  local list = world[kind]
  list[#list < 32 and #list + 1 or byte() % 32 + 1] = value
end

local function text()
  local size = byte()
  local s = input:sub(at, at + size - 1)
  at = at + size
  return s
end

-- What a disk may have held: mostly entry 1, which a replica wanted written.
local function recovered()
  local kind, last = byte(), byte() % 4
  local t = { term = 1 + kind % 2, vote = 0, commit = byte() % 4,
    base_index = 0, base_term = 0, last = last, tail_first = last + 1,
    last_time = 0, tail = "", terms = last > 0 and { 1, 1 } or {} }
  if kind & 4 ~= 0 then t.tail_first, t.tail = 1, some "entries" or "" end
  if kind & 8 ~= 0 then t.terms[3], t.terms[4] = 2, 2 end
  if kind & 16 ~= 0 then
    t.config = { index = 1, payload = some "configs" or some "strings" or "" }
  end
  if kind & 32 ~= 0 then t.config_before = t.config end
  return t
end

------------------------------------------------------- things that do not --

local TEMPLATES <const> = { options, config, hello, identity, recovered,
  function() return {} end }

local wild  -- any value at all

-- A table that fits but for one field.
local function spoilt()
  local t = pick(TEMPLATES)()
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  local key = keys[byte() % (#keys + 1) + 1] or "members"
  if type(t.terms) == "table" and byte() % 4 == 0 then
    t.terms[byte() % 5 + 1] = wild()
  elseif type(t.members) == "table" and byte() % 2 == 0 then
    local name = pick(NAMES)
    t.members[name] = byte() % 2 == 0 and wild() or spoilt()
  else
    t[key] = wild()
  end
  return t
end

local WILD <const> = {
  function() return nil end,
  function() return byte() % 2 == 0 end,
  byte,
  function() return pick(EDGES) end,
  text,
  function() return pick(NAMES) end,
  function() return some "strings" end,
  function() return some "objects" end,
  function() return pick(TEMPLATES)() end,
  spoilt,
  function() return print end,
}

-- Of a snapshot's file.
local function offer()
  return { index = byte(), term = byte(), time = byte(),
    config_index = byte() % 4, config = some "configs" or some "strings",
    size = byte(), checksum = -byte() }
end

function wild() return pick(WILD)() end

-- What a connection brings: a frame, its first part, then the rest of it.
local function chunk()
  local rest, frame = world.rest, some "frames"
  world.rest = false
  if rest then return rest end
  if not frame or byte() % 2 == 0 then return frame end
  local cut = byte() % #frame
  world.rest = frame:sub(cut + 1)
  return frame:sub(1, cut)
end

---------------------------------------------------------------- the calls --

-- Name -> arguments that fit. A name with a colon is a method: its first
-- argument tells whose.
local calls = {
  new = function() return options() end,
  hello_encode = function() return hello() end,
  hello_decode = function() return some "strings" end,
  refusal_encode = function() return "cluster_mismatch", text() end,
  refusal_decode = function() return some "strings" end,
  frame_size = function() return some "strings" end,
  frame_kind = function() return some "strings" end,
  ping = function() end,
  ship_offer = function() return 1 + byte(), offer() end,
  ship_taken = function() return byte(), byte() end,
  ship_chunk = function() return 1 + byte(), byte(), text() end,
  ship_verdict = function()
    return byte(), pick { "done", "no_space", "never" }, text()
  end,
  ship_size = function() return some "strings" end,
  ship_decode = function() return some "strings" end,
  config_encode = function() return config() end,
  config_decode = function() return some "strings" end,
  config_check = function() return config() end,
  config_plan = function() return config() end,
  config_identity = function() return config(), "c1" end,
  id_of = function() return pick(NAMES) end,
  recovery = function() return recovered() end,
  crc32c = function() return some "strings" end,
  wal_new = function() return 1, byte(), byte() * 64 end,
  wal_cut = function()
    return some "strings", 1, 4096, byte() * 8, 1 + byte() % 4, 1 + byte(), 99
  end,
  wal_span = function() return some "entries" end,
  wal_entry = function() return some "entries", 1 + byte() % 64 end,
  wal_batch_bytes = function() return byte() * byte() end,
  identity_encode = function() return identity() end,
  identity_decode = function() return some "strings" end,

  ["core:start"] = function() return some "cores", now(), some "recoveries" end,
  ["core:tick"] = function() return some "cores", now() + byte() end,
  ["core:receive"] = function()
    return some "cores", now(), some "readers", chunk()
  end,
  ["core:stored"] = function() return some "cores", now(), some "seqs" end,
  ["core:results"] = function()
    return some "cores", now(), byte() % 8, byte() % 3
  end,
  ["core:applied"] = function() return some "cores", now(), byte() % 8 end,
  ["core:loaded"] = function()
    return some "cores", now(), byte() % 2 == 0 and "n2", byte() % 8,
      some "entries"
  end,
  ["core:propose"] = function() return some "cores", now(), text(), text() end,
  ["core:forward"] = function() return some "cores", now(), byte(), text() end,
  ["core:read"] = function() return some "cores", now(), byte() end,
  ["core:form"] = function() return some "cores", now(), config() end,
  ["core:unreachable"] = function() return some "cores", now(), pick(NAMES) end,
  ["core:space"] = function() return some "cores", now(), byte() % 2 == 0 end,
  ["core:transfer"] = function() return some "cores", now() end,
  ["core:wall"] = function() return some "cores", byte() * 1000 end,
  ["core:reader"] = function()
    return some "cores", pick(NAMES), 100 + byte() % 4
  end,
  ["core:effects"] = function() return some "cores" end,
  ["core:deadline"] = function() return some "cores" end,
  ["core:entry"] = function() return some "cores", byte() % 8 end,
  ["core:term_at"] = function() return some "cores", byte() % 8 end,
  ["core:config"] = function() return some "cores" end,
  ["core:status"] = function() return some "cores", {} end,
  ["core:digest"] = function() return some "cores" end,
  ["core:check"] = function() return some "cores" end,
  ["core:close"] = function() return some "cores" end,

  ["wal:open"] = function()
    return some "wals", 1, 4096 * (2 + byte()), true, some "strings"
  end,
  ["wal:want"] = function() return some "wals" end,
  ["wal:feed"] = function() return some "wals", some "strings" end,
  ["wal:torn"] = function() return some "wals" end,
  ["wal:recovery"] = function() return some "wals" end,
  ["wal:segment"] = function() return some "wals", 7, 4096 * (2 + byte()) end,
  ["wal:fits"] = function() return some "wals", byte() * 99, byte() end,
  ["wal:batch"] = function()
    return some "wals", pick { "data", "data", "mark" }, 1 + byte() % 3,
      byte() % 2, byte() % 4, byte() % 2 == 0 and {} or { some "entries" }
  end,
  ["wal:stored"] = function() return some "wals", some "strings" end,
  ["wal:position"] = function() return some "wals" end,
  ["wal:find"] = function() return some "wals", 1 + byte() % 8 end,
  ["recovery:fields"] = function() return some "recoveries" end,
}

local names = {}
for name in pairs(calls) do names[#names + 1] = name end
table.sort(names)

-------------------------------------------------------------- the results --

local CLASSES <const> = { ["raft.core"] = "cores", ["raft.reader"] = "readers",
  ["raft.wal"] = "wals", ["raft.recovery"] = "recoveries" }

local function sort_away(value)
  if type(value) == "string" then
    keep("strings", value)
  elseif type(value) == "userdata" then
    keep(CLASSES[getmetatable(value).__name], value)
    keep("objects", value)
  end
end

-- What the replica wants done becomes what others may be given.
local function take_effects(iterate, core)
  for kind, _, a, b in iterate, core do
    if kind == "send" then
      keep("frames", b)
      keep("strings", b)
    elseif kind == "store" then
      keep("seqs", a)
      if b ~= "" then keep("entries", b) end
    end
  end
end

local function check_answer(name, results)
  if results.n == 0 or results[1] ~= nil then return end
  assert(results.n >= 2 and type(results[2]) == "string",
    name .. ": nil without a code")
end

local function check_cores()
  for _, core in ipairs(world.cores) do
    if not world.closed[core] then assert(core:check()) end
  end
end

-- The arguments, some of them replaced.
local function arguments(name)
  local args = table.pack(calls[name]())
  local mask = byte()
  if mask < 128 then return args end
  local i = mask % (args.n + 2) + 1
  if i == args.n + 2 then
    args.n = byte() % (args.n + 1)
  else
    args[i] = wild()
    args.n = math.max(args.n, i)
  end
  return args
end

local function function_of(name, args)
  local method = name:match(":(.*)")
  if not method then return raft[name] end
  local class = getmetatable(args[1])
  if type(args[1]) ~= "userdata" or not class then return nil end
  return class.__index and class.__index[method]
end

local function call(name)
  local args = arguments(name)
  local fn = function_of(name, args)
  if not fn then return end
  local results = table.pack(pcall(fn, table.unpack(args, 1, args.n)))
  if not results[1] then
    assert(type(results[2]) == "string", name .. ": raised no string")
    return
  end
  table.move(results, 2, results.n + 1, 1)
  results.n = results.n - 1
  check_answer(name, results)
  if name == "core:effects" then return take_effects(results[1], results[2]) end
  if name == "config_encode" then keep("configs", results[1]) end
  if name == "core:close" then world.closed[args[1]] = true end
  for i = 1, results.n do sort_away(results[i]) end
end

return function(bytes)
  input, at = bytes, 1
  world = { now = 1000, strings = {}, objects = {}, cores = {}, readers = {},
    wals = {}, recoveries = {}, frames = {}, entries = {}, seqs = {},
    closed = {}, configs = {}, rest = false }
  for _ = 1, STEPS_MAX do
    if at > #input then break end
    call(pick(names))
    check_cores()
  end
end
