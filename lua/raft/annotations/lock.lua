---@meta raft.services.lock
-- What raft.services.lock has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/lock.md says what everything means.
-- luacheck: ignore

---@class raft.lock.options
---@field name string? "lock"
---@field version integer?
---@field older raft.service[]?
---@field max_keys integer?
---@field max_ttl_ms integer?

---@class raft.lock.wait_opts: raft.opts
---@field owner string
---@field ttl_ms integer? 10000
---@field poll_ms integer? 100

---@class raft.lock.holder
---@field owner string
---@field token integer
---@field until_ms integer
---@field ttl_ms integer
---@field left_ms integer

--- node:service(name) of a service of raft.services.lock.
---@class raft.lock.proxy: raft.proxy
local Proxy = {}

---@param key string
---@param owner string
---@param ttl_ms integer
---@param callback raft.callback?
---@return integer? token, raft.error?
function Proxy.acquire(key, owner, ttl_ms, callback) end

---@param key string
---@param token integer
---@param ttl_ms integer?
---@param callback raft.callback?
---@return integer? token, raft.error?
function Proxy.renew(key, token, ttl_ms, callback) end

---@param key string
---@param token integer
---@param callback raft.callback?
---@return true?, raft.error?
function Proxy.release(key, token, callback) end

---@param key string
---@param callback raft.callback?
---@return raft.lock.holder?, raft.error?
function Proxy.get(key, callback) end

---@class raft.services.lock
---@overload fun(options: raft.lock.options?): raft.service
local lock = {}

---@param proxy raft.lock.proxy
---@param key string
---@param opts raft.lock.wait_opts
---@param callback raft.callback?
---@return integer? token, raft.error?
function lock.wait(proxy, key, opts, callback) end

return lock
