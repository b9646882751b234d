local scan = require "tools.scan"
local tidy = require "tools.tidy"

local root

local function write(path, text)
  local full = root .. "/" .. path
  os.execute("mkdir -p '" .. full:match("^(.*)/") .. "'")
  local file = assert(io.open(full, "wb"))
  file:write(text)
  file:close()
end

local function complaints()
  return table.concat((tidy.check(root)), "\n")
end

local function c_function(lines, asserts)
  return "int f(void) {\n" .. ("  assert(x);\n"):rep(asserts)
    .. ("  x();\n"):rep(lines - asserts - 2) .. "}\n"
end

describe("tools.tidy #house", function()
  before_each(function()
    root = os.tmpname()
    os.remove(root)
    write("csrc/log.c", c_function(70, 2))
  end)

  after_each(function()
    os.execute("rm -rf '" .. root .. "'")
  end)

  it("is content with a file at the limits", function()
    write("lua/a.lua", ("-- " .. ("x"):rep(77) .. "\n"):rep(300))
    assert.are.equal("", complaints())
  end)

  local cases = {
    { "a C function of 71 lines", "csrc/raft.c", c_function(71, 2),
      "raft.c:1: f has 71 lines, 70 at most" },
    { "a Lua function of 51 lines", "lua/a.lua",
      "local function g()\n" .. ("  x()\n"):rep(49) .. "end\n",
      "a.lua:1: g has 51 lines, 50 at most" },
    { "a Lua file of 301 lines", "lua/a.lua", ("x()\n"):rep(301),
      "301 lines, 300 at most" },
    { "a line of 81 columns", "lua/a.lua",
      "-- " .. ("é"):rep(78) .. "\n", "a.lua:1: 81 columns" },
    { "a tab", "lua/a.lua", "\tx()\n", "a tab" },
    { "blanks at the end of a line", "lua/a.lua", "x() \n", "blanks" },
    { "a last line without its end", "lua/a.lua", "x()", "no line end" },
    { "a note of work left without an issue", "csrc/raft.c",
      "/* TO" .. "DO: later */\n", "without an issue number" },
    { "too few asserts", "csrc/raft.c", c_function(10, 0),
      "1.00 asserts per core function" },
  }
  for _, case in ipairs(cases) do
    local name, path, text, complaint = table.unpack(case)
    it("complains of " .. name, function()
      write(path, text)
      assert.matches(complaint, complaints(), 1, true)
    end)
  end

  it("accepts a note that names its issue", function()
    write("lua/a.lua", "-- TO" .. "DO(#12): later\n")
    assert.are.equal("", complaints())
  end)

  it("does not count asserts in comments", function()
    write("csrc/log.c", "int f(void) {\n  /* assert(x) assert(y) */\n}\n")
    assert.matches("0.00 asserts", complaints(), 1, true)
  end)
end)

describe("tools.scan #house", function()
  it("finds where Lua functions end, whatever strings say", function()
    local found = scan.lua_functions(table.concat({
      "local function a()",
      "  local s = 'end' .. [[ function ]]  -- end",
      "  repeat if s then s = nil end until s",
      "  while true do for _ in x do end end",
      "end",
      "function M.b() return function() end end",
    }, "\n"))
    assert.are.equal(3, #found)
    assert.are.same({ "a", 1, 5 },
      { found[1].name, found[1].first, found[1].last })
    assert.are.equal(6, found[3].first)
  end)

  it("takes C definitions for functions, and nothing else", function()
    local found = scan.c_functions(table.concat({
      "struct s {",
      "  int (*f)(void);",
      "};",
      "int declared(int a);  // see /* there",
      "static const int t[] = {",
      "  1,",
      "};",
      "static int defined(int a,",
      "                   char *b) {",
      "  char c = '{';",
      "}",
    }, "\n"))
    assert.are.equal(1, #found)
    assert.are.same({ "defined", 8, 11 },
      { found[1].name, found[1].first, found[1].last })
  end)
end)
