--- Old bugs of logs on disks, on the virtual one.
local errors = require "raft.errors"
local Life = require "spec.storage.life"
local made = require "spec.storage.entries"
local segments = require "raft.storage.segments"

local SECTOR <const> = 4096
local SEEDS <const> = 20   -- a power cut leaves one of many states: try some

-- A luv on which each durable write is a write and a sync.
local function with_syncs(uv)
  return setmetatable({ os_uname = function()
    return { sysname = "Darwin" }
  end }, { __index = uv })
end

local function new_life(seed, has_syncs)
  local life = Life.new(seed)
  if has_syncs then
    local boot = life.computer.boot
    function life.computer:boot(...)
      self.uv = with_syncs(boot(self, ...))
      return self.uv
    end
  end
  assert(life:open())
  return life
end

-- One more entry, or `count` of them, of so many bytes.
local function append(life, count, size)
  for _ = 1, count or 1 do
    local state = life.states[life.asked]
    local index = #state.log + 1
    life:store(index, { made.entries(index, index, 1, size) }, 1, state.vote)
  end
end

local function cut_power(life)
  life.computer:crash("power")
  life:ended()
end

-- The process is gone, and of its file these bytes are as they were before.
local function put_back(life, path, offset, bytes)
  life.computer:crash("process")
  life:ended()
  local uv = life.computer:boot()
  local fd = assert(uv.fs_open(path, "r+", 0))
  assert(uv.fs_write(fd, bytes, offset))
  assert(uv.fs_close(fd))
end

local function must_open(life)
  local ok, err = life:open()
  if not ok then error("no start: " .. err.message, 0) end
end

-- Life on small segments comes to a change of them within so many bytes.
local function fill_segment(life)
  append(life, 6, 8000)
  life:settle()
end

-- The bytes of a batch that were written last: an offset in the newest segment.
local function newest_batch(life)
  local offset = life.storage:status().segment_offset
  return segments.path(Life.DIR, life.storage:status().segment), offset
end

local function each_seed(fn)
  return function()
    for seed = 1, SEEDS do fn(seed) end
  end
end

