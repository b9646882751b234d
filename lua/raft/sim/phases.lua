--- Check, prepare, idle and async handles of a simulated loop: see
-- raft.sim.handles.
local Handles = require "raft.sim.handles"
local answers = require "raft.sim.answers"

local M = {}

-- libuv keeps these newest first, and runs those that were active when their
-- phase began and still are.
local function phase(name)
  local methods = {}
  function methods.start(handle, callback)
    answers.check_callback(name .. "_start", 2, callback)
    if handle.state ~= "open" then return answers.answer("EINVAL") end
    handle.callback = callback
    if handle.is_on then return 0 end
    local owner = handle.owner
    owner.starts = owner.starts + 1
    handle.start_count = owner.starts
    table.insert(owner.lists[name], 1, handle)
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
  local starts = handles.starts
  for _, handle in ipairs(table.move(list, 1, count, 1, {})) do
    if handle.is_on and handle.start_count <= starts then
      handles.loop:call(handle.callback)
    end
  end
end

----------------------------------------------------------------------- async --

local async = {}

-- One event of poll serves all that were sent, oldest first.
local function run_sent(handles)
  handles.is_async_sent = false
  local list = table.move(handles.asyncs, 1, #handles.asyncs, 1, {})
  for _, handle in ipairs(list) do
    local sent = handle.sent
    handle.sent = false
    if sent and handle.state == "open" then
      handles.loop:call(handle.callback, table.unpack(sent, 1, sent.n))
    end
  end
end

-- Several sends are one, and the last one counts.
function async.send(handle, ...)
  if handle.state ~= "open" then return 0 end
  local owner = handle.owner
  handle.sent = table.pack(...)
  if not owner.is_async_sent then
    owner.is_async_sent = true
    owner.loop:ready(run_sent, owner)
  end
  return 0
end

function async.stop_all(handle)
  Handles.take_out(handle.owner.asyncs, handle)
end

Handles.kind("async", "async", async)

--- Puts new_check, new_prepare, new_idle and new_async into a uv.
function M.install(handles, uv)
  for _, name in ipairs { "check", "prepare", "idle" } do
    uv["new_" .. name] = function() return handles:make(name) end
  end
  function uv.new_async(callback)
    local handle = handles:make("async")
    handle.callback, handle.sent = callback, false
    handles.asyncs[#handles.asyncs + 1] = handle
    Handles.activate(handle, true)
    return handle
  end
end

return M
