local argued = require "tools.mutate.argued"
local changes = require "tools.mutate.changes"
local operators = require "tools.mutate.operators"
local tokens = require "tools.mutate.tokens"
local tree = require "tools.tree"

local ARGUED <const> = "spec/mutation/survivors.txt"

-- A function around one line.
local function wrap(line)
  return "static int f(int a, int b) {\n  " .. line .. "\n}\n"
end

-- What a line may become, as a sorted list.
local function mutants_of(line)
  local list = {}
  for _, mutant in ipairs(operators.mutants(wrap(line))) do
    list[#list + 1] = mutant.after
  end
  table.sort(list)
  return list
end

local function has(line, after)
  for _, mutant in ipairs(mutants_of(line)) do
    if mutant == after then return true end
  end
  return false
end

describe("tools.mutate.operators #house", function()
  local cases = {
    { "a = b < 3;", "a = b <= 3;" },
    { "a = b < 3;", "a = b >= 3;" },
    { "a = b == 3;", "a = b != 3;" },
    { "if (a && b) g();", "if (a || b) g();" },
    { "if (a && b) g();", "if (!(a && b)) g();" },
    { "if (a && b) g();", "if (a && b) ;" },
    { "while (a) g();", "while (!(a)) g();" },
    { "a = b + 7;", "a = b - 7;" },
    { "a = b + 7;", "a = b + 8;" },
    { "a = b + 7;", "a = b + 6;" },
    { "a = b + 7;", ";" },
    { "a->b[7].c = 0x10u;", "a->b[7].c = 17u;" },
    { "a |= b << 1;", "a &= b << 1;" },
    { "a |= b << 1;", "a |= b >> 1;" },
    { "a = b & 8;", "a = b | 8;" },
    { "for (a = 0; a < b; a++) g(a);", "for (a = 0; a < b; a--) g(a);" },
    { "for (a = 0; a < b; a++) g(a);", "for (a = 0; a < b; a++) ;" },
    { "for (;;) break;", "for (;;) ;" },
    { "(void)g(a);", ";" },
    { "return g(a);", "return !(g(a));" },
    { "return g(a);", "return 0;" },
    { "return true;", "return false;" },
  }
  for _, case in ipairs(cases) do
    it(("makes %s of %s"):format(case[2], case[1]), function()
      assert.is_true(has(case[1], case[2]), case[1])
    end)
  end

  local whole = {
    "assert(a < 3);",
    "_Static_assert(A < 3, \"a\");",
    "/* a < 3 */",
    "const char *s = \"a < 3\";",
    "struct raft *r;",
    "goto fail;",
  }
  for _, line in ipairs(whole) do
    it("leaves alone: " .. line, function()
      assert.are.same({}, mutants_of(line))
    end)
  end

  it("does not take a sign or a pointer for a sum or a product", function()
    assert.is_false(has("a = -b;", "a = +b;"))
    assert.is_false(has("a = (*b);", "a = (/b);"))
    assert.is_false(has("g(&a);", "g(|a);"))
  end)

  it("touches nothing outside of functions", function()
    assert.are.same({}, operators.mutants("enum { A = 3 };\n#define B 1\n"
      .. "static const int c[] = {1, 2};\nint f(int a);\n"))
  end)

  it("keeps the lines where they are", function()
    local text = wrap("g(a,\n    b);\n  a = 1;")
    local _, want = text:gsub("\n", "")
    for _, mutant in ipairs(operators.mutants(text)) do
      local _, got = mutant.text:gsub("\n", "")
      assert.are.equal(want, got)
      assert.are_not.equal(text, mutant.text)
    end
  end)

  it("says where and what, by function and line", function()
    local mutant = operators.mutants(wrap("a = b;"))[1]
    assert.are.same({ "f", 2, "a = b;", ";" },
      { mutant.fn, mutant.line, mutant.before, mutant.after })
  end)

  it("changes only the functions that are wanted", function()
    local text = wrap("a = b;") .. wrap("a = b;"):gsub("f%(", "g(")
    local found = operators.mutants(text, function(fn)
      return fn.name == "g"
    end)
    assert.are.equal(1, #found)
    assert.are.equal("g", found[1].fn)
  end)
end)

describe("tools.mutate.changes #house", function()
  it("reads the new line ranges of a diff", function()
    assert.are.same({
      { first = 5, last = 5 }, { first = 9, last = 11 },
      { first = 20, last = 20 },
    }, changes.parse("\n@@ -5 +5 @@ f\n@@ -8,0 +9,3 @@\n@@ -20,2 +20,0 @@\n"))
  end)
end)

describe("tools.mutate.argued #house", function()
  local entry = "csrc/a.c f\n- a;\n+ ;\n  It is\n  so.\n"

  it("finds an argument by file, function and line", function()
    local list = argued.parse("# x\n\n" .. entry, "x")
    local mutant = { fn = "f", before = "a;", after = ";" }
    assert.are.equal("It is\nso.\n",
      argued.find(list, "csrc/a.c", mutant).why)
    assert.is_nil(argued.find(list, "csrc/b.c", mutant))
    mutant.after = "b;"
    assert.is_nil(argued.find(list, "csrc/a.c", mutant))
  end)

  local bad = {
    ["no argument"] = "csrc/a.c f\n- a;\n+ ;\n",
    ["is missing"] = "csrc/a.c f\n- a;\n" .. entry,
    ["what is this"] = entry .. "and so on\n",
    ["of which function"] = "- a;\n",
  }
  for words, text in pairs(bad) do
    it("complains: " .. words, function()
      assert.error_matches(function() argued.parse(text, "x") end, words)
    end)
  end

  it("is about mutants that there are, each once", function()
    local seen = {}
    for _, one in ipairs(argued.read(ARGUED)) do
      local found = false
      for _, mutant in ipairs(operators.mutants(tree.read(".", one.path))) do
        found = found or mutant.fn == one.fn and mutant.before == one.before
          and mutant.after == one.after
      end
      assert.is_true(found, one.where .. ": there is no such mutant")
      local key = one.path .. one.fn .. one.before .. one.after
      assert.is_nil(seen[key], one.where .. ": a second time")
      seen[key] = true
    end
  end)
end)

describe("tools.mutate.tokens #house", function()
  it("knows every function of the core that tidy knows", function()
    local scan = require "tools.scan"
    for _, path in ipairs(tree.list(".", "csrc", "%.c$")) do
      local text = tree.read(".", path)
      local functions = tokens.functions(text)
      assert.are.equal(#scan.c_functions(text), #functions)
      for _, fn in ipairs(functions) do
        assert.is_true(#fn.tokens > 0, path .. " " .. fn.name)
      end
    end
  end)
end)
