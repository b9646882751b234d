--- What simple services do with one key, for raft.sim.linearizable.
--
--   register(v)  { op = "read" } -> value      { op = "write", value = }
--                { op = "cas", from =, to = } -> was it `from`?
--   kv()         { op = "get" } -> value or nil
--                { op = "put", value = }       { op = "append", value = }
--                { op = "delete" }
--   counter()    { op = "get" } -> value       { op = "add", by = } -> the new
--                value; `by` is 1 when absent
--   queue()      { op = "push", value = }      { op = "pop" } -> the oldest, or
--                nil when empty
--   lock()       { op = "acquire", owner = } -> did it get the lock?
--                { op = "release", owner = } -> did it have it?
--
-- Values are compared by ==, so they are scalars. What a write answers is not
-- looked at. A state is never changed: a step returns another one.
local schema = require "raft.schema"

local M = {}

-- A model whose step looks up input.op.
-- @param ops op -> function(state, input) -> the state after it, the answer
-- @param has_answer op -> is the answer looked at?
local function model(init, ops, has_answer)
  return {
    init = init,
    step = function(state, input, output, is_known)
      local after, answer = ops[input.op](state, input)
      local is_legal = not is_known or not has_answer[input.op]
        or answer == output
      return is_legal, after
    end,
    words = function(input, output, is_known)
      local text = input.op
      for _, name in ipairs { "owner", "value", "by", "from", "to" } do
        if input[name] ~= nil then
          text = text .. " " .. (name == "to" and "to " or "")
            .. schema.show(input[name])
        end
      end
      local answer = not is_known and "?"
        or has_answer[input.op] and schema.show(output) or "done"
      return text .. " -> " .. answer
    end,
  }
end

local function write(_, input) return input.value end

local function read(state) return state, state end

local function cas(state, input)
  if state == input.from then return input.to, true end
  return state, false
end

--- A register.
-- @param initial its first value; nil when absent
function M.register(initial)
  return model(function() return initial end,
    { read = read, write = write, cas = cas }, { read = true, cas = true })
end

--- One key of a map of strings.
function M.kv()
  return model(function() return nil end, {
    get = read,
    put = write,
    append = function(state, input) return (state or "") .. input.value end,
    delete = function() return nil end,
  }, { get = true })
end

--- A counter that starts at 0.
function M.counter()
  return model(function() return 0 end, {
    get = read,
    add = function(state, input)
      local after = state + (input.by or 1)
      return after, after
    end,
  }, { get = true, add = true })
end

--- A queue: first in, first out.
function M.queue()
  return model(function() return {} end, {
    push = function(state, input)
      local after = table.move(state, 1, #state, 1, {})
      after[#after + 1] = input.value
      return after
    end,
    pop = function(state)
      return table.move(state, 2, #state, 1, {}), state[1]
    end,
  }, { pop = true })
end

--- A lock: one owner at a time, who may not take it twice.
function M.lock()
  return model(function() return false end, {
    acquire = function(state, input)
      if state then return state, false end
      return input.owner, true
    end,
    release = function(state, input)
      if state ~= input.owner then return state, false end
      return false, true
    end,
  }, { acquire = true, release = true })
end

return M
