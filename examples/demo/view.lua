--- What is seen of the demo while it runs: on a terminal a block of lines that
-- is drawn again and again, with the events above it; elsewhere a plain log.
local uv = require "luv"

local M = {}

local TERMINAL_MS <const> = 100  -- between two drawings
local PLAIN_MS <const> = 1000    -- between two lines of the log
local BAR_COLUMNS <const> = 30

-- What a terminal is told.
local UP_AND_ERASE <const> = "\27[%dA\27[J"
local NO_WRAP <const>, WRAP <const> = "\27[?7l", "\27[?7h"

local View = { __name = "demo.view" }
View.__index = View

function M.new()
  io.stdout:setvbuf("line")
  return setmetatable({
    is_terminal = uv.guess_handle(1) == "tty" and os.getenv("TERM") ~= "dumb",
    began_ns = uv.hrtime(),
    next_ms = 0,   -- when to show the progress again
    block = "",    -- what is drawn now, on a terminal
    height = 0,    -- its lines
  }, View)
end

local function elapsed_ms(self)
  return (uv.hrtime() - self.began_ns) // 1000000
end

-- Replaces the block by these lines, which stay, and another block.
local function draw(self, text, block)
  if not self.is_terminal then return io.write(text) end
  local erase = self.height > 0 and UP_AND_ERASE:format(self.height) or ""
  io.write(erase, text, NO_WRAP, block, WRAP)
  io.flush()
  self.block, self.height = block, select(2, block:gsub("\n", ""))
end

--- Tells an event.
function View:say(...)
  draw(self, ("%5.1f s  %s\n"):format(elapsed_ms(self) / 1000,
    string.format(...)), self.block)
end

--- Says a line or more, and ends the block.
function View:finish(text)
  draw(self, text, "")
end

------------------------------------------------------------------ progress --

local function node_line(member)
  local s = member.status
  if not s then return ("  %s  %s\n"):format(member.id, member.state) end
  return ("  %s  %-9s  term %d  commit %d\n"):format(member.id, s.role, s.term,
    s.commit)
end

local function block_of(cluster, load)
  local done, all = load.acknowledged, #load.lines
  local filled = BAR_COLUMNS * done // all
  local parts = { ("\n  [%s%s] %d of %d lines acknowledged, %d sent again\n")
    :format(("#"):rep(filled), ("."):rep(BAR_COLUMNS - filled), done, all,
      load.sent_again) }
  for _, member in ipairs(cluster.members) do
    parts[#parts + 1] = node_line(member)
  end
  return table.concat(parts)
end

local function line_of(cluster, load)
  local leader = cluster:leader()
  local commits = {}
  for i, member in ipairs(cluster.members) do
    commits[i] = ("%s=%s"):format(member.id, member.status
      and member.status.commit or member.state)
  end
  return ("acknowledged %d/%d  leader %s  term %s  commit %s"):format(
    load.acknowledged, #load.lines, leader and leader.id or "none",
    leader and leader.status.term or "?", table.concat(commits, " "))
end

--- Shows how far it is, not too often.
function View:progress(cluster, load)
  local now = elapsed_ms(self)
  if now < self.next_ms then return end
  if self.is_terminal then
    self.next_ms = now + TERMINAL_MS
    draw(self, "", block_of(cluster, load))
  else
    self.next_ms = now + PLAIN_MS
    self:say("%s", line_of(cluster, load))
  end
end

return M
