--- Who are you? The first frames of a connection.
--
--     dialer                       acceptor
--     hello, to = n2   -------->   judges it            phase "hello"
--     judges it        <--------   hello, to = n1       phase "answer"
--     open             -- ping ->  open                 phase "confirm"
--
-- In place of its hello or its ping either end may send a refusal and close.
-- The ping tells the acceptor that it was not refused, so that both ends open
-- or neither does. What follows the ping is handed up unread.
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

local expect = {}  -- phase -> function(transport, link, kind, frame)

-- Codes that an owner can make an error of.
local CODES <const> = {}
for _, code in ipairs(errors.codes()) do CODES[code] = true end

--- The code and the text of a refusal, for an error: a later version may have
-- codes that this one has not.
function M.known(code, text)
  if CODES[code] then return code, text end
  return "unsupported", ("%s: %s"):format(code, text)
end

local function bad_frame(transport, link, what)
  transport.report:count("bad_frame")
  transport.report:complain(link.address, "bad frame in a greeting",
    { what = what })
  link:close("bad frame")
end

-- The other end does not want us.
local function refused(transport, link, frame)
  local code, text = core.refusal_decode(frame)
  if not code then return bad_frame(transport, link, text) end
  code, text = M.known(code, text)
  transport.report:count("refused_by_peer")
  transport.report:complain(link.address, "refused by the peer",
    { code = code, reason = text })
  local peer = link.id ~= "" and link.id or link.address
  link:close("refused by the peer")
  transport:tell("refused", peer, code, text)
end

-- We do not want the other end.
local function refuse(transport, link, refusal)
  transport.report:count("refused")
  transport.report:complain(link.address, "refused a peer",
    { code = refusal.code, reason = refusal.text })
  link:finish(core.refusal_encode(refusal.code, refusal.text), "refused")
end

local function greet(transport, link)
  link.sent = transport:hello_for(link)
  link:write(link.sent)
end

-- Why this hello is not meant for us, or not from whom we dialed; or nil. The
-- judge speaks first: that the clusters differ says more than that names do.
local function wrong_place(transport, link, hello)
  local text
  if hello.purpose == "join" or hello.purpose == "client" then
    return nil  -- these cannot know whom they meet
  elseif hello.to ~= transport.id then
    text = ("this is %s, and the greeting is for %s: is the address right?")
      :format(transport.id, hello.to)
  elseif link.is_dialed and hello.id ~= link.id then
    text = ("%s was dialed at %s, and %s has answered"):format(link.id,
      link.address, hello.id)
  else
    return nil
  end
  transport.report:count("misdirected")
  return { code = "cluster_mismatch", text = text }
end

-- The hello in this frame, or nil: then the link has been dealt with.
local function read_hello(transport, link, frame)
  local hello, why = core.hello_decode(frame)
  if hello then return hello end
  if why ~= "version" then return bad_frame(transport, link, why) end
  refuse(transport, link, { code = "unsupported",
    text = "this version of the wire format is not spoken here" })
end

-- Is a connection for this purpose welcome? Nil, or the refusal.
local function unwanted(transport, link, hello)
  if hello.purpose == "peer" then return nil end
  return not link.is_dialed and transport.channels:refusal_of(hello)
end

-- Reads a hello and judges it; true when the link may go on.
local function admit(transport, link, frame)
  local hello = read_hello(transport, link, frame)
  if not hello then return false end
  if link.is_dialed and hello.purpose ~= link.purpose then
    bad_frame(transport, link, "purpose")
    return false
  end
  local stray = wrong_place(transport, link, hello)
    or unwanted(transport, link, hello)
  local ok, refusal = transport.judge(hello, link)
  if link.phase == "closed" then return false end  -- closed while it judged
  if not ok or stray then
    refuse(transport, link, not ok and refusal or stray)
    return false
  end
  link.id, link.hello, link.purpose = hello.id, hello, hello.purpose
  if transport.connections:is_superfluous(link) then
    transport:close_superfluous(link)
    return false
  end
  return true
end

function expect.hello(transport, link, kind, frame)
  if kind ~= "hello" then return bad_frame(transport, link, kind) end
  if not admit(transport, link, frame) then return end
  link.phase = "confirm"
  greet(transport, link)
end

function expect.answer(transport, link, kind, frame)
  if kind == "refuse" then return refused(transport, link, frame) end
  if kind ~= "hello" then return bad_frame(transport, link, kind) end
  if not admit(transport, link, frame) then return end
  if link:write(core.ping()) then transport:opened(link) end
end

function expect.confirm(transport, link, kind, frame)
  if kind == "refuse" then return refused(transport, link, frame) end
  if kind ~= "ping" then return bad_frame(transport, link, kind) end
  transport:opened(link)
end

--- The first word of the side that dialed.
function M.begin(transport, link)
  if link.is_dialed then greet(transport, link) end
end

--- Takes in what arrived on a link that is not open yet.
function M.advance(transport, link, chunk)
  if link.phase == "ending" then return end  -- refused: nothing counts now
  link.buffer = link.buffer .. chunk
  while expect[link.phase] do
    local kind, frame = link:take_frame()
    if kind == nil then return end
    if not kind then return bad_frame(transport, link, frame) end
    expect[link.phase](transport, link, kind, frame)
  end
end

return M
