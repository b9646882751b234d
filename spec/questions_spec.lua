-- docs/QUESTIONS.md: every question is answered, and what is quoted from traces
-- and tests stands there.
local tree = require "tools.tree"

local PAGE <const> = tree.read("docs", "QUESTIONS.md")

-- Questions that the page must answer, by words of each.
local ASKED <const> = {
  "read from a follower, and what does it see", "the last write is uncommitted",
  "service given during an election", "vote request that it refuses",
  "vote again when a newer term asks", "granted vote reset the timer",
  "without a majority ever step down", "entries of old terms commit",
  "entry that a majority holds committed",
  "entries of the minority's leader after the partition heals",
  "how do its nodes catch up", "log sent again for ever",
  "told to commit, or does it learn it", "applying fails on a follower",
  "time-outs random, and how wide", "Why odd numbers",
  "all nodes time out at once",
  "candidate's timer fires during its own election",
  "leader fails between the commit and its answer", "Why a no-op",
  "not count replicas for old terms", "snapshot sent instead of entries",
  "Which entries survive it", "read and write quorums change",
}

-- One line, whatever the line breaks and the marks of comments were.
local function flat(text)
  return (text:gsub("\n[#%s]*", " "):gsub("%s+", " "))
end

-- What a line of the list refers to: a file, and words in it.
local function reference_of(item)
  local reference = { path = item:match("^%[[^%]]+%]%(%.%./([^)]+)%):") }
  assert.is_truthy(reference.path, item)
  for quote in flat(item):gmatch('"([^"]+)"') do
    reference[#reference + 1] = quote
  end
  return reference
end

-- What stands behind each of these marks.
local function split(text, mark)
  return text:gsub(mark, "\0"):gmatch("%z([^\0]*)")
end

-- The questions of a page: lists of { text, answer, references }.
local function questions_of(page)
  local questions = {}
  for part in split(page:gsub("\n##[^\n]*", ""), "\n%*%*") do
    local text, body = part:match("^(.-%?)%*%*(.*)$")
    local question = { text = flat(text), references = {} }
    for item in split(body, "\n%- ") do
      table.insert(question.references, reference_of(item))
    end
    question.answer = flat(body:match("^(.-)\n%- ") or body)
    questions[#questions + 1] = question
  end
  return questions
end

-- nil, or what is not there.
local function missing(reference)
  local text = tree.read(".", reference.path)
  if not reference.path:find("%.c$") then text = flat(text) end
  for _, quote in ipairs(reference) do
    local is_there = text:find(quote, 1, true)
    if reference.path:find("%.c$") then
      is_there = text:find("CASE(" .. quote .. ")", 1, true)
    end
    if not is_there then return reference.path .. ": " .. quote end
  end
end

describe("docs/QUESTIONS.md #house", function()
  local questions = questions_of(PAGE)

  it("answers what learners ask, in a few lines", function()
    local all = {}
    for i, question in ipairs(questions) do
      all[i] = question.text
      local words = select(2, question.answer:gsub("%S+", ""))
      assert.is_true(words > 15 and words < 90, question.text .. words)
    end
    local text = table.concat(all, "\n")
    for _, words in ipairs(ASKED) do
      assert.is_truthy(text:find(words, 1, true), words)
    end
  end)

  it("shows each with a trace or a test", function()
    local count = 0
    for _, question in ipairs(questions) do
      assert.is_true(#question.references > 0, question.text)
      for _, reference in ipairs(question.references) do
        assert.is_true(#reference > 0, reference.path)
        count = count + #reference
      end
    end
    local _, quotes = flat(PAGE):gsub('"[^"]+"', "")
    assert.equal(quotes - 1, count)  -- one is of an option, in an answer
  end)

  for _, question in ipairs(questions) do
    it("quotes what is there: " .. question.text, function()
      for _, reference in ipairs(question.references) do
        assert.is_nil(missing(reference))
      end
    end)
  end

  it("would notice what is not there", function()
    local function judge(line)
      local found = questions_of("\n**Why?** So.\n\n- " .. line .. "\n")
      return missing(found[1].references[1])
    end
    local trace = "[x](../spec/traces/lost_touch.txt): "
    assert.is_nil(judge(trace .. '"n1 writes\n  entry 3"'))
    assert.is_truthy(judge(trace .. '"n1 writes entry 4"'))
    local test = "[x](../spec/c/paper_test.c): "
    assert.is_nil(judge(test .. '"a_read_waits_for_the_no_op"'))
    assert.is_truthy(judge(test .. '"a_read_waits_for_the_no"'))
    assert.is_false((pcall(judge, '[x](../spec/traces/gone.txt): "n1"')))
  end)
end)
