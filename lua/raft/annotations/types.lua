---@meta
-- What raft's calls take and tell, for editors that read LuaCATS annotations.
-- Nothing requires this file; docs/API.md says what everything means.
-- luacheck: ignore

-------------------------------------------------------------------- errors --

---@alias raft.code
---| "not_leader" | "lost" | "unknown" | "timeout" | "busy" | "too_large"
---| "closed" | "failed" | "apply_error" | "refused" | "no_quorum"
---| "bad_membership" | "bad_value" | "reentrant" | "session_expired"
---| "diverged" | "unsupported" | "auth_failed" | "cluster_mismatch"
---| "wrong_dir" | "dir_locked" | "format_version" | "duplicate_id"
---| "rolled_back" | "corrupt" | "no_space" | "io_error" | "listen_failed"

--- `outcome` is "none" when it did not happen and never will, "unknown" when it
--- may have; `retry` is true when repeating is safe and may help.
---@class raft.error
---@field code raft.code
---@field message string
---@field outcome "none"|"unknown"
---@field retry boolean
---@field value any what the user's code returned or raised
---@field leader string? of `not_leader`
---@field address string?
---@field missing string[]? of `no_quorum`
---@field file string?
---@field cause raft.error?

---@alias raft.callback fun(err: raft.error?, result: any)|false

------------------------------------------------------------------- options --

---@alias raft.role "voter"|"learner"|"witness"

---@class raft.member
---@field address string? "host:port"
---@field role raft.role?
---@field priority integer? the lowest stands for election first
---@field goal raft.role|false|nil on the way: what it becomes; false: it leaves

--- Sizes, lists of sets of names, or formulas.
---@class raft.quorum
---@field election integer|string|string[][]
---@field commit integer|string|string[][]

---@class raft.entry
---@field index integer
---@field term integer
---@field time integer ms, the same on every node; never goes back

--- What raft.service takes. In a command `entry` and `emit` are globals.
---@class raft.service_definition
---@field name string
---@field init fun(): table the first state
---@field commands table<string, fun(state: table, ...): any, any>?
---@field queries table<string, fun(state: table, ...): any, any>?
---@field version integer? 1 unless said otherwise
---@field upgrade nil|fun(state: table, from: integer): table?
---@field older raft.service[]? what runs while an older version is in use
---@field atomic boolean? does a command that fails leave no trace?

---@class raft.service
---@field name string
---@field version integer

--- Commands and queries as functions; `p.add(5)` and `p:add(5)` are the same.
---@class raft.proxy
---@field on fun(event: string, fn: fun(...)): function
---@field off fun(event: string, fn: fun(...)): boolean
---@field [string] fun(...): any, raft.error?

---@class raft.service_opts
---@field timeout number|false|nil
---@field consistency "linearizable"|"lease"|"stale"|nil
---@field at_least string?

---@class raft.divergence
---@field index integer the first compared index where results differ
---@field agreed integer the newest compared one where they did not; 0 unknown
---@field id string? who differs from the majority; nil: there is none
---@field majority string? its digest
---@field digests table<string, string> id -> digest, as far as known

---@class raft.handlers
---@field role fun(role: string, term: integer)?
---@field leader fun(id: string?, address: string?, term: integer)?
---@field membership fun(members: table<string, raft.member>, index: integer)?
---@field applied fun(index: integer)?
---@field snapshot fun(info: raft.snapshot)?
---@field diverged fun(info: raft.divergence)?
---@field repaired fun(first: integer, last: integer)?
---@field drain fun()?
---@field warning fun(err: raft.error)?
---@field error fun(err: raft.error)?
---@field failed fun(err: raft.error)?
---@field closed fun()?

---@alias raft.log
---| "debug" | "info" | "warn" | "error" | false
---| fun(level: string, text: string, fields: table)

---@class raft.options
---@field id string
---@field cluster string?
---@field members table<string, string|raft.member>? the initial members
---@field join boolean|string[]|nil start empty, and wait to be added
---@field listen string?
---@field dir string? durable state; required unless volatile
---@field volatile boolean?
---@field service raft.service? in the place of apply
---@field services raft.service[]?
---@field apply nil|fun(command: string, entry: raft.entry): any, any
---@field query (fun(request: any): any, any)?
---@field snapshot (fun(): string)?
---@field restore fun(bytes: string)?
---@field save fun(write: fun(piece: string))?
---@field load fun(read: fun(): string?)?
---@field snapshot_mode "inline"|"fork"|"auto"|nil
---@field snapshot_bytes integer?
---@field election_timeout integer|{ [1]: integer, [2]: integer }|nil ms
---@field heartbeat integer? ms
---@field quorum string|raft.quorum|nil
---@field leases boolean?
---@field max_command_bytes integer?
---@field max_pending_bytes integer?
---@field log raft.log?
---@field on raft.handlers?
---@field record string?
---@field uv table?

---@class raft.opts
---@field timeout number|false|nil ms

---@class raft.propose_opts: raft.opts
---@field forward boolean?

---@class raft.read_opts: raft.opts
---@field consistency "linearizable"|"lease"|"stale"|nil
---@field at_least string? of node:token()

---@class raft.add_opts: raft.opts
---@field role raft.role?
---@field priority integer?
---@field force boolean?

---@class raft.remove_opts: raft.opts
---@field force boolean?

---@class raft.change_opts: raft.opts
---@field force boolean?
---@field quorum string|raft.quorum|nil
---@field leases boolean?
---@field election_timeout_min integer? ms

---------------------------------------------------------------- what is told --

---@class raft.snapshot
---@field index integer
---@field term integer
---@field time integer
---@field size integer bytes
---@field path string
---@field mode "inline"|"fork"|nil
---@field blocked_ms number?

---@class raft.peer
---@field match integer
---@field next integer
---@field state string
---@field lag integer
---@field silent_ms number
---@field snapshot { index: integer, sent: integer, bytes: integer }?

---@alias raft.state
---| "new" | "starting" | "running" | "repairing" | "restoring" | "stopping"
---| "closed" | "failed"

---@class raft.service_status
---@field version integer of this node's definition
---@field in_use integer? nil before it is
---@field lacking string[] who has not announced that version

---@class raft.status
---@field id string
---@field cluster string
---@field state raft.state
---@field formed boolean
---@field role "follower"|"pre_candidate"|"candidate"|"leader"
---@field term integer
---@field leader string?
---@field address string?
---@field listen string?
---@field commit integer
---@field applied integer
---@field first integer
---@field last integer
---@field stored integer
---@field snapshot integer
---@field members table<string, raft.member>
---@field quorum string|raft.quorum
---@field peers table<string, raft.peer>
---@field pending integer
---@field pending_bytes integer
---@field memory_bytes integer
---@field bad_frames integer
---@field disk_ms number
---@field loop_lag_ms number
---@field has_lease boolean
---@field heir string?
---@field uptime number
---@field version string
---@field transport table?
---@field failure raft.error?
---@field services table<string, raft.service_status>?
