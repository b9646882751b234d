--- Cuts what a connection brings into frames. A size is bounded before anything
-- is kept for it.
local M = {}

local SIZE_BYTES <const> = 4  -- from which the size of a frame is told

local Cutter = { __name = "raft.cutter" }
Cutter.__index = Cutter

--- @param size_of function(bytes): the size of the frame that begins with these
--   four bytes; or nil and a code
function M.new(size_of)
  return setmetatable({
    size_of = size_of,
    pieces = {},        -- of what is not a whole frame yet
    have = 0,           -- bytes of these
    need = SIZE_BYTES,  -- bytes before it is worth looking
  }, Cutter)
end

-- Cuts the frames in these bytes: how many bytes they are, and how many are
-- needed behind them; or nil and a code.
local function cut(self, bytes, take)
  local at = 1
  while #bytes - at + 1 >= SIZE_BYTES do
    local size, code = self.size_of(bytes:sub(at, at + SIZE_BYTES - 1))
    if not size then return nil, code end
    if at + size - 1 > #bytes then return at - 1, size end
    if not take(bytes:sub(at, at + size - 1)) then return #bytes, SIZE_BYTES end
    at = at + size
  end
  return at - 1, SIZE_BYTES
end

--- Takes in a chunk, and hands on the frames that are whole by now.
-- @param take function(frame) -> boolean: go on?
-- @return true, or nil and the code of what is wrong: close the connection
function Cutter:feed(chunk, take)
  self.pieces[#self.pieces + 1] = chunk
  self.have = self.have + #chunk
  if self.have < self.need then return true end
  local bytes = table.concat(self.pieces)
  local used, need = cut(self, bytes, take)
  if not used then return nil, need end
  self.pieces, self.have, self.need = {}, #bytes - used, need
  if self.have > 0 then self.pieces[1] = bytes:sub(used + 1) end
  return true
end

return M
