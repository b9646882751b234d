--- Mutants that may live, each with an argument: spec/mutation/survivors.txt.
--
--   csrc/log.c raft_log_agree
--   - while (index > first) {
--   + while (index >= first) {
--     Why nobody can tell the two apart.
--
-- Lines are named by what they say, so that an argument outlives a change
-- elsewhere in the file, and does not outlive one of its own line.
local M = {}

local function key_of(path, fn, before, after)
  return table.concat({ path, fn, before, after }, "\n")
end

local function finish(entry, list)
  if not entry then return end
  assert(entry.before and entry.after, entry.where .. ": - or + is missing")
  assert(#entry.why > 0, entry.where .. ": no argument")
  list[#list + 1] = entry
  list[key_of(entry.path, entry.fn, entry.before, entry.after)] = entry
end

--- Reads the text: a list of { path, fn, before, after, why }, also by key.
function M.parse(text, name)
  local list, entry, number = {}, nil, 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local where = ("%s:%d"):format(name, number)
    local path, fn = line:match("^(csrc/[%w_]+%.c) ([%w_]+)$")
    if path then
      finish(entry, list)
      entry = { path = path, fn = fn, why = "", where = where }
    elseif line:find("^[-+] ") then
      assert(entry, where .. ": of which function?")
      entry[line:sub(1, 1) == "-" and "before" or "after"] = line:sub(3)
    elseif line:find("^  ") then
      assert(entry and entry.after, where .. ": an argument for what?")
      entry.why = entry.why .. line:sub(3) .. "\n"
    else
      assert(line == "" or line:sub(1, 1) == "#", where .. ": what is this?")
    end
  end
  finish(entry, list)
  return list
end

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return M.parse(text, path)
end

--- The entry that argues for this mutant, or nil.
function M.find(list, path, mutant)
  return list[key_of(path, mutant.fn, mutant.before, mutant.after)]
end

return M
