--- The text whose words are counted, and its counts made without Raft.
local fault = require "examples.demo.fault"
local uv = require "luv"
local words = require "examples.demo.words"

local M = {}

local LICENSES <const> = "/usr/share/common-licenses"
local TEXT_BYTES_MAX <const> = 64 << 20   -- it is kept in memory
local LINE_BYTES_MAX <const> = 256 << 10  -- a command is not to be larger

--- The longest licence on this machine, or `otherwise` where there is none.
function M.longest_license(otherwise)
  local best, best_bytes = otherwise, 0
  local entries = uv.fs_scandir(LICENSES)
  while entries do
    local name, kind = uv.fs_scandir_next(entries)
    if not name then break end
    local stat = kind == "file" and uv.fs_stat(LICENSES .. "/" .. name)
    if stat and stat.size > best_bytes then
      best, best_bytes = LICENSES .. "/" .. name, stat.size
    end
  end
  return best
end

local function read(path)
  local stat, why = uv.fs_stat(path)
  if not stat then fault.raise("cannot read the text: %s", why) end
  if stat.type ~= "file" then fault.raise("%s is not a file", path) end
  if stat.size > TEXT_BYTES_MAX then
    fault.raise("%s has %d bytes, more than %d", path, stat.size,
      TEXT_BYTES_MAX)
  end
  local file, open_why = io.open(path, "rb")
  if not file then fault.raise("cannot read the text: %s", open_why) end
  local text, read_why = file:read("a")
  file:close()
  if not text then fault.raise("cannot read %s: %s", path, read_why) end
  return text
end

-- Adds a line to the list; a very long one in pieces, cut between words.
local function add(lines, line, path)
  while #line > LINE_BYTES_MAX do
    local cut = line:sub(1, LINE_BYTES_MAX):match("^.*()%W")
    if not cut then
      fault.raise("%s has a word of more than %d bytes", path, LINE_BYTES_MAX)
    end
    lines[#lines + 1] = line:sub(1, cut)
    line = line:sub(cut + 1)
  end
  lines[#lines + 1] = line
end

local function split(text, path)
  local lines = {}
  if text:sub(-1) ~= "\n" then text = text .. "\n" end
  for line in text:gmatch("([^\n]*)\n") do add(lines, line, path) end
  return lines
end

--- Reads a text: its name, its lines, and its counts, made from the whole
-- text at once.
function M.read(path)
  local text = read(path)
  if text == "" then fault.raise("%s is empty", path) end
  local counts = {}
  return {
    name = path:match("[^/]*$"),
    lines = split(text, path),
    words = words.count(text, counts),
    counts = counts,
  }
end

return M
