--- The load: sends the lines as commands, at an even pace, to one node after
-- the other, and sends again what was not answered, or not with success.
-- It knows of the nodes what any client knows: who has answered lately.
local uv = require "luv"
local words = require "examples.demo.words"

local M = {}

local WINDOW <const> = 512      -- lines under way at most
local ANSWER_MS <const> = 1500  -- without an answer it is sent again
local PAUSE_MS <const> = 50     -- before a line is sent again

local Load = { __name = "demo.load" }
Load.__index = Load

local function now_ms()
  return uv.hrtime() / 1000000
end

--- @param cluster takes the lines
-- @param run the number of this run
-- @param lines the text
-- @param seconds over which to spread them
function M.new(cluster, run, lines, seconds)
  local now = now_ms()
  return setmetatable({
    cluster = cluster,
    run = run,
    lines = lines,
    pace = #lines / (seconds * 1000),  -- lines per ms
    began_ms = now,
    ended_ms = now,          -- when the newest acknowledgement came
    sent = 0,                -- lines sent at least once
    waiting = {},            -- number of a line under way -> its attempt
    waiting_count = 0,       -- Invariant: keys of waiting
    acknowledged = 0,        -- lines. Invariant: sent - waiting_count
    acknowledged_words = 0,  -- the words of these
    sent_again = 0,
    longest_gap_ms = 0,      -- between two acknowledgements
  }, Load)
end

function Load:is_done()
  return self.acknowledged == #self.lines
end

--- How long nothing was acknowledged by now.
function Load:gap_ms()
  return now_ms() - self.ended_ms
end

local function acknowledge(self, number)
  self.waiting[number] = nil
  self.waiting_count = self.waiting_count - 1
  self.acknowledged = self.acknowledged + 1
  self.acknowledged_words = self.acknowledged_words
    + words.count(self.lines[number], {})
  self.longest_gap_ms = math.max(self.longest_gap_ms, self:gap_ms())
  self.ended_ms = now_ms()
end

-- Sends a line to this node. Whatever is not success means: send it again.
-- That is safe even when its fate is unknown, because `apply` knows the pair
-- of run and line and skips it the second time.
local function send(self, number, id)
  local attempt = { again_ms = now_ms() + ANSWER_MS }
  self.waiting[number] = attempt
  local command = words.command(self.run, number, self.lines[number])
  self.cluster:ask(id, { kind = "count", command = command }, function(err)
    if not self.waiting[number] then return end  -- another attempt was quicker
    if not err then return acknowledge(self, number) end
    attempt.again_ms = math.min(attempt.again_ms, now_ms() + PAUSE_MS)
  end)
end

local function send_again(self)
  local now = now_ms()
  for number, attempt in pairs(self.waiting) do
    local id = attempt.again_ms <= now and self.cluster:next_id()
    if id then
      self.sent_again = self.sent_again + 1
      send(self, number, id)  -- replaces the entry, which a walk may do
    end
  end
end

-- How many lines should have been sent by now.
local function due(self)
  local by_pace = (now_ms() - self.began_ms) * self.pace // 1 + 1
  return math.min(#self.lines, by_pace)
end

--- Sends what is to be sent now; to be called often.
function Load:turn()
  send_again(self)
  while self.sent < due(self) and self.waiting_count < WINDOW do
    local id = self.cluster:next_id()
    if not id then return end
    self.sent = self.sent + 1
    self.waiting_count = self.waiting_count + 1
    send(self, self.sent, id)
  end
end

return M
