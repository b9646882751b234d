--- The replicated state machine: counts the words of the lines it is given,
-- for each run of the demo apart. It knows nothing of Raft.
--
-- A command carries its run and the number of its line. A pair that was seen
-- before is skipped: so a line whose fate is unknown may be sent again, and
-- still counts once.
local codec = require("raft").codec

local M = {}

local COMMAND <const> = "<I8I8"  -- run, number of the line; the text follows
local WORD <const> = "%w+"

local Words = { __name = "demo.words" }
Words.__index = Words

function M.new()
  return setmetatable({
    runs = {},  -- array: what each run has counted
  }, Words)
end

--- Line `number` of run `run`, as a command.
function M.command(run, number, text)
  return COMMAND:pack(run, number) .. text
end

--- Counts the words of a text into a table word -> count. Letters are taken
-- in lower case.
-- @return how many words there were
function M.count(text, counts)
  local n = 0
  for word in text:lower():gmatch(WORD) do
    counts[word] = (counts[word] or 0) + 1
    n = n + 1
  end
  return n
end

local function new_run()
  return {
    seen = {},      -- number of the line -> true
    lines = 0,      -- Invariant: keys of seen
    words = 0,      -- Invariant: sum of counts
    counts = {},    -- word -> how often
    repeated = 0,   -- commands that were skipped
  }
end

local function run_of(self, number)
  while #self.runs < number do self.runs[#self.runs + 1] = new_run() end
  return self.runs[number]
end

--- Applies one command: true if it was new.
function Words:apply(command)
  local number, line, from = COMMAND:unpack(command)
  local run = run_of(self, number)
  if run.seen[line] then
    run.repeated = run.repeated + 1
    return false
  end
  run.seen[line] = true
  run.lines = run.lines + 1
  run.words = run.words + M.count(command:sub(from), run.counts)
  return true
end

local function sizes_of(self)
  local sizes = {}
  for i, run in ipairs(self.runs) do
    sizes[i] = { lines = run.lines, words = run.words }
  end
  return sizes
end

--- Answers "sizes", of all runs; or, for its number, what a run has counted.
function Words:query(request)
  if request == "sizes" then return sizes_of(self) end
  local run = self.runs[request] or new_run()  -- a query changes nothing
  return { lines = run.lines, words = run.words, counts = run.counts,
    repeated = run.repeated }
end

function Words:snapshot()
  return codec.encode(self.runs)
end

function Words:restore(bytes)
  self.runs = codec.decode(bytes)
end

return M
