---@meta raft.testing
-- What raft.testing has, for editors that read LuaCATS annotations. Nothing
-- requires this file; docs/API.md says what everything means.
-- luacheck: ignore

---@class raft.testing
local testing = {}

---@class raft.testing.options
---@field nodes integer|string[]|nil how many, or their ids; 3
---@field node fun(id: string): raft.options without id, members, dir
---@field uv table?

---@class raft.testing.cluster
local Cluster = {}

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Cluster:ready(opts, callback) end

---@generic T
---@param predicate fun(): T
---@param ms number|raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return T?, raft.error?
function Cluster:wait(predicate, ms, callback) end

---@return string[]
function Cluster:ids() end

---@return table<string, string>
function Cluster:addresses() end

---@param id string
---@return raft.node
function Cluster:node(id) end

---@param id string
---@return string path
function Cluster:dir(id) end

---@return string? id
function Cluster:leader() end

---@return table<string, raft.status>
function Cluster:status() end

---@param id string
function Cluster:kill(id) end

---@param id string
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return true?
function Cluster:stop(id, opts, callback) end

---@param id string
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return raft.node?, raft.error?
function Cluster:restart(id, opts, callback) end

---@return table client
function Cluster:client() end

function Cluster:close() end

---@param options raft.testing.options
---@return raft.testing.cluster
function testing.cluster(options) end

---@param fn fun(): ...
---@param opts { timeout: integer|false|nil, uv: table? }?
---@return any ...
function testing.run(fn, opts) end

return testing
