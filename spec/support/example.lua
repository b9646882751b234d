--- Modules of an example, found as its own scripts find them: by bare names,
-- which afterwards mean nothing to anybody else.
--   local load = require("spec.support.example").loader("04_redis")
--   local store = load "store"
local M = {}

-- Calls require where `own` (name -> module) is loaded and `path` is searched
-- first; what came in from there moves to `own`.
local function require_from(path, own, name)
  local outer_path = package.path
  package.path = path .. ";" .. outer_path
  for key, module in pairs(own) do package.loaded[key] = module end
  local ok, module = pcall(require, name)
  package.path = outer_path
  local found = {}
  for key in pairs(package.loaded) do
    if package.searchpath(key, path, "/") then found[#found + 1] = key end
  end
  for _, key in ipairs(found) do
    own[key], package.loaded[key] = package.loaded[key], nil
  end
  if not ok then error(module, 0) end
  return module
end

--- A function(name) -> module of that example.
function M.loader(folder)
  local path, own = ("examples/%s/?.lua"):format(folder), {}
  return function(name) return require_from(path, own, name) end
end

return M
