local compare = require "spec.sim.scripts.compare"

describe("virtual TCP does as luv does:", function()
  describe("connect, listen, accept:", function() compare.each("connect") end)
  describe("read, write, close:", function() compare.each("stream") end)
end)
