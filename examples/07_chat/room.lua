--- The room: the lines that were said, in the order of the log. The state
-- machine of each node, and nothing of Raft in it.
--
-- A line is { n = its number, who =, text = }. Only the newest are kept.
local raft = require "raft"

local M = {}

local LINES_MAX <const> = 1000

local Room = {}
Room.__index = Room

--- What somebody says, as a command.
function M.command(who, text)
  return raft.codec.encode { who = who, text = text }
end

function M.new()
  return setmetatable({ lines = {}, count = 0 }, Room)
end

--- Takes a command: the number of its line.
function Room:apply(command)
  local said = raft.codec.decode(command)
  local is_line = type(said) == "table" and type(said.who) == "string"
    and type(said.text) == "string"
  if not is_line then return nil, "expected who and text" end
  self.count = self.count + 1
  table.insert(self.lines, { n = self.count, who = said.who,
    text = said.text })
  if #self.lines > LINES_MAX then table.remove(self.lines, 1) end
  return self.count
end

--- The lines behind this number, oldest first.
function Room:after(n)
  local list = {}
  for i = #self.lines, 1, -1 do
    if self.lines[i].n <= n then break end
    table.insert(list, 1, self.lines[i])
  end
  return list
end

function Room:snapshot()
  return raft.codec.encode { lines = self.lines, count = self.count }
end

function Room:restore(bytes)
  local state = raft.codec.decode(bytes)
  self.lines, self.count = state.lines, state.count
end

return M
