--- What users write, done right: scenarios replace a function by how it is
-- done wrong.
local M = {}

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

return M
