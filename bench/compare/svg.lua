--- Line plots as SVG, both axes logarithmic: what a reader compares here are
-- ratios.
local M = {}

local WIDTH <const>, HEIGHT <const> = 640, 400
local LEFT <const>, RIGHT <const>, TOP <const>, BOTTOM <const> = 70, 110, 40, 50
local COLOURS <const> = { ours = "#0b62a4", canonical = "#c0392b",
  ceiling = "#888888", etcd = "#2e8b57" }
local OTHER <const> = "#000000"

local function escaped(text)
  return (text:gsub("[<>&\"]", { ["<"] = "&lt;", [">"] = "&gt;",
    ["&"] = "&amp;", ['"'] = "&quot;" }))
end

local function text(x, y, anchor, words)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>'):format(x, y,
    anchor, escaped(words))
end

-- The powers of ten around all of these.
local function decades(values)
  local from, to = math.huge, -math.huge
  for _, value in ipairs(values) do
    from = math.min(from, math.floor(math.log(value, 10) + 1e-9))
    to = math.max(to, math.ceil(math.log(value, 10) - 1e-9))
  end
  return from, math.max(to, from + 1)
end

local function values_of(series, i)
  local values = {}
  for _, each in ipairs(series) do
    for _, point in ipairs(each.points) do
      assert(point[i] > 0, "a logarithmic axis has no zero")
      values[#values + 1] = point[i]
    end
  end
  return values
end

-- Value -> pixel.
local function scale(from, to, low, high)
  return function(value)
    return low + (math.log(value, 10) - from) / (to - from) * (high - low)
  end
end

local function label(value)
  if value >= 1e6 then return ("%gM"):format(value / 1e6) end
  if value >= 1e3 then return ("%gk"):format(value / 1e3) end
  return ("%g"):format(value)
end

local function add_grid(out, ticks, x, y)
  local last = HEIGHT - BOTTOM
  for exponent = ticks.from, ticks.to do
    local at = y(10.0 ^ exponent)
    out[#out + 1] = ('<path class="grid" d="M%d %.1fH%d"/>'):format(LEFT, at,
      WIDTH - RIGHT)
    out[#out + 1] = text(LEFT - 8, at + 4, "end", label(10.0 ^ exponent))
  end
  for _, value in ipairs(ticks.xs) do
    out[#out + 1] = ('<path class="grid" d="M%.1f %dV%d"/>'):format(x(value),
      TOP, last)
    out[#out + 1] = text(x(value), last + 18, "middle", ("%d"):format(value))
  end
end

local function add_series(out, each, x, y)
  local path, colour = {}, COLOURS[each.name] or OTHER
  for i, point in ipairs(each.points) do
    path[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", x(point[1]),
      y(point[2]))
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>'):format(
      x(point[1]), y(point[2]), colour)
  end
  out[#out + 1] = ('<path class="line" stroke="%s" d="%s"/>'):format(colour,
    table.concat(path))
  local last = each.points[#each.points]
  out[#out + 1] = text(x(last[1]) + 8, y(last[2]) + 4, "start", each.name)
end

local function distinct(values)
  local seen, list = {}, {}
  for _, value in ipairs(values) do
    if not seen[value] then
      seen[value], list[#list + 1] = true, value
    end
  end
  table.sort(list)
  return list
end

--- A plot. series: { { name, points = { { x, y }, ... } }, ... }, of values
-- above zero; nil where there is nothing to be drawn.
function M.plot(title, x_title, y_title, series)
  local xs, ys = values_of(series, 1), values_of(series, 2)
  if #xs == 0 then return nil end
  local low, high = math.log(math.min(table.unpack(xs)), 10),
    math.log(math.max(table.unpack(xs)), 10)
  local from, to = decades(ys)
  local x = scale(low, math.max(high, low + 0.1), LEFT, WIDTH - RIGHT)
  local y = scale(from, to, HEIGHT - BOTTOM, TOP)
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
      .. 'font-family="sans-serif" font-size="12">'):format(WIDTH, HEIGHT),
    "<style>.grid{stroke:#ddd}.line{fill:none;stroke-width:2}</style>",
    '<rect width="100%" height="100%" fill="white"/>',
    text(LEFT, 20, "start", title),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "middle", x_title),
    text(LEFT, 34, "start", y_title),
  }
  add_grid(out, { from = from, to = to, xs = distinct(xs) }, x, y)
  for _, each in ipairs(series) do
    if #each.points > 0 then add_series(out, each, x, y) end
  end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return M
