---@meta raft.services.config
-- What raft.services.config has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/config.md says what it all means.
-- luacheck: ignore

---@class raft.config.options
---@field name string? "config"
---@field fields table<string, raft.config.field>|false|nil
---@field check nil|fun(settings: table): any, any
---@field bytes_max integer?
---@field key_bytes_max integer?
---@field history_max integer?
---@field version integer?
---@field older raft.service[]?

---@class raft.config.field
---@field type "any"|"boolean"|"integer"|"number"|"string"|"table"
---@field default any
---@field min number? of a string: bytes
---@field max number?
---@field one_of any[]?

---@class raft.config.document
---@field version integer
---@field time integer ms, of the log
---@field settings table<string, any> with the defaults

---@class raft.config.watch_opts
---@field poll_ms integer?
---@field error nil|fun(err: raft.error)

---@class raft.config.watch
---@field version integer|false
local Watch = {}

function Watch:close() end

--- node:service(name) of a service of raft.services.config.
---@class raft.config.proxy: raft.proxy
local Proxy = {}

---@param name string
---@param value any
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.set(name, value, callback) end

---@param name string
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.unset(name, callback) end

---@param settings table<string, any>
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.update(settings, callback) end

---@param settings table<string, any>
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.replace(settings, callback) end

---@param version integer
---@param settings table<string, any>
---@param callback raft.callback?
---@return integer|false|nil version, raft.error?
function Proxy.compare_and_set(version, settings, callback) end

---@param version integer
---@param callback raft.callback?
---@return integer? version, raft.error?
function Proxy.rollback(version, callback) end

---@param name string
---@param callback raft.callback?
---@return any, raft.error?
function Proxy.get(name, callback) end

---@param callback raft.callback?
---@return raft.config.document?, raft.error?
function Proxy.all(callback) end

---@param callback raft.callback?
---@return integer?, raft.error?
function Proxy.version(callback) end

---@param version integer
---@param callback raft.callback?
---@return raft.config.document?, raft.error?
function Proxy.at(version, callback) end

---@param before integer?
---@param limit integer? up to 100
---@param callback raft.callback?
---@return raft.config.document[]?, raft.error?
function Proxy.history(before, limit, callback) end

---@param version integer
---@param limit integer? up to 100
---@param callback raft.callback?
---@return raft.config.document[]|false|nil, raft.error?
function Proxy.since(version, limit, callback) end

---@class raft.services.config
---@overload fun(options: raft.config.options?): raft.service
local config = {}

---@param proxy raft.proxy
---@param fn fun(settings: table, version: integer, changed: string[])
---@param opts raft.config.watch_opts?
---@return raft.config.watch
function config.watch(proxy, fn, opts) end

return config
