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

local many <const>, plain <const> = core.results.many, core.results.plain
local mix <const> = core.results.word

local M = {}

M.EVERY = 1024  -- at indexes that this divides nodes compare

local FORMAT <const> = "<i8i8i8"  -- digest; the newest compared, and its own
M.BYTES = string.packsize(FORMAT)

local START <const> = 0x6a09e667f3bcc909

-- Words that stand for what has no plain value; of a table the tag goes in.
local NIL <const> = 0x3c6ef372fe94f82b
local FAILED <const> = 0x5be0cd19137e2179
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

local function word_of(value)
  if value == nil then return NIL end
  local is_plain, bytes = pcall(codec.encode, value)
  if is_plain then return ENCODED ~ #bytes << 32 ~ core.crc32c(bytes) end
  if not errors.is_error(bytes) then error(bytes, 0) end  -- ours: no memory
  return FAILED
end

--- The next command was applied: true, result, why; or false.
function Results:add(ok, value, why)
  local digest = ok and plain(self.digest, value)
  if digest then
    self.digest = digest
    return
  end
  local is_refused = value == nil and why ~= nil
  local word = ok and not is_refused and word_of(value) or FAILED
  self.digest = mix(self.digest, word)
end

--- Commands in a row were applied, as @{raft.machine} says of them.
function Results:add_many(slice)
  local values, whys, errs = slice.values, slice.whys, slice.errors
  local i, count = 1, slice.count
  repeat
    self.digest, i = many(self.digest, values, i, count)
    if i <= count then self:add(errs[i] == nil, values[i], whys[i]) end
    i = i + 1
  until i > count
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
