local Greeting = require "raft.greeting"

local IDENTITY <const> = ("I"):rep(16)
local OTHER_IDENTITY <const> = ("J"):rep(16)
local ALIVE_MS <const> = 2000
local OURS <const>, THEIRS <const> = 101, 102  -- incarnations of n1 and n2

-- n1's greeting, with what the spec wants to be different.
local function greeting_of(changes)
  local options = { id = "n1", cluster = "shop", incarnation = OURS, starts = 1,
    nonce = 11, plan = 7, voters = { "n3", "n1", "n2" }, identity = false,
    expected = function() end, config_index = function() return 5 end }
  for name, value in pairs(changes or {}) do options[name] = value end
  return Greeting.new(options)
end

-- n1 as a member of a formed cluster.
local function formed(changes)
  local incarnations = { n1 = OURS, n2 = THEIRS, n3 = 103 }
  local options = { identity = IDENTITY,
    expected = function(id) return incarnations[id] end }
  for name, value in pairs(changes or {}) do options[name] = value end
  return greeting_of(options)
end

-- The hello of n2 to n1, unformed.
local function hello_of(changes)
  local hello = { version_min = 1, version_max = 1, purpose = "peer",
    formed = false, group = 0, plan = 7, incarnation = THEIRS, starts = 1,
    nonce = 22, known = 0, config_index = 5, cluster = "shop", id = "n2",
    to = "n1",
    address = "10.0.0.2:7101" }
  for name, value in pairs(changes or {}) do hello[name] = value end
  return hello
end

-- The same of a formed n2 that knows us.
local function member(changes)
  local hello = hello_of({ formed = true, identity = IDENTITY, known = OURS })
  for name, value in pairs(changes or {}) do hello[name] = value end
  return hello
end

-- What the transport says of a link that is up.
local function link_of(hello, silent_ms, age_ms)
  return { hello = hello, silent_ms = silent_ms, alive_ms = ALIVE_MS,
    age_ms = age_ms or 60000 }
end

