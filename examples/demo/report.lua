--- The end: the counts of every node beside those made without Raft.
local M = {}

local WORDS_MAX <const> = 10  -- differing words that are named

local HEAD <const> = "  %-8s %8s %8s %10s %8s %12s\n"

--- The words whose counts differ, sorted.
function M.differences(expected, found)
  local words = {}
  for word, n in pairs(expected) do
    if found[word] ~= n then words[#words + 1] = word end
  end
  for word in pairs(found) do
    if not expected[word] then words[#words + 1] = word end
  end
  table.sort(words)
  return words
end

local function size(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

local function describe(id, words, expected, found)
  local parts = {}
  for i = 1, math.min(#words, WORDS_MAX) do
    local word = words[i]
    parts[i] = ("%s: %d, not %d"):format(word, found[word] or 0,
      expected[word] or 0)
  end
  return ("  %s has %s%s\n"):format(id, table.concat(parts, "; "),
    #words > WORDS_MAX and "; and more" or "")
end

--- The table, as text, and whether all is as it should be.
-- @param text with lines, words and counts, made without Raft
-- @param nodes array of { id=, counted= what the node's query answered }
function M.make(text, nodes)
  local parts = {
    HEAD:format("", "lines", "words", "different", "skipped", "differences"),
    HEAD:format("no raft", #text.lines, text.words, size(text.counts), "-",
      "-"),
  }
  local details, is_good = {}, true
  for _, node in ipairs(nodes) do
    local found = node.counted
    local words = M.differences(text.counts, found.counts)
    parts[#parts + 1] = HEAD:format(node.id, found.lines, found.words,
      size(found.counts), found.repeated, #words)
    if #words > 0 then
      details[#details + 1] = describe(node.id, words, text.counts,
        found.counts)
    end
    if #words > 0 or found.lines ~= #text.lines then is_good = false end
  end
  return table.concat(parts) .. table.concat(details), is_good
end

return M
