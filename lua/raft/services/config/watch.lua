--- Watches a configuration: what it is, and then each of its versions, in their
-- order. It asks the configuration itself (all, since), so it works over every
-- proxy.
--
-- Promise. No version is missed, unless the watch falls behind by more than
-- history_max of them: then it goes on with the newest.
local codec = require "raft.codec"
local follower = require "raft.services.support.follower"

local M = {}

-- The names whose values differ, sorted.
local function names_that_differ(before, after)
  local names = {}
  for name, value in pairs(after) do
    if codec.encode(before[name]) ~= codec.encode(value) then
      names[#names + 1] = name
    end
  end
  for name in pairs(before) do
    if after[name] == nil then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function tell(self, document)
  local changed = names_that_differ(self.settings, document.settings)
  self.version, self.settings = document.version, document.settings
  self:call(self.fn, document.settings, document.version, changed)
end

local function tell_newest(self)
  local document, err = self.proxy.all()
  if not document then return false, err end
  if self.version and document.version <= self.version then return false end
  if not self.is_closed then tell(self, document) end
  return true
end

-- One look. Was there something?
local function step(self)
  if not self.version then return tell_newest(self) end
  local list, err = self.proxy.since(self.version)
  if list == nil then return false, err end
  if not list then return tell_newest(self) end
  for _, document in ipairs(list) do
    if self.is_closed then return false end
    tell(self, document)
  end
  return #list > 0
end

local rule = follower.options {}

--- Tells fn(settings, version, changed) what the settings are, then each change
-- of them: all settings, with their defaults, and the names of those that are
-- others than before, sorted. It returns at once; fn is called from the loop.
-- The tables are fn's own, but for the settings, which it must not change.
-- @param opts poll_ms: how often to ask where no events are heard; error:
--   function(err) hears what fn raises, and the error with which a watch ends
-- @return the watch: `watch.version`, `watch:close()`
function M.start(proxy, fn, opts)
  local watch = follower.start {
    name = "config.watch", event = "change", step = step, rule = rule,
    proxy = proxy, fn = fn, opts = opts,
    version = false,  -- that was told last; false: none yet
    settings = {},    -- of that version
  }
  return watch  -- no tail call: whom errors blame is counted from here
end

return M
