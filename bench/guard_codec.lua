--- One request and one table of rows as bytes and back, so many times: what
-- `make bench-guard` counts the instructions of (bench/guard.lua).
local codec = require "raft.codec"

local request <const> = { "kv", "set", { "key", "value" }, 2 }
local rows <const> = {}
for i = 1, 20 do rows[i] = { id = i, name = "name" .. i, active = true } end

collectgarbage("stop")  -- when it runs is another program's matter
for _ = 1, tonumber(arg[1]) do
  assert(codec.decode(codec.encode(request))[4] == 2)
  assert(codec.decode(codec.encode(rows))[20].id == 20)
end
