--- Runs test commands one after the other and adds up what they report.
--
--   lua5.4 tools/sum.lua [-q] [-t] [-j] COMMAND ... [--check COMMAND ...]
--
-- A COMMAND is a suite: its last line of the form `N passed, N failed`, with
-- or without `, N skipped`, is its result. One that reports nothing, or ends
-- in error without having reported a failure, or ran no test at all, counts
-- as one failed: a crash must never look like a success. What follows --check
-- reports no numbers of its own and counts as one, by its exit status.
-- With -q a command that succeeds is one line, whatever it wrote. With -j all
-- commands run at the same time; what they write still comes in their order.
-- With -t it says at the end how many seconds each took.
-- The last line is the sum; the exit status is 0 when nothing failed.
local M = {}

--- The numbers of a result line, or nil when the line is none.
function M.parse(line)
  local passed, failed, rest = line:match("^(%d+) passed, (%d+) failed(.*)$")
  if not passed then return nil end
  local skipped = rest == "" and 0 or rest:match("^, (%d+) skipped$")
  if not skipped then return nil end
  return { passed = tonumber(passed), failed = tonumber(failed),
    skipped = tonumber(skipped) }
end

--- What one command counts for, given its last result line and its end.
-- @return result, and the reason in words where it was changed
function M.judge(result, is_check, ok, how, code)
  local good = ok and code == 0
  if is_check then
    local failed = good and 0 or 1
    return { passed = 1 - failed, failed = failed, skipped = 0 }
  end
  if not result then
    return { passed = 0, failed = 1, skipped = 0 },
      ("reported no result (%s %d)"):format(how, code)
  end
  if result.failed == 0 and not good then
    result.failed = 1
    return result, ("ended in error (%s %d)"):format(how, code)
  end
  if result.passed + result.failed + result.skipped == 0 then
    result.failed = 1
    return result, "ran no test"
  end
  return result
end

local function start(command)
  return assert(io.popen("{ " .. command .. "\n} 2>&1"))
end

-- The command, to run beside others: nobody reads along, and a pipe that is
-- full would stop it, so it writes to a file first.
local function aside(command)
  return ("file=$(mktemp); ( %s\n) >$file 2>&1; status=$?; cat $file; "
    .. "rm $file; exit $status"):format(command)
end

-- Waits for the command behind the pipe: its counts.
local function finish(command, pipe, is_check, quiet)
  local kept, result = {}, nil
  for line in pipe:lines() do
    result = M.parse(line) or result
    if quiet then
      kept[#kept + 1] = line
    else
      io.write(line, "\n")
      io.flush()
    end
  end
  local ok, how, code = pipe:close()
  local counts, why = M.judge(result, is_check, ok, how, code)
  if quiet then
    if counts.failed > 0 then io.write(table.concat(kept, "\n"), "\n") end
    print(("%-40s %5d passed, %d failed"):format(command, counts.passed,
      counts.failed))
  end
  if counts.failed > 0 then
    io.write(("FAILED: %s%s\n"):format(command, why and ": " .. why or ""))
  end
  return counts
end

-- The commands of an argument list, each with what holds for it.
local function read(args)
  local list = { together = false, timed = false }
  local is_check, quiet = false, false
  for _, word in ipairs(args) do
    if word == "--check" then
      is_check = true
    elseif word == "-q" then
      quiet = true
    elseif word == "-t" then
      list.timed = true
    elseif word == "-j" then
      list.together = true
    else
      list[#list + 1] = { command = word, is_check = is_check, quiet = quiet }
    end
  end
  return list
end

--- Runs the commands of an argument list; the sum.
function M.main(args)
  local total = { passed = 0, failed = 0, skipped = 0 }
  local list = read(args)
  if list.together then
    for _, one in ipairs(list) do one.pipe = start(aside(one.command)) end
  end
  for _, one in ipairs(list) do
    one.from = os.time()
    local counts = finish(one.command, one.pipe or start(one.command),
      one.is_check, one.quiet)
    for key in pairs(total) do total[key] = total[key] + counts[key] end
    one.took_s = os.time() - one.from
  end
  for _, one in ipairs(list.timed and list or {}) do
    print(("%5d s  %s"):format(one.took_s, one.command))
  end
  return total
end

if arg and arg[0] and arg[0]:find("tools/sum%.lua$") then
  local total = M.main(arg)
  print(("%d passed, %d failed, %d skipped"):format(total.passed,
    total.failed, total.skipped))
  os.exit(total.failed == 0)
end

return M
