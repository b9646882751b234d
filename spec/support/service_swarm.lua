--- A battery under the full swarm of faults: clients and nodes that are asked
-- what a subject draws, and a history that must be that of its model.
--
-- A subject is a table:
--   service              a function that returns the definition
--   draw(random, mine)   the next call: { name, arguments... , n = }
--   note(mine, call, answer)  what came of it, for the next ones; optional
--   init() -> state      of the model, and
--   steps                name of a call -> function(state, ...) -> the state
--                        after it, the answer. They change nothing
--   seen(output)         of an answer what the model can know; optional
--   key(arguments)       what it is about, where calls on different keys have
--                        nothing to do with each other; optional
--   other                like service, of one more that is there; optional
--   beside(s)            runs beside the workload; optional
--   check(s)             true, or nil and why not, once all is over; optional
local codec = require "raft.codec"
local linearizable = require "raft.sim.linearizable"
local sim = require "raft.sim"

local M = {}

local CLIENTS <const> = 3
local MS <const> = 10000
local STEPS_MAX <const> = 25000   -- of the search: half a second
local NODES_ASKED <const> = 0.3   -- share of calls that go to a node itself

-- Calls come in bursts, so that they meet, with rests in between: so a history
-- is short enough to be searched, and as long as the faults last.
local CALLS_MAX <const> = 40   -- of a client, under faults
local THINK_MS <const> = 80    -- at most, between two calls of a burst
local REST_MS <const> = 2000   -- at most, between two bursts
local BURST <const> = 5        -- calls, on average
local CALM_EACH <const> = 10   -- calls of a client, once all is healed

--- Calls that every seed answers at the least: those behind the faults.
M.CALM_CALLS = CLIENTS * CALM_EACH

--- An answer that is no value: the call was refused.
M.REFUSED = "refused!"

------------------------------------------------------------------------ work --

-- A proxy over the client, or over any node that has run.
local function proxy_of(s, client, name, random)
  local id = random:pick(s.ids)
  if random:chance(NODES_ASKED) and s.members[id].services[name] then
    return s:node(id):service(name, { timeout = 1000 })
  end
  return client:service(name, { timeout = 3000 })
end

-- One call: the error of it, if any.
local function ask(subject, proxy, random, mine)
  local call = subject.draw(random, mine)
  local answer, err = proxy[call[1]](table.unpack(call, 2, call.n or #call))
  if subject.note and not err then subject.note(mine, call, answer) end
  return err
end

local function work(s, subject, number, stop_ms)
  local random = s.world:random("work " .. number)
  local client <close> = s:client("c" .. number)
  local mine = { number = number }
  s:wait(function() return next(s.members.n1.services) end, 10000)
  for _ = 1, CALLS_MAX do
    if s:now() > stop_ms then break end
    ask(subject, proxy_of(s, client, subject.name, random), random, mine)
    local is_last = random:chance(1 / BURST)
    s:sleep(random:between(0, is_last and REST_MS or THINK_MS))
  end
end

-- Runs fn(number) for all clients at once, until all have ended.
local function together(s, ms, fn)
  local left = CLIENTS
  for number = 1, CLIENTS do
    s:spawn(function()
      fn(number)
      left = left - 1
    end)
  end
  return s:wait(function() return left == 0 end, ms)
end

local function workload(subject)
  return function(s)
    local stop_ms = s:now() + MS
    if subject.beside then s:spawn(function() subject.beside(s) end) end
    together(s, MS + 30000, function(number)
      work(s, subject, number, stop_ms)
    end)
  end
end

-- All is healed: every call is answered. Nil, or what was not.
local function calm(s, subject)
  local problem
  local is_over = together(s, 30000, function(number)
    local random, mine = s.world:random("calm " .. number), { number = -number }
    local client <close> = s:client("calm " .. number)
    local proxy = client:service(subject.name)
    for _ = 1, CALM_EACH do
      local err = ask(subject, proxy, random, mine)
      if err and err.code ~= "refused" then problem = err.message end
    end
  end)
  return problem or not is_over and "calls are not answered" or nil
end

--------------------------------------------------------------------- history --

local function call_of(operation)
  local input = operation.input
  if operation.kind == "propose" then input = codec.decode(input) end
  return type(input) == "table" and type(input[3]) == "table" and input or nil
end

-- What was asked of this service, as the checker takes it. Who was refused has
-- been answered.
local function history(s, subject)
  local list, seen = {}, subject.seen or function(output) return output end
  for _, o in ipairs(s:history()) do
    local call = call_of(o)
    if call and call[1] == subject.name and subject.steps[call[2]] then
      local is_refused = o.err and o.err.code == "refused"
      list[#list + 1] = { client = o.client, call = o.call, back = o.back,
        key = subject.key and subject.key(call[3]) or nil,
        input = { op = call[2], args = call[3], n = call[4] },
        output = is_refused and M.REFUSED or seen(o.output),
        outcome = is_refused and "ok" or o.outcome }
    end
  end
  return list
end

local function model(subject)
  return {
    init = subject.init,
    step = function(state, input, output, is_known)
      local after, answer = subject.steps[input.op](state,
        table.unpack(input.args, 1, input.n))
      return not is_known or codec.encode(answer) == codec.encode(output), after
    end,
  }
end

--- Runs the subject: the report, or nil and what broke; and how many calls were
-- checked.
-- @param first of the seeds
function M.run(subject, first, count)
  local checked = 0
  subject.name = subject.service().name
  local report, err = sim.explore {
    seeds = { first, first + count - 1 }, nodes = 5, duration_ms = MS,
    node = function()
      return { services = { subject.service(), subject.other and
        subject.other() }, snapshot_bytes = 4000 }
    end,
    workload = workload(subject), shrink = false, say = function() end,
    check = function(s)
      local problem = calm(s, subject)
      if problem then return nil, problem end
      local list = history(s, subject)
      checked = checked + #list
      local verdict, info = linearizable.check(list, model(subject),
        { steps_max = STEPS_MAX })
      if verdict == "violation" then return nil, info.text end
      if subject.check then return subject.check(s) end
      return true
    end,
  }
  return report, err, checked
end

return M
