--- What the nemesis' store does with one key, for raft.sim.linearizable: a
-- text, "-" before the first write.
local M = {}

local steps = {}

function steps.get(state, _, output, is_known)
  return not is_known or output == state, state
end

function steps.put(_, input) return true, input.value end

function steps.append(state, input)
  return true, (state == "-" and "" or state) .. input.value
end

function steps.cas(state, input, output, is_known)
  local is_equal = state == input.old
  return not is_known or output == tostring(is_equal),
    is_equal and input.value or state
end

function M.init() return "-" end

function M.step(state, input, output, is_known)
  return steps[input.op](state, input, output, is_known)
end

function M.hash(state) return state end

return M