return {
  { number = 79, name = "a_sync_that_failed_is_tried_again",
    reason = "none of the states",
    bug = { "raft.storage.files", "finish", function(finish)
      return function(files, done, err, result)
        if err and err.op == "fdatasync" then
          return files.uv.fs_fdatasync(files.museum_fd, function(text)
            finish(files, done, text and err or nil, result)
          end)
        end
        finish(files, done, err, result)
      end
    end },
    run = each_seed(function(seed)
      local life = new_life(seed, true)
      append(life, 3)
      life:settle()
      life.storage.files.museum_fd = life.storage.writer.fd
      life.disk:fail_next("fdatasync")
      append(life)
      life:settle()
      cut_power(life)
      must_open(life)
    end) },

  { number = 80, name = "a_write_is_reported_before_it_is_done",
    reason = "none of the states",
    bug = { "raft.storage.writer", "put", function(put)
      return function(writer, kind, list, done)
        put(writer, kind, list, function() end)
        writer.files:soon(done)
      end
    end },
    run = each_seed(function(seed)
      local life = new_life(seed)
      append(life, 3)
      life:settle()
      append(life)
      life:settle()
      cut_power(life)
      must_open(life)
    end) },

  { number = 81, name = "a_flipped_bit_ends_the_log",
    reason = "a start without a word: found 2 entries of 5",
    bug = { "raft.storage.segments", "recover", function(recover)
      return function(files, dir, fields, options)
        local state = recover(files, dir, fields, options)
        local lost = state.report.repairing
        if not lost then return state end
        local fd = files:open(lost.file, "durable")
        local size = files:size(fd) - lost.offset
        files:write(fd, ("\0"):rep(size), lost.offset)
        return recover(files, dir, fields, options)
      end
    end },
    run = function()
      local life = new_life(1)
      local place
      for i = 1, 5 do  -- one segment: what another builds on is not cut
        append(life)
        life:settle()
        if i == 2 then place = { newest_batch(life) } end
      end
      life.computer:crash("process")
      life:ended()
      local disk = life.disk
      local path, offset = place[1], place[2]
      disk:flip(path, offset + 100, 0)
      local storage, err = Life.open(life.computer)
      assert(storage, err)
      local found, lost = storage.recovered:fields(), storage.report.repairing
      if not lost then
        error(("a start without a word: found %d entries of 5"):format(
          found.last), 0)
      end
      assert(lost.first == 3 and lost.last == 5 and found.lost_last == 5)
    end },

  { number = 82, name = "a_torn_end_stops_the_start",
    reason = "no start: .* is damaged",
    bug = { "raft.storage.segments", "cut_torn_end", function()
      return function(files, wal, fd)
        local offset = wal:torn()
        if not offset then return end
        error(errors.new("corrupt", files.open_fds[fd] .. " is damaged"), 0)
      end
    end },
    run = function()
      for size = 0, 3 * SECTOR, 97 do
        local life = new_life(1)
        append(life, 2)
        life:settle()
        local path, offset = newest_batch(life)
        local before = life.disk:read(path):sub(offset + size + 1)
        append(life, 1, 2 * SECTOR)
        life:settle()
        put_back(life, path, offset + size, before)
        life.reported = life.reported - 1
        must_open(life)
        append(life)
        life:settle()
        cut_power(life)
        must_open(life)
      end
    end },

  { number = 83, name = "a_segment_counts_before_it_has_its_name",
    reason = "the segment is missing",
    bug = { "raft.storage.writer", "steps_to", function(steps_to)
      return function(...)
        local steps = steps_to(...)
        table.insert(steps, 1, table.remove(steps))
        return steps
      end
    end },
    run = function()
      for operation = 1, 60 do
        local life = new_life(1)
        local left = operation
        life.disk.on_operation = function()
          left = left - 1
          if left == 0 then
            life.disk.on_operation = false
            cut_power(life)
          end
        end
        fill_segment(life)
        if life.storage then cut_power(life) end
        life.disk.on_operation = false
        must_open(life)
      end
    end },

  { number = 84, name = "half_an_entry_counts",
    reason = "none of the states",
    bug = { "raft.storage.files", "write_later", function()
      return function(files, fd, bytes, offset, done)
        files:later("write", files.open_fds[fd], offset, function(err)
          done(err)
        end, fd, bytes, offset)
      end
    end },
    run = each_seed(function(seed)
      local life = new_life(seed)
      append(life, 2)
      life:settle()
      life.disk:set { short_write = 0.5 }
      append(life, 1, 3 * SECTOR)
      life:settle()
      life.disk:calm()
      cut_power(life)
      must_open(life)
    end) },

  { number = 84, name = "a_full_disk_has_no_way_back",
    reason = "nothing led to room",
    bug = { "raft.storage.spare", "pause", function()
      return function() end
    end },
    run = function()
      local life = new_life(1)
      life.disk:set { capacity = life.disk.used * 4096 }
      local bytes = 0
      while life.has_space do
        assert(bytes < 100, "the disk is never full")
        append(life, 1, 8000)
        life:settle()
        bytes = bytes + 1
      end
      append(life, 10, 8000)
      life.disk:set { capacity = false }
      life:wait(function() return life.reported == life.asked end, "room")
      cut_power(life)
      must_open(life)
    end },

  { number = 87, name = "a_restart_of_the_log_forgets_who_wrote",
    reason = "no start: .* a second vote in one term",
    bug = { "raft.storage.segments", "recover", function(recover)
      return function(...)
        local state = recover(...)
        state.vote = 0
        return state
      end
    end },
    run = function()
      local life = new_life(1)
      append(life, 2)
      life:store(3, {}, 5, 2)  -- a vote
      life:settle()
      for _ = 1, 2 do  -- the first start marks the end of what it has found
        life.computer:crash("process")
        life:ended()
        must_open(life)
        life.computer:run_for(1000)
      end
    end },

  { number = 100, name = "ends_of_writes_come_in_any_order",
    reason = "not the newest batch",
    bug = { "raft.storage.writer", "put", function(put)
      return function(writer, ...)
        put(writer, ...)
        writer.is_busy = false
      end
    end },
    run = each_seed(function(seed)
      local life = new_life(seed)
      for _ = 1, 10 do append(life) end
      life:settle()
      if life.failure then error(life.failure.message, 0) end
      cut_power(life)
      must_open(life)
    end) },
}
