--- Leases with each of their rules taken out: a cluster that works on, and a
-- leader of the past that answers reads. The linearizability checker sees it.
local runs = require "spec.sim.lease_runs"

local SEEDS <const> = 8  -- not every one of them meets the moment

-- A scenario that runs runs[run] for the first seeds.
local function scenario(number, bug, name, run, seeds)
  return { number = number, bug = bug, name = name, reason = "^violation: ",
    run = function()
      for seed = 1, seeds or 1 do runs[run](seed) end
    end }
end

return {
  scenario(47, "47", "who_handed_over_serves_by_its_lease", "transfer"),
  scenario(48, "48", "a_lease_lasts_while_its_leader_stands_still", "sending"),
  scenario(48, "48b", "a_lease_counts_from_the_answers", "sending"),
  scenario(49, "49", "a_lease_without_check_quorum", "stickiness", SEEDS),
  scenario(49, "49b", "a_lease_by_a_minority", "quorum"),
  scenario(49, "49c", "a_restart_forgets_what_it_promised", "restart"),
  scenario(50, "50", "clocks_of_different_rates", "clocks", SEEDS),
}
