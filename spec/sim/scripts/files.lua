--- What uv.fs_* do, told in lines: see loop.lua. Paths are said without the
-- directory that each script has for itself.
local scripts = {}

local O600 <const> = tonumber("600", 8)
local O700 <const> = tonumber("700", 8)

-- A directory for one script; `say` that leaves it out; `try` that says what a
-- call answers or raises.
local function prepared(uv, say)
  local dir = assert(uv.fs_mkdtemp("/tmp/raft-spec-XXXXXX"))
  local function plain(...)
    local out = table.pack(...)
    for i = 1, out.n do
      local value = out[i]
      if type(value) == "string" then
        out[i] = value:gsub(dir:gsub("%p", "%%%0"), "DIR"):gsub("[\n\t]", " ")
      elseif type(value) == "userdata" or type(value) == "table" then
        out[i] = "object"
      end
    end
    return table.unpack(out, 1, out.n)
  end
  local function tell(...) say(plain(...)) end
  local function try(name, ...)
    tell(name, pcall(uv["fs_" .. name], ...))
  end
  return dir, tell, try
end

-- Removes the directory and what is in it.
local function clear(uv, dir)
  local scan = assert(uv.fs_scandir(dir))
  for name, kind in uv.fs_scandir_next, scan do
    local path = dir .. "/" .. name
    if kind == "directory" then
      clear(uv, path)
    else
      assert(uv.fs_unlink(path))
    end
  end
  assert(uv.fs_rmdir(dir))
end

-- Declares a script over a directory of its own.
local function script(name, fn)
  scripts[name] = function(uv, say)
    local dir, tell, try = prepared(uv, say)
    fn(uv, dir, tell, try)
    uv.run()
    clear(uv, dir)
  end
end

-------------------------------------------------------------------- contents --

