--- The battery lock, written the plain way: what each command must answer at a
-- time of the log. Nothing is ever cleared away.
local M = {}

local step = {}  -- command -> function(model, now, ...) -> result; nil, holder

local function held_by(m, key, now)
  local it = m.locks[key]
  return it and now < it.until_ms and it or nil
end

function step.acquire(m, now, key, owner, ttl_ms)
  local it = held_by(m, key, now)
  if it and it.owner ~= owner then return nil, it end
  if not it then m.token = m.token + 1 end
  m.locks[key] = { owner = owner, token = it and it.token or m.token,
    ttl_ms = ttl_ms, until_ms = now + ttl_ms }
  return m.locks[key].token
end

function step.renew(m, now, key, token, ttl_ms)
  local it = held_by(m, key, now)
  if not it or it.token ~= token then return nil, it or {} end
  it.ttl_ms = ttl_ms or it.ttl_ms
  it.until_ms = now + it.ttl_ms
  return token
end

function step.release(m, now, key, token)
  local it = held_by(m, key, now)
  if not it or it.token ~= token then return nil, it or {} end
  m.locks[key] = nil
  return true
end

function M.new()
  return { token = 0, locks = {} }
end

--- Does a command: what it must answer; of a refusal who holds it, or {}.
function M.step(m, now, command, ...)
  return step[command](m, now, ...)
end

return M
