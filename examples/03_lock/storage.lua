--- The storage that the lock guards. It is no part of the cluster, and knows of
-- locks only this: a write comes with a token, and one with a token that is
-- older than the newest it has seen comes too late.
--
--   lua5.4 storage.lua
--
-- A line in, `token text`; a line out, `ok` or `refused: ...`.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local uv = require "luv"

local BACKLOG <const> = 16

local newest = 0  -- token; a real storage keeps it where it keeps the data

local function write(token, text)
  if token < newest then
    return ("refused: token %d is older than %d"):format(token, newest)
  end
  newest = token
  print(("%d %s"):format(token, text))
  return "ok"
end

local function answer(line)
  local token, text = line:match("^(%d+) (.*)$")
  if not token then return "refused: expected a token and a text" end
  return write(math.tointeger(tonumber(token)), text)
end

local function serve(socket)
  local rest = ""
  socket:read_start(function(_, chunk)
    if not chunk then return socket:close() end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      socket:write(answer(line) .. "\n")
      return ""
    end)
  end)
end

io.stdout:setvbuf("line")
local host, port = cluster.storage:match("^(.*):(%d+)$")
local listener = uv.new_tcp()
assert(listener:bind(host, tonumber(port)))
assert(listener:listen(BACKLOG, function(err)
  assert(not err, err)
  local socket = uv.new_tcp()
  assert(listener:accept(socket))
  serve(socket)
end))
print("the storage listens on " .. cluster.storage)
uv.run()