script("write_and_read", function(uv, dir, tell, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  tell("integer", math.type(fd))
  try("write", fd, "hello", 0)
  try("write", fd, { "ab", "cd" }, 2)
  try("write", fd, "", 2)
  try("write", fd, 12, 5)
  try("read", fd, 100, 0)
  try("read", fd, 3, 2)
  try("read", fd, 3, 1000)
  try("read", fd, 0, 0)
  try("fsync", fd)
  try("fdatasync", fd)
  try("close", fd)
  try("close", fd)
end)

script("positions", function(uv, dir, _, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  try("write", fd, "abc")
  try("write", fd, "def", -1)
  try("write", fd, "X", 1)
  try("read", fd, 9)
  try("read", fd, 2, -1)
  try("read", fd, 9, 0)
  try("write", fd, "ghi", nil)
  try("read", fd, 9, 0)
  try("close", fd)
  fd = assert(uv.fs_open(dir .. "/f", "r+", O600))
  try("read", fd, 2)
  try("write", fd, "--")
  try("read", fd, 2, nil)
  try("close", fd)
  fd = assert(uv.fs_open(dir .. "/f", "a+", O600))
  try("write", fd, "END", 0)
  try("read", fd, 99, 0)
  try("close", fd)
end)

script("holes_and_sizes", function(uv, dir, tell, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  try("write", fd, "x", 5000)
  local bytes = assert(uv.fs_read(fd, 9000, 0))
  tell(#bytes, bytes == ("\0"):rep(5000) .. "x")
  try("ftruncate", fd, 2)
  try("ftruncate", fd, 6000)
  bytes = assert(uv.fs_read(fd, 9000, 0))
  tell(#bytes, bytes == ("\0"):rep(6000))
  try("write", fd, ("y"):rep(9000), 4000)
  tell(uv.fs_fstat(fd).size)
  try("ftruncate", fd, 4100)
  try("ftruncate", fd, 12000)
  bytes = assert(uv.fs_read(fd, 20000, 3999))
  tell(#bytes, bytes == "\0" .. ("y"):rep(100) .. ("\0"):rep(7900))
  try("ftruncate", fd, -1)
  try("close", fd)
  try("ftruncate", 999, 1)
end)

script("large_writes_across_pages", function(uv, dir, tell, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  local model = ("\0"):rep(40000)
  for i = 1, 50 do
    local at, size = i * 7919 % 30000, i * 4001 % 9000
    local piece = i % 5 == 0 and ("\0"):rep(size)
      or string.char(64 + i):rep(size)
    assert(uv.fs_write(fd, piece, at))
    model = model:sub(1, at) .. piece .. model:sub(at + size + 1)
  end
  local bytes = assert(uv.fs_read(fd, 40000, 0))
  tell(bytes == model:sub(1, #bytes), #bytes, uv.fs_fstat(fd).size)
  for i = 1, 30 do
    local at, size = i * 6007 % 30000, i * 3001 % 9000
    local piece = uv.fs_read(fd, size, at)
    if piece ~= model:sub(at + 1, math.min(at + size, #bytes)) then
      tell("differs", i)
    end
  end
  try("close", fd)
end)

script("what_a_descriptor_may_do", function(uv, dir, _, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w", O600))
  try("read", fd, 1, 0)
  try("close", fd)
  fd = assert(uv.fs_open(dir .. "/f", "r", 0))
  try("write", fd, "a", 0)
  try("ftruncate", fd, 3)
  try("close", fd)
  try("read", 999, 1, 0)
  try("write", 999, "a", 0)
  try("fsync", 999)
  try("fstat", 999)
  try("close", 999)
  fd = assert(uv.fs_open(dir, "r", 0))
  try("read", fd, 10, 0)
  try("write", fd, "a", 0)
  try("fsync", fd)
  try("close", fd)
end)

script("unlinked_files_live_while_open", function(uv, dir, tell, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  try("write", fd, "abc", 0)
  try("unlink", dir .. "/f")
  try("stat", dir .. "/f")
  try("read", fd, 9, 0)
  tell(uv.fs_fstat(fd).size)
  try("close", fd)
end)

----------------------------------------------------------------------- names --

script("open_flags", function(uv, dir, tell, try)
  local c = uv.constants
  local path = dir .. "/f"
  try("open", path, "r", O600)
  try("open", path, c.O_RDWR, O600)
  local function open(flags)
    local fd, text = uv.fs_open(path, flags, O600)
    if not fd then return tell(flags, text) end
    tell(flags, uv.fs_fstat(fd).size)
    uv.fs_write(fd, "abc", 0)
    assert(uv.fs_close(fd))
  end
  open("wx")
  open("wx")
  open(c.O_RDWR | c.O_CREAT | c.O_EXCL)
  open(c.O_RDWR | c.O_CREAT | c.O_TRUNC | c.O_DSYNC)
  open("a")
  open("r+")
  open("w")
  open(c.O_WRONLY | c.O_DSYNC)
  try("open", path, "zz", O600)
  try("open", dir, "w", O600)
  try("open", dir, c.O_RDWR, O600)
  try("open", path .. "/g", "r", O600)
  try("open", path .. "/g", "w", O600)
  try("open", dir .. "/new/", "w", O600)
  try("open", dir .. "/no/f", "w", O600)
  try("open", "", "r", O600)
  try("open", dir .. "/" .. ("x"):rep(256), "r", 0)
end)

script("constants", function(uv, _, tell)
  for _, name in ipairs { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT",
    "O_EXCL", "O_TRUNC", "O_APPEND", "O_DSYNC", "O_SYNC" } do
    tell(name, uv.constants[name])
  end
end)

script("directories", function(_, dir, _, try)
  try("mkdir", dir .. "/a", O700)
  try("mkdir", dir .. "/a", O700)
  try("mkdir", dir .. "/no/a", O700)
  try("mkdir", dir .. "/a/b", O700)
  try("mkdir", dir .. "//a/./b/../c/", O700)
  try("access", dir .. "/a/c", "r")
  try("rmdir", dir .. "/a")
  try("rmdir", dir .. "/a/b")
  try("rmdir", dir .. "/a/b")
  try("unlink", dir .. "/a")
  try("rmdir", dir .. "/a/c")
  try("rmdir", dir .. "/a")
end)

script("rename", function(uv, dir, _, try)
  local function make(name)
    assert(uv.fs_close(assert(uv.fs_open(dir .. name, "w", O600))))
  end
  make("/f")
  make("/g")
  assert(uv.fs_mkdir(dir .. "/a", O700))
  assert(uv.fs_mkdir(dir .. "/b", O700))
  try("rename", dir .. "/none", dir .. "/g")
  try("rename", dir .. "/f", dir .. "/g")
  try("rename", dir .. "/f", dir .. "/g")
  try("rename", dir .. "/g", dir .. "/g")
  try("rename", dir .. "/g", dir .. "/a")
  try("rename", dir .. "/a", dir .. "/g")
  try("rename", dir .. "/a", dir .. "/a/x")
  try("rename", dir .. "/g", dir .. "/a/g")
  try("rename", dir .. "/b", dir .. "/a")
  try("rename", dir .. "/a", dir .. "/b")
  try("stat", dir .. "/a")
  try("access", dir .. "/b/g", "r")
  try("rename", dir .. "/b/g", dir .. "/none/g")
  try("rename", dir .. "/b/g/x", dir .. "/x")
end)

script("unlink", function(uv, dir, _, try)
  assert(uv.fs_close(assert(uv.fs_open(dir .. "/f", "w", O600))))
  try("unlink", dir .. "/none")
  try("unlink", dir)
  try("unlink", dir .. "/f/x")
  try("unlink", dir .. "/f")
  try("unlink", dir .. "/f")
  try("rmdir", dir .. "/none")
end)

script("stat", function(uv, dir, tell, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w", O600))
  assert(uv.fs_write(fd, ("x"):rep(5000), 0))
  for _, stat in ipairs { uv.fs_fstat(fd), uv.fs_stat(dir .. "/f"),
    uv.fs_lstat(dir .. "/f"), uv.fs_stat(dir) } do
    local size = stat.type == "file" and stat.size or "any"
    tell(stat.type, size, stat.mode & tonumber("7777", 8),
      math.type(stat.mtime.sec), math.type(stat.ino))
  end
  tell(uv.fs_stat(dir .. "/f").ino == uv.fs_fstat(fd).ino)
  assert(uv.fs_close(fd))
  try("stat", dir .. "/none")
  try("stat", dir .. "/f/")
  try("lstat", dir .. "/none")
  try("access", dir .. "/f", "r")
  try("access", dir .. "/f", 4)
  try("access", dir .. "/none", "w")
end)

script("scandir", function(uv, dir, tell, try)
  local function list(path)
    local scan = assert(uv.fs_scandir(path))
    for name, kind in uv.fs_scandir_next, scan do tell(name, kind) end
    tell("end", select("#", uv.fs_scandir_next(scan)))
  end
  list(dir)
  for _, name in ipairs { "b", "a", "c" } do
    assert(uv.fs_close(assert(uv.fs_open(dir .. "/" .. name, "w", O600))))
  end
  assert(uv.fs_mkdir(dir .. "/ab", O700))
  list(dir)
  local scan = assert(uv.fs_scandir(dir))
  uv.fs_unlink(dir .. "/a")
  tell(uv.fs_scandir_next(scan))
  try("scandir", dir .. "/none")
  try("scandir", dir .. "/b")
end)

script("mkdtemp", function(uv, dir, tell, try)
  local path = assert(uv.fs_mkdtemp(dir .. "/x-XXXXXX"))
  tell(#path - #dir, uv.fs_stat(path).type, path:match("/x%-(%w+)$") ~= nil)
  try("mkdtemp", dir .. "/x")
  local _, text, name = uv.fs_mkdtemp(dir .. "/none/x-XXXXXX")
  tell((text:gsub("%w%w%w%w%w%w$", "")), name)
end)

------------------------------------------------------------------- arguments --

script("bad_arguments", function(uv, dir, _, try)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  try("open", dir .. "/f")
  try("open", dir .. "/f", "r")
  try("open", nil, "r", 1)
  try("open", dir .. "/f", "r", "abc")
  try("open", dir .. "/f", {}, 1)
  try("read", fd)
  try("read", fd, 1, {})
  try("read", fd, 1, 0, "x")
  try("read", fd, 1, "0")
  try("write", fd, nil, 0)
  try("write", fd, "x", {})
  try("write", fd, "x", 1.5)
  try("write", fd, "x", 1.0)
  try("close", "x")
  try("fsync", fd, 3)
  try("stat", dir, "x")
  try("mkdir", dir .. "/sub")
  try("rename", dir)
  try("rmdir", {})
  try("access", dir, "q")
  try("ftruncate", fd)
  try("fstat", "x")
  try("close", fd)
end)

------------------------------------------------------------------- callbacks --

script("callbacks_one_after_the_other", function(uv, dir, tell)
  local path = dir .. "/f"
  local steps, run = {}, nil
  local function step(name, ...)
    steps[#steps + 1] = table.pack(name, ...)
  end
  function run(i)
    local s = steps[i]
    if not s then return end
    s[s.n + 1] = function(...)
      local _, result = ...
      local shown = type(result) == "number" and "number" or result
      tell(s[1], select("#", ...), (...), shown)
      run(i + 1)
    end
    uv["fs_" .. s[1]](table.unpack(s, 2, s.n + 1))
  end
  local fd = assert(uv.fs_open(path, "w+", O600))
  step("open", path, "r", O600)
  step("open", dir .. "/none", "r", O600)
  step("write", fd, "hello", 0)
  step("write", fd, "!!", 5)
  step("write", fd, "end")
  step("read", fd, 9, 0)
  step("read", fd, 9)
  step("read", 999, 9, 0)
  step("fsync", fd)
  step("fdatasync", 999)
  step("ftruncate", fd, 2)
  step("fstat", fd)
  step("stat", path)
  step("stat", dir .. "/none")
  step("access", path, "r")
  step("access", dir .. "/none", "r")
  step("scandir", dir)
  step("scandir", dir .. "/none")
  step("mkdir", dir .. "/sub", O700)
  step("mkdir", dir .. "/sub", O700)
  step("rename", path, dir .. "/g")
  step("rename", path, dir .. "/g")
  step("unlink", dir .. "/g")
  step("unlink", dir .. "/g")
  step("rmdir", dir .. "/sub")
  step("close", fd)
  step("close", fd)
  run(1)
end)

script("callbacks_come_from_poll", function(uv, dir, tell)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  local check = uv.new_check()
  local is_in = true
  uv.fs_write(fd, "a", 0, function()
    tell("written", is_in)
    check:start(function()
      tell("check")
      check:close()
    end)
    uv.fs_close(fd, function() tell("closed") end)
  end)
  is_in = false
end)

script("callbacks_hold_the_loop", function(uv, dir, tell)
  tell(uv.loop_alive())
  uv.fs_stat(dir, function() tell("stat", uv.loop_alive()) end)
  tell(uv.loop_alive())
  uv.run()
  tell(uv.loop_alive())
end)

script("more_calls_than_threads", function(uv, dir, tell)
  local fd = assert(uv.fs_open(dir .. "/f", "w+", O600))
  local left, sum = 20, 0
  for i = 1, 20 do
    uv.fs_write(fd, string.char(64 + i), i - 1, function(err, n)
      assert(not err, err)
      left, sum = left - 1, sum + n
      if left > 0 then return end
      tell(sum, assert(uv.fs_read(fd, 99, 0)))
      uv.fs_close(fd)
    end)
  end
  tell("queued", left)
end)

return scripts
