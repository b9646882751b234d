local helper = require "spec.support.helper"
local states = require "spec.storage.states"

local STATES <const> = 2000
local PLANTED_STATES <const> = 6000  -- at most, until a bug is found
local PLANTED_SEEDS <const> = 8      -- tried until then: one run may miss it

-- What may be wrong with the calls of a storage, or with the order in which
-- it makes them: name -> function(uv).
local planted = {}

planted["writes are not durable"] = function(uv)
  local open = uv.fs_open
  function uv.fs_open(path, flags, ...)
    return open(path, flags & ~uv.constants.O_DSYNC, ...)
  end
end

-- Calls in the background are answered when `act` has happened, or before.
local function early(uv, name, is_chosen)
  local real = uv["fs_" .. name]
  uv["fs_" .. name] = function(...)
    local arguments = table.pack(...)
    local callback = arguments[arguments.n]
    if type(callback) ~= "function" or not is_chosen(...) then
      return real(...)
    end
    arguments[arguments.n] = function() end
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      callback(nil, name == "write" and #arguments[2] or true)
    end)
    return real(table.unpack(arguments))
  end
end

local function is_batch(_, bytes) return bytes:sub(1, 4) == "rbat" end
local function is_identity(_, bytes) return bytes:sub(1, 8) == "raftidnt" end
local function is_head(_, bytes) return bytes:sub(1, 7) == "raftseg" end

planted["a batch is reported before it is durable"] = function(uv)
  early(uv, "write", is_batch)
end

planted["a segment takes batches before the identity counts it"] = function(uv)
  local real = uv.fs_write
  function uv.fs_write(fd, bytes, offset, callback)
    if not callback or not is_identity(fd, bytes) then
      return real(fd, bytes, offset, callback)
    end
    local timer = uv.new_timer()
    timer:start(20, 0, function()
      timer:close()
      real(fd, bytes, offset, function() end)
    end)
    local soon = uv.new_timer()
    soon:start(0, 0, function()
      soon:close()
      callback(nil, #bytes)
    end)
    return soon
  end
end

planted["the head of a segment comes after its name"] = function(uv)
  early(uv, "write", is_head)
end

planted["directories are not synced"] = function(uv)
  local open, fsync, dirs = uv.fs_open, uv.fs_fsync, {}
  local function note(path, fd)
    if fd then dirs[fd] = path:sub(-1) == "1" or path == "/data" end
    return fd
  end
  function uv.fs_open(path, flags, mode, callback)
    if not callback then return note(path, open(path, flags, mode)) end
    return open(path, flags, mode, function(err, fd)
      callback(err, note(path, fd))
    end)
  end
  function uv.fs_fsync(fd, callback)
    if not dirs[fd] then return fsync(fd, callback) end
    if not callback then return true end
    return uv.fs_fstat(fd, function() callback(nil, true) end)
  end
end

-- Both copies in one write, so that one cut may spoil them both.
planted["both copies of the identity are written at once"] = function(uv)
  local real = uv.fs_write
  function uv.fs_write(fd, bytes, offset, callback)
    if not is_identity(fd, bytes) or #bytes > 4096 then
      return real(fd, bytes, offset, callback)
    end
    local function answer(err) callback(err, not err and #bytes or nil) end
    if offset == 0 then
      local done = real(fd, bytes .. bytes, 0, callback and answer)
      return callback and done or #bytes
    end
    return callback and uv.fs_fstat(fd, answer) or #bytes
  end
end

planted["starts are not counted durably"] = function(uv)
  local real = uv.fs_write
  function uv.fs_write(fd, bytes, offset, callback)
    if is_identity(fd, bytes) and not callback and #bytes == 4096 then
      return #bytes
    end
    return real(fd, bytes, offset, callback)
  end
end

describe("storage, after a power cut at any moment,", function()
  it("finds what it reported, and nothing that was never stored", function()
    local seen = states.enumerate(helper.seed(), STATES)
    assert.is_true(seen.count >= STATES)
    assert.is_true(seen.items_max > 5)
    assert.is_true(seen.recrashed > STATES // 10)
  end)

  it("does so where each write is followed by a sync", function()
    states.enumerate(helper.seed(), STATES // 2, function(uv)
      function uv.os_uname() return { sysname = "Darwin" } end
    end)
  end)

  for name, bend in pairs(planted) do
    it("is seen to break when " .. name, function()
      local first = helper.seed()
      for seed = first, first + PLANTED_SEEDS - 1 do
        if not pcall(states.enumerate, seed, PLANTED_STATES, bend)
          or not pcall(states.kills, seed, 1, bend) then
          return
        end
      end
      error "not seen"
    end)
  end
end)
