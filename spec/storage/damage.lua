--- Damage to a small directory, and whether each start sees it: everything is
-- there; or the end of the log is missing, and it is known how much; or the
-- start is refused in words. See spec.storage.life.
local Life = require "spec.storage.life"
local errors = require "raft.errors"

local M = {}

local Damage = { __name = "spec.damage" }
Damage.__index = Damage

-- What a damaged directory may be refused with; the words name its file.
local CODES <const> = { corrupt = true, format_version = true }

--- A directory of so many segments (3), left in order, and what is in it.
-- @param begins_later are older segments gone, and is a snapshot there instead?
function M.new(seed, count, begins_later)
  local life = Life.new(seed)
  life:must_open()
  assert(life.storage:adopt(("c"):rep(16)))
  life.identity = ("c"):rep(16)
  repeat
    life:append()
  until life.storage:status().segment == (count or 3)
  if begins_later then
    life:let_go()
    assert(life.storage:status().first_segment > 1, "nothing is gone")
    life:append()
  end
  life.computer:run_for(100)  -- the spare is made
  life:close()
  return setmetatable({
    seed = seed,
    image = life.disk:seen(),
    expected = life:expectation(),
    files = life.disk:list(),   -- { path=, size= }
    count = 0,                  -- tried
    recovered = 0,              -- of these: all was there
    repairing = 0,              -- entries were not, and it is known which
    refused = 0,                -- and it was said that it is not
  }, Damage)
end

local function look(life)
  local ok, err = life:open()
  if ok then
    local report = life.storage.report
    if not report.repairing then return "recovered" end
    assert(report.damaged.file == report.repairing.file, "it names no file")
    return "repairing"
  end
  assert(errors.is_error(err) and CODES[err.code], tostring(err))
  assert(err.file, "it names no file")
  assert(err.message:find(err.file, 1, true), "the words name no file")
  return "refused"
end

--- One directory, damaged by fn(disk).
-- @param what in words
-- @return "recovered", "repairing" or "refused"; raises for all else
function Damage:try(what, fn)
  local life = Life.from(self.seed, self.image, self.expected)
  fn(life.disk)
  self.count = self.count + 1
  local ok, outcome = pcall(look, life)
  if not ok then
    error(("seed %d, %s: %s"):format(self.seed, what, tostring(outcome)), 0)
  end
  self[outcome] = self[outcome] + 1
  return outcome, life
end

--- One bit of a file is flipped.
function Damage:flip(path, byte, bit)
  return self:try(("bit %d of byte %d of %s flipped"):format(bit, byte, path),
    function(disk) disk:flip(path, byte, bit) end)
end

--- Every bit of every file, or every `step`-th.
function Damage:flip_all(step)
  for _, file in ipairs(self.files) do
    for i = 0, 8 * file.size - 1, step do
      self:flip(file.path, i // 8, i % 8)
    end
  end
end

--- Every length to which a file can be cut, or every `step`-th.
function Damage:truncate_all(step)
  for _, file in ipairs(self.files) do
    for size = 0, file.size - 1, step do
      self:try(("%s cut to %d bytes"):format(file.path, size),
        function(disk) disk:truncate(file.path, size) end)
    end
  end
end

--- Each file missing, and each pair: "name" or "name name" -> outcome.
function Damage:remove_all()
  local outcomes = {}
  for i, first in ipairs(self.files) do
    for j = i, #self.files do
      local second = self.files[j]
      local name = first.path:match("[^/]+$")
      if j > i then name = name .. " " .. second.path:match("[^/]+$") end
      outcomes[name] = self:try(name .. " missing", function(disk)
        disk:remove(first.path)
        if j > i then disk:remove(second.path) end
      end)
    end
  end
  return outcomes
end

return M
