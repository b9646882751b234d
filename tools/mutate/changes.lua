--- Which functions of a file changed since a commit, as git tells it.
local M = {}

--- The changed line ranges of `git diff -U0`: a list of { first, last }.
function M.parse(diff)
  local ranges = {}
  for first, count in diff:gmatch("\n@@ %-[%d,]+ %+(%d+),?(%d*) @@") do
    first = math.tointeger(first)
    count = math.tointeger(count) or 1
    -- Lines that are only gone leave a place between two lines.
    ranges[#ranges + 1] = { first = first,
      last = first + math.max(count - 1, 0) }
  end
  return ranges
end

--- A predicate of functions { first, last }: did the function change?
function M.since(base, path)
  local pipe = assert(io.popen(("git diff -U0 '%s' -- '%s'"):format(base,
    path)))
  local ranges = M.parse("\n" .. pipe:read("a"))
  assert(pipe:close(), "git diff failed")
  return function(fn)
    for _, range in ipairs(ranges) do
      if range.first <= fn.last and range.last >= fn.first then return true end
    end
    return false
  end
end

return M
