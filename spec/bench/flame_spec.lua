-- Flame graphs: stacks as a tree, the tree as a picture, and the sampler that
-- the stacks come from.
local drawing = require "bench.flame.drawing"
local stacks = require "bench.flame.stacks"

-- A tree as lines: label, kind, samples, samples of its own.
local function lines_of(node, depth, lines)
  lines = lines or {}
  lines[#lines + 1] = ("%s%s/%s %d %d"):format((" "):rep(depth or 0),
    node.frame.label, node.frame.kind, node.samples, node.own)
  for _, child in ipairs(node.children) do
    lines_of(child, (depth or 0) + 1, lines)
  end
  return lines
end

local SAMPLED <const> = [[
?|lua5.4;go|raft/run.lua:9;run|luv.so;?|node/driver.lua:7;write|core.so 3
?|lua5.4;go|raft/run.lua:9;run|luv.so;?|node/driver.lua:7 2
?|lua5.4;go|raft/run.lua:9;run|luv.so;flush|node/driver.lua:7;pcall|lua5.4 1
?|lua5.4;go|raft/run.lua:9;run|luv.so;zap|node/driver.lua:7 0
?|lua5.4;go|raft/run.lua:9;run|luv.so;done|compare/probed.lua:3 4
?|lua5.4 1
]]

describe("the stacks of a sampler #house", function()
  it("become a tree above the loop, a function being one whatever it is called",
    function()
      assert.same({ "all/all 11 0", " run/luv 10 0",
        "  flush node/driver.lua/ours 6 2", "   write/core 3 3",
        "   pcall/lua 1 1", "  done compare/probed.lua/load 4 4",
        " lua5.4/lua 1 1" }, lines_of(stacks.of_sampler(SAMPLED)))
    end)

  it("name a function that nobody calls by name by its place", function()
    assert.same({ "all/all 2 0", " node/driver.lua:7/ours 2 2" },
      lines_of(stacks.of_sampler("?|node/driver.lua:7 2\n")))
  end)
end)

local PERF <const> = [[
lua5.4 17
     ffff10 tcp_write_xmit+0x1f0 ([kernel.kallsyms])
     ffff11 do_syscall_64+0x1 ([kernel.kallsyms])
       9770 __GI___libc_write (inlined)
       9771 write (/usr/lib/libc.so.6)
       9772 [unknown] (/usr/lib/libuv.so.1.0.0)
       dfbd [unknown] (/usr/bin/lua5.4)
       d2ba lua_pcallk (/usr/bin/lua5.4)
       d2bb luv_cfpcall (/usr/lib/liblua5.4-luv.so.0.0.0)
       f9c0 uv_run (/usr/lib/libuv.so.1.0.0)
       1bb4 [unknown] (/usr/bin/lua5.4)

lua5.4 17
      3919b wal_batch (/a b/raft/core.so)
       dfbd [unknown] (/usr/bin/lua5.4)
       dfbe lua_pcallk (/usr/bin/lua5.4)
       dfbf [unknown] (/usr/bin/lua5.4)
       f9c0 uv_run (/usr/lib/libuv.so.1.0.0)
       ffff [unknown] ([unknown])
]]

