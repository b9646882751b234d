--- The handles of a simulated loop: what all have in common. Names, arguments
-- and answers are those of luv; what luv raises for is raised here.
--
-- Each call is there twice, as luv has it: uv.timer_start(timer, ...) and
-- timer:start(...).

local M = {}

local Handles = { __name = "raft.sim.handles" }
Handles.__index = Handles

-- Kind -> methods, for the objects; filled by `kind` below and by others.
local kinds = {}

-- luv's numbers of the kinds.
local TYPES <const> = { async = 1, check = 2, idle = 6, prepare = 9, tcp = 12,
  timer = 13 }

--- Declares a kind of handle: its methods, called as method(handle, ...).
-- Each becomes uv.<prefix>_<name> too.
function M.kind(name, prefix, methods)
  local meta = { __name = "uv_" .. name, prefix = prefix, methods = methods,
    own = {} }
  meta.__index = methods
  meta.__tostring = function(handle)
    return ("uv_%s_t: %d"):format(name, handle.number)
  end
  kinds[name] = meta
end

--- One more method of a kind, which uv does not know by this prefix.
function M.method(kind, name, method)
  kinds[kind].methods[name] = method
  kinds[kind].own[name] = true
end

--- Takes one item out of a list.
function M.take_out(list, item)
  for i = 1, #list do
    if list[i] == item then return table.remove(list, i) end
  end
end

--- The handles of this loop.
function M.new(loop)
  return setmetatable({
    loop = loop,
    births = 0,         -- handles made so far
    all = {},           -- number -> handle that is not closed yet
    alive = 0,          -- of these, those that hold the loop
    timers = {},        -- array of active timers, soonest first
    starts = 0,         -- starts of timers and phases so far: breaks ties
    asyncs = {},        -- those that are open, oldest first
    is_async_sent = false,
    lists = { check = {}, prepare = {}, idle = {} },  -- active, newest first
    closing = {},       -- { handle, callback } in order of close
  }, Handles)
end

--- A new handle of this kind.
function Handles:make(kind)
  self.births = self.births + 1
  local handle = setmetatable({
    owner = self,
    loop = self.loop,
    kind = kind,
    number = self.births,
    is_ref = true,       -- does it hold the loop while it is active?
    is_on = false,       -- active
    state = "open",      -- open, closing, closed
  }, kinds[kind])
  self.all[handle.number] = handle
  return handle
end

-- What holds a loop: active and referenced, or closing.
local function counts(handle)
  if handle.state == "closing" then return true end
  return handle.state == "open" and handle.is_on and handle.is_ref
end

local function change(handle, field, value)
  local before = counts(handle)
  handle[field] = value
  local after = counts(handle)
  if before == after then return end
  local owner = handle.owner
  owner.alive = owner.alive + (after and 1 or -1)
end

--- Makes it active, or not.
function M.activate(handle, is_on)
  if handle.is_on ~= is_on then change(handle, "is_on", is_on) end
end

function Handles:are_alive()
  return self.alive > 0
end

--- Must the loop not sleep?
function Handles:have_work()
  return #self.lists.idle > 0 or #self.closing > 0
end

---------------------------------------------------------------- common calls --

local common = {}

-- Raises like luv for what is no handle of this kind.
local function check_handle(handle, call, kind)
  local meta = type(handle) == "table" and getmetatable(handle)
  local is_ours = meta and meta == kinds[handle.kind]
  if is_ours and (not kind or handle.kind == kind) then return handle end
  local words = "Expected uv_handle userdata"
  if kind then
    words = ("uv_%s expected, got %s"):format(kind,
      is_ours and "uv_" .. handle.kind or type(handle))
  end
  error(("bad argument #1 to '%s' (%s)"):format(call, words), 3)
end

function common.close(handle, callback)
  if handle.state ~= "open" then
    error(("handle %s is already closing"):format(tostring(handle)), 3)
  end
  if handle.stop_all then handle:stop_all() end
  M.activate(handle, false)
  change(handle, "state", "closing")
  local closing = handle.owner.closing
  closing[#closing + 1] = { handle, callback }
  handle.loop:wake()
end

function common.is_closing(handle) return handle.state ~= "open" end
function common.is_active(handle) return handle.is_on end
function common.has_ref(handle) return handle.is_ref end
function common.ref(handle) change(handle, "is_ref", true) end
function common.unref(handle) change(handle, "is_ref", false) end

--- Runs what waits for the end of a handle, the last one closed first. Some
-- have to say something before (`finish`).
function Handles:run_closing()
  local list = self.closing
  if #list == 0 then return end
  self.closing = {}
  for i = #list, 1, -1 do
    local handle, callback = list[i][1], list[i][2]
    if handle.finish then handle:finish() end
    change(handle, "state", "closed")
    self.all[handle.number] = nil
    if callback then self.loop:call(callback) end
  end
end

--------------------------------------------------------------------- as a uv --

-- What libuv does itself when a handle is closed, and does not offer.
local INNER <const> = { stop_all = true, finish = true }

-- luv checks what a function is given.
local function put_call(uv, call, method, kind)
  uv[call] = function(handle, ...)
    check_handle(handle, call, kind)
    return method(handle, ...)
  end
end

local function put_kind(uv, name, meta)
  for method_name, method in pairs(meta.methods) do
    local is_known = common[method_name] or meta.own[method_name]
      or INNER[method_name]
    if not is_known then
      put_call(uv, meta.prefix .. "_" .. method_name, method, name)
    end
  end
end

--- Puts the calls of all kinds into a uv table.
function Handles:install(uv)
  for name, method in pairs(common) do put_call(uv, name, method) end
  for name, meta in pairs(kinds) do
    for call, method in pairs(common) do meta.methods[call] = method end
    put_kind(uv, name, meta)
  end
  function uv.walk(callback)
    for number = 1, self.births do
      local handle = self.all[number]
      if handle then callback(handle) end
    end
  end
  function uv.handle_get_type(handle)
    check_handle(handle, "handle_get_type")
    return handle.kind, TYPES[handle.kind]
  end
end

return M
