---@meta raft.services.cron
-- What raft.services.cron has, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/services/cron.md says what everything means.
-- luacheck: ignore

---@class raft.cron.options
---@field name string? "cron"
---@field version integer?
---@field older raft.service[]?
---@field max_jobs integer?

---@class raft.cron.clock
---@field now_ms integer
---@field due_ms integer?
---@field free_ms integer? of look

---@class raft.cron.job
---@field every integer? ms
---@field at string? "minute hour day month weekday", UTC
---@field missed "skip"|"once"|"all"|nil
---@field late_ms integer?
---@field retry boolean?
---@field attempts integer?
---@field max_runs integer?
---@field payload any

---@class raft.cron.run
---@field name string
---@field due_ms integer
---@field token integer
---@field attempt integer
---@field payload any
---@field until_ms integer

--- What a function of a job is given.
---@class raft.cron.tick
---@field name string
---@field due_ms integer
---@field token integer
---@field attempt integer
---@field payload any
---@field is_mine boolean

---@class raft.cron.worker_opts
---@field jobs table<string, fun(tick: raft.cron.tick): any, any>
---@field service string?
---@field owner string?
---@field claim_ms integer?
---@field poll_ms integer?
---@field stagger_ms integer?
---@field on_error fun(err: raft.error, run: raft.cron.run)?

---@class raft.cron.worker
local Worker = {}

function Worker:stop() end

--- node:service(name) of a service of raft.services.cron.
---@class raft.cron.proxy: raft.proxy
local Proxy = {}

---@param name string
---@param job raft.cron.job
---@param callback raft.callback?
---@return integer? due_ms, raft.error?
function Proxy.set(name, job, callback) end

---@param name string
---@param callback raft.callback?
---@return true?, raft.error?
function Proxy.remove(name, callback) end

---@param callback raft.callback?
---@return raft.cron.clock?, raft.error?
function Proxy.tick(callback) end

---@param owner string
---@param names string[]
---@param claim_ms integer
---@param callback raft.callback?
---@return raft.cron.run?, raft.error?
function Proxy.claim(owner, names, claim_ms, callback) end

---@param name string
---@param token integer
---@param claim_ms integer
---@param callback raft.callback?
---@return integer? until_ms, raft.error?
function Proxy.extend(name, token, claim_ms, callback) end

---@param name string
---@param token integer
---@param callback raft.callback?
---@return true?, raft.error?
function Proxy.finish(name, token, callback) end

---@param callback raft.callback?
---@return table<string, raft.cron.job>?, raft.error?
function Proxy.jobs(callback) end

---@param names string[]
---@param callback raft.callback?
---@return raft.cron.clock?, raft.error?
function Proxy.look(names, callback) end

---@class raft.services.cron
---@overload fun(options: raft.cron.options?): raft.service
local cron = {}

---@param object raft.node|raft.client
---@param opts raft.cron.worker_opts
---@return raft.cron.worker
function cron.run(object, opts) end

return cron
