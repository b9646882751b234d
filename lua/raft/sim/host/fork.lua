--- A forked child that writes a file: see raft.sim.host.

local M = {}

local NS_PER_S <const> = 1000000000
local CHUNK <const> = 1 << 16          -- bytes a child writes at a time
local RATE <const> = 100 << 20         -- bytes a second, if nobody says
local EXIT_NS <const> = 100000         -- until the parent hears of the end

-- What the child does, one after the other, each at its time.
local steps = {}

local function at(child, ns, step)
  child.world:at(child.world.now + ns, function()
    if not child.process:is_gone() then step(child) end
  end)
end

-- The parent hears of it.
local function finish(child, err)
  local loop = child.process.loop
  at(child, EXIT_NS, function()
    loop:ready(function()
      loop.requests = loop.requests - 1
      if err then return child.done(err) end
      child.done(nil, #child.bytes)
    end)
  end)
end

-- A call of the child: acts like one of the parent that blocks, but it is the
-- child that waits.
local function call(child, name, ...)
  local result, err = child.calls["fs_" .. name](...)
  if result == nil then finish(child, err) end
  return result
end

function steps.open(child)
  child.fd = call(child, "open", child.path, "w", tonumber("600", 8))
  if child.fd then at(child, 0, steps.write) end
end

function steps.write(child)
  if child.fails_at and child.offset >= child.fails_at then
    call(child, "close", child.fd)
    return finish(child, child.failure)
  end
  local from = child.offset
  local chunk = child.bytes:sub(from + 1, from + CHUNK)
  if chunk == "" then return at(child, 0, steps.sync) end
  local n = call(child, "write", child.fd, chunk, from)
  if not n then return end
  child.offset = from + n
  at(child, n * NS_PER_S // child.rate, steps.write)
end

function steps.sync(child)
  if not call(child, "fsync", child.fd) then return end
  if call(child, "close", child.fd) then finish(child) end
end

-- Does it fail, or die half way?
local function draw_fate(child, options)
  local random = child.process.disk.chance
  if random:chance(options.fork_error or 0) then
    child.failure = "EIO: i/o error"
  elseif random:chance(options.fork_death or 0) then
    child.failure = "the child was killed"
  end
  child.fails_at = child.failure and random:below(#child.bytes + 1)
end

--- Forks: the writer runs now.
function M.start(world, process, path, writer, done, options)
  local pieces = {}
  local ok, what = pcall(writer, function(bytes)
    pieces[#pieces + 1] = bytes
  end)
  local child = {
    world = world,
    process = process,
    calls = {},                -- fs_* of its own
    path = path,
    bytes = table.concat(pieces),
    offset = 0,                -- written so far
    rate = options.fork_rate or RATE,
    fd = false,
    done = done,
    failure = false,           -- with which it will end
    fails_at = false,          -- offset
  }
  process:install_for_child(child.calls)
  draw_fate(child, options)
  if not ok then child.failure, child.fails_at = tostring(what), 0 end
  process.loop.requests = process.loop.requests + 1
  at(child, 0, steps.open)
end

return M
