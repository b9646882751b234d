--- The demo's directory, kept between runs: a directory for each node, and
--
--   members       who they are. The kernel chose free ports in the first run;
--                 since then the addresses stand in the cluster's log.
--   acknowledged  how many lines and words of each run were acknowledged, so
--                 that the next run can see whether all of them are there
--   n1.log        what node n1 says, and so on
local fault = require "examples.demo.fault"
local uv = require "luv"

local M = {}

local IDS <const> = { "n1", "n2", "n3" }
local DIR_MODE <const> = tonumber("755", 8)

local Home = { __name = "demo.home" }
Home.__index = Home

local function make_dirs(path)
  for at in path:gmatch("()/") do
    if at > 1 then uv.fs_mkdir(path:sub(1, at - 1), DIR_MODE) end
  end
  local ok, why, name = uv.fs_mkdir(path, DIR_MODE)
  if not ok and name ~= "EEXIST" then
    fault.raise("cannot make the demo's directory: %s", why)
  end
end

-- Three ports that are free now: bound at once, so that they differ.
local function choose_members()
  local sockets, members = {}, {}
  for i, id in ipairs(IDS) do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    local port = sockets[i]:getsockname().port
    members[i] = { id = id, address = "127.0.0.1:" .. port }
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return members
end

-- Writes a file anew; one that is there is there as a whole.
local function write(path, text)
  local file, why = io.open(path .. ".tmp", "wb")
  local ok = file
  if ok then ok, why = file:write(text) end
  if file then file:close() end
  if ok then ok, why = os.rename(path .. ".tmp", path) end
  if not ok then fault.raise("cannot write: %s", why) end
end

local function read_members(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local members = {}
  for line in file:lines() do
    local id, address = line:match("^(%S+) (%S+)$")
    members[#members + 1] = { id = id, address = address }
  end
  file:close()
  if #members ~= #IDS then fault.raise("%s is damaged", path) end
  return members
end

local function write_members(path, members)
  local lines = {}
  for i, member in ipairs(members) do
    lines[i] = member.id .. " " .. member.address .. "\n"
  end
  write(path, table.concat(lines))
end

--- Opens the directory, or makes it.
function M.open(dir)
  make_dirs(dir)
  local path = dir .. "/members"
  local members = read_members(path)
  local is_new = not members
  if is_new then
    members = choose_members()
    write_members(path, members)
  end
  return setmetatable({
    dir = dir,
    is_new = is_new,    -- is this the first run?
    members = members,  -- array of { id=, address= }
  }, Home)
end

--- What the runs before had acknowledged: run -> { lines=, words= }.
function Home:acknowledged()
  local runs = {}
  local file = io.open(self.dir .. "/acknowledged", "rb")
  if not file then return runs end
  for line in file:lines() do
    local run, lines, words = line:match("^run (%d+) lines (%d+) words (%d+)$")
    if run then
      runs[tonumber(run)] = { lines = tonumber(lines),
        words = tonumber(words) }
    end
  end
  file:close()
  return runs
end

local function note(self, run, load)
  local file, why = io.open(self.dir .. "/acknowledged", "ab")
  if not file then fault.raise("cannot write: %s", why) end
  file:write(("run %d lines %d words %d\n"):format(run, load.acknowledged,
    load.acknowledged_words))
  file:close()
end

--- Notes what a run has acknowledged in the end.
-- @return a value for a variable that is to be closed when it ends, however
function Home:noting(run, load)
  return setmetatable({}, { __close = function() note(self, run, load) end })
end

return M
