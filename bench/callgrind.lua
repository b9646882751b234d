--- Instructions of a program, counted by callgrind: the same in every run, so
-- that a difference is one of the program.
local M = {}

-- Callgrind counts `rep movsb` once for each byte it copies; a copy is to count
-- as what it is without that instruction, some bytes at a time.
local TUNABLES <const> =
  "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000"
local CALLGRIND <const> = TUNABLES
  .. " valgrind --tool=callgrind --callgrind-out-file=/dev/null "

--- What a command writes, and whether it succeeded.
function M.output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  return text, (pipe:close())
end

--- The version of valgrind, or nil: there is none.
function M.version()
  local text, ok = M.output_of("valgrind --version")
  return ok and text:match("%S+") or nil
end

--- How many instructions a run takes, and what it wrote.
function M.count(command)
  local text, ok = M.output_of(CALLGRIND .. command)
  local instructions = tonumber(text:match("Collected : (%d+)"))
  if not (ok and instructions) then error(command .. ": " .. text, 0) end
  return instructions, text
end

return M
