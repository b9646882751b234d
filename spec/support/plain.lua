--- Output for busted: a mark per test, then each failure in full, then one
-- line, always the last and always of this form:
--   12 passed, 0 failed, 1 skipped
-- What goes wrong outside a test (setup, teardown, a file) counts as failed.
local base = require "busted.outputHandlers.base"
local busted = require "busted"

local MARKS <const> = { success = ".", failure = "F", error = "E",
  pending = "s" }
local MARKS_PER_LINE <const> = 72

local function place(item)
  local trace = item.element.trace or item.trace
  if not trace or not trace.short_src then return "" end
  return ("%s:%d: "):format(trace.short_src, trace.currentline or 0)
end

local function print_item(word, item, is_verbose)
  io.write("\n", word, ": ", place(item), item.name, "\n")
  if item.message ~= nil then
    local message = tostring(item.message)
    io.write("  ", (message:gsub("\n", "\n  ")), "\n")
  end
  if item.randomseed then
    io.write("  order of tests: --seed=", item.randomseed, "\n")
  end
  local trace = is_verbose and item.trace and item.trace.traceback
  if trace then io.write("  ", (trace:gsub("\n", "\n  ")), "\n") end
end

local function count(handler)
  local failed = handler.failuresCount + handler.errorsCount
  local passed = handler.successesCount
  return ("%d passed, %d failed, %d skipped"):format(passed, failed,
    handler.pendingsCount)
end

local function print_all(handler, options)
  for _, item in ipairs(handler.pendings) do
    print_item("skipped", item, false)
  end
  for _, item in ipairs(handler.failures) do
    print_item("FAILED", item, options.verbose)
  end
  for _, item in ipairs(handler.errors) do
    print_item("ERROR", item, options.verbose)
  end
  io.write("\n", count(handler), "\n")
  io.flush()
end

return function(options)
  local handler = base()
  local marks = 0

  local function mark(status)
    io.write(MARKS[status] or "?")
    marks = marks + 1
    if marks % MARKS_PER_LINE == 0 then io.write("\n") end
    io.flush()
    return nil, true
  end

  busted.subscribe({ "test", "end" }, function(_, _, status)
    return mark(status)
  end, { predicate = handler.cancelOnPending })

  busted.subscribe({ "suite", "end" }, function()
    io.write("\n")
    print_all(handler, options)
    return nil, true
  end)

  return handler
end
