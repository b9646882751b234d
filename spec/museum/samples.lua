--- A module with functions in all places, for the spec of what replaces them.
local M = {}

local Class = {}
Class.__index = Class

local function hidden() return 3 end

local function twice() return 0 end

local function deep() return 5 end

local handlers = {}
function handlers.handle() return 4 end
function handlers.calls_deep() return deep() end

function M.calls_handler(name) return handlers[name]() end
function M.public() return 1 end
function M.calls_hidden() return hidden() end
function M.calls_twice() return twice() end
function M.new() return setmetatable({}, Class) end
function Class.method() return 2 end
function Class.calls_hidden() return hidden() end
function Class.twice() return 0 end

return M
