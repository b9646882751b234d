#!/usr/bin/env lua5.4
--- The simulation finds both planted bugs, in words, and nothing once they are
-- mended.
--
--   lua5.4 examples/simulation/check.lua
local here = arg[0]:match("^(.*/)") or "./"
local lua = os.getenv "LUA" or "lua5.4"

-- What the script says, and whether it ended well.
local function run(words)
  local pipe = assert(io.popen(("%s %s%s 2>&1"):format(lua, here, words)))
  local text = pipe:read "a"
  return text, pipe:close() == true
end

local function expect(words, is_well, pattern)
  local text, ok = run(words)
  if ok == is_well and text:find(pattern) then
    return print(words .. (ok and ": nothing found" or ": found"))
  end
  io.stderr:write(("%s: expected %q, got:\n%s"):format(words, pattern, text))
  os.exit(1)
end

expect("scoreboard.lua", false, 'divergence.*"winner".*again: SEED=%d+')
expect("scoreboard.lua fixed", true, "")
expect("lock.lua", false, "wrote with token %d+ after.*again: SEED=%d+")
expect("lock.lua fencing", true, "")
