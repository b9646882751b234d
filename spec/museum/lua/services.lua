--- What users write, done right: scenarios replace a function by how it is
-- done wrong.
local M = {}

local PATH <const> = "/state"  -- of a machine that keeps its state itself

--- Who has the most votes; in a tie, the lower name.
function M.winner(votes)
  local names = {}
  for name in pairs(votes) do names[#names + 1] = name end
  table.sort(names)
  local best
  for _, name in ipairs(names) do
    if not best or votes[name] > votes[best] then best = name end
  end
  return best
end

--- The time at which something is judged: that of the entry.
function M.time_of(entry)
  return entry.time
end

--- Writes to what a lock guards, unless a newer holder has written before.
function M.guarded_write(store, token, value)
  if token < store.token then return false end
  store.token, store.value = token, value
  return true
end

--- The state of a machine that has heard of nothing.
function M.none() return { index = 0, total = 0 } end

function M.encode(state)
  return ("%d %d\n"):format(state.index, state.total)
end

function M.decode(bytes)
  local index, total = bytes:match("^(%d+) (%d+)\n$")
  return { index = math.tointeger(tonumber(index)),
    total = math.tointeger(tonumber(total)) }
end

--- Which of two states goes on: the newer one. That of a snapshot may be older
-- than the machine's own, and the machine's may have been lost.
function M.newer(own, of_snapshot)
  return own.index >= of_snapshot.index and own or of_snapshot
end

local function sync(uv, path)
  local fd = assert(uv.fs_open(path, "r", 0))
  assert(uv.fs_fsync(fd))
  assert(uv.fs_close(fd))
end

--- Keeps a state and the index that it stands for: both or, if the power fails,
-- neither.
function M.store(uv, state)
  local fd = assert(uv.fs_open(PATH .. ".new", "w", tonumber("600", 8)))
  assert(uv.fs_write(fd, M.encode(state), 0))
  assert(uv.fs_fsync(fd))
  assert(uv.fs_close(fd))
  assert(uv.fs_rename(PATH .. ".new", PATH))
  sync(uv, "/")
end

--- What was kept.
function M.load(uv)
  local fd = uv.fs_open(PATH, "r", 0)
  if not fd then return M.none() end
  local bytes = assert(uv.fs_read(fd, 100, 0))
  assert(uv.fs_close(fd))
  return M.decode(bytes)
end

return M
