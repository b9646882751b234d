--- The handles of a simulated loop: what all have in common, and timers,
-- check, prepare, idle and async handles. Names, arguments and answers are
-- those of luv; what luv raises for is raised here.
--
-- Each call is there twice, as luv has it: uv.timer_start(timer, ...) and
-- timer:start(...).

local M = {}

local Handles = { __name = "raft.sim.handles" }
Handles.__index = Handles

-- Kind -> methods, for the objects; filled by `kind` below and by others.
local kinds = {}

--- Declares a kind of handle: its methods, called as method(handle, ...).
-- Each becomes uv.<prefix>_<name> too.
function M.kind(name, prefix, methods)
  local meta = { __name = "uv_" .. name, prefix = prefix, methods = methods }
  meta.__index = methods
  meta.__tostring = function(handle)
    return ("uv_%s_t: %d"):format(name, handle.number)
  end
  kinds[name] = meta
end

--- The handles of this loop.
function M.new(loop)
  return setmetatable({
    loop = loop,
    births = 0,         -- handles made so far
    all = {},           -- number -> handle that is not closed yet
    alive = 0,          -- of these, those that hold the loop
    timers = {},        -- array of active timers, soonest first
    starts = 0,         -- timers started so far: breaks ties
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
    has_ref = true,
    is_on = false,       -- active
    state = "open",      -- open, closing, closed
  }, kinds[kind])
  self.all[handle.number] = handle
  return handle
end

-- What holds a loop: active and referenced, or closing.
local function counts(handle)
  if handle.state == "closing" then return true end
  return handle.state == "open" and handle.is_on and handle.has_ref
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

-------------------------------------------------------------- common calls --

local common = {}

--- Raises like luv for what is no handle of this kind.
local function check_handle(handle, call, kind)
  local meta = getmetatable(handle)
  local is_ours = type(handle) == "table" and meta and kinds[meta.__name:sub(4)]
  if is_ours == meta and (not kind or handle.kind == kind) then return handle end
  error(("bad argument #1 to '%s' (Expected %s)"):format(call,
    kind and "uv_" .. kind .. " userdata" or "uv_handle userdata"), 3)
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
function common.has_ref(handle) return handle.has_ref end
function common.ref(handle) change(handle, "has_ref", true) end
function common.unref(handle) change(handle, "has_ref", false) end

--- Runs what waits for the end of a handle.
function Handles:run_closing()
  local list = self.closing
  if #list == 0 then return end
  self.closing = {}
  for i = 1, #list do
    local handle, callback = list[i][1], list[i][2]
    change(handle, "state", "closed")
    self.all[handle.number] = nil
    if callback then self.loop:call(callback) end
  end
end

--------------------------------------------------------------------- timers --

local function is_sooner(a, b)
  if a.due_ms ~= b.due_ms then return a.due_ms < b.due_ms end
  return a.start_count < b.start_count
end

local function place(list, timer)
  local i = #list
  while i > 0 and is_sooner(timer, list[i]) do
    list[i + 1] = list[i]
    i = i - 1
  end
  list[i + 1] = timer
end

local function take_out(list, item)
  for i = 1, #list do
    if list[i] == item then return table.remove(list, i) end
  end
end

local timer = {}

function timer.stop(handle)
  if handle.is_on then take_out(handle.owner.timers, handle) end
  M.activate(handle, false)
  return 0
end
timer.stop_all = timer.stop

-- A delay below 0 wraps around in libuv: it never fires.
local NEVER_MS <const> = math.maxinteger

