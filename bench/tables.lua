--- Plain tables for the terminal.
local M = {}

local function widths_of(head, rows)
  local widths = {}
  for i, title in ipairs(head) do widths[i] = #title end
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i], #tostring(cell))
    end
  end
  return widths
end

local function line_of(cells, widths)
  local parts = {}
  for i, width in ipairs(widths) do
    parts[i] = ("%" .. width .. "s"):format(tostring(cells[i]))
  end
  return table.concat(parts, "  ")
end

--- Prints a title, the head and the rows.
function M.print(title, head, rows)
  local widths = widths_of(head, rows)
  print(title)
  print("  " .. line_of(head, widths))
  for _, row in ipairs(rows) do print("  " .. line_of(row, widths)) end
  print()
end

return M
