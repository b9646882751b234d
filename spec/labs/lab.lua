--- Tests of the labs, each a run of spec.labs.harness for each of some seeds.
--
--   make spec                     a random seed
--   make labs SEEDS=100           a hundred, each a test of its own
--   SEED=17 make spec ONLY=spec/labs/lab3a_spec.lua
local harness = require "spec.labs.harness"
local support = require "spec.support.helper"

local M = {}

local expect = harness.expect
local MANY <const> = tonumber(os.getenv "LABS_SEEDS")  -- set by `make labs`
local TEST_MS <const> = 120000   -- for one test, at most
local FORM_MS <const> = 10000    -- to set the cluster up

-- One run of a test, from one seed.
local function run(name, options, fn, seed)
  local t = harness.new(seed, options)
  local s <close> = t.s
  local function body()
    if not options.is_unformed then
      expect(s:wait(function() return s:is_formed() end, FORM_MS),
        "not formed")
    end
    local from_ms = s:now()
    t:unreliable(options.is_unreliable or false)
    fn(t)
    expect(not t.broken, "%s", t.broken)
    expect(s:now() - from_ms <= TEST_MS, "took %.0f virtual ms",
      s:now() - from_ms)
  end
  local ok, err = pcall(s.run, s, body)
  if ok then return end
  local text = type(err) == "table" and (err.message or tostring(err)) or err
  error(("%s: %s (SEED=%d repeats it)"):format(name, text, seed), 0)
end

-- Defines a test of this name; `it` belongs to the spec's own environment.
local function define(it, name, options, fn)
  local base = support.seed()
  if not MANY then
    return it(name, function() run(name, options, fn, base) end)
  end
  for seed = base, base + MANY - 1 do
    it(("%s, seed %d"):format(name, seed), function()
      run(name, options, fn, seed)
    end)
  end
end

--- What defines tests: lab(name, options, fn(t)).
-- options: servers; is_unreliable; is_unformed (from the first moment, with
-- the cluster not yet set up); node (function(t, id): what a server is)
-- @param it busted's
function M.define(it)
  return function(...) define(it, ...) end
end

return M
