---@meta raft
-- The calls of a client, for editors that read LuaCATS annotations.
-- luacheck: ignore

---@class raft.client_options
---@field members string[]|table<string, string|raft.member>
---@field cluster string?
---@field timeout number|false|nil ms
---@field max_pending_bytes integer?
---@field log string|false|fun(level: string, text: string, fields: table)|nil
---@field session_ms integer?
---@field uv table?

---@class raft.client
local Client = {}

---@param command string
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return any, raft.error?
function Client:propose(command, opts, callback) end

---@param request any
---@param opts raft.read_opts|raft.callback|nil
---@param callback raft.callback?
---@return any, raft.error?
function Client:query(request, opts, callback) end

---@param opts raft.read_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Client:read(opts, callback) end

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Client:ready(opts, callback) end

---@return string
function Client:token() end

---@param id string|raft.opts|raft.callback|nil of the node that is asked
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return raft.status?, raft.error?
function Client:status(id, opts, callback) end

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return table<string, raft.member>?, raft.error?
function Client:members(opts, callback) end

---@param id string
---@param address string "host:port"
---@param opts raft.add_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Client:add(id, address, opts, callback) end

---@param id string
---@param opts raft.remove_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Client:remove(id, opts, callback) end

---@param changes table<string, string|false|table>
---@param opts raft.change_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Client:change(changes, opts, callback) end

---@param id string|raft.opts|raft.callback|nil
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return string?, raft.error?
function Client:transfer(id, opts, callback) end

---@param id string|raft.opts|raft.callback|nil of the node that takes it
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return table?, raft.error?
function Client:take_snapshot(id, opts, callback) end

---@param name string
---@param opts raft.read_opts?
---@return table proxy
function Client:service(name, opts) end

function Client:close() end
