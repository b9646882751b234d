--- Two directories of one cluster, compared: do their logs say the same, and
-- does applying them come to the same? Offline: no node may run on either.
--
-- Logs must be equal as far as both have them and one of them knows them to be
-- committed. Digests of results stand in snapshots. Given the state machine,
-- both logs are applied side by side, each from its own snapshot: the first
-- entry whose results differ is named, and so is a state that differs from the
-- other's log already in its snapshot.
--
-- Limits. Nothing is written but what a start writes too: a torn end is cut. Of
-- the results of a process that is gone only digests are known, in snapshots.
-- Both runs are in one process: what differs between processes alone (the order
-- of pairs) may come out the same; the guide says how to look for that.
local Log = require "raft.verify.log"
local Offline = require "raft.storage.offline"
local Run = require "raft.verify.run"
local errors = require "raft.errors"
local raft_core = require "raft.core"
local schema = require "raft.schema"

local M = {}

local fields = schema.fields {
  { "node", schema.callable },
  { "apply", schema.callable },
  { "uv", schema.any_table },
  { "host", schema.any_table },
}

-- Raises the verdict. @param index the first one that differs
local function diverged(a, b, index, words, details)
  details = details or {}
  details.index, details.dirs = index, { a.dir, b.dir }
  error(errors.new("diverged", ("%s and %s differ %s"):format(a.dir, b.dir,
    words), details), 0)
end

---------------------------------------------------------------------- logs --

local function check_cluster(a, b)
  local one, other = a.storage.identity, b.storage.identity
  if one == other and a.cluster == b.cluster then return end
  error(errors.new("cluster_mismatch", ("%s and %s are of two clusters")
    :format(a.storage.dir, b.storage.dir)), 0)
end

-- As far as both logs go, and one of them knows it to be committed.
local function common_range(a, b)
  return math.max(a.first, b.first),
    math.min(a.last, b.last, math.max(a.commit, b.commit))
end

local function is_same_payload(kind_a, kind_b, payload_a, payload_b)
  if kind_a == "stripped" or kind_b == "stripped" then return true end
  return kind_a == kind_b and payload_a == payload_b
end

-- Which is the newest entry that both have committed, the logs being equal.
-- What only one of them knows to be committed the other may have otherwise.
local function compare_logs(a, b)
  local first, last = common_range(a, b)
  local sure = math.min(a.commit, b.commit)
  for index = first, last do
    local kind_a, term_a, time_a, payload_a = a:entry(index)
    local kind_b, term_b, time_b, payload_b = b:entry(index)
    if term_a ~= term_b and index > sure then return first, index - 1 end
    if term_a ~= term_b or time_a ~= time_b
      or not is_same_payload(kind_a, kind_b, payload_a, payload_b) then
      diverged(a, b, index, ("in their logs: entry %d, which is committed, is "
        .. "another"):format(index), { what = "log" })
    end
  end
  return first, math.max(last, first - 1)
end

------------------------------------------------------------------- results --

local function differ_in_snapshots(a, b, index, agreed)
  diverged(a, b, index, ("in what applying has come to at entry %d; where "
    .. "they parted lies behind entry %d"):format(index, agreed),
    { what = "results", agreed = agreed })
end

-- What two snapshots say of results, where they say it of the same index.
local function compare_heads(a, b)
  local one, other = a:head(), b:head()
  local is_same = one.checked > 0 and one.checked == other.checked
  if is_same and one.checked_digest ~= other.checked_digest then
    differ_in_snapshots(a, b, one.checked, 0)
  end
  if not a.snapshot or not b.snapshot then return end
  if a.snapshot.index == b.snapshot.index and one.digest ~= other.digest then
    differ_in_snapshots(a, b, a.snapshot.index, is_same and one.checked or 0)
  end
end

-- Applies what the one lacks of the other's snapshot; then both must have come
-- to the same.
local function catch_up(behind, ahead)
  local head, agreed = ahead.kept.results, 0
  while behind.index < ahead.index do
    behind:step()
    if behind.index == head.checked then
      if behind:digest() ~= head.checked_digest then
        differ_in_snapshots(behind, ahead, behind.index, agreed)
      end
      agreed = behind.index
    end
  end
  if behind:digest() ~= ahead:digest() then
    differ_in_snapshots(behind, ahead, ahead.index, agreed)
  end
end

