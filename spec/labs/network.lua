--- The network of the labs: servers that are cut off, and frames that are lost
-- or come late. Methods of spec.labs.harness.

local M = {}

-- What labrpc calls reliable has no delay at all.
M.DELAY = { 0.05, 0.25 }
local RELIABLE <const> = { delay = M.DELAY, loss = 0, reorder_ms = 0 }
local UNRELIABLE <const> = { loss = 0.1, reorder = 1, reorder_ms = 26 }

local methods = {}
M.methods = methods

-- Makes the wires what is_connected says: who is not hears nobody at all.
function methods:wire()
  local groups = { {} }
  self:each(function(id)
    local is_alone = not self.is_connected[id]
    local group = is_alone and {} or groups[1]
    group[#group + 1] = id
    if is_alone then groups[#groups + 1] = group end
  end)
  self.s:partition(table.unpack(groups))
end

function methods:disconnect(...)
  for _, id in ipairs { ... } do self.is_connected[id] = false end
  self:wire()
end

function methods:connect(...)
  for _, id in ipairs { ... } do self.is_connected[id] = true end
  self:wire()
end

function methods:connect_all()
  self:connect(table.unpack(self.s.ids))
end

function methods:unreliable(is_so)
  self.is_unreliable = is_so
  self.s.network:set(RELIABLE)
  if is_so then self.s.network:set(UNRELIABLE) end
end

--- Answers overtake each other by up to 2.2 s, on the unreliable network.
function methods:reorder(is_so)
  local random = self.random
  self.s.network:judge(is_so and function(_, _, kind)
    if not kind:find("_reply$") then return nil end
    if random:chance(0.1) then return "lose" end
    if random:chance(600 / 900) then
      return 200 + random:below(1 + random:below(2000))
    end
    return random:below(27)
  end)
end

local CALLS <const> = { vote = true, append = true, timeout_now = true,
  propose = true, read = true }

--- Counts calls between servers, and pings.
function M.count(self)
  self.s.network:watch(function(_, _, kind)
    if CALLS[kind] then self.rpcs = self.rpcs + 1 end
    if kind == "ping" then self.pings = self.pings + 1 end
  end)
end

return M
