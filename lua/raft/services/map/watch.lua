--- Watches a map: what is in it, and then every change, in the order of their
-- versions. It asks the map itself (list, changes), so it works over every
-- proxy; where the proxy hears events, it asks at once when something changes,
-- and else every poll_ms.
--
-- Promises. Of a key, versions ascend. No change behind the first state is
-- missed, unless the watch falls behind by more than the map's history_max:
-- then what has changed meanwhile is found by comparing, and what was there for
-- a while only is not told.
--
-- Limits. It remembers the version of each key that it has told.
local follower = require "raft.services.support.follower"
local schema = require "raft.schema"

local M = {}

local PAGE <const> = 100  -- items or changes that are asked for at once

----------------------------------------------------------------- the telling --

-- Tells a value, or that the key is gone, unless that is no news.
local function tell(self, key, value, version)
  local told = self.told[key]
  if told and told >= version then return end
  if value == nil and not told then return end
  self.told[key] = value ~= nil and version or nil
  self:call(self.fn, key, value, version)
end

-- What was told and is not in the map any more, in the order of the keys.
local function tell_gone(self, found, version)
  local gone = {}
  for key in pairs(self.told) do
    if not found[key] then gone[#gone + 1] = key end
  end
  table.sort(gone)
  for _, key in ipairs(gone) do tell(self, key, nil, version) end
end

----------------------------------------------------------------- the asking --

-- Tells all that is in the map: true, or nil and the error; or nil and false:
-- it is closed, or who was asked lags behind what we know, which passes. Pages
-- are read one after the other; what changes meanwhile is behind the version of
-- the first one, and comes with the changes.
local function tell_all(self)
  local found, first, after = {}, false, nil
  repeat
    local page, err = self.proxy.list(self.prefix, after, PAGE)
    if not page then return nil, err end
    local known = first or self.version or 0
    if page.version < known then return nil, false end  -- is it stale?
    first, after = first or page.version, page.next
    for _, item in ipairs(page.items) do
      found[item.key] = true
      if self.is_closed then return nil, false end
      tell(self, item.key, item.value, item.version)
    end
  until not after
  tell_gone(self, found, first)
  self.version = first
  return true
end

-- Tells the changes of one page. Was it all of them?
local function tell_page(self, page)
  for _, change in ipairs(page.changes) do
    if self.is_closed then return nil, false end
    if change.key:sub(1, #self.prefix) == self.prefix then
      tell(self, change.key, change.value, change.version)
    end
    self.version = change.version
  end
  return true
end

-- Tells the changes since: true, or nil and the error. Where they are gone it
-- tells all that is there instead.
local function tell_changes(self)
  local page, err
  repeat
    page, err = self.proxy.changes(self.version, PAGE)
    if page == nil then return nil, err end
    if not page then return tell_all(self) end
    if not tell_page(self, page) then return nil, false end
  until page.is_all
  return true
end

-- One look at the map.
local function step(self)
  local ok, err = true, nil
  if not self.version then ok, err = tell_all(self) end
  if ok then ok, err = tell_changes(self) end
  if ok and not self.is_ready then
    self.is_ready = true
    if self.opts.ready then self:call(self.opts.ready, self.version) end
  end
  return false, err
end

-------------------------------------------------------------------- the face --

local rule = follower.options { { "ready", schema.callable } }

--- Tells fn(key, value, version) all keys with this prefix, then every change
-- of them; value is nil where one is gone. It returns at once; fn is called
-- from the loop.
-- @param opts poll_ms: how often to ask where no events are heard; ready:
--   function(version), called once when all was told; error: function(err)
--   hears what fn raises, and the error with which a watch ends
-- @return the watch: `watch.version`, `watch:close()`
function M.start(proxy, prefix, fn, opts)
  if type(prefix) ~= "string" then
    error(("map.watch: expected a prefix as a string, got %s"):format(
      schema.show(prefix)), 2)
  end
  local watch = follower.start {
    name = "map.watch", event = "change", step = step, rule = rule,
    proxy = proxy, prefix = prefix, fn = fn, opts = opts,
    told = {},         -- key -> version that was told
    version = false,   -- all up to it was told; false: nothing yet
    is_ready = false,  -- was all told once?
  }
  return watch  -- no tail call: whom errors blame is counted from here
end

return M
