-- What the host functions promise of signals. Locks: spec/storage_spec.lua.
local uv = require "luv"

-- Runs Lua text in a process of its own, whose output nobody reads.
-- Waits for its end: status, signal. Its input ends when its output is closed:
-- who writes before gets a reset once (what was sent was not read), no signal.
local function run_into_nothing(text)
  local co = coroutine.running()
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  local child
  child = assert(uv.spawn(os.getenv "LUA" or "lua5.4", {
    args = { "-e", text },
    stdio = { input, output, 2 },
  }, function(status, signal)
    child:close()
    assert(coroutine.resume(co, status, signal))
  end))
  output:close()  -- whoever writes to it now gets SIGPIPE, or an error
  input:close()
  return coroutine.yield()
end

local PREAMBLE <const> = 'local host = require "raft.core".host '
local WRITE <const> = ' io.stdin:read("a") io.stdout:setvbuf("no")'
  .. ' for _ = 1, 1000 do'
  .. '   local ok = io.write(("x"):rep(4096))'
  .. '   if not ok then os.exit(7) end'
  .. ' end'

describe("host.ignore_sigpipe", function()
  it("makes a write to who is gone an error, not the end", function()
    local status, signal = run_into_nothing(PREAMBLE
      .. "host.ignore_sigpipe()" .. WRITE)
    assert.same({ 7, 0 }, { status, signal })
  end)

  it("is needed: without it the process dies", function()
    local _, signal = run_into_nothing(PREAMBLE .. WRITE)
    assert.equal(uv.constants.SIGPIPE, signal)
  end)
end)
