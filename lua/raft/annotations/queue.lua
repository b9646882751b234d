---@meta raft.services.queue
-- What raft.services.queue has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/queue.md says what it all means.
-- luacheck: ignore

---@class raft.queue.options
---@field name string? "queue"
---@field lease_ms integer?
---@field attempts_max integer|false|nil
---@field length_max integer?
---@field dead_max integer?
---@field value_bytes_max integer?
---@field version integer?
---@field older raft.service[]?

---@class raft.queue.message
---@field id integer
---@field value any
---@field attempt integer
---@field until_ms integer when the lease ends, of the log's time

---@class raft.queue.place
---@field id integer
---@field value any
---@field attempts integer
---@field place "ready"|"leased"|"delayed"|"dead"
---@field at integer? when that ends; of a dead one when it died

---@class raft.queue.length
---@field ready integer
---@field leased integer
---@field delayed integer
---@field dead integer

---@class raft.queue.worker_opts
---@field lease_ms integer?
---@field poll_ms integer?
---@field retry_ms integer?
---@field error nil|fun(err: raft.error, message: raft.queue.message?)

---@class raft.queue.worker
local Worker = {}

function Worker:close() end

--- node:service(name) of a service of raft.services.queue.
---@class raft.queue.proxy: raft.proxy
local Proxy = {}

---@param value any
---@param delay_ms integer?
---@param callback raft.callback?
---@return integer? id, raft.error?
function Proxy.push(value, delay_ms, callback) end

---@param lease_ms integer?
---@param callback raft.callback?
---@return raft.queue.message?, raft.error?
function Proxy.pop(lease_ms, callback) end

---@param id integer
---@param attempt integer
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.ack(id, attempt, callback) end

---@param id integer
---@param attempt integer
---@param delay_ms integer?
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.nack(id, attempt, delay_ms, callback) end

---@param id integer
---@param attempt integer
---@param lease_ms integer?
---@param callback raft.callback?
---@return integer|false|nil, raft.error?
function Proxy.extend(id, attempt, lease_ms, callback) end

---@param id integer
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.drop(id, callback) end

---@param id integer
---@param callback raft.callback?
---@return boolean?, raft.error?
function Proxy.revive(id, callback) end

---@param callback raft.callback?
---@return raft.queue.length?, raft.error?
function Proxy.length(callback) end

---@param limit integer? up to 1000
---@param callback raft.callback?
---@return raft.queue.place[]?, raft.error?
function Proxy.peek(limit, callback) end

---@param id integer
---@param callback raft.callback?
---@return raft.queue.place?, raft.error?
function Proxy.get(id, callback) end

---@param after integer?
---@param limit integer? up to 1000
---@param callback raft.callback?
---@return { items: raft.queue.place[], next: integer? }?, raft.error?
function Proxy.dead(after, limit, callback) end

---@class raft.services.queue
---@overload fun(options: raft.queue.options?): raft.service
local queue = {}

---@param proxy raft.proxy
---@param fn fun(value: any, message: raft.queue.message)
---@param opts raft.queue.worker_opts?
---@return raft.queue.worker
function queue.worker(proxy, fn, opts) end

return queue
