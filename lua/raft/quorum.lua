--- Who is enough: the option `quorum`, and what may be in force.
--
--   "majority"                                     the default
--   { election = 4, commit = 2 }                   sizes: so many voters
--   { election = { { "n1", "n2" }, ... }, commit = ... }       sets
--   { election = "2 of (n1, n2, n3)", commit = ... }           formulas
--
-- Two checks, never one: every two election quorums have a voter in common, so
-- that a term has one leader; and every election quorum has one in common with
-- every commit quorum, so that a leader has what was committed. And no commit
-- quorum consists of witnesses. What fails is told with those who show it.
local formula = require "raft.quorum.formula"
local plain = require "raft.plain"
local schema = require "raft.schema"

local M = {}

local SETS_MAX <const> = 16   -- the core's limit, for each purpose
local VOTERS_MAX <const> = 32 -- the core's limit of members

------------------------------------------------------------------ the shape --

local size = schema.integer(1, VOTERS_MAX, "voters")

local function names(value, path)
  if type(value) ~= "table" or #value == 0 then
    schema.refuse(path, "a list of names", value)
  end
  local list = {}
  for i, name in ipairs(value) do
    list[i] = schema.name(name, schema.join(path, i))
  end
  return list
end

local function purpose(value, path)
  if math.type(value) then return size(value, path) end
  if type(value) == "string" then return schema.text(value, path) end
  if type(value) ~= "table" or #value == 0 then
    schema.refuse(path, "a number of voters, a list of sets, or a formula",
      value)
  end
  local sets = {}
  for i, set in ipairs(value) do
    sets[i] = names(set, schema.join(path, i))
  end
  return sets
end

local fields = schema.fields {
  { "election", purpose, required = "a number of voters" },
  { "commit", purpose, required = "a number of voters" },
}

--- The rule for the option: false for the majority, or { election=, commit= },
-- each a size, a list of lists of names, or a formula. M.resolve goes on.
function M.rule(value, path)
  if value == "majority" or value == false then return false end
  if type(value) == "string" then
    return { election = value, commit = value }
  elseif type(value) ~= "table" then
    schema.refuse(path, '"majority", a table or a formula', value)
  end
  return fields(value, path)
end

------------------------------------------------------------------- resolving --

