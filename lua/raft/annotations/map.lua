---@meta raft.services.map
-- What raft.services.map has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/map.md says what it all means.
-- luacheck: ignore

---@class raft.map.options
---@field name string? "map"
---@field keys_max integer?
---@field key_bytes_max integer?
---@field value_bytes_max integer?
---@field history_max integer?
---@field version integer?
---@field older raft.service[]?

---@class raft.map.item
---@field key string
---@field value any
---@field version integer
---@field until_ms integer? of the log's time

---@class raft.map.page
---@field items raft.map.item[]
---@field next string?
---@field version integer

---@class raft.map.changes
---@field changes { version: integer, key: string, value: any }[]
---@field version integer to be given as since
---@field is_all boolean

---@class raft.map.watch_opts
---@field poll_ms integer?
---@field ready nil|fun(version: integer)
---@field error nil|fun(err: raft.error)

---@class raft.map.watch
---@field version integer|false
local Watch = {}

function Watch:close() end

--- node:service(name) of a service of raft.services.map.
---@class raft.map.proxy: raft.proxy
local Proxy = {}

---@param key string
---@param value any
---@param ttl_ms integer?
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.put(key, value, ttl_ms, callback) end

---@param key string
---@param version integer
---@param value any
---@param ttl_ms integer?
---@param callback raft.callback?
---@return integer|false|nil version, raft.error?
function Proxy.put_if(key, version, value, ttl_ms, callback) end

---@param key string
---@param callback raft.callback?
---@return integer|false|nil version, raft.error?
function Proxy.delete(key, callback) end

---@param key string
---@param version integer
---@param callback raft.callback?
---@return integer|false|nil version, raft.error?
function Proxy.delete_if(key, version, callback) end

---@param key string
---@param ttl_ms integer?
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.touch(key, ttl_ms, callback) end

---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.sweep(callback) end

---@param key string
---@param callback raft.callback?
---@return any, raft.error?
function Proxy.get(key, callback) end

---@param key string
---@param callback raft.callback?
---@return raft.map.item?, raft.error?
function Proxy.item(key, callback) end

---@param prefix string?
---@param after string?
---@param limit integer? up to 1000
---@param callback raft.callback?
---@return raft.map.page?, raft.error?
function Proxy.list(prefix, after, limit, callback) end

---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.size(callback) end

---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.version(callback) end

---@param since integer
---@param limit integer? up to 1000
---@param callback raft.callback?
---@return raft.map.changes|false|nil, raft.error?
function Proxy.changes(since, limit, callback) end

---@class raft.services.map
---@overload fun(options: raft.map.options?): raft.service
local map = {}

---@param proxy raft.proxy
---@param prefix string
---@param fn fun(key: string, value: any, version: integer)
---@param opts raft.map.watch_opts?
---@return raft.map.watch
function map.watch(proxy, prefix, fn, opts) end

return map
