-- Membership, quorums and roles, seen from nodes in one process.
local Cluster = require "spec.support.cluster"

describe("a cluster", function()
  it("forms with its quorum rule and roles, and keeps them", function()
    local cluster <close> = Cluster.new { nodes = 3, node = function()
      return { quorum = { election = "n1 and n2", commit = "n1" } }
    end }
    cluster.members.n3 = { address = cluster.members.n3, role = "learner" }
    cluster:up()
    assert(cluster:leader():propose("x"))
    local rule = { election = { { "n1", "n2" } }, commit = { { "n1" } } }
    assert.same(rule, cluster.nodes.n3:status().quorum)
    assert.equal("learner", cluster.nodes.n2:members().n3.role)
    cluster.nodes.n3:stop()  -- it counts nowhere
    cluster.nodes.n2:stop()  -- and commits need n1 alone
    assert(cluster.nodes.n1:propose("y"))
    cluster:start("n3")
    assert(cluster.nodes.n3:read())
    assert.same({ "x", "y" }, cluster.applied.n3)
    assert.same(rule, cluster.nodes.n3:status().quorum)
  end)

  it("does not form of nodes with different rules", function()
    local heard = {}
    local cluster <close> = Cluster.new { nodes = 3, node = function(id)
      return {
        quorum = id == "n1" and { election = 3, commit = 1 } or nil,
        on = { warning = function(err) heard[#heard + 1] = err.code end },
      }
    end }
    cluster:start()
    assert.is_nil((cluster.nodes.n1:ready { timeout = 300 }))
    assert.is_false(cluster.nodes.n1:status().formed)
    assert.equal("cluster_mismatch", heard[1])
  end)

  -- It was the first to know of the cluster, so all others took that from it
  -- with empty logs: nobody ever campaigned.
  it("is not formed by who cannot lead it", function()
    for _, role in ipairs { "learner", "witness" } do
      for _ = 1, 4 do
        local cluster <close> = Cluster.new { nodes = 3 }
        cluster.members.n3 = { address = cluster.members.n3, role = role }
        cluster:start()
        for _, id in ipairs { "n1", "n2" } do
          assert(cluster.nodes[id]:ready { timeout = 5000 })
        end
      end
    end
  end)
end)