-- The members that count, sorted, and the witnesses among them as a mask.
local function voters_of(members)
  local ids = {}
  for id, member in pairs(members) do
    if member.role ~= "learner" then ids[#ids + 1] = id end
  end
  plain.sort_keys(ids, true)
  local witnesses = 0
  for i, id in ipairs(ids) do
    if members[id].role == "witness" then witnesses = witnesses | 1 << i - 1 end
  end
  return ids, witnesses
end

local function mask_of(set, ids)
  local mask = 0
  for _, name in ipairs(set) do
    local bit
    for i, id in ipairs(ids) do
      if id == name then bit = 1 << i - 1 end
    end
    if not bit then
      return nil, ("%s is no voter: there are %s"):format(name,
        table.concat(ids, ", "))
    end
    mask = mask | bit
  end
  return mask
end

local function masks_of(sets, ids)
  local masks = {}
  for i, set in ipairs(sets) do
    local mask, why = mask_of(set, ids)
    if not mask then return nil, why end
    masks[i] = mask
  end
  return masks
end

-- One purpose as masks: an array; or nil and what is wrong.
local function expand(value, ids)
  local masks, why
  if type(value) == "table" then
    masks, why = masks_of(value, ids)
  elseif type(value) == "string" then
    masks, why = formula.sets(value, ids)
  elseif value > #ids then
    return nil, ("expected 1 to %d voters, got %d"):format(#ids, value)
  else
    masks, why = formula.sets(("%d of (%s)"):format(value,
      table.concat(ids, ", ")), ids)
  end
  if masks and #masks > SETS_MAX then
    return nil, ("stands for %d sets, and there may be %d"):format(#masks,
      SETS_MAX)
  end
  return masks, why
end

local function names_of(mask, ids)
  local set = {}
  for i, id in ipairs(ids) do
    if mask >> i - 1 & 1 == 1 then set[#set + 1] = id end
  end
  return set
end

--------------------------------------------------------------------- words --

-- "n1", "n1 and n2", "n1, n2 and n3"
local function listed(set)
  if #set == 1 then return set[1] end
  return table.concat(set, ", ", 1, #set - 1) .. " and " .. set[#set]
end

local function two_leaders(a, b)
  return ("%s could elect a leader, and %s another"):format(listed(a),
    listed(b))
end

local function blind_leader(a, b)
  return ("%s could elect a leader that lacks what %s committed"):format(
    listed(a), listed(b))
end

local function witnesses_alone(set)
  return ("%s could commit alone, and witnesses keep no commands"):format(
    listed(set))
end

-------------------------------------------------------------------- sizes --

local function check_sizes(rule, ids, witnesses)
  local n, e, c = #ids, rule.election, rule.commit
  for _, name in ipairs { "election", "commit" } do
    if rule[name] > n then
      return nil, name, ("expected 1 to %d voters, got %d"):format(n,
        rule[name])
    end
  end
  local first = table.move(ids, 1, e, 1, {})
  if 2 * e <= n then
    return nil, "election", ("two elections must have a voter in common: %d "
      .. "of %d is too few: %s"):format(e, n, two_leaders(first,
      table.move(ids, e + 1, 2 * e, 1, {})))
  elseif e + c <= n then
    return nil, "", ("an election and a commit must have a voter in common: "
      .. "%d and %d of %d are too few: %s"):format(e, c, n, blind_leader(first,
      table.move(ids, e + 1, e + c, 1, {})))
  end
  local alone = names_of(witnesses, ids)
  if #alone >= c then return nil, "commit", witnesses_alone(alone) end
  local is_majority = e == n // 2 + 1 and c == e
  return not is_majority and { election = e, commit = c }
end

--------------------------------------------------------------------- sets --

-- The first two, one of each, that have nobody in common; or nil.
local function disjoint(a, b)
  for _, left in ipairs(a) do
    for _, right in ipairs(b) do
      if left & right == 0 then return left, right end
    end
  end
end

-- nil, or where and what is wrong with them.
local function fault_of_sets(elections, commits, ids, witnesses)
  local a, b = disjoint(elections, elections)
  if a then
    return "election", "two elections must have a voter in common: "
      .. two_leaders(names_of(a, ids), names_of(b, ids))
  end
  a, b = disjoint(elections, commits)
  if a then
    return "", "an election and a commit must have a voter in common: "
      .. blind_leader(names_of(a, ids), names_of(b, ids))
  end
  for _, mask in ipairs(commits) do
    if mask & ~witnesses == 0 then
      return "commit", witnesses_alone(names_of(mask, ids))
    end
  end
end

local function lists_of(masks, ids)
  local sets = {}
  for i, mask in ipairs(masks) do sets[i] = names_of(mask, ids) end
  return sets
end

local function check_sets(rule, ids, witnesses)
  local elections, why = expand(rule.election, ids)
  if not elections then
    local is_both = rule.election == rule.commit  -- one formula was given
    return nil, is_both and "" or "election", why
  end
  local commits
  commits, why = expand(rule.commit, ids)
  if not commits then return nil, "commit", why end
  local where, words = fault_of_sets(elections, commits, ids, witnesses)
  if where then return nil, where, words end
  return { election = lists_of(elections, ids),
    commit = lists_of(commits, ids) }
end

------------------------------------------------------------------ the whole --

--- The rule as a configuration holds it, for these members.
-- @param rule what M.rule returned, or the rule of a configuration, or nil
-- @param members id -> { role= }, the roles that are to be reached
-- @return false for the majority, or { election=, commit= } of sizes or sets;
--   or nil, where in it ("" is all of it, "members": it is not its fault), and
--   what is wrong in words
function M.resolve(rule, members)
  local ids, witnesses = voters_of(members)
  if witnesses + 1 == 1 << #ids then
    local words = #ids == 0 and "a cluster needs a voter"
      or "witnesses alone are no cluster: one voter is needed"
    return nil, "members", words
  end
  local majority = #ids // 2 + 1
  rule = rule or { election = majority, commit = majority }
  if math.type(rule.election) and math.type(rule.commit) then
    return check_sizes(rule, ids, witnesses)
  end
  return check_sets(rule, ids, witnesses)
end

-------------------------------------------------------------------- equality --

-- Sets in a form of their own: names in order, and sets in order.
local function canonical(sets)
  local lines = {}
  for i, set in ipairs(sets) do
    local names_in = table.move(set, 1, #set, 1, {})
    lines[i] = table.concat(plain.sort_keys(names_in, true), " ")
  end
  return table.concat(plain.sort_keys(lines, true), "; ")
end

local function is_same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) ~= "table" then return a == b end
  return canonical(a) == canonical(b)
end

--- Do two rules of configurations (nil or false: the majority) say the same?
function M.same(a, b)
  if not a or not b then return not a and not b end
  return is_same(a.election, b.election) and is_same(a.commit, b.commit)
end

return M
