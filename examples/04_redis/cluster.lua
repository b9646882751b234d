--- Who is who. `raft` is where the nodes meet each other, `clients` is where
-- they listen for the likes of redis-cli.
return {
  n1 = { raft = "127.0.0.1:7131", clients = "127.0.0.1:6381" },
  n2 = { raft = "127.0.0.1:7132", clients = "127.0.0.1:6382" },
  n3 = { raft = "127.0.0.1:7133", clients = "127.0.0.1:6383" },
}
