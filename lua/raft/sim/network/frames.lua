--- An adversary between nodes, stronger than TCP: while the connection lives,
-- whole frames of the peer protocol are lost, doubled, held back so that later
-- ones overtake them. See docs/FORMATS.md for frames.
--
-- A function of the network may decide instead: see network:judge.
--
-- What it leaves alone: bytes that are no whole frames; greetings, which end
-- with a ping, and so pings; and a proposal or its answer is never doubled, as
-- a command that comes twice is two commands.
local core = require "raft.core"

local M = {}

local HEADER_BYTES <const> = 24
local NS_PER_MS <const> = 1000000
local PLAIN <const> = { hello = true, refuse = true, ping = true }
local ONCE <const> = { propose = true, propose_reply = true }

-- The frames of what was looked at last: kinds[i] from starts[i] up to
-- starts[i + 1].
local kinds, starts = {}, {}

-- How many whole frames these bytes are; 0: they are something else.
local function cut(bytes)
  local count, at, size = 0, 1, #bytes
  while at <= size do
    local head = at == 1 and bytes or bytes:sub(at, at + HEADER_BYTES - 1)
    local frame_bytes = core.frame_size(head)
    if not frame_bytes or frame_bytes < HEADER_BYTES then return 0 end
    local kind = core.frame_kind(head)
    if not kind or kind == "unknown" then return 0 end
    count = count + 1
    kinds[count], starts[count] = kind, at
    at = at + frame_bytes
  end
  starts[count + 1] = at
  return at == size + 1 and count or 0
end

local function count_frames(network, pair, count)
  local frames = network.counts.frames
  for i = 1, count do
    local kind = kinds[i]
    frames[kind] = (frames[kind] or 0) + 1
    for _, watcher in ipairs(network.watchers) do
      watcher(pair.from, pair.to, kind, starts[i + 1] - starts[i])
    end
  end
end

------------------------------------------------------------------- the fates --

-- Hands a frame over later.
local function delay(network, hold_ns, frame, put)
  network.world:at(network.world.now + hold_ns, put, frame)
end

local function count_fate(network, pair, name, kind)
  network.counts[name] = network.counts[name] + 1
  if network.note then network.note(name, pair.from, pair.to, kind) end
end

-- Asks the network's judge. Has it decided?
local function is_judged(network, pair, frame, kind, put)
  local fate = network.fate and network.fate(pair.from, pair.to, kind, #frame)
  if not fate then return false end
  if fate == "lose" then
    count_fate(network, pair, "lost", kind)
  else
    count_fate(network, pair, "reordered", kind)
    delay(network, fate * NS_PER_MS // 1 | 0, frame, put)
  end
  return true
end

-- Decides on one frame; what of it goes out now is added to `out`.
local function decide(network, pair, frame, kind, put, out)
  if is_judged(network, pair, frame, kind, put) then return end
  local random = pair.random
  if random:chance(pair.loss) then
    return count_fate(network, pair, "lost", kind)
  end
  if random:chance(pair.reorder) then
    count_fate(network, pair, "reordered", kind)
    delay(network, pair:hold(), frame, put)
  else
    out[#out + 1] = frame
  end
  if ONCE[kind] or not random:chance(pair.duplicate) then return end
  count_fate(network, pair, "doubled", kind)
  if pair.reorder_ns == 0 or random:chance(0.5) then
    out[#out + 1] = frame
  else
    delay(network, pair:hold(), frame, put)
  end
end

--- What of these bytes goes out now.
-- @param put called with a frame that goes out later, as put(frame)
function M.filter(network, pair, bytes, put)
  local count = cut(bytes)
  if count == 0 then return bytes end
  count_frames(network, pair, count)
  if pair.loss + pair.duplicate + pair.reorder == 0 and not network.fate then
    return bytes
  end
  local out = {}
  for i = 1, count do
    local frame = bytes:sub(starts[i], starts[i + 1] - 1)
    if PLAIN[kinds[i]] then
      out[#out + 1] = frame
    else
      decide(network, pair, frame, kinds[i], put, out)
    end
  end
  return table.concat(out)
end

return M
