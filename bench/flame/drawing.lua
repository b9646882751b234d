--- A flame graph as SVG: a box for each function, above the one that called it,
-- as wide as its share of the samples; what its own code took is what no box
-- lies on. Boxes tell more when pointed at. There is no script in it.
local stacks = require "bench.flame.stacks"

local M = {}

local WIDTH <const>, SIDE <const> = 1200, 10
local ROW <const>, HEAD <const>, FOOT <const> = 17, 66, 10  -- pixels
local CHAR_WIDTH <const> = 6.7   -- of the font below, and a bit
local FONT <const> = 'font-family="monospace" font-size="11"'
local NARROW <const> = 0.8       -- pixels: what is narrower is left out
local LEGEND_GAP <const> = 28    -- pixels between two entries of the legend
local COLOURS <const> = { all = "#d9d9d9", ours = "#f5b971", load = "#c9c2b8",
  core = "#7fb2e5", luv = "#8fd19e", lua = "#f2e394", libc = "#d7b5e8",
  kernel = "#e89b93" }

local function escaped(text)
  return (text:gsub("[<>&\"]", { ["<"] = "&lt;", [">"] = "&gt;",
    ["&"] = "&amp;", ['"'] = "&quot;" }))
end

local function text_at(x, y, words, more)
  return ('<text x="%.1f" y="%.1f"%s>%s</text>'):format(x, y, more or "",
    escaped(words))
end

-- As much of a label as fits.
local function cut(label, width)
  local room = math.floor((width - 4) / CHAR_WIDTH)
  if #label <= room then return label end
  return room < 4 and "" or label:sub(1, room - 2) .. ".."
end

-- The widest first, so that the eye finds it; ties by name, so that the same
-- samples make the same picture.
local function in_order(children)
  local list = table.move(children, 1, #children, 1, {})
  table.sort(list, function(a, b)
    if a.samples ~= b.samples then return a.samples > b.samples end
    return a.frame.key < b.frame.key
  end)
  return list
end

local function depth_of(node, pixels)
  if node.samples * pixels < NARROW then return 0 end
  local deepest = 0
  for _, child in ipairs(node.children) do
    deepest = math.max(deepest, depth_of(child, pixels))
  end
  return deepest + 1
end

local function add_box(out, node, box, total)
  local frame, width = node.frame, box.width
  out[#out + 1] = ('<g><title>%s: %.2f %% (%d samples), %.2f %% itself'
    .. '</title><rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>')
    :format(escaped(frame.title), 100 * node.samples / total, node.samples,
      100 * node.own / total, frame.kind, box.x, box.y,
      math.max(width - 0.4, 0.4), ROW - 1)
  local label = cut(frame.label, width)
  if label ~= "" then
    out[#out + 1] = text_at(box.x + 3, box.y + ROW - 5, label)
  end
  out[#out + 1] = "</g>\n"
end

local function add_tree(out, node, box, pixels, total)
  box.width = node.samples * pixels
  if box.width < NARROW then return end
  add_box(out, node, box, total)
  local x = box.x
  for _, child in ipairs(in_order(node.children)) do
    add_tree(out, child, { x = x, y = box.y - ROW }, pixels, total)
    x = x + child.samples * pixels
  end
end

local function add_style(out)
  out[#out + 1] = "<style>"
  for _, kind in ipairs(stacks.kinds) do
    out[#out + 1] = (".%s{fill:%s}"):format(kind.name, COLOURS[kind.name])
  end
  out[#out + 1] = (".all{fill:%s}"):format(COLOURS.all)
    .. "g:hover rect{stroke:#000}text{pointer-events:none}</style>\n"
end

-- The kinds that the tree has.
local function kinds_in(node, found)
  found[node.frame.kind] = true
  for _, child in ipairs(node.children) do kinds_in(child, found) end
  return found
end

local function add_legend(out, tree)
  local x, found = SIDE, kinds_in(tree, {})
  for _, kind in ipairs(stacks.kinds) do
    if found[kind.name] then
      out[#out + 1] = ('<rect class="%s" x="%.1f" y="44" width="12" '
        .. 'height="12"/>'):format(kind.name, x)
      out[#out + 1] = text_at(x + 16, 54, kind.text) .. "\n"
      x = x + 16 + #kind.text * CHAR_WIDTH + LEGEND_GAP
    end
  end
end

--- The graph of a tree, or nil where it has no samples.
function M.draw(tree, title, subtitle)
  if tree.samples == 0 then return nil end
  local pixels = (WIDTH - 2 * SIDE) / tree.samples
  local height = HEAD + depth_of(tree, pixels) * ROW + FOOT
  local out = { ('<svg xmlns="http://www.w3.org/2000/svg" '
    .. 'viewBox="0 0 %d %d" %s>\n'):format(WIDTH, height, FONT) }
  add_style(out)
  out[#out + 1] = '<rect width="100%" height="100%" fill="white"/>\n'
  out[#out + 1] = text_at(SIDE, 20, title, ' font-size="15"') .. "\n"
  out[#out + 1] = text_at(SIDE, 36, subtitle, ' fill="#555"') .. "\n"
  add_legend(out, tree)
  add_tree(out, tree, { x = SIDE, y = height - FOOT - ROW }, pixels,
    tree.samples)
  out[#out + 1] = "</svg>\n"
  return table.concat(out)
end

return M
