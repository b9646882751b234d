--- Replays a recording (the option `record` of a node) and prints it as a
-- trace.
--
--   lua5.4 tools/replay.lua FILE
--
-- The status is 1 when the recording cannot be read, or goes otherwise now.
local raft = require "raft"

local path = arg[1]
if not path or arg[2] then
  io.stderr:write("usage: make replay FILE=a recording\n")
  os.exit(2)
end

local result, err = raft.replay(path, {
  trace = function(line) io.write(line, "\n") end,
})
if not result then
  io.stdout:flush()
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
if not result.has_ended then
  io.write(("the recording was cut off%s\n"):format(result.cut_bytes > 0
    and (": %d bytes at its end are no whole record"):format(result.cut_bytes)
    or ""))
end
io.write(("%d events, the same as recorded; digest %s\n"):format(result.events,
  result.digest))