-- Side by side, to the end of what both have.
local function run_both(a, b, last)
  while a.index < last do
    a:step()
    b:step()
    if a:digest() ~= b:digest() then
      diverged(a, b, a.index, ("in the result of entry %d: %s, and %s")
        :format(a.index, a:shown(), b:shown()),
        { what = "results", agreed = a.index - 1 })
    end
  end
end

-- Is what the other's snapshot covers in this log?
local function can_catch_up(behind, ahead)
  local index = ahead.index
  if index <= behind.index then return true end
  if index > behind.log.last then return false end
  local _, term = behind.log:entry(index)
  if term == ahead.snapshot.term then return true end
  if index > behind.log.commit then return false end  -- nor is it to stay
  return diverged(behind, ahead, index, ("in their logs: entry %d, which is "
    .. "committed, is another"):format(index), { what = "log" })
end

local function compare_runs(a, b, last, make)
  a:begin(make(a.dir))
  b:begin(make(b.dir))
  local behind, ahead = a, b
  if a.index > b.index then behind, ahead = b, a end
  if not can_catch_up(behind, ahead) then return false end
  catch_up(behind, ahead)
  local from = ahead.index + 1
  run_both(a, b, last)
  return from
end

------------------------------------------------------------------- account --

local Account = { __name = "raft.verified" }

local function account_of(offline, log)
  local snapshot = offline.storage.snapshots.newest
  return { id = offline.id, dir = offline.storage.dir, first = log.first,
    last = log.last, commit = log.commit,
    snapshot = snapshot and snapshot.index or 0 }
end

local function tell_results(account)
  if account.applied_from and account.applied_from <= account.last then
    return ("results of entries %d to %d are the same"):format(
      account.applied_from, account.last)
  elseif account.applied_from then
    return ("states at entry %d have come to the same")
      :format(account.applied_from - 1)
  end
  return "results were not compared"
end

function Account:__tostring()
  local logs = self.first <= self.last
    and ("entries %d to %d are the same"):format(self.first, self.last)
    or "they have no committed entry in common"
  return ("%s and %s: %s; %s"):format(self.a.dir, self.b.dir, logs,
    tell_results(self))
end

--------------------------------------------------------------------- whole --

-- function(dir) -> options of a node, from what the user gave; or nil.
local function maker_of(opts)
  if opts.node then return opts.node end
  return opts.apply and function(dir) return { apply = opts.apply(dir) } end
end

local function verify(dir_a, dir_b, opts)
  local a <close> = Offline.open { dir = dir_a, uv = opts.uv, host = opts.host }
  local b <close> = Offline.open { dir = dir_b, uv = opts.uv, host = opts.host }
  check_cluster(a, b)
  local log_a, log_b = Log.new(a), Log.new(b)
  local first, last = compare_logs(log_a, log_b)
  local run_a, run_b = Run.new(a, log_a), Run.new(b, log_b)
  compare_heads(run_a, run_b)
  local make = maker_of(opts)
  return setmetatable({
    a = account_of(a, log_a),
    b = account_of(b, log_b),
    first = first,  -- the logs are the same from here
    last = last,    -- up to here
    -- From here on results were compared, one by one; false: they were not.
    applied_from = make and compare_runs(run_a, run_b, last, make) or false,
  }, Account)
end

--- Compares two directories of one cluster whose nodes do not run. Waits for
-- the disk.
-- @param dir_a, dir_b as the option `dir` of the nodes
-- @param opts node(dir): the options of a node, made anew at each call, of
--   which services, or apply and restore (or load), are used; or apply(dir): a
--   fresh apply. Without either only what snapshots say is compared
-- @return true and an account, whose tostring is for people; or nil and an
--   error: `diverged` with `index`, the first one that differs
-- @raise when an argument is wrong, naming it
function M.run(dir_a, dir_b, opts)
  for _, dir in ipairs { dir_a or false, dir_b or false } do
    if type(dir) ~= "string" or dir == "" then
      error("raft.verify: expected two directories, got " .. schema.show(dir),
        2)
    end
  end
  opts = schema.check("raft.verify", 3, fields, opts or {})
  opts.uv = opts.uv or require "luv"
  opts.host = opts.host or raft_core.host
  local ok, result = xpcall(verify, function(what)
    return errors.is_error(what) and what or debug.traceback(what)
  end, dir_a, dir_b, opts)
  if ok then return true, result end
  if not errors.is_error(result) then error(result, 0) end
  return nil, result
end

return M
