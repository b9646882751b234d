---@meta raft
-- The public calls of raft for editors that read LuaCATS annotations. Nothing
-- requires this file; docs/API.md says what everything means.
-- luacheck: ignore

---@class raft
---@field _VERSION string
local raft = {}

---------------------------------------------------------------------- node --

---@class raft.node
---@field id string
---@field cluster string
local Node = {}

---@return true?, raft.error?
function Node:start() end

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Node:ready(opts, callback) end

---@param command string
---@param opts raft.propose_opts|raft.callback|nil
---@param callback raft.callback?
---@return any, raft.error?
function Node:propose(command, opts, callback) end

---@param opts raft.read_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Node:read(opts, callback) end

---@param request any
---@param opts raft.read_opts|raft.callback|nil
---@param callback raft.callback?
---@return any, raft.error?
function Node:query(request, opts, callback) end

---@param name string
---@param opts raft.service_opts?
---@return raft.proxy
function Node:service(name, opts) end

---@return string
function Node:token() end

---@return raft.status
function Node:status() end

---@return string? id, string? address
function Node:leader() end

---@return boolean
function Node:is_leader() end

---@return table<string, raft.member>
function Node:members() end

---@param id string
---@param address string "host:port"
---@param opts raft.add_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Node:add(id, address, opts, callback) end

---@param id string
---@param opts raft.remove_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Node:remove(id, opts, callback) end

--- `false` removes a member.
---@param spec table<string, string|raft.member|false>
---@param opts raft.change_opts|raft.callback|nil
---@param callback raft.callback?
---@return true?, raft.error?
function Node:change(spec, opts, callback) end

---@param id string? who shall lead
---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return string? id, raft.error?
function Node:transfer(id, opts, callback) end

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return raft.snapshot?, raft.error?
function Node:take_snapshot(opts, callback) end

---@generic F: function
---@param event string
---@param fn F
---@return F
function Node:on(event, fn) end

---@param event string
---@param fn function
---@return boolean
function Node:off(event, fn) end

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return true?
function Node:stop(opts, callback) end

function Node:close() end

-------------------------------------------------------------------- module --

---@param options raft.options
---@return raft.node
function raft.node(options) end

---@param options raft.client_options
---@return raft.client
function raft.client(options) end
---@param def raft.service_definition
---@return raft.service
function raft.service(def) end

---@param fn fun(): ...
---@param opts { signals: boolean?, uv: table? }?
---@return any ...
function raft.run(fn, opts) end

---@class raft.task
local Task = {}

---@param opts raft.opts|raft.callback|nil
---@param callback raft.callback?
---@return any ...
function Task:wait(opts, callback) end

---@return boolean
function Task:is_done() end

---@param fn fun(): ...
---@return raft.task
function raft.spawn(fn) end

---@param ms number
---@param callback raft.callback?
---@return true?, raft.error?
function raft.sleep(ms, callback) end

---@param value any
---@return boolean
function raft.is_error(value) end

---@class raft.recover_opts
---@field members table<string, string|raft.member>?
---@field id string?
---@field cluster string?
---@field uv table?

---@param dir string
---@param opts raft.recover_opts?
---@return table? account, raft.error?
function raft.recover(dir, opts) end

---@class raft.verify_opts
---@field node (fun(dir: string): table)? the options of a node, made anew
---@field apply (fun(dir: string): function)? a fresh apply
---@field uv table?

---@param dir_a string
---@param dir_b string
---@param opts raft.verify_opts?
---@return true?, table|raft.error account
function raft.verify(dir_a, dir_b, opts) end

---@param path string
---@param opts { trace: fun(line: string)?, uv: table? }?
---@return table?, raft.error?
function raft.replay(path, opts) end

raft.codec = {}

---@param value any
---@return string
function raft.codec.encode(value) end

---@param bytes string
---@return any, raft.error?
function raft.codec.decode(bytes) end

return raft
