--- The call node:take_snapshot, as raft.waiting wants it.
local inside = require "raft.node.inside"
local view = require "raft.node.view"

return {
  args = 0,
  start = function(self, opts, answer)
    local driver = inside.of(self)
    local err = view.not_running(driver)
    if err then return answer(err) end
    driver.snapshots:submit { answer = answer,
      deadline = opts.timeout and driver:now() + opts.timeout }
  end,
}
