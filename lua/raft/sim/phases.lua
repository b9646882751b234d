--- Check, prepare, idle and async handles of a simulated loop: see
-- raft.sim.handles.
local Handles = require "raft.sim.handles"

local M = {}

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
    Handles.activate(handle, true)
    if name == "idle" then handle.loop:wake() end
    return 0
  end
  function methods.stop(handle)
    if handle.is_on then Handles.take_out(handle.owner.lists[name], handle) end
    Handles.activate(handle, false)
    return 0
  end
  methods.stop_all = methods.stop
  Handles.kind(name, name, methods)
end

phase "check"
phase "prepare"
phase "idle"

--- Runs the callbacks of one of these phases.
function M.run(handles, name)
  local list = handles.lists[name]
  local count = #list
  if count == 0 then return end
  if count == 1 then return handles.loop:call(list[1].callback) end
  for _, handle in ipairs(table.move(list, 1, count, 1, {})) do
    if handle.is_on then handles.loop:call(handle.callback) end
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

Handles.kind("async", "async", async)

--- Puts new_check, new_prepare, new_idle and new_async into a uv.
function M.install(handles, uv)
  for _, name in ipairs { "check", "prepare", "idle" } do
    uv["new_" .. name] = function() return handles:make(name) end
  end
  function uv.new_async(callback)
    local handle = handles:make("async")
    handle.callback = callback
    Handles.activate(handle, true)
    return handle
  end
end

return M
