--- What a run of the comparison measures, from the words of its command line.
--
--   [part...] [rounds=5] [ms=1000] [outstanding=1,64] [bytes=128] [nodes=3]
--   [subjects=ours,canonical] [json=FILE] [plots=DIRECTORY]
--
-- Parts: embedded sizes nodes reads client processes recovery core costs. A
-- list in the place of a part's own `outstanding`, `bytes` or `nodes` is used
-- by all parts that were asked for.
local M = {}

local MIB <const> = 1 << 20
local IN_FLIGHT_MAX <const> = 4 * MIB  -- bytes under way: larger ones, fewer

--- The parts in the order in which they run. `side` says where the load is.
M.parts = {
  { name = "embedded", side = "embedded", kinds = { "propose" },
    title = "durable commands, load inside the leader",
    outstanding = { 1, 16, 64, 256, 1024 }, bytes = { 128 }, nodes = { 3 } },
  { name = "sizes", side = "embedded", kinds = { "propose" },
    title = "sizes of commands, load inside the leader",
    outstanding = { 64 }, bytes = { 16, 4096, 262144 }, nodes = { 3 } },
  { name = "nodes", side = "embedded", kinds = { "propose" },
    title = "sizes of clusters, load inside the leader",
    outstanding = { 64 }, bytes = { 128 }, nodes = { 1, 5 } },
  { name = "reads", side = "embedded",
    title = "reads inside a node",
    kinds = { "linearizable", "lease", "stale", "follower" },
    outstanding = { 1, 64, 1024 }, bytes = { 128 }, nodes = { 3 } },
  { name = "client", side = "client",
    title = "a client in a process of its own",
    kinds = { "propose", "linearizable", "lease", "stale" },
    outstanding = { 1, 64, 1024 }, bytes = { 128 }, nodes = { 3 } },
}

--- Parts that are no loads: what a process costs and how it starts and ends; a
-- node with a long log; the core without anything around it; what an entry
-- costs.
M.others = { "processes", "recovery", "core", "costs" }

-- What a subject has no kind of.
local lacks <const> = {
  canonical = { linearizable = true, lease = true, stale = true },
  ceiling = { linearizable = true, lease = true, stale = true },
  etcd = { lease = true },
}

--- Can this subject do this kind of load?
function M.can(subject, cell)
  return not (lacks[subject] and lacks[subject][cell.kind])
end

local function numbers(path, text)
  local list = {}
  for word in (text .. ","):gmatch("([^,]*),") do
    local n = math.tointeger(word)
    if not n or n < 1 then
      error(("%s: expected whole numbers above 0, got %q"):format(path,
        text), 0)
    end
    list[#list + 1] = n
  end
  return list
end

local function number(path, text)
  local list = numbers(path, text)
  if #list > 1 then error(path .. ": expected one number", 0) end
  return list[1]
end

local known <const> = { "embedded", "client", "ours", "canonical", "ceiling",
  "etcd" }

local function names(path, text)
  local set = {}
  for word in text:gmatch("[^,]+") do
    local is_known = false
    for i = 3, #known do is_known = is_known or known[i] == word end
    if not is_known then
      error(("%s: no such subject: %s"):format(path, word), 0)
    end
    set[word] = true
  end
  return set
end

local function words(_, text)
  return text
end

local options <const> = { rounds = number, ms = number, outstanding = numbers,
  bytes = numbers, nodes = numbers, subjects = names, json = words,
  plots = words }

local function is_part(word)
  for _, part in ipairs(M.parts) do
    if part.name == word then return true end
  end
  for _, name in ipairs(M.others) do
    if name == word then return true end
  end
  return false
end

local function take_word(plan, asked, word)
  local name, text = word:match("^(%w+)=(.+)$")
  if name then
    local take = options[name]
    if not take then error("no such option: " .. name, 0) end
    plan[name] = take(name, text)
    return
  end
  if not is_part(word) then error("no such part: " .. word, 0) end
  asked[word] = true
end

-- The cells of a part: what is measured at once, on one set of clusters.
local function groups_of(part, plan)
  local groups = {}
  for _, nodes in ipairs(plan.nodes or part.nodes) do
    local cells = {}
    for _, kind in ipairs(part.kinds) do
      for _, bytes in ipairs(plan.bytes or part.bytes) do
        for _, wished in ipairs(plan.outstanding or part.outstanding) do
          local outstanding = math.max(1, math.min(wished,
            IN_FLIGHT_MAX // bytes))
          local is_follower = kind == "follower"
          cells[#cells + 1] = { name = kind, bytes = bytes, nodes = nodes,
            kind = is_follower and "linearizable" or kind,
            at = is_follower and "follower" or "leader",
            outstanding = outstanding }
        end
      end
    end
    groups[#groups + 1] = { part = part, nodes = nodes, cells = cells }
  end
  return groups
end

--- The plan that these words ask for; a quick one is short. What is wrong
-- raises, and names it.
function M.parse(list, is_quick)
  local plan = { rounds = is_quick and 1 or 5, ms = is_quick and 200 or 1000,
    groups = {}, others = {}, is_quick = is_quick,
    is_whole = #list == 0 and not is_quick }
  local asked = {}
  for _, word in ipairs(list) do take_word(plan, asked, word) end
  for _, part in ipairs(M.parts) do
    if next(asked) == nil or asked[part.name] then
      table.move(groups_of(part, plan), 1, #(plan.nodes or part.nodes),
        #plan.groups + 1, plan.groups)
    end
  end
  for _, name in ipairs(M.others) do
    plan.others[name] = next(asked) == nil or asked[name] or false
  end
  return plan
end

return M