local function assert_refused(verdict, code, ...)
  assert.is_false(verdict.accept, "it was accepted")
  assert.equal(code, verdict.code, verdict.text)
  assert.equal(Greeting.is_fatal(code), verdict.fatal)
  assert.is_true(#verdict.text <= 255, "too long for a refusal")
  for _, word in ipairs({ ... }) do
    assert.truthy(verdict.text:find(word, 1, true),
      ("%q does not say %q"):format(verdict.text, word))
  end
end

describe("greeting", function()
  describe("judge", function()
    it("accepts an unformed node with the same plan", function()
      local verdict = greeting_of():judge(hello_of(), false)
      assert.is_true(verdict.accept)
      assert.is_false(verdict.adopt)
    end)

    it("accepts a member of the same formed cluster", function()
      local verdict = formed():judge(member(), false)
      assert.is_true(verdict.accept)
      assert.is_false(verdict.adopt)
    end)

    it("accepts a stranger of the same formed cluster", function()
      local stranger = member({ id = "n9", incarnation = 909, known = 0 })
      assert.is_true(formed():judge(stranger, false).accept)
    end)

    it("accepts a member that has not heard of the forming", function()
      assert.is_true(formed():judge(hello_of(), false).accept)
    end)

    it("has an unformed node adopt the identity when it is known", function()
      local verdict = greeting_of():judge(member(), false)
      assert.is_true(verdict.accept)
      assert.equal(IDENTITY, verdict.adopt)
    end)

    it("refuses a version range without ours", function()
      for _, range in ipairs({ { 2, 3 }, { 0, 0 } }) do
        local hello = hello_of({ version_min = range[1],
          version_max = range[2] })
        assert_refused(greeting_of():judge(hello, false), "unsupported", "n2")
      end
    end)

    it("accepts a version range around ours", function()
      local hello = hello_of({ version_min = 1, version_max = 9 })
      assert.is_true(greeting_of():judge(hello, false).accept)
    end)

    it("refuses other purposes and groups", function()
      local greeting = greeting_of()
      assert_refused(greeting:judge(hello_of({ purpose = "client" }), false),
        "unsupported", "client")
      assert_refused(greeting:judge(hello_of({ group = 3 }), false),
        "unsupported", "3")
    end)

    it("accepts a snapshot's connection beside the link", function()
      local hello = member({ purpose = "snapshot" })
      local verdict = formed():judge(hello, link_of(member(), 10))
      assert.is_true(verdict.accept)
      assert.is_false(verdict.adopt)
    end)

    it("judges a snapshot's connection as it judges a link", function()
      local greeting = formed()
      local function snapshot_of(changes)
        changes.purpose = "snapshot"
        return greeting:judge(member(changes), link_of(member(), 10))
      end
      assert_refused(snapshot_of({ nonce = 99 }), "busy", "n2")
      assert_refused(snapshot_of({ nonce = 99, incarnation = 999 }),
        "duplicate_id", "n2")
      assert_refused(snapshot_of({ identity = OTHER_IDENTITY }),
        "cluster_mismatch", "n2")
      assert.is_true(snapshot_of({ starts = 7 }).accept)
      assert_refused(snapshot_of({ starts = 6 }), "rolled_back", "n2")
    end)

    it("puts a snapshot's connection off until both are formed", function()
      local unformed = hello_of({ purpose = "snapshot" })
      assert_refused(formed():judge(unformed, false), "busy", "formed")
      local hello = member({ purpose = "snapshot" })
      local greeting = greeting_of()
      assert_refused(greeting:judge(hello, false), "busy", "formed")
      assert_refused(greeting:judge(unformed, false), "busy", "formed")
      assert.is_true(greeting:judge(member(), false).accept)
    end)

    it("refuses another cluster's name and says both", function()
      assert_refused(greeting_of():judge(hello_of({ cluster = "bank" }), false),
        "cluster_mismatch", "bank", "shop", "n1", "n2")
    end)

    it("refuses another identity and says both", function()
      local alien = member({ identity = OTHER_IDENTITY })
      assert_refused(formed():judge(alien, false), "cluster_mismatch",
        "4949", "4a4a")
    end)

    it("refuses another members table while both are unformed", function()
      assert_refused(greeting_of():judge(hello_of({ plan = 8 }), false),
        "cluster_mismatch", "members tables", "n1", "n2")
    end)

    it("does not compare plans once formed", function()
      assert.is_true(formed():judge(member({ plan = 8 }), false).accept)
    end)

    it("refuses a greeting for somebody else", function()
      assert_refused(greeting_of():judge(hello_of({ to = "n3" }), false),
        "cluster_mismatch", "n1", "n3")
    end)

    it("refuses its own id", function()
      assert_refused(greeting_of():judge(hello_of({ id = "n1" }), false),
        "duplicate_id", "n1")
    end)
  end)

  describe("judge of directories", function()
    it("refuses a directory that the configuration does not have", function()
      assert_refused(formed():judge(member({ incarnation = 999 }), false),
        "rolled_back", "remove n2", "add it again", "empty directory")
    end)

    -- Found by the swarm: one that was removed stopped whom the others had
    -- added again since. Added again itself, it would hear of nothing else from
    -- nobody else, when that one leads.
    -- Found by the swarm: one member whose log had lost its end stopped all
    -- who had been added anew since.
    it("stops nobody who knows a newer configuration", function()
      local of_another = { incarnation = 999, config_index = 6 }
      assert.is_true(formed():judge(member(of_another)).accept)
      of_another.config_index = 5
      assert_refused(formed():judge(member(of_another)), "rolled_back",
        "remove n2")
      of_another.config_index, of_another.formed = 6, false
      assert_refused(formed():judge(member(of_another)), "rolled_back",
        "remove n2")
    end)

    it("says which configuration it knows", function()
      assert.equal(5, formed():hello("n2", "10.0.0.1:7101").config_index)
    end)

    it("stops nobody for another directory, once it is removed", function()
      local removed = formed { expected = function(id)
        return id == "n2" and THEIRS or nil
      end }
      assert.is_true(removed:judge(member({ incarnation = 999 }), false).accept)
      assert_refused(removed:judge(hello_of({ incarnation = 999 }), false),
        "busy", "n1", "is no member")
    end)

    it("refuses a wiped directory at a formed cluster", function()
      assert_refused(formed():judge(hello_of({ incarnation = 999 }), false),
        "rolled_back", "remove n2")
    end)

    it("refuses an unformed node that is no member", function()
      assert_refused(formed():judge(hello_of({ id = "n9" }), false),
        "cluster_mismatch", "n9", "add it")
    end)

    it("calls a second directory of a living id a duplicate", function()
      local greeting, old = formed(), member()
      local second = member({ incarnation = 999, nonce = 33 })
      assert_refused(greeting:judge(second, link_of(old, 10)), "duplicate_id",
        "10.0.0.2:7101")
    end)

    it("takes the fault for its own new directory", function()
      local verdict = greeting_of():judge(member({ known = 555 }), false)
      assert_refused(verdict, "cluster_mismatch")
      assert.equal("rolled_back", verdict.fault.code)
      assert.truthy(verdict.fault.text:find("remove n1", 1, true))
    end)

    it("is not at fault when it is no member yet", function()
      local verdict = greeting_of():judge(member({ known = 0 }), false)
      assert_refused(verdict, "busy", "n1")
      assert.is_false(verdict.fault)
    end)

    it("refuses an older start of a directory it has seen", function()
      local greeting = formed()
      assert.is_true(greeting:judge(member({ starts = 5 }), false).accept)
      assert_refused(greeting:judge(member({ starts = 4, nonce = 33 }), false),
        "rolled_back", "old copy", "4", "5", "remove n2")
    end)

    it("refuses the same start with another nonce", function()
      local greeting = formed()
      assert.is_true(greeting:judge(member({ starts = 5 }), false).accept)
      assert_refused(greeting:judge(member({ starts = 5, nonce = 33 }), false),
        "duplicate_id", "copied")
    end)

    -- A supervisor starts it again and again: each time the counter is higher.
    it("refuses all later starts of it, too, but not the first", function()
      local greeting = formed()
      local first = member({ starts = 5 })
      assert.is_true(greeting:judge(first, false).accept)
      for starts = 3, 5 do
        assert.is_false(greeting:judge(member({ starts = starts, nonce = 33 }),
          false).accept)
      end
      assert.is_true(greeting:judge(first, false).accept)
      assert_refused(greeting:judge(member({ starts = 6, nonce = 34 }), false),
        "duplicate_id", "copied", "remove n2")
    end)

    it("accepts a later start, and remembers it", function()
      local greeting = formed()
      greeting:judge(member({ starts = 5 }), false)
      local later = member({ starts = 6, nonce = 33 })
      assert.is_true(greeting:judge(later, false).accept)
      assert_refused(greeting:judge(member({ starts = 5 }), false),
        "rolled_back")
    end)

    it("does not remember what it refused", function()
      local greeting = formed()
      greeting:judge(member({ starts = 9, cluster = "bank" }), false)
      assert.is_true(greeting:judge(member({ starts = 5 }), false).accept)
    end)

    it("compares start counters as unsigned numbers", function()
      local greeting = formed()
      greeting:judge(member({ starts = math.maxinteger }), false)
      local later = member({ starts = math.mininteger, nonce = 33 })
      assert.is_true(greeting:judge(later, false).accept)
    end)

    it("remembers a bounded number of strangers", function()
      local greeting = formed()
      for i = 1, 1024 do
        greeting:judge(member({ id = "x" .. i, starts = 5 }), false)
      end
      local late = member({ id = "late", starts = 5 })
      assert.is_true(greeting:judge(late, false).accept)
      late.starts = 4
      assert.is_true(greeting:judge(late, false).accept)
      greeting:judge(member({ starts = 5 }), false)
      assert_refused(greeting:judge(member({ starts = 4, nonce = 33 }), false),
        "rolled_back")
    end)
  end)

  describe("judge of a living id", function()
    local old, new = member({ starts = 5 }), member({ starts = 6, nonce = 33 })

    it("accepts a second link of the same process", function()
      assert.is_true(formed():judge(old, link_of(old, 0)).accept)
    end)

    it("accepts a restart once the old link is silent", function()
      assert.is_true(formed():judge(new, link_of(old, ALIVE_MS)).accept)
    end)

    it("asks to try again while the old link was heard just now", function()
      assert_refused(formed():judge(new, link_of(old, ALIVE_MS - 1)), "busy",
        "try again")
    end)

    it("refuses for good when the old link speaks on", function()
      local greeting = formed()
      assert_refused(greeting:judge(new, link_of(old, 0, 10000)), "busy")
      assert_refused(greeting:judge(new, link_of(old, 0, 12000)), "busy")
      assert_refused(greeting:judge(new, link_of(old, 0, 12001)),
        "duplicate_id", "alive", "10.0.0.2:7101")
    end)

    it("counts what the old link said, not how long it takes", function()
      local greeting = formed()
      assert_refused(greeting:judge(new, link_of(old, 100, 10000)), "busy")
      assert_refused(greeting:judge(new, link_of(old, 1900, 11800)), "busy")
      assert.is_true(greeting:judge(new, link_of(old, 2100, 12000)).accept)
    end)

    it("begins anew for another newcomer", function()
      local greeting = formed()
      greeting:judge(new, link_of(old, 0, 10000))
      local third = member({ starts = 7, nonce = 44 })
      assert_refused(greeting:judge(third, link_of(old, 0, 20000)), "busy")
    end)

    it("begins anew when the living link is another process's", function()
      local greeting = formed()
      greeting:judge(new, link_of(old, 0, 10000))
      local other = member({ nonce = 55 })
      assert_refused(greeting:judge(new, link_of(other, 0, 20000)), "busy")
    end)

    it("begins anew once the newcomer was let in", function()
      local greeting = formed()
      greeting:judge(new, link_of(old, 0, 10000))
      assert.is_true(greeting:judge(new, link_of(old, 2100, 12000)).accept)
      assert_refused(greeting:judge(new, link_of(old, 0, 20000)), "busy")
    end)

    it("sends back a member while a wrong directory holds its id", function()
      local wrong = member({ incarnation = 777, nonce = 66 })
      assert_refused(formed():judge(member({ incarnation = 999, nonce = 33 }),
        link_of(wrong, 10)), "rolled_back")
    end)

    it("holds for unformed nodes, too", function()
      local first, second = hello_of(), hello_of({ incarnation = 999,
        nonce = 33 })
      assert_refused(greeting_of():judge(second, link_of(first, 0)), "busy")
    end)
  end)

  describe("formation", function()
    it("says who is missing, sorted", function()
      local found, missing = greeting_of():formation()
      assert.is_nil(found)
      assert.same({ "n2", "n3" }, missing)
    end)

    it("is the incarnations of all voters once all were met", function()
      local greeting = greeting_of()
      greeting:judge(hello_of(), false)
      assert.is_nil((greeting:formation()))
      greeting:judge(hello_of({ id = "n3", incarnation = 103, nonce = 44 }),
        false)
      assert.same({ n1 = OURS, n2 = THEIRS, n3 = 103 }, greeting:formation())
    end)

    it("needs nobody else for one voter", function()
      local greeting = greeting_of({ voters = { "n1" } })
      assert.same({ n1 = OURS }, greeting:formation())
    end)

    it("does not count nodes with another plan", function()
      local greeting = greeting_of({ voters = { "n1", "n2" } })
      greeting:judge(hello_of({ plan = 8 }), false)
      assert.is_nil((greeting:formation()))
    end)

    it("does not count nodes that have formed", function()
      local greeting = greeting_of({ voters = { "n1", "n2" } })
      assert.is_true(greeting:judge(member(), false).accept)
      assert.is_nil((greeting:formation()))
    end)

    it("takes the newest directory of a node", function()
      local greeting = greeting_of({ voters = { "n1", "n2" } })
      greeting:judge(hello_of(), false)
      greeting:judge(hello_of({ incarnation = 999, nonce = 33 }), false)
      assert.same({ n1 = OURS, n2 = 999 }, greeting:formation())
    end)

    it("counts only nodes with which a link is up", function()
      local greeting = greeting_of({ voters = { "n1", "n2" } })
      greeting:judge(hello_of(), false)
      greeting:left("n2")
      assert.is_nil((greeting:formation()))
      greeting:joined(hello_of())
      assert.same({ n1 = OURS, n2 = THEIRS }, greeting:formation())
    end)

    it("is agreed on once all have promised the same", function()
      local greeting = greeting_of()
      local second = { id = "n3", incarnation = 103, nonce = 44 }
      greeting:judge(hello_of(), false)
      greeting:judge(hello_of(second), false)
      assert.is_false(greeting:is_agreed())
      greeting:promise_to(IDENTITY)
      assert.is_false(greeting:is_agreed())
      greeting:judge(hello_of({ identity = IDENTITY }), false)
      assert.is_false(greeting:is_agreed())
      second.identity = IDENTITY
      greeting:judge(hello_of(second), false)
      assert.is_true(greeting:is_agreed())
    end)

    it("never follows another promise than its own", function()
      local greeting = greeting_of({ promise = IDENTITY })
      assert_refused(greeting:judge(hello_of({ identity = OTHER_IDENTITY }),
        false), "cluster_mismatch", "different directories")
      assert_refused(greeting:judge(member({ identity = OTHER_IDENTITY }),
        false), "cluster_mismatch", "different directories")
      assert.equal(IDENTITY, greeting:judge(member(), false).adopt)
    end)

    it("is over once formed", function()
      local greeting = greeting_of({ voters = { "n1" } })
      greeting:form(IDENTITY)
      assert.is_nil((greeting:formation()))
    end)
  end)

  describe("hello", function()
    it("tells what we are, unformed", function()
      local hello = greeting_of():hello("n2", "10.0.0.1:7101")
      assert.is_false(hello.formed)
      assert.is_nil(hello.identity)
      assert.equal(0, hello.known)
      assert.equal(OURS, hello.incarnation)
      assert.equal("10.0.0.1:7101", hello.address)
    end)

    it("tells identity and known incarnation, formed", function()
      local greeting = formed({ identity = false })
      greeting:form(IDENTITY)
      local hello = greeting:hello("n2", "10.0.0.1:7101")
      assert.is_true(hello.formed)
      assert.equal(IDENTITY, hello.identity)
      assert.equal(THEIRS, hello.known)
      assert.equal(0, greeting:hello("n9", "10.0.0.1:7101").known)
    end)

    -- Found by the swarm: a node that was new, and had been added, stopped.
    it("knows nobody's directory once it is removed itself", function()
      local removed = formed { expected = function(id)
        return id == "n2" and THEIRS or nil
      end }
      assert.equal(0, removed:hello("n2", "10.0.0.1:7101").known)
    end)

    it("is accepted by a twin", function()
      local n2 = formed({ id = "n2", incarnation = THEIRS, nonce = 22 })
      local hello = n2:hello("n1", "10.0.0.2:7101")
      hello.to = "n1"
      assert.is_true(formed():judge(hello, false).accept)
    end)
  end)

  it("knows which codes stop a node", function()
    for code, is_fatal in pairs({ rolled_back = true, duplicate_id = true,
      cluster_mismatch = false, unsupported = false, busy = false }) do
      assert.equal(is_fatal, Greeting.is_fatal(code), code)
    end
  end)

  -- A member that was added and whose directory nobody knows yet: known = ANY.
  describe("a member that was added", function()
    local ANY <const> = Greeting.ANY

    local function adding(id)
      return formed { expected = function(name)
        if name == id then return ANY end
        return name == "n1" and OURS or nil
      end }
    end

    it("is told that any directory will do", function()
      assert.equal(ANY, adding("n4"):hello("n4", "h:1").known)
      assert.equal(0, adding("n4"):hello("n5", "h:1").known)
    end)

    it("comes in with whatever directory it has", function()
      local verdict = adding("n2"):judge(hello_of { plan = 0 }, false)
      assert.is_true(verdict.accept)
      verdict = adding("n2"):judge(member { incarnation = 12345 }, false)
      assert.is_true(verdict.accept)
    end)

    it("adopts the cluster that has added it, and no other", function()
      local joiner = greeting_of { plan = 0, voters = {} }
      local verdict = joiner:judge(member { known = ANY }, false)
      assert.is_true(verdict.accept)
      assert.equal(IDENTITY, verdict.adopt)
      assert_refused(joiner:judge(member { known = 0 }, false), "busy")
      joiner:promise_to(OTHER_IDENTITY)
      assert_refused(joiner:judge(member { known = ANY }, false),
        "cluster_mismatch")
    end)

    it("forms nothing of its own", function()
      local joiner = greeting_of { plan = 0, voters = {} }
      assert.is_nil((joiner:formation()))
      assert_refused(joiner:judge(hello_of(), false), "busy",
        "waits to be added")
      assert_refused(greeting_of():judge(hello_of { plan = 0 }, false), "busy")
    end)

    -- Fault O6: who was there before with another directory is not added so.
    it("is refused while the configuration counts another directory", function()
      assert_refused(formed():judge(hello_of { plan = 0, incarnation = 9 },
        false), "rolled_back", "remove n2 from the cluster")
    end)
  end)

  describe("judge_knock", function()
    local function knock(changes)
      local hello = hello_of { purpose = "join", id = "n4", to = "", plan = 0,
        incarnation = 104 }
      for name, value in pairs(changes or {}) do hello[name] = value end
      return hello
    end

    local function judged(greeting, hello)
      local verdict, is_welcome = greeting:judge_knock(hello)
      assert.is_false(verdict.accept)
      return verdict, is_welcome
    end

    it("has a stranger added, and asks it to wait", function()
      local verdict, is_welcome = judged(formed(), knock())
      assert.is_true(is_welcome)
      assert_refused(verdict, "busy", "n4 is being added to cluster shop")
    end)

    local refused = {
      { "of another cluster", formed(), { cluster = "other" },
        "cluster_mismatch" },
      { "of another version", formed(), { version_min = 2, version_max = 2 },
        "unsupported" },
      { "with our id", formed(), { id = "n1" }, "duplicate_id" },
      { "that is a member", formed(), { id = "n2", incarnation = THEIRS },
        "busy" },
      { "that is a member with another directory", formed(), { id = "n2",
        incarnation = 9 }, "rolled_back" },
      { "without an address", formed(), { address = "" }, "bad_membership" },
      { "before the cluster has formed", greeting_of(), {}, "busy" },
      { "when we are no member", formed { expected = function() end }, {},
        "busy" },
    }
    for _, case in ipairs(refused) do
      it("adds none " .. case[1], function()
        local verdict, is_welcome = judged(case[2], knock(case[3]))
        assert.is_false(is_welcome)
        assert_refused(verdict, case[4])
      end)
    end
  end)
end)
