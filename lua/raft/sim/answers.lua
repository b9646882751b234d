--- How luv answers and raises: error triples, and complaints of arguments.

local M = {}

local TEXTS <const> = {
  EADDRINUSE = "address already in use",
  EADDRNOTAVAIL = "address not available",
  EAGAIN = "resource temporarily unavailable",
  EALREADY = "connection already in progress",
  EBADF = "bad file descriptor",
  EBUSY = "resource busy or locked",
  ECONNREFUSED = "connection refused",
  ECONNRESET = "connection reset by peer",
  EINVAL = "invalid argument",
  EISCONN = "socket is already connected",
  ENOTCONN = "socket is not connected",
  EPIPE = "broken pipe",
  ETIMEDOUT = "connection timed out",
  EAI_NONAME = "unknown node or service",
}

--- What a call returns: 0, or nil, the text and the name of the error.
-- @param err the name, or nil
function M.answer(value, err)
  local name = err or type(value) == "string" and value
  if not name then return 0 end
  return nil, ("%s: %s"):format(name, TEXTS[name]), name
end

local function bad_argument(call, position, words)
  error(("bad argument #%d to '%s' (%s)"):format(position, call, words), 0)
end

local function got(value)
  return value == nil and "no value" or type(value)
end

--- Raises when the argument at this position is of another type.
function M.check(call, position, kind, value)
  if type(value) == kind then return end
  if kind == "number" and math.tointeger(value) then return end
  if kind == "string" and type(value) == "number" then return end
  bad_argument(call, position, ("%s expected, got %s"):format(kind, got(value)))
end

--- The same for what is called back.
function M.check_callback(call, position, value, may_be_missing)
  if type(value) == "function" then return end
  if value == nil and may_be_missing then return end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__call then return end
  bad_argument(call, position,
    ("function or callable table expected, got %s"):format(got(value)))
end

--- Raises for what is no stream.
function M.check_stream(call, handle, position)
  if type(handle) == "table" and handle.on_read ~= nil then return end
  bad_argument(call, position, "Expected uv_stream userdata")
end

--- What is to be written, as one string.
function M.bytes(call, data)
  if type(data) == "string" then return data end
  if type(data) == "number" then return tostring(data) end
  if type(data) ~= "table" then
    bad_argument(call, 2, "data must be string or table of strings, got "
      .. type(data))
  end
  if #data == 0 then bad_argument(call, 2, "an empty table aborts in libuv") end
  for _, item in ipairs(data) do
    if type(item) ~= "string" and type(item) ~= "number" then
      bad_argument(call, 2, ("expected table of strings, found %s in the table")
        :format(type(item)))
    end
  end
  return table.concat(data)
end

return M