function timer.start(handle, timeout_ms, repeat_ms, callback)
  assert(math.tointeger(timeout_ms) and math.tointeger(repeat_ms),
    "timer_start: expected integers")
  assert(callback, "timer_start: expected a function")
  if handle.state ~= "open" then
    return nil, "EINVAL: invalid argument", "EINVAL"
  end
  timer.stop(handle)
  local owner = handle.owner
  owner.starts = owner.starts + 1
  handle.callback, handle.repeat_ms = callback, repeat_ms // 1 | 0
  handle.start_count = owner.starts
  handle.due_ms = timeout_ms < 0 and NEVER_MS
    or handle.loop.cached_ms + (timeout_ms // 1 | 0)
  place(owner.timers, handle)
  M.activate(handle, true)
  if not handle.loop.is_in_turn and handle.loop.is_polling then
    handle.loop:sleep()
  end
  return 0
end

function timer.again(handle)
  if not handle.callback then
    return nil, "EINVAL: invalid argument", "EINVAL"
  end
  if handle.repeat_ms > 0 then
    timer.start(handle, handle.repeat_ms, handle.repeat_ms, handle.callback)
  end
  return 0
end

function timer.set_repeat(handle, ms) handle.repeat_ms = ms end
function timer.get_repeat(handle) return handle.repeat_ms or 0 end

function timer.get_due_in(handle)
  if not handle.is_on then return 0 end
  return math.max(0, handle.due_ms - handle.loop.cached_ms)
end

M.kind("timer", "timer", timer)

local function fire(self, handle)
  timer.stop(handle)
  timer.again(handle)
  self.loop:call(handle.callback)
end

-- libuv 1.44: one after the other, also what was started meanwhile.
local function run_each(self)
  local list = self.timers
  while list[1] and list[1].due_ms <= self.loop.cached_ms do
    fire(self, list[1])
    if self.loop.is_dead then return end
  end
end

-- Later: those that are due now; what one of them stops does not fire.
local function run_those_due(self)
  local due = {}
  for _, handle in ipairs(self.timers) do
    if handle.due_ms > self.loop.cached_ms then break end
    due[#due + 1] = { handle, handle.start_count }
  end
  for _, item in ipairs(due) do
    local handle, start = item[1], item[2]
    if handle.is_on and handle.start_count == start then fire(self, handle) end
  end
end

function Handles:run_timers()
  if self.loop.order == "later" then
    run_those_due(self)
  else
    run_each(self)
  end
end

--- ms until the loop has to wake; nil: no need to.
function Handles:next_timeout()
  local first = self.timers[1]
  if not first or first.due_ms == NEVER_MS then return nil end
  return math.max(0, first.due_ms - self.loop.cached_ms)
end

----------------------------------------------------- check, prepare and idle --

-- libuv keeps these newest first, and runs those that are active when their
-- phase begins.
local function phase(name)
  local methods = {}
  function methods.start(handle, callback)
    assert(callback, name .. "_start: expected a function")
    if handle.state ~= "open" then
      return nil, "EINVAL: invalid argument", "EINVAL"
    end
    if handle.is_on then return 0 end
    handle.callback = callback
    table.insert(handle.owner.lists[name], 1, handle)
    M.activate(handle, true)
    if name == "idle" then handle.loop:wake() end
    return 0
  end
  function methods.stop(handle)
    if handle.is_on then take_out(handle.owner.lists[name], handle) end
    M.activate(handle, false)
    return 0
  end
  methods.stop_all = methods.stop
  M.kind(name, name, methods)
end

phase "check"
phase "prepare"
phase "idle"

--- Runs the callbacks of one of these phases.
function Handles:run(name)
  local list = self.lists[name]
  local count = #list
  if count == 0 then return end
  if count == 1 then return self.loop:call(list[1].callback) end
  for _, handle in ipairs(table.move(list, 1, count, 1, {})) do
    if handle.is_on then self.loop:call(handle.callback) end
  end
end

---------------------------------------------------------------------- async --

local async = {}

function async.send(handle, ...)
  if handle.is_sent or handle.state ~= "open" then return 0 end
  handle.is_sent = true
  local arguments = table.pack(...)
  handle.loop:ready(function()
    handle.is_sent = false
    if handle.state ~= "open" then return end
    handle.callback(table.unpack(arguments, 1, arguments.n))
  end)
  return 0
end

M.kind("async", "async", async)

------------------------------------------------------------------- as a uv --

-- luv checks what a function is given, and what a method is called on.
local function put_calls(uv, prefix, methods, kind)
  for name, method in pairs(methods) do
    local call = prefix and prefix .. "_" .. name or name
    uv[call] = uv[call] or function(handle, ...)
      check_handle(handle, call, kind)
      return method(handle, ...)
    end
  end
end

--- Puts the calls of all kinds into a uv table.
function Handles:install(uv)
  put_calls(uv, nil, common)
  for name, meta in pairs(kinds) do
    for call, method in pairs(common) do
      meta.methods[call] = meta.methods[call] or method
    end
    put_calls(uv, meta.prefix, meta.methods,
      meta.prefix ~= "stream" and name or nil)
  end
  for _, kind in ipairs { "timer", "check", "prepare", "idle" } do
    uv["new_" .. kind] = function() return self:make(kind) end
  end
  function uv.new_async(callback)
    local handle = self:make("async")
    handle.callback = callback
    M.activate(handle, true)
    return handle
  end
  function uv.walk(callback)
    for number = 1, self.births do
      local handle = self.all[number]
      if handle then callback(handle) end
    end
  end
  function uv.handle_get_type(handle) return handle.kind end
end

return M
