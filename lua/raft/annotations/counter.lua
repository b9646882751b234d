---@meta raft.services.counter
-- What raft.services.counter has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/counter.md says what it all means.
-- luacheck: ignore

---@class raft.counter.options
---@field name string? "counter"
---@field min integer?
---@field max integer?
---@field keys_max integer?
---@field key_bytes_max integer?
---@field version integer?
---@field older raft.service[]?

---@class raft.counter.page
---@field items { key: string, value: integer }[]
---@field next string?

--- node:service(name) of a service of raft.services.counter.
---@class raft.counter.proxy: raft.proxy
local Proxy = {}

---@param key string|integer|nil left out: n, of the counter without a name
---@param n integer?
---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.add(key, n, callback) end

---@param key string|integer
---@param n integer?
---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.set(key, n, callback) end

---@param key string?
---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.reset(key, callback) end

---@param key string|integer
---@param from integer
---@param to integer?
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.compare_and_set(key, from, to, callback) end

---@param key string?
---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.get(key, callback) end

---@param prefix string?
---@param after string?
---@param limit integer? up to 1000
---@param callback raft.callback?
---@return raft.counter.page?, raft.error?
function Proxy.list(prefix, after, limit, callback) end

---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.size(callback) end

---@class raft.services.counter
---@overload fun(options: raft.counter.options?): raft.service
local counter = {}

return counter
