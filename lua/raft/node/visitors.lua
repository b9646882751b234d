--- The channels that others have opened with us: cuts what they bring into
-- frames, and closes one that brings nothing for long.
local Cutter = require "raft.cutter"
local raft_core = require "raft.core"

local M = {}

local IDLE_MS <const> = 30000  -- without a frame that means something
local LOOK_MS <const> = 5000   -- how often that is looked at

local Visitors = { __name = "raft.visitors" }
Visitors.__index = Visitors

--- @param driver gives now(), guard(), node.scheduler
-- @param owner expect: kind of frame -> function(owner, channel, term, ...);
--   left(channel); is_at_work(channel): does it wait for us?; look()
--   from time to time; is_idle(): is there nothing to look at?
function M.new(driver, owner)
  return setmetatable({
    driver = driver,
    owner = owner,
    list = {},  -- { channel, cutter, heard_at }, in order of coming
    timer = false,
    is_closed = false,
  }, Visitors)
end

--- One was accepted: what to call for it.
function Visitors:accept(channel)
  if self.is_closed then return false end
  local visitor = { channel = channel, cutter = Cutter.new(raft_core.ship_size),
    heard_at = self.driver:now() }
  self.list[#self.list + 1] = visitor
  self:watch()
  return {
    bytes = function(_, chunk) self:received(visitor, chunk) end,
    closed = function() self:left(visitor) end,
  }
end

function Visitors:left(visitor)
  for i, other in ipairs(self.list) do
    if other == visitor then
      table.remove(self.list, i)
      return self.owner:left(visitor.channel)
    end
  end
end

function Visitors:received(visitor, chunk)
  local channel = visitor.channel
  local ok = visitor.cutter:feed(chunk, function(frame)
    self:take(visitor, raft_core.ship_decode(frame))
    return not channel.is_ended and not self.is_closed
  end)
  if not ok then channel:close("broken frame") end
end

function Visitors:take(visitor, kind, term, a, b)
  if kind == "other" then return end  -- a ping
  local handler = kind and self.owner.expect[kind]
  if not handler then return visitor.channel:close("broken frame") end
  visitor.heard_at = self.driver:now()
  handler(self.owner, visitor.channel, term, a, b)
end

--- Looks after them for as long as there is something to look at.
function Visitors:watch()
  local is_idle = #self.list == 0 and self.owner:is_idle()
  if self.timer or self.is_closed or is_idle then return end
  self.timer = self.driver.node.scheduler:after(LOOK_MS,
    self.driver:guard(function()
      self.timer = false
      self:look(self.driver:now())
      self.owner:look()
      self:watch()
    end))
end

function Visitors:look(now)
  for i = #self.list, 1, -1 do
    local visitor = self.list[i]
    if self.owner:is_at_work(visitor.channel) then visitor.heard_at = now end
    if now >= visitor.heard_at + IDLE_MS then
      visitor.channel:close("nothing comes")
    end
  end
end

--- Ends all of them.
function Visitors:close()
  self.is_closed = true
  if self.timer then self.driver.node.scheduler:close(self.timer) end
  self.timer = false
  for i = #self.list, 1, -1 do self.list[i].channel:close("closing") end
end

return M
