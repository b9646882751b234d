std = "lua54"
max_line_length = 80
cache = false
self = false  -- a method need not use what it is called on
exclude_files = { "build/", "lua_modules/", "luarocks/" }

files["spec/**/*.lua"] = { std = "lua54+busted" }
-- The guard puts these into the globals of a service.
local service = { read_globals = { "entry", "emit" } }
files["lua/raft/services/**/*.lua"] = service
files["spec/service/**/*.lua"] = service
files["spec/services/**/*.lua"] = service
files["spec/**/services_spec.lua"] = service
files["examples/**/*.lua"] = service
files["rockspec/*.rockspec"] = { std = "rockspec" }
files[".busted"] = { std = "lua54" }
files[".luacheckrc"] = { std = "luacheckrc" }
-- The simulation puts its own in place while a node's code runs.
files["lua/raft/sim/code.lua"] = { globals = { "math", "os", "_G" } }
