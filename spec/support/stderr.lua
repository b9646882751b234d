--- What the library writes to stderr while fn runs, as one string.
-- fn may wait; its errors come through.

-- luacheck: push ignore 122 (the field of io is put back)
local function leave(real, pieces, ok, ...)
  io.stderr = real
  if not ok then error((...), 0) end
  return table.concat(pieces), ...
end

return function(fn)
  local real, pieces = io.stderr, {}
  io.stderr = { write = function(_, ...)
    for _, piece in ipairs { ... } do pieces[#pieces + 1] = piece end
  end }
  return leave(real, pieces, pcall(fn))
end
-- luacheck: pop
