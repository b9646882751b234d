--- What a client does for its session: opens it, keeps it in use, and knows of
-- which cluster it is. These are requests of their own, before all others.
local M = {}

-- They are bytes that are ready.
local function submit(requests, bytes, answer)
  requests:add({ kind = "session", body = bytes, answer = answer,
    deadline = false, order = 0, sends = 0 }, true)
  requests.is_sorted = false
end

--- Asks for a session.
-- @param requests @{raft.client.requests}
function M.open(requests)
  local session = requests.session
  submit(requests, session:opening(), function(err, id)
    session:opened(not err and id or false)
  end)
end

--- Keeps it, where it was not used for a while.
function M.keep(requests)
  local session, now = requests.session, requests.client:now()
  local is_fresh = requests.is_used
    or now < requests.used_at + requests.client.session_ms // 3
  if not session.id or is_fresh or requests.is_keeping then return end
  requests.used_at, requests.is_keeping = now, true
  local id = session.id
  submit(requests, session:keeping(), function(err)
    requests.is_keeping = false
    if err and err.reason == "expired" then session:ended(id) end
  end)
end

--- A node of this cluster is asked. Another one, of the same name, may have
-- sessions of our number: they are not ours.
function M.met(requests, identity)
  local before, session = requests.identity, requests.session
  requests.identity = identity or before
  if not before or before == requests.identity then return end
  requests.acknowledged = 0
  if session.id then session:ended(session.id) end
end

return M
