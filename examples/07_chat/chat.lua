--- A terminal of the chat.
--
--   lua5.4 chat.lua ann n1    ann, at a node of the cluster
--   lua5.4 chat.lua dora      dora, a client: as many as you like
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local raft = require "raft"
local room = require "room"
local uv = require "luv"

local LOOK_MS <const> = 100  -- how often a client asks for new lines

local who, id = arg[1], arg[2]
if not who or id and not cluster[id] then
  io.stderr:write("usage: lua5.4 chat.lua NAME [ID] (one of cluster.lua)\n")
  os.exit(2)
end

local shown = 0           -- the number of the newest line on this screen
local open = 0            -- lines that were said and not heard yet
local has_hung_up = false -- is the keyboard at its end (Ctrl-D)?
local has_left = false

local function show(lines)
  for _, line in ipairs(lines) do
    if line.n > shown then
      print(("%d %s: %s"):format(line.n, line.who, line.text))
      shown = line.n
    end
  end
end

local function leave(place)
  has_left = true
  if id then place:stop() end  -- raft.run goes on until it is closed
end

------------------------------------------------------------------- the room --

-- A node: it has all lines itself, and shows them when they were applied.
local function open_node()
  local state = room.new()
  local function look() show(state:after(shown)) end
  local node = raft.node {
    id = id, dir = "data/" .. id, cluster = "chat", members = cluster,
    apply = function(command) return state:apply(command) end,
    query = function(n) return state:after(n) end,
    snapshot = function() return state:snapshot() end,
    restore = function(bytes) state:restore(bytes) end,
    on = { applied = look, snapshot = look },  -- one that came in, too
  }
  assert(node:start())
  look()
  return node
end

-- A client asks for what is new.
local function follow(client)
  while not has_left do
    local lines = client:query(shown)
    if lines then show(lines) end  -- or nobody has answered: again
    raft.sleep(LOOK_MS)
  end
end

--------------------------------------------------------------- the keyboard --

-- Calls on_line(text) for each line that is typed, on_end() after the last.
local function read_lines(on_line, on_end)
  local is_terminal = uv.guess_handle(0) == "tty"
  local input = is_terminal and uv.new_tty(0, true) or uv.new_pipe(false)
  if not is_terminal then assert(input:open(0)) end
  local rest = ""
  input:read_start(function(_, chunk)
    if not chunk then
      input:close()
      return on_end()
    end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(text)
      on_line(text)
      return ""
    end)
  end)
  return input
end

-- Says a line. It is shown when it comes back from the log, as all others are.
local function say(place, text)
  open = open + 1
  place:propose(room.command(who, text), function(err)
    open = open - 1
    if err then print(("not heard: %s: %s"):format(text, tostring(err))) end
    if open == 0 and has_hung_up then leave(place) end
  end)
end

io.stdout:setvbuf("line")
raft.run(function()
  local place = id and open_node() or raft.client { cluster = "chat",
    members = cluster }
  local input = read_lines(function(text) say(place, text) end, function()
    has_hung_up = true
    if open == 0 then leave(place) end
  end)
  print("hello " .. who)
  if not id then return follow(place) end
  place:on("closed", function()
    if not input:is_closing() then input:close() end
  end)
end)
