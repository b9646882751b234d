--- Quorums in words: "2 of (n1, n2, n3) and 1 of (n4, n5)", as sets.
--
--   either = both { "or" both }
--   both   = one { "and" one }
--   one    = name | "(" either ")" | count "of" "(" either { "," either } ")"
--   count  = a number | "majority" | "all" | "any"
--
-- Promises. What comes out are the smallest sets that fulfil the formula, as
-- masks of positions: no set holds another one. A name that stands in a list
-- twice weighs twice. The work is bounded whatever the text is.
local M = {}

local SETS_BETWEEN <const> = 512  -- on the way; what comes out is judged later
local DEPTH_MAX <const> = 16      -- of brackets within brackets

---------------------------------------------------------------- sets of sets --

-- Adds a mask to those that are wanted; a set that holds another is dropped.
local function add(masks, mask)
  local kept = {}
  for _, other in ipairs(masks) do
    if other & mask == other then return masks end
    if other & mask ~= mask then kept[#kept + 1] = other end
  end
  kept[#kept + 1] = mask
  return kept
end

local function refuse(words)
  error({ words = words }, 0)
end

local function check_count(masks)
  if #masks > SETS_BETWEEN then refuse("it stands for too many sets") end
  return masks
end

local function either(a, b)
  local masks = a
  for _, mask in ipairs(b) do masks = add(masks, mask) end
  return check_count(masks)
end

local function both(a, b)
  local masks = {}
  for _, left in ipairs(a) do
    for _, right in ipairs(b) do masks = add(masks, left | right) end
    check_count(masks)
  end
  return masks
end

-- `count` of the items, item by item: ways[k] are the sets that fulfil k of
-- those looked at so far. Fewer than can still become enough are not kept.
local function choose(items, count)
  local ways = { [0] = { 0 } }
  for i, item in ipairs(items) do
    local following = {}
    local least = math.max(0, count - (#items - i))
    for k = least, math.min(count, i) do
      local without, with = ways[k] or {}, ways[k - 1]
      following[k] = with and either(without, both(with, item)) or without
    end
    ways = following
  end
  return ways[count]
end

---------------------------------------------------------------- the grammar --

local function tokens_of(text)
  local tokens, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then return tokens end
    local token = text:match("^[(),]", at) or text:match("^[%w_.-]+", at)
    if not token then
      refuse(("what is %q?"):format(text:match("^" .. utf8.charpattern, at)
        or text:sub(at, at)))
    end
    tokens[#tokens + 1] = token
    at = at + #token
  end
end

local Reader = {}
Reader.__index = Reader

function Reader:accept(token)
  if self.tokens[self.at] ~= token then return false end
  self.at = self.at + 1
  return true
end

function Reader:expect(token, words)
  if self:accept(token) then return end
  local found = self.tokens[self.at]
  local before = table.concat(self.tokens, " ", 1, self.at - 1)
  refuse(("expected %s %s, got %s"):format(words or ('"' .. token .. '"'),
    before == "" and "at its beginning" or ('after "' .. before .. '"'),
    found and '"' .. found .. '"' or "its end"))
end

function Reader:name()
  local token = self.tokens[self.at]
  local position = token and self.positions[token]
  if position then
    self.at = self.at + 1
    return { 1 << (position - 1) }
  elseif token and token:find("^[%w_.-]+$") then
    refuse(("%s is no voter: there are %s"):format(token,
      table.concat(self.ids, ", ")))
  end
  self:expect(false, "a name")
end

function Reader:list()
  local items = {}
  self:expect("(")
  repeat items[#items + 1] = self:either() until not self:accept(",")
  self:expect(")")
  return items
end

function Reader:count_of(word)
  self.at = self.at + 2
  local items = self:list()
  local counts = { all = #items, any = 1, majority = #items // 2 + 1 }
  local count = counts[word] or math.tointeger(tonumber(word, 10))
  if not count or count < 1 or count > #items then
    refuse(("%s of %d is not possible"):format(word, #items))
  end
  return choose(items, count)
end

function Reader:one()
  if self:accept("(") then
    local masks = self:either()
    self:expect(")")
    return masks
  elseif self.tokens[self.at + 1] == "of" then
    return self:count_of(self.tokens[self.at])
  end
  return self:name()
end

function Reader:both()
  local masks = self:one()
  while self:accept("and") do masks = both(masks, self:one()) end
  return masks
end

function Reader:either()
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then refuse("too many brackets") end
  local masks = self:both()
  while self:accept("or") do masks = either(masks, self:both()) end
  self.depth = self.depth - 1
  return masks
end

local function read(text, ids)
  local positions = {}
  for i, id in ipairs(ids) do positions[id] = i end
  local reader = setmetatable({ tokens = tokens_of(text), at = 1, depth = 0,
    ids = ids, positions = positions }, Reader)
  local masks = reader:either()
  if reader.tokens[reader.at] then reader:expect(false, '"and" or "or"') end
  return masks
end

--- The sets that a formula stands for.
-- @param ids the names that may stand in it, in the order of the mask's bits
-- @return an array of masks; or nil and what is wrong with it
function M.sets(text, ids)
  local ok, result = pcall(read, text, ids)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.words
end

return M
