--- The end of a test's nodes: their directories are free, and then gone.
local directory = require "raft.testing.directory"
local errors = require "raft.errors"
local inside = require "raft.node.inside"

local M = {}

--- Calls done() once nothing of a closed node is being written any more, and
-- its directory is free.
function M.when_free(node, done)
  local storage = inside.of(node).storage
  if storage then return storage:abort(done) end
  done()
end

--- Removes the files of a cluster: now, whatever is still being written.
function M.remove(cluster)
  return directory.remove(cluster.uv, cluster.path)
end

local function end_all(cluster)
  for _, client in ipairs(cluster.clients) do client:close() end
  for _, id in ipairs(cluster.names) do
    if cluster.nodes[id] then cluster.nodes[id]:close() end
  end
  for _, handle in ipairs(cluster.held) do cluster.loop:close(handle) end
end

local function remove_at_last(cluster)
  local ok, why = M.remove(cluster)
  if ok then return end
  cluster:report(errors.new("io_error", ("cannot remove %s: %s"):format(
    cluster.path, why), { file = cluster.path, reason = why }))
end

--- Closes everything of a cluster; done() once its files are gone, too.
function M.close(cluster, done)
  end_all(cluster)
  local left = 1
  local function freed()
    left = left - 1
    if left > 0 then return end
    remove_at_last(cluster)
    done()
  end
  for _, id in ipairs(cluster.names) do
    if cluster.nodes[id] then
      left = left + 1
      M.when_free(cluster.nodes[id], freed)
    end
  end
  freed()
end

--- Are we called from a turn of the loop?
-- @param loop a scheduler
function M.is_turning(loop)
  local mode = loop.uv.loop_mode
  if not mode then return loop:is_running() end
  return mode() ~= nil
end

return M
