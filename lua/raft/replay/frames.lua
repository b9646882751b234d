--- Frames in words, for people: read as docs/FORMATS.md has them, and not by
-- the code of the core.
local M = {}

local HEADER <const> = "<I4I4BBI2I4I8"  -- size crc ver kind head group term
local HEADER_BYTES <const> = 24
local SIZE <const> = "<I4"
local SIZE_BYTES <const> = 4
local ENTRY <const> = "<I4I4I8I8I8I4BB"  -- crc crc index term time size kind
local ENTRY_BYTES <const> = 40
local ENTRIES_SHOWN <const> = 4          -- of one append, each by itself

------------------------------------------------------------------- entries --

--- Index and term of each entry, as { index, term } pairs; what cannot be read
-- ends them.
function M.entries(bytes)
  local entries, at = {}, 1
  while #bytes - at + 1 >= ENTRY_BYTES do
    local _, _, index, term, _, size = ENTRY:unpack(bytes, at)
    entries[#entries + 1] = { index = index, term = term }
    at = at + ENTRY_BYTES + size
  end
  return entries
end

local function one_entry(entry)
  return ("%d/t%d"):format(entry.index, entry.term)
end

--- Entries in words: each, or the first and the last of many.
function M.entry_words(entries)
  local count = #entries
  if count > ENTRIES_SHOWN then
    return ("%s .. %s (%d)"):format(one_entry(entries[1]),
      one_entry(entries[count]), count)
  end
  local words = {}
  for i, entry in ipairs(entries) do words[i] = one_entry(entry) end
  return table.concat(words, " ")
end

------------------------------------------------------------------ messages --

local function vote(_, body)
  local for_term, index, log_term, _, is_pre, is_transfer =
    ("<I8I8I8I8BB"):unpack(body)
  return ("asks for %s in term %d%s, its log ends at %d/t%d"):format(
    is_pre == 1 and "a pre-vote" or "the vote", for_term,
    is_transfer == 1 and " as the leader wished" or "", index, log_term)
end

local function vote_reply(term, body)
  local for_term, _, is_pre, is_granted = ("<I8I8BB"):unpack(body)
  return ("%s %s in term %d (own term %d)"):format(
    is_granted == 1 and "grants" or "refuses",
    is_pre == 1 and "the pre-vote" or "the vote", for_term, term)
end

local VERDICTS <const> = { ", asks for results at %d",
  ", no majority for results at %d", ", results at %d are %016x" }

-- What a leader says of results, if it does.
local function verdict_of(body, at)
  if at > #body then return "" end
  local verdict, index, digest = ("<BI8i8"):unpack(body, at)
  return VERDICTS[verdict]:format(index, digest)
end

local function append(term, body, tail)
  local index, prev_term, commit, round, _, at = ("<I8I8I8I8I4"):unpack(body)
  local entries = M.entries(tail)
  return ("append in term %d after %d/t%d%s, commit %d%s%s"):format(term, index,
    prev_term, entries[1] and ": " .. M.entry_words(entries) or "", commit,
    round > 0 and ", read round " .. round or "", verdict_of(body, at))
end

-- By its flags: why leadership shall not come to who answers.
local AVOIDING <const> = { ", is no heir", ", repairs its log",
  ", repairs its log, is no heir" }

local function append_reply(term, body)
  local index, hint, hint_term, round, _, is_accepted, flags, at =
    ("<I8I8I8I8I8BB"):unpack(body)
  local suffix = AVOIDING[flags] or ""
  if at <= #body then
    suffix = ("%s, results at %d are %016x"):format(suffix,
      ("<I8i8"):unpack(body, at))
  end
  if is_accepted == 1 then
    return ("has all up to %d%s%s"):format(index,
      round > 0 and ", read round " .. round or "", suffix)
  end
  return ("refuses what follows %d (term %d), may agree at %d/t%d%s"):format(
    index, term, hint, hint_term, suffix)
end

local function propose(_, body)
  local token, count, _, kind = ("<i8I4I4B"):unpack(body)
  if kind == 2 then
    return ("asks that another shall lead (%016x)"):format(token)
  end
  if kind == 1 then
    return ("asks for another configuration (%016x)"):format(token)
  end
  return ("forwards %d command%s (%016x)"):format(count,
    count == 1 and "" or "s", token)
end

local function propose_reply(_, body)
  local token, index, code = ("<i8I8i4"):unpack(body)
  if code ~= 0 then
    return ("refuses the commands (%016x): %d"):format(token, code)
  end
  return ("takes the commands (%016x) from %d on"):format(token, index)
end

local function read(_, body)
  return ("asks for a read index (%016x)"):format((("<i8"):unpack(body)))
end

local function read_reply(_, body)
  local context, index = ("<i8I8"):unpack(body)
  if index == 0 then return ("knows no read index (%016x)"):format(context) end
  return ("says read index %d (%016x)"):format(index, context)
end

local KINDS <const> = { [3] = vote, [4] = vote_reply, [5] = append,
  [6] = append_reply, [7] = function() return "take over" end, [8] = propose,
  [9] = propose_reply, [10] = read, [11] = read_reply }

--- A whole frame in words; nil for one that is not worth any (a ping).
function M.words(frame)
  local _, _, _, kind, head, _, term = HEADER:unpack(frame)
  if kind & 0x80 ~= 0 then return nil end
  local words = KINDS[kind]
  if not words then return ("a frame of kind %d"):format(kind) end
  local ok, text = pcall(words, term, frame:sub(HEADER_BYTES + 1, head),
    frame:sub(head + 1))
  return ok and text or "noise"
end

--- The whole frames at the beginning of the bytes, and the rest.
function M.split(bytes)
  local frames, at = {}, 1
  while #bytes - at + 1 >= SIZE_BYTES do
    local size = SIZE:unpack(bytes, at)
    if size < HEADER_BYTES or size > #bytes - at + 1 then break end
    frames[#frames + 1] = bytes:sub(at, at + size - 1)
    at = at + size
  end
  return frames, bytes:sub(at)
end

return M
