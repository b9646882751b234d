--- Who is who. `raft` is where the nodes meet each other, `clients` is where
-- they listen for the likes of kv.lua.
return {
  n1 = { raft = "127.0.0.1:7111", clients = "127.0.0.1:7211" },
  n2 = { raft = "127.0.0.1:7112", clients = "127.0.0.1:7212" },
  n3 = { raft = "127.0.0.1:7113", clients = "127.0.0.1:7213" },
}
