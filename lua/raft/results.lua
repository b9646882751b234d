--- What applying has come to: a digest that runs over the results of all
-- entries, so that nodes whose states have parted find out.
--
-- Promises. It follows from the results alone: the same on every node, over
-- restarts and snapshots. Of a failure it holds that there was one, never its
-- text, in which places and addresses of this process may stand; and what has
-- no bytes counts as a failure, as it does for who asked.
--
-- Limits. What a state is, and no result shows, it cannot see.
local codec = require "raft.codec"
local core = require "raft.core"
local errors = require "raft.errors"

local math_type <const> = math.type

local M = {}

M.EVERY = 1024  -- at indexes that this divides nodes compare

local FORMAT <const> = "<i8i8i8"  -- digest; the newest compared, and its own
M.BYTES = string.packsize(FORMAT)

local MULTIPLIER <const> = 0x9e3779b97f4a7c15  -- odd: no two values meet
local START <const> = 0x6a09e667f3bcc909

-- Words that stand for results; of the others the tag goes in.
local NIL <const> = 0x3c6ef372fe94f82b
local TRUE <const> = 0x510e527fade682d1
local FALSE <const> = 0x1f83d9abfb41bd6b
local FAILED <const> = 0x5be0cd19137e2179
local INTEGER <const> = 0x243f6a8885a308d3
local STRING <const> = 0x13198a2e03707344
local ENCODED <const> = 0x452821e638d01377

local Results = { __name = "raft.results" }
Results.__index = Results

--- Of a state that nothing was applied to.
function M.new()
  return setmetatable({
    digest = START,
    checked = 0,         -- newest index that was compared; 0: none
    checked_digest = 0,  -- the digest there
  }, Results)
end

local function sum(tag, bytes)
  return tag ~ #bytes << 32 ~ core.crc32c(bytes)
end

-- Most results are these; they cost no call.
local CONSTANTS <const> = { [true] = TRUE, [false] = FALSE }

local function word_of(value)
  if value == nil then return NIL end
  if math_type(value) == "integer" then return value * MULTIPLIER ~ INTEGER end
  local constant = CONSTANTS[value]
  if constant then return constant end
  if type(value) == "string" then return sum(STRING, value) end
  local is_plain, bytes = pcall(codec.encode, value)
  if is_plain then return sum(ENCODED, bytes) end
  if not errors.is_error(bytes) then error(bytes, 0) end  -- ours: no memory
  return FAILED
end

--- The next command was applied: true, result, why; or false.
function Results:add(ok, value, why)
  local is_refused = value == nil and why ~= nil
  local word = ok and not is_refused and word_of(value) or FAILED
  local mixed = (self.digest ~ word) * MULTIPLIER
  self.digest = mixed ~ mixed >> 29
end

--- Commands in a row were applied, as @{raft.machine} says of them.
function Results:add_many(slice)
  local values, whys, errs = slice.values, slice.whys, slice.errors
  for i = 1, slice.count do
    local value = values[i]
    if math_type(value) == "integer" and not errs[i] then  -- as add has it
      local mixed = (self.digest ~ (value * MULTIPLIER ~ INTEGER)) * MULTIPLIER
      self.digest = mixed ~ mixed >> 29
    else
      self:add(errs[i] == nil, value, whys[i])
    end
  end
end

--- All up to `index`, which is one to compare, is applied: the digest.
function Results:check(index)
  self.checked, self.checked_digest = index, self.digest
  return self.digest
end

--- As bytes, for a snapshot; and back.
function Results:encode()
  return FORMAT:pack(self.digest, self.checked, self.checked_digest)
end

function M.decode(bytes)
  local self = M.new()
  self.digest, self.checked, self.checked_digest = FORMAT:unpack(bytes)
  return self
end

return M
