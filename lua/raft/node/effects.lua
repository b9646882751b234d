--- What the core wants done, and how: effect kind -> function.
--
-- An effect is performed once all batches it waits for are durable; until then
-- it is held. Only sends overtake; stores, applies and reads keep the order of
-- their birth.
local divergence = require "raft.node.divergence"
local ring = require "raft.ring"

local M = {}

local LOAD_BYTES <const> = 1 << 20  -- of older entries, read at a time

local perform = {}  -- effect kind -> function(driver, a, b, c, ...)

-- Kinds that keep the order of their birth; all others are performed at once
-- when what they wait for is durable.
local IS_ORDERED <const> = { store = true, apply = true, read = true,
  install = true }

------------------------------------------------------------------- the kinds --

function perform.store(driver, ...)
  driver.snapshots:storing(...)
  driver.storage:store(...)
end

-- A string that found no place is lost, and with it what only it carried: the
-- answer to a forward, say. Cutting the link tells both ends.
local function send(driver, peer, bytes)
  if driver.transport:send(peer, bytes) then return end
  driver.peers:cut(peer)
  driver:step(driver.core:unreachable(driver:now(), peer))
end

-- What is patient goes along with what follows in this turn, and not at all
-- where that says the same; the order stays. `patient` holds peers, in order,
-- and of each the bytes; false: they have gone.
function perform.send(driver, peer, bytes, is_patient, covers)
  local patient = driver.patient
  if patient[peer] and not covers then bytes = patient[peer] .. bytes end
  if is_patient then
    if patient[peer] == nil then patient[#patient + 1] = peer end
    patient[peer] = bytes
  else
    patient[peer] = patient[peer] and false
    send(driver, peer, bytes)
  end
end

--- The turn ends: sends what nothing followed.
function M.send_patient(driver)
  local patient = driver.patient
  if #patient == 0 then return end
  driver.patient = {}
  for _, peer in ipairs(patient) do
    if driver.is_closed then return end
    if patient[peer] then send(driver, peer, patient[peer]) end
  end
end

function perform.apply(driver, _, last)
  driver:may_apply(last)
end

function perform.install(driver, index, term)
  driver:install(index, term)
end

function perform.compact(driver, index)
  driver.snapshots:compact(index)
end

function perform.read(driver, token, index)
  driver.reads:serve(token, index)
end

function perform.load(driver, peer, first, last)
  local function loaded(err, bytes)
    if driver.is_closed then return end
    if err then return driver:fail(err) end
    driver:step(driver.core:loaded(driver:now(), peer, first, bytes))
  end
  if driver.is_replaying then
    local bytes, err = driver.storage:read_now(first, last, LOAD_BYTES)
    return loaded(err, bytes)
  end
  driver.storage:read(first, last, LOAD_BYTES, driver:guard(loaded))
end

-- What waited for another role goes on: the flush under way looks again.
function perform.role(driver, role, term, leader)
  local was_role, was_leader, was_term = driver.role, driver.leader, driver.term
  driver.role, driver.term, driver.leader = role, term, leader
  driver.reads:ask_again()
  driver.transfers:ask_again()
  driver.membership.changes:ask_again()
  driver.shipping:look_at_role()
  driver:wants_flush()
  if role ~= was_role then
    driver.logger:info("became " .. role, { term = term })
    driver:emit("role", role, term)
  end
  if leader ~= was_leader or (leader and term ~= was_term) then
    driver:emit("leader", leader or nil, driver:address_of(leader), term)
  end
end

function perform.config(driver, index)
  driver.membership:in_force(index)
end

perform.diverged = divergence.heard

function perform.ship(driver, peer, index, is_bare)
  driver.shipping:ship(peer, index, is_bare)
end

function perform.forwarded(driver, token, verdict, index, term, missing)
  local changes = driver.membership.changes
  if changes:forwarded(token, verdict, index, term, missing) then return end
  if driver.transfers:forwarded(token, verdict, term) then return end
  driver.proposals.outbox.forwarding:answered(token, verdict, index, term)
end

--------------------------------------------------------------------- holding --

--- Holds what must wait for the disk.
function M.new()
  return {
    ordered = ring.new(),  -- store, apply, read effects, in order of birth
    others = ring.new(),
  }
end

local function hold(held, kind, after, ...)
  local list = IS_ORDERED[kind] and held.ordered or held.others
  list:push({ kind = kind, after = after, ... })
end

--- Performs, or holds, the batch of this turn.
function M.take(driver, held)
  local stored, ordered = driver.stored, held.ordered
  for kind, after, a, b, c, d, e, f, g, h in driver.core:effects() do
    if after <= stored and (not IS_ORDERED[kind] or ordered.count == 0) then
      perform[kind](driver, a, b, c, d, e, f, g, h)
    else
      hold(held, kind, after, a, b, c, d, e, f, g, h)
    end
    if driver.is_closed then return end
  end
end

local function release(driver, list)
  local head = list:peek()
  while head and head.after <= driver.stored and not driver.is_closed do
    list:pop()
    perform[head.kind](driver, table.unpack(head, 1, 8))
    head = list:peek()
  end
end

--- More is durable: performs what waited for it.
function M.release(driver, held)
  release(driver, held.others)
  release(driver, held.ordered)
end

return M
