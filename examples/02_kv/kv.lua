--- The command line of the key-value store.
--
--   lua5.4 kv.lua put KEY VALUE...    lua5.4 kv.lua get KEY
--   lua5.4 kv.lua del KEY             lua5.4 kv.lua status
--
-- Any node will do: it asks one after the other until one answers. The exit
-- status is 0 when all is well, 1 when there is no such key or nothing was
-- done, 2 when nobody can say whether it was done.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local lines = require "lines"
local uv = require "luv"

local USAGE <const> = "usage: lua5.4 kv.lua put KEY VALUE | get KEY | del KEY"
  .. " | status"
local WORDS <const> = { put = 3, get = 2, del = 2, status = 1 }
local WRITES <const> = { put = true, del = true }

local ids = {}
for id in pairs(cluster) do ids[#ids + 1] = id end
table.sort(ids)

local exit_status = 0

local function fail(text, status)
  io.stderr:write(text, "\n")
  exit_status = status
end

-- What a node replied to the request: ok, value ..., none, error ...
local function show(request, reply)
  local kind, rest = reply:match("^(%l+) ?(.*)$")
  if kind == "ok" then
    print("ok")
  elseif kind == "value" then
    print(rest)
  elseif kind == "none" then
    fail("no such key", 1)
  else
    local is_open = rest:find("^unknown:") or rest:find("^timeout:")
    fail(rest, is_open and WRITES[request] and 2 or 1)
  end
end

-- Asks the i-th node, and the next one if it cannot be reached. A write that
-- was sent and not answered may have been done: it is not sent again.
local function ask_from(i, request, line)
  local id = ids[i]
  if not id then return fail("no node answers", 1) end
  lines.ask(cluster[id].clients, line, function(err, result)
    if not err then return show(request, result) end
    local was_sent = result
    if was_sent and WRITES[request] then
      return fail(("%s: %s; it may have been done"):format(id, err), 2)
    end
    ask_from(i + 1, request, line)
  end)
end

-- A line for each node from the i-th on, for those that do not answer too.
local function status_from(i)
  local id = ids[i]
  if not id then return end
  lines.ask(cluster[id].clients, "status", function(err, reply)
    if err then
      print(("%s does not answer: %s"):format(id, err))
    else
      show("status", reply)
    end
    status_from(i + 1)
  end)
end

local name = arg[1]
local is_usable = WORDS[name] and #arg >= WORDS[name]
  and (name == "put" or #arg == WORDS[name])
  and not (arg[2] or ""):find("%s") and arg[2] ~= ""
  and not table.concat(arg):find("[\r\n]")
if not is_usable then
  fail(USAGE .. "\nA key is one word, a value one line.", 1)
elseif name == "status" then
  status_from(1)
else
  ask_from(1, name, table.concat(arg, " "))
end
uv.run()
os.exit(exit_status)
