--- Samples of stacks as a tree: what a flame graph draws. A frame is
-- { key, label, title, kind }; kinds are those of M.kinds.
--
-- Stacks come from bench/probes/sampler.c, as lines of frames "name|where" with
-- the outermost first, or from `perf script`, with the innermost first.
local M = {}

--- Whose code a frame is of, and how that is called.
M.kinds = {
  { name = "ours", text = "Lua of raft" },
  { name = "load", text = "the load" },
  { name = "core", text = "raft.core" },
  { name = "luv", text = "luv, libuv" },
  { name = "lua", text = "Lua itself" },
  { name = "libc", text = "C library" },
  { name = "kernel", text = "kernel" },
}

----------------------------------------------------------------------- tree --

local function new_node(frame)
  return { frame = frame, samples = 0, own = 0, children = {}, by_key = {} }
end

--- A tree without samples.
function M.new()
  return new_node { key = "all", label = "all", title = "all", kind = "all" }
end

--- Adds a stack, the outermost frame first.
function M.add(tree, frames, samples)
  local node = tree
  node.samples = node.samples + samples
  for _, frame in ipairs(frames) do
    local child = node.by_key[frame.key]
    if not child then
      child = new_node(frame)
      node.by_key[frame.key] = child
      node.children[#node.children + 1] = child
    end
    child.samples = child.samples + samples
    node = child
  end
  node.own = node.own + samples
end

-- The frames from the outermost one that `is_loop` on: what started the loop
-- is the same in every stack.
local function within_loop(frames, is_loop)
  for i, frame in ipairs(frames) do
    if is_loop(frame) then return table.move(frames, i, #frames, 1, {}) end
  end
  return frames
end

------------------------------------------------------------------ of a hook --

local function kind_of_object(object)
  if object:find("^core%.so") then return "core" end
  if object:find("luv%.so") or object:find("libuv%.so") then return "luv" end
  if object:find("^lua") or object:find("^liblua") then return "lua" end
  return "libc"
end

local function lua_frame(text, names)
  local name, where = text:match("^(.*)|(.-)$")
  local file = where:match("^(.*):%d+$")
  if not file then
    local kind = kind_of_object(where)
    local label = name == "?" and where or name
    return { key = text, label = label, kind = kind,
      title = ("%s in %s"):format(name, where) }
  end
  local known = names[where]
  local label = known and ("%s %s"):format(known, file) or where
  return { key = where, label = label, title = ("%s (%s)"):format(
    known or "a function", where),
    kind = where:find("^compare/") and "load" or "ours" }
end

-- A function has as many names as there are places that call it; of a callback
-- Lua knows none. Place of the function -> the first of its names in order.
local function names_of(text)
  local names = {}
  for name, where in text:gmatch("([^;|\n]+)|([^;|\n]+:%d+)") do
    if name ~= "?" and (not names[where] or name < names[where]) then
      names[where] = name
    end
  end
  return names
end

--- The tree of what the sampler has seen: lines "frame;frame;... samples".
function M.of_sampler(text)
  local tree, names = M.new(), names_of(text)
  for stack, samples in text:gmatch("([^\n]+) (%d+)\n") do
    local frames = {}
    for frame in stack:gmatch("[^;]+") do
      frames[#frames + 1] = lua_frame(frame, names)
    end
    M.add(tree, within_loop(frames, function(frame)
      return frame.key == "run|luv.so"
    end), math.tointeger(samples))
  end
  return tree
end

-------------------------------------------------------------------- of perf --

local function kind_of_path(path)
  if path:find("^%[") then return "kernel" end
  return kind_of_object(path:match("[^/]*$"))
end

-- The interpreter of a distribution has no names but those of its API: what
-- lies below one of these is told from the rest by who has called it.
local function c_frame(name, path, caller)
  local kind, object = kind_of_path(path), path:match("[^/]*$")
  if kind == "lua" and (name == "[unknown]" or not caller
    or caller.kind == "lua") then
    return { key = "lua", label = "interpreter", kind = "lua",
      title = "the interpreter of Lua" }
  end
  if name == "[unknown]" then
    name = object:match("libuv") or object:match("luv")
      or object:match("^[^.]+")
  end
  return { key = name .. "|" .. object, label = name, kind = kind,
    title = ("%s in %s"):format(name, object) }
end

local KERNEL_FRAMES <const> = 8

-- Every system call goes through these.
local GATES <const> = { entry_SYSCALL_64_after_hwframe = true,
  do_syscall_64 = true }

-- The frames of a sample, the outermost first. Copies in a row are one, and
-- deep in the kernel they are left out: what it does there is no news of us.
local function frames_of(lines)
  local frames, in_kernel = {}, 0
  for i = #lines, 1, -1 do
    local symbol, path = lines[i]:match("^%s*%x+ (.+) %((.*)%)$")
    -- A stack that was too deep to be kept has nobody at its bottom.
    local is_known = symbol and path ~= "inlined" and path ~= "[unknown]"
    local name = is_known and symbol:gsub("%+0x%x+$", ""):gsub("^__GI_", "")
    if name and not GATES[name] then
      local caller = frames[#frames]
      local frame = c_frame(name, path, caller)
      if frame.kind == "kernel" then in_kernel = in_kernel + 1 end
      if in_kernel <= KERNEL_FRAMES
        and (not caller or caller.key ~= frame.key) then
        frames[#frames + 1] = frame
      end
    end
  end
  return within_loop(frames, function(frame)
    return frame.label == "uv_run"
  end)
end

--- The tree of what `perf script -F comm,tid,ip,sym,dso` says.
function M.of_perf(text)
  local tree, lines = M.new(), {}
  local function finish()
    if #lines > 0 then M.add(tree, frames_of(lines), 1) end
    lines = {}
  end
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    if line:find("^%s+%x") then
      lines[#lines + 1] = line
    else
      finish()
    end
  end
  finish()
  return tree
end

return M