describe("the stacks of perf #house", function()
  it("become a tree: the interpreter once, its doors by name, no gates",
    function()
      assert.same({ "all/all 2 0", " uv_run/luv 2 0", "  luv_cfpcall/luv 1 0",
        "   lua_pcallk/lua 1 0", "    interpreter/lua 1 0",
        "     libuv/luv 1 0", "      write/libc 1 0",
        "       tcp_write_xmit/kernel 1 1", "  interpreter/lua 1 0",
        "   wal_batch/core 1 1" }, lines_of(stacks.of_perf(PERF)))
    end)

  it("end some way into the kernel", function()
    local lines = { "lua5.4 17" }
    for i = 1, 20 do
      lines[i + 1] = (" ffff%02d f%02d ([kernel.kallsyms])"):format(i, 21 - i)
    end
    lines[#lines + 1] = " 12 write (/usr/lib/libc.so.6)\n"
    local found = lines_of(stacks.of_perf(table.concat(lines, "\n")))
    assert.equal(" write/libc 1 0", found[2])
    assert.equal(2 + 8, #found)
    assert.equal("         f08/kernel 1 1", found[#found])
  end)

  it("are none in an empty text", function()
    assert.equal(0, stacks.of_perf("").samples)
  end)
end)

-- A tree of { key, samples } paths.
local function tree_of(paths)
  local tree = stacks.new()
  for _, path in ipairs(paths) do
    local frames = {}
    for key in path[1]:gmatch("[^;]+") do
      frames[#frames + 1] = { key = key, label = key, title = key,
        kind = "ours" }
    end
    stacks.add(tree, frames, path[2])
  end
  return tree
end

describe("the drawing of a flame graph #house", function()
  local function boxes_of(svg)
    local boxes = {}
    for title, x, y, width in svg:gmatch('<title>([^:]+):[^<]*</title>'
      .. '<rect class="%a+" x="([%d.]+)" y="(%d+)" width="([%d.]+)"') do
      boxes[title] = { tonumber(x), tonumber(y), tonumber(width) }
    end
    return boxes
  end

  it("has boxes as wide as their share, the wider one first", function()
    local svg = drawing.draw(tree_of { { "a", 25 }, { "b;c", 75 } }, "t", "s")
    local boxes = boxes_of(svg)
    assert.equal(1180 - 0.4, boxes.all[3])
    assert.equal(10, boxes.b[1])
    assert.equal(1180 * 0.75 - 0.4, boxes.b[3])
    assert.equal(10 + 1180 * 0.75, boxes.a[1])
    -- Who is called lies above.
    assert.is_true(boxes.c[2] < boxes.b[2])
    assert.equal(boxes.a[2], boxes.b[2])
    assert.is_true(boxes.b[2] < boxes.all[2])
    assert.matches("<title>b: 75.00 %% %(75 samples%), 0.00 %% itself</title>",
      svg)
  end)

  it("leaves out what could not be seen, and is no higher for it", function()
    local wide = drawing.draw(tree_of { { "a", 99999 } }, "t", "s")
    local both = drawing.draw(tree_of { { "a", 99998 }, { "b;c;d", 1 } }, "t",
      "s")
    assert.is_nil(boxes_of(both).b)
    assert.equal(wide:match("viewBox=%b\"\""), both:match("viewBox=%b\"\""))
  end)

  it("cuts labels, and escapes", function()
    local long = ("x"):rep(500)
    local svg = drawing.draw(tree_of { { "a<b", 1 }, { long, 1 } }, "t&t", "s")
    assert.matches(">a&lt;b</text>", svg, 1, true)
    assert.matches("t&amp;t", svg, 1, true)
    assert.is_nil(svg:find(">" .. long .. "</text>", 1, true))
    assert.matches(">x+%.%.</text>", svg)
    assert.matches("</svg>\n$", svg)
  end)

  it("is the same for the same samples, and nothing of nothing", function()
    assert.equal(drawing.draw(tree_of { { "a", 1 }, { "b", 1 } }, "t", "s"),
      drawing.draw(tree_of { { "b", 1 }, { "a", 1 } }, "t", "s"))
    assert.is_nil(drawing.draw(stacks.new(), "t", "s"))
  end)
end)

describe("the sampler #house", function()
  if not io.open("/proc/self/stat") then return pending("Linux only") end

  -- What a chunk in another Lua prints.
  local function output_of(chunk)
    assert(os.execute("make -s build/bench/sampler.so"))
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write('package.cpath = "build/bench/?.so;" .. package.cpath\n'
      .. 'local sampler = require "sampler"\n', chunk)
    file:close()
    local pipe = assert(io.popen(("%s %s 2>&1"):format(os.getenv("LUA")
      or "lua5.4", path)))
    local text = pipe:read("a")
    pipe:close()
    os.remove(path)
    return text
  end

  it("sees who has the processor, in Lua and in C", function()
    local text = output_of [[
      local long = ("x"):rep(100000)
      local function busy_in_lua()
        local n = 0
        for i = 1, 1e5 do n = n + i end
      end
      local function busy_in_c()
        for _ = 1, 20 do long:reverse() end
      end
      sampler.start(1000)
      local began, samples = os.clock(), {}
      while os.clock() - began < 0.5 do busy_in_lua() end
      while os.clock() - began < 1 do busy_in_c() end
      for stack, n in pairs(sampler.stop()) do
        local top = stack:match("([^;|]+)|[^;]*$")
        samples[top] = (samples[top] or 0) + n
      end
      for top, n in pairs(samples) do print(top, n) end
    ]]
    local samples = {}
    for top, n in text:gmatch("(%S+)\t(%d+)\n") do
      samples[top] = tonumber(n)
    end
    -- Ten of each at the least: the kernel looks a hundred times a second.
    assert.is_true((samples.busy_in_lua or 0) > 10, text)
    assert.is_true((samples.reverse or 0) > 10, text)
  end)

  it("refuses what makes no sense", function()
    assert.matches("it does not sample", output_of "sampler.stop()")
    assert.matches("out of range", output_of "sampler.start(0)")
    assert.matches("it samples already",
      output_of "sampler.start(1000) sampler.start(1000)")
  end)
end)
