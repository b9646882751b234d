--- Starts busted under whichever Lua runs this file.
-- The `busted` command of a distribution starts the Lua it was made for.
require "busted.runner" { standalone = false }
