std = "lua54"
max_line_length = 80
cache = false
self = false  -- a method need not use what it is called on
exclude_files = { "build/", "lua_modules/", "luarocks/" }

files["spec/**/*.lua"] = { std = "lua54+busted" }
-- The guard puts these into the globals of a service.
local SERVICE <const> = { "entry", "emit" }
for _, place in ipairs { "lua/raft/services/**/*.lua", "spec/service/**/*.lua",
  "spec/services/**/*.lua", "examples/**/*.lua" } do
  files[place] = { read_globals = SERVICE }
end
files["rockspec/*.rockspec"] = { std = "rockspec" }
files[".busted"] = { std = "lua54" }
files[".luacheckrc"] = { std = "luacheckrc" }
-- The simulation puts its own in place while a node's code runs.
files["lua/raft/sim/code.lua"] = { globals = { "math", "os", "_G" } }
