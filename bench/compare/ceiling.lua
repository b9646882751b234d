--- The ceiling: what a cluster in Lua could do at most on this machine. Group
-- commit without Raft: n1 gathers the commands of a loop turn, sends them to
-- the others, writes them to a file; all sync, the others acknowledge, and a
-- majority answers. No terms, votes, checksums, log, repair.
--
--   lua5.4 bench/compare/ceiling.lua <id> <directory> <members>
--
-- The file is filled with zeros before and written round and round, and the
-- loop waits for its sync: both are the fastest way on a disk of today.
package.path = "./?.lua;" .. package.path
local load = require "bench.compare.load"
local uv = require "luv"

local FILE_BYTES <const> = 64 << 20
local SECTOR <const> = 4096
local LEADER <const> = "n1"
local HEAD <const> = "<I4I4"  -- bytes of a batch, commands in it
local HEAD_BYTES <const> = 8
local ACK <const> = "<I8"     -- commands that are durable, in all
local ACK_BYTES <const> = 8

local id, dir = arg[1], arg[2]
local addresses, size = {}, 0
for name, address in arg[3]:gmatch("([^=,]+)=([^,]+)") do
  addresses[name], size = address, size + 1
end

-------------------------------------------------------------------- disk --

local file, offset = nil, 0

local function open_file()
  assert(uv.fs_mkdir(dir, 448))
  local flags = uv.constants
  file = assert(uv.fs_open(dir .. "/file", flags.O_RDWR | flags.O_CREAT, 384))
  local zeros = ("\0"):rep(1 << 20)
  for at = 0, FILE_BYTES - 1, #zeros do
    assert(uv.fs_write(file, zeros, at))
  end
  assert(uv.fs_fsync(file))
end

local function write_durably(bytes)
  if offset + #bytes > FILE_BYTES then offset = 0 end
  assert(uv.fs_write(file, bytes, offset))
  assert(uv.fs_fdatasync(file))
  offset = offset + (#bytes + SECTOR - 1) // SECTOR * SECTOR
end

---------------------------------------------------------------- followers --

-- The whole batches at the front of these bytes: their commands, how many
-- these are, what is left, and how long that has to be before it is of use.
local function split(bytes)
  local batches, commands, at = {}, 0, 1
  local need = HEAD_BYTES
  while #bytes - at + 1 >= HEAD_BYTES do
    local size_, count = HEAD:unpack(bytes, at)
    local next_at = at + HEAD_BYTES + size_
    need = HEAD_BYTES + size_
    if #bytes < next_at - 1 then break end
    batches[#batches + 1] = bytes:sub(at + HEAD_BYTES, next_at - 1)
    commands, at, need = commands + count, next_at, HEAD_BYTES
  end
  return table.concat(batches), commands, bytes:sub(at), need
end

-- Writes down all that came in one turn, then acknowledges it.
local function follow(socket)
  local chunks, come, need, durable = {}, 0, HEAD_BYTES, 0
  socket:read_start(function(_, chunk)
    if not chunk then return end  -- the leader is gone; stdin will end, too
    chunks[#chunks + 1], come = chunk, come + #chunk
  end)
  local check = uv.new_check()
  check:start(function()
    if come < need then return end
    local bytes, commands, rest
    bytes, commands, rest, need = split(table.concat(chunks))
    chunks, come = { rest }, #rest
    if commands == 0 then return end
    write_durably(bytes)
    durable = durable + commands
    socket:write(ACK:pack(durable))
  end)
end

local function dial()
  local host, port = addresses[LEADER]:match("(.*):(%d+)")
  local socket = uv.new_tcp()
  socket:connect(host, math.tointeger(port), function(err)
    if not err then
      socket:nodelay(true)
      return follow(socket)
    end
    socket:close()
    local timer = uv.new_timer()
    timer:start(10, 0, function()
      timer:close()
      dial()
    end)
  end)
end

------------------------------------------------------------------- leader --

local waiting, under_way = {}, {}      -- commands and their callbacks; FIFO
local first, last = 1, 0               -- of under_way
local stored, acked = 0, {}            -- here; by each of the others
local state, applied = {}, 0  -- luacheck: ignore 241 (written, not read)
local sockets = {}

local function committed()
  local counts = { stored }
  for i = 1, size - 1 do counts[i + 1] = acked[i] or 0 end
  table.sort(counts, function(a, b) return a > b end)
  return counts[size // 2 + 1]
end

local function answer()
  local index = committed()
  while first <= index do
    local entry = under_way[first]
    under_way[first] = nil
    first, applied = first + 1, applied + 1
    state[applied % 10000] = entry.command
    entry.done(nil)
  end
end

local function flush()
  if #waiting == 0 then return end
  local commands = {}
  for i, entry in ipairs(waiting) do
    commands[i], last = entry.command, last + 1
    under_way[last] = entry
  end
  waiting = {}
  local bytes = table.concat(commands)
  local head = HEAD:pack(#bytes, #commands)
  for _, socket in ipairs(sockets) do socket:write({ head, bytes }) end
  write_durably(bytes)
  stored = last
  answer()
end

local function take_acks(i, socket)
  local rest = ""
  acked[i] = 0
  socket:nodelay(true)
  socket:read_start(function(_, chunk)
    if not chunk then return end
    rest = rest .. chunk
    local whole = #rest // ACK_BYTES * ACK_BYTES
    if whole == 0 then return end
    acked[i] = ACK:unpack(rest, whole - ACK_BYTES + 1)
    rest = rest:sub(whole + 1)
  end)
end

local function lead()
  local function ready()
    if #sockets == size - 1 then load.say("role", "leader") end
  end
  local host, port = addresses[id]:match("(.*):(%d+)")
  local listener = uv.new_tcp()
  assert(listener:bind(host, math.tointeger(port)))
  assert(listener:listen(8, function(err)
    assert(not err, err)
    local socket = uv.new_tcp()
    assert(listener:accept(socket))
    sockets[#sockets + 1] = socket
    take_acks(#sockets, socket)
    ready()
  end))
  local check, prepare, idle = uv.new_check(), uv.new_prepare(), uv.new_idle()
  local function turn()
    answer()
    flush()
    -- What was asked for while we answered: the loop must not sleep on it.
    if #waiting > 0 then idle:start(function() end) else idle:stop() end
  end
  check:start(turn)
  prepare:start(turn)
  ready()
end

open_file()
if id == LEADER then lead() else dial() end
load.serve(function(kind, bytes)
  assert(kind == "propose", "the ceiling has no " .. kind)
  local command = ("x"):rep(bytes)
  return function(done)
    waiting[#waiting + 1] = { command = command, done = done }
  end
end, function() os.exit(0) end)
uv.run()
