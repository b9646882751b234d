--- A child that writes a file, watched from our loop.
--
-- Promises. done is called once, from the loop, never before start has
-- returned: done(nil, bytes) when the file is whole and on the disk, else
-- done(err). However the child ends, or if it never does, we go on; a child
-- that says nothing for too long is killed. No handler of SIGCHLD is needed.
-- Files:die waits until it has ended.
--
-- Limits. What the child prints is lost.
local errors = require "raft.errors"
local fault = require "raft.storage.fault"

local M = {}

local Child = { __name = "raft.storage.child" }
Child.__index = Child

local SILENCE_MS <const> = 300000  -- without a word: it hangs
local REAP_MS <const> = 10         -- between two looks whether it has ended
local REAPS_MAX <const> = 500      -- looks, then it is killed
local WORDS_MAX <const> = 1000     -- bytes that it may say

-- What the child is to do, raising texts only.
local function in_words(writer)
  return function(write)
    local ok, err = pcall(writer, write)
    if not ok then error(errors.text(err), 0) end
  end
end

--- Can this host do it?
function M.is_possible(host)
  return (host.fork or host.fork_writer) ~= nil
end

-- What the user's code is to blame for has the same code as it has inline.
local OF_USERS <const> = { apply_error = true, bad_value = true,
  refused = true }

local function of_user(path, text)
  local code, message = text:match("^([%l_]+): (.*)$")
  if not OF_USERS[code] then return nil end
  local where, value = message:match("^(%a+): (.*)$")
  return errors.new(code, message, { where = where, file = path,
    value = code ~= "bad_value" and (value or message) or nil,
    outcome = "none" })
end

-- As the child said, or the end that it found, in the words of luv.
local function failure(path, text)
  local err = of_user(path, text)
  if err then return err end
  if text:find "No space left" or text:find "quota exceeded" then
    text = "ENOSPC: " .. text
  end
  err = fault.new("write in a child", path, nil, text)
  return err
end

-- A virtual host has forks of its own.
-- They are not killed: they end with our process.
local function start_virtual(host, path, writer, done)
  local is_wanted = true
  host.fork(path, writer, function(text, bytes)
    if not is_wanted then return end
    done(text and failure(path, text) or nil, bytes)
  end)
  return { kill = function() is_wanted = false end }
end

--- Forks: writer(write) runs in the child, which sees what is; write(bytes)
-- appends to the file at `path`.
-- @param files gives uv, host, guard
-- @param silence_ms if not the usual
-- @return what can be killed: kill(), after which done is not called
function M.start(files, path, writer, done, silence_ms)
  if files.host.fork then
    return start_virtual(files.host, path, in_words(writer), done)
  end
  local uv = files.uv
  local self = setmetatable({
    uv = uv,
    files = files,
    path = path,
    done = done,
    process = false,
    pipe = false,
    timer = assert(uv.new_timer()),
    silence_ms = silence_ms or SILENCE_MS,
    words = "",          -- what it said but dots
    reaps = 0,
  }, Child)
  files.busy = files.busy + 1
  local process, _, text = files.host.fork_writer(path, in_words(writer))
  if process then
    self.process = process
    self:watch()
  else
    files:soon(function() self:finish(failure(path, text)) end)
  end
  return self
end

function Child:watch()
  self.pipe = assert(self.uv.new_pipe(false))
  assert(self.pipe:open(self.process:pipe()))
  assert(self.pipe:read_start(self.files.guard(function(err, bytes)
    if err or not bytes then return self:hung_up() end
    self.words = (self.words .. bytes):gsub("^%.+", ""):sub(1, WORDS_MAX)
    self:wait()
  end)))
  self:wait()
end

-- It has so much time for the next word.
function Child:wait()
  assert(self.timer:start(self.silence_ms, 0, self.files.guard(function()
    self.words = ("!no word for %d s: it was killed"):format(
      self.silence_ms // 1000)
    self.process:kill()
  end)))
end

-- Nothing more is said: it has ended, or is about to.
function Child:hung_up()
  if not self.pipe then return end
  self.pipe:close()
  self.pipe = false
  self:reap()
end

function Child:reap()
  local has_ended, status, signal = self.process:reap()
  if has_ended then return self:ended(status, signal) end
  self.reaps = self.reaps + 1
  if self.reaps == REAPS_MAX then self.process:kill() end
  assert(self.timer:start(REAP_MS, 0, self.files.guard(function()
    self:reap()
  end)))
end

function Child:ended(status, signal)
  local bytes = math.tointeger(tonumber(self.words:match("^=(%d+)$")))
  if bytes then return self:finish(nil, bytes) end
  local text = self.words:match("^!(.+)$")
  if not text and signal > 0 then text = "killed by signal " .. signal end
  self:finish(failure(self.path, text or "ended with status " .. status))
end

function Child:finish(err, bytes)
  self.process = false
  self.timer:close()
  self.files:finish(self.done, err, bytes)
end

--- Ends it. Nothing is said of it any more.
function Child:kill()
  self.done = function() end
  if self.process then self.process:kill() end
end

return M
