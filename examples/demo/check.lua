#!/usr/bin/env lua5.4
--- Runs the demo: twice to its end, and once until Ctrl-C in between, in one
-- directory. And looks at the parts that say whether all is well.
--
--   lua5.4 examples/demo/check.lua
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local report = require "examples.demo.report"
local trial = require "examples.support.trial"
local uv = require "luv"
local words = require "examples.demo.words"

local LINES <const> = 200

-- Some prose, some bytes that are no text, an empty line, no line end.
local function text()
  local lines = {}
  for i = 1, LINES do
    lines[i] = ("Line %d says: a word, a WORD, w%d\0\xff\xfe%d"):format(i,
      i % 7, i)
  end
  lines[50] = ""
  return table.concat(lines, "\n")
end

local function check_words(t)
  local counted = words.new()
  local command = words.command(2, 1, "To be, or not to be\n")
  t:equal(true, counted:apply(command), "a line that is new")
  t:equal(false, counted:apply(command), "the same line again")
  counted:apply(words.command(1, 1, "be"))  -- another run
  local copy = words.new()
  copy:restore(counted:snapshot())
  t:equal(false, copy:apply(command), "the same line after a restore")
  for _, each in ipairs { counted, copy } do
    local found = each:query(2)
    t:equal(0, #report.differences({ to = 2, be = 2, ["or"] = 1, ["not"] = 1 },
      found.counts), "differing words")
    t:equal(6, found.words, "words")
    t:equal(1, found.lines, "lines")
  end
end

local function check_report(t)
  local expected = { lines = { "a b b" }, words = 3, counts = { a = 1, b = 2 } }
  local function is_good(counts, lines)
    return select(2, report.make(expected, { { id = "n1", counted = {
      lines = lines, words = 3, counts = counts, repeated = 0 } } }))
  end
  t:equal(true, is_good({ a = 1, b = 2 }, 1), "equal counts")
  t:equal(false, is_good({ a = 1, b = 3 }, 1), "a word too often")
  t:equal(false, is_good({ a = 1 }, 1), "a word that is missing")
  t:equal(false, is_good({ a = 1, b = 2, c = 1 }, 1), "a word too many")
  t:equal(false, is_good({ a = 1, b = 2 }, 0), "a line that is missing")
end

local function check_says(t, process, ...)
  for _, what in ipairs { ... } do
    t:check(process.text:find(what, 1, true), "the demo does not say: %s", what)
  end
end

local function demo(t, file)
  return t:start(uv.fs_realpath(here .. "demo.lua"), file)
end

trial.run(function(t)
  check_words(t)
  check_report(t)

  uv.os_setenv("DEMO_SECONDS", "2")
  uv.os_setenv("DEMO_DIR", "data")
  t:write("text", text())
  t:equal(1, demo(t, "missing"):wait(), "exit status for a missing text")

  local first = demo(t, "text")
  t:equal(0, first:wait(), "exit status of the first run")
  check_says(t, first, "a new cluster", "200 lines", "kill -9", "SIGSTOP",
    "SIGCONT", "Every word counts the same")

  local second = demo(t, "text")
  trial.wait(function() return second.text:find("kill -9", 1, true) end)
  second:kill("sigint")
  t:equal(130, second:wait(), "exit status after Ctrl-C")

  local third = demo(t, "text")
  t:equal(0, third:wait(), "exit status of the third run")
  check_says(t, third, "recovered from data", "earlier runs: 2",
    "all that was acknowledged then is there", "Every word counts the same")
end)
