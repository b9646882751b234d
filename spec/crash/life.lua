--- A life that will be cut short: writes to a directory, and says on stdout
-- what it was promised, a line each. See killpoints.lua and powercuts.lua.
--
--   lua5.4 spec/crash/life.lua node|storage <dir> <life>
--
-- node: a node alone. It forms, or recovers, and proposes.
--   term <term>    it leads: its vote for itself is durable
--   ok <name>      a command was acknowledged
--   direct         its log is written past the page cache, so far
-- storage: the log alone, with votes and entries that take others' places.
--   stored <index> <term of it> <term> <vote>
--
-- Both end by themselves, in order, after a few dozen writes.
package.loaded["spec.support.helper"] = {}  -- wants busted, and box wants it
local Storage = require "raft.storage"
local box = require "spec.storage.box"
local core = require "raft.core"
local raft = require "raft"
local uv = require "luv"

local kind, dir, life = arg[1], arg[2], arg[3]

local SEGMENT_BYTES <const> = 1 << 16  -- 16 sectors: often left for the next
local WRITES <const> = 60
local OUTSTANDING <const> = 4
local SIZE_MAX <const> = 9000          -- bytes of a command

io.stdout:setvbuf("no")

-- Sizes that repeat in no simple way, the same in every life.
local function size_of(i)
  return i * 977 % SIZE_MAX
end

local lives = {}

-- Is the segment that is written to one that goes past the page cache?
local function is_direct(storage)
  local direct = storage.files.direct
  return direct and direct.open[storage.writer.fd] or false
end

function lives.node()
  local open, storage = Storage.open, nil
  Storage.open = function(options)
    options.segment_bytes, options.mark_ms = SEGMENT_BYTES, 1
    local err
    storage, err = open(options)
    return storage, err
  end
  local node, made, acknowledged = nil, 0, 0
  local function propose()
    made = made + 1
    local name = life .. "." .. made
    node:propose(name .. ";" .. ("x"):rep(size_of(made)), function(err)
      if err then return end  -- the disk went away; failed says so
      io.stdout:write("ok ", name, "\n")
      acknowledged = acknowledged + 1
      if acknowledged == 1 and is_direct(storage) then
        io.stdout:write("direct\n")
      end
      if acknowledged == WRITES then return node:stop(function() end) end
      if made < WRITES then propose() end
    end)
  end
  node = raft.node {
    id = "n1", dir = dir, members = { n1 = "127.0.0.1:1" },
    listen = "127.0.0.1:0", election_timeout = { 5, 10 }, log = false,
    apply = function() return true end,
    on = { role = function(role, term)
      if role == "leader" then io.stdout:write("term ", term, "\n") end
    end },
  }
  raft.run(function()
    assert(node:start())
    for _ = 1, OUTSTANDING do propose() end
  end)
end

-- One store after the other: a vote of a new term; an entry of a new term in
-- the place of the last one, and more behind it; or entries behind the last.
local function next_store(at)
  at.seq = at.seq + 1
  local i = at.seq
  local is_vote, is_overwriting = i % 4 == 0, i % 7 == 0
  if is_vote or is_overwriting then
    at.term, at.vote = at.term + 1, is_vote and i or 0
  end
  if is_vote then return "" end
  local first = is_overwriting and at.last or at.last + 1
  at.last, at.last_term = first + i % 3, at.term
  return box.entries(first, at.last, at.term, size_of(i))
end

function lives.storage()
  local storage = assert(Storage.open { uv = uv, host = core.host, dir = dir,
    id = "n1", cluster = "c", segment_bytes = SEGMENT_BYTES, mark_ms = 1 })
  local found = storage.recovered:fields()
  local at = { seq = 0, last = found.last, last_term = 0,
    term = found.term + 1, vote = 0 }
  local promised = {}  -- seq -> what holds once it is reported
  local function store()
    local bytes = next_store(at)
    promised[at.seq] = ("stored %d %d %d %d\n"):format(at.last, at.last_term,
      at.term, at.vote)
    storage:store(at.seq, bytes, at.term, at.vote, 0)
  end
  storage:handlers {
    stored = function(seq)
      io.stdout:write(promised[seq])
      if seq >= WRITES then return storage:close() end
      store()
      if seq % 5 == 0 then store() end
    end,
    failed = function(err)
      io.stderr:write(tostring(err), "\n")
      os.exit(1)
    end,
  }
  store()
  uv.run()
end

lives[kind]()
