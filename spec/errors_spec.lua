local errors = require "raft.errors"

-- The list of the API page, word for word: nothing more, nothing less.
local CODES <const> = [[
  not_leader lost unknown timeout busy too_large closed failed apply_error
  refused no_quorum bad_membership bad_value reentrant session_expired diverged
  unsupported auth_failed cluster_mismatch wrong_dir dir_locked format_version
  duplicate_id rolled_back corrupt no_space io_error listen_failed]]

local function promised_codes()
  local codes = {}
  for code in CODES:gmatch("%S+") do codes[#codes + 1] = code end
  table.sort(codes)
  return codes
end

describe("errors", function()
  it("has the promised codes and no other", function()
    assert.same(promised_codes(), errors.codes())
  end)

  it("gives each code an outcome, a retry and a meaning", function()
    for _, code in ipairs(errors.codes()) do
      local err = errors.new(code, "x")
      assert.truthy(err.outcome == "none" or err.outcome == "unknown", code)
      assert.equal("boolean", type(err.retry), code)
      assert.truthy(#errors.meaning(code) > 10, code)
    end
  end)

  it("never calls repeating safe when the outcome is unknown", function()
    for _, code in ipairs(errors.codes()) do
      local err = errors.new(code, "x", { outcome = "unknown" })
      assert.is_false(err.retry, code)
    end
  end)

  it("knows what cannot have happened", function()
    for _, code in ipairs { "not_leader", "lost", "busy", "too_large",
      "bad_value", "bad_membership", "closed", "failed" } do
      assert.equal("none", errors.new(code, "x").outcome, code)
    end
    assert.equal("unknown", errors.new("unknown", "x").outcome)
    assert.equal("unknown", errors.new("timeout", "x").outcome)
  end)

  it("reads well as a string", function()
    assert.equal("busy: 64 MiB are pending",
      tostring(errors.new("busy", "64 MiB are pending")))
  end)

  it("takes details as fields", function()
    local err = errors.new("not_leader", "n2 leads",
      { leader = "n2", address = "h:1" })
    assert.equal("n2", err.leader)
    assert.equal("h:1", err.address)
    assert.equal("not_leader", err.code)
  end)

  it("lets details say more than the default", function()
    local err = errors.new("closed", "x", { outcome = "unknown" })
    assert.equal("unknown", err.outcome)
    local read = errors.new("timeout", "x", { outcome = "none", retry = true })
    assert.is_true(read.retry)
    assert.is_false(errors.new("busy", "x", { retry = false }).retry)
  end)

  it("refuses a code that is not in the list", function()
    assert.has_error(function() errors.new("oops", "x") end,
      "no such error code")
  end)

  it("keeps code and message from being replaced", function()
    assert.has_error(function() errors.new("busy", "x", { code = "y" }) end)
    assert.has_error(function() errors.new("busy", "x", { outcome = "?" }) end)
  end)

  describe("is_error", function()
    it("knows its own", function()
      assert.is_true(errors.is_error(errors.new("busy", "x")))
    end)

    it("is not fooled by others", function()
      assert.is_false(errors.is_error { code = "busy", message = "x" })
      assert.is_false(errors.is_error("busy"))
      assert.is_false(errors.is_error(nil))
    end)
  end)

  describe("caught", function()
    it("keeps a plain value", function()
      local err = errors.caught("callback", "boom", "trace")
      assert.equal("apply_error", err.code)
      assert.equal("boom", err.value)
      assert.equal("callback", err.where)
      assert.equal("trace", err.traceback)
      assert.equal("apply_error: callback: boom", tostring(err))
    end)

    it("keeps an error of ours as the cause", function()
      local cause = errors.new("busy", "x")
      local err = errors.caught("task", cause)
      assert.equal(cause, err.cause)
      assert.is_nil(err.value)
    end)

    -- "apply: table: 0x55ce20e1b9f0" tells nobody anything, and made the
    -- traces of two equal simulations differ.
    it("has no addresses in its words", function()
      for _, value in ipairs { {}, print, coroutine.create(print),
        setmetatable({}, { __name = "thing" }) } do
        local words = errors.caught("apply", value).message
        assert.is_nil(words:find("0x", 1, true), words)
      end
      assert.equal("apply: a table", errors.caught("apply", {}).message)
      local speaks = setmetatable({}, { __tostring = function() return "hi"
      end })
      assert.equal("apply: hi", errors.caught("apply", speaks).message)
    end)

    it("survives a value whose tostring raises", function()
      local bad = setmetatable({}, { __tostring = function() error("no") end })
      assert.equal("task: a table that cannot be printed",
        errors.caught("task", bad).message)
    end)
  end)
end)
