--- The command line of the key-value store.
--
--   lua5.4 kv.lua put KEY VALUE...    lua5.4 kv.lua get KEY
--   lua5.4 kv.lua del KEY             lua5.4 kv.lua status
--
-- The exit status is 0 when all is well, 1 when there is no such key or nothing
-- was done, 2 when nobody can say whether it was done.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local raft = require "raft"
local members = require "cluster"
local store = require "store"

local TIMEOUT_MS <const> = 10000

local exit_status = 0

local function fail(text, status)
  io.stderr:write(text, "\n")
  exit_status = status
end

-- What came of a request, and what it is worth.
local function show(result, err)
  if err then
    fail(tostring(err), err.outcome == "unknown" and 2 or 1)
  elseif not result then
    fail("no such key", 1)
  else
    print(result == true and "ok" or result)
  end
end

local requests = {}  -- name -> function(client, key, value)

function requests.put(client, key, value)
  show(client:propose(store.command("put", key, value)))
end

function requests.del(client, key)
  show(client:propose(store.command("del", key)))
end

function requests.get(client, key)
  show(client:query(key))
end

function requests.status(client)
  for _, id in ipairs { "n1", "n2", "n3" } do
    local s, err = client:status(id, { timeout = 1000 })
    print(s and ("%s %s term=%d leader=%s commit=%d applied=%d"):format(s.id,
      s.role, s.term, s.leader or "none", s.commit, s.applied)
      or ("%s does not answer: %s"):format(id, err.message))
  end
end

local WORDS <const> = { put = 3, get = 2, del = 2, status = 1 }

local name, key = arg[1], arg[2]
local is_usable = WORDS[name] and #arg >= WORDS[name]
  and (name == "put" or #arg == WORDS[name]) and key ~= ""
if is_usable then
  raft.run(function()
    local client <close> = raft.client { cluster = "kv", members = members,
      timeout = TIMEOUT_MS }
    requests[name](client, key, table.concat(arg, " ", 3))
  end)
else
  fail("usage: lua5.4 kv.lua put KEY VALUE | get KEY | del KEY | status", 1)
end
os.exit(exit_status)
