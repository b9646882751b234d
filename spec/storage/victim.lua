--- A process that writes to a log until it is killed: prints "open", then the
-- newest entry that is durable, line by line. Driven by kill_spec.lua.
local dir = arg[1]

local core = require "raft.core"
local made = require "spec.storage.entries"
local Storage = require "raft.storage"
local uv = require "luv"

local storage = assert(Storage.open { uv = uv, host = core.host, dir = dir,
  id = "n1", cluster = "c", segment_bytes = 1 << 16, mark_ms = 1 })
local last = storage.recovered:fields().last
local term = storage.starts
io.stdout:setvbuf("no")
io.stdout:write("open\n")

-- Each store is acknowledged as the entry it ends with. Now and then one of a
-- newer term takes the place of the newest entry.
local function store()
  local first = last % 7 == 0 and math.max(1, last) or last + 1
  local size = (last * 977) % 9000
  storage:store(last + 1, made.entries(first, last + 1, term, size), term, 0, 0)
  last = last + 1
end

storage:handlers {
  stored = function(seq)
    io.stdout:write(seq, "\n")
    store()
    if last % 5 == 0 then store() end
  end,
  failed = function(err)
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end,
}
store()
uv.run()
