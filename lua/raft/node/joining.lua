--- A new node that asks to be added: the option `join` with addresses.
--
-- It asks one after the other, again and again, until the cluster has taken it
-- in: then a member greets it, and there is nothing more to ask.
local M = {}

local ASK_MS <const> = 500  -- between two questions

local Joining = { __name = "raft.joining" }
Joining.__index = Joining

--- @param driver gives options, formed, is_closed, transport, node.scheduler
function M.new(driver)
  return setmetatable({
    driver = driver,
    asked = 0,      -- questions so far
    timer = false,  -- until the next one
  }, Joining)
end

local function ask(self)
  local driver = self.driver
  self.timer = false
  if driver.is_closed or driver.formed then return end
  local addresses = driver.options.join
  local where = addresses[self.asked % #addresses + 1]
  self.asked = self.asked + 1
  driver.transport.channels:knock(where)
  self.timer = driver.node.scheduler:after(ASK_MS, function() ask(self) end)
end

--- Begins, where there is somebody to ask.
function Joining:begin()
  if type(self.driver.options.join) == "table" then ask(self) end
end

--- Asks no more.
function Joining:stop()
  if self.timer then self.driver.node.scheduler:close(self.timer) end
  self.timer = false
end

return M
