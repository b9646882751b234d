local compare = require "spec.sim.scripts.compare"

describe("the virtual files", function()
  describe("answer as luv does:", function() compare.each("files") end)
end)
